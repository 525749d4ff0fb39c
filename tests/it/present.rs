//! Presentations over the network: a service asks, a wallet answers, and everybody sees what is theirs to see.

use axum::http::{Request, header};
use futures_util::future::join_all;
use officials_card::config::{
    AgencyRule, ClientIdPrefix, Config, PresentationFlow, PresentationTemplate, RequestUriMethod, ResponseMode, Secret,
};
use officials_card::credential::x509::Anchors;
use officials_card::flow::Round;
use officials_card::model::presentation::PresentationState;
use officials_card::protocol::oid4vp::{Delivery, Invocation, RequestObject, is_url_safe, purpose_of};
use officials_card::store::PresentationName;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::presenter::{Kept, Presenter, Reply};
use crate::story;
use crate::town::{Answer, Officer, Town, URL};

pub const PERSON: &str = "001199000018";
const NAME: &str = "Nguyễn Thị Thử Nghiệm";

/// A wallet of the person, who was hired: the card as SD-JWT and as mdoc.
pub async fn wallet(town: &Town) -> Presenter {
    let officer = town.officer("vneid").await;
    let (one, other) = (town.wallet(), town.wallet());
    let cards = vec![
        Kept::sd_jwt(&one.card(&officer, PERSON, "official-card-sdjwt").await, one.key),
        Kept::mdoc(&other.card(&officer, PERSON, "official-card-mdoc").await, other.key, town.clock.now()),
    ];
    Presenter::new(Anchors::from_pem(town.service.anchor_pem()).unwrap(), cards)
}

/// Begins a transaction.
pub async fn begin(officer: &Officer<'_>, body: Value) -> Value {
    officer.post("/api/v1/presentations", body).await.expect(201)
}

/// The transaction as its client sees it.
pub async fn now(officer: &Officer<'_>, made: &Value) -> Value {
    officer.get(&format!("/api/v1/presentations/{}", made["id"].as_str().unwrap())).await.expect(200)
}

pub fn link(made: &Value) -> &str {
    made["link"].as_str().unwrap()
}

fn id(made: &Value) -> &str {
    made["id"].as_str().unwrap()
}

fn page(made: &Value) -> &str {
    made["page"].as_str().unwrap()
}

/// The text of an answer.
fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.bytes).unwrap()
}

/// A template of one's own, after a shipped one.
pub fn template(id: &str, change: impl FnOnce(&mut PresentationTemplate)) -> PresentationTemplate {
    let mut template = Config::default().presentation_templates().unwrap().swap_remove(0);
    template.id = id.into();
    change(&mut template);
    template
}

