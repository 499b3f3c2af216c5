//! The time of day of a real process, moved by a test while it runs.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Command;

use tempfile::TempDir;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clock.c");

/// The clock of the processes that are started with its settings.
pub(crate) struct Clock {
    shift: File,
    folder: TempDir,
}

impl Clock {
    /// One that is ahead of the machine's by that many seconds, or behind.
    pub(crate) fn ahead_by(seconds: i64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("clock.so");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]);
        let compiled = compiler.arg(&library).arg(SOURCE).status();
        assert!(compiled.unwrap().success(), "cc compiles {SOURCE}");
        let shift = File::create(folder.path().join("shift")).unwrap();
        let clock = Self { shift, folder };
        clock.set(seconds);
        clock
    }

    /// It jumps, at once and for all its processes, to where it is ahead of the machine's by so much.
    pub(crate) fn set(&self, seconds: i64) {
        self.shift.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }

    /// What the environment of a process has to say.
    pub(crate) fn settings(&self) -> [(&'static str, String); 2] {
        let path = |name| self.folder.path().join(name).display().to_string();
        [
            ("LD_PRELOAD", path("clock.so")),
            ("CLOCK_SHIFT_FILE", path("shift")),
        ]
    }
}
