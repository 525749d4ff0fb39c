//! Which wallet calls: client authentication by attestation or `private_key_jwt`, DPoP proofs, and the grant that an access
//! token stands for.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::{Service, hash};
use crate::clock::UnixSeconds;
use crate::config::Wallet;
use crate::credential::client_attestation::{self, ClientAttestation};
use crate::credential::dpop::{self, DpopProof, Target};
use crate::credential::jws::Jws;
use crate::credential::wallet_token::{Kind, WalletToken};
use crate::error::{Refusal, Result};
use crate::protocol::oauth::{self, ClientProof};
use crate::store::{Grant, Holder};

/// The `DPoP` header of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DpopHeader {
    /// There is none.
    #[default]
    Absent,
    /// One proof.
    One(String),
    /// More than one, or no text.
    Unusable,
}

/// The access token of a request to the credential issuer, as the header `Authorization` gave it.
#[derive(Clone, Debug)]
pub struct WalletCall {
    /// Whether the scheme was `DPoP`; otherwise `Bearer`.
    pub is_bound: bool,
    /// The token.
    pub token: String,
    /// The proof.
    pub dpop: DpopHeader,
}

/// A wallet product that authenticated itself.
pub(super) struct WalletClient<'a> {
    pub(super) wallet: &'a Wallet,
    /// Thumbprint of the attested key of its instance.
    pub(super) instance_key: Option<String>,
}

impl WalletClient<'_> {
    /// As the holder of a grant.
    pub(super) fn holder(&self) -> Holder {
        let (client, instance_key) = (Some(self.wallet.client_id.clone()), self.instance_key.clone());
        Holder { client, instance_key, dpop_key: None }
    }
}

impl Service {
    /// A fresh DPoP nonce, for the header `DPoP-Nonce`.
    pub fn dpop_nonce(&self) -> String {
        self.dpop_nonces.issue(&self.chance, self.clock.now())
    }

    /// A fresh attestation challenge. It may be answered several times while it lives; the `jti` of an answer may not.
    pub fn challenge(&self) -> String {
        self.challenges.issue(&self.chance, self.clock.now())
    }

    /// Checks the DPoP proof of a request to one of our endpoints; `None` when there is none. Nothing is used up yet: a
    /// request whose proof lacks a nonce of ours can be sent again as it was, and a stranger cannot fill the memory of used
    /// proofs.
    pub(super) fn dpop_proof(
        &self,
        header: &DpopHeader,
        endpoint: &str,
        token: Option<&str>,
    ) -> Result<Option<DpopProof>, Refusal> {
        let jwt = match header {
            DpopHeader::Absent => return Ok(None),
            DpopHeader::One(jwt) => jwt,
            DpopHeader::Unusable => {
                return Err(Refusal::InvalidDpopProof("there must be one DPoP header of plain ASCII"));
            }
        };
        let now = self.clock.now();
        let url = format!("{}{endpoint}", self.config.public_url);
        let proof = DpopProof::verify(jwt, &Target { method: "POST", url: &url, token }, now)
            .map_err(|error| Refusal::InvalidDpopProof(error.0))?;
        let nonce = proof.nonce.as_deref();
        nonce.and_then(|nonce| self.dpop_nonces.check(nonce, now)).ok_or(Refusal::UseDpopNonce)?;
        Ok(Some(proof))
    }

    /// Uses a checked proof, once in whatever process, and gives its key.
    pub(super) async fn use_proof(&self, proof: Option<DpopProof>) -> Result<Option<[u8; 32]>> {
        let Some(proof) = proof else { return Ok(None) };
        let name = hash(&[b"DPoP", &proof.thumbprint, proof.id.as_bytes()]);
        let remembered = self.clock.now() + dpop::MAX_AGE_SECONDS + dpop::MAX_AHEAD_SECONDS;
        if self.store.use_once(name, remembered).await? {
            Ok(Some(proof.thumbprint))
        } else {
            Err(Refusal::InvalidDpopProof("the DPoP proof was used before").into())
        }
    }

