//! The listening side: TLS, connections, and how they end.
//!
//! Everybody in the cluster may connect, so each thing that a client can make us wait for has a time, and
//! each thing that it can make us keep has a number: handshakes, connections, headers, streams, bodies.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;

use crate::log;
use crate::routes::{Phase, Port, Reply, Routes};

/// Longest TLS handshake, and longest time between the first and the last byte of a header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may be idle; Go's client, which the API server is, gives up its own after 90 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(180);
/// How often connections are looked at.
const CHECK: Duration = Duration::from_millis(500);
/// Handshakes that are under way at a time.
const HANDSHAKES: usize = 256;
/// Connections on the port without TLS: the kubelet and a scraper.
const PLAIN_CONNECTIONS: usize = 64;
/// Bytes of a request's header.
const HEADER_BYTES: u32 = 16 << 10;
/// Requests at a time on one HTTP/2 connection; the API server opens more connections.
const STREAMS: u32 = 100;

/// The two ports and who is connected to them.
pub struct Server {
    routes: Arc<Routes>,
    phase: watch::Receiver<Phase>,
    handshakes: Slots,
    connections: Slots,
    plain: Slots,
    clock: Instant,
}

/// The part of a connection's state that others look at.
#[derive(Debug, Default)]
struct Connection {
    /// Requests that are being answered.
    active: AtomicUsize,
    /// Whether a header has begun that is not complete.
    partial: AtomicBool,
    /// Since when it is as it is, in milliseconds of the server's clock.
    since: AtomicU64,
    /// Asks it to make room.
    leave: Notify,
}

/// Connections of one state, at most so many.
struct Slots {
    cap: usize,
    connections: Mutex<HashMap<u64, Arc<Connection>>>,
    next: AtomicU64,
}

/// A place among the connections; given back when dropped.
struct Slot<'a> {
    slots: &'a Slots,
    id: u64,
}

impl Server {
    /// A server of at most `connections` on the TLS port.
    #[must_use]
    pub fn new(routes: Routes, connections: usize) -> Arc<Self> {
        let phase = routes.phase.clone();
        Arc::new(Self {
            routes: Arc::new(routes),
            phase,
            handshakes: Slots::new(HANDSHAKES.min(connections.max(1))),
            connections: Slots::new(connections.max(1)),
            plain: Slots::new(PLAIN_CONNECTIONS),
            clock: Instant::now(),
        })
    }

    /// Takes connections until the future is dropped; those taken live on.
    pub async fn listen(self: Arc<Self>, listener: TcpListener, tls: Option<TlsAcceptor>) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(self.clone().connection(stream, tls.clone()));
                }
                // Out of file descriptors, most likely: others will be given back.
                Err(error) => {
                    log::error(
                        "a connection cannot be accepted",
                        &[("error", error.to_string().into())],
                    );
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// How many connections there are on the TLS port.
    #[must_use]
    pub fn reviews(&self) -> usize {
        self.connections.len() + self.handshakes.len()
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, tls: Option<TlsAcceptor>) {
        let _ = stream.set_nodelay(true);
        let connection = Arc::new(Connection::default());
        connection.touch(self.now());
        let Some(tls) = tls else {
            return self.established(stream, &connection, false, Port::Plain).await;
        };
        let metrics = &self.routes.metrics;
        // They have places of their own: who does not get that far cannot push out who did.
        let handshake = self.handshakes.enter(&connection);
        let Some(handshake) = handshake else {
            metrics.connections_shed.inc();
            return;
        };
        let stream = tokio::select! {
            stream = tokio::time::timeout(HEADER_TIMEOUT, tls.accept(stream)) => stream,
            () = connection.leave.notified() => {
                metrics.connections_shed.inc();
                return;
            }
        };
        drop(handshake);
        let Ok(Ok(stream)) = stream else {
            metrics.handshakes_failed.inc();
            return;
        };
        let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        self.established(stream, &connection, h2, Port::Tls).await;
    }

    async fn established<S>(&self, stream: S, connection: &Arc<Connection>, h2: bool, port: Port)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let metrics = self.routes.metrics.clone();
        connection.touch(self.now());
        let slots = if port == Port::Tls { &self.connections } else { &self.plain };
        let Some(_slot) = slots.enter(connection) else {
            metrics.connections_shed.inc();
            return;
        };
        metrics.connections.inc();
        let (routes, clock, state) = (self.routes.clone(), self.clock, connection.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (routes, state) = (routes.clone(), state.clone());
            async move {
                let _active = Active::begin(state, clock);
                Ok::<Reply, Infallible>(routes.reply(port, request).await)
            }
        });
        let watched = Watched { stream, connection: connection.clone(), clock: self.clock, h2 };
        let io = TokioIo::new(watched);
        if h2 {
            let serving = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(STREAMS)
                .max_header_list_size(HEADER_BYTES)
                .max_pending_accept_reset_streams(20)
                .max_local_error_reset_streams(100)
                .keep_alive_interval(Duration::from_secs(20))
                .keep_alive_timeout(Duration::from_secs(10))
                .serve_connection(io, service);
            self.drive(serving, |serving| serving.graceful_shutdown(), connection, port).await;
        } else {
            // Its own time for headers begins when the last response ends, and so would end every
            // connection that is kept; ours begins with the first byte.
            let serving = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(None)
                .max_buf_size(HEADER_BYTES as usize)
                .serve_connection(io, service);
            self.drive(serving, |serving| serving.graceful_shutdown(), connection, port).await;
        }
        metrics.connections.dec();
    }

    /// Runs a connection until it ends, is overdue, has to make room, or the server stops.
    async fn drive<C: Future>(
        &self,
        serving: C,
        finish: impl Fn(Pin<&mut C>),
        connection: &Connection,
        port: Port,
    ) {
        let mut serving = pin!(serving);
        let mut phase = self.phase.clone();
        // Who comes while we drain has not heard of it, and is finished with when that is over.
        let end = if *phase.borrow() < Phase::Draining { Phase::Draining } else { Phase::Stopping };
        let mut finishing = port == Port::Plain;
        let mut check = tokio::time::interval(CHECK);
        check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = serving.as_mut() => return,
                () = connection.leave.notified() => {
                    if connection.active.load(Ordering::Relaxed) == 0 {
                        self.routes.metrics.connections_shed.inc();
                        return;
                    }
                }
                _ = check.tick() => {
                    if connection.overdue(self.now()) {
                        return;
                    }
                }
                _ = phase.wait_for(|phase| *phase >= end), if !finishing => {
                    finishing = true;
                    finish(serving.as_mut());
                }
            }
        }
    }

    fn now(&self) -> u64 {
        milliseconds(self.clock)
    }
}

