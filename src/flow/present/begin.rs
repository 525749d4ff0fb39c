//! A client asks: a transaction begins, with a key of its own.

use super::templates::Ready;
use super::{Link, Terms, terms};
use crate::clock::UnixSeconds;
use crate::config::{AgencyRule, ClientIdPrefix, PresentationFlow, RequestUriMethod, ResponseMode, StatusRule};
use crate::credential::symbol::{Ecc, Symbol};
use crate::error::{Fault, Refusal, Result};
use crate::flow::{BadgeFormat, Caller, Service, hash};
use crate::keyring;
use crate::model::presentation::PresentationState;
use crate::model::unit::UnitCode;
use crate::protocol::oid4vp::{self, ClientId};
use crate::store::{NewPresentation, Presentation, PresentationName};

/// Longest reference of a client, in characters.
const MAX_REFERENCE: usize = 128;
/// Longest address that a browser is sent on to, in bytes.
const MAX_RETURN_URL: usize = 1024;

/// What a client asks for.
#[derive(Clone, Debug, Default)]
pub struct PresentationRequest {
    /// The template.
    pub template: String,
    /// The agency that the card must be of, or below.
    pub agency: Option<String>,
    /// Whether browser and wallet are on the same device; as the template says when absent.
    pub same_device: Option<bool>,
    /// Where the browser goes at the end.
    pub return_url: Option<String>,
    /// The client's own name for the matter; no personal data.
    pub reference: Option<String>,
    /// Repeating it repeats the answer.
    pub idempotency_key: Option<String>,
}

/// A transaction that began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentationMade {
    /// Its name.
    pub id: String,
    /// Where it stands: `created`, unless the key was used before.
    pub state: PresentationState,
    /// The link that opens a wallet.
    pub link: String,
    /// Where the wallet fetches the request.
    pub request_uri: String,
    /// The page for whoever presents or checks.
    pub page: String,
    /// Where the client gets the link as a QR code.
    pub qr_svg: String,
    /// The same as a PNG.
    pub qr_png: String,
    /// Until when an answer counts.
    pub expires_at: UnixSeconds,
}

impl Service {
    /// Begins a transaction.
    pub async fn make_presentation(&self, caller: &Caller, request: PresentationRequest) -> Result<PresentationMade> {
        caller.needs("presentations:create")?;
        let ready = self.presenting.templates.named(&request.template);
        // What this service asks on its own behalf is nobody else's to ask.
        let ready = ready.filter(|ready| !ready.template.own || caller.name == crate::flow::self_service::CLIENT);
        let ready = ready.ok_or_else(|| Refusal::malformed("body.template", "is no template of this deployment"))?;
        let same_device = self.check_presentation(caller, &request, ready)?;
        let request_hash = hash(&[
            request.template.as_bytes(),
            request.agency.as_deref().unwrap_or_default().as_bytes(),
            &[u8::from(same_device)],
            request.return_url.as_deref().unwrap_or_default().as_bytes(),
            request.reference.as_deref().unwrap_or_default().as_bytes(),
        ]);
        let template = &ready.template;
        let terms = Terms {
            query: ready.query.to_json(),
            client_id: self.verifier_client_id(template.client_id_prefix)?.as_str().to_owned(),
            encrypted: template.response_mode == ResponseMode::DirectPostJwt,
            post: template.request_uri_method == RequestUriMethod::Post,
            wallet: template.wallet.clone(),
            agency: request.agency,
            conformance: template.conformance,
            status_required: template.status == StatusRule::Required,
            only_ours: template.own,
            verifier_info: ready.verifier_info.clone(),
            name: [template.name_vi.clone(), template.name_en.clone()],
            purpose: [template.purpose_vi.clone(), template.purpose_en.clone()],
            return_url: request.return_url,
            reference: request.reference,
        };
        let id = self.random_name();
        let link = |link| hash(&[self.presentation_link(link, &id).as_bytes()]);
        let now = self.clock.now();
        let new = NewPresentation {
            client: caller.name.clone(),
            idempotency_key: request.idempotency_key,
            request_hash,
            template: request.template,
            terms: serde_json::to_string(&terms).map_err(|error| Fault::new("writing the terms", error))?,
            same_device,
            page: link(Link::Page),
            request: link(Link::Request),
            response: link(Link::Response),
            nonce: oid4vp::fresh_nonce(&self.chance),
            wallet_state: oid4vp::fresh_nonce(&self.chance),
            sealed_key: self.seal_json("key", &id, &keyring::fresh_p256_jwk()?)?,
            tells: self.presenting.receivers.contains_key(&caller.name),
            created_at: now,
            expires_at: now + template.ttl_seconds,
            id,
        };
        let row = self.store.begin_presentation(new).await?;
        self.presentation_made(&row)
    }

