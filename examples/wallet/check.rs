//! What a careful wallet checks before it keeps a card: who signed it, whose key it is bound to, whether it is in its
//! time, and that it has a status.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use officials_card::clock::UnixSeconds;
use officials_card::credential::PublicKey;
use officials_card::credential::cwt::{QrClaims, QrCredential};
use officials_card::credential::jws::Jws;
use officials_card::credential::sd_jwt::{self, Presentation, VerifiedCard};
use officials_card::credential::status_list::{Band, StatusListToken, StatusReference};
use officials_card::credential::trust_list::{Purpose, TrustList};
use officials_card::credential::x509::{Anchors, Use};
use officials_card::credential::{mdoc, official_card};
use officials_card::protocol::mdoc::NAMESPACE;
use serde_json::Value;

use crate::error::{Result, WalletError};
use crate::folder::KeptCard;
use crate::http::Http;

/// The format of the QR card in the issuer's metadata.
pub const QR_FORMAT: &str = "cwt";

/// Whom the wallet trusts: the root certificate and the IACA, and the trust list that the root stands behind.
pub struct Trust {
    /// The certificates as PEM.
    pub pem: String,
    anchors: Anchors,
}

impl Trust {
    /// From a PEM text.
    pub fn new(pem: String) -> Result<Self> {
        Ok(Self { anchors: Anchors::from_pem(&pem)?, pem })
    }

    /// Checks an SD-JWT card as issued: certificates, signature, disclosures, dates, type.
    pub fn sd_jwt<'a>(&self, credential: &'a str, vct: &str, now: UnixSeconds) -> Result<VerifiedCard<'a>> {
        // RFC 9901 section 7.2: an issuer does not bind; what comes bound is somebody's presentation.
        if !credential.ends_with('~') {
            return Err(WalletError::Issued("it is a presentation, not a card"));
        }
        let card = Presentation::parse(credential)?.verify(&self.anchors, vct, now)?;
        if card.status.is_none() {
            return Err(WalletError::Issued("it has no status"));
        }
        Ok(card)
    }

    /// Checks an mdoc as issued: certificates, signature, digests, type, dates. It has no device signature yet.
    fn mdoc(&self, credential: &str, doctype: &str, now: UnixSeconds) -> Result<Checked> {
        let bytes = URL_SAFE_NO_PAD.decode(credential).map_err(|_| WalletError::Issued("it is not base64url"))?;
        let card = mdoc::verify(&bytes, &self.anchors, doctype, now)?;
        Ok(Checked {
            holder: card.device_key,
            status: card.status.ok_or(WalletError::Issued("it has no status"))?,
            status_anchors: card.status_anchor.map(|anchor| Anchors::new(vec![anchor])),
            expires_at: card.valid_until,
            claims: official_card::claims(&card.elements, NAMESPACE).into_iter().collect(),
        })
    }

    /// Checks a card that is kept, whichever format it has.
    pub async fn checked(&self, http: &Http, card: &KeptCard, now: UnixSeconds) -> Result<Checked> {
        let list = match card.format.as_str() {
            QR_FORMAT => Some(self.list(http, &card.issuer, now).await?),
            _ => None,
        };
        Checked::new(card, self, list.as_ref(), now)
    }

    /// The issuer's trust list, once it is led back to the root.
    pub async fn list(&self, http: &Http, issuer: &str, now: UnixSeconds) -> Result<TrustList> {
        const PLACE: &str = "trust list";
        let bytes = http.get(PLACE, &format!("{issuer}/trust-list"), "*/*").await?;
        let list = TrustList::accept(None, &bytes, |chain| self.anchors.check(chain, Use::TrustList, now))?;
        if list.band(now) == Band::Expired { Err(WalletError::Answer(PLACE, "has expired")) } else { Ok(list) }
    }

    /// The status of a card as its list tells it now (Token Status List section 8.3).
    pub async fn status(&self, http: &Http, card: &Checked, now: UnixSeconds) -> Result<u8> {
        const TYPE: &str = "statuslist+jwt";
        const PLACE: &str = "status list";
        let reference = &card.status;
        let token = http.get(PLACE, &reference.uri, "application/statuslist+jwt").await?;
        let token = String::from_utf8(token).map_err(|_| WalletError::Answer(PLACE, "is no text"))?;
        let jws = Jws::parse(&token, TYPE)?;
        let chain = jws.certificates().ok_or(WalletError::Answer(PLACE, "carries no certificates"))?;
        let anchors = card.status_anchors.as_ref().unwrap_or(&self.anchors);
        let claims = jws.verify(&anchors.check(&chain, Use::StatusLists, now)?)?;
        let token = StatusListToken::from_jwt_claims(&Value::Object(claims), &reference.uri, now)?;
        Ok(token.list.inflate()?.get(reference.index)?)
    }
}

