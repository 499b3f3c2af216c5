//! Which fault is on: the one that the environment names.

use std::io::Write as _;
use std::sync::OnceLock;

use super::Fault;

/// The fault that `SABOTAGE_FAULT` names.
///
/// # Panics
/// Where it names none.
pub(super) fn chosen() -> Option<Fault> {
    static CHOSEN: OnceLock<Option<Fault>> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "not a setting of the product")]
    let read = || {
        let name = std::env::var("SABOTAGE_FAULT").ok()?;
        let fault = Fault::ALL.iter().find(|fault| fault.name() == name);
        assert!(fault.is_some(), "there is no fault {name}");
        fault.copied()
    };
    *CHOSEN.get_or_init(read)
}

/// Whether this fault is to happen here and now. The first time is noted in the file that
/// `SABOTAGE_FIRED` names: a fault that never happened proves nothing.
pub fn is_on(fault: Fault) -> bool {
    let is_on = chosen() == Some(fault);
    if is_on {
        note(fault);
    }
    is_on
}

fn note(fault: Fault) {
    static NOTED: OnceLock<()> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "not a setting of the product")]
    NOTED.get_or_init(|| {
        if let Ok(path) = std::env::var("SABOTAGE_FIRED") {
            let mut options = std::fs::OpenOptions::new();
            let file = options.create(true).append(true).open(path);
            let noted = file.and_then(|mut file| writeln!(file, "{}", fault.name()));
            assert!(noted.is_ok(), "the file cannot be written");
        }
    });
}
