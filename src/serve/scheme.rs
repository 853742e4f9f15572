//! The state remembers by what tenants were drawn. A start that would draw them by
//! something else moves callers from one backend to the other without a word, so the word
//! is asked for.

use crate::config::Config;
use crate::rollout::Rollout;
use crate::split::{Scheme, Split};

/// What to do where the file draws otherwise than the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redraw {
    /// Not to start.
    Refused,
    /// To take the file's, and to note it in the journal.
    Taken,
}

/// Nobody does yet.
const NOBODY: &str =
    "nobody changes side now, and every stage from here on draws others than before";

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
    let split = rollout.split(&config.scheme);
    Err(Redrawn(format!(
        "{} draws by `{asked}`, and the state in {} by `{known}`: {}. Put `by`, `hash` and `salt` of \
         [split] back as they were, or start once with `switchback run --rehash`, which takes them \
         and notes it in the journal.",
        config.path.display(),
        config.state.dir.display(),
        match moved(&split, &split) {
            Some(who) => format!("{who} would change side"),
            None => NOBODY.to_owned(),
        },
    )))
}

/// Who finds another backend by a reload, where it draws by something else.
pub(super) fn redrawn(before: (&Scheme, &Split), after: (&Scheme, &Split)) -> Option<String> {
    let nobody = || "nobody now, and every stage from here on draws others than before".to_owned();
    (before.0 != after.0).then(|| moved(before.1, after.1).unwrap_or_else(nobody))
}

/// Who finds another backend; None: nobody. Each is drawn anew and independently of before:
/// of a share p on new, 1 - q leaves it where q comes, and of the rest q joins.
fn moved(before: &Split, after: &Split) -> Option<String> {
    let share = |split: &Split| match split.enabled && !split.latched {
        true => split.percentage.as_f64() / 100.0,
        false => 0.0,
    };
    let (was, is) = (share(before), share(after));
    let moved = was * (1.0 - is) + is * (1.0 - was);
    // To a tenth, and 50, not 50.0.
    let moved = (moved * 1000.0).round() / 10.0;
    (moved > 0.0).then(|| format!("at {} about {moved} % of all", after.percentage))
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

    #[test]
    fn a_reload_that_draws_otherwise_says_how_many_it_moves_whoever_they_are() {
        let scheme = |split| config(split).scheme;
        let (old, new) = (
            scheme("hash = \"xxh3\"\nsalt = \"a\""),
            scheme("hash = \"xxh3\"\nsalt = \"b\""),
        );
        let split = |share| begun(share, None).split(&old);
        let told = |was, is| redrawn((&old, &split(was)), (&new, &split(is))).unwrap();
        assert_eq!(told(25.0, 25.0), "at 25 % about 37.5 % of all");
        assert_eq!(told(10.0, 50.0), "at 50 % about 50 % of all");
        assert_eq!(told(50.0, 0.0), "at 0 % about 50 % of all");
        for share in [0.0, 100.0] {
            assert!(told(share, share).starts_with("nobody now"), "{share}");
        }
        let same = redrawn((&old, &split(25.0)), (&old, &split(50.0)));
        assert_eq!(same, None, "a raise draws nobody anew");
    }
}
