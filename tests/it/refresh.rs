//! The facts on a card change: the old card is withdrawn, a new one stands in its place, whoever follows the feed is told,
//! and the wallet gets the new card with the grant that it has.

use axum::body::Body;
use axum::http::{Request, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use officials_card::credential::sd_jwt::Presentation;
use officials_card::credential::x509::Anchors;
use officials_card::credential::{Signer, jws};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{Connection, Row};

use crate::revoke::{published, status_of};
use crate::story;
use crate::town::{Answer, Officer, Town, URL, Wallet};

const PERSON: &str = "001199000018";
const SD_JWT: &str = "official-card-sdjwt";

/// A form or request of a wallet whose tokens are bound to its key.
async fn by_dpop(wallet: &Wallet<'_>, path: &str, token: Option<&str>, media_type: &str, body: String) -> Answer {
    let town = wallet.town;
    let fresh =
        town.send(Request::post("/nonce").header("DPoP", "to be told a nonce").body(Body::empty()).unwrap()).await;
    let nonce = fresh.header("dpop-nonce");
    let mut payload = json!({
        "htm": "POST", "htu": format!("{URL}{path}"), "iat": town.clock.now(), "nonce": nonce, "jti": fresh.json()["c_nonce"],
    });
    if let Some(token) = token {
        payload["ath"] = json!(URL_SAFE_NO_PAD.encode(Sha256::digest(token)));
    }
    let proof_header = jws::header(&wallet.key, "dpop+jwt", json!({"jwk": wallet.key.public_key().to_jwk()}));
    let proof = jws::sign(&wallet.key, &proof_header, payload.to_string().as_bytes()).unwrap();
    let mut request = Request::post(path).header(header::CONTENT_TYPE, media_type).header("DPoP", proof);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("DPoP {token}"));
    }
    town.send(request.body(body.into()).unwrap()).await
}

pub async fn tokens(wallet: &Wallet<'_>, form: String) -> Value {
    let answer = by_dpop(wallet, "/token", None, "application/x-www-form-urlencoded", form).await.expect(200);
    assert_eq!(answer["token_type"], "DPoP");
    answer
}

async fn asks(wallet: &Wallet<'_>, tokens: &Value) -> Answer {
    let request = Wallet::request(SD_JWT, &[wallet.proof(&wallet.nonce().await)]).to_string();
    by_dpop(wallet, "/credential", tokens["access_token"].as_str(), "application/json", request).await
}

pub async fn credential(wallet: &Wallet<'_>, tokens: &Value) -> String {
    let answer = asks(wallet, tokens).await.expect(200);
    answer["credentials"][0]["credential"].as_str().unwrap().to_owned()
}

pub fn position(town: &Town, credential: &str) -> Value {
    let anchors = Anchors::from_pem(town.service.anchor_pem()).unwrap();
    let card = Presentation::parse(credential).unwrap();
    let card = card.verify(&anchors, &format!("{URL}/types/official-card/1"), town.clock.now()).unwrap();
    card.claims["position_title"].clone()
}

/// Kind, card, reason and the other card of all events.
async fn told(officer: &Officer<'_>) -> Vec<Value> {
    let request = Request::get("/api/v1/events?after=0")
        .header(header::AUTHORIZATION, format!("Bearer {}", officer.token))
        .header(header::ACCEPT, "application/json");
    let page = officer.town.send(request.body(Body::empty()).unwrap()).await.expect(200);
    let other =
        |event: &Value| [&event["replaced_by"], &event["replaces"]].into_iter().find(|one| !one.is_null()).cloned();
    let events = page["events"].as_array().unwrap().iter();
    events.map(|event| json!([event["kind"], event["card"], event["reason"], other(event)])).collect()
}

story! {
    async fn a_new_position_withdraws_the_card_and_the_wallet_gets_the_new_one(town) {
        gets_the_new_card(town, 1).await;
    }
}

story! {
    async fn a_deployment_may_say_that_a_card_was_superseded_rather_than_withdrawn(town) {
        gets_the_new_card(town, 3).await;
    }
}

