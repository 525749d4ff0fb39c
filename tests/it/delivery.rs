//! Delivery: offers in bulk, as QR codes and pushed; events to subscribers, at least once.

use std::collections::{HashSet, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::future::join_all;
use futures_util::stream;
use officials_card::config::{OfferPush, Secret, SignIn, Webhook};
use officials_card::flow::Round;
use officials_card::remote::delivery::HttpReceiver;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::story;
use crate::town::{Answer, Officer, Town, URL};

const PERSON: &str = "001199000018";
const OTHER: &str = "001199000019";

// ---- Bulk ----

/// POSTs lines, in pieces that do not end where lines do.
async fn bulk(officer: &Officer<'_>, lines: &str) -> Answer {
    let pieces: Vec<_> =
        lines.as_bytes().chunks(1013).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece))).collect();
    let request = Request::post("/api/v1/offers:bulk")
        .header(header::AUTHORIZATION, format!("Bearer {}", officer.token))
        .header(header::CONTENT_TYPE, "application/x-ndjson");
    officer.town.send(request.body(Body::from_stream(stream::iter(pieces))).unwrap()).await
}

fn answers(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200);
    assert_eq!((answer.header("content-type"), answer.header("cache-control")), ("application/x-ndjson", "no-store"));
    let text = std::str::from_utf8(&answer.bytes).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn line(person: &str, key: &str) -> String {
    json!({"personal_id_number": person, "assurance_level": 2, "idempotency_key": key}).to_string()
}

story! {
    async fn thousands_of_offers_in_one_call_and_the_same_again(town) {
        let people: Vec<_> = (100..147).map(|at| format!("001199000{at}")).collect();
        town.hires_all(&people, "H26").await;
        let officer = town.officer("vneid").await;
        let mut lines = String::new();
        for at in 0..2000 {
            let person = &people[at % people.len()];
            let text = match at % 100 {
                10 => "{\"personal_id_number\": ".to_owned(),
                20 => line("001199999999", &format!("key {at}")),
                30 => line("00119900010x", &format!("key {at}")),
                40 => json!({"personal_id_number": person, "assurance_level": 2}).to_string(),
                50 => line(person, "khóa"),
                60 => format!("{{\"x\": \"{}\"}}", "y".repeat(5000)),
                70 => json!({"personal_id_number": person, "assurance_level": 1, "idempotency_key": format!("key {at}")}).to_string(),
                80 => json!({"personal_id_number": person, "assurance_level": 2, "configurations": ["x"], "idempotency_key": format!("key {at}")}).to_string(),
                90 => json!({"person": person, "assurance_level": 2, "configurations": ["official-card-qr"], "idempotency_key": format!("key {at}")}).to_string(),
                _ => line(person, &format!("key {at}")),
            };
            writeln!(lines, "{text}").unwrap();
        }
        let first = bulk(&officer, &lines).await;
        let made = answers(&first);
        assert_eq!(made.len(), 2000);
        let (mut links, mut cards) = (HashSet::new(), HashSet::new());
        for (at, answer) in made.iter().enumerate() {
            assert_eq!(answer["line"], at + 1);
            let problem = answer["problem"]["type"].as_str().map(|kind| kind.rsplit(':').next().unwrap());
            let expected = match at % 100 {
                10 | 30 | 40 | 50 | 80 => Some("invalid-request"),
                20 => Some("not-verified"),
                60 => Some("too-much"),
                70 => Some("assurance-too-low"),
                _ => None,
            };
            assert_eq!(problem, expected, "{answer}");
            if expected.is_some() {
                assert!(answer.get("offer").is_none() && !answer.to_string().contains("0011"), "no number: {answer}");
                continue;
            }
            assert_eq!(answer["idempotency_key"], format!("key {at}"));
            let offer = &answer["offer"];
            assert_eq!(offer["expires_at"], town.clock.now() + 86_400, "people take their time");
            links.insert(offer["credential_offer"].as_str().unwrap().to_owned());
            cards.insert(offer["card"].as_str().unwrap().to_owned());
        }
        assert_eq!((links.len(), cards.len()), (2000 - 160, people.len()));
        // Again, whole: the same answers, byte for byte. A part: the same offers.
        assert_eq!(bulk(&officer, &lines).await.bytes, first.bytes);
        let rest = lines.lines().skip(1500).fold(String::new(), |rest, line| rest + line + "\n");
        let rest = answers(&bulk(&officer, &rest).await);
        for (again, before) in rest.iter().zip(&made[1500..]) {
            assert_eq!((&again["offer"], &again["problem"]), (&before["offer"], &before["problem"]));
        }
        // One of them opens a wallet.
        let wallet = town.wallet();
        let token = wallet.token(&made[1999]["offer"]).await;
        wallet.credential(&token, "official-card-sdjwt").await;
        // The same key for something else is refused, as it is for a single offer.
        let other = format!("{}\n", line(&people[1], "key 0"));
        assert_eq!(answers(&bulk(&officer, &other).await)[0]["problem"]["status"], 422);
        let seen = town.service.store().newest_event().await.unwrap();
        assert_eq!(usize::try_from(seen).unwrap(), people.len(), "a card each, whatever was repeated");
    }
}

