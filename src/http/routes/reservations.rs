//! Reservations: reserve, batch, the verbs, and asking.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use bytes::Bytes;
use hyper::{HeaderMap, StatusCode};

use crate::domain::command::{Act, Command, Keyed, Lines, Reserve, Verb};
use crate::domain::{HoldTtl, ReservationId};
use crate::http::app::{App, Committed, Content, Reply};
use crate::http::catalog;
use crate::http::dto::{
    BatchBody, ExtendBody, LineBody, LinesBody, PinBody, ReserveBody, ReturnBody, ShipBody, Text,
};
use crate::http::error::{Issues, Problem};
use crate::http::json::Json;
use crate::http::parse::LinesOf;
use crate::http::{parse, render, request};
use crate::ledger::{Answer, LedgerError};
use crate::limits::{BATCH_MAX, REFERENCE_BYTES_MAX};

/// Which verb a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActKind {
    /// `/confirm`
    Confirm,
    /// `/release`
    Release,
    /// `/extend`
    Extend,
    /// `/ship`
    Ship,
    /// `/return`
    Return,
    /// `/transfer`
    Transfer,
}

impl ActKind {
    /// The verb that the last part of a path names.
    pub fn from_path(word: &str) -> Option<Self> {
        match word {
            "confirm" => Some(Self::Confirm),
            "release" => Some(Self::Release),
            "extend" => Some(Self::Extend),
            "ship" => Some(Self::Ship),
            "return" => Some(Self::Return),
            "transfer" => Some(Self::Transfer),
            _ => None,
        }
    }

    /// The path as the API document has it.
    pub const fn route(self) -> &'static str {
        match self {
            Self::Confirm => "/v1/reservations/{id}/confirm",
            Self::Release => "/v1/reservations/{id}/release",
            Self::Extend => "/v1/reservations/{id}/extend",
            Self::Ship => "/v1/reservations/{id}/ship",
            Self::Return => "/v1/reservations/{id}/return",
            Self::Transfer => "/v1/reservations/{id}/transfer",
        }
    }
}

/// The sense of a reserve body; `issues` holds what was found before.
fn reserve_command<'t>(
    app: &App,
    body: &'t ReserveBody<'_>,
    mut issues: Issues,
) -> Result<Reserve<'t>, Problem> {
    let channel = parse::required(&mut issues, format_args!("/channel"), body.channel.as_ref())
        .and_then(|name| parse::name(&mut issues, format_args!("/channel"), name));
    let reference = parse::bounded(
        &mut issues,
        format_args!("/reference"),
        body.reference.as_ref(),
        REFERENCE_BYTES_MAX,
    );
    let ttl = parse::ttl(&mut issues, format_args!("/ttl_seconds"), body.ttl_seconds);
    let lines = body.lines.as_deref().unwrap_or_default();
    let by = parse::day(&mut issues, format_args!("/by"), body.by.as_ref());
    let of = LinesOf::New(by);
    let lines = parse::lines(&mut issues, "/lines", lines, app.names(), of);
    let (Some(channel), Some(lines), true) = (channel, lines, issues.is_empty()) else {
        return Err(Problem::Invalid(issues));
    };
    let channel = app
        .names()
        .channel(channel)
        .map_err(|error| Problem::name(error, format_args!("/channel")))?;
    let usual = || HoldTtl::Default(app.engine.usual_hold(&lines, app.default_ttl));
    Ok(Reserve {
        channel,
        reference,
        ttl: ttl.map_or_else(usual, HoldTtl::Asked),
        allow_partial: body.allow_partial.unwrap_or(false),
        lines,
    })
}

