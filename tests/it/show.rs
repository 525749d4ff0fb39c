//! Showing and verifying: the printed badge, the live code, the online presentation, and every way to be turned away.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use officials_card::chance::Chance;
use officials_card::credential::Signer;
use officials_card::credential::cose::Sign1;
use officials_card::credential::qr::{self, Challenge};
use officials_card::credential::sd_jwt::{Disclosable, SignedClaims, Template};
use officials_card::credential::trust_list::TrustList;
use officials_card::credential::x509::Anchors;
use officials_card::credential::{cwt, sd_jwt};
use officials_card::flow::{Bundle, VerifyRequest, verify_offline};
use officials_card::keyring::Keyring;
use serde_json::{Value, json};

use crate::story;
use crate::town::{Town, URL, Wallet};

const PERSON: &str = "001199000018";

async fn verify(town: &Town, body: Value) -> Value {
    town.wallet().post("/api/v1/verify", "", &body).await.expect(200)
}

/// Outcome and first reason.
fn gist(verdict: &Value) -> (&str, &str) {
    (verdict["outcome"].as_str().unwrap(), verdict["reasons"][0]["code"].as_str().unwrap_or(""))
}

/// The wallet's live code at the town's time.
fn live(wallet: &Wallet<'_>, credential: &str, challenge: Option<&str>) -> String {
    let mut card = Sign1::parse(&URL_SAFE_NO_PAD.decode(credential).unwrap(), cwt::MAX_BYTES).unwrap();
    let challenge = challenge.map(|digits| Challenge::parse(digits).unwrap());
    qr::countersign(&mut card, &wallet.key, wallet.town.clock.now(), challenge.as_ref()).unwrap();
    qr::encode(&card.encode())
}

story! {
    async fn the_live_code_is_valid_for_a_minute_and_its_copy_never(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        for wallet in [town.wallet(), town.ed25519_wallet(9)] {
            let credential = wallet.card(&officer, PERSON, "official-card-qr").await;
            let text = live(&wallet, &credential, None);
            let verdict = verify(&town, json!({"text": text})).await;
            assert_eq!(gist(&verdict), ("valid-live", ""));
            assert_eq!(verdict["claims"]["full_name"], "Nguyễn Thị Thử Nghiệm");
            assert_eq!(verdict["status_as_of"], town.clock.now());
            assert!(!verdict.to_string().contains(PERSON), "the code holds no personal number");
            let stripped = qr::encode(&URL_SAFE_NO_PAD.decode(&credential).unwrap());
            assert_eq!(gist(&verify(&town, json!({"text": stripped})).await), ("not-valid", "proof_missing"));
            let thief = town.wallet();
            let stolen = live(&thief, &credential, None);
            assert_eq!(gist(&verify(&town, json!({"text": stolen})).await), ("not-valid", "proof_wrong"));
            town.clock.advance(61);
            assert_eq!(gist(&verify(&town, json!({"text": text})).await), ("not-valid", "proof_stale"));
            town.clock.advance(61);
            let early = live(&wallet, &credential, None);
            town.clock.advance(-61);
            assert_eq!(gist(&verify(&town, json!({"text": early})).await), ("not-valid", "proof_from_future"));
        }
    }
}

story! {
    async fn a_challenge_must_be_answered(town) {
        town.hires(PERSON, "H26").await;
        let wallet = town.wallet();
        let credential = wallet.card(&town.officer("vneid").await, PERSON, "official-card-qr").await;
        let answered = json!({"text": live(&wallet, &credential, Some("4711")), "challenge": "4711"});
        assert_eq!(gist(&verify(&town, answered).await), ("valid-live", ""));
        let not = json!({"text": live(&wallet, &credential, None), "challenge": "4711"});
        assert_eq!(gist(&verify(&town, not).await), ("not-valid", "challenge_unanswered"));
        let malformed = town.wallet().post("/api/v1/verify", "", &json!({"text": "x", "challenge": "12a4"})).await;
        assert_eq!(malformed.problem(400), "invalid-request");
    }
}

