//! What the card says, as the claims of its credentials.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use time::OffsetDateTime;

use super::sd_jwt::Disclosable;
use crate::clock::UnixSeconds;
use crate::model::card::CardFacts;

/// Digests in every SD-JWT card: more than a card has claims, so that neither the number nor the presence of the
/// optional ones shows (RFC 9901 section 4.2.5).
pub const DIGESTS: usize = 16;

/// The disclosable claims of a card that is valid until `valid_until`. Every claim is disclosed at its holder's choice.
pub fn disclosables(facts: &CardFacts, valid_until: UnixSeconds) -> Vec<Disclosable> {
    let day = OffsetDateTime::from_unix_timestamp(valid_until).map(|instant| instant.date().to_string());
    let mut claims = vec![
        Disclosable::new("full_name", &json!(facts.full_name)),
        Disclosable::new("managing_agency", &json!(facts.managing_agency)),
        Disclosable::new("employing_agency", &json!(facts.employing_agency)),
        Disclosable::new("card_number_masked", &json!(facts.masked_card_number())),
        Disclosable::new("card_number", &json!(facts.card_number())),
        Disclosable::new("record_type", &json!(facts.record_type)),
        Disclosable::new("date_of_birth", &json!(facts.date_of_birth.to_string())),
        Disclosable::new("personal_id_number", &json!(facts.personal_id_number.expose())),
        Disclosable::new("valid_until", &json!(day.unwrap_or_default())),
    ];
    let optional =
        [("position_title", &facts.position_title), ("job_position", &facts.job_position), ("gender", &facts.gender)];
    for (name, value) in optional {
        claims.extend(value.as_ref().map(|value| Disclosable::new(name, &json!(value))));
    }
    if let Some(portrait) = &facts.portrait {
        // Base64 needs no JSON escaping: the largest claim is written once.
        let mut json = String::with_capacity(portrait.len() * 4 / 3 + 32);
        json.push_str("\"data:image/jpeg;base64,");
        STANDARD.encode_string(portrait, &mut json);
        json.push('"');
        claims.push(Disclosable { name: "portrait", json });
    }
    claims
}
