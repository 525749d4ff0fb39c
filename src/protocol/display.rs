//! The languages of what wallets show: metadata carries every text in each of them, and a caller may ask for fewer.

use serde_json::Value;

/// A language of our texts, by its registered tag in canonical case (BCP 47).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// Vietnamese as written in Vietnam.
    Vietnamese,
    /// English.
    English,
}

impl Language {
    /// All of them, the country's own first.
    pub const ALL: [Self; 2] = [Self::Vietnamese, Self::English];

    /// The tag.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Vietnamese => "vi-VN",
            Self::English => "en",
        }
    }

    /// The language without its region.
    pub fn primary(self) -> &'static str {
        self.tag().split('-').next().unwrap_or_default()
    }
}

/// Leaves in every `display` array only what is in these languages, in their order. An array that has none of them stays
/// as it is: a `display` may not be empty.
pub fn in_languages(document: &mut Value, languages: &[Language]) {
    match document {
        Value::Array(values) => values.iter_mut().for_each(|value| in_languages(value, languages)),
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::Array(texts) if name == "display" => {
                        let chosen: Vec<Value> = languages
                            .iter()
                            .flat_map(|language| texts.iter().filter(|text| text["locale"] == language.tag()))
                            .cloned()
                            .collect();
                        if !chosen.is_empty() {
                            *texts = chosen;
                        }
                    }
                    _ => in_languages(value, languages),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_chosen_and_ordered_at_any_depth_and_nothing_else_changes() {
        let document = json!({
            "display": [{"name": "Bộ", "locale": "vi-VN"}, {"name": "Ministry", "locale": "en"}],
            "a": {"claims": [{"path": ["display"], "display": [{"name": "tên", "locale": "vi-VN"}]}]},
        });
        let chosen = |languages: &[Language]| {
            let mut document = document.clone();
            in_languages(&mut document, languages);
            document
        };
        assert_eq!(chosen(&Language::ALL), document);
        let english = chosen(&[Language::English]);
        assert_eq!(english["display"], json!([{"name": "Ministry", "locale": "en"}]));
        assert_eq!(english["a"], document["a"], "what exists in another language only stays");
        let both = chosen(&[Language::English, Language::Vietnamese]);
        assert_eq!(both["display"][0]["locale"], "en");
        assert_eq!(both["display"][1]["locale"], "vi-VN");
    }
}