story! {
    async fn a_badge_is_one_code_in_two_pictures_and_ends_with_its_card(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let card = officer.offer(PERSON).await["card"].as_str().unwrap().to_owned();
        let png = officer.get(&format!("/api/v1/cards/{card}/badge.png?scale=4")).await;
        assert_eq!((png.status.as_u16(), png.header("content-type")), (200, "image/png"));
        let again = officer.get(&format!("/api/v1/cards/{card}/badge.png?scale=4")).await;
        assert_eq!(png.bytes, again.bytes, "fetching it again issues nothing new");
        let text = scan(&png.bytes);
        let verdict = verify(&town, json!({"text": text})).await;
        assert_eq!(gist(&verdict), ("valid-copy", ""));
        assert_eq!(verdict["claims"]["card"], card, "the random handle, not the card number");
        let svg = officer.get(&format!("/api/v1/cards/{card}/badge.svg")).await;
        assert_eq!(svg.header("content-type"), "image/svg+xml");
        let stored = crate::review::record_of(&town, PERSON).await.0;
        let last = town.service.store().history(stored.as_str()).await.unwrap().pop().unwrap();
        assert_eq!((&*last.1, &*last.2, &*last.3), ("vneid", "record.read", "badges"));
        let too_small = officer.get(&format!("/api/v1/cards/{card}/badge.svg?width_mm=11")).await;
        assert_eq!(too_small.problem(400), "invalid-request");
        officer.get(&format!("/api/v1/cards/{card}/badge.svg?width_mm=40")).await;
        officer.step(&card, "lock", "lost").await.expect(200);
        assert_eq!(gist(&verify(&town, json!({"text": text})).await), ("not-valid", "locked"));
        assert_eq!(officer.get(&format!("/api/v1/cards/{card}/badge.png")).await.problem(409), "card-state");
        officer.step(&card, "withdraw", "lost").await.expect(200);
        assert_eq!(gist(&verify(&town, json!({"text": text})).await), ("not-valid", "withdrawn"));
    }
}

story! {
    async fn a_presentation_answers_one_question_of_one_verifier(town) {
        town.hires(PERSON, "H26").await;
        let wallet = town.wallet();
        let officer = town.officer("vneid").await;
        let credential = wallet.card(&officer, PERSON, "official-card-sdjwt").await;
        let chosen = sd_jwt::select(&credential, |name| name == "full_name");
        let now = town.clock.now();
        let text = sd_jwt::bind(&chosen, &wallet.key, "https://gate.example", "n-1", now).unwrap();
        let ask = |text: &str, audience: &str, nonce: &str| json!({"text": text, "audience": audience, "nonce": nonce});
        let verdict = verify(&town, ask(&text, "https://gate.example", "n-1")).await;
        assert_eq!(gist(&verdict), ("valid-live", ""));
        assert_eq!(verdict["claims"]["full_name"], "Nguyễn Thị Thử Nghiệm");
        assert!(verdict["claims"].get("card_number").is_none(), "not disclosed");
        assert!(!verdict.to_string().contains(PERSON));
        for (body, outcome, reason) in [
            (ask(&text, "https://gate.example", "n-2"), "not-valid", "proof_for_another"),
            (ask(&text, "https://other.example", "n-1"), "not-valid", "proof_for_another"),
            (json!({"text": text}), "check-further", "nothing_asked"),
            (ask(&chosen, "https://gate.example", "n-1"), "not-valid", "proof_missing"),
        ] {
            assert_eq!(gist(&verify(&town, body).await), (outcome, reason));
        }
        let more = sd_jwt::select(&credential, |_| true);
        let key_binding = text.rsplit('~').next().unwrap();
        let widened = format!("{more}{key_binding}");
        assert_eq!(gist(&verify(&town, ask(&widened, "https://gate.example", "n-1")).await), ("not-valid", "proof_for_another"));
        let thief = town.wallet();
        let stolen = sd_jwt::bind(&chosen, &thief.key, "https://gate.example", "n-1", now).unwrap();
        assert_eq!(gist(&verify(&town, ask(&stolen, "https://gate.example", "n-1")).await), ("not-valid", "proof_wrong"));
        let old = sd_jwt::bind(&chosen, &wallet.key, "https://gate.example", "n-1", now - 301).unwrap();
        assert_eq!(gist(&verify(&town, ask(&old, "https://gate.example", "n-1")).await), ("not-valid", "proof_stale"));
        let gate = json!({"text": text, "audience": "https://gate.example", "nonce": "n-1", "gate": "G09"});
        assert_eq!(gist(&verify(&town, gate).await), ("check-further", "agency_unknown"));
    }
}

