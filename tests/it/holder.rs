//! A wallet of the high assurance profile and the person who holds it: attestation and proof of possession, DPoP with
//! nonces, pushed request, the browser at VNeID and at the consent page, tokens, credentials. Every request is first a
//! draft, so that a test changes one thing and sends it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use axum::http::{Method, Request, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use officials_card::config::{Attester as TrustedAttester, Certifies, Config};
use officials_card::credential::sd_jwt::Presentation;
use officials_card::credential::status_list::StatusReference;
use officials_card::credential::{Signer, client_attestation, dpop, jws};
use officials_card::keyring::{FileKey, fresh_p256_jwk};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use crate::attester::Attester;
use crate::proofs::Envelope;
use crate::town::{Answer, REDIRECT_URI, Town, URL, proof_by};
use crate::vneid::{Algorithm, Vneid};

/// The person who signs in.
pub const PERSON: &str = "001199000018";
/// Somebody else.
pub const NEIGHBOUR: &str = "001199000019";
/// The configuration that wallets ask for.
pub const SD_JWT: &str = "official-card-sdjwt";
/// A PKCE verifier with every kind of character.
pub const VERIFIER: &str = "a-verifier_of.RFC7636~with-every-kind-of-character-0123456789";
/// Where VNeID sends browsers back to.
const CALLBACK: &str = "/sign-in/callback";

/// A key of a wallet.
pub fn fresh_key() -> FileKey {
    FileKey::new(&fresh_p256_jwk().unwrap(), Vec::new()).unwrap()
}

/// A name that was not used before.
pub fn fresh_name() -> String {
    static NAMES: AtomicU32 = AtomicU32::new(0);
    format!("name-{}", NAMES.fetch_add(1, Ordering::Relaxed))
}

/// A town with a sign-in, which trusts a wallet provider.
pub struct Office {
    /// The server.
    pub town: Town,
    /// Who vouches for wallets and their keys.
    pub provider: Attester,
    /// Where people sign in.
    pub vneid: Vneid,
    _home: Town,
}

impl Office {
    /// Opens one, in which [`PERSON`] works.
    pub async fn open(home: Town) -> Self {
        Self::open_with(home, |_| {}).await
    }

    /// The same with other settings.
    pub async fn open_with(home: Town, change: impl FnOnce(&mut Config)) -> Self {
        let office = Self::without_people(home, change).await;
        office.town.hires(PERSON, "H26").await;
        office
    }

    /// The same without anybody.
    pub async fn without_people(home: Town, change: impl FnOnce(&mut Config)) -> Self {
        let provider = Attester::new(home.clock.now());
        let vneid = Vneid::with(&home.clock, &format!("{URL}{CALLBACK}"), Algorithm::Es256, None).await;
        let town = home.configured(|config| {
            config.sign_in = Some(vneid.config.clone());
            config.attesters.push(TrustedAttester {
                name: "wallet provider".into(),
                root: provider.root_pem.clone(),
                certifies: vec![Certifies::Wallets, Certifies::Keys],
                clients: Vec::new(),
            });
            change(config);
        });
        town.service.check_settings().unwrap();
        Self { town, provider, vneid, _home: home }
    }

    /// An instance of the first wallet product.
    pub fn wallet(&self) -> CodeWallet<'_> {
        self.wallet_of("vneid", REDIRECT_URI)
    }

    /// An instance of the second, whose redirect URI has a query.
    pub fn second_wallet(&self) -> CodeWallet<'_> {
        self.wallet_of("wallet-b", &format!("{REDIRECT_URI}?dummy1=lorem&dummy2=ipsum"))
    }

    fn wallet_of(&self, client_id: &str, redirect_uri: &str) -> CodeWallet<'_> {
        CodeWallet {
            office: self,
            client_id: client_id.into(),
            redirect_uri: redirect_uri.into(),
            instance: fresh_key(),
            dpop: fresh_key(),
            key: fresh_key(),
            remembered: Mutex::default(),
        }
    }

    /// A browser without cookies.
    pub fn browser(&self) -> Browser<'_> {
        Browser { town: &self.town, cookies: Arc::default() }
    }

    /// An offer of the backend for a person, by these grants; its `issuer_state` and the rest.
    pub async fn offer(&self, person: &str, grants: &[&str]) -> (Value, Value) {
        let ask = json!({"personal_id_number": person, "assurance_level": 2, "grants": grants});
        let made = self.town.officer("vneid").await.post("/api/v1/offers", ask).await.expect(201);
        let path = made["credential_offer_uri"].as_str().unwrap().strip_prefix(URL).unwrap().to_owned();
        let offer = self.town.get(&path).await.expect(200);
        (made, offer)
    }

    /// The `issuer_state` of an offer for a person.
    pub async fn issuer_state(&self, person: &str) -> String {
        let (_, offer) = self.offer(person, &["authorization_code"]).await;
        offer["grants"]["authorization_code"]["issuer_state"].as_str().unwrap().to_owned()
    }
}

