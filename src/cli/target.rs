//! Where an import or a replay goes: the engine in this process, or a server.

use std::time::Duration;

use serde_json::{Value, json};

use super::args::Mode;
use super::wire::{Connection, Response};
use super::{Exit, Failure};
use crate::blocking::wait_for;
use crate::domain::command::{
    AdjustItem, Channel, Command, Keyed, LineRequest, Lines, Reserve, SetItem, StockChange,
    StockCommand,
};
use crate::domain::{HoldTtl, NodeIx, Outcome, Sku, Ttl, Units, Verdict};
use crate::engine::Engine;
use crate::ledger::LedgerError;

/// Channel of the reservations that a replay makes.
const CHANNEL: &str = "replay";
/// How often a call whose result is not known, or that found a full queue, is repeated.
const ATTEMPTS: u32 = 8;
/// Pause before the first repetition; it doubles.
const PAUSE: Duration = Duration::from_millis(20);

/// Stock of one SKU at one node to set, or to change by a difference.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StockItem<'a> {
    /// What.
    pub(crate) sku: &'a str,
    /// Where.
    pub(crate) node: &'a str,
    /// On hand, or the difference.
    pub(crate) quantity: i64,
}

/// A stock command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StockCall<'a> {
    /// Idempotency key.
    pub(crate) key: &'a str,
    /// What the quantities mean.
    pub(crate) mode: Mode,
    /// For the change log.
    pub(crate) reason: &'a str,
    /// The items, all or none.
    pub(crate) items: &'a [StockItem<'a>],
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Done<T> {
    /// It was done now.
    Now(T),
    /// It was done earlier, under the same key.
    Before(T),
    /// It was refused, with this code.
    Refused(String),
}

/// Where calls go.
pub(crate) enum Target {
    /// The engine in this process.
    Engine {
        /// The engine.
        engine: Engine,
        /// Who reserves.
        channel: Channel<'static>,
    },
    /// A server.
    Http(Connection),
}

impl Target {
    /// Calls in this process.
    pub(crate) fn engine(engine: &Engine) -> Result<Self, Failure> {
        let channel =
            wait_for(engine.make_channel(CHANNEL)).map_err(|e| name_failure(CHANNEL, e))?;
        Ok(Self::Engine {
            engine: engine.clone(),
            channel,
        })
    }

    /// Sets or adjusts stock.
    pub(crate) fn stock(&mut self, call: StockCall<'_>) -> Result<Done<()>, Failure> {
        match self {
            Self::Engine { engine, .. } => engine_stock(engine, call),
            Self::Http(connection) => http_stock(connection, call),
        }
    }

    /// Reserves lines of SKU and quantity, all or nothing; the units held.
    pub(crate) fn reserve(
        &mut self,
        key: &str,
        reference: &str,
        lines: &[(&str, u64)],
    ) -> Result<Done<u64>, Failure> {
        match self {
            Self::Engine { engine, channel } => {
                engine_reserve(engine, *channel, key, reference, lines)
            }
            Self::Http(connection) => http_reserve(connection, key, reference, lines),
        }
    }

    /// Units of a SKU that can still be promised.
    pub(crate) fn available(&mut self, sku: &str) -> Result<u64, Failure> {
        let missing = || Failure::new(Exit::Failed, format!("SKU {sku} is not there any more"));
        match self {
            Self::Engine { engine, .. } => {
                let sku = Sku::new(sku).map_err(|_error| missing())?;
                Ok(wait_for(engine.stock(sku))?
                    .ok_or_else(missing)?
                    .available
                    .get())
            }
            Self::Http(connection) => {
                let response = connection.get(&format!("/v1/stock/{sku}"))?;
                response
                    .body
                    .get("available")
                    .and_then(Value::as_u64)
                    .ok_or_else(missing)
            }
        }
    }
}

fn name_failure(name: &str, error: crate::engine::NameError) -> Failure {
    use crate::engine::NameError;
    let reason = match error {
        NameError::Invalid(error) => error.to_string(),
        NameError::Full => "is one too many".to_owned(),
        NameError::Ledger(error) => error.to_string(),
    };
    Failure::new(Exit::Failed, format!("name {name}: {reason}"))
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Self::new(Exit::Failed, error.to_string())
    }
}

fn execute(engine: &Engine, key: &str, command: Command<'_>) -> Result<Done<Outcome>, Failure> {
    let keyed = Keyed {
        key: engine.key(key, &command),
        command,
    };
    let mut pause = PAUSE;
    for _ in 1..ATTEMPTS {
        match engine.execute_blocking(&keyed) {
            Err(LedgerError::Overloaded) => std::thread::park_timeout(pause),
            Ok(answer) => return Ok(done(answer.verdict, answer.replayed)),
            Err(error) => return Err(error.into()),
        }
        pause *= 2;
    }
    let answer = engine.execute_blocking(&keyed)?;
    Ok(done(answer.verdict, answer.replayed))
}

fn done(verdict: Verdict, is_before: bool) -> Done<Outcome> {
    match verdict {
        Ok(outcome) if is_before => Done::Before(outcome),
        Ok(outcome) => Done::Now(outcome),
        Err(refusal) => Done::Refused(refusal.code().to_owned()),
    }
}

impl<T> Done<T> {
    fn map<U>(self, with: impl FnOnce(T) -> U) -> Done<U> {
        match self {
            Self::Now(value) => Done::Now(with(value)),
            Self::Before(value) => Done::Before(with(value)),
            Self::Refused(code) => Done::Refused(code),
        }
    }
}

