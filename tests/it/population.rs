//! The match with the population database: our client against a simulator that speaks the real protocol and fails in every
//! way that a registry fails in, what is no answer teaches nothing, and cards follow what the registry says.

#[path = "../../examples/population_registry/registry/mod.rs"]
#[allow(dead_code)]
mod registry;

use std::sync::Arc;
use std::time::Duration;

use officials_card::chance::Chance;
use officials_card::clock::Clock;
use officials_card::config::{Population, PopulationFeed, PopulationTimestamp, Secret};
use officials_card::flow::enroll::{Asker, MatchSummary, match_pending};
use officials_card::model::id::{Handle, PersonalNumber};
use officials_card::model::origin::Way;
use officials_card::model::partial_date::PartialDate;
use officials_card::model::person::{AskedNumber, MatchOutcome, NameParts, PopulationPerson, PopulationQuery};
use officials_card::model::record::RecordKey;
use officials_card::protocol::population::AnswerError;
use officials_card::remote::population::{Gateway, PopulationRegistry, SoapRegistry, Unreachable};
use officials_card::store::Held;
use registry::{Registry, Rules, Switches};
use serde_json::{Value, json};
use sqlx::Connection;

use crate::confirmations::sends;
use crate::story;
use crate::town::Town;

const PATH: &str = "/dancuquocgia/tracuu";
const PERSON: &str = "001199000018";

/// The registry on a free port, and how we reach it.
struct Office {
    registry: Arc<Registry>,
    settings: Population,
    clock: Clock,
}

impl Office {
    async fn open(clock: &Clock, people: &[PopulationPerson]) -> Self {
        let rules = Rules {
            path: PATH.into(),
            user: "v01".into(),
            secret: "hush".into(),
            x_road_client: Some("VN/GOV/BNV/test".into()),
            api_key: Some("key".into()),
            window_seconds: 300,
            verify_code: "033".into(),
            look_up_code: "037".into(),
            ..Rules::default()
        };
        let registry = Arc::new(Registry::new(rules, Switches::default(), people.to_vec(), clock.clone()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{PATH}", listener.local_addr().unwrap());
        let service = registry::service(Arc::clone(&registry));
        tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        let settings = Population {
            url,
            user: "v01".into(),
            secret: Secret::new("hush"),
            x_road_client: Some("VN/GOV/BNV/test".into()),
            api_key: Some(Secret::new("key")),
            unit: "G09".into(),
            timeout_seconds: 5,
            // The clock stands still: no token would come back.
            queries_per_second: 10_000.0,
            burst: 10_000,
            attempts: 1,
            retry_seconds: 1,
            feed: Some(PopulationFeed { page_size: 2, every_seconds: 60, ..PopulationFeed::default() }),
            ..Population::default()
        };
        Self { registry, settings, clock: clock.clone() }
    }

    fn client(&self, change: impl FnOnce(&mut Population)) -> SoapRegistry {
        let mut settings = self.settings.clone();
        change(&mut settings);
        SoapRegistry::new(settings, self.clock.clone(), Chance::seeded([5; 32])).unwrap()
    }

    fn gateway(&self, change: impl FnOnce(&mut Population)) -> Gateway {
        let mut settings = self.settings.clone();
        change(&mut settings);
        Gateway::new(&settings, self.clock.clone(), &Chance::seeded([5; 32])).unwrap()
    }

    fn fails(&self, change: impl FnOnce(&mut Switches)) {
        let mut switches = Switches::default();
        change(&mut switches);
        self.registry.switch(switches);
    }
}

/// Somebody as the registry knows them; the town's people are all called so.
fn somebody(number: &str, name: &str) -> PopulationPerson {
    let born = format!("19{}0315", &number[4..6]);
    let mut person = PopulationPerson::new(
        PersonalNumber::parse(number).unwrap(),
        NameParts { given: name.to_uppercase(), ..NameParts::default() },
        PartialDate::parse(&born).unwrap(),
    );
    person.facts.old_number = Some("135602342".into());
    person
}

const MATCHED: MatchOutcome = MatchOutcome::Matched { outdated: Vec::new() };
const NAME: &str = "Nguyễn Thị Thử Nghiệm";

fn query(number: &str) -> PopulationQuery {
    PopulationQuery {
        number: AskedNumber::Personal(PersonalNumber::parse(number).unwrap()),
        full_name: NAME.into(),
        date_of_birth: PartialDate::parse("1999").unwrap(),
        officer: "cb01".into(),
        purpose: "cấp thẻ".into(),
        reference: Handle::parse("7Q2M8K3D5N9R1T4V").unwrap(),
    }
}

#[tokio::test]
async fn who_asks_is_proved_and_named() {
    let office = Office::open(&Clock::system(), &[somebody(PERSON, NAME)]).await;
    let client = office.client(|_| {});
    let person = client.look_up(&query(PERSON)).await.unwrap().unwrap();
    assert_eq!(person, somebody(PERSON, NAME));
    assert!(client.verify(&query(PERSON)).await.unwrap());
    let other = PopulationQuery { full_name: "Người Khác".into(), ..query(PERSON) };
    assert!(!client.verify(&other).await.unwrap(), "whoever verifies learns only whether all agrees");
    let old = PopulationQuery { number: AskedNumber::Old("135602342".into()), ..query(PERSON) };
    assert_eq!(client.look_up(&old).await.unwrap().unwrap().personal_number.expose(), PERSON);
    assert!(client.look_up(&query("001199000026")).await.unwrap().is_none());
    let seen = office.registry.seen();
    assert_eq!(
        seen.iter().map(|seen| seen.operation).collect::<Vec<_>>().join(" "),
        "look_up verify verify look_up look_up"
    );
    assert!(seen.iter().all(|seen| seen.officer == "cb01" && seen.service == "officials-card"));
    assert!(seen.iter().all(|seen| seen.request.starts_with("7Q2M8K3D5N9R1T4V-")), "{seen:?}");

    let refused = async |change: fn(&mut Population)| {
        matches!(office.client(change).look_up(&query(PERSON)).await, Err(Unreachable::Status(401)))
    };
    assert!(refused(|it| it.secret = Secret::new("loud")).await);
    assert!(refused(|it| it.user = "v02".into()).await);
    assert!(refused(|it| it.path = Some("/elsewhere".into())).await);
    assert!(refused(|it| it.x_road_client = None).await);
    assert!(refused(|it| it.api_key = None).await);
    assert!(refused(|it| it.timestamp = PopulationTimestamp::Seconds).await, "1,000 times too early");
    let wrong_code = office.client(|it| it.look_up_code = "003".into());
    let fault = wrong_code.look_up(&query(PERSON)).await;
    assert!(matches!(fault, Err(Unreachable::Answer(AnswerError::Fault(true)))));
}

#[tokio::test]
async fn every_way_to_fail_teaches_nothing() {
    let clock = Clock::fixed(1_795_325_268);
    let office = Office::open(&clock, &[somebody(PERSON, NAME)]).await;
    let client = office.client(|_| {});
    let ask = async || client.look_up(&query(PERSON)).await;
    office.fails(|it| it.refuse_percent = 100);
    assert!(matches!(ask().await, Err(Unreachable::Status(503))));
    office.fails(|it| it.half_percent = 100);
    assert!(matches!(ask().await, Err(Unreachable::Answer(AnswerError::Element("HoVaTen")))));
    office.fails(|it| it.fault_percent = 100);
    assert!(matches!(ask().await, Err(Unreachable::Answer(AnswerError::Fault(false)))));
    office.fails(|it| it.cut_percent = 100);
    assert!(matches!(ask().await, Err(Unreachable::Silent(_))));
    office.fails(|it| it.delay_ms = 60_000);
    let hasty = office.client(|it| it.timeout_seconds = 1);
    assert!(matches!(hasty.look_up(&query(PERSON)).await, Err(Unreachable::Silent(error)) if error.is_timeout()));
    office.fails(|it| it.strict = true);
    assert!(ask().await.unwrap().is_some());
    let other = PopulationQuery { full_name: "Người Khác".into(), ..query(PERSON) };
    assert!(client.look_up(&other).await.unwrap().is_none(), "a wrong name looks like nobody");

    // Somebody answers who is no registry.
    for (answer, about) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n<html></html".to_owned(), "malformed"),
        (format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(70 << 10)), "too large"),
        ("HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n".to_owned(), "redirect"),
    ] {
        let url = stranger(answer).await;
        let error = office.client(|it| it.url = url).look_up(&query(PERSON)).await.unwrap_err();
        match about {
            "redirect" => assert!(matches!(error, Unreachable::Status(302)), "no redirect is followed"),
            _ => assert!(matches!(error, Unreachable::Answer(AnswerError::Xml(_))), "{about}: {error}"),
        }
    }
    // A port that was free a moment ago: nobody listens.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nowhere = office.client(|it| it.url = format!("http://{free}/{PERSON}"));
    let silent = nowhere.look_up(&query(PERSON)).await.err().unwrap();
    assert!(matches!(&silent, Unreachable::Silent(error) if error.is_connect()));
    assert!(!silent.to_string().contains(PERSON), "a number never comes into a log: {silent}");
}

