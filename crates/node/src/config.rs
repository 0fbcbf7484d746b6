//! A validator's configuration file.

use alloy_primitives::{Address, B256, keccak256};
use commonware_codec::{Copying, DecodeExt as _};
use commonware_cryptography::{Signer as _, ed25519};
use eyre::{ContextCompat as _, Result, WrapErr as _, bail, ensure, eyre};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::{
    fs::{self, OpenOptions},
    io,
    net::SocketAddr,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};
use stoa_consensus::Pace;
use zeroize::Zeroizing;

use crate::{
    store, up,
    validator::{self, Keys, SECRETS},
    vault::Vault,
};

/// The file, as it stands on the disk. Paths in it are relative to its folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The genesis file, the same for all validators.
    pub genesis: PathBuf,
    /// Chain, state and secrets.
    pub data: PathBuf,
    /// The validator's key, encrypted.
    pub key: PathBuf,
    /// The file with the key's passphrase; asked for if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase_file: Option<PathBuf>,
    /// Where this validator listens to the others.
    pub listen: SocketAddr,
    /// Where JSON-RPC is served.
    pub http: SocketAddr,
    /// Who gets the tips.
    #[serde(deserialize_with = "written_address")]
    pub beneficiary: Address,
    /// Milliseconds between blocks while transactions wait, at least.
    pub block_time_ms: u64,
    /// Of how many blocks back the state can be read; 0 keeps all.
    pub history_blocks: u64,
    /// Megabytes of memory for the state.
    pub state_cache_mb: usize,
    /// By how many blocks the others may be ahead at the start before this one catches up as followers do.
    #[serde(default = "sync_from")]
    pub sync_from_blocks: u64,
    /// Gibibytes of disk for what others want to have kept; 0 keeps nothing for them.
    #[serde(default)]
    pub store_gib: u64,
    /// Whether to keep an index of the market's assets, and to answer Ocean's indexers' questions.
    #[serde(default)]
    pub index: bool,
    /// All validators, this one included.
    pub validators: Vec<Peer>,
}

/// A validator as the others know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// ed25519 public key.
    pub key: B256,
    /// Host and port where it listens.
    pub address: String,
}

/// Well below what validators keep for each other.
pub const fn sync_from() -> u64 {
    5000
}

const FIELDS: [&str; 14] = [
    "genesis",
    "data",
    "key",
    "passphrase_file",
    "listen",
    "http",
    "beneficiary",
    "block_time_ms",
    "history_blocks",
    "state_cache_mb",
    "sync_from_blocks",
    "store_gib",
    "index",
    "validators",
];

/// What is said of each of the validators.
const PEER: [&str; 2] = ["key", "address"];

/// From what likeness on (Jaro-Winkler, 1 at most) a name may be another one misspelt.
const LIKE: f64 = 0.8;

/// What each field is for, in the order of [`FIELDS`].
const COMMENTS: [&str; 14] = [
    "The genesis file: the same on all validators.",
    "Folder of chain, state and secrets.",
    "This validator's key, encrypted (Ethereum keystore v3).",
    "File with the passphrase of the key; leave it out to be asked at the start.",
    "Where this validator listens to the others: open this port in the firewall.",
    "Where JSON-RPC is served. Keep it on loopback, or behind a proxy that limits who may call.",
    "Who gets the tips of this validator's blocks.",
    "Milliseconds between blocks while transactions wait, at least.",
    "Of how many blocks back the state can be read and proven; 0 keeps all (an archive).",
    "Megabytes of memory for the state: the more of it fits, the fewer reads from the disk.",
    "By how many blocks the others may be ahead at the start before this one catches up as followers do: 1 to 9000.",
    "Gibibytes of disk for what others want to have kept, in `data`/store; 0 keeps nothing. Register with `stoa node join`.",
    "Whether to keep an index of the market's assets, and to answer what programs ask Ocean's indexers (/api/aquarius).",
    "All validators, this one included: the same list everywhere.",
];

