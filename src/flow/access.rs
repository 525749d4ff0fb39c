//! Who calls: programs of `/api/v1`, authenticated by OAuth 2.0 client credentials with `private_key_jwt` (RFC 7523);
//! officers in a session of the unit office (`office.rs`); operators at the terminal.

use serde_json::Value;

use super::{Service, hash};
use crate::clock::UnixSeconds;
use crate::config::Client;
use crate::credential::PublicKey;
use crate::credential::jws::Jws;
use crate::error::{Fault, Refusal, Result};
use crate::model::officer::{Officer, OfficerState};
use crate::model::rights::{Role, rights};
use crate::model::unit::is_within;
use crate::protocol::oauth::{ClientAssertion, SCOPES, TokenResponse};

/// How far a client's clock may be ahead, and how far its assertion's end.
const MAX_AHEAD_SECONDS: i64 = 60;
const MAX_ASSERTION_SECONDS: i64 = 600;

/// A program that was authenticated, an officer at work, or an operator at the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its name, the actor of audit lines.
    pub name: String,
    scopes: Vec<String>,
    units: Option<Vec<String>>,
    standing: Standing,
}

/// What a caller is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    Program,
    Terminal,
    Officer(Seat),
}

/// What is known of an officer who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pub role: Role,
    /// The keyed hash of their own personal number.
    pub person: Option<String>,
    /// Scopes that they have, but not before they sign in again.
    pub takes_sign_in: Vec<String>,
    /// How long ago that may be.
    pub max_age_seconds: i64,
}

impl Caller {
    /// An operator at the terminal of the server: everything, under this name.
    pub fn operator(name: impl Into<String>) -> Self {
        let scopes = SCOPES.map(str::to_owned).to_vec();
        Self { name: name.into(), scopes, units: None, standing: Standing::Terminal }
    }

    /// An officer at work.
    pub(super) fn officer(officer: &Officer, scopes: Vec<String>, seat: Seat) -> Self {
        Self { name: officer.id.to_string(), scopes, units: officer.units(), standing: Standing::Officer(seat) }
    }

    /// Refuses a caller without the scope, and an officer who has to sign in again for it.
    pub fn needs(&self, scope: &'static str) -> Result<(), Refusal> {
        if !self.scopes.iter().any(|own| own == scope) {
            return Err(Refusal::MissingScope(scope));
        }
        self.is_recent_for(scope)
    }

    /// Refuses an officer who has to sign in again for what the scope allows, also when the right to it is lent to them.
    pub(super) fn is_recent_for(&self, scope: &str) -> Result<(), Refusal> {
        match &self.standing {
            Standing::Officer(seat) if seat.takes_sign_in.iter().any(|own| own == scope) => {
                Err(Refusal::SignInTooOld { max_age_seconds: seat.max_age_seconds })
            }
            _ => Ok(()),
        }
    }

    /// The scopes.
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Whether this is a person in a unit's office.
    pub fn is_officer(&self) -> bool {
        self.role().is_some()
    }

    /// Whether this is an operator at the terminal of the server.
    pub(super) fn is_operator(&self) -> bool {
        self.standing == Standing::Terminal
    }

    /// An officer's role.
    pub fn role(&self) -> Option<Role> {
        self.seat().map(|seat| seat.role)
    }

    /// An officer's own personal number as [`Service::person_key`] hides it, if it is known.
    pub fn person(&self) -> Option<&str> {
        self.seat().and_then(|seat| seat.person.as_deref())
    }

    fn seat(&self) -> Option<&Seat> {
        match &self.standing {
            Standing::Officer(seat) => Some(seat),
            Standing::Program | Standing::Terminal => None,
        }
    }

    /// Refuses a caller that may not act for the unit: one of its own units, or below one.
    pub fn may_touch(&self, unit: &str) -> Result<(), Refusal> {
        if self.sees(unit) { Ok(()) } else { Err(Refusal::ForeignUnit) }
    }

    /// The units that the caller is limited to; `None` is the whole nation.
    pub(super) fn units(&self) -> Option<&[String]> {
        self.units.as_deref()
    }

    /// Whether the caller may see things of the unit.
    pub fn sees(&self, unit: &str) -> bool {
        self.units.as_ref().is_none_or(|own| own.iter().any(|own| is_within(unit, own)))
    }
}

impl Service {
    /// The caller that a token of `/api/v1` stands for.
    pub async fn caller(&self, token: &str) -> Result<Caller> {
        let found = self.store.api_token(&hash(&[token.as_bytes()]), self.clock.now()).await?;
        let (name, scopes) = found.ok_or(Refusal::InvalidToken)?;
        // A client that was taken out of the configuration, or out of a scope, loses it at once.
        let client = self.config.client(&name).ok_or(Refusal::InvalidToken)?;
        let scopes = scopes.split(' ').filter(|scope| client.scopes.iter().any(|own| own == scope));
        let (scopes, units) = (scopes.map(str::to_owned).collect(), client.units.clone());
        Ok(Caller { name, scopes, units, standing: Standing::Program })
    }

    /// Who may act under this name, with all that they may do now: an active officer, or a registered program.
    pub(super) async fn caller_named(&self, name: &str) -> Result<Option<Caller>> {
        if let Some(officer) = self.officer(name).await? {
            let is_active = officer.state_at(self.clock.now()) == OfficerState::Active;
            let person = officer.person.clone();
            let seat = Seat { role: officer.role, person, takes_sign_in: Vec::new(), max_age_seconds: 0 };
            let scopes = rights().scopes_of(officer.role).to_vec();
            return Ok(is_active.then(|| Caller::officer(&officer, scopes, seat)));
        }
        Ok(self.config.client(name).map(|client| Caller {
            name: client.name.clone(),
            scopes: client.scopes.clone(),
            units: client.units.clone(),
            standing: Standing::Program,
        }))
    }

