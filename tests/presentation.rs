//! What a verifier believes of issuers that it trusts beside our own: an issuer whose certificates are made here signs
//! cards as it likes, and one thing at a time is wrong. Also the example of RFC 9901. (What wallets can do wrong with our
//! own cards is in `it/presented.rs`.)

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use officials_card::chance::Chance;
use officials_card::credential::mdoc::device::{self, SessionTranscript};
use officials_card::credential::mdoc::{Element, Template};
use officials_card::credential::presentation::{
    Asked, Believed, PresentationError, SignedFor, StatusPolicy, Trusted, TrustedIssuer, Wanted, verify_mdoc,
    verify_sd_jwt,
};
use officials_card::credential::sd_jwt::{self, CardError, Presentation, Rules, SignedClaims};
use officials_card::credential::x509::Anchors;
use officials_card::credential::{PublicKey, Signer, jws};
use officials_card::keyring::{FileKey, fresh_p256_jwk};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

mod authority;

use authority::{Authority, Flaw, NOW, YEAR, file_key};

const VCT: &str = "urn:eudi:pid:1";
const DOCTYPE: &str = "org.iso.18013.5.1.mDL";
const NAMESPACE: &str = "org.iso.18013.5.1";
const STATUS: &str = "https://issuer.example/s/1";
const AUDIENCE: &str = "x509_hash:verifier";
const NONCE: &str = "nonce";
/// The extended key usage of signers of driving licences (ISO/IEC 18013-5 Annex B).
const LICENCES: &str = "1.0.18013.5.1.2";

// ---------------------------------------------------------------------------------------------- the issuer

fn root() -> &'static Authority {
    static ROOT: OnceLock<Authority> = OnceLock::new();
    ROOT.get_or_init(|| Authority::root("Root"))
}

fn signer() -> &'static FileKey {
    static SIGNER: OnceLock<FileKey> = OnceLock::new();
    SIGNER.get_or_init(|| root().certifies(Flaw::None))
}

fn holder() -> &'static FileKey {
    static HOLDER: OnceLock<FileKey> = OnceLock::new();
    HOLDER.get_or_init(|| FileKey::new(&fresh_p256_jwk().unwrap(), Vec::new()).unwrap())
}

fn issuer() -> TrustedIssuer {
    TrustedIssuer {
        name: "foreign".into(),
        anchors: Anchors::new(vec![root().der.clone()]),
        types: vec![VCT.into(), DOCTYPE.into()],
        signed_for: SignedFor::Documents(vec![LICENCES.into()]),
        issuers: Some(vec!["https://issuer.example".into()]),
        status: StatusPolicy::IfPresent,
        status_lists: vec!["https://issuer.example/s/".into()],
        pinned_signers: Vec::new(),
    }
}

// ---------------------------------------------------------------------------------------------- SD-JWT cards

/// A card before it is signed, and its holder's proof.
struct Card {
    header: Value,
    payload: Value,
    /// What the disclosures hold; their digests stand in `_sd`.
    disclosures: Vec<Value>,
    /// Disclosures that come along without a digest.
    added: Vec<String>,
    binding_header: Value,
    binding: Value,
    bound: bool,
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn digest(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

fn sign(key: &FileKey, header: &Value, payload: &str) -> String {
    let input = format!("{}.{}", encoded(header), URL_SAFE_NO_PAD.encode(payload));
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(key.sign(input.as_bytes()).unwrap()))
}

impl Card {
    /// As the conformance suite's wallet has it: `exp`, no status, some claims.
    fn good() -> Self {
        Self {
            header: json!({"alg": "ES256", "typ": "dc+sd-jwt", "x5c": jws::x5c(signer())}),
            payload: json!({
                "iss": "https://issuer.example", "vct": VCT, "iat": NOW, "exp": NOW + 14 * 86_400,
                "cnf": {"jwk": holder().public_key().to_jwk()},
            }),
            disclosures: vec![json!(["s1", "given_name", "Jean"]), json!(["s2", "family_name", "Dupont"])],
            added: Vec::new(),
            binding_header: json!({"alg": "ES256", "typ": "kb+jwt"}),
            binding: json!({"iat": NOW, "aud": AUDIENCE, "nonce": NONCE}),
            bound: true,
        }
    }

