//! The event feed: pages, or a stream of server-sent events. Durable events only.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::Frame;
use hyper::header::ACCEPT;
use tokio::sync::mpsc;

use crate::blocking::wait_for;
use crate::http::app::{App, Reply};
use crate::http::catalog;
use crate::http::error::Problem;
use crate::http::event_json;
use crate::http::json::Json;
use crate::http::request;
use crate::ledger::event::{Cursor, EventPage};
use crate::ledger::{EventsError, Position};
use crate::limits::EVENTS_PAGE_MAX;

const LIMIT_DEFAULT: usize = 100;

/// From one look for new events to the next.
const LOOK: Duration = Duration::from_millis(50);

/// Looks without an event after which a comment keeps the connection alive: 15 s.
const HEARTBEAT_LOOKS: u32 = 300;

/// Pages written ahead of a slow reader.
const AHEAD: usize = 1;

struct Asked {
    after: Cursor,
    limit: usize,
}

fn ask(query: Option<&str>) -> Result<Asked, Problem> {
    let [after, limit, shard] = request::query(query, ["after", "limit", "shard"])?;
    let mut after = match after {
        Some(text) => cursor(&text)
            .ok_or_else(|| request::invalid_parameter("after", "must be a position"))?,
        None => Cursor::default(),
    };
    if let Some(shard) = shard {
        let number = shard.parse().ok();
        after.shard = number
            .filter(|number| after.epoch.is_none() || *number == after.shard)
            .ok_or_else(|| request::invalid_parameter("shard", "must be that of the position"))?;
    }
    let limit = match limit {
        Some(text) => text
            .parse()
            .ok()
            .filter(|n| (1..=EVENTS_PAGE_MAX).contains(n))
            .ok_or_else(|| {
                let why = format!("must be a whole number from 1 to {EVENTS_PAGE_MAX}");
                request::invalid_parameter("limit", why)
            })?,
        None => LIMIT_DEFAULT,
    };
    Ok(Asked { after, limit })
}

/// The place that a position names: shard, epoch and sequence, such as `0.1.42`; or a bare sequence.
fn cursor(text: &str) -> Option<Cursor> {
    let parts: Vec<&str> = text.split('.').collect();
    let (shard, epoch, sequence) = match parts.as_slice() {
        [sequence] => (0, None, sequence),
        [shard, epoch, sequence] => (shard.parse().ok()?, Some(epoch.parse().ok()?), sequence),
        _ => return None,
    };
    Some(Cursor {
        shard,
        epoch,
        sequence: sequence.parse().ok()?,
    })
}

/// As [`cursor`] reads it.
fn write_position(json: &mut Json, position: Position) {
    json.number(position.shard).raw(".").number(position.epoch);
    json.raw(".").number(position.sequence);
}

/// Reads a page and writes it down, both beside the serving thread: a page can be large.
async fn read<T: Send + 'static>(
    app: &Arc<App>,
    after: Cursor,
    limit: usize,
    write: fn(&App, &EventPage) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let read = move |app: &App| match wait_for(app.engine.events(after, limit)) {
        Ok(page) => write(app, &page),
        Err(error) => Err(no_page(error)),
    };
    app.beside(read).await?
}

fn no_page(error: EventsError) -> Problem {
    match error {
        EventsError::Gone { oldest } => Problem::EventsGone { oldest },
        EventsError::NoShard { shards } => {
            request::invalid_parameter("shard", format!("must be below {shards}"))
        }
        EventsError::Lost { sequence } => {
            let detail = format!(
                "What stood at {sequence} was lost in a crash, or never was. Read the state anew, \
                 then go on from there."
            );
            Problem::plain(&catalog::EVENTS_GONE, detail)
        }
        EventsError::Unreadable(why) => {
            tracing::error!(%why, "the event feed cannot be read");
            Problem::plain(&catalog::INTERNAL, catalog::INTERNAL.help)
        }
    }
}

/// `GET /v1/events`
pub async fn route(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let streams = headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/event-stream"));
    let answer = match ask(query.as_deref()) {
        Ok(asked) if streams => stream(app, asked, &headers).await,
        Ok(asked) => page(&app, &asked).await.map(IntoResponse::into_response),
        Err(problem) => Err(problem),
    };
    answer.unwrap_or_else(Problem::into_response)
}

async fn page(app: &Arc<App>, asked: &Asked) -> Result<Reply, Problem> {
    let json = read(app, asked.after, asked.limit, write_page).await?;
    Ok(Reply::json(json))
}

