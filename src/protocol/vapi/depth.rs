//! Is a JSON text nested deeper than anybody means it?
//!
//! A million opening brackets cost their sender a megabyte and a reader its
//! memory or its stack. Looked at before anything is parsed, without allocating.

use memchr::memchr2;

/// The deepest nesting that is read. A Vapi message, its tools' schemas included,
/// stays under thirty.
pub const MAX_DEPTH: usize = 100;

/// Is it nested deeper than [`MAX_DEPTH`]? Says nothing of whether it is JSON.
pub fn is_too_deep(text: &[u8]) -> bool {
    let mut depth = 0_usize;
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => rest = after_string(after),
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// What stands behind the string's closing quotation mark.
fn after_string(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while let Some(at) = memchr2(b'"', b'\\', rest) {
        let skipped = if rest.get(at) == Some(&b'"') { 1 } else { 2 };
        rest = rest.get(at + skipped..).unwrap_or_default();
        if skipped == 1 {
            return rest;
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> String {
        format!("{}1{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn a_hundred_levels_are_read_and_one_more_is_not() {
        assert!(!is_too_deep(nested(MAX_DEPTH).as_bytes()));
        assert!(is_too_deep(nested(MAX_DEPTH + 1).as_bytes()));
        assert!(is_too_deep("{\"a\":".repeat(MAX_DEPTH + 1).as_bytes()));
    }

    #[test]
    fn brackets_side_by_side_or_inside_strings_are_no_depth() {
        assert!(!is_too_deep("[],".repeat(1000).as_bytes()));
        let inside = format!("[\"{}\\\"{}\\\\\"]", "[".repeat(200), "{".repeat(200));
        assert!(!is_too_deep(inside.as_bytes()));
        let behind = format!("[\"\\\\\",{}", nested(MAX_DEPTH));
        assert!(
            is_too_deep(behind.as_bytes()),
            "the string ended before them"
        );
    }

    #[test]
    fn an_unfinished_string_is_no_depth() {
        for text in ["\"", "\"\\", "\"[[[", ""] {
            assert!(!is_too_deep(text.as_bytes()), "{text}");
        }
    }
}
