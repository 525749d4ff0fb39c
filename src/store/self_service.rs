//! Officials who act for themselves: sign-ins on their way and sessions, all kept by hash.
//!
//! Each sign-in and each presentation becomes at most one session, in whatever process.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::cards::{By, Move, move_all, report};
use super::proposals::hold;
use super::{Change, Line, Store, Transaction, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Result};
use crate::model::card::{Moved, Reason, Selector, Step};
use crate::model::id::{Handle, PersonalNumber};
use crate::model::origin::HOLDER;

/// A sign-in that begins.
#[derive(Clone, Debug)]
pub struct NewSelfSignIn {
    /// SHA-256 of the `state` that the provider brings back.
    pub id: String,
    /// The wallet product that gets a code; empty where the browser itself gets the session.
    pub client: String,
    /// Where the browser goes on to.
    pub redirect_uri: String,
    /// The wallet's own `state`.
    pub client_state: Option<String>,
    /// The wallet's S256 challenge; empty for a browser.
    pub code_challenge: String,
    /// SHA-256 of the cookie that binds it to the browser.
    pub browser: String,
    /// Now.
    pub created_at: UnixSeconds,
    /// Until when the person has to be back.
    pub expires_at: UnixSeconds,
}

/// A person's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfSession {
    /// SHA-256 of its token.
    pub id: String,
    /// Whose it is.
    pub person: PersonalNumber,
    /// Whether they presented their card for it, instead of signing in.
    pub by_card: bool,
    /// The wallet product, or empty for a browser.
    pub client: String,
    /// What it was exchanged for, once.
    pub occasion: String,
    /// When the person signed in or presented.
    pub signed_in_at: UnixSeconds,
    /// When it began.
    pub created_at: UnixSeconds,
    /// When it ends.
    pub expires_at: UnixSeconds,
}

/// The code that a wallet redeems.
#[derive(Clone, Debug)]
pub struct SelfCode {
    /// The sign-in.
    pub sign_in: String,
    /// The wallet product.
    pub client: String,
    /// Where the browser brought the code.
    pub redirect_uri: String,
    /// The S256 challenge.
    pub code_challenge: String,
    /// Who signed in.
    pub person: PersonalNumber,
    /// When.
    pub signed_in_at: UnixSeconds,
}

impl Store {
    /// Keeps a sign-in on its way.
    pub async fn begin_self_sign_in(&self, new: NewSelfSignIn) -> Result<()> {
        self.write(new).await
    }

    /// A sign-in that is still on its way in this browser.
    pub async fn self_sign_in(
        &self,
        id: &str,
        browser: &str,
        now: UnixSeconds,
    ) -> Result<Option<NewSelfSignIn>, Fault> {
        let doing = "reading a sign-in";
        let row = sqlx::query(
            "SELECT id, client, redirect_uri, client_state, code_challenge, browser, created_at, expires_at \
             FROM self_service_sign_ins WHERE id = $1 AND browser = $2 AND expires_at > $3 \
             AND ended_at IS NULL AND person IS NULL",
        )
        .bind(id)
        .bind(browser)
        .bind(now)
        .fetch_optional(self.readers())
        .await
        .map_err(failed(doing))?;
        row.map(|row| -> Result<_, sqlx::Error> {
            Ok(NewSelfSignIn {
                id: row.try_get("id")?,
                client: row.try_get("client")?,
                redirect_uri: row.try_get("redirect_uri")?,
                client_state: row.try_get("client_state")?,
                code_challenge: row.try_get("code_challenge")?,
                browser: row.try_get("browser")?,
                created_at: row.try_get("created_at")?,
                expires_at: row.try_get("expires_at")?,
            })
        })
        .transpose()
        .map_err(failed(doing))
    }

    /// The person is back: the sign-in waits for its code to be redeemed until `until`. `false` if it was over.
    pub async fn code_self_sign_in(
        &self,
        id: String,
        person: PersonalNumber,
        code: String,
        until: UnixSeconds,
        now: UnixSeconds,
    ) -> Result<bool> {
        self.write(GiveCode { id, person, code, until, now }).await
    }

