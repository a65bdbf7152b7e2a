//! Answers with a limit: whoever answers may be broken, or not who it should be. Without these,
//! one that sends headers and nothing more would be waited for without end, and one that never
//! ends would fill the memory.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tower::{BoxError, Service, ServiceExt};

/// How long an answer may take, and how large it may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Until it begins, the connection included.
    pub(super) begin: Duration,
    /// Between two pieces of it.
    pub(super) pause: Duration,
    /// From its first piece to its last.
    pub(super) whole: Duration,
    /// Between two pieces of a watch, which ends when the server likes.
    pub(super) watch_pause: Duration,
    /// Bytes of an answer; of a watch, bytes of one event.
    pub(super) size: u64,
}

impl Limits {
    /// Generous ones. The API server gives webhooks 30 s at most, and nothing of ours longer. A
    /// cluster of 5,000 nodes, with 50 KiB for each Node, is the largest list there is; five
    /// minutes are enough for it over a line of 10 Mbit/s. A watch ends by itself after 290 s,
    /// and sends a bookmark each minute.
    pub(super) const API: Limits = Limits {
        begin: Duration::from_secs(30),
        pause: Duration::from_secs(30),
        whole: Duration::from_secs(300),
        watch_pause: Duration::from_secs(300),
        size: 256 << 20,
    };
}

/// Why an answer was not read to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unbounded {
    /// It stopped in the middle.
    #[error("the answer stopped: nothing more of it within {} s", .0.as_secs())]
    Stopped(Duration),
    /// It goes on and on.
    #[error("the answer did not end within {} s", .0.as_secs())]
    Endless(Duration),
    /// It is too large.
    #[error("the answer is larger than {}", text::size::human(*.0))]
    TooLarge(u64),
}

impl Unbounded {
    /// Whether `error`, or what caused it, is an answer that is too large: it will be the next
    /// time, too.
    pub(super) fn is_too_large(error: &(dyn std::error::Error + 'static)) -> bool {
        let mut chain = std::iter::successors(Some(error), |one| one.source());
        chain.any(|one| matches!(one.downcast_ref(), Some(Unbounded::TooLarge(_))))
    }
}

/// Sends a request, and bounds the body of its answer.
///
/// # Errors
/// What the service says.
pub(super) async fn answer<S, B, A>(
    service: S,
    request: Request<B>,
    limits: Limits,
) -> Result<Response<Bounded<A>>, BoxError>
where
    S: Service<Request<B>, Response = Response<A>>,
    S::Error: Into<BoxError>,
{
    let watches = is_watch(&request);
    let answer = service.oneshot(request).await.map_err(Into::into)?;
    Ok(answer.map(|body| Bounded::new(body, limits, watches)))
}

fn is_watch<B>(request: &Request<B>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    query.split('&').any(|part| part == "watch=true")
}

/// A body that ends in time.
pub(super) struct Bounded<B> {
    inner: Pin<Box<B>>,
    pause: Pin<Box<Sleep>>,
    limits: Limits,
    /// When it has to be over; a watch may go on.
    end: Option<Pin<Box<Sleep>>>,
    /// Bytes so far; of a watch, since its last event.
    size: u64,
}

impl<B> Bounded<B> {
    fn new(body: B, mut limits: Limits, watches: bool) -> Self {
        if watches {
            limits.pause = limits.watch_pause;
        }
        Bounded {
            inner: Box::pin(body),
            pause: Box::pin(tokio::time::sleep(limits.pause)),
            limits,
            end: (!watches).then(|| Box::pin(tokio::time::sleep(limits.whole))),
            size: 0,
        }
    }

    /// Counts a piece.
    fn count(&mut self, piece: &Bytes) -> Result<(), Unbounded> {
        let watches = self.end.is_none();
        // Each event is a line.
        let line_end = piece.iter().rposition(|&byte| byte == b'\n');
        self.size = match line_end.filter(|_| watches) {
            Some(at) => (piece.len() - at - 1) as u64,
            None => self.size.saturating_add(piece.len() as u64),
        };
        match self.size > self.limits.size {
            true => Err(Unbounded::TooLarge(self.limits.size)),
            false => Ok(()),
        }
    }

