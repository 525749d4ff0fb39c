//! DCQL through the server: what a configured query asks for is what an answer has to be, whatever a wallet makes of it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use officials_card::config::{AgencyRule, ResponseMode, StatusRule};
use officials_card::credential::jws::Jws;
use officials_card::credential::sd_jwt;
use officials_card::credential::x509::Anchors;
use officials_card::protocol::dcql::Query;
use officials_card::protocol::oid4vp::RequestObject;
use serde_json::{Value, json};

use crate::present::{PERSON, begin, link, now, template, wallet};
use crate::present_refused::is_rejected;
use crate::presenter::{Kept, Presenter, Reply};
use crate::story;
use crate::town::{Officer, Town, URL};

const NAME: &str = "Nguyễn Thị Thử Nghiệm";

/// A credential query for our SD-JWT card.
fn sd_jwt_with(members: &Value) -> Value {
    let mut query = json!({"id": "card", "format": "dc+sd-jwt", "meta": {"vct_values": ["${vct}"]}});
    query.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    query
}

/// A credential query for our mdoc.
fn mdoc_with(members: &Value) -> Value {
    let mut query = json!({"id": "mdoc", "format": "mso_mdoc", "meta": {"doctype_value": "${doctype}"},
        "claims": [{"path": ["${namespace}", "personal_id_number"]}]});
    query.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    query
}

/// The town with one template that asks this.
fn asking(town: &Town, query: &Value) -> Town {
    let town = town.configured(|config| {
        config.presentation_templates = vec![template("own", |template| {
            template.dcql_query = query.to_string();
            template.agency = AgencyRule::None;
            template.response_mode = ResponseMode::DirectPost;
            template.status = StatusRule::Required;
        })];
    });
    town.service.check_settings().unwrap();
    town
}

/// The wallet answers another question than it was asked: it filters nothing that this one does not.
fn as_if_asked(wallet: &Presenter, request: &RequestObject, query: &Value, now: i64) -> Reply {
    let text = query.to_string();
    let text = text.replace("${vct}", &format!("{URL}/types/official-card/1"));
    let text = text
        .replace("${doctype}", "vn.gov.moha.officials-card.1")
        .replace("${namespace}", "vn.gov.moha.officials-card.1");
    let query = Query::parse(&serde_json::from_str(&text).unwrap()).unwrap();
    wallet.reply(&RequestObject { query, ..request.clone() }, now)
}

/// What becomes of an answer to the template by a wallet that takes it for another question: its credentials, or the
/// reason of the rejection.
async fn answered(town: &Town, officer: &Officer<'_>, wallet: &Presenter, query: &Value) -> Result<Value, String> {
    let made = begin(officer, json!({"template": "own"})).await;
    let request = wallet.fetch(town, link(&made)).await;
    let reply = as_if_asked(wallet, &request, query, town.clock.now());
    outcome(town, officer, wallet, &made, &request, reply).await
}

async fn outcome(
    town: &Town,
    officer: &Officer<'_>,
    wallet: &Presenter,
    made: &Value,
    request: &RequestObject,
    reply: Reply,
) -> Result<Value, String> {
    let answer = wallet.post(town, request, reply).await;
    let seen = now(officer, made).await;
    if seen["state"] == "verified" {
        answer.expect(200);
        return Ok(seen["result"]["credentials"].clone());
    }
    let reason = seen["reason"].as_str().unwrap().to_owned();
    is_rejected(officer, made, answer, &reason).await;
    Err(reason)
}

story! {
    async fn of_claim_sets_the_first_that_is_whole_counts(town) {
        town.hires(PERSON, "H26").await;
        let held = wallet(&town).await;
        let claims = json!([
            {"id": "name", "path": ["full_name"]}, {"id": "job", "path": ["job_position"]},
            {"id": "code", "path": ["employing_agency", "code"]},
        ]);
        let query = |sets: Value| json!({"credentials": [sd_jwt_with(&json!({"claims": claims, "claim_sets": sets}))]});
        let asked = query(json!([["name", "job"], ["name", "code"], ["code"]]));
        let town = asking(&town, &asked);
        let officer = town.officer("vneid").await;
        let told = answered(&town, &officer, &held, &asked).await.unwrap();
        let expected = json!({"full_name": NAME, "employing_agency": {"code": "H26"}});
        assert_eq!(told[0]["claims"], expected, "nobody has said a job");
        // A wallet that prefers the last gives less, and that is an answer too; half a set is none.
        let told = answered(&town, &officer, &held, &query(json!([["code"]]))).await.unwrap();
        assert_eq!(told[0]["claims"], json!({"employing_agency": {"code": "H26"}}));
        assert_eq!(answered(&town, &officer, &held, &query(json!([["name"]]))).await.unwrap_err(), "query_claims");
    }
}