fn milliseconds(clock: Instant) -> u64 {
    u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Connection {
    fn touch(&self, now: u64) {
        self.since.store(now, Ordering::Relaxed);
    }

    fn overdue(&self, now: u64) -> bool {
        if self.active.load(Ordering::Relaxed) > 0 {
            return false;
        }
        let partial = self.partial.load(Ordering::Relaxed);
        let most = if partial { HEADER_TIMEOUT } else { IDLE_TIMEOUT };
        u128::from(now.saturating_sub(self.since.load(Ordering::Relaxed))) > most.as_millis()
    }
}

/// A request that is being answered, until dropped: the client may hang up.
struct Active {
    connection: Arc<Connection>,
    clock: Instant,
}

impl Active {
    fn begin(connection: Arc<Connection>, clock: Instant) -> Self {
        connection.active.fetch_add(1, Ordering::Relaxed);
        connection.partial.store(false, Ordering::Relaxed);
        Self { connection, clock }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.connection.touch(milliseconds(self.clock));
        self.connection.active.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Slots {
    fn new(cap: usize) -> Self {
        Self { cap, connections: Mutex::default(), next: AtomicU64::new(0) }
    }

    /// A place, where need be that of the connection that is idle longest; none where all are busy.
    fn enter(&self, connection: &Arc<Connection>) -> Option<Slot<'_>> {
        let mut connections = self.lock();
        if connections.len() >= self.cap {
            let idle = connections
                .iter()
                .filter(|(_, other)| other.active.load(Ordering::Relaxed) == 0)
                .min_by_key(|(id, other)| (other.since.load(Ordering::Relaxed), **id));
            let id = *idle?.0;
            if let Some(oldest) = connections.remove(&id) {
                oldest.leave.notify_one();
            }
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        connections.insert(id, connection.clone());
        Some(Slot { slots: self, id })
    }

    fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        // Nothing that is done under it can panic half-way.
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.slots.lock().remove(&self.id);
    }
}

/// A stream that notes when a header begins.
struct Watched<S> {
    stream: S,
    connection: Arc<Connection>,
    clock: Instant,
    h2: bool,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        // HTTP/2 sends between requests too: pings and acknowledgements.
        if !self.h2
            && buffer.filled().len() > before
            && self.connection.active.load(Ordering::Relaxed) == 0
            && !self.connection.partial.swap(true, Ordering::Relaxed)
        {
            self.connection.touch(milliseconds(self.clock));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
