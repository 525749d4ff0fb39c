//! The review queue of units: which proposals wait, who works on which, and how fast. What is decided is `decisions`.

use std::fmt::Write as _;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::proposals::{PROPOSAL_COLUMNS, Proposal, WAITING, proposal};
use super::{Change, Store, Transaction, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Result};
use crate::model::catalogue::Catalogue;
use crate::model::proposal::ProposalState;
use crate::model::record::Record;

/// Decisions that a median is taken of, the newest ones.
const MOST_DECISIONS: i64 = 5_000;
/// Reviewers and units that a view of the workload names.
const MOST_NAMED: i64 = 200;

/// What waits, by state.
const COUNTS: &str = "COUNT(CASE WHEN proposals.state = 'open' THEN 1 END) AS open, \
    COUNT(CASE WHEN proposals.state = 'first_approved' THEN 1 END) AS first_approved, \
    COUNT(CASE WHEN proposals.state = 'appealed' THEN 1 END) AS appealed";

/// Whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assigned {
    /// Nobody works on it.
    None,
    /// This officer does.
    To(String),
}

/// Which proposals are meant.
#[derive(Clone, Debug, Default)]
pub struct QueueFilter {
    /// Units whose proposals the caller sees, each with those below; `None` is the nation.
    pub visible: Option<Vec<String>>,
    /// Of this unit and below.
    pub unit: Option<String>,
    /// In these states.
    pub states: Vec<ProposalState>,
    /// Past their deadline, or not.
    pub is_overdue: Option<bool>,
    /// By who works on them.
    pub assigned: Option<Assigned>,
    /// Deadline and name of the last one that was told.
    pub after: Option<(UnixSeconds, String)>,
    /// Most of them.
    pub limit: i64,
    /// Now.
    pub now: UnixSeconds,
}

/// Who works on a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The officer.
    pub reviewer: String,
    /// Until when, unless they say so again.
    pub expires_at: UnixSeconds,
}

/// A proposal in the queue, with the record as it stands.
#[derive(Clone, Debug)]
pub struct Queued {
    /// The proposal.
    pub proposal: Proposal,
    /// The version of its record now.
    pub record_version: i64,
    /// What the record says now; the portrait without its bytes.
    pub record: Record,
    /// Who works on it.
    pub claim: Option<Claim>,
    /// Files beside it.
    pub evidence_count: i64,
    /// The day on which the approved change acts.
    pub waits_until: Option<String>,
}

/// How much waits, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaitingCounts {
    /// By state: open, approved once, appealed.
    pub by_state: [i64; 3],
    /// Past their deadline.
    pub overdue: i64,
    /// Nobody works on them.
    pub unclaimed: i64,
    /// When the oldest one was proposed.
    pub oldest_at: Option<UnixSeconds>,
    /// Unit, what waits there, and what of it is overdue.
    pub units: Vec<(String, i64, i64)>,
    /// Officer and how many they work on.
    pub claimed: Vec<(String, i64)>,
}

/// One decision, for the view of the workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Who decided.
    pub reviewer: String,
    /// Whether it was a refusal.
    pub is_refusal: bool,
    /// How long it had waited.
    pub working_minutes: i64,
}

/// Conditions with their values, numbered as they come.
#[derive(Default)]
pub(super) struct Conditions {
    pub(super) text: String,
    values: Vec<Bound>,
}

enum Bound {
    Text(String),
    Number(i64),
}

impl Conditions {
    pub(super) fn text(&mut self, value: impl Into<String>) -> String {
        self.values.push(Bound::Text(value.into()));
        format!("${}", self.values.len())
    }

    pub(super) fn number(&mut self, value: i64) -> String {
        self.values.push(Bound::Number(value));
        format!("${}", self.values.len())
    }

    /// `column` is one of the units, or below one.
    pub(super) fn within(&mut self, column: &str, units: &[String]) {
        let mut any = Vec::new();
        for unit in units {
            let (own, below) = (self.text(unit.clone()), self.text(format!("{unit}.")));
            any.push(format!("{column} = {own} OR substr({column}, 1, length({below})) = {below}"));
        }
        // A caller without units sees nothing.
        let any = if any.is_empty() { "1 = 0".to_owned() } else { any.join(" OR ") };
        let _ = write!(self.text, " AND ({any})");
    }

    pub(super) fn bind<'q>(self, statement: String) -> sqlx::query::Query<'q, sqlx::Any, sqlx::any::AnyArguments> {
        self.values.into_iter().fold(sqlx::query(AssertSqlSafe(statement)), |query, value| match value {
            Bound::Text(text) => query.bind(text),
            Bound::Number(number) => query.bind(number),
        })
    }
}

