//! `[split]`: who goes to new. The scheme stays; the rest are wishes.

use std::collections::BTreeMap;
use std::ops::Range;

use super::problem::Problem;
use super::walk::{At, Section, Value, shown};
use crate::model::Percentage;
use crate::rollout::{List, Wishes};
use crate::split::{By, Hash, Scheme};

/// `[split]` as far as it could be read.
#[derive(Debug)]
pub(super) struct Draft {
    /// Whose id is hashed.
    pub(super) by: By,
    /// How; None where it could not be read.
    pub(super) hash: Option<Hash>,
    /// Off means legacy.
    pub(super) enabled: bool,
    /// The share of new.
    pub(super) percentage: Percentage,
    /// Where it stands.
    pub(super) percentage_span: Option<Range<usize>>,
    /// Both lists, in file order.
    pub(super) tenants: Vec<(At<String>, List)>,
}

impl Draft {
    /// What decides buckets.
    pub(super) fn scheme(&self) -> Option<Scheme> {
        Some(Scheme {
            by: self.by,
            hash: self.hash.clone()?,
        })
    }

    /// What the file wishes for.
    pub(super) fn wishes(&self) -> Wishes {
        let tenants: BTreeMap<String, List> = self
            .tenants
            .iter()
            .map(|(tenant, list)| (tenant.value.clone(), *list))
            .collect();
        Wishes {
            enabled: self.enabled,
            percentage: self.percentage,
            tenants,
            scheme: self.scheme().map(|scheme| scheme.told()),
            config: None,
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Function {
    Java31,
    Xxh3,
}

/// Reads the section.
pub(super) fn read(section: &Section<'_>) -> Draft {
    let by = section
        .get("by")
        .and_then(|value| {
            value.choice(&[
                ("tenant", By::Tenant),
                ("call", By::Call),
                ("caller", By::Caller),
            ])
        })
        .unwrap_or(By::Tenant);
    let hash = hash(section);
    let enabled = section
        .get("enabled")
        .and_then(|value| value.boolean())
        .unwrap_or(true);
    let share = section.get("percentage");
    let percentage = (share.as_ref())
        .and_then(|value| percentage(value, hash.as_ref()))
        .unwrap_or(Percentage::ZERO);
    let mut tenants = list(section, "enabled_tenants", List::Enabled);
    tenants.extend(list(section, "disabled_tenants", List::Disabled));
    section.finish(&[], &[]);
    Draft {
        by,
        hash,
        enabled,
        percentage,
        percentage_span: share.map(|value| value.span()),
        tenants,
    }
}

fn hash(section: &Section<'_>) -> Option<Hash> {
    let function = match section.get("hash") {
        Some(value) => value.choice(&[("java31", Function::Java31), ("xxh3", Function::Xxh3)]),
        None => Some(Function::Java31),
    };
    let salt = section.get("salt");
    match function? {
        Function::Java31 => {
            if let Some(salt) = salt {
                section.problems.add(
                    Problem::warning(Some(salt.span()), "`salt` means nothing to java31")
                        .help("remove the line, or use hash = \"xxh3\""),
                );
            }
            Some(Hash::Java31)
        }
        Function::Xxh3 => match salt {
            Some(salt) => Some(Hash::Xxh3 {
                salt: salt.string("\"ivr-2026\"")?.to_owned(),
            }),
            None => {
                section.problems.add(
                    Problem::error(hash_span(section), "hash = \"xxh3\" needs a `salt`")
                        .help("for example: salt = \"ivr-2026\"; a new salt draws new tenants")
                        .follows(),
                );
                None
            }
        },
    }
}

fn hash_span(section: &Section<'_>) -> Option<Range<usize>> {
    section.get("hash").map(|value| value.span())
}

/// A share of new that this hash can draw.
pub(super) fn percentage(value: &Value<'_>, hash: Option<&Hash>) -> Option<Percentage> {
    if let Some(text) = value.as_str() {
        let number = text.trim_end_matches(['%', ' ']);
        value.refuse("is a plain number", format!("write {}", shown(number)));
        return None;
    }
    let number = value.number()?;
    let Some(percentage) = Percentage::new(number) else {
        value.refuse(
            format!("cannot be {number}"),
            "it is a number from 0 to 100, in steps of 0.01",
        );
        return None;
    };
    if hash == Some(&Hash::Java31) && percentage.basis_points() % 100 != 0 {
        value.refuse(
            format!("cannot be {number} with java31, which knows whole percentages only"),
            "write a whole number, or use hash = \"xxh3\" with a `salt`",
        );
        return None;
    }
    Some(percentage)
}

fn list(section: &Section<'_>, key: &'static str, list: List) -> Vec<(At<String>, List)> {
    let Some(value) = section.get(key) else {
        return Vec::new();
    };
    value
        .list("a list of tenants, for example [\"tenant-1\"]")
        .iter()
        .filter_map(|entry| {
            let tenant = entry.string("\"tenant-1\"")?;
            Some((entry.at(tenant.to_owned()), list))
        })
        .collect()
}
