//! Reviewers, the person and the unit's system at once: of what excludes each other exactly one counts, of what does not
//! nothing is lost.

use futures_util::future::join_all;
use officials_card::flow::{Expects, Incoming, Says};
use officials_card::model::id::PersonalNumber;
use officials_card::model::origin::{Origin, Way};
use officials_card::model::patch::Patch;
use serde_json::{Value, json};

use crate::confirmations::{confirms, sends};
use crate::holder::Office;
use crate::me::Me;
use crate::review::{PERSON, SD_JWT, content_of, desk, proposes, proposes_portrait, record_of, reviewers};
use crate::revoke::{published, status_of};
use crate::story;
use crate::town::{Answer, Town};

/// What was decided, in order: (what, by whom).
async fn decided(town: &Town, proposal: &str) -> Vec<(String, String)> {
    let decisions = town.service.store().decisions_about(&[proposal.to_owned()]).await.unwrap();
    decisions.into_iter().map(|decision| (decision.decision, decision.reviewer)).collect()
}

async fn state(town: &Town, proposal: &str) -> String {
    town.service.store().proposal(proposal).await.unwrap().unwrap().state.word().to_owned()
}

/// The unit's system sends a person's record with these fields changed.
async fn edits(town: &Town, person: &str, changes: &Value) -> bool {
    let number = PersonalNumber::parse(person).unwrap();
    let stored = town.service.store().records_of(&number).await.unwrap().pop().unwrap();
    let differences = changes.as_object().unwrap().iter();
    let differences = differences.map(|(field, new)| (field.clone(), json!({"old": null, "new": new})));
    let patch = Patch::parse(&Value::Object(differences.collect()).to_string()).unwrap();
    let mut record = patch.apply(&stored.record).unwrap();
    if let Some(jpeg) = stored.record.portrait().and_then(|portrait| portrait.jpeg()) {
        record.attach_portrait(jpeg.to_vec());
    }
    let origin = Origin { way: Way::Sync, reference: "t1".into(), actor: "system-of-unit".into() };
    let expects = Expects::Version(stored.version);
    let incoming = Incoming { record, expects, effective_on: None, confirmed_by: Some("binh".into()), says: Says::All };
    town.service.receive(&origin, vec![incoming]).await.is_ok()
}

#[track_caller]
fn is_late(answer: Answer) {
    assert_eq!(answer.problem(409), "proposal-state");
}

story! {
    async fn of_reviewers_at_once_exactly_one_decides(town) {
        let desk = desk(&town).await;
        town.hires(PERSON, "H26").await;
        let other = desk.second_process().await;
        for round in 0..6 {
            let degree = format!("{:02}", round + 1);
            let proposal = proposes(&desk, PERSON, &format!("p{round}"), json!({"academic_degree": degree})).await;
            let (_, version) = record_of(&desk, PERSON).await;
            let mut officers = Vec::new();
            for (at, name) in ["an", "binh", "chi", "head"].into_iter().enumerate() {
                officers.push(if at % 2 == 0 { desk.officer(name).await } else { other.officer(name).await });
            }
            let answers = join_all(officers.iter().enumerate().map(|(at, officer)| {
                let proposal = &proposal;
                async move {
                    if at < 2 { officer.approves(proposal, json!({})).await } else { officer.refuses(proposal, "evidence_missing", None).await }
                }
            }))
            .await;
            let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
            assert_eq!((won.len(), lost.len()), (1, 3));
            lost.into_iter().for_each(is_late);
            let told = won.into_iter().next().unwrap().expect(200);
            let is_approved = told["state"] == "approved";
            assert_eq!(state(&desk, &proposal).await, told["state"].as_str().unwrap());
            assert_eq!(decided(&desk, &proposal).await.len(), 1);
            assert_eq!(record_of(&desk, PERSON).await.1, version + i64::from(is_approved));
            assert_eq!(content_of(&desk, PERSON).await["academic_degree"] == degree.as_str(), is_approved);
        }
    }
}