story! {
    async fn a_checkpoint_without_network_says_what_it_cannot_know(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let wallet = town.wallet();
        let credential = wallet.card(&officer, PERSON, "official-card-qr").await;
        wallet.card(&officer, PERSON, "official-card-sdjwt").await;
        let card = officer.offer(PERSON).await["card"].as_str().unwrap().to_owned();
        let anchors = Anchors::from_pem(town.service.anchor_pem()).unwrap();
        let bundle: Bundle = serde_json::from_slice(&town.get("/api/v1/bundle").await.bytes).unwrap();
        let outcome = |bundle: &Bundle| {
            let request = VerifyRequest { text: live(&wallet, &credential, None), ..VerifyRequest::default() };
            let verdict = verify_offline(&request, bundle, &anchors, town.clock.now()).unwrap();
            let verdict = serde_json::to_value(verdict).unwrap();
            let (outcome, reason) = gist(&verdict);
            (outcome.to_owned(), reason.to_owned())
        };
        let pair = |outcome: &str, reason: &str| (outcome.to_owned(), reason.to_owned());
        assert_eq!(outcome(&bundle), pair("valid-live", ""));
        let whole: Bundle = serde_json::from_slice(&town.get("/api/v1/bundle?online=true").await.bytes).unwrap();
        assert!(whole.status_lists.len() > bundle.status_lists.len(), "other lists come when they are asked for");
        let mut next = bundle.clone();
        next.keep_lists_of(&whole);
        assert_eq!(next.status_lists, whole.status_lists, "what is not asked for again is not lost");
        officer.step(&card, "withdraw", "resigned").await.expect(200);
        assert_eq!(outcome(&bundle), pair("valid-live", ""), "the old lists do not know it");
        let newer: Bundle = serde_json::from_slice(&town.get("/api/v1/bundle").await.bytes).unwrap();
        assert_eq!(outcome(&newer), pair("not-valid", "withdrawn"));
        let mut without = newer.clone();
        without.status_lists.clear();
        assert_eq!(outcome(&without), pair("check-further", "status_unavailable"));
        town.clock.advance(3601);
        assert_eq!(outcome(&bundle), pair("valid-live", "status_aging"));
        town.clock.advance(73 * 3600);
        assert_eq!(outcome(&bundle), pair("check-further", "status_unavailable"), "the lists are over");
        town.clock.advance(30 * 86400);
        assert_eq!(outcome(&bundle), pair("check-further", "trust_list_expired"));
        let mut forged = newer;
        forged.trust_list = bundle.trust_list.replace('A', "B");
        let request = VerifyRequest { text: "x".into(), ..VerifyRequest::default() };
        assert!(verify_offline(&request, &forged, &anchors, town.clock.now()).is_err());
    }
}

