//! `verify` of a route: how strictly genuine webhooks are told, and by what.
//!
//! What belongs in it depends on the route's protocol. A key that another
//! protocol's routes know is refused with what belongs there instead.

use std::ops::Range;
use std::path::Path;

use http::HeaderName;

use super::Config;
use super::problem::Problem;
use super::secret::{self, Secret};
use super::walk::{At, Section, Value};
use crate::model::Protocol;
use crate::protocol::signature::{
    Encoding, HmacAlgorithm, HmacOptions, KeyError, Mode, TelnyxKeys, TwilioToken, VapiCredential,
    Verifier,
};
use crate::proxy::settings::{Route, Verify};

/// `verify` as far as it could be read.
#[derive(Debug)]
pub(super) struct Draft {
    /// Where its key stands.
    pub(super) span: Range<usize>,
    /// How strictly.
    pub(super) mode: At<Mode>,
    /// By what; None under `off`, and where it could not be read.
    pub(super) verifier: Option<Verifier>,
    /// Where `resign = true` stands.
    pub(super) resign: Option<Range<usize>>,
    /// Where a format stands that has the URL signed as well.
    pub(super) url_signed: Option<Range<usize>>,
}

impl Draft {
    /// What the route obeys, which is nothing under `off`. None: a hole.
    #[expect(clippy::option_option, reason = "a hole is not the same as nothing")]
    pub(super) fn verify(&self) -> Option<Option<Verify>> {
        if self.mode.value == Mode::Off {
            return Some(None);
        }
        Some(Some(Verify {
            mode: self.mode.value,
            verifier: self.verifier.clone()?,
            resign: self.resign.is_some(),
        }))
    }
}

/// What can stand beside `mode`, for any protocol.
const KEYS: [&str; 6] = [
    "public_keys",
    "auth_token",
    "resign",
    "secret",
    "bearer",
    "hmac",
];

/// The keys that belong to a protocol, and how an example looks.
const fn belongs(protocol: Protocol) -> (&'static [&'static str], &'static str) {
    match protocol {
        Protocol::TelnyxTexml | Protocol::TelnyxCallControl => (
            &["public_keys"],
            "on a Telnyx route write public_keys = [\"base64…\"], the key that Mission Control shows",
        ),
        Protocol::Twilio => (
            &["auth_token", "resign"],
            "on a twilio route write auth_token = { env = \"TWILIO_AUTH_TOKEN\" }",
        ),
        Protocol::Vapi => (
            &["secret", "bearer", "hmac"],
            "on a vapi route write secret = { env = \"VAPI_SECRET\" }, or bearer = { … }, or \
             hmac = { secret = { … } }",
        ),
    }
}

/// Reads `verify = { … }`. Files are looked for in `base`.
pub(super) fn read(value: &Value<'_>, protocol: Option<Protocol>, base: &Path) -> Option<Draft> {
    let name = match protocol {
        Some(protocol) => format!("`verify` of a {} route", protocol.name()),
        None => "`verify`".to_owned(),
    };
    let section = value.table(&name)?;
    let given = section.get("mode");
    let mode = given
        .as_ref()
        .and_then(|value| value.choice(&Mode::ALL.map(|mode| (mode.name(), mode))));
    let mut draft = Draft {
        span: value.key_span.clone(),
        mode: At {
            value: mode.unwrap_or_default(),
            span: given.map(|value| value.span()),
        },
        verifier: None,
        resign: None,
        url_signed: None,
    };
    let Some(protocol) = protocol else {
        // What belongs in it cannot be told; only strangers are refused.
        for key in KEYS {
            let _known = section.get(key);
        }
        section.finish(&[], &[]);
        return Some(draft);
    };
    let (own, example) = belongs(protocol);
    if draft.mode.value == Mode::Off {
        // Nobody looks, so nobody needs the secrets to be there.
        for key in own {
            let _known = section.get(key);
        }
        draft.resign = resign(&section);
        if let Some(span) = &draft.resign {
            let message = "`resign` signs verified webhooks anew, and with mode = \"off\" none is";
            let help = "use mode = \"report\" at least, or remove `resign`";
            let problem = Problem::error(Some(span.clone()), message);
            section.problems.add(problem.help(help));
        }
    } else {
        match protocol {
            Protocol::TelnyxTexml | Protocol::TelnyxCallControl => {
                draft.verifier = telnyx(&section, example, base);
            }
            Protocol::Twilio => {
                draft.resign = resign(&section);
                draft.verifier = twilio(&section, example, draft.resign.as_ref(), base);
            }
            Protocol::Vapi => {
                (draft.verifier, draft.url_signed) = vapi(&section, example, base);
            }
        }
    }
    let elsewhere: Vec<(&str, &str)> = (KEYS.into_iter())
        .filter(|key| !own.contains(key))
        .map(|key| (key, example))
        .collect();
    section.finish(&[], &elsewhere);
    Some(draft)
}

