//! Grants: what codes, offers and refresh tokens become, who may use it, and that any process can take the next step. Many
//! who want the same at once are in `races`.

use std::collections::HashSet;

use futures_util::future::join_all;
use officials_card::config::Certifies;
use officials_card::credential::jws;
use serde_json::{Value, json};

use crate::attester::Attester;
use crate::authorize::claims;
use crate::holder::{
    CodeWallet, Draft, NEIGHBOUR, Office, PERSON, SD_JWT, Tokens, fresh_key, fresh_name, request_uri, status_of,
};
use crate::revoke::published;
use crate::story;
use crate::town::{Answer, URL, client_key};

const PRE_AUTHORIZED: &str = "urn:ietf:params:oauth:grant-type:pre-authorized_code";

/// An offer to be taken by its code: the code and the transaction code.
pub async fn offered(office: &Office, person: &str) -> (String, String) {
    let (made, offer) = office.offer(person, &[]).await;
    let code = offer["grants"][PRE_AUTHORIZED]["pre-authorized_code"].as_str().unwrap().to_owned();
    (code, made["tx_code"].as_str().unwrap().to_owned())
}

/// How many were served; the others got this refusal.
#[track_caller]
pub fn served(answers: Vec<Answer>, status: u16, code: &str) -> Vec<Value> {
    let (served, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    for answer in refused {
        assert_eq!(answer.error(status), code);
    }
    served.into_iter().map(|answer| answer.json()).collect()
}

story! {
    async fn a_proof_is_good_once_in_whatever_process(town) {
        let office = Office::open(town).await;
        let other = office.town.second_process().await;
        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        let by_token = wallet.credential(&tokens.access, SD_JWT).await.sealed().await;
        by_token.send(&office.town).await.expect(200);
        for town in [&other, &office.town] {
            assert_eq!(by_token.send(town).await.error(401), "invalid_dpop_proof");
        }
        let pushed = wallet.par().sealed().await;
        pushed.send(&other).await.expect(201);
        for town in [&other, &office.town] {
            assert_eq!(pushed.send(town).await.error(401), "invalid_client", "the proof of possession");
        }
        let at_once = wallet.refresh(&tokens.refresh).sealed().await;
        let answers = join_all((0..8).map(|at| at_once.send(if at % 2 == 0 { &office.town } else { &other }))).await;
        assert_eq!(served(answers, 401, "invalid_client").len(), 1, "the proof of possession is looked at first");
        // The same name of another key's proof is another proof.
        let key = fresh_key();
        for draft in [wallet.refresh(&tokens.refresh), wallet.refresh(&tokens.refresh).dpop_by(&key)] {
            Tokens::of(draft.dpop(|_, claims| claims["jti"] = json!("the same")).send().await);
        }
    }
}

story! {
    async fn two_processes_finish_one_flow_between_them(town) {
        let office = Office::open(town).await;
        let other = office.town.second_process().await;
        let wallet = office.wallet();
        let pushed = request_uri(wallet.par().dpop(|_, _| {}).at(&other).send().await);
        let here = office.browser();
        let there = here.at(&other);
        let vneid = here.goes_to_vneid(&wallet.client_id, &pushed).await;
        let callback = office.vneid.signs_in(&vneid, PERSON, 2).await;
        let signed_in = there.get(&callback).await;
        assert_eq!(signed_in.status, 303);
        let asked = here.get(signed_in.header("location")).await;
        let path = signed_in.header("location").strip_prefix(URL).unwrap().to_owned();
        let page = crate::holder::Page { answer: asked, path };
        let landing = wallet.landing(page.decide(&there, "approve").await);
        let tokens = Tokens::of(wallet.redeem(&landing.code()).send().await);
        let request = wallet.credential(&tokens.access, SD_JWT).await;
        let issued = request.at(&other).send().await.expect(200);
        let note = json!({"notification_id": issued["notification_id"], "event": "credential_accepted"});
        wallet.call("/notification", &tokens.access, note).send().await.expect(204);
        let refreshed = Tokens::of(wallet.refresh(&tokens.refresh).at(&other).send().await);
        wallet.issued(&refreshed.access).await;
        // The code again, at the process that did not redeem it.
        assert_eq!(wallet.redeem(&landing.code()).at(&other).send().await.error(400), "invalid_grant");
        assert_eq!(wallet.credential(&refreshed.access, SD_JWT).await.send().await.error(401), "invalid_token");
    }
}

story! {
    async fn a_code_that_is_used_again_takes_everything_with_it(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let code = wallet.code(PERSON).await;
        let tokens = Tokens::of(wallet.redeem(&code).send().await);
        let issued = wallet.issued(&tokens.access).await;
        // Other wallets cannot end it.
        for stranger in [office.wallet(), office.second_wallet()] {
            assert_eq!(stranger.redeem(&code).send().await.error(400), "invalid_grant");
        }
        let refreshed = Tokens::of(wallet.refresh(&tokens.refresh).send().await);
        office.town.clock.advance(3600);
        assert_eq!(wallet.redeem(&code).send().await.error(400), "invalid_grant");
        assert_eq!(wallet.refresh(&tokens.refresh).send().await.error(400), "invalid_grant");
        let note = json!({"notification_id": issued["notification_id"], "event": "credential_accepted"});
        for tokens in [&tokens, &refreshed] {
            assert_eq!(wallet.call("/notification", &tokens.access, note.clone()).send().await.error(401), "invalid_token");
            assert_eq!(wallet.credential(&tokens.access, SD_JWT).await.send().await.error(401), "invalid_token");
        }
        // What the person has stays good: they decide about the card at the unit.
        assert_eq!(published(&office.town, &status_of(&issued)).await, 0);
    }
}

story! {
    async fn a_mistake_does_not_use_up_the_code(town) {
        let office = Office::open(town).await;
        let (wallet, other_product) = (office.wallet(), office.second_wallet());
        let other_instance = office.wallet();
        let code = wallet.code(PERSON).await;
        for (what, draft, status, error) in [
            ("another redirect_uri", wallet.redeem(&code).with("redirect_uri", other_product.redirect_uri.as_str()), 400, "invalid_grant"),
            ("no redirect_uri", wallet.redeem(&code).without("redirect_uri"), 400, "invalid_request"),
            ("a short verifier", wallet.redeem(&code).with("code_verifier", "short"), 400, "invalid_grant"),
            ("a long verifier", wallet.redeem(&code).with("code_verifier", "v".repeat(129)), 400, "invalid_grant"),
            ("another instance", other_instance.redeem(&code), 400, "invalid_grant"),
            ("another product", other_product.redeem(&code), 400, "invalid_grant"),
            ("nobody", wallet.redeem(&code).anonymous(), 401, "invalid_client"),
            ("by assertion", by_assertion(&wallet, wallet.redeem(&code)), 400, "invalid_grant"),
            ("no DPoP proof", wallet.redeem(&code).no_dpop(), 400, "invalid_dpop_proof"),
            ("another code", wallet.redeem(&code.to_uppercase()), 400, "invalid_grant"),
            ("an empty code", wallet.redeem(""), 400, "invalid_request"),
        ] {
            assert_eq!(draft.send().await.error(status), error, "{what}");
        }
        let tokens = Tokens::of(wallet.redeem(&code).send().await);
        wallet.issued(&tokens.access).await;
    }
}

/// Authenticates by `private_key_jwt`.
fn by_assertion<'a>(wallet: &CodeWallet<'_>, draft: Draft<'a>) -> Draft<'a> {
    let now = draft.now();
    let payload = json!({
        "iss": wallet.client_id, "sub": wallet.client_id, "aud": URL, "jti": fresh_name(), "iat": now, "nbf": now,
        "exp": now + 60,
    });
    let header = jws::header(client_key(), "JWT", json!({}));
    let assertion = jws::sign(client_key(), &header, payload.to_string().as_bytes()).unwrap();
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    draft.anonymous().with("client_assertion_type", kind).with("client_assertion", assertion)
}

story! {
    async fn a_wallet_with_a_registered_key_goes_the_whole_way(town) {
        let office = Office::open(town).await;
        let (wallet, other) = (office.wallet(), office.second_wallet());
        let pushed = request_uri(by_assertion(&wallet, wallet.par()).send().await);
        let code = wallet.lands(&pushed, PERSON).await.code();
        assert_eq!(wallet.redeem(&code).send().await.error(400), "invalid_grant", "not by an attested instance");
        let tokens = Tokens::of(by_assertion(&wallet, wallet.redeem(&code)).send().await);
        wallet.issued(&tokens.access).await;
        for (what, draft, status, error) in [
            ("attested", wallet.refresh(&tokens.refresh), 400, "invalid_grant"),
            ("nobody", wallet.refresh(&tokens.refresh).anonymous(), 401, "invalid_client"),
            ("another product", by_assertion(&other, other.refresh(&tokens.refresh)), 400, "invalid_grant"),
        ] {
            assert_eq!(draft.send().await.error(status), error, "{what}");
        }
        let used = by_assertion(&wallet, wallet.refresh(&tokens.refresh));
        Tokens::of(used.send().await);
        assert_eq!(used.send().await.error(401), "invalid_client", "an assertion is good once");
    }
}

story! {
    async fn who_authenticates_in_part_or_twice_is_refused(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let whole = wallet.par().sealed().await;
        let of_another = wallet.par().sealed().await;
        let without = |name: &str| {
            let mut part = whole.clone();
            part.headers.retain(|(own, _)| own != name);
            part
        };
        let mut twice = whole.clone();
        twice.headers.extend(of_another.headers.iter().filter(|(name, _)| name.ends_with("-PoP")).cloned());
        for (what, sealed) in [
            ("no proof of possession", without("OAuth-Client-Attestation-PoP")),
            ("no attestation", without("OAuth-Client-Attestation")),
            ("two proofs of possession", twice),
        ] {
            assert_eq!(sealed.send(&office.town).await.error(401), "invalid_client", "{what}");
        }
        assert_eq!(wallet.par().anonymous().send().await.error(401), "invalid_client");
        let both = wallet.par().with("client_assertion", "x").with("client_assertion_type", "y");
        assert_eq!(both.send().await.error(401), "invalid_client");
        assert_eq!(wallet.par().with("client_id", "wallet-b").send().await.error(401), "invalid_client");
        Tokens::of(wallet.redeem(&wallet.lands(&request_uri(whole.send(&office.town).await), PERSON).await.code()).send().await);
    }
}

story! {
    async fn a_challenge_is_ours_and_of_now(town) {
        let office = Office::open(town).await;
        let (wallet, early) = (office.wallet(), office.wallet());
        let old = early.par().sealed().await;
        for draft in [
            wallet.par().pop(|_, claims| drop(claims.as_object_mut().unwrap().remove("challenge"))),
            wallet.par().pop(|_, claims| claims["challenge"] = json!("bm90IG91cnM")),
        ] {
            let answer = draft.once().await;
            assert!(!answer.header("oauth-client-attestation-challenge").is_empty());
            assert_eq!(answer.error(400), "use_attestation_challenge");
        }
        office.town.clock.advance(299);
        let late = early.par().sealed().await;
        old.send(&office.town).await.expect(201);
        office.town.clock.advance(1);
        assert_eq!(late.send(&office.town).await.error(400), "use_attestation_challenge", "it lives 300 seconds");
        early.par().send().await.expect(201);
    }
}

story! {
    async fn a_provider_vouches_for_its_own_wallets_only(town) {
        let (mine, theirs) = (Attester::new(town.clock.now()), Attester::new(town.clock.now()));
        let office = Office::open_with(town, |config| {
            for (provider, client) in [(&mine, "vneid"), (&theirs, "wallet-b")] {
                config.attesters.push(officials_card::config::Attester {
                    name: client.into(),
                    root: provider.root_pem.clone(),
                    certifies: vec![Certifies::Wallets],
                    clients: vec![client.into()],
                    status_lists: None,
                    status_unavailable: officials_card::config::WhenUnavailable::Refuse,
                });
            }
            let mut for_keys = config.attesters.remove(0);
            for_keys.certifies = vec![Certifies::Keys];
            config.attesters.push(for_keys);
        }).await;
        let (one, two) = (office.wallet(), office.second_wallet());
        one.par().attested_by(&mine).send().await.expect(201);
        two.par().attested_by(&theirs).send().await.expect(201);
        for draft in [
            one.par().attested_by(&theirs),
            two.par().attested_by(&mine),
            one.par(),
            one.par().attested_by(&mine).attestation(|_, claims| claims["sub"] = json!("wallet-c")),
        ] {
            assert_eq!(draft.send().await.error(401), "invalid_client");
        }
    }
}

story! {
    async fn a_wallet_that_is_nobody_is_bound_to_its_dpop_key(town) {
        let office = Office::open(town).await;
        let (wallet, other) = (office.wallet(), fresh_key());
        let (code, tx_code) = offered(&office, PERSON).await;
        let tokens = Tokens::of(wallet.redeem_offer(&code, &tx_code).anonymous().send().await);
        // Nobody has no name to put into a proof.
        let anonymous = async |access: &str| {
            let payload = json!({"aud": URL, "iat": office.town.clock.now(), "nonce": wallet.nonce().await});
            let proof = crate::town::proof_by(&wallet.key, payload);
            wallet.call("/credential", access, json!({"credential_configuration_id": SD_JWT, "proofs": {"jwt": [proof]}}))
        };
        anonymous(&tokens.access).await.send().await.expect(200);
        let refresh = || wallet.refresh(&tokens.refresh).anonymous();
        for (what, draft, status, error) in [
            ("another key", refresh().dpop_by(&other), 400, "invalid_grant"),
            ("no key", refresh().no_dpop(), 400, "invalid_dpop_proof"),
            ("an attested wallet", wallet.refresh(&tokens.refresh), 400, "invalid_grant"),
            ("a registered key", by_assertion(&wallet, wallet.refresh(&tokens.refresh)), 400, "invalid_grant"),
        ] {
            assert_eq!(draft.send().await.error(status), error, "{what}");
        }
        let refreshed = Tokens::of(refresh().send().await);
        anonymous(&refreshed.access).await.send().await.expect(200);

        // Without any key there is nothing to bind to, and nothing to refresh.
        let (code, tx_code) = offered(&office, PERSON).await;
        let bearer = wallet.redeem_offer(&code, &tx_code).anonymous().no_dpop().send().await.expect(200);
        assert_eq!((bearer["token_type"].as_str(), bearer.get("refresh_token")), (Some("Bearer"), None));
        let access = bearer["access_token"].as_str().unwrap();
        assert_eq!(anonymous(access).await.send().await.error(401), "invalid_token", "it is bound to no key");
        anonymous(access).await.scheme("Bearer").no_dpop().send().await.expect(200);
    }
}

story! {
    async fn where_nobody_is_not_welcome_a_wallet_says_who_it_is(town) {
        let office = Office::open_with(town, |config| config.anonymous_wallets = false).await;
        let wallet = office.wallet();
        let server = office.town.get("/.well-known/oauth-authorization-server").await.expect(200);
        assert_eq!(server["pre-authorized_grant_anonymous_access_supported"], false);
        assert!(!server["token_endpoint_auth_methods_supported"].as_array().unwrap().contains(&json!("none")));
        let (code, tx_code) = offered(&office, PERSON).await;
        let redeem = || wallet.redeem_offer(&code, &tx_code);
        for draft in [redeem().anonymous(), redeem().anonymous().no_dpop(), redeem().anonymous().with("client_id", "vneid")] {
            assert_eq!(draft.send().await.error(401), "invalid_client");
        }
        let tokens = Tokens::of(redeem().send().await);
        wallet.issued(&tokens.access).await;
        Tokens::of(wallet.refresh(&tokens.refresh).send().await);
        assert_eq!(wallet.refresh(&tokens.refresh).anonymous().send().await.error(401), "invalid_client");
    }
}

story! {
    async fn identifiers_are_of_one_grant_and_stay(town) {
        let office = Office::open(town).await;
        let (wallet, other) = (office.wallet(), office.wallet());
        let detail = |id: &str| json!({"type": "openid_credential", "credential_configuration_id": id});
        let details = json!([detail(SD_JWT), detail("official-card-qr")]).to_string();
        let tokens = async |wallet: &CodeWallet<'_>| {
            let par = wallet.par().with("authorization_details", details.as_str());
            let code = wallet.lands(&request_uri(par.send().await), PERSON).await.code();
            Tokens::of(wallet.redeem(&code).send().await)
        };
        let (mine, theirs) = (tokens(&wallet).await, tokens(&other).await);
        let given = mine.answer["authorization_details"].as_array().unwrap().clone();
        let names: Vec<_> = given.iter().map(|one| one["credential_configuration_id"].as_str().unwrap()).collect();
        assert_eq!(names, [SD_JWT, "official-card-qr"]);
        for one in &given {
            let members: HashSet<_> = one.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(members, HashSet::from(["type", "credential_configuration_id", "credential_identifiers"]));
        }
        let refreshed = Tokens::of(wallet.refresh(&mine.refresh).send().await);
        assert_eq!(refreshed.answer["authorization_details"], mine.answer["authorization_details"]);

        let identifier = |tokens: &Tokens| tokens.answer["authorization_details"][0]["credential_identifiers"][0].clone();
        assert_ne!(identifier(&mine), identifier(&theirs));
        let by_identifier = async |access: &str, identifier: Value| {
            wallet.credential(access, SD_JWT).await.without("credential_configuration_id").with("credential_identifier", identifier)
        };
        for tokens in [&mine, &refreshed] {
            let issued = by_identifier(&tokens.access, identifier(&mine)).await.send().await.expect(200);
            assert_eq!(claims(&office, &issued)["full_name"], "Nguyễn Thị Thử Nghiệm");
        }
        for unknown in [identifier(&theirs), json!(SD_JWT), json!("x"), json!("")] {
            let refused = by_identifier(&mine.access, unknown).await;
            assert_eq!(refused.send().await.error(400), "unknown_credential_identifier");
        }
        // Who asked by scope has none, and guesses none.
        let by_scope = wallet.tokens(PERSON).await;
        assert!(by_scope.answer.get("authorization_details").is_none());
        assert_eq!(by_identifier(&by_scope.access, identifier(&mine)).await.send().await.error(400), "unknown_credential_identifier");
        for wrong in ["[]", "{}", r#"[{"type":"payment"}]"#, r#"[{"type":"openid_credential","credential_configuration_id":"x"}]"#] {
            let par = wallet.par().with("authorization_details", wrong);
            assert_eq!(par.send().await.error(400), "invalid_authorization_details");
        }
    }
}

