//! A wallet of the high assurance profile and the person who holds it: attestation and proof of possession, DPoP with
//! nonces, pushed request, the browser at VNeID and at the consent page, tokens, credentials. Every request is first a
//! draft, so that a test changes one thing and sends it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use officials_card::config::{Attester as TrustedAttester, Certifies, Config, WhenUnavailable};
use officials_card::credential::sd_jwt::Presentation;
use officials_card::credential::status_list::StatusReference;
use officials_card::keyring::{FileKey, fresh_p256_jwk};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::attester::Attester;
pub use crate::browser::{Browser, Landing, Page};
pub use crate::draft::{Draft, spoiled};
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
                status_lists: None,
                status_unavailable: WhenUnavailable::Refuse,
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
        Browser::new(&self.town)
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
pub struct Remembered {
    /// `DPoP-Nonce`.
    pub dpop_nonce: Option<String>,
    /// `OAuth-Client-Attestation-Challenge`.
    pub challenge: Option<String>,
}

/// One instance of a wallet product.
pub struct CodeWallet<'a> {
    /// The server and whoever is around it.
    pub office: &'a Office,
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
    /// What the last answers gave.
    pub remembered: Mutex<Remembered>,
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
    /// The pushed request.
    pub fn par(&self) -> Draft<'_> {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        Draft::form(
            self,
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
        Draft::form(self, "/token", &fields).dpop(|_, _| {})
    }

    /// Refreshes.
    pub fn refresh(&self, token: &str) -> Draft<'_> {
        Draft::form(self, "/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).dpop(|_, _| {})
    }

    /// Redeems a pre-authorized code.
    pub fn redeem_offer(&self, code: &str, tx_code: &str) -> Draft<'_> {
        let grant = "urn:ietf:params:oauth:grant-type:pre-authorized_code";
        let fields = [("grant_type", grant), ("pre-authorized_code", code), ("tx_code", tx_code)];
        Draft::form(self, "/token", &fields).dpop(|_, _| {})
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
        Draft::json(self, path, access, body).dpop(|_, _| {})
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
    pub fn remember(&self, answer: &Answer) {
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
