//! Authorization requests on their way from the wallet through the browser and back. Every step is one conditional
//! statement: of two browsers, two decisions or two redemptions at once exactly one is served.

use sqlx::Row;

use super::grants::{self, NewGrant};
use super::{Change, Line, Store, Transaction, cards, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Result};
use crate::model::id::{Handle, PersonalNumber};
use crate::model::origin::HOLDER;

/// A pushed request.
#[derive(Clone, Debug, Default)]
pub struct NewAuthorization {
    /// SHA-256 of the random part of its `request_uri`.
    pub id: String,
    /// The wallet product.
    pub client: String,
    /// Where the browser goes afterwards.
    pub redirect_uri: String,
    /// Given back unchanged.
    pub state: Option<String>,
    /// The S256 challenge.
    pub code_challenge: String,
    /// Configuration identifiers, separated by spaces.
    pub configurations: String,
    /// Whether they were asked for by `authorization_details`.
    pub by_details: bool,
    /// Thumbprint of the DPoP key that the code is bound to.
    pub dpop_key: Option<String>,
    /// Thumbprint of the attested key of the wallet's instance.
    pub instance_key: Option<String>,
    /// The offer that it follows from.
    pub offer: Option<String>,
    /// Now.
    pub created_at: UnixSeconds,
    /// Until when a browser has to come.
    pub expires_at: UnixSeconds,
}

/// A request that is not over.
#[derive(Clone, Debug)]
pub struct Authorization {
    /// What was pushed.
    pub request: NewAuthorization,
    /// SHA-256 of the browser's cookie.
    pub browser: Option<String>,
    /// Who signed in.
    pub person: Option<PersonalNumber>,
}

/// What the code of a completed authorization stands for.
#[derive(Clone, Debug)]
pub struct Coded {
    /// What was pushed.
    pub request: NewAuthorization,
    /// The record that the person chose.
    pub record: Handle,
    /// Whose it is; forgotten some time after the code can no longer be redeemed.
    pub person: Option<PersonalNumber>,
    /// Its card; none while it is under review.
    pub card: Option<Handle>,
    /// The grant that it became.
    pub grant: Option<String>,
}

/// A person's yes.
#[derive(Clone, Debug)]
pub struct Approval {
    /// The request.
    pub id: String,
    /// SHA-256 of the browser's cookie.
    pub browser: String,
    /// The record.
    pub record: Handle,
    /// Its card; none while it is under review.
    pub card: Option<Handle>,
    /// SHA-256 of the code.
    pub code: String,
    /// Until when the code can be redeemed.
    pub code_expires_at: UnixSeconds,
    /// Now.
    pub at: UnixSeconds,
}

const COLUMNS: &str = "id, client, redirect_uri, state, code_challenge, configurations, by_details, dpop_key, \
    instance_key, offer, created_at, expires_at";

impl Store {
    /// Keeps a pushed request.
    pub async fn push_request(&self, request: NewAuthorization) -> Result<()> {
        self.write(request).await
    }

    /// A browser comes with a request: it is bound to that browser from now on, and may take `sign_in_seconds`, but not for
    /// ever by coming again and again. `false` if the request is unknown, over, decided, or of another client.
    pub async fn visit_request(
        &self,
        id: String,
        client: String,
        browser: String,
        sign_in_seconds: i64,
        now: UnixSeconds,
    ) -> Result<bool> {
        self.write(Visit { id, client, browser, sign_in_seconds, now }).await
    }

