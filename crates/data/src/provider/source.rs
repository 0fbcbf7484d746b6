//! Files that are given away: in the node's folder, or at hosts that its operator has named.

use super::{Place, Refusal, files::plain_name};
use alloy_primitives::hex;
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use reqwest::{
    Client, Response, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use sha2::{Digest as _, Sha256};
use std::{
    error::Error,
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _},
};

/// Bytes that are read at once.
const PART: usize = 64 << 10;

/// Bytes of a file from elsewhere at most.
const MOST_FETCHED: u64 = 1 << 30;

/// Bytes of a file at most whose hash is told: it is made anew for each who asks.
const MOST_HASHED: u64 = 10 << 20;

/// How long a host may take to be reached, and to say something.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a file takes at most: so long, and so many bytes a second.
const LONGEST: Duration = Duration::from_secs(60);
const SLOWEST: u64 = 64 << 10;

/// How many addresses that strangers describe are asked within how long.
const MOST_DESCRIBED: u32 = 60;
const WHILE: Duration = Duration::from_secs(60);

/// Where a node has the files that it gives away.
#[derive(Debug)]
pub struct Sources {
    folder: PathBuf,
    hosts: Vec<String>,
    http: Client,
    /// What asks for strangers: outside of the node's own network alone.
    outside: Client,
    pace: Mutex<Pace>,
}

/// How many were asked for strangers of late.
#[derive(Debug)]
struct Pace {
    since: Instant,
    asked: u32,
}

impl Pace {
    /// Whether one more can be asked.
    fn take(&mut self, now: Instant) -> bool {
        if now.duration_since(self.since) >= WHILE {
            *self = Self { since: now, asked: 0 };
        }
        let may = self.asked < MOST_DESCRIBED;
        self.asked += u32::from(may);
        may
    }
}

/// Finds the addresses of names, but for those in a network of one's own.
struct Outside;

impl Resolve for Outside {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move { outside(name.as_str()).await })
    }
}

async fn outside(name: &str) -> Result<Addrs, Box<dyn Error + Send + Sync>> {
    let found = tokio::net::lookup_host((name, 0)).await?;
    let outside: Vec<_> = found.filter(|address| is_outside(address.ip())).collect();
    if outside.is_empty() {
        return Err("it is in a network of its own".into());
    }
    Ok(Box::new(outside.into_iter()))
}

/// Whether an address is neither this machine's nor of a network that the world does not reach.
fn is_outside(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            let shared = first == 100 && second & 0xc0 == 64;
            let special = first == 0 || first >= 224 || shared;
            !(special || address.is_loopback() || address.is_private() || address.is_link_local())
        }
        IpAddr::V6(address) => {
            // Global unicast (2000::/3), but for 6to4 and Teredo, in which IPv4 addresses of any kind are hidden.
            let [first, second, ..] = address.segments();
            first >> 13 == 1 && first != 0x2002 && (first, second) != (0x2001, 0)
        }
    }
}

/// What is known of a file before it is given away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// What it is called.
    pub name: String,
    /// Its media type, as far as its name tells.
    pub kind: &'static str,
    /// How many bytes it has, if that is known.
    pub length: Option<u64>,
    /// SHA-256 in hex, where that was asked for and the file is not too long.
    pub checksum: Option<String>,
}

/// A file that is being given away.
#[derive(Debug)]
pub struct Opened {
    /// What it is.
    pub look: Look,
    content: Content,
    left: u64,
    until: Instant,
}

#[derive(Debug)]
enum Content {
    File(File),
    Fetched(Response),
}