story! {
    async fn an_offer_can_be_taken_in_part(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let ask = json!({"personal_id_number": PERSON, "assurance_level": 2, "configurations": [SD_JWT, "official-card-qr"]});
        let made = office.town.officer("vneid").await.post("/api/v1/offers", ask).await.expect(201);
        let path = made["credential_offer_uri"].as_str().unwrap().strip_prefix(URL).unwrap();
        let offer = office.town.get(path).await.expect(200);
        let code = offer["grants"][PRE_AUTHORIZED]["pre-authorized_code"].as_str().unwrap();
        let redeem = |ids: &[&str]| {
            let details: Vec<_> =
                ids.iter().map(|id| json!({"type": "openid_credential", "credential_configuration_id": id})).collect();
            wallet.redeem_offer(code, made["tx_code"].as_str().unwrap()).with("authorization_details", json!(details).to_string())
        };
        for wrong in [&["official-card-mdoc"][..], &[SD_JWT, "official-card-mdoc"], &[]] {
            assert_eq!(redeem(wrong).send().await.error(400), "invalid_authorization_details");
        }
        let tokens = Tokens::of(redeem(&[SD_JWT]).send().await);
        let given = &tokens.answer["authorization_details"];
        assert_eq!((given.as_array().unwrap().len(), &given[0]["credential_configuration_id"]), (1, &json!(SD_JWT)));
        let refreshed = Tokens::of(wallet.refresh(&tokens.refresh).send().await);
        assert_eq!(&refreshed.answer["authorization_details"], given);
        let more = wallet.credential(&tokens.access, "official-card-qr").await;
        assert_eq!(more.send().await.error(400), "credential_request_denied");
        let request = wallet.credential(&tokens.access, SD_JWT).await.without("credential_configuration_id");
        request.with("credential_identifier", given[0]["credential_identifiers"][0].clone()).send().await.expect(200);
    }
}

