//! What the card says, as the claims of its credentials.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};
use time::OffsetDateTime;

use super::cbor::Value;
use super::mdoc::{self, Element, VerifiedElement};
use super::sd_jwt::Disclosable;
use crate::clock::UnixSeconds;
use crate::model::card::{AgencyName, CardFacts};

/// Digests in every SD-JWT card and every mdoc: more than a card has claims, so that neither the number nor the presence
/// of the optional ones shows (RFC 9901 section 4.2.5).
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

/// The same as elements of an mdoc: dates are dates, and the portrait is the picture itself. They keep the names and the
/// order of the claims.
pub fn elements(facts: &CardFacts, valid_until: UnixSeconds) -> Vec<Element> {
    let text = |name, text: &str| Element::new(name, &text.into());
    let agency = |name, agency: &AgencyName| {
        let members = [("code", &agency.code), ("name", &agency.name)];
        let members = members.into_iter().map(|(name, value)| (name.into(), value.as_str().into()));
        Element::new(name, &Value::Map(members.collect()))
    };
    let day = OffsetDateTime::from_unix_timestamp(valid_until).map(|instant| instant.date().to_string());
    let mut elements = vec![
        text("full_name", &facts.full_name),
        agency("managing_agency", &facts.managing_agency),
        agency("employing_agency", &facts.employing_agency),
        text("card_number_masked", &facts.masked_card_number()),
        text("card_number", &facts.card_number()),
        text("record_type", facts.record_type.suffix()),
        Element::full_date("date_of_birth", &facts.date_of_birth.to_string()),
        text("personal_id_number", facts.personal_id_number.expose()),
        Element::full_date("valid_until", &day.unwrap_or_default()),
    ];
    let optional =
        [("position_title", &facts.position_title), ("job_position", &facts.job_position), ("gender", &facts.gender)];
    for (name, value) in optional {
        elements.extend(value.as_ref().map(|value| text(name, value)));
    }
    elements.extend(facts.portrait.as_ref().map(|portrait| Element::bytes("portrait", portrait)));
    elements
}

/// What the elements of `namespace` in an mdoc say, as the claims that an SD-JWT card says it with.
pub fn claims(elements: &[VerifiedElement], namespace: &str) -> Map<String, Json> {
    let claim = |element: &VerifiedElement| {
        let value = match (element.identifier.as_str(), &element.value) {
            ("portrait", Value::Bytes(portrait)) => {
                format!("data:image/jpeg;base64,{}", STANDARD.encode(portrait)).into()
            }
            (_, value) => mdoc::to_json(value)?,
        };
        Some((element.identifier.clone(), value))
    };
    elements.iter().filter(|element| element.namespace == namespace).filter_map(claim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::cbor;
    use crate::model::card::CardType;
    use crate::model::id::PersonalNumber;
    use time::macros::date;

    #[test]
    fn both_formats_say_the_same() {
        let agency = |code: &str| AgencyName { code: code.into(), name: "Sở Nội vụ".into() };
        let full = CardFacts {
            personal_id_number: PersonalNumber::parse("001199000018").unwrap(),
            full_name: "Nguyễn Thị Thử Nghiệm".into(),
            date_of_birth: date!(1999 - 03 - 15),
            gender: Some("Nữ".into()),
            managing_agency: agency("H26"),
            employing_agency: agency("H26.05"),
            position_title: Some("Chuyên viên".into()),
            job_position: Some("Văn thư".into()),
            record_type: CardType::Contract,
            portrait: Some(vec![0xff, 0xd8, 0xff, 0xd9]),
            term_ends: None,
        };
        let least =
            CardFacts { gender: None, position_title: None, job_position: None, portrait: None, ..full.clone() };
        for facts in [full, least] {
            let claims_of_sd_jwt: Map<String, Json> = disclosables(&facts, 1_800_000_000)
                .into_iter()
                .map(|claim| (claim.name.to_owned(), serde_json::from_str(&claim.json).unwrap()))
                .collect();
            let elements: Vec<_> = elements(&facts, 1_800_000_000)
                .into_iter()
                .map(|element| VerifiedElement {
                    namespace: "here".into(),
                    identifier: element.identifier.into(),
                    value: cbor::decode(element.cbor(), 1 << 16).unwrap(),
                })
                .collect();
            assert_eq!(claims(&elements, "here"), claims_of_sd_jwt);
            assert!(elements.len() < DIGESTS);
            assert!(claims(&elements, "elsewhere").is_empty());
        }
    }
}