    fn text(&self) -> String {
        let mut payload = self.payload.clone();
        let disclosures: Vec<String> = self.disclosures.iter().map(encoded).collect();
        if payload.get("_sd").is_none() {
            payload["_sd"] = disclosures.iter().map(|one| digest(one)).collect();
        }
        let mut text = sign(signer(), &self.header, &payload.to_string());
        for part in disclosures.iter().chain(&self.added) {
            text.push('~');
            text.push_str(part);
        }
        text.push('~');
        if !self.bound {
            return text;
        }
        let mut binding = self.binding.clone();
        if binding.get("sd_hash").is_none() {
            binding["sd_hash"] = json!(digest(&text));
        }
        let proof = sign(holder(), &self.binding_header, &binding.to_string());
        text + &proof
    }
}

fn transcript() -> SessionTranscript {
    SessionTranscript::of_redirect(AUDIENCE, NONCE, None, "https://verifier.example/r")
}

fn judged(text: &str, issuers: &[TrustedIssuer], bound: bool, at: i64) -> Result<Believed, PresentationError> {
    let types = [VCT.to_owned(), DOCTYPE.to_owned()];
    let asked = Asked { audience: AUDIENCE, nonce: NONCE, transcript: &transcript(), requested_at: at };
    let issuers: Vec<_> = issuers.iter().collect();
    let (wanted, trusted) =
        (Wanted { types: &types, bound, authorities: true }, Trusted { issuers: &issuers, list: None });
    let verify = if text.contains('~') { verify_sd_jwt } else { verify_mdoc };
    verify(text, &wanted, &trusted, &asked, at)
}

#[track_caller]
fn code(text: &str) -> &'static str {
    judged(text, &[issuer()], true, NOW).expect_err("it is wrong").code()
}

/// What a card with a change fails at.
#[track_caller]
fn fails(change: impl FnOnce(&mut Card)) -> &'static str {
    let mut card = Card::good();
    change(&mut card);
    code(&card.text())
}

#[track_caller]
fn holds(change: impl FnOnce(&mut Card)) -> Believed {
    let mut card = Card::good();
    change(&mut card);
    judged(&card.text(), &[issuer()], true, NOW).unwrap()
}

fn without(object: &mut Value, name: &str) {
    object.as_object_mut().unwrap().remove(name);
}

#[test]
fn a_foreign_card_is_believed() {
    let believed = holds(|_| {});
    assert_eq!((believed.types.as_slice(), believed.issuer, believed.bound), (&[VCT.to_owned()][..], 0, true));
    assert_eq!((&believed.claims["given_name"], &believed.claims["family_name"]), (&json!("Jean"), &json!("Dupont")));
    assert_eq!(believed.holder.as_ref(), Some(holder().public_key()));
    assert_eq!((believed.proof_time, believed.expires_at), (Some(NOW), Some(NOW + 14 * 86_400)));
    assert_eq!((believed.status, believed.specimen), (None, false));
    assert_eq!(believed.authority_key_ids.len(), 1);
    // What need not be there.
    assert_eq!(holds(|card| without(&mut card.payload, "exp")).expires_at, None);
    holds(|card| without(&mut card.payload, "iat"));
    holds(|card| card.payload["_sd_alg"] = json!("sha-256"));
    holds(|card| card.payload["cnf"]["jwk"]["kid"] = json!("1"));
    holds(|card| card.payload["status"] = json!({"status_list": {"idx": 1, "uri": STATUS}}));
    holds(|card| card.binding["exp"] = json!(NOW + 10));
    holds(|card| card.binding["iat"] = json!(NOW - 60));
    holds(|card| card.binding["iat"] = json!(NOW + 60));
}

