//! What was found out about a store.

use std::collections::BTreeMap;

use crate::ledger::remote::history::Contact;
use crate::ledger::remote::link::version;

/// Everything that the rules look at. `None` means that it could not be found out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The server is on this machine.
    pub is_local: bool,
    /// What is sent to it cannot be read on the way.
    pub is_encrypted: bool,
    /// Major and minor version of the protocol's reference server that it is compatible with.
    pub version: Option<(u32, u32)>,
    /// It takes writes.
    pub is_primary: Option<bool>,
    /// Bytes that it may use; 0 is no limit.
    pub maxmemory: Option<u64>,
    /// What it throws away when they are used up.
    pub eviction: Option<String>,
    /// It keeps an append-only file.
    pub has_aof: Option<bool>,
    /// When it syncs that file.
    pub appendfsync: Option<String>,
    /// It has `WAITAOF`.
    pub has_waitaof: Option<bool>,
    /// Replicas that are attached and up to date.
    pub replicas: Option<u64>,
    /// Replicas that it wants before it takes a write.
    pub min_replicas: Option<u64>,
    /// It is a node of a cluster.
    pub is_cluster: bool,
    /// Replicas move between primaries of the cluster by themselves.
    pub replica_migration: Option<bool>,
    /// A cluster that has lost some of its slots serves none.
    pub full_coverage: Option<bool>,
    /// Anybody may log in without a password.
    pub is_open: Option<bool>,
    /// What Sentinel says, where it is asked for the primary.
    pub sentinel: Option<SentinelFacts>,
    /// Each partition that it holds, and what was seen of it before.
    pub contacts: Vec<Contact>,
}

/// What a Sentinel says about the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentinelFacts {
    /// Silence after which it takes the primary for dead, milliseconds.
    pub down_after_ms: u64,
    /// Sentinels that must agree.
    pub quorum: u64,
    /// Sentinels that there are.
    pub sentinels: u64,
    /// Replicas that it remembers, attached or not.
    pub replicas: u64,
}

/// The lower of two that are known; unknown if either is.
fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    Some(one?.min(other?))
}

/// The one that is not as it should be, if either is not.
fn worst(one: Option<String>, other: Option<String>, good: &str) -> Option<String> {
    let (one, other) = (one?, other?);
    Some(if one == good { other } else { one })
}

/// Of each partition what the node said that has it.
fn known(ones: Vec<Contact>, others: Vec<Contact>) -> Vec<Contact> {
    let one_or_other = |(one, other): (Contact, Contact)| {
        if one.marker.is_some() { one } else { other }
    };
    ones.into_iter().zip(others).map(one_or_other).collect()
}

impl Facts {
    /// What is so of two nodes of a cluster: of each fact the less safe one.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            is_local: self.is_local && other.is_local,
            is_encrypted: self.is_encrypted && other.is_encrypted,
            version: least(self.version, other.version),
            is_primary: least(self.is_primary, other.is_primary),
            // 0 is no limit at all.
            maxmemory: least(self.maxmemory, other.maxmemory),
            eviction: worst(self.eviction, other.eviction, "noeviction"),
            has_aof: least(self.has_aof, other.has_aof),
            appendfsync: worst(self.appendfsync, other.appendfsync, "always"),
            has_waitaof: least(self.has_waitaof, other.has_waitaof),
            replicas: least(self.replicas, other.replicas),
            min_replicas: least(self.min_replicas, other.min_replicas),
            is_cluster: self.is_cluster || other.is_cluster,
            replica_migration: self.replica_migration.max(other.replica_migration),
            full_coverage: self.full_coverage.max(other.full_coverage),
            is_open: self.is_open.max(other.is_open),
            sentinel: None,
            contacts: known(self.contacts, other.contacts),
        }
    }

    /// Takes what the server says about itself in `INFO`.
    pub(super) fn read_info(&mut self, info: &str) {
        let fields: BTreeMap<&str, &str> = info
            .lines()
            .filter_map(|line| line.trim_end().split_once(':'))
            .collect();
        let number = |name: &str| fields.get(name).and_then(|text| text.parse::<u64>().ok());
        self.version = version(info);
        self.is_primary = fields.get("role").map(|role| *role == "master");
        self.maxmemory = number("maxmemory");
        self.eviction = fields.get("maxmemory_policy").map(|&text| text.to_owned());
        self.has_aof = number("aof_enabled").map(|n| n == 1);
        self.is_cluster = number("cluster_enabled") == Some(1);
        self.replicas = number("connected_slaves").map(|connected| {
            let is_online = |name: String| {
                let line = fields.get(name.as_str());
                line.is_some_and(|line| line.contains("state=online"))
            };
            let online = (0..connected).filter(|n| is_online(format!("slave{n}")));
            online.map(|_| 1).sum()
        });
    }

    /// Takes what `CONFIG GET` says.
    pub(super) fn read_config(&mut self, config: &BTreeMap<String, String>) {
        let text = |name: &str| config.get(name).cloned();
        let yes = |name: &str| config.get(name).map(|word| word == "yes");
        self.appendfsync = text("appendfsync");
        self.min_replicas = text("min-replicas-to-write").and_then(|text| text.parse().ok());
        self.replica_migration = yes("cluster-allow-replica-migration");
        self.full_coverage = yes("cluster-require-full-coverage");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_is_read_as_servers_write_it() {
        let info = "# Server\r\nredis_version:7.0.15\r\n# Memory\r\nmaxmemory:1048576\r\n\
                    maxmemory_policy:allkeys-lru\r\n# Persistence\r\naof_enabled:1\r\n\
                    # Replication\r\nrole:master\r\nconnected_slaves:2\r\n\
                    slave0:ip=10.0.0.2,port=6379,state=online,offset=14,lag=0\r\n\
                    slave1:ip=10.0.0.3,port=6379,state=wait_bgsave,offset=0,lag=0\r\n\
                    # Cluster\r\ncluster_enabled:0\r\n";
        let mut facts = Facts::default();
        facts.read_info(info);
        let wanted = Facts {
            version: Some((7, 0)),
            is_primary: Some(true),
            maxmemory: Some(1_048_576),
            eviction: Some("allkeys-lru".to_owned()),
            has_aof: Some(true),
            replicas: Some(1),
            ..Facts::default()
        };
        assert_eq!(facts, wanted);
    }
}
