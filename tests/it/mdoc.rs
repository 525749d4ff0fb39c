//! The card as mdoc: issued like every other form, verified by its own anchor, withdrawn with its card.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use officials_card::credential::mdoc::{self, IssuerSigned, VerifiedMdoc};
use officials_card::credential::sd_jwt::Presentation;
use officials_card::credential::x509::{Anchors, Use, pem_certificates, validity};
use officials_card::credential::{Signer, cbor, cose, official_card};
use officials_card::keyring::{FileKey, fresh_p256_jwk};
use officials_card::protocol::mdoc::{DOCTYPE, NAMESPACE, SPECIMEN_DOCTYPE};
use serde_json::{Value, json};

use crate::revoke::published;
use crate::story;
use crate::town::{Town, URL, Wallet, proof_by};

const PERSON: &str = "001199000018";
const MDOC: &str = "official-card-mdoc";

/// The IACA certificate as anybody fetches it.
async fn anchors(town: &Town) -> Anchors {
    let pem = town.get("/iaca.pem").await;
    assert_eq!(pem.status, 200);
    Anchors::from_pem(std::str::from_utf8(&pem.bytes).unwrap()).unwrap()
}

fn decoded(credential: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(credential).unwrap()
}

async fn verified(town: &Town, credential: &str) -> VerifiedMdoc {
    mdoc::verify(&decoded(credential), &anchors(town).await, DOCTYPE, town.clock.now()).unwrap()
}

story! {
    async fn an_mdoc_says_what_the_card_says_and_is_bound_to_its_holder(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        for wallet in [town.wallet(), town.ed25519_wallet(5)] {
            let card = verified(&town, &wallet.card(&officer, PERSON, MDOC).await).await;
            assert_eq!(&card.device_key, wallet.key.public_key());
            let claims = official_card::claims(&card.elements, NAMESPACE);
            assert_eq!(claims.len(), card.elements.len(), "all in one namespace, none without a form in JSON");
            assert_eq!(claims["card_number"], "H26.001199000018.CC");
            assert_eq!(claims["full_name"], "Nguyễn Thị Thử Nghiệm");
            assert_eq!(claims["date_of_birth"], "1999-03-15");
            assert!(claims["portrait"].as_str().unwrap().starts_with("data:image/jpeg;base64,"));

            let sd_jwt = wallet.card(&officer, PERSON, "official-card-sdjwt").await;
            let root = Anchors::from_pem(town.service.anchor_pem()).unwrap();
            let vct = format!("{URL}/types/official-card/1");
            let sd_jwt = Presentation::parse(&sd_jwt).unwrap().verify(&root, &vct, town.clock.now()).unwrap();
            for (name, value) in &claims {
                assert_eq!(sd_jwt.claims.get(name), Some(value), "{name}");
            }
            assert_eq!(card.valid_from, sd_jwt.claims["iat"]);
            assert_eq!(card.valid_until, sd_jwt.claims["exp"]);
        }
    }
}

story! {
    async fn the_metadata_says_what_is_issued(town) {
        let metadata = town.get("/.well-known/openid-credential-issuer").await.expect(200);
        let about = &metadata["credential_configurations_supported"][MDOC];
        assert_eq!((&about["format"], &about["doctype"]), (&json!("mso_mdoc"), &json!(DOCTYPE)));
        let paths: Vec<_> = about["credential_metadata"]["claims"].as_array().unwrap().iter().map(|one| &one["path"]).collect();
        assert!(paths.contains(&&json!([NAMESPACE, "portrait"])), "{paths:?}");
        assert!(paths.iter().all(|path| path.as_array().unwrap().len() == 2));
        for (path, kind) in [("/iaca.pem", "application/x-pem-file"), ("/iaca.crl", "application/pkix-crl")] {
            let served = town.get(path).await;
            assert_eq!((served.status.as_u16(), served.header("content-type")), (200, kind));
            assert_eq!(served.header("access-control-allow-origin"), "*");
        }
    }
}

story! {
    async fn a_withdrawn_cards_mdoc_points_to_it(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let wallet = town.wallet();
        let offer = officer.offer(PERSON).await;
        let token = wallet.token(&offer).await;
        let mdoc = verified(&town, &wallet.credential(&token, MDOC).await).await;
        let root = pem_certificates(town.service.anchor_pem()).unwrap();
        assert_eq!(mdoc.status_anchor.as_deref(), Some(&*root[0]), "who pins the IACA alone finds the lists' signer");
        let status = mdoc.status.unwrap();
        let card = offer["card"].as_str().unwrap();
        assert_eq!(published(&town, &status).await, 0);
        officer.step(card, "lock", "lost").await.expect(200);
        assert_eq!(published(&town, &status).await, 2);
        officer.step(card, "withdraw", "lost").await.expect(200);
        assert_eq!(published(&town, &status).await, 1);
    }
}

/// The randoms and numbers of the items, and the digests of the MSO.
fn marks(credential: &str) -> (Vec<Vec<u8>>, Vec<i64>, Vec<Vec<u8>>) {
    let parts = cbor::decode_map(&decoded(credential), 1 << 20).unwrap();
    let encoded = |value: &cbor::Value| {
        let cbor::Value::Tag(24, inner) = value else { panic!("{value:?}") };
        cbor::decode_map(inner.as_bytes().unwrap(), 1 << 20).unwrap()
    };
    let names = cbor::get_text(&parts, "nameSpaces").unwrap().as_map().unwrap();
    let items: Vec<_> = names[0].1.as_array().unwrap().iter().map(encoded).collect();
    let random = |item: &cbor::Map| cbor::get_text(item, "random").unwrap().as_bytes().unwrap().clone();
    let number = |item: &cbor::Map| cbor::integer(cbor::get_text(item, "digestID").unwrap()).unwrap();
    let message = cose::Sign1::from_value(cbor::get_text(&parts, "issuerAuth").unwrap().clone()).unwrap();
    let mso = encoded(&cbor::decode(message.payload(), 1 << 20).unwrap());
    let digests = cbor::get_text(&mso, "valueDigests").unwrap().as_map().unwrap()[0].1.as_map().unwrap().clone();
    let digests = digests.into_iter().map(|(_, digest)| digest.into_bytes().unwrap()).collect();
    (items.iter().map(random).collect(), items.iter().map(number).collect(), digests)
}