    /// A request that is not over and not decided.
    pub async fn authorization(&self, id: &str, now: UnixSeconds) -> Result<Option<Authorization>, Fault> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS}, browser, person FROM authorizations WHERE id = $1 AND expires_at > $2 AND ended_at IS NULL"
        )))
        .bind(id)
        .bind(now)
        .fetch_optional(self.readers())
        .await
        .map_err(failed("reading an authorization"))?;
        let Some(row) = row else { return Ok(None) };
        let optional =
            |column: &str| row.try_get::<Option<String>, _>(column).map_err(failed("reading an authorization"));
        Ok(Some(Authorization {
            request: request(&row)?,
            browser: optional("browser")?,
            person: optional("person")?.as_deref().and_then(PersonalNumber::parse),
        }))
    }

    /// Notes who signed in, in this browser. `false` if the request is over, went on in another one, or somebody else has
    /// signed in meanwhile.
    pub async fn note_sign_in(
        &self,
        id: String,
        browser: String,
        person: PersonalNumber,
        now: UnixSeconds,
    ) -> Result<bool> {
        self.write(SignedIn { id, browser, person, now }).await
    }

    /// Notes a person's yes, once.
    pub async fn approve(&self, approval: Approval) -> Result<bool> {
        self.write(approval).await
    }

    /// Notes that the request ended without a grant, once.
    pub async fn deny(&self, id: String, browser: String, reason: &'static str, now: UnixSeconds) -> Result<bool> {
        self.write(Deny { id, browser, reason, now }).await
    }

    /// What a code stands for, redeemed or not.
    pub async fn coded(&self, code: &str) -> Result<Option<Coded>, Fault> {
        let doing = failed("reading an authorization code");
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS}, record_id, person, card, grant_id FROM authorizations WHERE code = $1"
        )))
        .bind(code)
        .fetch_optional(self.readers())
        .await
        .map_err(&doing)?;
        let Some(row) = row else { return Ok(None) };
        let card: Option<String> = row.try_get("card").map_err(&doing)?;
        let person: Option<String> = row.try_get("person").map_err(&doing)?;
        Ok(Some(Coded {
            request: request(&row)?,
            record: cards::handle(&row, "record_id")?,
            card: card.as_deref().and_then(Handle::parse),
            person: person.as_deref().and_then(PersonalNumber::parse),
            grant: row.try_get("grant_id").map_err(&doing)?,
        }))
    }

    /// Turns a code into a grant, once.
    pub async fn redeem_code(&self, code: String, grant: NewGrant) -> Result<bool> {
        self.write(RedeemCode { code, grant }).await
    }
}

fn request(row: &sqlx::any::AnyRow) -> Result<NewAuthorization, Fault> {
    let doing = failed("reading an authorization");
    let text = |column: &str| row.try_get::<String, _>(column).map_err(&doing);
    let optional = |column: &str| row.try_get::<Option<String>, _>(column).map_err(&doing);
    let number = |column: &str| row.try_get::<i64, _>(column).map_err(&doing);
    Ok(NewAuthorization {
        id: text("id")?,
        client: text("client")?,
        redirect_uri: text("redirect_uri")?,
        state: optional("state")?,
        code_challenge: text("code_challenge")?,
        configurations: text("configurations")?,
        by_details: number("by_details")? != 0,
        dpop_key: optional("dpop_key")?,
        instance_key: optional("instance_key")?,
        offer: optional("offer")?,
        created_at: number("created_at")?,
        expires_at: number("expires_at")?,
    })
}

impl Change for NewAuthorization {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "INSERT INTO authorizations ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
        )))
        .bind(&self.id)
        .bind(&self.client)
        .bind(&self.redirect_uri)
        .bind(&self.state)
        .bind(&self.code_challenge)
        .bind(&self.configurations)
        .bind(i64::from(self.by_details))
        .bind(&self.dpop_key)
        .bind(&self.instance_key)
        .bind(&self.offer)
        .bind(self.created_at)
        .bind(self.expires_at)
        .execute(&mut **transaction)
        .await
        .map_err(failed("keeping a pushed request"))?;
        Ok(())
    }
}

struct Visit {
    id: String,
    client: String,
    browser: String,
    sign_in_seconds: i64,
    now: UnixSeconds,
}

