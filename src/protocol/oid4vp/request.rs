//! The Request Object (sections 5 and 5.9, appendix A.2): its claims, in both directions.

use serde_json::{Map, Value, json};

use super::{
    ANY_WALLET, ClientId, ENCS, KEY_AGREEMENT, MAX_TEXT, MAX_WALLET_NONCE, MessageError, RESPONSE_TYPE, ResponseMode,
    is_url_safe,
};
use crate::clock::UnixSeconds;
use crate::protocol::dcql::{Format, Query};

/// By which road a response comes back. What belongs to the other road cannot be said: neither `state` nor
/// `response_uri` with the browser's API, no origins without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The wallet posts it.
    DirectPost {
        /// Where to.
        response_uri: String,
        /// What it has to bring back.
        state: Option<String>,
    },
    /// The browser's Digital Credentials API hands it to the page.
    DcApi {
        /// The origins whose page may ask, as browsers write them.
        expected_origins: Vec<String>,
    },
}

/// A request, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestObject {
    /// Who asks.
    pub client_id: ClientId,
    /// How the answer comes.
    pub delivery: Delivery,
    /// What the answer's proofs are over.
    pub nonce: String,
    /// What is asked for.
    pub query: Query,
    /// What the verifier can read, and the key to encrypt to.
    pub client_metadata: ClientMetadata,
    /// `aud`: whom it is for.
    pub audience: String,
    /// When it was made.
    pub issued_at: UnixSeconds,
    /// From when it is void.
    pub expires_at: UnixSeconds,
    /// What the wallet wants to see in it.
    pub wallet_nonce: Option<String>,
    /// What third parties say about the verifier (section 5.11): an array that is not empty.
    pub verifier_info: Option<Value>,
    /// Base64url texts of what the holder shall authorise (section 5.1). We never send any; a wallet that does not know
    /// them must refuse.
    pub transaction_data: Vec<String>,
}

/// `client_metadata` (section 5.1): nothing in it but the three members that wallets read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientMetadata {
    /// The one key that responses are encrypted to, as public JWK with `kid`, `alg` and `use`; none when they are not.
    pub encryption_key: Option<Value>,
    /// The content encryptions that the verifier takes, the preferred first.
    pub encs: Vec<String>,
    /// The formats that the verifier reads.
    pub formats: Vec<Format>,
}

impl RequestObject {
    /// How the response comes: encrypted where there is a key to encrypt to.
    pub fn response_mode(&self) -> ResponseMode {
        match (&self.delivery, self.client_metadata.encryption_key.is_some()) {
            (Delivery::DirectPost { .. }, true) => ResponseMode::DirectPostJwt,
            (Delivery::DirectPost { .. }, false) => ResponseMode::DirectPost,
            (Delivery::DcApi { .. }, true) => ResponseMode::DcApiJwt,
            (Delivery::DcApi { .. }, false) => ResponseMode::DcApi,
        }
    }

    /// What the answer has to bring back as `state`.
    pub fn state(&self) -> Option<&str> {
        match &self.delivery {
            Delivery::DirectPost { state, .. } => state.as_deref(),
            Delivery::DcApi { .. } => None,
        }
    }

    /// The claims to sign.
    pub fn to_json(&self) -> Value {
        let mut claims = json!({
            "client_id": self.client_id.as_str(),
            "response_type": RESPONSE_TYPE,
            "response_mode": self.response_mode().name(),
            "nonce": self.nonce,
            "dcql_query": self.query.to_json(),
            "client_metadata": self.client_metadata.to_json(),
            "aud": self.audience,
            "iat": self.issued_at,
            "exp": self.expires_at,
        });
        match &self.delivery {
            Delivery::DirectPost { response_uri, state } => {
                claims["response_uri"] = json!(response_uri);
                if let Some(state) = state {
                    claims["state"] = json!(state);
                }
            }
            Delivery::DcApi { expected_origins } => claims["expected_origins"] = json!(expected_origins),
        }
        if let Some(nonce) = &self.wallet_nonce {
            claims["wallet_nonce"] = json!(nonce);
        }
        if let Some(info) = &self.verifier_info {
            claims["verifier_info"] = info.clone();
        }
        if !self.transaction_data.is_empty() {
            claims["transaction_data"] = json!(self.transaction_data);
        }
        claims
    }

