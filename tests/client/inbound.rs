//! Dated supply through the client.

use holdfast_client::{AtpQuery, InboundKind, Limit, Line, PutInbound, Receipt, Reserve};

use crate::support::{Running, done, refused};

/// Five and nine days after the server's clock.
const SOON: &str = "2026-11-16";
const LATE: &str = "2026-11-20";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn supply_is_announced_promised_and_received() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path());
    let client = server.client();
    let put = PutInbound {
        id: "po-1",
        sku: "A",
        node: None,
        kind: InboundKind::Presale,
        due: SOON,
        quantity: 4,
    };
    let told = done(client.put_inbound(&[put]).await);
    assert_eq!((&*told[0].due, told[0].open), (SOON, 4));
    let lines = [Line::new("A", 3).by(LATE)];
    let made = done(client.reserve(&Reserve::new("web", &lines)).await);
    assert_eq!(made.lines[0].promise_date.as_deref(), Some(SOON));
    let too_soon = [Line::new("A", 1)];
    let refusal = client.reserve(&Reserve::new("web", &too_soon)).await;
    let short = &refused(refusal, "insufficient_stock").shortages[0];
    assert_eq!(
        (short.limit, short.next_date.as_deref()),
        (Limit::Date, Some(SOON))
    );

    let atp = client.atp("A", AtpQuery::default()).await.unwrap();
    let dates: Vec<_> = atp
        .dates
        .iter()
        .map(|of| (&*of.date, of.available))
        .collect();
    assert_eq!((atp.available, dates), (0, vec![(SOON, 1)]));

    let receipt = Receipt {
        id: "po-1",
        sku: "A",
        quantity: 3,
        is_final: false,
    };
    let told = done(client.receive_inbound(&[receipt]).await);
    assert_eq!((told[0].on_hand, told[0].received, told[0].open), (3, 3, 1));
    let left = client.inbound("A").await.unwrap();
    assert_eq!((left.len(), left[0].open, left[0].overdue), (1, 1, false));
}
