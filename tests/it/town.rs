//! The town: one deployment on a fresh store, with its people.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use officials_card::chance::Chance;
use officials_card::clock::Clock;
use officials_card::config::{Client, Config, Limits, RateLimits, Secret, Wallet as WalletProduct};
use officials_card::credential::{Signer, jws};
use officials_card::flow::Service;
use officials_card::keyring::{self, FileKey, Keyring};
use officials_card::model::person::{AskedNumber, NameParts, PopulationPerson, PopulationQuery};
use officials_card::store::Store;
use serde_json::{Value, json};
use tower::ServiceExt;

/// Where the town's identifiers stand.
pub const URL: &str = "http://127.0.0.1:8080";
/// Where the browser of a registered wallet product ends.
pub const REDIRECT_URI: &str = "https://wallet.example/callback";
/// Sunday, 22 November 2026, 05:27:48 UTC.
pub const NOW: i64 = 1_795_325_268;

/// The two databases.
#[derive(Clone, Copy, Debug)]
pub enum Ground {
    Sqlite,
    Postgres,
}

/// Runs a story on both databases.
#[macro_export]
macro_rules! story {
    ($(#[$attribute:meta])* async fn $name:ident($town:ident) $body:block) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn story($town: $crate::town::Town) $body

            $(#[$attribute])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                story($crate::town::Town::on($crate::town::Ground::Sqlite).await).await;
            }

            $(#[$attribute])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                story($crate::town::Town::on($crate::town::Ground::Postgres).await).await;
            }
        }
    };
}

