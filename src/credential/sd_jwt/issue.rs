//! Issuing: one template per configuration holds all that does not change; salts come in one draw; each disclosure is
//! written once and hashed as written (the digest is over the encoded text, so nothing may re-serialise it).

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{KEY_BINDING_TYPE, SPECIMEN, TYPE, digest};
use crate::chance::Chance;
use crate::clock::UnixSeconds;
use crate::credential::{PublicKey, Signer, cose, jws};
use crate::error::Fault;
use crate::model::value::hex;

/// Bytes of a salt: 128 bits (RFC 9901 section 9.3).
const SALT: usize = 16;

/// What does not change between credentials of one configuration: the header with its certificates, `vct` and `iss`.
#[derive(Clone, Debug)]
pub struct Template {
    header: String,
    /// `"vct":…,"iss":…,` ready to stand in the payload.
    constant: String,
    /// How many digests every credential carries, so that their number tells nothing.
    digests: usize,
}

/// A claim that its holder may disclose: name, and value as JSON text.
#[derive(Clone, Debug)]
pub struct Disclosable {
    /// The claim's name: plain ASCII, never one of the registered ones that are always plain.
    pub name: &'static str,
    /// Its value as JSON text.
    pub json: String,
}

impl Disclosable {
    /// From a JSON value.
    pub fn new(name: &'static str, value: &Value) -> Self {
        Self { name, json: value.to_string() }
    }
}

/// The claims that differ from credential to credential and are always visible.
#[derive(Clone, Debug)]
pub struct SignedClaims<'a> {
    /// Rounded by the caller, so that the credentials of a batch cannot be linked by it.
    pub issued_at: UnixSeconds,
    /// Likewise rounded.
    pub expires_at: UnixSeconds,
    /// The holder's key.
    pub holder: &'a PublicKey,
    /// The status list's address.
    pub status_uri: &'a str,
    /// The index in it.
    pub status_index: u64,
}

impl Template {
    /// For credentials of the type `vct` signed by `signer`; `vct_integrity` is the hash of its type metadata. A
    /// specimen says so in a plain claim.
    pub fn new(
        signer: &dyn Signer,
        vct: &str,
        vct_integrity: &str,
        issuer: &str,
        digests: usize,
        specimen: bool,
    ) -> Self {
        Self {
            // The kid is for verifiers that look the key up by JWT VC issuer metadata, the chain for all others.
            header: jws::header(
                signer,
                TYPE,
                json!({"kid": hex(&cose::key_id(signer.public_key())), "x5c": jws::x5c(signer)}),
            ),
            constant: format!(
                "\"vct\":{},\"vct#integrity\":{},\"iss\":{},{}\"_sd_alg\":\"sha-256\",",
                json!(vct),
                json!(vct_integrity),
                json!(issuer),
                if specimen { format!("\"{SPECIMEN}\":true,") } else { String::new() }
            ),
            digests,
        }
    }

    /// Issues one credential: `<JWT>~<disclosure>~…~`.
    pub fn issue(
        &self,
        signer: &dyn Signer,
        chance: &Chance,
        signed: &SignedClaims<'_>,
        claims: &[Disclosable],
    ) -> Result<String, Fault> {
        let decoys = self.digests.saturating_sub(claims.len());
        let mut salts = vec![0; SALT * claims.len() + 32 * decoys];
        chance.fill(&mut salts);
        let (salts, noise) = salts.split_at(SALT * claims.len());

        let mut disclosures = String::with_capacity(claims.iter().map(|claim| claim.json.len() * 4 / 3 + 80).sum());
        let mut digests: Vec<[u8; 32]> = Vec::with_capacity(claims.len() + decoys);
        let mut plain = String::new();
        for (claim, salt) in claims.iter().zip(salts.chunks_exact(SALT)) {
            plain.clear();
            plain.push_str("[\"");
            URL_SAFE_NO_PAD.encode_string(salt, &mut plain);
            plain.push_str("\",\"");
            plain.push_str(claim.name);
            plain.push_str("\",");
            plain.push_str(&claim.json);
            plain.push(']');
            let start = disclosures.len();
            URL_SAFE_NO_PAD.encode_string(&plain, &mut disclosures);
            digests.push(Sha256::digest(&disclosures[start..]).into());
            disclosures.push('~');
        }
        digests.extend(noise.chunks_exact(32).map(|noise| -> [u8; 32] { Sha256::digest(noise).into() }));
        // Sorted digests say nothing of the order of the claims (RFC 9901 section 4.2.4.1).
        digests.sort_unstable();

        let mut payload = String::with_capacity(768 + digests.len() * 46);
        payload.push('{');
        payload.push_str(&self.constant);
        let _ = write!(payload, "\"iat\":{},\"exp\":{},\"cnf\":{{\"jwk\":", signed.issued_at, signed.expires_at);
        signed.holder.write_jwk(&mut payload);
        // The address is ours: a URL holds nothing that JSON would escape.
        let (index, uri) = (signed.status_index, signed.status_uri);
        let _ = write!(payload, "}},\"status\":{{\"status_list\":{{\"idx\":{index},\"uri\":\"{uri}\"}}}},\"_sd\":[");
        for (position, digest) in digests.iter().enumerate() {
            payload.push_str(if position == 0 { "\"" } else { ",\"" });
            URL_SAFE_NO_PAD.encode_string(digest, &mut payload);
            payload.push('"');
        }
        payload.push_str("]}");

        let mut credential = jws::sign(signer, &self.header, payload.as_bytes())?;
        credential.reserve_exact(disclosures.len() + 1);
        credential.push('~');
        credential.push_str(&disclosures);
        Ok(credential)
    }
}

/// The holder's choice: the credential with only the disclosures of these claims, in the issuer's order.
pub fn select(credential: &str, disclose: impl Fn(&str) -> bool) -> String {
    let mut parts = credential.split('~').filter(|part| !part.is_empty());
    let mut selected = format!("{}~", parts.next().unwrap_or_default());
    for part in parts {
        let name = URL_SAFE_NO_PAD.decode(part).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        if name.as_ref().and_then(|disclosure| disclosure.get(1)).and_then(Value::as_str).is_some_and(&disclose) {
            selected.push_str(part);
            selected.push('~');
        }
    }
    selected
}

/// The holder's proof: appends a key binding JWT (RFC 9901 section 4.3) to a selection.
pub fn bind(
    selected: &str,
    holder: &dyn Signer,
    audience: &str,
    nonce: &str,
    now: UnixSeconds,
) -> Result<String, Fault> {
    let payload = json!({"iat": now, "aud": audience, "nonce": nonce, "sd_hash": digest(selected)});
    let header = jws::header(holder, KEY_BINDING_TYPE, Value::Null);
    Ok(format!("{selected}{}", jws::sign(holder, &header, payload.to_string().as_bytes())?))
}
