//! Which URLs in an answer lead back to us, and how they are to be written.
//!
//! A backend may write its own address into its documents. A provider that
//! follows it goes past us: the rest of the call is neither seen nor can it be
//! rescued. So an absolute URL whose host and port name a backend gets our public
//! scheme and authority instead; every other byte of it stays.
//!
//! - Hosts are compared without regard to case and to one dot at their end, as
//!   text: two spellings of one IPv6 address are two hosts. No port and the default
//!   ports 80 and 443 are one port, whatever the scheme.
//! - A URL whose path lies under none of our routes stays as it is: with us it
//!   would end in a 404, at the backend it may work. Its `..` are resolved first.
//! - `http` and `https` become the public scheme, `ws` and `wss` the socket scheme
//!   that goes with it; `//host/…` stays without scheme. Userinfo stays.
//! - What stands in `{{…}}` is the provider's to fill in; a `?` or `#` there is no
//!   delimiter.
//!
//! A URL that leads to a route of ours, whether led home or written so by the
//! backend, absolute or relative, can carry a token (`split/token.rs`) as the last
//! parameter of its query.

mod url;

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem::Finder;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use self::url::{Absolute, Shape};
use crate::split::token;

/// What is needed to tell: built once from the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    public: Option<Public>,
    names: Vec<Site>,
    routes: Vec<String>,
    slashes: Slashes,
    mark: u64,
}

/// Which of the URLs that may take a token are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// All. For values that are certainly URLs.
    All,
    /// Those with a host. For values that may be no URLs: a word without a host
    /// cannot be told from a relative URL.
    WithHost,
}

/// One change to a URL: what replaces which bytes of it. An empty range inserts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit<'a> {
    /// The bytes to be replaced.
    pub range: Range<usize>,
    /// What stands there afterwards.
    pub by: Cow<'a, str>,
}

impl Addresses {
    /// `public` is the URL providers were given and `names` those a backend may call
    /// itself by, all as `scheme://authority` (what follows is ignored); `routes` are
    /// the paths (and what is below them) that we answer.
    ///
    /// With a `public` that is no such URL nothing is led home, and relative URLs
    /// alone take tokens.
    pub fn new(public: &str, names: &[String], routes: &[String]) -> Self {
        Self {
            public: Public::read(public),
            names: names
                .iter()
                .filter_map(|name| Some(Site::of(name, &absolute(name)?)?.0.kept()))
                .collect(),
            routes: routes.to_vec(),
            slashes: Slashes::default(),
            mark: mark(public, names, routes),
        }
    }

    /// Equal for equal addresses, and for hardly any others: documents are known again
    /// under the addresses they were read with.
    pub const fn mark(&self) -> u64 {
        self.mark
    }

    /// A URL as the provider is to see it; None: as it stands. `token` is added to
    /// its query, before any `#fragment`, if it leads to us; an old one is replaced.
    pub fn lead_home(&self, url: &str, token: Option<&str>) -> Option<String> {
        let edits = self.edits(url, token, Taking::All);
        if edits.is_empty() {
            return None;
        }
        let mut led = String::with_capacity(url.len() + 64);
        let mut done = 0;
        for edit in edits {
            led.push_str(url.get(done..edit.range.start)?);
            led.push_str(&edit.by);
            done = edit.range.end;
        }
        led.push_str(url.get(done..)?);
        Some(led)
    }

    /// The same as single changes, in order and apart from each other, for who
    /// must write them in a syntax of its own.
    pub fn edits(&self, url: &str, token: Option<&str>, taking: Taking) -> Vec<Edit<'_>> {
        let mut edits = Vec::new();
        let leads_here = match Shape::of(url) {
            Shape::Absolute(parts) => self.lead(url, &parts, &mut edits),
            Shape::Relative(path) => {
                let path = url.get(path).unwrap_or_default();
                taking == Taking::All && (!path.starts_with('/') || self.answers(path))
            }
            Shape::Other => false,
        };
        if let (true, Some(token)) = (leads_here, token) {
            add_token(url, token, &mut edits);
        }
        edits
    }

    /// Does a backend's host follow a `//` anywhere in here? If not, no URL that is
    /// spelled out in one piece names a backend. Costs about what a search for `//`
    /// does.
    pub fn are_mentioned(&self, text: &[u8]) -> bool {
        self.slashes.0.find_iter(text).any(|at| {
            let after = text.get(at + 2..).unwrap_or_default();
            let is_end = |byte: &u8| matches!(byte, b'/' | b'?' | b'#' | b'<') || *byte <= b' ';
            let end = after.iter().position(is_end).unwrap_or(after.len());
            let authority = after.get(..end).unwrap_or_default();
            // What ended it may stand in a `{{…}}`, and is no end then.
            authority.contains(&b'{')
                || self.names.iter().any(|name| {
                    let mut windows = authority.windows(name.host.len());
                    windows.any(|window| window.eq_ignore_ascii_case(name.host.as_bytes()))
                })
        })
    }

    /// Notes how an absolute URL is led home. Whether it leads to one of our routes
    /// then.
    fn lead<'a>(&'a self, url: &str, parts: &Absolute, edits: &mut Vec<Edit<'a>>) -> bool {
        let (Some(public), Some((site, host))) = (&self.public, Site::of(url, parts)) else {
            return false;
        };
        let is_public = site.is(&public.site);
        if !(is_public || self.names.iter().any(|name| site.is(name))) {
            return false;
        }
        if !self.answers(url.get(parts.path.clone()).unwrap_or_default()) {
            return false;
        }
        if is_public {
            return true;
        }
        let scheme = url.get(parts.scheme.clone()).unwrap_or_default();
        let ours = public.scheme(scheme);
        if !scheme.is_empty() && scheme != ours {
            edits.push(Edit {
                range: parts.scheme.clone(),
                by: Cow::Borrowed(ours),
            });
        }
        let has_userinfo = host.start > parts.authority.start;
        edits.push(Edit {
            range: host,
            by: Cow::Borrowed(if has_userinfo {
                &public.host
            } else {
                &public.authority
            }),
        });
        true
    }

    /// Does this path lie under a route of ours?
    fn answers(&self, path: &str) -> bool {
        let path = url::resolved(path);
        let path = if path.is_empty() { "/" } else { &*path };
        self.routes.iter().any(|route| {
            path.strip_prefix(route.trim_end_matches('/'))
                .is_some_and(|below| below.is_empty() || below.starts_with('/'))
        })
    }
}