#[test]
fn the_issuers_jwt_has_one_form() {
    assert_eq!(fails(|card| card.header["typ"] = json!("vc+sd-jwt")), "issuer_signature");
    assert_eq!(fails(|card| without(&mut card.header, "typ")), "issuer_signature");
    assert_eq!(fails(|card| card.header["alg"] = json!("none")), "issuer_signature");
    assert_eq!(fails(|card| card.header["alg"] = json!("HS256")), "issuer_signature");
    assert_eq!(fails(|card| card.header["alg"] = json!("EdDSA")), "issuer_signature");
    assert_eq!(fails(|card| card.header["crit"] = json!(["x"])), "issuer_signature");
    assert_eq!(
        fails(|card| card.payload["deep"] = (0..20).fold(json!(0), |inner, _| json!([inner]))),
        "issuer_signature"
    );
    assert_eq!(fails(|card| card.payload["_sd_alg"] = json!("sha-512")), "digest_algorithm");
    assert_eq!(fails(|card| card.payload["_sd_alg"] = json!(null)), "digest_algorithm");
    // A key that the header offers is no reason to believe it.
    let key = FileKey::new(&fresh_p256_jwk().unwrap(), Vec::new()).unwrap();
    let header = json!({"alg": "ES256", "typ": "dc+sd-jwt", "jwk": key.public_key().to_jwk()});
    let payload = Card::good().payload.to_string();
    assert_eq!(code(&format!("{}~x", sign(&key, &header, &payload))), "issuer_chain");
    // Two readers could read two types.
    let twice = payload.replacen('{', &format!("{{\"vct\":\"{VCT}\","), 1);
    let header = json!({"alg": "ES256", "typ": "dc+sd-jwt", "x5c": jws::x5c(signer())});
    assert_eq!(code(&format!("{}~x", sign(signer(), &header, &twice))), "issuer_signature");
    for text in ["~x", "a.b.c~x", "~~x"] {
        assert!(["issuer_signature", "malformed"].contains(&code(text)), "{text}");
    }
    assert_eq!(code("a.b.c~"), "binding_missing", "decided before anything is looked at");
    assert_eq!(code(&format!("{}~", "a".repeat(300 * 1024))), "malformed");
}

#[test]
fn only_what_the_issuer_digested_is_disclosed() {
    for bad in [
        json!(["s"]),
        json!(["s", "a", 1, 2]),
        json!([1, "a", 1]),
        json!(["s", 1, 1]),
        json!(["s", "_sd", 1]),
        json!(["s", "...", 1]),
        json!({}),
        json!("s"),
        json!(["s", "vct", "x"]),
        json!(["s", "exp", NOW + YEAR]),
        json!(["s", "cnf", {}]),
        json!(["s", "status", {}]),
        json!(["s", "nbf", 0]),
        json!(["s", "iss", "x"]),
        json!(["s", "aka_vcts", []]),
        json!(["s", "given_name", "again"]),
        json!(["s", "an array's element"]),
    ] {
        assert_eq!(fails(|card| card.disclosures.push(bad.clone())), "disclosure", "{bad}");
    }
    let digest_of = |disclosure: &Value| json!(digest(&encoded(disclosure)));
    let known = json!(["s1", "given_name", "Jean"]);
    assert_eq!(fails(|card| card.added.push(encoded(&json!(["s", "more", 1])))), "disclosure");
    assert_eq!(fails(|card| card.added.push(encoded(&known))), "disclosure");
    assert_eq!(fails(|card| card.added.push("!".into())), "disclosure");
    assert_eq!(fails(|card| card.added.push(String::new())), "malformed");
    assert_eq!(fails(|card| card.added = vec!["x".into(); 201]), "malformed");
    let twice = json!([digest_of(&known), digest_of(&known)]);
    assert_eq!(
        fails(|card| {
            card.disclosures.truncate(1);
            card.payload["_sd"] = twice;
        }),
        "disclosure"
    );
    let nested = json!({"_sd": [digest_of(&known)]});
    assert_eq!(fails(|card| card.payload["nested"] = nested.clone()), "disclosure", "a digest stands at one place");
    assert_eq!(fails(|card| card.payload["_sd"] = json!("x")), "disclosure");
    assert_eq!(fails(|card| card.payload["list"] = json!([{"...": "x", "y": 1}])), "disclosure");
    // Not even a part of what has to be plain.
    assert_eq!(fails(|card| card.payload["cnf"]["_sd"] = json!(["x"])), "disclosure");
    assert_eq!(fails(|card| card.payload["status"] = json!({"_sd": ["x"]})), "disclosure");
    // Decoys, and elements of arrays that are kept back, are gone.
    let believed = holds(|card| card.payload["list"] = json!([1, {"...": digest("decoy")}, 2]));
    assert_eq!(believed.claims["list"], json!([1, 2]));
}

