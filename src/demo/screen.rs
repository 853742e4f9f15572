//! What one sees: a table redrawn in place on a terminal, a line now and then
//! where there is none.

use std::io::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::ledger::Ledger;
use super::{Fault, GOOD_TIMES, Options};
use crate::engine::{BackendStatus, RuleStatus, Status, Verification};
use crate::model::Backend;
use crate::rules::{Verdict, words};
use crate::serve::Running;
use crate::terminal::{Terminal, wrapped};

/// How a line is meant.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tone {
    Good,
    Bad,
}

/// Columns of text; frames fit a terminal of 80 by 24.
const TEXT: usize = 76;

#[derive(Debug)]
pub(super) struct Screen {
    terminal: Option<Terminal>,
    /// Without a terminal, the next second at which a line is due.
    due: u64,
}

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const RED: Style = Style::new()
    .bold()
    .fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));
const GREEN: Style = Style::new()
    .bold()
    .fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));

pub(super) fn heading(text: &str) -> String {
    format!("{BOLD}{text}{BOLD:#}")
}

/// A text as a line that stays, or a few.
pub(super) fn told(tone: Tone, text: &str, columns: usize) -> Vec<String> {
    let style = match tone {
        Tone::Good => GREEN,
        Tone::Bad => RED,
    };
    let lines = wrapped(text, columns);
    let lines = lines.iter().enumerate().map(|(i, line)| {
        let mark = if i == 0 { "»" } else { " " };
        format!("{style}{mark} {line}{style:#}")
    });
    lines.collect()
}

impl Screen {
    pub(super) fn new() -> Self {
        Self {
            terminal: Terminal::stdout().map(Terminal::below),
            due: 0,
        }
    }

    pub(super) fn opening(&mut self, running: &Running, options: Options) -> std::io::Result<()> {
        let mut text = format!(
            "Callers of sixteen tenants dial in, {} a second. The proxy sends a quarter of the \
             tenants to a new backend and the others to legacy.",
            options.calls_per_second
        );
        if options.fault != Fault::None {
            text.push_str(&format!(
                " In {} seconds new breaks down. Watch what the callers notice of it.",
                GOOD_TIMES.as_secs()
            ));
        }
        let mut lines = vec![heading("Switchback demo")];
        let inset = |line: &String| format!("  {line}");
        lines.extend(wrapped(&text, TEXT).iter().map(inset));
        let admin = running.admin;
        lines.push(format!(
            "  {DIM}status, API and metrics: http://{admin}   webhooks: {}{DIM:#}",
            running.webhooks
        ));
        lines.push(format!(
            "  {DIM}in another terminal: switchback --admin http://{admin} status --watch{DIM:#}"
        ));
        lines.push(String::new());
        self.stay(&lines)
    }

    /// A line that stays, above the table.
    pub(super) fn say(&mut self, tone: Tone, text: &str) -> std::io::Result<()> {
        self.stay(&told(tone, text, TEXT))
    }

    /// A line to be copied, so it is not broken.
    pub(super) fn command(&mut self, line: &str) -> std::io::Result<()> {
        self.stay(&[format!("  {line}")])
    }

    fn stay(&mut self, lines: &[String]) -> std::io::Result<()> {
        match &mut self.terminal {
            Some(terminal) => terminal.say(lines),
            None => {
                let mut out = anstream::stdout().lock();
                lines.iter().try_for_each(|line| writeln!(out, "{line}"))
            }
        }
    }

    pub(super) fn frame(
        &mut self,
        running: &Running,
        ledger: &Ledger,
        since: Duration,
        chapter: &str,
    ) -> std::io::Result<()> {
        let status = running.status();
        if let Some(terminal) = &mut self.terminal {
            return terminal.frame(&table(&status, ledger, since, chapter));
        }
        if since.as_secs() < self.due {
            return Ok(());
        }
        self.due = since.as_secs() + 2;
        let mut out = anstream::stdout().lock();
        writeln!(
            out,
            "{:>4} s  {}  {chapter}",
            since.as_secs(),
            one_line(&status, ledger)
        )
    }
}