    /// The person said no, or what they brought is not enough: it is over. `false` if it was.
    pub async fn end_self_sign_in(&self, id: String, now: UnixSeconds) -> Result<bool> {
        self.write(EndSignIn { id, now }).await
    }

    /// What a code stands for, while it can be redeemed. A code that was redeemed before ends what came of it: somebody
    /// has it who should not (RFC 6749 section 4.1.2).
    pub async fn redeem_self_code(&self, code: String, client: String, now: UnixSeconds) -> Result<Option<SelfCode>> {
        self.write(RedeemCode { code, client, now }).await
    }

    /// Begins a session for an occasion; `false` if there was one for it, if a card of the person was locked as lost or stolen
    /// since they signed in or presented, or if they presented one and have none in force any more. The audit lines are about
    /// the person's records.
    pub async fn begin_self_session(&self, session: SelfSession, records: Vec<Handle>) -> Result<bool> {
        self.write(BeginSession { session, records }).await
    }

    /// A session that lives, by the hash of its token.
    pub async fn self_session(&self, id: &str, now: UnixSeconds) -> Result<Option<SelfSession>, Fault> {
        let row = sqlx::query(
            "SELECT id, person, way, client, occasion, signed_in_at, created_at, expires_at \
             FROM self_service_sessions WHERE id = $1 AND expires_at > $2",
        )
        .bind(id)
        .bind(now)
        .fetch_optional(self.readers())
        .await
        .map_err(failed("reading a session"))?;
        row.as_ref().map(session).transpose()
    }

    /// Ends one session.
    pub async fn end_self_session(&self, id: String) -> Result<()> {
        self.write(EndSession { id }).await
    }

    /// Ends every session of a person but one, and every code that could still become one: a device is in other hands.
    pub async fn end_self_sessions_of(&self, person: &PersonalNumber, but: String, at: UnixSeconds) -> Result<()> {
        self.write(EndSessionsOf { person: person.clone(), but, at }).await
    }
}

/// A line of the audit table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLine {
    /// Its number.
    pub seq: i64,
    /// When.
    pub at: UnixSeconds,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// Of which thing.
    pub subject: String,
    /// Codes and counts.
    pub detail: String,
}

impl Store {
    /// The holder locks a card, or gives back one that they locked themselves and nobody else. One that is locked already
    /// stays so for the reason that they give.
    pub async fn hold_card(&self, card: Handle, step: Step, reason: Reason, at: UnixSeconds) -> Result<Moved> {
        self.write(HoldCard { card, step, reason, at }).await
    }

    /// Whether a card is locked by its holder.
    pub async fn is_held(&self, card: &Handle) -> Result<bool, Fault> {
        let row = sqlx::query("SELECT COUNT(*) FROM cards WHERE handle = $1 AND state = 'locked' AND hold = $2")
            .bind(card.as_str())
            .bind(HOLDER)
            .fetch_one(self.readers())
            .await
            .map_err(failed("reading a card"))?;
        Ok(row.try_get::<i64, _>(0).map_err(failed("reading a card"))? == 1)
    }

