//! Every bound of the engine, with its reason. Plain constants, no code.
//!
//! A bound that a user may want to change is also a configuration key; the constant is then its
//! largest or default value. Relations between bounds are asserted at compile time below.

/// Largest quantity of units in any one counter. Sums of a few of these stay far below `u64::MAX`,
/// and every value up to here is exact in a Lua number.
pub const UNITS_MAX: u64 = 1_000_000_000_000;

/// Most units by which a channel's share may be moved in one window, either way: they are stored as
/// signed numbers of six bytes. The same as in `lua/shares.lua`.
pub const SHARE_MOVED_MAX: i64 = 100_000_000_000_000;

/// Longest SKU in bytes; it is part of journal records, store keys and URLs.
pub const SKU_BYTES_MAX: usize = 64;

/// Longest name of a node, a channel or an announcement in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Most different node names a ledger keeps; node names are never forgotten.
pub const NODES_MAX: usize = 4_096;

/// Most different channel names a ledger keeps; channels are a metric label.
pub const CHANNELS_MAX: usize = 1_024;

/// Most levels of the tree of channels; what a hold costs grows with them.
pub const POLICY_LEVELS_MAX: usize = 16;

/// Channels whose shares one channel may use when its own does not do: each is asked in turn, under the
/// lock of the SKU.
pub const POLICY_FALLBACKS_MAX: usize = 8;

/// Most rules of a policy, and most sets and most tags: it is checked and compiled whole.
pub const POLICY_RULES_MAX: usize = 10_000;

/// Most change sets of a policy.
pub const POLICY_CHANGE_SETS_MAX: usize = 1_000;

/// Most campaigns of a policy: ten years of two a week.
pub const POLICY_CAMPAIGNS_MAX: usize = 1_000;

/// Most findings of one pre-flight that are listed; all are counted.
pub const PREFLIGHT_FINDINGS_MAX: usize = 1_000;

/// Seconds after which a count is stale where nobody says otherwise: a day.
pub const STALE_AFTER_SECONDS: u64 = 24 * 3_600;

/// Most SKUs that a policy lists in all its sets, tags, rules and campaigns together.
pub const POLICY_SKUS_MAX: usize = 100_000;

/// Longest text of a policy in bytes: about ten per SKU that it may list.
pub const POLICY_BYTES_MAX: usize = 1024 * 1024;

/// Versions of the policy that are kept.
pub const POLICY_VERSIONS_KEPT: usize = 16;

/// Longest idempotency key in bytes.
pub const KEY_BYTES_MAX: usize = 255;

/// Longest caller reference (for instance the channel's own order id) in bytes.
pub const REFERENCE_BYTES_MAX: usize = 128;

/// Longest free text (reason, operator) in bytes.
pub const TEXT_BYTES_MAX: usize = 200;

/// Most lines of one reservation, in a body also before equal lines are summed.
pub const LINES_MAX: usize = 500;

/// Most items of one stock command (set, adjust, transfer).
pub const STOCK_ITEMS_MAX: usize = 1_000;

/// Most items of one command that announces or receives supply.
pub const INBOUND_ITEMS_MAX: usize = 1_000;

/// Most nodes at which a SKU has a safety stock of its own: all of them are looked at wherever it is
/// promised.
pub const SAFETY_NODES_MAX: usize = 256;

/// Most announcements of one SKU that are open at a time: what can be promised is worked out anew
/// for each claim, under a lock, and takes time in proportion.
pub const INBOUND_OPEN_MAX: usize = 256;

/// How far ahead supply can be announced, days.
pub const INBOUND_DAYS_MAX: u16 = 180;

/// Most reservations of one batch request.
pub const BATCH_MAX: usize = 8_192;

/// Most lines of all reservations of one batch request together: they bound its answer, which
/// says more about a line than the request does.
pub const BATCH_LINES_MAX: usize = 65_536;

/// Most SKUs of one bulk availability query.
pub const ATP_SKUS_MAX: usize = 1_000;

/// Most events of one page of the event feed.
pub const EVENTS_PAGE_MAX: usize = 1_000;

/// Most SKUs of one page of deficits.
pub const DEFICITS_PAGE_MAX: usize = 1_000;

/// Most promises that are shown of one deficit.
pub const DEFICIT_LINES_MAX: usize = 1_000;

/// Calls of operators that are done at once: each may go through the whole ledger.
pub const OPERATOR_CALLS_MAX: usize = 2;

/// Most SKUs that a pre-flight looks at.
pub const PREFLIGHT_SKUS_MAX: usize = 10_000;

/// Most pairs of a SKU and a channel that a pre-flight looks at, each with its fallbacks and all limits
/// of a rule: seconds where it has as many as it can have.
pub const PREFLIGHT_PAIRS_MAX: usize = 200_000;

/// Longest time to live of a hold: 30 days. A hold is a promise for a short time.
pub const TTL_MS_MAX: u32 = 30 * 24 * 3_600 * 1_000;

/// Time to live of a hold whose caller names none: 15 minutes, a usual payment window.
pub const TTL_MS_DEFAULT: u32 = 15 * 60 * 1_000;

