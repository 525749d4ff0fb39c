//! The request to the credential endpoint (OpenID4VCI 1.0 section 8.2), member by member: the resource is looked at first,
//! then whoever has the access token is asked whether they may have it, then come encryption and proofs. The order is the
//! conformance suite's; each error code depends on it.

use serde_json::{Map, Value, json};

use super::oid4vci::Configuration;
use crate::error::Refusal;

/// A request whose resource is known; the rest is read when its turn has come. Unknown members are ignored.
#[derive(Debug)]
pub struct CredentialRequest {
    /// What is asked for.
    pub selector: Selector,
    members: Map<String, Value>,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// `credential_configuration_id`.
    Configuration(Configuration),
    /// `credential_identifier`: one that the token response gave, which only the grant knows.
    Identifier(String),
}

/// `proofs`: exactly one type, with one proof or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proofs {
    /// Proof type `jwt`: one for each key.
    Jwt(Vec<String>),
    /// Proof type `attestation`: one key attestation.
    Attestation(String),
}

impl Proofs {
    /// The proofs as they came, in order.
    pub fn texts(&self) -> &[String] {
        match self {
            Self::Jwt(proofs) => proofs,
            Self::Attestation(proof) => std::slice::from_ref(proof),
        }
    }
}

/// `credential_response_encryption`: how the wallet wants its answer, shape checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseEncryption {
    /// The wallet's public key; whether it is a point of its curve is still to be checked.
    pub jwk: Value,
    /// The content encryption.
    pub enc: &'static str,
    /// Whether to compress first.
    pub compress: bool,
}

/// The key agreement in both directions. What is done under these names is `credential::jwe`'s, which this room does not
/// know.
const ALG: &str = "ECDH-ES";
/// Content encryptions, the preferred first: the conformance suite takes the first.
const ENCS: [&str; 2] = ["A128GCM", "A256GCM"];
const ZIP: &str = "DEF";

impl CredentialRequest {
    /// Parses the body as far as the resource.
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let malformed = |text: &str| Refusal::InvalidCredentialRequest(text.to_owned());
        let Ok(Value::Object(members)) = serde_json::from_slice::<Value>(body) else {
            return Err(malformed("the body must be a JSON object"));
        };
        let selector = match (members.get("credential_configuration_id"), members.get("credential_identifier")) {
            (Some(Value::String(id)), None) => {
                Selector::Configuration(Configuration::parse(id).ok_or(Refusal::UnknownCredentialConfiguration)?)
            }
            (None, Some(Value::String(id))) => Selector::Identifier(id.clone()),
            (Some(_), None) => return Err(malformed("credential_configuration_id must be a string")),
            (None, Some(_)) => return Err(malformed("credential_identifier must be a string")),
            _ => {
                return Err(malformed(
                    "exactly one of credential_configuration_id and credential_identifier is needed",
                ));
            }
        };
        Ok(Self { selector, members })
    }

    /// How the answer is to be encrypted.
    pub fn response_encryption(&self) -> Result<Option<ResponseEncryption>, Refusal> {
        ResponseEncryption::of(&self.members)
    }

    /// The proofs: of one type, at most `batch_size`.
    pub fn proofs(&self, batch_size: usize) -> Result<Proofs, Refusal> {
        let malformed = |text: &str| Refusal::InvalidCredentialRequest(text.to_owned());
        let proofs = self.members.get("proofs");
        let proofs = proofs.ok_or_else(|| Refusal::InvalidProof("proofs is missing".to_owned()))?;
        let mut types = proofs.as_object().into_iter().flatten();
        let (Some((name, proofs)), None) = (types.next(), types.next()) else {
            return Err(malformed("proofs must be an object with exactly one member"));
        };
        if !["jwt", "attestation"].contains(&name.as_str()) {
            return Err(Refusal::InvalidProof("the proof type must be jwt or attestation".to_owned()));
        }
        let proofs = proofs.as_array().ok_or_else(|| malformed("the member of proofs must be an array"))?;
        let texts = proofs.iter().map(|proof| proof.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
        let texts = texts.ok_or_else(|| malformed("the member of proofs must hold strings"))?;
        match (name.as_str(), texts.as_slice()) {
            ("attestation", [attestation]) => Ok(Proofs::Attestation(attestation.clone())),
            ("attestation", _) => Err(malformed("proofs.attestation must hold exactly one key attestation")),
            (_, several) if (1..=batch_size).contains(&several.len()) => Ok(Proofs::Jwt(texts)),
            _ => Err(Refusal::InvalidCredentialRequest(format!("proofs.jwt must hold 1 to {batch_size} proofs"))),
        }
    }
}

