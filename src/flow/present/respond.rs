//! A wallet answers: everything is verified before it gets its own answer (OpenID4VP 1.0 section 8).
//!
//! What cannot be read or is not for this transaction changes nothing: whoever saw the QR code could send it. The first
//! answer that is encrypted to its key and brings back its `state` is the one that counts.

use std::sync::atomic::Ordering;

use serde_json::Value;
use subtle::ConstantTimeEq;

use super::judge::{Accepted, Asked, Unbelieved};
use super::request::refused;
use super::{RESULT_SECONDS, terms};
use crate::error::{Refusal, Result};
use crate::flow::Service;
use crate::model::presentation::PresentationState;
use crate::protocol::oid4vp::{Answer, Posted, ResponseMode, WalletError, origin_audience};
use crate::store::{Judged, OpenSecrets, Presentation, PresentationName};

/// The longest content of an answer, in bytes: several cards with portraits.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// By which road the answer came.
enum Road {
    /// To the `response_uri`.
    DirectPost,
    /// Through the browser's API, from the page of this origin.
    DcApi(String),
}

impl Service {
    /// The `response_uri` of a transaction. Gives where the browser has to go, if it has to.
    pub async fn presentation_response(&self, name: &str, form: &[(String, String)]) -> Result<Option<String>> {
        let row = self.open_presentation(PresentationName::Response, name).await?;
        let mode = if terms(&row)?.encrypted { ResponseMode::DirectPostJwt } else { ResponseMode::DirectPost };
        let posted = Posted::of_form(form, mode).map_err(refused)?;
        self.answered(row, posted, Road::DirectPost).await
    }

    /// What the browser's Digital Credentials API gave to the page, from the browser that the page belongs to; `origin` is
    /// the request's own header.
    pub async fn present_dc_response(
        &self,
        token: &str,
        cookie: impl Fn(&str) -> Option<String>,
        origin: Option<&str>,
        data: &Value,
    ) -> Result<()> {
        let own = self.own_origin()?;
        if origin != Some(own.as_str()) {
            return Err(Refusal::malformed("Origin", "must be that of this page").into());
        }
        let row = self.presentation_of_browser(token, cookie).await?;
        if row.state_at(self.clock.now()) != PresentationState::Created {
            return Err(Refusal::Gone("presentation").into());
        }
        let posted = Posted::of_dc_api(data, ResponseMode::DcApiJwt).map_err(refused)?;
        self.answered(row, posted, Road::DcApi(own)).await.map(|_| ())
    }

    async fn answered(&self, row: Presentation, posted: Posted, road: Road) -> Result<Option<String>> {
        let secrets = row.secrets.clone().ok_or(Refusal::Gone("presentation"))?;
        let key = self.presentation_decryption_key(&row.id, &secrets)?;
        let (answer, thumbprint) = match posted {
            Posted::Clear(answer) => (answer, None),
            Posted::Encrypted(compact) => {
                let content = key.open_plain(&compact, MAX_ANSWER_BYTES).map_err(|error| {
                    tracing::debug!(%error, "an answer cannot be opened");
                    Refusal::InvalidTokenRequest("the response is not a JWE to the key of this request")
                })?;
                (Answer::of_payload(&content).map_err(refused)?, Some(key.thumbprint()))
            }
        };
        check_state(&answer, &secrets, &road)?;
        match answer {
            Answer::Declined { error, .. } => self.declined(row, &error).await,
            Answer::Presented { vp_token, .. } => self.presented(row, &secrets, &vp_token, thumbprint, &road).await,
        }
    }

    async fn declined(&self, row: Presentation, error: &WalletError) -> Result<Option<String>> {
        let state = PresentationState::WalletError;
        // The wallet's own words could be about the person: only the code is kept.
        let code = if error.is_known() { error.code.clone() } else { "unknown".to_owned() };
        if !self.store.end_presentation(row.id, state, Some(code), self.clock.now()).await? {
            return Err(Refusal::Gone("presentation").into());
        }
        self.presenting.answers.declined.fetch_add(1, Ordering::Relaxed);
        self.presenting.news.tell();
        Ok(None)
    }

    async fn presented(
        &self,
        row: Presentation,
        secrets: &OpenSecrets,
        vp_token: &Value,
        thumbprint: Option<[u8; 32]>,
        road: &Road,
    ) -> Result<Option<String>> {
        let now = self.clock.now();
        if !self.store.receive_response(row.id.clone(), now).await? {
            return Err(Refusal::Gone("presentation").into());
        }
        let terms = terms(&row)?;
        let response_uri = self.response_uri(&row.id);
        let audience = match road {
            Road::DirectPost => terms.client_id.clone(),
            Road::DcApi(origin) => origin_audience(origin),
        };
        let asked = Asked {
            terms: &terms,
            audience: &audience,
            nonce: &secrets.nonce,
            origin: if let Road::DcApi(origin) = road { Some(origin) } else { None },
            response_uri: &response_uri,
            thumbprint,
            requested_at: row.created_at,
        };
        // From here on it counts, whatever happens: a fault on our side rejects.
        let outcome = self.judge(&asked, vp_token).await;
        let (judged, redirect_uri, error) = match outcome {
            Ok(Accepted { result }) => {
                let until = self.clock.now() + RESULT_SECONDS;
                let result = self.seal_json("result", &row.id, &result)?;
                // The browser's API has handed the answer to the very page that asked.
                if row.same_device && matches!(road, Road::DirectPost) {
                    let (code, response_code) = self.random_token();
                    let uri = format!("{}/present/return?response_code={code}", self.config.public_url);
                    (Judged::AwaitsReturn { result, until, response_code }, Some(uri), None)
                } else {
                    (Judged::Accepted { result, until }, None, None)
                }
            }
            Err(Unbelieved::Reason(reason)) => (Judged::Rejected(reason), None, None),
            Err(Unbelieved::Error(error)) => (Judged::Rejected("fault"), None, Some(error)),
        };
        let is_rejected = matches!(judged, Judged::Rejected(_));
        let in_time = self.store.judge_response(row.id, judged, self.clock.now()).await?;
        let answers = &self.presenting.answers;
        if in_time {
            let counter = if is_rejected { &answers.rejected } else { &answers.accepted };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        self.presenting.news.tell();
        match error {
            Some(error) => Err(error),
            None if is_rejected => Err(Refusal::InvalidTokenRequest("the presentation is not accepted").into()),
            None if !in_time => Err(Refusal::Gone("presentation").into()),
            None => Ok(redirect_uri),
        }
    }
}

/// `state` came back as it was sent; the browser's API carries none. An error in the clear may lack it: a wallet that
/// could not read the request does not know it.
fn check_state(answer: &Answer, secrets: &OpenSecrets, road: &Road) -> Result<(), Refusal> {
    let is_same = |state: &str| bool::from(state.as_bytes().ct_eq(secrets.wallet_state.as_bytes()));
    let fits = match (road, answer.state(), answer) {
        (Road::DirectPost, Some(state), _) => is_same(state),
        (Road::DcApi(_), None, _) | (Road::DirectPost, None, Answer::Declined { .. }) => true,
        _ => false,
    };
    if fits { Ok(()) } else { Err(Refusal::InvalidTokenRequest("state is not that of the request")) }
}
