//! Requests of a wallet before they are sent: a test changes one thing in the form, the attestation, the proof of possession
//! or the DPoP proof, and what it changed is signed.

use axum::http::{Method, Request};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use officials_card::credential::{Signer, client_attestation, dpop, jws};
use officials_card::keyring::FileKey;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::attester::Attester;
use crate::browser::form;
use crate::holder::{CodeWallet, fresh_name};
use crate::proofs::Envelope;
use crate::town::{Answer, Town, URL};

type Edit<'a> = Box<dyn Fn(&mut Value, &mut Value) + Send + Sync + 'a>;

/// A JWT that is not signed yet: who signs, and what is changed in header and claims.
struct Paper<'a> {
    signer: &'a dyn Signer,
    edits: Vec<Edit<'a>>,
    is_spoiled: bool,
}

impl<'a> Paper<'a> {
    fn by(signer: &'a dyn Signer) -> Self {
        Self { signer, edits: Vec::new(), is_spoiled: false }
    }

    fn sign(&self, mut header: Value, mut claims: Value) -> String {
        header["alg"] = json!(self.signer.algorithm().jose_name());
        for edit in &self.edits {
            edit(&mut header, &mut claims);
        }
        let jwt =
            jws::sign(self.signer, &URL_SAFE_NO_PAD.encode(header.to_string()), claims.to_string().as_bytes()).unwrap();
        if self.is_spoiled { spoiled(&jwt) } else { jwt }
    }
}

/// The same with another signature.
pub fn spoiled(jwt: &str) -> String {
    let (signed, signature) = jwt.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { "B" } else { "A" };
    format!("{signed}.{first}{}", &signature[1..])
}

enum Body {
    Form(Vec<(String, String)>),
    Json(Value),
    Jwt(String),
}

/// A request that a test may still change.
pub struct Draft<'a> {
    wallet: &'a CodeWallet<'a>,
    town: &'a Town,
    method: Method,
    path: String,
    challenges: String,
    body: Body,
    token: Option<(String, String)>,
    attestation: Option<Paper<'a>>,
    pop: Option<Paper<'a>>,
    dpop: Option<Paper<'a>>,
    headers: Vec<(String, String)>,
}

impl<'a> Draft<'a> {
    /// A request to the authorization server: authenticated, without DPoP proof.
    pub fn form(wallet: &'a CodeWallet<'a>, path: &str, fields: &[(&str, &str)]) -> Self {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self {
            wallet,
            town: &wallet.office.town,
            method: Method::POST,
            path: path.to_owned(),
            challenges: "/challenge".to_owned(),
            body: Body::Form(fields),
            token: None,
            attestation: Some(Paper::by(&wallet.office.provider)),
            pop: Some(Paper::by(&wallet.instance)),
            dpop: None,
            headers: Vec::new(),
        }
    }

    /// A request with an access token, without DPoP proof.
    pub fn json(wallet: &'a CodeWallet<'a>, path: &str, access: &str, body: Value) -> Self {
        let token = Some(("DPoP".to_owned(), access.to_owned()));
        Self { body: Body::Json(body), token, ..Self::form(wallet, path, &[]).anonymous() }
    }

    /// The same to a server below a path.
    pub fn under(mut self, path: &str) -> Self {
        (self.path, self.challenges) = (format!("{path}{}", self.path), format!("{path}{}", self.challenges));
        self
    }

