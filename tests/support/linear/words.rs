//! What a history is made of: calls with their beginnings and ends, what they asked and were told.

/// SKUs of a history; few, so that everybody is after the same ones.
pub(crate) const SKUS: usize = 3;

/// An idempotency key, by its number in the history.
pub(crate) type Key = u16;

/// Units by SKU.
pub(crate) type Units = [u16; SKUS];

/// The deadline where nothing is known of time.
pub(crate) const NEVER: i64 = i64::MAX;

/// What is done to a whole reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Verb {
    Confirm,
    Release,
    /// For so many milliseconds from now on.
    Extend(u32),
    Ship,
}

/// What a command asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Wish {
    /// So many units on hand, if that many are there.
    Set {
        sku: usize,
        on_hand: u16,
        change_from: Option<u16>,
    },
    /// So many more, or fewer.
    Adjust { sku: usize, by: i16 },
    /// Units of some SKUs, none of the others, for so many milliseconds.
    Reserve {
        units: Units,
        ttl: u32,
        partial: bool,
    },
    /// Something with the reservation that this key made.
    Act { target: Key, verb: Verb },
}

/// One call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A command under a key.
    Ask { key: Key, wish: Wish },
    /// A look at the stock of a SKU.
    Look { sku: usize },
    /// The authority's clock goes on by so many milliseconds.
    Clock { by: i64 },
}

/// Where a reservation is; all of its units are at the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    Held,
    Committed,
    Shipped,
    Released,
    Expired,
}

/// A reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Booking {
    /// The key that made it.
    pub(crate) key: Key,
    pub(crate) created: i64,
    pub(crate) deadline: i64,
    pub(crate) requested: Units,
    pub(crate) granted: Units,
    pub(crate) stage: Stage,
}

impl Booking {
    /// The same at another place.
    pub(crate) fn at(mut self, stage: Stage) -> Self {
        self.stage = stage;
        self
    }
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum No {
    KeyReused,
    UnknownSku {
        sku: usize,
    },
    UnknownReservation,
    /// By SKU that is short: what could be had.
    Short([Option<u16>; SKUS]),
    Expired,
    Released,
    Shipped,
    NotHeld,
    NotConfirmed,
    /// There were so many.
    Stale {
        on_hand: u16,
    },
    /// There are only so many.
    Negative {
        on_hand: u16,
    },
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Said {
    Reservation(Booking),
    Stock {
        on_hand: u16,
        available: u16,
    },
    /// On hand, held, committed; `None`: no such SKU.
    Seen(Option<[u16; 3]>),
    Refused(No),
    /// The clock went on.
    Moved,
    /// Something that no order of these calls can give.
    Nonsense,
}

/// An answer as its caller heard it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) said: Said,
    /// Whether it was called a repetition of an earlier answer.
    pub(crate) replayed: bool,
}

impl Heard {
    pub(crate) const fn first(said: Said) -> Self {
        Self {
            said,
            replayed: false,
        }
    }
}

/// A call. The tickets come from one counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) sent: u64,
    pub(crate) step: Step,
    /// When its answer was there, and what it was; `None`: nobody heard any.
    pub(crate) end: Option<(u64, Heard)>,
}

impl Call {
    /// When its answer was there, or the end of all time.
    pub(crate) fn answered(&self) -> u64 {
        self.end.map_or(u64::MAX, |(at, _)| at)
    }
}

/// Calls in the order of their beginnings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct History {
    /// What the clock said before, where it is the only thing that moves it; `None`: times are not
    /// known, and nothing expires.
    pub(crate) began: Option<i64>,
    /// The ledger itself asks again for what is in doubt on its way, so that a first answer may be called
    /// a repetition.
    pub(crate) is_retried: bool,
    pub(crate) calls: Vec<Call>,
}

impl History {
    pub(crate) fn new(began: Option<i64>, mut calls: Vec<Call>) -> Self {
        calls.sort_unstable_by_key(|call| call.sent);
        Self {
            began,
            is_retried: false,
            calls,
        }
    }

    /// Whether a caller may be told this where the model says that.
    pub(crate) fn fits(&self, told: Heard, model: Heard) -> bool {
        told == model || self.is_retried && told.replayed && told.said == model.said
    }
}