    /// A wallet's reading of the claims, after the signature. Members that are not known are passed over (RFC 9101
    /// section 4); those that this profile forbids are refused, because they would say something else to somebody else.
    pub fn parse(claims: &Map<String, Value>) -> Result<Self, MessageError> {
        let text = |name: &'static str| member_text(claims, name);
        let needed = |name: &'static str| text(name)?.ok_or(MessageError::new(name, "is missing"));
        if needed("response_type")? != RESPONSE_TYPE {
            return Err(MessageError::new("response_type", "is vp_token"));
        }
        for name in ["request", "request_uri", "redirect_uri", "scope", "client_id_scheme", "presentation_definition"] {
            if claims.contains_key(name) {
                return Err(MessageError::new(name, "does not stand in a request object"));
            }
        }
        let mode = ResponseMode::parse(needed("response_mode")?);
        let mode = mode.ok_or(MessageError::new("response_mode", "is one of those of this specification"))?;
        let nonce = needed("nonce")?;
        let state = text("state")?;
        for (name, value) in [("nonce", Some(nonce)), ("state", state)] {
            if value.is_some_and(|value| !is_url_safe(value)) {
                return Err(MessageError::new(name, "has letters, digits, -, ., _ and ~ only"));
            }
        }
        let query = claims.get("dcql_query").ok_or(MessageError::new("dcql_query", "is missing"))?;
        let query = Query::parse(query).map_err(|error| MessageError::new("dcql_query", error.rule))?;
        let delivery = if mode.is_dc_api() {
            for name in ["response_uri", "state"] {
                if claims.contains_key(name) {
                    return Err(MessageError::new(name, "does not go with the Digital Credentials API"));
                }
            }
            let origins = texts(claims.get("expected_origins"));
            let none = MessageError::new("expected_origins", "is an array of origins, not empty");
            Delivery::DcApi { expected_origins: origins.ok_or(none)? }
        } else {
            let response_uri = needed("response_uri")?;
            if response_uri.contains('#') {
                return Err(MessageError::new("response_uri", "has no fragment"));
            }
            if state.is_none() && !query.binds_all() {
                return Err(MessageError::new("state", "is needed where a card comes without its holder's proof"));
            }
            Delivery::DirectPost { response_uri: response_uri.to_owned(), state: state.map(str::to_owned) }
        };
        let mut client_metadata = ClientMetadata::parse(claims.get("client_metadata").unwrap_or(&Value::Null))?;
        if !mode.is_encrypted() {
            client_metadata.encryption_key = None;
        } else if client_metadata.encryption_key.is_none() {
            return Err(MessageError::new("client_metadata", "has a P-256 key for ECDH-ES"));
        }
        let instant = |name: &'static str, otherwise: UnixSeconds| match claims.get(name) {
            None => Ok(otherwise),
            Some(value) => value.as_i64().ok_or(MessageError::new(name, "is a number of seconds")),
        };
        let transaction_data = match claims.get("transaction_data") {
            None => Vec::new(),
            some => texts(some).ok_or(MessageError::new("transaction_data", "is an array of texts"))?,
        };
        let wallet_nonce = text("wallet_nonce")?.map(str::to_owned);
        if wallet_nonce.as_ref().is_some_and(|nonce| nonce.len() > MAX_WALLET_NONCE) {
            return Err(MessageError::new("wallet_nonce", "is too long"));
        }
        Ok(Self {
            client_id: ClientId::parse(needed("client_id")?)?,
            delivery,
            nonce: nonce.to_owned(),
            query,
            client_metadata,
            audience: text("aud")?.unwrap_or(ANY_WALLET).to_owned(),
            issued_at: instant("iat", 0)?,
            expires_at: instant("exp", UnixSeconds::MAX)?,
            wallet_nonce,
            verifier_info: claims.get("verifier_info").cloned(),
            transaction_data,
        })
    }
}