/// Somebody who reads a request and answers these bytes.
async fn stranger(answer: String) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 64 << 10];
        let _ = connection.read(&mut request).await;
        let _ = connection.write_all(answer.as_bytes()).await;
    });
    url
}

#[tokio::test]
async fn an_answer_about_somebody_else_is_none() {
    let clock = Clock::fixed(1_795_325_268);
    let office = Office::open(&clock, &[somebody(PERSON, NAME)]).await;
    // The registry forwards the old number of one to another.
    let mut other = somebody("001199000026", NAME);
    other.facts.old_number = None;
    office.registry.change(other);
    let old = PopulationQuery { number: AskedNumber::Old("135602342".into()), ..query(PERSON) };
    let mut taken = somebody(PERSON, NAME);
    taken.facts.old_number = Some("999999999".into());
    office.registry.change(taken);
    assert!(matches!(office.client(|_| {}).look_up(&old).await, Err(Unreachable::SomebodyElse)));
}

#[tokio::test]
async fn what_fails_is_tried_again_and_left_alone_when_it_goes_on() {
    let clock = Clock::fixed(1_795_325_268);
    let office = Office::open(&clock, &[somebody(PERSON, NAME)]).await;
    // Of every hundred questions the first thirty-odd of an even spread: the second attempt gets through.
    office.fails(|it| it.refuse_percent = 30);
    let patient = office.gateway(|it| it.attempts = 3);
    assert!(patient.background().look_up(&query(PERSON)).await.unwrap().is_some());
    let counts = patient.counts();
    assert!(counts.answered == 1 && counts.unanswered >= 1, "{counts:?}");

    office.fails(|it| it.refuse_percent = 100);
    let gateway = office.gateway(|it| (it.circuit_failures, it.circuit_seconds) = (3, 30));
    for _ in 0..3 {
        assert!(matches!(gateway.background().look_up(&query(PERSON)).await, Err(Unreachable::Status(503))));
    }
    let before = gateway.counts();
    for is_background in [true, false] {
        let paused = if is_background {
            gateway.background().look_up(&query(PERSON)).await
        } else {
            gateway.interactive().look_up(&query(PERSON)).await
        };
        assert!(matches!(paused, Err(Unreachable::Paused(left)) if left == Duration::from_secs(30)));
    }
    assert_eq!(gateway.counts().unanswered, before.unanswered, "nothing was asked");
    assert_eq!((gateway.load().circuit.word(), gateway.counts().not_sent), ("open", 2));
    // The pause is over: one probes, and closes it.
    office.fails(|_| {});
    clock.advance(30);
    assert!(gateway.interactive().look_up(&query(PERSON)).await.unwrap().is_some());
    assert_eq!(gateway.load().circuit.word(), "closed");
}