/// What every request must be like (the conditions that the conformance suite applies in every module).
pub fn is_sound(request: &RequestObject, made: &Value, now: i64) {
    let invocation = Invocation::parse(link(made)).unwrap();
    assert_eq!(invocation.client_id, request.client_id.as_str(), "outer and inner");
    assert_eq!(invocation.request_uri, made["request_uri"]);
    assert!(!invocation.request_uri.contains('#'));
    let (_, query) = link(made).split_once('?').unwrap();
    let names: Vec<_> = query.split('&').map(|pair| pair.split('=').next().unwrap()).collect();
    assert!(names.starts_with(&["client_id", "request_uri"]), "{names:?}");
    assert!(names[2..].iter().all(|name| *name == "request_uri_method"), "nothing else: {names:?}");
    assert!(is_url_safe(&request.nonce) && (43..=43).contains(&request.nonce.len()));
    assert!(request.issued_at <= now && request.expires_at > now && request.transaction_data.is_empty());
    let claims = request.to_json();
    let Delivery::DirectPost { response_uri, state } = &request.delivery else { panic!() };
    assert!(response_uri.starts_with(URL) && !response_uri.contains('#'));
    assert!(is_url_safe(state.as_deref().unwrap()) && state.as_deref() != Some(&request.nonce));
    let metadata = claims["client_metadata"].as_object().unwrap();
    let known = ["jwks", "vp_formats_supported", "encrypted_response_enc_values_supported"];
    assert!(metadata.keys().all(|name| known.contains(&name.as_str())), "{metadata:?}");
    if request.response_mode().is_encrypted() {
        assert_eq!(metadata["encrypted_response_enc_values_supported"], json!(["A256GCM", "A128GCM"]));
        let keys = metadata["jwks"]["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 1);
        assert!(keys[0].get("d").is_none());
        for (member, value) in [("kty", "EC"), ("crv", "P-256"), ("alg", "ECDH-ES"), ("use", "enc")] {
            assert_eq!(keys[0][member], value);
        }
        assert!(!keys[0]["kid"].as_str().unwrap().is_empty());
    }
}

story! {
    async fn a_card_of_either_format_is_presented_in_either_mode(town) {
        town.hires(PERSON, "H26").await;
        let town = town.configured(|config| {
            for (name, mode, method) in [
                ("jwt-post", ResponseMode::DirectPostJwt, RequestUriMethod::Post),
                ("plain", ResponseMode::DirectPost, RequestUriMethod::Get),
                ("plain-post", ResponseMode::DirectPost, RequestUriMethod::Post),
            ] {
                config.presentation_templates.push(template(name, |template| {
                    (template.response_mode, template.request_uri_method) = (mode, method);
                    template.wallet = "haip-vp://".into();
                }));
            }
        });
        let officer = town.officer("vneid").await;
        let mut wallet = wallet(&town).await;
        let mut keys = std::collections::BTreeSet::new();
        for format in ["dc+sd-jwt", "mso_mdoc"] {
            for name in ["gate-identity", "jwt-post", "plain", "plain-post"] {
                let made = begin(&officer, json!({"template": name, "reference": "gate 7"})).await;
                assert_eq!((&made["state"], made["expires_at"].as_i64()), (&json!("created"), Some(town.clock.now() + 120)));
                let request = wallet.fetch(&town, link(&made)).await;
                is_sound(&request, &made, town.clock.now());
                if let Some(key) = &request.client_metadata.encryption_key {
                    assert!(keys.insert(key["x"].to_string()), "a key of its own");
                }
                let answer = wallet.post(&town, &request, wallet.reply(&request, town.clock.now())).await;
                assert_eq!((answer.header("content-type"), answer.header("cache-control")), ("application/json", "no-store"));
                assert_eq!(answer.expect(200), json!({}), "{name} {format}");
                let seen = now(&officer, &made).await;
                assert_eq!((&seen["state"], &seen["reference"]), (&json!("verified"), &json!("gate 7")));
                let credential = &seen["result"]["credentials"][0];
                assert_eq!(credential["format"], format);
                let claims = credential["claims"].as_object().unwrap();
                assert_eq!(claims.len(), 3, "what was asked for: {:?}", claims.keys().collect::<Vec<_>>());
                assert_eq!((&claims["full_name"], &claims["employing_agency"]["code"]), (&json!(NAME), &json!("H26")));
                assert!(claims["portrait"].as_str().unwrap().starts_with("data:image/jpeg;base64,/9j"));
                assert_eq!(credential["status_as_of"], town.clock.now());
            }
            wallet.cards.rotate_left(1);
            wallet.cards.truncate(1);
        }
    }
}

story! {
    async fn every_shipped_template_can_be_answered(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let mut wallet = wallet(&town).await;
        let templates = Config::default().presentation_templates().unwrap();
        for _ in 0..2 {
            for (name, agency) in
                [("gate-identity", None), ("position-agency", None), ("works-for", Some("H26")), ("full-card", None)]
            {
                let made = begin(&officer, json!({"template": name, "agency": agency})).await;
                let info = wallet.fetch(&town, link(&made)).await.verifier_info.unwrap();
                let why = templates.iter().find(|template| template.id == name).unwrap();
                let told = (purpose_of(&info, "vi"), purpose_of(&info, "en"));
                assert_eq!(told, (Some(&*why.purpose_vi), Some(&*why.purpose_en)));
                wallet.present(&town, link(&made)).await.expect(200);
                let seen = now(&officer, &made).await;
                assert_eq!(seen["state"], "verified", "{name}");
                let said = seen.to_string();
                // A card number holds the personal number.
                assert_eq!(said.contains(PERSON), name == "full-card", "nobody asked for the number");
                assert_eq!(said.contains("data:image"), name == "gate-identity" || name == "full-card", "{name}");
            }
            wallet.cards.remove(0);
            if wallet.cards.is_empty() {
                break;
            }
        }
    }
}

story! {
    async fn a_request_is_the_same_each_time_it_is_fetched(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let wallet = wallet(&town).await;
        let made = begin(&officer, json!({"template": "gate-identity"})).await;
        let first = wallet.fetch(&town, link(&made)).await;
        let path = made["request_uri"].as_str().unwrap().strip_prefix(URL).unwrap().to_owned();
        let posted = |form: &'static str, kind: &'static str| {
            let request = Request::post(&path).header(header::CONTENT_TYPE, kind).body(form.into()).unwrap();
            town.send(request)
        };
        let kind = "application/x-www-form-urlencoded";
        let with_nonce = posted("wallet_nonce=a%20%2B%C4%83&unknown=1&wallet_metadata=%7B%22x%22%3A1%7D", kind).await;
        assert_eq!(with_nonce.header("content-type"), "application/oauth-authz-req+jwt");
        let second = wallet.read(text(&with_nonce), Some(first.client_id.as_str()), town.clock.now());
        assert_eq!(second.wallet_nonce.as_deref(), Some("a +ă"), "verbatim");
        assert_eq!(RequestObject { wallet_nonce: None, ..second }, first);
        // Another process serves it too.
        let other = town.second_process().await;
        assert_eq!(wallet.fetch(&other, link(&made)).await, first);

        assert_eq!(posted("wallet_nonce=a", "application/json").await.error(415), "invalid_request");
        let long: &'static str = format!("wallet_nonce={}", "x".repeat(513)).leak();
        for bad in [
            "wallet_nonce=a&wallet_nonce=a", "wallet_nonce=", "wallet_metadata=x", long,
            "wallet_metadata=%7B%22vp_formats_supported%22%3A%7B%22ldp_vc%22%3A%7B%7D%7D%7D",
        ] {
            assert_eq!(posted(bad, kind).await.error(400), "invalid_request", "{bad}");
        }
        assert_eq!(town.get("/vp/x").await.error(404), "not_found");
        assert_eq!(town.get(&format!("/vp/{}", "x".repeat(43))).await.error(404), "not_found");

        // It serves one answer, and then nobody.
        wallet.present(&town, link(&made)).await.expect(200);
        assert_eq!(town.get(&path).await.error(410), "gone");
        let late = begin(&officer, json!({"template": "gate-identity"})).await;
        let request = wallet.fetch(&town, link(&late)).await;
        town.clock.advance(120);
        assert_eq!(town.get(late["request_uri"].as_str().unwrap().strip_prefix(URL).unwrap()).await.error(410), "gone");
        let reply = wallet.reply(&request, town.clock.now());
        assert_eq!(wallet.post(&town, &request, reply).await.error(410), "gone");
        assert_eq!(now(&officer, &late).await["state"], "expired");
    }
}

story! {
    async fn only_who_asked_may_read_and_only_what_fits_may_be_asked(town) {
        town.hires(PERSON, "H26").await;
        let town = town.configured(|config| {
            config.clients[0].return_origins = vec!["https://gate.example".into()];
            config.presentation_templates.push(template("desk", |template| {
                template.agency = AgencyRule::None;
                template.flows = vec![PresentationFlow::CrossDevice];
            }));
        });
        let (officer, other) = (town.officer("vneid").await, town.officer("hanoi").await);
        let reader = town.officer("reader").await;
        let path = "/api/v1/presentations";
        assert_eq!(reader.post(path, json!({"template": "desk"})).await.problem(403), "insufficient-scope");
        for (body, place) in [
            (json!({"template": "none"}), "body.template"),
            (json!({"template": "works-for"}), "body.agency"),
            (json!({"template": "desk", "agency": "H26"}), "body.agency"),
            (json!({"template": "works-for", "agency": "not a code"}), "body.agency"),
            (json!({"template": "desk", "same_device": true}), "body.same_device"),
            (json!({"template": "desk", "reference": ""}), "body.reference"),
            (json!({"template": "desk", "return_url": "https://evil.example/"}), "body.return_url"),
            (json!({"template": "desk", "return_url": "https://gate.example@evil.example/"}), "body.return_url"),
            (json!({"template": "desk", "return_url": "javascript:alert(1)"}), "body.return_url"),
            (json!({"template": "desk", "x": 1}), "body"),
        ] {
            let answer = officer.post(path, body.clone()).await.expect(400);
            assert!(answer["detail"].as_str().unwrap().starts_with(place), "{body}: {answer}");
        }
        let made = begin(&officer, json!({"template": "desk", "return_url": "https://gate.example/done?x=1"})).await;
        let mine = format!("{path}/{}", id(&made));
        for end in ["", "/events", "/qr.svg", "/qr.png"] {
            assert_eq!(other.get(&format!("{mine}{end}")).await.problem(404), "not-found");
            assert_eq!(reader.get(&format!("{mine}{end}")).await.problem(403), "insufficient-scope");
            assert_eq!(town.get(&format!("{mine}{end}")).await.problem(401), "invalid-token");
        }
        assert!(text(&officer.get(&format!("{mine}/qr.svg")).await).contains("<svg"));
        assert_eq!(officer.get(&format!("{mine}/qr.png")).await.header("content-type"), "image/png");
        assert_eq!(officer.get(&format!("{mine}?wait=31")).await.problem(400), "invalid-request");

        // The same key repeats the answer, and is for one request.
        let keyed = |body: Value| officer.post_with(path, body, &[("Idempotency-Key", "k")]);
        let first = keyed(json!({"template": "desk"})).await.expect(201);
        assert_eq!(keyed(json!({"template": "desk"})).await.expect(201), first);
        assert_eq!(keyed(json!({"template": "full-card"})).await.problem(422), "idempotency-key-reused");

        // Taken back.
        let delete = |officer: &Officer<'_>, path: String| {
            let request = Request::delete(path).header(header::AUTHORIZATION, format!("Bearer {}", officer.token));
            request.body(String::new().into()).unwrap()
        };
        assert_eq!(town.send(delete(&other, mine.clone())).await.problem(404), "not-found");
        assert_eq!(town.send(delete(&officer, mine.clone())).await.status, 204);
        assert_eq!(town.send(delete(&officer, mine.clone())).await.problem(410), "gone");
        let seen = now(&officer, &made).await;
        assert_eq!((&seen["state"], seen.get("reason")), (&json!("cancelled"), None));
        // Of what is over the result goes, fetched or not; and the record does not say that it was fetched.
        town.hires(PERSON, "H26").await;
        let wallet = wallet(&town).await;
        for is_fetched in [false, true] {
            let made = begin(&officer, json!({"template": "desk"})).await;
            wallet.present(&town, link(&made)).await.expect(200);
            if is_fetched {
                assert!(now(&officer, &made).await.get("result").is_some());
            }
            let its = format!("{path}/{}", id(&made));
            assert_eq!(town.send(delete(&officer, its.clone())).await.status, 204);
            let seen = now(&officer, &made).await;
            assert_eq!((&seen["state"], seen.get("result")), (&json!("consumed"), None));
            assert_eq!(town.send(delete(&officer, its)).await.problem(410), "gone");
            let history = town.service.store().history(id(&made)).await.unwrap();
            assert_eq!(history.last().unwrap().2, "presentation.forgotten");
            assert_eq!(history.iter().any(|line| line.2 == "presentation.fetched"), is_fetched);
        }
        assert_eq!(officer.get(&format!("{mine}/qr.svg")).await.problem(410), "gone");
    }
}

