//! What is done on the side while the server runs: a task for each job, so that one that takes long or fails keeps no
//! other waiting.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::error::Result;
use crate::flow::Service;

/// How often a job looks what is due.
const ROUND: Duration = Duration::from_secs(30);
/// The same for what ends or replaces cards, which is to be done within a minute.
const FOLLOWING: Duration = Duration::from_secs(10);
/// Steps of one round of a job that does some hundred in each.
const STEPS: usize = 100;

/// Starts all jobs, until the set is shut down: what is cut off are changes that are whole or were not made.
pub fn start(service: &Service) -> JoinSet<()> {
    let mut jobs = JoinSet::new();
    let with = |work: fn(Service) -> Job| {
        let service = service.clone();
        move || work(service.clone())
    };
    every(&mut jobs, ROUND, "forgetting idle callers", with(|service| Box::pin(forget(service))));
    every(&mut jobs, ROUND, "expiring cards", with(|service| Box::pin(expire(service))));
    every(&mut jobs, FOLLOWING, "acting on changes whose day has come", with(|service| Box::pin(act(service))));
    every(&mut jobs, FOLLOWING, "moving people to their new units", with(|service| Box::pin(reorganise(service))));
    every(&mut jobs, FOLLOWING, "having cards follow their records", with(|service| Box::pin(follow(service))));
    every(&mut jobs, FOLLOWING, "replacing cards whose facts changed", with(|service| Box::pin(refresh(service))));
    every(&mut jobs, ROUND, "ending presentations", with(|service| Box::pin(end_presentations(service))));
    every(&mut jobs, ROUND, "clearing away what is over", with(|service| Box::pin(clear_away(service))));
    every(&mut jobs, ROUND, "signing lists again", with(|service| Box::pin(sign_again(service))));
    every(&mut jobs, FOLLOWING, "matching records", with(|service| Box::pin(match_records(service))));
    every(&mut jobs, ROUND, "reading changes of the population database", with(|service| Box::pin(read_feed(service))));
    every(&mut jobs, ROUND, "making cards findable by name", with(|service| Box::pin(name_cards(service))));
    every(&mut jobs, ROUND, "making records findable by name", with(|service| Box::pin(name_records(service))));
    every(&mut jobs, ROUND, "computing quality", with(|service| Box::pin(compute_quality(service))));
    every(&mut jobs, ROUND, "working on uploads", with(|service| Box::pin(work_on_uploads(service))));
    jobs
}

type Job = std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// Has `work` done at once and then every `round`, one at a time; what fails is logged and tried again in the next round.
fn every<F>(jobs: &mut JoinSet<()>, round: Duration, what: &'static str, mut work: impl FnMut() -> F + Send + 'static)
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    jobs.spawn(async move {
        let mut rounds = tokio::time::interval(round);
        // After a long round there is a pause, too.
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            // A task of its own, which ends with this one: a panic loses the round, not the job.
            let mut alone = JoinSet::new();
            alone.spawn(work());
            match alone.join_next().await {
                Some(Ok(Err(error))) => tracing::error!(%error, what, "a job in the background failed"),
                Some(Err(_)) => tracing::error!(what, "a job in the background panicked"),
                _ => {}
            }
        }
    });
}

#[allow(clippy::unused_async)]
async fn forget(service: Service) -> Result<()> {
    service.forget_idle_callers();
    Ok(())
}

/// Cards that were made before names could be looked for.
async fn name_cards(service: Service) -> Result<()> {
    while service.name_cards().await? {}
    Ok(())
}

/// Records that were written before they were findable by name.
async fn name_records(service: Service) -> Result<()> {
    while service.name_records().await? {}
    Ok(())
}

/// Cards whose term is over, or will be.
async fn expire(service: Service) -> Result<()> {
    until_none(|| async { Ok(service.expire_cards().await?.cards.len() as u64) }).await?;
    until_none(|| service.warn_of_ends()).await
}

