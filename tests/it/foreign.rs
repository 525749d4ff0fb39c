//! The status lists of other issuers: told as far as they can be, whatever their hosts do.

use std::future::Future;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use officials_card::config::{KeyAttestations, StatusFetches, StatusPrefix, WhenUnavailable};
use officials_card::credential::Signer as _;
use officials_card::credential::jws::{self, JwsError};
use officials_card::credential::mdoc::device::SessionTranscript;
use officials_card::credential::presentation::{Asked, PresentationError, Trusted, Wanted, verify_sd_jwt};
use officials_card::credential::status_list::{Band, StatusListError, StatusListToken, StatusReference};
use officials_card::credential::status_token::{ListSigners, ProvedList, TokenError, TokenForm};
use officials_card::credential::verify::StatusAnswer;
use officials_card::credential::x509::{Anchors, ChainError};
use officials_card::flow::{CardIssuer, StatusCounts};
use officials_card::keyring::{FileKey, Keyring};
use officials_card::remote::status_lists::{Lookup, StatusHosts, Unfetched};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::attester::{Attester, key_claims};
use crate::holder::{Office, PERSON, SD_JWT, fresh_key, spoiled};
use crate::status_host::{Act, StatusHost, hasty, patient, serving, signed, token};
use crate::story;
use crate::town::{NOW, Town, URL};

const NAME: &str = "Bộ Y tế";
const AUDIENCE: &str = "x509_hash:verifier";
const NONCE: &str = "a-nonce-of-the-verifier";
const JWT: &str = "application/statuslist+jwt";
const CWT: &str = "application/statuslist+cwt";

/// The town, which trusts an issuer whose lists stand at a host of its own.
struct Border {
    town: Town,
    host: StatusHost,
    ministry: Attester,
    _home: Town,
}

impl Border {
    async fn open(home: Town, fetches: StatusFetches) -> Self {
        let (host, ministry) = (StatusHost::start(Act::Hang).await, Attester::new(NOW));
        let town = home.configured(|config| {
            config.trusted_issuers = vec![host.issuer(NAME, &ministry.root_pem)];
            config.status_fetches = fetches;
        });
        town.service.check_settings().unwrap();
        Self { town, host, ministry, _home: home }
    }

    async fn asks(&self, uri: &str, index: u32) -> StatusAnswer {
        let reference = StatusReference { uri: uri.into(), index };
        self.town.service.status_of_card(&reference, CardIssuer::Other(NAME)).await
    }

    /// The host serves the list with these entries, signed now.
    fn publishes(&self, list: &str, entries: &[(u32, u8)]) {
        self.host.does(self.publication(list, self.town.clock.now(), entries));
    }

    fn publication(&self, list: &str, issued_at: i64, entries: &[(u32, u8)]) -> Act {
        serving(&token(&self.host.uri(list), issued_at, entries), TokenForm::Jwt, &self.ministry)
    }

    fn counts(&self) -> StatusCounts {
        self.town.service.status_counts()
    }
}

fn known(value: u8, as_of: i64, band: Band) -> StatusAnswer {
    StatusAnswer::Known { value, as_of, band }
}

/// A card of the issuer, bound to the holder's key, with that key's answer to the question.
fn doctors_card(signer: &Attester, holder: &FileKey, status: &Value) -> String {
    let claims = json!({
        "iss": "https://health.example.vn", "vct": "urn:example:doctor", "iat": NOW, "exp": NOW + 3600,
        "cnf": {"jwk": holder.public_key().to_jwk()}, "status": status, "speciality": "surgery",
    });
    let card = format!("{}~", signer.sign("dc+sd-jwt", &claims));
    let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(&card));
    let answer = json!({"aud": AUDIENCE, "nonce": NONCE, "iat": NOW, "sd_hash": hash});
    let proof = jws::sign(holder, &jws::header(holder, "kb+jwt", json!({})), answer.to_string().as_bytes()).unwrap();
    format!("{card}{proof}")
}

/// What the verifier believes of a card, and what its status is.
async fn presented(town: &Town, card: &str) -> Result<StatusAnswer, PresentationError> {
    let transcript = SessionTranscript::of_redirect(AUDIENCE, NONCE, None, "https://card.example.vn/answer");
    let asked = Asked { audience: AUDIENCE, nonce: NONCE, transcript: &transcript, requested_at: NOW };
    let wanted = Wanted { types: &["urn:example:doctor".to_owned()], bound: true, authorities: false };
    let issuers: Vec<_> = town.service.trusted_issuers().iter().collect();
    let trusted = Trusted { issuers: &issuers, list: None };
    let believed = verify_sd_jwt(card, &wanted, &trusted, &asked, NOW)?;
    let issuer = town.service.card_issuer(believed.issuer);
    assert_eq!(issuer, CardIssuer::Other(NAME));
    Ok(town.service.status_of_card(&believed.status.unwrap(), issuer).await)
}

