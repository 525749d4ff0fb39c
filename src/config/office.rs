//! The unit office: where officers sign in, and how long a session of theirs lasts.

use std::path::PathBuf;

use serde::Deserialize;

use super::Secret;

/// The OpenID provider of officers, what it has to show, and the sessions that follow.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OfficeSignIn {
    /// `OFFICIALS_CARD_OFFICE_SIGN_IN_ISSUER`: the issuer identifier, https except on loopback.
    pub issuer: String,
    /// `OFFICIALS_CARD_OFFICE_SIGN_IN_CLIENT_ID`: the name that it knows us by.
    pub client_id: String,
    /// `OFFICIALS_CARD_OFFICE_SIGN_IN_CLIENT_SECRET`: for `client_secret_basic`.
    pub client_secret: Option<Secret>,
    /// `OFFICIALS_CARD_OFFICE_SIGN_IN_CLIENT_KEY`: instead of a secret, for `private_key_jwt`: a file with a private P-256
    /// key, JWK or PEM.
    pub client_key: Option<PathBuf>,
    /// Asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim of the ID token that names the account: what `officers add --subject` is told.
    pub subject_claim: String,
    /// The claim that holds the officer's own personal number; nobody decides about a record of their own. Empty when the
    /// provider has none.
    pub personal_number_claim: String,
    /// Values of `amr` (RFC 8176) of which one alone says that there were several factors.
    pub amr: Vec<String>,
    /// Values of `amr` for something that people have: one shows a second factor beside something that they know or are.
    pub amr_beside: Vec<String>,
    /// Values of `acr` that stand for a second factor or more: asked for, and any of them is enough without `amr`.
    pub acr_values: Vec<String>,
    /// After so long without a request a session is over.
    pub idle_seconds: i64,
    /// However busy, it is over after so long.
    pub session_seconds: i64,
    /// Scopes that take a sign-in of the last `step_up_seconds`; none when empty.
    pub step_up_scopes: Vec<String>,
    /// See `step_up_scopes`.
    pub step_up_seconds: i64,
}

impl Default for OfficeSignIn {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            issuer: String::new(),
            client_id: String::new(),
            client_secret: None,
            client_key: None,
            scopes: words(&["profile"]),
            subject_claim: "sub".into(),
            personal_number_claim: "personal_identification_number".into(),
            amr: words(&["mfa"]),
            // A code or a key may be all that was asked for. Not `swk`, `sms`: neither stays with who has it.
            amr_beside: words(&["otp", "hwk"]),
            acr_values: Vec::new(),
            idle_seconds: 15 * 60,
            session_seconds: 8 * 3600,
            step_up_scopes: words(&["cards:withdraw", "quality:approve", "officers:write"]),
            step_up_seconds: 15 * 60,
        }
    }
}

/// Methods of RFC 8176 by something that a person knows (`pwd`, `pin`, `kba`) or is (the rest).
const KNOWN_OR_INHERENT: [&str; 8] = ["pwd", "pin", "kba", "face", "fpt", "iris", "retina", "vbm"];

/// What follows `OFFICIALS_CARD_OFFICE_SIGN_IN_`.
const VARIABLES: [&str; 4] = ["ISSUER", "CLIENT_ID", "CLIENT_SECRET", "CLIENT_KEY"];

impl OfficeSignIn {
    /// What the variables make of it. Any of them is enough to have one.
    pub(super) fn overridden(own: Option<&Self>, variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let variable = |name: &str| variable(&format!("OFFICE_SIGN_IN_{name}"));
        if own.is_none() && VARIABLES.into_iter().all(|name| variable(name).is_none()) {
            return None;
        }
        let old = own.cloned().unwrap_or_default();
        Some(Self {
            issuer: variable("ISSUER").unwrap_or(old.issuer),
            client_id: variable("CLIENT_ID").unwrap_or(old.client_id),
            client_secret: variable("CLIENT_SECRET").map(Secret::new).or(old.client_secret),
            client_key: variable("CLIENT_KEY").map(PathBuf::from).or(old.client_key),
            ..old
        })
    }

    /// Whether the methods that a provider names (`amr`) or the class that it gives (`acr`) show a second factor.
    pub fn shows_second_factor(&self, methods: &[&str], class: Option<&str>) -> bool {
        let has = |own: &[String]| own.iter().any(|own| methods.contains(&own.as_str()));
        has(&self.amr)
            || (has(&self.amr_beside) && KNOWN_OR_INHERENT.iter().any(|other| methods.contains(other)))
            || class.is_some_and(|class| self.acr_values.iter().any(|own| own == class))
    }