story! {
    async fn each_key_signs_only_what_it_was_certified_for(town) {
        town.hires(PERSON, "H26").await;
        let (wallet, now) = (town.wallet(), town.clock.now());
        let keys = Keyring::open(Town::folder_of_keys(), None).unwrap();
        let anchors = Anchors::from_pem(town.service.anchor_pem()).unwrap();

        // Whoever holds a key of the status lists makes no card with it …
        let vct = format!("{URL}/types/official-card/1");
        let template = Template::new(&*keys.status_es256, &vct, "sha256-x", URL, 1, false);
        let claims = [Disclosable::new("full_name", &json!("Kẻ Giả Mạo"))];
        let signed = SignedClaims {
            issued_at: now - 60,
            expires_at: now + 86400,
            holder: wallet.key.public_key(),
            status_uri: &format!("{URL}/s/1"),
            status_index: 0,
        };
        let forged = template.issue(&*keys.status_es256, &Chance::seeded([5; 32]), &signed, &claims).unwrap();
        let text = sd_jwt::bind(&forged, &wallet.key, "a", "n", now).unwrap();
        let verdict = verify(&town, json!({"text": text, "audience": "a", "nonce": "n"})).await;
        assert_eq!(gist(&verdict), ("not-valid", "unknown_key"));

        // … and whoever holds a key of cards makes no trust list.
        let mut bundle: Bundle = serde_json::from_slice(&town.get("/api/v1/bundle").await.bytes).unwrap();
        let genuine = bundle.trust_list(None, &anchors, now).unwrap();
        let list = TrustList { version: 999_999, ..genuine.clone() };
        bundle.trust_list = STANDARD.encode(list.seal(&*keys.qr).unwrap());
        assert!(bundle.trust_list(None, &anchors, now).is_err());
        // A genuine one is refused by who holds a newer one.
        bundle.trust_list = STANDARD.encode(list.seal(&*keys.list).unwrap());
        assert!(bundle.trust_list(Some(&genuine), &anchors, now).is_ok());
        bundle.trust_list = STANDARD.encode(genuine.seal(&*keys.list).unwrap());
        assert!(bundle.trust_list(Some(&list), &anchors, now).is_err());
    }
}

story! {
    async fn cards_of_a_retired_key_are_turned_away(town) {
        town.hires(PERSON, "H26").await;
        let (officer, wallet, now) = (town.officer("vneid").await, town.wallet(), town.clock.now());
        let credential = wallet.card(&officer, PERSON, "official-card-sdjwt").await;
        let text = sd_jwt::bind(&sd_jwt::select(&credential, |_| false), &wallet.key, "a", "n", now).unwrap();
        let ask = json!({"text": text, "audience": "a", "nonce": "n"});
        assert_eq!(gist(&verify(&town, ask.clone()).await), ("valid-live", ""));
        let jwks = town.get("/.well-known/jwks.json").await.expect(200);
        let keys = jwks["keys"].as_array().unwrap().iter();
        let kid = keys.filter(|key| key["alg"] == "ES256").map(|key| key["kid"].as_str().unwrap()).next().unwrap();
        let strict = town.configured(|config| config.retired_keys = vec![kid.to_uppercase()]);
        assert_eq!(gist(&verify(&strict, ask).await), ("not-valid", "unknown_key"));
    }
}

story! {
    async fn a_specimen_is_never_accepted(town) {
        town.hires(PERSON, "H26").await;
        let town = town.configured(|config| config.specimen = true);
        let (officer, wallet) = (town.officer("vneid").await, town.wallet());
        let credential = wallet.card(&officer, PERSON, "official-card-sdjwt").await;
        let now = town.clock.now();
        let text = sd_jwt::bind(&sd_jwt::select(&credential, |_| true), &wallet.key, "a", "n", now).unwrap();
        let verdict = verify(&town, json!({"text": text, "audience": "a", "nonce": "n"})).await;
        assert_eq!(gist(&verdict), ("other-code", "specimen"));
        let credential = wallet.card(&officer, PERSON, "official-card-qr").await;
        let text = live(&wallet, &credential, None);
        assert_eq!(gist(&verify(&town, json!({"text": text})).await), ("other-code", "specimen"));
    }
}

story! {
    async fn foreign_codes_are_named(town) {
        for (text, reason) in [
            ("001099012345|123456789|Nguyễn Văn A|01011999|Nam|Hà Nội|01012021", "citizen_card"),
            ("HC1:NCFOXN", "health_certificate"),
            ("https://example.vn", "web_address"),
            ("xin chào", "other_text"),
        ] {
            assert_eq!(gist(&verify(&town, json!({"text": text})).await), ("other-code", reason));
        }
    }
}

/// The text of a QR code in a picture, as `officials-card verify --png` reads it.
pub fn scan(png: &[u8]) -> String {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    rxing::helpers::detect_in_luma(pixels, frame.width, frame.height, Some(rxing::BarcodeFormat::QR_CODE))
        .unwrap()
        .getText()
        .to_owned()
}
