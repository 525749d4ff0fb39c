//! What comes back (section 8): in the clear, or as a JWE whose content is read the same way; the presentations, or why
//! there are none.

use serde_json::{Map, Value, json};

use super::request::member_text;
use super::{MessageError, ResponseMode, single};
use crate::model::json as strict;

/// The longest error code that is kept, in characters.
const MAX_CODE: usize = 64;
/// The longest error description that is kept, in characters.
const MAX_DESCRIPTION: usize = 200;

/// What a wallet posted, or a browser handed over.
#[derive(Clone, Debug, PartialEq)]
pub enum Posted {
    /// It can be read.
    Clear(Answer),
    /// A compact JWE; its content goes to [`Answer::of_payload`].
    Encrypted(String),
}

/// What a wallet answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Presentations.
    Presented {
        /// `vp_token`, not yet looked at.
        vp_token: Value,
        /// What the request asked to be brought back.
        state: Option<String>,
    },
    /// None.
    Declined {
        /// Why.
        error: WalletError,
        /// What the request asked to be brought back.
        state: Option<String>,
    },
}

/// Why a wallet does not present (section 8.5). `access_denied` says neither that there is no card nor that the holder
/// does not want to, by design.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalletError {
    /// The code: letters, digits, `_`, `-` and `.`; `unknown` in the place of anything else.
    pub code: String,
    /// The wallet's own words, cut, on one line. For logs of the operator only.
    pub description: Option<String>,
}

impl Posted {
    /// From the form at the `response_uri`. Parameters that are not known are ignored, and none may stand twice. An
    /// error may come in the clear even where an encrypted response was asked for, presentations may not.
    pub fn of_form(pairs: &[(String, String)], mode: ResponseMode) -> Result<Self, MessageError> {
        let parameter = single(pairs)?;
        if let Some(response) = parameter("response") {
            return encrypted(response, mode);
        }
        let mut members = Map::new();
        for name in ["state", "error", "error_description"] {
            members.extend(parameter(name).map(|value| (name.to_owned(), json!(value))));
        }
        if let Some(token) = parameter("vp_token") {
            let token = strict::parse(token.as_bytes());
            members.insert("vp_token".into(), token.map_err(|_| MessageError::new("vp_token", "is JSON"))?);
        }
        clear(&members, mode)
    }

    /// From `credential.data` of the Digital Credentials API.
    pub fn of_dc_api(data: &Value, mode: ResponseMode) -> Result<Self, MessageError> {
        let members = data.as_object().ok_or(MessageError::new("data", "is an object"))?;
        match members.get("response") {
            Some(Value::String(response)) => encrypted(response, mode),
            Some(_) => Err(MessageError::new("response", "is a text")),
            None => clear(members, mode),
        }
    }
}

fn encrypted(response: &str, mode: ResponseMode) -> Result<Posted, MessageError> {
    if mode.is_encrypted() {
        Ok(Posted::Encrypted(response.to_owned()))
    } else {
        Err(MessageError::new("response", "was not asked to be encrypted"))
    }
}

fn clear(members: &Map<String, Value>, mode: ResponseMode) -> Result<Posted, MessageError> {
    match Answer::read(members)? {
        Answer::Presented { .. } if mode.is_encrypted() => Err(MessageError::new("response", "has to be encrypted")),
        answer => Ok(Posted::Clear(answer)),
    }
}

impl Answer {
    /// From the content of a JWE: a JSON object, whose members stand at the top (section 8.3).
    pub fn of_payload(bytes: &[u8]) -> Result<Self, MessageError> {
        match strict::parse(bytes) {
            Ok(Value::Object(members)) => Self::read(&members),
            _ => Err(MessageError::new("response", "is a JSON object")),
        }
    }

    /// What the request asked to be brought back.
    pub fn state(&self) -> Option<&str> {
        match self {
            Self::Presented { state, .. } | Self::Declined { state, .. } => state.as_deref(),
        }
    }

    fn read(members: &Map<String, Value>) -> Result<Self, MessageError> {
        let state = member_text(members, "state")?.map(str::to_owned);
        match (members.get("vp_token"), members.get("error")) {
            (Some(_), Some(_)) => Err(MessageError::new("error", "does not stand beside vp_token")),
            (Some(token), None) => Ok(Self::Presented { vp_token: token.clone(), state }),
            (None, Some(Value::String(code))) => {
                let description = members.get("error_description").and_then(Value::as_str);
                Ok(Self::Declined { error: WalletError::new(code, description), state })
            }
            (None, Some(_)) => Err(MessageError::new("error", "is a text")),
            (None, None) => Err(MessageError::new("vp_token", "is missing")),
        }
    }

    /// The members of a response, for wallets.
    pub fn to_json(&self) -> Value {
        let (mut members, state) = match self {
            Self::Presented { vp_token, state } => (json!({"vp_token": vp_token}), state),
            Self::Declined { error, state } => {
                let mut members = json!({"error": error.code});
                if let Some(description) = &error.description {
                    members["error_description"] = json!(description);
                }
                (members, state)
            }
        };
        if let Some(state) = state {
            members["state"] = json!(state);
        }
        members
    }

    /// The fields of a form in the clear, for wallets: `vp_token` is JSON text (section 8.2).
    pub fn to_form(&self) -> Vec<(String, String)> {
        let Value::Object(members) = self.to_json() else { return Vec::new() };
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        members.into_iter().map(|(name, value)| (name, text(value))).collect()
    }
}

