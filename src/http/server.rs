//! Connections: HTTP/1.1 and 2, plain or under TLS, with bounds on how many there are, how long a handshake and a header
//! may take, and how long a stop may.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::util::MapRequest;

use super::address::Peer;
use super::tls::Tls;

/// How long a client may take to send a request's header, and how long an idle connection is kept.
const HEADER_SECONDS: u64 = 15;
/// Largest header: certificates and attestations in it exceed the usual 8 KiB.
const HEADER_BYTES: u32 = 32 * 1024;
/// Connections at the same time; more wait to be accepted.
const CONNECTIONS: usize = 8192;

/// Serves, under TLS if there is any, until `stop`; then requests under way get `grace` to finish.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    stop: impl Future<Output = ()>,
    grace: Duration,
) {
    let mut connections = auto::Builder::new(TokioExecutor::new());
    connections
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(HEADER_SECONDS))
        .max_buf_size(HEADER_BYTES as usize);
    connections.http2().timer(TokioTimer::new()).max_header_list_size(HEADER_BYTES);
    let connections = Arc::new(connections);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    tokio::pin!(stop);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, stream, peer) = tokio::select! {
            () = &mut stop => break,
            (place, accepted) = accepted => match accepted {
                Ok((stream, peer)) => (place, stream, Peer(peer.ip())),
                // Out of file descriptors, or the client is gone already: the next one may fare better.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            },
        };
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(MapRequest::new(router.clone(), move |mut request: Request<_>| {
            request.extensions_mut().insert(peer);
            request
        }));
        // Before the task begins: a stop waits for what was accepted before it.
        let watcher = graceful.watcher();
        let (connections, tls) = (Arc::clone(&connections), tls.clone());
        tokio::spawn(async move {
            // A connection that breaks is the client's affair; its requests are logged by themselves.
            match tls {
                None => {
                    let _ =
                        watcher.watch(connections.serve_connection(TokioIo::new(stream), service).into_owned()).await;
                }
                Some(tls) => {
                    if let Some(stream) = tls.accept(stream).await {
                        let connection = connections.serve_connection(TokioIo::new(stream), service).into_owned();
                        let _ = watcher.watch(connection).await;
                    }
                }
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("some connections did not end in time");
    }
}
