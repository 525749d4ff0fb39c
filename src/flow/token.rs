//! The token endpoint: an offer, the code of a completed authorization, or a refresh token becomes an access token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::wallet::{DpopHeader, WalletClient};
use super::{Service, hash};
use crate::clock::{DAY_SECONDS, UnixSeconds};
use crate::credential::dpop::DpopProof;
use crate::credential::wallet_token::Kind;
use crate::error::{Fault, Refusal, Result};
use crate::protocol::oauth::{ClientProof, TokenRequest, TokenResponse};
use crate::protocol::oid4vci::Configuration;
use crate::store::{Holder, NewGrant, Redemption};

/// Where this story lives, below the public URL.
pub(super) const ENDPOINT: &str = "/token";
/// Lengths of a PKCE verifier (RFC 7636 section 4.1).
const VERIFIER: std::ops::RangeInclusive<usize> = 43..=128;

/// A grant as a token answer tells of it.
struct Given<'a> {
    grant: &'a str,
    configurations: &'a str,
    by_details: bool,
    /// What the access token is bound to.
    key: Option<[u8; 32]>,
    /// What the refresh token is bound to, and when it ends; none for a wallet that is nobody.
    refresh_until: Option<UnixSeconds>,
}

impl Service {
    /// The token endpoint.
    pub async fn token(&self, request: TokenRequest, dpop: &DpopHeader) -> Result<Value> {
        match request {
            TokenRequest::ClientCredentials { client, scopes } => self.client_token(&client, &scopes).await,
            TokenRequest::PreAuthorized { code, tx_code, details, client } => {
                let proof = self.dpop_proof(dpop, ENDPOINT, None)?;
                let client = self.wallet_client(&client).await?;
                self.redeem_offer(&code, tx_code.as_deref(), details, client, proof).await
            }
            TokenRequest::AuthorizationCode { code, redirect_uri, code_verifier, client } => {
                let proof = self.dpop_proof(dpop, ENDPOINT, None)?;
                let client = self.wallet_client(&client).await?.ok_or(NOT_AUTHENTICATED)?;
                self.redeem_code(&code, &redirect_uri, &code_verifier, client, proof).await
            }
            TokenRequest::Refresh { token, client } => {
                let proof = self.dpop_proof(dpop, ENDPOINT, None)?;
                self.refresh(&token, &client, proof).await
            }
        }
    }

    async fn redeem_offer(
        &self,
        code: &str,
        tx_code: Option<&str>,
        details: Option<Vec<Configuration>>,
        client: Option<WalletClient<'_>>,
        proof: Option<DpopProof>,
    ) -> Result<Value> {
        if client.is_none() && !self.config.anonymous_wallets {
            return Err(NOT_AUTHENTICATED.into());
        }
        let offer = self.offer_of_code(code).ok_or(Refusal::InvalidGrant("the pre-authorized code is unknown"))?;
        let key = self.use_proof(proof).await?;
        let tx_code = tx_code.ok_or(Refusal::InvalidTokenRequest("tx_code is missing"))?;
        let right_tx_code = bool::from(self.tx_code_of(offer).as_bytes().ct_eq(tx_code.as_bytes()));
        let now = self.clock.now();
        let holder = match &client {
            Some(client) => client.holder(),
            None => Holder { dpop_key: key.map(|key| URL_SAFE_NO_PAD.encode(key)), ..Holder::default() },
        };
        let can_refresh = client.is_some() || key.is_some();
        let (grant, by_details) = (self.random_name(), details.is_some());
        let expires_at = now + self.config.limits.refresh_ttl_days * DAY_SECONDS;
        let redemption = Redemption {
            offer: offer.to_owned(),
            right_tx_code,
            grant: grant.clone(),
            holder,
            token_key: key.map(|key| URL_SAFE_NO_PAD.encode(key)),
            details: details.map(|details| details.into_iter().map(Configuration::id).collect()),
            expires_at,
            max_attempts: self.config.limits.tx_code_attempts,
            at: now,
        };
        let configurations = self.store.redeem_offer(redemption).await?;
        if !right_tx_code {
            return Err(Refusal::InvalidGrant("the transaction code is wrong").into());
        }
        let refresh_until = can_refresh.then_some(expires_at);
        Ok(self.answer(&Given { grant: &grant, configurations: &configurations, by_details, key, refresh_until })?)
    }