impl File {
    /// Reads and checks a file.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it, and what a name that nobody knows may have meant.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).wrap_err_with(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).wrap_err_with(|| format!("{} cannot be used", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        check_names(&text.parse::<toml::Table>()?)?;
        let file: Self = toml::from_str(text)?;
        ensure!(file.block_time_ms > 0 && file.block_time_ms <= 60_000, "block_time_ms must be 1 to 60000");
        ensure!(file.state_cache_mb >= LEAST_CACHE, "state_cache_mb must be at least {LEAST_CACHE}");
        ensure!(file.store_gib <= MOST_STORE, "store_gib must be at most {MOST_STORE}, got {}", file.store_gib);
        ensure!((1..=9000).contains(&file.sync_from_blocks), "sync_from_blocks must be 1 to 9000");
        ensure!(!file.validators.is_empty(), "there are no validators");
        let validators = file.validators.iter().map(|peer| (peer.key, peer.address.clone()));
        let (keys, addresses): (Vec<_>, Vec<_>) = validators.unzip();
        check_peers(&keys, &addresses)?;
        let (listen, http) = (file.listen, file.http);
        let same = listen.ip() == http.ip() || listen.ip().is_unspecified() || http.ip().is_unspecified();
        ensure!(
            !same || listen.port() != http.port() || listen.port() == 0,
            "`listen` and `http` are the same port, {}: want two",
            http.port()
        );
        Ok(file)
    }

    /// What a validator can run with, and is better changed. `folder` is that of the file, `own` the validator's public key.
    pub fn warnings(&self, folder: &Path, own: B256) -> Vec<String> {
        let mut warnings = Vec::new();
        let secret = [Some(&self.key), self.passphrase_file.as_ref()].into_iter().flatten();
        for path in secret.map(|name| folder.join(name)) {
            warnings.extend(exposed(&path));
        }
        if !self.http.ip().is_loopback() {
            warnings.push(format!(
                "JSON-RPC is served to other machines, on {}: put a proxy before it that limits who may call, and how often",
                self.http
            ));
        }
        let called = self.validators.iter().find(|peer| peer.key == own).map(|peer| &peer.address);
        if let Some(address) = called {
            let said = format!("`listen` is {}, and the others call {address}, as `validators` says", self.listen);
            if port(address).is_ok_and(|port| port != self.listen.port()) {
                warnings.push(format!("{said}: the ports differ"));
            } else if self.listen.ip().is_loopback() && !is_on_loopback(address) {
                warnings.push(format!("{said}: nobody but this machine itself reaches what listens on loopback"));
            }
        }
        let made_for = self.validators.iter().find(|peer| beneficiary_of(peer.key) == self.beneficiary);
        match made_for {
            Some(peer) if peer.key == own => warnings.push(
                "`beneficiary` is what `stoa init` has put there, and nobody has its key: put in an address of your own, or the tips \
                 of this validator's blocks are lost"
                    .into(),
            ),
            Some(peer) => warnings.push(format!(
                "{} is the key of validator {own}, and `beneficiary` is that of {}, {}: the key is another's, or this file is",
                folder.join(&self.key).display(),
                peer.key,
                peer.address
            )),
            None => {}
        }
        if self.beneficiary.is_zero() {
            warnings.push("`beneficiary` is zero: nobody gets the tips of this validator's blocks".into());
        }
        warnings
    }

    /// The text of the file, with a comment for each setting.
    ///
    /// # Errors
    ///
    /// If a path is not Unicode.
    pub fn to_text(&self) -> Result<String> {
        let mut text = String::new();
        for line in toml::to_string(self)?.lines() {
            let name = line.trim_start_matches("[[").split([' ', ']']).next().unwrap_or_default();
            if let Some(at) = FIELDS.iter().position(|field| *field == name)
                && !(line.starts_with("[[") && text.contains(line))
                && !line.is_empty()
                // In the list of validators `key` means something else.
                && !text.contains("[[")
            {
                text.push_str(&format!("# {}\n", COMMENTS[at]));
            }
            text.push_str(line);
            text.push('\n');
            if name == "key" && self.passphrase_file.is_none() && !text.contains("[[") {
                text.push_str(&format!("# {}\n# passphrase_file = \"passphrase\"\n", COMMENTS[3]));
            }
        }
        Ok(text)
    }

    /// What the validator runs with. `folder` is that of the file, `passphrase` opens the key.
    ///
    /// # Errors
    ///
    /// If a file that it names is missing or damaged, the passphrase is wrong, the key is none of the validators' or the folder
    /// another's or another network's, that cannot be written to, or the machine has less memory than it asks for.
    pub fn config(&self, folder: &Path, passphrase: &str) -> Result<validator::Config> {
        let genesis = crate::read_genesis(&folder.join(&self.genesis))?;
        let key = read_key(&folder.join(&self.key), passphrase)?;
        let own = public(&key);
        ensure!(
            self.validators.iter().any(|peer| peer.key == own),
            "{} is the key of {own}, which is none of `validators`: it is another network's, or the list lacks it",
            folder.join(&self.key).display()
        );
        let peer = |peer: &Peer| Ok((decode(&peer.key)?, peer.address.clone()));
        let data = folder.join(&self.data);
        let there = data.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
        // What may be written to by its permissions need not be, as in /proc.
        let tried = there.join(format!("check-{}", std::process::id()));
        fs::create_dir(&tried)
            .and_then(|()| fs::remove_dir(&tried))
            .wrap_err_with(|| format!("cannot write to {}, where `data` is or comes to be", there.display()))?;
        // They open with the key of the validator that they were made for.
        let vault = Vault::open(&data.join(SECRETS), &key)?;
        ensure!(
            vault.genesis().is_none_or(|hash| hash == crate::genesis_hash(&genesis)),
            "the chain in {} is not that of {}: the genesis file was changed, or the folder is another network's",
            data.display(),
            folder.join(&self.genesis).display()
        );
        validator::kept_committee(&data)?;
        Ok(validator::Config {
            store: store::Config::of(self.store_gib, &data),
            folder: data,
            http: self.http,
            genesis,
            accounts: Vec::new(),
            beneficiary: self.beneficiary,
            pace: Pace { busy: Duration::from_millis(self.block_time_ms), idle: Duration::from_secs(1) },
            history: if self.history_blocks == 0 { u64::MAX } else { self.history_blocks },
            cache: cache(self.state_cache_mb)?,
            keys: Keys::Own(key),
            listen: self.listen,
            peers: self.validators.iter().map(peer).collect::<Result<_>>()?,
            sync_from: Some(self.sync_from_blocks),
            index: self.index,
            hosts: Vec::new(),
            allow_unprotected: false,
        })
    }
}