async fn act(service: Service) -> Result<()> {
    until_none(|| service.act_on_waiting()).await
}

/// Takes steps until one finds nothing to do, or there were [`STEPS`]: after a night of many changes, the last of them does
/// not wait for as many rounds.
async fn until_none<F: Future<Output = Result<u64>>>(mut step: impl FnMut() -> F) -> Result<()> {
    for _ in 0..STEPS {
        if step().await? == 0 {
            break;
        }
    }
    Ok(())
}

async fn reorganise(service: Service) -> Result<()> {
    service.reorganise().await.map(|_| ())
}

async fn follow(service: Service) -> Result<()> {
    service.follow_records().await.map(|_| ())
}

async fn refresh(service: Service) -> Result<()> {
    service.refresh_cards().await.map(|_| ())
}

/// Presentations whose time is over, and results that nobody fetched.
async fn end_presentations(service: Service) -> Result<()> {
    service.end_presentations().await.map(|_| ())
}

/// Rows and files that nobody needs any more.
async fn clear_away(service: Service) -> Result<()> {
    service.store().clear_away(service.clock.now()).await?;
    service.clear_sync_calls().await?;
    service.clear_evidence().await.map(|_| ())
}

/// Status lists and the trust list.
async fn sign_again(service: Service) -> Result<()> {
    service.refresh_published().await
}

/// Flags and counts of records that changed, or that time has changed; approvals whose records do not know of it yet.
async fn compute_quality(service: Service) -> Result<()> {
    service.mark_approvals().await?;
    while service.compute_quality().await?.entries > 0 {}
    Ok(())
}

/// Records that are pending; what a killed process left claimed comes up by itself.
async fn match_records(service: Service) -> Result<()> {
    service.match_in_background().await.map(|_| ())
}

/// Records whose person changed at the population database.
async fn read_feed(service: Service) -> Result<()> {
    service.read_population_feed().await.map(|_| ())
}

/// Uploads that a process left when it ended, and those that are old.
async fn work_on_uploads(service: Service) -> Result<()> {
    service.work_on_uploads().await?;
    service.clear_uploads().await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::error::Fault;

    #[tokio::test]
    async fn a_round_takes_steps_until_there_is_nothing_to_do() {
        for (steps, taken) in [(vec![3, 2, 0, 1], 3), (vec![1; 200], STEPS)] {
            let mut left = steps.clone().into_iter();
            until_none(|| std::future::ready(Ok(left.next().unwrap_or(0)))).await.unwrap();
            assert_eq!(left.len(), steps.len() - taken);
        }
        assert!(until_none(|| std::future::ready(Err(Fault::new("trying", "in vain").into()))).await.is_err());
    }

    #[tokio::test]
    async fn a_job_that_hangs_fails_or_panics_keeps_no_other_waiting_and_comes_again() {
        let mut jobs = JoinSet::new();
        let (told, mut rounds) = mpsc::unbounded_channel();
        let round = Duration::from_millis(1);
        for name in ["hangs", "fails", "panics", "works"] {
            let told = told.clone();
            every(&mut jobs, round, name, move || {
                let told = told.clone();
                async move {
                    told.send(name).unwrap();
                    match name {
                        "hangs" => std::future::pending().await,
                        "fails" => Err(Fault::new("trying", "in vain").into()),
                        "panics" => panic!("on purpose"),
                        _ => Ok(()),
                    }
                }
            });
        }
        drop(told);
        let mut seen = std::collections::HashMap::<_, u32>::new();
        while ["fails", "panics", "works"].iter().any(|name| seen.get(name).is_none_or(|rounds| *rounds < 3)) {
            *seen.entry(rounds.recv().await.unwrap()).or_default() += 1;
        }
        assert_eq!(seen["hangs"], 1, "one at a time");
        // The work ends with its job, even the one that hangs: nobody is left who could tell.
        jobs.shutdown().await;
        while rounds.recv().await.is_some() {}
    }
}
