use crate::context::Slot;
use hyper::rt::Timer;
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep, sleep_until},
};

/// A connection that fails when the other side takes nothing of what is written for too long. It holds a place among
/// the connections until it is closed, upgraded to a WebSocket or not.
pub(crate) struct PatientStream {
    stream: TcpStream,
    patience: Duration,
    stuck: Pin<Box<Sleep>>,
    waiting: bool,
    heard: Heard,
    received: Arc<AtomicU64>,
    _place: Slot,
}

/// Whether anything came since it was last looked at.
type Heard = Arc<AtomicBool>;

impl PatientStream {
    pub fn new(stream: TcpStream, patience: Duration, place: Slot) -> Self {
        let (stuck, heard) = (Box::pin(sleep(patience)), Heard::default());
        Self { stream, patience, stuck, waiting: false, heard, received: Arc::default(), _place: place }
    }

    /// How many bytes came over this connection so far.
    pub fn received(&self) -> Arc<AtomicU64> {
        self.received.clone()
    }

    /// The clock of the heads that come over this connection, each of which may take so long.
    pub fn head_timer(&self, patience: Duration) -> HeadTimer {
        HeadTimer { heard: self.heard.clone(), patience, is_first: AtomicBool::new(true) }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.waiting = false;
            return outcome;
        }
        if !self.waiting {
            self.waiting = true;
            self.stuck.as_mut().reset(Instant::now() + self.patience);
        }
        ready!(self.stuck.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for PatientStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buf);
        let came = buf.filled().len() - before;
        if came > 0 {
            self.heard.store(true, Ordering::Relaxed);
            self.received.fetch_add(came as u64, Ordering::Relaxed);
        }
        outcome
    }
}

impl AsyncWrite for PatientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(cx, outcome)
    }
}

/// What hyper asks of a clock when it begins to wait for a head, which may be long before the head begins: its timeout is how
/// long a connection may be idle. From the first byte on the head has a shorter time, the first one of a connection at once.
pub(crate) struct HeadTimer {
    heard: Heard,
    patience: Duration,
    is_first: AtomicBool,
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        // What came until now belongs to the request before, if there was one.
        self.heard.store(self.is_first.swap(false, Ordering::Relaxed), Ordering::Relaxed);
        Box::pin(HeadSleep {
            heard: self.heard.clone(),
            patience: Some(self.patience),
            until: Box::pin(sleep_until(deadline.into())),
        })
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into_std()
    }
}

/// Ends when a head has not come in time.
struct HeadSleep {
    heard: Heard,
    /// What a head may take that has not begun.
    patience: Option<Duration>,
    until: Pin<Box<Sleep>>,
}

impl Future for HeadSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.heard.load(Ordering::Relaxed)
            && let Some(patience) = self.patience.take()
        {
            self.until.as_mut().reset(Instant::now() + patience);
        }
        self.until.as_mut().poll(cx)
    }
}

impl hyper::rt::Sleep for HeadSleep {}
