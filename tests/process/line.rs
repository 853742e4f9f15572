//! Machines that share a line and remember nothing together: with `affinity = "url"`
//! a call's URLs carry it from one to another.

use super::http::Message;
use super::lab::{File, Lab};

/// What the machines of one line share.
pub(crate) const SECRET: &str = "shared-by-the-machines-of-one-line";

/// `public_url`, and a secret in a file.
pub(crate) const SHARING: &str = "public_url = \"https://voice.example.com\"\n\
    token_secret = { file = \"tokens.secret\" }";

/// One machine; without a secret it has one of its own that nobody knows.
pub(crate) fn machine(
    percentage: u32,
    secret: Option<&str>,
    change: impl FnOnce(&mut File),
) -> Lab {
    let mut lab = Lab::prepared(|file| {
        file.percentage = percentage;
        file.listen = "public_url = \"https://voice.example.com\"";
        file.route = "affinity = \"url\"";
        if secret.is_some() {
            file.listen = SHARING;
        }
        change(file);
    });
    lab.write("tokens.secret", secret.unwrap_or_default());
    lab.start_at_file();
    lab
}

/// The token that an answer's first URL carries.
pub(crate) fn token(answer: &Message) -> String {
    let (_, rest) = answer.text().split_once("_sb=").expect("it has a token");
    rest.chars().take(20).collect()
}
