//! Moving a reservation on.
//!
//! Each call makes a key of its own, or takes the caller's (`..._with_key`): the same key and the
//! same call again give the same answer, so that a caller that itself may crash derives the key from
//! its order and the step.

use serde::Serialize;

use crate::answer::{Answer, Error, Reservation};
use crate::client::{Client, to_json};
use crate::key::IdempotencyKey;
use crate::path::Path;
use crate::request::{Line, Part};
use crate::shared::Call;

/// What to ship, and where from. A [`Part`] alone leaves the node to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ship<'a> {
    /// Which lines.
    pub part: Part<'a>,
    /// The node that ships unpinned lines; `None`: the nodes in order.
    pub node: Option<&'a str>,
}

impl<'a> From<Part<'a>> for Ship<'a> {
    fn from(part: Part<'a>) -> Self {
        Self { part, node: None }
    }
}

/// What comes back, and how. A [`Part`] alone is usable again, at the node that it was pinned to or
/// the default node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Return<'a> {
    /// Which lines.
    pub part: Part<'a>,
    /// Usable again, or kept apart as unavailable.
    pub restock: bool,
    /// The node they come back to; `None`: the pin, else the default node.
    pub node: Option<&'a str>,
}

impl<'a> From<Part<'a>> for Return<'a> {
    fn from(part: Part<'a>) -> Self {
        Self {
            part,
            restock: true,
            node: None,
        }
    }
}

/// The body of any act; what is left out means what the server takes for it.
#[derive(Default, Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<&'a [Line<'a>]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restock: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_seconds: Option<u32>,
}

impl<'a> From<Part<'a>> for Body<'a> {
    fn from(part: Part<'a>) -> Self {
        Self {
            lines: part.lines(),
            ..Self::default()
        }
    }
}

impl Client {
    /// Turns held units into sold ones, which have no deadline.
    pub async fn confirm(&self, id: &str, part: Part<'_>) -> Result<Answer<Reservation>, Error> {
        self.confirm_with_key(&self.new_key(), id, part).await
    }

    /// [`confirm`](Self::confirm) with the caller's key.
    pub async fn confirm_with_key(
        &self,
        key: &IdempotencyKey,
        id: &str,
        part: Part<'_>,
    ) -> Result<Answer<Reservation>, Error> {
        self.act(key, id, "/confirm", &part.into()).await
    }

    /// Gives units back. Where all of them are back already, nothing changes.
    pub async fn release(&self, id: &str, part: Part<'_>) -> Result<Answer<Reservation>, Error> {
        self.release_with_key(&self.new_key(), id, part).await
    }

    /// [`release`](Self::release) with the caller's key.
    pub async fn release_with_key(
        &self,
        key: &IdempotencyKey,
        id: &str,
        part: Part<'_>,
    ) -> Result<Answer<Reservation>, Error> {
        self.act(key, id, "/release", &part.into()).await
    }

    /// Takes committed units out of the stock.
    pub async fn ship(
        &self,
        id: &str,
        what: impl Into<Ship<'_>>,
    ) -> Result<Answer<Reservation>, Error> {
        self.ship_with_key(&self.new_key(), id, what).await
    }

    /// [`ship`](Self::ship) with the caller's key.
    pub async fn ship_with_key(
        &self,
        key: &IdempotencyKey,
        id: &str,
        what: impl Into<Ship<'_>>,
    ) -> Result<Answer<Reservation>, Error> {
        let Ship { part, node } = what.into();
        let body = Body {
            node,
            ..part.into()
        };
        self.act(key, id, "/ship", &body).await
    }

    /// Puts shipped units back into the stock.
    pub async fn return_(
        &self,
        id: &str,
        what: impl Into<Return<'_>>,
    ) -> Result<Answer<Reservation>, Error> {
        self.return_with_key(&self.new_key(), id, what).await
    }

    /// [`return_`](Self::return_) with the caller's key.
    pub async fn return_with_key(
        &self,
        key: &IdempotencyKey,
        id: &str,
        what: impl Into<Return<'_>>,
    ) -> Result<Answer<Reservation>, Error> {
        let Return {
            part,
            restock,
            node,
        } = what.into();
        let body = Body {
            restock: (!restock).then_some(false),
            node,
            ..part.into()
        };
        self.act(key, id, "/return", &body).await
    }

    /// Pins open lines to another node, which ships them from now on.
    pub async fn transfer(
        &self,
        id: &str,
        to: &str,
        part: Part<'_>,
    ) -> Result<Answer<Reservation>, Error> {
        self.transfer_with_key(&self.new_key(), id, to, part).await
    }

    /// [`transfer`](Self::transfer) with the caller's key.
    pub async fn transfer_with_key(
        &self,
        key: &IdempotencyKey,
        id: &str,
        to: &str,
        part: Part<'_>,
    ) -> Result<Answer<Reservation>, Error> {
        let body = Body {
            to: Some(to),
            ..part.into()
        };
        self.act(key, id, "/transfer", &body).await
    }

    /// Moves the deadline of a hold to so many seconds from now, never backwards.
    pub async fn extend(&self, id: &str, seconds: u32) -> Result<Answer<Reservation>, Error> {
        self.extend_with_key(&self.new_key(), id, seconds).await
    }

    /// [`extend`](Self::extend) with the caller's key.
    pub async fn extend_with_key(
        &self,
        key: &IdempotencyKey,
        id: &str,
        seconds: u32,
    ) -> Result<Answer<Reservation>, Error> {
        let body = Body {
            ttl_seconds: Some(seconds),
            ..Body::default()
        };
        self.act(key, id, "/extend", &body).await
    }

    async fn act(
        &self,
        key: &IdempotencyKey,
        id: &str,
        action: &str,
        body: &Body<'_>,
    ) -> Result<Answer<Reservation>, Error> {
        let path = Path::new("/v1/reservations/").value(id).fixed(action);
        let call = Call::post(path.as_str(), None, to_json(body)?, self.deadline());
        self.shared().change(key, call).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_not_sent_and_an_empty_list_is_not_whole() {
        let json = |body: &Body<'_>| serde_json::to_string(body).unwrap();
        assert_eq!(json(&Part::Whole.into()), "{}");
        assert_eq!(json(&Part::Lines(&[]).into()), r#"{"lines":[]}"#);
    }
}