story! {
    async fn a_card_of_another_issuer_is_proved_before_its_list_is_fetched(town) {
        let border = Border::open(town, patient()).await;
        let holder = fresh_key();
        border.publishes("1", &[(5, 1)]);
        let at = |uri: &str| json!({"status_list": {"idx": 5, "uri": uri}});
        let (good, elsewhere) = (at(&border.host.uri("1")), at("https://elsewhere.example/1"));
        let stranger = doctors_card(&Attester::new(NOW), &holder, &good);
        assert!(matches!(presented(&border.town, &stranger).await, Err(PresentationError::Untrusted(_))));
        let spoilt = spoiled(&doctors_card(&border.ministry, &holder, &good));
        assert!(matches!(presented(&border.town, &spoilt).await, Err(PresentationError::Card(_))));
        let other = doctors_card(&border.ministry, &holder, &elsewhere);
        assert_eq!(presented(&border.town, &other).await, Err(PresentationError::StatusListNotAllowed));
        assert_eq!(border.host.calls(), 0, "nothing that is not proved is asked for");
        let card = doctors_card(&border.ministry, &holder, &good);
        assert_eq!(presented(&border.town, &card).await, Ok(known(1, NOW, Band::Fresh)));
        assert_eq!(border.host.calls(), 1);
        // Our own come first, and are never fetched.
        let ours = &border.town.service.trusted_issuers()[0];
        assert_eq!((&ours.types[0], border.town.service.card_issuer(0)), (&format!("{URL}/types/official-card/1"), CardIssuer::Ours));
        assert_eq!(border.town.service.card_issuer(1), CardIssuer::Ours);
        let reference = StatusReference { uri: format!("{URL}/s/99"), index: 1 };
        assert_eq!(border.town.service.status_of_card(&reference, CardIssuer::Ours).await, StatusAnswer::OutOfRange);
        let reference = StatusReference { uri: border.host.uri("1"), index: 5 };
        assert_eq!(border.town.service.status_of_card(&reference, CardIssuer::Ours).await, StatusAnswer::Unavailable);
        assert_eq!(border.host.calls(), 1);
    }
}

// ---- Hosts that answer ----

story! {
    async fn either_form_of_a_list_is_read(town) {
        let border = Border::open(town, patient()).await;
        let own = Keyring::open(Town::folder_of_keys(), None).unwrap();
        for (list, form, act) in [
            ("1", TokenForm::Jwt, border.publication("1", NOW, &[(1, 1), (2, 2), (3, 3)])),
            ("2", TokenForm::Cwt, serving(&token(&border.host.uri("2"), NOW, &[(1, 1), (2, 2), (3, 3)]), TokenForm::Cwt, &border.ministry)),
        ] {
            let uri = border.host.uri(list);
            border.host.does(act);
            for (index, value) in [(0, 0), (1, 1), (2, 2), (3, 3), (15, 0)] {
                assert_eq!(border.asks(&uri, index).await, known(value, NOW, Band::Fresh), "{form:?} {index}");
            }
            assert_eq!(border.asks(&uri, 16).await, StatusAnswer::OutOfRange);
            let (path, headers) = border.host.last_call();
            assert_eq!(path, format!("/lists/{list}"));
            assert_eq!((headers["accept"].to_str().unwrap(), headers["accept-encoding"].to_str().unwrap()), (&*format!("{JWT}, {CWT}"), "gzip"));
            assert!(!headers.contains_key("referer") && !headers.contains_key("cookie"));
        }
        assert_eq!((border.host.calls(), border.counts().fetched, border.counts().failed), (2, 2, 0));
        // A second deployment of this program, whose CWTs are signed with EdDSA.
        let border = Border { town: border.town.configured(|config| {
            config.trusted_issuers = vec![border.host.issuer(NAME, border.town.service.anchor_pem())];
        }), ..border };
        let uri = border.host.uri("3");
        border.host.does(serving(&token(&uri, NOW, &[(1, 1)]), TokenForm::Cwt, &*own.status_eddsa));
        assert_eq!(border.asks(&uri, 1).await, known(1, NOW, Band::Fresh));
    }
}