/// Largest request body of ordinary routes.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// Largest request body of the batch routes.
pub const BATCH_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Most memory that bodies above the ordinary size may take together: 32 of the largest.
pub const LARGE_BODIES_BYTES_MAX: usize = 32 * BATCH_BODY_BYTES_MAX;

/// Largest head of a request in bytes: its first line and all headers.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Most headers of a request.
pub const HEADERS_MAX: usize = 100;

/// Longest path and query of a request together, in bytes.
pub const TARGET_BYTES_MAX: usize = 8 * 1024;

/// Connections beyond the most, which may only ask how the server is.
pub const GUESTS_MAX: usize = 256;

/// Files that are not for connections: of the journal, of a store.
pub const FILES_KEPT: usize = 256;

/// The fewest of them: what an engine without callers has open, and some.
pub const FILES_KEPT_MIN: usize = 32;

/// Files of each serving thread besides: what wakes it, and what tells it of signals.
pub const FILES_OF_THREAD: usize = 4;

/// Number of stock shards. Part of the snapshot format: a SKU's shard never changes.
pub const STOCK_SHARDS: usize = 256;

/// Number of record shards (idempotency keys and reservations).
pub const RECORD_SHARDS: usize = 256;

/// Largest encoded record of a command.
pub const COMMAND_RECORD_BYTES_MAX: usize = 256 * 1024;

/// Largest encoded journal record: that of a policy.
pub const RECORD_BYTES_MAX: usize = POLICY_BYTES_MAX + 64 * 1024;

/// Largest journal frame: what one group commit writes at most.
pub const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most commands that wait for a store, of each thread.
pub const QUEUE_COMMANDS_MAX: usize = 16 * 1024;

/// Most bytes of them.
pub const QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A command that has waited longer, in milliseconds, is not sent to a store any more: its caller has
/// given up, or will have when the answer comes.
pub const QUEUE_AGE_MS_MAX: u64 = 1_000;

/// Most commands of one batch for the remote store. While it runs nobody else is served there.
pub const STORE_BATCH_COMMANDS_MAX: usize = 256;

/// Most lines of one batch for the remote store, but for a single command that has more.
pub const STORE_BATCH_LINES_MAX: usize = 2_000;

/// As many of these lines a line counts that may be had on a later day: the store looks at several days.
pub const STORE_LINES_OF_DATED: usize = 8;

/// Most bytes of one batch for the remote store, but for a single command that has more.
pub const STORE_BATCH_BYTES_MAX: usize = 256 * 1024;

/// Most partitions of a remote ledger. The id of a reservation has room for the number of one, and
/// for another that stands for none.
pub const PARTITIONS_MAX: u16 = 1_023;

/// Batches that each lane has in flight: one that the store works on, and one on its way.
pub const STORE_BATCHES_IN_FLIGHT: usize = 2;

/// Answered commands that an instance remembers, to name those that a store has lost: 16 MiB. At a
/// hundred thousand a second that is five seconds, the time that a fail-over takes to begin. Several
/// partitions share them evenly.
pub const STORE_RECENT_COMMANDS_MAX: usize = 512 * 1024;

/// Batches of such commands: 6 MiB.
pub const STORE_RECENT_BATCHES_MAX: usize = 64 * 1024;

/// The same over several partitions, each batch being of one: two nodes at least are kept busy.
pub const STORE_BATCHES_IN_FLIGHT_OF_MANY: usize = 4;

/// Batches that each lane has besides, waiting for nodes of a cluster that are silent: up to 16 MiB.
/// Those of nine nodes, at least.
pub const STORE_BATCHES_LIMPING_MAX: usize = 64;

const _: () = assert!(
    STORE_BATCH_LINES_MAX >= LINES_MAX && STORE_BATCH_LINES_MAX >= STOCK_ITEMS_MAX,
    "any command fits a batch"
);
const _: () = assert!(STOCK_SHARDS.is_power_of_two() && RECORD_SHARDS.is_power_of_two());
const _: () = assert!(
    FRAME_BYTES_MAX >= 2 * RECORD_BYTES_MAX,
    "a frame holds any record"
);
const _: () = assert!(
    RECORD_BYTES_MAX >= COMMAND_RECORD_BYTES_MAX
        && RECORD_BYTES_MAX >= POLICY_BYTES_MAX + 4 * TEXT_BYTES_MAX,
    "any policy with its reasons fits a record"
);
const _: () = assert!(
    PREFLIGHT_PAIRS_MAX >= CHANNELS_MAX,
    "a pre-flight looks at one SKU at least"
);
const _: () = assert!(BATCH_BODY_BYTES_MAX > BODY_BYTES_MAX);
const _: () = assert!(
    HEAD_BYTES_MAX > TARGET_BYTES_MAX,
    "a target that is too long is read, to be told so"
);
const _: () = assert!(BATCH_LINES_MAX >= LINES_MAX && BATCH_LINES_MAX >= BATCH_MAX);
const _: () = assert!(
    LINES_MAX * (SKU_BYTES_MAX + 32) + 1_024 < COMMAND_RECORD_BYTES_MAX,
    "the largest reservation fits a record"
);
const _: () = assert!(
    STOCK_ITEMS_MAX * (SKU_BYTES_MAX + NAME_BYTES_MAX + 64) + 1_024 < COMMAND_RECORD_BYTES_MAX,
    "the largest stock command fits a record"
);
