//! The folders that a power cut can leave.

use std::collections::BTreeMap;

use super::{Files, Op, SECTOR_BYTES, put};
use crate::ledger::embedded::storage::{to_len, to_offset};

/// Random numbers from a seed.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The same seed gives the same numbers.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`; 0 when there are none.
    pub fn roll(&mut self, sides: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).checked_rem(sides).unwrap_or(0)
    }

    fn up_to(&mut self, most: usize) -> usize {
        to_len(self.roll(to_offset(most).saturating_add(1)))
    }

    fn coin(&mut self) -> bool {
        self.roll(2) == 0
    }
}

/// What a crash does to bytes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Loss {
    /// Keeps all.
    Nothing,
    /// Drops all.
    Everything,
    /// Keeps what was written up to some moment; the write of that moment is torn.
    Torn,
    /// Keeps or drops each write, in any order.
    Writes,
    /// Keeps or drops each sector, in any order.
    Sectors,
}

impl Loss {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Nothing,
        Self::Everything,
        Self::Torn,
        Self::Writes,
        Self::Sectors,
    ];
}

/// A part of a write that lies in one sector.
#[derive(Debug, Clone)]
struct Piece {
    write: usize,
    offset: u64,
    bytes: Vec<u8>,
}

/// A file: what is durable, and what is not yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    durable: Vec<u8>,
    /// Per sector, oldest first.
    pieces: BTreeMap<u64, Vec<Piece>>,
    writes: usize,
    len: Option<u64>,
}

impl Held {
    pub(super) fn new(durable: Vec<u8>) -> Self {
        Self {
            durable,
            ..Self::default()
        }
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let sector = at / to_offset(SECTOR_BYTES);
            let room = to_len((sector + 1) * to_offset(SECTOR_BYTES) - at).min(rest.len());
            let (head, tail) = rest.split_at(room);
            let piece = Piece {
                write: self.writes,
                offset: at,
                bytes: head.to_vec(),
            };
            self.pieces.entry(sector).or_default().push(piece);
            at += to_offset(room);
            rest = tail;
        }
        self.writes += 1;
    }

    /// What was written before and lies beyond the new end is gone for good.
    fn set_len(&mut self, len: u64) {
        self.len = Some(len);
        self.pieces
            .retain(|sector, _| sector * to_offset(SECTOR_BYTES) < len);
    }

    fn sync(&mut self) {
        self.durable = self.image(Loss::Nothing, &mut Dice::new(0));
        *self = Self::new(std::mem::take(&mut self.durable));
    }

    /// A sector holds its oldest pieces up to some number: what reaches the disk is the content of
    /// the cache at some moment, so a later piece never comes without the earlier ones.
    fn image(&self, loss: Loss, dice: &mut Dice) -> Vec<u8> {
        let mut content = self.durable.clone();
        if let Some(len) = self.len
            && (loss == Loss::Nothing || (loss != Loss::Everything && dice.coin()))
        {
            content.resize(to_len(len), 0);
        }
        let cut = dice.up_to(self.writes);
        let kept: Vec<bool> = (0..self.writes).map(|_| dice.coin()).collect();
        let mut torn_sectors = dice.up_to(self.pieces.len());
        for pieces in self.pieces.values() {
            let count = match loss {
                Loss::Nothing => pieces.len(),
                Loss::Everything => 0,
                Loss::Torn => {
                    let whole = pieces.iter().filter(|piece| piece.write < cut).count();
                    let torn = pieces.iter().any(|piece| piece.write == cut) && torn_sectors > 0;
                    torn_sectors -= usize::from(torn);
                    whole + usize::from(torn)
                }
                Loss::Writes => {
                    let is_kept = |piece: &Piece| kept.get(piece.write) == Some(&true);
                    pieces.iter().rposition(is_kept).map_or(0, |at| at + 1)
                }
                Loss::Sectors => dice.up_to(pieces.len()),
            };
            for piece in pieces.iter().take(count) {
                put(&mut content, &piece.bytes, piece.offset);
            }
        }
        content
    }
}

/// A walk along the log of a [`SimStorage`](super::SimStorage) that can crash at every moment.
#[derive(Debug, Clone)]
pub struct Crashes {
    pub(super) names: BTreeMap<String, usize>,
    pub(super) files: Vec<Held>,
    /// Changes of names that are not durable.
    pub(super) moved: Vec<Op>,
    pub(super) log: Vec<Op>,
    pub(super) moment: usize,
}

impl Crashes {
    /// The number of operations before the crash.
    pub const fn moment(&self) -> usize {
        self.moment
    }

    /// Goes on by one operation; false at the end.
    pub fn advance(&mut self) -> bool {
        let Some(op) = self.log.get(self.moment).cloned() else {
            return false;
        };
        self.moment += 1;
        match op {
            Op::Write {
                file,
                offset,
                bytes,
            } => {
                if let Some(held) = self.files.get_mut(file) {
                    held.write(offset, &bytes);
                }
            }
            Op::SetLen { file, len } => {
                if let Some(held) = self.files.get_mut(file) {
                    held.set_len(len);
                }
            }
            Op::Sync { file } => {
                if let Some(held) = self.files.get_mut(file) {
                    held.sync();
                }
            }
            Op::Create { .. } => {
                self.files.push(Held::default());
                self.moved.push(op);
            }
            Op::Rename { .. } | Op::Remove { .. } => self.moved.push(op),
            Op::SyncDir => {
                for op in std::mem::take(&mut self.moved) {
                    move_name(&mut self.names, &op);
                }
            }
        }
        true
    }

    /// A folder that a crash now can leave.
    pub fn image(&self, loss: Loss, dice: &mut Dice) -> Files {
        let mut names = self.names.clone();
        let until = dice.up_to(self.moved.len());
        for (at, op) in self.moved.iter().enumerate() {
            let kept = match loss {
                Loss::Nothing => true,
                Loss::Everything => false,
                Loss::Torn => at < until,
                Loss::Writes | Loss::Sectors => dice.coin(),
            };
            if kept {
                move_name(&mut names, op);
            }
        }
        let mut files = Files::new();
        for (name, file) in names {
            let content = self.files.get(file).map(|held| held.image(loss, dice));
            files.insert(name, content.unwrap_or_default());
        }
        files
    }
}

fn move_name(names: &mut BTreeMap<String, usize>, op: &Op) {
    match op {
        Op::Create { name, file } => {
            names.insert(name.clone(), *file);
        }
        // A folder names files, not names: an older file that had the name is not what was renamed.
        Op::Rename { file, from, to } => {
            names.retain(|name, of| name != from || of != file);
            names.insert(to.clone(), *file);
        }
        Op::Remove { name } => {
            names.remove(name);
        }
        Op::Write { .. } | Op::SetLen { .. } | Op::Sync { .. } | Op::SyncDir => {}
    }
}
