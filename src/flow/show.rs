//! The printed badge: QR profile S. The same card gives the same code until half its validity is over, so fetching it
//! again issues nothing new.

use super::{Caller, Service, hash};
use crate::clock::DAY_SECONDS;
use crate::credential::qr;
use crate::credential::symbol::{Ecc, Symbol};
use crate::error::{Fault, Refusal, Result};
use crate::model::card::StateName;
use crate::model::id::Handle;
use crate::model::status::ListPurpose;
use crate::store::{FoundCard, Issuance, NewCredential, Recorded};

/// How the badge is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadgeFormat {
    /// Scales; one unit per module.
    Svg,
    /// So many pixels per module.
    Png(u32),
}

/// A badge's code.
#[derive(Clone, Debug)]
pub struct Badge {
    /// The text of the QR code.
    pub text: String,
    /// Its version, 1 to 40.
    pub version: u32,
    /// The picture.
    pub picture: Vec<u8>,
}

impl Service {
    /// The badge of a card in force. `width_millimetres` is the width at which it will be printed: one that no camera
    /// could read is refused.
    pub async fn badge(
        &self,
        caller: &Caller,
        handle: &Handle,
        format: BadgeFormat,
        width_millimetres: Option<f64>,
    ) -> Result<Badge> {
        caller.needs("badges:read")?;
        let found = self.visible(caller, handle).await?;
        let state = found.card.state_at(self.clock.now()).name();
        if state != StateName::Active {
            return Err(Refusal::CardState { state: state.word(), action: "printed" }.into());
        }
        let text = self.badge_text(caller, &found).await?;
        let fault = |error| Fault::new("drawing a badge", error);
        let symbol = Symbol::new(&text, Ecc::Medium).map_err(fault)?;
        if let Some(width) = width_millimetres {
            symbol.module_millimetres(width).map_err(|error| Refusal::malformed("width_mm", error.to_string()))?;
        }
        let picture = match format {
            BadgeFormat::Svg => symbol.svg().into_bytes(),
            BadgeFormat::Png(pixels) => symbol.png(pixels).map_err(fault)?,
        };
        // The code tells whoever reads it who the card is of.
        let records = std::slice::from_ref(&found.card.record);
        self.store.note_read(&caller.name, records, "badges", self.clock.now()).await?;
        Ok(Badge { version: symbol.version(), text, picture })
    }

    /// The text of the code of a card in force.
    pub(super) async fn badge_text(&self, caller: &Caller, found: &FoundCard) -> Result<String> {
        let now = self.clock.now();
        let handle = &found.card.handle;
        let validity_days = self.config.limits.badge_validity_days;
        let edition = (now - found.card.created_at) / (validity_days * DAY_SECONDS / 2).max(1);
        let nonce = format!("badge {handle} {edition}");
        let row = if let Some(row) = self.store.issued_for(&nonce).await?.pop() {
            row
        } else {
            self.issue_badge(caller, found, nonce, validity_days).await?
        };
        Ok(qr::encode(&self.sign_qr(found, None, &row)?))
    }

    async fn issue_badge(
        &self,
        caller: &Caller,
        found: &FoundCard,
        nonce: String,
        validity_days: i64,
    ) -> Result<NewCredential> {
        let (issued_at, expires_at) = self.dates(found, validity_days);
        let places = self.draw_positions(ListPurpose::Qr, 1).await?;
        let Some(&(list, index)) = places.first() else {
            return Err(Fault::new("issuing a badge", "no status entry was drawn").into());
        };
        let row = NewCredential { holder: String::new(), list, index, issued_at, expires_at };
        let issuance = Issuance {
            id: self.random_name(),
            request_hash: hash(&[nonce.as_bytes()]),
            nonce,
            card: found.card.handle.clone(),
            grant: None,
            deferral: None,
            configuration: "badge".to_owned(),
            credentials: vec![row.clone()],
            at: self.clock.now(),
            actor: caller.name.clone(),
            max_credentials: self.config.limits.credentials_per_card,
        };
        match self.store.record_issuance(issuance).await? {
            Recorded::New => Ok(row),
            Recorded::Again(_, mut rows) if !rows.is_empty() => Ok(rows.remove(0)),
            _ => Err(Refusal::CardState { state: "no longer in force", action: "printed" }.into()),
        }
    }
}
