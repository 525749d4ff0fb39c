//! The sign-in at VNeID: our relying party against the simulator, where people sign in and say no, and against a provider
//! that answers in every wrong way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use josekit::jwk::KeyPair;
use josekit::jwk::alg::ec::{EcCurve, EcKeyPair};
use josekit::jws::{ES256, HS256, JwsHeader, JwsSigner};
use officials_card::clock::Clock;
use officials_card::config::{Secret, SignIn};
use officials_card::protocol::sign_in::Callback;
use officials_card::remote::sign_in::{ASSURANCE_TOO_LOW, SignInError, SignedIn, VneidSignIn};
use openidconnect::url::Url;
use serde_json::{Value, json};

use crate::town::NOW;
use crate::vneid::{Algorithm, PASSWORD, Vneid};

const REDIRECT_URI: &str = "http://127.0.0.1:8080/sign-in/callback";
const PERSON: &str = "001199000010";
const STATE: &str = "the state";
const NONCE: &str = "the nonce";
const VERIFIER: &str = "a-verifier-of-43-characters-as-RFC7636-wants";

fn relying_party(config: &SignIn, clock: &Clock) -> VneidSignIn {
    VneidSignIn::new(config, REDIRECT_URI).unwrap().told_time_by(clock.clone())
}

/// The query of a URL.
fn query(url: &str) -> HashMap<String, String> {
    Url::parse(url).unwrap().query_pairs().into_owned().collect()
}

fn callback(url: &str) -> Callback {
    assert!(url.starts_with(REDIRECT_URI), "{url}");
    let query = query(url);
    assert_eq!(query["state"], STATE);
    serde_json::from_value(json!(query)).unwrap()
}

fn signed_in() -> SignedIn {
    SignedIn { person: officials_card::model::id::PersonalNumber::parse(PERSON).unwrap(), assurance_level: 2 }
}