/// `POST /v1/reservations`
pub async fn reserve(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<Reply, Problem> {
    let key = request::required_key(headers)?;
    let body: ReserveBody<'_> = parse::json(body)?;
    let command = reserve_command(app, &body, Issues::default())?;
    app.execute(key, Command::Reserve(command)).await
}

/// Longest body of a batch that is read, decided and answered on the serving thread.
const BATCH_INLINE_BYTES: usize = 16 * 1024;

/// Most mistakes that all problems of a batch list together, beyond the first of each.
const BATCH_ISSUES_MAX: usize = 1_000;

/// `POST /v1/reservations/batch`
///
/// Of a large batch only the wait for the disk is spent on the serving thread.
pub async fn batch(app: &Arc<App>, body: &Bytes) -> Result<Reply, Problem> {
    if body.len() <= BATCH_INLINE_BYTES {
        let items = batch_items(body)?;
        let (mut early, mut commands) = batch_commands(app, &items);
        if is_unknown_node(&early) && app.learns_names().await {
            (early, commands) = batch_commands(app, &items);
        }
        let answers = app.engine.execute_batch(&commands).await;
        return Ok(batch_reply(app, early, answers));
    }
    let submit = |is_last: bool| {
        let body = body.clone();
        move |app: &App| {
            let items = batch_items(&body)?;
            let (early, commands) = batch_commands(app, &items);
            let goes = is_last || !is_unknown_node(&early);
            let submitted = goes.then(|| app.engine.submit_batch(&commands));
            Ok::<_, Problem>((early, submitted))
        }
    };
    let (mut early, mut submitted) = app.beside(submit(false)).await??;
    if submitted.is_none() {
        app.learns_names().await;
        (early, submitted) = app.beside(submit(true)).await??;
    }
    let nothing = || Problem::plain(&catalog::INTERNAL, "There is no answer.");
    let submitted = submitted.ok_or_else(nothing)?;
    let answers = app.engine.finish_batch(submitted).await;
    app.beside(move |app| batch_reply(app, early, answers))
        .await
}

/// Per item: `None` has the next command's answer, a problem is the answer already.
type Early = Vec<Option<Problem>>;

fn is_unknown_node(early: &Early) -> bool {
    early.iter().flatten().any(Problem::is_unknown_node)
}

type BatchItems<'b> = Vec<(Option<Text<'b>>, ReserveBody<'b>)>;

fn batch_items(body: &[u8]) -> Result<BatchItems<'_>, Problem> {
    let body: BatchBody<'_> = parse::json(body)?;
    let items = body.reservations.map_or_else(Vec::new, |list| list.0);
    if items.is_empty() {
        let mut issues = Issues::default();
        let detail = format!("must hold 1 to {BATCH_MAX} reservations");
        issues.push(format_args!("/reservations"), "out_of_range", detail);
        return Err(Problem::Invalid(issues));
    }
    let items = items.into_iter();
    Ok(items
        .map(|mut item| (item.key.take(), item.into_body()))
        .collect())
}

fn batch_commands<'t>(app: &App, items: &'t BatchItems<'_>) -> (Early, Vec<Keyed<'t>>) {
    let mut commands = Vec::with_capacity(items.len());
    let mut early = Early::with_capacity(items.len());
    let mut room = BATCH_ISSUES_MAX;
    for (key, body) in items {
        match batch_command(app, key.as_ref(), body, room) {
            Ok(command) => {
                commands.push(command);
                early.push(None);
            }
            Err(problem) => {
                if let Problem::Invalid(issues) = &problem {
                    room = room.saturating_sub(issues.len());
                }
                early.push(Some(problem));
            }
        }
    }
    (early, commands)
}

fn batch_command<'t>(
    app: &App,
    key: Option<&'t Text<'_>>,
    body: &'t ReserveBody<'_>,
    issues_max: usize,
) -> Result<Keyed<'t>, Problem> {
    let mut issues = Issues::at_most(issues_max);
    let key = parse::required(&mut issues, format_args!("/key"), key);
    let key = key.and_then(|key| {
        let checked = request::check_key(key.as_bytes());
        checked
            .map_err(|why| issues.push(format_args!("/key"), "invalid_key", why))
            .ok()
    });
    let reserve = reserve_command(app, body, issues)?;
    let command = Command::Reserve(reserve);
    Ok(Keyed {
        key: app.engine.key(key.unwrap_or_default(), &command),
        command,
    })
}