/// "`verify` names nothing to verify by", with what belongs there.
fn nothing(section: &Section<'_>, help: &str) {
    let message = format!("{} names nothing to verify by", section.name);
    let problem = Problem::error(section.span.clone(), message);
    section
        .problems
        .add(problem.help(format!("{help}; mode = \"off\" verifies nothing")));
}

fn telnyx(section: &Section<'_>, example: &str, base: &Path) -> Option<Verifier> {
    const FORM: &str = "a list of one public key, or of two while one replaces the other";
    let Some(value) = section.get("public_keys") else {
        nothing(section, example);
        return None;
    };
    let list = if value.as_str().is_some() || value.is_table() {
        vec![value.clone()]
    } else {
        value.list(FORM)
    };
    if !matches!(list.len(), 1 | 2) {
        // What is no list at all was spoken of.
        if value.is_list() {
            value.refuse(
                format!("has {} keys", list.len()),
                format!("it is {FORM}: [\"base64…\"]"),
            );
        }
        return None;
    }
    // Each is looked at before one is missed, so that both are spoken of.
    let keys: Vec<Option<String>> = list.iter().map(|entry| public_key(entry, base)).collect();
    let keys: Vec<String> = keys.into_iter().collect::<Option<_>>()?;
    Some(Verifier::Telnyx(known(&value, TelnyxKeys::new(&keys))?))
}

fn public_key(value: &Value<'_>, base: &Path) -> Option<String> {
    let key = if value.is_table() {
        secret::kept(value, base)?
    } else {
        value.string("\"base64…\"")?.to_owned()
    };
    known(value, TelnyxKeys::new(&[&key]))?;
    Some(key)
}

/// What was made of a value, or on the pile why nothing was. The reasons show
/// nothing of a secret.
fn known<T>(value: &Value<'_>, made: Result<T, KeyError>) -> Option<T> {
    match made {
        Ok(made) => Some(made),
        Err(why) => {
            let message = format!("`{}` cannot be taken: {why}", value.name);
            let problem = Problem::error(Some(value.key_span.clone()), message);
            value.problems.add(problem);
            None
        }
    }
}

/// Where `resign = true` stands.
fn resign(section: &Section<'_>) -> Option<Range<usize>> {
    let value = section.get("resign")?;
    value.boolean()?.then(|| value.span())
}

fn twilio(
    section: &Section<'_>,
    example: &str,
    resign: Option<&Range<usize>>,
    base: &Path,
) -> Option<Verifier> {
    let Some(value) = section.get("auth_token") else {
        match resign {
            Some(span) => {
                let message = "`resign` needs the `auth_token` that it signs with";
                let problem = Problem::error(Some(span.clone()), message);
                section.problems.add(problem.help(example));
            }
            None => nothing(section, example),
        }
        return None;
    };
    let tokens = secret::one_or_two(&value, base)?;
    for token in tokens.iter().map(Secret::expose) {
        // Auth tokens are 32 hexadecimal digits; what an API key comes with is 32 of
        // all letters and digits.
        if token.len() == 32
            && token.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && !token.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            let message = "`auth_token` looks like the secret of an API key";
            let problem = Problem::warning(Some(value.key_span.clone()), message);
            let help = "Twilio signs webhooks with the account's auth token alone, which is 32 \
                        hexadecimal digits";
            section.problems.add(problem.help(help));
        }
    }
    let mut tokens = tokens.iter().map(Secret::expose);
    // At least one was read.
    let first = TwilioToken::new(tokens.next()?);
    let token = tokens.fold(first, |token, next| token?.or(next));
    Some(Verifier::Twilio(known(&value, token)?))
}

fn vapi(
    section: &Section<'_>,
    example: &str,
    base: &Path,
) -> (Option<Verifier>, Option<Range<usize>>) {
    let given: Vec<Value<'_>> = ["secret", "bearer", "hmac"]
        .into_iter()
        .filter_map(|key| section.get(key))
        .collect();
    let [value] = given.as_slice() else {
        match given.get(1) {
            Some(second) => {
                let message = "a vapi route is verified by one of `secret`, `bearer` and `hmac`";
                let problem = Problem::error(Some(second.key_span.clone()), message);
                let help = "keep the one that Vapi's credential is of";
                section.problems.add(problem.help(help));
            }
            None => nothing(section, example),
        }
        return (None, None);
    };
    if value.name == "hmac" {
        return hmac(value, base);
    }
    let credential = secret::read(value, base).and_then(|secret| {
        let made = match value.name.as_str() {
            "bearer" => VapiCredential::bearer(secret.expose()),
            _ => VapiCredential::secret(None, secret.expose()),
        };
        known(value, made)
    });
    (credential.map(Verifier::Vapi), None)
}