#[tokio::test]
async fn what_was_sent_is_told_as_sent_though_the_circuit_opened_before_it_was_sent_again() {
    let office = Office::open(&Clock::fixed(1_795_325_268), &[somebody(PERSON, NAME)]).await;
    office.fails(|it| it.refuse_percent = 100);
    for is_background in [true, false] {
        let gateway = office.gateway(|it| (it.circuit_failures, it.attempts) = (1, 3));
        let answer = if is_background {
            gateway.background().look_up(&query(PERSON)).await
        } else {
            gateway.interactive().look_up(&query(PERSON)).await
        };
        assert!(matches!(&answer, Err(error @ Unreachable::Status(503)) if error.was_sent()), "{answer:?}");
        assert_eq!((gateway.counts().unanswered, gateway.counts().not_sent), (1, 0));
        assert_eq!(gateway.load().circuit.word(), "open");
    }
}

#[tokio::test]
async fn an_answer_that_teaches_nothing_is_a_sign_of_life() {
    let office = Office::open(&Clock::fixed(1_795_325_268), &[somebody(PERSON, NAME)]).await;
    let after_three = async |change: fn(&mut Population)| {
        let gateway = office.gateway(|it| (change(it), it.circuit_failures = 2).0);
        for _ in 0..3 {
            assert!(gateway.background().look_up(&query(PERSON)).await.is_err());
        }
        gateway.load().circuit.word()
    };
    office.fails(|it| it.half_percent = 100);
    assert_eq!(after_three(|_| {}).await, "closed", "half an answer");
    office.fails(|_| {});
    assert_eq!(after_three(|it| it.look_up_code = "003".into()).await, "closed", "a fault of ours");
    assert_eq!(after_three(|it| it.secret = Secret::new("loud")).await, "open", "who is not let in is not answered");
    office.fails(|it| it.fault_percent = 100);
    assert_eq!(after_three(|_| {}).await, "open", "a fault of theirs");
}

#[tokio::test]
async fn people_go_before_the_background() {
    let office = Office::open(&Clock::system(), &[somebody(PERSON, NAME)]).await;
    office.fails(|it| it.delay_ms = 200);
    let gateway = Arc::new(office.gateway(|it| it.concurrency = 4));
    let crowd: Vec<_> = (0..12)
        .map(|_| {
            let gateway = Arc::clone(&gateway);
            tokio::spawn(async move { gateway.background().look_up(&query(PERSON)).await.map(|_| ()) })
        })
        .collect();
    while gateway.load().in_flight < 3 {
        tokio::task::yield_now().await;
    }
    assert!(gateway.interactive().look_up(&query(PERSON)).await.unwrap().is_some());
    let unfinished = crowd.iter().filter(|asking| !asking.is_finished()).count();
    assert!(unfinished >= 6, "the background waits behind its own, not before somebody: {unfinished}");
    for asking in crowd {
        asking.await.unwrap().unwrap();
    }
}

// What becomes of records and cards.

impl Office {
    /// The town, with this registry behind it.
    fn town(&self, town: &Town) -> Town {
        let settings = self.settings.clone();
        town.configured(|config| config.population = Some(settings))
    }
}

async fn standing(town: &Town, number: &str) -> Option<MatchOutcome> {
    let key = RecordKey { unit: "H26".into(), number: format!("N{number}") };
    town.service.store().record(&key).await.unwrap().unwrap().standing.population
}

async fn handle(town: &Town, number: &str) -> Handle {
    let key = RecordKey { unit: "H26".into(), number: format!("N{number}") };
    town.service.store().record(&key).await.unwrap().unwrap().handle
}

story! {
    async fn what_was_no_answer_is_asked_again_and_never_verifies(town) {
        let mut people: Vec<_> = (0..10).map(|digit| somebody(&format!("00119900001{digit}"), NAME)).collect();
        people[9] = somebody("001199000019", "Khác");
        people.remove(1);
        let office = Office::open(&town.clock, &people).await;
        for digit in 0..10 {
            town.imports(&format!("00119900001{digit}"), "H26", "001", "active").await;
        }
        let asker = Asker { officer: "cb01".into(), purpose: "cấp thẻ".into(), pause_seconds: 0 };
        let (store, clock, client) = (town.service.store(), &town.clock, office.client(|_| {}));
        let ask = async || match_pending(store, clock, &client, &asker, |_| {}).await.unwrap();
        office.fails(|it| it.half_percent = 100);
        let halved = ask().await;
        assert_eq!((halved.matched, halved.mismatched), (0, 0), "half an answer never matches: {halved:?}");
        // Who is not known has no name to leave out: that answer is broken off.
        assert_eq!(halved.unreachable, 10);
        town.service.confirm_records(&officials_card::flow::Caller::operator("cb02"), "H26", None).await.unwrap();
        let officer = town.officer("vneid").await;
        let offer = async |digit: u8| {
            let body = json!({"personal_id_number": format!("00119900001{digit}"), "assurance_level": 2});
            officer.post("/api/v1/offers", body).await.status.as_u16()
        };
        for digit in 0..10 {
            assert_eq!(offer(digit).await, 409, "{digit}");
        }
        // The registry is well again: who had no answer is matched, who had one is not asked about again.
        office.fails(|_| {});
        assert_eq!(ask().await, MatchSummary { matched: 8, not_found: 1, mismatched: 1, ..MatchSummary::default() });
        assert_eq!(ask().await, MatchSummary::default());
        for digit in 0..10 {
            assert_eq!(offer(digit).await, if [1, 9].contains(&digit) { 409 } else { 201 }, "{digit}");
        }
        assert_eq!(standing(&town, "001199000019").await, Some(MatchOutcome::Mismatched { fields: vec!["full_name"] }));
    }
}