story! {
    async fn works_for_this_ministry_is_answered_by_the_agency_and_all_below(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let mut wallet = wallet(&town).await;
        for _ in 0..2 {
            for (agency, fits) in [("H26", true), ("G01", false), ("H26.05", false), ("H2", false)] {
                let asked = json!({"template": "works-for", "agency": agency});
                let answer = officer.post("/api/v1/presentations", asked).await;
                if answer.status == 400 {
                    assert!(!fits, "{agency} is no code");
                    continue;
                }
                let made = answer.expect(201);
                let answer = wallet.present(&town, link(&made)).await;
                assert_eq!(answer.status == 200, fits, "{agency}");
                let seen = now(&officer, &made).await;
                if fits {
                    assert_eq!(seen["result"]["within_agency"], agency);
                } else {
                    assert_eq!(answer.error(400), "invalid_request");
                    assert_eq!((&seen["state"], &seen["reason"]), (&json!("rejected"), &json!("other_agency")));
                    assert!(seen.get("result").is_none());
                }
            }
            wallet.cards.rotate_left(1);
            wallet.cards.truncate(1);
        }
    }
}

story! {
    async fn who_waits_is_told_at_once(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let wallet = wallet(&town).await;
        let made = begin(&officer, json!({"template": "gate-identity"})).await;
        let path = format!("/api/v1/presentations/{}", id(&made));
        let (waiting, streaming) = (format!("{path}?wait=20"), format!("{path}/events"));
        let (polled, streamed, answer) =
            tokio::join!(officer.get(&waiting), officer.get(&streaming), wallet.present(&town, link(&made)));
        answer.expect(200);
        assert_ne!(polled.expect(200)["state"], "created");
        assert_eq!(streamed.header("content-type"), "text/event-stream");
        let states: Vec<_> = text(&streamed).lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        assert!(["verified", "consumed"].contains(states.last().unwrap()), "{states:?}");
        assert!(!text(&streamed).contains(NAME), "nothing of the person");
    }
}

