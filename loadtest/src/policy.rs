//! Limits on every SKU, so that what they cost can be measured.

use serde_json::{Value, json};

use crate::Failure;
use crate::wire::Wire;

/// Levels of the tree; the channel that the load sells for is on the last one.
const LEVELS: usize = 8;

/// A tree with two entries on every level, a cap and a protection on each, for every SKU there is.
/// None of them is ever reached: what is measured is the looking.
fn document() -> Value {
    let group = |level: usize| match level {
        LEVELS => "web".to_owned(),
        level => format!("group-{level}"),
    };
    let (mut channels, mut limits) = (Vec::new(), Vec::new());
    for level in 1..=LEVELS {
        for name in [group(level), format!("other-{level}")] {
            let mut channel = json!({"name": name});
            if level > 1 {
                channel["parent"] = group(level - 1).into();
            }
            channels.push(channel);
            let protection = json!({"percent": 1});
            limits.push(json!({
                "channel": name, "cap": {"percent": 99}, "protection": protection
            }));
        }
    }
    json!({
        "channels": channels,
        "rules": [{"id": "everything", "default": true, "limits": limits}]
    })
}

/// Puts them in force.
pub(crate) fn put(address: &str) -> Result<(), Failure> {
    let body = document().to_string();
    let length = body.len();
    let request = format!(
        "PUT /v1/policy?reason=load HTTP/1.1\r\nhost: {address}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut wire = Wire::connect(address).await?;
        let reply = wire.exchange(request.as_bytes()).await?;
        if reply.status == 200 {
            return Ok(());
        }
        let (status, why) = (reply.status, String::from_utf8_lossy(reply.body));
        Err(format!("the policy was refused with {status}: {why}").into())
    })
}
