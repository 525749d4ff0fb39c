//! What the issuer says of itself: plain and signed, in two languages, with a logo, types and keys.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use officials_card::credential::PublicKey;
use officials_card::credential::jws::Jws;
use officials_card::credential::x509::{Anchors, Use, pem_certificates};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::story;
use crate::town::{Answer, Ground, NOW, Town, URL};

const METADATA: &str = "/.well-known/openid-credential-issuer";
const DAY: i64 = 86_400;

async fn ask(town: &Town, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
    town.send(request.body(Body::empty()).unwrap()).await
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.bytes.to_vec()).unwrap()
}

/// The claims of signed metadata, checked as a wallet under HAIP does.
fn open(town: &Town, jwt: &str) -> Value {
    let jws = Jws::parse(jwt, "openidvci-issuer-metadata+jwt").unwrap();
    assert_eq!(jws.header["alg"], "ES256");
    let members: BTreeSet<_> = jws.header.keys().map(String::as_str).collect();
    assert_eq!(members, BTreeSet::from(["alg", "typ", "x5c"]), "no jwk, which the suite would prefer to the chain");
    let chain = jws.certificates().unwrap();
    let root = pem_certificates(town.service.anchor_pem()).unwrap();
    assert!(!chain.contains(&root[0]), "the anchor is the wallet's to know");
    let key = Anchors::new(root).check(&chain, Use::Metadata, town.clock.now()).unwrap();
    Value::Object(jws.verify(&key).unwrap())
}

/// Every array `display` of a document.
fn displays(value: &Value) -> Vec<&Vec<Value>> {
    match value {
        Value::Array(values) => values.iter().flat_map(displays).collect(),
        Value::Object(members) => {
            let below = members.values().flat_map(displays);
            members.get("display").and_then(Value::as_array).into_iter().chain(below).collect()
        }
        _ => Vec::new(),
    }
}

fn locales(display: &[Value]) -> Vec<&str> {
    display.iter().map(|text| text["locale"].as_str().unwrap()).collect()
}

story! {
    async fn a_wallet_that_wants_more_than_tls_gets_signed_metadata(town) {
        let plain = town.get(METADATA).await.expect(200);
        let signed = ask(&town, METADATA, &[("accept", "application/jwt")]).await;
        assert_eq!(signed.header("content-type"), "application/jwt");
        assert_eq!(signed.header("vary"), "Accept, Accept-Language");
        let mut claims = open(&town, &text(&signed));
        let midnight = NOW - NOW.rem_euclid(DAY);
        let own = [("iss", json!(URL)), ("sub", json!(URL)), ("iat", json!(midnight)), ("exp", json!(midnight + 2 * DAY))];
        for (name, value) in own {
            assert_eq!(claims.as_object_mut().unwrap().remove(name), Some(value), "{name}");
        }
        assert_eq!(claims, plain, "every member of the metadata is a claim, and no more");

        // The same bytes all day, and new ones on the next: the signature is never older than a day.
        town.clock.advance(midnight + DAY - NOW - 1);
        assert_eq!(ask(&town, METADATA, &[("accept", "application/jwt")]).await.bytes, signed.bytes);
        town.clock.advance(1);
        let next = ask(&town, METADATA, &[("accept", "application/jwt")]).await;
        assert_eq!(open(&town, &text(&next))["iat"], midnight + DAY);
        assert_ne!(next.header("etag"), signed.header("etag"));
    }
}

#[tokio::test]
async fn json_is_given_unless_signed_metadata_is_wanted_more() {
    let town = Town::on(Ground::Sqlite).await;
    for (accept, expected) in [
        (None, "application/json"),
        (Some("*/*"), "application/json"),
        (Some("application/*"), "application/json"),
        (Some("application/json, application/jwt"), "application/json"),
        (Some("application/json;q=0.9, application/jwt"), "application/jwt"),
        (Some("application/jwt, */*;q=0.1"), "application/jwt"),
        (Some("application/json;q=0, */*"), "application/jwt"),
        (Some("application/jwt;q=0, */*"), "application/json"),
        (Some("text/html"), "application/json"),
        (Some("application/jwt;q=2"), "application/json"),
        (Some(";;;,,"), "application/json"),
    ] {
        let headers: Vec<_> = accept.iter().map(|accept| ("accept", *accept)).collect();
        let answer = ask(&town, METADATA, &headers).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, expected), "{accept:?}");
        assert_eq!(answer.header("cache-control"), "public, max-age=300");
    }
}