story! {
    async fn values_and_authorities_are_looked_at_again(town) {
        town.hires(PERSON, "H26").await;
        let held = wallet(&town).await;
        let with = |values: Value| json!({"credentials": [
            sd_jwt_with(&json!({"claims": [{"path": ["employing_agency", "code"], "values": values}]})),
        ]});
        for (values, expected) in [
            (json!(["G01", "H26"]), None),
            (json!(["G01"]), Some("query_values")),
            (json!(["h26"]), Some("query_values")),
            (json!([26, true]), Some("query_values")),
        ] {
            let town = asking(&town, &with(values.clone()));
            let officer = town.officer("vneid").await;
            let outcome = answered(&town, &officer, &held, &with(json!(["H26"]))).await;
            assert_eq!(outcome.err().as_deref(), expected, "{values}");
        }
        let officer = town.officer("vneid").await;
        let one = town.wallet();
        let card = one.card(&officer, PERSON, "official-card-sdjwt").await;
        let chain = Jws::parse(card.split('~').next().unwrap(), sd_jwt::TYPE).unwrap().certificates().unwrap();
        let ours = Anchors::default().authority_key_ids(&chain);
        let under = |id: &[u8]| json!({"credentials": [sd_jwt_with(&json!({
            "claims": [{"path": ["full_name"]}],
            "trusted_authorities": [{"type": "aki", "values": [URL_SAFE_NO_PAD.encode(id)]}],
        }))]});
        let mut other = ours[0].clone();
        other[0] ^= 1;
        for (id, expected) in [(&ours[0], None), (&other, Some("query_authority"))] {
            let town = asking(&town, &under(id));
            let officer = town.officer("vneid").await;
            let outcome = answered(&town, &officer, &held, &under(&ours[0])).await;
            assert_eq!(outcome.err().as_deref(), expected);
        }
    }
}

story! {
    async fn an_optional_set_may_come_and_has_to_be_good_when_it_does(town) {
        town.hires(PERSON, "H26").await;
        let held = wallet(&town).await;
        let sd_jwt = sd_jwt_with(&json!({"claims": [{"path": ["personal_id_number"]}]}));
        let (mdoc, both) = (mdoc_with(&json!({})), |sets: Value| {
            let mut query = json!({"credentials": [sd_jwt, mdoc_with(&json!({}))]});
            if !sets.is_null() {
                query["credential_sets"] = sets;
            }
            query
        });
        let town = asking(&town, &both(json!([{"options": [["card"]]}, {"options": [["mdoc"]], "required": false}])));
        let officer = town.officer("vneid").await;
        let ids = |told: &Value| -> Vec<String> {
            told.as_array().unwrap().iter().map(|one| one["query"].as_str().unwrap().to_owned()).collect()
        };
        let one = answered(&town, &officer, &held, &json!({"credentials": [sd_jwt]})).await.unwrap();
        assert_eq!(ids(&one), ["card"]);
        let two = answered(&town, &officer, &held, &both(Value::Null)).await.unwrap();
        assert_eq!(ids(&two), ["card", "mdoc"]);
        for one in two.as_array().unwrap() {
            assert_eq!(one["claims"]["personal_id_number"], PERSON);
        }
        let only = json!({"credentials": [mdoc]});
        assert_eq!(answered(&town, &officer, &held, &only).await.unwrap_err(), "query_missing");
        // Nobody needed the mdoc, but what came of it says less than was asked for.
        let less = mdoc_with(&json!({"claims": [{"path": ["${namespace}", "full_name"]}]}));
        let worse = json!({"credentials": [sd_jwt, less]});
        assert_eq!(answered(&town, &officer, &held, &worse).await.unwrap_err(), "query_claims");
        // One under the identifier of the other: the format is that of the query.
        let swapped = json!({"credentials": [sd_jwt_with(&json!({"id": "mdoc", "claims": [{"path": ["full_name"]}]}))]});
        assert_eq!(answered(&town, &officer, &held, &swapped).await.unwrap_err(), "encoding");
        let swapped = json!({"credentials": [mdoc_with(&json!({"id": "card"}))]});
        assert_eq!(answered(&town, &officer, &held, &swapped).await.unwrap_err(), "malformed");
    }
}

/// The `vp_token` in a reply in the clear.
fn vp_token(reply: &Reply) -> Value {
    let Reply::Form(form) = reply else { panic!("not a form") };
    serde_json::from_str(&form.iter().find(|(name, _)| name == "vp_token").unwrap().1).unwrap()
}

story! {
    async fn several_of_one_kind_come_where_they_are_asked_for(town) {
        town.hires(PERSON, "H26").await;
        let first = wallet(&town).await;
        let officer = town.officer("vneid").await;
        let taker = town.wallet();
        let card = taker.card(&officer, PERSON, "official-card-sdjwt").await;
        let second = Presenter::new(first.verifiers.clone(), vec![Kept::sd_jwt(&card, taker.key)]);
        for (multiple, claim, expected) in [
            (true, "personal_id_number", None),
            (true, "full_name", Some("several_people")),
            (false, "personal_id_number", Some("vp_token")),
        ] {
            let asked = json!({"credentials": [sd_jwt_with(&json!({"multiple": multiple, "claims": [{"path": [claim]}]}))]});
            let town = asking(&town, &asked);
            let officer = town.officer("vneid").await;
            let made = begin(&officer, json!({"template": "own"})).await;
            let request = first.fetch(&town, link(&made)).await;
            let one = first.reply(&request, town.clock.now());
            let mut token = vp_token(&one);
            let other = vp_token(&second.reply(&request, town.clock.now()))["card"][0].clone();
            token["card"].as_array_mut().unwrap().push(other);
            let Reply::Form(mut form) = one else { panic!() };
            form.iter_mut().find(|(name, _)| name == "vp_token").unwrap().1 = token.to_string();
            let outcome = outcome(&town, &officer, &first, &made, &request, Reply::Form(form)).await;
            match expected {
                Some(reason) => assert_eq!(outcome.unwrap_err(), reason),
                None => assert_eq!(outcome.unwrap().as_array().unwrap().len(), 2),
            }
        }
    }
}
