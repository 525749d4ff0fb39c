//! Signing in with the card itself: the official presents their own card, in force and bound to their key, and what comes
//! of it is exchanged once for a session.
//!
//! A stranger could begin, and have the official present by a link. So the answer counts in one browser (the one that began
//! on the page, to which the wallet has to come back), it takes that browser to an address that is registered for the
//! wallet product, and only who has the code that it brings there and the verifier of who began gets the session.

use serde::Serialize;
use serde_json::Value;

use super::sign_in::check_verifier;
use super::{Service, hash};
use crate::clock::UnixSeconds;
use crate::error::{Refusal, Result};
use crate::flow::Caller;
use crate::flow::present::PresentationRequest;
use crate::model::id::PersonalNumber;
use crate::model::presentation::PresentationState;
use crate::protocol::oauth::{ClientProof, Parameters};
use crate::protocol::self_service::is_challenge;
use crate::store::NewSelfSignIn;

/// What this service calls itself where it asks for a card on its own behalf.
pub const CLIENT: &str = "self-service";
/// The template that it asks with.
pub const TEMPLATE: &str = "self-service";
/// The grant type of the exchange; a name of ours.
pub const PRESENTATION_GRANT: &str = "urn:officials-card:grant-type:presentation";

/// A presentation to begin with.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct OwnPresentation {
    /// Its name, for the exchange.
    pub id: String,
    /// The page on which a browser of the person's device begins.
    pub page: String,
    /// Until when the card can be presented (Unix seconds).
    pub expires_at: UnixSeconds,
}

/// The exchange of a presentation.
#[derive(Debug)]
pub struct PresentedToken {
    id: String,
    response_code: String,
    code_verifier: String,
    client: ClientProof,
}

impl PresentedToken {
    /// From a form whose grant type is [`PRESENTATION_GRANT`].
    pub fn take(mut parameters: Parameters, client: ClientProof) -> Result<Self, Refusal> {
        Ok(Self {
            id: parameters.need("presentation", "presentation is missing")?,
            response_code: parameters.need("response_code", "response_code is missing")?,
            code_verifier: parameters.take("code_verifier").ok_or(Refusal::InvalidGrant("code_verifier is missing"))?,
            client,
        })
    }
}

impl Service {
    /// Asks for the official's own card, for a wallet product that is registered.
    pub async fn begin_own_presentation(
        &self,
        client_id: &str,
        redirect_uri: &str,
        code_challenge: &str,
    ) -> Result<OwnPresentation> {
        if !is_challenge(code_challenge) {
            return Err(Refusal::malformed("body.code_challenge", "must be a SHA-256 hash in base64url").into());
        }
        let wallet = self.config.wallet(client_id);
        if !wallet.is_some_and(|wallet| wallet.redirect_uris.iter().any(|uri| uri == redirect_uri)) {
            return Err(Refusal::malformed("body.redirect_uri", "is not registered for this client_id").into());
        }
        let request = PresentationRequest {
            template: TEMPLATE.to_owned(),
            same_device: Some(true),
            return_url: Some(redirect_uri.to_owned()),
            ..PresentationRequest::default()
        };
        let made = self.make_presentation(&Caller::operator(CLIENT), request).await?;
        self.store
            .begin_self_sign_in(NewSelfSignIn {
                id: row_name(&made.id),
                client: client_id.to_owned(),
                redirect_uri: redirect_uri.to_owned(),
                client_state: None,
                code_challenge: code_challenge.to_owned(),
                browser: String::new(),
                created_at: self.clock.now(),
                // The result is there for a while after the answer.
                expires_at: made.expires_at + crate::flow::present::RESULT_SECONDS,
            })
            .await?;
        Ok(OwnPresentation { id: made.id, page: made.page, expires_at: made.expires_at })
    }

    /// Exchanges a presentation for a session. Returns the token response.
    pub async fn self_presented_token(&self, request: PresentedToken) -> Result<Value> {
        let client = self.own_wallet(&request.client).await?;
        let unknown = Refusal::InvalidGrant("the presentation is unknown, not accepted, used, or of another client");
        let (name, now) = (row_name(&request.id), self.clock.now());
        let begun = self.store.self_sign_in(&name, "", now).await?.filter(|begun| begun.client == client);
        let begun = begun.ok_or_else(|| unknown.clone())?;
        check_verifier(&request.code_verifier, &begun.code_challenge)?;
        let caller = Caller::operator(CLIENT);
        let answer = self.presentation(&caller, &request.id, Some(&request.response_code), 0).await?;
        let claims = answer.result.as_ref().and_then(|result| result["credentials"][0]["claims"].as_object());
        let number = claims.and_then(|claims| claims.get("personal_id_number")).and_then(Value::as_str);
        let person = number.and_then(PersonalNumber::parse).filter(|_| answer.state == PresentationState::Verified);
        let person = person.ok_or_else(|| unknown.clone())?;
        let token = self.begin_session(person, true, client, name.clone(), answer.since).await?;
        self.store.end_self_sign_in(name, now).await?;
        Ok(self.session_answer(&token.ok_or(unknown)?))
    }
}

/// The name of the row of a presentation among the sign-ins.
fn row_name(presentation: &str) -> String {
    hash(&[b"presentation", presentation.as_bytes()])
}
