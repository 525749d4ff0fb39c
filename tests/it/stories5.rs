//! From where a record comes in to the card in a wallet: a spreadsheet, a recorded call of the Ministry's interface, and
//! the official's own proposal that a call meets on its way.

use serde_json::{Value, json};

use crate::holder::{Office, PERSON};
use crate::me::Me;
use crate::quality::causes;
use crate::refresh::{credential, position, tokens};
use crate::review::{desk, record_of, reviewers};
use crate::revoke::{published, status_of};
use crate::story;
use crate::sync::{System, system, units};
use crate::town::{Officer, Town, Wallet};
use crate::uploads::{row, xlsx};

/// The smallest picture that is one, in Base64.
const PORTRAIT: &str = "/9j/4AAEAAD/2Q==";

/// A person comes with a wallet: the tokens that it keeps, and the card's name.
async fn comes(wallet: &Wallet<'_>, officer: &Officer<'_>, person: &str) -> (Value, String) {
    let offer = officer.offer(person).await;
    let grant = "urn:ietf:params:oauth:grant-type:pre-authorized_code";
    let code = wallet.code(&offer).await;
    let tx_code = offer["tx_code"].as_str().unwrap();
    let given = tokens(wallet, format!("grant_type={grant}&pre-authorized_code={code}&tx_code={tx_code}")).await;
    (given, offer["card"].as_str().unwrap().to_owned())
}

/// The wallet comes again by itself, with the grant that it has.
async fn comes_again(wallet: &Wallet<'_>, given: &Value) -> Value {
    let refresh = given["refresh_token"].as_str().unwrap();
    tokens(wallet, format!("grant_type=refresh_token&refresh_token={refresh}")).await
}

/// State and reason of a card.
async fn state(officer: &Officer<'_>, card: &str) -> (String, Value) {
    let card = officer.get(&format!("/api/v1/cards/{card}")).await.expect(200);
    (card["state"].as_str().unwrap().to_owned(), card["reason"].clone())
}

/// What the server does by itself all the time.
async fn rounds(town: &Town) {
    town.service.act_on_waiting().await.unwrap();
    town.service.follow_records().await.unwrap();
    town.service.refresh_cards().await.unwrap();
}

/// The card that took the place of another.
async fn replaced_by(officer: &Officer<'_>, card: &str) -> String {
    let card = officer.get(&format!("/api/v1/cards/{card}")).await.expect(200);
    card["replaced_by"].as_str().unwrap().to_owned()
}

story! {
    async fn a_spreadsheet_becomes_a_card_and_the_next_one_a_new_card(town) {
        let desk = desk(&town).await;
        let (clerk, confirmer, vneid) = (desk.officer("hanoi").await, desk.officer("an").await, desk.officer("vneid").await);
        let person = "001087000001";
        let submits = async |title: &str, expected: &str| {
            let line = row(1, "Nguyễn Văn Đức", "H26").replace(",001,active", &format!(",{title},active"));
            let upload = clerk.checked("H26", xlsx(&[line + ",01," + PORTRAIT])).await;
            assert_eq!((&upload["state"], &upload["counts"][expected]), (&json!("checked"), &json!(1)), "{upload}");
            let done = clerk.submitted(upload["id"].as_str().unwrap(), json!({})).await;
            assert_eq!((&done["state"], &done["counts"]["written"]), (&json!("done"), &json!(1)), "{done}");
            town.matches().await;
        };
        let all = json!({"unit": "H26"});
        let ask = json!({"personal_id_number": person, "assurance_level": 2});

        submits("001", "new").await;
        assert!(vneid.post("/api/v1/offers", ask.clone()).await.status.is_client_error(), "no card before the unit's word");
        let own = clerk.post("/api/v1/records/confirm", all.clone()).await.expect(200);
        assert_eq!(own, json!({"confirmed": 0, "own": 1}), "nor by the word of who uploaded it");
        assert!(vneid.post("/api/v1/offers", ask).await.status.is_client_error());
        let said = confirmer.post("/api/v1/records/confirm", all.clone()).await.expect(200);
        assert_eq!(said["confirmed"], 1);

        let wallet = desk.wallet();
        let (given, card) = comes(&wallet, &vneid, person).await;
        let first = credential(&wallet, &given).await;
        assert_eq!((published(&desk, &status_of(&first)).await, state(&vneid, &card).await.0), (0, "active".into()));

        // Another position: nothing moves before the unit has said so, and then the card does by itself.
        submits("002", "changed").await;
        rounds(&desk).await;
        assert_eq!((published(&desk, &status_of(&first)).await, state(&vneid, &card).await.0), (0, "active".into()));
        confirmer.post("/api/v1/records/confirm", all).await.expect(200);
        rounds(&desk).await;
        assert_eq!(published(&desk, &status_of(&first)).await, 1);
        assert_eq!(state(&vneid, &card).await, ("withdrawn".into(), json!("position_changed")));
        let given = comes_again(&wallet, &given).await;
        let second = credential(&wallet, &given).await;
        assert_ne!(position(&desk, &first), position(&desk, &second));
        assert_eq!(published(&desk, &status_of(&second)).await, 0);
        let new = replaced_by(&vneid, &card).await;
        assert_eq!(state(&vneid, &new).await.0, "active");
        // Who brought what, and whose word it was.
        let (record, version) = record_of(&desk, person).await;
        let versions = vneid.get(&format!("/api/v1/records/{record}/versions")).await.expect(200);
        assert_eq!((version, &versions[0]["way"], &versions[0]["actor"]), (2, &json!("upload"), &json!("hanoi")), "{versions}");
    }
}