story! {
    async fn a_result_is_kept_for_a_while_and_nothing_else_is(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let wallet = wallet(&town).await;
        let (fetched, unfetched) = (
            begin(&officer, json!({"template": "gate-identity"})).await,
            begin(&officer, json!({"template": "gate-identity"})).await,
        );
        let store = town.service.store();
        let before = store.presentation(PresentationName::Id, id(&fetched)).await.unwrap().unwrap();
        assert!(before.secrets.is_some() && !before.secrets.unwrap().sealed_key.contains("kty"));
        for made in [&fetched, &unfetched] {
            wallet.present(&town, link(made)).await.expect(200);
        }
        let after = store.presentation(PresentationName::Id, id(&fetched)).await.unwrap().unwrap();
        assert_eq!(after.secrets, None, "nonce, state and key are gone");
        assert!(!after.result.unwrap().contains("Nguy"), "what is kept is encrypted");
        assert!(now(&officer, &fetched).await.get("result").is_some());
        assert!(now(&officer, &fetched).await.get("result").is_some(), "a repeated fetch gets it too");
        town.clock.advance(60);
        let seen = now(&officer, &fetched).await;
        assert_eq!((&seen["state"], seen.get("result")), (&json!("consumed"), None));
        town.service.end_presentations().await.unwrap();
        let of = |made: &Value| {
            let id = id(made).to_owned();
            async move { store.presentation(PresentationName::Id, &id).await.unwrap().unwrap().result }
        };
        assert_eq!(of(&fetched).await, None);
        assert!(of(&unfetched).await.is_some());
        town.clock.advance(540);
        let seen = now(&officer, &unfetched).await;
        assert_eq!((&seen["state"], seen.get("result")), (&json!("verified"), None));
        town.service.end_presentations().await.unwrap();
        assert_eq!(of(&unfetched).await, None);
        let actions: Vec<_> = store.history(id(&fetched)).await.unwrap().into_iter().map(|line| line.2).collect();
        assert_eq!(actions, ["presentation.requested", "presentation.verified", "presentation.fetched"]);
        town.clock.advance(2 * 86_400);
        store.clear_away(town.clock.now()).await.unwrap();
        let officer = town.officer("vneid").await;
        assert_eq!(officer.get(&format!("/api/v1/presentations/{}", id(&fetched))).await.problem(404), "not-found");
    }
}

story! {
    async fn a_wallet_declines(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let wallet = wallet(&town).await;
        for (code, reason) in [("access_denied", "access_denied"), ("<b>me</b>", "unknown"), ("odd_but_fine", "unknown")] {
            let made = begin(&officer, json!({"template": "gate-identity"})).await;
            assert_eq!(wallet.decline(&town, link(&made), code).await.expect(200), json!({}));
            let seen = now(&officer, &made).await;
            assert_eq!((&seen["state"], &seen["reason"]), (&json!("wallet_error"), &json!(reason)));
            assert!(!seen.to_string().contains("holder's reasons"));
        }
        assert_eq!(town.service.presentation_counts(), [("accepted", 0), ("rejected", 0), ("declined", 3)]);
    }
}

story! {
    async fn of_two_answers_one_counts_and_of_an_answer_and_the_end_one(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let wallet = wallet(&town).await;
        let other = town.second_process().await;
        for _ in 0..5 {
            let made = begin(&officer, json!({"template": "works-for", "agency": "H26"})).await;
            let request = wallet.fetch(&town, link(&made)).await;
            let reply = wallet.reply(&request, town.clock.now());
            let posts = [&town, &other, &town, &other].map(|town| wallet.post(town, &request, reply.clone()));
            let answers = join_all(posts).await;
            let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
            assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
            assert_eq!(statuses.iter().filter(|status| **status == 410).count(), 3, "{statuses:?}");
            assert_eq!(now(&officer, &made).await["state"], "verified");
            assert_eq!(wallet.post(&town, &request, reply).await.error(410), "gone", "replayed");
        }
        // The end comes between receiving and judging.
        let made = begin(&officer, json!({"template": "works-for", "agency": "H26"})).await;
        let store = town.service.store();
        assert!(store.receive_response(id(&made).into(), town.clock.now()).await.unwrap());
        town.clock.advance(300);
        town.service.end_presentations().await.unwrap();
        let judged = officials_card::store::Judged::Accepted { result: "x".into(), until: i64::MAX };
        assert!(!store.judge_response(id(&made).into(), judged, town.clock.now()).await.unwrap());
        assert_eq!(now(&officer, &made).await["state"], "rejected");
    }
}

// ---- The page ----

/// What the page says of how it ended.
fn outcome(answer: &Answer) -> Option<&str> {
    let (_, rest) = text(answer).split_once("data-outcome=\"")?;
    rest.split('"').next()
}

