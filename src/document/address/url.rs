//! A URL taken apart as far as leading it home needs it.
//!
//! Positions instead of copies, so that whoever changes a part can leave every
//! other byte as it is. Nothing is decoded.

use std::borrow::Cow;
use std::ops::Range;

/// What kind of text it is. White space around it is none of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `scheme://authority…` of the web or of a web socket, or `//authority…`.
    Absolute(Absolute),
    /// It has no scheme and no authority; where its path stands.
    Relative(Range<usize>),
    /// Empty, a fragment alone, of another scheme (`tel:`, `data:`, …), or it begins
    /// with something only the provider knows (`{{…}}`, an entity, written as NUL).
    Other,
}

/// Where the parts of an absolute URL stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Absolute {
    /// Empty in `//authority…`.
    pub(super) scheme: Range<usize>,
    /// With userinfo and port.
    pub(super) authority: Range<usize>,
    /// May be empty.
    pub(super) path: Range<usize>,
}

impl Shape {
    pub(super) fn of(url: &str) -> Self {
        let start = url.len() - url.trim_ascii_start().len();
        let text = url.trim_ascii();
        let end = start + text.len();
        if text.is_empty() || text.starts_with(['#', '\0']) || text.starts_with("{{") {
            return Self::Other;
        }
        if text.starts_with("//") {
            return absolute(url, start..start, start + 2, end);
        }
        let stop = text.bytes().position(|byte| b":/?#{".contains(&byte));
        match stop.and_then(|at| text.split_at_checked(at)) {
            Some((scheme, rest)) if rest.starts_with(':') => {
                if rest.starts_with("://") && is_web(scheme) {
                    let colon = start + scheme.len();
                    absolute(url, start..colon, colon + 3, end)
                } else {
                    Self::Other
                }
            }
            _ => Self::Relative(start..outside(url, start..end, b"?#").unwrap_or(end)),
        }
    }
}

fn absolute(url: &str, scheme: Range<usize>, authority: usize, end: usize) -> Shape {
    let after = outside(url, authority..end, b"/?#").unwrap_or(end);
    Shape::Absolute(Absolute {
        scheme,
        authority: authority..after,
        path: after..outside(url, after..end, b"?#").unwrap_or(end),
    })
}

fn is_web(scheme: &str) -> bool {
    ["http", "https", "ws", "wss"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
}

/// Where the query begins, behind its `?`, if there is one, and where it ends or
/// would have to stand.
pub(super) fn query(url: &str) -> (Option<usize>, usize) {
    let whole = url.trim_ascii_end().len();
    let end = outside(url, 0..whole, b"#").unwrap_or(whole);
    (outside(url, 0..end, b"?").map(|mark| mark + 1), end)
}

/// The first of these bytes outside `{{…}}`.
fn outside(url: &str, range: Range<usize>, bytes: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut last = 0;
    let text = url.as_bytes().get(range.clone())?;
    for (at, &byte) in text.iter().enumerate() {
        match byte {
            b'{' if last == b'{' => depth = 1,
            b'}' if last == b'}' => depth = 0,
            _ if depth == 0 && bytes.contains(&byte) => return Some(range.start + at),
            _ => {}
        }
        last = byte;
    }
    None
}

/// The path without `.` and `..`, as a client asks for it.
pub(super) fn resolved(path: &str) -> Cow<'_, str> {
    if !path.contains("/.") {
        return Cow::Borrowed(path);
    }
    let mut kept = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            _ => {
                kept.push(segment);
                continue;
            }
        }
        if is_last {
            kept.push("");
        }
    }
    Cow::Owned(format!("/{}", kept.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_told_from_what_only_looks_like_one() {
        let parts = |url: &str| match Shape::of(url) {
            Shape::Absolute(it) => [it.scheme, it.authority, it.path]
                .map(|range| url.get(range).unwrap().to_owned())
                .join(" "),
            Shape::Relative(path) => format!("- {}", url.get(path).unwrap()),
            Shape::Other => "other".to_owned(),
        };
        for (url, expected) in [
            ("https://a.example.com/x?y#z", "https a.example.com /x"),
            ("HTTP://u:p@A:80", "HTTP u:p@A:80 "),
            (" \nwss://[::1]:9/ws \t", "wss [::1]:9 /ws"),
            ("//a.example.com?x", " a.example.com "),
            ("https://a.example.com#x", "https a.example.com "),
            (
                "https://a{{#if b}}c{{/if}}/d",
                "https a{{#if b}}c{{/if}} /d",
            ),
            ("/x?u=http://b/", "- /x"),
            ("x;v=2?t=1:2#f", "- x;v=2"),
            ("?x", "- "),
            ("../x", "- ../x"),
            ("a{{b?c}}d?e", "- a{{b?c}}d"),
            ("", "other"),
            ("  ", "other"),
            ("#x", "other"),
            ("{{Host}}/x", "other"),
            ("\0/x", "other"),
            ("tel:+19995550100", "other"),
            ("sip:a@b.example.com", "other"),
            ("mailto:a@b.example.com", "other"),
            ("data:audio/wav;base64,AAAA", "other"),
            ("ftp://a.example.com/x", "other"),
            ("https:/a.example.com/x", "other"),
            ("localhost:3001/x", "other"),
        ] {
            assert_eq!(parts(url), expected, "{url}");
        }
    }

    #[test]
    fn dots_in_a_path_are_resolved() {
        for (path, expected) in [
            ("/a/b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/./b/..", "/a/"),
            ("/../../a/.", "/a/"),
            ("/a/.well-known", "/a/.well-known"),
        ] {
            assert_eq!(resolved(path), expected, "{path}");
        }
    }
}
