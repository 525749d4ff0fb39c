//! OpenID for Verifiable Credential Issuance 1.0: configurations, metadata, offers, credential requests and answers,
//! notifications.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

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

    /// From its identifier.
    pub fn parse(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|configuration| configuration.id() == id)
    }

    fn metadata(self, vct: &str, doctype: &str) -> Value {
        let mut metadata = json!({
            "scope": self.id(),
            "proof_types_supported": {"jwt": {"proof_signing_alg_values_supported": ["ES256", "EdDSA"]}},
            "credential_metadata": {
                "display": display(self),
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

fn display(configuration: Configuration) -> Value {
    let (vi, en) = match configuration {
        Configuration::SdJwt | Configuration::SdJwtEdDsa | Configuration::Mdoc => {
            ("Thẻ cán bộ, công chức, viên chức", "Officials card")
        }
        Configuration::Qr => ("Mã QR thẻ cán bộ, công chức, viên chức", "Officials card QR code"),
    };
    let look =
        |name, locale| json!({"name": name, "locale": locale, "background_color": "#F6C544", "text_color": "#7A0C0C"});
    json!([look(vi, "vi-VN"), look(en, "en")])
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
pub fn issuer_metadata(issuer: &str, vct: &str, doctype: &str, batch_size: usize) -> Value {
    let configurations: Map<String, Value> = Configuration::ALL
        .into_iter()
        .map(|configuration| (configuration.id().to_owned(), configuration.metadata(vct, doctype)))
        .collect();
    json!({
        "credential_issuer": issuer,
        "credential_endpoint": format!("{issuer}/credential"),
        "nonce_endpoint": format!("{issuer}/nonce"),
        "notification_endpoint": format!("{issuer}/notification"),
        "batch_credential_issuance": {"batch_size": batch_size},
        "display": [
            {"name": "Bộ Nội vụ", "locale": "vi-VN"},
            {"name": "Ministry of Home Affairs of Viet Nam", "locale": "en"},
        ],
        "credential_configurations_supported": configurations,
    })
}

/// Digits of a transaction code.
pub const TX_CODE_LENGTH: u8 = 6;

/// A credential offer (section 4.1.1).
pub fn offer<'a>(issuer: &str, configurations: impl Iterator<Item = &'a str>, code: &str) -> Value {
    json!({
        "credential_issuer": issuer,
        "credential_configuration_ids": configurations.collect::<Vec<_>>(),
        "grants": {oauth::PRE_AUTHORIZED: {
            "pre-authorized_code": code,
            "tx_code": {
                "input_mode": "numeric",
                "length": TX_CODE_LENGTH,
                "description": "Nhập mã 6 số do VNeID cung cấp / Enter the 6-digit code from VNeID",
            },
        }},
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

/// A request to the credential endpoint (section 8.2), shape checked.
#[derive(Debug, PartialEq, Eq)]
pub struct CredentialRequest {
    /// What is asked for.
    pub configuration: Configuration,
    /// The members of `proofs.jwt`, in order.
    pub proofs: Vec<String>,
}

impl CredentialRequest {
    /// Parses the body. The resource is looked at before encryption and proofs, as the conformance suite expects.
    /// Unknown members are ignored.
    pub fn parse(body: &[u8], batch_size: usize) -> Result<Self, Refusal> {
        let malformed = |text: &str| Refusal::InvalidCredentialRequest(text.to_owned());
        let Ok(Value::Object(request)) = serde_json::from_slice::<Value>(body) else {
            return Err(malformed("the body must be a JSON object"));
        };
        let configuration = match (request.get("credential_configuration_id"), request.get("credential_identifier")) {
            (Some(Value::String(id)), None) => {
                Configuration::parse(id).ok_or(Refusal::UnknownCredentialConfiguration)?
            }
            // Identifiers are only given with authorization_details, which this grant does not use.
            (None, Some(Value::String(_))) => return Err(Refusal::UnknownCredentialIdentifier),
            (Some(_), None) => return Err(malformed("credential_configuration_id must be a string")),
            (None, Some(_)) => return Err(malformed("credential_identifier must be a string")),
            _ => {
                return Err(malformed(
                    "exactly one of credential_configuration_id and credential_identifier is needed",
                ));
            }
        };
        if request.contains_key("credential_response_encryption") {
            return Err(Refusal::InvalidEncryptionParameters);
        }
        let invalid = |text: &str| Refusal::InvalidProof(text.to_owned());
        let proofs = request.get("proofs").ok_or_else(|| invalid("proofs is missing"))?;
        let Some(proofs) = proofs.as_object().filter(|proofs| proofs.len() == 1) else {
            return Err(malformed("proofs must be an object with exactly one member"));
        };
        let proofs = proofs.get("jwt").ok_or_else(|| invalid("the only supported proof type is jwt"))?;
        let proofs = proofs.as_array().ok_or_else(|| malformed("proofs.jwt must be an array"))?;
        if proofs.is_empty() || proofs.len() > batch_size {
            return Err(Refusal::InvalidCredentialRequest(format!("proofs.jwt must hold 1 to {batch_size} proofs")));
        }
        let proofs = proofs.iter().map(|proof| proof.as_str().map(str::to_owned)).collect::<Option<_>>();
        Ok(Self { configuration, proofs: proofs.ok_or_else(|| malformed("proofs.jwt must hold strings"))? })
    }
}

/// The answer of the credential endpoint (section 8.3).
pub fn credential_response(credentials: &[String], notification_id: &str) -> Value {
    json!({
        "credentials": credentials.iter().map(|credential| json!({"credential": credential})).collect::<Vec<_>>(),
        "notification_id": notification_id,
    })
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

    fn parse(request: &Value) -> Result<CredentialRequest, Refusal> {
        CredentialRequest::parse(request.to_string().as_bytes(), 2)
    }

    #[test]
    fn the_resource_is_judged_before_encryption_and_proofs() {
        assert_eq!(
            parse(&json!({"credential_configuration_id": "other", "credential_response_encryption": {}})),
            Err(Refusal::UnknownCredentialConfiguration)
        );
        assert_eq!(parse(&json!({"credential_identifier": "x"})), Err(Refusal::UnknownCredentialIdentifier));
        let good = "official-card-sdjwt";
        assert_eq!(
            parse(&json!({"credential_configuration_id": good, "credential_response_encryption": {}})),
            Err(Refusal::InvalidEncryptionParameters)
        );
        for (request, proof_error) in [
            (json!({"credential_configuration_id": good}), true),
            (json!({"credential_configuration_id": good, "proofs": {"attestation": ["x"]}}), true),
            (json!({"credential_configuration_id": good, "proofs": {"jwt": []}}), false),
            (json!({"credential_configuration_id": good, "proofs": {"jwt": ["a", "b", "c"]}}), false),
            (json!({"credential_configuration_id": good, "proofs": {"jwt": [1]}}), false),
            (json!({"credential_configuration_id": good, "credential_identifier": "x"}), false),
            (json!([]), false),
        ] {
            let refusal = parse(&request).unwrap_err();
            assert_eq!(matches!(refusal, Refusal::InvalidProof(_)), proof_error, "{request}: {refusal:?}");
            assert_eq!(matches!(refusal, Refusal::InvalidCredentialRequest(_)), !proof_error, "{request}");
        }
        let request = json!({"credential_configuration_id": good, "proofs": {"jwt": ["a"]}, "colour": "red"});
        assert_eq!(parse(&request).unwrap().proofs, ["a"]);
    }

    #[test]
    fn the_link_escapes_its_parameter() {
        assert_eq!(
            offer_link("https://h/offers/a_b"),
            "openid-credential-offer://?credential_offer_uri=https%3A%2F%2Fh%2Foffers%2Fa_b"
        );
    }
}