    /// What cannot be seen without asking the provider.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.issuer.is_empty() || self.client_id.is_empty() {
            return Err("issuer and client_id are required");
        }
        if self.client_secret.is_some() == self.client_key.is_some() {
            return Err("one of client_secret and client_key is required, not both");
        }
        if self.subject_claim.is_empty() {
            return Err("subject_claim must not be empty");
        }
        if self.amr.is_empty() && self.amr_beside.is_empty() && self.acr_values.is_empty() {
            return Err(
                "amr, amr_beside and acr_values must not all be empty: nobody signs in without a second factor",
            );
        }
        if self.amr_beside.iter().any(|method| KNOWN_OR_INHERENT.contains(&method.as_str())) {
            return Err("amr_beside must not name what people know or are: it is beside that that they count");
        }
        let is_word = |text: &String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if ![&self.amr, &self.amr_beside, &self.acr_values, &self.scopes, &self.step_up_scopes]
            .into_iter()
            .flatten()
            .all(is_word)
        {
            return Err("amr, amr_beside, acr_values, scopes and step_up_scopes must be plain ASCII without spaces");
        }
        if self.idle_seconds < 60 || self.session_seconds < self.idle_seconds || self.session_seconds > 24 * 3600 {
            return Err("idle_seconds must be at least 60, and session_seconds between that and a day");
        }
        if self.step_up_seconds < 60 {
            return Err("step_up_seconds must be at least 60");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_would_let_anybody_in_are_refused() {
        let sound = || OfficeSignIn {
            issuer: "https://office.example".into(),
            client_id: "card".into(),
            client_secret: Some(Secret::new("hush")),
            ..OfficeSignIn::default()
        };
        assert_eq!(sound().check(), Ok(()));
        let wrong = |change: fn(&mut OfficeSignIn)| {
            let mut changed = sound();
            change(&mut changed);
            assert!(changed.check().is_err());
        };
        wrong(|own| own.issuer.clear());
        wrong(|own| own.client_key = Some("key.jwk".into()));
        wrong(|own| own.client_secret = None);
        wrong(|own| (own.amr, own.amr_beside) = (Vec::new(), Vec::new()));
        wrong(|own| own.amr_beside.push("pwd".into()));
        wrong(|own| own.amr.push("one factor".into()));
        wrong(|own| own.subject_claim.clear());
        wrong(|own| own.idle_seconds = 59);
        wrong(|own| own.session_seconds = own.idle_seconds - 1);
        wrong(|own| own.session_seconds = 24 * 3600 + 1);
        wrong(|own| own.step_up_seconds = 0);
    }

    #[test]
    fn one_factor_is_not_two() {
        let settings = OfficeSignIn { acr_values: vec!["urn:example:two".into()], ..OfficeSignIn::default() };
        let shows = |methods: &[&str]| settings.shows_second_factor(methods, None);
        for one in [&["otp"][..], &["hwk"], &["otp", "hwk"], &["pwd"], &["pwd", "pin", "face"], &["otp", "user"], &[]] {
            assert!(!shows(one), "{one:?}");
        }
        for two in [&["mfa"][..], &["pwd", "otp"], &["pin", "hwk"], &["fpt", "hwk"], &["otp", "face", "sms"]] {
            assert!(shows(two), "{two:?}");
        }
        assert!(settings.shows_second_factor(&["pwd"], Some("urn:example:two")));
        assert!(!settings.shows_second_factor(&["pwd"], Some("urn:example:one")));
    }

    #[test]
    fn variables_make_and_change_it() {
        assert!(OfficeSignIn::overridden(None, |_| None).is_none());
        let set = |name: &str| (name == "OFFICE_SIGN_IN_CLIENT_SECRET").then(|| "hush".to_owned());
        let made = OfficeSignIn::overridden(None, set).unwrap();
        assert!(!format!("{made:?}").contains("hush"));
        let named = OfficeSignIn { client_id: "card".into(), ..OfficeSignIn::default() };
        assert_eq!(OfficeSignIn::overridden(Some(&named), set).unwrap().client_id, "card");
    }
}
