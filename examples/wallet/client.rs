//! Which wallet asks. A wallet product is registered with the issuer once, and all its instances share the name; an
//! instance shows that it is one of them by an attestation of its provider (OpenID4VCI 1.0 appendix E, OAuth 2.0
//! Attestation-Based Client Authentication), or by a key of the product (`private_key_jwt`).
//!
//! The provider's key stands in for the provider's backend, which a wallet for phones asks for its attestation, and which
//! looks at the phone first. `private_key_jwt` is for a wallet whose keys are on a server.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use officials_card::chance::Chance;
use officials_card::clock::UnixSeconds;
use officials_card::credential::client_attestation::{POP_TYPE, TYPE};
use officials_card::credential::{Signer, jws};
use officials_card::keyring::FileKey;
use officials_card::protocol::oauth::JWT_BEARER;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::{Result, WalletError};
use crate::folder::Folder;

/// How long an attestation of the provider is good; its backend would give a new one now and then.
const ATTESTATION_SECONDS: i64 = 3600;
/// How long an assertion is good.
const ASSERTION_SECONDS: i64 = 60;

/// The file that `--product` names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Registration {
    client_id: String,
    redirect_uri: String,
    /// A private JWK with `x5c`, beside this file.
    attester: Option<PathBuf>,
    /// A private JWK, beside this file.
    client_key: Option<PathBuf>,
}

/// This instance of a wallet product.
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// Where browsers come back to.
    pub redirect_uri: String,
    /// The file that says so.
    pub product: PathBuf,
    proof: Proof,
}

enum Proof {
    /// The provider vouches for the instance's key.
    Attestation { provider: FileKey, instance: FileKey },
    /// The product's own key.
    Key(FileKey),
}

/// What is added to a request to the authorization server.
#[derive(Default)]
pub struct Authentication {
    /// Parameters of the form.
    pub form: Vec<(&'static str, String)>,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
}

impl Client {
    /// Reads how the product is registered. The key of the instance is made when it is first needed.
    pub fn open(product: &Path, folder: &Folder) -> Result<Self> {
        let product = std::fs::canonicalize(product).map_err(failed(product))?;
        let registration: Registration = parsed(&product)?;
        let beside = |name: &Path| product.with_file_name(name);
        let proof = match (&registration.attester, &registration.client_key) {
            (Some(attester), None) => {
                Proof::Attestation { provider: key(&beside(attester))?, instance: folder.instance_key()? }
            }
            (None, Some(own)) => Proof::Key(key(&beside(own))?),
            _ => {
                let what = format!("{}: must name one of attester and client_key", product.display());
                return Err(WalletError::Command(what));
            }
        };
        Ok(Self { id: registration.client_id, redirect_uri: registration.redirect_uri, product, proof })
    }

    /// Whether the authorization server's challenge has to be fetched first.
    pub fn answers_challenges(&self) -> bool {
        matches!(self.proof, Proof::Attestation { .. })
    }

    /// Authenticates one request to the authorization server `server`. No two are the same.
    pub fn authenticate(
        &self,
        server: &str,
        challenge: Option<&str>,
        chance: &Chance,
        now: UnixSeconds,
    ) -> Result<Authentication> {
        let jti = URL_SAFE_NO_PAD.encode(chance.bytes::<16>());
        let mut authentication = Authentication { form: vec![("client_id", self.id.clone())], headers: Vec::new() };
        match &self.proof {
            Proof::Attestation { provider, instance } => {
                let possession = json!({"iss": self.id, "aud": server, "jti": jti, "iat": now, "challenge": challenge});
                let possession = jws::sign(instance, &jws::header(instance, POP_TYPE, json!({})), &bytes(&possession))?;
                authentication.headers = vec![
                    ("OAuth-Client-Attestation", self.attest(provider, instance, now)?),
                    ("OAuth-Client-Attestation-PoP", possession),
                ];
            }
            Proof::Key(key) => {
                let end = now + ASSERTION_SECONDS;
                let claims = json!({"iss": self.id, "sub": self.id, "aud": server, "jti": jti, "iat": now, "exp": end});
                let assertion = jws::sign(key, &jws::header(key, "JWT", json!({})), &bytes(&claims))?;
                authentication.form.push(("client_assertion_type", JWT_BEARER.to_owned()));
                authentication.form.push(("client_assertion", assertion));
            }
        }
        Ok(authentication)
    }

    /// What the provider says about this instance.
    fn attest(&self, provider: &FileKey, instance: &FileKey, now: UnixSeconds) -> Result<String> {
        let claims = json!({
            "iss": "wallet provider",
            "sub": self.id,
            "iat": now,
            "exp": now + ATTESTATION_SECONDS,
            "cnf": {"jwk": instance.public_key().to_jwk()},
        });
        let header = jws::header(provider, TYPE, json!({"x5c": jws::x5c(provider)}));
        Ok(jws::sign(provider, &header, &bytes(&claims))?)
    }
}

fn bytes(claims: &Value) -> Vec<u8> {
    claims.to_string().into_bytes()
}

/// A private JWK, with its certificates if it carries them.
fn key(path: &Path) -> Result<FileKey> {
    let mut jwk: Value = parsed(path)?;
    let chain = jwk.as_object_mut().and_then(|jwk| jwk.remove("x5c"));
    let chain = chain.as_ref().and_then(Value::as_array).into_iter().flatten();
    let chain: Option<Vec<_>> = chain.map(|one| STANDARD.decode(one.as_str()?).ok()).collect();
    let chain = chain.ok_or_else(|| WalletError::Command(format!("{}: x5c is not base64", path.display())))?;
    Ok(FileKey::new(&jwk, chain)?)
}

fn parsed<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read(path).map_err(failed(path))?;
    serde_json::from_slice(&text)
        .map_err(|_| WalletError::Command(format!("{}: is not what it should be", path.display())))
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> WalletError {
    let path = path.to_owned();
    move |source| WalletError::File { path: path.clone(), source }
}
