//! A word that only some may know.

use std::fmt;
use std::hint::black_box;

/// The admin token. Never shown, and compared without telling by the time it took
/// how much of a guess was right.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// Takes the secret over; white space around it (a file's last line break) is
    /// no part of it. None if nothing is left.
    pub fn new(secret: &str) -> Option<Self> {
        let secret = secret.trim();
        (!secret.is_empty()).then(|| Self(secret.into()))
    }

    /// Is that the secret? The time depends on the guess's length alone.
    pub fn is(&self, guess: &str) -> bool {
        let secret = self.0.as_bytes();
        let mut difference = secret.len() ^ guess.len();
        for (i, byte) in guess.bytes().enumerate() {
            // A guess that is too long is compared with the secret's own bytes over
            // again; the lengths have already decided.
            difference |= usize::from(byte ^ black_box(secret[i % secret.len()]));
        }
        black_box(difference) == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MASKED")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_itself_is_the_secret() {
        let secret = Secret::new("s3cret\n").unwrap();
        assert!(secret.is("s3cret"));
        for guess in ["", "s3cre", "s3creT", "s3crets", "s3crets3cret", "s3cret "] {
            assert!(!secret.is(guess), "{guess:?}");
        }
    }

    #[test]
    fn nothing_is_no_secret_and_a_secret_is_never_shown() {
        assert!(Secret::new(" \n").is_none());
        let shown = format!("{:?}", Secret::new("s3cret"));
        assert_eq!(shown, "Some(MASKED)");
    }
}
