//! Limits on every SKU, so that what they cost can be measured.

use serde_json::{Value, json};

use crate::Failure;
use crate::wire::Wire;

/// Levels of the tree; the channel that the load sells for is on the last one.
const LEVELS: usize = 8;

/// Sets of SKUs that have rules of their own, a hundredth of the names each.
const SETS: usize = 100;

fn group(level: usize) -> String {
    match level {
        LEVELS => "web".to_owned(),
        level => format!("group-{level}"),
    }
}

/// The names of a level: two.
fn entries(level: usize) -> [String; 2] {
    [group(level), format!("other-{level}")]
}

fn channels() -> Vec<Value> {
    let entry = |level, name| {
        if level == 1 {
            json!({"name": name})
        } else {
            json!({"name": name, "parent": group(level - 1)})
        }
    };
    (1..=LEVELS)
        .flat_map(|level| entries(level).map(|name| entry(level, name)))
        .collect()
}

/// A cap and a protection on every entry, which no load ever reaches.
fn limits(cap: usize) -> Vec<Value> {
    let limit =
        |name| json!({"channel": name, "cap": {"percent": cap}, "protection": {"percent": 1}});
    (1..=LEVELS).flat_map(entries).map(limit).collect()
}

fn everything(cap: usize) -> Value {
    json!({"id": "everything", "default": true, "limits": limits(cap)})
}

/// A tree with two entries on every level and limits on each, for every SKU there is. None of them
/// is ever reached: what is measured is the looking.
pub(crate) fn for_all() -> Value {
    json!({"channels": channels(), "rules": [everything(99)]})
}

/// The same, and a rule of its own for each hundredth of the SKUs. Each turn is another policy.
pub(crate) fn with_sets(turn: usize) -> Value {
    let cap = 90 + turn % 10;
    let name = |at: usize| format!("set-{at:02}");
    let set = |at| json!({"name": name(at), "prefix": format!("SKU-{at:02}")});
    let rule = |at| json!({"id": name(at), "set": name(at), "limits": limits(cap)});
    let rules: Vec<Value> = std::iter::once(everything(cap))
        .chain((0..SETS).map(rule))
        .collect();
    let sets: Vec<Value> = (0..SETS).map(set).collect();
    json!({"channels": channels(), "sets": sets, "rules": rules})
}

/// Puts a policy in force, whatever was before.
pub(crate) fn put(address: &str, document: &Value) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(send(address, &document.to_string()))
}

/// Puts the policy of this text in force.
pub(crate) async fn send(address: &str, body: &str) -> Result<(), Failure> {
    let length = body.len();
    let request = format!(
        "PUT /v1/policy?reason=load HTTP/1.1\r\nhost: {address}\r\nif-match: *\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let mut wire = Wire::connect(address).await?;
    let reply = wire.exchange(request.as_bytes()).await?;
    if reply.status == 200 {
        return Ok(());
    }
    let (status, why) = (reply.status, String::from_utf8_lossy(reply.body));
    Err(format!("the policy was refused with {status}: {why}").into())
}
