//! Connections that keep us waiting are closed, so that nobody can hold them all.
//!
//! A connection has [`Patient`]'s time to send the head of a request, be it its first or its next, and
//! to take each part of an answer. While a request is being answered its route decides how long that
//! may take.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// The most connections at a time; more of them wait until one is closed.
const MAX_CONNECTIONS: usize = 1024;

/// Accepts connections that must not idle for longer than its patience.
pub(super) struct Patient {
    listener: TcpListener,
    patience: Duration,
    free: Arc<Semaphore>,
}

impl Patient {
    pub fn new(listener: TcpListener, patience: Duration) -> Self {
        Self {
            listener,
            patience,
            free: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        }
    }
}

impl Listener for Patient {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // The semaphore is never closed.
        let place = Arc::clone(&self.free).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let connection = Connection {
            stream,
            patience: self.patience,
            end: Box::pin(tokio::time::sleep(self.patience)),
            attention: Attention::default(),
            _place: place,
        };
        (connection, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails when it idles for too long.
pub(super) struct Connection {
    stream: TcpStream,
    patience: Duration,
    /// When it is closed, unless a request is being answered.
    end: Pin<Box<Sleep>>,
    attention: Attention,
    /// Its place among the connections; free again when it is dropped.
    _place: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// Grants time anew once something was written.
    fn written(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(_)) = result {
            self.end.as_mut().reset(Instant::now() + self.patience);
        }
        result
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if read.is_ready() || this.attention.is_paid() {
            return read;
        }
        let is_over = this.end.as_mut().poll(context);
        is_over.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.written(result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.written(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

/// Whether a request of the connection is being answered. HTTP/1 answers one at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Attention(Arc<AtomicBool>);

impl Attention {
    fn is_paid(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Paid until what it gives is dropped.
    fn pay(&self) -> Paid {
        self.0.store(true, Ordering::Relaxed);
        Paid(self.clone())
    }
}

impl Connected<IncomingStream<'_, Patient>> for Attention {
    fn connect_info(stream: IncomingStream<'_, Patient>) -> Self {
        stream.io().attention.clone()
    }
}

struct Paid(Attention);

impl Drop for Paid {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}

/// Pays attention to the request until it is answered.
pub(super) async fn attend(request: Request, next: Next) -> Response {
    let connection = request.extensions().get::<ConnectInfo<Attention>>();
    let _paid = connection.map(|ConnectInfo(attention)| attention.pay());
    next.run(request).await
}
