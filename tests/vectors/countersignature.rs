//! `tests/vectors/qr/countersignature.json`: the wallet's half of a live code, step by step, for anybody who writes a
//! wallet. Every byte is put together here from the RFC's words, not by the code that makes live cards; what that code
//! makes must then be the same.

use officials_card::credential::cbor::{self, Value};
use officials_card::credential::cose::Sign1;
use officials_card::credential::qr;
use officials_card::credential::symbol::{Ecc, Symbol};
use officials_card::credential::{Algorithm, Signer, cwt};
use serde_json::{Value as Json, json};

use super::{HOLDER, KeptProof, NOW, TestKey, card, claims, hex, proved, read, unhex, write};
use officials_card::credential::cwt::QrClaims;

/// The file's name in `tests/vectors/qr/`.
pub const NAME: &str = "countersignature";
const PROFILE: &str = "vn-officials-card/qr/1";
const TIME: i64 = NOW - 5;
const DIGITS: &str = "482913";

#[test]
fn every_step_of_the_countersignature_is_published() {
    let file = file();
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        write(NAME, &file);
    }
    assert_eq!(read(NAME), file);
}

#[test]
fn the_published_steps_lead_to_the_published_card() {
    let file = read(NAME);
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let text = |name: &str| case[name].as_str().unwrap();
        let live = Sign1::parse(&unhex(text("cose")), cwt::MAX_BYTES).unwrap();
        let Value::Tag(18, parts) = cbor::decode(&unhex(text("cose")), cwt::MAX_BYTES).unwrap() else { panic!() };
        let parts = parts.into_array().unwrap();
        let proof = cbor::get(parts[1].as_map().unwrap(), 11).unwrap().as_array().unwrap();
        assert_eq!(hex(proof[0].as_bytes().unwrap()), text("protected"));
        assert_eq!(hex(proof[2].as_bytes().unwrap()), text("signature"));
        let read = cwt::QrCredential::parse(&live.encode()).unwrap();
        let key = read.claims.confirmation.unwrap();
        assert!(key.verify(&unhex(text("to_be_signed")), &unhex(text("signature"))).is_ok(), "{}", text("name"));
        assert_eq!(qr::decode(text("text")), Ok(unhex(text("cose"))));
        assert_eq!(case["version"], Symbol::new(text("text"), Ecc::Low).unwrap().version());
    }
}

fn file() -> Json {
    let eddsa = TestKey::new(HOLDER);
    let es256 = KeptProof::new();
    json!({
        "about": "How a wallet proves the moment. `card` as issued; `protected` and `external_aad` go into `to_be_signed` \
                  (RFC 9338 section 3.3), `signature` goes into header 11 of `card`, which makes `cose`; `text` is \
                  Base45(zlib(cose)), drawn with error correction L as a symbol of `version`. The private keys are for \
                  nothing else. Ed25519 signatures are deterministic; those of ES256 were made once and are kept, and \
                  another is as good when the key of `holder` verifies it.",
        "profile": PROFILE,
        "cases": [
            case("eddsa", &eddsa, None),
            case("eddsa-challenge", &eddsa, Some(DIGITS)),
            case("es256", &es256, None),
            case("es256-challenge", &es256, Some(DIGITS)),
        ],
    })
}

fn case(name: &str, holder: &dyn Signer, challenge: Option<&str>) -> Json {
    let card = card(&QrClaims { confirmation: Some(holder.public_key().clone()), ..claims() });
    let Value::Tag(18, parts) = cbor::decode(&card, cwt::MAX_BYTES).unwrap() else { unreachable!() };
    let [issuer_protected, _, payload, issuer_signature] = <[Value; 4]>::try_from(parts.into_array().unwrap()).unwrap();
    let algorithm = if holder.algorithm() == Algorithm::Es256 { -7 } else { -8 };
    let protected = cbor::encode(&cbor::map([(1, algorithm.into()), (15, cbor::map([(6, TIME.into())]))]));
    let external = challenge.map_or(PROFILE.to_owned(), |digits| format!("{PROFILE}#{digits}"));
    let to_be_signed = cbor::encode(&Value::Array(vec![
        "CounterSignatureV2".into(),
        issuer_protected,
        protected.clone().into(),
        external.as_bytes().to_vec().into(),
        payload,
        Value::Array(vec![issuer_signature]),
    ]));
    let signature = holder.sign(&to_be_signed).unwrap();
    let cose = proved(&card, holder, TIME, challenge);
    let text = qr::encode(&cose);
    json!({
        "name": name,
        "algorithm": if algorithm == -7 { "ES256" } else { "EdDSA" },
        "card": hex(&card),
        "holder": private_jwk(holder),
        "time": TIME,
        "challenge": challenge,
        "protected": hex(&protected),
        "external_aad": external,
        "to_be_signed": hex(&to_be_signed),
        "signature": hex(&signature),
        "cose": hex(&cose),
        "version": Symbol::new(&text, Ecc::Low).unwrap().version(),
        "text": text,
    })
}

/// With `d`: the seed of the Ed25519 key, and the x of RFC 6979 appendix A.2.5, in base64url.
fn private_jwk(holder: &dyn Signer) -> Json {
    let mut jwk = holder.public_key().to_jwk();
    jwk["d"] = json!(match holder.algorithm() {
        Algorithm::EdDsa => "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI",
        Algorithm::Es256 => "ya-p2EW6dRZrXCFXZ7HWk05Qw9s26JsSe4piKxIPZyE",
    });
    jwk
}
