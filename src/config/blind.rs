//! Rows that cannot see: at the traffic an operator states, new gets too few
//! calls within a row's span for the row ever to say anything.

use super::Config;
use super::problem::Problem;
use super::text::Span;
use crate::model::Percentage;
use crate::rules::blind::{calls_needed, sees};
use crate::rules::{Action, Rule};

impl Config {
    /// A warning for each row that is blind at so many new calls a minute over
    /// both backends.
    ///
    /// Taken at the file's own percentage; where that is 0 or the split is off,
    /// at 100 %, because a row that is blind even then never sees. A row with the
    /// sequential test is never blind: it needs no full window.
    pub fn blind_rows(&self, calls_per_minute: f64) -> Vec<Problem> {
        let asked = self.wishes.percentage;
        let share = if self.wishes.enabled && asked > Percentage::ZERO {
            asked
        } else {
            Percentage::FULL
        };
        self.rules
            .iter()
            .zip(&self.rows)
            .filter_map(|(rule, span)| {
                let (message, help) = blind(rule, calls_per_minute, share)?;
                Some(Problem::warning(span.clone(), message).help(help))
            })
            .collect()
    }
}

fn blind(rule: &Rule, calls_per_minute: f64, share: Percentage) -> Option<(String, String)> {
    let part = share.as_f64() / 100.0;
    if sees(rule, part * calls_per_minute) {
        return None;
    }
    let need = f64::from(calls_needed(rule));
    let minutes = rule.over.as_secs_f64() / 60.0;
    let seen = part * calls_per_minute * minutes;
    let message = format!(
        "`{}` is blind: at {share} of {calls_per_minute} calls a minute new gets about {:.1} calls in {}, \
         and the row needs {need}",
        rule.name,
        seen,
        Span(rule.over),
    );
    let calls = (need / (part * minutes)).ceil();
    let mut ways = vec![format!("it would see at {calls} calls a minute")];
    let percent = 100.0 * need / (calls_per_minute * minutes);
    if percent < 100.0 {
        ways.push(format!("at {} %", percent.ceil()));
    }
    let span = (60.0 * need / (part * calls_per_minute)).ceil();
    if span <= 3600.0 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let span = std::time::Duration::from_secs(span as u64);
        ways.push(format!("with over = \"{}\"", Span(span)));
    }
    ways.push("or with a smaller `calls_min`".to_owned());
    if rule.action == Action::Reverse {
        ways.push("or with `early`".to_owned());
    }
    Some((message, ways.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Config, load_text};

    fn config(percentage: u32, row: &str) -> Config {
        let text = format!(
            r#"
            backend.legacy.url = "http://127.0.0.1:3001"
            backend.new.url = "http://127.0.0.1:3002"
            [[route]]
            path = "/ivr"
            protocol = "twilio"
            [split]
            percentage = {percentage}
            [[reversal]]
            measure = "error_rate"
            above = "10%"
            over = "5m"
            action = "reverse"
            {row}
            "#
        );
        load_text(Path::new("t.toml"), text).unwrap().config
    }

    #[test]
    fn a_row_without_the_early_test_is_blind_one_call_a_minute_too_low() {
        let config = config(10, "early = false");
        // 10 % of 40 a minute over five minutes are the twenty it needs.
        assert_eq!(config.blind_rows(40.0).len(), 0);
        let told = config.blind_rows(39.0);
        assert!(told[0].message.contains("19.5 calls in 5m"), "{told:?}");
        let help = told[0].help.as_deref().unwrap();
        assert!(help.contains("40 calls a minute, at 11 %"), "{help}");
    }

    #[test]
    fn the_early_test_is_never_blind() {
        assert_eq!(config(10, "").blind_rows(0.1).len(), 0);
    }

    #[test]
    fn rows_of_ended_calls_are_blind_where_too_few_calls_are() {
        for (measure, threshold) in [("failed_call_rate", "10%"), ("call_duration_mean", "4m")] {
            let row = format!(
                "early = false\n[[reversal]]\nmeasure = \"{measure}\"\nabove = \"{threshold}\"\n\
                 over = \"5m\"\naction = \"reverse\"\n"
            );
            let row = match measure {
                "failed_call_rate" => row + "early = false",
                _ => row,
            };
            let config = config(10, &row);
            assert_eq!(config.blind_rows(40.0).len(), 0, "{measure}");
            assert_eq!(config.blind_rows(39.0).len(), 2, "{measure}");
        }
    }

    #[test]
    fn at_zero_percent_the_question_is_whether_it_ever_sees() {
        let config = config(0, "early = false");
        assert_eq!(config.blind_rows(4.0).len(), 0);
        assert!(config.blind_rows(3.9)[0].message.contains("100 %"));
        assert_eq!(config.blind_rows(0.0).len(), 1, "no traffic at all");
        assert_eq!(config.blind_rows(f64::NAN).len(), 1);
    }
}
