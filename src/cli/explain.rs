//! `switchback explain`.

use std::io::Write;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::client::Client;
use super::{Failure, Output};

/// What to explain, and how to print it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whom.
    #[command(flatten)]
    pub subject: Subject,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Whom to explain: one of the two.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Subject {
    /// Where this tenant's next call would go
    #[arg(long, value_name = "ID")]
    pub tenant: Option<String>,
    /// Where the call with this provider id is
    #[arg(long, value_name = "ID")]
    pub call: Option<String>,
}

/// Shows where it goes, and why.
pub(super) fn run(args: &Args, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    let (word, id) = match (&args.subject.tenant, &args.subject.call) {
        (Some(tenant), _) => ("tenant", tenant),
        (None, Some(call)) => ("call", call),
        (None, None) => return Err(Failure::Usage("say --tenant or --call".to_owned())),
    };
    let id = utf8_percent_encode(id, NON_ALPHANUMERIC);
    let explanation: Value = client
        .get(&format!("/api/v1/explain?{word}={id}"))?
        .read()?;
    match args.output {
        Output::Json => writeln!(out, "{explanation}")?,
        Output::Text => out.write_all(lines(&explanation).as_bytes())?,
    }
    Ok(())
}

/// One line a field, values aligned.
fn lines(explanation: &Value) -> String {
    let Value::Object(fields) = explanation else {
        return format!("{explanation}\n");
    };
    let width = fields.keys().map(|name| name.chars().count()).max();
    let width = width.unwrap_or_default() + 2;
    let mut text = String::new();
    for (name, value) in fields {
        let value = match value {
            Value::Null => "–".to_owned(),
            Value::String(value) => value.clone(),
            value => value.to_string(),
        };
        text.push_str(&format!("{:width$}{value}\n", name.replace('_', " ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_under_each_other() {
        let explanation = serde_json::json!({
            "backend": "new", "because": "hashed", "bucket": 7, "pinned_since": null,
        });
        let text = "\
backend       new
because       hashed
bucket        7
pinned since  –
";
        assert_eq!(lines(&explanation), text);
    }
}
