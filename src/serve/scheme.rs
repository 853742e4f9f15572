//! The state remembers by what tenants were drawn. A start that would draw them by
//! something else moves callers from one backend to the other without a word, so the word
//! is asked for.

use crate::config::Config;
use crate::rollout::Rollout;

/// What to do where the file draws otherwise than the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redraw {
    /// Not to start.
    Refused,
    /// To take the file's, and to note it in the journal.
    Taken,
}

/// The file draws tenants by something else than the state does.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Redrawn(String);

/// Is the file's scheme the one that the state was written with, or meant to be another?
pub(super) fn check(config: &Config, rollout: &Rollout, redraw: Redraw) -> Result<(), Redrawn> {
    let asked = config.scheme.told();
    let Some(known) = rollout.scheme().filter(|known| *known != asked) else {
        return Ok(());
    };
    if redraw == Redraw::Taken {
        return Ok(());
    }
    Err(Redrawn(format!(
        "{} draws by `{asked}`, and the state in {} by `{known}`: {}. Put `by`, `hash` and `salt` of \
         [split] back as they were, or start once with `switchback run --rehash`, which takes them \
         and notes it in the journal.",
        config.path.display(),
        config.state.dir.display(),
        moved(rollout),
    )))
}

/// Who would find another backend. Each is drawn anew and independently of before: of a
/// share p on new, 1 - p leaves it, and of the rest p joins.
fn moved(rollout: &Rollout) -> String {
    let share = rollout.percentage().as_f64() / 100.0;
    let moves = rollout.enabled() && !rollout.latched();
    let moved = if moves {
        2.0 * share * (1.0 - share)
    } else {
        0.0
    };
    if moved == 0.0 {
        return "nobody changes side now, and every stage from here on draws others than before"
            .to_owned();
    }
    // To a tenth, and 50, not 50.0.
    let moved = (moved * 1000.0).round() / 10.0;
    format!(
        "at {} about {moved} % of all would change side",
        rollout.percentage()
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::{Percentage, Wall};
    use crate::rollout::Wishes;

    fn config(split: &str) -> Config {
        let text = format!(
            "backend.legacy.url = \"http://127.0.0.1:3001\"\n\
             backend.new.url = \"http://127.0.0.1:3002\"\n\
             [[route]]\npath = \"/ivr\"\nprotocol = \"twilio\"\n[split]\n{split}"
        );
        let loaded = crate::config::load_text(Path::new("t.toml"), text);
        loaded.unwrap_or_else(|report| panic!("{report}")).config
    }

    /// A rollout at this share, begun by a file that draws so.
    fn begun(percentage: f64, scheme: Option<&str>) -> Rollout {
        let wishes = Wishes {
            enabled: true,
            percentage: Percentage::new(percentage).unwrap(),
            scheme: scheme.map(str::to_owned),
            ..Wishes::default()
        };
        let mut rollout = Rollout::default();
        let outcome = rollout.wishes(&wishes, true, Wall(0));
        for entry in &outcome.entries {
            rollout.apply(entry);
        }
        rollout
    }

    #[test]
    fn the_same_scheme_starts_and_another_asks_for_a_word() {
        let java = config("hash = \"java31\"");
        let salted = config("hash = \"xxh3\"\nsalt = \"a\"");
        let rollout = begun(25.0, Some(&java.scheme.told()));
        assert!(check(&java, &rollout, Redraw::Refused).is_ok());
        assert!(check(&salted, &rollout, Redraw::Taken).is_ok());
        let refused = check(&salted, &rollout, Redraw::Refused)
            .unwrap_err()
            .to_string();
        for part in [
            "`tenant xxh3 ",
            "by `tenant java31`",
            "at 25 % about 37.5 % of all would change side",
            "switchback run --rehash",
        ] {
            assert!(refused.contains(part), "{refused} says {part}");
        }
    }

    #[test]
    fn another_salt_or_another_by_is_another_scheme() {
        let one = config("hash = \"xxh3\"\nsalt = \"a\"");
        for other in [
            "hash = \"xxh3\"\nsalt = \"b\"",
            "by = \"call\"\nhash = \"xxh3\"\nsalt = \"a\"",
            "hash = \"java31\"",
        ] {
            let rollout = begun(0.0, Some(&config(other).scheme.told()));
            let refused = check(&one, &rollout, Redraw::Refused).unwrap_err();
            assert!(
                refused.to_string().contains("nobody changes side now"),
                "{refused}"
            );
        }
        assert!(
            !one.scheme.told().contains(" a"),
            "the salt itself is not told"
        );
    }

    #[test]
    fn a_state_from_before_this_was_noted_starts() {
        let rollout = begun(25.0, None);
        assert!(check(&config("hash = \"java31\""), &rollout, Redraw::Refused).is_ok());
        assert!(check(&config(""), &Rollout::default(), Redraw::Refused).is_ok());
    }
}