/// One deployment.
pub struct Town {
    pub service: Service,
    pub clock: Clock,
    pub database_url: String,
    router: Router,
    folder: PathBuf,
}

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Bytes,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// The body as JSON of an answer that must have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.bytes));
        if self.bytes.is_empty() { Value::Null } else { self.json() }
    }

    /// The `error` of an OAuth or OpenID4VCI refusal with this status.
    #[track_caller]
    pub fn error(self, status: u16) -> String {
        let body = self.expect(status);
        let members: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, ["error", "error_description"], "no other members");
        body["error"].as_str().unwrap().to_owned()
    }

    /// The kind of a problem document with this status.
    #[track_caller]
    pub fn problem(self, status: u16) -> String {
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json", "{self:?}");
        let body = self.expect(status);
        assert_eq!(body["status"], status);
        body["type"].as_str().unwrap().strip_prefix("urn:officials-card:problem:").unwrap().to_owned()
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

static TOWNS: AtomicU32 = AtomicU32::new(0);

impl Town {
    /// A fresh town.
    pub async fn on(ground: Ground) -> Self {
        Self::with(ground, Limits::default()).await
    }

    /// A fresh town with other limits.
    pub async fn with(ground: Ground, limits: Limits) -> Self {
        let number = TOWNS.fetch_add(1, Ordering::Relaxed);
        let name = format!("town_{}_{number}", std::process::id());
        let folder = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(&folder).unwrap();
        let database_url = match ground {
            Ground::Sqlite => format!("sqlite://{}/town.db", folder.display()),
            Ground::Postgres => fresh_postgres(&name).await,
        };
        let clock = Clock::fixed(NOW);
        let mut settings = Self::settings(&database_url, limits);
        settings.self_service.evidence = folder.join("evidence");
        settings.data_dir = folder.join("data");
        let service = Self::process(settings, clock.clone(), number).await;
        Self { router: officials_card::http::router(service.clone()), service, clock, database_url, folder }
    }

    /// Another process of the same deployment: it shares nothing but the settings, the database and the keys.
    pub async fn second_process(&self) -> Self {
        let number = TOWNS.fetch_add(1, Ordering::Relaxed);
        let service = Self::process(self.service.config.clone(), self.clock.clone(), number).await;
        let folder = std::env::temp_dir().join(format!("town_{}_{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            router: officials_card::http::router(service.clone()),
            service,
            clock: self.clock.clone(),
            database_url: self.database_url.clone(),
            folder,
        }
    }

    fn settings(database_url: &str, limits: Limits) -> Config {
        let client = |name: &str, scopes: &[&str], units: Option<Vec<String>>| Client {
            name: name.into(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            units,
            jwks: Some(json!({"keys": [client_key().public_key().to_jwk()]})),
            ..Client::default()
        };
        let wallet = |client_id: &str| WalletProduct {
            client_id: client_id.into(),
            name: format!("Ví {client_id}"),
            redirect_uris: vec![REDIRECT_URI.into(), format!("{REDIRECT_URI}?dummy1=lorem&dummy2=ipsum")],
            jwks: Some(json!({"keys": [client_key().public_key().to_jwk()]})),
        };
        Config {
            public_url: URL.into(),
            database_url: Secret::new(database_url),
            limits,
            // The clock stands still, so no allowance would come back.
            rate_limits: RateLimits::OFF,
            clients: vec![
                client("vneid", &officials_card::protocol::oauth::SCOPES, None),
                client("hanoi", &officials_card::protocol::oauth::SCOPES, Some(vec!["H26".into()])),
                client("reader", &["cards:read"], None),
            ],
            wallets: vec![wallet("vneid"), wallet("wallet-b")],
            ..Config::default()
        }
    }

    async fn process(config: Config, clock: Clock, number: u32) -> Service {
        let store = Store::open(config.database_url.expose()).await.unwrap();
        let keys = Keyring::open(keys_folder(), None).unwrap();
        let service = Service::new(config, clock, Self::chance(number), store, keys);
        service.check_settings().unwrap();
        service
    }

    /// Every process draws lots of its own.
    fn chance(number: u32) -> Chance {
        let mut seed = [7; 32];
        seed[..4].copy_from_slice(&number.to_be_bytes());
        Chance::seeded(seed)
    }

    /// Sends a request.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, bytes }
    }

    /// Sends a request and gives the answer's body while it still comes.
    pub async fn opens(&self, request: Request<Body>) -> Body {
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body()
    }

    /// Fetches a document.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// A file of this town.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A program of VNeID or of a unit, with its token.
    pub async fn officer(&self, client: &str) -> Officer<'_> {
        Officer { town: self, token: self.service.mint_token(client, 3600).await.unwrap() }
    }

    /// The same with a token that outlives the story.
    pub async fn stays(&self, client: &str) -> Officer<'_> {
        Officer { town: self, token: self.service.mint_token(client, 400 * 86_400).await.unwrap() }
    }

    /// A wallet with a fresh P-256 key.
    pub fn wallet(&self) -> Wallet<'_> {
        Wallet { town: self, key: FileKey::new(&keyring::fresh_p256_jwk().unwrap(), Vec::new()).unwrap() }
    }

    /// A wallet with an Ed25519 key.
    pub fn ed25519_wallet(&self, seed: u8) -> Wallet<'_> {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        let jwk = json!({
            "kty": "OKP", "crv": "Ed25519",
            "x": URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes()), "d": URL_SAFE_NO_PAD.encode([seed; 32]),
        });
        Wallet { town: self, key: FileKey::new(&jwk, Vec::new()).unwrap() }
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The key of every registered client.
pub fn client_key() -> &'static FileKey {
    static KEY: OnceLock<FileKey> = OnceLock::new();
    KEY.get_or_init(|| FileKey::new(&keyring::fresh_p256_jwk().unwrap(), Vec::new()).unwrap())
}

/// One PKI for all towns of this run.
fn keys_folder() -> &'static std::path::Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("town_keys_{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        keyring::init(&folder, None, URL, &Chance::system(), NOW).unwrap();
        folder
    })
}

