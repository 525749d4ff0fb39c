//! The modules of the OpenID Foundation's plan for issuers (`oid4vci-1_0-issuer-…`), each under its name: what the suite
//! does over the network, done here to the server in one process. Where the suite accepts several answers, ours is named.

use std::collections::HashSet;

use axum::body::Body;
use axum::http::{Request, header};
use officials_card::config::KeyAttestations;
use officials_card::credential::jws::Jws;
use officials_card::credential::sd_jwt::{Presentation, VerifiedCard};
use officials_card::credential::x509::Anchors;
use officials_card::credential::{PublicKey, Signer, jws};
use serde_json::{Value, json};

use crate::attester::key_claims;
use crate::holder::{CodeWallet, Draft, Office, PERSON, SD_JWT, Tokens, entropy, fresh_key, request_uri, spoiled};
use crate::proofs::Envelope;
use crate::revoke::published;
use crate::story;
use crate::town::{Town, URL};

/// A credential as a verifier sees it.
fn verified<'a>(town: &Town, credential: &'a str) -> VerifiedCard<'a> {
    let anchors = Anchors::from_pem(town.service.anchor_pem()).unwrap();
    let vct = format!("{URL}/types/official-card/1");
    Presentation::parse(credential).unwrap().verify(&anchors, &vct, town.clock.now()).unwrap()
}

fn credential(answer: &Value, at: usize) -> &str {
    answer["credentials"][at]["credential"].as_str().unwrap()
}

/// What the suite looks at in every credential.
async fn check_credential(town: &Town, credential: &str, holder: &PublicKey) {
    assert!(credential.ends_with('~'), "no key binding");
    let (jwt, _) = credential.split_once('~').unwrap();
    let jws = Jws::parse(jwt, "dc+sd-jwt").unwrap();
    assert_eq!(jws.certificates().unwrap().len(), 1, "the chain without its anchor");
    let seen = verified(town, credential);
    assert_eq!(seen.holder.as_ref(), Some(holder));
    for name in ["iat", "exp"] {
        assert_eq!(seen.claims[name].as_i64().unwrap() % 3600, 0, "{name} is rounded");
    }
    let mut disclosures: Vec<_> = credential.split('~').skip(1).collect();
    let all = disclosures.len();
    disclosures.sort_unstable();
    disclosures.dedup();
    assert_eq!(disclosures.len(), all, "no salt twice");
    let status = Presentation::parse(credential).unwrap().claimed_status().unwrap();
    assert_eq!(published(town, &status).await, 0);
}

/// A module that sends one pushed request which is wrong, and ours is the refusal.
macro_rules! refused_at_par {
    ($(#[$attribute:meta])* $name:ident, $change:expr) => {
        story! {
            $(#[$attribute])*
            async fn $name(town) {
                let office = Office::open(town).await;
                let wallet = office.wallet();
                let change: for<'a> fn(Draft<'a>) -> Draft<'a> = $change;
                assert_eq!(change(wallet.par()).send().await.error(401), "invalid_client");
                wallet.par().send().await.expect(201);
            }
        }
    };
}

/// A module that sends one credential request which is wrong, and our refusal.
macro_rules! refused_at_credential {
    ($name:ident, $error:literal, $change:expr) => {
        story! {
            async fn $name(town) {
                let office = Office::open(town).await;
                let wallet = office.wallet();
                let tokens = wallet.tokens(PERSON).await;
                let change: for<'a> fn(Draft<'a>) -> Draft<'a> = $change;
                let wrong = change(wallet.credential(&tokens.access, SD_JWT).await);
                assert_eq!(wrong.send().await.error(400), $error);
                wallet.issued(&tokens.access).await;
            }
        }
    };
}

story! {
    async fn metadata_test(town) {
        let office = Office::open_with(town, |config| config.public_url = "https://card.example.vn/dept".into()).await;
        let answer = office.town.get("/.well-known/openid-credential-issuer/dept").await;
        assert_eq!(answer.header("content-type"), "application/json");
        let issuer = answer.expect(200);
        check_issuer_metadata(&issuer);
        let server = office.town.get("/.well-known/oauth-authorization-server/dept").await.expect(200);
        assert_eq!(server["issuer"], issuer["credential_issuer"]);
        for (name, value) in server.as_object().unwrap() {
            let is_https = value.as_str().is_some_and(|url| url.starts_with("https://card.example.vn/dept/"));
            assert!(is_https || !name.ends_with("_endpoint"), "{name}");
        }
        let keys = office.town.get("/dept/.well-known/jwks.json").await.expect(200);
        for key in keys["keys"].as_array().unwrap() {
            assert!(key.get("d").is_none() && key["kty"] != "oct", "{key}");
        }
    }
}