story! {
    async fn answers_that_cannot_be_used_keep_no_older_record_from_being_asked_about(town) {
        // The registry has no name for them: what it tells of each is half an answer, today and tomorrow.
        let nameless: Vec<_> = (0..70).map(|number| format!("001199000{number:03}")).collect();
        let mut people: Vec<_> = nameless.iter().map(|number| somebody(number, "")).collect();
        people.push(somebody("001199000999", NAME));
        let mut office = Office::open(&town.clock, &people).await;
        office.settings.retry_seconds = 600;
        let town = office.town(&town);
        town.imports("001199000999", "H26", "001", "active").await;
        town.clock.advance(1);
        for number in &nameless {
            town.imports(number, "H26", "001", "active").await;
        }
        let asked = async || town.service.match_in_background().await.unwrap();
        assert_eq!(asked().await, MatchSummary { matched: 1, unreachable: 70, ..MatchSummary::default() });
        town.clock.advance(601);
        assert_eq!(asked().await, MatchSummary::default(), "the same answer is worth no question so soon");
        town.clock.advance(86_400);
        assert_eq!(asked().await.unreachable, 70);
        // Who is refused is refused for everybody: the run ends, and leaves the registry alone.
        let mut refused = office.settings.clone();
        refused.look_up_code = "003".into();
        let town = town.configured(|config| config.population = Some(refused));
        town.clock.advance(2 * 86_400);
        assert_eq!(town.service.match_in_background().await.unwrap().unreachable, 64);
    }
}

story! {
    async fn nine_digits_are_asked_about_and_who_has_no_number_is_left_alone(town) {
        let office = Office::open(&town.clock, &[somebody(PERSON, NAME)]).await;
        let town = office.town(&town);
        let columns = "agency_personnel_number,full_name,managing_unit_code,using_unit_code,date_of_birth";
        let bring = async |columns: &str, row: &str| {
            crate::records::bring(&town, "a.csv", format!("{columns}\n{row}\n")).await.unwrap();
        };
        bring(&format!("{columns},old_id_number"), &format!("1,{NAME},H26,H26,19990315,135602342")).await;
        bring(columns, &format!("2,{NAME},H26,H26,19990315")).await;
        let officer = town.officer("vneid").await;
        let backlog = async || {
            town.clock.advance(11);
            officer.get("/api/v1/population").await.expect(200)["backlog"]["pending"].clone()
        };
        assert_eq!(backlog().await, 2);
        let found = MatchSummary { mismatched: 1, incomplete: 1, ..MatchSummary::default() };
        assert_eq!(town.service.match_in_background().await.unwrap(), found);
        let outcome = async |number: &str| {
            let key = RecordKey { unit: "H26".into(), number: number.into() };
            town.service.store().record(&key).await.unwrap().unwrap().standing.population
        };
        // What the unit has to write down is the number.
        let differs = Some(MatchOutcome::Mismatched { fields: vec!["personal_id_number"] });
        assert_eq!((outcome("1").await, outcome("2").await, backlog().await), (differs, None, json!(0)));
        town.clock.advance(365 * 86_400);
        assert_eq!(town.service.match_in_background().await.unwrap(), MatchSummary::default(), "not read again and again");
        for number in ["1", "2"] {
            bring(&format!("{columns},personal_id_number"), &format!("{number},{NAME},H26,H26,19990315,{PERSON}")).await;
        }
        assert_eq!(town.service.match_in_background().await.unwrap().matched, 2);
    }
}

story! {
    async fn a_change_at_the_registry_locks_the_card_and_its_correction_gives_it_back(town) {
        let office = Office::open(&town.clock, &[somebody(PERSON, NAME)]).await;
        let town = office.town(&town);
        // The feed begins where we begin.
        assert_eq!(town.service.read_population_feed().await.unwrap(), 0);
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let card = officer.offer(PERSON).await["card"].as_str().unwrap().to_owned();
        let state = async || {
            let card = officer.get(&format!("/api/v1/cards/{card}")).await.expect(200);
            format!("{} {}", card["state"].as_str().unwrap(), card["reason"].as_str().unwrap_or("-"))
        };
        let round = async || {
            town.clock.advance(61);
            let pending = town.service.read_population_feed().await.unwrap();
            (pending, town.service.match_in_background().await.unwrap())
        };
        office.registry.change(somebody(PERSON, "Nguyễn Thị Khác"));
        let (pending, summary) = round().await;
        assert_eq!((pending, summary.mismatched, summary.locked), (1, 1, 1));
        assert_eq!(state().await, "locked under_review");
        // What is found again and again locks no second time; a person may decide otherwise meanwhile.
        officer.step(&card, "unlock", "cleared").await.expect(200);
        office.registry.change(somebody(PERSON, "Nguyễn Thị Vẫn Khác"));
        assert_eq!(round().await.1.locked, 0);
        assert_eq!(state().await, "active -");

        office.registry.change(somebody(PERSON, NAME));
        assert_eq!(round().await.1, MatchSummary { matched: 1, ..MatchSummary::default() });
        office.registry.forget(&PersonalNumber::parse(PERSON).unwrap());
        assert_eq!(round().await.1.locked, 1, "known no more is a discrepancy, too");
        assert_eq!(state().await, "locked under_review");
        office.registry.change(somebody(PERSON, NAME));
        assert_eq!(round().await.1, MatchSummary { matched: 1, released: 1, ..MatchSummary::default() });
        assert_eq!(state().await, "active -");

        // Somebody's own lock is nobody else's to undo.
        officer.step(&card, "lock", "lost").await.expect(200);
        office.registry.change(somebody(PERSON, "Nguyễn Thị Khác"));
        assert_eq!(round().await.1.locked, 0);
        office.registry.change(somebody(PERSON, NAME));
        assert_eq!(round().await.1, MatchSummary { matched: 1, ..MatchSummary::default() });
        assert_eq!(state().await, "locked lost");
        let history = officer.get(&format!("/api/v1/cards/{card}")).await.expect(200)["history"].to_string();
        assert!(history.contains("under_review record version 1 mismatched"), "{history}");
    }
}