/// Adds the token, or puts it in the place of an old one.
fn add_token(url: &str, token: &str, edits: &mut Vec<Edit<'_>>) {
    // Whether such a URL has a query is known only when the provider fills it in.
    if url.contains("{{#") || url.contains("{{^") {
        return;
    }
    let (query, end) = url::query(url);
    let Some(start) = query else {
        edits.push(Edit {
            range: end..end,
            by: Cow::Owned(carrying("?", token)),
        });
        return;
    };
    let mut at = start;
    let mut has_token = false;
    for parameter in url.get(start..end).unwrap_or_default().split('&') {
        let range = at..at + parameter.len();
        at = range.end + 1;
        let Some(old) = token::value(parameter) else {
            continue;
        };
        if has_token {
            edits.push(Edit {
                range: range.start - 1..range.end,
                by: Cow::Borrowed(""),
            });
        } else if old != token {
            edits.push(Edit {
                range,
                by: Cow::Owned(carrying("", token)),
            });
        }
        has_token = true;
    }
    if !has_token {
        edits.push(Edit {
            range: end..end,
            by: Cow::Owned(carrying("&", token)),
        });
    }
}

fn carrying(mark: &str, token: &str) -> String {
    [mark, token::PARAM, "=", token].concat()
}

/// The URL that providers were given.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Public {
    is_secure: bool,
    /// Userinfo, host and port as they were given.
    authority: String,
    /// Host and port as they were given.
    host: String,
    site: Site,
}

impl Public {
    fn read(text: &str) -> Option<Self> {
        let parts = absolute(text)?;
        let (site, host) = Site::of(text, &parts)?;
        let scheme = text.get(parts.scheme)?;
        Some(Self {
            is_secure: scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("wss"),
            authority: text.get(parts.authority)?.to_owned(),
            host: text.get(host)?.to_owned(),
            site: site.kept(),
        })
    }

    /// The scheme that leads to us in place of this one.
    fn scheme(&self, theirs: &str) -> &'static str {
        let is_socket = theirs.starts_with(['w', 'W']);
        match (is_socket, self.is_secure) {
            (false, false) => "http",
            (false, true) => "https",
            (true, false) => "ws",
            (true, true) => "wss",
        }
    }
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Site<Text = String> {
    /// Without a dot at its end.
    host: Text,
    /// None: a default port.
    port: Option<u16>,
}

impl<'a> Site<&'a str> {
    fn is(&self, other: &Site) -> bool {
        self.port == other.port && self.host.eq_ignore_ascii_case(&other.host)
    }

    fn kept(&self) -> Site {
        Site {
            host: self.host.to_owned(),
            port: self.port,
        }
    }

    /// The site of a URL, and where in it host and port stand.
    fn of(url: &'a str, parts: &Absolute) -> Option<(Self, Range<usize>)> {
        let authority = url.get(parts.authority.clone())?;
        let userinfo = authority.rfind('@').map_or(0, |at| at + 1);
        let text = authority.get(userinfo..)?;
        let colon = match text.find(']') {
            Some(bracket) => bracket + 1,
            None => text.find(':').unwrap_or(text.len()),
        };
        let (host, port) = text.split_at_checked(colon)?;
        let host = host.strip_suffix('.').unwrap_or(host);
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => match digits {
                "" => None,
                digits => Some(digits.parse().ok()?),
            },
            Some(_) => return None,
        };
        if host.is_empty() || authority.bytes().any(|byte| byte <= b' ') {
            return None;
        }
        let site = Self {
            host,
            port: port.filter(|port| !matches!(port, 80 | 443)),
        };
        Some((site, parts.authority.start + userinfo..parts.authority.end))
    }
}

/// The parts of a URL with scheme and authority.
fn absolute(url: &str) -> Option<Absolute> {
    match Shape::of(url) {
        Shape::Absolute(parts) => Some(parts),
        Shape::Relative(_) | Shape::Other => None,
    }
}

/// Finds `//`. Built once, as that costs more than a search.
#[derive(Clone, Debug)]
struct Slashes(Finder<'static>);

impl Default for Slashes {
    fn default() -> Self {
        Self(Finder::new(b"//"))
    }
}

/// All find the same.
impl PartialEq for Slashes {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Slashes {}

fn mark(public: &str, names: &[String], routes: &[String]) -> u64 {
    let texts = names.iter().chain(routes).map(String::as_str);
    std::iter::once(public)
        .chain(texts)
        .fold(0, |mark, text| xxh3_64_with_seed(text.as_bytes(), mark))
}

#[cfg(test)]
mod tests;