story! {
    async fn a_coded_list_is_read_and_a_bomb_is_not(town) {
        let border = Border::open(town, patient()).await;
        let gzip = |bytes: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let uri = border.host.uri("1");
        let jwt = signed(&token(&uri, NOW, &[(7, 1)]), TokenForm::Jwt, &border.ministry);
        border.host.does(Act::ServeCoded(JWT, "gzip", gzip(&jwt)));
        assert_eq!(border.asks(&uri, 7).await, known(1, NOW, Band::Fresh));
        for (list, act) in [
            ("2", Act::ServeCoded(JWT, "gzip", gzip(&vec![b'e'; 8 << 20]))),
            ("3", Act::ServeCoded(JWT, "gzip", jwt.clone())),
            ("4", Act::ServeCoded(JWT, "br", jwt.clone())),
            ("5", Act::Serve(JWT, vec![b'e'; 2 << 20])),
            ("6", Act::Flood(CWT)),
            ("7", Act::Serve("text/html", jwt.clone())),
            ("8", Act::Serve(CWT, jwt)),
        ] {
            border.host.does(act);
            assert_eq!(border.asks(&border.host.uri(list), 7).await, StatusAnswer::Unavailable, "{list}");
        }
        assert_eq!((border.counts().fetched, border.counts().failed), (1, 7));
    }
}

story! {
    async fn redirections_stay_under_the_prefixes(town) {
        let border = Border::open(town, patient()).await;
        let elsewhere = StatusHost::start(border.publication("9", NOW, &[])).await;
        for (list, reached) in [("step/1", true), ("step/2", true), ("step/3", false)] {
            let uri = border.host.uri(list);
            border.host.does(Act::Steps(JWT, signed(&token(&uri, NOW, &[]), TokenForm::Jwt, &border.ministry)));
            let answer = border.asks(&uri, 1).await;
            assert_eq!(answer == known(0, NOW, Band::Fresh), reached, "{list} {answer:?}");
        }
        let calls = border.host.calls();
        for (list, to) in [("a", elsewhere.uri("9")), ("b", format!("{}/admin", border.host.url)), ("c", "../admin".into()), ("d", "https://127.0.0.1:1/lists/1".into())] {
            border.host.does(Act::Redirect(to));
            assert_eq!(border.asks(&border.host.uri(list), 1).await, StatusAnswer::Unavailable);
        }
        assert_eq!((elsewhere.calls(), border.host.calls()), (0, calls + 4), "nobody else was asked");
        // Nor is anybody asked whom a card may not name.
        for uri in [elsewhere.uri("9"), format!("{}/admin", border.host.url), border.host.uri("../admin"), border.host.uri("1#x"), "x".into(), String::new()] {
            assert_eq!(border.asks(&uri, 1).await, StatusAnswer::Unavailable, "{uri}");
        }
        let reference = StatusReference { uri: border.host.uri("1"), index: 1 };
        let nobody = border.town.service.status_of_card(&reference, CardIssuer::Other("nobody")).await;
        assert_eq!(nobody, StatusAnswer::Unavailable);
        assert_eq!((elsewhere.calls(), border.host.calls()), (0, calls + 4));
    }
}

// ---- Time ----

story! {
    async fn a_list_answers_until_its_end_and_says_as_of(town) {
        let border = Border::open(town, patient()).await;
        let (clock, uri) = (border.town.clock.clone(), border.host.uri("1"));
        border.publishes("1", &[(1, 1)]);
        assert_eq!(border.asks(&uri, 1).await, known(1, NOW, Band::Fresh));
        clock.advance(60);
        border.publishes("1", &[(2, 1)]);
        assert_eq!(border.asks(&uri, 1).await, known(1, NOW, Band::Fresh), "within its time to live");
        assert_eq!(border.host.calls(), 1);
        // After it: at once what is held, and the next one finds the new list.
        clock.advance(1);
        border.publishes("1", &[(2, 1)]);
        assert_eq!(border.asks(&uri, 1).await, known(1, NOW, Band::Aging));
        border.town.service.statuses_settled().await;
        assert_eq!(border.asks(&uri, 1).await, known(0, NOW + 61, Band::Fresh));
        assert_eq!(border.host.calls(), 2);
        // The same bytes again are fresh again, until their end.
        clock.advance(61);
        assert_eq!(border.asks(&uri, 2).await, known(1, NOW + 61, Band::Aging));
        border.town.service.statuses_settled().await;
        assert_eq!(border.asks(&uri, 2).await, known(1, NOW + 61, Band::Fresh));
        clock.advance(3600 - 61);
        assert_eq!(border.asks(&uri, 2).await, StatusAnswer::Unavailable, "over, and the host has no newer one");
        assert_eq!(border.counts().aging, 2);
        clock.advance(2);
        border.publishes("1", &[(2, 1)]);
        assert_eq!(border.asks(&uri, 2).await, known(1, clock.now(), Band::Fresh), "who has nothing waits for the new one");
    }
}

