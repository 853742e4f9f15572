//! What tenants are called. Evidence counts them by a hash; whoever is told of one, or
//! takes one back to legacy, needs its name.

use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::{DashMap, Entry};

use super::seat::Passed;
use crate::model::TenantKey;
use crate::split::Tenant;
use crate::split::tenants::Names;

/// Names kept. Tenants that come on top of them are counted and have no name here; one in
/// the directory has it there.
pub const NAMES_MAX: usize = 100_000;

/// Every tenant that has called since the process began. A name takes some 100 bytes.
#[derive(Debug)]
pub struct Registry {
    names: DashMap<TenantKey, Box<str>, Passed>,
    len: AtomicUsize,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            names: DashMap::with_hasher(Passed),
            len: AtomicUsize::new(0),
        }
    }
}

impl Registry {
    /// A call of this tenant begins.
    pub fn note(&self, tenant: &Tenant<'_>) {
        let Tenant::Known(name) = tenant else { return };
        let key = TenantKey::new(name);
        if self.names.contains_key(&key) || self.len.load(Ordering::Relaxed) >= NAMES_MAX {
            return;
        }
        if let Entry::Vacant(place) = self.names.entry(key) {
            place.insert((*name).into());
            self.len.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Names for Registry {
    fn name(&self, key: TenantKey) -> Option<String> {
        self.names.get(&key).map(|name| name.as_ref().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_called_is_known_by_name_and_nobody_else() {
        let registry = Registry::default();
        registry.note(&Tenant::Known("clinic"));
        registry.note(&Tenant::Known("clinic"));
        registry.note(&Tenant::Missing);
        registry.note(&Tenant::Unlisted);
        assert_eq!(
            registry.name(TenantKey::new("clinic")).as_deref(),
            Some("clinic")
        );
        assert_eq!(registry.name(TenantKey::new("shop")), None);
        assert_eq!(registry.name(TenantKey::NONE), None);
        assert_eq!(registry.names.len(), 1);
    }

    #[test]
    fn the_registry_is_bounded() {
        let registry = Registry::default();
        for number in 0..NAMES_MAX + 10 {
            registry.note(&Tenant::Known(&number.to_string()));
        }
        assert_eq!(registry.names.len(), NAMES_MAX);
    }
}