story! {
    async fn who_left_the_service_gets_no_card_back_by_a_good_match(town) {
        let office = Office::open(&town.clock, &[somebody(PERSON, NAME)]).await;
        let town = office.town(&town);
        assert_eq!(town.service.read_population_feed().await.unwrap(), 0);
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let card = officer.offer(PERSON).await["card"].as_str().unwrap().to_owned();
        office.registry.change(somebody(PERSON, "Nguyễn Thị Khác"));
        town.clock.advance(61);
        assert_eq!(town.service.read_population_feed().await.unwrap(), 1);
        assert_eq!(town.service.match_in_background().await.unwrap().locked, 1);
        town.clock.advance(1);
        town.imports(PERSON, "H26", "001", "suspended").await;
        town.service.follow_records().await.unwrap();
        office.registry.change(somebody(PERSON, NAME));
        town.clock.advance(61);
        assert_eq!(town.service.read_population_feed().await.unwrap(), 1);
        let summary = town.service.match_in_background().await.unwrap();
        assert_eq!((summary.matched, summary.released), (1, 0));
        let state = async || officer.get(&format!("/api/v1/cards/{card}")).await.expect(200)["state"].clone();
        assert_eq!(state().await, "locked");
        // In service again: the cause that kept it locked ends.
        town.clock.advance(1);
        town.imports(PERSON, "H26", "001", "active").await;
        town.service.follow_records().await.unwrap();
        assert_eq!(state().await, "locked", "not by the word of whoever wrote the row");
        town.confirms("H26").await;
        town.service.follow_records().await.unwrap();
        assert_eq!(state().await, "active");
    }
}

story! {
    async fn a_card_that_is_unlocked_while_the_registry_says_otherwise_stays_locked_for_that(town) {
        let office = Office::open(&town.clock, &[somebody(PERSON, NAME)]).await;
        let town = office.town(&town);
        assert_eq!(town.service.read_population_feed().await.unwrap(), 0);
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let card = officer.offer(PERSON).await["card"].as_str().unwrap().to_owned();
        let state = async || {
            let card = officer.get(&format!("/api/v1/cards/{card}")).await.expect(200);
            format!("{} {}", card["state"].as_str().unwrap(), card["reason"].as_str().unwrap_or("-"))
        };
        let registry_says = async |name: &str| {
            office.registry.change(somebody(PERSON, name));
            town.clock.advance(61);
            assert_eq!(town.service.read_population_feed().await.unwrap(), 1);
            town.service.match_in_background().await.unwrap()
        };
        let unit_says = async |status: &str| {
            town.clock.advance(1);
            town.imports(PERSON, "H26", "001", status).await;
            town.confirms("H26").await;
            town.service.follow_records().await.unwrap();
        };
        // The suspension is over, and what was found during it is not.
        unit_says("suspended").await;
        assert_eq!(registry_says("Nguyễn Thị Khác").await.locked, 0, "it is locked already");
        unit_says("active").await;
        assert_eq!(state().await, "locked under_review");
        assert_eq!(registry_says(NAME).await.released, 1, "and given back by that cause");
        assert_eq!(state().await, "active -");
        // The card is found again, and what was found meanwhile stands.
        officer.step(&card, "lock", "lost").await.expect(200);
        assert_eq!(registry_says("Nguyễn Thị Khác").await.locked, 0);
        officer.step(&card, "unlock", "found").await.expect(200);
        assert_eq!(state().await, "locked under_review");
        let history = officer.get(&format!("/api/v1/cards/{card}")).await.expect(200)["history"].to_string();
        assert!(history.contains("under_review the discrepancy stands"), "{history}");
        // Who looks at the discrepancy itself decides.
        officer.step(&card, "unlock", "cleared").await.expect(200);
        assert_eq!(state().await, "active -");
    }
}

story! {
    async fn a_record_that_was_asked_about_in_vain_is_asked_about_at_once_when_it_is_corrected(town) {
        let mut office = Office::open(&town.clock, &[somebody(PERSON, "Nguyễn Thị Khác")]).await;
        office.settings.retry_seconds = 600;
        let town = office.town(&town);
        let called = async |name: &str| town.imports_called(name, PERSON, PERSON, "H26", "001", "active").await;
        called(NAME).await;
        office.fails(|it| it.refuse_percent = 100);
        assert_eq!(town.service.match_in_background().await.unwrap().unreachable, 1);
        office.fails(|_| {});
        assert_eq!(town.service.match_in_background().await.unwrap(), MatchSummary::default(), "it rests");
        called("Nguyễn Thị Khác").await;
        assert_eq!(town.service.match_in_background().await.unwrap().matched, 1);

        // Somebody is just asking about a version that is none any more.
        let (store, now) = (town.service.store(), town.clock.now());
        let to_match = async || store.records_to_match(None, town.clock.now(), town.clock.now(), 10).await.unwrap();
        let claim = async |found| {
            let now = town.clock.now();
            store.ask_about(found, "system", "x", now, now + 300).await.unwrap()
        };
        called("Nguyễn Thị Ba").await;
        let third = to_match().await;
        let slow = claim(third.clone()).await;
        assert_eq!((slow.len(), to_match().await.len()), (1, 0));
        called("Nguyễn Thị Bốn").await;
        assert_eq!(claim(third).await.len(), 0, "the version that was found is none any more");
        assert_eq!(claim(to_match().await).await.len(), 1);
        store.conclude_without(&slow[0], Held::Unanswered, now).await.unwrap();
        assert_eq!(to_match().await.len(), 0, "the newer question keeps its claim");
        town.clock.advance(300);
        assert_eq!(to_match().await.len(), 1);
    }
}