story! {
    async fn a_batch_of_mdocs_cannot_be_linked(town) {
        town.hires(PERSON, "H26").await;
        let wallet = town.wallet();
        let token = wallet.token(&town.officer("vneid").await.offer(PERSON).await).await;
        let nonce = wallet.nonce().await;
        let keys: Vec<_> = (0..10).map(|_| FileKey::new(&fresh_p256_jwk().unwrap(), Vec::new()).unwrap()).collect();
        let payload = json!({"aud": URL, "iat": town.clock.now(), "nonce": nonce});
        let proofs: Vec<_> = keys.iter().map(|key| proof_by(key, payload.clone())).collect();
        let request = Wallet::request(MDOC, &proofs);
        let answer = wallet.post("/credential", &token, &request).await.expect(200);
        let again = wallet.post("/credential", &token, &request).await.expect(200);
        let texts = |answer: &Value| -> Vec<String> {
            let all = answer["credentials"].as_array().unwrap().iter();
            all.map(|one| one["credential"].as_str().unwrap().to_owned()).collect()
        };
        let credentials = texts(&answer);
        let mut indices = Vec::new();
        for ((credential, repeated), key) in credentials.iter().zip(texts(&again)).zip(&keys) {
            let card = verified(&town, credential).await;
            assert_eq!(&card.device_key, key.public_key());
            assert_eq!((card.signed_at % 3600, card.valid_until % 86400), (0, 0), "rounded");
            assert_eq!(card.status, verified(&town, &repeated).await.status, "the same copy, signed again");
            indices.push(card.status.unwrap().index);
        }
        let steps: Vec<_> = indices.windows(2).map(|pair| i64::from(pair[1]) - i64::from(pair[0])).collect();
        assert!(steps.windows(2).any(|pair| pair[0] != pair[1]), "indices in an arithmetic progression: {steps:?}");
        let marks: Vec<_> = credentials.iter().map(|one| marks(one)).collect();
        assert!(marks.iter().all(|(_, _, digests)| digests.len() == 16), "their number says nothing");
        let mut secrets: Vec<_> = marks.iter().flat_map(|(randoms, _, digests)| [&randoms[..], digests].concat()).collect();
        let all = secrets.len();
        secrets.sort_unstable();
        secrets.dedup();
        assert_eq!(secrets.len(), all, "no random and no digest is shared");
        let mut numberings: Vec<_> = marks.into_iter().map(|(_, numbers, _)| numbers).collect();
        numberings.sort_unstable();
        numberings.dedup();
        assert_eq!(numberings.len(), 10, "the numbers of the elements differ from copy to copy");
    }
}

story! {
    async fn a_specimen_is_of_another_type(town) {
        town.hires(PERSON, "H26").await;
        let training = town.configured(|config| config.specimen = true);
        let metadata = training.get("/.well-known/openid-credential-issuer").await.expect(200);
        assert_eq!(metadata["credential_configurations_supported"][MDOC]["doctype"], SPECIMEN_DOCTYPE);
        let credential = training.wallet().card(&training.officer("vneid").await, PERSON, MDOC).await;
        assert_eq!(IssuerSigned::parse(&decoded(&credential)).unwrap().claimed_doctype(), SPECIMEN_DOCTYPE);
        let outcome = mdoc::verify(&decoded(&credential), &anchors(&town).await, DOCTYPE, town.clock.now());
        assert_eq!(outcome, Err(mdoc::MdocError::OtherType));
    }
}

story! {
    async fn no_mdoc_outlives_its_signer(town) {
        const DAY: i64 = 86400;
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let wallet = town.wallet();
        let first = wallet.card(&officer, PERSON, MDOC).await;
        let message = {
            let parts = cbor::decode_map(&decoded(&first), 1 << 20).unwrap();
            cose::Sign1::from_value(cbor::get_text(&parts, "issuerAuth").unwrap().clone()).unwrap()
        };
        let (_, end) = validity(&message.certificates()[0]).unwrap();
        assert_eq!((verified(&town, &first).await.valid_until - town.clock.now()) / DAY, 89);
        assert_eq!(town.get("/ready").await.expect(200)["checks"]["keys"], true);

        town.clock.advance(end - 10 * DAY - town.clock.now());
        let officer = town.officer("vneid").await;
        let last = verified(&town, &wallet.card(&officer, PERSON, MDOC).await).await;
        assert_eq!(last.valid_until, end);

        town.clock.advance(10 * DAY + 1);
        let officer = town.officer("vneid").await;
        let token = wallet.token(&officer.offer(PERSON).await).await;
        let request = Wallet::request(MDOC, &[wallet.proof(&wallet.nonce().await)]);
        assert_eq!(wallet.post("/credential", &token, &request).await.status, 500, "ours to mend");
        assert_eq!(town.get("/ready").await.expect(503)["checks"]["keys"], false);
        assert!(anchors(&town).await.check(&message.certificates(), Use::Mdocs, town.clock.now()).is_err());
        // Every other form goes on.
        wallet.credential(&token, "official-card-sdjwt").await;
    }
}