impl Change for Visit {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let visited = sqlx::query(
            "UPDATE authorizations SET browser = $3, person = NULL, expires_at = CASE \
             WHEN $5 + $4 < created_at + 2 * $4 THEN $5 + $4 ELSE created_at + 2 * $4 END \
             WHERE id = $1 AND client = $2 AND expires_at > $5 AND ended_at IS NULL",
        )
        .bind(&self.id)
        .bind(&self.client)
        .bind(&self.browser)
        .bind(self.sign_in_seconds)
        .bind(self.now)
        .execute(&mut **transaction)
        .await
        .map_err(failed("visiting a pushed request"))?;
        Ok(visited.rows_affected() == 1)
    }
}

struct SignedIn {
    id: String,
    browser: String,
    person: PersonalNumber,
    now: UnixSeconds,
}

impl Change for SignedIn {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let noted = sqlx::query(
            "UPDATE authorizations SET person = $3 WHERE id = $1 AND browser = $2 AND expires_at > $4 \
             AND ended_at IS NULL AND (person IS NULL OR person = $3)",
        )
        .bind(&self.id)
        .bind(&self.browser)
        .bind(self.person.expose())
        .bind(self.now)
        .execute(&mut **transaction)
        .await
        .map_err(failed("noting a sign-in"))?;
        Ok(noted.rows_affected() == 1)
    }
}

impl Change for Approval {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let row = sqlx::query(
            "UPDATE authorizations SET record_id = $3, card = $4, code = $5, code_expires_at = $6, ended_at = $7 \
             WHERE id = $1 AND browser = $2 AND person IS NOT NULL AND expires_at > $7 AND ended_at IS NULL \
             RETURNING client",
        )
        .bind(&self.id)
        .bind(&self.browser)
        .bind(self.record.as_str())
        .bind(self.card.as_ref().map(Handle::as_str))
        .bind(&self.code)
        .bind(self.code_expires_at)
        .bind(self.at)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed("noting a consent"))?;
        let Some(row) = row else { return Ok(false) };
        let line = Line {
            at: self.at,
            actor: HOLDER.to_owned(),
            action: "authorization.approved",
            subject: self.card.as_ref().unwrap_or(&self.record).to_string(),
            detail: row.try_get("client").map_err(failed("noting a consent"))?,
        };
        transaction.note(line);
        Ok(true)
    }
}

struct Deny {
    id: String,
    browser: String,
    reason: &'static str,
    now: UnixSeconds,
}

impl Change for Deny {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let row = sqlx::query(
            "UPDATE authorizations SET ended_at = $3 \
             WHERE id = $1 AND browser = $2 AND expires_at > $3 AND ended_at IS NULL RETURNING client",
        )
        .bind(&self.id)
        .bind(&self.browser)
        .bind(self.now)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed("ending an authorization"))?;
        let Some(row) = row else { return Ok(false) };
        let line = Line {
            at: self.now,
            actor: HOLDER.to_owned(),
            action: "authorization.denied",
            subject: row.try_get("client").map_err(failed("ending an authorization"))?,
            detail: self.reason.to_owned(),
        };
        transaction.note(line);
        Ok(true)
    }
}

struct RedeemCode {
    code: String,
    grant: NewGrant,
}

impl Change for RedeemCode {
    type Done = bool;

    fn order(&self) -> &str {
        &self.code
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let grant = &self.grant;
        let redeemed = sqlx::query(
            "UPDATE authorizations SET redeemed_at = $2, grant_id = $3 \
             WHERE code = $1 AND redeemed_at IS NULL AND code_expires_at > $2",
        )
        .bind(&self.code)
        .bind(grant.created_at)
        .bind(&grant.id)
        .execute(&mut **transaction)
        .await
        .map_err(failed("redeeming an authorization code"))?;
        if redeemed.rows_affected() == 0 {
            return Ok(false);
        }
        grants::begin(transaction, grant).await?;
        let line = Line {
            at: grant.created_at,
            actor: "wallet".to_owned(),
            action: "grant.begun",
            subject: grant.card.as_ref().unwrap_or(&grant.record).to_string(),
            detail: grant.holder.client.clone().unwrap_or_default(),
        };
        transaction.note(line);
        Ok(true)
    }
}
