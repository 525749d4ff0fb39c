//! OpenID for Verifiable Credential Issuance 1.0: configurations, metadata, offers, credential requests and answers,
//! notifications.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

pub use super::credential_request::{CredentialRequest, Proofs, ResponseEncryption, Selector};
use super::{mdoc, oauth};
use crate::error::Refusal;

/// The credential configurations that this issuer supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Configuration {
    /// SD-JWT VC signed with ES256.
    SdJwt,
    /// SD-JWT VC signed with `EdDSA`.
    SdJwtEdDsa,
    /// The CWT for the QR code of the QR dossier, signed with `EdDSA` and bound to the holder's key.
    Qr,
    /// mdoc signed with ES256.
    Mdoc,
}

impl Configuration {
    /// All of them, in the order of the metadata.
    pub const ALL: [Self; 4] = [Self::SdJwt, Self::SdJwtEdDsa, Self::Qr, Self::Mdoc];

    /// Its identifier.
    pub fn id(self) -> &'static str {
        match self {
            Self::SdJwt => "official-card-sdjwt",
            Self::SdJwtEdDsa => "official-card-sdjwt-eddsa",
            Self::Qr => "official-card-qr",
            Self::Mdoc => "official-card-mdoc",
        }
    }

    /// What people know it by, in Vietnamese and in English.
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::SdJwt | Self::SdJwtEdDsa | Self::Mdoc => ("Thẻ cán bộ, công chức, viên chức", "Officials card"),
            Self::Qr => ("Mã QR thẻ cán bộ, công chức, viên chức", "Officials card QR code"),
        }
    }

    /// From its identifier.
    pub fn parse(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|configuration| configuration.id() == id)
    }

    fn metadata(self, issuer: &str, vct: &str, doctype: &str) -> Value {
        let mut metadata = json!({
            "scope": self.id(),
            "proof_types_supported": {"jwt": {"proof_signing_alg_values_supported": ["ES256", "EdDSA"]}},
            "credential_metadata": {
                "display": display(self, issuer),
                "claims": if self == Self::Mdoc { mdoc::claims() } else { claims() },
            },
        });
        let own = match self {
            Self::SdJwt | Self::SdJwtEdDsa => json!({
                "format": "dc+sd-jwt",
                "vct": vct,
                "cryptographic_binding_methods_supported": ["jwk"],
                "credential_signing_alg_values_supported": [if self == Self::SdJwt { "ES256" } else { "EdDSA" }],
            }),
            Self::Qr => json!({
                "format": "cwt",
                "cryptographic_binding_methods_supported": ["cose_key"],
                "credential_signing_alg_values_supported": [-8],
            }),
            Self::Mdoc => json!({
                "format": "mso_mdoc",
                "doctype": doctype,
                "cryptographic_binding_methods_supported": ["cose_key"],
                "credential_signing_alg_values_supported": [-7],
            }),
        };
        if let (Value::Object(metadata), Value::Object(own)) = (&mut metadata, own) {
            metadata.extend(own);
            if self == Self::Qr
                && let Some(Value::Object(about)) = metadata.get_mut("credential_metadata")
            {
                // Its claims are integers of claim 169, for which the metadata has no path.
                about.remove("claims");
            }
        }
        metadata
    }
}

/// Where the logo is served, below the issuer's identifier.
pub const LOGO_PATH: &str = "/logo.svg";
/// What the logo shows, in Vietnamese and English.
const LOGO_TEXTS: (&str, &str) = ("Tấm thẻ có ngôi sao", "A card with a star");

/// A claim of the card: name, Vietnamese and English label, and whether every card has it.
pub const CLAIMS: [(&str, &str, &str, bool); 13] = [
    ("full_name", "Họ và tên", "Full name", true),
    ("portrait", "Ảnh chân dung", "Portrait", true),
    ("managing_agency", "Cơ quan quản lý", "Managing agency", true),
    ("employing_agency", "Cơ quan sử dụng", "Employing agency", true),
    ("position_title", "Chức vụ, chức danh", "Position or title", false),
    ("job_position", "Vị trí việc làm", "Job position", false),
    ("card_number_masked", "Số thẻ (đã che)", "Card number (masked)", true),
    ("card_number", "Số thẻ", "Card number", true),
    ("record_type", "Loại", "Kind of personnel", true),
    ("date_of_birth", "Ngày sinh", "Date of birth", true),
    ("gender", "Giới tính", "Gender", false),
    ("personal_id_number", "Số định danh cá nhân", "Personal identification number", true),
    ("valid_until", "Có giá trị đến", "Valid until", true),
];

/// The member `logo` of a `display`, with its text in the language of that display.
fn logo(issuer: &str, alternative_text: &str) -> Value {
    json!({"uri": format!("{issuer}{LOGO_PATH}"), "alt_text": alternative_text})
}

fn display(configuration: Configuration, issuer: &str) -> Value {
    let (vi, en) = configuration.names();
    let look = |name, locale, alternative_text| {
        json!({
            "name": name, "locale": locale, "logo": logo(issuer, alternative_text),
            "background_color": "#F6C544", "text_color": "#7A0C0C",
        })
    };
    json!([look(vi, "vi-VN", LOGO_TEXTS.0), look(en, "en", LOGO_TEXTS.1)])
}

fn claims() -> Value {
    CLAIMS
        .iter()
        .map(|(name, vi, en, mandatory)| {
            json!({
                "path": [name],
                "mandatory": mandatory,
                "display": [{"name": vi, "locale": "vi-VN"}, {"name": en, "locale": "en"}],
            })
        })
        .collect()
}

