//! Bodies of requests and answers.

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// Any error of a body.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// Any body.
pub type Body = BoxBody<Bytes, BodyError>;

/// A body that is there as a whole.
pub fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}

/// A body that passes through; it breaks off when nothing comes for `patience`.
pub fn passing(body: Incoming, patience: Duration) -> Body {
    Passing {
        body,
        patience,
        timer: Box::pin(sleep(patience)),
    }
    .boxed()
}

/// Nothing came for too long.
#[derive(Debug, thiserror::Error)]
#[error("nothing came for too long")]
struct TooSlow;

struct Passing {
    body: Incoming,
    patience: Duration,
    timer: Pin<Box<Sleep>>,
}

impl HttpBody for Passing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            let next = Instant::now() + self.patience;
            self.timer.as_mut().reset(next);
            return Poll::Ready(frame.map(|result| result.map_err(BodyError::from)));
        }
        match self.timer.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Some(Err(TooSlow.into()))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
