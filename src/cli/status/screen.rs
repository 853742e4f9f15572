//! The status as people see it: from 80 columns on, the worst news first.
//!
//! Colours stand in the text; whoever prints it takes them out where no terminal
//! looks on or `NO_COLOR` is set.

mod plan;
mod proof;
mod sides;

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::admin::shapes::{Rescues, Rule, Status, Tenants};
use crate::rules::words;
use crate::terminal::wrapped;

/// Columns of the smallest terminal we draw for.
const WIDTH: usize = 80;

/// Columns of a rule's name at most and, where room is scarce, at least; a longer
/// one ends in an ellipsis.
const NAME: usize = 28;
const NAME_LEAST: usize = 12;

/// From so many columns on, a verdict's reason stands beside it.
const WIDE: usize = 110;

/// Where values begin beside their words.
const INDENT: usize = 13;

const RED: Style = AnsiColor::Red.on_default().bold();
const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const BANNER: Style = AnsiColor::White
    .on_default()
    .bg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)))
    .bold();

/// How much there is to draw on.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Columns; fewer than 80 are taken for 80.
    pub columns: usize,
    /// Lines; None: as many as it takes.
    pub rows: Option<usize>,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            columns: WIDTH,
            rows: None,
        }
    }
}

/// The whole screen. With too few rows for everything, what is in order is said
/// without reasons.
pub fn screen(status: &Status, room: Room) -> Vec<String> {
    let full = drawn(status, room.columns, Reasons::Every);
    match room.rows {
        Some(rows) if full.len() >= rows => drawn(status, room.columns, Reasons::Urgent),
        _ => full,
    }
}

/// Which rows of the tables say why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reasons {
    /// All that do not pass.
    Every,
    /// Those that act, or would, or cannot.
    Urgent,
}

fn drawn(status: &Status, columns: usize, reasons: Reasons) -> Vec<String> {
    let mut lines = Vec::new();
    head(status, &mut lines);
    if let Some(seen) = &status.verification {
        proof::verification(seen, &mut lines);
    }
    plan::plan(status, &mut lines);
    tenants(&status.tenants, &mut lines);
    for note in &status.notes {
        lines.extend(beside("note", note, YELLOW));
    }
    lines.push(String::new());
    sides::backends(status, &mut lines);
    if !status.rules.is_empty() {
        lines.push(String::new());
        rules(&status.rules, columns.max(WIDTH), reasons, &mut lines);
    }
    let gates = status.plan.as_ref().map_or(&[][..], |plan| &plan.gates);
    if !gates.is_empty() && !status.latched {
        lines.push(String::new());
        rules(gates, columns.max(WIDTH), reasons, &mut lines);
    }
    lines
}

fn head(status: &Status, lines: &mut Vec<String>) {
    if status.stopped {
        let banner =
            " EMERGENCY STOP: who calls anew hears the last resort until somebody resumes ";
        lines.push(paint(BANNER, &format!("{banner:<WIDTH$}")));
    } else if status.latched {
        let banner = " LATCHED: every new call goes to legacy until somebody resumes ";
        lines.push(paint(BANNER, &format!("{banner:<WIDTH$}")));
    }
    let colour = match status.phase.as_str() {
        "reversed" | "rolled-back" => RED,
        "held" => YELLOW,
        "soaking" | "complete" => GREEN,
        _ => BOLD,
    };
    let phase = match moment(status) {
        Some(moment) => format!("{} since {moment}", status.phase),
        None => status.phase.clone(),
    };
    lines.extend(beside("phase", &phase, colour));
    if let Some(because) = &status.because {
        lines.extend(beside("because", because, Style::new()));
    }
    let percentage = match (status.enabled, status.latched) {
        (_, true) if status.percentage > 0.0 => {
            format!("{} % asked for, 0 % in force", status.percentage)
        }
        (false, false) => format!("{} % asked for, but the split is off", status.percentage),
        (true, _) | (_, true) => format!("{} % to new", status.percentage),
    };
    lines.extend(beside("percentage", &percentage, BOLD));
    if let Some(former) = status.former_percentage.filter(|former| *former > 0.0) {
        let text = format!("at 0 %, or with --percentage up to {former}");
        lines.extend(beside("resume", &text, Style::new()));
    }
    let condition = &status.condition;
    let colour = match condition.state.as_str() {
        "both" | "legacy" => Some(RED),
        "new" => Some(YELLOW),
        // An older Switchback says nothing here.
        _ => None,
    };
    if let Some(colour) = colour {
        lines.extend(beside("failing", &condition.says, colour));
    }
    lines.extend(rescues(&status.rescues));
    if !status.durable {
        let text = "not everything that was decided is on disk; raises are refused";
        lines.extend(beside("disk", text, RED));
    }
    let running = format!(
        "generation {}, configuration {}, running for {}",
        status.generation,
        status.config_hash,
        span(status.uptime_s)
    );
    lines.extend(beside("routing", &running, DIM));
}