    /// Sets a parameter or member.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        match &mut self.body {
            Body::Form(fields) => {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                fields.retain(|(own, _)| own != name);
                fields.push((name.to_owned(), text));
            }
            Body::Json(body) => body[name] = value,
            Body::Jwt(_) => panic!("it is sealed"),
        }
        self
    }

    /// Leaves a parameter or member out.
    pub fn without(mut self, name: &str) -> Self {
        match &mut self.body {
            Body::Form(fields) => fields.retain(|(own, _)| own != name),
            Body::Json(body) => drop(body.as_object_mut().unwrap().remove(name)),
            Body::Jwt(_) => panic!("it is sealed"),
        }
        self
    }

    /// Puts the body into an envelope.
    pub fn in_envelope(mut self, envelope: &Envelope) -> Self {
        let Body::Json(body) = &self.body else { panic!("only JSON is sealed") };
        self.body = Body::Jwt(envelope.seal(body, "A128GCM", false));
        self
    }

    /// The time of its server.
    pub fn now(&self) -> i64 {
        self.town.clock.now()
    }

    /// Goes to another process.
    pub fn at(mut self, town: &'a Town) -> Self {
        self.town = town;
        self
    }

    /// Uses another method.
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Goes to another address, which the DPoP proof does not know of.
    pub fn query(mut self, query: &str) -> Self {
        self.path = format!("{}?{query}", self.path);
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Changes header or claims of the attestation.
    pub fn attestation(mut self, edit: impl Fn(&mut Value, &mut Value) + Send + Sync + 'a) -> Self {
        self.attestation.as_mut().unwrap().edits.push(Box::new(edit));
        self
    }

    /// Has it signed by another provider.
    pub fn attested_by(mut self, provider: &'a Attester) -> Self {
        self.attestation = Some(Paper::by(provider));
        self
    }

    /// Breaks its signature.
    pub fn spoil_attestation(mut self) -> Self {
        self.attestation.as_mut().unwrap().is_spoiled = true;
        self
    }

    /// Changes header or claims of the proof of possession.
    pub fn pop(mut self, edit: impl Fn(&mut Value, &mut Value) + Send + Sync + 'a) -> Self {
        self.pop.as_mut().unwrap().edits.push(Box::new(edit));
        self
    }

    /// Has it signed by another key.
    pub fn pop_by(mut self, key: &'a FileKey) -> Self {
        self.pop = Some(Paper::by(key));
        self
    }

    /// Breaks its signature.
    pub fn spoil_pop(mut self) -> Self {
        self.pop.as_mut().unwrap().is_spoiled = true;
        self
    }

    /// Does not authenticate.
    pub fn anonymous(mut self) -> Self {
        (self.attestation, self.pop) = (None, None);
        self
    }

    /// Has a DPoP proof, with header or claims changed.
    pub fn dpop(mut self, edit: impl Fn(&mut Value, &mut Value) + Send + Sync + 'a) -> Self {
        self.dpop.get_or_insert_with(|| Paper::by(&self.wallet.dpop)).edits.push(Box::new(edit));
        self
    }

    /// Has it signed by another key.
    pub fn dpop_by(mut self, key: &'a FileKey) -> Self {
        let edits = self.dpop.take().map(|paper| paper.edits).unwrap_or_default();
        self.dpop = Some(Paper { edits, ..Paper::by(key) });
        self
    }

    /// Breaks its signature.
    pub fn spoil_dpop(mut self) -> Self {
        self.dpop.as_mut().unwrap().is_spoiled = true;
        self
    }

    /// Leaves it out.
    pub fn no_dpop(mut self) -> Self {
        self.dpop = None;
        self
    }

    /// Gives the access token under another scheme.
    pub fn scheme(mut self, scheme: &str) -> Self {
        scheme.clone_into(&mut self.token.as_mut().unwrap().0);
        self
    }

    /// Leaves the access token out.
    pub fn no_token(mut self) -> Self {
        self.token = None;
        self
    }

    /// Sends it, and again when the server asks for its DPoP nonce or challenge.
    pub async fn send(&self) -> Answer {
        let mut answer = self.once().await;
        for _ in 0..2 {
            let retried = ["use_dpop_nonce", "use_attestation_challenge"]
                .into_iter()
                .any(|code| serde_json::from_slice(&answer.bytes).is_ok_and(|body: Value| body["error"] == code));
            if !retried {
                break;
            }
            answer = self.once().await;
        }
        answer
    }

    /// Sends it once.
    pub async fn once(&self) -> Answer {
        let answer = self.sealed().await.send(self.town).await;
        self.wallet.remember(&answer);
        answer
    }

    /// Signs it with what the wallet knows now.
    pub async fn sealed(&self) -> Sealed {
        let (wallet, now) = (self.wallet, self.town.clock.now());
        let mut headers = self.headers.clone();
        if let Some(paper) = &self.attestation {
            let claims = json!({
                "iss": "https://provider.example", "sub": wallet.client_id, "iat": now, "nbf": now, "exp": now + 300,
                "cnf": {"jwk": wallet.instance.public_key().to_jwk()},
            });
            let header = json!({"typ": client_attestation::TYPE, "x5c": jws::x5c(paper.signer)});
            headers.push(("OAuth-Client-Attestation".into(), paper.sign(header, claims)));
        }
        if let Some(paper) = &self.pop {
            let claims = json!({
                "iss": wallet.client_id, "aud": URL, "iat": now, "nbf": now, "exp": now + 300, "jti": fresh_name(),
                "challenge": self.challenge().await,
            });
            let jwt = paper.sign(json!({"typ": client_attestation::POP_TYPE}), claims);
            headers.push(("OAuth-Client-Attestation-PoP".into(), jwt));
        }
        if let Some((scheme, token)) = &self.token {
            headers.push(("Authorization".into(), format!("{scheme} {token}")));
        }
        if let Some(paper) = &self.dpop {
            let path = self.path.split('?').next().unwrap();
            let mut claims = json!({"jti": fresh_name(), "htm": "POST", "htu": format!("{URL}{path}"), "iat": now});
            if let Some(nonce) = &wallet.remembered.lock().unwrap().dpop_nonce {
                claims["nonce"] = json!(nonce);
            }
            if let Some((_, token)) = &self.token {
                claims["ath"] = json!(URL_SAFE_NO_PAD.encode(Sha256::digest(token)));
            }
            let mut jwk = paper.signer.public_key().to_jwk();
            jwk["use"] = json!("sig");
            headers.push(("DPoP".into(), paper.sign(json!({"typ": dpop::TYPE, "jwk": jwk}), claims)));
        }
        let (content_type, body) = match &self.body {
            Body::Form(fields) => ("application/x-www-form-urlencoded", form(fields)),
            Body::Json(body) => ("application/json", body.to_string()),
            Body::Jwt(jwt) => ("application/jwt", jwt.clone()),
        };
        headers.push(("Content-Type".into(), content_type.into()));
        Sealed { method: self.method.clone(), path: self.path.clone(), headers, body }
    }

    async fn challenge(&self) -> String {
        let known = self.wallet.remembered.lock().unwrap().challenge.clone();
        if let Some(challenge) = known {
            return challenge;
        }
        let request = Request::post(&self.challenges).body(axum::body::Body::empty()).unwrap();
        let answer = self.town.send(request).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let challenge = answer.expect(200)["attestation_challenge"].as_str().unwrap().to_owned();
        self.wallet.remembered.lock().unwrap().challenge = Some(challenge.clone());
        challenge
    }
}

/// A request as it travels: it can be sent again, as whoever copied it would.
#[derive(Clone, Debug)]
pub struct Sealed {
    method: Method,
    path: String,
    /// All headers.
    pub headers: Vec<(String, String)>,
    body: String,
}

impl Sealed {
    /// Sends it.
    pub async fn send(&self, town: &Town) -> Answer {
        let mut request = Request::builder().method(self.method.clone()).uri(&self.path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        town.send(request.body(self.body.clone().into()).unwrap()).await
    }

    /// The same with a header of another request.
    pub fn with_header_of(mut self, name: &str, other: &Self) -> Self {
        self.headers.retain(|(own, _)| own != name);
        self.headers.extend(other.headers.iter().filter(|(own, _)| own == name).cloned());
        self
    }
}
