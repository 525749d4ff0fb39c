//! The demo's settings file, so that the other commands work on the same data, and what stands beside it: the keys of the
//! backend's client, of the wallet provider and of the wallet products.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::clock::UnixSeconds;
use crate::config::{Config, LogFormat};
use crate::error::{Fault, Result};
use crate::keyring;

/// The wallet product that is attested by its provider.
pub const ATTESTED_WALLET: &str = "demo-wallet";
/// The wallet product that authenticates by a key of its own.
pub const KEYED_WALLET: &str = "demo-wallet-b";

/// Who the demo is at the simulated population database.
pub const POPULATION_USER: &str = "officials-card";
/// Its X-Road member and subsystem.
pub const X_ROAD_CLIENT: &str = "VN/GOV/BNV/officials-card";

/// What the settings are made of.
pub struct Settings<'a> {
    /// The demo's folder.
    pub dir: &'a Path,
    /// Where the server listens.
    pub address: &'a str,
    /// The simulated population database.
    pub population_url: &'a str,
    /// The secret that it knows us by.
    pub population_secret: &'a str,
    /// The simulated VNeID.
    pub sign_in_url: &'a str,
    /// Who we are there.
    pub sign_in_client: &'a str,
    /// The secret that it knows us by.
    pub sign_in_secret: &'a str,
    /// The simulated sign-in of officers.
    pub office_url: &'a str,
    /// Who we are there.
    pub office_client: &'a str,
    /// The secret that it knows us by.
    pub office_secret: &'a str,
    /// Where the wallets wait for browsers.
    pub redirect_uri: &'a str,
}

/// How a wallet product is registered, as the reference wallet reads it (`--product`).
pub struct Product {
    /// `client_id`.
    pub client_id: &'static str,
    /// The file.
    pub file: PathBuf,
}