/// The recorded call's content with another action and other values.
fn recorded(action: &str, change: impl FnOnce(&mut Value)) -> String {
    use base64::Engine;
    let mut content: Value = serde_json::from_str(&vector("servicem0001-add.content.json")).unwrap();
    content["Data"]["Header"]["Action_Type"] = json!(action);
    change(&mut content["Data"]["Body"]["HOSO_CBCCVC"]);
    let text = base64::engine::general_purpose::STANDARD.encode(content.to_string());
    json!({"org_Code": "H26", "jsonContent": text}).to_string()
}

fn vector(name: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/ministry");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

story! {
    async fn a_recorded_call_becomes_a_card_that_follows_until_its_holder_retires(town) {
        units(&town).await;
        let vneid = town.officer("vneid").await;
        let system = system(&town, "hanoi-hrm", "H26").await;
        let person = "001187012345";
        System::done(system.send("servicem0001", &vector("servicem0001-add.json")).await);
        let status = |word: &'static str| move |dossier: &mut Value| {
            dossier["THONGTIN_BOSUNG"] =
                json!({"employment_status": word, "employment_status_date": "20200101", "portrait_photo": PORTRAIT});
        };
        System::done(system.send("servicem0001", &recorded("EDIT", status("active"))).await);
        town.matches().await;
        let wallet = town.wallet();
        let (given, card) = comes(&wallet, &vneid, person).await;
        let first = credential(&wallet, &given).await;
        assert_eq!(published(&town, &status_of(&first)).await, 0);

        let titled = recorded("EDIT", |dossier| {
            status("active")(dossier);
            dossier["LUONG_PHUCAP_CHUCVU"]["ChucVu"] = json!("002");
        });
        System::done(system.send("servicem0001", &titled).await);
        rounds(&town).await;
        let given = comes_again(&wallet, &given).await;
        let second = credential(&wallet, &given).await;
        assert_ne!(position(&town, &first), position(&town, &second));
        assert_eq!((published(&town, &status_of(&first)).await, published(&town, &status_of(&second)).await), (1, 0));
        let new = replaced_by(&vneid, &card).await;
        assert_eq!(state(&vneid, &card).await, ("withdrawn".into(), json!("position_changed")));

        town.clock.advance(60);
        let retired = recorded("EDIT", |dossier| {
            dossier["LUONG_PHUCAP_CHUCVU"]["ChucVu"] = json!("002");
            dossier["THONGTIN_BOSUNG"] = json!({
                "employment_status": "retired", "employment_status_date": "20261122", "portrait_photo": PORTRAIT,
            });
        });
        System::done(system.send("servicem0001", &retired).await);
        rounds(&town).await;
        assert_eq!(state(&vneid, &new).await, ("withdrawn".into(), json!("retired")));
        assert_eq!(published(&town, &status_of(&second)).await, 1);
        // The proof of when: which version it was, when it came, and when the unit's word was given.
        let (record, version) = record_of(&town, person).await;
        let lines = town.service.store().history(&new).await.unwrap();
        let (at, _, _, detail) = lines.iter().find(|line| line.2 == "card.withdrawn").unwrap();
        let now = town.clock.now();
        assert_eq!(detail, &format!("retired record {record} version {version} received {now} confirmed {now}"));
        assert_eq!(*at, now);
        let gone = json!({"personal_id_number": person, "assurance_level": 2});
        assert!(vneid.post("/api/v1/offers", gone).await.status.is_client_error(), "and there is no other card");
    }
}

