//! The configuration file of a lab: a sound one, of which tests change single lines.

use std::net::SocketAddr;
use std::path::Path;

/// What the configuration file says; tests change single lines of it.
#[derive(Clone)]
pub(crate) struct File {
    /// More of `[listen]`, `[log]`, `[limits]`, whole sections.
    pub(crate) listen: &'static str,
    pub(crate) sections: String,
    pub(crate) on_empty: &'static str,
    pub(crate) protocol: &'static str,
    /// More of the route.
    pub(crate) route: &'static str,
    /// `by` and `hash`.
    pub(crate) scheme: &'static str,
    pub(crate) percentage: u32,
    /// More of `[split]`.
    pub(crate) split: &'static str,
    pub(crate) rules: &'static str,
    /// More of `[backend.new]`.
    pub(crate) own: &'static str,
    /// Where new is, if not at the lab's own backend.
    pub(crate) new: Option<SocketAddr>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            listen: "",
            sections: String::new(),
            on_empty: "file",
            protocol: "telnyx-texml",
            route: "",
            scheme: "by = \"tenant\"\nhash = \"java31\"",
            percentage: 50,
            split: "",
            rules: CRITICAL,
            own: "",
            new: None,
        }
    }
}

impl File {
    /// The whole of it, for backends at these addresses; the second is new's where the file
    /// names no other.
    pub(super) fn text(&self, state: &Path, legacy: SocketAddr, lab: SocketAddr) -> String {
        let Self {
            listen,
            sections,
            on_empty,
            protocol,
            route,
            scheme,
            percentage,
            split,
            rules,
            own,
            new,
        } = self;
        let new = new.unwrap_or(lab);
        // Rows are tested to the call; a breaker would keep some away.
        let breaker = match own.contains("breaker") || own.contains("health") {
            true => "",
            false => "breaker = \"off\"",
        };
        // What is tested here is who answers and who is blamed. That nobody hears of it
        // is tested in `tests/faults`.
        let rescue = match route.contains("rescue") {
            true => "",
            false => "rescue = \"off\"\nlast_resort = \"off\"",
        };
        format!(
            "[listen]\nwebhooks = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n{listen}\n\
             [state]\ndir = {state:?}\non_empty = \"{on_empty}\"\n\
             [backend.legacy]\nurl = \"http://{legacy}\"\n\
             [backend.new]\nurl = \"http://{new}\"\n{breaker}\n{own}\n\
             [[route]]\npath = \"/ivr\"\nprotocol = \"{protocol}\"\ntenant = [\"to\"]\n{route}\n{rescue}\n\
             [split]\n{scheme}\npercentage = {percentage}\n{split}\n{sections}\n{rules}\n"
        )
    }
}

/// The one row that no webhook can trip.
pub(crate) const CRITICAL: &str = "[[reversal]]\nname = \"critical\"\n\
    measure = \"critical_errors\"\nabove = 0\nover = \"1h\"\naction = \"reverse\"\n";
