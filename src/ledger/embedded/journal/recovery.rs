//! Opening a journal that may have been cut off at any moment.
//!
//! Opening only reads. What an unfinished write left behind is removed by
//! [`JournalRecovery::start`], after the replay: a start that is refused changes nothing.

use std::sync::Arc;

use super::error::{JournalError, ReplayError};
use super::frame::{Chain, Records, extend_chain};
use super::reader::{Fault, FrameReader};
use super::segment::{
    Catalog, FRAMES_START, LedgerId, PAGE_BYTES, SPARE_NAME, Segment, SegmentHeader, Spare,
    new_ledger_id, parse_name, prepare_spare, seed_of,
};
use super::writer::{Active, Writer};
use super::{Journal, JournalConfig, Shared};
use crate::ledger::Position;
use crate::ledger::embedded::storage::{Storage, StorageFile, to_len, to_offset};
use crate::sabotage::{self, Fault as Sabotage};
use crate::telemetry::Meters;

/// Where the journal ends.
#[derive(Debug, Clone, Copy)]
struct Tail {
    /// Where the next frame goes, in the last segment.
    offset: u64,
    /// Sequence of the next record.
    next_sequence: u64,
    chain: Chain,
    epoch: u32,
    /// Frames of an unfinished write lie beyond `offset` and must be wiped out.
    leftovers: bool,
    /// Something that is no frame stands at `offset`.
    unfinished: bool,
}

/// The last bytes of the journal were not a finished write and are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The segment.
    pub file: String,
    /// Offset of the first byte left out.
    pub offset: u64,
    /// Sequence that the next record gets.
    pub next_sequence: u64,
}

/// What a replay did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Records handed over.
    pub records: u64,
    /// Bytes of frames read.
    pub bytes: u64,
}

/// An opened journal that has not started yet.
#[derive(Debug)]
pub struct JournalRecovery {
    storage: Arc<dyn Storage>,
    config: JournalConfig,
    ledger: LedgerId,
    /// Headers of the segments, oldest first; ids without gaps.
    headers: Vec<SegmentHeader>,
    catalog: Catalog,
    tail: Tail,
}

impl JournalRecovery {
    pub(super) fn open(
        storage: Arc<dyn Storage>,
        config: JournalConfig,
    ) -> Result<Self, JournalError> {
        let headers = read_headers(&*storage)?;
        let mut catalog = Catalog::default();
        for header in &headers {
            let mut segment = Segment::new(header, 0);
            let file = open_segment(&*storage, &segment.name)?;
            segment.bytes = file
                .len()
                .map_err(JournalError::io("measure", &segment.name))?;
            catalog.segments.push_back(segment);
        }
        let (ledger, tail) = match (headers.last(), catalog.segments.back_mut()) {
            (Some(header), Some(segment)) => {
                (header.ledger, find_tail(&*storage, header, segment)?)
            }
            (None, _) | (_, None) => (new_ledger_id(), Tail::of_nothing()),
        };
        Ok(Self {
            storage,
            config,
            ledger,
            headers,
            catalog,
            tail,
        })
    }

    /// Sequence of the last record; 0 when there is none.
    pub fn last(&self) -> u64 {
        self.tail.next_sequence - 1
    }

    /// Sequence of the oldest record that is kept (or of the next one, when none is).
    pub fn oldest(&self) -> u64 {
        self.headers
            .first()
            .map_or(self.tail.next_sequence, |header| header.first_sequence)
    }

    /// Has a journal without any record go on after a place, in a later epoch.
    pub fn begin_after(&mut self, place: Position) {
        debug_assert!(self.headers.is_empty(), "only a new journal");
        self.tail.next_sequence = place.sequence.saturating_add(1);
        self.tail.epoch = place.epoch;
    }

    /// The epoch that the journal will have once it is started.
    pub fn epoch(&self) -> u32 {
        self.tail.epoch.saturating_add(1)
    }

    /// What an unfinished write left at the end, if there is something; for the log.
    pub fn cut(&self) -> Option<Cut> {
        let segment = self.catalog.segments.back()?;
        (self.tail.leftovers || self.tail.unfinished).then(|| Cut {
            file: segment.name.clone(),
            offset: self.tail.offset,
            next_sequence: self.tail.next_sequence,
        })
    }

    /// Hands over every record whose sequence is greater than `from`, in order. Can be called
    /// more than once; changes nothing.
    pub fn replay<E>(
        &mut self,
        from: u64,
        mut receive: impl FnMut(Position, &[u8]) -> Result<(), E>,
    ) -> Result<Replayed, ReplayError<E>> {
        if self.last() < from {
            return Err(JournalError::Behind {
                last: self.last(),
                snapshot: from,
            }
            .into());
        }
        if self.oldest() > from.saturating_add(1) {
            return Err(JournalError::Gone {
                oldest: self.oldest(),
            }
            .into());
        }
        let mut replayed = Replayed::default();
        for at in 0..self.headers.len() {
            let end = self.end_of(at);
            if end > from.saturating_add(1) || at + 1 == self.headers.len() {
                self.replay_segment(at, from, &mut replayed, &mut receive)?;
            }
        }
        Ok(replayed)
    }

