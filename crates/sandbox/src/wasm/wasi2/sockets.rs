//! Sockets: there are none. Standard libraries link to them, so they are declared; whoever wants one is denied it, and what
//! takes one can never be called.

use super::{
    link::interface,
    resources::{InputStream, OutputStream, Pollable},
    types::enumeration,
};
use crate::wasm::{run::Run, system::Stop};
use wasmtime::{
    Result,
    component::{ComponentType, Lift, Linker, Lower, Resource},
};

struct Network;
struct TcpSocket;
struct UdpSocket;
struct IncomingDatagrams;
struct OutgoingDatagrams;
struct Addresses;

enumeration! { ErrorCode {
    Unknown = "unknown",
    AccessDenied = "access-denied",
    NotSupported = "not-supported",
    InvalidArgument = "invalid-argument",
    OutOfMemory = "out-of-memory",
    Timeout = "timeout",
    ConcurrencyConflict = "concurrency-conflict",
    NotInProgress = "not-in-progress",
    WouldBlock = "would-block",
    InvalidState = "invalid-state",
    NewSocketLimit = "new-socket-limit",
    AddressNotBindable = "address-not-bindable",
    AddressInUse = "address-in-use",
    RemoteUnreachable = "remote-unreachable",
    ConnectionRefused = "connection-refused",
    ConnectionReset = "connection-reset",
    ConnectionAborted = "connection-aborted",
    DatagramTooLarge = "datagram-too-large",
    NameUnresolvable = "name-unresolvable",
    TemporaryResolverFailure = "temporary-resolver-failure",
    PermanentResolverFailure = "permanent-resolver-failure",
} }

enumeration! { Family {
    Ipv4 = "ipv4",
    Ipv6 = "ipv6",
} }

enumeration! { Shutdown {
    Receive = "receive",
    Send = "send",
    Both = "both",
} }