fn write_page(app: &App, page: &EventPage) -> Result<Json, Problem> {
    let mut json = Json::new();
    json.raw(r#"{"data":["#);
    for (at, event) in page.iter().enumerate() {
        json.comma(at == 0);
        event_json::write(&mut json, &event.map_err(damaged)?, app.names());
    }
    json.raw(r#"],"next":""#);
    write_position(&mut json, page.next);
    json.raw("\"}");
    Ok(json)
}

fn damaged(error: impl std::fmt::Debug) -> Problem {
    tracing::error!(?error, "an event cannot be decoded");
    Problem::plain(&catalog::INTERNAL, catalog::INTERNAL.help)
}

/// One of the streams of a server, counted while it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn enter(app: &App) -> Option<Self> {
        let counted = Self(Arc::clone(&app.streams));
        let before = app.streams.fetch_add(1, Ordering::Relaxed);
        (before < app.streams_max).then_some(counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn stream(app: Arc<App>, asked: Asked, headers: &HeaderMap) -> Result<Response, Problem> {
    let mut after = asked.after;
    if let Some(last) = headers.get("last-event-id") {
        let last = last.to_str().ok().and_then(cursor);
        after =
            last.ok_or_else(|| request::invalid_parameter("Last-Event-ID", "is no position"))?;
    }
    let counted = Counted::enter(&app).ok_or_else(|| {
        Problem::plain(
            &catalog::OVERLOADED,
            "All event streams of this server are taken.",
        )
    })?;
    // The first page is read before the answer begins, so that a position that is gone is a 410.
    let first = read(&app, after, EVENTS_PAGE_MAX, write_frames).await?;
    let (send, frames) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        feed(&app, first, after, &send).await;
        drop(counted);
    });
    Ok(Response::new(axum::body::Body::new(Frames(frames))))
}

/// Writes pages as they come until the reader goes or the server stops.
async fn feed(app: &Arc<App>, first: Written, mut after: Cursor, send: &mpsc::Sender<Bytes>) {
    let mut tick = tokio::time::interval(LOOK);
    let mut quiet = 0;
    let mut page = Some(first);
    if send
        .send(Bytes::from_static(b"retry: 1000\n\n"))
        .await
        .is_err()
    {
        return;
    }
    while !app.is_draining() {
        if let Some(page) = page.take().filter(|page| !page.frames.is_empty()) {
            after = page.next;
            quiet = 0;
            if send.send(page.frames).await.is_err() {
                return;
            }
        } else {
            tokio::select! {
                () = send.closed() => return,
                _ = tick.tick() => quiet += 1,
            }
            if quiet >= HEARTBEAT_LOOKS {
                quiet = 0;
                if send.send(Bytes::from_static(b":\n\n")).await.is_err() {
                    return;
                }
            }
        }
        if app.engine.durable(after.shard).sequence > after.sequence {
            page = match read(app, after, EVENTS_PAGE_MAX, write_frames).await {
                Ok(page) => Some(page),
                // The reader was too slow, or the journal cannot be read: it asks again and sees.
                Err(_) => return,
            };
        }
    }
}

/// A page as frames of a stream.
struct Written {
    frames: Bytes,
    next: Cursor,
}

fn write_frames(app: &App, page: &EventPage) -> Result<Written, Problem> {
    let mut text = Json::new();
    for event in page.iter() {
        let event = event.map_err(damaged)?;
        text.raw("id: ");
        write_position(&mut text, event.position);
        text.raw("\nevent: ").raw(event.body.kind()).raw("\ndata: ");
        event_json::write(&mut text, &event, app.names());
        text.raw("\n\n");
    }
    Ok(Written {
        frames: Bytes::from(text.into_bytes()),
        next: page.next.into(),
    })
}

/// A body made of what a channel brings.
struct Frames(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(cx)
            .map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_back() {
        let sequence = 42;
        let epoch = Some(7);
        let at = |shard, epoch| {
            Some(Cursor {
                shard,
                epoch,
                sequence,
            })
        };
        assert_eq!(cursor("0.7.42"), at(0, epoch));
        assert_eq!(cursor("63.7.42"), at(63, epoch));
        assert_eq!(cursor("42"), at(0, None));
        for bad in ["", "x.7.42", "0.42", "0.x.42", "-1", "0.1.2.3"] {
            assert_eq!(cursor(bad), None, "{bad}");
        }
    }
}
