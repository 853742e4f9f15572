//! The sockets the process listens on: its own, or those a supervisor opened for it.
//!
//! systemd can open the ports and hand them over (`Sockets=`, `LISTEN_FDS`). Then
//! they stay open while we are restarted: who calls meanwhile waits in their queues
//! and is answered by whoever comes next, instead of being refused.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context as _, bail};
use listenfd::ListenFd;
use socket2::SockRef;

use crate::config::Listen;
use crate::proxy;

/// Sockets that were handed over, by what they are for.
#[derive(Debug, Default)]
pub(super) struct Given {
    webhooks: Vec<TcpListener>,
    admin: Option<TcpListener>,
    metrics: Option<TcpListener>,
}

/// Every socket of the process.
pub(super) struct Sockets {
    /// Where webhooks come; the first is the one that is named to people.
    pub(super) webhooks: Vec<Opening>,
    /// They were handed over.
    pub(super) inherited: bool,
    /// The API.
    pub(super) admin: TcpListener,
    /// Metrics alone.
    pub(super) metrics: Option<TcpListener>,
}

/// How a worker comes to its own socket for an address.
#[derive(Debug)]
pub(super) enum Opening {
    /// It binds one, sharing the port with the other workers.
    Address(SocketAddr),
    /// All accept from the one that was handed over.
    Given(TcpListener),
}

impl Given {
    /// Takes what the environment says was handed over. To be called before any
    /// thread is started, because it is taken out of the environment.
    ///
    /// # Errors
    ///
    /// Something was handed over that is no listening TCP socket, or nobody knows
    /// what for.
    pub(super) fn from_env() -> anyhow::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut fds = ListenFd::from_env();
        let mut given = Self::default();
        for index in 0..fds.len() {
            let name = names.next().unwrap_or_default();
            let listener = fds.take_tcp_listener(index).with_context(|| {
                format!("socket {index} that was handed over (LISTEN_FDS) cannot be used")
            })?;
            let listener = listener.context("a socket was handed over twice")?;
            if !SockRef::from(&listener).is_listener().unwrap_or(true) {
                bail!(
                    "socket {index} that was handed over (LISTEN_FDS) does not listen; in the .socket unit say ListenStream= and Accept=no"
                );
            }
            listener.set_nonblocking(true)?;
            given.sort_in(index, name, listener)?;
        }
        Ok(given)
    }

    fn sort_in(&mut self, index: usize, name: &str, listener: TcpListener) -> anyhow::Result<()> {
        let place = match name {
            "webhooks" => {
                self.webhooks.push(listener);
                return Ok(());
            }
            "admin" => &mut self.admin,
            "metrics" => &mut self.metrics,
            // Without a name systemd gives the unit's own.
            _ if index == 0 => {
                self.webhooks.push(listener);
                return Ok(());
            }
            name => bail!(
                "socket {index} that was handed over is named {name:?}; in the .socket unit say FileDescriptorName= webhooks, admin or metrics"
            ),
        };
        if place.replace(listener).is_some() {
            bail!("two sockets that were handed over are named {name}; there can be one");
        }
        Ok(())
    }
}

impl Sockets {
    /// Opens what was not handed over.
    ///
    /// # Errors
    ///
    /// An address is taken or not ours; or the API would be open to everybody.
    pub(super) fn open(given: Given, listen: &Listen) -> anyhow::Result<Self> {
        let inherited = !given.webhooks.is_empty();
        let webhooks = if inherited {
            differ("webhooks", &given.webhooks, &listen.webhooks);
            given.webhooks.into_iter().map(Opening::Given).collect()
        } else {
            let addresses = listen.webhooks.iter();
            addresses.copied().map(Opening::Address).collect()
        };
        let admin = match given.admin {
            Some(listener) => {
                differ("admin", std::slice::from_ref(&listener), &[listen.admin]);
                // What the file is checked for, of an address that is not the file's.
                if !listener.local_addr()?.ip().is_loopback() && listen.admin_token.is_none() {
                    bail!(
                        "the admin socket that was handed over is open to others, and there is no listen.admin_token"
                    );
                }
                listener
            }
            None => bind_admin(listen.admin)?,
        };
        let metrics = match given.metrics {
            Some(listener) => {
                let named: Vec<_> = listen.metrics.into_iter().collect();
                differ("metrics", std::slice::from_ref(&listener), &named);
                Some(listener)
            }
            None => listen.metrics.map(bind_admin).transpose()?,
        };
        Ok(Self {
            webhooks,
            inherited,
            admin,
            metrics,
        })
    }
}