type Ipv4 = (u8, u8, u8, u8);
type Ipv6 = (u16, u16, u16, u16, u16, u16, u16, u16);

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
#[allow(dead_code)]
enum IpAddress {
    #[component(name = "ipv4")]
    Ipv4(Ipv4),
    #[component(name = "ipv6")]
    Ipv6(Ipv6),
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Ipv4SocketAddress {
    #[component(name = "port")]
    port: u16,
    #[component(name = "address")]
    address: Ipv4,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Ipv6SocketAddress {
    #[component(name = "port")]
    port: u16,
    #[component(name = "flow-info")]
    flow_info: u32,
    #[component(name = "address")]
    address: Ipv6,
    #[component(name = "scope-id")]
    scope_id: u32,
}

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
#[allow(dead_code)]
enum Address {
    #[component(name = "ipv4")]
    Ipv4(Ipv4SocketAddress),
    #[component(name = "ipv6")]
    Ipv6(Ipv6SocketAddress),
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct IncomingDatagram {
    #[component(name = "data")]
    data: Vec<u8>,
    #[component(name = "remote-address")]
    remote_address: Address,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct OutgoingDatagram {
    #[component(name = "data")]
    data: Vec<u8>,
    #[component(name = "remote-address")]
    remote_address: Option<Address>,
}

fn denied<T>() -> Result<Result<T, ErrorCode>> {
    Ok(Err(ErrorCode::AccessDenied))
}

/// For calls that cannot fail, on what nobody has.
fn never<T>() -> Result<T> {
    Err(Stop::Misuse("a socket").into())
}

type Net = Resource<Network>;
type Tcp = Resource<TcpSocket>;
type Udp = Resource<UdpSocket>;
type Streams = (Resource<InputStream>, Resource<OutputStream>);
type Datagrams = (Resource<IncomingDatagrams>, Resource<OutgoingDatagrams>);
type Told<T> = Result<T, ErrorCode>;

pub(super) fn link(linker: &mut Linker<Run>) -> Result<()> {
    interface! { linker, "sockets/network";
        resource "network": Network => |_, _| {};
    }
    interface! { linker, "sockets/instance-network";
        "instance-network"() -> Net => |system| system.resources.must_add(Network);
    }
    interface! { linker, "sockets/ip-name-lookup";
        resource "resolve-address-stream": Addresses => |_, _| {};
        "[method]resolve-address-stream.resolve-next-address"(_this: Resource<Addresses>) -> Told<Option<IpAddress>> =>
            |_system| denied();
        "[method]resolve-address-stream.subscribe"(_this: Resource<Addresses>) -> Resource<Pollable> => |_system| never();
        "resolve-addresses"(_network: Net, name: String) -> Told<Resource<Addresses>> => |system| {
            system.charge(name.len());
            denied()
        };
    }
    tcp(linker)?;
    udp(linker)
}

fn tcp(linker: &mut Linker<Run>) -> Result<()> {
    interface! { linker, "sockets/tcp";
        resource "tcp-socket": TcpSocket => |_, _| {};
        "[method]tcp-socket.start-bind"(_this: Tcp, _network: Net, _address: Address) -> Told<()> => |_system| denied();
        "[method]tcp-socket.finish-bind"(_this: Tcp) -> Told<()> => |_system| denied();
        "[method]tcp-socket.start-connect"(_this: Tcp, _network: Net, _address: Address) -> Told<()> => |_system| denied();
        "[method]tcp-socket.finish-connect"(_this: Tcp) -> Told<Streams> => |_system| denied();
        "[method]tcp-socket.start-listen"(_this: Tcp) -> Told<()> => |_system| denied();
        "[method]tcp-socket.finish-listen"(_this: Tcp) -> Told<()> => |_system| denied();
        "[method]tcp-socket.accept"(_this: Tcp) -> Told<(Tcp, Resource<InputStream>, Resource<OutputStream>)> =>
            |_system| denied();
        "[method]tcp-socket.local-address"(_this: Tcp) -> Told<Address> => |_system| denied();
        "[method]tcp-socket.remote-address"(_this: Tcp) -> Told<Address> => |_system| denied();
        "[method]tcp-socket.is-listening"(_this: Tcp) -> bool => |_system| never();
        "[method]tcp-socket.address-family"(_this: Tcp) -> Family => |_system| never();
        "[method]tcp-socket.set-listen-backlog-size"(_this: Tcp, _value: u64) -> Told<()> => |_system| denied();
        "[method]tcp-socket.keep-alive-enabled"(_this: Tcp) -> Told<bool> => |_system| denied();
        "[method]tcp-socket.set-keep-alive-enabled"(_this: Tcp, _value: bool) -> Told<()> => |_system| denied();
        "[method]tcp-socket.keep-alive-idle-time"(_this: Tcp) -> Told<u64> => |_system| denied();
        "[method]tcp-socket.set-keep-alive-idle-time"(_this: Tcp, _value: u64) -> Told<()> => |_system| denied();
        "[method]tcp-socket.keep-alive-interval"(_this: Tcp) -> Told<u64> => |_system| denied();
        "[method]tcp-socket.set-keep-alive-interval"(_this: Tcp, _value: u64) -> Told<()> => |_system| denied();
        "[method]tcp-socket.keep-alive-count"(_this: Tcp) -> Told<u32> => |_system| denied();
        "[method]tcp-socket.set-keep-alive-count"(_this: Tcp, _value: u32) -> Told<()> => |_system| denied();
        "[method]tcp-socket.hop-limit"(_this: Tcp) -> Told<u8> => |_system| denied();
        "[method]tcp-socket.set-hop-limit"(_this: Tcp, _value: u8) -> Told<()> => |_system| denied();
        "[method]tcp-socket.receive-buffer-size"(_this: Tcp) -> Told<u64> => |_system| denied();
        "[method]tcp-socket.set-receive-buffer-size"(_this: Tcp, _value: u64) -> Told<()> => |_system| denied();
        "[method]tcp-socket.send-buffer-size"(_this: Tcp) -> Told<u64> => |_system| denied();
        "[method]tcp-socket.set-send-buffer-size"(_this: Tcp, _value: u64) -> Told<()> => |_system| denied();
        "[method]tcp-socket.subscribe"(_this: Tcp) -> Resource<Pollable> => |_system| never();
        "[method]tcp-socket.shutdown"(_this: Tcp, _which: Shutdown) -> Told<()> => |_system| denied();
    }
    interface! { linker, "sockets/tcp-create-socket";
        "create-tcp-socket"(_family: Family) -> Told<Tcp> => |_system| denied();
    }
    Ok(())
}

fn udp(linker: &mut Linker<Run>) -> Result<()> {
    interface! { linker, "sockets/udp";
        resource "udp-socket": UdpSocket => |_, _| {};
        resource "incoming-datagram-stream": IncomingDatagrams => |_, _| {};
        resource "outgoing-datagram-stream": OutgoingDatagrams => |_, _| {};
        "[method]udp-socket.start-bind"(_this: Udp, _network: Net, _address: Address) -> Told<()> => |_system| denied();
        "[method]udp-socket.finish-bind"(_this: Udp) -> Told<()> => |_system| denied();
        "[method]udp-socket.stream"(_this: Udp, _address: Option<Address>) -> Told<Datagrams> => |_system| denied();
        "[method]udp-socket.local-address"(_this: Udp) -> Told<Address> => |_system| denied();
        "[method]udp-socket.remote-address"(_this: Udp) -> Told<Address> => |_system| denied();
        "[method]udp-socket.address-family"(_this: Udp) -> Family => |_system| never();
        "[method]udp-socket.unicast-hop-limit"(_this: Udp) -> Told<u8> => |_system| denied();
        "[method]udp-socket.set-unicast-hop-limit"(_this: Udp, _value: u8) -> Told<()> => |_system| denied();
        "[method]udp-socket.receive-buffer-size"(_this: Udp) -> Told<u64> => |_system| denied();
        "[method]udp-socket.set-receive-buffer-size"(_this: Udp, _value: u64) -> Told<()> => |_system| denied();
        "[method]udp-socket.send-buffer-size"(_this: Udp) -> Told<u64> => |_system| denied();
        "[method]udp-socket.set-send-buffer-size"(_this: Udp, _value: u64) -> Told<()> => |_system| denied();
        "[method]udp-socket.subscribe"(_this: Udp) -> Resource<Pollable> => |_system| never();
        "[method]incoming-datagram-stream.receive"(
            _this: Resource<IncomingDatagrams>, _most: u64
        ) -> Told<Vec<IncomingDatagram>> => |_system| denied();
        "[method]incoming-datagram-stream.subscribe"(_this: Resource<IncomingDatagrams>) -> Resource<Pollable> =>
            |_system| never();
        "[method]outgoing-datagram-stream.check-send"(_this: Resource<OutgoingDatagrams>) -> Told<u64> =>
            |_system| denied();
        "[method]outgoing-datagram-stream.send"(
            _this: Resource<OutgoingDatagrams>, _datagrams: Vec<OutgoingDatagram>
        ) -> Told<u64> => |_system| denied();
        "[method]outgoing-datagram-stream.subscribe"(_this: Resource<OutgoingDatagrams>) -> Resource<Pollable> =>
            |_system| never();
    }
    interface! { linker, "sockets/udp-create-socket";
        "create-udp-socket"(_family: Family) -> Told<Udp> => |_system| denied();
    }
    Ok(())
}