fn one_line(status: &Status, ledger: &Ledger) -> String {
    let side = |backend: Backend| {
        let it = &status.backends[backend];
        format!(
            "{backend}: {} calls, {} active, errors {}, {} lost",
            it.calls,
            it.calls_active,
            share(it.error_rate),
            ledger.sides[backend].lost.load(Ordering::Relaxed)
        )
    };
    format!(
        "{} {}  {}  {}  {} rescued",
        status.phase.name(),
        status.percentage,
        side(Backend::Legacy),
        side(Backend::New),
        ledger.rescues()
    )
}

fn table(status: &Status, ledger: &Ledger, since: Duration, chapter: &str) -> Vec<String> {
    let phase = if status.latched { RED } else { GREEN };
    let mut lines = vec![
        format!(
            "{:>4} s  {phase}{}{phase:#}  {} to new   {DIM}{chapter}{DIM:#}",
            since.as_secs(),
            status.phase.name(),
            status.percentage
        ),
        String::new(),
        format!(
            "{DIM}{:<10}what the proxy sees{:>24}what its callers got{DIM:#}",
            "", ""
        ),
        format!(
            "  {BOLD}{:<7} {:>6} {:>6} {:>7} {:>8} {:>9}   {:>7} {:>7} {:>5}{BOLD:#}",
            "", "calls", "active", "errors", "mean", "abandoned", "served", "hung up", "lost"
        ),
    ];
    lines.extend(Backend::ALL.map(|backend| row(backend, &status.backends[backend], ledger)));
    lines.push(rescued(ledger));
    lines.push(String::new());
    match status.verification.as_ref().filter(|_| status.latched) {
        Some(seen) => lines.extend(afterwards(seen, ledger)),
        None => lines.extend(rules(&status.rules)),
    }
    lines
}

fn row(backend: Backend, it: &BackendStatus, ledger: &Ledger) -> String {
    let mean = it
        .response_time_mean_ms
        .map_or_else(|| "–".to_owned(), |ms| format!("{ms:.0} ms"));
    let callers = &ledger.sides[backend];
    let lost = callers.lost.load(Ordering::Relaxed);
    let style = if lost > 0 { RED } else { Style::new() };
    format!(
        "  {:<7} {:>6} {:>6} {:>7} {:>8} {:>9}   {:>7} {:>7} {style}{lost:>5}{style:#}",
        backend.name(),
        it.calls,
        it.calls_active,
        share(it.error_rate),
        mean,
        share(it.abandonment_rate),
        callers.served.load(Ordering::Relaxed),
        callers.hung_up.load(Ordering::Relaxed),
    )
}

/// Calls that would have failed and did not.
fn rescued(ledger: &Ledger) -> String {
    let count = ledger.rescues();
    let style = if count > 0 { GREEN } else { DIM };
    format!(
        "  {:<7} {style}{count:>6}{style:#}  calls that new failed and legacy took over",
        "rescued"
    )
}

/// What counts once everything went to legacy. The rows of the table have nothing
/// left to judge.
fn afterwards(seen: &Verification, ledger: &Ledger) -> Vec<String> {
    let proof = if seen.new_calls_on_new == 0 {
        GREEN
    } else {
        RED
    };
    let mut lines = vec![format!("  {BOLD}since the reversal{BOLD:#}")];
    for (style, count, what) in [
        (
            proof,
            seen.new_calls_on_new,
            "new calls on new; must stay 0",
        ),
        (
            Style::new(),
            seen.live_on_new,
            "calls left on new, finishing where they are",
        ),
        (
            Style::new(),
            ledger.spared.load(Ordering::Relaxed),
            "callers of new's tenants served by legacy instead",
        ),
    ] {
        lines.push(format!("  {style}{count:>6}{style:#}  {what}"));
    }
    lines
}