    /// The token endpoint for client credentials. Returns the token response.
    pub async fn client_token(&self, client: &ClientAssertion, scopes: &[String]) -> Result<Value> {
        let client =
            self.assert(client, |name| self.config.client(name).and_then(|own| Some((own, own.jwks.as_ref()?))));
        let client = client.await?;
        self.limit_client(&client.name)?;
        let (token, scope) = self.give_token(client, scopes, self.config.limits.api_token_ttl_seconds).await?;
        let expires_in = self.config.limits.api_token_ttl_seconds;
        Ok(TokenResponse { token: &token, expires_in, scope: Some(&scope), ..TokenResponse::default() }.to_json())
    }

    /// Who made an assertion, which is thereby used. `registered` finds a client and its JWK Set by name.
    pub(super) async fn assert<'a, T>(
        &self,
        assertion: &ClientAssertion,
        registered: impl Fn(&str) -> Option<(T, &'a Value)>,
    ) -> Result<T> {
        let now = self.clock.now();
        let invalid = Refusal::InvalidClient;
        let client_id = assertion.client_id.as_deref();
        let jws = Jws::parse_any_type(&assertion.jwt).map_err(|_| invalid("client_assertion is not a signed JWT"))?;
        let name = jws.claimed("sub").and_then(Value::as_str).unwrap_or_default().to_owned();
        if client_id.is_some_and(|client_id| client_id != name) {
            return Err(invalid("client_id is not the subject of the assertion").into());
        }
        let (client, keys) = registered(&name).ok_or(invalid("the client is not registered"))?;
        let payload = jws
            .verify_by_one(&keys_of(keys).unwrap_or_default())
            .map_err(|_| invalid("no registered key of the client signed the assertion"))?;
        let text = |member: &str| payload.get(member).and_then(Value::as_str);
        let number = |member: &str| payload.get(member).and_then(Value::as_i64);
        if text("iss") != Some(&name) {
            return Err(invalid("iss of the assertion is not the client").into());
        }
        // RFC 7523bis: the audience is the issuer identifier alone; anything else could have been meant for others.
        if text("aud") != Some(&self.config.public_url) {
            return Err(invalid("aud of the assertion must be the issuer identifier, as a single string").into());
        }
        let expires_at = number("exp").ok_or(invalid("exp of the assertion is missing"))?;
        let too_early = |member| number(member).is_some_and(|at| at > now + MAX_AHEAD_SECONDS);
        if expires_at <= now || expires_at > now + MAX_ASSERTION_SECONDS || too_early("nbf") || too_early("iat") {
            return Err(invalid("the assertion is expired, too early or lives longer than 10 minutes").into());
        }
        let jti = text("jti").filter(|jti| !jti.is_empty() && jti.len() <= 256);
        let jti = jti.ok_or(invalid("jti of the assertion is missing or too long"))?;
        if !self.store.use_once(hash(&[name.as_bytes(), jti.as_bytes()]), expires_at + MAX_ASSERTION_SECONDS).await? {
            return Err(invalid("the assertion was used before").into());
        }
        Ok(client)
    }

    /// A token for a registered client, made by an operator: for curl.
    pub async fn mint_token(&self, client: &str, ttl_seconds: i64) -> Result<String> {
        let client = self.config.client(client).ok_or(Refusal::NotFound("client"))?;
        Ok(self.give_token(client, &[], ttl_seconds).await?.0)
    }

    async fn give_token(&self, client: &Client, asked: &[String], ttl_seconds: i64) -> Result<(String, String)> {
        if asked.iter().any(|scope| !client.scopes.contains(scope)) {
            return Err(Refusal::InvalidScope.into());
        }
        let scope = if asked.is_empty() { client.scopes.join(" ") } else { asked.join(" ") };
        let (token, hash) = self.random_token();
        let now: UnixSeconds = self.clock.now();
        self.store.keep_api_token(hash, client.name.clone(), scope.clone(), now + ttl_seconds, now).await?;
        Ok((token, scope))
    }

    /// Checks that every configured client and wallet can be used: known scopes, readable keys.
    pub fn check_clients(&self) -> Result<(), Fault> {
        let wrong = |name: &str, what: &str| Fault::new("checking the configuration", format!("client {name}: {what}"));
        for client in &self.config.clients {
            if let Some(unknown) = client.scopes.iter().find(|scope| !SCOPES.contains(&scope.as_str())) {
                return Err(wrong(&client.name, &format!("unknown scope {unknown}")));
            }
        }
        let keys = self.config.clients.iter().map(|client| (&client.name, &client.jwks));
        let keys = keys.chain(self.config.wallets.iter().map(|wallet| (&wallet.client_id, &wallet.jwks)));
        if let Some(unknown) = self.step_up_scopes().iter().find(|scope| !SCOPES.contains(&scope.as_str())) {
            return Err(wrong("of the office", &format!("step_up_scopes: unknown scope {unknown}")));
        }
        for (name, jwks) in keys {
            if jwks.as_ref().is_some_and(|jwks| keys_of(jwks).is_none()) {
                return Err(wrong(name, "jwks is not a JWK Set of public P-256 or Ed25519 keys"));
            }
        }
        Ok(())
    }
}

fn keys_of(jwks: &Value) -> Option<Vec<PublicKey>> {
    let keys = jwks.get("keys")?.as_array()?;
    keys.iter().map(|key| PublicKey::from_jwk(key).ok()).collect()
}