/// What a wallet keeps of answers for its next request.
#[derive(Default)]
struct Remembered {
    dpop_nonce: Option<String>,
    challenge: Option<String>,
}

/// One instance of a wallet product.
pub struct CodeWallet<'a> {
    office: &'a Office,
    /// The product.
    pub client_id: String,
    /// Where its browser sessions end.
    pub redirect_uri: String,
    /// The attested key of the instance.
    pub instance: FileKey,
    /// The key of its DPoP proofs.
    pub dpop: FileKey,
    /// The key of the credential.
    pub key: FileKey,
    remembered: Mutex<Remembered>,
}

/// The tokens of one answer.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The access token.
    pub access: String,
    /// The refresh token.
    pub refresh: String,
    /// All of it.
    pub answer: Value,
}

impl Tokens {
    /// From an answer of the token endpoint.
    #[track_caller]
    pub fn of(answer: Answer) -> Self {
        assert_eq!(answer.header("cache-control"), "no-store");
        let answer = answer.expect(200);
        assert_eq!(answer["token_type"], "DPoP");
        assert!(answer["expires_in"].as_i64().is_some_and(|seconds| seconds > 0));
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        Self { access: text("access_token"), refresh: text("refresh_token"), answer }
    }
}

impl CodeWallet<'_> {
    /// A request to the authorization server: authenticated, without DPoP proof.
    fn draft(&self, path: &str, fields: &[(&str, &str)]) -> Draft<'_> {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Draft {
            wallet: self,
            town: &self.office.town,
            method: Method::POST,
            path: path.to_owned(),
            challenges: "/challenge".to_owned(),
            body: Body::Form(fields),
            token: None,
            attestation: Some(Paper::by(&self.office.provider)),
            pop: Some(Paper::by(&self.instance)),
            dpop: None,
            headers: Vec::new(),
        }
    }

    /// The pushed request.
    pub fn par(&self) -> Draft<'_> {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        self.draft(
            "/par",
            &[
                ("client_id", &self.client_id),
                ("redirect_uri", &self.redirect_uri),
                ("scope", SD_JWT),
                ("state", "the state & more"),
                ("response_type", "code"),
                ("code_challenge", &challenge),
                ("code_challenge_method", "S256"),
            ],
        )
    }

    /// The pushed request of a server below a path, with claims of the proof of possession changed.
    pub fn par_under(&self, path: &str, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Draft<'_> {
        let par = self.par().pop(move |_, claims| edit(claims));
        Draft { path: format!("{path}{}", par.path), challenges: format!("{path}/challenge"), ..par }
    }

    /// A `request_uri`.
    pub async fn pushed(&self) -> String {
        request_uri(self.par().send().await)
    }

    /// Redeems a code.
    pub fn redeem(&self, code: &str) -> Draft<'_> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", VERIFIER),
        ];
        self.draft("/token", &fields).dpop(|_, _| {})
    }

    /// Refreshes.
    pub fn refresh(&self, token: &str) -> Draft<'_> {
        self.draft("/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).dpop(|_, _| {})
    }

    /// Redeems a pre-authorized code.
    pub fn redeem_offer(&self, code: &str, tx_code: &str) -> Draft<'_> {
        let grant = "urn:ietf:params:oauth:grant-type:pre-authorized_code";
        let fields = [("grant_type", grant), ("pre-authorized_code", code), ("tx_code", tx_code)];
        self.draft("/token", &fields).dpop(|_, _| {})
    }

    /// The person comes with a `request_uri`, signs in at level 2 and says yes. Where the browser lands.
    pub async fn lands(&self, request_uri: &str, person: &str) -> Landing {
        let browser = self.office.browser();
        let page = browser.arrives(self.office, &self.client_id, request_uri, person).await;
        self.landing(page.decide(&browser, "approve").await)
    }

    /// Where an answer sends the browser: back to the wallet.
    #[track_caller]
    pub fn landing(&self, answer: Answer) -> Landing {
        assert_eq!(answer.status, 303, "{}", String::from_utf8_lossy(&answer.bytes));
        Landing::of(answer.header("location"), &self.redirect_uri)
    }

    /// A code for the person's card.
    pub async fn code(&self, person: &str) -> String {
        self.lands(&self.pushed().await, person).await.code()
    }

    /// Tokens for the person's card.
    pub async fn tokens(&self, person: &str) -> Tokens {
        let code = self.code(person).await;
        Tokens::of(self.redeem(&code).send().await)
    }

    /// A request with an access token.
    pub fn call(&self, path: &str, access: &str, body: Value) -> Draft<'_> {
        Draft {
            body: Body::Json(body),
            token: Some(("DPoP".to_owned(), access.to_owned())),
            attestation: None,
            pop: None,
            ..self.draft(path, &[])
        }
        .dpop(|_, _| {})
    }

    /// A `c_nonce`.
    pub async fn nonce(&self) -> String {
        let answer = self.office.town.send(Request::post("/nonce").body(axum::body::Body::empty()).unwrap()).await;
        answer.expect(200)["c_nonce"].as_str().unwrap().to_owned()
    }

    /// A proof of a key.
    pub fn proof(&self, key: &FileKey, nonce: &str) -> String {
        let payload = json!({"iss": self.client_id, "aud": URL, "iat": self.office.town.clock.now(), "nonce": nonce});
        proof_by(key, payload)
    }

    /// The body of a credential request with the wallet's own key.
    pub async fn asks(&self, configuration: &str) -> Value {
        let proof = self.proof(&self.key, &self.nonce().await);
        json!({"credential_configuration_id": configuration, "proofs": {"jwt": [proof]}})
    }

    /// A credential request.
    pub async fn credential(&self, access: &str, configuration: &str) -> Draft<'_> {
        self.call("/credential", access, self.asks(configuration).await)
    }

    /// The answer to a credential request that is served.
    pub async fn issued(&self, access: &str) -> Value {
        self.credential(access, SD_JWT).await.send().await.expect(200)
    }

    /// Notes what an answer gives for the next request.
    fn remember(&self, answer: &Answer) {
        let mut remembered = self.remembered.lock().unwrap();
        let value = |name: &str| answer.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        remembered.dpop_nonce = value("dpop-nonce").or(remembered.dpop_nonce.take());
        remembered.challenge = value("oauth-client-attestation-challenge").or(remembered.challenge.take());
    }
}

