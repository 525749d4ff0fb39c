//! Who is told of what happens, and where offers are pushed.

use serde::Deserialize;

use super::Secret;

/// A subscriber that the change feed is sent to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Names its place in the feed: 1 to 64 of `a-z 0-9 -`. Another name begins anew.
    pub name: String,
    /// Where it is told: https, or http on loopback. Its query may hold a secret, so it is never shown.
    pub url: Secret,
    /// The kinds of events that it is told, for example `card.withdrawn`; `None` is all.
    #[serde(default)]
    pub kinds: Option<Vec<String>>,
    /// Unit codes whose cards it is told of, with all below; `None` is the whole nation.
    #[serde(default)]
    pub units: Option<Vec<String>>,
}

/// The backend that offers are pushed to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfferPush {
    /// Where: https, or http on loopback.
    pub url: Secret,
    /// Whether the transaction code goes with the link. It is there to prove that who redeems the offer is who was told
    /// the code on another channel; this setting gives that up.
    #[serde(default)]
    pub with_tx_code: bool,
}

/// What can be seen of subscribers without asking anybody: names that are names, each once.
pub(super) fn check(webhooks: &[Webhook]) -> Result<(), &'static str> {
    for (at, webhook) in webhooks.iter().enumerate() {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_name = (1..=64).contains(&webhook.name.len()) && webhook.name.bytes().all(fits);
        if !is_name || webhooks[..at].iter().any(|other| other.name == webhook.name) {
            return Err("the name of a webhook must be 1 to 64 of a-z, 0-9 and -, and its own");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscribers_have_names_of_their_own() {
        let named = |names: &[&str]| {
            let webhook = |name: &&str| Webhook {
                name: (*name).into(),
                url: Secret::new("https://gate.example"),
                kinds: None,
                units: None,
            };
            check(&names.iter().map(webhook).collect::<Vec<_>>())
        };
        let longest = "x".repeat(64);
        assert_eq!(named(&["gate-1", "gate-2", &longest]), Ok(()));
        for wrong in [&["gate", "gate"][..], &[""], &["Gate"], &["a b"], &[&"x".repeat(65)]] {
            assert!(named(wrong).is_err(), "{wrong:?}");
        }
    }
}