fn batch_reply(app: &App, early: Early, answers: Vec<Result<Answer, LedgerError>>) -> Reply {
    const USUAL_ITEM_BYTES: usize = 512;
    let mut json = Json::with_capacity(early.len() * USUAL_ITEM_BYTES);
    let mut answers = answers.into_iter();
    let mut last = None;
    json.raw(r#"{"results":["#);
    for (at, problem) in early.into_iter().enumerate() {
        let reply = match problem {
            Some(problem) => Reply::from(problem),
            None => match answers.next() {
                Some(Ok(answer)) => app.reply(answer, StatusCode::CREATED),
                Some(Err(error)) => Reply::from(Problem::Ledger(error)),
                None => Reply::from(Problem::plain(&catalog::INTERNAL, "There is no answer.")),
            },
        };
        json.comma(at == 0)
            .raw(r#"{"status":"#)
            .number(reply.status.as_u16());
        match reply.content {
            Content::Json(reservation) => {
                json.raw(r#","reservation":"#).append(&reservation);
            }
            Content::Problem(problem) => {
                json.raw(r#","problem":"#);
                problem.write(&mut json, "", "", app.names());
            }
            Content::Other(..) => {}
        }
        if let Some(mut committed) = reply.committed {
            json.raw(r#","replayed":"#).bool(committed.replayed);
            let position = committed.position;
            if position.sequence > 0 {
                json.raw(r#","position":""#).number(position.shard);
                json.raw(".").number(position.epoch);
                json.raw(".").number(position.sequence).raw("\"");
            }
            if let Some(age) = committed.mirror_age {
                json.raw(r#","mirror_age_ms":"#).number(age.as_millis());
            } else {
                committed.replayed = false;
                last = last
                    .filter(|l: &Committed| l.position >= committed.position)
                    .or(Some(committed));
            }
        }
        json.raw("}");
    }
    json.raw("]}");
    Reply {
        committed: last,
        ..Reply::json(json)
    }
}

fn act_lines<'t>(
    app: &App,
    issues: &mut Issues,
    lines: Option<&'t [LineBody<'_>]>,
) -> Option<Lines<'t>> {
    parse::lines(issues, "/lines", lines?, app.names(), LinesOf::Existing)
}

/// `POST /v1/reservations/{id}/...`
pub async fn act(
    app: &App,
    kind: ActKind,
    id: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Reply, Problem> {
    let key = request::required_key(headers)?;
    let id = reservation_id(id)?;
    match kind {
        ActKind::Confirm => simple_act(app, key, id, Verb::Confirm, body).await,
        ActKind::Release => simple_act(app, key, id, Verb::Release, body).await,
        ActKind::Extend => extend(app, key, id, body).await,
        ActKind::Ship => ship(app, key, id, body).await,
        ActKind::Return => take_back(app, key, id, body).await,
        ActKind::Transfer => pin(app, key, id, body).await,
    }
}

async fn run(
    app: &App,
    key: &str,
    id: ReservationId,
    verb: Verb,
    lines: Option<Lines<'_>>,
) -> Result<Reply, Problem> {
    app.execute(key, Command::Act(Act { id, verb, lines }))
        .await
}

async fn simple_act(
    app: &App,
    key: &str,
    id: ReservationId,
    verb: Verb,
    body: &[u8],
) -> Result<Reply, Problem> {
    let body: LinesBody<'_> = parse::json_or_default(body)?;
    let mut issues = Issues::default();
    let lines = act_lines(app, &mut issues, body.lines.as_deref());
    issues.check()?;
    run(app, key, id, verb, lines).await
}

async fn extend(app: &App, key: &str, id: ReservationId, body: &[u8]) -> Result<Reply, Problem> {
    let body: ExtendBody = parse::json_or_default(body)?;
    let mut issues = Issues::default();
    if body.ttl_seconds.is_none() {
        issues.push(format_args!("/ttl_seconds"), "missing", "is required");
    }
    match parse::ttl(&mut issues, format_args!("/ttl_seconds"), body.ttl_seconds) {
        Some(ttl) => run(app, key, id, Verb::Extend(ttl), None).await,
        None => Err(Problem::Invalid(issues)),
    }
}

async fn ship(app: &App, key: &str, id: ReservationId, body: &[u8]) -> Result<Reply, Problem> {
    let body: ShipBody<'_> = parse::json_or_default(body)?;
    let mut issues = Issues::default();
    let lines = act_lines(app, &mut issues, body.lines.as_deref());
    let place = format_args!("/node");
    let from = parse::known_node(&mut issues, place, body.node.as_ref(), app.names());
    issues.check()?;
    run(app, key, id, Verb::Ship { from }, lines).await
}

/// A return may name a node that is new: a place where only returned goods are.
async fn take_back(app: &App, key: &str, id: ReservationId, body: &[u8]) -> Result<Reply, Problem> {
    let body: ReturnBody<'_> = parse::json_or_default(body)?;
    let mut issues = Issues::default();
    let lines = act_lines(app, &mut issues, body.lines.as_deref());
    let node = body
        .node
        .as_ref()
        .and_then(|name| parse::name(&mut issues, format_args!("/node"), name.as_str()));
    issues.check()?;
    let to = match node {
        Some(name) => Some(
            app.names()
                .node(name)
                .await
                .map_err(|error| Problem::name(error, format_args!("/node")))?,
        ),
        None => None,
    };
    let restock = body.restock.unwrap_or(true);
    run(app, key, id, Verb::Return { restock, to }, lines).await
}

async fn pin(app: &App, key: &str, id: ReservationId, body: &[u8]) -> Result<Reply, Problem> {
    let body: PinBody<'_> = parse::json_or_default(body)?;
    let mut issues = Issues::default();
    let lines = act_lines(app, &mut issues, body.lines.as_deref());
    parse::required(&mut issues, format_args!("/to"), body.to.as_ref());
    let to = parse::known_node(
        &mut issues,
        format_args!("/to"),
        body.to.as_ref(),
        app.names(),
    );
    match to {
        Some(to) if issues.is_empty() => run(app, key, id, Verb::Transfer { to }, lines).await,
        Some(_) | None => Err(Problem::Invalid(issues)),
    }
}

fn reservation_id(text: &str) -> Result<ReservationId, Problem> {
    ReservationId::parse(text).ok_or_else(|| {
        let detail = "A reservation's id is rsv_ and 26 letters and digits, as the answer had it.";
        Problem::plain(&catalog::UNKNOWN_RESERVATION, detail)
    })
}

fn unknown_reservation() -> Problem {
    Problem::plain(
        &catalog::UNKNOWN_RESERVATION,
        catalog::UNKNOWN_RESERVATION.help,
    )
}

/// `GET /v1/reservations/{id}`
pub async fn get(app: &App, id: &str) -> Result<Reply, Problem> {
    let found = app
        .engine
        .reservation(reservation_id(id)?)
        .await?
        .ok_or_else(unknown_reservation)?;
    let mut json = Json::new();
    render::reservation(&mut json, &found, app.names());
    Ok(Reply::json(json))
}

/// `GET /v1/reservations?key=` or `?reference=&channel=`
pub async fn find(app: &App, query: Option<&str>) -> Result<Reply, Problem> {
    let [key, reference, channel] = request::query(query, ["key", "reference", "channel"])?;
    match (key, reference, channel) {
        (Some(key), None, None) => settle(app, &key).await,
        (None, Some(reference), Some(channel)) => {
            let found = app.engine.by_reference(&channel, &reference).await?;
            let found = found.ok_or_else(unknown_reservation)?;
            let mut json = Json::new();
            render::reservation(&mut json, &found, app.names());
            Ok(Reply::json(json))
        }
        (_, _, _) => {
            let detail = "Ask with ?key= alone, or with ?reference= and &channel=.";
            Err(Problem::plain(&catalog::INVALID_PARAMETER, detail))
        }
    }
}

/// What a key was answered. The answer to a command that named no reservation comes as it was.
async fn settle(app: &App, key: &str) -> Result<Reply, Problem> {
    let key = request::check_key(request::bare_key(key.as_bytes()))
        .map_err(|why| request::invalid_parameter("key", why))?;
    match app.engine.settle(key).await? {
        Some(answer) => Ok(app.reply(answer, StatusCode::OK)),
        None => Err(Problem::plain(
            &catalog::UNKNOWN_KEY,
            catalog::UNKNOWN_KEY.help,
        )),
    }
}

type Shared = State<Arc<App>>;

/// See [`reserve`].
pub async fn reserve_route(
    State(app): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Reply, Problem> {
    reserve(&app, &headers, &body).await
}

/// See [`batch`].
pub async fn batch_route(State(app): Shared, body: Bytes) -> Result<Reply, Problem> {
    batch(&app, &body).await
}

/// See [`get`].
pub async fn get_route(State(app): Shared, Path(id): Path<String>) -> Result<Reply, Problem> {
    get(&app, &id).await
}

/// See [`find`].
pub async fn find_route(State(app): Shared, RawQuery(query): RawQuery) -> Result<Reply, Problem> {
    find(&app, query.as_deref()).await
}

macro_rules! act_routes {
    ($($name:ident = $kind:ident;)*) => {$(
        /// See [`act`].
        pub async fn $name(
            State(app): Shared,
            Path(id): Path<String>,
            headers: HeaderMap,
            body: Bytes,
        ) -> Result<Reply, Problem> {
            act(&app, ActKind::$kind, &id, &headers, &body).await
        }
    )*};
}

act_routes! {
    confirm_route = Confirm;
    release_route = Release;
    extend_route = Extend;
    ship_route = Ship;
    return_route = Return;
    transfer_route = Transfer;
}