#[test]
fn type_dates_status_and_name_are_the_issuers() {
    assert_eq!(fails(|card| card.payload["vct"] = json!("urn:other")), "type");
    assert_eq!(fails(|card| without(&mut card.payload, "vct")), "type");
    assert_eq!(fails(|card| card.payload["vct"] = json!([VCT])), "type");
    assert_eq!(fails(|card| card.payload["exp"] = json!(NOW - 60)), "expired");
    assert_eq!(fails(|card| card.payload["exp"] = json!("2030")), "malformed");
    assert_eq!(fails(|card| card.payload["nbf"] = json!(NOW + 61)), "not_yet_valid");
    assert_eq!(fails(|card| card.payload["iat"] = json!(NOW + 61)), "not_yet_valid");
    assert_eq!(fails(|card| card.payload["status"] = json!({"identifier_list": {}})), "malformed");
    assert_eq!(fails(|card| card.payload["status"] = json!({"status_list": {"idx": -1, "uri": STATUS}})), "malformed");
    let elsewhere = |uri: &str| {
        let status = json!({"status_list": {"idx": 1, "uri": uri}});
        fails(|card| card.payload["status"] = status)
    };
    assert_eq!(elsewhere("https://other.example/s/1"), "status_list");
    assert_eq!(elsewhere("https://issuer.example.evil/s/1"), "status_list");
    assert_eq!(fails(|card| card.payload["iss"] = json!("https://other.example")), "issuer_name");
    assert_eq!(fails(|card| without(&mut card.payload, "iss")), "issuer_name");
    let card = Card::good().text();
    let strict = TrustedIssuer { status: StatusPolicy::Required, ..issuer() };
    assert_eq!(judged(&card, &[strict], true, NOW).unwrap_err(), PresentationError::NoStatus);
    let any = TrustedIssuer { issuers: None, ..issuer() };
    let mut unnamed = Card::good();
    without(&mut unnamed.payload, "iss");
    assert!(judged(&unnamed.text(), &[any], true, NOW).is_ok());
    let other = TrustedIssuer { types: vec!["urn:other".into()], ..issuer() };
    assert_eq!(judged(&card, &[other], true, NOW).unwrap_err(), PresentationError::UnknownIssuer);
}

#[test]
fn the_holders_proof_has_one_form() {
    assert_eq!(fails(|card| card.bound = false), "binding_missing");
    assert_eq!(fails(|card| card.binding_header["typ"] = json!("JWT")), "binding_signature");
    assert_eq!(fails(|card| card.binding_header["alg"] = json!("none")), "binding_signature");
    assert_eq!(fails(|card| card.binding_header["crit"] = json!(["x"])), "binding_signature");
    for (name, expected) in [("aud", "binding_audience"), ("nonce", "binding_nonce"), ("iat", "binding_time")] {
        assert_eq!(fails(|card| without(&mut card.binding, name)), expected);
    }
    assert_eq!(fails(|card| card.binding["aud"] = json!([AUDIENCE])), "binding_audience");
    assert_eq!(fails(|card| card.binding["aud"] = json!(&AUDIENCE[..10])), "binding_audience");
    assert_eq!(fails(|card| card.binding["aud"] = json!("verifier")), "binding_audience", "without its prefix");
    assert_eq!(fails(|card| card.binding["nonce"] = json!("NONCE")), "binding_nonce");
    assert_eq!(fails(|card| card.binding["sd_hash"] = json!("")), "binding_card");
    for iat in [json!(NOW - 61), json!(NOW + 61), json!(NOW - YEAR), json!(NOW + YEAR), json!("now"), json!(1e300)] {
        assert_eq!(fails(|card| card.binding["iat"] = iat), "binding_time");
    }
    assert_eq!(fails(|card| card.binding["exp"] = json!(NOW - 61)), "binding_time");
    assert_eq!(fails(|card| card.binding["exp"] = json!("never")), "binding_time");
    assert_eq!(fails(|card| card.binding["nbf"] = json!(NOW + 61)), "binding_time");
    assert_eq!(fails(|card| without(&mut card.payload, "cnf")), "holder_key");
    assert_eq!(fails(|card| card.payload["cnf"] = json!({"kid": "x"})), "holder_key");
    assert_eq!(fails(|card| card.payload["cnf"]["jwk"]["d"] = json!("x")), "holder_key");
    assert_eq!(fails(|card| card.payload["cnf"]["jwk"] = signer().public_key().to_jwk()), "binding_signature");
}

