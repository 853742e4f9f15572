//! Level 4 in the journal: that data was brought back is part of a rollout's story, and
//! moves no call.

use super::draft::Draft;
use super::{Action, Entry, Rollout};
use crate::model::Wall;

/// A wish to restore data from a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreOrder {
    /// The backup's id.
    pub backup: String,
    /// Who.
    pub actor: String,
    /// Why; once it is over, how it went.
    pub reason: String,
}

impl Rollout {
    /// Data is being restored (`ok` is None), or that is over.
    pub fn data(&self, order: &RestoreOrder, ok: Option<bool>, at: Wall) -> Entry {
        let backup = order.backup.clone();
        let action = Action::RollbackData { backup, ok };
        Draft::of(self).into_entry(action, &order.actor, &order.reason, at)
    }

    /// Can a call that begins now reach new?
    pub fn may_reach_new(&self) -> bool {
        let split_reaches = self.percentage > crate::model::Percentage::ZERO
            || self.tenants().any(|(_, list)| list == super::List::Enabled);
        self.enabled && !self.latched && split_reaches
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Percentage;
    use crate::rollout::{Command, Level, Order, Waives};
    use crate::split::Live;

    fn order(rollout: &mut Rollout, command: Command) {
        let order = Order {
            actor: "ana".to_owned(),
            reason: "r".to_owned(),
            waives: Waives::default(),
            command,
        };
        let entry = rollout.decide(&order, Wall(1)).unwrap();
        rollout.apply(&entry);
    }

    #[test]
    fn a_restore_is_told_twice_and_changes_nothing() {
        let mut rollout = Rollout::default();
        order(
            &mut rollout,
            Command::Percentage(Percentage::new(5.0).unwrap()),
        );
        assert!(rollout.may_reach_new());
        order(&mut rollout, Command::Rollback(Level::Total, Live::Drain));
        assert!(!rollout.may_reach_new());
        let before = rollout.clone();
        for (ok, said) in [
            (None, "Data is being restored from backup b-1."),
            (Some(true), "Data was restored from backup b-1."),
            (Some(false), "Data could not be restored from backup b-1."),
        ] {
            let order = RestoreOrder {
                backup: "b-1".to_owned(),
                actor: "ana".to_owned(),
                reason: "corrupt".to_owned(),
            };
            let entry = rollout.data(&order, ok, Wall(2));
            assert_eq!(entry.said(), said);
            assert_eq!(entry.before, entry.after);
            assert!(!entry.is_raise());
            rollout.apply(&entry);
        }
        assert_eq!(rollout.sequence(), before.sequence() + 3);
        assert_eq!(rollout.generation(), before.generation());
        assert_eq!(rollout.because(), before.because());
    }
}
