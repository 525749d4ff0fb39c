//! Settings: one TOML file, overridden by variables `OFFICIALS_CARD_*`, parsed once into types. Secrets do not print.

mod approvals;
mod delivery;
mod edge;
mod office;
mod population;
mod presentation;
mod self_service;
mod trust;
mod uploads;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::error::Fault;
pub use approvals::{ApprovalRules, ApproverRoot};
pub use delivery::{OfferPush, Webhook};
pub use edge::{ForwardedHeader, Network, RateLimits, Tls};
pub use office::OfficeSignIn;
pub use population::{Feed as PopulationFeed, Population, Timestamp as PopulationTimestamp};
pub use presentation::{
    AgencyRule, ClientIdPrefix, Conformance, PresentationFlow, PresentationTemplate, RequestUriMethod, ResponseMode,
    StatusRule,
};
pub use self_service::SelfService;
pub use trust::{
    MAX_STATUS_URI_BYTES, StatusFetches, StatusLists, StatusNeed, StatusPrefix, TrustFault, TrustedIssuer, is_public,
};
pub use uploads::Uploads;

/// All settings of a server or command.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `OFFICIALS_CARD_LISTEN`: address and port to listen on.
    pub listen: String,
    /// `OFFICIALS_CARD_PUBLIC_URL`: the credential issuer identifier, https except on loopback, no trailing slash.
    pub public_url: String,
    /// `OFFICIALS_CARD_DATABASE_URL`: `sqlite://FILE` or `postgres://…`.
    pub database_url: Secret,
    /// `OFFICIALS_CARD_KEYS`: the folder of `officials-card keys init`.
    pub keys: PathBuf,
    /// `OFFICIALS_CARD_DATA_DIR`: the folder of files that are kept outside the database, encrypted; shared by all
    /// processes of a deployment.
    pub data_dir: PathBuf,
    /// `OFFICIALS_CARD_KEYS_PASSPHRASE`: when the key files are encrypted.
    pub keys_passphrase: Option<Secret>,
    /// `OFFICIALS_CARD_POPULATION_…`: the national population database; without it nobody is matched.
    pub population: Option<Population>,
    /// `OFFICIALS_CARD_SIGN_IN_…`: where people sign in when a wallet asks for their card; without it, cards are only
    /// given on offers.
    pub sign_in: Option<SignIn>,
    /// `OFFICIALS_CARD_OFFICE_SIGN_IN_…`: where officers of the units sign in for `/office`; without it nobody does.
    pub office_sign_in: Option<OfficeSignIn>,
    /// `OFFICIALS_CARD_LOG`: filter of the log, for example `info` or `officials_card=debug`.
    pub log: String,
    /// `OFFICIALS_CARD_LOG_FORMAT`: `json` or `text`.
    pub log_format: LogFormat,
    /// Lifetimes and bounds.
    pub limits: Limits,
    /// `OFFICIALS_CARD_SPECIMEN`: cards say that they are specimens and no checkpoint accepts them.
    pub specimen: bool,
    /// Pages and offers for whoever tries everything on one machine (`/demo/…`). Only `officials-card demo` sets it, and
    /// nobody can off loopback: such an offer goes to whoever asks.
    pub demo: bool,
    /// Keys (`kid` in hex, as `/.well-known/jwks.json` names them) that the trust list no longer carries: cards that they
    /// signed are turned away.
    pub retired_keys: Vec<String>,
    /// Checkpoints whose verifier is of a lower edition stop at their next synchronisation. 0 stops none.
    pub checkpoint_minimum_edition: u64,
    /// Programs that may call `/api/v1`.
    pub clients: Vec<Client>,
    /// Credential configurations that are offered, by their identifiers; all when empty.
    pub configurations: Vec<String>,
    /// Wallet products that may have cards issued to their users.
    pub wallets: Vec<Wallet>,
    /// What a card whose facts changed shows in its status list until the wallet has the new one: 1 (INVALID), or 3
    /// (application-specific), which our verifier reads as "get the new card".
    pub refresh_status: u8,
    /// Whether a wallet may redeem a pre-authorized code without authenticating itself.
    pub anonymous_wallets: bool,
    /// Wallet providers and others who vouch for wallets and keys.
    pub attesters: Vec<Attester>,
    /// What is asked of the keys of a credential configuration, by its identifier; of others nothing.
    pub key_attestations: BTreeMap<String, KeyAttestations>,
    /// Encryption of credential requests and answers, which is always offered.
    pub encryption: Encryption,
    /// `OFFICIALS_CARD_TLS_CERTIFICATE`, `OFFICIALS_CARD_TLS_KEY`: TLS of the listener.
    pub tls: Option<Tls>,
    /// `OFFICIALS_CARD_TRUSTED_PROXIES`, with commas: proxies whose word on who asked is taken.
    pub trusted_proxies: Vec<Network>,
    /// The header in which they say it.
    pub forwarded_header: ForwardedHeader,
    /// How often somebody may ask.
    pub rate_limits: RateLimits,
    /// Who is told of every change of a card.
    pub webhooks: Vec<Webhook>,
    /// Where offers go that are asked to be pushed.
    pub offer_push: Option<OfferPush>,
    /// Other issuers whose cards are accepted.
    pub trusted_issuers: Vec<TrustedIssuer>,
    /// How the status lists of others are fetched and kept.
    pub status_fetches: StatusFetches,
    /// What may be asked of people who present a card, beside the templates that are shipped.
    pub presentation_templates: Vec<PresentationTemplate>,
    /// Trust for a conformance suite on the same machine.
    pub conformance: Conformance,
    /// Who certifies the people who approve the monthly state of a unit.
    #[serde(alias = "approvers_roots")]
    pub approver_roots: Vec<ApproverRoot>,
    /// When they may.
    pub approvals: ApprovalRules,
    /// What officials may do for themselves.
    pub self_service: SelfService,
    /// Filled-in forms that units upload.
    pub uploads: Uploads,
}

