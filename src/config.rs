//! Settings: one TOML file, overridden by variables `OFFICIALS_CARD_*`, parsed once into types. Secrets do not print.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::error::Fault;

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
    /// `OFFICIALS_CARD_KEYS_PASSPHRASE`: when the key files are encrypted.
    pub keys_passphrase: Option<Secret>,
    /// `OFFICIALS_CARD_POPULATION_URL`: the national population database.
    pub population_url: Option<String>,
    /// `OFFICIALS_CARD_POPULATION_KEY`: the key that it knows us by.
    pub population_key: Option<Secret>,
    /// `OFFICIALS_CARD_LOG`: filter of the log, for example `info` or `officials_card=debug`.
    pub log: String,
    /// `OFFICIALS_CARD_LOG_FORMAT`: `json` or `text`.
    pub log_format: LogFormat,
    /// Lifetimes and bounds.
    pub limits: Limits,
    /// `OFFICIALS_CARD_SPECIMEN`: cards say that they are specimens and no checkpoint accepts them.
    pub specimen: bool,
    /// Keys (`kid` in hex, as `/.well-known/jwks.json` names them) that the trust list no longer carries: cards that they
    /// signed are turned away.
    pub retired_keys: Vec<String>,
    /// Programs that may call `/api/v1`, and wallet products that authenticate themselves.
    pub clients: Vec<Client>,
    /// Who is told of every change of a card.
    pub webhooks: Vec<Webhook>,
    /// Where offers go that are asked to be pushed.
    pub offer_push: Option<OfferPush>,
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
    /// How long a wallet's access token lives; beyond 300 it would have to be sender-constrained.
    pub wallet_token_ttl_seconds: i64,
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
}

/// A program that may call `/api/v1`, authenticated by `private_key_jwt`.
#[derive(Clone, Debug, Deserialize)]
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
}

/// A subscriber that the change feed is sent to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Names its place in the feed: 1 to 64 of `a-z 0-9 -`. Another name begins anew.
    pub name: String,
    /// Where it is told: https, or http on loopback. Its query may hold a secret, so it is never shown.
    pub url: Secret,
    /// The kinds of events that it is told, for example `card.withdrawn`; `None` is all.
    #[serde(default)]
    pub kinds: Option<Vec<String>>,
    /// Unit codes whose cards it is told of, with all below; `None` is the whole nation.
    #[serde(default)]
    pub units: Option<Vec<String>>,
}

/// The backend that offers are pushed to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfferPush {
    /// Where: https, or http on loopback.
    pub url: Secret,
    /// Whether the transaction code goes with the link. It is there to prove that who redeems the offer is who was told
    /// the code on another channel; this setting gives that up.
    #[serde(default)]
    pub with_tx_code: bool,
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
            keys_passphrase: None,
            population_url: None,
            population_key: None,
            log: "info".into(),
            log_format: LogFormat::Json,
            limits: Limits::default(),
            specimen: false,
            retired_keys: Vec::new(),
            clients: Vec::new(),
            webhooks: Vec::new(),
            offer_push: None,
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
            api_token_ttl_seconds: 300,
            tx_code_attempts: 5,
            batch_size: 10,
            credentials_per_card: 2_000,
            card_validity_days: 5 * 365,
            credential_validity_days: 90,
            badge_validity_days: 365,
            body_bytes: 256 * 1024,
            request_seconds: 30,
            status_ttl_seconds: 3600,
            status_lifetime_seconds: 72 * 3600,
            status_list_size: 1 << 17,
            status_open_lists: 4,
            trust_list_lifetime_seconds: 7 * 86400,
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
        self.keys = variable("KEYS").map_or_else(|| self.keys.clone(), PathBuf::from);
        self.keys_passphrase = variable("KEYS_PASSPHRASE").map(Secret).or_else(|| self.keys_passphrase.clone());
        self.population_url = variable("POPULATION_URL").or_else(|| self.population_url.clone());
        self.population_key = variable("POPULATION_KEY").map(Secret).or_else(|| self.population_key.clone());
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
        Ok(())
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
        let limits = &self.limits;
        let positive = [
            ("offer_ttl_seconds", limits.offer_ttl_seconds, 30),
            ("bulk_offer_ttl_seconds", limits.bulk_offer_ttl_seconds, 30),
            ("wallet_token_ttl_seconds", limits.wallet_token_ttl_seconds, 30),
            ("api_token_ttl_seconds", limits.api_token_ttl_seconds, 30),
            ("tx_code_attempts", limits.tx_code_attempts, 1),
            ("credentials_per_card", limits.credentials_per_card, 1),
            ("card_validity_days", limits.card_validity_days, 1),
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
        if limits.badge_validity_days > 366 {
            return wrong("badge_validity_days must be at most 366");
        }
        if !(2..=100).contains(&limits.batch_size) {
            return wrong("batch_size must be 2 to 100");
        }
        for (at, webhook) in self.webhooks.iter().enumerate() {
            let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            let is_name = (1..=64).contains(&webhook.name.len()) && webhook.name.bytes().all(fits);
            if !is_name || self.webhooks[..at].iter().any(|other| other.name == webhook.name) {
                return wrong("the name of a webhook must be 1 to 64 of a-z, 0-9 and -, and its own");
            }
        }
        let size = limits.status_list_size;
        if !(1024..=1 << 22).contains(&size) || !size.is_multiple_of(8) || limits.status_open_lists == 0 {
            return wrong(
                "status_list_size must be a multiple of 8 from 1024 to 4194304, and status_open_lists at least 1",
            );
        }
        Ok(())
    }

    /// The registered client of this name.
    pub fn client(&self, name: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.name == name)
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

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let with = |url: &str| Config { public_url: url.into(), ..Config::default() }.check().is_ok();
        assert!(with("https://card.example.vn"));
        assert!(with("http://127.0.0.1:8080"));
        assert!(!with("http://card.example.vn"));
        assert!(!with("https://card.example.vn/"));
        assert!(toml::from_str::<Config>("listne = 'x'").is_err());
    }
}