fn hmac(value: &Value<'_>, base: &Path) -> (Option<Verifier>, Option<Range<usize>>) {
    let Some(table) = value.table("`hmac`") else {
        return (None, None);
    };
    let secret = table.need("secret", "{ env = \"VAPI_HMAC_SECRET\" }");
    let secret = secret.and_then(|value| secret::read(&value, base));
    let mut options = HmacOptions::new(secret.as_ref().map_or("", Secret::expose));
    let yes = |key| table.get(key)?.boolean();
    let text = |key, example| Some(table.get(key)?.string(example)?.to_owned());
    let header = |key, into: &mut String| {
        let Some(value) = table.get(key) else { return };
        let example = format!("\"{into}\"");
        let read = value.read(&example, |text| {
            HeaderName::try_from(text)
                .map_err(|_| format!("it names a header, for example {example}"))
        });
        if let Some(name) = read {
            *into = name.as_str().to_owned();
        }
    };
    let algorithms = HmacAlgorithm::ALL.map(|algorithm| (algorithm.name(), algorithm));
    if let Some(algorithm) = (table.get("algorithm")).and_then(|value| value.choice(&algorithms)) {
        options.algorithm = algorithm;
    }
    let encodings = Encoding::ALL.map(|encoding| (encoding.name(), encoding));
    if let Some(encoding) = (table.get("encoding")).and_then(|value| value.choice(&encodings)) {
        options.encoding = encoding;
    }
    header("signature_header", &mut options.signature_header);
    header("timestamp_header", &mut options.timestamp_header);
    header("message_id_header", &mut options.message_id_header);
    // An empty one is a prefix too: then none may stand before the code.
    options.prefix = match table.get("prefix") {
        Some(value) if value.as_str() == Some("") => Some(String::new()),
        _ => text("prefix", "\"sha256=\""),
    };
    options.include_timestamp = yes("include_timestamp").unwrap_or(options.include_timestamp);
    options.secret_is_base64 = yes("secret_is_base64").unwrap_or(options.secret_is_base64);
    options.payload_format = text("payload_format", "\"{timestamp}.{body}\"");
    let format = table.get("payload_format");
    table.finish(&[], &[]);

    let url_signed = (options.payload_format.as_deref())
        .filter(|format| format.contains("{url}"))
        .and_then(|_| format.as_ref().map(Value::span));
    // Without the secret nothing can be made; why was said.
    let credential = secret.and_then(|_| match VapiCredential::hmac(&options) {
        // The format is the one option that can be wrong in itself.
        Err(why @ (KeyError::Placeholder { .. } | KeyError::Wrong { what: FORMAT, .. })) => {
            known(format.as_ref().unwrap_or(value), Err(why))
        }
        made => known(value, made),
    });
    (credential.map(Verifier::Vapi), url_signed)
}

/// What [`KeyError`] calls the text that is signed.
const FORMAT: &str = "payload_format";

/// How a route tells genuine webhooks, in a few words and without the secrets.
pub(super) fn told(verify: Option<&Verify>) -> String {
    let Some(verify) = verify else {
        return "not verified".to_owned();
    };
    let by = match &verify.verifier {
        Verifier::Telnyx(_) => "Telnyx's Ed25519 signature",
        Verifier::Twilio(_) if verify.resign => {
            "Twilio's signature, and signed anew for the backend"
        }
        Verifier::Twilio(_) => "Twilio's signature",
        Verifier::Vapi(credential) => credential.name(),
    };
    format!("verified by {by}, mode {}", verify.mode.name())
}

impl Config {
    /// For each route, how genuine webhooks are told, and what becomes of URLs that
    /// name a backend: what `switchback check` says of a file that is well.
    pub fn verification(&self) -> Vec<String> {
        let routes = self.proxy.routes.iter().map(verification);
        let urls = match &self.proxy.public {
            Some(_) => None,
            None => Some(
                "no `public_url`: absolute URLs that name a backend are handed out unchanged, and \
                 lead past Switchback"
                    .to_owned(),
            ),
        };
        routes.chain(urls).collect()
    }
}

fn verification(route: &Route) -> String {
    let follows = match route.verify.as_ref().map(|verify| verify.mode) {
        None | Some(Mode::Off) if route.sources.is_empty() => "whoever knows the URL can post",
        None | Some(Mode::Off) => "`sources` alone say who can post",
        Some(Mode::Report) => "all pass; what is not verified counts in no window once any was",
        Some(Mode::IfPresent) => "what is wrongly signed is refused",
        Some(Mode::Required) => "what is wrongly signed or not signed is refused",
    };
    let (path, protocol) = (&route.path, route.protocol.name());
    format!(
        "{path} ({protocol}): {}: {follows}",
        told(route.verify.as_ref())
    )
}