    /// Whether the request fits the template and the client; gives whether it is for the same device.
    fn check_presentation(
        &self,
        caller: &Caller,
        request: &PresentationRequest,
        ready: &Ready,
    ) -> Result<bool, Refusal> {
        let template = &ready.template;
        match (&request.agency, template.agency) {
            (None, AgencyRule::Required) => {
                return Err(Refusal::malformed("body.agency", "this template needs the agency's code"));
            }
            (Some(_), AgencyRule::None) => {
                return Err(Refusal::malformed("body.agency", "this template asks for no agency"));
            }
            (Some(code), _) if UnitCode::parse(code).is_none() => {
                return Err(Refusal::malformed("body.agency", "must be a unit code such as H26.05"));
            }
            _ => {}
        }
        let usual = template.flows.first() == Some(&PresentationFlow::SameDevice);
        let same_device = request.same_device.unwrap_or(usual);
        let flow = if same_device { PresentationFlow::SameDevice } else { PresentationFlow::CrossDevice };
        if !template.flows.contains(&flow) {
            return Err(Refusal::malformed("body.same_device", "is not what this template is for"));
        }
        if request.reference.as_ref().is_some_and(|text| text.is_empty() || text.chars().count() > MAX_REFERENCE) {
            return Err(Refusal::malformed("body.reference", "must be 1 to 128 characters"));
        }
        // Of its own transactions this service has looked at the address itself.
        if let Some(url) = request.return_url.as_ref().filter(|_| !template.own) {
            let origins = self.config.client(&caller.name).map_or(&[][..], |client| &client.return_origins);
            let parsed = url::Url::parse(url).ok().filter(|_| url.len() <= MAX_RETURN_URL && url.is_ascii());
            let is_allowed = parsed.is_some_and(|parsed| {
                let has_user = !parsed.username().is_empty() || parsed.password().is_some();
                !has_user && parsed.as_str() == url && origins.contains(&parsed.origin().ascii_serialization())
            });
            if !is_allowed {
                return Err(Refusal::malformed(
                    "body.return_url",
                    "must be a whole address of one of the client's return_origins",
                ));
            }
        }
        Ok(same_device)
    }

    /// Our `client_id` (OpenID4VP 1.0 section 5.9.3).
    pub(super) fn verifier_client_id(&self, prefix: ClientIdPrefix) -> Result<ClientId, Fault> {
        let doing = "naming the verifier";
        match prefix {
            ClientIdPrefix::X509Hash => {
                let leaf = self.keys.verifier.certificates().first();
                Ok(ClientId::x509_hash(leaf.ok_or_else(|| Fault::new(doing, "its key has no certificate"))?))
            }
            ClientIdPrefix::X509SanDns => {
                let url = url::Url::parse(&self.config.public_url).map_err(|error| Fault::new(doing, error))?;
                let host = url.domain().ok_or_else(|| Fault::new(doing, "public_url has no DNS name"))?;
                Ok(ClientId::x509_san_dns(host))
            }
        }
    }

    fn presentation_made(&self, row: &Presentation) -> Result<PresentationMade> {
        let picture = |end| format!("{}/api/v1/presentations/{}/qr.{end}", self.config.public_url, row.id);
        Ok(PresentationMade {
            state: row.state_at(self.clock.now()),
            link: self.presentation_wallet_link(&row.id, &terms(row)?),
            request_uri: self.request_uri(&row.id),
            page: self.present_page_uri(&row.id),
            qr_svg: picture("svg"),
            qr_png: picture("png"),
            expires_at: row.expires_at,
            id: row.id.clone(),
        })
    }

    /// The link of a transaction as a QR code, for the client that made it and while nobody has answered.
    pub async fn presentation_qr(&self, caller: &Caller, id: &str, format: BadgeFormat) -> Result<Vec<u8>> {
        let row = self.presentation_of(caller, id).await?;
        if row.state_at(self.clock.now()) != PresentationState::Created {
            return Err(Refusal::Gone("presentation").into());
        }
        let symbol = self.presentation_symbol(&row)?;
        Ok(match format {
            BadgeFormat::Svg => symbol.svg().into_bytes(),
            BadgeFormat::Png(pixels) => {
                symbol.png(pixels).map_err(|error| Fault::new("drawing a presentation", error))?
            }
        })
    }

    pub(super) fn presentation_symbol(&self, row: &Presentation) -> Result<Symbol> {
        let link = self.presentation_wallet_link(&row.id, &terms(row)?);
        Ok(Symbol::new(&link, Ecc::Medium).map_err(|error| Fault::new("drawing a presentation", error))?)
    }

    /// Takes back what was asked, unless it is over; of what is over the result is forgotten.
    pub async fn cancel_presentation(&self, caller: &Caller, id: &str) -> Result<()> {
        caller.needs("presentations:create")?;
        let row = self.presentation_row(PresentationName::Id, id).await?;
        if row.client != caller.name {
            return Err(Refusal::NotFound("presentation").into());
        }
        let now = self.clock.now();
        let state = PresentationState::Cancelled;
        if !self.store.end_presentation(row.id.clone(), state, None, now).await?
            && !self.store.forget_presentation(row.id, now).await?
        {
            return Err(Refusal::Gone("presentation").into());
        }
        self.presenting.news.tell();
        Ok(())
    }
}
