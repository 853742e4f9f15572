//! Opening the public port: one socket for each worker on the same address, so
//! that the kernel deals connections out and no worker waits for another.

use std::io;
use std::net::{SocketAddr, TcpListener};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_workers_can_listen_on_one_port() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = first.local_addr().unwrap();
        assert_eq!(bind(addr).unwrap().local_addr().unwrap(), addr);
    }

    #[test]
    fn an_address_that_is_not_ours_is_an_error() {
        assert!(bind("192.0.2.1:0".parse().unwrap()).is_err());
    }
}
