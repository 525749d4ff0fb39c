//! What a transaction keeps for a while and nobody who reads the database should: encrypted by AES-256-GCM under a key of
//! its own, derived from the deployment's secret.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::credential::nonce;
use crate::error::Fault;
use crate::flow::Service;

impl Service {
    /// Encrypts JSON for one purpose of one transaction.
    pub(super) fn seal_json(&self, purpose: &str, id: &str, value: &Value) -> Result<String, Fault> {
        let iv = self.chance.bytes::<NONCE_LEN>();
        let mut bytes = Zeroizing::new(value.to_string().into_bytes());
        self.presentation_key(purpose, id)?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(iv), Aad::empty(), &mut *bytes)
            .map_err(|_| Fault::new("sealing a part of a presentation", "the cipher refused"))?;
        Ok(URL_SAFE_NO_PAD.encode([&iv[..], &bytes].concat()))
    }

    /// Opens what [`Service::seal_json`] made.
    pub(super) fn unseal_json(&self, purpose: &str, id: &str, sealed: &str) -> Result<Value, Fault> {
        let wrong = || Fault::new("opening a part of a presentation", "it is damaged, or the secret is another one");
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| wrong())?;
        let (iv, sealed) = bytes.split_at_checked(NONCE_LEN).ok_or_else(wrong)?;
        let iv = Nonce::try_assume_unique_for_key(iv).map_err(|_| wrong())?;
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let key = self.presentation_key(purpose, id)?;
        let plain = key.open_in_place(iv, Aad::empty(), &mut bytes).map_err(|_| wrong())?;
        serde_json::from_slice(plain).map_err(|_| wrong())
    }

    fn presentation_key(&self, purpose: &str, id: &str) -> Result<LessSafeKey, Fault> {
        let parts = [purpose.as_bytes(), id.as_bytes()];
        let key = Zeroizing::new(nonce::derive(&self.keys.secret, "sealed part of a presentation", &parts));
        let key = UnboundKey::new(&AES_256_GCM, &*key);
        Ok(LessSafeKey::new(key.map_err(|_| Fault::new("deriving a key", "the cipher refused it"))?))
    }
}
