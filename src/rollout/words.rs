//! What an entry says to people.

use super::{Action, Entry, Listed, Phase};
use crate::model::{Percentage, mask};
use crate::rules::words::many;

impl Entry {
    /// What was done, in one sentence for people, followed by what they should
    /// know besides.
    pub fn said(&self) -> String {
        let mut said = self.sentence();
        for note in &self.notes {
            said.push(' ');
            said.push_str(note);
        }
        said
    }

    /// Who stopped the rollout and why, for as long as it is stopped.
    pub(crate) fn because(&self) -> String {
        let why = match &self.evidence {
            Some(evidence) if !evidence.because.is_empty() => &evidence.because,
            _ => &self.reason,
        };
        match why.as_str() {
            "" => self.actor.clone(),
            why => format!("{}: {why}", self.actor),
        }
    }

    /// What was done, in one sentence for people.
    pub fn sentence(&self) -> String {
        let (was, is) = (self.before.percentage, self.after.percentage);
        match &self.action {
            Action::Set if was == is => format!("The share of new is {is}, as it was."),
            Action::Set => format!("The share of new goes from {was} to {is}."),
            Action::Hold if self.before.phase == Phase::Held => {
                format!("Held already, at {is}: nothing advances until `switchback resume`.")
            }
            Action::Hold => format!("Held at {is}: nothing advances until `switchback resume`."),
            Action::Resume if self.before.latched => {
                format!("The latch is cleared; the share of new is {is}.")
            }
            Action::Resume => format!("The hold is lifted; the share of new is {is}."),
            Action::RollbackTenant => format!(
                "{} is rolled back: its new calls go to legacy until `switchback tenant clear`.{}",
                self.whom(),
                self.but_stopped()
            ),
            Action::RollbackPartial if was == is => {
                format!("The share of new is {is}, as it was.")
            }
            Action::RollbackPartial => {
                format!("The share of new is rolled back from {was} to {is}.")
            }
            Action::RollbackTotal => format!("Rolled back in total: {}", self.all()),
            Action::TenantEnable => format!("{} goes to new.", self.whom()),
            Action::TenantDisable => {
                format!("{} goes to legacy.{}", self.whom(), self.but_stopped())
            }
            Action::TenantClear => format!("{} is on no list.", self.whom()),
            Action::Reverse { rule } => format!("{}: {}", self.tripped(rule), self.all()),
            Action::Verification { .. } => format!("Verification: {}.", self.reason),
            Action::Advance => match &self.after.stage {
                Some(stage) => format!(
                    "Stage {} begins; the share of new is {is}{}.",
                    stage.stage,
                    self.picked()
                ),
                None => format!("The share of new is {is}."),
            },
            Action::Complete => format!("The plan is complete; the share of new is {is}."),
            Action::StepBack { rule } => self.stepped_back(rule),
            Action::DisableTenant { rule } => format!(
                "{}: the new calls of {} go to legacy until `switchback tenant clear`.{}",
                self.tripped(rule),
                self.whom().replacen("Tenant", "tenant", 1),
                self.but_stopped()
            ),
            Action::EmergencyStop => format!("Emergency stop: {}", self.all()),
            Action::RollbackData { backup, ok } => match ok {
                None => format!("Data is being restored from backup {backup}."),
                Some(true) => format!("Data was restored from backup {backup}."),
                Some(false) => format!("Data could not be restored from backup {backup}."),
            },
            Action::Totals(_) => "An hour was added up.".to_owned(),
            Action::ClockStepped { by_ms } => {
                format!(
                    "The calendar was stepped by {} s; what counts by it is moved along.",
                    by_ms / 1000
                )
            }
            Action::Checkpoint(_) => {
                format!("The journal goes on in a new segment; the share of new is {is}.")
            }
            Action::File => self.file_sentence(),
            Action::Reloaded => "Another configuration is in force.".to_owned(),
            Action::LatchedAtStart => {
                format!("The latch was found set at start: {}", self.all())
            }
            Action::JournalDamaged { set_aside } => format!(
                "The journal was damaged and is set aside as {set_aside}; what it said is lost: {}",
                self.all()
            ),
            Action::Other(name) => format!("{name}, by another version; the share of new is {is}."),
        }
    }

