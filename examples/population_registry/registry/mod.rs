//! The registry: who may ask, what it answers, how it fails, and what changed.

mod person;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Json, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use officials_card::clock::Clock;
use officials_card::model::id::PersonalNumber;
use officials_card::model::person::{AskedNumber, PopulationPerson};
use officials_card::model::text::folded;
use officials_card::protocol::population::answer::Answer;
use officials_card::protocol::population::{Call, FeedQuestion, Question, login};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use person::PersonLine;

/// The description of the service that other programs read (derived, as all of it).
const WSDL: &str = include_str!("population.wsdl");
/// Questions kept for whoever looks who asked.
const KEPT_QUESTIONS: usize = 10_000;

/// Who may ask, and how it is proved.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The service path.
    pub path: String,
    /// The user.
    pub user: String,
    /// The user's secret.
    pub secret: String,
    /// The `X-Road-Client` that must be sent.
    pub x_road_client: Option<String>,
    /// The `ApiKey` that must be sent.
    pub api_key: Option<String>,
    /// Whether `Timestamp` is in seconds.
    pub in_seconds: bool,
    /// How far it may be from now.
    pub window_seconds: i64,
    /// `MaTichHop` of the operation that verifies.
    pub verify_code: String,
    /// `MaTichHop` of the operation that looks up.
    pub look_up_code: String,
}

/// How it behaves.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Switches {
    /// Somebody is known only when name and birth date agree, too.
    pub strict: bool,
    /// How long each answer takes.
    pub delay_ms: u64,
    /// Of a hundred questions, those refused with 503.
    pub refuse_percent: u64,
    /// Those answered by half.
    pub half_percent: u64,
    /// Those that end in a SOAP fault.
    pub fault_percent: u64,
    /// Those whose connection is cut.
    pub cut_percent: u64,
    /// People on a page of changes at most, whatever is asked for; 0: 1,000.
    pub page_entries: usize,
}

/// A question that came.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    /// `verify`, `look_up` or `changes`.
    pub operation: &'static str,
    /// `MaYeuCau`.
    pub request: String,
    /// `MaCanBo`; empty for changes.
    pub officer: String,
    /// `MaDVC`.
    pub service: String,
}

/// The registry.
pub struct Registry {
    rules: Rules,
    clock: Clock,
    known: Mutex<Known>,
}

struct Known {
    people: BTreeMap<PersonalNumber, PopulationPerson>,
    by_old_number: BTreeMap<String, PersonalNumber>,
    /// Who changed, and when (Unix milliseconds), in this order.
    changes: Vec<(i64, PersonalNumber)>,
    switches: Switches,
    questions: u64,
    seen: Vec<Seen>,
    requests: BTreeSet<String>,
}

/// What happens to a question.
enum Fate {
    Answered,
    Refused,
    Half,
    Fault,
    Cut,
}

