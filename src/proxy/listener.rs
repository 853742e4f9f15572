//! Opening the public port: one socket for each worker on the same address, so
//! that the kernel deals connections out and no worker waits for another.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, Socket, Type};

/// Connections the kernel keeps for one worker that has not come to accept them
/// yet; more are refused by the kernel (or retried by the client's).
pub const BACKLOG: i32 = 4096;

/// Binds a listening socket that can be bound again for the next worker.
///
/// `[::]` also takes IPv4, as operators expect of "any address".
///
/// # Errors
///
/// What the kernel said: the port is taken, the address is not ours, or a low
/// port was asked for without the right to it.
pub fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.ip().is_unspecified() && addr.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Lets no further connection begin here, while those under way still come into
/// the accept queue: the kernel drops what would open one. Without this, a
/// handshake that ends between the last accept and the close is reset, and the
/// request behind it lost. Who is dropped asks again after a second.
///
/// # Errors
///
/// The kernel does not filter, or may not for us.
#[cfg(target_os = "linux")]
pub fn close_the_gate(listener: &impl AsFd) -> io::Result<()> {
    use socket2::{SockFilter, SockRef};
    /// Where the flags stand in a TCP header.
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    // Load the flags; of SYN and ACK only SYN is set? Then drop it, else keep it.
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(0x30, 0, 0, FLAGS),
        SockFilter::new(0x54, 0, 0, SYN | ACK),
        SockFilter::new(0x15, 0, 1, SYN),
        SockFilter::new(0x06, 0, 0, 0),
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ])
}

/// Other kernels have no such filter: what comes at the very end is reset.
#[cfg(not(target_os = "linux"))]
pub fn close_the_gate(_: &impl AsFd) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_workers_can_listen_on_one_port() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = first.local_addr().unwrap();
        assert_eq!(bind(addr).unwrap().local_addr().unwrap(), addr);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn behind_a_closed_gate_what_waits_is_accepted_and_nothing_begins() {
        use std::net::TcpStream;
        use std::time::Duration;
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = listener.local_addr().unwrap();
        let before = TcpStream::connect(addr).unwrap();
        close_the_gate(&listener).unwrap();
        let late = TcpStream::connect_timeout(&addr, Duration::from_millis(100));
        assert!(late.is_err(), "it is not even refused: it may ask again");
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer, before.local_addr().unwrap());
        assert!(listener.accept().is_err(), "nobody else waits");
    }

    #[test]
    fn an_address_that_is_not_ours_is_an_error() {
        assert!(bind("192.0.2.1:0".parse().unwrap()).is_err());
    }
}
