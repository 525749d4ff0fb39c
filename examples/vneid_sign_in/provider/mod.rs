//! The OpenID provider: what it is told, what it remembers, what it announces (OpenID Connect Discovery 1.0).

mod authorize;
mod keys;
mod officers;
mod page;
mod token;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::JoseError;
use officials_card::chance::Chance;
use officials_card::clock::{Clock, UnixSeconds};
use officials_card::config::SignIn;
use serde_json::{Value, json};

use keys::Keys;
pub use officers::Account;

/// How long a form may stay open.
const FORM_SECONDS: i64 = 600;
/// How long a code can be exchanged, once.
const CODE_SECONDS: i64 = 60;
/// How long tokens live.
const TOKEN_SECONDS: i64 = 300;
/// Forms, codes, tokens and assertions remembered, of each so many.
const MAX_REMEMBERED: usize = 10_000;

/// The `acr` of assurance level 1; that of level 2 is the default of the server's settings.
pub const ACR_LEVEL_1: &str = "urn:example:vneid:level:1";

/// What the provider is told.
pub struct Settings {
    /// The issuer identifier, without a path.
    pub issuer: String,
    /// The one client, its secret (`client_secret_basic`) or public key (`private_key_jwt`), and where its browsers may
    /// be sent back to.
    pub client_id: String,
    pub client_secret: Option<String>,
    pub client_key: Option<Value>,
    pub redirect_uris: Vec<String>,
    /// Everybody's password.
    pub password: String,
    /// How ID tokens are signed.
    pub algorithm: Algorithm,
    /// The accounts, when it is officers who sign in here, with a second factor; else everybody with twelve digits has one.
    pub officers: Option<Vec<Account>>,
}

/// How ID tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Algorithm {
    Rs256,
    Es256,
}

/// The routes of a provider.
pub fn router(settings: Settings, clock: Clock, chance: Chance) -> Result<Router, JoseError> {
    let SignIn { scopes, personal_number_claim, acr_level_2, .. } = SignIn::default();
    let provider = Provider {
        keys: Keys::generate(settings.algorithm, &chance)?,
        pairwise_salt: chance.bytes(),
        personal_number: PersonalNumberScope { scope: scopes.concat(), claim: personal_number_claim },
        acr_level_2: acr_level_2.concat(),
        memory: Mutex::default(),
        settings,
        clock,
        chance,
    };
    Ok(Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/jwks.json", get(jwks))
        .route("/authorize", get(authorize::by_get).post(authorize::by_post))
        .route("/sign-in", post(authorize::sign_in))
        .route("/second-factor", post(officers::second_factor))
        .route("/sign-out", get(officers::sign_out))
        .route("/token", post(token::exchange))
        .route("/userinfo", get(token::userinfo).post(token::userinfo))
        .with_state(Arc::new(provider)))
}

struct Provider {
    settings: Settings,
    clock: Clock,
    chance: Chance,
    keys: Keys,
    /// Makes `sub` another for every client.
    pairwise_salt: [u8; 32],
    personal_number: PersonalNumberScope,
    acr_level_2: String,
    memory: Mutex<Memory>,
}

/// The scope that lets a client see the personal number, and the claim that it is then in.
struct PersonalNumberScope {
    scope: String,
    claim: String,
}

type Shared = State<Arc<Provider>>;

/// Everything that is remembered, each under a random name and until an instant.
#[derive(Default)]
struct Memory {
    forms: HashMap<String, Remembered<authorize::Request>>,
    codes: HashMap<String, Remembered<token::Code>>,
    tokens: HashMap<String, Remembered<token::Access>>,
    assertions: HashMap<String, Remembered<()>>,
}

struct Remembered<T> {
    what: T,
    until: UnixSeconds,
}

impl Provider {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn random_name(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.chance.bytes::<32>())
    }

    /// What may be asked for is known; the rest of the scopes is ignored.
    fn granted_scopes(&self, asked: &str) -> Vec<String> {
        let known: &[&str] = if self.settings.officers.is_some() {
            &["openid", officers::SCOPE]
        } else {
            &["openid", &self.personal_number.scope]
        };
        asked.split(' ').filter(|scope| known.contains(scope)).map(str::to_owned).collect()
    }
}

/// Remembers something; `false` when there is too much already.
fn remember<T>(
    all: &mut HashMap<String, Remembered<T>>,
    name: String,
    what: T,
    until: UnixSeconds,
    now: UnixSeconds,
) -> bool {
    all.retain(|_, remembered| remembered.until > now);
    let room = all.len() < MAX_REMEMBERED;
    if room {
        all.insert(name, Remembered { what, until });
    }
    room
}

async fn discovery(State(provider): Shared) -> Json<Value> {
    let Settings { issuer, client_secret, client_key, .. } = &provider.settings;
    let mut methods = Vec::new();
    if client_secret.is_some() {
        methods.push("client_secret_basic");
    }
    if client_key.is_some() {
        methods.push("private_key_jwt");
    }
    let PersonalNumberScope { scope, claim } = &provider.personal_number;
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks.json"),
        "scopes_supported": ["openid", scope],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code"],
        "acr_values_supported": [ACR_LEVEL_1, provider.acr_level_2],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": ["ES256"],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", claim],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "ui_locales_supported": ["vi", "en"],
    });
    if provider.settings.officers.is_some() {
        document["scopes_supported"] = json!(["openid", officers::SCOPE]);
        document["subject_types_supported"] = json!(["public"]);
        document["end_session_endpoint"] = json!(format!("{issuer}/sign-out"));
    }
    Json(document)
}

async fn jwks(State(provider): Shared) -> Response {
    ([(header::CACHE_CONTROL, "max-age=3600")], Json(provider.keys.public())).into_response()
}