impl Registry {
    /// With these people.
    pub fn new(rules: Rules, switches: Switches, people: Vec<PopulationPerson>, clock: Clock) -> Self {
        let mut known = Known {
            people: BTreeMap::new(),
            by_old_number: BTreeMap::new(),
            changes: Vec::new(),
            switches,
            questions: 0,
            seen: Vec::new(),
            requests: BTreeSet::new(),
        };
        for person in people {
            known.put(person);
        }
        Self { rules, clock, known: Mutex::new(known) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes somebody in, or knows them otherwise from now on: the change feed tells.
    pub fn change(&self, person: PopulationPerson) {
        let at = self.now_ms();
        let mut known = self.known();
        known.changes.push((at, person.personal_number.clone()));
        known.put(person);
    }

    /// Forgets somebody: the change feed tells.
    pub fn forget(&self, number: &PersonalNumber) {
        let at = self.now_ms();
        let mut known = self.known();
        known.changes.push((at, number.clone()));
        known.people.remove(number);
    }

    /// Behaves otherwise from now on.
    pub fn switch(&self, switches: Switches) {
        self.known().switches = switches;
    }

    /// The questions that came, the first first.
    pub fn seen(&self) -> Vec<Seen> {
        self.known().seen.clone()
    }

    fn now_ms(&self) -> i64 {
        self.clock.now() * 1000
    }

    /// Who does not prove that they may ask.
    fn refuses(&self, headers: &HeaderMap) -> Option<&'static str> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let rules = &self.rules;
        let timestamp = text(login::TIMESTAMP);
        let Ok(at) = timestamp.parse::<i64>() else { return Some("Timestamp") };
        let at = if rules.in_seconds { at } else { at / 1000 };
        if (at - self.clock.now()).abs() > rules.window_seconds {
            return Some("Timestamp");
        }
        let authorization = text(header::AUTHORIZATION.as_str());
        let is_basic = authorization.strip_prefix("Basic ").is_some_and(|it| STANDARD.decode(it).is_ok());
        if !is_basic || !login::proves(authorization, &rules.path, &rules.user, timestamp, &rules.secret) {
            return Some("Authorization");
        }
        if rules.x_road_client.as_ref().is_some_and(|client| text(login::X_ROAD_CLIENT) != client) {
            return Some("X-Road-Client");
        }
        if rules.api_key.as_ref().is_some_and(|key| text(login::API_KEY) != key) {
            return Some("ApiKey");
        }
        None
    }

    fn answer(&self, call: &Call) -> Answer {
        let fault = |text: &str| Answer::Fault(true, text.to_owned());
        let code = match call {
            Call::Verify(_) => &self.rules.verify_code,
            Call::LookUp(_) | Call::Changes(_) => &self.rules.look_up_code,
        };
        let mut known = self.known();
        let (request, seen) = match call {
            Call::Changes(FeedQuestion { request, .. }) => (request, ("changes", String::new(), String::new())),
            Call::Verify(Question { request, sender, .. }) | Call::LookUp(Question { request, sender, .. }) => {
                if sender.integration != *code {
                    return fault("MaTichHop is not that of this operation");
                }
                let operation = if matches!(call, Call::Verify(_)) { "verify" } else { "look_up" };
                (request, (operation, sender.officer.clone(), sender.service.clone()))
            }
        };
        if known.seen.len() < KEPT_QUESTIONS {
            let (operation, officer, service) = seen;
            known.seen.push(Seen { operation, request: request.clone(), officer, service });
        }
        if !known.requests.insert(request.clone()) {
            return fault("MaYeuCau was used before");
        }
        match call {
            Call::Verify(question) => Answer::Verdict(known.find(question, true).is_some()),
            Call::LookUp(question) => {
                let strict = known.switches.strict;
                Answer::Found(known.find(question, strict).cloned().map(Box::new))
            }
            Call::Changes(question) => Answer::Changes(known.changed(question)),
        }
    }
}

impl Known {
    fn put(&mut self, person: PopulationPerson) {
        if let Some(old) = &person.facts.old_number {
            self.by_old_number.insert(old.clone(), person.personal_number.clone());
        }
        self.people.insert(person.personal_number.clone(), person);
    }

    fn find(&self, question: &Question, strict: bool) -> Option<&PopulationPerson> {
        let person = match &question.number {
            AskedNumber::Personal(number) => self.people.get(number),
            AskedNumber::Old(number) => self.people.get(self.by_old_number.get(number)?),
        }?;
        let agrees = folded(&person.name.joined()) == folded(&question.full_name)
            && person.date_of_birth.agrees_with(question.date_of_birth);
        (agrees || !strict).then_some(person)
    }

    fn changed(&self, question: &FeedQuestion) -> Vec<PersonalNumber> {
        let told = self.changes.iter().filter(|(at, _)| (question.from..question.to).contains(at));
        let most = if self.switches.page_entries == 0 { 1_000 } else { self.switches.page_entries };
        let (page, size) = (question.page.max(1) as usize, (question.size as usize).clamp(1, most));
        let people: BTreeSet<_> = told.map(|(_, number)| number).collect();
        people.into_iter().skip((page - 1) * size).take(size).cloned().collect()
    }