/// A fresh database in the cluster of `tests/with-postgres.sh`.
async fn fresh_postgres(name: &str) -> String {
    use sqlx::ConnectOptions;
    let url = std::env::var("OFFICIALS_CARD_TEST_POSTGRES")
        .expect("run through `make test` or tests/with-postgres.sh, which start PostgreSQL");
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::any::AnyConnectOptions::from_str(&url).unwrap().connect().await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
    url.replacen("/postgres?", &format!("/{name}?"), 1)
}

/// A caller of `/api/v1`.
pub struct Officer<'a> {
    pub town: &'a Town,
    pub token: String,
}

impl Officer<'_> {
    /// POSTs JSON.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.post_with(path, body, &[]).await
    }

    /// POSTs JSON with more headers.
    pub async fn post_with(&self, path: &str, body: Value, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::post(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.town.send(request.body(body.to_string().into()).unwrap()).await
    }

    /// GETs.
    pub async fn get(&self, path: &str) -> Answer {
        let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        self.town.send(request.body(Body::empty()).unwrap()).await
    }

    /// Any other method, with JSON unless there is none.
    pub async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        let body = if body.is_null() { Body::empty() } else { body.to_string().into() };
        self.town.send(request.header(header::CONTENT_TYPE, "application/json").body(body).unwrap()).await
    }

    /// Makes an offer for a person.
    pub async fn offer(&self, person: &str) -> Value {
        self.post("/api/v1/offers", json!({"personal_id_number": person, "assurance_level": 2})).await.expect(201)
    }

    /// Takes a step on one card.
    pub async fn step(&self, card: &str, step: &str, reason: &str) -> Answer {
        self.post(&format!("/api/v1/cards/{card}/{step}"), json!({"reason": reason})).await
    }
}

/// A person's wallet.
pub struct Wallet<'a> {
    pub town: &'a Town,
    pub key: FileKey,
}

impl Wallet<'_> {
    /// Fetches the offer and gives its pre-authorized code.
    pub async fn code(&self, offer: &Value) -> String {
        let path = offer["credential_offer_uri"].as_str().unwrap().strip_prefix(URL).unwrap().to_owned();
        let offer = self.town.get(&path).await.expect(200);
        let grant = &offer["grants"]["urn:ietf:params:oauth:grant-type:pre-authorized_code"];
        grant["pre-authorized_code"].as_str().unwrap().to_owned()
    }

    /// The token endpoint.
    pub async fn redeem(&self, code: &str, tx_code: &str) -> Answer {
        let form = format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Apre-authorized_code&pre-authorized_code={code}&tx_code={tx_code}"
        );
        self.form("/token", form).await
    }

    /// POSTs a form.
    pub async fn form(&self, path: &str, form: String) -> Answer {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.town.send(request.body(form.into()).unwrap()).await
    }

    /// From an offer to an access token.
    pub async fn token(&self, offer: &Value) -> String {
        let code = self.code(offer).await;
        let answer = self.redeem(&code, offer["tx_code"].as_str().unwrap()).await.expect(200);
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// A fresh nonce.
    pub async fn nonce(&self) -> String {
        let answer = self.town.send(Request::post("/nonce").body(Body::empty()).unwrap()).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        answer.expect(200)["c_nonce"].as_str().unwrap().to_owned()
    }

    /// A proof of the wallet's own key.
    pub fn proof(&self, nonce: &str) -> String {
        proof_by(&self.key, json!({"aud": URL, "iat": self.town.clock.now(), "nonce": nonce}))
    }

    /// POSTs JSON with a token.
    pub async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        let request = Request::post(path)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json");
        self.town.send(request.body(body.to_string().into()).unwrap()).await
    }

    /// A credential request for one configuration.
    pub fn request(configuration: &str, proofs: &[String]) -> Value {
        json!({"credential_configuration_id": configuration, "proofs": {"jwt": proofs}})
    }

    /// From a token to one credential.
    pub async fn credential(&self, token: &str, configuration: &str) -> String {
        let proof = self.proof(&self.nonce().await);
        let answer = self.post("/credential", token, &Self::request(configuration, &[proof])).await.expect(200);
        answer["credentials"][0]["credential"].as_str().unwrap().to_owned()
    }

    /// From a person to one credential.
    pub async fn card(&self, officer: &Officer<'_>, person: &str, configuration: &str) -> String {
        let offer = officer.offer(person).await;
        let token = self.token(&offer).await;
        self.credential(&token, configuration).await
    }
}

