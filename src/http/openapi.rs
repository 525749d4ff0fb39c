//! The OpenAPI 3.1 document of `/api/v1`, generated from the handlers.

use axum::Json;
use axum::extract::State;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, ClientCredentials, Flow, Http, HttpAuthScheme, OAuth2, Scopes, SecurityRequirement,
    SecurityScheme,
};
use utoipa::openapi::{
    Content, ContentBuilder, Header, HeaderBuilder, InfoBuilder, License, ObjectBuilder, Ref, RefOr, Response,
    ResponseBuilder, Schema, Server, Type,
};
use utoipa::{Modify, OpenApi};

use super::{
    api, approvals, audit, bulk, checkpoint, confirmations, delegations, delivery, me, office, office_cards, officers,
    population, presentations, public, quality, records, reorganisations, review, uploads,
};
use crate::flow::Service;
use crate::protocol::oauth::SCOPES;

#[derive(OpenApi)]
#[openapi(
    paths(
        api::make_offer, api::card, api::lock_card, api::unlock_card, api::withdraw_card, api::replace_card,
        api::lock_cards, api::unlock_cards, api::withdraw_cards, api::badge_svg, api::badge_png,
        api::confirm_records, api::verify, public::bundle, bulk::make_offers, delivery::offer_qr_svg,
        delivery::offer_qr_png, delivery::events, delivery::webhooks, presentations::begin, presentations::read,
        presentations::cancel, presentations::events, presentations::qr_svg, presentations::qr_png,
        checkpoint::open_gate, checkpoint::read_gate, checkpoint::change_gate, checkpoint::close_gate,
        checkpoint::confirm_receipt, records::list_records, records::read_record, records::record_versions, records::record_portrait,
        records::search_records, records::waiting_changes, records::count_changes, records::cancel_change, records::cards_ending,
        reorganisations::list_reorganisations, reorganisations::plan_reorganisation,
        reorganisations::sample_reorganisation, reorganisations::read_reorganisation,
        reorganisations::count_reorganisation, reorganisations::preview_reorganisation,
        reorganisations::reorganisation_failures, reorganisations::drop_reorganisation,
        reorganisations::start_reorganisation, reorganisations::pause_reorganisation,
        reorganisations::resume_reorganisation, reorganisations::undo_reorganisation, super::sync::calls,
        super::sync::call_detail, population::match_record, population::queries, population::connection,
        review::review_queue, review::reviewed_proposal, review::proposal_evidence, review::proposal_portrait,
        review::claim_proposal, review::release_proposal, review::approve_proposal, review::refuse_proposal,
        review::decide_proposals, review::review_workload, review::refusal_reasons,
        delegations::make_delegation, delegations::delegations, delegations::end_delegation,
        confirmations::list_confirmations, confirmations::return_record, office::office_session, audit::list_audit,
        officers::list_officers, officers::officer_names, officers::add_officer, officers::read_officer, officers::change_officer,
        officers::block_officer, officers::unblock_officer, office_cards::list_cards,
        office_cards::search_cards, office_cards::badge_sheet, quality::quality_scores,
        quality::quality_history, quality::quality_causes, quality::quality_rows, quality::export_quality_xlsx,
        quality::export_quality_csv, quality::monthly_report, approvals::approval_document,
        approvals::approve_month, approvals::list_approvals, approvals::read_approval,
        approvals::approval_changes, approvals::approval_file, approvals::list_approver_certificates,
        approvals::add_approver_certificate, approvals::remove_approver_certificate, uploads::form,
        uploads::begin, uploads::list, uploads::read, uploads::events, uploads::delete, uploads::rows,
        uploads::submit, uploads::rejects_xlsx, uploads::rejects_csv,
    ),
    modifiers(&OpenParts, &Security)
)]
struct Document;

/// The media type of a problem document (RFC 9457 section 6.1).
const PROBLEM: &str = "application/problem+json";

/// Every operation's refusals, and a description of every answer (OpenAPI 3.1 section 4.8.17 requires one).
struct Refusals;

