//! Tenants that go to one side whatever their hash says, and how they came to.

/// A hand-kept list of tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum List {
    /// Always new.
    Enabled,
    /// Always legacy.
    Disabled,
}

/// How a tenant came to be on a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// Always new.
    Enabled,
    /// Always legacy, by a person's `tenant disable` or by the file.
    Disabled,
    /// Always legacy, by a rollback: neither the file nor `tenant enable` takes it
    /// off, only `tenant clear`.
    RolledBack,
    /// On new because a stage picked it by hand; a step back behind that stage takes it off.
    Picked,
    /// On legacy because it calls too much for the stage; a later one takes it off.
    Later,
}

impl Listed {
    /// The list it is on.
    pub const fn list(self) -> List {
        match self {
            Self::Enabled | Self::Picked => List::Enabled,
            Self::Disabled | Self::RolledBack | Self::Later => List::Disabled,
        }
    }

    /// The word for it in the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::RolledBack => "rolled-back",
            Self::Picked => "picked",
            Self::Later => "later",
        }
    }

    /// The standing of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Enabled,
            Self::Disabled,
            Self::RolledBack,
            Self::Picked,
            Self::Later,
        ]
        .into_iter()
        .find(|listed| listed.name() == name)
    }

    /// How near to new: disabled, on no list, enabled.
    pub(super) const fn nearness(listed: Option<Self>) -> u8 {
        match listed {
            Some(Self::Disabled | Self::RolledBack | Self::Later) => 0,
            None => 1,
            Some(Self::Enabled | Self::Picked) => 2,
        }
    }
}

impl From<List> for Listed {
    fn from(list: List) -> Self {
        match list {
            List::Enabled => Self::Enabled,
            List::Disabled => Self::Disabled,
        }
    }
}