/// Refuses names that are no settings, and those that stand where they mean nothing.
fn check_names(table: &toml::Table) -> Result<()> {
    if let Some(name) = table.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        match like(name, &FIELDS) {
            Some(like) => bail!("`{name}` is no setting (did you mean `{like}`?)"),
            None => bail!("`{name}` is no setting (there are `{}`)", FIELDS.join("`, `")),
        }
    }
    let peers = table.get("validators").and_then(toml::Value::as_array).into_iter().flatten();
    let mut names = peers.filter_map(toml::Value::as_table).flat_map(toml::Table::keys);
    let Some(name) = names.find(|name| !PEER.contains(&name.as_str())) else { return Ok(()) };
    match (like(name, &PEER), like(name, &FIELDS)) {
        // What is written at the file's end belongs to the last validator.
        (_, Some(field)) if field == name => {
            bail!("`{name}` stands below `[[validators]]`: put it above the first of them")
        }
        (Some(like), _) => bail!("`{name}` is no setting below `[[validators]]` (did you mean `{like}`?)"),
        (None, Some(like)) => bail!(
            "`{name}` is no setting below `[[validators]]` (did you mean `{like}`? Put it above the first of them)"
        ),
        (None, None) => bail!("`{name}` is no setting below `[[validators]]` (there are `{}`)", PEER.join("`, `")),
    }
}

/// Which of these a name may be, misspelt or not.
fn like(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let like = known.iter().map(|field| (strsim::jaro_winkler(field, name), *field));
    let like = like.filter(|(likeness, _)| *likeness > LIKE).max_by(|(a, _), (b, _)| a.total_cmp(b));
    like.map(|(_, field)| field)
}

/// The least megabytes of memory for the state.
pub const LEAST_CACHE: usize = 16;

/// The most gibibytes of disk for what others want to have kept: a pebibyte.
pub const MOST_STORE: u64 = 1 << 20;

/// The bytes of so many megabytes of memory for the state.
///
/// # Errors
///
/// If they are too few, or more than this machine has.
pub fn cache(megabytes: usize) -> Result<usize> {
    let most = up::memory() >> 20;
    ensure!(
        (LEAST_CACHE..=most).contains(&megabytes),
        "the memory for the state must be {LEAST_CACHE} to {most} megabytes on this machine, got {megabytes}"
    );
    Ok(megabytes << 20)
}

