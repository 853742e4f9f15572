//! How soon each row would notice a fault in each stage, as a table that people read
//! before they begin one.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::config::Config;
use crate::rollout::forecast::{Forecast, forecast};
use crate::rules::{Action, Rule};

/// The faults that are looked at: as shares of the calls on new.
const FAULTS: [(f64, &str); 4] = [
    (1.0, "all fail"),
    (0.3, "30 % fail"),
    (0.1, "10 % fail"),
    (0.05, "5 % fail"),
];

/// One stage, and what each row makes of each fault in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stage {
    /// Its name.
    pub(super) name: String,
    /// What is known of its traffic, in words.
    pub(super) traffic: String,
    /// A row may stand here several times, once for each fault.
    pub(super) rows: Vec<Forecast>,
}

/// Everything there is to say about the plan's stages; nothing where there is no plan.
pub(super) fn lines(config: &Config) -> Vec<String> {
    let Some(plan) = &config.plan else {
        return Vec::new();
    };
    let Some(calls) = plan.calls_per_hour else {
        return vec![
            "how soon a fault would be noticed depends on the traffic: say calls_per_hour under [plan] \
             to see it here, or look at `switchback status` once there was some"
                .to_owned(),
        ];
    };
    // What alone tells people is no protection, and would make the table too long to read.
    let rules: Vec<Rule> = (config.rules.iter())
        .filter(|rule| rule.action != Action::Alert)
        .cloned()
        .collect();
    let stages = plan.stages.iter().map(|stage| {
        let on_new = calls * stage.percentage.as_f64() / 100.0;
        let traffic = if on_new > 0.0 {
            let share = stage.percentage;
            format!(
                "{share} of {calls} calls an hour: about {} on new",
                short(on_new)
            )
        } else {
            "only tenants picked by hand, whose calls nobody has stated".to_owned()
        };
        Stage {
            name: stage.name.clone(),
            traffic,
            rows: if on_new > 0.0 {
                forecast(&rules, on_new / 60.0)
            } else {
                Vec::new()
            },
        }
    });
    stages.flat_map(|stage| drawn(&stage)).collect()
}

