//! How durations, shares, sizes, networks and URLs are written in the file.
//!
//! Each reader takes the text between the quotes and says what it means, or what
//! is wrong with it in words that finish the sentence "… is refused:".

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use jiff::SignedDuration;

/// What is said where a duration cannot be read.
pub(super) const DURATION: &str =
    "write a duration as \"1200ms\", \"5s\", \"10m\", \"1h 30m\" or \"7d\"";
/// What is said where a share cannot be read.
pub(super) const SHARE: &str = "write a share as \"5%\" or \"0.5%\", from 0% to 100%";
/// What is said where a size cannot be read.
pub(super) const SIZE: &str = "write a size as \"512KiB\" or \"8MiB\"";

/// A duration such as `5m`, `1200ms`, `1h 30m` or `7d`. A day is 24 hours.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let Some(rest) = unit.strip_prefix('d') else {
        let span: SignedDuration = text.parse().ok()?;
        return Duration::try_from(span).ok();
    };
    let days = number.parse::<u64>().ok()?.checked_mul(86_400)?;
    let rest = match rest.trim_start() {
        "" => Duration::ZERO,
        rest if rest.starts_with(|c: char| c.is_ascii_digit()) => duration(rest)?,
        _ => return None,
    };
    Duration::from_secs(days).checked_add(rest)
}

/// The day of a moment in seconds since 1970, as people write it; in UTC.
pub(super) fn day(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(
        |_| "a day beyond counting".to_owned(),
        |at| at.strftime("%Y-%m-%d").to_string(),
    )
}

/// A share such as `5%`, as 0..=1.
pub(super) fn share(text: &str) -> Option<f64> {
    let number = text.trim().strip_suffix('%')?.trim_end();
    if !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let percent: f64 = number.parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
}

/// A size such as `8MiB`, in bytes. Units of 1000 (`MB`) and 1024 (`MiB`).
pub(super) fn size(text: &str) -> Option<usize> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = match unit.trim_start() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(unit)
}

/// A network such as `10.0.0.0/8`; a bare address is a network of one.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    let network: IpNet = text
        .parse()
        .map_err(|_| "write a network as \"10.0.0.0/8\" or \"2001:db8::/32\"".to_owned())?;
    if network.addr() == network.network() {
        Ok(network)
    } else {
        Err(format!(
            "{} is an address inside a network: write \"{}\", or \"{}\" for the one address",
            network,
            network.trunc(),
            network.addr()
        ))
    }
}

/// An address of the web: scheme, host and port, and nothing after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    /// Lower-case name or address, without brackets.
    pub(super) host: String,
    /// The port, also where it was left out.
    pub(super) port: u16,
}

