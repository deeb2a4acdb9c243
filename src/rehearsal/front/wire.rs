//! Requests and answers as they go over a wire: bodies in pieces, watches that end in time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, Limited};
use tokio::time::{Instant, Sleep};

use super::activity::Asked;
use crate::rehearsal::refusals::{LARGEST_BODY, body_too_large};
use crate::rehearsal::{Body, Failure, Rehearsal, Watcher};

/// How long a watch lasts where its client does not say; a server takes 30 to 60 minutes.
const LONGEST_WATCH: Duration = Duration::from_secs(1800);

/// Between two bookmarks. Source: apiserver `defaultBookmarkFrequency`.
const BOOKMARK: Duration = Duration::from_secs(60);

/// The body of an answer.
pub struct Wire {
    sent: Sent,
    /// The request that it answers, as long as that takes.
    _asked: Option<Asked>,
}

enum Sent {
    Whole(Option<Bytes>),
    Watch(Box<Watched>),
}

struct Watched {
    watcher: Watcher,
    ends: Pin<Box<Sleep>>,
    bookmark: Pin<Box<Sleep>>,
}

/// Asks the API, once the request is there as a whole.
pub(super) async fn answer<B>(api: &Rehearsal, request: Request<B>) -> Response<Wire>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let lasts = watch_time(parts.uri.query().unwrap_or_default());
    let response = match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => api.handle(Request::from_parts(parts, body.to_bytes())),
        Err(error) => unreadable(&*error),
    };
    response.map(|body| Wire::new(body, lasts))
}

/// An answer that is no watch.
pub(super) fn whole(response: Response<Body>) -> Response<Wire> {
    response.map(|body| Wire::new(body, LONGEST_WATCH))
}

fn unreadable(error: &(dyn std::error::Error + 'static)) -> Response<Body> {
    let failure = if error.is::<http_body_util::LengthLimitError>() {
        body_too_large()
    } else {
        Failure::new(400, "BadRequest", "the body of the request ended too early")
    };
    failure.send(false, &[])
}

/// `timeoutSeconds` of a query.
fn watch_time(query: &str) -> Duration {
    let given = query.split('&').find_map(|pair| pair.strip_prefix("timeoutSeconds="));
    let seconds = given.and_then(|text| text.parse().ok()).filter(|seconds| *seconds > 0);
    seconds.map_or(LONGEST_WATCH, Duration::from_secs).min(LONGEST_WATCH)
}

impl Wire {
    fn new(body: Body, lasts: Duration) -> Self {
        let sent = match body {
            Body::Whole(bytes) => Sent::Whole(Some(bytes)),
            Body::Watch(watcher) => Sent::Watch(Box::new(Watched {
                watcher,
                ends: Box::pin(tokio::time::sleep(lasts)),
                bookmark: Box::pin(tokio::time::sleep(BOOKMARK)),
            })),
        };
        Self { sent, _asked: None }
    }

    /// It, as the answer to a request that lasts until it is sent.
    pub(super) fn holding(self, asked: Asked) -> Self {
        Self { _asked: Some(asked), ..self }
    }
}

impl HttpBody for Wire {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let next = match &mut self.sent {
            Sent::Whole(bytes) => Poll::Ready(bytes.take().filter(|bytes| !bytes.is_empty())),
            Sent::Watch(watched) => watched.poll_next(context),
        };
        next.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.sent, Sent::Whole(bytes) if bytes.as_ref().is_none_or(Bytes::is_empty))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.sent {
            Sent::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Sent::Watch(_) => SizeHint::default(),
        }
    }
}

impl Watched {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Poll::Ready(event) = self.watcher.poll_event(context) {
            return Poll::Ready(event);
        }
        if self.ends.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        if self.bookmark.as_mut().poll(context).is_ready() {
            self.bookmark.as_mut().reset(Instant::now() + BOOKMARK);
            // Asked once more, so that the timer wakes this task again.
            let _ = self.bookmark.as_mut().poll(context);
            if let Some(bookmark) = self.watcher.bookmark() {
                return Poll::Ready(Some(bookmark));
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_ends_when_its_client_asks_for_it() {
        assert_eq!(watch_time("watch=1&timeoutSeconds=7"), Duration::from_secs(7));
        assert_eq!(watch_time("watch=1"), LONGEST_WATCH);
        assert_eq!(watch_time("timeoutSeconds=99999999999"), LONGEST_WATCH);
    }
}
