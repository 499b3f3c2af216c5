//! What a failure says about the batch: nothing happened, or nobody knows.
//!
//! The line runs through the server's replies: an error that the server gives *before* it starts a
//! script changes nothing; one from inside a script leaves the writes before it; and when there is
//! no reply, the script may have run, may be running, or may run yet. Whatever is not on the list
//! of the first kind is of the second.

use std::fmt;

use redis::{RedisError, ServerError};

use super::address::Endpoint;
use super::cluster;

/// Why a batch has no reply that counts.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The store did nothing and will do nothing.
    #[error("nothing happened: {0}")]
    NothingHappened(Why),
    /// The store had no room for a batch that needs some; nothing happened.
    #[error("nothing happened: {0}")]
    OutOfMemory(Why),
    /// What the store holds is no ledger of ours, not any more, or damaged. It did nothing, and
    /// will not before somebody has looked.
    #[error("the store holds no ledger that can be used: {0}")]
    Unusable(Why),
    /// Acknowledged changes are missing in the store, and nobody has accepted that yet. It did
    /// nothing.
    #[error("the store has lost acknowledged changes: {0}")]
    Quarantined(Why),
    /// It may have happened, or may happen yet. The same command ids will tell.
    #[error("the result is unknown: {0}")]
    Unknown(Why),
}

/// What the store or the socket said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why(pub String);

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What becomes of the connection after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connection {
    /// It is good, and so is the server.
    Keep,
    /// It may be out of step, or lead to a server that is not the primary: find the primary again.
    Drop,
}

/// An error reply, understood.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The server does not know the script; load it and call again.
    NoScript,
    /// The slot is served elsewhere, or not now; nothing happened.
    Redirected(Redirect, Why),
    /// Anything else.
    Failed(CallError, Connection),
}

/// Where a node of a cluster sends us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Redirect {
    /// The slot is served there from now on.
    Moved(u16, Endpoint),
    /// This once.
    Ask(Endpoint),
    /// Nowhere: nobody serves it now, or this node should not have been asked.
    Again,
}

/// With these a node says that it cannot serve a slot now.
const NOT_NOW: [&str; 5] = [
    "TRYAGAIN",
    "CLUSTERDOWN",
    "READONLY",
    "MASTERDOWN",
    "LOADING",
];

/// Where the error of a node of a cluster sends us.
fn redirect(code: &str, details: &str, told_by: &Endpoint) -> Option<Redirect> {
    match code {
        "MOVED" => cluster::named(details, told_by).map(|(slot, node)| Redirect::Moved(slot, node)),
        "ASK" => cluster::named(details, told_by).map(|(_, node)| Redirect::Ask(node)),
        _ => NOT_NOW.contains(&code).then_some(Redirect::Again),
    }
}

/// Understands the error that a node of a cluster gives where the script's reply should be.
pub(super) fn of_node(error: &ServerError, told_by: &Endpoint) -> Refusal {
    let refusal = of_script(error);
    if let Refusal::Failed(CallError::NothingHappened(why), _) = &refusal
        && let Some(to) = redirect(error.code(), error.details().unwrap_or_default(), told_by)
    {
        return Refusal::Redirected(to, why.clone());
    }
    refusal
}

/// With these our scripts answer, before their first write, when the marker of the ledger is missing
/// or what is stored contradicts itself.
const UNUSABLE: [&str; 3] = ["UNINITIALISED", "INCONSISTENT", "TORN"];

/// With this they answer, before anything else, when acknowledged changes were found missing.
const QUARANTINED: &str = "QUARANTINED";

/// With this they answer, before their first write, when they cannot read the batch.
const MALFORMED: &str = "MALFORMED";

/// Errors given before a script starts, by a server that is the right one.
const REFUSED: [&str; 6] = [
    "NOREPLICAS",
    "BUSY",
    "MISCONF",
    "NOPERM",
    "TRYAGAIN",
    "CROSSSLOT",
];

/// Errors given before a script starts, by a server that is not, or not now, the one to ask.
const WRONG_SERVER: [&str; 8] = [
    "READONLY",
    "MASTERDOWN",
    "LOADING",
    "CLUSTERDOWN",
    "MOVED",
    "ASK",
    "NOAUTH",
    "WRONGPASS",
];

/// Both servers end an error that a script raised with the place in the script.
const IN_SCRIPT: &str = "on @user_script";

/// Understands the error that stands where the script's reply should be.
pub(super) fn of_script(error: &ServerError) -> Refusal {
    let code = error.code();
    let details = error.details().unwrap_or_default();
    let why = Why(format!("{code} {details}"));
    // The code is that of the call inside the script, so it must not be asked first.
    if details.contains(IN_SCRIPT) {
        return Refusal::Failed(CallError::Unknown(why), Connection::Drop);
    }
    match code {
        "NOSCRIPT" => Refusal::NoScript,
        "OOM" => Refusal::Failed(CallError::OutOfMemory(why), Connection::Keep),
        QUARANTINED => Refusal::Failed(CallError::Quarantined(why), Connection::Keep),
        _ if UNUSABLE.contains(&code) => {
            Refusal::Failed(CallError::Unusable(why), Connection::Drop)
        }
        _ if code == MALFORMED || REFUSED.contains(&code) => {
            Refusal::Failed(CallError::NothingHappened(why), Connection::Keep)
        }
        _ if WRONG_SERVER.contains(&code) => {
            Refusal::Failed(CallError::NothingHappened(why), Connection::Drop)
        }
        _ => Refusal::Failed(CallError::Unknown(why), Connection::Drop),
    }
}

