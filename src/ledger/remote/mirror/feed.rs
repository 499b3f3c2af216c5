//! What feeds the mirror of one partition: this instance's own batches as they are answered, and
//! the stream of events, which has those of all instances.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::course::{Astray, Course};
use super::freshness::Freshness;
use crate::clock::{Monotonic, monotonic};
use crate::domain::UnixMillis;
use crate::ledger::Position;
use crate::ledger::embedded::replica::Replica;
use crate::ledger::remote::wire::event::Entry;
use crate::ledger::remote::wire::reply::{BatchReply, Header};

/// Own batches that wait for others to be put in before them.
const EARLY_MAX: usize = 64;

/// Replies that prove something once the mirror has come so far.
const PROOFS_MAX: usize = 64;

/// At that moment the store had no change after this one.
#[derive(Debug, Clone, Copy)]
struct Proof {
    sequence: u64,
    at: Monotonic,
    as_of: UnixMillis,
}

#[derive(Debug)]
struct Following {
    course: Course,
    /// By the sequence before them.
    early: BTreeMap<u64, Entry>,
    proofs: Vec<Proof>,
    /// The last change that any reply spoke of, and when that reply had come.
    heard: Option<(u64, Monotonic)>,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Feed {
    /// LOCK: for as long as it takes to put in a batch, or to see that it is in. `None`: the
    /// content has to be read from the store.
    following: Mutex<Option<Following>>,
    /// A reply spoke of changes that were not in, or the content was given up.
    behind: Notify,
    pub(super) fresh: Freshness,
    /// The version of the policy that the store was last heard to decide by.
    policy: AtomicU64,
}

impl Feed {
    pub(super) fn new(partition: u16) -> Self {
        Self {
            following: Mutex::new(None),
            behind: Notify::new(),
            fresh: Freshness::new(partition),
            policy: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Following>> {
        self.following
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The content was read up to here.
    pub(super) fn begin(&self, course: Course) {
        let mut following = self.lock();
        self.fresh.begin(course.position());
        self.policy.store(0, Ordering::Release);
        *following = Some(Following {
            course,
            early: BTreeMap::new(),
            proofs: Vec::new(),
            heard: None,
        });
    }

    /// The last change that is in; `None`: the content has to be read from the store.
    pub(super) fn sequence(&self) -> Option<u64> {
        self.lock().as_ref().map(|one| one.course.sequence)
    }

    /// Waits until a reply has spoken of changes that were not in, or the content was given up.
    pub(super) async fn is_behind(&self) {
        self.behind.notified().await;
    }

    /// A batch of this instance was answered, as durably as the level says. What it did is in when
    /// this returns, or nobody sees the mirror before it is.
    pub(super) fn heard(
        &self,
        replica: &Replica,
        argument: &[u8],
        reply: &BatchReply,
        sent: Monotonic,
    ) -> Option<Astray> {
        let header = reply.header();
        let mut following = self.lock();
        // Before anything that the reply proves is.
        self.policy.fetch_max(header.policy, Ordering::AcqRel);
        self.fresh.heard_the_time(sent, header.now);
        let took = match following.as_mut() {
            Some(one) => one.heard(header, sent).and_then(|()| {
                one.take(replica, argument, reply, &self.fresh)?;
                one.prove(header, sent, &self.fresh);
                if one.course.sequence < header.last {
                    self.behind.notify_one();
                }
                Ok(())
            }),
            None => Ok(()),
        };
        self.fresh.tell(reply.position(header.last));
        self.keep(following, took)
    }

    /// The version of the policy that the store decides by; no less than at the latest proof.
    pub(super) fn policy(&self) -> u64 {
        self.policy.load(Ordering::Acquire)
    }

    /// The stream has a batch.
    pub(super) fn read(&self, replica: &Replica, entry: &Entry) -> Option<Astray> {
        let mut following = self.lock();
        self.policy
            .fetch_max(entry.header().policy, Ordering::AcqRel);
        let took = match following.as_mut() {
            Some(one) if one.course.sequence < entry.header().before => {
                Err(Astray::Gap(one.course.sequence))
            }
            Some(one) => one.take(replica, entry.argument(), entry.reply(), &self.fresh),
            None => Ok(()),
        };
        self.keep(following, took)
    }

    /// The stream has nothing more, and had been asked when this change was known already.
    pub(super) fn read_to_the_end(&self, known: Position) -> Option<Astray> {
        let following = self.lock();
        let took = match following.as_ref() {
            Some(one) if one.course.position() < known => Err(Astray::Gap(one.course.sequence)),
            _ => Ok(()),
        };
        self.keep(following, took)
    }

    /// Does something to the content while nothing is put in.
    pub(super) fn quietly<T>(&self, work: impl FnOnce() -> T) -> T {
        let _following = self.lock();
        work()
    }

    /// Gives the content up where it went astray.
    fn keep(
        &self,
        mut following: MutexGuard<'_, Option<Following>>,
        took: Result<(), Astray>,
    ) -> Option<Astray> {
        let why = took.err()?;
        self.fresh.end();
        *following = None;
        self.behind.notify_one();
        Some(why)
    }
}

impl Following {
    /// A reply to a batch that was sent after this instance knew of a change has that change.
    fn heard(&mut self, header: &Header, sent: Monotonic) -> Result<(), Astray> {
        let is_later = |at: Monotonic| sent > at;
        if let Some((known, at)) = self.heard
            && is_later(at)
            && header.last < known
        {
            return Err(Astray::OtherHistory(header.last));
        }
        if self.heard.is_none_or(|(known, _)| known < header.last) {
            self.heard = Some((header.last, monotonic()));
        }
        if header.epoch == self.course.epoch {
            Ok(())
        } else {
            Err(Astray::OtherHistory(self.course.sequence))
        }
    }

    /// Puts in what follows; keeps for a while what comes early, and passes over what is in.
    fn take(
        &mut self,
        replica: &Replica,
        argument: &[u8],
        reply: &BatchReply,
        fresh: &Freshness,
    ) -> Result<(), Astray> {
        let (before, last) = (reply.header().before, reply.header().last);
        if last <= self.course.sequence {
            return Ok(());
        }
        if before > self.course.sequence {
            // What finds no room is in the stream as well.
            if self.early.len() < EARLY_MAX {
                self.early.insert(before, Entry::of(argument, reply));
            }
            return Ok(());
        }
        let readers = Some(fresh);
        self.course.advance(replica, (argument, reply), readers)?;
        while let Some(next) = self.early.first_entry() {
            if *next.key() > self.course.sequence {
                break;
            }
            let entry = next.remove();
            if entry.header().last > self.course.sequence {
                let batch = (entry.argument().as_ref(), entry.reply());
                self.course.advance(replica, batch, readers)?;
            }
        }
        self.proved(fresh);
        Ok(())
    }

    /// When the store was asked it had no change after the reply's last.
    fn prove(&mut self, header: &Header, sent: Monotonic, fresh: &Freshness) {
        // While there are many, the next ones say hardly more.
        if self.proofs.len() < PROOFS_MAX {
            self.proofs.push(Proof {
                sequence: header.last,
                at: sent,
                as_of: header.now,
            });
        }
        self.proved(fresh);
    }

    fn proved(&mut self, fresh: &Freshness) {
        let sequence = self.course.sequence;
        for proof in self
            .proofs
            .extract_if(.., |proof| proof.sequence <= sequence)
        {
            fresh.prove(proof.at, proof.as_of);
        }
    }
}
