//! What a verifier must not accept: everything that a wallet, a thief or a stranger can do wrong, and the modules of the
//! OpenID Foundation's verifier plans in small.

use axum::http::{Request, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use officials_card::config::{AgencyRule, ClientIdPrefix, Conformance, PresentationFlow};
use officials_card::credential::{Signer, jws};
use officials_card::keyring::{FileKey, fresh_p256_jwk};
use officials_card::protocol::oid4vp::Delivery;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::attester::Attester;
use crate::browser::Browser;
use crate::present::{PERSON, begin, is_sound, link, now, template, wallet};
use crate::presenter::{Kept, Misdeed, Presenter, Reply, YEAR_SECONDS};
use crate::story;
use crate::town::{Officer, Town, URL};

/// What is not for this transaction changes nothing: whoever saw the code could send it.
const CHANGES_NOTHING: [Misdeed; 8] = [
    Misdeed::OtherState,
    Misdeed::NoState,
    Misdeed::InTheClear,
    Misdeed::OtherKid,
    Misdeed::OtherKey,
    Misdeed::OtherEnc,
    Misdeed::Compressed,
    Misdeed::Deep,
];

const OF_SD_JWT: [(Misdeed, &str); 18] = [
    (Misdeed::Unbound, "binding_missing"),
    (Misdeed::BoundByAnother, "binding_signature"),
    (Misdeed::BoundToAnotherSelection, "binding_card"),
    (Misdeed::BindingSignature, "binding_signature"),
    (Misdeed::AudienceSuffix, "binding_audience"),
    (Misdeed::NonceSuffix, "binding_nonce"),
    (Misdeed::HashSuffix, "binding_card"),
    (Misdeed::MadeAt(YEAR_SECONDS), "binding_time"),
    (Misdeed::MadeAt(-YEAR_SECONDS), "binding_time"),
    (Misdeed::MadeAt(-61), "binding_time"),
    (Misdeed::IssuerSignature, "issuer_signature"),
    (Misdeed::Disclosure, "disclosure"),
    (Misdeed::RepeatedDisclosure, "disclosure"),
    (Misdeed::DisclosedExpiry, "disclosure"),
    (Misdeed::UnknownId, "vp_token"),
    (Misdeed::TwoPresentations, "vp_token"),
    (Misdeed::EmptyToken, "vp_token"),
    (Misdeed::ClaimKeptBack, "query_claims"),
];

const OF_MDOC: [(Misdeed, &str); 10] = [
    (Misdeed::NonceSuffix, "binding_signature"),
    (Misdeed::IssuerSignature, "issuer_signature"),
    (Misdeed::Element, "disclosure"),
    (Misdeed::Doctype, "type"),
    (Misdeed::DeviceSignature, "binding_signature"),
    (Misdeed::DeviceMac, "binding_missing"),
    (Misdeed::DeviceElements, "device_elements"),
    (Misdeed::TwoDocuments, "documents"),
    (Misdeed::UnknownId, "vp_token"),
    (Misdeed::ClaimKeptBack, "query_claims"),
];

/// The transaction is rejected for this reason, its client gets nothing, and the wallet learns nothing.
pub async fn is_rejected(officer: &Officer<'_>, made: &Value, answer: crate::town::Answer, reason: &str) {
    let said = answer.expect(400);
    let expected = json!({"error": "invalid_request", "error_description": "the presentation is not accepted"});
    assert_eq!(said, expected, "{reason}");
    let seen = now(officer, made).await;
    assert_eq!((&seen["state"], &seen["reason"], seen.get("result")), (&json!("rejected"), &json!(reason), None));
}

story! {
    async fn nothing_wrong_is_accepted(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let mut wallet = wallet(&town).await;
        for misdeeds in [&OF_SD_JWT[..], &OF_MDOC[..]] {
            for (misdeed, reason) in misdeeds {
                let made = begin(&officer, json!({"template": "gate-identity"})).await;
                wallet.misdeed = Some(*misdeed);
                let answer = wallet.present(&town, link(&made)).await;
                is_rejected(&officer, &made, answer, reason).await;
                // Once rejected it stays so, even for a good answer.
                wallet.misdeed = None;
                let path = made["request_uri"].as_str().unwrap().strip_prefix(URL).unwrap();
                assert_eq!(town.get(path).await.error(410), "gone");
            }
            wallet.cards.rotate_left(1);
            wallet.cards.truncate(1);
        }
    }
}

story! {
    async fn what_is_not_for_this_transaction_changes_nothing(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let mut wallet = wallet(&town).await;
        let made = begin(&officer, json!({"template": "gate-identity"})).await;
        let request = wallet.fetch(&town, link(&made)).await;
        for misdeed in CHANGES_NOTHING {
            wallet.misdeed = Some(misdeed);
            let answer = wallet.post(&town, &request, wallet.reply(&request, town.clock.now())).await;
            assert_eq!(answer.error(400), "invalid_request", "{misdeed:?}");
        }
        wallet.misdeed = Some(Misdeed::Oversize);
        let answer = wallet.post(&town, &request, wallet.reply(&request, town.clock.now())).await;
        assert_eq!(answer.error(413), "invalid_request");
        wallet.misdeed = None;
        let Reply::Form(mut form) = wallet.reply(&request, town.clock.now()) else { panic!() };
        let Delivery::DirectPost { response_uri, .. } = &request.delivery else { panic!() };
        let path = response_uri.strip_prefix(URL).unwrap();
        let body = json!({"response": form[0].1}).to_string();
        let typed = Request::post(path).header(header::CONTENT_TYPE, "application/json").body(body.into()).unwrap();
        assert_eq!(town.send(typed).await.error(415), "invalid_request");
        assert_eq!(town.get(path).await.status, 405);
        assert_eq!(now(&officer, &made).await["state"], "created");
        let twice = vec![form[0].clone(), form[0].clone()];
        assert_eq!(wallet.post(&town, &request, Reply::Form(twice)).await.error(400), "invalid_request");
        // The good answer of another transaction.
        let other = begin(&officer, json!({"template": "gate-identity"})).await;
        let theirs = wallet.fetch(&town, link(&other)).await;
        let reply = wallet.reply(&theirs, town.clock.now());
        assert_eq!(wallet.post(&town, &request, reply).await.error(400), "invalid_request");
        // And the good one, with something that nobody knows.
        form.push(("unknown".into(), "1".into()));
        wallet.post(&town, &request, Reply::Form(form)).await.expect(200);
        assert_eq!(now(&officer, &made).await["state"], "verified");
    }
}

story! {
    async fn more_than_was_asked_for_goes_nowhere(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let mut wallet = wallet(&town).await;
        wallet.misdeed = Some(Misdeed::EverythingDisclosed);
        let mut others = wallet.cards.split_off(1);
        for _ in 0..2 {
            let made = begin(&officer, json!({"template": "works-for", "agency": "H26"})).await;
            wallet.present(&town, link(&made)).await.expect(200);
            let seen = now(&officer, &made).await;
            let claims = &seen["result"]["credentials"][0]["claims"];
            assert_eq!(claims.as_object().unwrap().keys().collect::<Vec<_>>(), ["employing_agency"]);
            assert!(!seen.to_string().contains(PERSON));
            std::mem::swap(&mut wallet.cards, &mut others);
        }
    }
}

story! {
    async fn a_card_that_is_not_in_force_is_not_accepted(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let mut wallet = wallet(&town).await;
        let cards = officer.post("/api/v1/cards/search", json!({"personal_id_number": PERSON})).await.expect(200);
        let card = cards["cards"][0]["card"].as_str().unwrap().to_owned();
        let mut others = wallet.cards.split_off(1);
        for (step, reason, expected) in [
            ("lock", "lost", Some("status_suspended")),
            ("unlock", "found", None),
            ("withdraw", "resigned", Some("status_invalid")),
        ] {
            officer.step(&card, step, reason).await.expect(200);
            for _ in 0..2 {
                let made = begin(&officer, json!({"template": "gate-identity"})).await;
                let answer = wallet.present(&town, link(&made)).await;
                match expected {
                    Some(reason) => is_rejected(&officer, &made, answer, reason).await,
                    None => {
                        answer.expect(200);
                    }
                }
                std::mem::swap(&mut wallet.cards, &mut others);
            }
        }
    }
}

story! {
    async fn a_card_that_is_over_or_of_a_retired_key_is_not_accepted(town) {
        town.hires(PERSON, "H26").await;
        let wallet = wallet(&town).await;
        let jwks = town.get("/.well-known/jwks.json").await.expect(200);
        let kids = jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect();
        let retired = town.configured(|config| config.retired_keys = kids);
        let officer = retired.officer("vneid").await;
        let made = begin(&officer, json!({"template": "gate-identity"})).await;
        let answer = wallet.present(&retired, link(&made)).await;
        is_rejected(&officer, &made, answer, "issuer_key").await;

        town.clock.advance(91 * 86_400);
        let officer = town.officer("vneid").await;
        for card in wallet.cards {
            let wallet = Presenter::new(wallet.verifiers.clone(), vec![card]);
            let made = begin(&officer, json!({"template": "gate-identity"})).await;
            let answer = wallet.present(&town, link(&made)).await;
            is_rejected(&officer, &made, answer, "expired").await;
        }
    }
}

story! {
    async fn a_card_of_another_issuer_or_of_other_agencies_is_not_accepted(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let wallet = wallet(&town).await;
        // Signed for our type by somebody else, with a chain of their own.
        let (forger, key) = (Attester::new(town.clock.now()), fresh_key());
        let claims = [("full_name", json!("A")), ("portrait", json!("B")), ("employing_agency", json!({"code": "H26"}))];
        let vct = format!("{URL}/types/official-card/1");
        let forged = credential(&forger, &key, json!({"vct": vct, "iss": URL}), &claims, town.clock.now());
        let forger = Presenter::new(wallet.verifiers.clone(), vec![Kept::sd_jwt(&forged, key)]);
        let made = begin(&officer, json!({"template": "gate-identity"})).await;
        let answer = forger.present(&town, link(&made)).await;
        is_rejected(&officer, &made, answer, "issuer_chain").await;

        // Another issuer that is trusted for a type of its own says nothing of our agencies.
        let (other, key) = (Attester::new(town.clock.now()), fresh_key());
        let types = json!({"vct_values": [vct, "urn:other:card"]});
        let query = json!({"credentials": [{"id": "card", "format": "dc+sd-jwt", "meta": types, "claims": [{"path": ["employing_agency"]}]}]});
        let trusting = town.configured(|config| {
            let issuer = json!({"name": "other", "anchors": other.root_pem, "types": ["urn:other:card"], "status": "if_present"});
            config.trusted_issuers = vec![serde_json::from_value(issuer).unwrap()];
            config.presentation_templates = vec![template("either", |template| {
                (template.agency, template.dcql_query) = (AgencyRule::Optional, query.to_string());
            })];
        });
        trusting.service.check_settings().unwrap();
        let officer = trusting.officer("vneid").await;
        let claims = [("employing_agency", json!({"code": "H26"}))];
        let card = credential(&other, &key, json!({"vct": "urn:other:card"}), &claims, town.clock.now());
        let presenter = Presenter::new(wallet.verifiers.clone(), vec![Kept::sd_jwt(&card, key)]);
        let made = begin(&officer, json!({"template": "either"})).await;
        presenter.present(&trusting, link(&made)).await.expect(200);
        let made = begin(&officer, json!({"template": "either", "agency": "H26"})).await;
        let answer = presenter.present(&trusting, link(&made)).await;
        is_rejected(&officer, &made, answer, "agency_unknown").await;
    }
}

// ---- The conformance suite in small ----

/// A holder's key.
pub fn fresh_key() -> FileKey {
    FileKey::new(&fresh_p256_jwk().unwrap(), Vec::new()).unwrap()
}

/// An SD-JWT VC as others make it: with the least of a holder's key, and with a status if the payload has one.
pub fn credential(issuer: &dyn Signer, holder: &FileKey, payload: Value, claims: &[(&str, Value)], now: i64) -> String {
    let disclosure = |(name, value): &(&str, Value)| URL_SAFE_NO_PAD.encode(json!([name, name, value]).to_string());
    let disclosures: Vec<_> = claims.iter().map(disclosure).collect();
    let digests: Vec<_> = disclosures.iter().map(|one| URL_SAFE_NO_PAD.encode(Sha256::digest(one))).collect();
    let mut payload = payload;
    payload["iat"] = json!(now);
    payload["exp"] = json!(now + 14 * 86_400);
    payload["_sd"] = json!(digests);
    payload["_sd_alg"] = json!("sha-256");
    payload["cnf"] = json!({"jwk": holder.public_key().to_jwk()});
    let header = jws::header(issuer, "dc+sd-jwt", json!({"x5c": jws::x5c(issuer)}));
    format!("{}~{}~", jws::sign(issuer, &header, payload.to_string().as_bytes()).unwrap(), disclosures.join("~"))
}

const PID: &str = r#"{"credentials": [{"id": "pid", "format": "dc+sd-jwt", "meta": {"vct_values": ["urn:eudi:pid:1"]},
    "claims": [{"path": ["given_name"]}, {"path": ["family_name"]}]}]}"#;