story! {
    async fn a_call_that_meets_a_proposal_is_shown_to_the_reviewer_and_nothing_is_lost(town) {
        let office = Office::open_with(town, reviewers).await;
        let town = &office.town;
        let me = Me::signs_in(&office, PERSON).await;
        let made = me.proposes(json!({"marital_status": "2"})).await.expect(201);
        let proposal = made["proposal"]["proposal"].as_str().unwrap().to_owned();
        town.computes().await;
        let disputed = async || causes(&town.officer("hanoi").await, "H26").await.get("open_discrepancy").copied();
        assert_eq!(disputed().await, Some(1), "what is proposed is in dispute");
        // The unit's own system says something else before anybody looked.
        let system = system(town, "hanoi-hrm", "H26").await;
        let dossier = json!({"SoHieuCBCCVC_BNDP": format!("N{PERSON}"), "THONGTIN_BOSUNG": {"marital_status": "3"}});
        System::done(system.call("servicem0005", "EDIT", dossier).await);
        let an = town.officer("an").await;
        let (_, version) = record_of(town, PERSON).await;
        assert_eq!(an.approves(&proposal, json!({})).await.problem(409), "moved-on");
        assert_eq!(record_of(town, PERSON).await.1, version, "nothing is written over unseen");
        let overwrite = json!({"expected_version": version, "overwrite": ["marital_status"]});
        an.approves(&proposal, overwrite).await.expect(200);
        let mine = me.get(&format!("/proposals/{proposal}")).await.expect(200);
        assert_eq!((&mine["state"], &mine["version"]), (&json!("approved"), &json!(version + 1)), "{mine}");
        let (record, _) = record_of(town, PERSON).await;
        let versions = town.officer("vneid").await.get(&format!("/api/v1/records/{record}/versions")).await.expect(200);
        let ways: Vec<_> = versions.as_array().unwrap().iter().map(|version| version["way"].as_str().unwrap()).collect();
        assert_eq!(ways, ["update", "sync", "import"], "both are there");
        town.computes().await;
        assert_eq!(disputed().await.unwrap_or(0), 0, "and no dispute is left");
    }
}

story! {
    async fn what_the_facts_locked_its_holder_freezes_and_the_last_lock_ends_with_both(town) {
        let office = Office::open(town).await;
        let town = &office.town;
        let vneid = town.officer("vneid").await;
        let (_, card) = comes(&town.wallet(), &vneid, PERSON).await;
        let says = async |status: &str| {
            town.clock.advance(1);
            town.imports(PERSON, "H26", "001", status).await;
            town.matches_and_confirms("H26").await;
            town.service.follow_records().await.unwrap();
        };
        let me = Me::signs_in(&office, PERSON).await;
        says("suspended").await;
        assert_eq!(state(&vneid, &card).await, ("locked".into(), json!("under_review")));
        let frozen = me.post(&format!("/cards/{card}/freeze"), json!({"reason": "device_change"})).await.expect(200);
        assert_eq!((&frozen["state"], &frozen["reason"], &frozen["may_unfreeze"]), (&json!("locked"), &json!("device_change"), &json!(true)));
        let again = me.post(&format!("/cards/{card}/freeze"), json!({"reason": "lost"})).await.expect(200);
        assert_eq!(again["reason"], "lost", "it only becomes graver");
        says("active").await;
        assert_eq!(state(&vneid, &card).await, ("locked".into(), json!("lost")), "the facts do not give it back");
        // The other way round: the holder gives back what the facts still lock.
        says("suspended").await;
        me.post(&format!("/cards/{card}/unfreeze"), json!({})).await.expect(200);
        town.service.follow_records().await.unwrap();
        assert_eq!(state(&vneid, &card).await, ("locked".into(), json!("under_review")));
        says("active").await;
        assert_eq!(state(&vneid, &card).await.0, "active");
    }
}

story! {
    async fn a_loaded_holiday_is_nobody_s_working_day(town) {
        let days = officials_card::model::calendar::read("day,kind,name_vi\n2026-11-24,off,Ngày Văn hóa Việt Nam\n");
        town.service.store().save_holidays(days, "test", town.clock.now()).await.unwrap();
        let office = Office::open_with(town, reviewers).await;
        let me = Me::signs_in(&office, PERSON).await;
        let made = me.proposes(json!({"marital_status": "2"})).await.expect(201);
        // A Sunday; Monday, Wednesday, Thursday: due when Friday begins in Vietnam.
        assert_eq!(made["proposal"]["due_at"], 1_795_712_400);
        let record = me.handle().await;
        office.town.imports(PERSON, "H26", "002", "active").await;
        let waiting = office.town.officer("an").await.get("/api/v1/confirmations?unit=H26").await.expect(200);
        assert_eq!((&waiting["items"][0]["record"], &waiting["items"][0]["due_at"]), (&json!(record), &json!(1_795_712_400)));
        let load = office.town.officer("an").await.get("/api/v1/proposals/workload?unit=H26").await.expect(200).to_string();
        assert!(load.contains("2026-11-25") && !load.contains("2026-11-24"), "{load}");
    }
}
