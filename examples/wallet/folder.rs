//! The wallet's folder: `keys/NAME.jwk`, `cards/NAME.json` and `grants/NAME.json`, all mode 0600. A card is named by its
//! holder key, and every card has a key of its own, so that two copies cannot be linked by it (RFC 9901 section 10.1). A
//! grant is named by its DPoP key.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use officials_card::chance::Chance;
use officials_card::clock::UnixSeconds;
use officials_card::credential::{Algorithm, PublicKey, Signer};
use officials_card::error::Fault;
use officials_card::keyring::{self, FileKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Result, WalletError};
use crate::issuer::Configuration;
use crate::take::KeyKind;

/// The name of the key of this instance of the wallet, which its provider attests.
const INSTANCE: &str = "instance";

/// A card as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeptCard {
    /// The credential configuration that it was issued for.
    pub configuration: String,
    /// Its format: `dc+sd-jwt`, `cwt` or `mso_mdoc`.
    pub format: String,
    /// The credential as the issuer sent it.
    pub credential: String,
    /// The name of its holder key.
    pub key: String,
    /// The credential issuer identifier.
    pub issuer: String,
    /// The type that the issuer's metadata named; only for SD-JWT.
    pub vct: Option<String>,
    /// The document type that the issuer's metadata named; only for an mdoc.
    #[serde(default)]
    pub doctype: Option<String>,
    /// The certificates that the issuer was led back to when the card came, as PEM.
    pub trust_anchor_pem: String,
    /// When it came.
    pub received_at: UnixSeconds,
    /// How often it was shown: the copy that was shown least is shown next.
    pub times_shown: u64,
    /// The grant that it came by.
    #[serde(default)]
    pub grant: Option<String>,
}

/// By what the wallet may come back to an issuer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeptGrant {
    /// The name of its DPoP key.
    pub key: String,
    /// The credential issuer identifier.
    pub issuer: String,
    /// How the wallet is registered there.
    pub product: Option<PathBuf>,
    /// The refresh token.
    pub refresh_token: Option<String>,
    /// The certificates that the issuer must lead back to, as PEM.
    pub trust_anchor_pem: String,
    /// The kind of new holder keys.
    pub key_kind: KeyKind,
    /// Copies of each card.
    pub copies: usize,
    /// Whether messages are encrypted even where they need not be.
    pub encrypt: bool,
    /// Cards that are to come later.
    pub waiting: Vec<Waiting>,
}

/// Cards that are to come later.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Waiting {
    /// What was asked for.
    pub configuration: Configuration,
    /// By which to ask again.
    pub transaction_id: String,
    /// The names of the holder keys.
    pub keys: Vec<String>,
    /// From when to ask again.
    pub not_before: UnixSeconds,
}

/// The folder.
pub struct Folder(PathBuf);

impl Folder {
    /// Opens the folder; it is made when something is first put into it.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Makes a holder key and keeps it, before anybody binds a card to it.
    pub fn make_key(&self, algorithm: Algorithm, chance: &Chance) -> Result<FileKey> {
        let jwk = match algorithm {
            Algorithm::Es256 => p256_jwk()?,
            Algorithm::EdDsa => ed25519_jwk(chance),
        };
        let key = FileKey::new(&jwk, Vec::new())?;
        self.keep_key(&key_name(key.public_key()), &jwk)?;
        Ok(key)
    }

    /// The key of this instance of the wallet, made when it is first asked for. Refresh tokens are bound to it.
    pub fn instance_key(&self) -> Result<FileKey> {
        if !self.0.join("keys").join(format!("{INSTANCE}.jwk")).exists() {
            self.keep_key(INSTANCE, &p256_jwk()?)?;
        }
        self.key(INSTANCE)
    }

    fn keep_key(&self, name: &str, jwk: &Value) -> Result<()> {
        let folder = self.0.join("keys");
        std::fs::create_dir_all(&folder).map_err(failed(&folder))?;
        Ok(keyring::write_private(&folder, name, jwk, None)?)
    }

    /// A holder key by its name.
    pub fn key(&self, name: &str) -> Result<FileKey> {
        let path = self.0.join("keys").join(format!("{name}.jwk"));
        let text = std::fs::read(&path).map_err(failed(&path))?;
        let jwk = serde_json::from_slice(&text).map_err(|error| Fault::new("reading a holder key", error))?;
        Ok(FileKey::new(&jwk, Vec::new())?)
    }

