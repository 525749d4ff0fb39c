//! The client of the population registry against a server that answers in every wrong way: what is no answer of the
//! contract teaches nothing, and the record is asked about again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Json, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use officials_card::flow::enroll::{Asker, MatchSummary, match_pending};
use officials_card::model::id::PersonalNumber;
use officials_card::model::partial_date::PartialDate;
use officials_card::model::person::{MatchOutcome, PopulationQuery};
use officials_card::model::record::RecordKey;
use officials_card::remote::population::{HttpRegistry, PopulationRegistry, Unreachable};
use serde_json::{Value, json};

use crate::story;

const KEY: &str = "the key";

/// A registry on a free port. While it is ill, the last digit of the number decides how it answers.
struct Server {
    url: String,
    ill: Arc<AtomicBool>,
}

impl Server {
    async fn start() -> Self {
        let ill = Arc::new(AtomicBool::new(true));
        let router = Router::new().route("/lookup", post(answer)).with_state(Arc::clone(&ill));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, ill }
    }

    fn client(&self) -> HttpRegistry {
        HttpRegistry::new(&self.url, KEY, Duration::from_millis(500)).unwrap()
    }
}

fn known(number: &str) -> Value {
    json!({"person": {
        "personal_id_number": number, "name": {"given": "NGUYỄN THỊ THỬ NGHIỆM"},
        "date_of_birth": format!("19{}0315", &number[4..6]),
    }})
}

async fn answer(State(ill): State<Arc<AtomicBool>>, headers: HeaderMap, Json(asked): Json<Value>) -> Response {
    if headers[header::AUTHORIZATION] != format!("Bearer {KEY}") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    assert!(asked["officer"] != "" && asked["purpose"] != "");
    let number = asked["personal_id_number"].as_str().unwrap();
    let good = known(number);
    if !ill.load(Ordering::Relaxed) {
        return Json(good).into_response();
    }
    match number.as_bytes()[11] {
        b'0' => Json(good).into_response(),
        b'1' => Json(json!({"person": null})).into_response(),
        b'2' => Json(known("001199000090")).into_response(),
        b'3' => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        b'4' => "<html>the line is busy</html>".into_response(),
        b'5' => format!("{good}{}", " ".repeat(17 << 10)).into_response(),
        b'6' => std::future::pending().await,
        b'7' => (StatusCode::FOUND, [(header::LOCATION, "/elsewhere")]).into_response(),
        b'8' => {
            let mut broken = good;
            broken["person"]["date_of_birth"] = json!("0");
            Json(broken).into_response()
        }
        _ => {
            let mut other = good;
            other["person"]["name"]["given"] = json!("KHÁC");
            Json(other).into_response()
        }
    }
}

#[tokio::test]
async fn every_answer_is_a_person_nobody_or_no_answer() {
    let server = Server::start().await;
    let registry = server.client();
    let ask = async |registry: &HttpRegistry, digit: u8| {
        let number = format!("00119900001{digit}");
        let query = PopulationQuery {
            personal_number: PersonalNumber::parse(&number).unwrap(),
            full_name: "Nguyễn Thị Thử Nghiệm".into(),
            date_of_birth: PartialDate::parse("1999").unwrap(),
            officer: "cb01".into(),
            purpose: "cấp thẻ".into(),
        };
        registry.look_up(&query).await
    };
    let person = ask(&registry, 0).await.unwrap().unwrap();
    assert_eq!(
        (person.personal_number.expose(), person.name.joined().as_str()),
        ("001199000010", "NGUYỄN THỊ THỬ NGHIỆM")
    );
    assert_eq!(ask(&registry, 1).await.unwrap().map(|person| person.name.joined()), None);
    assert!(matches!(ask(&registry, 2).await, Err(Unreachable::Malformed)), "about somebody else");
    assert!(matches!(ask(&registry, 3).await, Err(Unreachable::Status(503))));
    for garbage in [4, 8] {
        assert!(matches!(ask(&registry, garbage).await, Err(Unreachable::Malformed)));
    }
    assert!(matches!(ask(&registry, 5).await, Err(Unreachable::Malformed)), "too large");
    assert!(matches!(ask(&registry, 6).await, Err(Unreachable::Silent(error)) if error.is_timeout()));
    assert!(matches!(ask(&registry, 7).await, Err(Unreachable::Status(302))), "no redirect is followed");
    let stranger = HttpRegistry::new(&server.url, "another key", Duration::from_secs(5)).unwrap();
    assert!(matches!(ask(&stranger, 0).await, Err(Unreachable::Status(401))));
    // A port that was free a moment ago: nobody listens.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nowhere = HttpRegistry::new(&format!("http://{free}/"), KEY, Duration::from_secs(5)).unwrap();
    let silent = ask(&nowhere, 0).await.err().unwrap();
    assert!(matches!(&silent, Unreachable::Silent(error) if error.is_connect()));
    assert!(!silent.to_string().contains("001199"), "a number never comes into a log: {silent}");
}

story! {
    async fn what_was_no_answer_is_asked_again_and_never_verifies(town) {
        let server = Server::start().await;
        for digit in 0..10 {
            town.imports(&format!("00119900001{digit}"), "H26", "001", "active").await;
        }
        let asker = Asker { officer: "cb01".into(), purpose: "cấp thẻ".into(), pause_seconds: 0 };
        let (store, clock) = (town.service.store(), &town.clock);
        let ask = async || match_pending(store, clock, &server.client(), &asker, |_| {}).await.unwrap();
        let expected = MatchSummary { matched: 1, not_found: 1, mismatched: 1, unreachable: 7, ..MatchSummary::default() };
        assert_eq!(ask().await, expected);
        town.service.confirm_records(&officials_card::flow::Caller::operator("cb02"), "H26", None).await.unwrap();
        let officer = town.officer("vneid").await;
        let offer = async |digit: u8| {
            let body = json!({"personal_id_number": format!("00119900001{digit}"), "assurance_level": 2});
            officer.post("/api/v1/offers", body).await.status.as_u16()
        };
        assert_eq!(offer(0).await, 201);
        for digit in 1..10 {
            assert_eq!(offer(digit).await, 409, "{digit}");
        }
        // The registry is well again: who had no answer is matched, who had one is not asked about again.
        server.ill.store(false, Ordering::Relaxed);
        assert_eq!(ask().await, MatchSummary { matched: 7, ..MatchSummary::default() });
        assert_eq!(ask().await, MatchSummary::default());
        for digit in 0..10 {
            assert_eq!(offer(digit).await, if [1, 9].contains(&digit) { 409 } else { 201 }, "{digit}");
        }
        let key = RecordKey { unit: "H26".into(), number: "N001199000019".into() };
        let differs = MatchOutcome::Mismatched { fields: vec!["full_name"] };
        assert_eq!(store.record(&key).await.unwrap().unwrap().standing.population, Some(differs));
    }
}
