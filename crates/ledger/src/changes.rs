//! What a block changed in the state.

use crate::state::{Key, Leaf};
use alloy_primitives::{Address, U256};

/// One value before and after a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `None` if there was none.
    pub old: Option<Leaf>,
    /// `None` if there is none any more.
    pub new: Option<Leaf>,
}

/// The values that a block changed, each key once, in the order of the keys.
///
/// Changes stay where they were put: a change is moved about less than the eight bytes that it is sorted and found by.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    changes: Vec<(Key, Change)>,
    /// The beginning of each key, and where its change is; in the order of the keys.
    order: Vec<(u64, u32)>,
    /// Addresses, which keys do not tell, with nonce and balance.
    accounts: Vec<(Address, u64, U256)>,
}

fn beginning(key: &Key) -> u64 {
    u64::from_be_bytes(*key.0.first_chunk().expect("a key has 32 bytes"))
}

impl Changes {
    /// What happened to a key.
    pub fn get(&self, key: &Key) -> Option<&Change> {
        let wanted = beginning(key);
        let from = self.order.partition_point(|(beginning, _)| *beginning < wanted);
        let alike = self.order[from..].iter().take_while(|(beginning, _)| *beginning == wanted);
        alike.map(|(_, at)| &self.changes[*at as usize]).find(|(known, _)| known == key).map(|(_, change)| change)
    }

    /// The accounts that changed, with nonce and balance (wei) after the block; none of changes that were read from the disk.
    pub fn accounts(&self) -> &[(Address, u64, U256)] {
        &self.accounts
    }

    pub(crate) fn with_accounts(self, accounts: Vec<(Address, u64, U256)>) -> Self {
        Self { accounts, ..self }
    }

    /// All, in the order of the keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Key, &Change)> {
        self.order.iter().map(|(_, at)| {
            let (key, change) = &self.changes[*at as usize];
            (key, change)
        })
    }

    /// How many.
    pub const fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether nothing changed.
    pub const fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Takes over changes that came later, of keys that have none yet.
    pub(crate) fn add(&mut self, later: &Self) {
        let new = later.iter().filter(|(key, _)| self.get(key).is_none()).map(|(key, change)| (*key, change.clone()));
        let new = new.collect::<Vec<_>>();
        let (mut changes, accounts) = (std::mem::take(&mut self.changes), std::mem::take(&mut self.accounts));
        changes.extend(new);
        *self = Self::from(changes).with_accounts(accounts);
    }
}

/// Of a key that comes twice, the first counts.
impl From<Vec<(Key, Change)>> for Changes {
    fn from(changes: Vec<(Key, Change)>) -> Self {
        let key = |at: u32| &changes[at as usize].0;
        let mut order = (0..).zip(&changes).map(|(at, (key, _))| (beginning(key), at)).collect::<Vec<(u64, u32)>>();
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| key(a.1).cmp(key(b.1))).then(a.1.cmp(&b.1)));
        order.dedup_by(|a, b| a.0 == b.0 && key(a.1) == key(b.1));
        Self { changes, order, accounts: Vec::new() }
    }
}

impl FromIterator<(Key, Change)> for Changes {
    fn from_iter<T: IntoIterator<Item = (Key, Change)>>(changes: T) -> Self {
        changes.into_iter().collect::<Vec<_>>().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::U256;
    use commonware_cryptography::sha256::Digest;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Keys that often have the same beginning.
    fn key(n: u8) -> Key {
        let mut bytes = [0; 32];
        (bytes[7], bytes[31]) = (n / 4, n % 4);
        Digest(bytes)
    }

    fn change(n: u16) -> Change {
        Change { old: None, new: Some(Leaf::Slot(U256::from(n))) }
    }

    proptest! {
        #[test]
        fn changes_are_found_in_the_order_of_their_keys(
            list in proptest::collection::vec((0_u8..40, any::<u16>()), 0..60),
            later in proptest::collection::vec((0_u8..40, any::<u16>()), 0..20),
        ) {
            let mut expected = BTreeMap::new();
            let collect = |list: &[(u8, u16)]| list.iter().map(|(at, value)| (key(*at), change(*value))).collect::<Changes>();
            let mut changes = collect(&list);
            changes.add(&collect(&later));
            for (at, value) in list.iter().chain(&later) {
                expected.entry(key(*at)).or_insert_with(|| change(*value));
            }
            prop_assert!(changes.iter().eq(&expected));
            prop_assert_eq!(changes.len(), expected.len());
            for n in 0..40 {
                prop_assert_eq!(changes.get(&key(n)), expected.get(&key(n)));
            }
        }
    }
}
