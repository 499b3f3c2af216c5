//! A server of its own for a measurement, and what it keeps its ledger in.

use std::path::Path;

use crate::Failure;
use crate::contender::Holdfast;
use crate::server::{Durability, Scratch, Server, Setting, verify};
use crate::store::{Source, Store};

/// What a server keeps its ledger in.
pub(crate) enum Books {
    Folder(Scratch),
    Store(Store),
}

impl Books {
    /// New ones and a server on them: in a store, level `memory`, or in a folder, level `disk`;
    /// with these settings besides.
    pub(crate) fn open(
        binary: &Path,
        scratch: &Path,
        store: Option<&Source>,
        settings: &[Setting],
    ) -> Result<(Server, Self), Failure> {
        let Some(source) = store else {
            let folder = Scratch::new(scratch, "data")?;
            let settings = [&[Durability::Disk.setting()], settings].concat();
            let server = Server::holdfast(binary, &folder.0, &settings)?;
            return Ok((server, Self::Folder(folder)));
        };
        let store = source.open(scratch, Durability::Memory)?;
        let server = Server::over(binary, &[&store.settings(), settings].concat())?;
        Ok((server, Self::Store(store)))
    }

    /// Counts everything again once the server has ended, and puts them away.
    pub(crate) fn close(self, binary: &Path) -> Result<(), Failure> {
        match self {
            Self::Folder(folder) => verify(binary, &folder.0),
            Self::Store(store) => {
                let ledger = Holdfast::open(&store)?;
                ledger.recount()?;
                ledger.discard()
            }
        }
    }
}