story! {
    async fn across_devices_the_page_shows_a_code_and_then_whom_to_compare(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let wallet = wallet(&town).await;
        let made = begin(&officer, json!({"template": "gate-identity", "agency": "H26"})).await;
        let (desk, stranger) = (Browser::new(&town), Browser::new(&town));
        assert_eq!(desk.head(page(&made)).await.status, 405);
        // To look is not to begin: what previews links takes nothing away.
        let previewed = stranger.get(page(&made)).await;
        assert_eq!((previewed.status.as_u16(), previewed.header("set-cookie")), (200, ""));
        assert!(!text(&previewed).contains("id=\"qr\"") && !text(&previewed).contains("H26"));
        let begun = desk.post(page(&made).strip_prefix(URL).unwrap(), &[("", ""); 0]).await;
        let cookie = begun.header("set-cookie");
        assert!(cookie.contains("; HttpOnly; SameSite=Lax") && cookie.contains("; Path=/;"), "{cookie}");
        assert_eq!(desk.post(page(&made).strip_prefix(URL).unwrap(), &[("", ""); 0]).await.status, 303, "twice");
        assert_eq!(stranger.post(page(&made).strip_prefix(URL).unwrap(), &[("", ""); 0]).await.status, 403);
        let shown = desk.get(page(&made)).await;
        assert_eq!(shown.status, 200);
        let html = text(&shown);
        for expected in ["id=\"qr\"", "<svg", "Kiểm tra người vào cổng", "đối chiếu khuôn mặt", "Ảnh chân dung", "<strong>H26</strong>",
            "<noscript><meta http-equiv=\"refresh\"", "/present/script.js", "id=\"dc-api\"", "vneid"] {
            assert!(html.contains(expected), "{expected}");
        }
        assert!(!html.contains("id=\"open-wallet\""), "no way past the code");
        let policy = shown.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("'unsafe-eval'"));
        assert_eq!(shown.header("permissions-policy"), "digital-credentials-get=(self)");
        assert_eq!(shown.header("cache-control"), "no-store");
        let script = town.get("/present/script.js").await;
        assert!(script.header("content-type").starts_with("text/javascript"));

        let refused = stranger.opens(page(&made)).await;
        assert_eq!(refused.status, 403);
        assert!(!text(&refused).contains("id=\"qr\""));
        let path = page(&made).strip_prefix(URL).unwrap().to_owned();
        for end in ["events", "dc-request"] {
            assert_eq!(stranger.get(&format!("{path}/{end}")).await.error(404), "not_found");
        }

        let events = format!("{path}/events");
        let (streamed, answer) = tokio::join!(desk.get(&events), wallet.present(&town, link(&made)));
        answer.expect(200);
        assert!(text(&streamed).contains("data: verified"));
        let shown = desk.opens(page(&made)).await;
        let html = text(&shown);
        assert_eq!(outcome(&shown), Some("accepted"));
        for expected in ["ĐÃ CHẤP NHẬN", "id=\"compare\"", "id=\"portrait\"", "data:image/jpeg;base64,", NAME] {
            assert!(html.contains(expected), "{expected}");
        }
        assert!(!html.contains("<script") && !html.contains("http-equiv"), "nothing more to come");
        assert!(!text(&stranger.opens(page(&made)).await).contains(NAME));
        town.clock.advance(720);
        assert_eq!(desk.opens(page(&made)).await.status, 404);
    }
}

/// Where a wallet's own answer sends the browser.
fn back(answer: Answer) -> String {
    let answer = answer.expect(200);
    assert_eq!(answer.as_object().unwrap().len(), 1);
    let uri = answer["redirect_uri"].as_str().unwrap().to_owned();
    let code = uri.strip_prefix(&format!("{URL}/present/return?response_code=")).unwrap();
    assert_eq!(code.len(), 43);
    uri
}

story! {
    async fn on_the_same_device_it_counts_when_the_browser_comes_back(town) {
        town.hires(PERSON, "H26").await;
        let town = town.configured(|config| config.clients[0].return_origins = vec!["https://gate.example".into()]);
        let officer = town.officer("vneid").await;
        let wallet = wallet(&town).await;
        for return_url in [None, Some("https://gate.example/in?to=7")] {
            let asked = json!({"template": "gate-identity", "same_device": true, "return_url": return_url});
            let made = begin(&officer, asked).await;
            let browser = Browser::new(&town);
            let shown = browser.opens(page(&made)).await;
            assert!(text(&shown).contains("id=\"open-wallet\"") && !text(&shown).contains("id=\"qr\""));
            assert!(text(&shown).contains("href=\"openid4vp://?client_id="));
            let uri = back(wallet.present(&town, link(&made)).await);
            let seen = now(&officer, &made).await;
            assert_eq!((&seen["state"], seen.get("result")), (&json!("response_received"), None), "not yet");
            assert_eq!(outcome(&browser.opens(page(&made)).await), Some("waiting"));
            let returned = browser.get(&uri).await;
            assert_eq!(returned.status, 303);
            let on = returned.header("location").to_owned();
            let code = if let Some(return_url) = return_url {
                // Whoever began without being this browser sees that a card is good, and not whose it is.
                let seen = now(&officer, &made).await;
                assert_eq!((&seen["state"], seen.get("result")), (&json!("verified"), None));
                let path = format!("/api/v1/presentations/{}", id(&made));
                for bad in ["", "x", uri.rsplit('=').next().unwrap()] {
                    officer.get(&format!("{path}?response_code={bad}")).await.problem(400);
                }
                let (before, code) = on.split_once("&response_code=").unwrap();
                assert_eq!((before, code.len()), (return_url, 43));
                format!("?response_code={code}")
            } else {
                assert_eq!(on, page(&made));
                String::new()
            };
            let seen = officer.get(&format!("/api/v1/presentations/{}{code}", id(&made))).await.expect(200);
            assert_eq!(seen["result"]["credentials"][0]["claims"]["full_name"], NAME);
            let shown = browser.opens(page(&made)).await;
            assert_eq!(outcome(&shown), Some("accepted"));
            assert!(!text(&shown).contains(NAME), "the holder knows their name");
            let on = format!("id=\"continue\" href=\"{}\"", on.replace('&', "&amp;"));
            assert_eq!(text(&shown).contains(&on), return_url.is_some());
            // Once: again it only leads to the page, and a stranger nowhere.
            assert_eq!(browser.get(&uri).await.header("location"), page(&made));
            assert_eq!(Browser::new(&town).get(&uri).await.status, 404);
        }
    }
}