impl WalletError {
    /// The codes of section 8.5 and of RFC 6749 that mean something to us.
    pub const KNOWN: [&'static str; 13] = [
        "access_denied",
        "invalid_request",
        "invalid_client",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_response_type",
        "server_error",
        "temporarily_unavailable",
        "vp_formats_not_supported",
        "invalid_request_uri_method",
        "invalid_transaction_data",
        "wallet_unavailable",
        "interaction_required",
    ];

    /// Caps and cleans what a stranger wrote.
    pub fn new(code: &str, description: Option<&str>) -> Self {
        let is_code = !code.is_empty()
            && code.len() <= MAX_CODE
            && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        let description = description.map(|text| {
            text.chars().map(|one| if one.is_control() { ' ' } else { one }).take(MAX_DESCRIPTION).collect::<String>()
        });
        Self {
            code: if is_code { code.to_owned() } else { "unknown".to_owned() },
            description: description.filter(|text| !text.is_empty()),
        }
    }

    /// Whether the code is one of [`WalletError::KNOWN`].
    pub fn is_known(&self) -> bool {
        Self::KNOWN.contains(&self.code.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::oid4vp::MAX_TEXT;

    fn form(pairs: &[(&str, &str)], mode: ResponseMode) -> Result<Posted, MessageError> {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Posted::of_form(&pairs, mode)
    }

    #[test]
    fn presentations_come_in_the_clear_only_where_that_was_asked_for() {
        let (token, presented) =
            (r#"{"a":["x"]}"#, Answer::Presented { vp_token: json!({"a": ["x"]}), state: Some("s".into()) });
        let fields = [("vp_token", token), ("state", "s"), ("unknown", "1")];
        assert_eq!(form(&fields, ResponseMode::DirectPost).unwrap(), Posted::Clear(presented.clone()));
        assert_eq!(form(&fields, ResponseMode::DirectPostJwt).unwrap_err().place, "response");
        let fields = [("response", "a.b.c.d.e"), ("state", "s")];
        assert_eq!(form(&fields, ResponseMode::DirectPostJwt).unwrap(), Posted::Encrypted("a.b.c.d.e".into()));
        assert_eq!(form(&fields, ResponseMode::DirectPost).unwrap_err().place, "response");
        assert_eq!(Answer::of_payload(presented.to_json().to_string().as_bytes()).unwrap(), presented);
        assert_eq!(Posted::of_form(&presented.to_form(), ResponseMode::DirectPost).unwrap(), Posted::Clear(presented));
    }

    #[test]
    fn an_error_may_always_come_in_the_clear() {
        for mode in [ResponseMode::DirectPost, ResponseMode::DirectPostJwt] {
            let answer = form(&[("error", "access_denied"), ("error_description", "no\nway"), ("state", "s")], mode);
            let Posted::Clear(Answer::Declined { error, state }) = answer.unwrap() else { panic!() };
            assert_eq!((error.code.as_str(), error.description.as_deref()), ("access_denied", Some("no way")));
            assert!(error.is_known());
            assert_eq!(state.as_deref(), Some("s"));
        }
        let long = WalletError::new(&"x".repeat(65), Some(&"ă".repeat(3000)));
        assert_eq!((long.code.as_str(), long.description.unwrap().chars().count()), ("unknown", MAX_DESCRIPTION));
        assert_eq!(WalletError::new("<script>", Some("")), WalletError { code: "unknown".into(), description: None });
    }

    #[test]
    fn what_says_two_things_is_refused() {
        let place = |fields: &[(&str, &str)]| form(fields, ResponseMode::DirectPost).unwrap_err().place;
        assert_eq!(place(&[("vp_token", "{}"), ("vp_token", "{}")]), "form");
        assert_eq!(place(&[("vp_token", r#"{"a":1,"a":2}"#)]), "vp_token");
        assert_eq!(place(&[("vp_token", "{}"), ("error", "access_denied")]), "error");
        assert_eq!(place(&[("state", "s")]), "vp_token");
        assert_eq!(place(&[]), "vp_token");
        assert_eq!(place(&[("vp_token", "{}"), ("state", &"s".repeat(MAX_TEXT + 1))]), "state");
        for bad in [&b"[]"[..], b"{", b"", br#"{"vp_token":{},"vp_token":{}}"#] {
            assert_eq!(Answer::of_payload(bad).unwrap_err().place, "response");
        }
    }

    #[test]
    fn the_browser_hands_over_the_same() {
        let of = |data: Value, mode| Posted::of_dc_api(&data, mode);
        let jwe = of(json!({"response": "a.b.c.d.e"}), ResponseMode::DcApiJwt);
        assert_eq!(jwe.unwrap(), Posted::Encrypted("a.b.c.d.e".into()));
        assert!(matches!(
            of(json!({"error": "access_denied"}), ResponseMode::DcApiJwt),
            Ok(Posted::Clear(Answer::Declined { .. }))
        ));
        assert!(matches!(
            of(json!({"vp_token": {}}), ResponseMode::DcApi),
            Ok(Posted::Clear(Answer::Presented { .. }))
        ));
        assert!(of(json!({"vp_token": {}}), ResponseMode::DcApiJwt).is_err());
        assert!(of(json!({"response": 1}), ResponseMode::DcApiJwt).is_err());
        assert!(of(json!([]), ResponseMode::DcApi).is_err());
    }
}