impl ResponseEncryption {
    /// The member `credential_response_encryption` of a request, to the credential endpoint or to the deferred one.
    pub fn of(request: &Map<String, Value>) -> Result<Option<Self>, Refusal> {
        let Some(parameters) = request.get("credential_response_encryption") else { return Ok(None) };
        let wrong = Refusal::InvalidEncryptionParameters;
        let jwk = parameters.get("jwk").and_then(Value::as_object);
        let jwk = jwk.ok_or(wrong("credential_response_encryption must hold the public key as jwk"))?;
        let member = |name: &str| jwk.get(name).and_then(Value::as_str);
        if member("alg") != Some(ALG) {
            return Err(wrong("alg of the jwk must be ECDH-ES"));
        }
        if member("kty") != Some("EC") || member("crv") != Some("P-256") || jwk.contains_key("d") {
            return Err(wrong("the jwk must be a public P-256 key"));
        }
        if jwk.contains_key("use") && member("use") != Some("enc") {
            return Err(wrong("the jwk is not for encryption"));
        }
        let enc = parameters.get("enc").and_then(Value::as_str);
        let enc = ENCS.into_iter().find(|known| enc == Some(known));
        let enc = enc.ok_or(wrong("enc must be one of enc_values_supported"))?;
        let compress = match parameters.get("zip") {
            None => false,
            Some(zip) if zip == ZIP => true,
            Some(_) => return Err(wrong("zip must be one of zip_values_supported")),
        };
        Ok(Some(Self { jwk: Value::Object(jwk.clone()), enc, compress }))
    }
}

/// The request to the deferred credential endpoint (section 9.1).
#[derive(Debug, PartialEq, Eq)]
pub struct DeferredRequest {
    /// By which the answer was put off.
    pub transaction_id: String,
    /// How this answer is to be encrypted; what the first request said does not count.
    pub encryption: Option<ResponseEncryption>,
}

impl DeferredRequest {
    /// Parses the body. Unknown members are ignored.
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let malformed = |text: &str| Refusal::InvalidCredentialRequest(text.to_owned());
        let Ok(Value::Object(members)) = serde_json::from_slice::<Value>(body) else {
            return Err(malformed("the body must be a JSON object"));
        };
        let transaction_id = members.get("transaction_id").and_then(Value::as_str);
        let transaction_id = transaction_id.ok_or_else(|| malformed("transaction_id must be a string"))?.to_owned();
        Ok(Self { transaction_id, encryption: ResponseEncryption::of(&members)? })
    }
}

/// `credential_request_encryption` of the metadata (section 12.2.4) for this public key.
pub fn request_encryption_metadata(jwk: &Value, is_required: bool) -> Value {
    json!({
        "jwks": {"keys": [jwk]},
        "enc_values_supported": ENCS,
        "zip_values_supported": [ZIP],
        "encryption_required": is_required,
    })
}

/// `credential_response_encryption` of the metadata.
pub fn response_encryption_metadata(is_required: bool) -> Value {
    json!({
        "alg_values_supported": [ALG],
        "enc_values_supported": ENCS,
        "zip_values_supported": [ZIP],
        "encryption_required": is_required,
    })
}