story! {
    async fn a_nonce_is_not_burnt_by_a_retry_with_a_dpop_nonce(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        let body = wallet.asks(SD_JWT).await;
        for wrong in [None, Some("bm90IG91cnM")] {
            let draft = wallet.call("/credential", &tokens.access, body.clone()).dpop(move |_, claims| match wrong {
                Some(nonce) => claims["nonce"] = json!(nonce),
                None => drop(claims.as_object_mut().unwrap().remove("nonce")),
            });
            let answer = draft.once().await;
            assert!(answer.header("www-authenticate").starts_with("DPoP error=\"use_dpop_nonce\""), "{answer:?}");
            assert_eq!(answer.headers.get_all("dpop-nonce").iter().count(), 1);
            assert_eq!(answer.error(401), "use_dpop_nonce");
        }
        let first = wallet.call("/credential", &tokens.access, body.clone()).send().await;
        assert!(!first.header("dpop-nonce").is_empty(), "for the next time");
        let first = first.expect(200);
        // A lost answer is had again, by a proof of its own.
        let again = wallet.call("/credential", &tokens.access, body).send().await.expect(200);
        assert_eq!(status_of(&first), status_of(&again));
        // A nonce is of 300 seconds.
        let stale = wallet.credential(&tokens.access, SD_JWT).await;
        office.town.clock.advance(300);
        assert_eq!(stale.once().await.error(401), "use_dpop_nonce");
    }
}

