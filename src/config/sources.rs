//! Where values come from, as figment providers that know their own names.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::{DEFAULT_TOML, Flags, Problem};

const ENV_PREFIX: &str = "HOLDFAST_";
/// Names the file itself, so it is no key.
const ENV_FILE: &str = "HOLDFAST_CONFIG";

/// Defaults, file, environment, flags: the later one wins. What cannot be read at all is reported
/// and left out.
pub(super) fn join(
    flags: &Flags,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> (Figment, Vec<Problem>) {
    let mut figment = Figment::from(Toml::string(DEFAULT_TOML));
    let mut problems = Vec::new();
    if let Some(path) = &flags.file {
        match read_file(path) {
            Ok(text) => {
                let path = path.clone();
                figment = figment.merge(File { path, text });
            }
            Err(problem) => problems.push(problem),
        }
    }
    for (name, value) in environment {
        match variable(&name, &value) {
            None => {}
            Some(Ok(variable)) => figment = figment.merge(variable),
            Some(Err(problem)) => problems.push(problem),
        }
    }
    (figment.merge(flags.clone()), problems)
}

impl Provider for Flags {
    fn metadata(&self) -> Metadata {
        Metadata::named("command line")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut dict = Dict::new();
        for (key, value) in &self.values {
            dict.insert((*key).to_owned(), Value::from(value.clone()));
        }
        Ok(Profile::Default.collect(dict))
    }
}

/// One variable of the environment, so that its name is known where its value is found wrong.
struct Variable {
    name: String,
    key: String,
    value: String,
}

impl Provider for Variable {
    fn metadata(&self) -> Metadata {
        Metadata::named(format!("environment variable {}", self.name))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let value = Value::from(self.value.clone());
        let nested = figment::util::nest(&self.key, value);
        Ok(Profile::Default.collect(nested.into_dict().unwrap_or_default()))
    }
}

/// A configuration file that was read already.
struct File {
    path: PathBuf,
    text: String,
}

impl Provider for File {
    fn metadata(&self) -> Metadata {
        Metadata::named(format!("file {}", self.path.display()))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Toml::string(&self.text).data()
    }
}

fn read_file(path: &Path) -> Result<String, Problem> {
    let problem = |fix: String| Problem {
        key: "--config".to_owned(),
        origin: format!("file {}", path.display()),
        fix,
    };
    let text = std::fs::read_to_string(path).map_err(|e| {
        problem(format!(
            "cannot be read: {e}; `holdfast config init` writes a new one"
        ))
    })?;
    match Toml::string(&text).data() {
        Ok(_) => Ok(text),
        Err(error) => Err(problem(format!(
            "is not TOML: {}",
            error.to_string().trim()
        ))),
    }
}

fn variable(name: &OsString, value: &OsString) -> Option<Result<Variable, Problem>> {
    let name = name.to_str()?;
    let key = name.strip_prefix(ENV_PREFIX).filter(|_| name != ENV_FILE)?;
    let key = key.to_ascii_lowercase().replace("__", ".");
    let found = value.to_str().map(|value| Variable {
        name: name.to_owned(),
        key: key.clone(),
        value: value.to_owned(),
    });
    Some(found.ok_or_else(|| Problem {
        key,
        origin: format!("environment variable {name}"),
        fix: "is not UTF-8".to_owned(),
    }))
}