    /// What the audit table says about these things, newest first, before the line `before`; without the lines of `actor`
    /// about `action`.
    pub async fn audit_about(
        &self,
        subjects: &[String],
        before: i64,
        (actor, action): (&str, &str),
        limit: i64,
    ) -> Result<Vec<AuditLine>, Fault> {
        if subjects.is_empty() {
            return Ok(Vec::new());
        }
        let doing = "reading the audit table";
        let places = (5..5 + subjects.len()).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ");
        let statement = format!(
            "SELECT seq, at, actor, action, subject, detail FROM audit WHERE seq < $1 \
             AND NOT (actor = $2 AND action = $3) AND subject IN ({places}) ORDER BY seq DESC LIMIT $4"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(before).bind(actor).bind(action).bind(limit);
        let query = subjects.iter().fold(query, sqlx::query::Query::bind);
        let rows = query.fetch_all(self.readers()).await.map_err(failed(doing))?;
        let line = |row: &AnyRow| -> Result<_, sqlx::Error> {
            Ok(AuditLine {
                seq: row.try_get(0)?,
                at: row.try_get(1)?,
                actor: row.try_get(2)?,
                action: row.try_get(3)?,
                subject: row.try_get(4)?,
                detail: row.try_get(5)?,
            })
        };
        rows.iter().map(line).collect::<Result<_, _>>().map_err(failed(doing))
    }
}

fn session(row: &AnyRow) -> Result<SelfSession, Fault> {
    let doing = "reading a session";
    let text = |column: &str| row.try_get::<String, _>(column).map_err(failed(doing));
    let number = |column: &str| row.try_get::<i64, _>(column).map_err(failed(doing));
    Ok(SelfSession {
        id: text("id")?,
        person: person(&text("person")?)?,
        by_card: text("way")? == "card",
        client: text("client")?,
        occasion: text("occasion")?,
        signed_in_at: number("signed_in_at")?,
        created_at: number("created_at")?,
        expires_at: number("expires_at")?,
    })
}

fn person(text: &str) -> Result<PersonalNumber, Fault> {
    PersonalNumber::parse(text).ok_or_else(|| Fault::new("reading a person's number", "it is malformed"))
}

impl Change for NewSelfSignIn {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        sqlx::query(
            "INSERT INTO self_service_sign_ins \
             (id, client, redirect_uri, client_state, code_challenge, browser, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(&self.id)
        .bind(&self.client)
        .bind(&self.redirect_uri)
        .bind(&self.client_state)
        .bind(&self.code_challenge)
        .bind(&self.browser)
        .bind(self.created_at)
        .bind(self.expires_at)
        .execute(&mut **transaction)
        .await
        .map_err(failed("keeping a sign-in"))?;
        Ok(())
    }
}

struct GiveCode {
    id: String,
    person: PersonalNumber,
    code: String,
    until: UnixSeconds,
    now: UnixSeconds,
}

impl Change for GiveCode {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let given = sqlx::query(
            "UPDATE self_service_sign_ins SET person = $2, code = $3, expires_at = $4, signed_in_at = $5 \
             WHERE id = $1 AND expires_at > $5 AND ended_at IS NULL AND person IS NULL",
        )
        .bind(&self.id)
        .bind(self.person.expose())
        .bind(&self.code)
        .bind(self.until)
        .bind(self.now)
        .execute(&mut **transaction)
        .await
        .map_err(failed("noting a sign-in"))?;
        Ok(given.rows_affected() == 1)
    }
}

struct EndSignIn {
    id: String,
    now: UnixSeconds,
}

impl Change for EndSignIn {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let ended = sqlx::query(
            "UPDATE self_service_sign_ins SET ended_at = $2 \
             WHERE id = $1 AND expires_at > $2 AND ended_at IS NULL AND person IS NULL",
        )
        .bind(&self.id)
        .bind(self.now)
        .execute(&mut **transaction)
        .await
        .map_err(failed("ending a sign-in"))?;
        Ok(ended.rows_affected() == 1)
    }
}

struct RedeemCode {
    code: String,
    client: String,
    now: UnixSeconds,
}

impl Change for RedeemCode {
    type Done = Option<SelfCode>;

    fn order(&self) -> &str {
        &self.code
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Option<SelfCode>> {
        let doing = "redeeming a code";
        let row = sqlx::query(
            "UPDATE self_service_sign_ins SET ended_at = $3 \
             WHERE code = $1 AND client = $2 AND expires_at > $3 AND ended_at IS NULL \
             RETURNING id, client, redirect_uri, code_challenge, person, signed_in_at",
        )
        .bind(&self.code)
        .bind(&self.client)
        .bind(self.now)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed(doing))?;
        let Some(row) = row else {
            sqlx::query(
                "DELETE FROM self_service_sessions WHERE occasion IN \
                 (SELECT id FROM self_service_sign_ins WHERE code = $1 AND ended_at IS NOT NULL)",
            )
            .bind(&self.code)
            .execute(&mut **transaction)
            .await
            .map_err(failed(doing))?;
            return Ok(None);
        };
        let text = |column: &str| row.try_get::<String, _>(column).map_err(failed(doing));
        Ok(Some(SelfCode {
            sign_in: text("id")?,
            client: text("client")?,
            redirect_uri: text("redirect_uri")?,
            code_challenge: text("code_challenge")?,
            person: person(&text("person")?)?,
            signed_in_at: row.try_get("signed_in_at").map_err(failed(doing))?,
        }))
    }
}

