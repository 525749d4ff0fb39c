//! The routes, on one screen, grouped by who calls. A handler extracts, calls one story and wraps its answer.

mod address;
mod answer;
mod api;
mod approvals;
mod audit;
mod authorize;
mod bulk;
mod checkpoint;
mod confirmations;
mod delegations;
mod delivery;
mod demo;
mod events;
mod extract;
mod guard;
mod me;
mod negotiate;
mod observe;
mod office;
mod office_cards;
mod officers;
mod openapi;
mod pages;
mod population;
mod present;
mod presentations;
mod public;
mod quality;
mod records;
mod reorganisations;
mod review;
mod server;
mod sync;
mod throttle;
mod tls;
mod uploads;
mod vp;
mod wallet;
mod web;

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;
use tower_http::timeout::TimeoutLayer;

use crate::flow::Service;
use crate::protocol::ministry;
use crate::protocol::oid4vci::LOGO_PATH;
pub use address::Peer;
pub use bulk::{Bounds as BulkBounds, answers as bulk_answers};
pub use observe::start_metrics;
pub use openapi::document as openapi_document;
pub use server::serve;
pub use tls::Tls;

/// The whole server as one router.
pub fn router(service: Service) -> Router {
    let limits = &service.config.limits;
    let (body_bytes, request_seconds) = (limits.body_bytes, limits.request_seconds);
    let timeout = TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(request_seconds));

    // Wallets: OpenID4VCI 1.0.
    let wallet = Router::new()
        .route("/offer", get(wallet::open_offer))
        .route("/offers/{id}", get(wallet::offer))
        .route("/challenge", post(wallet::challenge))
        .route("/par", post(wallet::push))
        .route("/token", post(wallet::token))
        .route("/nonce", post(wallet::nonce))
        .route("/credential", post(wallet::credential))
        .route("/deferred", post(wallet::deferred))
        .route("/notification", post(wallet::notification))
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(from_fn_with_state(service.clone(), wallet::fresh_nonces))
        .layer(from_fn_with_state(service.clone(), throttle::requests));

    // Browsers of people who get their card.
    let browsers = Router::new()
        // A HEAD would take the request away from the person: link scanners send them.
        .route("/authorize", get(authorize::visit).head(answer::method_not_allowed))
        .route("/sign-in/callback", get(authorize::signed_in).head(answer::method_not_allowed))
        .route("/authorize/{id}", get(authorize::consent).post(authorize::decide))
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(from_fn_with_state(service.clone(), throttle::browsers));

    // Wallets that present a card: OpenID4VP 1.0; and the browsers of those who present or check.
    let presenting = Router::new()
        .route("/vp/{name}", get(vp::request).post(vp::request_by_post))
        .route("/vp/{name}/response", post(vp::respond).layer(DefaultBodyLimit::max(vp::MAX_RESPONSE_BYTES)))
        .route("/present/script.js", get(present::script))
        // A HEAD would take the answer away from the person, as above.
        .route("/present/return", get(present::back).head(answer::method_not_allowed))
        .route("/present/{token}", get(present::show).post(present::begin).head(answer::method_not_allowed))
        .route("/present/{token}/events", get(present::events))
        .route("/present/{token}/dc-request", get(present::dc_request))
        .route(
            "/present/{token}/dc-response",
            post(present::dc_response).layer(DefaultBodyLimit::max(vp::MAX_RESPONSE_BYTES)),
        )
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(from_fn_with_state(service.clone(), throttle::requests));

    // Officials for themselves.
    let own = me::routes()
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(from_fn_with_state(service.clone(), throttle::requests));

    // Programs of VNeID and of the units.
    let api = Router::new()
        .route("/api/v1/offers", post(api::make_offer))
        .route("/api/v1/offers:bulk", post(bulk::make_offers))
        .route("/api/v1/offers/{id}/qr.svg", get(delivery::offer_qr_svg))
        .route("/api/v1/offers/{id}/qr.png", get(delivery::offer_qr_png))
        .route("/api/v1/events", get(delivery::events))
        .route("/api/v1/webhooks", get(delivery::webhooks))
        .route("/api/v1/cards/search", post(office_cards::search_cards))
        .route("/api/v1/cards/lock", post(api::lock_cards))
        .route("/api/v1/cards/unlock", post(api::unlock_cards))
        .route("/api/v1/cards/withdraw", post(api::withdraw_cards))
        .route("/api/v1/cards/{handle}", get(api::card))
        .route("/api/v1/cards/{handle}/lock", post(api::lock_card))
        .route("/api/v1/cards/{handle}/unlock", post(api::unlock_card))
        .route("/api/v1/cards/{handle}/withdraw", post(api::withdraw_card))
        .route("/api/v1/cards/{handle}/replace", post(api::replace_card))
        .route("/api/v1/cards/{handle}/badge.svg", get(api::badge_svg))
        .route("/api/v1/cards/{handle}/badge.png", get(api::badge_png))
        .route("/api/v1/cards/ending", get(records::cards_ending))
        .route("/api/v1/records", get(records::list_records))
        .route("/api/v1/records/search", post(records::search_records))
        .route("/api/v1/records/confirm", post(api::confirm_records))
        .route("/api/v1/quality", get(quality::quality_scores))
        .route("/api/v1/quality/history", get(quality::quality_history))
        .route("/api/v1/quality/causes", get(quality::quality_causes))
        .route("/api/v1/quality/rows", get(quality::quality_rows))
        .route("/api/v1/quality/export.xlsx", get(quality::export_quality_xlsx))
        .route("/api/v1/quality/export.csv", get(quality::export_quality_csv))
        .route("/api/v1/reports/{file}", get(quality::monthly_report))
        .route("/api/v1/approvals", get(approvals::list_approvals).post(approvals::approve_month))
        .route("/api/v1/approvals/{id}", get(approvals::read_approval))
        .route("/api/v1/approvals/{id}/document", get(approvals::approval_document))
        .route("/api/v1/approvals/{id}/changes", get(approvals::approval_changes))
        .route("/api/v1/approvals/{id}/file", get(approvals::approval_file))
        .route(
            "/api/v1/approver-certificates",
            get(approvals::list_approver_certificates).post(approvals::add_approver_certificate),
        )
        .route("/api/v1/approver-certificates/{id}", delete(approvals::remove_approver_certificate))
        .route("/api/v1/confirmations", get(confirmations::list_confirmations))
        .route("/api/v1/confirmations/{handle}/return", post(confirmations::return_record))
        .route("/api/v1/proposals", get(review::review_queue))
        .route("/api/v1/proposals/workload", get(review::review_workload))
        .route(
            "/api/v1/proposals/decide",
            post(review::decide_proposals).layer(DefaultBodyLimit::max(review::MANY_BYTES)),
        )
        .route("/api/v1/proposals/{id}", get(review::reviewed_proposal))
        .route("/api/v1/proposals/{id}/evidence/{evidence}", get(review::proposal_evidence))
        .route("/api/v1/proposals/{id}/portraits/{which}", get(review::proposal_portrait))
        .route("/api/v1/proposals/{id}/claim", post(review::claim_proposal))
        .route("/api/v1/proposals/{id}/release", post(review::release_proposal))
        .route("/api/v1/proposals/{id}/approve", post(review::approve_proposal))
        .route("/api/v1/proposals/{id}/refuse", post(review::refuse_proposal))
        .route("/api/v1/refusal-reasons", get(review::refusal_reasons))
        .route("/api/v1/delegations", get(delegations::delegations).post(delegations::make_delegation))
        .route("/api/v1/delegations/{id}", delete(delegations::end_delegation))
        .route("/api/v1/records/{handle}", get(records::read_record))
        .route("/api/v1/records/{handle}/versions", get(records::record_versions))
        .route("/api/v1/records/{handle}/portraits/{sha256}", get(records::record_portrait))
        .route(
            "/api/v1/reorganisations",
            get(reorganisations::list_reorganisations).post(reorganisations::plan_reorganisation),
        )
        .route("/api/v1/reorganisations/sample", get(reorganisations::sample_reorganisation))
        .route(
            "/api/v1/reorganisations/{id}",
            get(reorganisations::read_reorganisation).delete(reorganisations::drop_reorganisation),
        )
        .route("/api/v1/reorganisations/{id}/totals", get(reorganisations::count_reorganisation))
        .route("/api/v1/reorganisations/{id}/preview", get(reorganisations::preview_reorganisation))
        .route("/api/v1/reorganisations/{id}/failures", get(reorganisations::reorganisation_failures))
        .route("/api/v1/reorganisations/{id}/start", post(reorganisations::start_reorganisation))
        .route("/api/v1/reorganisations/{id}/pause", post(reorganisations::pause_reorganisation))
        .route("/api/v1/reorganisations/{id}/resume", post(reorganisations::resume_reorganisation))
        .route("/api/v1/reorganisations/{id}/undo", post(reorganisations::undo_reorganisation))
        .route("/api/v1/changes", get(records::waiting_changes))
        .route("/api/v1/changes/count", get(records::count_changes))
        .route("/api/v1/changes/{id}", delete(records::cancel_change))
        .route("/api/v1/sync-calls", get(sync::calls))
        .route("/api/v1/sync-calls/{transaction_id}", get(sync::call_detail))
        .route("/api/v1/records/{handle}/match", post(population::match_record))
        .route("/api/v1/records/{handle}/population-queries", get(population::queries))
        .route("/api/v1/population", get(population::connection))
        .route("/api/v1/presentations", post(presentations::begin))
        .route("/api/v1/presentations/{id}", get(presentations::read).delete(presentations::cancel))
        .route("/api/v1/presentations/{id}/events", get(presentations::events))
        .route("/api/v1/presentations/{id}/qr.svg", get(presentations::qr_svg))
        .route("/api/v1/presentations/{id}/qr.png", get(presentations::qr_png))
        .route("/api/v1/gates", post(checkpoint::open_gate))
        .route(
            "/api/v1/gates/{id}",
            get(checkpoint::read_gate).put(checkpoint::change_gate).delete(checkpoint::close_gate),
        )
        .route("/api/v1/forms/personnel.xlsx", get(uploads::form))
        .route("/api/v1/uploads/{id}", get(uploads::read).delete(uploads::delete))
        .route("/api/v1/uploads/{id}/events", get(uploads::events))
        .route("/api/v1/uploads/{id}/rows", get(uploads::rows))
        .route("/api/v1/uploads/{id}/submit", post(uploads::submit))
        .route("/api/v1/uploads/{id}/rejects.xlsx", get(uploads::rejects_xlsx))
        .route("/api/v1/uploads/{id}/rejects.csv", get(uploads::rejects_csv))
        .route("/api/v1/cards", get(office_cards::list_cards))
        .route("/api/v1/badges/sheet.pdf", post(office_cards::badge_sheet))
        .route("/api/v1/audit", get(audit::list_audit))
        .route("/api/v1/session", get(office::office_session))
        .route("/api/v1/officers", get(officers::list_officers).post(officers::add_officer))
        .route("/api/v1/officers/names", get(officers::officer_names))
        .route("/api/v1/officers/{id}", get(officers::read_officer).patch(officers::change_officer))
        .route("/api/v1/officers/{id}/block", post(officers::block_officer))
        .route("/api/v1/officers/{id}/unblock", post(officers::unblock_officer))
        .method_not_allowed_fallback(answer::method_not_allowed)
        // Whatever program or officer asks: by the rights that the OpenAPI document names.
        .layer(from_fn_with_state(service.clone(), guard::by_document))
        .layer(from_fn_with_state(service.clone(), throttle::documents));

    // Officers of the units, in their browsers.
    let office = Router::new()
        .route("/office", get(office::folder))
        .route("/office/", get(office::app))
        .route("/office/{*file}", get(office::file))
        // A HEAD would begin or use up a sign-in, as above.
        .route("/office/sign-in", get(office::sign_in).head(answer::method_not_allowed))
        .route("/office/callback", get(office::callback).head(answer::method_not_allowed))
        .route("/office/sign-out", post(office::sign_out))
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(from_fn_with_state(service.clone(), throttle::documents));

    // Files come as slowly as the line that they come by: they have a time of their own.
    let uploading = Router::new()
        .route("/api/v1/uploads", get(uploads::list).post(uploads::begin))
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(from_fn_with_state(service.clone(), guard::by_document))
        .layer(from_fn_with_state(service.clone(), throttle::documents));

    // Systems of units: the Ministry's synchronisation interface, which says in its own form that an answer takes too long.
    let syncing = ministry::LOGIN_PATHS
        .into_iter()
        .fold(Router::new(), |routes, path| {
            routes.route(path, post(sync::login).layer(DefaultBodyLimit::max(ministry::MAX_LOGIN_BYTES)))
        })
        .route(
            &format!("{}{{operation}}", ministry::OPERATIONS_PATH),
            post(sync::call).layer(DefaultBodyLimit::max(ministry::MAX_BODY_BYTES)),
        )
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(timeout)
        .layer(from_fn_with_state(service.clone(), sync::in_own_form));

    // Everybody: what is needed to find, understand and verify a card. Readable from any web page.
    let everybody = Router::new()
        .route("/.well-known/openid-credential-issuer", get(public::issuer_metadata))
        .route("/.well-known/oauth-authorization-server", get(public::server_metadata))
        .route("/.well-known/jwt-vc-issuer", get(public::vc_issuer))
        .route("/.well-known/jwks.json", get(public::jwks))
        .route(LOGO_PATH, get(public::logo))
        .route("/types/official-card/1", get(public::type_metadata))
        .route("/s", get(public::status_lists))
        .route("/s/{list}", get(public::status_list))
        .route("/trust-list", get(public::trust_list))
        .route("/trust-anchor.pem", get(public::trust_anchor))
        .route("/iaca.pem", get(public::iaca))
        .route("/iaca.crl", get(public::iaca_crl))
        .route("/api/v1/bundle", get(public::bundle))
        .route("/api/v1/verify", post(api::verify))
        .route("/api/v1/receipts", post(checkpoint::confirm_receipt))
        .route("/checkpoint/data/trust-list", get(public::trust_list))
        .route("/checkpoint/data/statuses", get(checkpoint::statuses))
        .route("/checkpoint/data/agencies", get(checkpoint::agencies))
        .route("/checkpoint/data/gates/{id}", get(checkpoint::gate))
        .route("/checkpoint/data/changes", get(checkpoint::changes))
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(from_fn_with_state(service.clone(), throttle::documents))
        .layer(CorsLayer::permissive());

    // People and operators.
    let pages = Router::new()
        .route("/", get(pages::start))
        .route("/docs", get(pages::docs))
        .route("/checkpoint", get(web::checkpoint_folder))
        .route("/checkpoint/", get(web::checkpoint_page))
        .route("/checkpoint/{*file}", get(web::checkpoint_file))
        .route("/openapi.json", get(openapi::serve))
        .route("/health", get(observe::health))
        .route("/ready", get(observe::ready))
        .route("/metrics", get(observe::metrics))
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(from_fn_with_state(service.clone(), throttle::documents));

    let people = wallet.merge(browsers).merge(presenting).merge(own).merge(everybody).merge(pages);
    let mut app = people.merge(api).merge(office);
    if service.config.demo {
        app = app.merge(demo(&service));
    }
    let app = app.layer(timeout).merge(uploading).merge(syncing).fallback(answer::not_found);
    let app = under_path(app, &service);
    app.layer(DefaultBodyLimit::max(body_bytes))
        .layer(CatchPanicLayer::custom(answer::panicked))
        .layer(axum::middleware::from_fn(observe::observe))
        .with_state(service)
}

