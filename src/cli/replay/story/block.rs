//! One decision as people read it, and where all of them led.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::model::{Wall, mask_numbers};
use crate::rollout::{Action, Entry, Evidence, Former, List, Listed, Rollout, Standing, shown};
use crate::rules::{Measure, STAGE, words};

const RED: Style = AnsiColor::Red.on_default().bold();
const GREEN: Style = AnsiColor::Green.on_default().bold();
const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();

/// Columns of the words before values.
const INDENT: usize = 14;

/// One decision.
pub(super) fn block(entry: &Entry, zone: &TimeZone) -> String {
    let style = match () {
        () if toward_legacy(&entry.action) => RED,
        () if entry.is_raise() => GREEN,
        () => BOLD,
    };
    let mut block = Block {
        text: format!(
            "{}  {style}{}{style:#}  {DIM}by{DIM:#} {}  {DIM}#{}{DIM:#}\n",
            time(entry.stamp.at, zone),
            entry.action.name(),
            mask_numbers(&entry.actor),
            entry.stamp.sequence,
        ),
    };
    block.text.push_str(&format!("  {}\n", entry.sentence()));
    // A verification's reason is its sentence.
    let told = matches!(entry.action, Action::Verification { .. });
    if !entry.reason.is_empty() && !told {
        block.line("reason", &mask_numbers(&entry.reason));
    }
    if !matches!(entry.action, Action::Checkpoint(_)) {
        changes(entry, zone, &mut block);
    }
    if let Some(evidence) = &entry.evidence {
        saw(evidence, &entry.reason, &mut block);
    }
    for note in &entry.notes {
        // They were masked when they were made, and a hash or an address is no number.
        let made = entry.action == Action::Reloaded;
        let note = if made { note } else { &mask_numbers(note) };
        block.line("note", note);
    }
    block.text.push('\n');
    block.text
}

/// Where the entries led.
pub(super) fn stands(rollout: &Rollout, zone: &TimeZone) -> String {
    let mut block = Block {
        text: format!(
            "{BOLD}So it stands{BOLD:#} after entry {}, generation {}:\n",
            rollout.sequence(),
            rollout.generation()
        ),
    };
    let mut phase = rollout.phase().name().to_owned();
    if rollout.phase_since() != Wall::default() {
        phase = format!("{phase} since {}", time(rollout.phase_since(), zone));
    }
    block.line("phase", &phase);
    if let Some(because) = rollout.because() {
        block.line("because", &mask_numbers(because));
    }
    block.line("percentage", &rollout.percentage().to_string());
    if !rollout.enabled() {
        block.line("split", "switched off");
    }
    if rollout.latched() {
        let former = rollout.former().map_or_else(String::new, |former| {
            format!("; resume may go back to {}", former.percentage)
        });
        block.line("latched", &format!("every new call goes to legacy{former}"));
    }
    if rollout.stopped() {
        block.line("stopped", "who calls anew hears the last resort");
    }
    if let Some(stage) = rollout.stage() {
        block.line("stage", &standing(stage, zone));
    }
    for (word, on) in [("on new", List::Enabled), ("on legacy", List::Disabled)] {
        let listed = rollout.tenants().filter(|(_, list)| *list == on);
        let ids: Vec<_> = listed.map(|(id, _)| shown(id)).collect();
        if !ids.is_empty() {
            block.line(word, &format!("{} listed: {}", ids.len(), ids.join(", ")));
        }
    }
    block.text
}

/// Text in the making.
struct Block {
    text: String,
}

impl Block {
    fn line(&mut self, word: &str, value: &str) {
        self.text
            .push_str(&format!("  {DIM}{word:INDENT$}{DIM:#}{value}\n"));
    }

    fn change(&mut self, word: &str, before: &str, after: &str) {
        if before != after {
            self.line(word, &format!("{before} -> {after}"));
        }
    }
}