/// Somebody who vouches for wallets or keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attester {
    /// For people.
    pub name: String,
    /// The root certificate that its chains lead to: PEM, or the name of a PEM file, which is read when the settings are.
    pub root: String,
    /// What it is trusted for.
    pub certifies: Vec<Certifies>,
    /// The `client_id`s of the wallet products that it may vouch for; all when empty.
    #[serde(default)]
    pub clients: Vec<String>,
    /// Where the status lists are that its attestations may name in `status`, so that a revoked one is refused. Without
    /// it the claim is not looked at: attestations are short-lived.
    #[serde(default)]
    pub status_lists: Option<StatusLists>,
    /// What becomes of an attestation whose status list does not answer.
    #[serde(default)]
    pub status_unavailable: WhenUnavailable,
}

/// What becomes of an attestation whose status cannot be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenUnavailable {
    /// It is refused until the list answers: no list is never "not revoked".
    #[default]
    Refuse,
    /// It is taken for the time that its dates allow: a list that is down stops no issuance.
    Accept,
}

/// What an attester is trusted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Certifies {
    /// Wallet attestations: who the client is.
    Wallets,
    /// Key attestations: how keys are kept.
    Keys,
}

/// What is asked of the keys that credentials of a configuration are bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyAttestations {
    /// Keys without attestation are refused.
    pub required: bool,
    /// The lowest accepted resistance of the key storage; values of other schemes than ISO/IEC 18045 as they are.
    pub key_storage: Vec<String>,
    /// The same for the methods that unlock the key.
    pub user_authentication: Vec<String>,
}

/// Whether messages may be plain (on top of TLS).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Encryption {
    /// Plain credential requests are refused.
    pub requests_required: bool,
    /// Requests that ask for a plain answer are refused.
    pub responses_required: bool,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For a person at a terminal.
    Text,
}

/// Lifetimes and bounds, all with sound defaults.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// How long an offer can be redeemed.
    pub offer_ttl_seconds: i64,
    /// How long an offer made in bulk can be redeemed: people take their time.
    pub bulk_offer_ttl_seconds: i64,
    /// Largest body of a bulk call.
    pub bulk_body_bytes: usize,
    /// How long a wallet's bearer token lives; beyond 300 it would have to be sender-constrained.
    pub wallet_token_ttl_seconds: i64,
    /// How long a wallet's access token lives that is bound to a DPoP key.
    pub dpop_token_ttl_seconds: i64,
    /// How long a wallet may refresh its tokens: HAIP 1.0 section 4.4 expects the person to sign in again after about a year.
    pub refresh_ttl_days: i64,
    /// How long a pushed request waits for the browser.
    pub request_uri_ttl_seconds: i64,
    /// How long a person may take to sign in and decide.
    pub sign_in_ttl_seconds: i64,
    /// How long an authorization code lives; FAPI 2.0 allows 60.
    pub code_ttl_seconds: i64,
    /// What a wallet is told to wait before it asks again for a deferred credential.
    pub deferred_interval_seconds: i64,
    /// How long a deferred credential can be fetched.
    pub deferred_ttl_days: i64,
    /// How long an API token lives.
    pub api_token_ttl_seconds: i64,
    /// Wrong transaction codes until an offer is closed.
    pub tx_code_attempts: i64,
    /// Proofs, and so credentials, in one request.
    pub batch_size: usize,
    /// Credentials that one card may ever have.
    pub credentials_per_card: i64,
    /// How long a card is valid.
    pub card_validity_days: i64,
    /// How long before a card's end that is told; 0 for never.
    pub card_warning_days: i64,
    /// How long a credential in the wallet is valid.
    pub credential_validity_days: i64,
    /// How long a printed badge is valid (at most 12 months).
    pub badge_validity_days: i64,
    /// Largest request body.
    pub body_bytes: usize,
    /// How long a request may take.
    pub request_seconds: u64,
    /// `ttl` of a status list.
    pub status_ttl_seconds: i64,
    /// `exp` of a status list.
    pub status_lifetime_seconds: i64,
    /// Entries of one status list, a multiple of 8 from 1,024 to 4,194,304.
    pub status_list_size: u64,
    /// Lists among which new credentials are spread.
    pub status_open_lists: u16,
    /// How long a trust list is valid.
    pub trust_list_lifetime_seconds: i64,
    /// How long the log of calls of the synchronisation interface is kept: at least 90 days (three months, for level 3 of
    /// Circular 12/2022; low certainty).
    pub sync_log_days: i64,
}

