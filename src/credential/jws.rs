//! JSON Web Signatures in compact form (RFC 7515): what every JWT here is made with and read by.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::key::{Algorithm, PublicKey};
use super::{Signer, json};
use crate::error::Fault;

/// The longest JWS that is looked at, in bytes; a card with a portrait stays well below.
pub const MAX_LENGTH: usize = 256 * 1024;

/// Why a JWS is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Not three base64url parts, not JSON objects, or too long.
    #[error("not a compact JWS of JSON objects")]
    Malformed,
    /// The header's `typ` is another one.
    #[error("the JWS has the wrong typ")]
    WrongType,
    /// The header's `alg` is not one of ours or does not fit the key, or there is a `crit` that we do not know.
    #[error("the JWS has an unsupported algorithm or critical header")]
    Unsupported,
    /// The signature does not fit.
    #[error("the signature of the JWS is wrong")]
    BadSignature,
}

/// A parsed JWS whose signature has not been checked yet.
#[derive(Debug)]
pub struct Jws<'a> {
    /// The protected header.
    pub header: Map<String, Value>,
    /// The payload, which nobody may trust before [`Jws::verify`].
    payload: Map<String, Value>,
    signing_input: &'a str,
    signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Parses a compact JWS whose header carries this `typ`.
    pub fn parse(compact: &'a str, typ: &str) -> Result<Self, JwsError> {
        Self::parse_within(compact, typ, MAX_LENGTH)
    }

    /// Parses a compact JWS whose header carries this `typ` and that may be longer than [`MAX_LENGTH`]: status lists.
    pub fn parse_within(compact: &'a str, typ: &str, most: usize) -> Result<Self, JwsError> {
        let jws = Self::parse_of_length(compact, most)?;
        if jws.header.get("typ").and_then(Value::as_str) == Some(typ) { Ok(jws) } else { Err(JwsError::WrongType) }
    }

    /// Parses a compact JWS whose `typ` does not matter: client assertions have none of their own (RFC 7523).
    pub fn parse_any_type(compact: &'a str) -> Result<Self, JwsError> {
        Self::parse_of_length(compact, MAX_LENGTH)
    }

    fn parse_of_length(compact: &'a str, most: usize) -> Result<Self, JwsError> {
        if compact.len() > most {
            return Err(JwsError::Malformed);
        }
        let (signing_input, signature) = compact.rsplit_once('.').ok_or(JwsError::Malformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or(JwsError::Malformed)?;
        let jws = Self {
            header: object(header)?,
            payload: object(payload)?,
            signing_input,
            signature: URL_SAFE_NO_PAD.decode(signature).map_err(|_| JwsError::Malformed)?,
        };
        if jws.header.contains_key("crit") || jws.algorithm().is_none() {
            return Err(JwsError::Unsupported);
        }
        Ok(jws)
    }

    /// The header's algorithm, when it is one of ours.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.header.get("alg").and_then(Value::as_str).and_then(Algorithm::from_jose_name)
    }

    /// The header's `x5c` as DER, leaf first.
    pub fn certificates(&self) -> Option<Vec<Vec<u8>>> {
        let chain = self.header.get("x5c")?.as_array()?;
        chain.iter().map(|certificate| STANDARD.decode(certificate.as_str()?).ok()).collect()
    }

    /// A payload member before the signature is checked: only to find the key.
    pub fn claimed(&self, name: &str) -> Option<&Value> {
        self.payload.get(name)
    }

    /// Checks the signature and hands out the payload.
    pub fn verify(self, key: &PublicKey) -> Result<Map<String, Value>, JwsError> {
        self.verify_by_one(std::slice::from_ref(key))
    }

    /// Checks that one of these keys signed, and hands out the payload.
    pub fn verify_by_one(self, keys: &[PublicKey]) -> Result<Map<String, Value>, JwsError> {
        let mut fitting = keys.iter().filter(|key| self.algorithm() == Some(key.algorithm())).peekable();
        if fitting.peek().is_none() {
            return Err(JwsError::Unsupported);
        }
        let signed = fitting.any(|key| key.verify(self.signing_input.as_bytes(), &self.signature).is_ok());
        if signed { Ok(self.payload) } else { Err(JwsError::BadSignature) }
    }
}

fn object(part: &str) -> Result<Map<String, Value>, JwsError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| JwsError::Malformed)?;
    match json::parse(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(JwsError::Malformed),
    }
}

/// The protected header `{"alg", "typ", …extra}`, ready in base64url.
pub fn header(signer: &dyn Signer, typ: &str, extra: Value) -> String {
    let mut header =
        Map::from_iter([("alg".to_owned(), json!(signer.algorithm().jose_name())), ("typ".to_owned(), json!(typ))]);
    if let Value::Object(extra) = extra {
        header.extend(extra);
    }
    URL_SAFE_NO_PAD.encode(Value::Object(header).to_string())
}

/// The member `x5c` of the signer's certificates (RFC 7515 section 4.1.6: standard base64, leaf first).
pub fn x5c(signer: &dyn Signer) -> Value {
    json!(signer.certificates().iter().map(|certificate| STANDARD.encode(certificate)).collect::<Vec<_>>())
}

/// Signs a JSON payload under a ready header and gives the compact JWS.
pub fn sign(signer: &dyn Signer, header: &str, payload: &[u8]) -> Result<String, Fault> {
    let mut compact = String::with_capacity(header.len() + payload.len() * 4 / 3 + 96);
    compact.push_str(header);
    compact.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut compact);
    let signature = signer.sign(compact.as_bytes())?;
    compact.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut compact);
    Ok(compact)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8037 appendix A.4, which carries no `typ`: the parser must refuse it for that alone.
    const RFC_8037: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
        hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

    #[test]
    fn foreign_shapes_are_refused() {
        assert_eq!(Jws::parse(RFC_8037, "JWT").unwrap_err(), JwsError::Malformed);
        assert_eq!(Jws::parse("a.b", "JWT").unwrap_err(), JwsError::Malformed);
        let unsigned = format!("{}.e30.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#));
        assert_eq!(Jws::parse(&unsigned, "JWT").unwrap_err(), JwsError::Unsupported);
        let other = format!("{}.e30.", URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","typ":"x"}"#));
        assert_eq!(Jws::parse(&other, "JWT").unwrap_err(), JwsError::WrongType);
    }
}