story! {
    async fn cards_that_are_over_keep_none_from_being_given_back(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let card = officer.offer(PERSON).await["card"].as_str().unwrap().to_owned();
        let mut database = sqlx::AnyConnection::connect(&town.database_url).await.unwrap();
        let mut change = async |statement: String| {
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut database).await.unwrap().rows_affected()
        };
        let lock = "UPDATE cards SET state = 'locked', state_reason = 'under_review', hold = 'population'";
        assert_eq!(change(lock.into()).await, 1);
        let over = |row: fn(u32) -> String| (0..200).map(row).collect::<Vec<_>>().join(", ");
        let records = over(|at| format!("('0000000000000{at:03}', 'H26', 'X{at}', 1, '', '', 0, 'matched')"));
        let columns = "id, unit, number, version, digest, run, changed_at, population";
        assert_eq!(change(format!("INSERT INTO records ({columns}) VALUES {records}")).await, 200);
        let cards = over(|at| {
            format!("('1000000000000{at:03}', '0000000000000{at:03}', 1, '', 'H26', '', 'expired', 0, 0, 0, 'population')")
        });
        let columns = "handle, record_id, record_version, person, unit, facts, state, state_at, created_at, valid_until, hold";
        assert_eq!(change(format!("INSERT INTO cards ({columns}) VALUES {cards}")).await, 200);
        let released = town.service.store().release_held(None, town.clock.now()).await.unwrap();
        assert_eq!(released.iter().map(Handle::as_str).collect::<Vec<_>>(), [card]);
    }
}

story! {
    async fn what_a_dead_process_claimed_is_asked_about_by_another(town) {
        let office = Office::open(&town.clock, &[somebody(PERSON, NAME)]).await;
        let town = office.town(&town);
        town.imports(PERSON, "H26", "001", "active").await;
        let (store, now) = (town.service.store(), town.clock.now());
        let found = store.records_to_match(None, now, now, 10).await.unwrap();
        assert_eq!(store.ask_about(found, "system", "x", now, now + 300).await.unwrap().len(), 1);
        assert_eq!(town.service.match_in_background().await.unwrap(), MatchSummary::default());
        town.clock.advance(300);
        assert_eq!(town.service.match_in_background().await.unwrap().matched, 1);
        let record = handle(&town, PERSON).await;
        let lines = store.population_queries_of(&[record], None, 10).await.unwrap();
        let outcomes: Vec<_> = lines.iter().map(|line| line.outcome.as_deref()).collect();
        assert_eq!(outcomes, [Some("matched"), None], "that somebody asked stays on record");
    }
}

story! {
    async fn the_feed_is_read_page_by_page_and_from_where_it_stopped(town) {
        let numbers: Vec<_> = (0..5).map(|digit| format!("00119900001{digit}")).collect();
        let people: Vec<_> = numbers.iter().map(|number| somebody(number, NAME)).collect();
        let office = Office::open(&town.clock, &people).await;
        let town = office.town(&town);
        for number in &numbers {
            town.imports(number, "H26", "001", "active").await;
        }
        assert_eq!(town.service.read_population_feed().await.unwrap(), 0);
        assert_eq!(town.service.match_in_background().await.unwrap().matched, 5);
        assert_eq!(town.service.match_in_background().await.unwrap(), MatchSummary::default());
        town.clock.advance(10);
        for person in people.iter().cloned() {
            office.registry.change(person);
        }
        assert_eq!(town.service.read_population_feed().await.unwrap(), 0, "its turn has not come");
        town.clock.advance(55);
        office.fails(|it| it.refuse_percent = 100);
        assert_eq!(town.service.read_population_feed().await.unwrap(), 0);
        // A page holds fewer than we ask for: it is not the last for that.
        office.fails(|it| it.page_entries = 1);
        town.clock.advance(60);
        let (one, other) = tokio::join!(town.service.read_population_feed(), town.service.read_population_feed());
        assert_eq!(one.unwrap() + other.unwrap(), 5, "each page is read by one");
        let state = town.officer("vneid").await.get("/api/v1/population").await.expect(200);
        assert_eq!(state["backlog"]["changed_at_the_registry"], 5);
        assert_eq!(state["feed"]["last_outcome"], "ok");
        assert_eq!(town.service.match_in_background().await.unwrap().matched, 5);
        // A little is told twice; then nothing is.
        town.clock.advance(61);
        town.service.read_population_feed().await.unwrap();
        town.clock.advance(200);
        town.service.match_in_background().await.unwrap();
        assert_eq!(town.service.read_population_feed().await.unwrap(), 0);
        // Whoever was away for weeks reads window by window.
        town.clock.advance(20 * 86_400);
        office.registry.change(people[0].clone());
        town.clock.advance(1);
        assert_eq!(town.service.read_population_feed().await.unwrap(), 1);
    }
}