/// Checks a QR card as issued: the trust list's key, signature, dates. It has no countersignature yet.
fn check_qr(credential: &str, list: &TrustList, issuer: &str, now: UnixSeconds) -> Result<QrClaims> {
    let card = read_qr(credential)?;
    let signer = list.signer(&card.message, Purpose::Issuer);
    let signer = signer.ok_or(WalletError::Issued("no key of the trust list has signed it"))?;
    let claims = card.claims;
    let in_its_time = signer.may_sign_at(claims.issued_at) && claims.not_before <= now && now < claims.expires_at;
    let in_its_bounds = signer.issuer == claims.issuer
        && signer.may_speak_for(claims.identity.agency_code.as_deref())
        && claims.status.as_ref().is_some_and(|status| signer.may_name(&status.uri));
    if claims.issuer != issuer {
        Err(WalletError::Issued("it names another issuer"))
    } else if !in_its_time {
        Err(WalletError::Issued("it is not in its time"))
    } else if !in_its_bounds {
        Err(WalletError::Issued("its key may not sign such a card"))
    } else {
        Ok(claims)
    }
}

/// A QR card from the base64url of the credential endpoint.
pub fn read_qr(credential: &str) -> Result<QrCredential> {
    let bytes = URL_SAFE_NO_PAD.decode(credential).map_err(|_| WalletError::Issued("it is not base64url"))?;
    Ok(QrCredential::parse(&bytes)?)
}

/// What a card says, whichever format it has, after the checks.
pub struct Checked {
    /// The key that it is bound to.
    pub holder: PublicKey,
    /// Where its status stands.
    pub status: StatusReference,
    /// Who stands behind the status list, where the card says so; otherwise those whom the wallet trusts.
    pub status_anchors: Option<Anchors>,
    /// From when it is no longer good.
    pub expires_at: UnixSeconds,
    /// Its claims by name.
    pub claims: Vec<(String, Value)>,
}

impl Checked {
    /// Checks a card, kept or just come. `list` is needed for a QR card only.
    pub fn new(card: &KeptCard, trust: &Trust, list: Option<&TrustList>, now: UnixSeconds) -> Result<Self> {
        let lacking = WalletError::Issued("it lacks a member that every card has");
        if card.format == sd_jwt::TYPE {
            let vct = card.vct.as_deref().ok_or(WalletError::Issued("its type is not known"))?;
            let read = trust.sd_jwt(&card.credential, vct, now)?;
            let expires_at = read.claims.get("exp").and_then(Value::as_i64);
            return Ok(Self {
                holder: read.holder.ok_or(WalletError::Issued("it names no holder key"))?,
                status: read.status.ok_or(WalletError::Issued("it has no status"))?,
                status_anchors: None,
                expires_at: expires_at.ok_or(lacking)?,
                claims: read.claims.into_iter().collect(),
            });
        }
        if card.format == mdoc::FORMAT {
            let doctype = card.doctype.as_deref().ok_or(WalletError::Issued("its type is not known"))?;
            return trust.mdoc(&card.credential, doctype, now);
        }
        let list = list.ok_or(WalletError::Issued("there is no trust list to check it by"))?;
        let read = check_qr(&card.credential, list, &card.issuer, now)?;
        let (Some(holder), Some(status)) = (read.confirmation, read.status) else { return Err(lacking) };
        let identity = read.identity;
        let claims = [
            ("full_name", Some(identity.full_name)),
            ("position_title", identity.position),
            ("employing_agency", identity.agency),
            ("record_type", identity.class),
        ];
        let claims = claims.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::from(text?))));
        Ok(Self { holder, status, status_anchors: None, expires_at: read.expires_at, claims: claims.collect() })
    }
}

/// Whether a configuration of the issuer's metadata is one that this wallet can check and show.
pub fn is_understood(format: &str) -> bool {
    [sd_jwt::TYPE, QR_FORMAT, mdoc::FORMAT].contains(&format)
}