impl Settings<'_> {
    /// Writes keys, registrations and settings, and reads the settings as every command does.
    pub fn write(&self, now: UnixSeconds) -> Result<(Config, [Product; 2])> {
        let dir = self.dir;
        let backend = key(dir, "vneid-backend")?;
        let wallet = key(dir, KEYED_WALLET)?;
        keyring::attester(dir, "Demo wallet provider", now)?;
        let products = [
            self.product(ATTESTED_WALLET, "attester", "attester.jwk")?,
            self.product(KEYED_WALLET, "client_key", &format!("{KEYED_WALLET}.jwk"))?,
        ];
        let file = dir.join("officials-card.toml");
        let text = self.text(&file, &backend, &wallet);
        std::fs::write(&file, text).map_err(|error| Fault::new("writing the settings", error))?;
        let mut config = Config::load(Some(&file))?;
        config.log_format = LogFormat::Text;
        Ok((config, products))
    }

    fn product(&self, client_id: &'static str, by: &str, key_file: &str) -> Result<Product> {
        let file = self.dir.join(format!("{client_id}.json"));
        let mut registered = json!({"client_id": client_id, "redirect_uri": self.redirect_uri});
        // Beside this file.
        registered[by] = json!(key_file);
        keyring::write_new(&file, format!("{registered:#}\n").as_bytes())?;
        Ok(Product { client_id, file })
    }

    fn text(&self, file: &Path, backend: &str, wallet: &str) -> String {
        let Self { address, population_url, population_secret, sign_in_url, redirect_uri, .. } = self;
        let Self { sign_in_client, sign_in_secret, office_url, office_client, office_secret, dir, .. } = self;
        format!(
            r#"# Settings of this demo: `officials-card --config {file} …` works on its data.
listen = "{address}"
public_url = "http://{address}"
database_url = "sqlite://{database}"
keys = "{keys}"
data_dir = "{data}"
log = "warn"
log_format = "text"
# 3 tells a wallet apart: not withdrawn, there is a newer card.
refresh_status = 3
# The pages under /demo: an offer for whoever asks.
demo = true

# The simulated population database.
[population]
url = "{population_url}"
user = "{POPULATION_USER}"
secret = "{population_secret}"
x_road_client = "{X_ROAD_CLIENT}"
service_code = "officials-card-demo"
unit = "G09"
queries_per_second = 500.0
burst = 500
feed = {{ every_seconds = 10 }}

# Whoever tries it asks for the same person again and again, and does not wait five minutes for a record.
[rate_limits]
person_per_hour = 0

[limits]
deferred_interval_seconds = 3

[self_service]
evidence = "{evidence}"

# The simulated sign-in at VNeID.
[sign_in]
issuer = "{sign_in_url}"
client_id = "{sign_in_client}"
client_secret = "{sign_in_secret}"

# The simulated sign-in of officers, for the pages under /office.
[office_sign_in]
issuer = "{office_url}"
client_id = "{office_client}"
client_secret = "{office_secret}"

# The VNeID backend: its private key is vneid-backend.jwk.
[[clients]]
name = "vneid-backend"
scopes = ["offers:create", "cards:read", "cards:lock", "cards:unlock", "cards:withdraw", "cards:replace", "badges:read", "records:write", "records:confirm", "events:read", "presentations:create", "presentations:read", "gates:write", "quality:read"]
jwks = {{ keys = [{backend}] }}

# A wallet product whose instances are attested by their provider, and one that has a key of its own.
[[wallets]]
client_id = "{ATTESTED_WALLET}"
name = "Ví chạy thử"
redirect_uris = ["{redirect_uri}", "{redirect_uri}?by=link"]

[[wallets]]
client_id = "{KEYED_WALLET}"
name = "Ví chạy thử B"
redirect_uris = ["{redirect_uri}", "{redirect_uri}?by=link"]
jwks = {{ keys = [{wallet}] }}

# The wallet provider: its private key is attester.jwk.
[[attesters]]
name = "Demo wallet provider"
root = "{attester}"
certifies = ["wallets", "keys"]
clients = ["{ATTESTED_WALLET}"]

# What the page /demo/wallet is asked: its link opens that page.
[[presentation_templates]]
id = "demo-wallet"
name_vi = "Chạy thử với ví trong trình duyệt"
name_en = "A try with the wallet in the browser"
purpose_vi = "Chạy thử: xem họ tên, chức vụ và cơ quan"
purpose_en = "A try: to see name, position and agency"
wallet = "http://{address}/demo/wallet"
request_uri_method = "post"
dcql_query = """{{"credentials": [{{"id": "card", "format": "dc+sd-jwt", "meta": {{"vct_values": ["${{vct}}"]}}, "claims": [
  {{"id": "name", "path": ["full_name"]}}, {{"id": "agency", "path": ["employing_agency"]}},
  {{"id": "position", "path": ["position_title"]}}],
  "claim_sets": [["name", "position", "agency"], ["name", "agency"]]}}]}}"""
"#,
            file = file.display(),
            database = dir.join("demo.db").display(),
            keys = dir.join("keys").display(),
            evidence = dir.join("evidence").display(),
            data = dir.join("data").display(),
            attester = dir.join("attester-root.pem").display(),
        )
    }
}

/// Makes a private key `NAME.jwk`, and gives the public one as TOML.
fn key(dir: &Path, name: &str) -> Result<String> {
    let jwk = keyring::fresh_p256_jwk()?;
    keyring::write_private(dir, name, &jwk, None)?;
    let member = |name: &str| jwk.get(name).and_then(Value::as_str).unwrap_or_default();
    Ok(format!(r#"{{ kty = "EC", crv = "P-256", x = "{}", y = "{}" }}"#, member("x"), member("y")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::dcql::Query;

    #[test]
    fn what_the_demo_asks_is_a_query_without_mistakes() {
        let dir = std::env::temp_dir().join(format!("demo_settings_{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let settings = Settings {
            dir: &dir,
            address: "127.0.0.1:1",
            population_url: "http://127.0.0.1:2",
            population_secret: "secret",
            sign_in_url: "http://127.0.0.1:3",
            sign_in_client: "client",
            sign_in_secret: "secret",
            office_url: "http://127.0.0.1:5",
            office_client: "office",
            office_secret: "secret",
            redirect_uri: "http://127.0.0.1:4/callback",
        };
        let written = settings.write(1_795_325_268);
        std::fs::remove_dir_all(&dir).unwrap();
        let templates = written.unwrap().0.presentation_templates().unwrap();
        assert_eq!(templates[0].id, "demo-wallet");
        for template in templates {
            let query = serde_json::from_str(&template.dcql_query).unwrap();
            assert!(Query::parse_own(&query).is_ok(), "{}: {:?}", template.id, Query::parse_own(&query));
        }
    }
}
