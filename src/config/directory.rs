//! The tenant directory's file: `key,tenant`, one a line, many keys to a tenant.
//!
//! It is written by people and by exports, so it is read strictly and every
//! broken line is told. Keys are often telephone numbers: messages show them
//! masked, and reports never show the line itself.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use super::problem::{Problem, Problems};
use super::walk::{At, shown};
use crate::model::mask;
use crate::split::tenants::{Directory, e164};

/// Largest file, in bytes: about a million and a half lines.
const LARGEST: u64 = 64 << 20;
/// Longest key or tenant, in bytes.
const LONGEST: usize = 256;

/// The file, read.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// What it says, in file order; keys in E.164 where they are numbers.
    pub(super) pairs: Vec<(String, String)>,
    /// Every tenant it names.
    pub(super) tenants: BTreeSet<String>,
}

impl Listing {
    /// The directory that requests look into.
    pub(super) fn directory(self) -> Directory {
        Directory::from_pairs(self.pairs)
    }
}

/// The file's text; what keeps it from being read is a problem of the main file.
pub(super) fn text(path: &At<std::path::PathBuf>, problems: &Problems) -> Option<String> {
    let refuse = |why: String| {
        problems.add(
            Problem::error(path.span.clone(), format!("the tenant directory {why}"))
                .help("paths of files to read are taken from where the configuration stands"),
        );
        None
    };
    match contents(&path.value) {
        Ok(text) => Some(text),
        Err(why) => refuse(format!("{} cannot be read: {why}", path.value.display())),
    }
}

fn contents(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|why| why.to_string())?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("it is larger than {} MiB", LARGEST >> 20));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

/// Reads it, line by line.
pub(super) fn read(text: &str, problems: &Problems) -> Listing {
    let refuse = |span: &Range<usize>, message: String, help: &str| {
        let problem = Problem::error(Some(span.clone()), message).in_tenants();
        problems.add(problem.help(help));
    };
    let mut listing = Listing::default();
    let mut known: HashMap<String, (usize, String)> = HashMap::new();
    let mut headed = false;
    let mut bare: Option<(Range<usize>, usize)> = None;
    for (number, (span, line)) in lines(text).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if !headed {
            headed = true;
            if line.split(',').map(str::trim).eq(["key", "tenant"]) {
                continue;
            }
            refuse(
                &span,
                "the first line is not the header".into(),
                "begin the file with: key,tenant",
            );
        }
        let (key, tenant) = match pair(line) {
            Ok(pair) => pair,
            Err(why) => {
                refuse(
                    &span,
                    why.into(),
                    "write key,tenant and nothing else on the line",
                );
                continue;
            }
        };
        let key = e164(key).into_owned();
        if is_bare_number(&key) {
            let (_, count) = bare.get_or_insert_with(|| (span.clone(), 0));
            *count += 1;
        }
        match known.entry(key.clone()) {
            Entry::Occupied(earlier) => {
                let (line, other) = earlier.get();
                if other != tenant {
                    let (key, other, tenant) = (mask(&key), shown(other), shown(tenant));
                    refuse(
                        &span,
                        format!(
                            "key {key} names tenant `{tenant}` here and `{other}` on line {line}"
                        ),
                        "a key belongs to one tenant",
                    );
                }
            }
            Entry::Vacant(place) => {
                place.insert((number + 1, tenant.to_owned()));
                listing.tenants.insert(tenant.to_owned());
                listing.pairs.push((key, tenant.to_owned()));
            }
        }
    }
    if let Some((span, count)) = bare {
        let message = match count {
            1 => "a key looks like a telephone number without its plus".to_owned(),
            count => format!("{count} keys look like telephone numbers without their plus"),
        };
        problems.add(Problem::warning(Some(span), message).in_tenants().help(
            "numbers are looked up with it and would not be found; spreadsheets take it away",
        ));
    }
    if listing.pairs.is_empty() {
        problems.add(
            Problem::warning(
                None,
                "the tenant directory lists nothing: every key is unlisted",
            )
            .in_tenants()
            .help("write key,tenant in the first line, then one key a line"),
        );
    }
    listing
}