story! {
    async fn an_answer_that_comes_back_to_another_browser_or_never_is_rejected(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let wallet = wallet(&town).await;
        let asked = || begin(&officer, json!({"template": "gate-identity", "same_device": true}));
        let rejected = |made: Value, reason: &'static str| {
            let officer = &officer;
            async move {
                let seen = now(officer, &made).await;
                assert_eq!((&seen["state"], &seen["reason"], seen.get("result")), (&json!("rejected"), &json!(reason), None));
            }
        };
        // The attacker began, the victim's browser comes back: without a cookie, and with one of its own transaction.
        for with_own in [false, true] {
            let made = asked().await;
            let (attacker, victim) = (Browser::new(&town), Browser::new(&town));
            attacker.opens(page(&made)).await;
            if with_own {
                victim.opens(page(&asked().await)).await;
            }
            let uri = back(wallet.present(&town, link(&made)).await);
            assert_eq!(victim.head(&uri).await.status, 405, "who looks at links takes nothing away");
            let returned = victim.get(&uri).await;
            assert_eq!(returned.status, 403);
            assert!(text(&returned).contains("KHÔNG CHẤP NHẬN"));
            assert_eq!(outcome(&attacker.opens(page(&made)).await), Some("rejected"));
            assert_eq!(attacker.get(&uri).await.header("location"), page(&made), "too late");
            rejected(made, "other_browser").await;
        }
        // Nobody opened the page.
        let made = asked().await;
        let uri = back(wallet.present(&town, link(&made)).await);
        assert_eq!(Browser::new(&town).get(&uri).await.status, 403);
        rejected(made, "other_browser").await;
        // A code that is none; then the browser never comes, seen before and after the background has been there.
        let made = asked().await;
        let browser = Browser::new(&town);
        browser.opens(page(&made)).await;
        let uri = back(wallet.present(&town, link(&made)).await);
        for bad in ["", "?response_code=", "?response_code=x", &format!("?response_code={}", "x".repeat(43))] {
            assert_eq!(browser.get(&format!("/present/return{bad}")).await.status, 404);
        }
        town.clock.advance(120);
        rejected(made.clone(), "not_returned").await;
        assert_eq!(browser.get(&uri).await.header("location"), page(&made));
        town.service.end_presentations().await.unwrap();
        rejected(made.clone(), "not_returned").await;
        assert_eq!(outcome(&browser.opens(page(&made)).await), Some("rejected"));
    }
}

/// The page posts what the browser's API gave.
async fn handed_over(browser: &Browser<'_>, path: &str, origin: &str, kind: &str, body: String) -> Answer {
    let request =
        Request::post(format!("{path}/dc-response")).header(header::CONTENT_TYPE, kind).header(header::ORIGIN, origin);
    browser.send(request, body).await
}

story! {
    async fn the_browser_itself_presents(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let mut wallet = wallet(&town).await;
        let mut others = wallet.cards.split_off(1);
        for (same_device, format) in [(false, "dc+sd-jwt"), (true, "mso_mdoc")] {
            let made = begin(&officer, json!({"template": "gate-identity", "same_device": same_device})).await;
            let browser = Browser::new(&town);
            browser.opens(page(&made)).await;
            let path = page(&made).strip_prefix(URL).unwrap().to_owned();
            let fetched = browser.get(&format!("{path}/dc-request")).await.expect(200);
            assert_eq!(fetched["protocol"], "openid4vp-v1-signed");
            let request = wallet.read(fetched["request"].as_str().unwrap(), None, town.clock.now());
            assert_eq!(request.delivery, Delivery::DcApi { expected_origins: vec![URL.into()] });
            assert_eq!(request.response_mode().name(), "dc_api.jwt");
            let reply = |wallet: &Presenter| match wallet.reply(&request, town.clock.now()) {
                Reply::Data(data) => json!({"protocol": "openid4vp-v1-signed", "data": data}).to_string(),
                Reply::Form(_) => panic!(),
            };
            let post = |browser, origin, kind, body| handed_over(browser, &path, origin, kind, body);
            let json = "application/json";
            let good = reply(&wallet);
            assert_eq!(post(&browser, "https://evil.example", json, good.clone()).await.error(400), "invalid_request");
            assert_eq!(post(&browser, URL, "text/plain", good.clone()).await.problem(400), "invalid-request");
            assert_eq!(handed_over(&Browser::new(&town), &path, URL, json, good.clone()).await.error(404), "not_found");
            assert_eq!(now(&officer, &made).await["state"], "created", "that changed nothing");
            assert_eq!(post(&browser, URL, json, good.clone()).await.expect(200), json!({}));
            let seen = now(&officer, &made).await;
            assert_eq!(seen["state"], "verified", "the answer came to the page that asked");
            assert_eq!(seen["result"]["credentials"][0]["format"], format);
            assert_eq!(post(&browser, URL, json, good).await.error(410), "gone");
            assert_eq!(outcome(&browser.opens(page(&made)).await), Some("accepted"));
            std::mem::swap(&mut wallet.cards, &mut others);
        }
        // Made for another page: the origin is in the proof.
        for _ in 0..2 {
            let made = begin(&officer, json!({"template": "gate-identity"})).await;
            let browser = Browser::new(&town);
            browser.opens(page(&made)).await;
            let path = page(&made).strip_prefix(URL).unwrap().to_owned();
            let fetched = browser.get(&format!("{path}/dc-request")).await.expect(200);
            let request = wallet.read(fetched["request"].as_str().unwrap(), None, town.clock.now());
            wallet.origin = "https://evil.example".into();
            let Reply::Data(data) = wallet.reply(&request, town.clock.now()) else { panic!() };
            let body = json!({"protocol": "openid4vp-v1-signed", "data": data}).to_string();
            assert_eq!(handed_over(&browser, &path, URL, "application/json", body).await.error(400), "invalid_request");
            assert_eq!(now(&officer, &made).await["state"], "rejected");
            std::mem::swap(&mut wallet.cards, &mut others);
        }
    }
}