story! {
    async fn a_refresh_token_lives_as_long_as_its_grant(town) {
        let office = Office::open_with(town, |config| config.limits.refresh_ttl_days = 1).await;
        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        office.town.clock.advance(1799);
        wallet.issued(&tokens.access).await;
        office.town.clock.advance(1);
        assert_eq!(wallet.credential(&tokens.access, SD_JWT).await.send().await.error(401), "invalid_token");
        office.town.clock.advance(86_400 - 1801);
        let last = Tokens::of(wallet.refresh(&tokens.refresh).send().await);
        wallet.issued(&last.access).await;
        office.town.clock.advance(1);
        assert_eq!(wallet.refresh(&tokens.refresh).send().await.error(400), "invalid_grant");
        assert_eq!(wallet.refresh(&last.refresh).send().await.error(400), "invalid_grant");
        assert_eq!(wallet.credential(&last.access, SD_JWT).await.send().await.error(401), "invalid_token");
    }
}

story! {
    async fn a_card_whose_facts_changed_comes_anew_without_the_person(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        let old = wallet.issued(&tokens.access).await;
        office.town.imports(PERSON, "H26", "002", "active").await;
        wallet.issued(&tokens.access).await;
        assert_eq!(published(&office.town, &status_of(&old)).await, 0, "under review the old card is good");
        office.town.matches_and_confirms("H26").await;
        let refreshed = Tokens::of(wallet.refresh(&tokens.refresh).send().await);
        let new = wallet.issued(&refreshed.access).await;
        assert_ne!(claims(&office, &old)["position_title"], claims(&office, &new)["position_title"]);
        assert_eq!(published(&office.town, &status_of(&old)).await, 1);
        assert_eq!(published(&office.town, &status_of(&new)).await, 0);
    }
}