fn check_issuer_metadata(issuer: &Value) {
    assert_eq!(issuer["credential_issuer"], "https://card.example.vn/dept");
    for name in ["credential_endpoint", "nonce_endpoint", "deferred_credential_endpoint", "notification_endpoint"] {
        assert!(issuer[name].as_str().unwrap().starts_with("https://card.example.vn/dept/"), "{name}");
    }
    assert!(issuer["batch_credential_issuance"]["batch_size"].as_u64().unwrap() >= 2);
    let known = [
        "credential_issuer",
        "authorization_servers",
        "credential_endpoint",
        "nonce_endpoint",
        "deferred_credential_endpoint",
        "notification_endpoint",
        "credential_request_encryption",
        "credential_response_encryption",
        "batch_credential_issuance",
        "display",
        "credential_configurations_supported",
    ];
    for name in issuer.as_object().unwrap().keys() {
        assert!(known.contains(&name.as_str()), "{name}");
    }
    for (id, configuration) in issuer["credential_configurations_supported"].as_object().unwrap() {
        assert_eq!(configuration["scope"], **id, "HAIP: a scope for each");
        assert!(configuration["cryptographic_binding_methods_supported"].is_array());
        for proof_type in configuration["proof_types_supported"].as_object().unwrap().values() {
            assert!(!proof_type["proof_signing_alg_values_supported"].as_array().unwrap().is_empty());
        }
        let algorithms = configuration["credential_signing_alg_values_supported"].as_array().unwrap();
        let by_number = configuration["format"] != "dc+sd-jwt";
        assert!(!algorithms.is_empty() && algorithms.iter().all(|one| one.is_i64() == by_number), "{id}");
    }
    let request = &issuer["credential_request_encryption"];
    let key = &request["jwks"]["keys"][0];
    assert!(key["kid"].is_string() && key["alg"] == "ECDH-ES" && key["use"] == "enc" && key.get("d").is_none());
    assert_eq!(request["encryption_required"], false);
    let response = &issuer["credential_response_encryption"];
    assert_eq!(response["alg_values_supported"], json!(["ECDH-ES"]));
    assert_eq!(response["zip_values_supported"], json!(["DEF"]));
}

story! {
    async fn metadata_test_signed(town) {
        let office = Office::open_with(town, |config| config.public_url = "https://card.example.vn/dept".into()).await;
        let request = Request::get("/.well-known/openid-credential-issuer/dept").header(header::ACCEPT, "application/jwt");
        let answer = office.town.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/jwt"));
        let text = std::str::from_utf8(&answer.bytes).unwrap();
        let jws = Jws::parse(text, "openidvci-issuer-metadata+jwt").unwrap();
        assert!(jws.header.get("jwk").is_none(), "the suite would take it before x5c");
        let anchors = Anchors::from_pem(office.town.service.anchor_pem()).unwrap();
        let key = anchors.check_path(&jws.certificates().unwrap(), office.town.clock.now()).unwrap();
        let mut claims = Value::Object(jws.verify(&key).unwrap());
        assert_eq!(claims["sub"], "https://card.example.vn/dept");
        assert!(claims["iat"].as_i64().unwrap() <= office.town.clock.now());
        assert!(claims["exp"].as_i64().unwrap() > office.town.clock.now());
        for name in ["iat", "exp", "iss", "sub"] {
            claims.as_object_mut().unwrap().remove(name);
        }
        check_issuer_metadata(&claims);
    }
}

/// From a pushed request to the notification, with unknown parameters everywhere.
async fn whole_flow(office: &Office, wallet: &CodeWallet<'_>, issuer_state: Option<&str>) -> Value {
    let mut par = wallet.par().with("q7Xk", "Zr1B");
    if let Some(issuer_state) = issuer_state {
        par = par.with("issuer_state", issuer_state);
    }
    let request_uri = request_uri(par.send().await);
    let landing = wallet.lands(&request_uri, PERSON).await;
    assert_eq!(landing.0["state"], "the state & more");
    let code = landing.code();
    let tokens = Tokens::of(wallet.redeem(&code).with("q7Xk", "Zr1B").send().await);
    for text in [&request_uri, &code, &tokens.access, &tokens.refresh] {
        assert!(entropy(text) > 96.0 && text.len() >= 22, "{text}");
    }
    let answer = wallet.credential(&tokens.access, SD_JWT).await.with("q7Xk", "Zr1B").send().await;
    assert_eq!((answer.header("content-type"), answer.header("cache-control")), ("application/json", "no-store"));
    let answer = answer.expect(200);
    let members: HashSet<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, HashSet::from(["credentials", "notification_id"]));
    check_credential(&office.town, credential(&answer, 0), wallet.key.public_key()).await;
    let note = json!({"notification_id": answer["notification_id"], "event": "credential_accepted", "q7Xk": "Zr1B"});
    wallet.call("/notification", &tokens.access, note).send().await.expect(204);
    answer
}