#[tokio::test]
async fn texts_come_in_the_languages_asked_for() {
    let town = Town::on(Ground::Sqlite).await;
    for (asked, expected) in [
        (None, vec!["vi-VN", "en"]),
        (Some("vi"), vec!["vi-VN"]),
        (Some("en-GB, vi;q=0.3"), vec!["en", "vi-VN"]),
        (Some("en"), vec!["en"]),
        (Some("*"), vec!["vi-VN", "en"]),
        (Some("fr"), vec!["vi-VN", "en"]),
    ] {
        let headers: Vec<_> = asked.iter().map(|asked| ("accept-language", *asked)).collect();
        let plain = ask(&town, METADATA, &headers).await;
        assert_eq!(plain.header("content-language"), expected.join(", "), "{asked:?}");
        let headers = [&headers[..], &[("accept", "application/jwt")]].concat();
        let signed = ask(&town, METADATA, &headers).await;
        assert_eq!(signed.header("content-language"), expected.join(", "), "{asked:?}");
        for document in [plain.json(), open(&town, &text(&signed))] {
            let displays = displays(&document);
            assert!(displays.len() > 20, "issuer, configurations and claims");
            for display in displays {
                assert_eq!(locales(display), expected, "{asked:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_wallet_that_has_the_metadata_is_told_so() {
    let town = Town::on(Ground::Sqlite).await;
    for accept in ["application/json", "application/jwt"] {
        let first = ask(&town, METADATA, &[("accept", accept)]).await;
        let etag = first.header("etag").to_owned();
        for held in [etag.clone(), format!("\"other\", {etag}"), "*".into()] {
            let again = ask(&town, METADATA, &[("accept", accept), ("if-none-match", &held)]).await;
            assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0), "{held}");
            assert_eq!(again.header("etag"), etag);
        }
        let english =
            ask(&town, METADATA, &[("accept", accept), ("if-none-match", &etag), ("accept-language", "en")]).await;
        assert_eq!(english.status, 200, "another language is another document");
        assert_eq!(ask(&town, METADATA, &[("accept", accept), ("if-none-match", "\"other\"")]).await.status, 200);
    }
}

#[tokio::test]
async fn the_logo_is_a_picture_and_nothing_else() {
    let town = Town::on(Ground::Sqlite).await;
    let metadata = town.get(METADATA).await.expect(200);
    let mut logos = BTreeSet::new();
    let configurations = metadata["credential_configurations_supported"].as_object().unwrap();
    let looks = configurations.values().map(|one| &one["credential_metadata"]["display"]);
    for display in looks.chain([&metadata["display"]]) {
        for look in display.as_array().unwrap() {
            logos.insert(look["logo"]["uri"].as_str().unwrap().to_owned());
            assert!(look["logo"]["alt_text"].as_str().unwrap().len() > 5);
        }
    }
    let [logo] = logos.into_iter().collect::<Vec<_>>().try_into().unwrap();
    let answer = town.get(logo.strip_prefix(URL).unwrap()).await;
    assert_eq!(answer.header("content-type"), "image/svg+xml");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("content-security-policy"), "default-src 'none'; sandbox; frame-ancestors 'none'");
    assert_eq!(answer.header("cache-control"), "public, max-age=2592000");
    let svg = text(&answer);
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
    for active in ["<script", "href", "<foreignObject", " on", "<!DOCTYPE", "<style"] {
        assert!(!svg.contains(active), "{active}");
    }
}

story! {
    async fn a_verifier_finds_type_and_keys_of_a_card(town) {
        town.hires("001199000018", "H26").await;
        let officer = town.officer("vneid").await;
        for configuration in ["official-card-sdjwt", "official-card-sdjwt-eddsa"] {
            let card = town.wallet().card(&officer, "001199000018", configuration).await;
            let jws = Jws::parse(card.split('~').next().unwrap(), "dc+sd-jwt").unwrap();

            // The type, whose bytes the card vouches for.
            let vct = jws.claimed("vct").unwrap().as_str().unwrap().to_owned();
            let answer = ask(&town, vct.strip_prefix(URL).unwrap(), &[("accept", "application/json")]).await;
            assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
            let integrity = format!("sha256-{}", STANDARD.encode(Sha256::digest(&answer.bytes)));
            assert_eq!(jws.claimed("vct#integrity").unwrap(), &json!(integrity));
            let kind = answer.expect(200);
            assert_eq!(kind["vct"], vct);
            let disclosed: BTreeSet<String> = card.split('~').skip(1).filter(|one| !one.is_empty()).map(|disclosure| {
                let disclosure: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(disclosure).unwrap()).unwrap();
                disclosure[1].as_str().unwrap().to_owned()
            }).collect();
            // Consumers turn a card away that breaks `mandatory` or `sd` (SD-JWT VC from draft 17).
            for claim in kind["claims"].as_array().unwrap() {
                let name = claim["path"][0].as_str().unwrap();
                assert_eq!(claim["sd"], "always");
                assert!(jws.claimed(name).is_none(), "{name} is selectively disclosable");
                assert!(disclosed.contains(name) || claim["mandatory"] == false, "{name} is mandatory");
                assert_eq!(locales(claim["display"].as_array().unwrap()), ["vi-VN", "en"]);
            }
            assert_eq!(locales(kind["display"].as_array().unwrap()), ["vi-VN", "en"]);

            // The keys, by `iss` and `kid`.
            assert_eq!(jws.claimed("iss").unwrap(), URL);
            let issuer = town.get("/.well-known/jwt-vc-issuer").await.expect(200);
            assert_eq!(issuer["issuer"], URL);
            let keys = issuer["jwks"]["keys"].as_array().unwrap();
            assert!(keys.iter().all(|key| key.get("d").is_none()));
            let key = keys.iter().find(|key| key["kid"] == jws.header["kid"]).expect("the kid of the card");
            let mut bare = key.clone();
            for extra in ["kid", "alg", "use", "x5c"] {
                bare.as_object_mut().unwrap().remove(extra);
            }
            jws.verify(&PublicKey::from_jwk(&bare).unwrap()).unwrap();
        }
    }
}

#[tokio::test]
async fn an_issuer_below_a_path_is_found_there() {
    let town = Town::on(Ground::Sqlite).await;
    let tenant = town.configured(|config| config.public_url = "https://card.example.vn/tenant".into());
    let issuer = tenant.get("/.well-known/jwt-vc-issuer/tenant").await.expect(200);
    assert_eq!(issuer["issuer"], "https://card.example.vn/tenant");
    let signed = ask(&tenant, &format!("{METADATA}/tenant"), &[("accept", "application/jwt")]).await;
    let claims = open(&tenant, &text(&signed));
    assert_eq!(claims["sub"], "https://card.example.vn/tenant");
    assert_eq!(claims["display"][0]["logo"]["uri"], "https://card.example.vn/tenant/logo.svg");
    assert_eq!(tenant.get("/tenant/logo.svg").await.status, 200);
}

#[tokio::test]
async fn nothing_that_a_caller_says_changes_our_addresses() {
    let town = Town::on(Ground::Sqlite).await;
    let plain = town.get(METADATA).await.bytes;
    let lies = [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("forwarded", "host=evil.example;proto=http"),
    ];
    assert_eq!(ask(&town, METADATA, &lies).await.bytes, plain);
}