story! {
    async fn a_call_that_breaks_off_is_answered_as_far_as_it_came(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let lines = format!("{}\n\n{}\n{{\"personal", line(PERSON, "one"), line(PERSON, "two"));
        let pieces = [Ok(Bytes::from(lines)), Err(std::io::Error::other("the line went dead"))];
        let request = Request::post("/api/v1/offers:bulk")
            .header(header::AUTHORIZATION, format!("Bearer {}", officer.token))
            .header(header::CONTENT_TYPE, "application/x-ndjson; charset=utf-8");
        let broken = town.send(request.body(Body::from_stream(stream::iter(pieces))).unwrap()).await;
        let broken = answers(&broken);
        let numbers: Vec<_> = broken.iter().map(|answer| answer["line"].as_u64().unwrap()).collect();
        assert_eq!(numbers, [1, 3, 4]);
        assert_eq!(broken[2]["problem"]["detail"], "body: broke off");
        let again = format!("{}\n{}\n{}", line(PERSON, "one"), line(PERSON, "two"), line(PERSON, "three"));
        let again = answers(&bulk(&officer, &again).await);
        assert_eq!((&again[0]["offer"], &again[1]["offer"]), (&broken[0]["offer"], &broken[1]["offer"]));
        assert!(again[2]["offer"].is_object());
    }
}

story! {
    async fn a_call_is_bounded_and_for_those_who_may(town) {
        let officer = town.officer("vneid").await;
        let many = format!("{}\n", json!({})).repeat(10_001);
        let answered = answers(&bulk(&officer, &many).await);
        assert_eq!(answered.len(), 10_001);
        assert_eq!(answered[9_999]["problem"]["status"], 400);
        assert_eq!(answered[10_000]["problem"]["detail"], "more than 10000 lines");
        let small = town.configured(|config| config.limits.bulk_body_bytes = 3000);
        let answered = answers(&bulk(&small.officer("vneid").await, &many).await);
        assert_eq!(answered.last().unwrap()["problem"]["status"], 413);
        assert!(answers(&bulk(&officer, "").await).is_empty());
        assert_eq!(bulk(&town.officer("reader").await, "{}").await.problem(403), "insufficient-scope");
        assert_eq!(officer.post("/api/v1/offers:bulk", json!({})).await.problem(400), "invalid-request");
    }
}

story! {
    async fn the_command_line_answers_a_file_of_lines(town) {
        town.hires(PERSON, "H26").await;
        let file = town.file("offers.ndjson", format!("{}\n{}\n", line(PERSON, "one"), line(OTHER, "two")));
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_officials-card"))
            .args(["offer", "--bulk"])
            .arg(&file)
            .env("OFFICIALS_CARD_DATABASE_URL", &town.database_url)
            .env("OFFICIALS_CARD_KEYS", Town::folder_of_keys())
            .output()
            .await
            .unwrap();
        let said: Vec<Value> = String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&said[0]["idempotency_key"], &said[1]["problem"]["status"]), (&json!("one"), &json!(409)));
        assert!(said[0]["offer"]["credential_offer"].as_str().unwrap().starts_with("openid-credential-offer://"));
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8(output.stderr).unwrap().contains("1 of 2 lines"));
    }
}

// ---- QR codes of offers ----