story! {
    async fn a_process_that_starts_anew_goes_on(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let wallet = wallet(&town).await;
        let made = begin(&officer, json!({"template": "gate-identity", "same_device": true})).await;
        let browser = Browser::new(&town);
        browser.opens(page(&made)).await;
        let request = wallet.fetch(&town, link(&made)).await;
        let reply = wallet.reply(&request, town.clock.now());
        let second = town.second_process().await;
        let uri = back(wallet.post(&second, &request, reply).await);
        let third = town.second_process().await;
        assert_eq!(browser.at(&third).get(&uri).await.status, 303);
        let officer = third.officer("vneid").await;
        assert_eq!(now(&officer, &made).await["state"], "verified");
    }
}

story! {
    async fn the_end_is_told_to_who_asked(town) {
        use axum::{Router, routing::post};
        use std::sync::{Arc, Mutex};
        town.hires(PERSON, "H26").await;
        let (told, fails) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(true)));
        let (calls, failing) = (Arc::clone(&told), Arc::clone(&fails));
        let app = Router::new().route("/hook", post(move |body: String| async move {
            calls.lock().unwrap().push(body);
            if std::mem::take(&mut *failing.lock().unwrap()) { axum::http::StatusCode::BAD_GATEWAY } else { axum::http::StatusCode::OK }
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        let town = town.configured(|config| config.clients[0].presentation_webhook = Some(Secret::new(url)));
        assert!(town.service.tells_presentations());
        let officer = town.officer("vneid").await;
        let wallet = wallet(&town).await;
        let made = begin(&officer, json!({"template": "gate-identity"})).await;
        assert_eq!(town.service.tell_presentations().await.unwrap(), Round::Idle);
        wallet.present(&town, link(&made)).await.expect(200);
        assert_eq!(town.service.tell_presentations().await.unwrap(), Round::Failed);
        assert_eq!(town.service.tell_presentations().await.unwrap(), Round::Idle, "after a pause");
        now(&officer, &made).await;
        town.clock.advance(30);
        assert_eq!(town.service.tell_presentations().await.unwrap(), Round::Delivered);
        assert_eq!(town.service.tell_presentations().await.unwrap(), Round::Idle);
        let calls = told.lock().unwrap().clone();
        let messages: Vec<_> = calls.iter().map(|jws| town.signed(jws, "officials-card-presentation+jwt")).collect();
        for message in &messages {
            let expected = json!({"iss": URL, "aud": "vneid", "iat": message["iat"], "id": id(&made), "state": "verified"});
            assert_eq!(message, &expected, "no more than that");
        }
        assert_eq!(messages.len(), 2);
        // Nobody answers: that is an end, too.
        let silent = begin(&officer, json!({"template": "gate-identity"})).await;
        town.clock.advance(120);
        town.service.end_presentations().await.unwrap();
        assert_eq!(town.service.tell_presentations().await.unwrap(), Round::Delivered);
        let last = told.lock().unwrap().last().unwrap().clone();
        let last = town.signed(&last, "officials-card-presentation+jwt");
        assert_eq!((&last["id"], &last["state"]), (&silent["id"], &json!(PresentationState::Expired.word())));
        server.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dns_name_needs_a_certificate_that_has_it() {
    let town = Town::on(crate::town::Ground::Sqlite).await;
    let by_name = town.configured(|config| {
        config.presentation_templates =
            vec![template("named", |template| template.client_id_prefix = ClientIdPrefix::X509SanDns)];
    });
    assert!(by_name.service.check_settings().is_err(), "the certificate is of an address");
    for broken in ["{", "{}", r#"{"credentials": [], "x": 1}"#] {
        let broken = town.configured(|config| {
            config.presentation_templates = vec![template("broken", |template| template.dcql_query = broken.into())];
        });
        assert!(broken.service.check_settings().is_err());
    }
    let foreign = r#"{"credentials": [{"id": "a", "format": "dc+sd-jwt", "meta": {"vct_values": ["urn:nobody:1"]}}]}"#;
    let foreign = town.configured(|config| {
        config.presentation_templates = vec![template("foreign", |template| template.dcql_query = foreign.into())];
    });
    assert!(foreign.service.check_settings().is_err(), "nobody is trusted to issue it");
    let info = |text: &str| {
        let template = template("info", |template| template.verifier_info = Some(text.into()));
        town.configured(|config| config.presentation_templates = vec![template]).service.check_settings().is_ok()
    };
    assert!(info(r#"[{"format": "jwt", "data": "x", "credential_ids": ["card-mdoc"]}]"#));
    for bad in [
        r#"[{"format": "jwt", "data": "x", "credential_ids": ["no-such"]}]"#,
        "[]",
        "{}",
        r#"[{"format": "jwt"}]"#,
        r#"[{"format": "jwt", "data": 1}]"#,
        "x",
    ] {
        assert!(!info(bad), "{bad}");
    }
}

story! {
    async fn several_credentials_are_one_persons(town) {
        town.hires(PERSON, "H26").await;
        let query = |claim: &str| {
            json!({"credentials": [
                {"id": "one", "format": "dc+sd-jwt", "meta": {"vct_values": ["${vct}"]}, "claims": [{"path": [claim]}]},
                {"id": "other", "format": "mso_mdoc", "meta": {"doctype_value": "${doctype}"},
                 "claims": [{"path": ["${namespace}", claim]}]},
            ]})
            .to_string()
        };
        let town = town.configured(|config| {
            config.presentation_templates = vec![
                template("by-number", |template| template.dcql_query = query("personal_id_number")),
                template("by-name", |template| template.dcql_query = query("full_name")),
            ];
        });
        town.service.check_settings().unwrap();
        let officer = town.officer("vneid").await;
        let wallet = wallet(&town).await;
        let made = begin(&officer, json!({"template": "by-number"})).await;
        wallet.present(&town, link(&made)).await.expect(200);
        assert_eq!(now(&officer, &made).await["result"]["credentials"].as_array().unwrap().len(), 2);
        // The keys are different, and a name is not enough.
        let made = begin(&officer, json!({"template": "by-name"})).await;
        assert_eq!(wallet.present(&town, link(&made)).await.error(400), "invalid_request");
        assert_eq!(now(&officer, &made).await["reason"], "several_people");
    }
}

story! {
    async fn the_authority_behind_a_card_is_looked_for(town) {
        use base64::Engine;
        town.hires(PERSON, "H26").await;
        let wallet = wallet(&town).await;
        let ids = wallet.cards.iter().map(|card| {
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&card.authority_key_ids()[0])
        });
        let [sd_jwt, mdoc]: [String; 2] = ids.collect::<Vec<_>>().try_into().unwrap();
        let query = |format: &str, meta: Value, path: Value, id: &str| {
            json!({"credentials": [{"id": "card", "format": format, "meta": meta, "claims": [{"path": path}],
                "trusted_authorities": [{"type": "aki", "values": [id]}]}]})
            .to_string()
        };
        let queries = [
            query("dc+sd-jwt", json!({"vct_values": ["${vct}"]}), json!(["full_name"]), &sd_jwt),
            query("mso_mdoc", json!({"doctype_value": "${doctype}"}), json!(["${namespace}", "full_name"]), &mdoc),
        ];
        for query in queries {
            let town = town.configured(|config| {
                config.presentation_templates = vec![template("ours", |template| template.dcql_query = query)];
            });
            let officer = town.officer("vneid").await;
            let made = begin(&officer, json!({"template": "ours"})).await;
            wallet.present(&town, link(&made)).await.expect(200);
            assert_eq!(now(&officer, &made).await["state"], "verified");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verifier_is_known_by_its_dns_name() {
    use officials_card::chance::Chance;
    use officials_card::flow::Service;
    use officials_card::keyring::{self, Keyring};
    use tower::ServiceExt;
    let town = Town::on(crate::town::Ground::Sqlite).await;
    let folder = std::env::temp_dir().join(format!("verifier_keys_{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let mut config = town.service.config.clone();
    config.public_url = "https://card.example.vn".into();
    let named = template("named", |template| template.client_id_prefix = ClientIdPrefix::X509SanDns);
    config.presentation_templates = vec![named];
    keyring::init(&folder, None, &config.public_url, &Chance::system(), town.clock.now()).unwrap();
    let keys = Keyring::open(&folder, None).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let store = town.service.store().clone();
    let service = Service::new(config, town.clock.clone(), Chance::seeded([9; 32]), store, keys);
    service.check_settings().unwrap();
    let caller = officials_card::flow::Caller::operator("vneid");
    let asked = officials_card::flow::present::PresentationRequest {
        template: "named".into(),
        ..officials_card::flow::present::PresentationRequest::default()
    };
    let made = service.make_presentation(&caller, asked).await.unwrap();
    let invocation = Invocation::parse(&made.link).unwrap();
    assert_eq!(invocation.client_id, "x509_san_dns:card.example.vn");
    let path = invocation.request_uri.strip_prefix("https://card.example.vn").unwrap().to_owned();
    let router = officials_card::http::router(service.clone());
    let answer = router.clone().oneshot(Request::get(path).body(axum::body::Body::empty()).unwrap()).await.unwrap();
    let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    let wallet = Presenter::new(Anchors::from_pem(service.anchor_pem()).unwrap(), Vec::new());
    let request = std::str::from_utf8(&bytes).unwrap();
    let request = wallet.read(request, Some(&invocation.client_id), town.clock.now());
    let Delivery::DirectPost { response_uri, .. } = request.delivery else { panic!() };
    assert!(response_uri.starts_with("https://card.example.vn/vp/"));
    // Over https the cookie is one that no other host can plant.
    let path = made.page.strip_prefix("https://card.example.vn").unwrap().to_owned();
    let answer = router.oneshot(Request::post(path).body(axum::body::Body::empty()).unwrap()).await.unwrap();
    let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(
        cookie.starts_with("__Host-presentation-") && cookie.ends_with("; HttpOnly; SameSite=Lax; Secure"),
        "{cookie}"
    );
}