impl Sources {
    /// A folder, and hosts: names, with a port where it is not that of the scheme.
    ///
    /// # Errors
    ///
    /// If there is no such folder.
    pub fn open(folder: &Path, hosts: Vec<String>) -> io::Result<Self> {
        let folder = folder.canonicalize()?;
        if !folder.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "it is no folder"));
        }
        // Chooses what signs and seals connections, for all clients of the program.
        drop(stoa_client::Client::new(String::new()));
        let http =
            || Client::builder().no_proxy().redirect(Policy::none()).connect_timeout(PATIENCE).read_timeout(PATIENCE);
        let outside = http().dns_resolver(Outside).build().map_err(io::Error::other)?;
        let http = http().build().map_err(io::Error::other)?;
        Ok(Self { folder, hosts, http, outside, pace: Mutex::new(Pace { since: Instant::now(), asked: 0 }) })
    }

    /// What is known of a file; with `checksum`, its hash as well.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unknown`] if there is none, [`Refusal::Forbidden`] if its host is not asked, [`Refusal::Unavailable`] if it cannot be
    /// read, or too much is asked for strangers.
    pub async fn look(&self, place: &Place, checksum: bool) -> Result<Look, Refusal> {
        let mut opened = self.open_from(place, 0).await?;
        if checksum && opened.look.length.is_some_and(|length| length <= MOST_HASHED) {
            let mut hash = Sha256::new();
            while let Some(part) = opened.part().await.map_err(|_| unreadable())? {
                hash.update(&part);
            }
            opened.look.checksum = Some(hex::encode(hash.finalize()));
        }
        Ok(opened.look)
    }

    /// Opens a file to be given away from this byte on, which is 0 for what is elsewhere.
    ///
    /// # Errors
    ///
    /// As [`look`](Self::look); [`Refusal::Malformed`] if there is no such byte.
    pub async fn open_from(&self, place: &Place, from: u64) -> Result<Opened, Refusal> {
        match place {
            Place::Local(name) => self.local(name, from).await,
            Place::Url(url) => self.fetch(&self.http, url).await,
            Place::Described(url) => {
                self.admit(url)?;
                self.fetch(&self.outside, url).await
            }
        }
    }

    /// All of a file, if it is no longer than this.
    ///
    /// # Errors
    ///
    /// As [`look`](Self::look); [`Refusal::Forbidden`] if it is longer.
    pub async fn read(&self, place: &Place, most: usize) -> Result<Vec<u8>, Refusal> {
        let (mut opened, mut bytes) = (self.open_from(place, 0).await?, Vec::new());
        while let Some(part) = opened.part().await.map_err(|_| unreadable())? {
            if bytes.len() + part.len() > most {
                return Err(Refusal::Forbidden(format!("{} has more than {most} bytes", opened.look.name)));
            }
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    }

    /// Puts a file where it is seen by a program; what it is called. What lies here is not copied if that can be avoided; of
    /// bytes that are there is `room` for so many, and then for fewer.
    ///
    /// # Errors
    ///
    /// As [`look`](Self::look), if there is no room for it, or the disk refuses.
    pub async fn bring(&self, place: &Place, to: &Path, room: &mut u64) -> Result<String, Refusal> {
        let mut opened = self.open_from(place, 0).await?;
        let too_much =
            || Refusal::Forbidden("the data of this job are more than is copied for one: use fewer at once".to_owned());
        if let Place::Local(name) = place {
            let (from, to, most) = (self.folder.join(name), to.to_owned(), *room);
            let put = move || {
                if fs::hard_link(&from, &to).is_ok() {
                    return Ok(Some(most));
                }
                let mut from = fs::File::open(&from)?;
                let Some(left) = most.checked_sub(from.metadata()?.len()) else { return Ok(None) };
                // Never over what is there: it could be the same file under another name.
                io::copy(&mut from, &mut fs::File::create_new(&to)?)?;
                io::Result::Ok(Some(left))
            };
            let left = tokio::task::spawn_blocking(put).await.map_err(|_| unreadable())?.map_err(|_| unreadable())?;
            *room = left.ok_or_else(too_much)?;
            return Ok(opened.look.name);
        }
        let mut file = File::create_new(to).await.map_err(|_| unreadable())?;
        while let Some(part) = opened.part().await.map_err(|_| unreadable())? {
            *room = room.checked_sub(part.len() as u64).ok_or_else(too_much)?;
            file.write_all(&part).await.map_err(|_| unreadable())?;
        }
        file.flush().await.map_err(|_| unreadable())?;
        Ok(opened.look.name)
    }

    async fn local(&self, name: &str, from: u64) -> Result<Opened, Refusal> {
        Opened::file(&self.folder.join(name), name, from).await
    }

    /// Whether a host is one of those that are asked.
    fn knows(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let with_port = url.port_or_known_default().map(|port| format!("{host}:{port}"));
        let known = |name: &str| self.hosts.iter().any(|known| known.eq_ignore_ascii_case(name));
        with_port.is_some_and(|name| known(&name)) || (url.port().is_none() && known(host))
    }

    /// That a host is one of those that are asked.
    fn named(&self, url: &Url) -> Result<(), Refusal> {
        if self.knows(url) {
            return Ok(());
        }
        let host = url.host_str().unwrap_or_default();
        Err(Refusal::Forbidden(format!(
            "this node gives no files of {host} away: its operator has not named that host (`stoa follow --provide-from`)"
        )))
    }

    /// That a stranger may have an address asked: he would else reach through this node what only this node reaches.
    fn admit(&self, url: &Url) -> Result<(), Refusal> {
        self.named(url)?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        // Names are looked at when they are looked up.
        if host.parse::<IpAddr>().is_ok_and(|address| !is_outside(address)) {
            return Err(Refusal::Forbidden(format!(
                "{host} is in the node's own network: files there are told of once they are published (`did` and `serviceId`)"
            )));
        }
        match self.pace.lock().take(Instant::now()) {
            true => Ok(()),
            false => {
                Err(Refusal::Unavailable("too many files are described to this node: try again in a minute".to_owned()))
            }
        }
    }

    async fn fetch(&self, http: &Client, url: &Url) -> Result<Opened, Refusal> {
        self.named(url)?;
        // What is wrong there is not told: an address may be a secret.
        let failed = || Refusal::Unavailable("the file cannot be had from where it is now".to_owned());
        let response = http.get(url.clone()).send().await.map_err(|_| failed())?;
        if !response.status().is_success() {
            return Err(failed());
        }
        let length = response.content_length();
        if length.is_some_and(|length| length > MOST_FETCHED) {
            return Err(Refusal::Unavailable(format!("the file has more than {MOST_FETCHED} bytes")));
        }
        let name = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
        let look = Look { name: plain_name(name), kind: kind(name), length, checksum: None };
        Ok(Opened::new(look, Content::Fetched(response), length.unwrap_or(MOST_FETCHED)))
    }
}