story! {
    async fn the_qr_code_of_an_offer_is_for_its_client_while_it_is_open(town) {
        town.hires(PERSON, "H26").await;
        let (officer, other) = (town.officer("vneid").await, town.officer("hanoi").await);
        let offer = officer.offer(PERSON).await;
        let svg = offer["qr_svg"].as_str().unwrap().strip_prefix(URL).unwrap().to_owned();
        let png = svg.replace(".svg", ".png");
        let drawn = officer.get(&svg).await;
        assert_eq!((drawn.header("content-type"), drawn.header("cache-control")), ("image/svg+xml", "private, no-store"));
        assert!(drawn.bytes.starts_with(b"<svg"));
        let drawn = officer.get(&png).await;
        assert_eq!(drawn.header("content-type"), "image/png");
        assert_eq!(scanned(&drawn.bytes), offer["credential_offer"].as_str().unwrap());
        assert_eq!(other.get(&svg).await.problem(404), "not-found");
        assert_eq!(town.get(&svg).await.problem(401), "invalid-token");
        assert_eq!(officer.get("/api/v1/offers/x/qr.svg").await.problem(404), "not-found");
        town.wallet().token(&offer).await;
        assert_eq!(officer.get(&svg).await.problem(410), "gone");
        let second = officer.offer(PERSON).await["qr_svg"].as_str().unwrap().strip_prefix(URL).unwrap().to_owned();
        town.clock.advance(601);
        assert_eq!(officer.get(&second).await.problem(410), "gone");
    }
}

fn scanned(picture: &[u8]) -> String {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(picture));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().unwrap();
    let (width, height) = (reader.info().width, reader.info().height);
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    let found = rxing::helpers::detect_in_luma(pixels, width, height, Some(rxing::BarcodeFormat::QR_CODE));
    found.unwrap().getText().to_owned()
}

// ---- Receivers ----

