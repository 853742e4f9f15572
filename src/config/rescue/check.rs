//! Can a route's rescue be done: in the provider's time, and at a place that is there?

use std::time::Duration;

use super::super::check::Add;
use super::super::file;
use super::super::problem::Problem;
use super::super::routes;
use super::super::text::Span;
use super::super::walk::shown;
use crate::calls::rescue::Mode;
use crate::model::Protocol;
use crate::proxy::settings::Rescue;

/// Runs every check of this file on one route.
pub(in super::super) fn run(route: &routes::Draft, draft: &file::Draft, add: &Add<'_>) {
    let Some(protocol) = route.protocol else {
        return;
    };
    if route.rescue.mode.value == Mode::Off {
        nobody(route, add);
    } else {
        after(route, protocol, add);
    }
    entry(route, protocol, draft, add);
}

/// What would be obeyed if anybody were rescued. An `entry` is obeyed all the same: live
/// calls can be moved there.
fn nobody(route: &routes::Draft, add: &Add<'_>) {
    if let Some(after) = &route.rescue.after {
        let message = "`rescue_after` means nothing with rescue = \"off\": nobody is rescued";
        add(Problem::warning(after.span.clone(), message)
            .help("remove the line, or write rescue = \"start\""));
    }
}

/// How long a provider waits, and what of it new can have.
struct Patience {
    /// Beyond this there is no time left for legacy.
    most: Option<Duration>,
    /// Beyond this there is little.
    much: Duration,
    /// What is behind it.
    because: &'static str,
}

const fn patience(protocol: Protocol) -> Patience {
    match protocol {
        // An answer that comes later is still taken, but the webhook is there twice.
        Protocol::TelnyxTexml | Protocol::TelnyxCallControl => Patience {
            most: None,
            much: Duration::from_millis(1800),
            because: "Telnyx delivers a webhook again after about 2s",
        },
        Protocol::Vapi => Patience {
            most: Some(Duration::from_secs(6)),
            much: Duration::from_millis(4500),
            because: "Vapi gives an assistant-request 7500ms",
        },
        Protocol::Twilio => Patience {
            most: Some(Duration::from_secs(13)),
            much: Duration::from_secs(9),
            because: "Twilio waits 15s",
        },
    }
}

fn after(route: &routes::Draft, protocol: Protocol, add: &Add<'_>) {
    let Some(after) = &route.rescue.after else {
        return;
    };
    if protocol == Protocol::TelnyxCallControl && route.rescue.mode.value != Mode::Every {
        let message = "`rescue_after` means nothing here: events are not rescued unless asked for";
        add(Problem::warning(after.span.clone(), message)
            .help("remove the line, or write rescue = \"every\""));
        return;
    }
    let given = Span(Rescue::of(protocol).after);
    if let Some(timeout) = &route.timeout
        && after.value >= timeout.value
    {
        let message = format!(
            "legacy would never be asked: `rescue_after` ({}) is not less than `timeout` ({})",
            Span(after.value),
            Span(timeout.value),
        );
        let help = format!(
            "write less than the `timeout`, for example rescue_after = \"{}\"",
            Span(Rescue::of(protocol).after.min(timeout.value / 2)),
        );
        add(Problem::error(after.span.clone(), message).help(help));
        return;
    }
    let Patience {
        most,
        much,
        because,
    } = patience(protocol);
    let written = Span(after.value);
    let help = format!("write for example rescue_after = \"{given}\"");
    if most.is_some_and(|most| after.value > most) {
        let message = format!("`rescue_after` ({written}) leaves legacy no time: {because}");
        add(Problem::error(after.span.clone(), message).help(help));
    } else if after.value > much {
        let message = format!("`rescue_after` ({written}) leaves legacy little time: {because}");
        add(Problem::warning(after.span.clone(), message).help(help));
    }
}

fn entry(route: &routes::Draft, protocol: Protocol, draft: &file::Draft, add: &Add<'_>) {
    let redirects = matches!(protocol, Protocol::TelnyxTexml | Protocol::Twilio);
    match &route.rescue.entry {
        Some(entry) if !redirects => {
            let message = format!("`entry` means nothing on a {} route", protocol.name());
            add(Problem::warning(entry.span.clone(), message)
                .help("only TeXML and TwiML can send a call elsewhere midway: remove the line"));
        }
        Some(_) => served(route, protocol, draft, add),
        None if redirects && route.rescue.mode.value == Mode::Every => {
            let message = "rescue = \"every\" without `entry`: midway legacy is asked with the \
                           same bytes, and knows nothing of the call";
            add(Problem::warning(route.rescue.mode.span.clone(), message)
                .help("add entry = \"/ivr/welcome\", the path where legacy begins a call"));
        }
        None => {}
    }
}

/// Is the entry a path that a route of the same provider takes?
fn served(route: &routes::Draft, protocol: Protocol, draft: &file::Draft, add: &Add<'_>) {
    let Some(entry) = &route.rescue.entry else {
        return;
    };
    let path = entry.value.split('?').next().unwrap_or_default();
    let all: Option<Vec<&str>> = (draft.routes.iter())
        .map(|other| Some(other.path.as_ref()?.value.as_str()))
        .collect();
    // A route whose path could not be read may be the one.
    let Some(all) = all else { return };
    let taking = (draft.routes.iter().zip(all))
        .filter(|(_, prefix)| is_under(path, prefix))
        .max_by_key(|(_, prefix)| prefix.len());
    let own = route.path.as_ref().map_or("", |own| own.value.as_str());
    let example = format!("{}/welcome", own.trim_end_matches('/'));
    let help = format!(
        "name a path of this route, for example entry = \"{}\"",
        shown(&example)
    );
    let message = match taking {
        None => format!(
            "no route takes `{}`: the caller would be sent to a 404",
            shown(path)
        ),
        Some((other, _)) => match other.protocol {
            Some(other) if other != protocol => format!(
                "`{}` is a path of a {} route, and this one is {}",
                shown(path),
                other.name(),
                protocol.name()
            ),
            _ => return,
        },
    };
    add(Problem::error(entry.span.clone(), message).help(help));
}

/// As requests are matched: `/ivr` takes `/ivr` and `/ivr/menu`, not `/ivrx`.
fn is_under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
}