    async fn redeem_code(
        &self,
        code: &str,
        redirect_uri: &str,
        code_verifier: &str,
        client: WalletClient<'_>,
        proof: Option<DpopProof>,
    ) -> Result<Value> {
        let key = self.use_proof(proof).await?.ok_or(Refusal::InvalidDpopProof("a DPoP proof is required"))?;
        let unknown = || Refusal::InvalidGrant("the code is unknown, expired, used, or of another client");
        let code = hash(&[code.as_bytes()]);
        let coded = self.store.coded(&code).await?.ok_or_else(unknown)?;
        let request = &coded.request;
        if request.client != client.wallet.client_id || request.instance_key != client.instance_key {
            return Err(unknown().into());
        }
        let now = self.clock.now();
        if let Some(grant) = coded.grant {
            // Somebody has the code who should not: nothing that came of it stays good (RFC 6749 section 4.1.2).
            self.store.revoke_grant(grant, client.wallet.client_id.clone(), now).await?;
            return Err(unknown().into());
        }
        if request.redirect_uri != redirect_uri {
            return Err(Refusal::InvalidGrant("redirect_uri is not that of the pushed request").into());
        }
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(code_verifier));
        let fits = VERIFIER.contains(&code_verifier.len())
            && bool::from(challenge.as_bytes().ct_eq(request.code_challenge.as_bytes()));
        if !fits {
            return Err(Refusal::InvalidGrant("code_verifier does not fit the code_challenge").into());
        }
        if request.dpop_key.as_ref().is_some_and(|bound| *bound != URL_SAFE_NO_PAD.encode(key)) {
            return Err(Refusal::InvalidDpopProof("the code is bound to another DPoP key").into());
        }
        let expires_at = now + self.config.limits.refresh_ttl_days * DAY_SECONDS;
        let grant = NewGrant {
            id: self.random_name(),
            record: coded.record,
            person: coded.person.ok_or_else(unknown)?,
            card: coded.card,
            holder: client.holder(),
            token_key: Some(URL_SAFE_NO_PAD.encode(key)),
            configurations: request.configurations.clone(),
            by_details: request.by_details,
            offer: request.offer.clone(),
            created_at: now,
            expires_at,
        };
        if !self.store.redeem_code(code.clone(), grant.clone()).await? {
            // Another was faster: as if we had come after it.
            if let Some(grant) = self.store.coded(&code).await?.and_then(|coded| coded.grant) {
                self.store.revoke_grant(grant, client.wallet.client_id.clone(), now).await?;
            }
            return Err(unknown().into());
        }
        Ok(self.answer(&Given {
            grant: &grant.id,
            configurations: &grant.configurations,
            by_details: grant.by_details,
            key: Some(key),
            refresh_until: Some(expires_at),
        })?)
    }

    /// A new access token for a grant. The refresh token stays the same: it is bound to the wallet's instance, or to the
    /// DPoP key of a wallet that does not authenticate itself, so that a copy is worth nothing.
    async fn refresh(&self, token: &str, client: &ClientProof, proof: Option<DpopProof>) -> Result<Value> {
        let unknown = || Refusal::InvalidGrant("the refresh token is unknown, expired, revoked, or of another wallet");
        let client = self.wallet_client(client).await?;
        let read = self.wallet_tokens.read(Kind::Refresh, token, self.clock.now()).ok_or_else(unknown)?;
        let key = self.use_proof(proof).await?.ok_or(Refusal::InvalidDpopProof("a DPoP proof is required"))?;
        let grant = self.store.grant(&read.grant, self.clock.now()).await?.ok_or_else(unknown)?;
        let is_holder = match (&client, &grant.holder) {
            (Some(client), holder) => client.holder() == *holder,
            (None, Holder { client: Some(_), .. }) => return Err(NOT_AUTHENTICATED.into()),
            (None, _) if !self.config.anonymous_wallets => return Err(NOT_AUTHENTICATED.into()),
            (None, holder) => holder.dpop_key.as_ref().is_some_and(|bound| *bound == URL_SAFE_NO_PAD.encode(key)),
        };
        if !is_holder {
            return Err(unknown().into());
        }
        Ok(self.answer(&Given {
            grant: &grant.id,
            configurations: &grant.configurations,
            by_details: grant.by_details,
            key: Some(key),
            refresh_until: Some(grant.expires_at),
        })?)
    }

    fn answer(&self, given: &Given<'_>) -> Result<Value, Fault> {
        let (limits, now) = (&self.config.limits, self.clock.now());
        let expires_in =
            if given.key.is_some() { limits.dpop_token_ttl_seconds } else { limits.wallet_token_ttl_seconds };
        let unnamed = || Fault::new("giving a token", "the grant has no name of ours");
        let token = self.wallet_token(Kind::Access, given.grant, given.key, now + expires_in).ok_or_else(unnamed)?;
        let refresh_token = match given.refresh_until {
            Some(end) => Some(self.wallet_token(Kind::Refresh, given.grant, None, end).ok_or_else(unnamed)?),
            None => None,
        };
        let configurations = given.configurations.split(' ').filter_map(Configuration::parse);
        let identified =
            |configuration: Configuration| (configuration.id(), Self::identifier(given.grant, configuration));
        let response = TokenResponse {
            token: &token,
            is_bound: given.key.is_some(),
            expires_in,
            refresh_token: refresh_token.as_deref(),
            scope: (!given.by_details).then_some(given.configurations),
            details: given.by_details.then(|| configurations.map(identified).collect()),
        };
        Ok(response.to_json())
    }

    /// The credential identifier of a configuration: the same in every answer about one grant, another in every grant.
    pub(super) fn identifier(grant: &str, configuration: Configuration) -> String {
        format!("{}.{}", configuration.id(), &hash(&[b"credential identifier", grant.as_bytes()])[..16])
    }
}

const NOT_AUTHENTICATED: Refusal = Refusal::InvalidClient("the wallet must authenticate itself");
