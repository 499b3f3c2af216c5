//! Names of channels and nodes at the engine's boundary.

use std::sync::Arc;

use super::Engine;
use crate::domain::command::Channel;
use crate::domain::ids::{IdError, check_name};
use crate::domain::{ChannelIx, NodeIx};
use crate::ledger::LedgerError;

/// Why a name was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// Not a valid name.
    Invalid(IdError),
    /// The table of names is full.
    Full,
    /// The ledger could not record a new name.
    Ledger(LedgerError),
}

impl Engine {
    /// A channel as a command names it. A new name is recorded with the first reservation that is
    /// made under it.
    pub fn channel<'n>(&self, name: &'n str) -> Result<Channel<'n>, NameError> {
        let index = self.known_channel(name);
        check_name(name).map_err(NameError::Invalid)?;
        if index.is_some() || self.parts.ledger.has_room_for_channel() {
            Ok(Channel { name, index })
        } else {
            Err(NameError::Full)
        }
    }

    /// A channel that has an index; a new name is recorded at once.
    pub async fn make_channel<'n>(&self, name: &'n str) -> Result<Channel<'n>, NameError> {
        let mut channel = self.channel(name)?;
        if channel.index.is_none() {
            let made = self.parts.ledger.make_channel(name).await;
            let made = made.map_err(NameError::Ledger)?;
            channel.index = Some(made.ok_or(NameError::Full)?);
        }
        Ok(channel)
    }

    /// The index of a node's name; a new name is recorded.
    pub async fn node(&self, name: &str) -> Result<NodeIx, NameError> {
        if let Some(known) = self.known_node(name) {
            return Ok(known);
        }
        check_name(name).map_err(NameError::Invalid)?;
        let made = self
            .parts
            .ledger
            .make_node(name)
            .await
            .map_err(NameError::Ledger)?;
        made.ok_or(NameError::Full)
    }

    /// The index of a channel's name, if it is known.
    pub fn known_channel(&self, name: &str) -> Option<ChannelIx> {
        self.parts.ledger.find_channel(name)
    }

    /// The index of a node's name, if it is known.
    pub fn known_node(&self, name: &str) -> Option<NodeIx> {
        self.parts.ledger.find_node(name)
    }

    /// Reads the names that other instances gave since; whether there may be any. For a caller that
    /// came across a name which is not known.
    pub async fn refresh_names(&self) -> Result<bool, LedgerError> {
        self.parts.ledger.refresh_names().await
    }

    /// The name of a channel; empty for an index that was never given.
    pub fn channel_name(&self, channel: ChannelIx) -> Arc<str> {
        self.parts.ledger.channel_name(channel)
    }

    /// The name of a node; empty for an index that was never given.
    pub fn node_name(&self, node: NodeIx) -> Arc<str> {
        self.parts.ledger.node_name(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::domain::command::{
        Command, Keyed, LineRequest, Lines, Reserve, SetItem, StockChange, StockCommand,
    };
    use crate::domain::{HoldTtl, Refusal, Sku, Ttl, Units, UnixMillis};
    use crate::engine::EngineConfig;
    use crate::ledger::Answer;
    use crate::ledger::embedded::storage::sim::SimStorage;
    use crate::limits::CHANNELS_MAX;
    use crate::telemetry::Meters;

    fn open(storage: &SimStorage) -> Engine {
        let mut config = EngineConfig::new(Clock::manual(UnixMillis(1_000)), Meters::new());
        config.journal.segment_bytes = 64 * 1024;
        Engine::open_on(Arc::new(storage.clone()), config).unwrap()
    }

    fn stock(engine: &Engine, on_hand: u64) {
        let item = SetItem {
            sku: Sku::new("A").unwrap(),
            node: NodeIx::MAIN,
            on_hand: Units::new(on_hand),
            unavailable: None,
            change_from: None,
        };
        let command = Command::Stock(StockCommand {
            change: StockChange::Set(vec![item]),
            reason: "test",
            operator: None,
        });
        let key = engine.key(&format!("stock-{on_hand}"), &command);
        let answer = engine.execute_blocking(&Keyed { key, command });
        assert!(answer.unwrap().verdict.is_ok());
    }

    fn reserve(engine: &Engine, channel: &str, key: &str) -> Answer {
        let line = LineRequest {
            sku: Sku::new("A").unwrap(),
            node: None,
            quantity: Units::new(1).unwrap(),
            by: None,
        };
        let command = Command::Reserve(Reserve {
            channel: engine.channel(channel).unwrap(),
            reference: None,
            ttl: HoldTtl::Asked(Ttl::from_millis(60_000).unwrap()),
            allow_partial: false,
            lines: Lines::try_new([line]).unwrap(),
        });
        let key = engine.key(key, &command);
        engine.execute_blocking(&Keyed { key, command }).unwrap()
    }

    /// A name used to be recorded before the verdict, so that whoever sent enough of them, each
    /// refused, took every place there is.
    #[test]
    fn refused_requests_leave_no_names_behind() {
        let engine = open(&SimStorage::new());
        stock(&engine, 0);
        for n in 0..=CHANNELS_MAX {
            let answer = reserve(&engine, &format!("made-up-{n}"), &format!("k{n}"));
            assert!(matches!(
                answer.verdict,
                Err(Refusal::InsufficientStock { .. })
            ));
        }
        assert_eq!(engine.known_channel("made-up-0"), None);
        stock(&engine, 1);
        assert!(reserve(&engine, "web", "good").verdict.is_ok());
        assert_eq!(engine.known_channel("web"), Some(ChannelIx(0)));
    }

    #[test]
    fn a_key_is_known_again_when_its_channel_has_got_an_index_since() {
        let storage = SimStorage::new();
        let engine = open(&storage);
        stock(&engine, 0);
        let refused = reserve(&engine, "web", "early");
        stock(&engine, 2);
        let made = reserve(&engine, "web", "late");
        assert!(refused.verdict.is_err() && made.verdict.is_ok());
        let again = |engine: &Engine| {
            for (key, first) in [("early", &refused), ("late", &made)] {
                let again = reserve(engine, "web", key);
                assert_eq!((&again.verdict, again.replayed), (&first.verdict, true));
            }
            let other = reserve(engine, "shop", "early");
            assert_eq!(other.verdict, Err(Refusal::KeyReused));
            let other = reserve(engine, "shop", "late");
            assert_eq!(other.verdict, Err(Refusal::KeyReused));
        };
        again(&engine);
        engine.close().unwrap();
        again(&open(&storage));
    }
}