    /// Why it is not waited for any longer, if so.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Unbounded> {
        if let Some(end) = &mut self.end
            && end.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Unbounded::Endless(self.limits.whole));
        }
        ready!(self.pause.as_mut().poll(cx));
        Poll::Ready(Unbounded::Stopped(self.limits.pause))
    }
}

impl<B> Body for Bounded<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = this.inner.as_mut().poll_frame(cx) else {
            return this.poll_late(cx).map(|late| Some(Err(late.into())));
        };
        let next = Instant::now() + this.limits.pause;
        this.pause.as_mut().reset(next);
        // One that is always ready is never late.
        if let Some(end) = &mut this.end
            && end.as_mut().poll(cx).is_ready()
        {
            let late = Unbounded::Endless(this.limits.whole);
            return Poll::Ready(frame.map(|_| Err(late.into())));
        }
        let counted = frame.map(|frame| {
            let frame = frame.map_err(Into::into)?;
            if let Some(piece) = frame.data_ref() {
                this.count(piece)?;
            }
            Ok(frame)
        });
        Poll::Ready(counted)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Comes in pieces of a mebibyte, one every `pause`, for ever; or says nothing at all.
    struct Pieces {
        pause: Option<Duration>,
        next: Pin<Box<Sleep>>,
        piece: &'static [u8],
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let Some(pause) = self.pause else {
                return Poll::Pending;
            };
            if !pause.is_zero() {
                ready!(self.next.as_mut().poll(cx));
                self.next.as_mut().reset(Instant::now() + pause);
            }
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(self.piece)))))
        }
    }

    /// How reading such an answer to `url` ends, and after how many pieces.
    async fn read(url: &str, pause: Option<Duration>, piece: &'static [u8]) -> (String, u64) {
        let service = tower::service_fn(async |_: Request<()>| {
            let next = Box::pin(tokio::time::sleep(pause.unwrap_or_default()));
            Ok::<_, Infallible>(Response::new(Pieces { pause, next, piece }))
        });
        let request = Request::get(url).body(()).unwrap();
        let answer = answer(service, request, Limits::API).await.unwrap();
        let mut body = Box::pin(answer.into_body());
        for read in 0.. {
            let frame = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await;
            if let Err(error) = frame.unwrap() {
                return (error.to_string(), read);
            }
            if read == 10_000 {
                break;
            }
        }
        (String::new(), 10_000)
    }

    const MIB: &[u8] = &[b'x'; 1 << 20];
    const LIST: &str = "http://kubernetes/api/v1/nodes?limit=500";
    const WATCH: &str = "http://kubernetes/api/v1/nodes?&watch=true&timeoutSeconds=290";

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_stops_is_not_waited_for() {
        let (why, _) = read(LIST, None, MIB).await;
        assert_eq!(why, "the answer stopped: nothing more of it within 30 s");
        let (why, _) = read(WATCH, None, MIB).await;
        assert_eq!(why, "the answer stopped: nothing more of it within 300 s");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_drips_ends() {
        let second = Some(Duration::from_secs(1));
        let (why, read) = read(LIST, second, b"x").await;
        assert_eq!(why, "the answer did not end within 300 s");
        assert!(read < 301, "{read}");
    }

    #[tokio::test]
    async fn an_answer_without_end_does_not_fill_the_memory() {
        let (why, pieces) = read(LIST, Some(Duration::ZERO), MIB).await;
        assert_eq!(why, "the answer is larger than 256.0 MiB");
        assert_eq!(pieces, 256);
        let (why, pieces) = read(WATCH, Some(Duration::ZERO), MIB).await;
        assert_eq!(why, "the answer is larger than 256.0 MiB");
        assert_eq!(pieces, 256);
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_may_go_on() {
        let minute = Some(Duration::from_secs(60));
        let (why, _) = read(WATCH, minute, b"{}\n").await;
        assert_eq!(why, "");
        let (why, _) = read(WATCH, Some(Duration::ZERO), b"{\n}").await;
        assert_eq!(why, "");
    }
}