#[test]
fn whether_a_proof_is_needed_is_the_querys_to_say() {
    let outcome = |change: &dyn Fn(&mut Card)| {
        let mut card = Card::good();
        change(&mut card);
        judged(&card.text(), &[issuer()], false, NOW).map(|believed| believed.bound).map_err(|error| error.code())
    };
    assert_eq!(outcome(&|_| {}), Ok(true));
    assert_eq!(outcome(&|card| card.bound = false), Ok(false));
    let nobodys = |card: &mut Card| {
        card.bound = false;
        without(&mut card.payload, "cnf");
    };
    assert_eq!(outcome(&nobodys), Ok(false));
    // A proof that nobody asked for is no decoration.
    assert_eq!(outcome(&|card| card.binding["nonce"] = json!("x")), Err("binding_nonce"));
    assert_eq!(outcome(&|card| without(&mut card.payload, "cnf")), Err("holder_key"));
}

/// A card of this signer.
fn signed_by(signer: &FileKey, chain: &[Vec<u8>]) -> String {
    use base64::engine::general_purpose::STANDARD;
    let x5c: Vec<_> = chain.iter().map(|one| STANDARD.encode(one)).collect();
    let header = json!({"alg": "ES256", "typ": "dc+sd-jwt", "x5c": x5c});
    let text = format!("{}~", sign(signer, &header, &Card::good().payload.to_string()));
    sd_jwt::bind(&text, holder(), AUDIENCE, NONCE, NOW).unwrap()
}

#[test]
fn certificates_lead_to_an_anchor_of_the_type() {
    let outcome = |signer: &FileKey, chain: &[Vec<u8>]| {
        judged(&signed_by(signer, chain), &[issuer()], true, NOW).map(|_| ()).map_err(|error| error.code())
    };
    for flaw in [Flaw::Expired, Flaw::IsCa, Flaw::MayNotSign] {
        let signer = root().certifies(flaw);
        assert_eq!(outcome(&signer, signer.certificates()), Err("issuer_chain"), "{flaw:?}");
    }
    let leaf = &signer().certificates()[0];
    assert_eq!(outcome(signer(), &[]), Err("issuer_chain"));
    assert_eq!(outcome(signer(), &[leaf.clone(), root().der.clone()]), Err("issuer_chain"), "the anchor inside");
    assert_eq!(outcome(signer(), &[leaf.clone(), leaf.clone()]), Err("issuer_chain"));
    assert_eq!(outcome(signer(), &[root().der.clone()]), Err("issuer_chain"));
    assert_eq!(outcome(holder(), std::slice::from_ref(leaf)), Err("issuer_signature"), "somebody else's certificate");
    let stranger = Authority::root("Root").certifies(Flaw::None);
    assert_eq!(outcome(&stranger, stranger.certificates()), Err("issuer_chain"), "another root of the same name");

    // The second of two issuers of the same type.
    let first = TrustedIssuer { anchors: Anchors::new(vec![Authority::root("Other").der]), ..issuer() };
    let text = signed_by(signer(), signer().certificates());
    assert_eq!(judged(&text, &[first, issuer()], true, NOW).unwrap().issuer, 1);
}

