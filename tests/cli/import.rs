//! `import`: files into folders and servers.

use crate::support::{Server, file, folder, run};

const GOOD: &str = "\u{feff}货号;库存;仓库;备注\r\n007;5;;a\r\nB;3;w1;b\r\n";

#[test]
fn a_good_file_is_imported_once() {
    let inside = folder();
    file(&inside, "s.csv", GOOD);
    let first = run(inside.path(), &["import", "s.csv", "--json"]);
    assert_eq!(first.code, Some(0), "{}", first.err);
    assert_eq!(first.json()["imported"], 2);
    assert_eq!(first.json()["ignored_columns"][0], "备注");
    let verified = run(inside.path(), &["verify", "--json"]).json();
    assert_eq!(
        (&verified["skus"], &verified["units_on_hand"]),
        (&2.into(), &8.into())
    );

    let again = run(inside.path(), &["import", "s.csv", "--json"]);
    assert_eq!(again.code, Some(0));
    assert_eq!(
        (&again.json()["imported"], &again.json()["imported_before"]),
        (&0.into(), &2.into())
    );
    let forced = run(inside.path(), &["import", "s.csv", "--again", "--json"]);
    assert_eq!(forced.json()["imported"], 2);
}

#[test]
fn bad_rows_go_to_the_rejects_file_and_good_ones_in() {
    let inside = folder();
    file(&inside, "s.csv", "sku,qty\n007,5\n6.90E+12,1\nA,-1\nB,x\n");
    let imported = run(inside.path(), &["import", "s.csv"]);
    assert_eq!(imported.code, Some(1));
    assert!(
        imported.out.contains("imported 1 rows; 3 rejected"),
        "{}",
        imported.out
    );
    let rejects = std::fs::read_to_string(inside.path().join("s.csv.rejects.csv")).unwrap();
    let lines: Vec<&str> = rejects.lines().collect();
    assert_eq!(lines.len(), 4);
    for (line, start, part) in [
        (1, "3,", "lost digits"),
        (2, "4,", "negative"),
        (3, "5,", "not a whole number"),
    ] {
        assert!(
            lines[line].starts_with(start) && lines[line].contains(part),
            "{}",
            lines[line]
        );
    }
    let verified = run(inside.path(), &["verify", "--json"]).json();
    assert_eq!(
        (&verified["skus"], &verified["units_on_hand"]),
        (&1.into(), &5.into())
    );
}

#[test]
fn a_file_without_the_needed_columns_changes_nothing() {
    let inside = folder();
    file(&inside, "s.csv", "name,price\nA,1\n");
    let refused = run(inside.path(), &["import", "s.csv"]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.err.contains("no column for the SKU"),
        "{}",
        refused.err
    );
    assert!(!inside.path().join("data").exists());
}

#[test]
fn a_dry_run_changes_nothing() {
    let inside = folder();
    file(&inside, "s.csv", "sku,qty\nA,5\nB,-1\n");
    let tried = run(inside.path(), &["import", "s.csv", "--dry-run"]);
    assert_eq!(tried.code, Some(0));
    assert!(
        tried
            .out
            .contains("1 rows would be set (5 units), 1 are rejected"),
        "{}",
        tried.out
    );
    assert!(
        tried.err.contains("line 3: quantity -1 is negative"),
        "{}",
        tried.err
    );
    let names: Vec<_> = std::fs::read_dir(inside.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["s.csv"]);
}

#[test]
fn a_difference_that_is_refused_is_one_reject_not_a_lost_chunk() {
    let inside = folder();
    file(&inside, "s.csv", GOOD);
    run(inside.path(), &["import", "s.csv"]);
    file(
        &inside,
        "d.ndjson",
        "{\"sku\":\"007\",\"delta\":-2}\n{\"sku\":\"Z\",\"delta\":1}\n{\"sku\":\"007\",\"delta\":-9}\n",
    );
    let adjusted = run(
        inside.path(),
        &["import", "d.ndjson", "--mode", "adjust", "--json"],
    );
    assert_eq!(adjusted.code, Some(1));
    assert_eq!(
        (&adjusted.json()["imported"], &adjusted.json()["rejected"]),
        (&1.into(), &2.into())
    );
    let rejects = std::fs::read_to_string(inside.path().join("d.ndjson.rejects.csv")).unwrap();
    assert!(rejects.contains("2,refused: unknown_sku"), "{rejects}");
    assert!(rejects.contains("3,refused: negative_stock"), "{rejects}");
    let verified = run(inside.path(), &["verify", "--json"]).json();
    assert_eq!(verified["units_on_hand"], 6);
}

// Rows went in one by one because one SKU was missing. Once it was there, the same file passed as a
// whole, under another key, and adjusted every row a second time.
#[test]
fn differences_are_applied_once_although_a_missing_sku_was_made_in_between() {
    let inside = folder();
    file(&inside, "s.csv", GOOD);
    run(inside.path(), &["import", "s.csv"]);
    file(&inside, "d.csv", "sku,delta\n007,-2\nZ,1\n");
    let adjust = ["import", "d.csv", "--mode", "adjust", "--json"];
    let first = run(inside.path(), &adjust);
    assert_eq!(first.code, Some(1), "{}", first.err);
    file(&inside, "z.csv", "sku,qty\nZ,10\n");
    run(inside.path(), &["import", "z.csv"]);
    let second = run(inside.path(), &adjust);
    assert_eq!(second.code, Some(0), "{}", second.err);
    assert_eq!(
        (
            &second.json()["imported"],
            &second.json()["imported_before"]
        ),
        (&1.into(), &1.into())
    );
    let verified = run(inside.path(), &["verify", "--json"]).json();
    assert_eq!(verified["units_on_hand"], 5 - 2 + 3 + 10 + 1);
}

#[test]
fn a_running_server_takes_the_file_over_http() {
    let inside = folder();
    let mut server = Server::start(inside.path(), &[]);
    file(&inside, "s.csv", GOOD);
    let locked = run(inside.path(), &["import", "s.csv"]);
    assert_eq!(locked.code, Some(4));
    assert!(locked.err.contains("--server"), "{}", locked.err);

    let url = format!("http://{}", server.address);
    for (imported, before) in [(2, 0), (0, 2)] {
        let sent = run(
            inside.path(),
            &["import", "s.csv", "--server", &url, "--json"],
        );
        assert_eq!(sent.code, Some(0), "{}", sent.err);
        let json = sent.json();
        assert_eq!(
            (&json["imported"], &json["imported_before"]),
            (&imported.into(), &before.into())
        );
    }
    let (status, stock) = server.get("/v1/stock/007");
    assert_eq!(status, 200);
    assert!(stock.contains("\"on_hand\":5"), "{stock}");
    server.stop();
    let away = run(inside.path(), &["import", "s.csv", "--server", &url]);
    assert_eq!(away.code, Some(5), "{}", away.err);
}

#[test]
fn a_large_file_goes_in_many_chunks() {
    let inside = folder();
    let rows: Vec<_> = (0..1_801).map(|n| format!("SKU-{n},{}", n % 7)).collect();
    file(
        &inside,
        "s.csv",
        &format!(
            "sku,qty
{}
",
            rows.join(
                "
"
            )
        ),
    );
    let imported = run(inside.path(), &["import", "s.csv", "--json"]);
    assert_eq!(imported.json()["imported"], 1_801);
    let total: u64 = (0..1_801).map(|n| n % 7).sum();
    let verified = run(inside.path(), &["verify", "--json"]).json();
    assert_eq!(
        (&verified["skus"], &verified["units_on_hand"]),
        (&1_801.into(), &total.into())
    );
}
