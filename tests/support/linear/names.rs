//! Calls of a history as the ledger takes them.

use std::collections::HashMap;

use holdfast::domain::Ttl;
use holdfast::domain::command;

use super::words::{Key, SKUS, Verb, Wish};
use crate::support::script::{AdjustAsk, Ask, Script, SetAsk};

/// What SKUs and keys of a history are called in the ledger, and how identities lead back to keys.
#[derive(Debug, Default)]
pub(crate) struct Names {
    prefix: String,
    keys: HashMap<u128, Key>,
    is_timed: bool,
}

impl Names {
    /// A prefix that no other history in the same ledger has.
    pub(crate) fn new(prefix: String, is_timed: bool) -> Self {
        Self {
            prefix,
            keys: HashMap::new(),
            is_timed,
        }
    }

    /// Learns what identity the ledger derives from a key.
    pub(crate) fn learn(&mut self, key: Key, id: u128) {
        self.keys.insert(id, key);
    }

    pub(super) fn key_of(&self, id: u128) -> Option<Key> {
        self.keys.get(&id).copied()
    }

    pub(super) const fn is_timed(&self) -> bool {
        self.is_timed
    }

    pub(crate) fn sku(&self, sku: usize) -> String {
        format!("{}s{sku}", self.prefix)
    }

    pub(crate) fn key(&self, key: Key) -> String {
        format!("{}k{key}", self.prefix)
    }

    pub(super) fn sku_of(&self, name: &str) -> Option<usize> {
        let number = name.strip_prefix(&*self.prefix)?.strip_prefix('s')?;
        number.parse().ok()
    }

    pub(crate) fn script(&self, wish: Wish) -> Script {
        match wish {
            Wish::Set {
                sku,
                on_hand,
                change_from,
            } => Script::Set {
                reason: "count".to_owned(),
                items: vec![SetAsk {
                    sku: self.sku(sku),
                    node: 0,
                    on_hand: Some(on_hand.into()),
                    unavailable: None,
                    change_from: change_from.map(u64::from),
                }],
            },
            Wish::Adjust { sku, by } => Script::Adjust {
                reason: "count".to_owned(),
                items: vec![AdjustAsk {
                    sku: self.sku(sku),
                    node: 0,
                    on_hand: by.into(),
                    unavailable: 0,
                    change_from: None,
                }],
            },
            Wish::Reserve {
                units,
                ttl,
                partial,
            } => Script::Reserve {
                channel: 0,
                reference: None,
                ttl,
                partial,
                lines: { 0..SKUS }
                    .filter(|sku| units[*sku] > 0)
                    .map(|sku| Ask {
                        sku: self.sku(sku),
                        node: None,
                        quantity: units[sku].into(),
                    })
                    .collect(),
            },
            Wish::Act { target, verb } => Script::Act {
                target: self.key(target),
                verb: match verb {
                    Verb::Confirm => command::Verb::Confirm,
                    Verb::Release => command::Verb::Release,
                    Verb::Extend(ttl) => command::Verb::Extend(Ttl::from_millis(ttl).unwrap()),
                    Verb::Ship => command::Verb::Ship { from: None },
                },
                lines: None,
            },
        }
    }
}