/// A heading, then the table.
fn drawn(stage: &Stage) -> Vec<String> {
    let mut lines = vec![format!("stage {}: {}", stage.name, stage.traffic)];
    let mut names: Vec<&str> = Vec::new();
    let trips = |row: &&Forecast| row.calls.is_some() || row.beyond.is_some();
    for row in stage.rows.iter().filter(trips) {
        if !names.contains(&row.rule.as_str()) {
            names.push(&row.rule);
        }
    }
    if names.is_empty() {
        return lines;
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(std::iter::once("noticed by").chain(FAULTS.map(|(_, said)| said)));
    for name in names {
        let cells = FAULTS.map(|(fault, _)| {
            let row = (stage.rows.iter())
                .find(|row| row.rule == name && (row.fault - fault).abs() < 1e-9);
            row.map_or_else(|| "never".to_owned(), cell)
        });
        table.add_row(std::iter::once(name.to_owned()).chain(cells));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    lines.extend(table.lines().map(|line| format!("  {}", line.trim_end())));
    lines
}

/// `12 min, 6 calls, 6 lost`: until it is noticed, and whom it costs. Of a row about one
/// tenant nobody knows how often that tenant calls.
fn cell(row: &Forecast) -> String {
    let Some(calls) = row.calls else {
        return row
            .beyond
            .map_or_else(|| "never".to_owned(), |beyond| beyond.short());
    };
    let lost = short(row.callers.unwrap_or(calls * row.fault));
    let calls = short(calls);
    match row.minutes {
        Some(minutes) => format!("{}, {calls} calls, {lost} lost", time(minutes)),
        None => format!("{calls} calls of it, {lost} lost"),
    }
}

/// Minutes as people say them.
fn time(minutes: f64) -> String {
    if minutes < 1.0 {
        format!("{} s", (minutes * 60.0).ceil())
    } else if minutes < 120.0 {
        format!("{} min", short(minutes))
    } else if minutes < 48.0 * 60.0 {
        format!("{} h", short(minutes / 60.0))
    } else {
        format!("{} d", short(minutes / 1440.0))
    }
}

/// Two figures are enough of a forecast.
fn short(number: f64) -> String {
    if number < 10.0 {
        let text = format!("{number:.1}");
        text.strip_suffix(".0").unwrap_or(&text).to_owned()
    } else {
        format!("{number:.0}")
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::rollout::forecast::Beyond;

    fn row(rule: &str, fault: f64, calls: Option<f64>) -> Forecast {
        Forecast {
            rule: rule.to_owned(),
            fault,
            calls,
            minutes: calls.map(|calls| calls * 2.0),
            callers: calls.map(|calls| calls * fault),
            beyond: None,
        }
    }

    #[test]
    fn a_stage_reads_like_this() {
        let stage = Stage {
            name: "pilot".to_owned(),
            traffic: "5 % of 600 calls an hour: about 30 on new".to_owned(),
            rows: vec![
                row("errors-10-5m", 1.0, Some(5.9)),
                row("errors-10-5m", 0.3, Some(21.4)),
                row("errors-10-5m", 0.1, None),
                Forecast {
                    beyond: Some(Beyond {
                        calls: 72.0,
                        minutes: Some(1440.0),
                    }),
                    ..row("seldom", 0.3, None)
                },
                row("slow", 1.0, Some(0.25)),
                row("slow", 0.3, Some(100.0)),
                row("slow", 0.1, Some(3000.0)),
                row("slow", 0.05, Some(30_000.0)),
                row("critical", 1.0, None),
                Forecast {
                    minutes: None,
                    ..row("one tenant", 1.0, Some(6.0))
                },
            ],
        };
        let text = "\
stage pilot: 5 % of 600 calls an hour: about 30 on new
   noticed by                       all fail                  30 % fail                    10 % fail                       5 % fail
   errors-10-5m   12 min, 5.9 calls, 5.9 lost  43 min, 21 calls, 6.4 lost                        never                          never
   seldom  never  > 1 day  never  never
   slow             30 s, 0.2 calls, 0.2 lost  3.3 h, 100 calls, 30 lost  4.2 d, 3000 calls, 300 lost  42 d, 30000 calls, 1500 lost
   one tenant    6 calls of it, 6 lost  never  never  never";
        let lines = drawn(&stage);
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(
            lines.iter().map(|line| words(line)).collect::<Vec<_>>(),
            text.lines().map(words).collect::<Vec<_>>()
        );
        let widths: Vec<usize> = lines
            .iter()
            .skip(1)
            .map(|line| line.chars().count())
            .collect();
        assert!(
            widths.windows(2).all(|two| two[0] == two[1]),
            "columns stand under each other: {lines:#?}"
        );
    }

    #[test]
    fn without_traffic_the_one_line_that_is_missing_is_named() {
        let read = |plan: &str| {
            let text = format!(
                "backend.legacy.url = \"http://127.0.0.1:3001\"\n\
                 backend.new.url = \"http://127.0.0.1:3002\"\n\
                 [[route]]\npath = \"/ivr\"\nprotocol = \"twilio\"\n{plan}"
            );
            let loaded = crate::config::load_text(Path::new("t.toml"), text);
            lines(&loaded.unwrap_or_else(|report| panic!("{report}")).config)
        };
        assert_eq!(read(""), [""; 0], "no plan, no forecast");
        let stages =
            "[[plan.stage]]\nname = \"a\"\npercentage = 0\nsoak = \"1h\"\ntenants = [\"t\"]\n";
        let told = read(&format!("[plan]\n{stages}"));
        assert_eq!(told.len(), 1);
        assert!(
            told[0].contains("say calls_per_hour under [plan]"),
            "{told:?}"
        );
        let told = read(&format!("[plan]\ncalls_per_hour = 60\n{stages}"));
        assert_eq!(
            told,
            ["stage a: only tenants picked by hand, whose calls nobody has stated"]
        );
    }
}
