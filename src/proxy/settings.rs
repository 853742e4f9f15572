//! What the public edge obeys. Built whole from a checked configuration, never
//! changed afterwards; a reload makes a new one.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::model::{PerBackend, Protocol};
use crate::split::tenants::{Directory, Source, Unlisted};

/// Everything the public edge obeys.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the providers were given, for `X-Forwarded-*`: scheme and authority.
    pub public: Option<PublicUrl>,
    /// Whose `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The two backends.
    pub backends: PerBackend<Upstream>,
    /// Routes, longest path first, so that the first match is the right one.
    pub routes: Vec<Route>,
    /// The tenant directory, if one was given.
    pub directory: Option<Arc<Directory>>,
    /// What a key that the directory does not list means.
    pub unlisted: Unlisted,
    /// Bounds.
    pub limits: Limits,
    /// A hang-up within this time is left out of the abandonment rate.
    pub short: Duration,
}

impl Settings {
    /// Numbers the routes by what `known` holds: a path keeps its number over
    /// reloads and a new one gets the next, so that a webhook under way counts for
    /// the route it came by. Numbers end at 65,534; routes past that share one.
    pub fn number_routes(&mut self, known: &mut Vec<String>) {
        for route in &mut self.routes {
            let number = known.iter().position(|path| *path == route.path);
            let number = number.unwrap_or(known.len());
            route.number = u16::try_from(number).unwrap_or(u16::MAX);
            if number == known.len() && route.number < u16::MAX {
                known.push(route.path.clone());
            }
        }
    }
}

/// The URL the providers were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// `http` or `https`.
    pub scheme: String,
    /// Host and, unless it is the scheme's own, port.
    pub authority: String,
}

/// One backend's address and manners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Host name or address to connect to, without brackets.
    pub host: String,
    /// Port to connect to.
    pub port: u16,
    /// Host and port as a `Host` header.
    pub authority: String,
    /// Which `Host` it is sent.
    pub host_header: HostHeader,
}

/// Which `Host` header a backend is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostHeader {
    /// As received from the provider.
    Public,
    /// The backend's own.
    Backend,
}

/// One route.
#[derive(Clone, Debug)]
pub struct Route {
    /// This path and below: `/ivr` takes `/ivr` and `/ivr/menu`, not `/ivrx`.
    pub path: String,
    /// What it is counted by.
    pub number: u16,
    /// How the provider speaks here.
    pub protocol: Protocol,
    /// Where the tenant's key stands; the first that is there counts.
    pub tenant: Vec<Source>,
    /// Networks allowed to post here; empty allows any.
    pub sources: Vec<IpNet>,
    /// Reaching one of these paths means that the caller was served.
    pub served: Vec<String>,
    /// When the backend has failed.
    pub timeout: Duration,
}

/// Bounds of the public edge. What happens at each is written beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls remembered; a full table evicts ended, event-only, then longest idle.
    pub calls: usize,
    /// Bytes of a request's body; more is 413.
    pub body: usize,
    /// Connections open at once over all workers; more wait in the accept queue.
    pub connections: usize,
    /// A request head must be complete in this time, else the connection closes.
    pub head_timeout: Duration,
    /// A request body must be complete in this time, else 408.
    pub body_timeout: Duration,
    /// A connection without a request is closed after this time.
    pub idle_timeout: Duration,
    /// Stop waiting for running requests this long after SIGTERM.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls: 200_000,
            body: 8 << 20,
            connections: 10_000,
            head_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
        }
    }
}
