//! Demonstrating proof of possession (RFC 9449): a JWT by which a client shows, with every request, that it holds the
//! key that its access token is bound to.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::Url;

use super::jws::Jws;
use super::key::PublicKey;
use crate::clock::UnixSeconds;

/// `typ` of the proof.
pub const TYPE: &str = "dpop+jwt";
/// How old a proof may be; its `jti` has to be remembered for as long.
pub const MAX_AGE_SECONDS: i64 = 300;
/// How far its clock may be ahead.
pub const MAX_AHEAD_SECONDS: i64 = 60;
/// The longest `jti`, in bytes.
const MAX_ID: usize = 256;

/// Why a proof is not accepted. The text is for the wallet's developer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DpopError(pub &'static str);

/// A request that a proof has to be about.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The HTTP method.
    pub method: &'a str,
    /// The URL; its query and fragment do not count (section 4.3).
    pub url: &'a str,
    /// The access token that goes with it; none at the authorization server.
    pub token: Option<&'a str>,
}

/// A proof whose signature and target are checked; its `jti` and `nonce` still have to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DpopProof {
    /// The key's thumbprint (RFC 7638), as `cnf.jkt` and `dpop_jkt` carry it.
    pub thumbprint: [u8; 32],
    /// Its unique name.
    pub id: String,
    /// The nonce that it carries.
    pub nonce: Option<String>,
}

impl DpopProof {
    /// Checks a proof by the rules of section 4.3.
    pub fn verify(jwt: &str, target: &Target<'_>, now: UnixSeconds) -> Result<Self, DpopError> {
        let jws = Jws::parse(jwt, TYPE)
            .map_err(|_| DpopError("the DPoP proof is not a JWT of type dpop+jwt signed with ES256 or EdDSA"))?;
        let jwk = jws.header.get("jwk").ok_or(DpopError("jwk of the DPoP proof is missing"))?;
        let key = PublicKey::from_jwk(jwk)
            .map_err(|_| DpopError("jwk of the DPoP proof is not a public P-256 or Ed25519 key"))?;
        let payload = jws.verify(&key).map_err(|_| DpopError("the signature of the DPoP proof is wrong"))?;
        let text = |name: &str| payload.get(name).and_then(Value::as_str);
        let seconds = |name: &str| payload.get(name).and_then(number);
        if text("htm") != Some(target.method) {
            return Err(DpopError("htm of the DPoP proof is not the method of the request"));
        }
        if text("htu").and_then(without_query).is_none_or(|url| Some(url) != without_query(target.url)) {
            return Err(DpopError("htu of the DPoP proof is not the URL of the request"));
        }
        let made_at = seconds("iat").ok_or(DpopError("iat of the DPoP proof is missing"))?;
        if made_at < now - MAX_AGE_SECONDS || made_at > now + MAX_AHEAD_SECONDS {
            return Err(DpopError("iat of the DPoP proof is too far from now"));
        }
        let is_over = payload.contains_key("exp") && seconds("exp").is_none_or(|end| end <= now);
        let is_early =
            payload.contains_key("nbf") && seconds("nbf").is_none_or(|start| start > now + MAX_AHEAD_SECONDS);
        if is_over || is_early {
            return Err(DpopError("the DPoP proof is not valid now"));
        }
        let id = text("jti").filter(|id| !id.is_empty() && id.len() <= MAX_ID);
        let id = id.ok_or(DpopError("jti of the DPoP proof is missing or too long"))?.to_owned();
        if let Some(token) = target.token
            && text("ath") != Some(&URL_SAFE_NO_PAD.encode(Sha256::digest(token)))
        {
            return Err(DpopError("ath of the DPoP proof is not the hash of the access token"));
        }
        let nonce = match payload.get("nonce") {
            Some(Value::String(nonce)) => Some(nonce.clone()),
            None => None,
            Some(_) => return Err(DpopError("nonce of the DPoP proof is not a string")),
        };
        Ok(Self { thumbprint: key.thumbprint(), id, nonce })
    }
}