/// The `request_uri` of an answer.
#[track_caller]
pub fn request_uri(answer: Answer) -> String {
    assert_eq!(answer.header("cache-control"), "no-store");
    let answer = answer.expect(201);
    assert_eq!(answer["expires_in"], 90);
    answer["request_uri"].as_str().unwrap().to_owned()
}

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

fn form<N: AsRef<str>, V: AsRef<str>>(fields: &[(N, V)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// A browser, which follows no redirection by itself.
#[derive(Clone)]
pub struct Browser<'a> {
    town: &'a Town,
    /// By name.
    pub cookies: Arc<Mutex<BTreeMap<String, String>>>,
}

impl<'a> Browser<'a> {
    /// The same browser, whose requests go to another process.
    pub fn at(&self, town: &'a Town) -> Browser<'a> {
        Browser { town, cookies: Arc::clone(&self.cookies) }
    }

    /// Opens one of our addresses.
    pub async fn get(&self, url: &str) -> Answer {
        self.send(Request::get(url.strip_prefix(URL).unwrap_or(url)), String::new()).await
    }

    /// Sends a form.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request, form(fields)).await
    }

    async fn send(&self, mut request: axum::http::request::Builder, body: String) -> Answer {
        let cookies: Vec<_> =
            self.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        let answer = self.town.send(request.body(body.into()).unwrap()).await;
        for line in answer.headers.get_all(header::SET_COOKIE) {
            let (name, value) = line.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.lock().unwrap().insert(name.to_owned(), value.to_owned());
        }
        answer
    }

    /// Opens the authorization endpoint.
    pub async fn visits(&self, client_id: &str, request_uri: &str) -> Answer {
        self.get(&format!("/authorize?{}", form(&[("client_id", client_id), ("request_uri", request_uri)]))).await
    }

    /// The same, and VNeID's address to which it leads.
    pub async fn goes_to_vneid(&self, client_id: &str, request_uri: &str) -> String {
        let answer = self.visits(client_id, request_uri).await;
        assert_eq!(answer.status, 303, "{}", String::from_utf8_lossy(&answer.bytes));
        answer.header("location").to_owned()
    }

    /// Signs a person in and opens what comes after.
    pub async fn arrives(&self, office: &Office, client_id: &str, request_uri: &str, person: &str) -> Page {
        let vneid = self.goes_to_vneid(client_id, request_uri).await;
        self.returns(&office.vneid.signs_in(&vneid, person, 2).await).await
    }

    /// Comes back from VNeID and opens what comes after.
    pub async fn returns(&self, callback: &str) -> Page {
        let answer = self.get(callback).await;
        let path = answer.header("location").strip_prefix(URL).unwrap_or_default().to_owned();
        if answer.status == 303 && path.starts_with("/authorize/") {
            return Page { answer: self.get(&path).await, path };
        }
        Page { answer, path }
    }
}

/// A page in the browser.
#[derive(Debug)]
pub struct Page {
    /// The page.
    pub answer: Answer,
    /// Its path.
    pub path: String,
}

impl Page {
    /// Its text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.answer.bytes).unwrap()
    }

    /// Presses the button with this id.
    pub async fn decide(&self, browser: &Browser<'_>, button: &str) -> Answer {
        self.decide_on(browser, button, None).await
    }

    /// The same, with a record chosen or the one that is chosen already.
    pub async fn decide_on(&self, browser: &Browser<'_>, button: &str, record: Option<&str>) -> Answer {
        let text = self.text();
        assert!(text.contains(&format!("<button id=\"{button}\" name=\"decision\" value=\"{button}\">")), "{text}");
        // A page without a place of its own, as after a sign-in of level 1, has it in its form.
        let (_, rest) = text.split_once("<form method=\"post\" action=\"").expect("a form");
        let action = rest.split('"').next().unwrap().strip_prefix(URL).unwrap();
        let mut fields = vec![("decision", button)];
        let chosen = text.split("name=\"record\" value=\"").find(|part| part.contains("\" checked>"));
        let chosen = chosen.filter(|_| text.contains("name=\"record\"")).and_then(|part| part.split('"').next());
        fields.extend(record.or(chosen).map(|record| ("record", record)));
        browser.post(action, &fields).await
    }

    /// The records that can be chosen, each with its agency.
    pub fn choices(&self) -> Vec<(String, String)> {
        let parts = self.text().split("name=\"record\" value=\"").skip(1);
        let choice = |part: &str| {
            let (record, rest) = part.split_once('"').unwrap();
            let agency = rest.split_once("> ").unwrap().1.split('<').next().unwrap();
            (record.to_owned(), agency.to_owned())
        };
        parts.map(choice).collect()
    }
}

