//! Receipts of disputed checks: a device's word is confirmed, not judged. Nothing is kept.

use super::Service;
use crate::credential::receipt::{Confirmation, Found, ReceiptError};
use crate::error::{Refusal, Result};

impl Service {
    /// Confirms what a device signed: when it came, and whether the versions that it names were published.
    pub async fn confirm_receipt(&self, receipt: String) -> Result<String> {
        let found = Found::from_jws(&receipt)
            .map_err(|error: ReceiptError| Refusal::malformed("body.receipt", error.to_string()))?;
        let number = |version: u64| i64::try_from(version).unwrap_or(0);
        let trust_list_published = match found.trust_list_version {
            Some(version) => Some(self.store.has_trust_list(number(version)).await?),
            None => None,
        };
        let statuses_published = match found.statuses_version {
            Some(version) => Some(self.store.has_document("statuses", number(version)).await?),
            None => None,
        };
        let gate_published = match (&found.gate, found.gate_version) {
            (Some(gate), Some(version)) => {
                Some(self.store.has_document(&format!("gate:{gate}"), number(version)).await?)
            }
            _ => None,
        };
        let confirmation = Confirmation {
            iss: self.config.public_url.clone(),
            received_at: self.clock.now(),
            trust_list_published,
            statuses_published,
            gate_published,
            receipt,
        };
        Ok(confirmation.seal(&*self.keys.events)?)
    }
}
