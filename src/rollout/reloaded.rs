//! Another configuration in the journal: who brought it, why, and what is different.
//!
//! It moves no call by itself. What the file wishes for about the split has entries of
//! its own; but a rule that is gone or a backend at another address is as much part of a
//! rollout's story, and whoever reads it a year later has only the journal.

use super::draft::{Draft, reason};
use super::{Action, Entry, Rollout, Wishes};
use crate::model::{Wall, mask_numbers};

/// So many changes are told; of the others their number is.
const CHANGES: usize = 30;
/// Longest change told, in characters.
const CHANGE_CHARS: usize = 300;

/// A configuration that was read again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reread {
    /// Who had it read: `operator via cli`, `SIGHUP`.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// What is different, one sentence each, with no secret in it.
    pub changed: Vec<String>,
}

impl Rollout {
    /// The configuration with the hash `is` is in force, where `was` was. Changes nothing
    /// but what is known of it.
    pub fn reloaded(&self, reread: &Reread, was: &str, is: &str, at: Wall) -> Entry {
        let Reread {
            actor,
            reason,
            changed,
        } = reread;
        let mut entry = Draft::of(self).into_entry(Action::Reloaded, actor, reason, at);
        entry.notes.push(match was == is {
            true => format!("Configuration {is}, of which a file that it names is another one."),
            false => format!("Configuration {was} -> {is}."),
        });
        let told = changed.iter().take(CHANGES);
        entry.notes.extend(told.map(|change| bounded(change)));
        if changed.len() > CHANGES {
            let more = changed.len() - CHANGES;
            entry
                .notes
                .push(format!("And {more} more; the log has all."));
        }
        // Where no file's wishes were ever seen, this does not make them so.
        entry.seen = self.seen.clone().map(|seen| Wishes {
            config: Some(is.to_owned()),
            ..seen
        });
        entry
    }

    /// First digits of the hash of the configuration that the journal knows to be in
    /// force. None where it was never noted.
    pub fn config(&self) -> Option<&str> {
        self.seen.as_ref()?.config.as_deref()
    }
}

impl Entry {
    /// What the file asked for, asked for by whoever had it read.
    #[must_use]
    pub fn ordered_by(mut self, reread: &Reread) -> Self {
        if !reread.actor.is_empty() {
            self.actor.clone_from(&reread.actor);
        }
        self.reason = reason(&reread.reason);
        self
    }
}

/// A change as it is kept: masked, and no longer than it may be.
fn bounded(change: &str) -> String {
    // An address is no telephone number, and nobody writes one beside it here.
    let address = ["`backend.", "`listen."].iter();
    let change = match address.into_iter().any(|it| change.starts_with(it)) {
        true => change.to_owned(),
        false => mask_numbers(change),
    };
    let mut rest = change.chars();
    let mut kept: String = rest.by_ref().take(CHANGE_CHARS).collect();
    if rest.next().is_some() {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun() -> Rollout {
        let mut rollout = Rollout::default();
        let wishes = Wishes {
            enabled: true,
            config: Some("aa".to_owned()),
            ..Wishes::default()
        };
        for entry in rollout.wishes(&wishes, true, Wall(1)).entries {
            rollout.apply(&entry);
        }
        rollout
    }

    fn reread(changed: Vec<String>) -> Reread {
        Reread {
            actor: "operator via cli".to_owned(),
            reason: "new url".to_owned(),
            changed,
        }
    }

    #[test]
    fn another_configuration_is_told_and_moves_nothing() {
        let mut rollout = begun();
        assert_eq!(rollout.config(), Some("aa"), "from the first start on");
        let before = rollout.clone();
        let changed = vec!["rule `errors` is gone".to_owned()];
        let entry = rollout.reloaded(&reread(changed), "aa", "bb", Wall(2));
        assert_eq!(entry.before, entry.after);
        assert!(!entry.is_raise());
        assert_eq!(
            entry.said(),
            "Another configuration is in force. Configuration aa -> bb. rule `errors` is gone"
        );
        rollout.apply(&entry);
        assert_eq!(rollout.config(), Some("bb"));
        assert_eq!(rollout.generation(), before.generation());
        assert_eq!(rollout.phase_since(), before.phase_since());
        assert_eq!(Rollout::fold([&rollout.checkpoint(Wall(3))]), rollout);
        let again = Wishes {
            enabled: true,
            ..Wishes::default()
        };
        assert_eq!(
            rollout.wishes(&again, true, Wall(4)).entries,
            [],
            "it is no wish"
        );
    }

    #[test]
    fn what_changed_is_bounded_and_masked_and_an_address_is_no_number() {
        let changed = |count: usize| {
            let mut changed = vec![
                "`backend.new`: http://10.100.200.30:80 → http://10.100.200.31:80".to_owned(),
                "`plan.freezes`: [] → [ask +525512345678]".to_owned(),
            ];
            changed.extend((2..count).map(|_| "ñ".repeat(400)));
            changed
        };
        let entry = begun().reloaded(&reread(changed(30)), "aa", "aa", Wall(2));
        assert_eq!(entry.notes.len(), 31);
        assert!(entry.notes[0].contains("a file that it names"));
        assert!(entry.notes[1].contains("10.100.200.31:80"));
        assert_eq!(entry.notes[2], "`plan.freezes`: [] → [ask +…78]");
        assert_eq!(entry.notes[3].chars().count(), 301);
        let entry = begun().reloaded(&reread(changed(31)), "aa", "bb", Wall(2));
        assert_eq!(entry.notes.last().unwrap(), "And 1 more; the log has all.");
    }
}