story! {
    async fn an_older_list_never_replaces_a_newer_one(town) {
        let border = Border::open(town, patient()).await;
        let uri = border.host.uri("1");
        border.host.does(border.publication("1", NOW, &[(1, 1)]));
        assert_eq!(border.asks(&uri, 1).await, known(1, NOW, Band::Fresh));
        border.town.clock.advance(61);
        border.host.does(border.publication("1", NOW - 1, &[]));
        for _ in 0..3 {
            assert_eq!(border.asks(&uri, 1).await, known(1, NOW, Band::Aging));
            border.town.service.statuses_settled().await;
        }
        assert_eq!((border.counts().fetched, border.counts().failed), (1, 1));
        // Not after its end either, though the older one says that it lasts longer.
        border.town.clock.advance(3600);
        let longer = StatusListToken { expires_at: Some(NOW + 99_999), ..token(&uri, NOW - 1, &[]) };
        border.host.does(serving(&longer, TokenForm::Jwt, &border.ministry));
        assert_eq!(border.asks(&uri, 1).await, StatusAnswer::Unavailable);
    }
}

story! {
    async fn a_list_without_end_lasts_for_its_time_to_live_and_one_without_either_for_five_minutes(town) {
        let border = Border::open(town, patient()).await;
        for (list, ttl, lasts) in [("1", Some(60), 60), ("2", None, 300), ("3", Some(1), 10), ("4", Some(1 << 40), 86_400)] {
            let uri = border.host.uri(list);
            let start = border.town.clock.now();
            let endless = StatusListToken { expires_at: None, ttl_seconds: ttl, ..token(&uri, start, &[]) };
            border.host.does(serving(&endless, TokenForm::Jwt, &border.ministry));
            assert_eq!(border.asks(&uri, 1).await, known(0, start, Band::Fresh));
            border.host.does(Act::Status(404));
            border.town.clock.advance(lasts);
            assert_eq!(border.asks(&uri, 1).await, known(0, start, Band::Fresh), "{list}");
            border.town.clock.advance(1);
            assert_eq!(border.asks(&uri, 1).await, StatusAnswer::Unavailable, "{list}");
        }
    }
}

// ---- Many who ask, and hosts in trouble ----

story! {
    async fn many_who_ask_at_once_make_one_fetch(town) {
        let border = Border::open(town, patient()).await;
        let uri = border.host.uri("1");
        border.publishes("1", &[(1, 1)]);
        let answers = join_all((0..64).map(|_| border.asks(&uri, 1))).await;
        assert!(answers.iter().all(|answer| *answer == known(1, NOW, Band::Fresh)), "{answers:?}");
        assert_eq!(border.host.calls(), 1);
        // Many lists of one host: one after the other.
        let uris: Vec<_> = (2..10).map(|list| border.host.uri(&list.to_string())).collect();
        border.host.does(Act::Status(404));
        join_all(uris.iter().map(|uri| border.asks(uri, 1))).await;
        assert_eq!((border.host.calls(), border.counts().failed, border.counts().waiting), (9, 8, 0));
    }
}

story! {
    async fn a_host_that_hangs_costs_one_short_wait(town) {
        let border = Border::open(town, hasty()).await;
        let (service, uri) = (&border.town.service, border.host.uri("1"));
        let answers = join_all((0..64).map(|_| border.asks(&uri, 1))).await;
        assert!(answers.iter().all(|answer| *answer == StatusAnswer::Unavailable));
        // Its time to wait is over while the fetch still hangs: whoever comes now goes on at once, to whatever list.
        let waited = border.counts().waited;
        assert!((1..=64).contains(&waited));
        service.statuses_settled().await;
        assert_eq!((border.host.calls(), border.counts().failed), (1, 1));
        let uris: Vec<_> = (0..64).map(|list| border.host.uri(&list.to_string())).collect();
        for uri in &uris {
            assert_eq!(border.asks(uri, 1).await, StatusAnswer::Unavailable);
        }
        assert_eq!((border.host.calls(), border.counts().waited), (1, waited), "nobody asks, nobody waits");
        // After the pause one tries, alone, and the pause doubles.
        for pause in [2, 4, 8, 16, 32, 60] {
            border.town.clock.advance(pause - 1);
            assert_eq!(border.asks(&uri, 1).await, StatusAnswer::Unavailable);
            let calls = border.host.calls();
            border.town.clock.advance(1);
            let waited = border.counts().waited;
            join_all(uris.iter().map(|uri| border.asks(uri, 1))).await;
            assert_eq!(border.counts().waited, waited + 1, "one of all");
            service.statuses_settled().await;
            assert_eq!(border.host.calls(), calls + 1);
        }
        // It comes back: the one who tries is told, and so is everybody after.
        border.town.clock.advance(60);
        border.publishes("1", &[(1, 1)]);
        service.statuses_settled().await;
        assert_eq!(tried(&border, &uri).await, known(1, border.town.clock.now(), Band::Fresh));
        let waited = border.counts().waited;
        assert_eq!(border.asks(&uri, 1).await, known(1, border.town.clock.now(), Band::Fresh));
        assert_eq!(border.counts().waited, waited);
    }
}