story! {
    async fn a_reviewer_asks_now_and_sees_what_differs(town) {
        let mut person = somebody(PERSON, "Nguyễn Thị Khác");
        person.sex = Some("male".into());
        person.facts.marital_status = Some("2".into());
        let office = Office::open(&town.clock, &[person]).await;
        let town = office.town(&town);
        town.imports(PERSON, "H26", "001", "active").await;
        let record = handle(&town, PERSON).await;
        let path = format!("/api/v1/records/{record}/match");
        let reviewer = town.officer("hanoi").await;
        let ask = async |purpose: &str| reviewer.post(&path, json!({"purpose": purpose})).await;
        let found = ask("kiểm tra họ tên").await.expect(200);
        assert_eq!(found["outcome"], "mismatched");
        let differs = json!([
            {"field": "full_name", "registry": "NGUYỄN THỊ KHÁC"}, {"field": "gender", "registry": "1"},
        ]);
        assert_eq!((&found["differs"], &found["version"], &found["record"]), (&differs, &json!(1), &json!(record.as_str())));
        assert!(!found.to_string().contains(PERSON));
        let history = town.service.store().history(record.as_str()).await.unwrap();
        assert!(history.iter().any(|line| line.2 == "record.read" && line.1 == "hanoi"), "{history:?}");

        office.registry.change(somebody(PERSON, NAME));
        assert_eq!(ask("sau khi sửa").await.expect(200)["outcome"], "matched");
        assert_eq!(standing(&town, PERSON).await, Some(MATCHED));
        let queries = format!("/api/v1/records/{record}/population-queries");
        let lines = reviewer.get(&queries).await.expect(200);
        let told: Vec<_> = lines["items"].as_array().unwrap().iter().map(|line| {
            (line["officer"].as_str().unwrap(), line["purpose"].as_str().unwrap(), line["outcome"].as_str().unwrap())
        }).collect();
        assert_eq!(told, [("hanoi", "sau khi sửa", "matched"), ("hanoi", "kiểm tra họ tên", "mismatched")]);
        assert_eq!(lines["items"][1]["fields"], json!(["full_name", "gender"]));
        let last = town.service.store().history(record.as_str()).await.unwrap().pop().unwrap();
        assert_eq!((&*last.1, &*last.2, &*last.3), ("hanoi", "record.read", "population.match"), "what differed is told");
        let page = reviewer.get(&format!("{queries}?limit=1")).await.expect(200);
        let rest = reviewer.get(&format!("{queries}?after={}", page["next"].as_str().unwrap())).await.expect(200);
        assert_eq!((page["items"].as_array().unwrap().len(), &rest["items"][0]), (1, &lines["items"][1]));
        assert_eq!((&lines["next"], &rest["next"]), (&Value::Null, &Value::Null));

        // Who may not, and what cannot be asked.
        let post = async |client: &str, path: &str, body: Value| town.officer(client).await.post(path, body).await;
        assert_eq!(post("reader", &path, json!({"purpose": "x"})).await.problem(403), "insufficient-scope");
        town.imports("001199000026", "G09", "001", "active").await;
        let foreign = RecordKey { unit: "G09".into(), number: "N001199000026".into() };
        let foreign = town.service.store().record(&foreign).await.unwrap().unwrap().handle;
        let foreign_path = format!("/api/v1/records/{foreign}/match");
        assert_eq!(post("hanoi", &foreign_path, json!({"purpose": "x"})).await.problem(404), "not-found");
        let foreign_queries = format!("/api/v1/records/{foreign}/population-queries");
        assert_eq!(reviewer.get(&foreign_queries).await.problem(404), "not-found");
        for purpose in ["", "  ", "a\u{202e}b", &"x".repeat(201)] {
            assert_eq!(ask(purpose).await.problem(400), "invalid-request", "{purpose}");
        }
        assert_eq!(reviewer.get(&format!("{queries}?limit=0")).await.problem(400), "invalid-request");
        assert_eq!(reviewer.get(&format!("{queries}?after=x")).await.problem(400), "invalid-request");
        office.fails(|it| it.refuse_percent = 100);
        let refused = ask("x").await;
        assert_eq!(refused.header("retry-after"), "30");
        assert_eq!(refused.problem(503), "registry-unavailable");
        assert_eq!(standing(&town, PERSON).await, Some(MATCHED), "no answer changes nothing");
        let lines = reviewer.get(&queries).await.expect(200);
        assert_eq!(lines["items"][0]["outcome"], "unreachable");
    }
}

story! {
    async fn the_unit_where_somebody_works_sees_who_was_asked_about_them(town) {
        let office = Office::open(&town.clock, &[somebody(PERSON, NAME)]).await;
        let town = office.town(&town);
        let town = town.configured(|config| {
            let using = officials_card::config::Client {
                name: "using".into(),
                units: Some(vec!["G09".into()]),
                ..config.clients[1].clone()
            };
            config.clients.push(using);
        });
        town.hires(PERSON, "H26").await;
        let record = handle(&town, PERSON).await;
        let queries = format!("/api/v1/records/{record}/population-queries");
        let using = town.stays("using").await;
        assert_eq!(using.get(&queries).await.problem(404), "not-found");
        sends(&town, PERSON, Way::Sync, "system", json!({"using_unit_code": "G09"})).await;
        assert_eq!(using.get(&queries).await.expect(200)["items"].as_array().unwrap().len(), 1);
        let last = town.service.store().history(record.as_str()).await.unwrap().pop().unwrap();
        assert_eq!((&*last.1, &*last.2, &*last.3), ("using", "record.read", "population.match"));
    }
}