/// A program that may call `/api/v1`, authenticated by `private_key_jwt`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// `client_id`, and the actor in the audit table.
    pub name: String,
    /// Scopes that it may ask for.
    pub scopes: Vec<String>,
    /// Unit codes whose people and cards it may touch, with all below; `None` is the whole nation.
    #[serde(default)]
    pub units: Option<Vec<String>>,
    /// Its public keys: a JWK Set.
    #[serde(default)]
    pub jwks: Option<Value>,
    /// Origins that the browser of somebody who presented a card may be sent on to, for example `https://gate.example`.
    #[serde(default)]
    pub return_origins: Vec<String>,
    /// Where it is told that a presentation ended: https, or http on loopback.
    #[serde(default)]
    pub presentation_webhook: Option<Secret>,
}

/// A wallet product: all its instances share this registration. An instance authenticates by its attestation, or, where
/// keys are registered, by `private_key_jwt`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wallet {
    /// `client_id`; the subject of its attestations.
    pub client_id: String,
    /// What people know it by.
    pub name: String,
    /// Where its browser sessions may end, compared byte for byte.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// Its public keys, when it authenticates by `private_key_jwt`: a JWK Set.
    #[serde(default)]
    pub jwks: Option<Value>,
}

/// VNeID as the OpenID provider that people sign in with, and how it knows us. Nothing is published about its scopes,
/// claims and `acr` values: the defaults are those of the simulator (`examples/vneid_sign_in`).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SignIn {
    /// `OFFICIALS_CARD_SIGN_IN_ISSUER`: the issuer identifier, https except on loopback.
    pub issuer: String,
    /// `OFFICIALS_CARD_SIGN_IN_CLIENT_ID`: the name that it knows us by.
    pub client_id: String,
    /// `OFFICIALS_CARD_SIGN_IN_CLIENT_SECRET`: for `client_secret_basic`.
    pub client_secret: Option<Secret>,
    /// `OFFICIALS_CARD_SIGN_IN_CLIENT_KEY`: instead of a secret, for `private_key_jwt`: a file with a private P-256 key,
    /// JWK or PEM.
    pub client_key: Option<PathBuf>,
    /// `OFFICIALS_CARD_SIGN_IN_SCOPES`: asked for beside `openid`; in the variable separated by spaces.
    pub scopes: Vec<String>,
    /// `OFFICIALS_CARD_SIGN_IN_PERSONAL_NUMBER_CLAIM`: the claim of the ID token that holds the twelve digits.
    pub personal_number_claim: String,
    /// `OFFICIALS_CARD_SIGN_IN_ACR_LEVEL_2`: the `acr` values that stand for assurance level 2 or more (Decree
    /// 69/2024); asked for, and anything else is refused. In the variable separated by spaces.
    pub acr_level_2: Vec<String>,
}

impl Default for SignIn {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            client_id: String::new(),
            client_secret: None,
            client_key: None,
            scopes: vec!["personal_identification".into()],
            personal_number_claim: "personal_identification_number".into(),
            acr_level_2: vec!["urn:example:vneid:level:2".into()],
        }
    }
}

/// What follows `OFFICIALS_CARD_SIGN_IN_`.
const SIGN_IN_VARIABLES: [&str; 7] =
    ["ISSUER", "CLIENT_ID", "CLIENT_SECRET", "CLIENT_KEY", "SCOPES", "PERSONAL_NUMBER_CLAIM", "ACR_LEVEL_2"];