    /// 37 is prime to 100: of every hundred questions the asked shares fail, spread evenly.
    fn fate(&mut self) -> Fate {
        let lot = self.questions * 37 % 100;
        self.questions += 1;
        let Switches { refuse_percent, half_percent, fault_percent, cut_percent, .. } = self.switches;
        let mut bound = 0;
        for (share, fate) in [
            (refuse_percent, Fate::Refused),
            (half_percent, Fate::Half),
            (fault_percent, Fate::Fault),
            (cut_percent, Fate::Cut),
        ] {
            bound += share;
            if lot < bound {
                return fate;
            }
        }
        Fate::Answered
    }
}

/// What clients reach.
pub fn service(registry: Arc<Registry>) -> Router {
    let path = registry.rules.path.clone();
    Router::new().route(&path, post(ask).get(describe)).with_state(registry)
}

/// What only this machine reaches.
pub fn control(registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/people", post(change))
        .route("/switches", post(switch))
        .route("/counts", get(count))
        .with_state(registry)
}

async fn describe() -> Response {
    ([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], WSDL).into_response()
}

async fn ask(State(registry): State<Arc<Registry>>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(header) = registry.refuses(&headers) {
        return (StatusCode::UNAUTHORIZED, format!("{header} is wrong\n")).into_response();
    }
    let (fate, delay) = {
        let mut known = registry.known();
        (known.fate(), known.switches.delay_ms)
    };
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    let answer = match Call::parse(&body) {
        Ok(call) => registry.answer(&call),
        Err(error) => Answer::Fault(true, error.to_string()),
    };
    match fate {
        Fate::Answered => soap(&answer, answer.to_xml()),
        Fate::Refused => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Fate::Fault => {
            let fault = Answer::Fault(false, "the database is not available".into());
            soap(&fault, fault.to_xml())
        }
        Fate::Half => soap(&answer, half(&answer.to_xml())),
        Fate::Cut => {
            let text = answer.to_xml();
            let part = Bytes::copy_from_slice(&text.as_bytes()[..text.len() / 2]);
            let cut = futures_util::stream::iter([Ok(part), Err(std::io::Error::other("cut"))]);
            ([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], Body::from_stream(cut)).into_response()
        }
    }
}

fn soap(answer: &Answer, text: String) -> Response {
    let status = match answer {
        Answer::Fault(..) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::OK,
    };
    (status, [(header::CONTENT_TYPE, "text/xml; charset=utf-8")], text).into_response()
}

/// Half an answer: a person without a name, anything else broken off.
fn half(text: &str) -> String {
    let (from, to) = (text.find("<ns1:HoVaTen>"), text.find("</ns1:HoVaTen>"));
    match (from, to) {
        (Some(from), Some(to)) => format!("{}{}", &text[..from], &text[to + "</ns1:HoVaTen>".len()..]),
        _ => String::from_utf8_lossy(&text.as_bytes()[..text.len() / 2]).into_owned(),
    }
}

/// Lines like those of the file; `{"personal_id_number": …, "forget": true}` forgets somebody.
async fn change(State(registry): State<Arc<Registry>>, body: String) -> Response {
    let mut changed = 0;
    for line in body.lines().filter(|line| !line.trim().is_empty()) {
        let forgotten = serde_json::from_str::<Value>(line).ok().filter(|line| line["forget"] == true);
        let number = forgotten.and_then(|line| PersonalNumber::parse(line["personal_id_number"].as_str()?));
        if let Some(number) = number {
            registry.forget(&number);
        } else {
            let person = serde_json::from_str::<PersonLine>(line).map_err(|error| error.to_string());
            match person.and_then(|line| line.parse().map_err(str::to_owned)) {
                Ok(person) => registry.change(person),
                Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
            }
        }
        changed += 1;
    }
    Json(json!({"changed": changed})).into_response()
}

async fn switch(State(registry): State<Arc<Registry>>, Json(switches): Json<Switches>) -> Response {
    registry.switch(switches);
    Json(switches).into_response()
}

async fn count(State(registry): State<Arc<Registry>>) -> Response {
    let seen = registry.seen();
    let known = registry.known();
    Json(json!({"people": known.people.len(), "questions": known.questions, "seen": seen})).into_response()
}
