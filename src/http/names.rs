//! Names of channels and nodes, remembered per thread, so that the hot path touches nothing that
//! threads share. A name's index never changes, so what is remembered never becomes wrong.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::domain::command::Channel;
use crate::domain::{ChannelIx, NodeIx};
use crate::engine::{Engine, NameError};
use crate::http::json::Json;

#[derive(Default)]
struct Table {
    to_index: HashMap<Box<str>, u16>,
    to_name: Vec<Option<Box<str>>>,
}

impl Table {
    fn index(&self, name: &str) -> Option<u16> {
        self.to_index.get(name).copied()
    }

    fn name(&self, index: u16) -> Option<&str> {
        self.to_name.get(usize::from(index))?.as_deref()
    }

    fn learn(&mut self, name: &str, index: u16) {
        self.to_index.insert(name.into(), index);
        let at = usize::from(index);
        if self.to_name.len() <= at {
            self.to_name.resize_with(at + 1, || None);
        }
        if let Some(slot) = self.to_name.get_mut(at) {
            *slot = Some(name.into());
        }
    }
}

#[derive(Default)]
struct Remembered {
    owner: u64,
    channels: Table,
    nodes: Table,
}

thread_local! {
    static REMEMBERED: RefCell<Remembered> = RefCell::default();
}

/// The names of one server's engine.
#[derive(Clone, Copy)]
pub struct Names<'e> {
    engine: &'e Engine,
    owner: u64,
}

impl<'e> Names<'e> {
    /// The names of this engine; `owner` tells servers in one process apart and is never zero.
    pub const fn new(engine: &'e Engine, owner: u64) -> Self {
        Self { engine, owner }
    }

    fn with<T>(self, look: impl FnOnce(&mut Remembered) -> T) -> T {
        REMEMBERED.with_borrow_mut(|remembered| {
            if remembered.owner != self.owner {
                *remembered = Remembered {
                    owner: self.owner,
                    ..Remembered::default()
                };
            }
            look(remembered)
        })
    }

    /// A channel as a command names it.
    pub fn channel(self, name: &str) -> Result<Channel<'_>, NameError> {
        if let Some(index) = self.with(|r| r.channels.index(name)) {
            let index = Some(ChannelIx(index));
            return Ok(Channel { name, index });
        }
        let found = self.engine.channel(name)?;
        if let Some(index) = found.index {
            self.with(|r| r.channels.learn(name, index.0));
        }
        Ok(found)
    }

    /// The index of a node; a new name is recorded.
    pub async fn node(self, name: &str) -> Result<NodeIx, NameError> {
        if let Some(index) = self.with(|r| r.nodes.index(name)) {
            return Ok(NodeIx(index));
        }
        let found = self.engine.node(name).await?;
        self.with(|r| r.nodes.learn(name, found.0));
        Ok(found)
    }

    /// The index of a node, if it is known.
    pub fn known_node(self, name: &str) -> Option<NodeIx> {
        if let Some(index) = self.with(|r| r.nodes.index(name)) {
            return Some(NodeIx(index));
        }
        let found = self.engine.known_node(name)?;
        self.with(|r| r.nodes.learn(name, found.0));
        Some(found)
    }

    /// The index of a channel, if it is known.
    pub fn known_channel(self, name: &str) -> Option<ChannelIx> {
        if let Some(index) = self.with(|r| r.channels.index(name)) {
            return Some(ChannelIx(index));
        }
        let found = self.engine.known_channel(name)?;
        self.with(|r| r.channels.learn(name, found.0));
        Some(found)
    }

    /// Has somebody look at the name of a channel, who asks for no other name meanwhile.
    pub fn with_channel(self, channel: ChannelIx, look: impl FnOnce(&str)) {
        self.with(|r| {
            if let Some(name) = r.channels.name(channel.0) {
                look(name);
                return;
            }
            let name = self.engine.channel_name(channel);
            r.channels.learn(&name, channel.0);
            look(&name);
        });
    }

    /// Writes the name of a channel as a JSON string.
    pub fn write_channel(self, channel: ChannelIx, json: &mut Json) {
        self.with_channel(channel, |name| {
            json.plain(name);
        });
    }

    /// Writes the name of a node as a JSON string.
    pub fn write_node(self, node: NodeIx, json: &mut Json) {
        self.with(|r| {
            if let Some(name) = r.nodes.name(node.0) {
                json.plain(name);
                return;
            }
            let name = self.engine.node_name(node);
            r.nodes.learn(&name, node.0);
            json.plain(&name);
        });
    }

    /// Writes the name of a pin, or null.
    pub fn write_pin(self, pin: Option<NodeIx>, json: &mut Json) {
        match pin {
            Some(node) => self.write_node(node, json),
            None => {
                json.raw("null");
            }
        }
    }
}