fn unreadable() -> Refusal {
    Refusal::Unavailable("the file cannot be read now".to_owned())
}

impl Opened {
    /// A file of the node's, by this name, from this byte on.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unknown`] if there is none, [`Refusal::Malformed`] if there is no such byte, [`Refusal::Unavailable`] if it cannot be read.
    pub async fn file(path: &Path, name: &str, from: u64) -> Result<Self, Refusal> {
        let none = || Refusal::Unknown(format!("there is no file {name:?} at this node"));
        // Links lead elsewhere.
        let is_file = {
            let path = path.to_owned();
            tokio::task::spawn_blocking(move || fs::symlink_metadata(path).is_ok_and(|found| found.is_file())).await
        };
        if !is_file.unwrap_or(false) {
            return Err(none());
        }
        let mut file = File::open(path).await.map_err(|_| none())?;
        let length = file.metadata().await.map_err(|_| unreadable())?.len();
        if from > 0 {
            if from >= length {
                return Err(Refusal::Malformed(format!("Range: the file has {length} bytes")));
            }
            file.seek(io::SeekFrom::Start(from)).await.map_err(|_| unreadable())?;
        }
        let look = Look { name: plain_name(name), kind: kind(name), length: Some(length), checksum: None };
        Ok(Self::new(look, Content::File(file), length - from))
    }

    fn new(look: Look, content: Content, left: u64) -> Self {
        let until = Instant::now() + LONGEST + Duration::from_secs(left / SLOWEST);
        Self { look, content, left, until }
    }

    /// Bytes that are still to come, if that is known.
    pub fn left(&self) -> Option<u64> {
        self.look.length.map(|_| self.left)
    }

    /// The next bytes; nothing at the end.
    ///
    /// # Errors
    ///
    /// If they cannot be read, there are more or fewer than was said, or whoever reads them is too slow.
    pub async fn part(&mut self) -> io::Result<Option<Bytes>> {
        if Instant::now() > self.until {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it takes too long"));
        }
        let part = match &mut self.content {
            Content::File(file) => {
                let most = usize::try_from(self.left).map_or(PART, |left| left.min(PART));
                let mut part = BytesMut::with_capacity(most);
                if most > 0 {
                    file.take(most as u64).read_buf(&mut part).await?;
                }
                (!part.is_empty()).then(|| part.freeze())
            }
            Content::Fetched(response) => {
                response.chunk().await.map_err(|error| io::Error::other(error.without_url()))?
            }
        };
        match part {
            Some(part) => {
                let left = self.left.checked_sub(part.len() as u64);
                self.left = left.ok_or_else(|| io::Error::other("there is more of it than was said"))?;
                Ok(Some(part))
            }
            None if self.look.length.is_some() && self.left > 0 => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "there is less of it than was said"))
            }
            None => Ok(None),
        }
    }
}