story! {
    async fn of_a_withdrawal_and_an_approval_at_once_exactly_one_counts(town) {
        let desk = desk(&town).await;
        town.hires(PERSON, "H26").await;
        let other = desk.second_process().await;
        let person = PersonalNumber::parse(PERSON).unwrap();
        let an = other.officer("an").await;
        for round in 0..8 {
            let degree = format!("{:02}", round + 1);
            let proposal = proposes(&desk, PERSON, &format!("p{round}"), json!({"academic_degree": degree})).await;
            let (_, version) = record_of(&desk, PERSON).await;
            let withdrawing = desk.service.store().withdraw_proposal(&proposal, &person, desk.clock.now());
            let (withdrawn, approved) = tokio::join!(withdrawing, an.approves(&proposal, json!({})));
            let withdrawn = withdrawn.unwrap();
            assert_ne!(withdrawn, approved.status == 200, "exactly one");
            assert_eq!(state(&desk, &proposal).await, if withdrawn { "withdrawn" } else { "approved" });
            assert_eq!(record_of(&desk, PERSON).await.1, version + i64::from(!withdrawn));
            if withdrawn {
                is_late(approved);
            }
        }
    }
}

story! {
    async fn the_unit_s_system_and_an_approval_at_once_lose_nothing(town) {
        let desk = desk(&town).await;
        town.hires(PERSON, "H26").await;
        let other = desk.second_process().await;
        let an = other.officer("an").await;
        // In other fields both count, whoever is first; who named a version is told when it is not there any more.
        for round in 0..6 {
            let degree = format!("{:02}", round + 1);
            let proposal = proposes(&desk, PERSON, &format!("p{round}"), json!({"academic_degree": degree})).await;
            let (_, version) = record_of(&desk, PERSON).await;
            let title = json!({"scientific_title": format!("{:02}", round + 1)});
            let (sent, approved) = tokio::join!(edits(&desk, PERSON, &title), an.approves(&proposal, json!({})));
            let approved = approved.expect(200);
            let says = content_of(&desk, PERSON).await;
            assert_eq!(says["academic_degree"], degree);
            assert_eq!(says["scientific_title"] == title["scientific_title"], sent);
            let (_, after) = record_of(&desk, PERSON).await;
            assert_eq!(after, version + 1 + i64::from(sent));
            assert!(approved["record_version"].as_i64().unwrap() > version);
        }
        // In the same field only one of the two is there, and the other was told.
        for round in 0..6 {
            let (ours, theirs) = (format!("1{round}"), format!("2{round}"));
            let proposal = proposes(&desk, PERSON, &format!("q{round}"), json!({"academic_degree": ours})).await;
            let edit = json!({"academic_degree": theirs});
            let (sent, approved) = tokio::join!(edits(&desk, PERSON, &edit), an.approves(&proposal, json!({})));
            let is_approved = approved.status == 200;
            assert_ne!(sent, is_approved, "exactly one: the system named the version that it saw");
            let says = content_of(&desk, PERSON).await;
            assert_eq!(says["academic_degree"], if is_approved { ours.as_str() } else { theirs.as_str() });
            if !is_approved {
                let conflict = approved.expect(409);
                assert_eq!((&conflict["conflicts"][0]["now"], &conflict["conflicts"][0]["new"]), (&json!(theirs), &json!(ours)));
                assert_eq!(state(&desk, &proposal).await, "open");
            }
        }
    }
}