const QUEUED: &str = "proposals.waits_until, records.version AS record_version, \
    record_versions.catalogue, record_versions.content, proposal_claims.reviewer AS claimed_by, \
    proposal_claims.expires_at AS claimed_until, \
    (SELECT COUNT(*) FROM evidence WHERE evidence.proposal = proposals.id) AS evidence_count \
    FROM proposals JOIN records ON records.id = proposals.record \
    JOIN record_versions ON record_versions.record = records.id AND record_versions.version = records.version \
    LEFT JOIN proposal_claims ON proposal_claims.proposal = proposals.id";

impl Store {
    /// Proposals, those that are due first.
    pub async fn review_queue(&self, filter: QueueFilter) -> Result<Vec<Queued>, Fault> {
        let mut conditions = Conditions::default();
        let now = conditions.number(filter.now);
        if let Some(visible) = &filter.visible {
            conditions.within("proposals.unit", visible);
        }
        if let Some(unit) = &filter.unit {
            conditions.within("proposals.unit", std::slice::from_ref(unit));
        }
        let states: Vec<_> = filter.states.iter().map(|state| format!("'{}'", state.word())).collect();
        let _ = write!(conditions.text, " AND proposals.state IN ({})", states.join(", "));
        if let Some(is_overdue) = filter.is_overdue {
            // What is decided is not overdue any more.
            let overdue = format!("proposals.due_at < {now} AND proposals.state IN {WAITING}");
            let _ = write!(conditions.text, " AND {} ({overdue})", if is_overdue { "" } else { "NOT" });
        }
        match filter.assigned {
            None => {}
            Some(Assigned::None) => conditions.text.push_str(" AND proposal_claims.reviewer IS NULL"),
            Some(Assigned::To(reviewer)) => {
                let reviewer = conditions.text(reviewer);
                let _ = write!(conditions.text, " AND proposal_claims.reviewer = {reviewer}");
            }
        }
        if let Some((due_at, id)) = filter.after {
            let (due_at, id) = (conditions.number(due_at), conditions.text(id));
            let _ = write!(
                conditions.text,
                " AND (proposals.due_at > {due_at} OR (proposals.due_at = {due_at} AND proposals.id > {id}))"
            );
        }
        let limit = conditions.number(filter.limit);
        let statement = format!(
            "SELECT {PROPOSAL_COLUMNS}, {QUEUED} AND proposal_claims.expires_at > {now} WHERE 1 = 1 {} \
             ORDER BY proposals.due_at, proposals.id LIMIT {limit}",
            conditions.text
        );
        let rows = conditions.bind(statement).fetch_all(self.readers()).await;
        rows.map_err(failed("reading the review queue"))?.iter().map(queued).collect()
    }

    /// One proposal with its record as it stands.
    pub async fn queued(&self, id: &str, now: UnixSeconds) -> Result<Option<Queued>, Fault> {
        let statement =
            format!("SELECT {PROPOSAL_COLUMNS}, {QUEUED} AND proposal_claims.expires_at > $2 WHERE proposals.id = $1");
        let row = sqlx::query(AssertSqlSafe(statement)).bind(id).bind(now).fetch_optional(self.readers()).await;
        row.map_err(failed("reading a proposal"))?.as_ref().map(queued).transpose()
    }

    /// A portrait's bytes, by its SHA-256 in hexadecimal.
    pub async fn portrait_bytes(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        let doing = "reading a portrait";
        let query = sqlx::query("SELECT bytes FROM portraits WHERE sha256 = $1").bind(name);
        let row = query.fetch_optional(self.readers()).await.map_err(failed(doing))?;
        row.map(|row| row.try_get(0)).transpose().map_err(failed(doing))
    }

    /// A reviewer takes a proposal that waits, or keeps it longer. Returns who has it now: somebody else, if they were
    /// first; `None` if it does not wait.
    pub async fn claim_proposal(
        &self,
        id: &str,
        reviewer: &str,
        at: UnixSeconds,
        expires_at: UnixSeconds,
    ) -> Result<Option<Claim>> {
        let claim = Claim { reviewer: reviewer.to_owned(), expires_at };
        self.write(TakeClaim { proposal: id.to_owned(), claim, at }).await
    }

    /// Gives a proposal back; nothing happens when somebody else has it.
    pub async fn release_proposal(&self, id: &str, reviewer: &str) -> Result<()> {
        self.write(ReleaseClaim { proposal: id.to_owned(), reviewer: reviewer.to_owned() }).await
    }

