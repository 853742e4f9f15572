//! What does not fit together at the public edge, though each line alone is well
//! written: names and marks of the backends, what proves a webhook genuine, where a
//! call's backend is remembered, and what is done for a caller whose backend fails.

use std::collections::BTreeMap;

use super::check::Add;
use super::file::Draft;
use super::problem::{Problem, listed};
use super::rescue;
use super::routes::{self, carried, written};
use super::verify;
use super::walk::shown;
use crate::model::{Backend, Protocol};
use crate::protocol::signature::Mode;
use crate::proxy::settings::{Affinity, HostHeader};
use crate::split::tenants::Source;
use crate::split::token;

/// Runs every check of this file.
pub(super) fn run(draft: &Draft, add: &Add<'_>) {
    names(draft, add);
    claims(draft, add);
    token_secret(draft, add);
    for route in &draft.routes {
        sources(route, add);
        affinity(route, draft, add);
        rescue::check(route, draft, add);
        if let (Some(verify), Some(protocol)) = (&route.verify, route.protocol) {
            genuine(verify, protocol, draft, add);
        }
    }
}

fn names(draft: &Draft, add: &Add<'_>) {
    let public = draft.listen.public.as_ref();
    let public = public.map(|public| format!("{}://{}", public.scheme, public.authority));
    // By whom each is taken: its own URL is a backend's first name.
    let mut taken: BTreeMap<String, Backend> = BTreeMap::new();
    for side in Backend::ALL {
        if let Some(backend) = &draft.backends[side] {
            let own = format!(
                "{}://{}",
                backend.upstream.value.scheme(),
                backend.upstream.value.authority
            );
            taken.entry(own).or_insert(side);
        }
    }
    for side in Backend::ALL {
        let Some(backend) = &draft.backends[side] else {
            continue;
        };
        for name in &backend.names {
            let span = name.span.clone();
            if public.as_ref() == Some(&name.value) {
                let message = "this is `public_url` itself, which no backend is named by";
                add(Problem::error(span, message)
                    .help("name what the backend's own documents call it, or remove the name"));
                continue;
            }
            match taken.insert(name.value.clone(), side) {
                Some(other) if other != side => {
                    let message = format!("`{}` is a name of `{other}` too", shown(&name.value));
                    add(Problem::error(span, message).help("one name is one backend's"));
                }
                Some(_) => {
                    let message = format!("`{}` is a name of it already", shown(&name.value));
                    add(Problem::warning(span, message)
                        .help("its own `url` need not be named, nor any name twice"));
                }
                None => {}
            }
        }
        if let Some(first) = backend.names.first()
            && !draft.listen.public_named
        {
            let message = "`names` are rewritten to `public_url`, and there is none";
            add(Problem::error(first.span.clone(), message).help(PUBLIC));
        }
    }
}

const PUBLIC: &str = "add public_url = \"https://voice.example.com\" to [listen]: \
                      what the provider was given";

fn claims(draft: &Draft, add: &Add<'_>) {
    for side in Backend::ALL {
        let Some(backend) = &draft.backends[side] else {
            continue;
        };
        let claim = backend.upstream.value.claim.as_ref();
        if claim.is_some_and(|claim| claim.query == token::PARAM) {
            let message = format!("`{}` is the parameter of our own tokens", token::PARAM);
            add(Problem::error(backend.claim_span.clone(), message)
                .help("mark the calls with another one, for example \"origin\""));
        }
    }
    let claim = |side: Backend| {
        let backend = draft.backends[side].as_ref()?;
        Some((backend.upstream.value.claim.as_ref()?, &backend.claim_span))
    };
    let (Some((legacy, _)), Some((new, span))) = (claim(Backend::Legacy), claim(Backend::New))
    else {
        return;
    };
    if legacy == new {
        let message = "both backends have the same `claim`: whose calls would they be?";
        add(Problem::error(span.clone(), message).help("give each a `value` of its own"));
    }
}

fn token_secret(draft: &Draft, add: &Add<'_>) {
    let mut by_url = (draft.routes.iter()).filter(|route| route.affinity.value == Affinity::Url);
    match (by_url.next(), &draft.listen.token_secret_span) {
        (Some(route), None) => {
            let message = "without a `token_secret` each machine will only understand its own \
                           tokens";
            add(Problem::warning(route.affinity.span.clone(), message).help(
                "add token_secret = { env = \"SWITCHBACK_TOKEN_SECRET\" } to [listen], the same \
                 on all machines",
            ));
        }
        (None, Some(span)) if draft.listen.token_secret.is_some() => {
            let message = "`token_secret` means nothing without a route with affinity = \"url\"";
            add(Problem::warning(Some(span.clone()), message).help("remove the line"));
        }
        _ => {}
    }
}

