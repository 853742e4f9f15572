//! What the public edge obeys. Built whole from a checked configuration, never
//! changed afterwards; a reload makes a new one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::calls::rescue::Mode;
use crate::document::address::Addresses;
use crate::document::last_resort::LastResort;
use crate::gate::Cap;
use crate::health;
use crate::model::{PerBackend, Protocol};
use crate::protocol::signature::{self, TwilioToken, Verifier};
use crate::proxy::tls::{Inward, Outward};
use crate::split::tenants::{Directory, Source, Unlisted};

/// Everything the public edge obeys.
#[derive(Clone)]
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
    /// Which URLs in answers lead back to us; None without a public URL.
    pub addresses: Option<Arc<Addresses>>,
    /// What tokens in URLs are signed with, where the file names it; else the
    /// installation's own secret.
    pub token_secret: Option<Arc<[u8]>>,
    /// What is spoken where webhooks come in; None: plain HTTP.
    pub tls: Option<Arc<Inward>>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Named one by one, so that what is added is looked at for secrets.
        let Self {
            public,
            trusted_proxies,
            backends,
            routes,
            directory,
            unlisted,
            limits,
            short,
            addresses,
            token_secret,
            tls,
        } = self;
        f.debug_struct("Settings")
            .field("public", public)
            .field("trusted_proxies", trusted_proxies)
            .field("backends", backends)
            .field("routes", routes)
            .field("directory", directory)
            .field("unlisted", unlisted)
            .field("limits", limits)
            .field("short", short)
            .field("addresses", addresses)
            .field("token_secret", &token_secret.as_ref().map(|_| "MASKED"))
            .field("tls", tls)
            .finish()
    }
}

impl Settings {
    /// How much each backend is asked at once.
    pub fn caps(&self) -> PerBackend<Option<Cap>> {
        PerBackend::from_fn(|backend| self.backends[backend].cap)
    }

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
    /// Other names it calls itself by in its documents, as `scheme://authority`.
    pub names: Vec<String>,
    /// Marks the first webhooks of calls it started itself.
    pub claim: Option<Claim>,
    /// How much it is asked at once; None: as much as comes.
    pub cap: Option<Cap>,
    /// How its health is asked for, if it is.
    pub health: Option<health::Settings>,
    /// How TLS is spoken to it; None: plain HTTP.
    pub tls: Option<Arc<Outward>>,
}

impl Upstream {
    /// The scheme of its own URL.
    pub const fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// A mark in the query of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Name of the query parameter.
    pub query: String,
    /// Its value.
    pub value: String,
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
    /// Whether webhooks are looked at for being genuine, and what by.
    pub verify: Option<Verify>,
    /// Where a call's backend is remembered.
    pub affinity: Affinity,
    /// What is done for a caller whose backend fails.
    pub rescue: Rescue,
}

/// What is done for a caller whose backend fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescue {
    /// Which webhooks legacy answers instead.
    pub mode: Mode,
    /// When legacy is asked as well.
    pub after: Duration,
    /// Where legacy takes over a call midway: a path on this host.
    pub entry: Option<String>,
    /// What the caller hears when nobody could answer; None: the failure is passed on,
    /// so that the provider's own fallback acts.
    pub last_resort: Option<Arc<LastResort>>,
}

impl Rescue {
    /// What a route of this protocol does where the file says nothing.
    pub fn of(protocol: Protocol) -> Self {
        Self {
            mode: Mode::Start,
            after: match protocol {
                // Telnyx delivers again after about 2 s.
                Protocol::TelnyxTexml | Protocol::TelnyxCallControl => Duration::from_millis(1200),
                // Vapi waits 7.5 s for an assistant.
                Protocol::Vapi => Duration::from_millis(3500),
                // Twilio waits 15 s.
                Protocol::Twilio => Duration::from_secs(5),
            },
            entry: None,
            last_resort: Some(Arc::new(LastResort::shipped(protocol, None))),
        }
    }
}

/// How a route tells genuine webhooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verify {
    /// How strictly.
    pub mode: signature::Mode,
    /// By what.
    pub verifier: Verifier,
    /// Verified webhooks are signed anew for the backend's own URL (Twilio).
    pub resign: bool,
}

impl Verify {
    /// What verified webhooks are signed anew with, if they are.
    pub const fn resigns_by(&self) -> Option<&TwilioToken> {
        match &self.verifier {
            Verifier::Twilio(token) if self.resign => Some(token),
            _ => None,
        }
    }
}

/// Where a call's backend is remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Affinity {
    /// In the call table alone.
    #[default]
    Memory,
    /// In the URLs we hand out as well, for many machines without a shared store.
    Url,
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
    /// Stop waiting for open websockets this long after SIGTERM.
    pub stream_drain_timeout: Duration,
    /// A websocket on which nothing moves for so long is closed.
    pub stream_idle_timeout: Duration,
    /// Websockets open at once over all workers; more are refused with 503.
    pub streams: usize,
    /// Connections open at once from one source (an IPv4 address, an IPv6 /64); more
    /// are closed as they come. 0: no bound. Trusted proxies have none.
    pub connections_per_source: usize,
    /// Webhooks that legacy is asked to rescue at once over all workers; one more fails
    /// as it would without a rescue.
    pub rescues: usize,
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
            stream_drain_timeout: Duration::from_secs(300),
            stream_idle_timeout: Duration::from_secs(600),
            streams: 5_000,
            connections_per_source: 0,
            rescues: 500,
        }
    }
}
