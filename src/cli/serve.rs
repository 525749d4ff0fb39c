//! `officials-card serve`: the server and what it does on the side.

use std::time::Duration;

use tokio::net::TcpListener;

use super::{background, deliver, service, start_log};
use crate::config::Config;
use crate::error::{Fault, Result};
use crate::flow::Service;
use crate::http;

/// How often the server looks whether its certificate was renewed.
const ROUND: Duration = Duration::from_secs(30);

/// Serves until it is told to stop.
pub async fn run(config: Config) -> Result<()> {
    let told = told_to_stop();
    start_log(&config)?;
    let listen = config.listen.clone();
    let service = service(config).await?;
    let tls = service.config.tls.as_ref().map(http::Tls::open).transpose()?;
    let listener =
        TcpListener::bind(&listen).await.map_err(|error| Fault::new("listening", format!("{listen}: {error}")))?;
    tracing::info!(listen, public_url = service.config.public_url, "serving");
    serve(service, listener, tls, told).await
}

/// Serves on a listener, with what goes on in the background, until `told` ends; requests under way are finished.
pub async fn serve(
    service: Service,
    listener: TcpListener,
    tls: Option<http::Tls>,
    told: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    http::start_metrics()?;
    service.refresh_published().await?;
    let mut delivering = deliver::start(&service)?;
    let mut background = background::start(&service);
    let grace = Duration::from_secs(service.config.limits.request_seconds);
    let certificates = tls.clone().map(|tls| tokio::spawn(renew(tls)));
    let stopping = service.clone();
    let stop = async move {
        told.await;
        stopping.stop();
    };
    http::serve(listener, tls, http::router(service), stop, grace).await;
    background.shutdown().await;
    if let Some(certificates) = certificates {
        certificates.abort();
    }
    delivering.shutdown().await;
    Ok(())
}

/// Takes a renewed certificate into force: at once on SIGHUP, and soon without.
async fn renew(tls: http::Tls) {
    use tokio::signal::unix::{SignalKind, signal};
    let mut told = signal(SignalKind::hangup()).ok();
    let told_to_reload = async |told: &mut Option<tokio::signal::unix::Signal>| match told {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    };
    loop {
        tokio::select! {
            () = tokio::time::sleep(ROUND) => {}
            () = told_to_reload(&mut told) => {}
        }
        match tls.reload() {
            Ok(true) => tracing::info!("the TLS certificate was renewed"),
            Ok(false) => {}
            Err(error) => {
                tracing::error!(%error, "the TLS certificate could not be read; the one before stays in force");
            }
        }
    }
}

/// Ends with SIGTERM or Ctrl-C. Both are listened for from the call on: who is told while it starts still ends in order, and
/// leaves no child behind.
pub fn told_to_stop() -> impl Future<Output = ()> + Send + 'static {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = [SignalKind::terminate(), SignalKind::interrupt()].map(|kind| signal(kind).ok());
    async move {
        let [terminated, interrupted] = signals.map(|signal| async move {
            match signal {
                Some(mut signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        });
        tokio::select! {
            _ = terminated => {}
            _ = interrupted => {}
        }
        tracing::info!("stopping");
    }
}
