//! What is said in the log about what was decided.

use crate::desk::Reloaded;
use crate::engine::{Notice, Severity};
use crate::rollout::{Action, Entry, Step};

/// What the journal is given stands in the log as well: at three in the morning
/// one reads one of the two. What has a louder notice of its own is said by that.
pub(super) fn say_entry(entry: &Entry) {
    // Nor is a file that was read and wished for nothing new.
    let idle =
        entry.action == Action::File && entry.before == entry.after && entry.notes.is_empty();
    let louder = matches!(
        entry.action,
        Action::Reverse { .. }
            | Action::StepBack { .. }
            | Action::DisableTenant { .. }
            | Action::EmergencyStop
            | Action::Verification {
                step: Step::Escalated,
                ..
            }
    );
    if idle || louder {
        return;
    }
    // A verification's words are its reason.
    let told = !matches!(entry.action, Action::Verification { .. });
    let reason = Some(entry.reason.as_str()).filter(|reason| told && !reason.is_empty());
    // What is different is told line by line, with the reload.
    let said = match (&entry.action, entry.notes.first()) {
        (Action::Reloaded, Some(hashes)) => format!("{} {hashes}", entry.sentence()),
        _ => entry.said(),
    };
    tracing::info!(actor = entry.actor, reason, "{said}");
}

/// What a reload did, line by line, so that the log alone tells what ran when.
pub(super) fn say_reloaded(reloaded: &Reloaded, actor: &str) {
    let Reloaded {
        changed,
        refused,
        needs_restart,
        ..
    } = reloaded;
    if changed.is_empty() && refused.is_empty() && needs_restart.is_empty() {
        tracing::info!(actor, "Configuration reloaded. Nothing changed.");
        return;
    }
    tracing::info!(actor, "Configuration reloaded.");
    for line in changed {
        tracing::info!("Changed: {line}");
    }
    for line in needs_restart {
        tracing::warn!("Needs a restart: {line}");
    }
}

/// A notice, as loud as it is urgent.
pub(super) fn say(notice: &Notice) {
    let rule = notice.rule.as_deref();
    match notice.severity {
        Severity::Info => tracing::info!(rule, "{}", notice.text),
        Severity::Warning => tracing::warn!(rule, "{}", notice.text),
        Severity::Critical => tracing::error!(rule, "{}", notice.text),
    }
}