fn sources(route: &routes::Draft, add: &Add<'_>) {
    let Some(protocol) = route.protocol else {
        return;
    };
    for source in &route.tenant {
        let word = match &source.value {
            Source::Metadata(_) => "metadata.KEY".to_owned(),
            Source::Header(_) | Source::Query(_) | Source::Path(_) => continue,
            word => written(word),
        };
        if carried(protocol).contains(&word.as_str()) {
            continue;
        }
        let (name, word) = (protocol.name(), written(&source.value));
        let message = format!("no {name} webhook carries `{}`", shown(&word));
        add(Problem::warning(source.span.clone(), message).help(format!(
            "they carry {}; `header:NAME`, `query:NAME` and `path:N` may come with any",
            listed(carried(protocol)).replace(" or ", " and ")
        )));
    }
}

fn affinity(route: &routes::Draft, draft: &Draft, add: &Add<'_>) {
    if route.affinity.value != Affinity::Url {
        return;
    }
    let error = |message: &str, help: &str| {
        add(Problem::error(route.affinity.span.clone(), message).help(help));
    };
    if !draft.listen.public_named {
        let message = "affinity = \"url\" puts tokens into URLs that lead to `public_url`, and \
                       there is none";
        error(message, PUBLIC);
    }
    let verify = route.verify.as_ref();
    match route.protocol {
        Some(Protocol::Twilio) if verify.is_none_or(|verify| verify.resign.is_none()) => error(
            "affinity = \"url\" on a twilio route needs `resign`: Twilio signs the URL with the \
             token, and the backend never sees the token",
            "write verify = { auth_token = { env = \"TWILIO_AUTH_TOKEN\" }, resign = true }",
        ),
        Some(Protocol::TelnyxCallControl) => {
            let message = "answers to Call Control carry no URLs, so no token is ever handed out";
            add(Problem::warning(route.affinity.span.clone(), message)
                .help("remove the line: here calls are remembered in memory"));
        }
        Some(Protocol::Vapi) if verify.is_some_and(|verify| verify.url_signed.is_some()) => {
            let message = "this route's `payload_format` signs the URL with the token, which the \
                           backend never sees";
            add(Problem::warning(route.affinity.span.clone(), message)
                .help("if the backend verifies too, leave {url} out of the format"));
        }
        _ => {}
    }
}

fn genuine(verify: &verify::Draft, protocol: Protocol, draft: &Draft, add: &Add<'_>) {
    let public_missing = !draft.listen.public_named;
    let is_read = verify.verifier.is_some();
    match protocol {
        Protocol::Twilio if public_missing && is_read => {
            let message = "Twilio signs the URL it was given, and without `public_url` the Host as \
                           received would be believed";
            add(Problem::warning(Some(verify.span.clone()), message).help(PUBLIC));
        }
        Protocol::TelnyxTexml if verify.mode.value == Mode::Required && is_read => {
            let message = "Telnyx does not document that first fetches and GETs are signed: \
                           \"required\" refuses them where they are not";
            add(Problem::warning(verify.mode.span.clone(), message)
                .help("\"if-present\" refuses only what is wrongly signed"));
        }
        _ => {}
    }
    if let Some(span) = &verify.url_signed
        && public_missing
    {
        let message = "{url} is the URL that Vapi was given: `public_url`, and there is none";
        add(Problem::error(Some(span.clone()), message).help(PUBLIC));
    }
    if let Some(span) = &verify.resign {
        let public: Vec<&str> = (Backend::ALL.into_iter())
            .filter(|side| {
                let backend = draft.backends[*side].as_ref();
                backend
                    .is_some_and(|backend| backend.upstream.value.host_header == HostHeader::Public)
            })
            .map(Backend::name)
            .collect();
        if !public.is_empty() {
            let message = format!(
                "a webhook signed anew is signed for the backend's own URL, but the public Host \
                 is sent to {}",
                listed(&public).replace(" or ", " and ")
            );
            add(Problem::warning(Some(span.clone()), message)
                .help("set host = \"backend\" there, so that the backend sees that URL"));
        }
    }
}
