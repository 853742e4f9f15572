//! What one sees: a table redrawn in place on a terminal, a line now and then
//! where there is none.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::Ordering;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::callers::Ledger;
use super::{Fault, Options};
use crate::engine::{BackendStatus, RuleStatus, Status};
use crate::model::Backend;
use crate::rules::Unit;
use crate::serve::Running;

/// How a line is meant.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tone {
    Good,
    Bad,
}

#[derive(Debug)]
pub(super) struct Screen {
    terminal: bool,
    /// Lines of the last frame, to go back over.
    drawn: usize,
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
const YELLOW: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow)));

pub(super) fn heading(text: &str) -> String {
    format!("{BOLD}{text}{BOLD:#}")
}

impl Screen {
    pub(super) fn new() -> Self {
        Self {
            terminal: std::io::stdout().is_terminal(),
            drawn: 0,
            due: 0,
        }
    }

    pub(super) fn opening(&self, running: &Running, options: Options) -> std::io::Result<()> {
        let mut out = anstream::stdout().lock();
        writeln!(out, "{}", heading("Switchback demo"))?;
        writeln!(
            out,
            "  Callers dial in; the proxy sends a quarter of the tenants to the new backend."
        )?;
        if options.fault != Fault::None {
            writeln!(
                out,
                "  In a moment the new backend breaks. Watch what the callers notice of it."
            )?;
        }
        writeln!(
            out,
            "  {DIM}webhooks http://{}   status, API and metrics http://{}{DIM:#}",
            running.webhooks, running.admin
        )?;
        writeln!(
            out,
            "  {DIM}in another terminal: switchback --admin http://{} status --watch{DIM:#}\n",
            running.admin
        )
    }

    /// A line that stays, above the table.
    pub(super) fn say(&mut self, tone: Tone, text: &str) -> std::io::Result<()> {
        let style = match tone {
            Tone::Good => GREEN,
            Tone::Bad => RED,
        };
        let mut out = anstream::stdout().lock();
        self.wipe(&mut out)?;
        writeln!(out, "{style}» {text}{style:#}")
    }

    pub(super) fn frame(
        &mut self,
        running: &Running,
        ledger: &Ledger,
        since: Duration,
        chapter: String,
    ) -> std::io::Result<()> {
        let status = running.status();
        let mut out = anstream::stdout().lock();
        if !self.terminal {
            if since.as_secs() < self.due {
                return Ok(());
            }
            self.due = since.as_secs() + 2;
            return writeln!(
                out,
                "{:>4} s  {}  {chapter}",
                since.as_secs(),
                one_line(&status)
            );
        }
        let lines = table(&status, ledger, since, &chapter);
        self.wipe(&mut out)?;
        for line in &lines {
            writeln!(out, "{line}")?;
        }
        self.drawn = lines.len();
        Ok(())
    }

    fn wipe(&mut self, out: &mut impl std::io::Write) -> std::io::Result<()> {
        if self.drawn > 0 {
            // Up to the first line of the last frame, and clear to the end of the screen.
            write!(out, "\x1b[{}A\x1b[J", self.drawn)?;
        }
        self.drawn = 0;
        Ok(())
    }
}

fn one_line(status: &Status) -> String {
    let side = |backend: Backend| {
        let it = &status.backends[backend];
        format!(
            "{backend}: {} calls, {} active, errors {}",
            it.calls,
            it.calls_active,
            share(it.error_rate)
        )
    };
    format!(
        "{} {}  {}  {}",
        status.phase.name(),
        status.percentage,
        side(Backend::Legacy),
        side(Backend::New)
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
            "  {BOLD}{:<8} {:>7} {:>7} {:>9} {:>9} {:>9} {:>10}{BOLD:#}",
            "", "calls", "active", "webhooks", "errors", "mean", "abandoned"
        ),
    ];
    lines.extend(Backend::ALL.map(|backend| row(backend, &status.backends[backend])));
    lines.push(String::new());
    lines.extend(status.rules.iter().map(rule));
    lines.push(String::new());
    lines.push(format!(
        "  callers: {} on the line, {} served, {} gave up, {} heard a failure",
        ledger.running.load(Ordering::Relaxed),
        ledger.served.load(Ordering::Relaxed),
        ledger.gave_up.load(Ordering::Relaxed),
        ledger.heard_failure.load(Ordering::Relaxed),
    ));
    lines
}

fn row(backend: Backend, it: &BackendStatus) -> String {
    let mean = it
        .response_time_mean_ms
        .map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0} ms"));
    format!(
        "  {:<8} {:>7} {:>7} {:>9} {:>9} {:>9} {:>10}",
        backend.name(),
        it.calls,
        it.calls_active,
        it.webhooks,
        share(it.error_rate),
        mean,
        share(it.abandonment_rate)
    )
}

fn rule(it: &RuleStatus) -> String {
    let show = |value: f64| match it.measure.unit() {
        Unit::Share => format!("{:.1} %", value * 100.0),
        Unit::Millis => format!("{value:.0} ms"),
        Unit::Number => format!("{value:.0}"),
    };
    let finding = &it.finding;
    let style = match (it.firing, finding.value) {
        (true, _) => RED,
        (false, None) => DIM,
        (false, Some(_)) => YELLOW,
    };
    let value = finding.value.map_or_else(|| "no evidence".to_owned(), show);
    format!(
        "  {style}{:<16} {:>12} of {:<9} {:>5} calls  {}{style:#}",
        finding.rule,
        value,
        show(finding.threshold),
        finding.samples,
        finding.verdict.name()
    )
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{:.1} %", value * 100.0))
}