/// Where a browser lands: at the wallet, with these parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landing(pub BTreeMap<String, String>);

impl Landing {
    /// From the address, which must begin with the redirect URI, its query and all.
    #[track_caller]
    pub fn of(location: &str, redirect_uri: &str) -> Self {
        let rest = location.strip_prefix(redirect_uri).unwrap_or_else(|| panic!("{location}"));
        assert!(rest.starts_with(if redirect_uri.contains('?') { '&' } else { '?' }), "{location}");
        assert!(!rest.contains('#'), "{location}");
        let pairs: Vec<_> = form_urlencoded::parse(&rest.as_bytes()[1..]).into_owned().collect();
        let parameters: BTreeMap<_, _> = pairs.iter().cloned().collect();
        assert_eq!(pairs.len(), parameters.len(), "each once: {location}");
        assert_eq!(parameters["iss"], URL);
        Self(parameters)
    }

    /// The code of a landing that has nothing else than it should.
    #[track_caller]
    pub fn code(&self) -> String {
        let names: Vec<_> = self.0.keys().map(String::as_str).filter(|name| *name != "state").collect();
        assert_eq!(names, ["code", "iss"]);
        self.0["code"].clone()
    }

    /// The error of a landing that has nothing else than it should.
    #[track_caller]
    pub fn error(&self) -> &str {
        let names: Vec<_> = self.0.keys().map(String::as_str).filter(|name| *name != "state").collect();
        assert_eq!(names, ["error", "iss"]);
        &self.0["error"]
    }
}

/// Where the status of an issued SD-JWT VC stands.
pub fn status_of(answer: &Value) -> StatusReference {
    let text = answer["credentials"][0]["credential"].as_str().unwrap();
    Presentation::parse(text).unwrap().claimed_status().unwrap()
}

/// Shannon's entropy of a text in bits, as the conformance suite measures tokens.
pub fn entropy(text: &str) -> f64 {
    let mut counts = BTreeMap::new();
    for byte in text.bytes() {
        *counts.entry(byte).or_insert(0_u32) += 1;
    }
    #[allow(clippy::cast_precision_loss)]
    let length = text.len() as f64;
    let of_one: f64 = counts.values().map(|count| f64::from(*count) / length).map(|share| -share * share.log2()).sum();
    of_one * length
}
