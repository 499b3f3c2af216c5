//! Bounds of a client. Every queue, every wait and every repetition has one.

use std::time::Duration;

/// How a client behaves. The defaults suit an adapter next to its server.
#[derive(Debug, Clone)]
pub struct Config {
    /// `host:port` of the server.
    pub(crate) authority: Box<str>,
    /// Connections of the plain calls; each carries one call at a time.
    pub connections: usize,
    /// Plain calls that may wait for a connection before further ones are refused.
    pub waiting_max: usize,
    /// Connections that carry coalesced reservations, one batch at a time each. More of them make
    /// smaller batches.
    pub batch_connections: usize,
    /// Coalesced reservations that may be queued before further ones are refused.
    pub queue_max: usize,
    /// Most reservations of one batch; the server takes at most 8,192.
    pub batch_max: usize,
    /// Size in bytes from which a batch takes no further reservation; the server takes 8 MiB and
    /// 65,536 lines, and the default stays below both.
    pub batch_bytes: usize,
    /// Longest time from a call to its answer, all repetitions together.
    pub call_timeout: Duration,
    /// Longest time that one attempt waits for its answer before it is repeated.
    pub attempt_timeout: Duration,
    /// Most attempts of one call, the first included.
    pub attempts_max: u32,
    /// Bound of the first pause between attempts; it doubles with every further one. The pause is
    /// drawn evenly between zero and the bound, so that callers that failed together do not come
    /// back together.
    pub backoff_first: Duration,
    /// Largest bound of a pause.
    pub backoff_max: Duration,
    /// Repetitions that may be made at once; refilled by one for every ten calls. When everything
    /// fails, repetitions then add a tenth to the load instead of multiplying it.
    pub retry_budget: u32,
}

impl Config {
    /// A client of the server at `url`, for instance `http://127.0.0.1:8080`. `None` when that is
    /// not a plain HTTP URL without a path.
    pub fn new(url: &str) -> Option<Self> {
        let authority = url.strip_prefix("http://")?.trim_end_matches('/');
        let host = authority
            .rsplit_once(':')
            .map_or(authority, |(host, _)| host);
        if host.is_empty() || authority.contains(['/', '@', '?', '#', ' ']) {
            return None;
        }
        let has_port = authority
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.ends_with(']'));
        let authority = if has_port {
            authority.into()
        } else {
            format!("{authority}:80").into()
        };
        Some(Self {
            authority,
            connections: 8,
            waiting_max: 4_096,
            batch_connections: 3,
            queue_max: 65_536,
            batch_max: 8_192,
            batch_bytes: 1_536 * 1024,
            call_timeout: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(4),
            attempts_max: 5,
            backoff_first: Duration::from_millis(20),
            backoff_max: Duration::from_secs(2),
            retry_budget: 64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        let check = |url: &str, want: Option<&str>| {
            let got = Config::new(url).map(|config| config.authority);
            assert_eq!(got.as_deref(), want, "{url}");
        };
        check("http://127.0.0.1:8080", Some("127.0.0.1:8080"));
        check("http://holdfast/", Some("holdfast:80"));
        check("http://[::1]", Some("[::1]:80"));
        check("http://[::1]:81", Some("[::1]:81"));
        check("https://holdfast", None);
        check("http://holdfast/v1", None);
        check("http://", None);
    }
}