impl Opening {
    /// A worker's own socket.
    ///
    /// # Errors
    ///
    /// The port is taken or not ours, or no descriptor is left.
    pub(super) fn open(&mut self) -> anyhow::Result<TcpListener> {
        match self {
            Self::Given(listener) => Ok(listener.try_clone()?),
            Self::Address(address) => {
                let listener = proxy::listener::bind(*address)
                    .with_context(|| format!("could not listen for webhooks on {address}"))?;
                // Port 0 means "any": the other workers share the one that was given.
                *address = listener.local_addr()?;
                Ok(listener)
            }
        }
    }
}

/// Says where a socket that was handed over listens, and that the file said otherwise.
fn differ(name: &str, given: &[TcpListener], named: &[SocketAddr]) {
    let mut at: Vec<_> = given.iter().filter_map(|it| it.local_addr().ok()).collect();
    at.sort_unstable();
    let mut named = named.to_vec();
    named.sort_unstable();
    if at == named {
        tracing::info!(?at, "The socket for {name} was handed over.");
    } else {
        tracing::warn!(
            ?at,
            configured = ?named,
            "The socket for {name} was handed over and listens elsewhere than listen.{name} says; the socket counts."
        );
    }
}

fn bind_admin(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address)
        .with_context(|| format!("could not listen on {address} for the API or metrics"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").unwrap()
    }

    #[test]
    fn sockets_are_sorted_by_name_and_the_first_needs_none() {
        for first in ["webhooks", "", "unknown", "switchback.socket"] {
            let mut given = Given::default();
            for (index, name) in [first, "admin", "webhooks", "metrics"].iter().enumerate() {
                given.sort_in(index, name, listener()).unwrap();
            }
            assert_eq!(given.webhooks.len(), 2, "{first}");
            assert!(given.admin.is_some() && given.metrics.is_some());
        }
    }

    #[test]
    fn what_nobody_knows_the_use_of_is_refused() {
        for (name, message) in [
            ("switchback.socket", "FileDescriptorName="),
            ("", "FileDescriptorName="),
            ("admin", "two sockets"),
        ] {
            let mut given = Given::default();
            given.sort_in(0, "admin", listener()).unwrap();
            let error = given.sort_in(1, name, listener()).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
    }

    #[test]
    fn an_api_that_others_reach_needs_a_token_however_its_socket_came() {
        for (address, opened) in [("0.0.0.0:0", false), ("127.0.0.1:0", true)] {
            let given = Given {
                admin: Some(TcpListener::bind(address).unwrap()),
                ..Given::default()
            };
            let listen = Listen {
                webhooks: Vec::new(),
                admin: "127.0.0.1:0".parse().unwrap(),
                metrics: None,
                admin_token: None,
            };
            assert_eq!(Sockets::open(given, &listen).is_ok(), opened, "{address}");
        }
    }

    #[test]
    fn workers_share_a_port_that_nobody_named() {
        let mut opening = Opening::Address("127.0.0.1:0".parse().unwrap());
        let first = opening.open().unwrap().local_addr().unwrap();
        assert_eq!(opening.open().unwrap().local_addr().unwrap(), first);
        let mut opening = Opening::Given(listener());
        let first = opening.open().unwrap().local_addr().unwrap();
        assert_eq!(opening.open().unwrap().local_addr().unwrap(), first);
    }
}