impl SignIn {
    /// What cannot be seen without asking the provider.
    fn check(&self) -> Result<(), &'static str> {
        if self.issuer.is_empty() || self.client_id.is_empty() {
            return Err("issuer and client_id are required");
        }
        if self.client_secret.is_some() == self.client_key.is_some() {
            return Err("one of client_secret and client_key is required, not both");
        }
        if self.personal_number_claim.is_empty() {
            return Err("personal_number_claim must not be empty");
        }
        let is_word = |text: &String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if self.acr_level_2.is_empty() || !self.acr_level_2.iter().chain(&self.scopes).all(is_word) {
            return Err("acr_level_2 must have a value, and scopes and acr_level_2 be plain ASCII without spaces");
        }
        Ok(())
    }
}

/// A text that must not be printed.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret")
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            public_url: "http://127.0.0.1:8080".into(),
            database_url: Secret::new("sqlite://officials-card.db"),
            keys: "keys".into(),
            data_dir: "officials-card-data".into(),
            keys_passphrase: None,
            population: None,
            sign_in: None,
            office_sign_in: None,
            log: "info".into(),
            log_format: LogFormat::Json,
            limits: Limits::default(),
            specimen: false,
            demo: false,
            retired_keys: Vec::new(),
            checkpoint_minimum_edition: 0,
            clients: Vec::new(),
            configurations: Vec::new(),
            wallets: Vec::new(),
            refresh_status: 1,
            anonymous_wallets: true,
            attesters: Vec::new(),
            key_attestations: BTreeMap::new(),
            encryption: Encryption::default(),
            tls: None,
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::default(),
            rate_limits: RateLimits::default(),
            webhooks: Vec::new(),
            offer_push: None,
            trusted_issuers: Vec::new(),
            status_fetches: StatusFetches::default(),
            presentation_templates: Vec::new(),
            conformance: Conformance::default(),
            approver_roots: Vec::new(),
            approvals: ApprovalRules::default(),
            self_service: SelfService::default(),
            uploads: Uploads::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            offer_ttl_seconds: 600,
            bulk_offer_ttl_seconds: 86_400,
            bulk_body_bytes: 8 << 20,
            wallet_token_ttl_seconds: 300,
            dpop_token_ttl_seconds: 1800,
            refresh_ttl_days: 365,
            request_uri_ttl_seconds: 90,
            sign_in_ttl_seconds: 600,
            code_ttl_seconds: 60,
            deferred_interval_seconds: 300,
            deferred_ttl_days: 30,
            api_token_ttl_seconds: 300,
            tx_code_attempts: 5,
            batch_size: 10,
            credentials_per_card: 2_000,
            card_validity_days: 5 * 365,
            card_warning_days: 30,
            credential_validity_days: 90,
            badge_validity_days: 365,
            body_bytes: 256 * 1024,
            request_seconds: 30,
            status_ttl_seconds: 3600,
            status_lifetime_seconds: 72 * 3600,
            status_list_size: 1 << 17,
            status_open_lists: 4,
            trust_list_lifetime_seconds: 7 * 86400,
            sync_log_days: 365,
        }
    }
}

