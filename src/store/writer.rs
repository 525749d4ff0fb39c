//! One writer that groups the waiting changes into one durable transaction (measured: a commit a row gives 3,500
//! changes a second, grouped commits an order of magnitude more). Each is still acknowledged only after the commit.
//!
//! If a change fails for a reason of the database, the group is rolled back and every change runs again alone, so that
//! one bad change harms no other.

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Connection};
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use super::{Dialect, Line, audit, events, failed};
use crate::error::{Error, Fault, Result};
use crate::model::event::NewEvent;

/// Most changes in one transaction.
const GROUP: usize = 128;
/// Most changes that wait before the next one has to.
const QUEUE: usize = 4096;
/// How often a change is tried that others are in the way of.
const ATTEMPTS: usize = 5;

/// A change of state: statements that become durable together.
///
/// A change that refuses must do so before it has written anything, for it shares its transaction with others, unless it
/// says that it [takes back](Change::TAKES_BACK); a change that may run twice must come to the same result, for a failed
/// group runs again.
pub(crate) trait Change: Send + Sync + 'static {
    /// What the caller gets when the change is durable.
    type Done: Send + 'static;

    /// Whether it moves cards with all their credentials and lists, and so locks rows that others may want.
    const MOVES_CARDS: bool = false;

    /// Whether it may refuse after it has written: what it wrote is then taken back. Costs two journeys to the database.
    const TAKES_BACK: bool = false;

    /// The row that it will wait for: changes of a group run in this order.
    #[allow(clippy::unnecessary_literal_bound)]
    fn order(&self) -> &str {
        ""
    }

    /// Runs the statements.
    fn apply<'a>(
        &'a self,
        transaction: &'a mut Transaction<'_>,
    ) -> impl Future<Output = Result<Self::Done>> + Send + 'a;
}

/// The transaction of a group: its connection, and the audit lines and events of its changes, which are written together
/// at its end.
pub(crate) struct Transaction<'c> {
    connection: &'c mut AnyConnection,
    lines: Vec<Line>,
    events: Vec<NewEvent>,
}

impl Transaction<'_> {
    /// Has the line written before the commit.
    pub(crate) fn note(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// Has the event written before the commit, under the next number of the feed.
    pub(crate) fn event(&mut self, event: NewEvent) {
        self.events.push(event);
    }
}

impl Deref for Transaction<'_> {
    type Target = AnyConnection;
    fn deref(&self) -> &AnyConnection {
        self.connection
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        self.connection
    }
}

#[derive(Clone)]
pub(super) struct Writer {
    shared: mpsc::Sender<Box<dyn Job>>,
    /// For changes that move cards: on PostgreSQL one at a time, for they lock many rows.
    moving: mpsc::Sender<Box<dyn Job>>,
}

impl Writer {
    /// Starts `lanes` tasks that write independently of each other, and tell of the newest event that they wrote.
    pub(super) fn start(pool: &AnyPool, dialect: Dialect, lanes: u32, newest_event: &Arc<watch::Sender<i64>>) -> Self {
        let lane = Lane { pool: pool.clone(), dialect, connection: None, newest_event: Arc::clone(newest_event) };
        let shared = start_lanes(&lane, lanes, GROUP);
        let moving = match dialect {
            // There is one writer at a time anyhow.
            Dialect::Sqlite => shared.clone(),
            Dialect::Postgres => start_lanes(&lane, 1, 1),
        };
        Self { shared, moving }
    }

    pub(super) async fn submit<C: Change>(&self, change: C) -> Result<C::Done> {
        let (answer, waiting) = oneshot::channel();
        let job = Box::new(Pending { change, result: None, answer });
        let gone = |()| Fault::new("changing the database", "the writer has stopped");
        let lane = if C::MOVES_CARDS { &self.moving } else { &self.shared };
        lane.send(job).await.map_err(|_| gone(()))?;
        waiting.await.map_err(|_| gone(()))?
    }
}

type Queue = Arc<Mutex<mpsc::Receiver<Box<dyn Job>>>>;

fn start_lanes(lane: &Lane, lanes: u32, group: usize) -> mpsc::Sender<Box<dyn Job>> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let queue = Arc::new(Mutex::new(receiver));
    for _ in 0..lanes {
        let (lane, queue) = (lane.fresh(), Arc::clone(&queue));
        tokio::spawn(async move {
            // A change that panics loses its own group, not the lane.
            while tokio::spawn(run(lane.fresh(), Arc::clone(&queue), group)).await.is_err() {
                tracing::error!("a change of the database panicked");
            }
        });
    }
    sender
}

async fn run(mut lane: Lane, queue: Queue, size: usize) {
    loop {
        let mut group = Vec::new();
        if queue.lock().await.recv_many(&mut group, size).await == 0 {
            return;
        }
        // Lanes that lock rows in one order do not wait for each other in a circle.
        group.sort_by(|one, two| one.order().cmp(two.order()));
        if lane.commit(&mut group).await.is_ok() {
            for job in group {
                job.answer(None);
            }
            continue;
        }
        for job in group {
            let mut alone = [job];
            let fault = lane.commit_alone(&mut alone).await.err();
            let [job] = alone;
            job.answer(fault);
        }
    }
}