/// An address as people write it. One in letters of both cases holds a checksum (EIP-55), which must fit.
///
/// # Errors
///
/// Says what is wrong with it.
pub fn address(text: &str) -> Result<Address, String> {
    let address: Address = text.parse().map_err(|_| format!("{text} is no address: want 0x and 40 hex digits"))?;
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let has = |is: fn(&u8) -> bool| digits.as_bytes().iter().any(is);
    let is_mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    if is_mixed && address.to_checksum(None)[2..] != *digits {
        return Err(format!(
            "{text} has a mistyped letter or digit: its checksum does not fit. Copy it again; in lower case alone it is not checked"
        ));
    }
    Ok(address)
}

fn written_address<'de, D: Deserializer<'de>>(text: D) -> Result<Address, D::Error> {
    address(&String::deserialize(text)?).map_err(D::Error::custom)
}

/// The port of `HOST:PORT`.
///
/// # Errors
///
/// If nobody could be called there.
pub fn port(address: &str) -> Result<u16> {
    // Of IPv6 the address stands in brackets.
    let callable = |host: &str| address.parse::<SocketAddr>().is_ok() || is_name(host);
    let port = address.rsplit_once(':').filter(|(host, _)| callable(host)).and_then(|(_, port)| port.parse().ok());
    port.filter(|port| *port > 0).wrap_err_with(|| format!("{address:?} cannot be called: want HOST:PORT"))
}

/// Whether a host may be called so: as in the domain name system, or with underscores, as machines know names of their own.
fn is_name(host: &str) -> bool {
    let label = |label: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(known) && !label.starts_with('-') && !label.ends_with('-')
    };
    host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(label)
}

/// Whether what is called there is on the machine that calls, as far as that is known without looking up names.
fn is_on_loopback(address: &str) -> bool {
    let name = address.rsplit_once(':').map_or(address, |(host, _)| host);
    address.parse::<SocketAddr>().map_or(name.eq_ignore_ascii_case("localhost"), |address| address.ip().is_loopback())
}

/// What comes more than once.
pub fn twice<T: Ord>(list: impl IntoIterator<Item = T>) -> Option<T> {
    let mut list = list.into_iter().collect::<Vec<_>>();
    list.sort_unstable();
    let at = list.windows(2).position(|pair| pair[0] == pair[1])?;
    Some(list.swap_remove(at))
}

/// Checks who the validators are, and where they listen.
///
/// # Errors
///
/// If a key is none, a key or an address is there twice, or nobody could be called at one.
pub fn check_peers(keys: &[B256], addresses: &[String]) -> Result<()> {
    keys.iter().try_for_each(|key| decode(key).map(drop))?;
    addresses.iter().try_for_each(|address| port(address).map(drop))?;
    if let Some(key) = twice(keys) {
        bail!("two validators have the key {key}: want one for each");
    }
    if let Some(address) = twice(addresses.iter().map(|address| address.to_ascii_lowercase())) {
        bail!("two validators have the address {address}: want one for each");
    }
    Ok(())
}

fn decode(key: &B256) -> Result<ed25519::PublicKey> {
    let decoded = ed25519::PublicKey::decode(Copying(key.as_slice()));
    // What the decoder says of it helps nobody.
    decoded.map_err(|_| eyre!("{key} is no ed25519 public key"))
}

/// Whom a new configuration file names as the one who gets the tips, until its operator puts in an address of his own: it
/// tells for which validator the file was made, and nobody has its key.
pub fn beneficiary_of(validator: B256) -> Address {
    Address::from_slice(&keccak256(validator)[12..])
}

/// What others know a key by.
pub fn public(key: &ed25519::PrivateKey) -> B256 {
    B256::from_slice(key.public_key().as_ref())
}

/// Makes a validator's key, and writes it to a file, encrypted.
///
/// # Errors
///
/// If the file is there already or cannot be written.
pub fn new_key(path: &Path, passphrase: &str) -> Result<ed25519::PrivateKey> {
    let secret = new_secret(path, passphrase)?;
    ed25519::PrivateKey::decode(Copying(&secret[..])).map_err(|error| eyre!("no key: {error}"))
}