/// What is told once the attempt that this question makes has ended.
async fn tried(border: &Border, uri: &str) -> StatusAnswer {
    border.asks(uri, 1).await;
    border.town.service.statuses_settled().await;
    border.asks(uri, 1).await
}

story! {
    async fn a_host_that_fails_in_whatever_way_leaves_what_is_held(town) {
        let border = Border::open(town, hasty()).await;
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (clock, uri) = (border.town.clock.clone(), border.host.uri("1"));
        border.publishes("1", &[(1, 1)]);
        assert_eq!(tried(&border, &uri).await, known(1, NOW, Band::Fresh));
        clock.advance(61);
        let mut failed = border.counts().failed;
        for act in [Act::Hang, Act::Drip(JWT), Act::Die(JWT), Act::Status(500), Act::Status(404), Act::Redirect(format!("http://{gone}/"))] {
            border.host.does(act);
            assert_eq!(border.asks(&uri, 1).await, known(1, NOW, Band::Aging));
            border.town.service.statuses_settled().await;
            failed += 1;
            assert_eq!(border.counts().failed, failed);
            clock.advance(64);
        }
        assert_eq!(border.counts().unavailable, 0);
        clock.advance(3600);
        border.host.does(Act::Hang);
        assert_eq!(border.asks(&uri, 1).await, StatusAnswer::Unavailable, "over: never in force because nobody says otherwise");
        // One that was never there.
        let town = border.town.configured(|config| {
            let lists = config.trusted_issuers[0].status_lists.as_mut().unwrap();
            lists.prefixes = vec![StatusPrefix::parse(&format!("http://{gone}/")).unwrap()];
        });
        let reference = StatusReference { uri: format!("http://{gone}/1"), index: 1 };
        for _ in 0..2 {
            assert_eq!(town.service.status_of_card(&reference, CardIssuer::Other(NAME)).await, StatusAnswer::Unavailable);
            town.service.statuses_settled().await;
        }
        assert_eq!(town.service.status_counts().failed, 1, "the failure is remembered");
    }
}

story! {
    async fn lists_are_bounded_and_the_one_not_asked_for_makes_room(town) {
        let border = Border::open(town, StatusFetches { lists: 2, ..patient() }).await;
        let ask = async |list: &str| {
            border.publishes(list, &[]);
            assert_eq!(border.asks(&border.host.uri(list), 1).await, known(0, NOW, Band::Fresh), "{list}");
            border.host.calls()
        };
        assert_eq!((ask("1").await, ask("2").await, ask("1").await, ask("3").await), (1, 2, 2, 3));
        assert_eq!((ask("1").await, ask("2").await), (3, 4), "the second made room");
    }
}

story! {
    async fn what_is_counted_is_shown(town) {
        let border = Border::open(town, patient()).await;
        border.publishes("1", &[]);
        border.asks(&border.host.uri("1"), 1).await;
        border.asks(&border.host.uri("1"), 1).await;
        let counted = StatusCounts { fetched: 1, fresh: 2, waited: 1, ..StatusCounts::default() };
        assert_eq!(border.counts(), counted);
        officials_card::http::start_metrics().unwrap();
        let shown = border.town.get("/metrics").await;
        let shown = String::from_utf8_lossy(&shown.bytes).into_owned();
        for name in ["officials_status_list_fetches_total{outcome=\"failed\"}", "officials_status_list_answers_total{kind=\"aging\"}", "officials_status_list_waits_total", "officials_status_list_waiting"] {
            assert!(shown.contains(name), "{name} in {shown}");
        }
    }
}

// ---- Attestations that are revoked ----

/// An office whose wallet provider has a status list, and what the settings say of a list that does not answer.
async fn office(town: Town, host: &StatusHost, fetches: StatusFetches, when: WhenUnavailable) -> Office {
    let required = KeyAttestations { required: true, ..KeyAttestations::default() };
    Office::open_with(town, |config| {
        config.attesters[0].status_lists = Some(host.lists());
        config.attesters[0].status_unavailable = when;
        config.key_attestations.insert(SD_JWT.into(), required);
        config.status_fetches = fetches;
    })
    .await
}