    /// Sequence that follows the last one of a segment.
    fn end_of(&self, at: usize) -> u64 {
        self.headers
            .get(at + 1)
            .map_or(self.tail.next_sequence, |next| next.first_sequence)
    }

    fn replay_segment<E>(
        &mut self,
        at: usize,
        from: u64,
        replayed: &mut Replayed,
        receive: &mut impl FnMut(Position, &[u8]) -> Result<(), E>,
    ) -> Result<(), ReplayError<E>> {
        let end = self.end_of(at);
        let next_chain = self
            .headers
            .get(at + 1)
            .map_or(self.tail.chain, |next| next.chain);
        let (Some(header), Some(segment)) =
            (self.headers.get(at), self.catalog.segments.get_mut(at))
        else {
            return Ok(());
        };
        let file = open_segment(&*self.storage, &segment.name)?;
        let name = segment.name.clone();
        let mut reader = FrameReader::new(&*file, &name, header.id, seed_of(&header.ledger))?;
        let mut walk = Walk::begin(header);
        // Markers at the end have no records, so the chain tells where the segment ends.
        while walk.next_sequence < end || walk.chain != next_chain {
            let frame = match reader.frame(walk.offset)? {
                Ok(frame) => frame,
                Err(fault) => {
                    return Err(JournalError::damaged(&name, walk.offset, fault.what()).into());
                }
            };
            segment.index(frame.header.first_sequence, walk.offset);
            let offset = walk.offset;
            walk.step(&frame)
                .map_err(|what| JournalError::damaged(&name, offset, what))?;
            replayed.bytes += walk.offset - offset;
            let epoch = frame.header.epoch;
            let sequences = frame.header.first_sequence..;
            for (sequence, record) in sequences.zip(Records::new(frame.payload)) {
                if sequence > from {
                    receive(
                        Position {
                            shard: 0,
                            epoch,
                            sequence,
                        },
                        record,
                    )
                    .map_err(|source| ReplayError::Record { sequence, source })?;
                    replayed.records += 1;
                }
            }
        }
        Ok(())
    }

    /// Starts the journal with its writer thread, which tells the meters about every sync.
    pub fn start(self, meters: Meters) -> Result<Journal, JournalError> {
        let (shared, mut writer) = self.into_parts()?;
        writer.set_meters(meters);
        Journal::spawn(shared, writer)
    }

    /// Starts the journal without a thread: the caller drives the writer. For tests.
    pub fn start_stepped(self) -> Result<(Journal, Writer), JournalError> {
        let (shared, writer) = self.into_parts()?;
        Ok((Journal::without_thread(shared), writer))
    }

    /// Removes what an unfinished write left, makes all that was recovered durable, and marks the
    /// start of the new epoch.
    fn into_parts(self) -> Result<(Arc<Shared>, Writer), JournalError> {
        let epoch = self.epoch();
        let storage = &*self.storage;
        // What a killed process left in the memory of the system must not be built upon before it
        // is durable; first of all the names.
        storage
            .sync_dir()
            .map_err(JournalError::io("sync", "the data folder"))?;
        let active = match self.catalog.segments.back() {
            Some(segment) => {
                let file = open_segment(storage, &segment.name)?;
                if self.tail.leftovers {
                    wipe(&*file, &segment.name, self.tail.offset, segment.bytes)?;
                }
                file.sync_all()
                    .map_err(JournalError::io("sync", &segment.name))?;
                Some(Active {
                    file,
                    name: segment.name.clone(),
                    id: segment.id,
                    offset: self.tail.offset,
                    durable_to: self.tail.offset,
                    bytes: segment.bytes,
                })
            }
            None => None,
        };
        let spare = find_spare(storage, self.config.segment_bytes)?;
        let shared = Arc::new(Shared::new(
            Arc::clone(&self.storage),
            self.config,
            epoch,
            self.ledger,
            self.tail.next_sequence - 1,
            self.catalog,
        ));
        let mut writer = Writer::new(Arc::clone(&shared), active, self.tail.chain, spare);
        writer.mark()?;
        Ok((shared, writer))
    }
}

/// Reads all segment headers; returns those that belong together, oldest first.
fn read_headers(storage: &dyn Storage) -> Result<Vec<SegmentHeader>, JournalError> {
    let mut names = storage
        .list()
        .map_err(JournalError::io("list", "the data folder"))?;
    names.retain(|name| parse_name(name).is_some());
    names.sort_unstable();
    let mut headers: Vec<SegmentHeader> = Vec::with_capacity(names.len());
    for name in &names {
        let file = open_segment(storage, name)?;
        let header = SegmentHeader::read(&*file, name)?;
        if let Some(before) = headers.last() {
            let damaged = |what| Err(JournalError::damaged(name, 0, what));
            if before.ledger != header.ledger {
                return damaged("a segment of another ledger");
            }
            if before.id >= header.id || before.epoch > header.epoch {
                return damaged("the order of the segments is broken");
            }
            // Removals are not synced, so a power cut may bring old segments back, with gaps.
            // Only what connects to the newest counts; the replay refuses if that is too little.
            if before.id + 1 != header.id {
                headers.clear();
            }
        }
        headers.push(header);
    }
    Ok(headers)
}