/// What is different after it, and nothing else.
fn changes(entry: &Entry, zone: &TimeZone, block: &mut Block) {
    let (before, after) = (&entry.before, &entry.after);
    let yes = |it: bool| if it { "yes" } else { "no" };
    let stage = |it: &Option<Standing>| {
        let said = it.as_ref().map(|stage| standing(stage, zone));
        said.unwrap_or_else(|| "none".to_owned())
    };
    let former = |it: &Option<Former>| match it {
        Some(former) if former.enabled => former.percentage.to_string(),
        Some(former) => format!("{}, switched off", former.percentage),
        None => "none".to_owned(),
    };
    block.change("phase", before.phase.name(), after.phase.name());
    block.change(
        "percentage",
        &before.percentage.to_string(),
        &after.percentage.to_string(),
    );
    block.change("enabled", yes(before.enabled), yes(after.enabled));
    block.change("latched", yes(before.latched), yes(after.latched));
    block.change("moves calls", yes(before.moves_live), yes(after.moves_live));
    block.change("stopped", yes(before.stopped), yes(after.stopped));
    block.change("stage", &stage(&before.stage), &stage(&after.stage));
    block.change("former", &former(&before.former), &former(&after.former));
    let on = |listed: Option<Listed>| listed.map_or("on no list", Listed::name);
    for (id, listed) in &after.tenants {
        let was = before.tenants.get(id).copied().flatten();
        let word = format!("tenant {}", shown(id));
        if word.chars().count() < INDENT {
            block.change(&word, on(was), on(*listed));
        } else if was != *listed {
            let id = shown(id);
            block.line("tenant", &format!("{id}: {} -> {}", on(was), on(*listed)));
        }
    }
}

/// What a rule saw. Its words are the reason, mostly.
fn saw(evidence: &Evidence, reason: &str, block: &mut Block) {
    let measure = Measure::from_name(&evidence.measure);
    let amount = |value: Option<f64>| match (value, measure) {
        (Some(value), Some(measure)) => words::amount(measure, value),
        (Some(value), None) => value.to_string(),
        (None, _) => "unknown".to_owned(),
    };
    let over = match Duration::from_secs(evidence.over_secs) {
        whole if whole.as_secs() == STAGE.as_secs() => "the stage".to_owned(),
        over => words::span(over),
    };
    block.line(
        "rule",
        &format!("{}: {} over {over}", evidence.rule, evidence.measure),
    );
    block.line(
        "saw",
        &format!(
            "new {}, legacy {}, threshold {}; {} samples, {} failed",
            amount(evidence.value),
            amount(evidence.legacy),
            amount(evidence.threshold),
            evidence.samples,
            evidence.failed,
        ),
    );
    if let Some(early) = evidence.early {
        block.line("early", &format!("{:.0} % of what trips", early * 100.0));
    }
    if evidence.because != reason && !evidence.because.is_empty() {
        block.line("because", &mask_numbers(&evidence.because));
    }
    block.line("configuration", &evidence.config_hash);
}

fn toward_legacy(action: &Action) -> bool {
    matches!(
        action,
        Action::Reverse { .. }
            | Action::RollbackTenant
            | Action::RollbackPartial
            | Action::RollbackTotal
            | Action::StepBack { .. }
            | Action::DisableTenant { .. }
            | Action::EmergencyStop
            | Action::LatchedAtStart
            | Action::JournalDamaged { .. }
    )
}

fn standing(stage: &Standing, zone: &TimeZone) -> String {
    let since = time(stage.since, zone);
    format!("{} ({}), since {since}", stage.stage, stage.number)
}

/// To the second, with the offset: what people compare with other logs.
fn time(at: Wall, zone: &TimeZone) -> String {
    let moment = Timestamp::from_millisecond(at.0).unwrap_or(Timestamp::UNIX_EPOCH);
    let local = moment.to_zoned(zone.clone());
    local.strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}