/// The rule that is broken.
#[track_caller]
fn rule<T: std::fmt::Debug>(result: Result<T, SignInError>) -> &'static str {
    match result {
        Err(SignInError::Refused(rule)) => rule,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_person_signs_in_and_their_number_comes_out_whatever_the_keys() {
    let clock = Clock::fixed(NOW);
    let pair = EcKeyPair::generate(EcCurve::P256).unwrap();
    let file = std::env::temp_dir().join(format!("sign-in-key-{}.jwk", std::process::id()));
    std::fs::write(&file, pair.to_jwk_private_key().to_string()).unwrap();
    let public = serde_json::to_value(pair.to_jwk_public_key()).unwrap();
    for (algorithm, client_key) in
        [(Algorithm::Rs256, None), (Algorithm::Es256, None), (Algorithm::Rs256, Some(public))]
    {
        let with_key = client_key.is_some();
        let mut vneid = Vneid::with(&clock, REDIRECT_URI, algorithm, client_key).await;
        vneid.config.client_key = with_key.then(|| file.clone());
        let ours = relying_party(&vneid.config, &clock);
        let url = ours.start(STATE, NONCE, VERIFIER).await.unwrap();
        let asked = query(&url);
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", "officials-card"),
            ("redirect_uri", REDIRECT_URI),
            ("scope", "openid personal_identification"),
            ("state", STATE),
            ("nonce", NONCE),
            ("code_challenge_method", "S256"),
            ("acr_values", "urn:example:vneid:level:2"),
            ("prompt", "login"),
            ("max_age", "300"),
            ("ui_locales", "vi"),
        ] {
            assert_eq!(asked[name], value);
        }
        assert!(!url.contains(VERIFIER) && !url.contains("hush"));

        let back = callback(&vneid.signs_in(&url, PERSON, 2).await);
        let code = ours.code(&back).await.unwrap();
        assert_eq!(ours.finish(code, NONCE, VERIFIER, NOW).await, Ok(signed_in()));
        // A code is good once.
        assert_eq!(rule(ours.finish(code, NONCE, VERIFIER, NOW + 1).await), "the provider does not accept the code");
    }
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn nobody_signs_in_who_denies_is_not_sure_enough_or_comes_with_another_sign_in() {
    let clock = Clock::fixed(NOW);
    let vneid = Vneid::start(&clock, REDIRECT_URI).await;
    let ours = relying_party(&vneid.config, &clock);
    let url = ours.start(STATE, NONCE, VERIFIER).await.unwrap();
    let back = callback(&vneid.denies(&url).await);
    assert_eq!(ours.code(&back).await, Err(SignInError::Denied));

    let code = async |level| callback(&vneid.signs_in(&url, PERSON, level).await).code.unwrap();
    assert_eq!(rule(ours.finish(&code(1).await, NONCE, VERIFIER, NOW).await), ASSURANCE_TOO_LOW);
    let other = "the ID token is of another sign-in";
    assert_eq!(rule(ours.finish(&code(2).await, "another nonce", VERIFIER, NOW).await), other);
    let not_accepted = "the provider does not accept the code";
    let verifier = VERIFIER.to_uppercase();
    assert_eq!(rule(ours.finish(&code(2).await, NONCE, &verifier, NOW).await), not_accepted);
    assert_eq!(rule(ours.finish("no such code", NONCE, VERIFIER, NOW).await), not_accepted);
    for length in [0, 42, 129] {
        let verifier = "v".repeat(length);
        let form = "the PKCE verifier must have 43 to 128 characters";
        assert_eq!(rule(ours.finish("code", NONCE, &verifier, NOW).await), form);
        assert_eq!(rule(ours.start(STATE, NONCE, &verifier).await), form);
    }
    // Somebody else's callback.
    let mut stranger = callback(&vneid.signs_in(&url, PERSON, 2).await);
    for iss in [None, Some("https://other.example".to_owned())] {
        stranger.iss = iss;
        assert_eq!(rule(ours.code(&stranger).await), "the callback is not of the provider that was asked");
    }
    // A secret that VNeID does not know.
    let config = SignIn { client_secret: Some(Secret::new("wrong")), ..vneid.config.clone() };
    let refused = relying_party(&config, &clock).finish(&code(2).await, NONCE, VERIFIER, NOW).await;
    assert_eq!(rule(refused), "the provider does not accept our client authentication");
    // A code of a minute ago.
    let (fresh, old) = (code(2).await, code(2).await);
    clock.advance(59);
    assert_eq!(ours.finish(&fresh, NONCE, VERIFIER, NOW + 59).await, Ok(signed_in()));
    clock.advance(1);
    assert_eq!(rule(ours.finish(&old, NONCE, VERIFIER, NOW + 60).await), not_accepted);
}

#[tokio::test]
async fn the_simulator_is_a_strict_provider() {
    let clock = Clock::fixed(NOW);
    let vneid = Vneid::start(&clock, REDIRECT_URI).await;
    let ours = relying_party(&vneid.config, &clock);
    let good = ours.start(STATE, NONCE, VERIFIER).await.unwrap();
    let with = |name: &str, value: Option<&str>| {
        let mut url = Url::parse(&good).unwrap();
        let kept: Vec<_> = url.query_pairs().into_owned().filter(|(key, _)| key != name).collect();
        url.query_pairs_mut().clear().extend_pairs(kept).extend_pairs(value.map(|value| (name, value)));
        String::from(url)
    };
    // Without a registered client and redirect URI the browser goes nowhere.
    for (name, value) in [
        ("client_id", None),
        ("client_id", Some("stranger")),
        ("redirect_uri", None),
        ("redirect_uri", Some("http://127.0.0.1:8080/sign-in/callback/")),
        ("redirect_uri", Some("https://evil.example")),
    ] {
        let (status, body, location) = vneid.open(&with(name, value)).await;
        assert_eq!((status, location), (StatusCode::BAD_REQUEST, None), "{name} {value:?}");
        assert!(body.contains("Không thể tiếp tục"));
    }
    for (name, value, error) in [
        ("response_type", None, "invalid_request"),
        ("response_type", Some("token"), "unsupported_response_type"),
        ("scope", Some("personal_identification"), "invalid_scope"),
        ("code_challenge", None, "invalid_request"),
        ("code_challenge", Some("short"), "invalid_request"),
        ("code_challenge_method", Some("plain"), "invalid_request"),
        ("code_challenge_method", None, "invalid_request"),
        ("prompt", Some("none"), "login_required"),
        ("prompt", Some("none login"), "invalid_request"),
        ("request", Some("e30.e30."), "request_not_supported"),
        ("request_uri", Some("https://a.example"), "request_uri_not_supported"),
        ("max_age", Some("soon"), "invalid_request"),
    ] {
        let (status, _, location) = vneid.open(&with(name, value)).await;
        assert_eq!(status, StatusCode::SEE_OTHER, "{name} {value:?}");
        let location = location.unwrap();
        assert!(location.starts_with(REDIRECT_URI));
        let query = query(&location);
        assert_eq!(
            (&*query["error"], &*query["state"], &*query["iss"]),
            (error, STATE, &*vneid.config.issuer),
            "{name}"
        );
    }
    let twice = format!("{good}&nonce=again");
    assert_eq!(query(&vneid.open(&twice).await.2.unwrap())["error"], "invalid_request");

    // The form: a wrong number or password shows it again, a second sending is too late.
    let (status, form, _) = vneid.open(&good).await;
    assert_eq!(status, StatusCode::OK);
    for id in ["username", "password", "level", "submit", "cancel"] {
        assert!(form.contains(&format!("id=\"{id}\"")), "{id}");
    }
    for (person, password) in [(PERSON, "wrong"), ("00119900001", PASSWORD), ("", "")] {
        let (status, again, location) = vneid.send(&form, person, password, 2, "submit").await;
        assert_eq!((status, location), (StatusCode::OK, None));
        assert!(again.contains("không đúng") && again.contains("id=\"submit\""));
    }
    let back = vneid.send(&form, PERSON, PASSWORD, 2, "submit").await.2.unwrap();
    assert_eq!(vneid.send(&form, PERSON, PASSWORD, 2, "submit").await.0, StatusCode::BAD_REQUEST);
    let (_, form, _) = vneid.open(&good).await;
    clock.advance(600);
    assert_eq!(vneid.send(&form, PERSON, PASSWORD, 2, "submit").await.0, StatusCode::BAD_REQUEST);
    clock.advance(-600);

    // Tokens: the second use of a code takes back what the first one got.
    let client = reqwest::Client::new();
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &query(&back)["code"]),
        ("redirect_uri", REDIRECT_URI),
        ("code_verifier", VERIFIER),
    ];
    let token = |user: &str, fields: &[(&str, &str)]| {
        // RFC 6749 section 2.3.1: form-encoded before it is Basic.
        let secret = "hush+%2B+100+%25";
        client.post(format!("{}/token", vneid.config.issuer)).basic_auth(user, Some(secret)).form(fields).send()
    };
    assert_eq!(token("stranger", &fields).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let answer = token("officials-card", &fields).await.unwrap();
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    let tokens: Value = answer.json().await.unwrap();
    let bearer = tokens["access_token"].as_str().unwrap();
    let userinfo = || client.get(format!("{}/userinfo", vneid.config.issuer)).bearer_auth(bearer).send();
    let known: Value = userinfo().await.unwrap().json().await.unwrap();
    assert_eq!(known["personal_identification_number"], PERSON);
    assert!(!known["sub"].as_str().unwrap().contains(PERSON));
    let again = token("officials-card", &fields).await.unwrap();
    assert_eq!(again.status(), StatusCode::BAD_REQUEST);
    assert_eq!(again.json::<Value>().await.unwrap(), json!({"error": "invalid_grant"}));
    assert_eq!(userinfo().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

/// A provider that gives whatever answer it is told to, by path, and counts the questions.
struct Odd {
    config: SignIn,
    clock: Clock,
    answers: Arc<Mutex<HashMap<&'static str, (u16, String)>>>,
    asked: Arc<Mutex<Vec<String>>>,
    pair: EcKeyPair,
}

const DISCOVERY: &str = "/.well-known/openid-configuration";
const JWKS: &str = "/jwks";
const TOKEN: &str = "/token";

impl Odd {
    /// One that is well.
    async fn start() -> Self {
        let answers = Arc::new(Mutex::new(HashMap::new()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let router = Router::new().fallback(odd_answer).with_state((Arc::clone(&answers), Arc::clone(&asked)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let config = SignIn {
            issuer,
            client_id: "card".into(),
            client_secret: Some(Secret::new("hush hush hush hush hush hush hush hush")),
            ..SignIn::default()
        };
        let pair = EcKeyPair::generate(EcCurve::P256).unwrap();
        let odd = Self { config, clock: Clock::fixed(NOW), answers, asked, pair };
        odd.announces(|_| {});
        odd.has_keys(&[("one", &odd.pair)]);
        odd.gives(&signed("one", &odd.pair, &odd.claims()));
        odd
    }

    fn relying_party(&self) -> VneidSignIn {
        relying_party(&self.config, &self.clock)
    }

    fn answers(&self, path: &'static str, status: u16, body: impl ToString) {
        self.answers.lock().unwrap().insert(path, (status, body.to_string()));
    }

    /// How often a path was asked for.
    fn times(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == path).count()
    }

    /// Its discovery document, changed.
    fn announces(&self, change: impl FnOnce(&mut Value)) {
        let issuer = &self.config.issuer;
        let mut document = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}{TOKEN}"),
            "jwks_uri": format!("{issuer}{JWKS}"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
        });
        change(&mut document);
        self.answers(DISCOVERY, 200, document);
    }

    fn has_keys(&self, keys: &[(&str, &EcKeyPair)]) {
        let keys: Vec<_> = keys
            .iter()
            .map(|(kid, pair)| {
                let mut key = pair.to_jwk_public_key();
                key.set_key_id(*kid);
                key
            })
            .collect();
        self.answers(JWKS, 200, json!({ "keys": keys }));
    }

    /// Claims without fault.
    fn claims(&self) -> Value {
        json!({
            "iss": self.config.issuer, "sub": "somebody", "aud": "card", "iat": NOW, "exp": NOW + 60, "nonce": NONCE,
            "auth_time": NOW, "acr": "urn:example:vneid:level:2", "personal_identification_number": PERSON,
        })
    }

    /// This ID token in a token answer.
    fn gives(&self, id_token: &str) {
        self.answers(TOKEN, 200, json!({"access_token": "a", "token_type": "Bearer", "id_token": id_token}));
    }

    async fn finish(&self) -> Result<SignedIn, SignInError> {
        self.relying_party().finish("code", NONCE, VERIFIER, NOW).await
    }
}

fn signed(kid: &str, pair: &EcKeyPair, claims: &Value) -> String {
    let mut signer = ES256.signer_from_jwk(&pair.to_jwk_private_key()).unwrap();
    signer.set_key_id(kid);
    signed_by(&signer, claims)
}

fn signed_by(signer: &dyn JwsSigner, claims: &Value) -> String {
    josekit::jws::serialize_compact(claims.to_string().as_bytes(), &JwsHeader::new(), signer).unwrap()
}

type OddState = (Arc<Mutex<HashMap<&'static str, (u16, String)>>>, Arc<Mutex<Vec<String>>>);

/// Status 0: no answer at all.
async fn odd_answer(State((answers, asked)): State<OddState>, uri: Uri) -> Response {
    asked.lock().unwrap().push(uri.path().to_owned());
    let answer = answers.lock().unwrap().get(uri.path()).cloned();
    match answer {
        Some((0, _)) => std::future::pending().await,
        Some((status, body)) => {
            let headers = [(header::CONTENT_TYPE, "application/json"), (header::LOCATION, "/elsewhere")];
            (StatusCode::from_u16(status).unwrap(), headers, body).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A change of the claims, and the rule that it breaks; none if it is within the rules.
type Change = (fn(&mut Value), Option<&'static str>);

#[tokio::test]
async fn every_claim_of_the_id_token_counts() {
    const ISSUER: Option<&str> = Some("the ID token is of another issuer");
    const AUDIENCE: Option<&str> = Some("the ID token is not for us alone");
    const AGE: Option<&str> = Some("the ID token is expired, too old or from the future");
    const OTHER: Option<&str> = Some("the ID token is of another sign-in");
    const ASSURANCE: Option<&str> = Some(ASSURANCE_TOO_LOW);
    const RECENT: Option<&str> = Some("the ID token does not show that the person signed in just now");
    const NUMBER: Option<&str> = Some("the ID token names no personal number");
    const UNREADABLE: Option<&str> = Some("the token answer cannot be read");
    fn without(claims: &mut Value, name: &str) {
        claims.as_object_mut().unwrap().remove(name).unwrap();
    }
    let changes: [Change; 34] = [
        (|_| {}, None),
        (|claims| claims["iss"] = json!("https://other.example"), ISSUER),
        (|claims| claims["iss"] = json!(format!("{}/", claims["iss"].as_str().unwrap())), ISSUER),
        (|claims| without(claims, "iss"), UNREADABLE),
        (|claims| claims["aud"] = json!(["card"]), None),
        (|claims| claims["aud"] = json!("other"), AUDIENCE),
        (|claims| claims["aud"] = json!(["card", "other"]), AUDIENCE),
        (|claims| claims["aud"] = json!([]), AUDIENCE),
        (|claims| without(claims, "aud"), AUDIENCE),
        (|claims| claims["azp"] = json!("card"), None),
        (|claims| claims["azp"] = json!("other"), AUDIENCE),
        (|claims| claims["exp"] = json!(NOW + 1), None),
        (|claims| claims["exp"] = json!(NOW), AGE),
        (|claims| without(claims, "exp"), UNREADABLE),
        (|claims| claims["iat"] = json!(NOW - 360), None),
        (|claims| claims["iat"] = json!(NOW - 361), AGE),
        (|claims| claims["iat"] = json!(NOW + 60), None),
        (|claims| claims["iat"] = json!(NOW + 61), AGE),
        (|claims| without(claims, "iat"), UNREADABLE),
        (|claims| claims["nonce"] = json!("the nonc"), OTHER),
        (|claims| without(claims, "nonce"), OTHER),
        (|claims| claims["acr"] = json!("urn:example:vneid:level:1"), ASSURANCE),
        (|claims| without(claims, "acr"), ASSURANCE),
        (|claims| claims["auth_time"] = json!(NOW - 360), None),
        (|claims| claims["auth_time"] = json!(NOW - 361), RECENT),
        (|claims| claims["auth_time"] = json!(NOW + 60), None),
        (|claims| claims["auth_time"] = json!(NOW + 61), RECENT),
        (|claims| without(claims, "auth_time"), RECENT),
        (|claims| without(claims, "sub"), UNREADABLE),
        (|claims| claims["personal_identification_number"] = json!("00119900001"), NUMBER),
        (|claims| claims["personal_identification_number"] = json!(1_199_000_010_i64), NUMBER),
        (|claims| claims["personal_identification_number"] = json!([PERSON]), NUMBER),
        (|claims| claims["personal_identification_number"] = json!("٠٠١١٩٩٠٠٠٠١٠"), NUMBER),
        (|claims| without(claims, "personal_identification_number"), NUMBER),
    ];
    let odd = Odd::start().await;
    for (at, (change, broken)) in changes.into_iter().enumerate() {
        let mut claims = odd.claims();
        change(&mut claims);
        odd.gives(&signed("one", &odd.pair, &claims));
        match broken {
            None => assert_eq!(odd.finish().await, Ok(signed_in()), "{at}: {claims}"),
            Some(broken) => assert_eq!(rule(odd.finish().await), broken, "{at}: {claims}"),
        }
    }
    // Another claim may be meant, a standard one too.
    let mut claims = odd.claims();
    without(&mut claims, "personal_identification_number");
    for name in ["sub", "preferred_username", "cccd"] {
        let mut claims = claims.clone();
        claims[name] = json!(PERSON);
        odd.gives(&signed("one", &odd.pair, &claims));
        let config = SignIn { personal_number_claim: name.into(), ..odd.config.clone() };
        let found = relying_party(&config, &odd.clock).finish("code", NONCE, VERIFIER, NOW).await;
        assert_eq!(found, Ok(signed_in()), "{name}");
    }
}

#[tokio::test]
async fn only_the_providers_own_signature_counts() {
    let odd = Odd::start().await;
    let claims = odd.claims();
    let stranger = EcKeyPair::generate(EcCurve::P256).unwrap();
    odd.gives(&signed("one", &stranger, &claims));
    assert_eq!(rule(odd.finish().await), "the ID token's signature is wrong");
    // Whoever knows the client secret, and a public key as if it were one.
    let kind = "the ID token's signature is of a kind that is not accepted";
    let secret = odd.config.client_secret.as_ref().unwrap().expose().to_owned();
    for key in [secret.into_bytes(), odd.pair.to_pem_public_key()] {
        odd.gives(&signed_by(&HS256.signer_from_bytes(key).unwrap(), &claims));
        assert_eq!(rule(odd.finish().await), kind);
    }
    let good = signed("one", &odd.pair, &claims);
    let payload = good.split('.').nth(1).unwrap();
    odd.gives(&format!("eyJhbGciOiJub25lIn0.{payload}."));
    assert_eq!(rule(odd.finish().await), kind);
    for garbage in ["", "a", "a.b.c", &good[..good.len() - 90]] {
        odd.gives(garbage);
        let broken = rule(odd.finish().await);
        assert!(["the token answer cannot be read", "the ID token's signature is wrong"].contains(&broken), "{broken}");
    }
    odd.answers(TOKEN, 200, json!({"access_token": "a", "token_type": "Bearer"}));
    assert_eq!(rule(odd.finish().await), "the token answer has no ID token");
}

#[tokio::test]
async fn a_new_key_is_looked_for_once_a_minute() {
    let odd = Odd::start().await;
    let ours = odd.relying_party();
    let finish = || ours.finish("code", NONCE, VERIFIER, NOW);
    assert_eq!(finish().await, Ok(signed_in()));
    assert_eq!((odd.times(DISCOVERY), odd.times(JWKS)), (1, 1));
    let second = EcKeyPair::generate(EcCurve::P256).unwrap();
    let third = EcKeyPair::generate(EcCurve::P256).unwrap();
    odd.has_keys(&[("one", &odd.pair), ("two", &second)]);
    odd.gives(&signed("two", &second, &odd.claims()));
    assert_eq!(finish().await, Ok(signed_in()));
    assert_eq!((odd.times(DISCOVERY), odd.times(JWKS)), (1, 2));
    // The next change comes too soon.
    let unknown = "the ID token is signed by an unknown key";
    odd.has_keys(&[("three", &third)]);
    odd.gives(&signed("three", &third, &odd.claims()));
    assert_eq!(rule(finish().await), unknown);
    odd.clock.advance(59);
    assert_eq!(rule(finish().await), unknown);
    assert_eq!(odd.times(JWKS), 2);
    odd.clock.advance(1);
    assert_eq!(finish().await, Ok(signed_in()));
    assert_eq!(odd.times(JWKS), 3);
    // A provider that changes its key under the same name.
    let fourth = EcKeyPair::generate(EcCurve::P256).unwrap();
    odd.has_keys(&[("three", &fourth)]);
    odd.gives(&signed("three", &fourth, &odd.claims()));
    assert_eq!(rule(finish().await), "the ID token's signature is wrong");
    odd.clock.advance(60);
    assert_eq!(finish().await, Ok(signed_in()));
    // A key that was withdrawn is withdrawn.
    odd.gives(&signed("one", &odd.pair, &odd.claims()));
    odd.clock.advance(60);
    assert_eq!(rule(finish().await), unknown);
    assert_eq!((odd.times(DISCOVERY), odd.times(JWKS)), (1, 5));
}

#[tokio::test]
async fn the_provider_is_discovered_when_it_must_be() {
    let odd = Odd::start().await;
    let ours = odd.relying_party();
    assert_eq!(odd.times(DISCOVERY), 0, "a server starts while VNeID is down");
    let start = || ours.start(STATE, NONCE, VERIFIER);
    // Many at once: one asks.
    let all = futures_util::future::join_all((0..32).map(|_| start())).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(odd.times(DISCOVERY), 1);
    odd.clock.advance(6 * 3600 - 1);
    start().await.unwrap();
    assert_eq!(odd.times(DISCOVERY), 1);
    odd.clock.advance(1);
    start().await.unwrap();
    assert_eq!(odd.times(DISCOVERY), 2);
    // The token endpoint is gone: perhaps it moved.
    odd.answers(TOKEN, 503, "down for maintenance");
    let gone = ours.finish("the code", NONCE, VERIFIER, NOW).await.unwrap_err();
    assert_eq!(gone, SignInError::Unreachable("status 503".into()));
    odd.announces(|document| document["token_endpoint"] = json!(format!("{}/moved", odd.config.issuer)));
    let good = signed("one", &odd.pair, &odd.claims());
    odd.answers("/moved", 200, json!({"access_token": "a", "token_type": "Bearer", "id_token": good}));
    assert_eq!(ours.finish("the code", NONCE, VERIFIER, NOW).await, Ok(signed_in()));
    assert_eq!(odd.times(DISCOVERY), 3);
    // While it is down it is left alone for a moment, and everybody is told at once.
    odd.clock.advance(6 * 3600);
    odd.answers(DISCOVERY, 500, "");
    for _ in 0..3 {
        assert_eq!(start().await, Err(SignInError::Unreachable("status 500".into())));
        assert_eq!(odd.times(DISCOVERY), 4);
    }
    odd.announces(|_| {});
    odd.clock.advance(4);
    assert!(start().await.is_err());
    odd.clock.advance(1);
    start().await.unwrap();
    assert_eq!(odd.times(DISCOVERY), 5);
}

#[tokio::test]
async fn a_provider_that_breaks_the_contract_is_refused() {
    let odd = Odd::start().await;
    // Each time nothing is known of it.
    let start = async || odd.relying_party().start(STATE, NONCE, VERIFIER).await;
    let other = "the discovery document is of another issuer";
    odd.announces(|document| document["issuer"] = json!("https://other.example"));
    assert_eq!(rule(start().await), other);
    odd.announces(|document| document["issuer"] = json!(format!("{}/", odd.config.issuer)));
    assert_eq!(rule(start().await), other);
    for endpoint in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
        for elsewhere in ["http://vneid.example/x", "http://10.0.0.1/x", "ftp://127.0.0.1/x"] {
            odd.announces(|document| document[endpoint] = json!(elsewhere));
            assert_eq!(rule(start().await), "an address of the provider is not https", "{endpoint}");
        }
    }
    odd.announces(|document| drop(document.as_object_mut().unwrap().remove("token_endpoint")));
    assert_eq!(rule(start().await), "the provider has no token endpoint");
    let unreadable = "the discovery document or key set cannot be read";
    for garbage in ["", "[]", "null", "{}", "<html>", "\u{0}"] {
        odd.answers(DISCOVERY, 200, garbage);
        assert_eq!(rule(start().await), unreadable, "{garbage}");
    }
    for status in [302, 404, 401] {
        odd.answers(DISCOVERY, status, "{}");
        assert_eq!(start().await, Err(SignInError::Unreachable(format!("discovery: status {status}"))));
    }
    assert_eq!(odd.times("/elsewhere"), 0, "no redirect is followed");
    odd.announces(|_| {});
    start().await.unwrap();

    // Answers of 128 KiB are read, larger ones are not.
    let large = "an answer of the provider is too large";
    let padded = |body: String, size: usize| format!("{body}{}", " ".repeat(size - body.len()));
    for path in [DISCOVERY, JWKS, TOKEN] {
        let (_, body) = odd.answers.lock().unwrap()[path].clone();
        odd.answers(path, 200, padded(body.clone(), 128 << 10));
        assert_eq!(odd.finish().await, Ok(signed_in()), "{path}");
        odd.answers(path, 200, padded(body.clone(), (128 << 10) + 1));
        assert_eq!(rule(odd.finish().await), large, "{path}");
        odd.answers(path, 200, body);
    }

    // What the token endpoint says is not repeated.
    for (status, error, expected) in [
        (400, "invalid_grant", "the provider does not accept the code"),
        (401, "invalid_client", "the provider does not accept our client authentication"),
        (400, "hush", "the provider does not accept our token request"),
    ] {
        odd.answers(TOKEN, status, json!({"error": error, "error_description": "hush"}));
        let refused = odd.finish().await;
        assert!(!format!("{refused:?}").contains("hush"));
        assert_eq!(rule(refused), expected);
    }
    for (status, body) in [(200, "hush"), (200, ""), (404, "hush"), (302, "")] {
        odd.answers(TOKEN, status, body);
        let refused = odd.finish().await;
        assert!(!format!("{refused:?}").contains("hush"));
        assert_eq!(rule(refused), "the token answer cannot be read");
    }
    assert_eq!(odd.times("/elsewhere"), 0, "no redirect is followed");
}

#[tokio::test]
async fn a_provider_that_is_silent_is_unreachable() {
    let odd = Odd::start().await;
    // A port that was free a moment ago: nobody listens.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = SignIn { issuer: format!("http://{free}"), ..odd.config.clone() };
    let nowhere = relying_party(&config, &odd.clock).start(STATE, NONCE, VERIFIER).await;
    assert!(matches!(nowhere, Err(SignInError::Unreachable(_))), "{nowhere:?}");
    // It listens and says nothing: five seconds are enough.
    odd.answers(TOKEN, 0, "");
    let before = std::time::Instant::now();
    let silent = odd.relying_party().finish("the code", NONCE, VERIFIER, NOW).await.unwrap_err();
    assert!(matches!(silent, SignInError::Unreachable(_)), "{silent:?}");
    assert!((4..10).contains(&before.elapsed().as_secs()));
    for text in [silent.to_string(), nowhere.unwrap_err().to_string()] {
        for hidden in ["the code", "hush", VERIFIER, "127.0.0.1"] {
            assert!(!text.contains(hidden), "{text}");
        }
    }
}

#[test]
fn settings_that_cannot_work_are_named_at_the_start() {
    let with = |issuer: &str, redirect_uri: &str| {
        let config = SignIn { issuer: issuer.into(), client_id: "card".into(), ..SignIn::default() };
        VneidSignIn::new(&config, redirect_uri).map(drop).map_err(|fault| fault.to_string())
    };
    assert_eq!(with("https://vneid.example", REDIRECT_URI), Ok(()));
    for wrong in [
        "http://vneid.example",
        "vneid.example",
        "https://vneid.example?x=1",
        "https://vneid.example#x",
        "https://user:hush@vneid.example",
    ] {
        let fault = with(wrong, REDIRECT_URI).unwrap_err();
        assert!(fault.contains("issuer") && !fault.contains("hush"), "{fault}");
    }
    assert!(with("https://vneid.example", "/callback").is_err());
    let file = std::env::temp_dir().join(format!("sign-in-no-key-{}", std::process::id()));
    let config = SignIn { issuer: "https://vneid.example".into(), client_key: Some(file.clone()), ..SignIn::default() };
    assert!(VneidSignIn::new(&config, REDIRECT_URI).is_err());
    std::fs::write(&file, "hush").unwrap();
    let fault = VneidSignIn::new(&config, REDIRECT_URI).err().unwrap().to_string();
    assert!(fault.contains("P-256") && !fault.contains("hush"), "{fault}");
    std::fs::remove_file(file).unwrap();
}