/// What callers got whom a backend failed; nothing where none did.
fn rescues(rescues: &Rescues) -> Vec<String> {
    let told = [
        (rescues.served, "answered by legacy"),
        (rescues.moved, "sent to its entry"),
        (rescues.late, "answered late by new"),
        (rescues.last_resort, "heard the last resort"),
        (rescues.failed, "got the failure"),
        (rescues.stopped, "were stopped"),
    ];
    let told: Vec<String> = told
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{} {what}", count(number)))
        .collect();
    if told.is_empty() {
        return Vec::new();
    }
    let unheard = rescues.last_resort + rescues.failed > 0;
    let colour = if unheard { YELLOW } else { Style::new() };
    let text = format!("{}; since the start", told.join(", "));
    beside("rescued", &text, colour)
}

/// When the phase began, to the second, and how long ago that is. None where it never
/// did: nothing was ever decided.
fn moment(status: &Status) -> Option<String> {
    let read = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let since = status.phase_since.as_ref()?;
    let Some(since) = read(since) else {
        return Some(since.clone());
    };
    let ago = read(&status.at).map(|now| now.as_second() - since.as_second());
    Some(match ago.and_then(|ago| u64::try_from(ago).ok()) {
        Some(ago) => format!("{since:.0} ({} ago)", span(ago)),
        None => format!("{since:.0}"),
    })
}

fn tenants(tenants: &Tenants, lines: &mut Vec<String>) {
    for (word, list) in [
        ("on new", &tenants.enabled),
        ("on legacy", &tenants.disabled),
    ] {
        if !list.is_empty() {
            let text = format!("{} by hand: {}", list.len(), list.join(", "));
            let text = cut(&text, WIDTH - INDENT);
            lines.push(format!("{word:INDENT$}{text}"));
        }
    }
}

fn rules(rules: &[Rule], columns: usize, reasons: Reasons, lines: &mut Vec<String>) {
    let mut drawn = rows(rules, NAME);
    // Names give way first: they can be read in full in `-o json`.
    let widest = drawn.iter().map(|line| line.chars().count()).max();
    let excess = widest.unwrap_or_default().saturating_sub(WIDTH);
    if excess > 0 {
        drawn = rows(rules, NAME.saturating_sub(excess).max(NAME_LEAST));
    }
    let mut drawn = drawn.into_iter();
    lines.extend(drawn.next().map(|head| paint(DIM, &head)));
    // No cell breaks, so a row is a line.
    for (line, rule) in drawn.zip(rules) {
        let (word, style) = verdict(rule);
        let line = line.strip_suffix(word).unwrap_or(&line);
        let urgent = rule.firing || rule.withheld.is_some() || rule.blind;
        let why = match rule.withheld.as_deref() {
            Some(withheld) => withheld,
            None if urgent => &rule.because,
            None => lacking(rule),
        };
        let passes = rule.verdict == "pass" && !urgent;
        if columns >= WIDE && !passes && !urgent {
            let text = format!("{word}: {why}");
            let room = columns - 1 - line.chars().count();
            lines.push(format!("{line}{}", paint(style, &cut(&text, room))));
            continue;
        }
        lines.push(format!("{line}{}", paint(style, word)));
        // Green rows need no words, nor does one whose column says "7/20".
        let counted = rule.samples > 0 && rule.samples < rule.calls_min;
        let asked = urgent || (reasons == Reasons::Every && !passes && !counted);
        if asked && !why.is_empty() {
            for part in wrapped(why, WIDTH - 4) {
                lines.push(paint(style, &format!("    {}", cut(&part, WIDTH - 4))));
            }
        }
    }
}