story! {
    async fn four_eyes_at_once_are_two_people_and_one_card(town) {
        let desk = desk(&town).await;
        let people: Vec<_> = (10..16).map(|at| format!("0011990000{at}")).collect();
        town.hires_all(&people, "H26").await;
        let other = desk.second_process().await;
        let vneid = desk.officer("vneid").await;
        for (round, person) in people.iter().enumerate() {
            let copy = status_of(&desk.wallet().card(&vneid, person, SD_JWT).await);
            let proposal = proposes_portrait(&desk, person, &format!("p{round}")).await;
            let mut officers = Vec::new();
            for (at, name) in ["an", "an", "binh", "chi", "head", "binh"].into_iter().enumerate() {
                officers.push(if at % 2 == 0 { desk.officer(name).await } else { other.officer(name).await });
            }
            let answers = join_all(officers.iter().map(|officer| officer.approves(&proposal, json!({})))).await;
            let done = answers.into_iter().filter(|answer| answer.status == 200).count();
            let decisions = decided(&desk, &proposal).await;
            assert_eq!(done, decisions.len(), "who was told yes stands there, and nobody else");
            assert_eq!(decisions[0].0, "approved_first");
            match decisions.get(1) {
                None => assert_eq!(state(&desk, &proposal).await, "first_approved"),
                Some((what, by)) => {
                    assert_eq!((what.as_str(), decisions.len()), ("approved", 2));
                    assert_ne!(*by, decisions[0].1, "two people");
                }
            }
            // Whoever is left may end it, unless it is ended.
            let last = if decisions[0].1 == "chi" { "binh" } else { "chi" };
            let answer = desk.officer(last).await.approves(&proposal, json!({})).await;
            assert_eq!(answer.status == 200, decisions.len() == 1);
            assert_eq!(published(&desk, &copy).await, 1);
            let number = PersonalNumber::parse(person).unwrap();
            let selector = officials_card::model::card::Selector::Person(number);
            assert_eq!(desk.service.store().cards(&selector, 10).await.unwrap().len(), 2, "the old and the new");
        }
    }
}

story! {
    async fn two_proposals_about_one_field_at_once_are_one_and_a_conflict(town) {
        let desk = desk(&town).await;
        town.hires(PERSON, "H26").await;
        let other = desk.second_process().await;
        let officers = [desk.officer("an").await, other.officer("binh").await];
        for round in 0..4 {
            let names = [format!("p{round}"), format!("q{round}")];
            proposes(&desk, PERSON, &names[0], json!({"academic_degree": format!("1{round}")})).await;
            proposes(&desk, PERSON, &names[1], json!({"academic_degree": format!("2{round}")})).await;
            let answers = join_all((0..2).map(|at| officers[at].approves(&names[at], json!({})))).await;
            let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
            assert!(statuses == [200, 409] || statuses == [409, 200], "{statuses:?}");
            let won = usize::from(statuses[1] == 200);
            assert_eq!(content_of(&desk, PERSON).await["academic_degree"], format!("{}{round}", won + 1));
        }
    }
}

story! {
    async fn a_confirmation_and_the_person_s_own_change_at_once_lose_nothing(town) {
        let office = Office::open_with(town, reviewers).await;
        let town = &office.town;
        let other = town.second_process().await;
        let (me, an) = (Me::signs_in(&office, PERSON).await, other.officer("an").await);
        for round in 0..10 {
            sends(town, PERSON, Way::Sync, "system", json!({"academic_degree": format!("1{round}")})).await;
            let (record, version) = record_of(town, PERSON).await;
            let change = json!({"record": record.as_str(), "changes": {"email": format!("an{round}@example.vn")}});
            let seen = [(&record, version)];
            let (changed, said) =
                tokio::join!(me.post("/proposals", change), confirms(&an, "H26", &seen));
            changed.expect(201);
            let number = PersonalNumber::parse(PERSON).unwrap();
            let stored = town.service.store().records_of(&number).await.unwrap().pop().unwrap();
            assert_eq!(stored.version, version + 1);
            assert_eq!(said[0] == "confirmed", stored.standing.confirmed_at.is_some(), "{said:?}");
        }
    }
}

story! {
    async fn of_many_who_claim_at_once_one_has_it(town) {
        let desk = desk(&town).await;
        town.hires(PERSON, "H26").await;
        let proposal = proposes(&desk, PERSON, "p1", json!({"academic_degree": "01"})).await;
        let other = desk.second_process().await;
        let mut officers = Vec::new();
        for (at, name) in ["an", "binh", "chi", "head"].into_iter().cycle().take(12).enumerate() {
            officers.push(if at % 2 == 0 { desk.officer(name).await } else { other.officer(name).await });
        }
        let path = format!("/api/v1/proposals/{proposal}/claim");
        let answers = join_all(officers.iter().map(|officer| officer.post(&path, json!({})))).await;
        let mut holders = std::collections::BTreeSet::new();
        for answer in answers {
            if answer.status == 200 {
                holders.insert(answer.expect(200)["claimed_by"].to_string());
            } else {
                assert_eq!(answer.problem(409), "claimed");
            }
        }
        assert_eq!(holders.len(), 1);
    }
}