#[test]
fn a_pinned_signer_is_believed_as_it_is_and_alone() {
    let own = Authority::root("Suite");
    let signer = file_key(&own.key, vec![own.der.clone()]);
    let text = signed_by(&signer, signer.certificates());
    assert_eq!(judged(&text, &[issuer()], true, NOW).unwrap_err().code(), "issuer_chain");
    let pinned = TrustedIssuer { pinned_signers: vec![own.der.clone()], ..issuer() };
    assert!(judged(&text, std::slice::from_ref(&pinned), true, NOW).is_ok());
    assert_eq!(judged(&text, std::slice::from_ref(&pinned), true, NOW + 2 * YEAR).unwrap_err().code(), "issuer_chain");
    let chained = signed_by(&signer, &[own.der.clone(), own.der.clone()]);
    assert_eq!(judged(&chained, std::slice::from_ref(&pinned), true, NOW).unwrap_err().code(), "issuer_chain");
    let mdoc = licence(&signer, NOW - 100, NOW + 100);
    assert_eq!(judged(&mdoc, &[pinned], true, NOW).unwrap().types, [DOCTYPE]);
}

// ---------------------------------------------------------------------------------------------- mdocs

/// A presented driving licence of this signer.
fn licence(signer: &FileKey, from: i64, until: i64) -> String {
    let claims = SignedClaims {
        issued_at: from,
        expires_at: until,
        holder: holder().public_key(),
        status_uri: STATUS,
        status_index: 7,
    };
    let elements = [Element::new("family_name", &"Nguyễn".into()), Element::full_date("birth_date", "1999-03-15")];
    let template = Template::new(DOCTYPE, NAMESPACE, 4, b"root");
    let card = template.issue(signer, &Chance::seeded([5; 32]), &claims, &elements).unwrap();
    let response = device::present(&card, DOCTYPE, |_, _| true, &transcript(), holder()).unwrap();
    URL_SAFE_NO_PAD.encode(response)
}

#[test]
fn a_foreign_mdoc_is_believed_of_its_document_signer_only() {
    let believed = judged(&licence(signer(), NOW - 100, NOW + 100), &[issuer()], true, NOW).unwrap();
    assert_eq!(believed.claims, json!({NAMESPACE: {"family_name": "Nguyễn", "birth_date": "1999-03-15"}}));
    assert_eq!((believed.bound, believed.expires_at), (true, Some(NOW + 100)));
    assert_eq!(believed.status.unwrap().uri, STATUS);
    for flaw in [Flaw::Expired, Flaw::IsCa, Flaw::MayNotSign, Flaw::OtherCountry, Flaw::OtherUsage, Flaw::NoUsage] {
        let signer = root().certifies(flaw);
        assert_eq!(code(&licence(&signer, NOW - 100, NOW + 100)), "issuer_chain", "{flaw:?}");
    }
    // Where the profile is not asked for, any signer under the anchor will do.
    let lax = TrustedIssuer { signed_for: SignedFor::Anything, ..issuer() };
    let plain = licence(&root().certifies(Flaw::NoUsage), NOW - 100, NOW + 100);
    assert!(judged(&plain, &[lax], true, NOW).is_ok());
    let none = TrustedIssuer { status_lists: Vec::new(), ..issuer() };
    let text = licence(signer(), NOW - 100, NOW + 100);
    assert_eq!(judged(&text, &[none], true, NOW).unwrap_err(), PresentationError::StatusListNotAllowed);
}

#[test]
fn an_mdoc_is_in_its_time_and_in_base64url_without_padding() {
    assert_eq!(code(&licence(signer(), NOW - 200, NOW - 60)), "expired");
    assert_eq!(code(&licence(signer(), NOW + 61, NOW + 200)), "not_yet_valid");
    assert_eq!(code(&licence(signer(), NOW - 2 * YEAR, NOW + 100)), "issuer_key");
    let good = licence(signer(), NOW - 100, NOW + 100);
    assert_eq!(code(&format!("{good}=")), "encoding");
    assert_eq!(code("oA"), "malformed");
    assert_eq!(code(&URL_SAFE_NO_PAD.encode([0x81; 64])), "malformed");
    assert_eq!(code(&"A".repeat(400 * 1024)), "malformed");
    let mut longer = URL_SAFE_NO_PAD.decode(&good).unwrap();
    longer.push(0);
    assert_eq!(code(&URL_SAFE_NO_PAD.encode(longer)), "malformed");
}

// ---------------------------------------------------------------------------------------------- any change

