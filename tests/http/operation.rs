//! Health, metrics, documentation, request ids.

use holdfast::http::{catalog, openapi};

use crate::support::Running;

#[test]
fn health_is_reported() {
    let server = Running::start();
    let mut client = server.client();
    for path in ["/livez", "/readyz"] {
        let answer = client.get(path);
        assert_eq!((answer.status, answer.text()), (200, "ok\n"));
        assert!(
            client
                .get(&format!("{path}?verbose"))
                .text()
                .contains("[+]http ok\n")
        );
    }
    assert!(
        client
            .get("/readyz?verbose")
            .text()
            .contains("[+]journal ok\n")
    );
}

#[test]
fn metrics_count_requests_by_route() {
    let server = Running::start();
    server.stock("a", 1);
    let mut client = server.client();
    let body = r#"{"channel":"tmall","lines":[{"sku":"a","quantity":1}]}"#;
    client.post("/v1/reservations", "k", body).expect(201);
    client.get("/v1/stock/a").expect(200);
    client.get("/v1/atp/a").expect(200);
    client.get("/nothing").problem(404, "not_found");
    let answer = client.get("/metrics");
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let text = answer.text();
    for route in [
        "/v1/reservations",
        "/v1/stock/{sku}",
        "/v1/atp/{sku}",
        "other",
    ] {
        assert!(
            text.contains(&format!("http_route=\"{route}\"")),
            "{route}: {text}"
        );
    }
    assert!(!text.contains("sku=\""), "no SKU is ever a label");
    assert!(text.contains("holdfast_reservation_ops_total"));
}

#[test]
fn the_documentation_works_without_the_internet() {
    let server = Running::start();
    let mut client = server.client();
    let document = client.get("/openapi.json");
    assert_eq!(document.header("content-type"), Some("application/json"));
    assert_eq!(document.text(), openapi::text());
    for path in ["/", "/docs", "/problems"] {
        let page = client.get(path);
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, Some("text/html; charset=utf-8"))
        );
        assert!(
            !page.text().contains("://"),
            "{path} loads nothing from elsewhere"
        );
    }
    for kind in catalog::ALL {
        let page = client.get(&format!("/problems/{}", kind.code));
        assert_eq!(page.status, 200);
        assert!(page.text().contains(kind.title), "{}", kind.code);
    }
    // Browsers ask for it by themselves.
    let icon = client.get("/favicon.ico");
    icon.expect(200);
    assert_eq!(icon.header("content-type"), Some("image/svg+xml"));
    let head = client.call("HEAD", "/docs", &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    client.get("/livez").expect(200);
}

#[test]
fn request_ids_and_traces_are_echoed() {
    let server = Running::start();
    let mut client = server.client();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [("x-request-id", "my-id-1"), ("traceparent", trace)];
    let answer = client.call("GET", "/v1/stock/none", &headers, b"");
    assert_eq!(answer.header("x-request-id"), Some("my-id-1"));
    assert_eq!(answer.header("traceparent"), Some(trace));
    let problem = answer.problem(404, "unknown_sku");
    assert_eq!(problem["instance"], "/v1/stock/none");
    let long = "x".repeat(129);
    for bad in ["", "a b", &long] {
        let answer = client.call("GET", "/livez", &[("x-request-id", bad)], b"");
        assert_eq!(
            answer.header("x-request-id").map(str::len),
            Some(27),
            "{bad:?}"
        );
    }
}
