//! `policy`: read, check and change it from the command line.

use crate::support::{Server, file, folder, run};

const LIVE_60: &str = r#"{"channels":[{"name":"live"}],"rules":[{"id":"all","default":true,
    "limits":[{"channel":"live","cap":{"percent":60}}]}]}"#;

#[test]
fn a_policy_is_put_read_checked_and_taken_back() {
    let inside = folder();
    let server = Server::start(inside.path(), &[]);
    let url = format!("http://{}", server.address);
    let policy = |arguments: &[&str]| {
        let all = [&["policy"], arguments, &["--server", &url]].concat();
        run(inside.path(), &all)
    };
    let none = policy(&["get"]);
    assert_eq!(none.code, Some(1));
    assert!(none.err.contains("no_policy"), "{}", none.err);
    assert_eq!(policy(&["versions"]).out, "there is no policy\n");

    file(&inside, "60.json", LIVE_60);
    file(&inside, "40.json", &LIVE_60.replace("60", "40"));
    file(&inside, "140.json", &LIVE_60.replace("60", "140"));
    let checked = policy(&["check", "60.json"]);
    assert_eq!(checked.code, Some(0), "{}", checked.err);
    assert!(checked.out.contains("rules added: all"), "{}", checked.out);
    let put = policy(&["put", "60.json", "--after", "0", "--operator", "anna"]);
    assert_eq!(put.code, Some(0), "{}", put.err);
    assert!(
        put.out.starts_with("version 1 is in force\n"),
        "{}",
        put.out
    );
    let got = policy(&["get"]).json();
    assert_eq!(got["rules"][0]["limits"][0]["cap"]["percent"], 60);

    // Without a server the document alone is looked at.
    let alone = |file| run(inside.path(), &["policy", "check", file]);
    let sound = alone("60.json");
    assert_eq!(
        (sound.code, &*sound.out),
        (Some(0), "the policy has no faults\n")
    );
    let faulty = alone("140.json");
    assert_eq!(faulty.code, Some(1));
    let fault = "140.json: the policy has 1 fault\n  rules[0].limits[0].cap.percent: ";
    assert!(faulty.err.contains(fault), "{}", faulty.err);

    let bad = policy(&["put", "140.json"]);
    assert_eq!(bad.code, Some(1));
    let fault = "rules[0].limits[0].cap.percent: ";
    assert!(bad.err.contains(fault), "{}", bad.err);
    let stale = policy(&["put", "40.json", "--after", "7"]);
    assert!(stale.err.contains("version_mismatch"), "{}", stale.err);
    let reason = "half price & more";
    let put = policy(&[
        "put", "40.json", "--after", "1", "--reason", reason, "--json",
    ]);
    assert_eq!(put.json()["version"], 2);
    let back = policy(&["rollback", "1", "--reason", "too low"]);
    assert!(back.out.contains("version 3 is in force"), "{}", back.err);
    assert!(back.out.contains("rules changed: all"), "{}", back.out);
    let versions = policy(&["versions"]).out;
    let lines: Vec<&str> = versions.lines().collect();
    assert_eq!(lines.len(), 3, "{versions}");
    assert!(lines[0].ends_with("too low") && lines[1].ends_with(reason));
    assert!(lines[2].contains("anna"), "{versions}");
}