story! {
    async fn happy_flow(town) {
        let office = Office::open(town).await;
        whole_flow(&office, &office.wallet(), None).await;
        let issuer_state = office.issuer_state(PERSON).await;
        whole_flow(&office, &office.wallet(), Some(&issuer_state)).await;

        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        let envelope = Envelope::new(&office.town).await;
        for zip in [None, Some("DEF")] {
            let mut asks = envelope.asks("A128GCM");
            if let Some(zip) = zip {
                asks["zip"] = json!(zip);
            }
            let draft = wallet.credential(&tokens.access, SD_JWT).await.with("credential_response_encryption", asks);
            let answer = draft.in_envelope(&envelope).send().await;
            assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/jwt"));
            let opened = envelope.own.open(std::str::from_utf8(&answer.bytes).unwrap(), 1 << 20);
            let answer: Value = serde_json::from_slice(&opened.unwrap()).unwrap();
            check_credential(&office.town, credential(&answer, 0), wallet.key.public_key()).await;
        }
    }
}

story! {
    async fn happy_flow_additional_requests(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        for accept in ["application/json;charset=UTF-8", "application/json, application/*+json, */*"] {
            let draft = wallet.credential(&tokens.access, SD_JWT).await.header("Accept", accept);
            let draft = draft.header("Accept-Charset", "utf-8").header("x-fapi-customer-ip-address", "2001:db8::1893:25c8:1946");
            let draft = draft.header("x-fapi-interaction-id", "c770aEF3-6784-41f7-8e0e-FF5F97bddb3a");
            let answer = draft.send().await;
            assert_eq!(answer.header("content-type"), "application/json");
            answer.expect(200);
        }
    }
}

story! {
    async fn happy_flow_multiple_clients(town) {
        let office = Office::open(town).await;
        let (one, two) = (office.wallet(), office.second_wallet());
        let issuer_state = office.issuer_state(PERSON).await;
        let first = whole_flow(&office, &one, Some(&issuer_state)).await;
        office.town.clock.advance(7);
        let second = whole_flow(&office, &two, Some(&issuer_state)).await;
        let times = |answer: &Value| {
            let seen = verified(&office.town, credential(answer, 0));
            (seen.claims["iat"].clone(), seen.claims["exp"].clone())
        };
        assert_eq!(times(&first), times(&second), "not linked by their times");
        let tokens = two.tokens(PERSON).await;
        let stolen = two.credential(&tokens.access, SD_JWT).await.dpop_by(&one.dpop);
        assert_eq!(stolen.send().await.error(401), "invalid_token");
        let by_one = one.credential(&tokens.access, SD_JWT).await;
        assert_eq!(by_one.send().await.error(401), "invalid_token");
        two.issued(&tokens.access).await;
    }
}

story! {
    async fn happy_flow_skip_notification(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        let answer = wallet.issued(&tokens.access).await;
        office.town.clock.advance(600);
        check_credential(&office.town, credential(&answer, 0), wallet.key.public_key()).await;
        wallet.issued(&tokens.access).await;
    }
}

story! {
    async fn batch_issuance(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        let nonce = wallet.nonce().await;
        let keys: Vec<_> = (0..10).map(|_| fresh_key()).collect();
        let proofs: Vec<_> = keys.iter().map(|key| wallet.proof(key, &nonce)).collect();
        let draft = wallet.credential(&tokens.access, SD_JWT).await.with("proofs", json!({"jwt": proofs}));
        let answer = draft.send().await.expect(200);
        assert_eq!(answer["credentials"].as_array().unwrap().len(), keys.len());
        let (mut places, mut salts, mut facts) = (Vec::new(), HashSet::new(), Vec::new());
        for (at, key) in keys.iter().enumerate() {
            let text = credential(&answer, at);
            check_credential(&office.town, text, key.public_key()).await;
            let mut claims = verified(&office.town, text).claims;
            for own in ["status", "cnf"] {
                claims.remove(own);
            }
            facts.push(claims);
            assert!(text.split('~').skip(1).filter(|one| !one.is_empty()).all(|one| salts.insert(one)), "a salt is shared");
            places.push(Presentation::parse(text).unwrap().claimed_status().unwrap());
        }
        assert!(facts.iter().all(|one| *one == facts[0] && one.contains_key("full_name")), "one data set");
        assert!(places.iter().all(|place| place.uri == places[0].uri), "lists of their own would tell them apart");
        let steps: HashSet<_> = places.windows(2).map(|pair| i64::from(pair[1].index) - i64::from(pair[0].index)).collect();
        assert!(!steps.contains(&0) && steps.len() > 2, "{steps:?}");
    }
}

