//! Encrypted connections: the real binary over a server that takes no others.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::program_support::{Finished, Server as Program, folder, run};
use crate::support::server::Kind;
use crate::support::store::{Store, free_port};

const STOCK: &str = r#"{"items":[{"sku":"A","on_hand":5,"change_from":null}],"reason":"test"}"#;

/// Runs `openssl` in a folder; the words may not hold spaces.
fn openssl(inside: &Path, words: &str) {
    let made = Command::new("openssl")
        .args(words.split(' '))
        .current_dir(inside)
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
}

/// An authority, and a certificate of it for each name: `<name>.pem`, `<name>.key`, `<ca>.pem`.
fn certificates(inside: &Path, ca: &str, names: &[&str]) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(
        inside,
        &format!("req -x509 {key} -days 2 -subj /CN={ca} -keyout {ca}.key -out {ca}.pem"),
    );
    for name in names {
        openssl(
            inside,
            &format!("req {key} -subj /CN={name} -keyout {name}.key -out {name}.csr"),
        );
        let extensions = "basicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost\n";
        std::fs::write(inside.join("extensions"), extensions).unwrap();
        openssl(
            inside,
            &format!(
                "x509 -req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -days 2 \
                 -extfile extensions -out {name}.pem"
            ),
        );
    }
}

/// A server whose only open port is encrypted, and asks callers who they are.
///
/// The packaged Valkey has no TLS; what differs between the two servers is not in this path.
fn encrypted(files: &TempDir) -> (Store, u16) {
    certificates(files.path(), "shop", &["server", "client"]);
    certificates(files.path(), "stranger", &[]);
    let (port, path) = (free_port().to_string(), |name: &str| {
        files.path().join(name).display().to_string()
    });
    let settings = [
        ("--tls-port", port.clone()),
        ("--tls-cert-file", path("server.pem")),
        ("--tls-key-file", path("server.key")),
        ("--tls-ca-cert-file", path("shop.pem")),
        ("--tls-auth-clients", "yes".to_owned()),
    ];
    let words: Vec<&str> = settings.iter().flat_map(|(n, v)| [*n, v]).collect();
    (Store::start(Kind::Redis, &words), port.parse().unwrap())
}

fn doctor(inside: &Path, store: &str) -> Finished {
    let level = ["--durability", "memory", "--listen", "127.0.0.1:0"];
    run(
        inside,
        &[&["doctor", "--store", store], &level[..]].concat(),
    )
}

#[test]
fn only_who_is_known_by_a_known_authority_is_talked_to() {
    let (inside, files) = (folder(), folder());
    let (_store, port) = encrypted(&files);
    let at = |host: &str, ca: &str, rest: &str| {
        let files = files.path().display();
        format!("rediss://{host}:{port}?ca={files}/{ca}.pem{rest}")
    };
    let us = format!(
        "&cert={0}/client.pem&key={0}/client.key",
        files.path().display()
    );

    let url = at("localhost", "shop", &us);
    let place = ["--store", &url, "--durability", "memory", "--init"];
    let mut program = Program::start(inside.path(), &place);
    assert_eq!(program.post("/v1/stock", "s1", STOCK).0, 200);
    assert_eq!(program.get("/v1/stock/A").0, 200);
    assert_eq!(program.stop().code(), Some(0));
    let well = doctor(inside.path(), &url);
    assert_eq!(well.code, Some(0), "{}{}", well.out, well.err);

    let refused = [
        (at("localhost", "stranger", &us), "UnknownIssuer"),
        (at("127.0.0.1", "shop", &us), "not valid for name"),
        (at("localhost", "shop", ""), "ertificate"),
        (at("localhost", "nowhere", &us), "nowhere.pem"),
        (format!("redis://localhost:{port}"), ""),
    ];
    for (url, why) in refused {
        let away = doctor(inside.path(), &url);
        assert_eq!(away.code, Some(1), "{url}: {}{}", away.out, away.err);
        assert!(away.out.contains(why), "{url}: {}{}", away.out, away.err);
    }
}