/// Whoever tries everything on their own machine.
fn demo(service: &Service) -> Router<Service> {
    Router::new()
        .route("/demo/wallet", get(demo::wallet_folder))
        .route("/demo/wallet/", get(demo::wallet_page))
        .route("/demo/wallet/{*file}", get(demo::wallet_file))
        .route("/demo/offers", post(demo::make_offer))
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(from_fn_with_state(service.clone(), throttle::documents))
}

/// Serves the app under the path of the public URL. Well-known documents stand between host and path (RFC 8414
/// section 3.1, OpenID4VCI section 12.2.2).
fn under_path(app: Router<Service>, service: &Service) -> Router<Service> {
    let public_url = &service.config.public_url;
    let after_scheme = public_url.split_once("://").map_or(public_url.as_str(), |(_, rest)| rest);
    let Some((_, path)) = after_scheme.split_once('/') else { return app };
    Router::new()
        .route(&format!("/.well-known/openid-credential-issuer/{path}"), get(public::issuer_metadata))
        .route(&format!("/.well-known/oauth-authorization-server/{path}"), get(public::server_metadata))
        .route(&format!("/.well-known/jwt-vc-issuer/{path}"), get(public::vc_issuer))
        .layer(from_fn_with_state(service.clone(), throttle::documents))
        .layer(CorsLayer::permissive())
        .nest(&format!("/{path}"), app)
        .fallback(answer::not_found)
}