impl ClientMetadata {
    /// What we announce: this key (a public JWK with `kid`, `alg` and `use`), or responses in the clear, and these
    /// formats.
    pub fn new(encryption_key: Option<Value>, formats: Vec<Format>) -> Self {
        let encs = if encryption_key.is_some() { ENCS.map(str::to_owned).to_vec() } else { Vec::new() };
        Self { encryption_key, encs, formats }
    }

    /// The member of a request. Only what we verify: ES256, and COSE's two names for it.
    pub fn to_json(&self) -> Value {
        let mut metadata = json!({"vp_formats_supported": formats(&self.formats)});
        if let Some(key) = &self.encryption_key {
            metadata["jwks"] = json!({"keys": [key]});
            metadata["encrypted_response_enc_values_supported"] = json!(self.encs);
        }
        metadata
    }

    /// A wallet's reading: the first key that it can encrypt to.
    fn parse(value: &Value) -> Result<Self, MessageError> {
        let supported = value.get("vp_formats_supported").and_then(Value::as_object);
        let supported = supported.ok_or(MessageError::new("vp_formats_supported", "is missing"))?;
        let fits = |key: &&Value| {
            let is = |name: &str, expected: &str| key.get(name).and_then(Value::as_str) == Some(expected);
            is("kty", "EC")
                && is("crv", "P-256")
                && (key.get("use").is_none() || is("use", "enc"))
                && (key.get("alg").is_none() || is("alg", KEY_AGREEMENT))
        };
        let keys = value.get("jwks").and_then(|jwks| jwks.get("keys")).and_then(Value::as_array);
        let encs = match value.get("encrypted_response_enc_values_supported") {
            None => vec!["A128GCM".to_owned()],
            some => texts(some).ok_or(MessageError::new(
                "encrypted_response_enc_values_supported",
                "is an array of texts, not empty",
            ))?,
        };
        Ok(Self {
            encryption_key: keys.and_then(|keys| keys.iter().find(fits)).cloned(),
            encs,
            formats: Format::ALL.into_iter().filter(|format| supported.contains_key(format.id())).collect(),
        })
    }
}

/// `vp_formats_supported` (section 11.1 and appendix B).
fn formats(formats: &[Format]) -> Value {
    let one = |format: &Format| {
        let about = match format {
            Format::SdJwt => json!({"sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"]}),
            Format::Mdoc => json!({"issuerauth_alg_values": [-7, -9], "deviceauth_alg_values": [-7, -9]}),
        };
        (format.id().to_owned(), about)
    };
    Value::Object(formats.iter().map(one).collect())
}

/// A text of a message, when it is there; bounded and not empty.
pub(super) fn member_text<'a>(
    members: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, MessageError> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() && text.len() <= MAX_TEXT => Ok(Some(text)),
        Some(_) => Err(MessageError::new(name, "is a text, not empty and not too long")),
    }
}

