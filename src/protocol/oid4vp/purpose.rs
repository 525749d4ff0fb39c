//! Why a verifier asks, in the holder's language. OpenID4VP 1.0 has no member for it: it travels as an entry of
//! `verifier_info` (section 5.11) in a format of our own, which other wallets pass over. Nobody vouches for it but the
//! signature of the request.
//!
//! ```json
//! {"format": "urn:vn:officials-card:purpose", "data": {"vi": "…", "en": "…"}}
//! ```

use serde_json::{Value, json};

/// `format` of the entry.
pub const PURPOSE_FORMAT: &str = "urn:vn:officials-card:purpose";

/// The entry for a purpose, in Vietnamese and in English.
pub fn purpose_info(purpose: &[String; 2]) -> Value {
    let [vi, en] = purpose;
    json!({"format": PURPOSE_FORMAT, "data": {"vi": vi, "en": en}})
}

/// The purpose among what a verifier says of itself, in a language (`vi`, `en`): for wallets.
pub fn purpose_of<'a>(verifier_info: &'a Value, language: &str) -> Option<&'a str> {
    let entry = verifier_info.as_array()?.iter().find(|entry| entry["format"] == PURPOSE_FORMAT)?;
    entry["data"][language].as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purpose_is_found_among_other_entries() {
        let info = json!([{"format": "jwt", "data": "x"}, purpose_info(&["vì".into(), "why".into()])]);
        assert_eq!((purpose_of(&info, "vi"), purpose_of(&info, "en")), (Some("vì"), Some("why")));
        for none in [json!(null), json!([]), json!([1, {"format": "jwt", "data": {"vi": "x"}}])] {
            assert_eq!(purpose_of(&none, "vi"), None);
        }
        assert_eq!(purpose_of(&info, "fr"), None);
    }
}