/// What a receiver does with the next call.
enum Act {
    Answer(u16, &'static [(&'static str, &'static str)]),
    /// Never answers.
    Hang,
}

/// A call that arrived: `webhook-id`, `webhook-timestamp`, body.
type Call = (String, i64, String);

/// A real HTTP server on loopback that does as it is told, then says 204.
#[derive(Clone, Default)]
struct Receiver {
    acts: Arc<Mutex<VecDeque<Act>>>,
    calls: Arc<Mutex<Vec<Call>>>,
    arrived: Arc<Notify>,
}

impl Receiver {
    async fn start(acts: impl IntoIterator<Item = Act>) -> (Self, String) {
        let receiver = Self { acts: Arc::new(Mutex::new(acts.into_iter().collect())), ..Self::default() };
        let app = Router::new().route("/hook", post(Self::take)).with_state(receiver.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?secret=s3", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (receiver, url)
    }

    async fn take(State(receiver): State<Self>, headers: HeaderMap, body: String) -> Response {
        assert_eq!(headers["content-type"], "application/jwt");
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        receiver.calls.lock().unwrap().push((text("webhook-id"), text("webhook-timestamp").parse().unwrap(), body));
        receiver.arrived.notify_one();
        let act = receiver.acts.lock().unwrap().pop_front();
        match act {
            Some(Act::Hang) => std::future::pending().await,
            Some(Act::Answer(status, headers)) => {
                let mut response = (StatusCode::from_u16(status).unwrap(), "x".repeat(100_000)).into_response();
                for (name, value) in headers {
                    response.headers_mut().insert(*name, value.parse().unwrap());
                }
                response
            }
            None => StatusCode::NO_CONTENT.into_response(),
        }
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

fn webhook(url: &str) -> Webhook {
    Webhook { name: "gate".into(), url: Secret::new(url), kinds: None, units: None }
}

const EVENTS: &str = "officials-card-events+jwt";

/// The numbers of the events in a call.
fn numbers(town: &Town, call: &Call) -> Vec<i64> {
    let page = town.signed(&call.2, EVENTS);
    page["events"].as_array().unwrap().iter().map(|event| event["seq"].as_i64().unwrap()).collect()
}

story! {
    async fn a_subscriber_that_fails_first_gets_every_event_in_the_end(town) {
        town.hires(PERSON, "H26").await;
        let earlier = town.officer("vneid").await.offer(PERSON).await["card"].as_str().unwrap().to_owned();
        let redirect = &[("location", "http://127.0.0.1:9/")];
        let (receiver, url) = Receiver::start([Act::Answer(500, &[]), Act::Answer(302, redirect), Act::Answer(429, &[("retry-after", "1000")])]).await;
        let town = town.configured(|config| config.webhooks = vec![webhook(&url)]);
        let (service, http, hook) = (&town.service, HttpReceiver::new(&url).unwrap(), webhook(&url));
        service.check_settings().unwrap();
        // A new subscriber is told what happens from now on.
        assert_eq!(service.deliver_events(&hook, &http).await.unwrap(), Round::Idle);
        assert_eq!(service.deliver_events(&hook, &http).await.unwrap(), Round::Idle);
        let officer = town.officer("vneid").await;
        officer.step(&earlier, "lock", "lost").await.expect(200);
        for (outcome, least, most) in [("status 500", 3, 5), ("status 302", 5, 10), ("status 429", 1000, 1000)] {
            assert_eq!(service.deliver_events(&hook, &http).await.unwrap(), Round::Failed);
            assert_eq!(service.deliver_events(&hook, &http).await.unwrap(), Round::Idle, "not before its time");
            let state = officer.get("/api/v1/webhooks").await.expect(200);
            let webhook = &state["webhooks"][0];
            assert_eq!((&webhook["name"], &webhook["outcome"], &webhook["delivered"]), (&json!("gate"), &json!(outcome), &json!(1)));
            assert!(!state.to_string().contains("s3"), "an address may hold a secret");
            let pause = webhook["next_attempt_at"].as_i64().unwrap() - town.clock.now();
            assert!((least..=most).contains(&pause), "{pause} after {outcome}");
            // More happens meanwhile; what is repeated stays the same.
            officer.step(&earlier, if outcome == "status 302" { "lock" } else { "unlock" }, if outcome == "status 302" { "lost" } else { "found" }).await.expect(200);
            town.clock.advance(pause);
        }
        let officer = town.officer("vneid").await;
        assert_eq!(service.deliver_events(&hook, &http).await.unwrap(), Round::Delivered);
        assert_eq!(service.deliver_events(&hook, &http).await.unwrap(), Round::Delivered);
        assert_eq!(service.deliver_events(&hook, &http).await.unwrap(), Round::Idle);
        let calls = receiver.calls();
        let ids: Vec<_> = calls.iter().map(|(id, ..)| id.as_str()).collect();
        assert_eq!(ids, ["gate-1-2", "gate-1-2", "gate-1-2", "gate-1-2", "gate-2-5"]);
        assert_eq!(calls.iter().map(|call| numbers(&town, call)).collect::<Vec<_>>(), [vec![2], vec![2], vec![2], vec![2], vec![3, 4, 5]]);
        assert!(calls.windows(2).all(|pair| pair[0].1 <= pair[1].1));
        let page = town.signed(&calls[4].2, EVENTS);
        assert_eq!((&page["aud"], &page["after"], &page["next"]), (&json!("gate"), &json!(2), &json!(5)));
        let state = officer.get("/api/v1/webhooks").await.expect(200);
        assert_eq!(state["webhooks"][0], json!({"name": "gate", "delivered": 5, "failures": 0, "parked_at": null, "next_attempt_at": null, "outcome": "delivered"}));
        assert_eq!(town.officer("hanoi").await.get("/api/v1/webhooks").await.problem(403), "foreign-unit");
        assert_eq!(town.officer("reader").await.get("/api/v1/webhooks").await.problem(403), "insufficient-scope");
    }
}

story! {
    async fn a_subscriber_that_is_gone_is_parked_and_loses_nothing(town) {
        town.hires(PERSON, "H26").await;
        let (receiver, url) = Receiver::start([]).await;
        // Nobody listens there any more.
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let dead = HttpReceiver::new(&format!("http://{gone}/")).unwrap();
        let town = town.configured(|config| config.webhooks = vec![webhook(&url)]);
        let (service, hook) = (&town.service, webhook(&url));
        service.deliver_events(&hook, &dead).await.unwrap();
        let card = town.officer("vneid").await.offer(PERSON).await["card"].as_str().unwrap().to_owned();
        let mut parked_at = None;
        for failure in 1..=12 {
            assert_eq!(service.deliver_events(&hook, &dead).await.unwrap(), Round::Failed);
            let known = service.delivery_state().await.unwrap().subscribers.remove(0).1.unwrap();
            assert_eq!((known.failures, known.outcome.as_deref()), (failure, Some("no answer")));
            let pause = known.next_attempt_at - town.clock.now();
            assert!((1..=3600).contains(&pause));
            assert_eq!(known.parked_at.is_some(), failure >= 10);
            parked_at = parked_at.or(known.parked_at);
            assert_eq!(known.parked_at, parked_at, "since the tenth");
            town.clock.advance(pause);
        }
        let officer = town.officer("vneid").await;
        officer.step(&card, "lock", "lost").await.expect(200);
        let live = HttpReceiver::new(&url).unwrap();
        while service.deliver_events(&hook, &live).await.unwrap() == Round::Delivered {}
        assert_eq!(receiver.calls().iter().flat_map(|call| numbers(&town, call)).collect::<Vec<_>>(), [1, 2]);
        let known = service.delivery_state().await.unwrap().subscribers.remove(0).1.unwrap();
        assert_eq!((known.failures, known.parked_at, known.delivered), (0, None, 2));
    }
}

story! {
    async fn of_two_processes_one_delivers_and_when_it_dies_the_other(town) {
        town.hires(PERSON, "H26").await;
        let (receiver, url) = Receiver::start([Act::Hang]).await;
        let hook = webhook(&url);
        let one = town.configured(|config| config.webhooks = vec![hook.clone()]);
        let second = town.second_process().await;
        let two = second.configured(|config| config.webhooks = vec![hook.clone()]);
        let http = Arc::new(HttpReceiver::new(&url).unwrap());
        one.service.deliver_events(&hook, &*http).await.unwrap();
        let card = one.officer("vneid").await.offer(PERSON).await["card"].as_str().unwrap().to_owned();
        // It dies after the request has gone out.
        let dying = tokio::spawn({
            let (service, hook, http) = (one.service.clone(), hook.clone(), Arc::clone(&http));
            async move { service.deliver_events(&hook, &*http).await }
        });
        receiver.arrived.notified().await;
        dying.abort();
        assert!(dying.await.unwrap_err().is_cancelled());
        second.officer("vneid").await.step(&card, "lock", "lost").await.expect(200);
        assert_eq!(two.service.deliver_events(&hook, &*http).await.unwrap(), Round::Idle, "claimed by the dead");
        town.clock.advance(30);
        assert_eq!(two.service.deliver_events(&hook, &*http).await.unwrap(), Round::Delivered);
        let calls = receiver.calls();
        assert_eq!((calls.len(), &calls[0].0), (2, &calls[1].0), "the same delivery again");
        // Many at once in both: each event once.
        let rounds = join_all((0..12).map(|at| {
            let service = if at % 2 == 0 { &one.service } else { &two.service };
            service.deliver_events(&hook, &*http)
        }));
        let delivered = rounds.await.into_iter().filter(|round| *round.as_ref().unwrap() == Round::Delivered).count();
        assert_eq!(delivered, 1);
        let calls = receiver.calls();
        assert_eq!(calls[1..].iter().flat_map(|call| numbers(&one, call)).collect::<Vec<_>>(), [1, 2]);
    }
}

story! {
    async fn a_subscriber_gets_what_it_asked_for(town) {
        town.hires(PERSON, "H26").await;
        town.hires(OTHER, "H27").await;
        let (receiver, url) = Receiver::start([]).await;
        let kinds = Some(vec!["card.locked".to_owned(), "card.withdrawn".to_owned()]);
        let hook = Webhook { kinds, units: Some(vec!["H27".into()]), ..webhook(&url) };
        let town = town.configured(|config| config.webhooks = vec![hook.clone()]);
        let http = HttpReceiver::new(&url).unwrap();
        town.service.deliver_events(&hook, &http).await.unwrap();
        let officer = town.officer("vneid").await;
        for person in [PERSON, OTHER] {
            let card = officer.offer(person).await["card"].as_str().unwrap().to_owned();
            officer.step(&card, "lock", "lost").await.expect(200);
            officer.step(&card, "unlock", "found").await.expect(200);
        }
        while town.service.deliver_events(&hook, &http).await.unwrap() == Round::Delivered {}
        let calls = receiver.calls();
        assert_eq!(calls.len(), 1);
        let page = town.signed(&calls[0].2, EVENTS);
        assert_eq!(numbers(&town, &calls[0]), [5]);
        assert_eq!((&page["next"], &page["units"], &page["kinds"]), (&json!(6), &json!(["H27"]), &json!(["card.locked", "card.withdrawn"])));
        // Nothing for it happens: it is not disturbed, and yet not left behind.
        let card = officer.offer(PERSON).await["card"].as_str().unwrap().to_owned();
        officer.step(&card, "withdraw", "retired").await.expect(200);
        assert_eq!(town.service.deliver_events(&hook, &http).await.unwrap(), Round::Idle);
        let known = town.service.delivery_state().await.unwrap().subscribers.remove(0).1.unwrap();
        assert_eq!((known.delivered, receiver.calls().len()), (7, 1));
        for wrong in [Webhook { kinds: Some(vec!["card.eaten".into()]), ..webhook(&url) }, webhook("http://gate.example/")] {
            let town = town.configured(|config| config.webhooks = vec![wrong]);
            assert!(town.service.check_settings().is_err());
        }
    }
}

// ---- Offers that are pushed ----

fn pushing(town: &Town, url: &str, with_tx_code: bool) -> Town {
    town.configured(|config| config.offer_push = Some(OfferPush { url: Secret::new(url), with_tx_code }))
}

story! {
    async fn a_pushed_offer_reaches_the_backend_and_its_code_only_the_caller(town) {
        town.hires(PERSON, "H26").await;
        let ask = json!({"personal_id_number": PERSON, "assurance_level": 2, "delivery": "push"});
        assert_eq!(town.officer("hanoi").await.post("/api/v1/offers", ask.clone()).await.problem(400), "invalid-request", "not set up");
        let (receiver, url) = Receiver::start([Act::Answer(503, &[]), Act::Hang]).await;
        let town = pushing(&town, &url, false);
        let http = Arc::new(town.service.offer_receiver().unwrap().unwrap());
        assert_eq!(town.service.deliver_offers(&*http).await.unwrap(), Round::Idle);
        let officer = town.officer("hanoi").await;
        let key = [("Idempotency-Key", "one")];
        let told = officer.post_with("/api/v1/offers", ask.clone(), &key).await.expect(201);
        let members: Vec<_> = told.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, ["card", "tx_code", "expires_at"], "the link is not for the caller");
        assert_eq!(officer.post_with("/api/v1/offers", ask, &key).await.expect(201), told);
        let by_link = json!({"personal_id_number": PERSON, "assurance_level": 2});
        assert_eq!(officer.post_with("/api/v1/offers", by_link, &key).await.problem(422), "idempotency-key-reused", "the key gives no link");

        assert_eq!(town.service.deliver_offers(&*http).await.unwrap(), Round::Failed);
        assert_eq!(town.service.deliver_offers(&*http).await.unwrap(), Round::Idle);
        town.clock.advance(5);
        // The process dies in the middle of the second attempt.
        let dying = tokio::spawn({
            let (service, http) = (town.service.clone(), Arc::clone(&http));
            async move { service.deliver_offers(&*http).await }
        });
        receiver.arrived.notified().await;
        receiver.arrived.notified().await;
        dying.abort();
        let _ = dying.await;
        let pushes = |state: Value| state["offer_pushes"].clone();
        let nation = town.officer("vneid").await;
        assert_eq!(pushes(nation.get("/api/v1/webhooks").await.expect(200)), json!({"delivered": 0, "waiting": 1, "failing": 1, "expired": 0}));
        town.clock.advance(30);
        assert_eq!(town.service.deliver_offers(&*http).await.unwrap(), Round::Delivered);
        assert_eq!(town.service.deliver_offers(&*http).await.unwrap(), Round::Idle);
        assert_eq!(pushes(nation.get("/api/v1/webhooks").await.expect(200)), json!({"delivered": 1, "waiting": 0, "failing": 0, "expired": 0}));

        let calls = receiver.calls();
        assert_eq!(calls.len(), 3);
        assert!(calls.iter().all(|(id, ..)| *id == calls[0].0), "known again by its id");
        let pushed = town.signed(&calls[2].2, "officials-card-offer+jwt");
        assert_eq!((&pushed["jti"], &pushed["personal_id_number"], &pushed["card"]), (&json!(calls[2].0), &json!(PERSON), &told["card"]));
        assert_eq!((&pushed["exp"], &pushed["aud"]), (&told["expires_at"], &json!(url)));
        assert!(pushed.get("tx_code").is_none() && !pushed.to_string().contains(told["tx_code"].as_str().unwrap()));
        let name = pushed["credential_offer_uri"].as_str().unwrap().rsplit('/').next().unwrap();
        assert!(!calls[2].0.contains(name), "the id does not open the offer");
        // Link and code meet at the person.
        let wallet = town.wallet();
        let code = wallet.code(&pushed).await;
        wallet.redeem(&code, told["tx_code"].as_str().unwrap()).await.expect(200);
    }
}

story! {
    async fn an_offer_that_expires_before_it_arrives_is_given_up(town) {
        town.hires(PERSON, "H26").await;
        let (receiver, url) = Receiver::start([Act::Answer(500, &[])]).await;
        let town = pushing(&town, &url, true);
        let http = town.service.offer_receiver().unwrap().unwrap();
        let officer = town.officer("vneid").await;
        let lines = format!("{}\n", json!({"personal_id_number": PERSON, "assurance_level": 2, "delivery": "push", "idempotency_key": "k"}));
        let told = answers(&bulk(&officer, &lines).await);
        assert!(told[0]["offer"].get("credential_offer").is_none());
        assert_eq!(town.service.deliver_offers(&http).await.unwrap(), Round::Failed);
        let pushed = town.signed(&receiver.calls()[0].2, "officials-card-offer+jwt");
        assert_eq!(pushed["tx_code"], told[0]["offer"]["tx_code"], "this deployment gives the second channel up");
        town.clock.advance(86_400);
        assert_eq!(town.service.deliver_offers(&http).await.unwrap(), Round::Idle);
        let pushes = town.service.delivery_state().await.unwrap().pushes;
        assert_eq!((pushes.expired, pushes.waiting), (1, 0));
    }
}

story! {
    async fn a_pushed_offer_may_be_taken_by_signing_in_and_has_a_code_only_with_its_grant(town) {
        town.hires(PERSON, "H26").await;
        let (receiver, url) = Receiver::start([]).await;
        let town = town.configured(|config| {
            config.sign_in = Some(SignIn {
                issuer: "https://vneid.example".into(),
                client_id: "officials-card".into(),
                client_secret: Some(Secret::new("hush")),
                ..SignIn::default()
            });
            config.offer_push = Some(OfferPush { url: Secret::new(&*url), with_tx_code: true });
        });
        let http = town.service.offer_receiver().unwrap().unwrap();
        let officer = town.officer("vneid").await;
        let ask = |delivery: &str, grants: Value| {
            json!({"personal_id_number": PERSON, "assurance_level": 2, "delivery": delivery, "grants": grants})
        };
        let members = |answer: &Value| answer.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let sign_in = "authorization_code";
        let code = "pre-authorized_code";
        let key = [("Idempotency-Key", "one")];
        let told = officer.post_with("/api/v1/offers", ask("push", json!([sign_in])), &key).await.expect(201);
        assert_eq!(members(&told), ["card", "expires_at"]);
        for (delivery, grants) in [("link", json!([sign_in])), ("push", json!([])), ("push", json!([sign_in, code]))] {
            let other = officer.post_with("/api/v1/offers", ask(delivery, grants), &key).await;
            assert_eq!(other.problem(422), "idempotency-key-reused");
        }
        let both = officer.post("/api/v1/offers", ask("push", json!([code, sign_in]))).await.expect(201);
        assert_eq!(members(&both), ["card", "tx_code", "expires_at"]);
        while town.service.deliver_offers(&http).await.unwrap() == Round::Delivered {}
        let mut pushed: Vec<_> =
            receiver.calls().iter().map(|call| town.signed(&call.2, "officials-card-offer+jwt")).collect();
        pushed.sort_by_key(|message| message.get("tx_code").is_some());
        assert_eq!(pushed.len(), 2);
        assert_eq!((pushed[0].get("tx_code"), &pushed[1]["tx_code"]), (None, &both["tx_code"]));
        for (message, grants) in [(&pushed[0], 1), (&pushed[1], 2)] {
            let path = message["credential_offer_uri"].as_str().unwrap().strip_prefix(URL).unwrap().to_owned();
            let offer = town.get(&path).await.expect(200);
            assert_eq!(offer["grants"].as_object().unwrap().len(), grants);
            assert!(offer["grants"][sign_in]["issuer_state"].is_string());
        }

        // By link the same; in bulk everybody gets a code.
        let told = officer.post("/api/v1/offers", ask("link", json!([sign_in]))).await.expect(201);
        assert_eq!(members(&told), ["card", "credential_offer_uri", "credential_offer", "qr_svg", "expires_at"]);
        let mut with_grants = ask("push", json!([sign_in]));
        with_grants["idempotency_key"] = json!("two");
        let lines = format!("{with_grants}\n{}\n", line(PERSON, "three"));
        let answered = answers(&bulk(&officer, &lines).await);
        assert_eq!(answered[0]["problem"]["detail"], "body.grants: has a member that is not known");
        assert_eq!(members(&answered[1]["offer"]).len(), 6);
    }
}

story! {
    async fn many_pushes_in_two_processes_arrive_once_each(town) {
        let people: Vec<_> = (100..140).map(|at| format!("001199000{at}")).collect();
        town.hires_all(&people, "H26").await;
        let (receiver, url) = Receiver::start([]).await;
        let (one, second) = (pushing(&town, &url, false), town.second_process().await);
        let two = pushing(&second, &url, false);
        let lines = people.iter().fold(String::new(), |lines, person| {
            lines + &json!({"personal_id_number": person, "assurance_level": 2, "delivery": "push", "idempotency_key": person}).to_string() + "\n"
        });
        answers(&bulk(&one.officer("vneid").await, &lines).await);
        let http = one.service.offer_receiver().unwrap().unwrap();
        let drain = async |town: &Town| while town.service.deliver_offers(&http).await.unwrap() == Round::Delivered {};
        tokio::join!(drain(&one), drain(&two), drain(&one), drain(&two));
        let ids: Vec<_> = receiver.calls().into_iter().map(|(id, ..)| id).collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), people.len());
        assert_eq!(ids.len(), people.len());
    }
}

// ---- The real program ----

/// The program on the town's database, with a subscriber and a backend.
fn program(town: &Town, hook: &str, backend: &str) -> tokio::process::Command {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = format!(
        "listen = \"{free}\"\npublic_url = \"http://{free}\"\ndatabase_url = {:?}\nkeys = \"{}\"\nlog = \"error\"\n\
         [offer_push]\nurl = \"{backend}\"\n[[webhooks]]\nname = \"gate\"\nurl = \"{hook}\"\n",
        town.database_url,
        Town::folder_of_keys().display(),
    );
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_officials-card"));
    command.args(["--config", &town.write("delivery.toml", &text)]).kill_on_drop(true);
    command
}

async fn runs(town: &Town, hook: &str, backend: &str, arguments: &[&str]) {
    let output = program(town, hook, backend).args(arguments).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until the receiver was told of all events up to `last`.
async fn is_told(receiver: &Receiver, last: i64) {
    let told = async {
        while !receiver.calls().iter().any(|(id, ..)| id.ends_with(&format!("-{last}"))) {
            receiver.arrived.notified().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), told).await.expect("told in time");
}

/// Waits until the server has noted that all events up to `last` were acknowledged. A real process needs real time.
async fn is_noted(town: &Town, last: i64) {
    for _ in 0..1500 {
        if town.service.store().subscriber("gate").await.unwrap().unwrap().delivered == last {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("not noted in time");
}

story! {
    async fn a_server_that_is_killed_goes_on_where_it_was(town) {
        town.hires(PERSON, "H26").await;
        town.hires(OTHER, "H26").await;
        let (subscriber, hook) = Receiver::start([]).await;
        let (backend, push) = Receiver::start([]).await;
        town.service.store().enter_subscriber("gate").await.unwrap();
        let mut server = program(&town, &hook, &push).arg("serve").spawn().unwrap();
        // Made by another process: the server finds it by looking.
        runs(&town, &hook, &push, &["offer", "--person", PERSON]).await;
        is_told(&subscriber, 1).await;
        is_noted(&town, 1).await;
        server.kill().await.unwrap();
        let file = town.file("push.ndjson", json!({"personal_id_number": OTHER, "assurance_level": 2, "delivery": "push", "idempotency_key": "k"}).to_string());
        runs(&town, &hook, &push, &["offer", "--bulk", file.to_str().unwrap()]).await;
        runs(&town, &hook, &push, &["card", "withdraw", "--person", PERSON, "--reason", "retired"]).await;
        assert!(backend.calls().is_empty());
        let server = program(&town, &hook, &push).arg("serve").spawn().unwrap();
        is_told(&subscriber, 3).await;
        tokio::time::timeout(std::time::Duration::from_secs(30), backend.arrived.notified()).await.expect("pushed in time");
        drop(server);
        let told: HashSet<_> = subscriber.calls().iter().flat_map(|call| numbers(&town, call)).collect();
        assert_eq!(told, HashSet::from([1, 2, 3]));
        assert_eq!(town.signed(&backend.calls()[0].2, "officials-card-offer+jwt")["personal_id_number"], OTHER);
    }
}