/// Ten to fifteen digits and nothing else. Ids of Telnyx's connections are longer.
fn is_bare_number(key: &str) -> bool {
    (10..=15).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_digit())
}

/// Trimmed lines and where they stand.
fn lines(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    let mut start = 0;
    text.split_inclusive('\n').map(move |whole| {
        let span = start..start + whole.trim_end().len();
        start += whole.len();
        // Spreadsheets put a byte order mark before the header.
        (span, whole.trim_start_matches('\u{feff}').trim())
    })
}

fn pair(line: &str) -> Result<(&str, &str), &'static str> {
    if line.contains('"') {
        return Err("quotes are not used in this file");
    }
    let (key, tenant) = line.split_once(',').ok_or("the line has no comma")?;
    if tenant.contains(',') {
        return Err("the line has more than one comma");
    }
    let (key, tenant) = (key.trim(), tenant.trim());
    if key.is_empty() {
        return Err("the key is empty");
    }
    if tenant.is_empty() {
        return Err("the tenant is empty");
    }
    if key.len() > LONGEST || tenant.len() > LONGEST {
        return Err("the key or the tenant is longer than 256 bytes");
    }
    if line.contains(char::is_control) {
        return Err("the line holds control characters");
    }
    Ok((key, tenant))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> (Listing, Vec<Problem>) {
        let problems = Problems::default();
        let listing = read(text, &problems);
        (listing, problems.take())
    }

    #[test]
    fn numbers_are_normalised_and_comments_are_not_read() {
        let (listing, problems) = told(
            "# ours\r\n\u{feff}key,tenant\r\n\r\n+1 (415) 555-0142, clinic \r\nconn-7,clinic\r\n",
        );
        assert_eq!(problems, []);
        assert_eq!(listing.tenants.len(), 1);
        let directory = listing.directory();
        assert_eq!(directory.tenant("+14155550142"), Some("clinic"));
        assert_eq!(directory.tenant("conn-7"), Some("clinic"));
    }

    #[test]
    fn every_broken_line_is_told_and_no_number_is_shown() {
        let text = "key,tenant\n+14155550142,a\nno comma\n\"x\",y\na,b,c\n,t\nk,\n+1 415 555 0142,b\n+14155550142,a\n";
        let (_, problems) = told(text);
        let said: Vec<_> = problems.iter().map(|p| p.message.as_str()).collect();
        assert_eq!(
            said,
            [
                "the line has no comma",
                "quotes are not used in this file",
                "the line has more than one comma",
                "the key is empty",
                "the tenant is empty",
                "key …42 names tenant `b` here and `a` on line 2",
            ]
        );
    }

    #[test]
    fn a_file_without_its_header_is_refused_but_still_read() {
        let (listing, problems) = told("+14155550142,a\n");
        assert_eq!(problems.len(), 1);
        assert!(problems[0].message.contains("header"), "{problems:?}");
        assert_eq!(listing.pairs.len(), 1);
    }

    #[test]
    fn numbers_that_lost_their_plus_are_warned_of_once() {
        let (_, problems) = told("key,tenant\nconn-7,a\n13125550100,a\n13125550101,b\n");
        let [problem] = problems.as_slice() else {
            panic!("one problem: {problems:?}");
        };
        assert_eq!(problem.level, super::super::Level::Warning);
        assert!(problem.message.starts_with("2 keys look"), "{problem:?}");
        for key in [
            "+13125550100",
            "131255501",
            "1234567890123456789",
            "acme1234567",
        ] {
            let (_, problems) = told(&format!("key,tenant\n{key},a\n"));
            assert_eq!(problems, [], "{key}");
        }
    }

    #[test]
    fn an_empty_directory_is_only_a_warning() {
        let (_, problems) = told("key,tenant\n");
        assert_eq!(problems[0].level, super::super::Level::Warning);
    }
}
