//! Every SQL statement, speaking model types only. SQLite and PostgreSQL run the same statements.
//!
//! Promises, each proved on both databases by `tests/it/store.rs` and `tests/it/races.rs`:
//!
//! * A change is durable when its answer is given, and it is whole: all its statements or none.
//! * A change decides by one conditional statement, so that of two at once exactly one wins.
//! * A change of state and its audit line are one transaction; the audit table only grows.
//! * An event of the change feed is written with its change; numbers have no gap, and whoever sees one sees all before.
//! * A status index is given to one credential only, in whatever process.

mod approvals;
mod audit;
mod authorizations;
mod card_search;
mod cards;
mod clients;
mod confirmations;
mod decisions;
mod delegations;
mod deliveries;
mod documents;
mod events;
mod evidence_files;
mod following;
mod gates;
mod grants;
mod imports;
mod issuances;
mod matches;
mod offers;
mod office_sessions;
mod officers;
mod population_feed;
mod population_queries;
mod presentations;
mod proposals;
mod quality;
mod record_search;
mod records;
mod refreshes;
mod reorganisations;
mod reviews;
mod self_service;
mod status_lists;
mod sync;
mod trust_lists;
mod units;
mod uploads;
mod versions;
mod waiting;
mod writer;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyPool, Connection};
use tokio::sync::watch;

use crate::error::Fault;
pub use approvals::{ApprovalRow, ApproverCertificate, MOST_DRAFTS};
pub use audit::{AuditFilter, Line};
pub use authorizations::{Approval, Authorization, Coded, NewAuthorization};
pub use card_search::CardFilter;
pub use cards::{FoundCard, ListedCard, NewCard};
pub use confirmations::{ConfirmationFilter, Own, Said, Sent, Unconfirmed};
pub use decisions::{Decision, Effect, Ruling};
pub use delegations::Delegation;
pub use deliveries::{Attempt, Claimed, DuePush, PushCounts, Subscriber};
pub use documents::{Document, DocumentHead};
pub use events::{EventFilter, EventPage};
pub use evidence_files::EvidenceFiles;
pub use following::{FollowStep, ToFollow};
pub use gates::Gate;
pub use grants::{Deferral, Grant, Holder, NewGrant};
pub use imports::{BatchOutcome, IncomingRecord, Progress, RecordHead};
pub use issuances::{Issuance, NewCredential, Recorded};
pub use matches::{Asked, Concluded, Held, ToMatch};
pub use offers::{NewOffer, Offer, OfferedRecord, Redemption};
pub use office_sessions::{OfficeSession, OfficerSignIn};
pub use officers::{OfficerChange, OfficerFilter};
pub use population_feed::{FeedClaim, FeedState};
pub use population_queries::{PopulationQueryLine, PopulationState};
pub use presentations::{DueEnd, Judged, NewPresentation, OpenSecrets, Presentation, PresentationName, Returned};
pub use proposals::{Evidence, NewProposal, Proposal};
pub use quality::{
    Claim as QualityClaim, ComputedRecord, Counted, DirtyRecord, Neighbour, PresentRecord, QualityDay, QualityRow,
    Rows, UnitQuality,
};
pub use record_search::RecordSearch;
pub use records::{Confirmed, RecordFilter, StoredRecord, StoredVersion};
pub use refreshes::Ahead;
pub use reorganisations::{Reorganisation, Stage, Wave};
pub use reviews::{Assigned, Claim, Measured, QueueFilter, Queued, WaitingCounts};
pub use self_service::{AuditLine, NewSelfSignIn, SelfCode, SelfSession};
pub use status_lists::{Entries, StatusList};
pub use sync::{LoginBegin, SyncAccount, SyncCall, SyncCallFilter, SyncKey, SyncOutcome};
pub use trust_lists::PublishedList;
pub use uploads::{NewUpload, ReceivedFile, Upload, UploadClaim, UploadCounts, UploadFilter, UploadRow, UploadStep};
pub use versions::{CardStep, VersionWrite};
pub use waiting::{MovedWaiting, NewWaiting, TakenBack, Waiting};
use writer::Writer;
pub(crate) use writer::{Change, Transaction};

/// How long a connection may be idle until it is asked whether it lives.
const IDLE: Duration = Duration::from_secs(1);

/// The database and the writer that all changes of this process go through.
#[derive(Clone)]
pub struct Store {
    readers: AnyPool,
    writer: Writer,
    dialect: Dialect,
    newest_event: Arc<watch::Sender<i64>>,
}

/// Which of the two it is: for the few places where one dialect differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// An embedded file.
    Sqlite,
    /// A server, shared by several processes.
    Postgres,
}

impl Dialect {
    /// Rows of one statement of an import. SQLite looks a parameter's name up by going through all of them; for PostgreSQL
    /// every statement is a journey, and it reads a young table whole for each.
    fn rows_per_statement(self) -> usize {
        match self {
            Self::Sqlite => 32,
            Self::Postgres => 1_000,
        }
    }