impl Config {
    /// Reads the file, if one is named, then the variables, then checks what belongs together.
    pub fn load(file: Option<&Path>) -> Result<Self, Fault> {
        let mut config = match file {
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| Fault::new("reading the configuration", format!("{}: {error}", file.display())))?;
                toml::from_str(&text).map_err(|error| Fault::new("parsing the configuration", error.message()))?
            }
            None => Self::default(),
        };
        config.override_by(|name| std::env::var(format!("OFFICIALS_CARD_{name}")).ok())?;
        config.read_attesters()?;
        trust::read(&mut config)?;
        approvals::read(&mut config)?;
        config.check()?;
        Ok(config)
    }

    fn override_by(&mut self, variable: impl Fn(&str) -> Option<String>) -> Result<(), Fault> {
        let set = |target: &mut String, name| {
            if let Some(value) = variable(name) {
                *target = value;
            }
        };
        set(&mut self.listen, "LISTEN");
        set(&mut self.public_url, "PUBLIC_URL");
        set(&mut self.database_url.0, "DATABASE_URL");
        set(&mut self.log, "LOG");
        self.data_dir = variable("DATA_DIR").map_or_else(|| self.data_dir.clone(), PathBuf::from);
        self.keys = variable("KEYS").map_or_else(|| self.keys.clone(), PathBuf::from);
        self.keys_passphrase = variable("KEYS_PASSPHRASE").map(Secret).or_else(|| self.keys_passphrase.clone());
        population::override_by(&mut self.population, &variable);
        let wrong =
            |name: &str| Fault::new("reading the environment", format!("OFFICIALS_CARD_{name} has a wrong value"));
        if let Some(format) = variable("LOG_FORMAT") {
            self.log_format = match format.as_str() {
                "json" => LogFormat::Json,
                "text" => LogFormat::Text,
                _ => return Err(wrong("LOG_FORMAT")),
            };
        }
        if let Some(specimen) = variable("SPECIMEN") {
            self.specimen = specimen.parse().map_err(|_| wrong("SPECIMEN"))?;
        }
        self.override_sign_in(&variable);
        self.office_sign_in = OfficeSignIn::overridden(self.office_sign_in.as_ref(), &variable);
        if let Some(folder) = variable("EVIDENCE") {
            self.self_service.evidence = folder.into();
        }
        edge::override_by(self, variable)
    }

    /// Puts the certificates in the place of the names of their files.
    fn read_attesters(&mut self) -> Result<(), Fault> {
        for attester in self.attesters.iter_mut().filter(|attester| !attester.root.contains("-----BEGIN")) {
            attester.root = std::fs::read_to_string(&attester.root).map_err(|error| {
                Fault::new("reading an attester's root certificate", format!("{}: {error}", attester.root))
            })?;
        }
        Ok(())
    }

    fn check_key_attestations(&self) -> Result<(), String> {
        let somebody_attests_keys = self.attesters.iter().any(|attester| attester.certifies.contains(&Certifies::Keys));
        for (configuration, asked) in &self.key_attestations {
            if !asked.required && (!asked.key_storage.is_empty() || !asked.user_authentication.is_empty()) {
                return Err(format!("key_attestations.{configuration}: levels mean nothing unless required = true"));
            }
            if asked.required && !somebody_attests_keys {
                return Err(format!("key_attestations.{configuration}: no attester certifies keys"));
            }
        }
        if self.encryption.responses_required && !self.encryption.requests_required {
            return Err("encryption: an answer is only encrypted to an encrypted request; require both".to_owned());
        }
        Ok(())
    }

    /// Any variable of the sign-in is enough to have one.
    fn override_sign_in(&mut self, variable: impl Fn(&str) -> Option<String>) {
        let variable = |name: &str| variable(&format!("SIGN_IN_{name}"));
        let words = |name: &str| Some(variable(name)?.split_whitespace().map(str::to_owned).collect());
        let old = self.sign_in.clone().unwrap_or_default();
        let ours = SignIn {
            issuer: variable("ISSUER").unwrap_or(old.issuer),
            client_id: variable("CLIENT_ID").unwrap_or(old.client_id),
            client_secret: variable("CLIENT_SECRET").map(Secret).or(old.client_secret),
            client_key: variable("CLIENT_KEY").map(PathBuf::from).or(old.client_key),
            scopes: words("SCOPES").unwrap_or(old.scopes),
            personal_number_claim: variable("PERSONAL_NUMBER_CLAIM").unwrap_or(old.personal_number_claim),
            acr_level_2: words("ACR_LEVEL_2").unwrap_or(old.acr_level_2),
        };
        if self.sign_in.is_some() || SIGN_IN_VARIABLES.into_iter().any(|name| variable(name).is_some()) {
            self.sign_in = Some(ours);
        }
    }

    fn check(&self) -> Result<(), Fault> {
        let wrong = |what: &str| Err(Fault::new("checking the configuration", what.to_owned()));
        let url = &self.public_url;
        let loopback = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
        if !(url.starts_with("https://") || loopback.iter().any(|prefix| url.starts_with(prefix))) {
            return wrong("public_url must be https (http only on loopback)");
        }
        if url.ends_with('/') || url.contains(|c: char| "?#@\"\\<>".contains(c) || !c.is_ascii_graphic()) {
            return wrong("public_url must have no trailing slash, query, fragment or user, and be plain ASCII");
        }
        if self.demo && !is_loopback(url) {
            return wrong("demo is only for public URLs on loopback");
        }
        if let Err(what) = self.check_key_attestations() {
            return wrong(&what);
        }
        if let Some(sign_in) = &self.sign_in {
            sign_in.check().or_else(|what| wrong(&format!("sign_in: {what}")))?;
        }
        if let Some(population) = &self.population {
            population.check().or_else(|what| wrong(&format!("population: {what}")))?;
        }
        if let Some(sign_in) = &self.office_sign_in {
            sign_in.check().or_else(|what| wrong(&format!("office_sign_in: {what}")))?;
        }
        edge::check(self).or_else(wrong)?;
        self.self_service.check().or_else(wrong)?;
        self.uploads.check().or_else(wrong)?;
        trust::check(self).or_else(|what| wrong(&what.to_string()))?;
        approvals::check(self).or_else(wrong)?;
        let limits = &self.limits;
        let positive = [
            ("offer_ttl_seconds", limits.offer_ttl_seconds, 30),
            ("bulk_offer_ttl_seconds", limits.bulk_offer_ttl_seconds, 30),
            ("wallet_token_ttl_seconds", limits.wallet_token_ttl_seconds, 30),
            ("dpop_token_ttl_seconds", limits.dpop_token_ttl_seconds, 30),
            ("refresh_ttl_days", limits.refresh_ttl_days, 1),
            ("request_uri_ttl_seconds", limits.request_uri_ttl_seconds, 5),
            ("sign_in_ttl_seconds", limits.sign_in_ttl_seconds, 60),
            ("code_ttl_seconds", limits.code_ttl_seconds, 5),
            ("deferred_interval_seconds", limits.deferred_interval_seconds, 1),
            ("deferred_ttl_days", limits.deferred_ttl_days, 1),
            ("api_token_ttl_seconds", limits.api_token_ttl_seconds, 30),
            ("tx_code_attempts", limits.tx_code_attempts, 1),
            ("credentials_per_card", limits.credentials_per_card, 1),
            ("card_validity_days", limits.card_validity_days, 1),
            ("card_warning_days", limits.card_warning_days, 0),
            ("credential_validity_days", limits.credential_validity_days, 1),
            ("badge_validity_days", limits.badge_validity_days, 1),
            ("status_ttl_seconds", limits.status_ttl_seconds, 60),
            ("status_lifetime_seconds", limits.status_lifetime_seconds, limits.status_ttl_seconds),
            ("trust_list_lifetime_seconds", limits.trust_list_lifetime_seconds, 3600),
        ];
        if let Some((name, _, least)) = positive.into_iter().find(|(_, value, least)| value < least) {
            return wrong(&format!("{name} must be at least {least}"));
        }
        if limits.wallet_token_ttl_seconds > 300 {
            return wrong("wallet_token_ttl_seconds must be at most 300: the tokens are not sender-constrained");
        }
        let most = [
            ("code_ttl_seconds", limits.code_ttl_seconds, 60),
            ("request_uri_ttl_seconds", limits.request_uri_ttl_seconds, 599),
            ("dpop_token_ttl_seconds", limits.dpop_token_ttl_seconds, 86400),
            ("refresh_ttl_days", limits.refresh_ttl_days, 400),
        ];
        if let Some((name, _, most)) = most.into_iter().find(|(_, value, most)| value > most) {
            return wrong(&format!("{name} must be at most {most}"));
        }
        if ![1, 3].contains(&self.refresh_status) {
            return wrong("refresh_status must be 1 or 3");
        }
        for wallet in &self.wallets {
            if self.wallets.iter().filter(|other| other.client_id == wallet.client_id).count() > 1 {
                return wrong("two wallets have the same client_id");
            }
            let is_sound = |uri: &String| uri.contains(':') && !uri.contains('#') && uri.is_ascii();
            if !wallet.redirect_uris.iter().all(is_sound) {
                return wrong("a redirect URI of a wallet must be absolute, ASCII and without fragment");
            }
        }
        if limits.badge_validity_days > 366 {
            return wrong("badge_validity_days must be at most 366");
        }
        if !(90..=36_500).contains(&limits.sync_log_days) {
            return wrong("sync_log_days must be at least 90");
        }
        if !(2..=100).contains(&limits.batch_size) {
            return wrong("batch_size must be 2 to 100");
        }
        if let Err(what) = delivery::check(&self.webhooks) {
            return wrong(what);
        }
        presentation::check(self).or_else(|what| wrong(&what))?;
        let size = limits.status_list_size;
        if !(1024..=1 << 22).contains(&size) || !size.is_multiple_of(8) || limits.status_open_lists == 0 {
            return wrong(
                "status_list_size must be a multiple of 8 from 1024 to 4194304, and status_open_lists at least 1",
            );
        }
        Ok(())
    }

    /// The registered wallet product of this name.
    pub fn wallet(&self, client_id: &str) -> Option<&Wallet> {
        self.wallets.iter().find(|wallet| wallet.client_id == client_id)
    }

    /// The templates for presentations in force, the shipped ones among them.
    pub fn presentation_templates(&self) -> Result<Vec<PresentationTemplate>, Fault> {
        presentation::templates(&self.presentation_templates)
            .map_err(|what| Fault::new("reading the presentation templates", what))
    }

    /// The registered client of this name.
    pub fn client(&self, name: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.name == name)
    }
}