story! {
    async fn a_revoked_wallet_and_revoked_keys_are_refused(town) {
        let host = StatusHost::start(Act::Hang).await;
        let office = office(town, &host, patient(), WhenUnavailable::Refuse).await;
        host.does(serving(&token(&host.uri("1"), NOW, &[(1, 1), (2, 2)]), TokenForm::Jwt, &office.provider));
        let wallet = office.wallet();
        let at = |index: u32| json!({"status_list": {"idx": index, "uri": host.uri("1")}});
        let par = |status: Value| wallet.par().attestation(move |_, claims| claims["status"] = status.clone());
        wallet.par().send().await.expect(201);
        assert_eq!(host.calls(), 0, "an attestation need not have a status");
        par(at(0)).send().await.expect(201);
        let elsewhere = json!({"status_list": {"idx": 0, "uri": "https://elsewhere.example/1"}});
        for refused in [at(1), at(2), at(16), json!({"identifier_list": {}}), json!("revoked"), elsewhere] {
            assert_eq!(par(refused.clone()).send().await.error(401), "invalid_client", "{refused}");
        }
        assert_eq!(host.calls(), 1);

        let tokens = wallet.tokens(PERSON).await;
        let (now, nonce) = (office.town.clock.now(), wallet.nonce().await);
        let request = |status: Value| {
            let mut claims = key_claims(&[&wallet.key], &nonce, now);
            claims["status"] = status;
            json!({"credential_configuration_id": SD_JWT, "proofs": {"attestation": [office.provider.attest(&claims)]}})
        };
        let refused = wallet.call("/credential", &tokens.access, request(at(1)));
        assert_eq!(refused.send().await.error(400), "invalid_proof");
        wallet.call("/credential", &tokens.access, request(at(0))).send().await.expect(200);
    }
}

story! {
    async fn an_attestation_whose_list_does_not_answer_is_refused_unless_the_settings_take_it(town) {
        let host = StatusHost::start(Act::Status(404)).await;
        let mut office = office(town, &host, patient(), WhenUnavailable::Refuse).await;
        let status = json!({"status_list": {"idx": 0, "uri": host.uri("1")}});
        let named = |claims: &mut Value| claims["status"] = status.clone();
        let refused = office.wallet().par().attestation(|_, claims| named(claims)).send().await;
        assert_eq!(refused.error(401), "invalid_client");
        office.town = office.town.configured(|config| config.attesters[0].status_unavailable = WhenUnavailable::Accept);
        let wallet = office.wallet();
        wallet.par().attestation(|_, claims| named(claims)).send().await.expect(201);
        host.does(serving(&token(&host.uri("1"), NOW, &[(0, 1)]), TokenForm::Jwt, &office.provider));
        office.town.clock.advance(2);
        let revoked = wallet.par().attestation(|_, claims| named(claims));
        assert_eq!(revoked.send().await.error(401), "invalid_client", "what it says counts once it answers");
    }
}

// ---- Settings ----