story! {
    async fn a_field_that_comes_from_the_registry_and_says_something_else_is_outdated(town) {
        let mut person = somebody(PERSON, NAME);
        person.facts.ethnicity = Some("02".into());
        // Blood groups are compared where somebody asks; they come from elsewhere.
        person.facts.blood_type = Some("02".into());
        let office = Office::open(&town.clock, &[person]).await;
        let town = office.town(&town);
        town.hires(PERSON, "H26").await;
        let hanoi = town.stays("hanoi").await;
        let record = handle(&town, PERSON).await;
        let asks = async || hanoi.post(&format!("/api/v1/records/{record}/match"), json!({"purpose": "x"})).await.expect(200);
        let counted = async || {
            town.computes().await;
            town.confirms("H26").await;
            town.computes().await;
            crate::quality::causes(&hanoi, "H26").await.into_iter().collect::<Vec<_>>()
        };
        sends(&town, PERSON, Way::Sync, "system", json!({"ethnicity": "01", "blood_type": "01"})).await;
        let found = asks().await;
        assert_eq!((&found["outcome"], &found["outdated"]), (&json!("matched"), &json!(["ethnicity", "blood_type"])));
        assert_eq!(counted().await, [("outdated".to_owned(), 1)]);
        let told = hanoi.get(&format!("/api/v1/records/{record}")).await.expect(200);
        assert_eq!((&told["population"], &told["differs_in"]), (&json!("matched"), &json!(["ethnicity"])));
        assert_eq!((told["flags"].as_array().unwrap().len(), &told["flags"][0]["word"]), (1, &json!("đúng")));
        // What is sent instead is asked about, and nothing is left of it.
        sends(&town, PERSON, Way::Sync, "system", json!({"ethnicity": "02"})).await;
        assert_eq!(counted().await, [("not_matched".to_owned(), 1)]);
        assert_eq!(asks().await["outcome"], "matched");
        assert_eq!(counted().await, []);
    }
}

story! {
    async fn a_person_asks_about_the_own_record_only(town) {
        let office = Office::open(&town.clock, &[somebody(PERSON, NAME)]).await;
        let town = office.town(&town);
        town.imports(PERSON, "H26", "001", "active").await;
        let record = handle(&town, PERSON).await;
        let person = PersonalNumber::parse(PERSON).unwrap();
        let found = town.service.rematch_own(&person, &record, "sau khi đổi tên").await.unwrap();
        assert_eq!(found.outcome, MATCHED);
        assert!(found.values.iter().any(|(code, value)| *code == "old_id_number" && value == "135602342"));
        let other = PersonalNumber::parse("001199000026").unwrap();
        assert!(town.service.rematch_own(&other, &record, "x").await.is_err());
        let lines = town.service.store().population_queries_of(&[record], None, 10).await.unwrap();
        assert_eq!((lines.len(), lines[0].officer.as_str()), (1, "holder"));
        assert_eq!(office.registry.seen()[0].officer, "system", "the registry is told of officers only");
    }
}

story! {
    async fn operators_see_how_the_connection_stands(town) {
        let officer = town.officer("vneid").await;
        let state = officer.get("/api/v1/population").await.expect(200);
        assert_eq!((&state["configured"], &state["circuit"]), (&json!(false), &Value::Null));
        assert_eq!(town.officer("reader").await.get("/api/v1/population").await.problem(403), "insufficient-scope");
        town.imports(PERSON, "H26", "001", "active").await;
        let record = handle(&town, PERSON).await;
        let unset = officer.post(&format!("/api/v1/records/{record}/match"), json!({"purpose": "x"})).await;
        assert_eq!(unset.problem(503), "registry-unavailable");

        let office = Office::open(&town.clock, &[]).await;
        office.fails(|it| it.refuse_percent = 100);
        let town = office.town(&town);
        let town = town.configured(|config| config.population.as_mut().unwrap().circuit_failures = 1);
        assert_eq!(town.service.match_in_background().await.unwrap().unreachable, 1);
        let officer = town.officer("vneid").await;
        let state = officer.get("/api/v1/population").await.expect(200);
        assert_eq!(state["circuit"], json!({"state": "open", "probes_in_seconds": 30}));
        assert_eq!((&state["backlog"]["pending"], &state["backlog"]["unanswered"]), (&json!(1), &json!(1)));
        assert_eq!(state["answers"]["last_at"], Value::Null);
        // It is left alone: nothing is claimed, nothing is written.
        assert_eq!(town.service.match_in_background().await.unwrap(), MatchSummary::default());
        office.fails(|_| {});
        town.clock.advance(31);
        assert_eq!(town.service.match_in_background().await.unwrap().not_found, 1);
        let state = officer.get("/api/v1/population").await.expect(200);
        assert_eq!(state["answers"], json!({"last_at": town.clock.now(), "last_five_minutes": 1, "rate_per_second": 1.0 / 300.0}));
        assert_eq!((&state["circuit"]["state"], &state["discrepancies"]["not_found"]), (&json!("closed"), &json!(1)));
        let metrics = town.get("/metrics").await;
        assert_eq!(metrics.status.as_u16(), 200);
    }
}

story! {
    async fn two_processes_share_the_work(town) {
        let numbers: Vec<_> = (0..150).map(|number| format!("001199000{number:03}")).collect();
        let people: Vec<_> = numbers.iter().map(|number| somebody(number, NAME)).collect();
        let office = Office::open(&town.clock, &people).await;
        let town = office.town(&town);
        for number in &numbers {
            town.imports(number, "H26", "001", "active").await;
        }
        let other = town.second_process().await;
        let (one, two) = tokio::join!(town.service.match_in_background(), other.service.match_in_background());
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!(one.matched + two.matched, 150, "{one:?} {two:?}");
        assert_eq!(office.registry.seen().len(), 150, "nobody was asked about twice");
    }
}