/// One group at a time, on a connection that it keeps: the pool would ask it whether it lives before and after every
/// group.
struct Lane {
    pool: AnyPool,
    dialect: Dialect,
    connection: Option<PoolConnection<Any>>,
    newest_event: Arc<watch::Sender<i64>>,
}

impl Lane {
    /// The same without a connection.
    fn fresh(&self) -> Self {
        let (pool, newest_event) = (self.pool.clone(), Arc::clone(&self.newest_event));
        Self { pool, dialect: self.dialect, connection: None, newest_event }
    }

    async fn commit(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), Fault> {
        let begin = match self.dialect {
            // A read that later writes would fail; say from the start that we write.
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::Postgres => "BEGIN",
        };
        // After a fault the connection goes back to the pool, which gives out one that lives.
        let mut connection = match self.connection.take() {
            Some(kept) => kept,
            None => self.pool.acquire().await.map_err(failed("connecting to the database"))?,
        };
        let mut begun = connection.begin_with(begin).await.map_err(failed("beginning a transaction"))?;
        let lines = Vec::with_capacity(jobs.len());
        let mut transaction = Transaction { connection: &mut begun, lines, events: Vec::new() };
        for job in jobs {
            job.run(&mut transaction).await?;
        }
        audit::write(transaction.connection, &transaction.lines).await?;
        // Last: the counter's row is the one that every lane of every process waits for, so nobody who has it waits.
        let newest = events::write(transaction.connection, &transaction.events).await?;
        begun.commit().await.map_err(failed("committing a transaction"))?;
        self.connection = Some(connection);
        if let Some(newest) = newest {
            self.newest_event.send_if_modified(|known| std::mem::replace(known, newest.max(*known)) < newest);
        }
        Ok(())
    }

    /// Tries again while the database says that others were in the way.
    async fn commit_alone(&mut self, job: &mut [Box<dyn Job>; 1]) -> Result<(), Fault> {
        for _ in 1..ATTEMPTS {
            match self.commit(job).await {
                Err(fault) if fault.caused_by::<sqlx::Error>().is_some_and(is_passing) => {}
                done => return done,
            }
        }
        self.commit(job).await
    }
}

/// Deadlock or serialization failure of PostgreSQL, a busy SQLite.
fn is_passing(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code().map(std::borrow::Cow::into_owned));
    code.is_some_and(|code| ["40P01", "40001", "5", "517"].contains(&code.as_str()))
}

async fn savepoint(transaction: &mut Transaction<'_>, statement: &'static str) -> Result<(), Fault> {
    sqlx::query(statement).execute(&mut **transaction).await.map(|_| ()).map_err(failed("taking a change back"))
}

/// A [`Change`] and the caller that waits for it, without their types.
trait Job: Send {
    fn run<'a>(
        &'a mut self,
        transaction: &'a mut Transaction<'_>,
    ) -> Pin<Box<dyn Future<Output = Result<(), Fault>> + Send + 'a>>;

    /// See [`Change::order`].
    fn order(&self) -> &str;

    /// Tells the caller: the result, or the fault that kept it from being durable.
    fn answer(self: Box<Self>, fault: Option<Fault>);
}

struct Pending<C: Change> {
    change: C,
    result: Option<Result<C::Done>>,
    answer: oneshot::Sender<Result<C::Done>>,
}

impl<C: Change> Job for Pending<C> {
    fn run<'a>(
        &'a mut self,
        transaction: &'a mut Transaction<'_>,
    ) -> Pin<Box<dyn Future<Output = Result<(), Fault>> + Send + 'a>> {
        Box::pin(async move {
            let (lines, events) = (transaction.lines.len(), transaction.events.len());
            if C::TAKES_BACK {
                savepoint(transaction, "SAVEPOINT before_change").await?;
            }
            match self.change.apply(transaction).await {
                Err(Error::Fault(fault)) => Err(fault),
                Err(refusal) => {
                    if C::TAKES_BACK {
                        savepoint(transaction, "ROLLBACK TO SAVEPOINT before_change").await?;
                    }
                    transaction.lines.truncate(lines);
                    transaction.events.truncate(events);
                    self.result = Some(Err(refusal));
                    Ok(())
                }
                result => {
                    self.result = Some(result);
                    Ok(())
                }
            }
        })
    }

    fn order(&self) -> &str {
        self.change.order()
    }

    fn answer(self: Box<Self>, fault: Option<Fault>) {
        let result = match (fault, self.result) {
            (None, Some(result)) => result,
            (Some(fault), _) => Err(fault.into()),
            (None, None) => Err(Fault::new("changing the database", "the change did not run").into()),
        };
        // A caller that went away learns by asking again.
        let _ = self.answer.send(result);
    }
}