/// The media type of a file of this name; none that a browser would run.
fn kind(name: &str) -> &'static str {
    let end = name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
    match end.as_deref() {
        Some("csv") => "text/csv",
        Some("txt" | "md" | "log") => "text/plain",
        Some("json") => "application/json",
        Some("parquet") => "application/vnd.apache.parquet",
        Some("pdf") => "application/pdf",
        Some("zip") => "application/zip",
        Some("gz") => "application/gzip",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
    };

    async fn all(opened: Result<Opened, Refusal>) -> io::Result<Vec<u8>> {
        let (mut opened, mut bytes) = (opened.map_err(io::Error::other)?, Vec::new());
        while let Some(part) = opened.part().await? {
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    }

    fn local(name: &str) -> Place {
        Place::Local(name.to_owned())
    }

    #[tokio::test]
    async fn files_of_the_folder_are_given_away_and_what_links_lead_to_is_not() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let content: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
        fs::write(folder.path().join("rows.csv"), &content).unwrap();
        fs::write(folder.path().join("empty"), "").unwrap();
        fs::write(elsewhere.path().join("secret"), "1").unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("secret"), folder.path().join("link")).unwrap();
        let sources = Sources::open(folder.path(), Vec::new()).unwrap();
        let look = sources.look(&local("rows.csv"), true).await.unwrap();
        assert_eq!((&*look.name, look.kind, look.length), ("rows.csv", "text/csv", Some(200_000)));
        assert_eq!(look.checksum, Some(hex::encode(Sha256::digest(&content))));
        assert_eq!(sources.look(&local("rows.csv"), false).await.unwrap().checksum, None);
        assert_eq!(all(sources.open_from(&local("rows.csv"), 0).await).await.unwrap(), content);
        let rest = sources.open_from(&local("rows.csv"), 150_000).await;
        assert_eq!(rest.as_ref().unwrap().left(), Some(50_000));
        assert_eq!(all(rest).await.unwrap(), content[150_000..]);
        let beyond = sources.open_from(&local("rows.csv"), 200_000).await;
        assert!(matches!(beyond, Err(Refusal::Malformed(_))));
        assert_eq!(all(sources.open_from(&local("empty"), 0).await).await.unwrap(), b"");
        for name in ["link", "deep", "none"] {
            assert!(matches!(sources.look(&local(name), false).await, Err(Refusal::Unknown(_))), "{name}");
        }
        assert_eq!(sources.read(&local("rows.csv"), 200_000).await.unwrap(), content);
        assert!(matches!(sources.read(&local("rows.csv"), 199_999).await, Err(Refusal::Forbidden(_))));
        let brought = elsewhere.path().join("0");
        // What is on the same disk takes no room.
        let mut room = 200_000;
        assert_eq!(sources.bring(&local("rows.csv"), &brought, &mut room).await.unwrap(), "rows.csv");
        assert_eq!((fs::read(&brought).unwrap(), room), (content.clone(), 200_000));
        let again = sources.bring(&local("rows.csv"), &brought, &mut room).await;
        assert!(matches!(again, Err(Refusal::Unavailable(_))), "{again:?}");
        assert_eq!(fs::read(folder.path().join("rows.csv")).unwrap(), content, "nothing is put over what is there");
        let link = sources.bring(&local("link"), &elsewhere.path().join("1"), &mut room).await;
        assert!(matches!(link, Err(Refusal::Unknown(_))));
        fs::remove_file(&brought).unwrap();
        // One that becomes shorter while it is given away is not taken for whole, nor is more of one that grows.
        let opened = sources.open_from(&local("rows.csv"), 0).await;
        fs::write(folder.path().join("rows.csv"), "short").unwrap();
        assert!(all(opened).await.is_err());
        let opened = sources.open_from(&local("rows.csv"), 0).await;
        fs::write(folder.path().join("rows.csv"), "longer than it was").unwrap();
        assert_eq!(all(opened).await.unwrap(), b"longe");
        assert!(Sources::open(&folder.path().join("none"), Vec::new()).is_err());
        assert!(Sources::open(&folder.path().join("empty"), Vec::new()).is_err());
    }

    /// A host that answers once with this, and what it was asked.
    fn host(answer: &'static str) -> (String, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let name = listener.local_addr().unwrap().to_string();
        let asked = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut asked, mut part) = (Vec::new(), [0; 1024]);
            while !asked.ends_with(b"\r\n\r\n") {
                let read = stream.read(&mut part).unwrap();
                asked.extend_from_slice(&part[..read]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(asked).unwrap()
        });
        (name, asked)
    }

    #[tokio::test]
    async fn what_strangers_describe_is_not_looked_for_in_the_nodes_own_network() {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let hosts = ["127.0.0.1", "localhost"].map(|host| format!("{host}:{port}"));
        let sources = Sources::open(folder.path(), hosts.to_vec()).unwrap();
        let look = async |host: &str| {
            let object = json!({ "type": "url", "url": format!("http://{host}/a.csv") });
            sources.look(&Place::read(&object).unwrap(), false).await.unwrap_err()
        };
        let [address, name] = &hosts;
        assert!(matches!(look(address).await, Refusal::Forbidden(why) if why.contains("own network")));
        assert!(matches!(look(name).await, Refusal::Unavailable(_)));
        assert!(matches!(look("a.example").await, Refusal::Forbidden(why) if why.contains("--provide-from")));
        assert!(listener.accept().is_err(), "it was asked");
    }

    #[test]
    fn addresses_in_a_network_of_ones_own_are_known() {
        let is = |text: &str| is_outside(text.parse().unwrap());
        for own in [
            "127.0.0.1",
            "0.0.0.0",
            "10.0.0.7",
            "172.31.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "::ffff:10.0.0.7",
            "::127.0.0.1",
            "fc00::1",
            "fe80::1",
            "ff02::1",
            "64:ff9b::a00:7",
            "2002:a00:7::",
            "2001:0:a00:7::",
        ] {
            assert!(!is(own), "{own}");
        }
        for outside in [
            "1.1.1.1",
            "100.63.0.1",
            "100.128.0.1",
            "172.32.0.1",
            "::ffff:1.1.1.1",
            "2606:4700:4700::1111",
            "2001:4860::1",
        ] {
            assert!(is(outside), "{outside}");
        }
    }

    #[test]
    fn so_many_addresses_are_asked_for_strangers_in_a_minute() {
        let start = Instant::now();
        let mut pace = Pace { since: start, asked: 0 };
        assert!((0..MOST_DESCRIBED).all(|_| pace.take(start)));
        assert!(!pace.take(start + WHILE - Duration::from_millis(1)));
        assert!(pace.take(start + WHILE));
    }

    #[tokio::test]
    async fn files_of_named_hosts_are_given_away_and_no_other_host_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let sources = |hosts: &[&str]| {
            Sources::open(folder.path(), hosts.iter().map(|host| (*host).to_owned()).collect()).unwrap()
        };
        let url = |name: &str| Place::Url(format!("http://{name}/a/rows.csv?key=1").parse().unwrap());
        let (name, asked) = host("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-type: text/html\r\n\r\nhello");
        let opened = sources(&[&name]).open_from(&url(&name), 0).await;
        let look = &opened.as_ref().unwrap().look;
        assert_eq!((&*look.name, look.kind, look.length), ("rows.csv", "text/csv", Some(5)));
        assert_eq!(all(opened).await.unwrap(), b"hello");
        assert!(asked.join().unwrap().starts_with("GET /a/rows.csv?key=1 HTTP/1.1"));
        let (name, _) = host("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
        let brought = folder.path().join("0");
        let mut room = 7;
        assert_eq!(sources(&[&name]).bring(&url(&name), &brought, &mut room).await.unwrap(), "rows.csv");
        assert_eq!((fs::read(&brought).unwrap(), room), (b"hello".to_vec(), 2));
        // The next takes more than there is room for.
        let (name, _) = host("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
        let more = sources(&[&name]).bring(&url(&name), &folder.path().join("1"), &mut room).await;
        assert!(matches!(&more, Err(Refusal::Forbidden(why)) if why.contains("fewer")), "{more:?}");
        // A redirect is no file, and is not followed.
        let (name, _) = host("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n");
        assert!(matches!(sources(&[&name]).look(&url(&name), false).await, Err(Refusal::Unavailable(_))));
        // One that ends early is not taken for whole.
        let (name, _) = host("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello");
        assert!(all(sources(&[&name]).open_from(&url(&name), 0).await).await.is_err());
        let (name, _) = host("HTTP/1.1 200 OK\r\ncontent-length: 2000000000\r\n\r\n");
        assert!(matches!(sources(&[&name]).look(&url(&name), false).await, Err(Refusal::Unavailable(_))));
        for (hosts, name) in [
            (&[][..], "127.0.0.1:1"),
            (&["127.0.0.1"], "127.0.0.1:1"),
            (&["127.0.0.1:1"], "127.0.0.1"),
            (&["a.example"], "b.a.example"),
            (&["a.example"], "a.example.evil.example"),
            (&["a.example"], "a.example:8080"),
        ] {
            let refused = sources(hosts).look(&url(name), false).await;
            assert!(matches!(refused, Err(Refusal::Forbidden(_))), "{hosts:?} {name}: {refused:?}");
        }
        let known = sources(&["A.example", "b.example:8080"]);
        for (name, is) in [("a.example", true), ("a.example:80", true), ("b.example:8080", true), ("b.example", false)]
        {
            let Place::Url(url) = url(name) else { unreachable!() };
            assert_eq!(known.knows(&url), is, "{name}");
        }
    }
}