fn rules(rules: &[RuleStatus]) -> Vec<String> {
    let head = format!(
        "  {BOLD}{:<16}{BOLD:#} {BOLD}{:>9} {:>9} {:>6}{BOLD:#}",
        "rule", "new", "limit", "calls"
    );
    std::iter::once(head)
        .chain(rules.iter().map(rule))
        .collect()
}

fn rule(it: &RuleStatus) -> String {
    let show = |value: f64| words::amount(it.measure, value);
    let finding = &it.finding;
    let style = match (it.firing, finding.verdict) {
        (true, _) => RED,
        (false, Verdict::Inconclusive) => DIM,
        (false, _) => GREEN,
    };
    let few = u64::from(it.calls_min);
    let verdict = match finding.verdict {
        Verdict::Inconclusive if finding.samples < few => {
            format!("{}: {few} calls needed", finding.verdict.name())
        }
        verdict => verdict.name().to_owned(),
    };
    format!(
        "  {:<16} {:>9} {:>9} {:>6}  {style}{verdict}{style:#}",
        finding.rule,
        finding.value.map_or_else(|| "–".to_owned(), show),
        show(finding.threshold),
        finding.samples,
    )
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{:.1} %", value * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Action, Finding, Measure};
    use crate::terminal::width;

    fn status(latched: bool) -> Status {
        let row = |rule: &str, samples| RuleStatus {
            finding: Finding {
                rule: rule.to_owned(),
                value: Some(0.125),
                threshold: 0.1,
                legacy: None,
                samples,
                failed: 0,
                early: None,
                verdict: Verdict::Inconclusive,
                blind: false,
                withheld: None,
                tenants: Vec::new(),
                because: String::new(),
            },
            measure: Measure::ErrorRate,
            action: Action::Reverse,
            over: Duration::from_secs(30),
            calls_min: 20,
            priority: None,
            firing: false,
        };
        Status {
            latched,
            rules: vec![
                row("errors", 7),
                row("slow", 12_345),
                row("abandoned", 0),
                row("errors rising", 7),
            ],
            verification: latched.then(|| Verification {
                live_on_new: 12,
                measures_normal: true,
                ..Verification::default()
            }),
            ..Status::default()
        }
    }

    #[test]
    fn a_frame_fits_a_small_terminal_below_the_opening_and_the_story() {
        for latched in [false, true] {
            let chapter = "reversed 100 s ago, until a person resumes";
            let since = Duration::from_secs(100);
            let lines = table(&status(latched), &Ledger::default(), since, chapter);
            assert!(lines.len() <= 24 - 11, "{} lines", lines.len());
            for line in &lines {
                assert!(width(line) < 80, "{} columns: {line}", width(line));
            }
        }
    }

    #[test]
    fn rescues_are_seen_in_a_frame_and_in_a_line() {
        let book = Ledger::default();
        let mut line = book.begin("n");
        book.rescued(&mut line, Duration::from_millis(20));
        let frame = table(&status(false), &book, Duration::ZERO, "").join("\n");
        assert!(frame.contains("rescued"), "{frame}");
        assert!(frame.contains("     1"), "{frame}");
        let line = one_line(&status(false), &book);
        assert!(line.ends_with("  1 rescued"), "{line}");
    }

    #[test]
    fn a_row_without_a_verdict_says_what_it_lacks_and_after_a_reversal_the_proof_stands_there() {
        let told = |latched| {
            let since = Duration::ZERO;
            table(&status(latched), &Ledger::default(), since, "").join("\n")
        };
        assert!(told(false).contains("inconclusive: 20 calls needed"));
        let after = told(true);
        assert!(after.contains("new calls on new; must stay 0"), "{after}");
        assert!(after.contains("    12"), "{after}");
        assert!(!after.contains("inconclusive"), "{after}");
    }
}