struct BeginSession {
    session: SelfSession,
    records: Vec<Handle>,
}

impl Change for BeginSession {
    type Done = bool;

    fn order(&self) -> &str {
        self.session.person.expose()
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let SelfSession { id, person, by_card, client, occasion, signed_in_at, created_at, expires_at } = &self.session;
        let way = if *by_card { "card" } else { "sign_in" };
        hold(transaction, person, *created_at).await?;
        let begun = sqlx::query(
            "INSERT INTO self_service_sessions (id, person, way, client, occasion, signed_in_at, created_at, expires_at) \
             SELECT $1, $2, $3, $4, $5, $6, $7, $8 WHERE NOT EXISTS (SELECT 1 FROM cards WHERE cards.person = $2 \
             AND cards.state = 'locked' AND cards.state_reason IN ('lost', 'stolen') AND cards.state_at > $6) \
             AND ($3 <> 'card' OR EXISTS (SELECT 1 FROM cards WHERE cards.person = $2 AND cards.state = 'active' \
             AND cards.valid_until > $7)) ON CONFLICT (occasion) DO NOTHING",
        )
        .bind(id)
        .bind(person.expose())
        .bind(way)
        .bind(client)
        .bind(occasion)
        .bind(signed_in_at)
        .bind(created_at)
        .bind(expires_at)
        .execute(&mut **transaction)
        .await
        .map_err(failed("beginning a session"))?;
        if begun.rows_affected() == 0 {
            return Ok(false);
        }
        for record in &self.records {
            transaction.note(Line {
                at: *created_at,
                actor: HOLDER.to_owned(),
                action: "self_service.begun",
                subject: record.to_string(),
                detail: way.to_owned(),
            });
        }
        Ok(true)
    }
}

struct EndSession {
    id: String,
}

impl Change for EndSession {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let ended = sqlx::query("DELETE FROM self_service_sessions WHERE id = $1").bind(&self.id);
        ended.execute(&mut **transaction).await.map_err(failed("ending a session"))?;
        Ok(())
    }
}

struct EndSessionsOf {
    person: PersonalNumber,
    but: String,
    at: UnixSeconds,
}

impl Change for EndSessionsOf {
    type Done = ();

    fn order(&self) -> &str {
        self.person.expose()
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let doing = failed("ending sessions");
        // Who is about to begin one has begun it, or will find the card locked.
        hold(transaction, &self.person, self.at).await?;
        sqlx::query("DELETE FROM self_service_sessions WHERE person = $1 AND id <> $2")
            .bind(self.person.expose())
            .bind(&self.but)
            .execute(&mut **transaction)
            .await
            .map_err(&doing)?;
        sqlx::query("UPDATE self_service_sign_ins SET ended_at = $2 WHERE person = $1 AND ended_at IS NULL")
            .bind(self.person.expose())
            .bind(self.at)
            .execute(&mut **transaction)
            .await
            .map_err(&doing)?;
        Ok(())
    }
}

struct HoldCard {
    card: Handle,
    step: Step,
    reason: Reason,
    at: UnixSeconds,
}

impl Change for HoldCard {
    type Done = Moved;
    const MOVES_CARDS: bool = true;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Moved> {
        let by = By::Facts { hold: HOLDER, because: "by the holder" };
        let wanted = Move { step: self.step, reason: self.reason, actor: HOLDER, at: self.at, by };
        let selector = Selector::Card(self.card.clone());
        let moved = move_all(transaction, &selector, &wanted).await?;
        if self.step == Step::Lock && moved.cards.is_empty() {
            report(transaction, &self.card, self.reason, self.at).await?;
        }
        Ok(moved)
    }
}