/// A key proof with this payload.
pub fn proof_by(key: &FileKey, payload: Value) -> String {
    let header = jws::header(key, "openid4vci-proof+jwt", json!({"jwk": key.public_key().to_jwk()}));
    jws::sign(key, &header, payload.to_string().as_bytes()).unwrap()
}

/// A tiny picture: what is checked of a JPEG are its first and last bytes.
const PORTRAIT: &[u8] = &[0xff, 0xd8, 0xff, 0xe0, 0, 4, 0, 0, 0xff, 0xd9];

/// A population registry that knows everybody just as the unit says.
struct Agreeing;

impl officials_card::remote::population::PopulationRegistry for Agreeing {
    async fn look_up(
        &self,
        query: &PopulationQuery,
    ) -> Result<Option<PopulationPerson>, officials_card::remote::population::Unreachable> {
        let AskedNumber::Personal(number) = &query.number else { return Ok(None) };
        let name = NameParts { given: query.full_name.clone(), ..NameParts::default() };
        Ok(Some(PopulationPerson::new(number.clone(), name, query.date_of_birth)))
    }
}

impl Town {
    /// A unit hires a person: the record is imported, matched and confirmed.
    pub async fn hires(&self, person: &str, unit: &str) {
        self.imports(person, unit, "001", "active").await;
        self.matches_and_confirms(unit).await;
    }

    /// A unit sends a record: with this position and employment status.
    pub async fn imports(&self, person: &str, unit: &str, position: &str, status: &str) {
        self.imports_as(person, person, unit, position, status).await;
    }

    /// The same under the personnel number of somebody whose number in the population database is `number`.
    pub async fn imports_as(&self, number: &str, person: &str, unit: &str, position: &str, status: &str) {
        self.imports_called("Nguyễn Thị Thử Nghiệm", number, person, unit, position, status).await;
    }

    /// The same under another name.
    pub async fn imports_called(
        &self,
        name: &str,
        number: &str,
        person: &str,
        unit: &str,
        position: &str,
        status: &str,
    ) {
        use officials_card::flow::import::{Format, ImportRequest, import};
        let portrait = base64::engine::general_purpose::STANDARD.encode(PORTRAIT);
        let year = 1900 + 100 * (person[3..4].parse::<i32>().unwrap() / 2) + person[4..6].parse::<i32>().unwrap();
        let gender = person[3..4].parse::<i32>().unwrap() % 2;
        let sex = if gender == 0 { "1" } else { "2" };
        let rows = format!(
            "agency_personnel_number,record_type,full_name,gender,date_of_birth,personal_id_number,portrait_photo,\
             managing_unit_code,using_unit_code,position_title,employment_status,employment_status_date\n\
             N{number},01,{name},{sex},{year}0315,{person},{portrait},{unit},{unit},{position},{status},20200101\n"
        );
        let file = self.file(&format!("{name}-{number}-{person}-{position}-{status}.csv"), rows);
        let request = ImportRequest {
            rejects: file.with_extension("rejects.csv"),
            file,
            format: Format::Csv,
            dry_run: false,
            actor: "test".into(),
        };
        let rejects = request.rejects.clone();
        let summary = import(self.service.store(), &self.clock, &self.service.chance, request, |_| {}).await.unwrap();
        assert_eq!(summary.rejected, 0, "{}", std::fs::read_to_string(rejects).unwrap_or_default());
    }

    /// The population database agrees, and the unit confirms.
    pub async fn matches_and_confirms(&self, unit: &str) {
        self.matches().await;
        self.confirms(unit).await;
    }

