//! Access and refresh tokens of wallets: a grant's name, an expiry and the key that they are bound to, under a MAC. No
//! table holds them; a grant that is revoked takes all its tokens with it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::nonce::derive;
use crate::chance::Chance;
use crate::clock::UnixSeconds;

const GRANT: usize = 16;
const EXPIRY: usize = 8;
const KEY: usize = 32;
const RANDOM: usize = 8;
const FACTS: usize = GRANT + EXPIRY + KEY + RANDOM;
const TAG: usize = 32;

/// What a token is for. One is never taken for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goes with requests to the credential issuer.
    Access,
    /// Gets new access tokens.
    Refresh,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalletToken {
    /// The grant that it was given for: a random name of 128 bits.
    pub grant: String,
    /// When it expires.
    pub expires_at: UnixSeconds,
    /// Thumbprint of the DPoP key that it is bound to; a bearer token has none.
    pub key: Option<[u8; 32]>,
}

/// Makes and recognises tokens with the deployment's secret.
pub struct WalletTokens {
    access: Hmac<Sha256>,
    refresh: Hmac<Sha256>,
}

impl WalletTokens {
    /// With a secret that all processes of a deployment share.
    pub fn new(secret: &[u8; 32]) -> Self {
        let keyed =
            |purpose| Hmac::new_from_slice(&derive(secret, purpose, &[])).expect("HMAC takes keys of any length");
        Self { access: keyed("wallet access token"), refresh: keyed("wallet refresh token") }
    }

    /// The token as text: 128 characters of base64url. `None` when the grant's name is none of ours.
    pub fn issue(&self, kind: Kind, token: &WalletToken, chance: &Chance) -> Option<String> {
        let mut bytes = [0; FACTS + TAG];
        bytes[..GRANT].copy_from_slice(&URL_SAFE_NO_PAD.decode(&token.grant).ok().filter(|name| name.len() == GRANT)?);
        bytes[GRANT..GRANT + EXPIRY].copy_from_slice(&token.expires_at.to_be_bytes());
        bytes[GRANT + EXPIRY..GRANT + EXPIRY + KEY].copy_from_slice(&token.key.unwrap_or_default());
        chance.fill(&mut bytes[FACTS - RANDOM..FACTS]);
        let tag = self.mac(kind).chain_update(&bytes[..FACTS]).finalize().into_bytes();
        bytes[FACTS..].copy_from_slice(&tag);
        Some(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// What a token says, if we made it for this and it has not expired at `now`.
    pub fn read(&self, kind: Kind, token: &str, now: UnixSeconds) -> Option<WalletToken> {
        let bytes: [u8; FACTS + TAG] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
        let (facts, tag) = bytes.split_at(FACTS);
        self.mac(kind).chain_update(facts).verify_slice(tag).ok()?;
        let expires_at = UnixSeconds::from_be_bytes(facts[GRANT..GRANT + EXPIRY].try_into().ok()?);
        let key: [u8; KEY] = facts[GRANT + EXPIRY..GRANT + EXPIRY + KEY].try_into().ok()?;
        let token = WalletToken {
            grant: URL_SAFE_NO_PAD.encode(&facts[..GRANT]),
            expires_at,
            key: (key != [0; KEY]).then_some(key),
        };
        (now < expires_at).then_some(token)
    }

    fn mac(&self, kind: Kind) -> Hmac<Sha256> {
        match kind {
            Kind::Access => self.access.clone(),
            Kind::Refresh => self.refresh.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_ours_for_its_purpose_and_lifetime_only() {
        let chance = Chance::seeded([3; 32]);
        let tokens = WalletTokens::new(&[1; 32]);
        for key in [None, Some([7; 32])] {
            let token = WalletToken { grant: URL_SAFE_NO_PAD.encode([9; 16]), expires_at: 1000, key };
            let text = tokens.issue(Kind::Access, &token, &chance).unwrap();
            assert_eq!(text.len(), 128);
            assert_eq!(tokens.read(Kind::Access, &text, 999), Some(token.clone()));
            assert_eq!(tokens.read(Kind::Access, &text, 1000), None);
            assert_eq!(tokens.read(Kind::Refresh, &text, 999), None);
            assert_eq!(WalletTokens::new(&[2; 32]).read(Kind::Access, &text, 999), None);
            for place in [0, 40, 127] {
                let mut forged = text.clone().into_bytes();
                forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
                assert_eq!(tokens.read(Kind::Access, std::str::from_utf8(&forged).unwrap(), 999), None);
            }
            assert_ne!(tokens.issue(Kind::Access, &token, &chance).unwrap(), text);
        }
        let foreign = WalletToken { grant: "no name".into(), expires_at: 1000, key: None };
        assert_eq!(tokens.issue(Kind::Access, &foreign, &chance), None);
    }
}
