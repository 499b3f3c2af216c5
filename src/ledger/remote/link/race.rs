//! Several servers that know the same are asked at once: one that is silent holds up nobody.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use redis::{RedisError, RedisResult};

/// The first good answer; where there is none, the last error, or this one where nobody was asked.
pub(super) async fn first_of<T, F>(
    asked: impl Iterator<Item = F>,
    nobody: RedisError,
) -> RedisResult<T>
where
    F: Future<Output = RedisResult<T>>,
{
    let mut waits: Vec<Pin<Box<F>>> = asked.map(Box::pin).collect();
    let mut last = Some(nobody);
    std::future::poll_fn(|context| {
        let mut answer = None;
        waits.retain_mut(|wait| match wait.as_mut().poll(context) {
            Poll::Ready(Ok(good)) => {
                answer.get_or_insert(good);
                false
            }
            Poll::Ready(Err(error)) => {
                last = Some(error);
                false
            }
            Poll::Pending => true,
        });
        match (answer, waits.is_empty()) {
            (Some(good), _) => Poll::Ready(Ok(good)),
            (None, true) => last.take().map_or(Poll::Pending, |it| Poll::Ready(Err(it))),
            (None, false) => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocking::wait_for;
    use redis::ErrorKind;

    fn error(what: &'static str) -> RedisError {
        (ErrorKind::Io, what).into()
    }

    /// Silent, well, or failing.
    async fn ask(what: Option<Result<u8, &'static str>>) -> RedisResult<u8> {
        match what {
            None => std::future::pending().await,
            Some(answer) => answer.map_err(error),
        }
    }

    fn first(of: &[Option<Result<u8, &'static str>>]) -> RedisResult<u8> {
        wait_for(first_of(of.iter().copied().map(ask), error("nobody")))
    }

    #[test]
    fn neither_silence_nor_errors_hide_a_good_answer() {
        assert_eq!(first(&[None, Some(Err("down")), Some(Ok(7)), None]), Ok(7));
        assert_eq!(first(&[Some(Ok(1)), Some(Ok(2))]), Ok(1));
    }

    #[test]
    fn without_a_good_answer_there_is_an_error() {
        assert_eq!(first(&[Some(Err("a")), Some(Err("b"))]), Err(error("b")));
        assert_eq!(first(&[]), Err(error("nobody")));
    }
}