    /// The unit confirms what its records say now.
    pub async fn confirms(&self, unit: &str) {
        use officials_card::flow::enroll::confirm;
        confirm(self.service.store(), &self.clock, unit, officials_card::store::Confirmed::All, "test").await.unwrap();
    }

    /// The population database agrees; the unit has still to confirm.
    pub async fn matches(&self) {
        use officials_card::flow::enroll::{Asker, match_pending};
        let asker = Asker { officer: "test".into(), purpose: "test".into(), pause_seconds: 0 };
        match_pending(self.service.store(), &self.clock, &Agreeing, &asker, |_| {}).await.unwrap();
    }
}

impl Town {
    /// Writes a file of the town and gives its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let file = self.folder.join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// Where the keys of all towns are.
    pub fn folder_of_keys() -> &'static std::path::Path {
        keys_folder()
    }

    /// The same town behind a service with other settings.
    pub fn configured(&self, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = self.service.config.clone();
        change(&mut config);
        let keys = Keyring::open(keys_folder(), None).unwrap();
        let chance = Self::chance(TOWNS.fetch_add(1, Ordering::Relaxed));
        let service = Service::new(config, self.clock.clone(), chance, self.service.store().clone(), keys);
        let folder = self.folder.join("tenant");
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            router: officials_card::http::router(service.clone()),
            service,
            clock: self.clock.clone(),
            database_url: self.database_url.clone(),
            folder,
        }
    }
}

impl Town {
    /// A unit hires many people at once.
    pub async fn hires_all(&self, people: &[String], unit: &str) {
        use std::fmt::Write as _;

        use officials_card::flow::import::{Format, ImportRequest, import};
        let portrait = base64::engine::general_purpose::STANDARD.encode(PORTRAIT);
        let mut rows =
            "agency_personnel_number,record_type,full_name,gender,date_of_birth,personal_id_number,portrait_photo,\
             managing_unit_code,using_unit_code,position_title,employment_status,employment_status_date\n"
                .to_owned();
        for person in people {
            assert!(person.starts_with("0011"), "a woman born in the last century");
            let year = 1900 + person[4..6].parse::<i32>().unwrap();
            writeln!(
                rows,
                "N{person},01,Nguyễn Thị Thử Nghiệm,2,{year}0315,{person},{portrait},{unit},{unit},001,active,20200101"
            )
            .unwrap();
        }
        let file = self.file(&format!("{unit}.csv"), rows);
        let rejects = file.with_extension("rejects.csv");
        let request = ImportRequest { rejects, file, format: Format::Csv, dry_run: false, actor: "test".into() };
        let summary = import(self.service.store(), &self.clock, &self.service.chance, request, |_| {}).await.unwrap();
        assert_eq!(summary.rejected, 0);
        self.matches_and_confirms(unit).await;
    }

    /// The address of another database of the same kind, empty.
    pub async fn fresh_database(&self, name: &str) -> String {
        if self.database_url.starts_with("sqlite") {
            return format!("sqlite://{}?mode=rwc", self.folder.join(format!("{name}.db")).display());
        }
        let number = TOWNS.fetch_add(1, Ordering::Relaxed);
        fresh_postgres(&format!("{name}_{}_{number}", std::process::id())).await
    }

    /// The payload of a JWS of the key for events, led back to the root.
    #[track_caller]
    pub fn signed(&self, jws: &str, typ: &str) -> Value {
        use officials_card::credential::jws::Jws;
        use officials_card::credential::x509::{Anchors, Use};
        let jws = Jws::parse(jws, typ).unwrap();
        let anchors = Anchors::from_pem(self.service.anchor_pem()).unwrap();
        let key = anchors.check(&jws.certificates().unwrap(), Use::Events, self.clock.now()).unwrap();
        Value::Object(jws.verify(&key).unwrap())
    }
}