/// `proof_types_supported` of a configuration. `required` is its `key_attestations_required`; the proof type `attestation`
/// is only offered where somebody is trusted to attest keys.
pub fn proof_types_metadata(required: Option<Value>, attestation: bool) -> Value {
    let mut proof_type = json!({"proof_signing_alg_values_supported": ["ES256", "EdDSA"]});
    if let Some(required) = required {
        proof_type["key_attestations_required"] = required;
    }
    let mut types = json!({"jwt": proof_type});
    if attestation {
        types["attestation"] = proof_type;
    }
    types
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "official-card-sdjwt";

    fn parse(request: &Value) -> Result<CredentialRequest, Refusal> {
        CredentialRequest::parse(request.to_string().as_bytes())
    }

    #[test]
    fn the_resource_is_judged_before_all_else() {
        let unknown = json!({"credential_configuration_id": "other", "credential_response_encryption": 1, "proofs": 1});
        assert_eq!(parse(&unknown).unwrap_err(), Refusal::UnknownCredentialConfiguration);
        let identifier = parse(&json!({"credential_identifier": "x", "proofs": 1})).unwrap();
        assert_eq!(identifier.selector, Selector::Identifier("x".into()));
        for request in [
            json!({"credential_configuration_id": GOOD, "credential_identifier": "x"}),
            json!({"credential_configuration_id": 1}),
            json!({"credential_identifier": 1}),
            json!({"proofs": {"jwt": ["a"]}}),
            json!([]),
        ] {
            assert!(matches!(parse(&request), Err(Refusal::InvalidCredentialRequest(_))), "{request}");
        }
    }

    #[test]
    fn there_is_one_proof_type() {
        let proofs = |proofs: Value| {
            parse(&json!({"credential_configuration_id": GOOD, "proofs": proofs, "x": 1})).unwrap().proofs(2)
        };
        assert_eq!(proofs(json!({"jwt": ["a", "b"]})).unwrap(), Proofs::Jwt(vec!["a".into(), "b".into()]));
        assert_eq!(proofs(json!({"attestation": ["a"]})).unwrap(), Proofs::Attestation("a".into()));
        for wrong in [
            json!({"jwt": []}),
            json!({"jwt": ["a", "b", "c"]}),
            json!({"jwt": [1]}),
            json!({"jwt": "a"}),
            json!({"attestation": []}),
            json!({"attestation": ["a", "b"]}),
            json!({"attestation": "a"}),
            json!({"jwt": ["a"], "attestation": ["b"]}),
            json!({}),
            json!("a"),
        ] {
            assert!(matches!(proofs(wrong.clone()), Err(Refusal::InvalidCredentialRequest(_))), "{wrong}");
        }
        assert!(matches!(proofs(json!({"di_vp": [{}]})), Err(Refusal::InvalidProof(_))));
        let without = parse(&json!({"credential_configuration_id": GOOD})).unwrap();
        assert!(matches!(without.proofs(2), Err(Refusal::InvalidProof(_))));
    }

    #[test]
    fn encryption_is_what_the_metadata_says() {
        let good = json!({"jwk": {"kty": "EC", "crv": "P-256", "alg": "ECDH-ES", "kid": "k"}, "enc": "A256GCM"});
        let read = |parameters: &Value| {
            let request = json!({"credential_configuration_id": GOOD, "credential_response_encryption": parameters});
            parse(&request).unwrap().response_encryption()
        };
        let encryption = read(&good).unwrap().unwrap();
        assert_eq!((encryption.enc, encryption.compress, &encryption.jwk), ("A256GCM", false, &good["jwk"]));
        for (pointer, value) in [
            ("/enc", json!("A128CBC-HS256")),
            ("/enc", Value::Null),
            ("/zip", json!("GZ")),
            ("/jwk/alg", json!("UNSUPPORTED_ALG")),
            ("/jwk/alg", json!("ECDH-ES+A128KW")),
            ("/jwk/crv", json!("P-384")),
            ("/jwk/d", json!("x")),
            ("/jwk/use", json!("sig")),
            ("/jwk", json!("x")),
        ] {
            let mut wrong = good.clone();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            wrong.pointer_mut(parent).unwrap()[name] = value;
            assert!(matches!(read(&wrong), Err(Refusal::InvalidEncryptionParameters(_))), "{wrong}");
        }
        let mut compressed = good;
        compressed["zip"] = json!("DEF");
        assert!(read(&compressed).unwrap().unwrap().compress);
        let without = parse(&json!({"credential_configuration_id": GOOD})).unwrap();
        assert_eq!(without.response_encryption(), Ok(None));
    }
}