fn texts(value: Option<&Value>) -> Option<Vec<String>> {
    let texts: Option<Vec<_>> = value?.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect();
    texts.filter(|texts| !texts.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Value {
        json!({"kty": "EC", "crv": "P-256", "x": "x", "y": "y", "kid": "1", "alg": "ECDH-ES", "use": "enc"})
    }

    fn query() -> Value {
        json!({"credentials": [{"id": "card", "format": "dc+sd-jwt", "meta": {"vct_values": ["card"]}}]})
    }

    fn request(delivery: Delivery, encrypted: bool) -> RequestObject {
        let query = Query::parse(&query()).unwrap();
        RequestObject {
            client_id: ClientId::x509_san_dns("verifier.example"),
            delivery,
            nonce: "n".into(),
            client_metadata: ClientMetadata::new(encrypted.then(key), query.formats()),
            query,
            audience: ANY_WALLET.into(),
            issued_at: 1,
            expires_at: 2,
            wallet_nonce: None,
            verifier_info: None,
            transaction_data: Vec::new(),
        }
    }

    fn posted() -> Delivery {
        Delivery::DirectPost { response_uri: "https://verifier.example/r/1".into(), state: Some("s".into()) }
    }

    fn names(value: &Value) -> Vec<&str> {
        let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn every_request_is_read_as_it_was_written() {
        let origins = || Delivery::DcApi { expected_origins: vec!["https://verifier.example".into()] };
        for (delivery, encrypted, mode) in [
            (posted(), true, "direct_post.jwt"),
            (posted(), false, "direct_post"),
            (origins(), true, "dc_api.jwt"),
            (origins(), false, "dc_api"),
        ] {
            let request = request(delivery, encrypted);
            let json = request.to_json();
            assert_eq!(json["response_mode"], mode);
            let mut read = RequestObject::parse(json.as_object().unwrap()).unwrap();
            read.client_metadata.encs.clone_from(&request.client_metadata.encs);
            assert_eq!(read, request);
        }
    }

    #[test]
    fn a_request_holds_what_it_may_and_no_more() {
        let json = request(posted(), true).to_json();
        let expected =
            "aud client_id client_metadata dcql_query exp iat nonce response_mode response_type response_uri state";
        assert_eq!(names(&json), expected.split(' ').collect::<Vec<_>>());
        let metadata = &json["client_metadata"];
        assert_eq!(names(metadata), ["encrypted_response_enc_values_supported", "jwks", "vp_formats_supported"]);
        assert_eq!(metadata["encrypted_response_enc_values_supported"], json!(["A256GCM", "A128GCM"]));
        assert_eq!(metadata["jwks"]["keys"], json!([key()]));
        let formats = formats(&Format::ALL);
        assert_eq!(formats["dc+sd-jwt"], json!({"sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"]}));
        assert_eq!(formats["mso_mdoc"], json!({"issuerauth_alg_values": [-7, -9], "deviceauth_alg_values": [-7, -9]}));
        assert_eq!(names(&request(posted(), false).to_json()["client_metadata"]), ["vp_formats_supported"]);

        let api = request(Delivery::DcApi { expected_origins: vec!["https://v.example".into()] }, true).to_json();
        assert!(api.get("response_uri").is_none() && api.get("state").is_none());
        assert_eq!(api["expected_origins"], json!(["https://v.example"]));
        let echoing = RequestObject { wallet_nonce: Some("w".into()), ..request(posted(), true) };
        assert_eq!(echoing.to_json()["wallet_nonce"], "w");
    }

    #[test]
    fn a_wallet_refuses_what_says_two_things() {
        let good = request(posted(), true).to_json();
        let outcome = |name: &str, value: Option<Value>| {
            let mut claims = good.as_object().unwrap().clone();
            claims.remove(name);
            claims.extend(value.map(|value| (name.to_owned(), value)));
            RequestObject::parse(&claims).err().map(|error| error.place)
        };
        for name in ["client_id", "response_type", "response_mode", "nonce", "dcql_query", "response_uri"] {
            assert_eq!(outcome(name, None), Some(name));
            assert!(outcome(name, Some(json!(1))).is_some());
        }
        for name in ["redirect_uri", "scope", "client_id_scheme", "request_uri", "presentation_definition"] {
            assert_eq!(outcome(name, Some(json!("x"))), Some(name));
        }
        assert_eq!(outcome("response_uri", Some(json!("https://a.example/#x"))), Some("response_uri"));
        assert_eq!(outcome("nonce", Some(json!("a b"))), Some("nonce"));
        assert_eq!(outcome("state", Some(json!("ă"))), Some("state"));
        assert_eq!(outcome("response_mode", Some(json!("dc_api.jwt"))), Some("response_uri"));
        assert_eq!(outcome("client_metadata", Some(json!({"vp_formats_supported": {}}))), Some("client_metadata"));
        let unbound = json!({"credentials": [{
            "id": "card", "format": "dc+sd-jwt", "meta": {"vct_values": ["card"]}, "require_cryptographic_holder_binding": false,
        }]});
        let mut claims = good.as_object().unwrap().clone();
        claims.insert("dcql_query".into(), unbound);
        assert!(RequestObject::parse(&claims).is_ok());
        claims.remove("state");
        assert_eq!(RequestObject::parse(&claims).unwrap_err().place, "state");
        assert_eq!(outcome("unknown", Some(json!(1))), None, "unknown members are passed over");
    }
}