/// A deployment on one's own machine that trusts a suite for its own templates.
fn for_suite(town: &Town, suite: &Attester) -> Town {
    town.configured(|config| {
        config.conformance =
            Conformance { enabled: true, issuers: Some(suite.root_pem.clone()), document_signers: None };
        config.presentation_templates = vec![template("suite", |template| {
            template.dcql_query = PID.into();
            template.conformance = true;
            template.flows = vec![PresentationFlow::SameDevice];
            template.wallet = "https://localhost.emobix.co.uk:8443/test/a/card/authorize".into();
        })];
    })
}

story! {
    async fn the_modules_of_the_conformance_suite_end_as_they_should(town) {
        town.hires(PERSON, "H26").await;
        let suite = Attester::new(town.clock.now());
        let town = for_suite(&town, &suite);
        town.service.check_settings().unwrap();
        let officer = town.officer("vneid").await;
        let holder = fresh_key;
        let pid = |key: &FileKey| {
            let payload = json!({"vct": "urn:eudi:pid:1", "iss": "https://localhost.emobix.co.uk:8443/test/a/card/"});
            credential(&suite, key, payload, &[("given_name", json!("Jean")), ("family_name", json!("Dupont"))], town.clock.now())
        };
        let verifiers = wallet(&town).await.verifiers;
        let modules = [
            ("happy-flow, minimal-cnf-jwk, request-uri-fetched-twice", None),
            ("invalid-kb-jwt-signature", Some(Misdeed::BindingSignature)),
            ("invalid-credential-signature", Some(Misdeed::IssuerSignature)),
            ("invalid-sd-hash", Some(Misdeed::HashSuffix)),
            ("invalid-kb-jwt-nonce", Some(Misdeed::NonceSuffix)),
            ("invalid-kb-jwt-aud", Some(Misdeed::AudienceSuffix)),
            ("kb-jwt-iat-in-past", Some(Misdeed::MadeAt(-YEAR_SECONDS))),
            ("kb-jwt-iat-in-future", Some(Misdeed::MadeAt(YEAR_SECONDS))),
        ];
        for (module, misdeed) in modules {
            let key = holder();
            let mut suite = Presenter::new(verifiers.clone(), vec![Kept::sd_jwt(&pid(&key), key)]);
            suite.misdeed = misdeed;
            let made = begin(&officer, json!({"template": "suite"})).await;
            let browser = Browser::new(&town);
            browser.opens(made["page"].as_str().unwrap()).await;
            let request = suite.fetch(&town, link(&made)).await;
            assert_eq!(suite.fetch(&town, link(&made)).await, request, "{module}");
            is_sound(&request, &made, town.clock.now());
            assert!(link(&made).starts_with("https://localhost.emobix.co.uk:8443/test/a/card/authorize?client_id=x509_hash%3A"));
            let answer = suite.post(&town, &request, suite.reply(&request, town.clock.now())).await;
            if misdeed.is_some() {
                assert!(answer.status.is_client_error(), "{module}");
                let shown = browser.opens(made["page"].as_str().unwrap()).await;
                assert!(String::from_utf8_lossy(&shown.bytes).contains("id=\"rejected\""), "{module}");
                continue;
            }
            let answer = answer.expect(200);
            assert_eq!(browser.get(answer["redirect_uri"].as_str().unwrap()).await.status, 303);
            let shown = browser.opens(made["page"].as_str().unwrap()).await;
            assert!(String::from_utf8_lossy(&shown.bytes).contains("id=\"accepted\""), "{module}");
            assert_eq!(now(&officer, &made).await["result"]["credentials"][0]["claims"]["given_name"], "Jean");
        }
    }
}

