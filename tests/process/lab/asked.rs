//! What a provider posts to the proxy, and what an operator asks of it.

use std::fs;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::{CALLER, Lab, Said, command, until_or};
use crate::http::{self, Message};

impl Lab {
    /// A call id that no other call has.
    pub(crate) fn fresh(&self) -> String {
        format!("call-{}", self.calls.fetch_add(1, Ordering::Relaxed))
    }

    /// One webhook of a call of `tenant`, as the provider posts it.
    pub(crate) fn webhook(&self, tenant: &str, target: &str, call: &str, rest: &str) -> Message {
        let form = form(tenant, call, rest);
        let answer = http::ask(self.webhooks(), "POST", target, &[FORM], &form);
        answer.unwrap_or_else(|error| panic!("{target}: {error}\n{}", self.log()))
    }

    /// The first webhook of a new call.
    pub(crate) fn begin(&self, tenant: &str, target: &str) -> Message {
        self.webhook(tenant, target, &self.fresh(), "&CallStatus=ringing")
    }

    /// So many new calls, one after the other.
    pub(crate) fn begin_many(&self, count: usize, tenant: &str, target: &str) {
        for _ in 0..count {
            self.begin(tenant, target);
        }
    }

    /// The provider tells that a call is over, and who hung up.
    pub(crate) fn finish(&self, tenant: &str, call: &str, who: &str) -> Message {
        let rest = format!(
            "&CallStatus=completed&CallbackSource=call-progress-events&HangupSource={who}\
             &CallDuration=45"
        );
        self.webhook(tenant, "/ivr/status", call, &rest)
    }

    pub(crate) fn get(&self, target: &str) -> Message {
        let answer = http::ask(self.admin(), "GET", target, &[], "");
        answer.unwrap_or_else(|error| panic!("{target}: {error}\n{}", self.log()))
    }

    pub(crate) fn status(&self) -> Value {
        self.get("/api/v1/status").json()
    }

    /// One row of the tables, as status shows it; null while there is none.
    pub(crate) fn rule(&self, name: &str) -> Value {
        let status = self.status();
        let rules = status["rules"].as_array().expect("status has rules");
        let found = rules.iter().find(|rule| rule["name"] == name);
        found.cloned().unwrap_or_default()
    }

    /// Waits until a row has seen so many samples, and gives it as it was then.
    pub(crate) fn rule_at(&self, name: &str, samples: u64) -> Value {
        let mut rule = Value::Null;
        let mut seen = || {
            rule = self.rule(name);
            rule["samples"] == samples
        };
        let waited = until_or(&format!("{name} has seen {samples}"), &mut seen);
        waited.unwrap_or_else(|what| panic!("{what}: {rule}\n{}", self.log()));
        rule
    }

    /// Waits until everything is latched to legacy.
    pub(crate) fn until_latched(&self) {
        self.until("it is latched", || self.status()["latched"] == true);
        // Toward legacy the record comes second: the status is a moment ahead of it.
        self.until("the journal has it", || {
            let journal = self.journal();
            journal
                .last()
                .is_some_and(|line| line["after"]["latched"] == true)
        });
    }

    /// Waits until the engine has looked once more than it had when asked.
    pub(crate) fn next_look(&self) {
        let at = self.status()["at"].clone();
        self.until("the engine looks", || self.status()["at"] != at);
        let at = self.status()["at"].clone();
        self.until("the engine looks again", || self.status()["at"] != at);
    }

    /// A metric's value by its whole series, labels in the order they are written.
    pub(crate) fn metric(&self, series: &str) -> Option<f64> {
        let text = self.get("/metrics");
        value(text.text(), series)
    }

    /// The journal's whole lines.
    pub(crate) fn journal(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.state().join("journal.jsonl"));
        let text = text.unwrap_or_default();
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| serde_json::from_str(line).expect("a line is JSON"))
            .collect()
    }

    /// Waits for the journal's line on a reversal.
    pub(crate) fn reversal(&self) -> Value {
        let mut line = None;
        self.until("the reversal is on disk", || {
            line = self
                .journal()
                .into_iter()
                .find(|line| line["action"] == "reverse");
            line.is_some()
        });
        line.expect("it is there")
    }

    pub(crate) fn post(&self, target: &str, body: &Value) -> Message {
        let body = body.to_string();
        let json = ("content-type", "application/json");
        let answer = http::ask(self.admin(), "POST", target, &[json], &body);
        answer.unwrap_or_else(|error| panic!("{target}: {error}\n{}", self.log()))
    }

    /// Reports an event from outside.
    pub(crate) fn report(&self, kind: &str, more: &Value) -> Message {
        let mut body = json!({ "kind": kind, "message": "a test" });
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        self.post("/api/v1/events", &body)
    }

    /// Runs a command against this proxy.
    pub(crate) fn cli(&self, args: &[&str]) -> Said {
        let admin = format!("http://{}", self.admin());
        Said::of(command().args(args).env("SWITCHBACK_ADMIN", admin))
    }

    /// Runs a command that must go well.
    pub(crate) fn order(&self, args: &[&str]) -> Said {
        let said = self.cli(args);
        assert_eq!(said.code, 0, "{args:?}: {}{}", said.out, said.err);
        said
    }
}

pub(crate) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// A webhook's form.
pub(crate) fn form(tenant: &str, call: &str, rest: &str) -> String {
    let escaped = |text: &str| text.replace('+', "%2B").replace(':', "%3A");
    let (call, from, to) = (escaped(call), escaped(CALLER), escaped(tenant));
    format!("CallSid={call}&From={from}&To={to}{rest}")
}

/// A series' value in the text that `/metrics` shows.
pub(crate) fn value(text: &str, series: &str) -> Option<f64> {
    let mut lines = text.lines();
    let rest = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(rest.parse().expect("a metric's value is a number"))
}
