//! The VP Token (section 8.1): presentations under the identifiers of what was asked for.

use serde_json::{Map, Value};

use super::MessageError;
use crate::protocol::dcql::Query;

/// The most presentations of one token: each costs several signatures to check.
pub const MAX_PRESENTATIONS: usize = 20;

/// A token that answers the query by its shape: every identifier is known, and none has more presentations than asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VpToken {
    /// Identifier of the credential query, and a presentation: an SD-JWT, or the base64url of a `DeviceResponse`.
    pub presentations: Vec<(String, String)>,
}

impl VpToken {
    /// Parses the token. Empty is no answer: a wallet that declines sends an error.
    pub fn parse(token: &Value, query: &Query) -> Result<Self, MessageError> {
        let no = |rule| MessageError::new("vp_token", rule);
        let members = token.as_object().ok_or(no("is an object"))?;
        let mut presentations = Vec::new();
        for (id, all) in members {
            let asked = query.credential(id).ok_or(no("answers only what was asked for"))?;
            let all = all.as_array().filter(|all| !all.is_empty()).ok_or(no("has arrays that are not empty"))?;
            if all.len() > 1 && !asked.multiple() {
                return Err(no("has one presentation where one was asked for"));
            }
            for presentation in all {
                let presentation = presentation.as_str().filter(|text| !text.is_empty());
                presentations.push((id.clone(), presentation.ok_or(no("has texts as presentations"))?.to_owned()));
            }
        }
        match presentations.len() {
            0 => Err(no("is not empty")),
            1..=MAX_PRESENTATIONS => Ok(Self { presentations }),
            _ => Err(no("has at most 20 presentations")),
        }
    }

    /// The token as it stands in a response, for wallets.
    pub fn to_json(&self) -> Value {
        let mut members = Map::new();
        for (id, presentation) in &self.presentations {
            let all = members.entry(id.clone()).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(all) = all {
                all.push(presentation.as_str().into());
            }
        }
        Value::Object(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_token_has_the_shape_of_the_query() {
        let credential = |id: &str, multiple: bool| json!({"id": id, "format": "dc+sd-jwt", "meta": {"vct_values": ["x"]}, "multiple": multiple});
        let query =
            Query::parse(&json!({"credentials": [credential("one", false), credential("many", true)]})).unwrap();
        let parse = |token: Value| VpToken::parse(&token, &query).map(|token| token.presentations.len());
        assert_eq!(parse(json!({"one": ["a"]})), Ok(1));
        assert_eq!(parse(json!({"one": ["a"], "many": ["b", "c"]})), Ok(3));
        for bad in [
            json!({}),
            json!([]),
            json!("a"),
            json!({"other": ["a"]}),
            json!({"one": []}),
            json!({"one": "a"}),
            json!({"one": ["a", "b"]}),
            json!({"one": [{}]}),
            json!({"one": [""]}),
            json!({"one": [null]}),
            json!({"many": vec!["a"; MAX_PRESENTATIONS + 1]}),
        ] {
            assert!(parse(bad.clone()).is_err(), "{bad}");
        }
        let token = json!({"many": ["b", "c"], "one": ["a"]});
        assert_eq!(VpToken::parse(&token, &query).unwrap().to_json(), token);
    }
}