/// Whether a URL's host is this machine: by its whole name, not by how it begins.
fn is_loopback(url: &str) -> bool {
    match url::Url::parse(url).as_ref().map(url::Url::host) {
        Ok(Some(url::Host::Ipv4(address))) => address.is_loopback(),
        Ok(Some(url::Host::Ipv6(address))) => address.is_loopback(),
        Ok(Some(url::Host::Domain(name))) => name == "localhost",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_override_the_file_and_secrets_do_not_print() {
        let mut config: Config = toml::from_str("listen = '0.0.0.0:1'\ndatabase_url = 'postgres://u:pw@h/d'").unwrap();
        config.override_by(|name| (name == "LISTEN").then(|| "127.0.0.1:2".into())).unwrap();
        assert_eq!(config.listen, "127.0.0.1:2");
        assert!(!format!("{config:?}").contains("pw"));
        assert!(config.override_by(|name| (name == "SPECIMEN").then(|| "perhaps".into())).is_err());
    }

    /// Every variable, and a value for it that the defaults do not have.
    const VARIABLES: [(&str, &str); 30] = [
        ("LISTEN", "127.0.0.1:7"),
        ("PUBLIC_URL", "https://seven.example"),
        ("DATABASE_URL", "sqlite://seven.db"),
        ("LOG", "seven=debug"),
        ("LOG_FORMAT", "text"),
        ("DATA_DIR", "/seven"),
        ("KEYS", "/seven"),
        ("KEYS_PASSPHRASE", "seven"),
        ("SPECIMEN", "true"),
        ("EVIDENCE", "/seven"),
        ("TRUSTED_PROXIES", "192.0.2.7,10.0.0.0/8"),
        ("TLS_CERTIFICATE", "seven.pem"),
        ("TLS_KEY", "seven.key"),
        ("POPULATION_URL", "https://seven.example"),
        ("POPULATION_PATH", "/seven"),
        ("POPULATION_USER", "seven"),
        ("POPULATION_SECRET", "seven"),
        ("POPULATION_API_KEY", "seven"),
        ("POPULATION_X_ROAD_CLIENT", "VN/seven"),
        ("SIGN_IN_ISSUER", "https://seven.example"),
        ("SIGN_IN_CLIENT_ID", "seven"),
        ("SIGN_IN_CLIENT_SECRET", "seven"),
        ("SIGN_IN_CLIENT_KEY", "seven.jwk"),
        ("SIGN_IN_SCOPES", "openid seven"),
        ("SIGN_IN_PERSONAL_NUMBER_CLAIM", "seven"),
        ("SIGN_IN_ACR_LEVEL_2", "seven"),
        ("OFFICE_SIGN_IN_ISSUER", "https://seven.example"),
        ("OFFICE_SIGN_IN_CLIENT_ID", "seven"),
        ("OFFICE_SIGN_IN_CLIENT_SECRET", "seven"),
        ("OFFICE_SIGN_IN_CLIENT_KEY", "seven.jwk"),
    ];

    #[test]
    fn every_variable_overrides_what_the_file_says() {
        let file = "[population]\nurl = 'https://a.example'\nuser = 'a'\nsecret = 'a'\n[sign_in]\nissuer = 'https://a.example'\n\
            client_id = 'a'\nclient_secret = 'a'\n[office_sign_in]\nissuer = 'https://a.example'\nclient_id = 'a'\nclient_secret = 'a'";
        // Secrets do not print, so their settings are looked at beside.
        let seen = |config: &Config| {
            let population = config.population.as_ref().unwrap();
            let secrets = [
                Some(&config.database_url),
                config.keys_passphrase.as_ref(),
                Some(&population.secret),
                population.api_key.as_ref(),
                config.sign_in.as_ref().unwrap().client_secret.as_ref(),
                config.office_sign_in.as_ref().unwrap().client_secret.as_ref(),
            ];
            format!("{config:?} {:?}", secrets.map(|secret| secret.map(|secret| secret.expose().to_owned())))
        };
        let mut asked = std::collections::BTreeSet::new();
        let names = std::cell::RefCell::new(&mut asked);
        toml::from_str::<Config>(file)
            .unwrap()
            .override_by(|name| {
                names.borrow_mut().insert(name.to_owned());
                None
            })
            .unwrap();
        let known: std::collections::BTreeSet<_> = VARIABLES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(asked, known, "every variable that is read stands in the table");
        for (name, value) in VARIABLES {
            let mut config: Config = toml::from_str(file).unwrap();
            let before = seen(&config);
            let pair = |other: &str| {
                (name == "TLS_KEY" && other == "TLS_CERTIFICATE") || (name == "TLS_CERTIFICATE" && other == "TLS_KEY")
            };
            config
                .override_by(|other| {
                    if other == name { Some(value.to_owned()) } else { pair(other).then(|| "other".to_owned()) }
                })
                .unwrap();
            let after = seen(&config);
            assert_ne!(after, before, "{name}");
            let shown = value.split([' ', ',']).next_back().unwrap();
            let shown = if name == "LOG_FORMAT" { "Text" } else { shown.trim_end_matches("/8") };
            assert!(after.matches(shown).count() > before.matches(shown).count(), "{name}");
        }
    }

    #[test]
    fn a_sign_in_comes_from_the_file_or_from_variables_alone() {
        let mut config = Config::default();
        config.override_by(|_| None).unwrap();
        assert!(config.sign_in.is_none());
        let variables = |name: &str| {
            let value = match name {
                "SIGN_IN_ISSUER" => "https://vneid.example",
                "SIGN_IN_CLIENT_ID" => "card",
                "SIGN_IN_CLIENT_SECRET" => "hush",
                "SIGN_IN_ACR_LEVEL_2" => "two three",
                _ => return None,
            };
            Some(value.to_owned())
        };
        config.override_by(variables).unwrap();
        config.check().unwrap();
        assert!(!format!("{config:?}").contains("hush"));
        let sign_in = config.sign_in.as_ref().unwrap();
        assert_eq!(sign_in.acr_level_2, ["two", "three"]);
        assert_eq!(sign_in.scopes, SignIn::default().scopes);

        let wrong = |change: fn(&mut SignIn)| {
            let mut config = config.clone();
            change(config.sign_in.as_mut().unwrap());
            config.check().is_err()
        };
        assert!(!wrong(|_| {}));
        assert!(wrong(|sign_in| sign_in.issuer.clear()));
        assert!(wrong(|sign_in| sign_in.client_secret = None));
        assert!(wrong(|sign_in| sign_in.client_key = Some("key.jwk".into())));
        assert!(wrong(|sign_in| sign_in.acr_level_2.clear()));
        assert!(wrong(|sign_in| sign_in.scopes.push("a b".into())));
        assert!(wrong(|sign_in| sign_in.personal_number_claim.clear()));
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let with = |url: &str| Config { public_url: url.into(), ..Config::default() }.check().is_ok();
        assert!(with("https://card.example.vn"));
        assert!(with("http://127.0.0.1:8080"));
        assert!(!with("http://card.example.vn"));
        assert!(!with("https://card.example.vn/"));
        assert!(toml::from_str::<Config>("listne = 'x'").is_err());
        let demo = |url: &str| Config { public_url: url.into(), demo: true, ..Config::default() }.check().is_ok();
        for here in ["http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]", "https://127.8.9.1"] {
            assert!(demo(here), "{here}");
        }
        for elsewhere in ["https://card.example.vn", "https://localhost.example.vn", "http://127.0.0.1.example.vn"] {
            assert!(!demo(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn a_policy_needs_somebody_who_attests() {
        let attester = "[[attesters]]\nname = 'a'\nroot = '-----BEGIN …'\ncertifies = ";
        let policy = "[key_attestations.x]\nrequired = ";
        for (text, is_fine) in [
            (format!("{attester}['keys', 'wallets']\n{policy}true\nkey_storage = ['iso_18045_high']"), true),
            (format!("{attester}['wallets']\n{policy}true"), false),
            (format!("{policy}true"), false),
            (format!("{policy}false"), true),
            (format!("{attester}['keys']\n{policy}false\nuser_authentication = ['iso_18045_high']"), false),
            ("[encryption]\nresponses_required = true".to_owned(), false),
            ("[encryption]\nresponses_required = true\nrequests_required = true".to_owned(), true),
        ] {
            let config: Config = toml::from_str(&text).unwrap();
            assert_eq!(config.check().is_ok(), is_fine, "{text}");
        }
        assert!(toml::from_str::<Config>(&format!("{attester}['everything']")).is_err());
        let mut config: Config =
            toml::from_str("[[attesters]]\nname = 'a'\nroot = '/nowhere.pem'\ncertifies = []").unwrap();
        assert!(config.read_attesters().is_err());
    }
}
