//! What a backend tells of its own time: `Server-Timing: db;dur=12.5`.

use http::{HeaderMap, HeaderName};

static SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Time its data took, in microseconds: the sum of every metric named `db`. None if
/// it tells none. `dur` counts milliseconds (W3C Server Timing).
pub(super) fn data_us(headers: &HeaderMap) -> Option<u32> {
    let mut total = None;
    for value in headers.get_all(&SERVER_TIMING) {
        let metrics = value.to_str().unwrap_or_default().split(',');
        for took in metrics.filter_map(data_ms) {
            total = Some(total.unwrap_or(0.0) + took);
        }
    }
    // Beyond an hour it is no time anybody waited for.
    let total = total.filter(|ms| (0.0..3_600_000.0).contains(ms))?;
    // In range by the line above.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Some((total * 1000.0) as u32)
}

/// The duration of one metric, if it is the data's.
fn data_ms(metric: &str) -> Option<f64> {
    let mut parts = metric.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case("db") {
        return None;
    }
    parts
        .filter_map(|part| part.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("dur"))
        .and_then(|(_, value)| value.trim().trim_matches('"').parse().ok())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_time_of_the_data_is_read_and_nothing_else() {
        for (values, expected) in [
            (&["db;dur=12"][..], Some(12_000)),
            (&["cache;desc=hit, db; dur=0.25 ;desc=\"calls\""], Some(250)),
            (&["DB;DUR=\"3\""], Some(3000)),
            (&["db;dur=1", "db;dur=2, app;dur=50"], Some(3000)),
            (&["db"], None),
            (&["db;dur=soon"], None),
            (&["db;dur=-1"], None),
            (&["db;dur=1e300"], None),
            (&["dbx;dur=1", "total;dur=9"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(&SERVER_TIMING, HeaderValue::from_static(value));
            }
            assert_eq!(data_us(&headers), expected, "{values:?}");
        }
    }
}