/// Makes 32 random bytes, any of which are a key, and writes them to a file, encrypted.
///
/// # Errors
///
/// If the file is there already or cannot be written.
pub fn new_secret(path: &Path, passphrase: &str) -> Result<Zeroizing<[u8; 32]>> {
    // Before somebody waits for nothing. Whether it is so still when the key is written is seen then.
    ensure!(!path.exists(), "{} is there already", path.display());
    let secret = Zeroizing::new(rand::random::<[u8; 32]>());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|name| name.to_str()).wrap_err("a key's file needs a name")?;
    stoa_base::create_private(folder).wrap_err_with(|| format!("cannot create {}", folder.display()))?;
    let part = format!(".{name}.{:016x}.part", rand::random::<u64>());
    let written = write_encrypted(folder, &part, &secret[..], passphrase).and_then(|()| {
        put(&folder.join(&part), path)?;
        Ok(fs::File::open(folder)?.sync_all()?)
    });
    // Where the key lies under its name, this is another name of it at most.
    let _ = fs::remove_file(folder.join(&part));
    written.wrap_err_with(|| format!("cannot write {}", path.display()))?;
    Ok(secret)
}

/// Writes a secret, encrypted, to a new file that only its owner may read.
fn write_encrypted(folder: &Path, name: &str, secret: &[u8], passphrase: &str) -> Result<()> {
    let path = folder.join(name);
    // The library keeps the file that it finds, and who may read it.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    eth_keystore::encrypt_key(folder, &mut rand_08::thread_rng(), secret, passphrase, Some(name))?;
    Ok(fs::File::open(&path)?.sync_all()?)
}

/// Gives a file its name, unless there is one of that name.
fn put(part: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(part, path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // Some file systems have one name for each file.
        Err(_) => Ok(renameat_with(CWD, part, CWD, path, RenameFlags::NOREPLACE)?),
    }
}

/// What is better changed of a file with a secret that others on this machine may read, in words.
pub fn exposed(path: &Path) -> Option<String> {
    // A folder holds no secret of its own: whoever reads it as a file is told that.
    let exposed = fs::metadata(path).is_ok_and(|file| !file.is_dir() && file.permissions().mode() & 0o077 != 0);
    exposed.then(|| format!("others on this machine may read {0} (chmod 600 {0})", path.display()))
}

/// Reads a key from an encrypted file.
///
/// # Errors
///
/// If there is none, it is no key, or the passphrase is another.
pub fn read_secret(path: &Path, passphrase: &str) -> Result<Zeroizing<Vec<u8>>> {
    use eth_keystore::KeystoreError::MacMismatch;
    let name = path.display();
    fs::File::open(path).wrap_err_with(|| format!("cannot read the key {name}"))?;
    match eth_keystore::decrypt_key(path, passphrase) {
        Ok(secret) => Ok(Zeroizing::new(secret)),
        Err(MacMismatch) => bail!("cannot open the key {name}: its passphrase is another one"),
        Err(error) => bail!("{name} is no encrypted key (an Ethereum keystore, version 3): {error}"),
    }
}