story! {
    async fn a_suite_is_trusted_for_its_own_templates_alone(town) {
        town.hires(PERSON, "H26").await;
        let suite = Attester::new(town.clock.now());
        let trusting = for_suite(&town, &suite);
        let officer = trusting.officer("vneid").await;
        let wallet = wallet(&trusting).await;
        let key = fresh_key();
        let claims = [("employing_agency", json!({"code": "H26", "name": "x"}))];
        let vct = format!("{URL}/types/official-card/1");
        let forged = credential(&suite, &key, json!({"vct": vct, "iss": URL}), &claims, town.clock.now());
        let forger = Presenter::new(wallet.verifiers, vec![Kept::sd_jwt(&forged, key)]);
        let made = begin(&officer, json!({"template": "works-for", "agency": "H26"})).await;
        let answer = forger.present(&trusting, link(&made)).await;
        is_rejected(&officer, &made, answer, "issuer_chain").await;
        // Where people can reach it, the settings are refused as a whole.
        let outside = town.configured(|config| {
            config.presentation_templates = vec![template("suite", |template| template.conformance = true)];
        });
        let file = town.write("settings.toml", "public_url = 'https://card.example.vn'\n[conformance]\nenabled = true");
        assert!(officials_card::config::Config::load(Some(std::path::Path::new(&file))).is_err());
        assert_eq!(outside.service.config.presentation_templates[0].client_id_prefix, ClientIdPrefix::X509Hash);
    }
}