fn open_segment(storage: &dyn Storage, name: &str) -> Result<Box<dyn StorageFile>, JournalError> {
    storage.open(name).map_err(JournalError::io("open", name))
}

/// Walks over the frames of a segment and checks that each continues the one before.
struct Walk {
    offset: u64,
    next_sequence: u64,
    chain: Chain,
    epoch: u32,
}

impl Walk {
    const fn begin(header: &SegmentHeader) -> Self {
        Self {
            offset: FRAMES_START,
            next_sequence: header.first_sequence,
            chain: header.chain,
            epoch: header.epoch,
        }
    }

    fn step(&mut self, frame: &super::reader::Frame<'_>) -> Result<(), &'static str> {
        let header = &frame.header;
        if header.first_sequence != self.next_sequence {
            return Err("a frame does not continue the sequence");
        }
        if header.epoch < self.epoch {
            return Err("a frame has an older epoch than the one before");
        }
        let chain = extend_chain(&self.chain, frame.payload);
        if header.chain != chain {
            return Err("the hash chain is broken");
        }
        *self = Self {
            offset: frame.next,
            next_sequence: header.next_sequence(),
            chain,
            epoch: header.epoch,
        };
        Ok(())
    }
}

impl Tail {
    fn of_nothing() -> Self {
        Self {
            offset: FRAMES_START,
            next_sequence: 1,
            chain: Chain::default(),
            epoch: 0,
            leftovers: false,
            unfinished: false,
        }
    }
}

/// Finds the end of the last segment. What follows the last valid frame is the rest of a write
/// that was never acknowledged, unless a later frame says that it had been durable.
fn find_tail(
    storage: &dyn Storage,
    header: &SegmentHeader,
    segment: &mut Segment,
) -> Result<Tail, JournalError> {
    let name = segment.name.clone();
    let file = open_segment(storage, &name)?;
    let mut reader = FrameReader::new(&*file, &name, header.id, seed_of(&header.ledger))?;
    let mut walk = Walk::begin(header);
    let fault = loop {
        match reader.frame(walk.offset)? {
            Ok(frame) => {
                segment.index(frame.header.first_sequence, walk.offset);
                let offset = walk.offset;
                walk.step(&frame)
                    .map_err(|what| JournalError::damaged(&name, offset, what))?;
            }
            Err(fault) => break fault,
        }
    };
    let beyond = reader.look_beyond(walk.offset)?;
    if beyond.durable_to > walk.offset && !sabotage::is_on(Sabotage::CutInTheMiddle) {
        return Err(JournalError::damaged(&name, walk.offset, fault.what()));
    }
    Ok(Tail {
        offset: walk.offset,
        next_sequence: walk.next_sequence,
        chain: walk.chain,
        epoch: walk.epoch,
        leftovers: beyond.own_frames,
        unfinished: match fault {
            Fault::End | Fault::Blank => false,
            Fault::Header | Fault::OtherSegment | Fault::Payload => true,
        },
    })
}

/// Overwrites with zeros, so that frames of an unfinished write can never follow new ones.
fn wipe(file: &dyn StorageFile, name: &str, from: u64, to: u64) -> Result<(), JournalError> {
    let zeros = vec![0; PAGE_BYTES.max(to_len(to.saturating_sub(from)).min(1024 * 1024))];
    let mut offset = from;
    while offset < to {
        let count = to_len(to - offset).min(zeros.len());
        let chunk = zeros.get(..count).unwrap_or(&zeros);
        file.write_at(chunk, offset)
            .map_err(JournalError::io("wipe", name))?;
        offset += to_offset(count);
    }
    Ok(())
}

/// The spare of the last run, if it is there and has the right length.
fn find_spare(storage: &dyn Storage, segment_bytes: u64) -> Result<Option<Spare>, JournalError> {
    let names = storage
        .list()
        .map_err(JournalError::io("list", "the data folder"))?;
    if !names.iter().any(|name| name == SPARE_NAME) {
        return Ok(None);
    }
    let file = storage
        .open(SPARE_NAME)
        .map_err(JournalError::io("open", SPARE_NAME))?;
    let bytes = file
        .len()
        .map_err(JournalError::io("measure", SPARE_NAME))?;
    if bytes == segment_bytes {
        return Ok(Some(Spare { file, bytes }));
    }
    drop(file);
    prepare_spare(storage, segment_bytes, None).map(Some)
}
