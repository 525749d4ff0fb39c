//! What leaves by itself while the server runs: a task for each subscriber of webhooks, so that one that is slow or gone
//! keeps no other waiting, and one for the offers that are pushed.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::error::{Fault, Result};
use crate::flow::{Round, Service};
use crate::remote::delivery::HttpReceiver;

/// How often a task looks what has become due, or what another process has left; events of this process wake it at once.
const LOOK: Duration = Duration::from_secs(1);

/// Starts to deliver, until the set is shut down: what is cut off is repeated by whoever looks next.
pub fn start(service: &Service) -> Result<JoinSet<()>, Fault> {
    let mut tasks = JoinSet::new();
    for webhook in &service.config.webhooks {
        let receiver = HttpReceiver::new(webhook.url.expose())?;
        let (service, webhook) = (service.clone(), webhook.clone());
        tasks.spawn(async move {
            let mut news = service.store().event_news();
            loop {
                let round = service.deliver_events(&webhook, &receiver).await;
                if goes_on(&round) {
                    continue;
                }
                tokio::select! {
                    _ = news.changed() => {}
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        });
    }
    if let Some(receiver) = service.offer_receiver()? {
        let service = service.clone();
        tasks.spawn(async move {
            loop {
                let round = service.deliver_offers(&receiver).await;
                if !goes_on(&round) {
                    tokio::time::sleep(LOOK).await;
                }
            }
        });
    }
    if service.tells_presentations() {
        let service = service.clone();
        tasks.spawn(async move {
            loop {
                let round = service.tell_presentations().await;
                if !goes_on(&round) {
                    tokio::time::sleep(LOOK).await;
                }
            }
        });
    }
    Ok(tasks)
}

/// Whether there may be more to do at once.
fn goes_on(round: &Result<Round>) -> bool {
    match round {
        Ok(round) => *round == Round::Delivered,
        Err(error) => {
            tracing::error!(%error, "a delivery failed on our side");
            false
        }
    }
}