story! {
    async fn fail_invalid_nonce(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        let proof = wallet.proof(&wallet.key, "0f4cf9c0-4d0d-4a4f-9f6b-1c5c5a2a3d1e");
        let draft = wallet.credential(&tokens.access, SD_JWT).await.with("proofs", json!({"jwt": [proof]}));
        assert_eq!(draft.send().await.error(400), "invalid_nonce");
        wallet.issued(&tokens.access).await;
    }
}

story! {
    async fn fail_invalid_jwt_proof_signature(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        let proof = wallet.proof(&wallet.key, &wallet.nonce().await);
        let with = |proof: &str| json!({"credential_configuration_id": SD_JWT, "proofs": {"jwt": [proof]}});
        let broken = wallet.call("/credential", &tokens.access, with(&spoiled(&proof)));
        assert_eq!(broken.send().await.error(400), "invalid_proof");
        wallet.call("/credential", &tokens.access, with(&proof)).send().await.expect(200);
    }
}

story! {
    async fn fail_invalid_key_attestation_signature(town) {
        let required = KeyAttestations { required: true, ..KeyAttestations::default() };
        let office = Office::open_with(town, |config| drop(config.key_attestations.insert(SD_JWT.into(), required))).await;
        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        let (now, nonce) = (office.town.clock.now(), wallet.nonce().await);
        let attestation = office.provider.attest(&key_claims(&[&wallet.key], &nonce, now));
        let with = |attestation: &str| {
            let extra = json!({"jwk": wallet.key.public_key().to_jwk(), "key_attestation": attestation});
            let payload = json!({"iss": wallet.client_id, "aud": URL, "iat": now, "nonce": nonce});
            let header = jws::header(&wallet.key, "openid4vci-proof+jwt", extra);
            let proof = jws::sign(&wallet.key, &header, payload.to_string().as_bytes()).unwrap();
            json!({"credential_configuration_id": SD_JWT, "proofs": {"jwt": [proof]}})
        };
        let broken = wallet.call("/credential", &tokens.access, with(&spoiled(&attestation)));
        assert_eq!(broken.send().await.error(400), "invalid_proof");
        wallet.call("/credential", &tokens.access, with(&attestation)).send().await.expect(200);
    }
}

refused_at_par!(fail_invalid_client_attestation_signature, |par| par.spoil_attestation());
refused_at_par!(fail_invalid_client_attestation_pop_signature, |par| par.spoil_pop());
refused_at_par!(fail_client_attestation_exp_in_past, |par| par.attestation(|_, claims| {
    claims["exp"] = json!(claims["iat"].as_i64().unwrap() - 600);
}));
refused_at_par!(fail_client_attestation_no_sub, |par| par.attestation(|_, claims| {
    claims.as_object_mut().unwrap().remove("sub");
}));
refused_at_par!(fail_client_attestation_pop_wrong_aud, |par| par.pop(|_, claims| {
    claims["aud"] = json!("https://other.example");
}));

story! {
    async fn fail_mismatched_client_attestation_pop_key(town) {
        let office = Office::open(town).await;
        let (wallet, other) = (office.wallet(), fresh_key());
        assert_eq!(wallet.par().pop_by(&other).send().await.error(401), "invalid_client");
        wallet.par().send().await.expect(201);
    }
}

refused_at_credential!(fail_missing_proof, "invalid_proof", |request| request.without("proofs"));
refused_at_credential!(fail_unknown_credential_configuration, "unknown_credential_configuration", |request| {
    request.with("credential_configuration_id", "3f1c7a8e")
});
refused_at_credential!(fail_unknown_credential_identifier, "unknown_credential_identifier", |request| {
    request.without("credential_configuration_id").with("credential_identifier", "3f1c7a8e")
});

story! {
    async fn fail_unsupported_encryption_algorithm(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        let envelope = Envelope::new(&office.town).await;
        for (algorithm, is_served) in [("UNSUPPORTED_ALG", false), ("ECDH-ES", true)] {
            let mut asks = envelope.asks("A128GCM");
            asks["jwk"]["alg"] = json!(algorithm);
            let draft = wallet.credential(&tokens.access, SD_JWT).await.with("credential_response_encryption", asks);
            let answer = draft.in_envelope(&envelope).send().await;
            if is_served {
                assert_eq!(answer.status, 200);
            } else {
                assert_eq!(answer.error(400), "invalid_encryption_parameters");
            }
        }
    }
}

story! {
    async fn fail_on_access_token_in_query(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        let in_query = format!("access_token={}", tokens.access);
        let answer = wallet.credential(&tokens.access, SD_JWT).await.no_token().query(&in_query).send().await;
        assert!(answer.header("www-authenticate").starts_with("DPoP "), "{answer:?}");
        answer.error(401);
        wallet.issued(&tokens.access).await;
    }
}