story! {
    async fn what_is_over_is_cleared_away_and_stays_refused(town) {
        let office = Office::open(town).await;
        office.town.hires(NEIGHBOUR, "H26").await;
        let wallet = office.wallet();
        let store = office.town.service.store();
        let code = wallet.code(PERSON).await;
        let tokens = Tokens::of(wallet.redeem(&code).send().await);
        wallet.issued(&tokens.access).await;
        let unfinished = wallet.pushed().await;
        let now = office.town.clock.now();
        assert_eq!(store.clear_away(now).await.unwrap(), 0, "all of it is needed");
        office.town.clock.advance(86_000);
        // Names of used proofs go first; a redeemed code is remembered for a day.
        assert!(store.clear_away(now + 86_000).await.unwrap() > 0);
        assert!(store.coded(&hash_of(&code)).await.unwrap().is_some());
        let refreshed = Tokens::of(wallet.refresh(&tokens.refresh).send().await);
        office.town.clock.advance(1_100);
        assert_eq!(store.clear_away(office.town.clock.now()).await.unwrap(), 4, "two requests, and the two proofs of the refresh");
        assert!(store.coded(&hash_of(&code)).await.unwrap().is_none());
        assert_eq!(office.browser().visits(&wallet.client_id, &unfinished).await.status, 400);
        assert_eq!(wallet.redeem(&code).send().await.error(400), "invalid_grant");
        wallet.issued(&refreshed.access).await;
    }
}

/// How the store knows a code.
fn hash_of(code: &str) -> String {
    use base64::Engine;
    use sha2::{Digest, Sha256};
    let digest = Sha256::new().chain_update((code.len() as u64).to_be_bytes()).chain_update(code).finalize();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest)
}
