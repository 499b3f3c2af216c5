//! The way through the stream: entry by entry, each of which must continue the one before.

use bytes::Bytes;
use redis::aio::ConnectionLike;

use super::{RecountError, read_meta};
use crate::ledger::Recount;
use crate::ledger::remote::script::{Keys, Meta};
use crate::ledger::remote::wire::Malformed;
use crate::ledger::remote::wire::event::{Entry, chained};

/// Entries asked for at once.
const PAGE: usize = 64;

/// Where a reader of the stream stands.
#[derive(Debug)]
pub(super) struct Course {
    /// Sequence of the last event read.
    pub(super) sequence: u64,
    /// The chain there; `None` where it is not known.
    tip: Option<String>,
    /// What is wrong with the stream.
    pub(super) found: Recount,
}

impl Course {
    /// Before the oldest entry that is to be there.
    pub(super) fn begin(meta: &Meta) -> Self {
        Self {
            sequence: meta.base,
            tip: Some(meta.base_tip.clone()),
            found: Recount::default(),
        }
    }

    /// Reads on up to the end of the entry that ends at `to`; each entry that continues the one
    /// before goes to the callback. Whether none was missing: what is known of the ledger then
    /// still belongs together.
    pub(super) async fn read(
        &mut self,
        connection: &mut (impl ConnectionLike + Send),
        keys: &Keys,
        to: u64,
        mut each: impl FnMut(&Entry) -> Result<(), Malformed>,
    ) -> Result<bool, RecountError> {
        let mut is_whole = true;
        while self.sequence < to {
            let mut ask = redis::cmd("XRANGE");
            ask.arg(keys.events()).arg(self.sequence + 1).arg(to);
            ask.arg("COUNT").arg(PAGE);
            let page: Vec<(String, Vec<Bytes>)> = ask.query_async(connection).await?;
            if page.is_empty() {
                return self.skip(connection, keys, to).await.map(|()| false);
            }
            for (id, fields) in page {
                let [_, argument, _, reply] = fields.try_into().map_err(|_other| damaged())?;
                let entry = Entry::parse(argument.clone(), reply).map_err(|_bad| damaged())?;
                let before = entry.header().before;
                if before != self.sequence {
                    self.skip(connection, keys, before).await?;
                    is_whole = false;
                }
                self.follow(&id, &argument, &entry);
                each(&entry).map_err(|_bad| damaged())?;
            }
        }
        Ok(is_whole)
    }

    /// Events up to this one are not in the stream: they were trimmed, and the meta says so, or
    /// they are missing.
    async fn skip(
        &mut self,
        connection: &mut (impl ConnectionLike + Send),
        keys: &Keys,
        to: u64,
    ) -> Result<(), RecountError> {
        let meta = read_meta(connection, keys).await?;
        let first = self.sequence + 1;
        if meta.base < to {
            self.found
                .violation(|| format!("events from {first} up to {to} are missing in the stream"));
        }
        self.sequence = to;
        self.tip = Some(meta.base_tip).filter(|_| meta.base == to);
        Ok(())
    }

    fn follow(&mut self, id: &str, argument: &[u8], entry: &Entry) {
        let header = entry.header();
        let first = header.before + 1;
        if id != format!("{first}-0") {
            self.found
                .violation(|| format!("the event entry {id} begins with event {first}"));
        }
        let expected = self.tip.as_ref().map(|tip| chained(tip, argument));
        if expected.is_some_and(|tip| tip != header.tip) {
            self.found
                .violation(|| format!("the chain breaks at event {first}"));
        }
        self.tip = Some(header.tip.clone());
        self.sequence = header.last;
    }

    /// The stream ends where the meta says, and with its chain.
    pub(super) fn end(&mut self, meta: &Meta) {
        let is_end = self.sequence == meta.sequence;
        if !is_end || self.tip.as_ref().is_some_and(|tip| *tip != meta.tip) {
            let last = meta.sequence;
            self.found
                .violation(|| format!("the stream does not end at event {last} and its chain"));
        }
    }
}

fn damaged() -> RecountError {
    RecountError::Damaged("an entry of the stream is not what the scripts write".to_owned())
}