    /// What waits in these units and below.
    pub async fn waiting_proposals(&self, units: Option<&[String]>, now: UnixSeconds) -> Result<WaitingCounts, Fault> {
        let doing = "counting what waits";
        let mut conditions = Conditions::default();
        let at = conditions.number(now);
        if let Some(units) = units {
            conditions.within("proposals.unit", units);
        }
        let statement = format!(
            "SELECT {COUNTS}, COUNT(CASE WHEN proposals.due_at < {at} THEN 1 END) AS overdue, \
             COUNT(CASE WHEN proposal_claims.reviewer IS NULL THEN 1 END) AS unclaimed, \
             MIN(proposals.created_at) AS oldest FROM proposals LEFT JOIN proposal_claims \
             ON proposal_claims.proposal = proposals.id AND proposal_claims.expires_at > {at} \
             WHERE proposals.state IN {WAITING} {}",
            conditions.text
        );
        let row = conditions.bind(statement).fetch_one(self.readers()).await.map_err(failed(doing))?;
        let number = |column: &str| row.try_get::<i64, _>(column).map_err(failed(doing));
        Ok(WaitingCounts {
            by_state: [number("open")?, number("first_approved")?, number("appealed")?],
            overdue: number("overdue")?,
            unclaimed: number("unclaimed")?,
            oldest_at: row.try_get("oldest").map_err(failed(doing))?,
            units: self.waiting_by_unit(units, now).await?,
            claimed: self.claimed_by_reviewer(units, now).await?,
        })
    }

    async fn waiting_by_unit(
        &self,
        units: Option<&[String]>,
        now: UnixSeconds,
    ) -> Result<Vec<(String, i64, i64)>, Fault> {
        let doing = "counting what waits in units";
        let mut conditions = Conditions::default();
        let at = conditions.number(now);
        if let Some(units) = units {
            conditions.within("proposals.unit", units);
        }
        let most = conditions.number(MOST_NAMED);
        let statement = format!(
            "SELECT unit, COUNT(*), COUNT(CASE WHEN due_at < {at} THEN 1 END) AS overdue FROM proposals \
             WHERE state IN {WAITING} {} GROUP BY unit ORDER BY overdue DESC, unit LIMIT {most}",
            conditions.text
        );
        let rows = conditions.bind(statement).fetch_all(self.readers()).await.map_err(failed(doing))?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))
            .collect::<Result<_, sqlx::Error>>()
            .map_err(failed(doing))
    }

    async fn claimed_by_reviewer(
        &self,
        units: Option<&[String]>,
        now: UnixSeconds,
    ) -> Result<Vec<(String, i64)>, Fault> {
        let doing = "counting what reviewers work on";
        let mut conditions = Conditions::default();
        let at = conditions.number(now);
        if let Some(units) = units {
            conditions.within("proposals.unit", units);
        }
        let most = conditions.number(MOST_NAMED);
        let statement = format!(
            "SELECT proposal_claims.reviewer, COUNT(*) AS claimed FROM proposal_claims \
             JOIN proposals ON proposals.id = proposal_claims.proposal \
             WHERE proposal_claims.expires_at > {at} AND proposals.state IN {WAITING} {} \
             GROUP BY proposal_claims.reviewer ORDER BY proposal_claims.reviewer LIMIT {most}",
            conditions.text
        );
        let rows = conditions.bind(statement).fetch_all(self.readers()).await.map_err(failed(doing))?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<Result<_, sqlx::Error>>()
            .map_err(failed(doing))
    }

    /// How many proposals of these units are due from each instant to the next: one count less than instants.
    pub async fn due_proposals(&self, units: Option<&[String]>, instants: &[UnixSeconds]) -> Result<Vec<i64>, Fault> {
        let doing = "counting what is due";
        let mut counts = Vec::new();
        for pair in instants.windows(2) {
            let mut conditions = Conditions::default();
            let (from, to) = (conditions.number(pair[0]), conditions.number(pair[1]));
            if let Some(units) = units {
                conditions.within("proposals.unit", units);
            }
            let statement = format!(
                "SELECT COUNT(*) FROM proposals WHERE state IN {WAITING} AND due_at > {from} AND due_at <= {to} {}",
                conditions.text
            );
            let row = conditions.bind(statement).fetch_one(self.readers()).await.map_err(failed(doing))?;
            counts.push(row.try_get(0).map_err(failed(doing))?);
        }
        Ok(counts)
    }

    /// Final decisions in these units since an instant, newest first, some thousand at most.
    pub async fn decisions_since(&self, units: Option<&[String]>, since: UnixSeconds) -> Result<Vec<Measured>, Fault> {
        let doing = "reading decisions";
        let mut conditions = Conditions::default();
        let since = conditions.number(since);
        if let Some(units) = units {
            conditions.within("decisions.unit", units);
        }
        let most = conditions.number(MOST_DECISIONS);
        let statement = format!(
            "SELECT reviewer, decision, working_minutes FROM decisions \
             WHERE at > {since} AND decision <> 'approved_first' {} ORDER BY at DESC LIMIT {most}",
            conditions.text
        );
        let rows = conditions.bind(statement).fetch_all(self.readers()).await.map_err(failed(doing))?;
        let measured = |row: &AnyRow| {
            let decision: String = row.try_get("decision")?;
            let is_refusal = decision != "approved";
            Ok(Measured {
                reviewer: row.try_get("reviewer")?,
                is_refusal,
                working_minutes: row.try_get("working_minutes")?,
            })
        };
        rows.iter().map(measured).collect::<Result<_, sqlx::Error>>().map_err(failed(doing))
    }
}