    /// Puts a card into the folder, whole or not at all.
    pub fn keep(&self, card: &KeptCard) -> Result<()> {
        self.keep_json("cards", &card.key, card)
    }

    /// Throws a card away, and its key.
    pub fn remove(&self, card: &KeptCard) -> Result<()> {
        for path in [
            self.0.join("cards").join(format!("{}.json", card.key)),
            self.0.join("keys").join(format!("{}.jwk", card.key)),
        ] {
            std::fs::remove_file(&path).map_err(failed(&path))?;
        }
        Ok(())
    }

    /// Puts a grant into the folder, or what became of it.
    pub fn keep_grant(&self, grant: &KeptGrant) -> Result<()> {
        self.keep_json("grants", &grant.key, grant)
    }

    /// A grant by its name.
    pub fn grant(&self, name: &str) -> Result<KeptGrant> {
        read_json(&self.0.join("grants").join(format!("{name}.json")))
    }

    /// All grants.
    pub fn grants(&self) -> Result<Vec<KeptGrant>> {
        let mut grants: Vec<KeptGrant> = self.all("grants")?;
        grants.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(grants)
    }

    /// All cards, newest first; of those that came together the one that was shown least first.
    pub fn cards(&self) -> Result<Vec<KeptCard>> {
        let mut cards: Vec<KeptCard> = self.all("cards")?;
        cards.sort_by_key(|card| (-card.received_at, card.configuration.clone(), card.times_shown, card.key.clone()));
        Ok(cards)
    }

    fn keep_json(&self, kind: &str, name: &str, what: &impl Serialize) -> Result<()> {
        let folder = self.0.join(kind);
        std::fs::create_dir_all(&folder).map_err(failed(&folder))?;
        replace_file(&folder.join(format!("{name}.json")), format!("{:#}\n", json!(what)).as_bytes())
    }

    fn all<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<T>> {
        let folder = self.0.join(kind);
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed(&folder))?,
        };
        let mut all = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed(&folder))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                all.push(read_json(&path)?);
            }
        }
        Ok(all)
    }

    /// The card to show next of a format, and of a configuration where one is named.
    pub fn next_to_show(&self, format: &str, configuration: Option<&str>) -> Result<KeptCard> {
        let fits = |card: &KeptCard| {
            card.format == format && configuration.is_none_or(|configuration| card.configuration == configuration)
        };
        self.cards()?.into_iter().find(fits).ok_or_else(|| {
            WalletError::Command(format!("this wallet holds no such card of the format {format}; take an offer first"))
        })
    }

    /// Counts that a card is shown, before it is: a copy may be counted in vain, but is not used twice unawares.
    pub fn count_shown(&self, mut card: KeptCard) -> Result<()> {
        card.times_shown += 1;
        self.keep(&card)
    }
}

/// The name of a key: its JWK thumbprint (RFC 7638) in base64url.
pub fn key_name(key: &PublicKey) -> String {
    URL_SAFE_NO_PAD.encode(key.thumbprint())
}

/// Writes a file beside its place and moves it there, readable by its owner only.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .map_err(failed(&beside))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed(&beside))?;
    std::fs::rename(&beside, path).map_err(failed(path))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read(path).map_err(failed(path))?;
    serde_json::from_slice(&text).map_err(|error| failed(path)(error.into()))
}

fn p256_jwk() -> Result<Value, Fault> {
    let refused = |_| Fault::new("making a holder key", "aws-lc refused");
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(refused)?;
    let private = pair.private_key().as_be_bytes().map_err(refused)?;
    // SEC 1 section 2.3.3: 04, then both coordinates.
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    Ok(json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y), "d": text(private.as_ref())}))
}

fn ed25519_jwk(chance: &Chance) -> Value {
    let private = SigningKey::from_bytes(&chance.bytes());
    let public = private.verifying_key();
    json!({"kty": "OKP", "crv": "Ed25519", "x": text(public.as_bytes()), "d": text(private.as_bytes())})
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> WalletError {
    let path = path.to_owned();
    move |source| WalletError::File { path: path.clone(), source }
}
