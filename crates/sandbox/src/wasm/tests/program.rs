// What programs in Rust do with the system: arguments, files, folders, time, randomness, and what they are refused.
use std::{
    collections::HashMap,
    env, fs,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    net::{TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket},
    process::ExitCode,
    thread,
    time::{Duration, Instant, SystemTime},
};

fn say<T>(what: &str, done: io::Result<T>) {
    match done {
        Ok(_) => println!("{what}: done"),
        Err(_) => println!("{what}: refused"),
    }
}

fn work() -> io::Result<()> {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(io::Error::other)?;
    println!("{:?} at {}", env::args().skip(1).collect::<Vec<_>>(), time.as_secs());
    println!("params {}", fs::read_to_string("/data/params.json")?);
    for entry in fs::read_dir("/data/set")? {
        let entry = entry?;
        println!("entry {:?} {}", entry.file_name(), entry.metadata()?.len());
    }
    let mut empty = String::new();
    io::stdin().read_to_string(&mut empty)?;

    fs::create_dir_all("/out/a/b")?;
    let mut file = fs::File::create("/out/a/b/draft")?;
    write!(file, "pi is {:.3}\n", 3.14159)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(b"P")?;
    drop(file);
    let mut file = fs::OpenOptions::new().append(true).open("/out/a/b/draft")?;
    file.write_all(b"and more\n")?;
    drop(file);
    fs::rename("/out/a/b/draft", "/out/final")?;
    println!("final: {:?}", fs::read_to_string("/out/final")?);
    let large: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    fs::write("/tmp/large", &large)?;
    println!("the same again: {}", fs::read("/tmp/large")? == large);
    fs::copy("/tmp/large", "/out/large")?;
    fs::remove_file("/tmp/large")?;
    fs::remove_dir("/out/a/b")?;
    let counts: HashMap<_, _> = (0..100).map(|number| (number, number * 2)).collect();
    fs::write("/out/order", format!("{:?}", counts.keys().collect::<Vec<_>>()))?;

    let started = Instant::now();
    thread::sleep(Duration::from_secs(3600));
    println!("an hour: {}", started.elapsed().as_secs() / 3600);

    say("read /etc/passwd", fs::read("/etc/passwd"));
    say("read /data/../../etc/passwd", fs::read("/data/../../etc/passwd"));
    say("write to /data", fs::write("/data/params.json", ""));
    say("make in /data", fs::create_dir("/data/new"));
    say("connect", TcpStream::connect("127.0.0.1:80"));
    say("listen", TcpListener::bind("127.0.0.1:8080"));
    say("bind", UdpSocket::bind("127.0.0.1:8080"));
    say("look up", ("localhost", 80).to_socket_addrs());
    eprintln!("bye");
    Ok(())
}

fn main() -> ExitCode {
    if let Err(error) = work() {
        println!("{error}");
        return ExitCode::from(2);
    }
    ExitCode::SUCCESS
}
