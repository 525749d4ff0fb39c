//! `officials-card serve`: the server and what it does on the side.

use std::time::Duration;

use tokio::net::TcpListener;

use super::{deliver, service, start_log};
use crate::config::{Config, Secret};
use crate::error::{Fault, Result};
use crate::flow::Service;
use crate::flow::enroll::{Asker, match_pending};
use crate::http;
use crate::remote::population::HttpRegistry;

/// How often the background looks what is due.
const ROUND: Duration = Duration::from_secs(30);
/// How long a question that the population database did not answer rests: an outage must not fill the audit table.
const RETRY_SECONDS: i64 = 600;
/// How long a question to the population database may take.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves until it is told to stop.
pub async fn run(config: Config) -> Result<()> {
    start_log(&config)?;
    let listen = config.listen.clone();
    let service = service(config).await?;
    let listener =
        TcpListener::bind(&listen).await.map_err(|error| Fault::new("listening", format!("{listen}: {error}")))?;
    tracing::info!(listen, public_url = service.config.public_url, "serving");
    serve(service, listener).await
}

/// Serves on a listener, with the background rounds, until SIGTERM or Ctrl-C; requests under way are finished.
pub async fn serve(service: Service, listener: TcpListener) -> Result<()> {
    http::start_metrics()?;
    service.refresh_published().await?;
    let mut delivering = deliver::start(&service)?;
    let background = tokio::spawn(background(service.clone()));
    let grace = Duration::from_secs(service.config.limits.request_seconds);
    http::serve(listener, http::router(service), told_to_stop(), grace).await;
    background.abort();
    delivering.shutdown().await;
    Ok(())
}

/// The population database of the configuration.
pub fn registry(config: &Config) -> Result<Option<HttpRegistry>> {
    let key = config.population_key.as_ref().map(Secret::expose).unwrap_or_default();
    let registry = config.population_url.as_deref().map(|url| HttpRegistry::new(url, key, REGISTRY_TIMEOUT));
    Ok(registry.transpose()?)
}

/// Every round: cards whose term is over, lists that have to be signed again, records that the population database
/// could not be asked about.
async fn background(service: Service) {
    let registry = registry(&service.config).ok().flatten();
    let asker = Asker {
        officer: "system".into(),
        purpose: "card issuance: match of new records".into(),
        pause_seconds: RETRY_SECONDS,
    };
    let mut rounds = tokio::time::interval(ROUND);
    loop {
        rounds.tick().await;
        if let Err(error) = service.expire_cards().await {
            tracing::error!(%error, "cards could not be expired");
        }
        if let Err(error) = service.refresh_published().await {
            tracing::error!(%error, "lists could not be signed again");
        }
        if let Some(registry) = &registry
            && let Err(error) = match_pending(service.store(), &service.clock, registry, &asker, |_| {}).await
        {
            tracing::error!(%error, "records could not be matched");
        }
    }
}

async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
    tracing::info!("stopping");
}