fn queued(row: &AnyRow) -> Result<Queued, Fault> {
    let doing = failed("reading a proposal");
    let optional = |column: &str| row.try_get::<Option<String>, _>(column).map_err(&doing);
    let (catalogue, content): (String, String) =
        (row.try_get("catalogue").map_err(&doing)?, row.try_get("content").map_err(&doing)?);
    let catalogue =
        Catalogue::version(&catalogue).ok_or_else(|| Fault::new("reading a record", "its catalogue is not known"))?;
    let claim = match (optional("claimed_by")?, row.try_get("claimed_until").map_err(&doing)?) {
        (Some(reviewer), Some(expires_at)) => Some(Claim { reviewer, expires_at }),
        _ => None,
    };
    Ok(Queued {
        proposal: proposal(row)?,
        record_version: row.try_get("record_version").map_err(&doing)?,
        record: Record::restore(catalogue, &content).map_err(|error| Fault::new("reading a record", error))?,
        claim,
        evidence_count: row.try_get("evidence_count").map_err(&doing)?,
        waits_until: optional("waits_until")?,
    })
}

struct TakeClaim {
    proposal: String,
    claim: Claim,
    at: UnixSeconds,
}

impl Change for TakeClaim {
    type Done = Option<Claim>;

    fn order(&self) -> &str {
        &self.proposal
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Option<Claim>> {
        let doing = "claiming a proposal";
        let statement = format!(
            "INSERT INTO proposal_claims (proposal, reviewer, claimed_at, expires_at) \
             SELECT id, $2, $3, $4 FROM proposals WHERE id = $1 AND state IN {WAITING} \
             ON CONFLICT (proposal) DO UPDATE SET reviewer = excluded.reviewer, claimed_at = excluded.claimed_at, \
             expires_at = excluded.expires_at \
             WHERE proposal_claims.expires_at <= excluded.claimed_at OR proposal_claims.reviewer = excluded.reviewer"
        );
        sqlx::query(AssertSqlSafe(statement))
            .bind(&self.proposal)
            .bind(&self.claim.reviewer)
            .bind(self.at)
            .bind(self.claim.expires_at)
            .execute(&mut **transaction)
            .await
            .map_err(failed(doing))?;
        let statement = format!(
            "SELECT reviewer, expires_at FROM proposal_claims JOIN proposals ON proposals.id = proposal_claims.proposal \
             WHERE proposal_claims.proposal = $1 AND proposals.state IN {WAITING}"
        );
        let row = sqlx::query(AssertSqlSafe(statement)).bind(&self.proposal).fetch_optional(&mut **transaction).await;
        let row = row.map_err(failed(doing))?;
        let claim = |row: AnyRow| Ok(Claim { reviewer: row.try_get(0)?, expires_at: row.try_get(1)? });
        Ok(row.map(claim).transpose().map_err(failed(doing))?)
    }
}

struct ReleaseClaim {
    proposal: String,
    reviewer: String,
}

impl Change for ReleaseClaim {
    type Done = ();

    fn order(&self) -> &str {
        &self.proposal
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        sqlx::query("DELETE FROM proposal_claims WHERE proposal = $1 AND reviewer = $2")
            .bind(&self.proposal)
            .bind(&self.reviewer)
            .execute(&mut **transaction)
            .await
            .map_err(failed("releasing a proposal"))?;
        Ok(())
    }
}
