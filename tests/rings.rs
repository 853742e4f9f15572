//! The rings of the house: a module may use its own ring and those above it in
//! `src/lib.rs`, never below, and adapters (ring 5) do not know each other.
//!
//! It reads the source as text on purpose: whoever breaks a ring should be told
//! by name, file and line, not by a type error three rooms away.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of each ring, as `src/lib.rs` lists them under its headings.
fn rings() -> BTreeMap<String, u32> {
    let text = fs::read_to_string("src/lib.rs").expect("src/lib.rs is there");
    let mut ring = 0;
    let mut rings = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("// -- ring ") {
            ring = rest
                .chars()
                .next()
                .and_then(|digit| digit.to_digit(10))
                .expect("a ring has a number");
        }
        if let Some(module) = line.trim().strip_prefix("pub mod ") {
            rings.insert(module.trim_end_matches(';').to_owned(), ring);
        }
    }
    rings
}

fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a source directory can be read") {
        let path = entry.expect("a directory entry can be read").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The top-level module a file belongs to.
fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix("src").expect("sources lie in src");
    let first = inside
        .components()
        .next()
        .expect("a file has a name")
        .as_os_str()
        .to_string_lossy()
        .into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// Is it a file that its parent declares for tests alone, or does it belong to such a one?
fn is_for_tests(path: &Path) -> bool {
    let Some(parent) = path.parent().map(|dir| dir.with_extension("rs")) else {
        return false;
    };
    let Ok(text) = fs::read_to_string(&parent) else {
        return false;
    };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    text.contains(&format!("#[cfg(test)]\nmod {stem};")) || is_for_tests(&parent)
}

/// Every `crate::name` a line mentions. Written one by one: a `crate::{…}` would
/// hide names from this test, so it is a finding itself.
fn mentions(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).filter_map(|rest| {
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        rest.get(..end).filter(|name| !name.is_empty())
    })
}

#[test]
fn no_module_uses_a_ring_below_its_own_and_adapters_do_not_know_each_other() {
    let rings = rings();
    assert!(
        rings.len() > 10,
        "the rings of src/lib.rs were not understood: {rings:?}"
    );
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    let mut broken = Vec::new();
    for path in files {
        let module = module_of(&path);
        if module == "lib" || module == "main" {
            continue;
        }
        let own = *rings
            .get(&module)
            .unwrap_or_else(|| panic!("{module} stands in no ring of src/lib.rs"));
        let text = fs::read_to_string(&path).expect("a source file can be read");
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if code.contains("crate::{") {
                broken.push(format!("{}:{}: one use a line", path.display(), number + 1));
            }
            for used in mentions(code) {
                let Some(&ring) = rings.get(used) else {
                    continue;
                };
                // A test may ask how long it has run; what it tests may not.
                let times_itself = used == "clock" && is_for_tests(&path);
                let below = ring > own && !times_itself;
                let neighbour = ring == 5 && own == 5 && used != module;
                if below || neighbour {
                    broken.push(format!(
                        "{}:{}: {module} (ring {own}) uses {used} (ring {ring})",
                        path.display(),
                        number + 1
                    ));
                }
            }
        }
    }
    assert!(
        broken.is_empty(),
        "the house has these holes:\n{}",
        broken.join("\n")
    );
}

#[test]
fn pure_rings_read_no_clock_and_touch_no_file_or_socket() {
    let rings = rings();
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    let mut broken = Vec::new();
    for path in files {
        if rings.get(&module_of(&path)).is_none_or(|&ring| ring > 3) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source file can be read");
        if is_for_tests(&path) {
            continue;
        }
        // Tests below the line may do what they need.
        let code = text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        for banned in [
            "std::fs",
            "std::net",
            "std::thread",
            "tokio::",
            "crate::clock",
            "Instant::now",
            "SystemTime",
            "std::env",
            "println!",
        ] {
            if code.contains(banned) {
                broken.push(format!("{} uses {banned}", path.display()));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "these files are not pure:\n{}",
        broken.join("\n")
    );
}