/// Reads a validator's key.
///
/// # Errors
///
/// If there is none, or the passphrase is another.
pub fn read_key(path: &Path, passphrase: &str) -> Result<ed25519::PrivateKey> {
    ed25519::PrivateKey::decode(Copying(&read_secret(path, passphrase)?[..]))
        .map_err(|error| eyre!("{} holds no ed25519 key: {error}", path.display()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::{net::TcpListener, sync::Barrier, thread};

    fn peer(port: u16) -> Peer {
        let key = ed25519::PrivateKey::from_seed(u64::from(port));
        Peer { key: public(&key), address: format!("127.0.0.1:{port}") }
    }

    /// A file as `stoa init` writes it.
    pub(crate) fn file() -> File {
        File {
            genesis: "genesis.json".into(),
            data: "data".into(),
            key: "validator.key".into(),
            passphrase_file: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 9000)),
            http: SocketAddr::from(([127, 0, 0, 1], 8545)),
            beneficiary: Address::repeat_byte(1),
            block_time_ms: 100,
            history_blocks: 10_000,
            state_cache_mb: 256,
            sync_from_blocks: sync_from(),
            store_gib: 0,
            index: false,
            validators: [9000, 9010].map(peer).into(),
        }
    }

    #[test]
    fn what_is_written_is_read_again_and_every_setting_is_explained() {
        let text = file().to_text().unwrap();
        assert_eq!(File::parse(&text).unwrap(), file());
        for comment in COMMENTS {
            assert_eq!(text.matches(comment).count(), 1, "{comment}\n{text}");
        }
        let with = File { passphrase_file: Some("passphrase".into()), ..file() };
        assert_eq!(File::parse(&with.to_text().unwrap()).unwrap(), with);
    }

    #[test]
    fn a_misspelt_setting_is_refused_with_a_suggestion() {
        let text = file().to_text().unwrap().replace("block_time_ms", "blocktime_ms");
        let error = File::parse(&text).unwrap_err().to_string();
        assert!(error.contains("`blocktime_ms`") && error.contains("`block_time_ms`"), "{error}");
        let text = format!("zzzzzz = 1\n{}", file().to_text().unwrap());
        let error = File::parse(&text).unwrap_err().to_string();
        assert!(!error.contains("did you mean") && FIELDS.iter().all(|field| error.contains(field)), "{error}");
        let text = file().to_text().unwrap().replace("block_time_ms = 100", "block_time_ms = 0");
        assert!(File::parse(&text).is_err());
    }

    #[test]
    fn a_setting_at_the_end_of_the_file_is_told_where_it_belongs() {
        for (line, part) in [
            ("passphrase_file = \"words\"", "`passphrase_file` stands below `[[validators]]`: put it above the first"),
            ("adress = \"a.example:9000\"", "did you mean `address`?"),
            ("pasphrase_file = \"words\"", "did you mean `passphrase_file`? Put it above the first"),
            ("zzzzzz = 1", "there are `key`, `address`"),
        ] {
            let error = File::parse(&format!("{}{line}\n", file().to_text().unwrap())).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    const RIGHT: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";

    #[test]
    fn a_mistyped_address_is_noticed_by_its_checksum() {
        assert_eq!(address(RIGHT).unwrap().to_string(), RIGHT);
        // What holds no checksum is taken as it is, with and without what stands before it.
        for plain in [RIGHT.to_lowercase(), RIGHT[2..].to_uppercase(), RIGHT[2..].to_lowercase()] {
            assert_eq!(address(&plain).unwrap().to_string(), RIGHT, "{plain}");
        }
        // Another digit, another case.
        for wrong in [RIGHT.replace("2266", "2267"), RIGHT.replace("Fd6e", "fd6e")] {
            assert!(address(&wrong).unwrap_err().contains("checksum"), "{wrong}");
        }
        for wrong in ["", "0x12", "me", &RIGHT[..41]] {
            assert!(address(wrong).unwrap_err().contains("40 hex digits"), "{wrong}");
        }
        // In a file as well.
        let text = |address: &str| file().to_text().unwrap().replace(&file().beneficiary.to_string(), address);
        assert_eq!(File::parse(&text(RIGHT)).unwrap().beneficiary.to_string(), RIGHT);
        let error = File::parse(&text(&RIGHT.replace("2266", "2267"))).unwrap_err().to_string();
        assert!(error.contains("beneficiary") && error.contains("checksum"), "{error}");
    }

    #[test]
    fn a_file_that_no_validator_can_run_with_is_refused() {
        let refused = |file: File| File::parse(&file.to_text().unwrap()).unwrap_err().to_string();
        let among = |peer: Peer| File { validators: vec![peer, self::peer(9010)], ..file() };
        let key = peer(9010).key;
        assert!(refused(among(Peer { key, ..peer(9000) })).contains("two validators have the key"));
        let error = refused(among(Peer { key: peer(9000).key, address: peer(9010).address }));
        assert!(error.contains("two validators have the address 127.0.0.1:9010"), "{error}");
        for address in [
            "",
            "a.example",
            ":9000",
            "a.example:0",
            "a.example:70000",
            " a.example:9000",
            "a b:9000",
            "::1:9000",
            "a..example:9000",
            ".a:9000",
            "-a.example:9000",
        ] {
            let error = refused(among(Peer { key: peer(9000).key, address: address.into() }));
            assert!(error.contains("want HOST:PORT"), "{address}: {error}");
        }
        for right in ["[::1]:9000", "10.0.0.7:9000", "a-1.example:9000", "node_1:9000", "a.example.:9000"] {
            assert_eq!(port(right).unwrap(), 9000, "{right}");
        }
        for http in ["127.0.0.1:9000", "0.0.0.0:9000"] {
            assert!(refused(File { http: http.parse().unwrap(), ..file() }).contains("the same port"), "{http}");
        }
        assert!(refused(File { store_gib: 1 << 40, ..file() }).contains("store_gib"));
    }

    #[test]
    fn a_validator_that_asks_for_more_than_its_machine_has_does_not_start() {
        assert_eq!(cache(LEAST_CACHE).unwrap(), LEAST_CACHE << 20);
        assert!(cache(LEAST_CACHE - 1).is_err());
        assert!(cache(99_999_999_999_999).is_err());
        let folder = tempfile::tempdir().unwrap();
        let key = new_key(&folder.path().join("validator.key"), "correct horse").unwrap();
        fs::write(folder.path().join("genesis.json"), serde_json::to_string(&crate::genesis(7, [], 0)).unwrap())
            .unwrap();
        let mut file = file();
        file.validators[0] = Peer { key: public(&key), address: "nowhere.invalid:9000".into() };
        // Of a host that nobody knows, other validators are no reason not to start.
        let config = file.config(folder.path(), "correct horse").unwrap();
        assert_eq!(config.peers[0].1, "nowhere.invalid:9000");
        fs::write(folder.path().join("data"), "no folder").unwrap();
        for data in ["data", "/proc/x"] {
            let file = File { data: data.into(), ..file.clone() };
            let error = file.config(folder.path(), "correct horse").unwrap_err().to_string();
            assert!(error.contains("cannot write to"), "{error}");
        }
        file.state_cache_mb = 99_999_999_999_999;
        fs::remove_file(folder.path().join("data")).unwrap();
        assert!(file.config(folder.path(), "correct horse").unwrap_err().to_string().contains("memory"));
    }

    #[test]
    fn the_key_of_another_validator_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let key = new_key(&folder.path().join("validator.key"), "correct horse").unwrap();
        let own = public(&key);
        fs::write(folder.path().join("genesis.json"), serde_json::to_string(&crate::genesis(7, [], 0)).unwrap())
            .unwrap();
        let mut file = file();
        let said = |file: &File| match file.config(folder.path(), "correct horse") {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        let why = said(&file);
        assert!(why.contains("validator.key is the key of 0x") && why.contains("none of `validators`"), "{why}");
        file.validators[0].key = own;
        assert_eq!(said(&file), "");
        // The file of its neighbour, as `stoa init` has made it; then its own.
        file.beneficiary = beneficiary_of(file.validators[1].key);
        let warnings = file.warnings(folder.path(), own);
        assert!(warnings.len() == 1 && warnings[0].contains("127.0.0.1:9010"), "{warnings:?}");
        file.beneficiary = beneficiary_of(own);
        let warnings = file.warnings(folder.path(), own);
        assert!(warnings.len() == 1 && warnings[0].contains("nobody has its key"), "{warnings:?}");
        // The folder of its neighbour.
        fs::create_dir(folder.path().join("data")).unwrap();
        fs::write(folder.path().join("data").join(SECRETS), [1_u8; 100]).unwrap();
        assert!(said(&file).contains("another validator's key"), "{}", said(&file));
    }

    #[test]
    fn the_chain_of_another_genesis_file_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let key = new_key(&folder.path().join("validator.key"), "correct horse").unwrap();
        let mut file = file();
        file.validators[0].key = public(&key);
        let genesis_hash = |timestamp| {
            let genesis = serde_json::to_string(&crate::genesis(7, [], timestamp)).unwrap();
            fs::write(folder.path().join("genesis.json"), genesis).unwrap();
            let config = file.config(folder.path(), "correct horse").map_err(|error| error.to_string());
            config.map(|config| crate::genesis_hash(&config.genesis))
        };
        // Before there is a chain, each may be the right one.
        let (right, other) = (genesis_hash(1).unwrap(), genesis_hash(2).unwrap());
        assert_ne!(right, other);
        Vault::open(&folder.path().join("data").join(SECRETS), &key).unwrap().note_genesis(right);
        assert_eq!(genesis_hash(1), Ok(right));
        assert!(genesis_hash(2).unwrap_err().contains("genesis.json: the genesis file was changed"));
    }

    #[test]
    fn what_is_better_changed_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("validator.key");
        new_key(&path, "correct horse").unwrap();
        let mut file = file();
        let own = peer(9000).key;
        assert_eq!(file.warnings(folder.path(), own), [""; 0]);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let words = folder.path().join("words");
        fs::write(&words, "correct horse").unwrap();
        for (mode, told) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
            fs::set_permissions(&words, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(exposed(&words).is_some(), told, "{mode:o}");
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(exposed(folder.path()), None, "whoever names a folder is to shut it");
        file.http = SocketAddr::from(([0, 0, 0, 0], 8545));
        file.listen.set_port(9001);
        file.beneficiary = Address::ZERO;
        let warnings = file.warnings(folder.path(), own);
        assert_eq!(warnings.len(), 4, "{warnings:?}");
        for (warning, part) in warnings.iter().zip(["chmod 600", "0.0.0.0:8545", "127.0.0.1:9000", "`beneficiary`"]) {
            assert!(warning.contains(part), "{warning}");
        }
    }

    #[test]
    fn a_check_says_what_keeps_a_validator_from_running_on_this_machine() {
        let folder = tempfile::tempdir().unwrap();
        let key = new_key(&folder.path().join("validator.key"), "correct horse").unwrap();
        fs::write(folder.path().join("genesis.json"), serde_json::to_string(&crate::genesis(7, [], 0)).unwrap())
            .unwrap();
        let mut file = file();
        file.validators[0].key = public(&key);
        (file.listen, file.http) = (([127, 0, 0, 1], 0).into(), ([127, 0, 0, 1], 0).into());
        let config = |file: &File| file.config(folder.path(), "correct horse");
        assert_eq!(config(&file).unwrap().check().unwrap(), [""; 0]);
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        file.http = taken.local_addr().unwrap();
        let warnings = config(&file).unwrap().check().unwrap();
        assert!(warnings.len() == 1 && warnings[0].contains("which is `http`, is in use"), "{warnings:?}");
        // An address for documentation, which no machine has.
        file.listen = ([192, 0, 2, 1], 9000).into();
        let error = config(&file).unwrap().check().unwrap_err().to_string();
        assert!(error.contains("192.0.2.1:9000, which is `listen`"), "{error}");
        // A chain beside which something is missing.
        fs::create_dir_all(folder.path().join("data/history")).unwrap();
        let error = config(&file).unwrap_err().to_string();
        assert!(error.contains("missing beside a chain"), "{error}");
    }

    #[test]
    fn a_validator_that_the_others_do_not_reach_is_warned_of() {
        let (folder, own) = (tempfile::tempdir().unwrap(), peer(9000).key);
        let mut file = file();
        for (address, told) in [("a.example:9000", true), ("10.0.0.7:9000", true), ("localhost:9000", false)] {
            file.validators[0].address = address.into();
            let warnings = file.warnings(folder.path(), own);
            assert_eq!(warnings.iter().any(|warning| warning.contains("on loopback")), told, "{address}: {warnings:?}");
        }
    }

    #[test]
    fn a_key_opens_with_its_passphrase_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("validator.key");
        let key = new_key(&path, "correct horse").unwrap();
        assert_eq!(public(&read_key(&path, "correct horse").unwrap()), public(&key));
        let said = |path: &Path| format!("{:#}", read_key(path, "battery staple").err().unwrap());
        assert!(said(&path).ends_with("validator.key: its passphrase is another one"), "{}", said(&path));
        let other = folder.path().join("passphrase");
        for content in [&b"correct horse"[..], b"{}", b"\xff\xfe"] {
            fs::write(&other, content).unwrap();
            let said = said(&other);
            assert!(said.contains("is no encrypted key") && !said.contains("another one"), "{said}");
        }
        assert!(said(&folder.path().join("none")).contains("No such file"));
        assert!(new_key(&path, "correct horse").is_err(), "a key was overwritten");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn of_two_keys_that_are_made_at_once_under_one_name_one_is_kept_and_the_other_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("me.key");
        let begin = Barrier::new(4);
        let make = || {
            begin.wait();
            new_secret(&path, "correct horse").ok()
        };
        let made = thread::scope(|scope| {
            let makers = [(); 4].map(|()| scope.spawn(make));
            makers.map(|maker| maker.join().unwrap())
        });
        let made: Vec<_> = made.iter().flatten().collect();
        assert_eq!(made.len(), 1);
        assert_eq!(read_secret(&path, "correct horse").unwrap()[..], made[0][..]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing half written is left");
        // A name that leads nowhere is taken as well.
        let nowhere = folder.path().join("nowhere.key");
        std::os::unix::fs::symlink("/nonexistent/key", &nowhere).unwrap();
        assert!(new_secret(&nowhere, "correct horse").is_err());
    }
}