    fn of(url: &str) -> Result<Self, Fault> {
        if url.starts_with("sqlite:") {
            Ok(Self::Sqlite)
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Ok(Self::Postgres)
        } else {
            Err(Fault::new("opening the database", "its URL must begin with sqlite: or postgres:"))
        }
    }
}

impl Store {
    /// Opens the database, creating an SQLite file that is missing, and brings its tables up to date.
    pub async fn open(url: &str) -> Result<Self, Fault> {
        sqlx::any::install_default_drivers();
        let fault = |error: sqlx::Error| Fault::new("opening the database", error);
        let dialect = Dialect::of(url)?;
        let url = match dialect {
            Dialect::Sqlite if !url.contains('?') => format!("{url}?mode=rwc"),
            _ => url.to_owned(),
        };
        if dialect == Dialect::Sqlite {
            create_for_owner(&url)?;
        }
        let options = AnyConnectOptions::from_str(&url)
            .map_err(|_| Fault::new("opening the database", "its URL is not understood"))?;
        let pool = |connections: u32, sqlite_cache: &'static str| {
            AnyPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(Duration::from_secs(10))
                // A connection in use a moment ago is not asked whether it lives: that costs as much as a query.
                .test_before_acquire(false)
                .before_acquire(|connection, met| {
                    Box::pin(async move {
                        if met.idle_for >= IDLE {
                            connection.ping().await?;
                        }
                        Ok(true)
                    })
                })
                .after_connect(move |connection, _| {
                    Box::pin(async move {
                        if dialect == Dialect::Sqlite {
                            // An acknowledged change survives a power failure: FULL. Writers of other processes wait.
                            for pragma in [
                                "PRAGMA journal_mode = WAL",
                                "PRAGMA synchronous = FULL",
                                "PRAGMA busy_timeout = 10000",
                                "PRAGMA foreign_keys = ON",
                                sqlite_cache,
                            ] {
                                sqlx::query(pragma).execute(&mut *connection).await?;
                            }
                        }
                        Ok(())
                    })
                })
                .connect_with(options.clone())
        };
        let (lanes, readers) = match dialect {
            Dialect::Sqlite => (1, 4),
            Dialect::Postgres => (4, 12),
        };
        // Each lane keeps a connection, and so does the one that moves cards. A batch of an import changes more pages than
        // the usual 2 MB hold; what does not fit is written several times.
        let writers = pool(lanes + 1, "PRAGMA cache_size = -65536").await.map_err(fault)?;
        let migrated = match dialect {
            Dialect::Sqlite => sqlx::migrate!("migrations/sqlite").run(&writers).await,
            Dialect::Postgres => sqlx::migrate!("migrations/postgres").run(&writers).await,
        };
        migrated.map_err(|error| Fault::new("migrating the database", error))?;
        let newest_event = Arc::new(watch::Sender::new(0));
        Ok(Self {
            readers: pool(readers, "PRAGMA cache_size = -2000").await.map_err(fault)?,
            writer: Writer::start(&writers, dialect, lanes, &newest_event),
            dialect,
            newest_event,
        })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), Fault> {
        sqlx::query("SELECT 1").execute(&self.readers).await.map(|_| ()).map_err(failed("asking the database"))
    }

    /// A connection for reading.
    pub(crate) fn readers(&self) -> &AnyPool {
        &self.readers
    }

    /// Waits until `change` is durable. See [`Change`].
    pub(crate) async fn write<C: Change>(&self, change: C) -> crate::error::Result<C::Done> {
        self.writer.submit(change).await
    }
}

/// Makes a missing SQLite file so that only its owner can read it; what SQLite puts beside it gets the same mode.
fn create_for_owner(url: &str) -> Result<(), Fault> {
    use std::os::unix::fs::OpenOptionsExt;
    let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
    let path = path.split('?').next().unwrap_or_default();
    if path.is_empty() || path.contains(":memory:") {
        return Ok(());
    }
    let opened = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    opened.map(|_| ()).map_err(|error| Fault::new("opening the database", format!("{path}: {error}")))
}

/// Maps a database error to a fault while `doing` something.
pub(crate) fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> Fault {
    move |error| Fault::new(doing, error)
}

/// `($1, $2), ($3, $4)`: the places of `rows` rows of `width` values.
fn places(rows: usize, width: usize) -> String {
    use std::fmt::Write as _;
    let mut places = String::with_capacity(rows * width * 6);
    for place in 0..rows * width {
        let (open, close) = (place % width == 0, place % width == width - 1);
        let before = if open && place > 0 {
            ", ("
        } else if open {
            "("
        } else {
            ", "
        };
        let _ = write!(places, "{before}${}{}", place + 1, if close { ")" } else { "" });
    }
    places
}
