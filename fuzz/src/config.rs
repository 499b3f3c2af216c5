//! Configurations: any file and any environment load, or every mistake is named with its key; what
//! was loaded loads again from the values that were told.
//!
//! The text is a file; after a line `%%`, a variable of the environment in each line.

use std::ffi::OsString;
use std::io::Write;

use holdfast::config::{Flags, Loaded, Problems, StoreSettings, load_from};
use tempfile::NamedTempFile;

/// Loads a file and an environment.
pub fn check(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let (file, environment) = text.split_once("\n%%\n").unwrap_or((&text, ""));
    let mut kept = NamedTempFile::new().unwrap();
    kept.write_all(file.as_bytes()).unwrap();
    let flags = Flags {
        file: Some(kept.path().to_owned()),
        values: Vec::new(),
    };
    let variables = environment.lines().filter_map(|line| line.split_once('='));
    let variables = variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    match load_from(&flags, variables) {
        Ok(loaded) => {
            load_again(&loaded);
            true
        }
        Err(Problems(problems)) => {
            assert!(!problems.is_empty());
            for problem in problems {
                assert!(
                    !problem.origin.is_empty() && !problem.fix.is_empty(),
                    "{problem:?}"
                );
            }
            false
        }
    }
}

fn load_again(loaded: &Loaded) {
    // The address of a store is told without its password.
    if matches!(loaded.config.store, StoreSettings::Remote(_)) {
        return;
    }
    let variables = loaded.settings.iter().map(|of| {
        let name = of.key.replace('.', "__").to_ascii_uppercase();
        (format!("HOLDFAST_{name}").into(), of.value.clone().into())
    });
    let again = load_from(&Flags::default(), variables);
    let again = again.unwrap_or_else(|why| panic!("{why}\n{loaded:?}"));
    assert_eq!(again.config, loaded.config);
}