    /// Who goes to new although nobody's share does.
    fn picked(&self) -> String {
        let picked = |listed: &&Option<Listed>| **listed == Some(Listed::Picked);
        let picked = self.after.tenants.values().filter(picked).count();
        match (picked, self.after.percentage) {
            (1.., Percentage::ZERO) => {
                let tenants = many(picked as u64, "tenant");
                format!(", and {tenants} picked by hand go there")
            }
            _ => String::new(),
        }
    }

    /// How every entry that latches ends: what callers hear from now on.
    fn all(&self) -> &'static str {
        match (self.before.stopped, self.after.stopped) {
            (_, false) => {
                "every new call goes to legacy until `switchback resume --reason …` clears the \
                 latch."
            }
            (false, true) => {
                "whoever calls anew hears the last resort until `switchback resume --reason …`."
            }
            (true, true) => {
                "whoever calls anew still hears the last resort until `switchback resume --reason \
                 …`."
            }
        }
    }

    /// Follows where something is said of whose calls go to legacy: during a stop to the
    /// last resort nobody's do.
    fn but_stopped(&self) -> &'static str {
        match self.after.stopped {
            true => {
                " But the emergency stop is in force: whoever calls anew still hears the last \
                 resort until `switchback resume --reason …`."
            }
            false => "",
        }
    }

    /// `Rule errors tripped (7 of 31 calls failed)`.
    fn tripped(&self, rule: &str) -> String {
        match self.evidence.as_ref().map(|saw| saw.because.as_str()) {
            None | Some("") => format!("Rule {rule} tripped"),
            Some(saw) => format!("Rule {rule} tripped ({saw})"),
        }
    }

    fn stepped_back(&self, rule: &str) -> String {
        let (was, is) = (self.before.percentage, self.after.percentage);
        let tripped = self.tripped(rule);
        let to = match &self.after.stage {
            _ if self.after.latched => {
                let already = match self.after.stopped {
                    true => "nothing reaches new already",
                    false => "everything is on legacy already",
                };
                return format!("{tripped}: {already}, and stays latched.");
            }
            Some(stage) => format!("back to stage {}", stage.stage),
            None => "back to before the first stage".to_owned(),
        };
        let share = match was == is {
            true => format!("the share of new is {is}"),
            false => format!("the share of new goes from {was} to {is}"),
        };
        format!("{tripped}: {to}; {share} and is held there until `switchback resume`.")
    }

    fn file_sentence(&self) -> String {
        let (before, after) = (&self.before, &self.after);
        let mut changes = Vec::new();
        if before.enabled != after.enabled {
            let to = if after.enabled { "on" } else { "off" };
            changes.push(format!("the split is switched {to}"));
        }
        if before.percentage != after.percentage {
            let (was, is) = (before.percentage, after.percentage);
            changes.push(format!("the share of new goes from {was} to {is}"));
        }
        match after.tenants.len() {
            0 => {}
            1 => changes.push("one tenant changes its list".to_owned()),
            many => changes.push(format!("{many} tenants change their lists")),
        }
        let redrawn = self.notes.iter().any(|note| note.starts_with(DRAWN_ANEW));
        if changes.is_empty() && redrawn {
            "The file was read: who goes to new is drawn by something else.".to_owned()
        } else if changes.is_empty() {
            "The file was read; nothing of it changes where calls go.".to_owned()
        } else {
            format!("The file was read: {}.", changes.join(", "))
        }
    }

    /// The one tenant it is about, in words.
    fn whom(&self) -> String {
        format!("Tenant {}", self.tenant().map_or_else(String::new, shown))
    }

    /// The one tenant it is about; of several, the first that changed its list.
    pub(crate) fn tenant(&self) -> Option<&str> {
        // An entry that overtook a raise names the raise's tenants too, as they were.
        let changed = |(id, to): &(&String, &Option<Listed>)| {
            self.before.tenants.get(*id).copied().flatten() != **to
        };
        let mut tenants = self.after.tenants.iter();
        let first = self.after.tenants.keys().next();
        let id = tenants.find(changed).map_or(first, |(id, _)| Some(id));
        id.map(String::as_str)
    }
}

/// How the note begins that says by what tenants are drawn now.
pub(super) const DRAWN_ANEW: &str = "Drawn anew: ";

/// A tenant's id as people and logs may see it. Where there is no directory the
/// tenant is a telephone number, and those are masked.
pub(crate) fn shown(id: &str) -> String {
    let digits = id.strip_prefix('+').unwrap_or(id);
    if digits.len() >= 7 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        mask(id).into_owned()
    } else {
        id.to_owned()
    }
}
