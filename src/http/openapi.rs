//! The OpenAPI 3.1 document of `/api/v1`, generated from the handlers.

use axum::Json;
use axum::extract::State;
use utoipa::openapi::security::{ClientCredentials, Flow, OAuth2, Scopes, SecurityScheme};
use utoipa::openapi::{InfoBuilder, License, Server};
use utoipa::{Modify, OpenApi};

use super::api;
use crate::flow::Service;
use crate::protocol::oauth::SCOPES;

#[derive(OpenApi)]
#[openapi(
    paths(
        api::make_offer, api::search_cards, api::card, api::lock_card, api::unlock_card, api::withdraw_card,
        api::replace_card, api::lock_cards, api::unlock_cards, api::withdraw_cards, api::badge_svg, api::badge_png,
        api::confirm_records, api::verify,
    ),
    modifiers(&Security)
)]
struct Document;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scopes = Scopes::from_iter(SCOPES.map(|scope| (scope, scope)));
        let scheme = SecurityScheme::OAuth2(OAuth2::with_description(
            [Flow::ClientCredentials(ClientCredentials::new("/token", scopes))],
            "Client credentials; the client authenticates by private_key_jwt (RFC 7523).",
        ));
        document.components.get_or_insert_with(Default::default).add_security_scheme("client", scheme);
    }
}

/// The document for a server at `public_url`.
pub fn document(public_url: &str) -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    document.info = InfoBuilder::new()
        .title("Officials card")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "For the VNeID backend and the units: offers, cards, badges, verification. Errors are problem documents \
             (RFC 9457). The wallet's endpoints are those of OpenID4VCI 1.0 and described by its metadata.",
        ))
        .license(Some(License::new("Apache-2.0")))
        .build();
    document.servers = Some(vec![Server::new(public_url)]);
    document
}

/// Serves it.
pub async fn serve(State(service): State<Service>) -> Json<utoipa::openapi::OpenApi> {
    Json(document(&service.config.public_url))
}