async fn gets_the_new_card(files: Town, status: u8) {
    let town = files.configured(|config| config.refresh_status = status);
    let officer = town.officer("vneid").await;
    files.hires(PERSON, "H26").await;
    let wallet = town.wallet();
    let offer = officer.offer(PERSON).await;
    let form = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:pre-authorized_code&pre-authorized_code={}&tx_code={}",
        wallet.code(&offer).await,
        offer["tx_code"].as_str().unwrap()
    );
    let given = tokens(&wallet, form).await;
    let first = credential(&wallet, &given).await;
    let old = offer["card"].clone();
    let path = format!("/api/v1/cards/{}", old.as_str().unwrap());

    // What the unit says counts when it is matched and confirmed.
    files.imports(PERSON, "H26", "002", "active").await;
    assert_eq!(town.service.refresh_cards().await.unwrap(), 0);
    assert_eq!(officer.get(&path).await.expect(200)["state"], "active");
    assert_eq!(published(&town, &status_of(&first)).await, 0);
    files.matches_and_confirms("H26").await;
    assert_eq!(town.service.refresh_cards().await.unwrap(), 1);
    assert_eq!(town.service.refresh_cards().await.unwrap(), 0, "once");

    let withdrawn = officer.get(&path).await.expect(200);
    let new = withdrawn["replaced_by"].clone();
    assert_eq!((&withdrawn["state"], &withdrawn["reason"]), (&json!("withdrawn"), &json!("position_changed")));
    let standing = officer.get(&format!("/api/v1/cards/{}", new.as_str().unwrap())).await.expect(200);
    assert_eq!((&standing["state"], &standing["reason"]), (&json!("active"), &Value::Null));
    assert_eq!(published(&town, &status_of(&first)).await, status);
    assert_eq!(
        told(&officer).await,
        [
            json!(["card.created", old, null, null]),
            json!(["card.refreshed", old, "position_changed", new]),
            json!(["card.created", new, null, old]),
        ]
    );

    // Nobody has to come again: the grant is for the record.
    town.clock.advance(3600);
    assert_eq!(asks(&wallet, &given).await.error(401), "invalid_token");
    let refresh = given["refresh_token"].as_str().unwrap();
    let given = tokens(&wallet, format!("grant_type=refresh_token&refresh_token={refresh}")).await;
    let second = credential(&wallet, &given).await;
    assert_ne!(position(&town, &first), position(&town, &second));
    assert_eq!(published(&town, &status_of(&second)).await, 0);
    assert_eq!(published(&town, &status_of(&first)).await, status, "the old one stays what it is");
    assert_eq!(told(&town.officer("vneid").await).await.len(), 3, "and the wallet's visit changes no card");
}

story! {
    async fn a_card_that_cannot_be_compared_keeps_no_other_waiting(town) {
        let people = [PERSON.to_owned(), "001199000019".to_owned(), "001199000020".to_owned()];
        let officer = town.officer("vneid").await;
        for person in &people {
            town.hires(person, "H26").await;
            officer.offer(person).await;
            town.imports(person, "H26", "002", "active").await;
        }
        town.matches_and_confirms("H26").await;
        // The first one in order cannot be read.
        let mut database = sqlx::AnyConnection::connect(&town.database_url).await.unwrap();
        let broken = sqlx::query(
            "UPDATE cards SET facts = '{}' WHERE record_id = (SELECT MIN(id) FROM records)",
        );
        assert_eq!(broken.execute(&mut database).await.unwrap().rows_affected(), 1);
        let error = town.service.refresh_cards().await.unwrap_err().to_string();
        assert!(people.iter().all(|person| !error.contains(person.as_str())), "{error}");
        let replaced = sqlx::query("SELECT COUNT(*) FROM cards WHERE state = 'withdrawn'").fetch_one(&mut database).await;
        assert_eq!(replaced.unwrap().get::<i64, _>(0), 2);
        assert!(town.service.refresh_cards().await.is_err(), "it is tried again");
    }
}