/// SD-JWT VC type metadata, as the immutable bytes that `vct#integrity` is over.
pub fn type_metadata(vct: &str) -> Vec<u8> {
    let claims: Vec<Value> = CLAIMS
        .iter()
        .map(|(name, vi, en, mandatory)| {
            json!({
                "path": [name],
                "mandatory": mandatory,
                "sd": "always",
                "display": [{"locale": "vi-VN", "label": vi}, {"locale": "en", "label": en}],
            })
        })
        .collect();
    let document = json!({
        "vct": vct,
        "name": "Thẻ cán bộ, công chức, viên chức",
        "description": "Card of a Vietnamese cadre, civil servant or public employee",
        "display": [
            {"locale": "vi-VN", "name": "Thẻ cán bộ, công chức, viên chức"},
            {"locale": "en", "name": "Officials card"},
        ],
        "claims": claims,
    });
    document.to_string().into_bytes()
}

/// Credential issuer metadata (section 12.2) of the issuer with this identifier.
pub fn issuer_metadata(issuer: &str, offered: &[Configuration], vct: &str, doctype: &str, batch_size: usize) -> Value {
    let configurations: Map<String, Value> = offered
        .iter()
        .map(|configuration| (configuration.id().to_owned(), configuration.metadata(issuer, vct, doctype)))
        .collect();
    json!({
        "credential_issuer": issuer,
        "credential_endpoint": format!("{issuer}/credential"),
        "nonce_endpoint": format!("{issuer}/nonce"),
        "deferred_credential_endpoint": format!("{issuer}/deferred"),
        "notification_endpoint": format!("{issuer}/notification"),
        "batch_credential_issuance": {"batch_size": batch_size},
        "display": [
            {"name": "Bộ Nội vụ", "locale": "vi-VN", "logo": logo(issuer, LOGO_TEXTS.0)},
            {"name": "Ministry of Home Affairs of Viet Nam", "locale": "en", "logo": logo(issuer, LOGO_TEXTS.1)},
        ],
        "credential_configurations_supported": configurations,
    })
}

/// Digits of a transaction code.
pub const TX_CODE_LENGTH: u8 = 6;

/// How an offer can be taken.
#[derive(Clone, Debug, Default)]
pub struct OfferedGrants<'a> {
    /// By redeeming this code.
    pub pre_authorized_code: Option<&'a str>,
    /// By signing in; the wallet hands this on as `issuer_state`.
    pub issuer_state: Option<&'a str>,
}

/// A credential offer (section 4.1.1). Without any grant it is taken by signing in.
pub fn offer<'a>(issuer: &str, configurations: impl Iterator<Item = &'a str>, by: &OfferedGrants<'_>) -> Value {
    let mut grants = Map::new();
    if let Some(code) = by.pre_authorized_code {
        let grant = json!({
            "pre-authorized_code": code,
            "tx_code": {
                "input_mode": "numeric",
                "length": TX_CODE_LENGTH,
                "description": "Nhập mã 6 số do VNeID cung cấp / Enter the 6-digit code from VNeID",
            },
        });
        grants.insert(oauth::PRE_AUTHORIZED.to_owned(), grant);
    }
    if let Some(state) = by.issuer_state {
        grants.insert(oauth::AUTHORIZATION_CODE.to_owned(), json!({"issuer_state": state}));
    }
    if grants.is_empty() {
        grants.insert(oauth::AUTHORIZATION_CODE.to_owned(), json!({}));
    }
    json!({
        "credential_issuer": issuer,
        "credential_configuration_ids": configurations.collect::<Vec<_>>(),
        "grants": grants,
    })
}

/// The link that opens a wallet: the offer by reference (section 4.1.3).
pub fn offer_link(offer_uri: &str) -> String {
    let mut link = String::from("openid-credential-offer://?credential_offer_uri=");
    for byte in offer_uri.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => link.push(char::from(byte)),
            _ => {
                let _ = write!(link, "%{byte:02X}");
            }
        }
    }
    link
}

/// The answer of the credential endpoint (section 8.3).
pub fn credential_response(credentials: &[String], notification_id: &str) -> Value {
    json!({
        "credentials": credentials.iter().map(|credential| json!({"credential": credential})).collect::<Vec<_>>(),
        "notification_id": notification_id,
    })
}

/// The answer when the credentials will be there later (section 8.3): the wallet asks again by the id after so many seconds.
pub fn deferred_response(transaction_id: &str, interval_seconds: i64) -> Value {
    json!({"transaction_id": transaction_id, "interval": interval_seconds})
}

/// A request to the notification endpoint (section 11.1).
#[derive(Debug, PartialEq, Eq)]
pub struct Notification {
    /// Which issuance it is about.
    pub id: String,
    /// What happened.
    pub event: &'static str,
}

impl Notification {
    /// Parses the body; unknown members are ignored.
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let malformed = |text: &str| Refusal::InvalidNotificationRequest(text.to_owned());
        let Ok(Value::Object(request)) = serde_json::from_slice::<Value>(body) else {
            return Err(malformed("the body must be a JSON object"));
        };
        let text = |name: &str| request.get(name).and_then(Value::as_str);
        let id = text("notification_id").ok_or_else(|| malformed("notification_id is missing"))?;
        let event = ["credential_accepted", "credential_failure", "credential_deleted"]
            .into_iter()
            .find(|event| text("event") == Some(event))
            .ok_or_else(|| malformed("event must be credential_accepted, credential_failure or credential_deleted"))?;
        Ok(Self { id: id.to_owned(), event })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_escapes_its_parameter() {
        assert_eq!(
            offer_link("https://h/offers/a_b"),
            "openid-credential-offer://?credential_offer_uri=https%3A%2F%2Fh%2Foffers%2Fa_b"
        );
    }
}