impl Modify for Refusals {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for item in document.paths.paths.values_mut() {
            for operation in operations(item) {
                let authenticated = operation.security.is_some();
                let refusals: &[&str] =
                    if authenticated { &["400", "401", "403", "413", "429"] } else { &["400", "413", "429"] };
                for status in refusals {
                    let mut response = problem_response();
                    if *status == "429" {
                        response.headers.insert("Retry-After".to_owned(), RefOr::T(retry_after()));
                    }
                    operation.responses.responses.entry((*status).to_owned()).or_insert_with(|| RefOr::T(response));
                }
                for (status, response) in &mut operation.responses.responses {
                    let RefOr::T(response) = response else { continue };
                    if response.description.is_empty() {
                        meaning(status).clone_into(&mut response.description);
                    }
                    // The OAuth endpoints have a form of their own.
                    let is_problem = response.content.get("application/json").is_some_and(is_problem);
                    if status.starts_with(['4', '5'])
                        && is_problem
                        && let Some(problem) = response.content.shift_remove("application/json")
                    {
                        response.content.insert(PROBLEM.to_owned(), problem);
                    }
                }
            }
        }
    }
}

fn is_problem(content: &RefOr<Content>) -> bool {
    let RefOr::T(content) = content else { return false };
    matches!(&content.schema, Some(RefOr::Ref(schema)) if schema.ref_location.ends_with("/ProblemDocument"))
}

fn problem_response() -> Response {
    let schema = Ref::from_schema_name("ProblemDocument");
    ResponseBuilder::new().content(PROBLEM, ContentBuilder::new().schema(Some(schema)).build()).build()
}

fn retry_after() -> Header {
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).build();
    HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds until the next request is answered")).build()
}

fn meaning(status: &str) -> &'static str {
    match status {
        "200" => "Done",
        "201" => "Made",
        "202" => "Taken up; the work goes on in the background",
        "204" => "Done; there is nothing to say",
        "400" => "Malformed: the detail names the place and the rule",
        "401" => "No valid access token",
        "403" => "The client's scopes, units or the person's assurance level do not allow it",
        "404" => "There is no such thing, or none that the client may see",
        "409" => "The state does not allow it",
        "410" => "It existed and is over",
        "413" => "The body is too large",
        "429" => "Too many requests of this address, client or person",
        "422" => "The idempotency key was used for another request",
        "503" => "Too many at the same time; see Retry-After",
        _ => "See the problem document",
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten()
}

/// What an officer needs where a program needs this.
fn for_officers(needed: &SecurityRequirement) -> Option<SecurityRequirement> {
    let needed = serde_json::to_value(needed).ok()?;
    let scopes: Vec<String> = serde_json::from_value(needed.get("client")?.clone()).ok()?;
    Some(SecurityRequirement::new("office", scopes))
}

/// A gate as it is has its rules and more: they are closed as they are sent, and open where they are a part.
struct OpenParts;

impl Modify for OpenParts {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let Some(components) = &mut document.components else { return };
        let Some(RefOr::T(Schema::Object(mut rules))) = components.schemas.get("GateRules").cloned() else { return };
        let Some(RefOr::T(Schema::AllOf(gate))) = components.schemas.get_mut("GateState") else { return };
        if let Some(part) = gate.items.first_mut() {
            rules.additional_properties = None;
            *part = RefOr::T(Schema::Object(rules));
        }
    }
}

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scopes = Scopes::from_iter(SCOPES.map(|scope| (scope, scope)));
        let scheme = SecurityScheme::OAuth2(OAuth2::with_description(
            [Flow::ClientCredentials(ClientCredentials::new("token", scopes))],
            "Client credentials; the client authenticates by private_key_jwt (RFC 7523).",
        ));
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("client", scheme);
        let cookie = ApiKeyValue::with_description(
            "__Host-office",
            "The session of an officer of a unit's office, who has the scopes of the role; with X-CSRF-Token for all but GET.",
        );
        components.add_security_scheme("office", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        // Whatever a program may be given, an officer may be given.
        for item in document.paths.paths.values_mut() {
            for operation in operations(item) {
                let Some(taken) = &mut operation.security else { continue };
                let of_officers: Vec<_> = taken.iter().filter_map(for_officers).collect();
                taken.extend(of_officers);
            }
        }
        let mut session = Http::new(HttpAuthScheme::Bearer);
        session.description =
            Some("An official's session: `/api/v1/me/token`, or the cookie of `/api/v1/me/sign-in`.".into());
        components.add_security_scheme("official", SecurityScheme::Http(session));
    }
}

/// The document for a server at `public_url`.
pub fn document(public_url: &str) -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    document.merge(me::Document::openapi());
    Refusals.modify(&mut document);
    document.info = InfoBuilder::new()
        .title("Officials card")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "For the VNeID backend and the units: offers, cards, the change feed, badges, presentations, verification. Errors are problem documents \
             (RFC 9457). The wallet's endpoints are those of OpenID4VCI 1.0, described by its metadata, and of OpenID4VP 1.0.",
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
