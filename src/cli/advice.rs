//! What to do about a failure: one sentence part per kind, the same in every command.

use std::io::{self, ErrorKind};

use crate::engine::OpenError;
use crate::ledger::embedded::journal::JournalError;
use crate::ledger::embedded::snapshot_file::SnapshotError;
use crate::ledger::embedded::storage::OpenStorageError;
use crate::ledger::export::file::FileError;
use crate::ledger::remote;

const RESTORE: &str = "restore the data folder from a copy";
const OTHER_VERSION: &str = "use the version of holdfast that wrote it";

const IN_THE_WAY: &str = "a file stands there: choose another path";
const NO_ROOM: &str = "make room on the disk";
const FAILING: &str = "look into the log of the system, the disk may be failing";

const FILES: [(ErrorKind, &str); 9] = [
    (ErrorKind::NotFound, "check the path"),
    (
        ErrorKind::PermissionDenied,
        "give the user that runs holdfast the right to it",
    ),
    (
        ErrorKind::ReadOnlyFilesystem,
        "mount the disk for writing, or choose another path",
    ),
    (ErrorKind::StorageFull, NO_ROOM),
    (ErrorKind::QuotaExceeded, NO_ROOM),
    (ErrorKind::AlreadyExists, IN_THE_WAY),
    (ErrorKind::NotADirectory, IN_THE_WAY),
    (
        ErrorKind::IsADirectory,
        "a folder stands there: choose another path",
    ),
    (ErrorKind::InvalidData, RESTORE),
];

const ADDRESSES: [(ErrorKind, &str); 3] = [
    (
        ErrorKind::AddrInUse,
        "another program listens there: stop it, or use another --listen",
    ),
    (
        ErrorKind::AddrNotAvailable,
        "this machine has no such address: use 127.0.0.1, or 0.0.0.0 for all it has",
    ),
    (
        ErrorKind::PermissionDenied,
        "this port is not for every user: use one from 1024 on with --listen",
    ),
];

fn look_up(table: &[(ErrorKind, &'static str)], error: &io::Error) -> Option<&'static str> {
    let row = table.iter().find(|(kind, _)| *kind == error.kind());
    row.map(|(_, fix)| *fix)
}

/// An operation on a file or folder that the system refused.
pub(crate) fn on_file(error: &io::Error) -> &'static str {
    look_up(&FILES, error).unwrap_or(FAILING)
}

/// An address that cannot be listened on.
pub(crate) fn on_listening(error: &io::Error) -> &'static str {
    look_up(&ADDRESSES, error).unwrap_or("use another --listen")
}

/// A data folder that cannot be opened; nothing where the error says it itself.
pub(crate) fn on_opening(error: &OpenError) -> &'static str {
    match error {
        OpenError::Folder(error) => on_folder(error),
        OpenError::Journal(error) => on_journal(error),
        OpenError::Snapshot(SnapshotError::Io { source, .. }) => on_file(source),
        OpenError::Snapshot(SnapshotError::Version { .. }) => OTHER_VERSION,
        OpenError::Snapshot(SnapshotError::Damaged { .. }) | OpenError::Damaged(_) => RESTORE,
        OpenError::Storage(error) => on_file(error),
    }
}

/// An export that cannot be read; nothing where the error says it itself.
pub(crate) const fn on_export(error: &FileError) -> &'static str {
    match error {
        FileError::Version(_) => OTHER_VERSION,
        FileError::Io(_) | FileError::Other | FileError::Damaged { .. } | FileError::Short(_) => "",
    }
}

/// A store that holds no ledger that can be used; nothing where the error says it itself.
pub(crate) const fn on_store(error: &remote::OpenError) -> &'static str {
    match error {
        remote::OpenError::Threads(_) => "free some threads or memory",
        remote::OpenError::Unreachable { .. } => "check --store, and that the server runs there",
        remote::OpenError::Missing(_) => {
            "check --store and remote.namespace, or make a new ledger there with serve --init"
        }
        remote::OpenError::Importing(_) => {
            "begin it anew with import --ledger FILE --again when no other import runs"
        }
        remote::OpenError::Taken(_) => {
            "a whole ledger goes into an empty place only: use another remote.namespace"
        }
        remote::OpenError::Unusable(_) => {
            "set remote.partitions as it is there, or use the version of holdfast that wrote it, or another remote.namespace"
        }
        // Each finding names its fix.
        remote::OpenError::Unsafe(_) => "",
    }
}

fn on_folder(error: &OpenStorageError) -> &'static str {
    match error {
        OpenStorageError::InUse { .. } => "stop that process, or use another --data",
        OpenStorageError::NotAFolder { .. } => "use another --data",
        OpenStorageError::NotWritable { source, .. } | OpenStorageError::Io { source, .. } => {
            on_file(source)
        }
    }
}

fn on_journal(error: &JournalError) -> &'static str {
    match error {
        JournalError::Io { source, .. } => on_file(source),
        JournalError::Version { .. } => OTHER_VERSION,
        JournalError::Damaged { .. } | JournalError::Behind { .. } => "",
        JournalError::Gone { .. } => RESTORE,
        JournalError::Poisoned { .. } => FAILING,
    }
}

/// What was found, and what to do about it, in one line.
pub(crate) fn joined(found: impl std::fmt::Display, fix: &str) -> String {
    if fix.is_empty() {
        found.to_string()
    } else {
        format!("{found}; {fix}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn io(kind: ErrorKind) -> io::Error {
        io::Error::from(kind)
    }

    fn unopened(kind: ErrorKind) -> &'static str {
        let (action, file, source) = ("open", "0.seg".to_owned(), io(kind));
        on_opening(&OpenError::Journal(JournalError::Io {
            action,
            file,
            source,
        }))
    }

    /// Every failure of a data folder used to be answered with advice to restore it.
    #[test]
    fn only_damage_asks_for_a_copy() {
        assert!(unopened(ErrorKind::PermissionDenied).contains("the right to it"));
        assert!(unopened(ErrorKind::StorageFull).contains("make room"));
        assert!(unopened(ErrorKind::NotFound).contains("check the path"));
        assert!(unopened(ErrorKind::ReadOnlyFilesystem).contains("for writing"));
        let (found, known) = (2, 1);
        let file = "0.seg".to_owned();
        let version = JournalError::Version { file, found, known };
        assert_eq!(on_opening(&OpenError::Journal(version)), OTHER_VERSION);
        let damaged = OpenError::Damaged("two names".to_owned());
        assert_eq!(on_opening(&damaged), RESTORE);
        assert_eq!(
            on_opening(&OpenError::Storage(io(ErrorKind::InvalidData))),
            RESTORE
        );
    }

    #[test]
    fn an_address_is_advised_on_by_what_is_wrong_with_it() {
        let advice = [
            ErrorKind::AddrInUse,
            ErrorKind::AddrNotAvailable,
            ErrorKind::PermissionDenied,
        ]
        .map(|kind| on_listening(&io(kind)));
        assert!(advice[0].contains("another program"));
        assert!(advice[1].contains("127.0.0.1"));
        assert!(advice[2].contains("1024"));
    }
}
