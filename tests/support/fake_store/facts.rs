//! What a node says about itself when it is asked.

use super::database::{Command, is_word};
use super::node::{Node, Sync};
use super::reply::Reply;

/// The answer to a question about the node; `None`: it is none.
pub(super) fn about(
    node: &Node,
    replicas: usize,
    is_cluster: bool,
    command: &Command,
) -> Option<Reply> {
    let is = |at: usize, word| is_word(command.get(at), word);
    if is(0, "INFO") {
        return Some(Reply::bulk(info(node, replicas, is_cluster)));
    }
    if is(0, "CONFIG") && is(1, "GET") {
        return Some(settings(node));
    }
    if is(0, "COMMAND") {
        return Some(Reply::Array(vec![Reply::Array(Vec::new())]));
    }
    let user = (Reply::bulk("flags"), Reply::Array(vec![Reply::bulk("on")]));
    is(0, "ACL").then(|| Reply::Map(vec![user]))
}

fn info(node: &Node, replicas: usize, is_cluster: bool) -> String {
    let role = if node.is_primary { "master" } else { "slave" };
    let mut lines = vec![
        "redis_version:7.2.4".to_owned(),
        "maxmemory:1073741824".to_owned(),
        "maxmemory_policy:noeviction".to_owned(),
        "aof_enabled:1".to_owned(),
        format!("cluster_enabled:{}", u8::from(is_cluster)),
        format!("role:{role}"),
        format!("connected_slaves:{replicas}"),
    ];
    lines.extend((0..replicas).map(|at| format!("slave{at}:state=online")));
    lines.iter().flat_map(|line| [line, "\r\n"]).collect()
}

fn settings(node: &Node) -> Reply {
    let sync = match node.sync {
        Sync::Always => "always",
        Sync::Later => "everysec",
    };
    let pair = |name: &str, value: &str| (Reply::bulk(name), Reply::bulk(value));
    Reply::Map(vec![
        pair("appendfsync", sync),
        pair("min-replicas-to-write", "1"),
        pair("cluster-allow-replica-migration", "no"),
        pair("cluster-require-full-coverage", "no"),
    ])
}