/// A `NumericDate` in whole seconds (RFC 7519 section 2 allows fractions).
#[allow(clippy::cast_possible_truncation)]
fn number(value: &Value) -> Option<UnixSeconds> {
    let within = |seconds: &f64| seconds.abs() < 1e12;
    value.as_i64().or_else(|| value.as_f64().filter(within).map(|seconds| seconds as i64))
}

/// Scheme, host, port and path, normalised (RFC 3986 sections 6.2.2 and 6.2.3).
fn without_query(url: &str) -> Option<Url> {
    let mut url = Url::parse(url).ok()?;
    url.set_query(None);
    url.set_fragment(None);
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::test_key::TestKey;
    use crate::credential::{Signer, jws};
    use serde_json::json;

    const NOW: UnixSeconds = 1_795_325_268;
    const TARGET: Target<'_> =
        Target { method: "POST", url: "https://card.example.vn/credential", token: Some("a-token") };

    fn claims() -> Value {
        json!({
            "htm": "POST", "htu": TARGET.url, "iat": NOW, "jti": "one",
            "ath": URL_SAFE_NO_PAD.encode(Sha256::digest("a-token")),
        })
    }

    fn proof(typ: &str, header: Value, claims: &Value) -> String {
        let key = TestKey::new(1);
        jws::sign(&key, &jws::header(&key, typ, header), claims.to_string().as_bytes()).unwrap()
    }

    fn jwk() -> Value {
        json!({"jwk": TestKey::new(1).public_key().to_jwk()})
    }

    fn with(name: &str, value: Value) -> Result<DpopProof, DpopError> {
        let mut claims = claims();
        claims[name] = value;
        DpopProof::verify(&proof(TYPE, jwk(), &claims), &TARGET, NOW)
    }

    #[test]
    fn a_proof_is_about_one_request() {
        let good = DpopProof::verify(&proof(TYPE, jwk(), &claims()), &TARGET, NOW).unwrap();
        assert_eq!(good.thumbprint, TestKey::new(1).public_key().thumbprint());
        assert!(with("htm", json!("GET")).is_err());
        assert!(with("htu", json!("https://card.example.vn/token")).is_err());
        assert!(with("htu", json!("https://other.example.vn/credential")).is_err());
        assert!(with("ath", json!("x")).is_err());
        assert!(with("jti", json!("")).is_err());
        assert!(with("jti", json!("j".repeat(257))).is_err());
        assert!(with("nonce", json!(1)).is_err());
        for fine in ["https://card.example.vn/credential?a=b#c", "HTTPS://CARD.example.vn:443/credential"] {
            assert!(with("htu", json!(fine)).is_ok(), "{fine}");
        }
        for name in ["htm", "htu", "iat", "jti", "ath"] {
            let mut claims = claims();
            claims.as_object_mut().unwrap().remove(name);
            assert!(DpopProof::verify(&proof(TYPE, jwk(), &claims), &TARGET, NOW).is_err(), "{name}");
        }
    }

    #[test]
    fn a_proof_is_of_now() {
        for (iat, fine) in
            [(0, true), (-10, true), (10, true), (-301, false), (61, false), (-3600, false), (3600, false)]
        {
            assert_eq!(with("iat", json!(NOW + iat)).is_ok(), fine, "{iat}");
        }
        assert!(with("iat", json!("now")).is_err());
        assert!(with("nbf", json!(NOW + 10)).is_ok() && with("nbf", json!(NOW + 61)).is_err());
        assert!(with("exp", json!(NOW + 1)).is_ok() && with("exp", json!(NOW)).is_err());
    }

    #[test]
    fn a_proof_carries_its_public_key() {
        let verify = |typ: &str, header: Value| DpopProof::verify(&proof(typ, header, &claims()), &TARGET, NOW);
        assert!(verify("jwt", jwk()).is_err());
        assert!(verify(TYPE, json!({})).is_err());
        let mut private = jwk();
        private["jwk"]["d"] = json!("AAAA");
        assert!(verify(TYPE, private).is_err());
        assert!(verify(TYPE, json!({"jwk": TestKey::new(2).public_key().to_jwk()})).is_err());
        assert!(DpopProof::verify("a.b.c", &TARGET, NOW).is_err());
    }
}
