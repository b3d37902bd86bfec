//! The address: loopback, or one that a token protects.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use anyhow::Result;
use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

use crate::exit::{Hinted, system_message};

/// Connections at a time; more wait until one of them ends.
const MOST_CONNECTIONS: usize = 256;
/// A connection on which nothing comes for so long is closed; an answer takes less.
const IDLE: Duration = Duration::from_secs(75);
/// After the system has refused a connection, as where there are too many open files.
const PAUSE: Duration = Duration::from_millis(200);

/// Listens there, unless everybody on the network could come in.
pub(super) fn bind(address: SocketAddr, has_token: bool) -> Result<std::net::TcpListener> {
    if !address.ip().is_loopback() && !has_token {
        return Err(Hinted::error(
            format!("refusing to listen on {address} without a token: everybody who reaches it could read the page"),
            "Put a secret into a file and add --token-file FILE (or set WALKER_SERVE_TOKEN), or listen on 127.0.0.1.",
        ));
    }
    let listen = || {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    listen().map_err(|error: io::Error| {
        let message = format!("could not listen on {address}: {}", system_message(&error));
        let hint = match error.kind() {
            ErrorKind::AddrInUse => {
                "Is another one running there? Choose another port with --listen; 0 takes a free one."
            }
            _ => "Choose an address of this machine with --listen.",
        };
        Hinted::error(message, hint)
    })
}

/// A listener that lets in so many at a time that files are left for the database.
#[derive(Debug)]
pub(super) struct Limited {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Limited {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(MOST_CONNECTIONS)) }
    }
}

impl Listener for Limited {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            // The semaphore is never closed.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { continue };
            match self.listener.accept().await {
                Ok((stream, address)) => return (Connection::new(stream, place), address),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that has a place, and that does not stay when its other side has fallen silent.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    silence: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    fn new(stream: TcpStream, place: OwnedSemaphorePermit) -> Self {
        Self { stream, silence: Box::pin(sleep(IDLE)), _place: place }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, buffer) {
            self.silence.as_mut().reset(Instant::now() + IDLE);
            return Poll::Ready(read);
        }
        self.silence.as_mut().poll(context).map(|()| Err(ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_goes_without_a_token() {
        for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
            let error = bind(address.parse().unwrap(), false).unwrap_err();
            let hint = error.downcast_ref::<Hinted>().unwrap().hint();
            assert!(error.to_string().starts_with("refusing to listen on"), "{error}");
            assert!(hint.contains("--token-file"), "{hint}");
        }
        for address in ["127.0.0.1:0", "127.8.0.1:0"] {
            assert_ne!(bind(address.parse().unwrap(), false).unwrap().local_addr().unwrap().port(), 0);
        }
        assert!(bind("0.0.0.0:0".parse().unwrap(), true).is_ok());
    }

    #[test]
    fn an_address_that_is_taken_is_said() {
        let first = bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let error = bind(first.local_addr().unwrap(), false).unwrap_err();
        assert!(error.to_string().contains("could not listen on 127.0.0.1:"), "{error}");
        assert!(error.downcast_ref::<Hinted>().unwrap().hint().contains("another port"));
    }
}
