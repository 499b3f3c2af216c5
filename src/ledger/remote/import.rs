//! A ledger in a store, made of the items of an export.

use std::hash::{BuildHasher, RandomState};

use redis::RedisError;

use super::feed::Rare;
use super::open::{self, FIRST, OpenError, RemoteConfig};
use super::script::{IMPORT, Keys, SCHEMA};
use super::wire::import::{Counts, Part};
use crate::blocking::wait_for;
use crate::ledger::export::{Head, Item};

/// Most items, and about the most bytes, that go into the store with one call.
const PART_ITEMS: usize = 500;
const PART_BYTES: usize = 256 * 1024;

/// An import on its way.
struct Import<'c> {
    rare: Rare,
    config: &'c RemoteConfig,
    keys: Keys,
    /// Tells this import from any other.
    token: String,
    counts: Counts,
}

/// Makes a ledger where there is none. `again` throws away what an import that was broken off has
/// left. Blocks.
pub fn import<E: From<OpenError>>(
    config: &RemoteConfig,
    head: &Head,
    items: impl Iterator<Item = Result<Item, E>>,
    again: bool,
) -> Result<(), E> {
    let mut import = Import::begin(config, again)?;
    let mut part = Part::default();
    for (count, item) in (1..).zip(items) {
        import.add(&mut part, &item?)?;
        if count % PART_ITEMS == 0 || part.bytes() >= PART_BYTES {
            import.call("put", &std::mem::take(&mut part).pack())?;
        }
    }
    import.call("put", &part.pack())?;
    import.call("put", &import.counts.last_part().pack())?;
    let counts = &import.counts;
    import.call("finish", &counts.finish(head, random(), SCHEMA, 1))?;
    Ok(())
}

/// The standard library's hasher keys are random; no more than that is needed.
fn random() -> u128 {
    let random = || u128::from(RandomState::new().hash_one(0_u8));
    (random() << 64) | random()
}

impl<'c> Import<'c> {
    fn begin(config: &'c RemoteConfig, again: bool) -> Result<Self, OpenError> {
        if config.partitions.is_some_and(|count| count != 1) {
            let what = "a whole ledger is imported into one partition";
            return Err(OpenError::Unusable(what.to_owned()));
        }
        let keys = Keys::new(&config.namespace, FIRST);
        let import = Self {
            rare: open::for_import(config, &keys)?,
            config,
            keys,
            token: format!("{:032x}", random()),
            counts: Counts::default(),
        };
        import.call("begin", if again { b"1" } else { b"" })?;
        Ok(import)
    }

    fn add(&mut self, part: &mut Part, item: &Item) -> Result<(), OpenError> {
        let added = part.add(item, &mut self.counts);
        added.map_err(|bad| OpenError::Unusable(bad.to_string()))
    }

    fn call(&self, step: &str, given: &[u8]) -> Result<(), OpenError> {
        let mut call = redis::cmd("EVAL");
        call.arg(IMPORT).arg(self.keys.all().len());
        call.arg(&self.keys.all()[..]);
        call.arg(step).arg(&self.token).arg(given);
        let caller = self.rare.caller(FIRST);
        let called = self.rare.run(async move { caller.ask::<u64>(&call).await });
        let place = self.config.address.to_string();
        match wait_for(called) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(refused(place, &error)),
            Err(error) => Err(OpenError::Unreachable {
                place,
                why: error.to_string(),
            }),
        }
    }
}

fn refused(place: String, error: &RedisError) -> OpenError {
    match error.code() {
        Some("IMPORTING") => OpenError::Importing(place),
        Some("EXISTS") => OpenError::Taken(place),
        _ => OpenError::Unreachable {
            place,
            why: error.to_string(),
        },
    }
}