fn engine_stock(engine: &Engine, call: StockCall<'_>) -> Result<Done<()>, Failure> {
    let mut places = Vec::with_capacity(call.items.len());
    for item in call.items {
        let node = wait_for(engine.node(item.node)).map_err(|e| name_failure(item.node, e))?;
        let sku = Sku::new(item.sku).map_err(|e| senseless(&format!("SKU {} {e}", item.sku)))?;
        places.push((sku, node, item.quantity));
    }
    let change = match call.mode {
        Mode::Set => StockChange::Set(places.into_iter().map(set_item).collect::<Result<_, _>>()?),
        Mode::Adjust => StockChange::Adjust(places.into_iter().map(adjust_item).collect()),
    };
    let command = Command::Stock(StockCommand {
        change,
        reason: call.reason,
        operator: None,
    });
    Ok(execute(engine, call.key, command)?.map(drop))
}

fn set_item((sku, node, quantity): (Sku<'_>, NodeIx, i64)) -> Result<SetItem<'_>, Failure> {
    let units = u64::try_from(quantity).ok().and_then(Units::new);
    let on_hand = Some(units.ok_or_else(|| senseless("on hand is out of range"))?);
    Ok(SetItem {
        sku,
        node,
        on_hand,
        unavailable: None,
        change_from: None,
    })
}

fn adjust_item((sku, node, quantity): (Sku<'_>, NodeIx, i64)) -> AdjustItem<'_> {
    AdjustItem {
        sku,
        node,
        on_hand: quantity,
        unavailable: 0,
        change_from: None,
    }
}

fn senseless(what: &str) -> Failure {
    Failure::new(Exit::Failed, what)
}

fn engine_reserve(
    engine: &Engine,
    channel: Channel<'static>,
    key: &str,
    reference: &str,
    lines: &[(&str, u64)],
) -> Result<Done<u64>, Failure> {
    let requests: Result<Vec<_>, Failure> = lines.iter().map(|line| request(*line)).collect();
    let lines =
        Lines::try_new(requests?).map_err(|e| senseless(&format!("order {reference}: {e:?}")))?;
    let ttl = Ttl::from_millis(crate::limits::TTL_MS_MAX);
    let ttl = ttl.ok_or_else(|| senseless("no time to live"))?;
    let reserve = Reserve {
        channel,
        reference: Some(reference),
        ttl: HoldTtl::Asked(ttl),
        allow_partial: false,
        lines,
    };
    Ok(execute(engine, key, Command::Reserve(reserve))?.map(|outcome| held(&outcome)))
}

fn request((sku, quantity): (&str, u64)) -> Result<LineRequest<'_>, Failure> {
    let sku = Sku::new(sku).map_err(|e| senseless(&format!("SKU {sku} {e}")))?;
    let quantity = Units::new(quantity).ok_or_else(|| senseless("quantity is out of range"))?;
    Ok(LineRequest {
        sku,
        node: None,
        quantity,
        by: None,
    })
}

fn held(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Reservation(reservation) => reservation
            .lines
            .iter()
            .map(|line| line.line.held.get())
            .sum(),
        Outcome::Stock(_) | Outcome::Shares(_) | Outcome::Inbound(_) | Outcome::Settings { .. } => {
            0
        }
    }
}

/// Posts until the answer is an answer. Safe, because the key is the same each time.
fn post(
    connection: &mut Connection,
    path: &str,
    key: &str,
    body: &Value,
) -> Result<Response, Failure> {
    let mut pause = PAUSE;
    for _ in 1..ATTEMPTS {
        let response = connection.post(path, key, body)?;
        if !matches!(response.status, 503 | 504) {
            return Ok(response);
        }
        std::thread::park_timeout(pause);
        pause *= 2;
    }
    connection.post(path, key, body)
}

fn outcome(response: Response) -> Result<Done<Value>, Failure> {
    match response.status {
        200..=299 if response.is_replayed => Ok(Done::Before(response.body)),
        200..=299 => Ok(Done::Now(response.body)),
        404 | 409 | 422 => Ok(Done::Refused(response.code().to_owned())),
        _ => Err(Failure::new(
            Exit::Failed,
            format!("the server says {}", response.problem()),
        )),
    }
}

fn http_stock(connection: &mut Connection, call: StockCall<'_>) -> Result<Done<()>, Failure> {
    let (path, field) = match call.mode {
        Mode::Set => ("/v1/stock", "on_hand"),
        Mode::Adjust => ("/v1/stock/adjustments", "delta"),
    };
    let items: Vec<_> = call
        .items
        .iter()
        .map(|i| json!({"sku": i.sku, "node": i.node, field: i.quantity, "change_from": null}))
        .collect();
    let body = json!({"items": items, "reason": call.reason});
    Ok(outcome(post(connection, path, call.key, &body)?)?.map(drop))
}

fn http_reserve(
    connection: &mut Connection,
    key: &str,
    reference: &str,
    lines: &[(&str, u64)],
) -> Result<Done<u64>, Failure> {
    let lines: Vec<_> = lines
        .iter()
        .map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity}))
        .collect();
    let body = json!({
        "channel": CHANNEL,
        "reference": reference,
        "ttl_seconds": crate::limits::TTL_MS_MAX / 1_000,
        "lines": lines,
    });
    let done = outcome(post(connection, "/v1/reservations", key, &body)?)?;
    Ok(done.map(|reservation| {
        let lines = reservation.get("lines").and_then(Value::as_array);
        let held = |line: &Value| line.get("held").and_then(Value::as_u64);
        lines.into_iter().flatten().filter_map(held).sum()
    }))
}