story! {
    async fn settings_that_cannot_be_used_end_the_start(town) {
        let (host, ministry) = (StatusHost::start(Act::Hang).await, Attester::new(NOW));
        let check = |change: &dyn Fn(&mut officials_card::config::TrustedIssuer)| {
            let mut issuer = host.issuer(NAME, &ministry.root_pem);
            change(&mut issuer);
            let town = town.configured(|config| config.trusted_issuers = vec![issuer]);
            town.service.check_settings().map_err(|fault| fault.to_string())
        };
        assert_eq!(check(&|_| {}), Ok(()));
        let says = |change: &dyn Fn(&mut officials_card::config::TrustedIssuer), what: &str| {
            assert!(check(change).is_err_and(|said| said.contains(what)), "{what}");
        };
        says(&|issuer| issuer.anchors = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----".into(), "anchors");
        says(&|issuer| issuer.anchors.clear(), "anchors");
        says(&|issuer| issuer.status_lists.as_mut().unwrap().anchors = Some("x".into()), "anchors");
        says(&|issuer| issuer.types.push(format!("{URL}/types/official-card/1")), "our own type");
        says(&|issuer| issuer.types.push("vn.gov.moha.officials-card.1".into()), "our own type");
    }
}

// ---- Tokens by themselves ----

fn proved(bytes: &[u8], form: TokenForm, uri: &str, signers: &ListSigners) -> Result<ProvedList, TokenError> {
    ProvedList::prove(bytes, form, uri, signers, NOW)
}

#[test]
fn every_wrong_token_is_refused() {
    const LIST: &str = "https://status.example.vn/lists/1";
    let (ministry, stranger) = (Attester::new(NOW), Attester::new(NOW));
    let signers = ListSigners::of_others(ministry.anchors());
    let good = token(LIST, NOW, &[(3, 2)]);
    for form in TokenForm::ALL {
        let prove = |token: &StatusListToken| proved(&signed(token, form, &ministry), form, LIST, &signers);
        assert_eq!(prove(&good).unwrap().get(3), Ok(2));
        let with = |change: fn(&mut StatusListToken)| {
            let mut token = good.clone();
            change(&mut token);
            prove(&token).unwrap_err()
        };
        assert_eq!(with(|token| token.uri.push('/')), TokenError::List(StatusListError::WrongSubject));
        assert_eq!(with(|token| token.expires_at = Some(NOW)), TokenError::List(StatusListError::Expired));
        assert_eq!(with(|token| token.issued_at = NOW + 61), TokenError::DatedAhead);
        assert_eq!(with(|token| token.ttl_seconds = Some(0)), TokenError::List(StatusListError::Claim("ttl")));
        assert_eq!(with(|token| token.ttl_seconds = Some(-1)), TokenError::List(StatusListError::Claim("ttl")));
        let foreign = proved(&signed(&good, form, &stranger), form, LIST, &signers);
        assert_eq!(
            foreign,
            Err(TokenError::Signer(ChainError::BadSignature)),
            "a root of the same name is another root"
        );
        let ours = ListSigners::ours(ministry.anchors());
        assert_eq!(
            proved(&signed(&good, form, &ministry), form, LIST, &ours),
            Err(TokenError::Signer(ChainError::WrongUse))
        );
        let other = if form == TokenForm::Jwt { TokenForm::Cwt } else { TokenForm::Jwt };
        assert!(proved(&signed(&good, form, &ministry), other, LIST, &signers).is_err());
        // Whatever is changed, it never says anything else. (Nobody signs the last part of a certificate, its signature:
        // what does not alter that is borne.)
        let bytes = signed(&good, form, &ministry);
        let said = proved(&bytes, form, LIST, &signers);
        for at in (0..bytes.len()).step_by(7) {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            let changed = proved(&bytes, form, LIST, &signers);
            assert!(changed.is_err() || changed == said, "{form:?} byte {at}");
        }
    }
    let own = Keyring::open(Town::folder_of_keys(), None).unwrap();
    let root = ListSigners::ours(own.anchors.clone());
    assert!(proved(&signed(&good, TokenForm::Cwt, &*own.status_eddsa), TokenForm::Cwt, LIST, &root).is_ok());
    let card_signer = signed(&good, TokenForm::Jwt, &*own.issuer_es256);
    assert_eq!(proved(&card_signer, TokenForm::Jwt, LIST, &root), Err(TokenError::Signer(ChainError::WrongUse)));
}

#[test]
fn every_wrong_jwt_is_refused() {
    const LIST: &str = "https://status.example.vn/lists/1";
    let ministry = Attester::new(NOW);
    let signers = ListSigners::of_others(ministry.anchors());
    let good = token(LIST, NOW, &[]).to_jwt_claims();
    let prove = |jwt: &str| proved(jwt.as_bytes(), TokenForm::Jwt, LIST, &signers);
    let claims = |change: &dyn Fn(&mut Value)| {
        let mut claims = good.clone();
        change(&mut claims);
        prove(&ministry.sign("statuslist+jwt", &claims)).unwrap_err()
    };
    assert!(prove(&ministry.sign("statuslist+jwt", &good)).is_ok());
    assert_eq!(prove(&ministry.sign("JWT", &good)), Err(TokenError::Jws(JwsError::WrongType)));
    for bits in [json!(0), json!(3), json!(16), json!("2"), Value::Null] {
        assert_eq!(
            claims(&|claims| claims["status_list"]["bits"] = bits.clone()),
            TokenError::List(StatusListError::Bits)
        );
    }
    for (name, value) in
        [("iat", Value::Null), ("iat", json!("now")), ("exp", json!("x")), ("ttl", json!(1.5)), ("sub", Value::Null)]
    {
        assert!(
            matches!(claims(&|claims| claims[name] = value.clone()), TokenError::List(StatusListError::Claim(_))),
            "{name}"
        );
    }
    // A list that grows beyond the bound, and one that is not compressed as it must be.
    let bomb = officials_card::credential::zlib::deflate(&vec![0; 2 << 20]);
    let bomb = claims(&|claims| claims["status_list"]["lst"] = json!(URL_SAFE_NO_PAD.encode(&bomb)));
    assert!(matches!(bomb, TokenError::List(StatusListError::Zlib(_))), "{bomb:?}");
    let raw = officials_card::credential::zlib::deflate_bare(&[0; 16]);
    assert!(matches!(
        claims(&|claims| claims["status_list"]["lst"] = json!(URL_SAFE_NO_PAD.encode(&raw))),
        TokenError::List(StatusListError::Zlib(_))
    ));
    // Signers that name themselves in another way, or not well.
    let under = |header: Value| prove(&ministry.sign_under("statuslist+jwt", &good, header));
    assert_eq!(under(json!({})), Err(TokenError::NoChain));
    assert_eq!(under(json!({"x5c": []})), Err(TokenError::NoChain));
    assert_eq!(under(json!({"jwk": ministry.public_key().to_jwk()})), Err(TokenError::NoChain));
    let mut chain = ministry.certificates().to_vec();
    chain.push(ministry.root());
    let encoded: Vec<_> = chain.iter().map(|one| base64::engine::general_purpose::STANDARD.encode(one)).collect();
    assert_eq!(under(json!({"x5c": encoded})), Err(TokenError::Signer(ChainError::AnchorInside)));
    assert_eq!(under(json!({"x5c": [encoded[2]]})), Err(TokenError::Signer(ChainError::AnchorInside)));
    assert_eq!(under(json!({"x5c": [encoded[0]]})), Err(TokenError::Signer(ChainError::Untrusted)));
    // A MAC with the anchor as its key is no signature.
    let x5c = jws::x5c(&ministry);
    for algorithm in ["HS256", "none"] {
        let header = json!({"alg": algorithm, "typ": "statuslist+jwt", "x5c": x5c});
        let jwt =
            format!("{}.{}.AAAA", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(good.to_string()));
        assert_eq!(prove(&jwt), Err(TokenError::Jws(JwsError::Unsupported)), "{algorithm}");
    }
    let late = ProvedList::prove(
        ministry.sign("statuslist+jwt", &good).as_bytes(),
        TokenForm::Jwt,
        LIST,
        &ListSigners::of_others(Anchors::default()),
        NOW,
    );
    assert_eq!(late, Err(TokenError::Signer(ChainError::Untrusted)));
}

// ---- Names that lead inside ----

/// A name service that knows one answer.
struct Says(Vec<IpAddr>);

impl Lookup for Says {
    fn addresses(&self, _: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        let addresses = self.0.clone();
        Box::pin(async move { Ok(addresses) })
    }
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_followed() {
    let host = StatusHost::start(Act::Status(404)).await;
    let port = host.url.rsplit(':').next().unwrap().to_owned();
    let fetch = async |prefix: &str, addresses: &[&str], allowed: &[&str]| {
        let mut lists = host.lists();
        lists.prefixes = vec![StatusPrefix::parse(prefix).unwrap()];
        lists.allow_private_networks = allowed.iter().map(|network| network.parse().unwrap()).collect();
        let says = Says(addresses.iter().map(|address| address.parse().unwrap()).collect());
        let hosts = StatusHosts::with_lookup(&lists, &patient(), Arc::new(says)).unwrap();
        hosts.fetch(&format!("{prefix}1"), &[JWT], 100).await.unwrap_err()
    };
    let name = format!("https://status.example.vn:{port}/");
    for inside in [
        "127.0.0.1",
        "::1",
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.168.0.1",
        "fd00::1",
        "fe80::1",
        "::ffff:127.0.0.1",
        "224.0.0.1",
        "0.0.0.0",
    ] {
        assert_eq!(fetch(&name, &[inside], &[]).await, Unfetched::PrivateAddress, "{inside}");
    }
    assert_eq!(fetch(&name, &[], &[]).await, Unfetched::PrivateAddress);
    assert_eq!(host.calls(), 0);
    // An allowed network is gone to: there nobody speaks TLS.
    assert_eq!(fetch(&name, &["127.0.0.1"], &["10.0.0.0/8"]).await, Unfetched::PrivateAddress);
    assert_eq!(fetch(&name, &["127.0.0.1"], &["127.0.0.0/8"]).await, Unfetched::Silent);
    // This machine by its own name, and nowhere else by that name.
    let own = format!("http://localhost:{port}/");
    assert_eq!(fetch(&own, &["10.0.0.1", "127.0.0.1"], &[]).await, Unfetched::Status(404));
    assert_eq!(host.calls(), 1);
    assert_eq!(fetch(&own, &["10.0.0.1"], &["10.0.0.0/8"]).await, Unfetched::PrivateAddress);
}
