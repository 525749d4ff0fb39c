//! Wallet attestations (OpenID4VCI 1.0 appendix E; OAuth 2.0 Attestation-Based Client Authentication): the wallet provider
//! vouches for one instance of its wallet, and the instance proves with its key that the attestation is its own.
//!
//! The shape is that of draft -07, which OpenID4VCI 1.0 pins. Later drafts dropped `iss` from both JWTs: it may be absent,
//! and who signed the attestation is known by the certificate chain alone; its `iss` is not compared with anything.

use serde_json::Value;

use super::attestation::{AttestationError, Standing, Times};
use super::jws::Jws;
use super::key::PublicKey;
use super::x509::Anchors;
use crate::clock::UnixSeconds;

/// `typ` of the attestation.
pub const TYPE: &str = "oauth-client-attestation+jwt";
/// `typ` of the proof of possession.
pub const POP_TYPE: &str = "oauth-client-attestation-pop+jwt";
/// How old a proof of possession may be, in seconds; a `jti` has to be remembered for so long, and for
/// [`super::attestation::MAX_AHEAD_SECONDS`] more.
pub const MAX_POP_AGE_SECONDS: i64 = 300;
/// The longest `sub`, `jti` and `challenge`, in bytes.
pub const MAX_TEXT_LENGTH: usize = 512;

/// A wallet instance that has proved itself. That [`ClientAttestation::pop_jti`] is new and
/// [`ClientAttestation::challenge`] ours is still to be checked.
#[derive(Clone, Debug)]
pub struct ClientAttestation {
    /// `sub`: the wallet product, the same for all its instances.
    pub client_id: String,
    /// `cnf.jwk`: the key of this instance, to which refresh tokens are bound.
    pub instance_key: PublicKey,
    /// `jti` of the proof of possession, which may be used once.
    pub pop_jti: String,
    /// The challenge that the proof of possession answers.
    pub challenge: Option<String>,
    /// Who vouches for it, and where its status stands.
    pub standing: Standing,
}

impl ClientAttestation {
    /// Checks the two JWTs of a request to the authorization server with the identifier `audience`. The attestation must
    /// be signed by one of the attesters of `anchors`, the proof of possession by the key that the attestation names.
    pub fn verify(
        attestation_jwt: &str,
        pop_jwt: &str,
        anchors: &Anchors,
        audience: &str,
        now: UnixSeconds,
    ) -> Result<Self, AttestationError> {
        let jws = Jws::parse(attestation_jwt, TYPE).map_err(AttestationError::Jwt)?;
        let chain = jws.certificates().ok_or(AttestationError::NoChain)?;
        let attester = anchors.check_path(&chain, now).map_err(AttestationError::Chain)?;
        let claims = Value::Object(jws.verify(&attester).map_err(AttestationError::Jwt)?);
        let client_id = text(&claims, "sub")?.ok_or(AttestationError::Claim("sub of the attestation is missing"))?;
        let times = Times::read(&claims)?;
        times.check(now)?;
        // Whether the wallet provider has revoked the instance since is looked up later: `standing`.
        if times.expires_at.is_none() {
            return Err(AttestationError::Claim("exp of the attestation is missing"));
        }
        let key = claims.get("cnf").and_then(|confirmation| confirmation.get("jwk"));
        let key = key.ok_or(AttestationError::Claim("cnf.jwk of the attestation is missing"))?;
        let instance_key = PublicKey::from_jwk(key).map_err(AttestationError::Key)?;

        let pop = Jws::parse(pop_jwt, POP_TYPE).map_err(AttestationError::Jwt)?;
        let pop = Value::Object(pop.verify(&instance_key).map_err(AttestationError::Jwt)?);
        if pop.get("iss").is_some_and(|issuer| issuer.as_str() != Some(&client_id)) {
            return Err(AttestationError::Claim("iss of the proof of possession is not the client"));
        }
        if !is_only_audience(pop.get("aud"), audience) {
            return Err(AttestationError::Claim(
                "aud of the proof of possession is not the identifier of this authorization server",
            ));
        }
        let times = Times::read(&pop)?;
        times.check(now)?;
        let issued_at = times.issued_at.ok_or(AttestationError::Claim("iat of the proof of possession is missing"))?;
        if issued_at < now - MAX_POP_AGE_SECONDS {
            return Err(AttestationError::Claim("the proof of possession is too old"));
        }
        let pop_jti = text(&pop, "jti")?.ok_or(AttestationError::Claim("jti of the proof of possession is missing"))?;
        let challenge = text(&pop, "challenge")?;
        let standing = Standing { status: claims.get("status").cloned(), chain };
        Ok(Self { client_id, instance_key, pop_jti, challenge, standing })
    }
}

/// A claim that is a text of reasonable length, if it is there.
fn text(claims: &Value, name: &str) -> Result<Option<String>, AttestationError> {
    const RULE: AttestationError =
        AttestationError::Claim("sub, jti and challenge must be texts of 1 to 512 printable ASCII characters");
    let Some(value) = claims.get(name) else { return Ok(None) };
    let text = value.as_str().ok_or(RULE)?;
    let fits = (1..=MAX_TEXT_LENGTH).contains(&text.len()) && text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if fits { Ok(Some(text.to_owned())) } else { Err(RULE) }
}

/// A proof that names a second audience could be used there by us, or here by them: it is refused.
fn is_only_audience(claim: Option<&Value>, audience: &str) -> bool {
    match claim {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(several)) => matches!(several.as_slice(), [Value::String(one)] if one == audience),
        _ => false,
    }
}