    /// The registered wallet product that a request comes from; `None` when it does not authenticate itself.
    pub(super) async fn wallet_client(&self, proof: &ClientProof) -> Result<Option<WalletClient<'_>>> {
        let client = match proof {
            ClientProof::None { .. } => return Ok(None),
            ClientProof::Assertion(assertion) => {
                let registered = |name: &str| {
                    let wallet = self.config.wallet(name)?;
                    Some((wallet, wallet.jwks.as_ref()?))
                };
                WalletClient { wallet: self.assert(assertion, registered).await?, instance_key: None }
            }
            ClientProof::Attestation(attestation) => self.attested(attestation).await?,
        };
        self.limit_client(&client.wallet.client_id)?;
        Ok(Some(client))
    }

    async fn attested(&self, headers: &oauth::ClientAttestation) -> Result<WalletClient<'_>> {
        let now = self.clock.now();
        // The claimed name only chooses who may vouch for it.
        let claimed = Jws::parse_any_type(&headers.attestation).ok();
        let claimed = claimed.as_ref().and_then(|jws| jws.claimed("sub")).and_then(Value::as_str).unwrap_or_default();
        let proved = ClientAttestation::verify(
            &headers.attestation,
            &headers.possession,
            &self.attesters.of_wallet(claimed),
            &self.config.public_url,
            now,
        )
        .map_err(|error| {
            tracing::debug!(%error, "a client attestation was refused");
            Refusal::InvalidClient("the client attestation or its proof of possession is not accepted")
        })?;
        if headers.client_id.as_ref().is_some_and(|client_id| *client_id != proved.client_id) {
            return Err(Refusal::InvalidClient("client_id is not the subject of the attestation").into());
        }
        let wallet = self.config.wallet(&proved.client_id);
        let wallet = wallet.ok_or(Refusal::InvalidClient("the client is not registered"))?;
        let challenge = proved.challenge.as_deref();
        challenge
            .and_then(|challenge| self.challenges.check(challenge, now))
            .ok_or(Refusal::UseAttestationChallenge)?;
        let instance_key = URL_SAFE_NO_PAD.encode(proved.instance_key.thumbprint());
        let name = hash(&[b"attestation PoP", instance_key.as_bytes(), proved.pop_jti.as_bytes()]);
        // The challenge that it answers dies before the memory of it does.
        let remembered = now + client_attestation::MAX_POP_AGE_SECONDS + dpop::MAX_AHEAD_SECONDS;
        if !self.store.use_once(name, remembered).await? {
            return Err(Refusal::InvalidClient("the attestation's proof of possession was used before").into());
        }
        self.attestation_in_force(&proved.standing, now).await.map_err(|why| Refusal::InvalidClient(why.sentence()))?;
        Ok(WalletClient { wallet, instance_key: Some(instance_key) })
    }

    /// The grant that a request to `endpoint` may use.
    pub(super) async fn called(&self, call: &WalletCall, endpoint: &str) -> Result<Grant> {
        let now = self.clock.now();
        let token = self.wallet_tokens.read(Kind::Access, &call.token, now).ok_or(Refusal::InvalidToken)?;
        match (token.key, call.is_bound) {
            (Some(key), true) => {
                let proof = self.dpop_proof(&call.dpop, endpoint, Some(&call.token))?;
                let proof = proof.ok_or(Refusal::InvalidDpopProof("a DPoP proof is required"))?;
                if proof.thumbprint != key {
                    return Err(Refusal::InvalidToken.into());
                }
                self.use_proof(Some(proof)).await?;
            }
            (None, false) => {}
            // A bound token without its proof is as good as stolen (RFC 9449 section 7.1).
            (Some(_), false) | (None, true) => return Err(Refusal::InvalidToken.into()),
        }
        let grant = self.store.grant(&token.grant, now).await?.ok_or(Refusal::InvalidToken)?;
        // Who was taken out of the configuration loses their tokens at once.
        let is_known = match &grant.holder.client {
            Some(client) => self.config.wallet(client).is_some(),
            None => self.config.anonymous_wallets,
        };
        if is_known { Ok(grant) } else { Err(Refusal::InvalidToken.into()) }
    }

    /// A token for a grant.
    pub(super) fn wallet_token(
        &self,
        kind: Kind,
        grant: &str,
        key: Option<[u8; 32]>,
        expires_at: UnixSeconds,
    ) -> Option<String> {
        self.wallet_tokens.issue(kind, &WalletToken { grant: grant.to_owned(), expires_at, key }, &self.chance)
    }
}