/// Every bit of it. What may differ is what nobody signs and everybody reads the same: `undefined` for `null`, and the
/// outermost shell of a certificate.
#[test]
fn a_changed_bit_of_an_mdoc_is_never_another_card() {
    let bytes = URL_SAFE_NO_PAD.decode(licence(signer(), NOW - 100, NOW + 100)).unwrap();
    let issuers = [issuer()];
    let judged = |bytes: &[u8]| judged(&URL_SAFE_NO_PAD.encode(bytes), &issuers, true, NOW);
    let good = judged(&bytes).unwrap();
    let (mut changed, mut believed) = (bytes.clone(), 0);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            changed[at] ^= 1 << bit;
            if let Ok(other) = judged(&changed) {
                assert_eq!(other, good, "byte {at}, bit {bit}");
                believed += 1;
            }
            changed[at] ^= 1 << bit;
        }
    }
    assert!(believed < 40, "{believed} changes did not matter");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_changed_character_is_never_believed(at in any::<prop::sample::Index>(), other in "[A-Za-z0-9_.~-]") {
        static TEXT: OnceLock<String> = OnceLock::new();
        let text = TEXT.get_or_init(|| Card::good().text());
        let at = at.index(text.len());
        prop_assume!(text[at..=at] != other);
        let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
        if changed.contains('~') {
            prop_assert!(judged(&changed, &[issuer()], true, NOW).is_err());
        }
    }

    #[test]
    fn nothing_panics(text in "\\PC{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for text in [text.clone(), format!("{text}~"), URL_SAFE_NO_PAD.encode(bytes)] {
            prop_assert!(judged(&text, &[issuer()], true, NOW).is_err());
        }
    }
}

// ---------------------------------------------------------------------------------------------- RFC 9901

/// The presentation of RFC 9901 appendix A.3, with the issuer's key of appendix A.5.
#[test]
fn the_rfcs_presentation_is_believed() {
    const MADE_AT: i64 = 1_748_537_244;
    const VERIFIER: &str = "https://verifier.example.org";
    let text = include_str!("vectors/rfc9901/a3-presentation.txt").trim();
    let issuer = PublicKey::from_jwk(&json!({
        "kty": "EC", "crv": "P-256",
        "x": "b28d4MwZMjw8-00CG4xfnn9SLMVMM19SlqZpVb_uNtQ", "y": "Xv5zWwuoaTgdS6hV43yI6gBwTnjukmFQQnJ_kCxzqk8",
    }));
    let issuer = issuer.unwrap();
    let types = ["urn:eudi:pid:de:1".to_owned()];
    let rules = Rules { types: &types, expires: true, names_holder: true };
    let verified = || Presentation::parse(text).unwrap().verify_by(issuer.clone(), &rules, MADE_AT);
    let card = verified().unwrap();
    assert_eq!(
        Value::Object(card.claims.clone()),
        json!({
            "iss": "https://pid-issuer.bund.de.example", "iat": 1_683_000_000, "exp": 1_883_000_000,
            "vct": "urn:eudi:pid:de:1", "age_equal_or_over": {"18": true}, "nationalities": ["DE"],
        })
    );
    let bound = |since, audience, nonce, now| card.check_binding_since(since, audience, nonce, now);
    assert_eq!(bound(MADE_AT, VERIFIER, "1234567890", MADE_AT), Ok(MADE_AT));
    assert_eq!(bound(MADE_AT, VERIFIER, "123456789", MADE_AT), Err(CardError::OtherRequest("nonce")));
    assert_eq!(bound(MADE_AT, "https://verifier.example", "1234567890", MADE_AT), Err(CardError::OtherRequest("aud")));
    assert_eq!(bound(MADE_AT + 61, VERIFIER, "1234567890", MADE_AT), Err(CardError::Stale { made_at: MADE_AT }));
    assert_eq!(bound(0, VERIFIER, "1234567890", MADE_AT + 301), Err(CardError::Stale { made_at: MADE_AT }));
    assert_eq!(bound(MADE_AT, "", "", MADE_AT), Err(CardError::OtherRequest("aud")));
    assert!(Presentation::parse(text).unwrap().verify_by(holder().public_key().clone(), &rules, MADE_AT).is_err());
}
