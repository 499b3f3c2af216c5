//! What is checked in under `deploy/` for a ledger in a store: the compose file names what is there,
//! and a server with exactly the settings that it gives passes the program's own look at it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use holdfast::config::{Flags, load_from};
use serde_yaml_ng::Value;

use crate::program_support::{Server as Program, finish, folder, holdfast};
use crate::server::Kind;
use crate::store::Store;

const PASSWORD: &str = "secret";

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

/// The compose file with its variables put in and its aliases resolved.
fn compose() -> Value {
    let text = fs::read_to_string(deploy().join("compose.yaml")).unwrap();
    let text = text.replace("${STORE_PASSWORD:?choose one}", PASSWORD);
    let text = text.replace("${INIT:-}", "--init");
    assert!(
        !text.contains("${"),
        "a variable that this test does not know"
    );
    let mut compose: Value = serde_yaml_ng::from_str(&text).unwrap();
    compose.apply_merge().unwrap();
    compose
}

/// Keys of a mapping, entries of a list, nothing of nothing.
fn words(value: &Value) -> Vec<&str> {
    match value {
        Value::Mapping(mapping) => mapping.keys().map(|key| key.as_str().unwrap()).collect(),
        Value::Sequence(list) => list.iter().map(|word| word.as_str().unwrap()).collect(),
        Value::Null => Vec::new(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Tagged(_) => {
            panic!("neither a mapping nor a list: {value:?}")
        }
    }
}

fn environment(service: &Value) -> Vec<(String, String)> {
    let all = service["environment"].as_mapping().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    all.map(|(name, value)| (text(name), text(value))).collect()
}

#[test]
fn the_compose_file_names_nothing_that_is_not_there() {
    let compose = compose();
    let services = words(&compose["services"]);
    assert_eq!(services, ["one", "two", "primary", "replica", "prometheus"]);
    for name in &services {
        let service = &compose["services"][name];
        for other in words(&service["depends_on"]) {
            assert!(services.contains(&other), "{name} waits for {other}");
        }
        for volume in words(&service["volumes"]) {
            let source = volume.split(':').next().unwrap();
            match source.strip_prefix("./") {
                Some(path) => assert!(deploy().join(path).is_file(), "{name}: {volume}"),
                None => assert!(words(&compose["volumes"]).contains(&source), "{volume}"),
            }
        }
        let image = service["image"].as_str().unwrap();
        match service["build"].as_mapping() {
            None => assert!(image.contains(':') && !image.ends_with("latest"), "{image}"),
            Some(build) => {
                let context = deploy().join(build["context"].as_str().unwrap());
                let file = context.join(build["dockerfile"].as_str().unwrap());
                assert!(file.is_file(), "{}", file.display());
            }
        }
    }
}

#[test]
fn the_instances_of_the_compose_file_are_configured_as_they_should() {
    for name in ["one", "two"] {
        let service = &compose()["services"][name];
        assert_eq!(service["command"].as_str(), Some("serve --init"));
        let environment = environment(service).into_iter();
        let environment = environment.map(|(name, value)| (name.into(), value.into()));
        let environment: Vec<(OsString, OsString)> = environment.collect();
        load_from(&Flags::default(), environment).unwrap();
    }
}

/// A server with the words of a service behind the name of its program, but for the passwords: it is
/// on a port of this machine.
fn start(kind: Kind, service: &str, primary: Option<&Store>) -> Store {
    let compose = compose();
    let file = deploy().join("store/store.conf");
    let mut settings = Vec::new();
    let mut command = words(&compose["services"][service]["command"]).into_iter();
    assert_eq!(command.next(), Some("valkey-server"));
    while let Some(word) = command.next() {
        settings.push(match (word, primary) {
            ("--requirepass" | "--masterauth", _) => {
                assert_eq!(command.next(), Some(PASSWORD));
                continue;
            }
            ("/etc/valkey/store.conf", _) => file.to_string_lossy().into_owned(),
            ("primary", _) => "127.0.0.1".to_owned(),
            ("6379", Some(primary)) => primary.port().to_string(),
            (word, _) => word.to_owned(),
        });
    }
    Store::start_as(&[], kind, settings)
}

#[test]
fn a_server_with_the_checked_in_settings_passes_at_every_level() {
    for kind in Kind::ALL {
        let primary = start(kind, "primary", None);
        let _replica = start(kind, "replica", Some(&primary));
        primary.until(&["INFO", "replication"], |info: &String| {
            info.contains("state=online")
        });
        // The version of Redis that is tested has no WAITAOF.
        let highest = match kind {
            Kind::Redis => "replica",
            Kind::Valkey => "replica+disk",
        };
        let inside = folder();
        let store = format!("redis://127.0.0.1:{}", primary.port());
        let place = |level| ["--store", store.as_str(), "--durability", level];
        let settings = environment(&compose()["services"]["one"]);
        for level in ["memory", "disk", highest] {
            let mut serve = holdfast(inside.path());
            serve.envs(settings.iter().map(|(name, value)| (name, value)));
            let arguments = [&place(level)[..], &["--init"]].concat();
            let mut serving = Program::start_as(serve, &arguments);
            assert_eq!(serving.stop().code(), Some(0), "{kind:?} {level}");
            let mut doctor = holdfast(inside.path());
            doctor.envs(settings.iter().map(|(name, value)| (name, value)));
            doctor.args(["doctor", "--listen", "127.0.0.1:0"]);
            let found = finish(doctor.args(place(level)));
            assert_eq!(found.code, Some(0), "{kind:?} {level}: {}", found.out);
            assert!(!found.out.contains('✗'), "{}", found.out);
        }
    }
}