/// Sending or receiving failed, or took too long: the script may have run all the same.
pub(super) fn of_transport(error: &RedisError) -> CallError {
    CallError::Unknown(Why(error.to_string()))
}

/// The server could not be reached, or would not talk: nothing was sent.
pub(super) fn of_connecting(error: &RedisError) -> CallError {
    CallError::NothingHappened(Why(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(line: &str) -> Refusal {
        let value = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        let redis::Value::ServerError(error) = value else {
            panic!("{line} is an error reply");
        };
        of_script(&error)
    }

    /// As both servers wrote them, down to the punctuation.
    #[test]
    fn what_is_refused_before_the_script_starts_did_nothing() {
        for (line, connection) in [
            (
                "NOREPLICAS Not enough good replicas to write.",
                Connection::Keep,
            ),
            ("MALFORMED not a batch", Connection::Keep),
            ("BUSY Redis is busy running a script.", Connection::Keep),
            ("MISCONF Errors writing to the AOF file", Connection::Keep),
            (
                "NOPERM User x has no permissions to run the 'evalsha' command",
                Connection::Keep,
            ),
            (
                "TRYAGAIN Multiple keys request during rehashing of slot",
                Connection::Keep,
            ),
            (
                "READONLY You can't write against a read only replica.",
                Connection::Drop,
            ),
            ("MASTERDOWN Link with MASTER is down", Connection::Drop),
            (
                "LOADING Redis is loading the dataset in memory",
                Connection::Drop,
            ),
            ("CLUSTERDOWN The cluster is down", Connection::Drop),
            ("MOVED 866 10.0.0.2:6379", Connection::Drop),
            ("NOAUTH Authentication required.", Connection::Drop),
        ] {
            let Refusal::Failed(CallError::NothingHappened(why), fate) = refusal(line) else {
                panic!("{line}");
            };
            assert_eq!((why.0.as_str(), fate), (line, connection));
        }
        let oom = "OOM command not allowed when used memory > 'maxmemory'.";
        assert!(matches!(
            refusal(oom),
            Refusal::Failed(CallError::OutOfMemory(_), _)
        ));
        assert!(matches!(
            refusal("NOSCRIPT No matching script."),
            Refusal::NoScript
        ));
        let quarantined = "QUARANTINED acknowledged changes were lost: 1.7";
        assert!(matches!(
            refusal(quarantined),
            Refusal::Failed(CallError::Quarantined(_), Connection::Keep)
        ));
        for code in UNUSABLE {
            let found = refusal(&format!("{code} as the script says"));
            let unusable = matches!(
                found,
                Refusal::Failed(CallError::Unusable(_), Connection::Drop)
            );
            assert!(unusable, "{code}: {found:?}");
        }
    }

    #[test]
    fn a_node_of_a_cluster_sends_us_elsewhere_before_the_script_starts() {
        let here = Endpoint::Tcp("10.0.0.1".to_owned(), 1);
        let there = Endpoint::Tcp("10.0.0.2".to_owned(), 6379);
        let of = |line: &str| match redis::parse_redis_value(format!("-{line}\r\n").as_bytes()) {
            Ok(redis::Value::ServerError(error)) => of_node(&error, &here),
            other => panic!("{other:?}"),
        };
        for (line, to) in [
            (
                "MOVED 866 10.0.0.2:6379",
                Redirect::Moved(866, there.clone()),
            ),
            ("ASK 866 10.0.0.2:6379", Redirect::Ask(there)),
            (
                "TRYAGAIN Multiple keys request during rehashing of slot",
                Redirect::Again,
            ),
            ("CLUSTERDOWN Hash slot not served", Redirect::Again),
        ] {
            assert!(
                matches!(of(line), Refusal::Redirected(found, _) if found == to),
                "{line}"
            );
        }
        let inside = "MOVED 866 10.0.0.2:6379 script: 9cc550, on @user_script:1.";
        let inside = of(inside);
        assert!(matches!(inside, Refusal::Failed(CallError::Unknown(_), _)));
    }

    #[test]
    fn an_error_from_inside_a_script_is_unknown_whatever_its_code() {
        for line in [
            "WRONGTYPE Operation against a key holding the wrong kind of value script: on @user_script:2.",
            "OOM command not allowed when used memory > 'maxmemory'. script: 9cc550, on @user_script:1.",
            "READONLY You can't write against a read only replica. script: 9cc550, on @user_script:1.",
            "UNINITIALISED raised, not returned script: on @user_script:9.",
            "ERR user_script:2: boo script: on @user_script:2.",
            "ERR Script attempted to access a non local key in a cluster node",
            "UNBLOCKED force unblock from blocking operation, instance state changed",
            "ODD something new",
        ] {
            let found = refusal(line);
            let unknown = matches!(
                found,
                Refusal::Failed(CallError::Unknown(_), Connection::Drop)
            );
            assert!(unknown, "{line}: {found:?}");
        }
    }
}