impl Origin {
    /// Host and, unless it is the scheme's own, port: as a `Host` header has it.
    pub(super) fn authority(&self) -> String {
        let own = if self.scheme == "https" { 443 } else { 80 };
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        if self.port == own {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

/// Reads `http://host:port`; a single `/` after it is the same thing.
pub(super) fn origin(text: &str) -> Result<Origin, String> {
    const SHAPE: &str = "write a URL as \"http://host:port\"";
    if text.contains(['#', '?']) {
        return Err("a URL here has no query and no fragment".into());
    }
    let uri: http::Uri = text.parse().map_err(|_| SHAPE.to_owned())?;
    let scheme = match uri.scheme_str() {
        Some("http") => "http",
        Some("https") => "https",
        _ => return Err(SHAPE.into()),
    };
    let authority = uri.authority().ok_or(SHAPE)?;
    if authority.as_str().contains('@') {
        return Err("a URL here carries no user name and password".into());
    }
    if !matches!(uri.path(), "" | "/") {
        return Err("a URL here ends after the port: paths are passed on as they come".into());
    }
    let host = authority.host();
    let host = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    if host.is_empty() {
        return Err("the URL names no host".into());
    }
    let port = match authority.port_u16() {
        Some(0) => return Err("port 0 cannot be connected to".into()),
        Some(port) => port,
        None if authority.as_str().ends_with(authority.host()) => {
            if scheme == "https" {
                443
            } else {
                80
            }
        }
        None => return Err("a port is a number from 1 to 65535".into()),
    };
    Ok(Origin {
        scheme,
        host: host.to_ascii_lowercase(),
        port,
    })
}

/// A path that requests are matched by, without a slash at its end.
pub(super) fn path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err(format!("a path begins with a slash: \"/{text}\""));
    }
    if text.contains(['?', '#']) {
        return Err("a path has no query and no fragment".into());
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("a path is written in visible ASCII, other characters as %XX".into());
    }
    if text.contains("//") || text.split('/').any(|part| part == "." || part == "..") {
        return Err("a path has no empty, \".\" or \"..\" parts".into());
    }
    match text.strip_suffix('/') {
        Some("") | None => Ok(text.to_owned()),
        Some(shorter) => Ok(shorter.to_owned()),
    }
}

/// A duration as the file would write it: `5m`, `1h 30m`, `1200ms`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span(pub(super) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secs, millis) = (self.0.as_secs(), self.0.subsec_millis());
        if millis > 0 {
            return write!(f, "{}ms", self.0.as_millis());
        }
        if secs > 0 && secs.is_multiple_of(86_400) {
            return write!(f, "{}d", secs / 86_400);
        }
        let parts = [(secs / 3600, 'h'), (secs / 60 % 60, 'm'), (secs % 60, 's')];
        let mut gap = "";
        for (number, unit) in parts {
            if number > 0 {
                write!(f, "{gap}{number}{unit}")?;
                gap = " ";
            }
        }
        if secs == 0 { f.write_str("0s") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_alike() {
        for (text, millis) in [
            ("1200ms", 1200),
            ("5s", 5_000),
            ("10m", 600_000),
            ("1h 30m", 5_400_000),
            ("0s", 0),
            ("7d", 604_800_000),
            ("25h", 90_000_000),
        ] {
            let read = duration(text).unwrap();
            assert_eq!(read, Duration::from_millis(millis), "{text}");
            assert_eq!(Span(read).to_string(), text);
        }
        assert_eq!(duration("1d 12h"), duration("36h"));
        assert_eq!(duration("24h"), duration("1d"));
        for text in [
            "5",
            "",
            "-5s",
            "5 parsecs",
            "m",
            "5m ago",
            "99999999999999999h",
            "d",
            "99999999999999999d",
            "7days",
            "7d ago",
        ] {
            assert_eq!(duration(text), None, "{text} is no duration");
        }
    }

    #[test]
    fn a_share_needs_its_percent_sign() {
        assert_eq!(share("5%"), Some(0.05));
        assert_eq!(share("0.5 %"), Some(0.005));
        assert_eq!(share("100%"), Some(1.0));
        for text in ["5", "101%", "-1%", "%", "nan%", "inf%", "1e1%"] {
            assert_eq!(share(text), None, "{text} is no share");
        }
    }

    #[test]
    fn sizes_count_in_1000_or_1024_as_the_unit_says() {
        assert_eq!(size("8MiB"), Some(8 << 20));
        assert_eq!(size("8 MB"), Some(8_000_000));
        assert_eq!(size("512"), Some(512));
        for text in ["MiB", "8Mib", "-1B", "99999999999999999999GiB", "1.5MiB"] {
            assert_eq!(size(text), None, "{text} is no size");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port_and_no_more() {
        for (text, host, port, authority) in [
            ("http://127.0.0.1:3001", "127.0.0.1", 3001, "127.0.0.1:3001"),
            (
                "http://IVR.example.com/",
                "ivr.example.com",
                80,
                "ivr.example.com",
            ),
            ("https://a.example:443", "a.example", 443, "a.example"),
            ("http://[::1]:3001", "::1", 3001, "[::1]:3001"),
        ] {
            let read = origin(text).unwrap();
            assert_eq!((read.host.as_str(), read.port), (host, port), "{text}");
            assert_eq!(read.authority(), authority);
        }
        for text in [
            "127.0.0.1:3001",
            "ftp://a",
            "http://",
            "http://a:0",
            "http://a:70000",
            "http://a:",
            "http://u:p@a",
            "http://a/ivr",
            "http://a?x",
            "http://a#x",
            "",
            "/",
        ] {
            assert!(origin(text).is_err(), "{text} is refused");
        }
    }

    #[test]
    fn a_path_loses_its_last_slash_and_nothing_else() {
        assert_eq!(path("/ivr/").unwrap(), "/ivr");
        assert_eq!(path("/").unwrap(), "/");
        for text in ["ivr", "/a//b", "/../x", "/a?b", "/ä", "/a b", ""] {
            assert!(path(text).is_err(), "{text} is refused");
        }
    }

    #[test]
    fn a_network_is_named_by_its_first_address() {
        assert_eq!(network("10.0.0.7").unwrap().to_string(), "10.0.0.7/32");
        assert_eq!(network("::1/128").unwrap().to_string(), "::1/128");
        let said = network("10.0.0.7/8").unwrap_err();
        assert!(said.contains("10.0.0.0/8"), "{said}");
        assert!(network("10.0.0.0/33").is_err());
    }
}