/// What a row without a verdict lacks: the last thing it says, or, where there is no
/// value at all, why not.
fn lacking(rule: &Rule) -> &str {
    let because = rule.because.as_str();
    match rule.value {
        Some(_) => because.rsplit("; ").next().unwrap_or(because),
        None => because.strip_suffix("; no verdict").unwrap_or(because),
    }
}

/// The table of the rules without colours, a line a row, names cut to so many columns.
fn rows(rules: &[Rule], name: usize) -> Vec<String> {
    let mut table = table(&["rule", "then", "new", "legacy", "limit", "calls", "verdict"]);
    for rule in rules {
        table.add_row([
            cut(&rule.name, name),
            rule.action.clone(),
            value(&rule.unit, rule.value),
            value(&rule.unit, rule.legacy),
            value(&rule.unit, Some(rule.threshold)),
            evidence(rule),
            verdict(rule).0.to_owned(),
        ]);
    }
    // These columns are words, not numbers.
    for words in [1, 6] {
        if let Some(column) = table.column_mut(words) {
            column.set_cell_alignment(CellAlignment::Left);
        }
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// The calls behind a value; beside those it needs, while they are fewer.
fn evidence(rule: &Rule) -> String {
    if rule.samples < rule.calls_min {
        format!("{}/{}", count(rule.samples), count(rule.calls_min))
    } else {
        count(rule.samples)
    }
}

/// The one word of a row that matters most now, and its colour.
fn verdict(rule: &Rule) -> (&str, Style) {
    if rule.action == "gate" && rule.verdict == "trip" {
        return ("not met", YELLOW);
    }
    if rule.firing {
        ("TRIP", RED)
    } else if rule.withheld.is_some() {
        ("withheld", YELLOW)
    } else if rule.blind {
        ("blind", YELLOW)
    } else {
        match rule.verdict.as_str() {
            "pass" => ("pass", GREEN),
            "trip" => ("trip", RED),
            word => (word, DIM),
        }
    }
}

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(head);
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if i > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A word and its text, broken at spaces so that it stays beside the word.
fn beside(word: &str, text: &str, style: Style) -> Vec<String> {
    let lines = wrapped(text, WIDTH - INDENT);
    let word = |i: usize| if i == 0 { word } else { "" };
    let lines = lines.iter().map(|line| cut(line, WIDTH - INDENT));
    lines
        .enumerate()
        .map(|(i, line)| format!("{:INDENT$}{}", word(i), paint(style, &line)))
        .collect()
}

/// A value in its unit: `22.6 %`, `840 ms`, `3.4 s`, `4 min 12 s`, `15`; a dash for none.
fn value(unit: &str, value: Option<f64>) -> String {
    match (value, unit) {
        (None, _) => "–".to_owned(),
        (Some(share), "share") => trimmed(share * 100.0) + " %",
        (Some(ms), "ms") if ms >= 1_000.0 => trimmed(ms / 1000.0) + " s",
        (Some(ms), "ms") => format!("{ms:.0} ms"),
        (Some(seconds), "s") => words::lasting(seconds),
        (Some(number), _) => trimmed(number),
    }
}

/// One digit behind the point, none where it would be 0.
fn trimmed(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0")
        .map_or_else(|| text.clone(), str::to_owned)
}

/// `12,345`.
fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `3 h 12 min`, `12 min 5 s`.
fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// At most so many characters; what was cut shows as an ellipsis.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most - 1).collect();
    kept + "…"
}

fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

#[cfg(test)]
mod tests;
