//! mdoc: the card as ISO/IEC 18013-5 section 9 has it, `mso_mdoc` of OpenID4VCI 1.0 appendix A.2.
//!
//! ```text
//! IssuerSigned = {
//!   nameSpaces: { namespace: [ 24(bstr .cbor {digestID, random, elementIdentifier, elementValue}), … ] },
//!   issuerAuth: COSE_Sign1 [ {alg}, {33: certificate of the document signer}, 24(bstr .cbor MSO), signature ]
//! }
//! MSO = { version, digestAlgorithm, valueDigests, deviceKeyInfo, docType, validityInfo, status }
//! ```
//!
//! The holder shows any of the items; the digests of all stand in the signed MSO. [`issue`](Template::issue) makes one,
//! [`verify`] judges one. [`device`] is how its holder presents it: with the device's own signature.

pub mod device;
mod issue;
mod verify;

pub use issue::{Element, Template};
pub use verify::{
    CLOCK_SKEW_SECONDS, IssuerSigned, MAX_BYTES, MAX_ITEMS, MdocError, VerifiedElement, VerifiedMdoc, to_json, verify,
};

/// The format in the issuer's metadata.
pub const FORMAT: &str = "mso_mdoc";
/// The only version of an MSO (section 9.1.2.4).
const VERSION: &str = "1.0";
/// The digest algorithm (HAIP 1.0 section 8).
const DIGEST_ALGORITHM: &str = "SHA-256";
/// Encoded CBOR data item (RFC 8949 section 3.4.5.1).
const TAG_ENCODED: u64 = 24;
/// Date and time as text (RFC 8949 section 3.4.1): `tdate`.
const TAG_DATE_TIME: u64 = 0;
/// Calendar date as text (RFC 8943): `full-date`.
const TAG_FULL_DATE: u64 = 1004;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chance::Chance;
    use crate::clock::UnixSeconds;
    use crate::credential::cbor::{self, Value};
    use crate::credential::cose::{CoseError, Sign1};
    use crate::credential::sd_jwt::SignedClaims;
    use crate::credential::status_list::StatusReference;
    use crate::credential::test_key::TestKey;
    use crate::credential::x509::{Anchors, ChainError};
    use crate::credential::{PublicKey, Signer};
    use crate::keyring::{self, Keyring};
    use std::sync::OnceLock;

    const NOW: UnixSeconds = 1_795_325_268;
    const DOCTYPE: &str = "vn.example.card.1";
    const NAMESPACE: &str = "vn.example.card.names.1";
    const DIGESTS: usize = 8;

    fn keys() -> &'static Keyring {
        static KEYS: OnceLock<Keyring> = OnceLock::new();
        KEYS.get_or_init(|| {
            let folder = std::env::temp_dir().join(format!("mdoc-keys-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&folder);
            keyring::init(&folder, None, "https://issuer.example", &Chance::system(), NOW).unwrap();
            let keys = Keyring::open(&folder, None).unwrap();
            std::fs::remove_dir_all(&folder).unwrap();
            keys
        })
    }

    fn elements() -> Vec<Element> {
        vec![
            Element::new("full_name", &"Nguyễn Thị Thử Nghiệm".into()),
            Element::full_date("date_of_birth", "1999-03-15"),
            Element::new("portrait", &vec![0xff, 0xd8].into()),
        ]
    }

    fn issue_at(seed: u8, elements: &[Element], issued_at: UnixSeconds, expires_at: UnixSeconds) -> Vec<u8> {
        let holder = TestKey::new(9);
        let claims = SignedClaims {
            issued_at,
            expires_at,
            holder: holder.public_key(),
            status_uri: "https://issuer.example/s/1",
            status_index: 7,
        };
        let chance = Chance::seeded([seed; 32]);
        let template = Template::new(DOCTYPE, NAMESPACE, DIGESTS, b"root");
        template.issue(&*keys().document_signer, &chance, &claims, elements).unwrap()
    }

    fn issue(seed: u8) -> Vec<u8> {
        issue_at(seed, &elements(), NOW - 100, NOW + 100)
    }

    fn outcome(bytes: &[u8]) -> Result<VerifiedMdoc, MdocError> {
        verify(bytes, &keys().iaca, DOCTYPE, NOW)
    }

    /// The parts of an mdoc, changed and put together again; the MSO is signed anew.
    fn changed(change: impl FnOnce(&mut Vec<(Value, Value)>, &mut Vec<(Value, Value)>)) -> Vec<u8> {
        changed_by(&*keys().document_signer, change)
    }

    fn changed_by(
        signer: &dyn Signer,
        change: impl FnOnce(&mut Vec<(Value, Value)>, &mut Vec<(Value, Value)>),
    ) -> Vec<u8> {
        let Ok(Value::Map(mut parts)) = cbor::decode(&issue(1), 1 << 16) else { panic!() };
        let at = parts.iter().position(|(name, _)| name.as_text() == Some("issuerAuth")).unwrap();
        let message = Sign1::from_value(parts.swap_remove(at).1).unwrap();
        let Ok(Value::Tag(24, inner)) = cbor::decode(message.payload(), 1 << 16) else { panic!() };
        let Ok(Value::Map(mut mso)) = cbor::decode(inner.as_bytes().unwrap(), 1 << 16) else { panic!() };
        let Some(Value::Map(names)) = parts.first_mut().map(|(_, names)| names) else { panic!() };
        change(names, &mut mso);
        let payload = Value::Tag(24, Box::new(cbor::encode(&Value::Map(mso)).into()));
        let message = Sign1::sign_bare(cbor::encode(&payload), signer).unwrap();
        let mut untagged = Vec::new();
        message.with_certificates(keys().document_signer.certificates()).write_untagged(&mut untagged);
        parts.push(("issuerAuth".into(), cbor::decode(&untagged, 1 << 16).unwrap()));
        cbor::encode(&Value::Map(parts))
    }

    fn member<'a>(map: &'a mut [(Value, Value)], name: &str) -> &'a mut Value {
        map.iter_mut().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value).unwrap()
    }

    fn set(map: &mut Vec<(Value, Value)>, name: &str, value: Option<Value>) {
        map.retain(|(key, _)| key.as_text() != Some(name));
        map.extend(value.map(|value| (name.into(), value)));
    }

    fn date_time(text: &str) -> Value {
        Value::Tag(0, Box::new(text.into()))
    }

    #[test]
    fn what_is_issued_verifies_and_says_what_was_said() {
        let card = outcome(&issue(1)).unwrap();
        assert_eq!(card.device_key, *TestKey::new(9).public_key());
        assert_eq!(card.status, Some(StatusReference { index: 7, uri: "https://issuer.example/s/1".into() }));
        assert_eq!(card.status_anchor.as_deref(), Some(&b"root"[..]));
        assert_eq!((card.signed_at, card.valid_from, card.valid_until), (NOW - 100, NOW - 100, NOW + 100));
        let said: Vec<_> = card
            .elements
            .iter()
            .map(|element| {
                assert_eq!(element.namespace, NAMESPACE);
                (element.identifier.as_str(), to_json(&element.value).unwrap())
            })
            .collect();
        let expected = [
            ("full_name", "Nguyễn Thị Thử Nghiệm".into()),
            ("date_of_birth", "1999-03-15".into()),
            ("portrait", "_9g".into()),
        ];
        assert_eq!(said, expected);
        // Nothing changed: the helper of the other tests gives a good one.
        assert!(outcome(&changed(|_, _| {})).is_ok());
    }

    #[test]
    fn the_bytes_are_those_of_the_profile() {
        let bytes = issue(1);
        let Ok(Value::Map(parts)) = cbor::decode(&bytes, 1 << 16) else { panic!() };
        let [protected, unprotected, payload, signature] =
            cbor::get_text(&parts, "issuerAuth").unwrap().as_array().unwrap().as_slice()
        else {
            panic!("an untagged COSE_Sign1");
        };
        assert_eq!(protected.as_bytes().unwrap(), &[0xa1, 0x01, 0x26], "the algorithm and nothing else");
        assert_eq!(
            unprotected.as_map().unwrap(),
            &[(33.into(), keys().document_signer.certificates()[0].clone().into())]
        );
        assert_eq!(payload.as_bytes().unwrap()[..2], [0xd8, 24]);
        assert_eq!(signature.as_bytes().unwrap().len(), 64);
        let Ok(Value::Tag(24, mso)) = cbor::decode(payload.as_bytes().unwrap(), 1 << 16) else { panic!() };
        let Ok(Value::Map(mut mso)) = cbor::decode(mso.as_bytes().unwrap(), 1 << 16) else { panic!() };
        let validity = member(&mut mso, "validityInfo").as_map().unwrap().clone();
        assert_eq!(cbor::get_text(&validity, "signed"), Some(&date_time("2026-11-22T05:26:08Z")));
        let items = cbor::get_text(&parts, "nameSpaces").unwrap().as_map().unwrap()[0].1.as_array().unwrap();
        for item in items {
            let Value::Tag(24, item) = item else { panic!("{item:?}") };
            let item = cbor::decode_map(item.as_bytes().unwrap(), 1 << 16).unwrap();
            assert_eq!(item.len(), 4);
            assert_eq!(cbor::get_text(&item, "random").unwrap().as_bytes().unwrap().len(), 32);
        }
    }

    /// Digests by number of the MSO, and the numbers of the items.
    fn numbers(bytes: &[u8]) -> (Vec<u64>, Vec<u64>) {
        let Ok(Value::Map(parts)) = cbor::decode(bytes, 1 << 16) else { panic!() };
        let number = |value: &Value| u64::try_from(value.as_integer().unwrap()).unwrap();
        let items = cbor::get_text(&parts, "nameSpaces").unwrap().as_map().unwrap()[0].1.as_array().unwrap();
        let items = items.iter().map(|item| {
            let Value::Tag(24, item) = item else { panic!() };
            number(cbor::get_text(&cbor::decode_map(item.as_bytes().unwrap(), 1 << 16).unwrap(), "digestID").unwrap())
        });
        let message = Sign1::from_value(cbor::get_text(&parts, "issuerAuth").unwrap().clone()).unwrap();
        let Ok(Value::Tag(24, mso)) = cbor::decode(message.payload(), 1 << 16) else { panic!() };
        let mso = cbor::decode_map(mso.as_bytes().unwrap(), 1 << 16).unwrap();
        let digests = cbor::get_text(&mso, "valueDigests").unwrap().as_map().unwrap()[0].1.as_map().unwrap();
        (digests.iter().map(|(id, _)| number(id)).collect(), items.collect())
    }

    #[test]
    fn neither_the_number_nor_the_numbering_of_digests_tells_what_the_card_holds() {
        let all = elements();
        let mut orders = std::collections::BTreeSet::new();
        for seed in 0..32 {
            for some in [&all[..], &all[..1]] {
                let (digests, items) = numbers(&issue_at(seed, some, NOW - 100, NOW + 100));
                assert_eq!(digests, (0..DIGESTS as u64).collect::<Vec<_>>());
                assert_eq!(items.len(), some.len());
                orders.insert(items);
            }
        }
        assert!(orders.len() > 30, "the numbering changes from card to card: {orders:?}");
    }

    #[test]
    fn another_signer_type_anchor_or_time_is_not_believed() {
        let good = issue(1);
        assert_eq!(verify(&good, &keys().iaca, "vn.example.other.1", NOW), Err(MdocError::OtherType));
        assert_eq!(verify(&good, &Anchors::default(), DOCTYPE, NOW), Err(MdocError::Chain(ChainError::Untrusted)));
        assert_eq!(verify(&good, &keys().anchors, DOCTYPE, NOW), Err(MdocError::Chain(ChainError::Untrusted)));
        // The root's keys sign other things, even where the root is trusted.
        let other = changed_by(&*keys().issuer_es256, |_, _| {});
        assert_eq!(outcome(&other), Err(MdocError::Cose(CoseError::BadSignature)));
        let claims = SignedClaims {
            issued_at: NOW,
            expires_at: NOW + 100,
            holder: keys().qr.public_key(),
            status_uri: "https://issuer.example/s/1",
            status_index: 7,
        };
        let template = Template::new(DOCTYPE, NAMESPACE, DIGESTS, b"root");
        let other = template.issue(&*keys().issuer_es256, &Chance::seeded([1; 32]), &claims, &elements()).unwrap();
        assert_eq!(verify(&other, &keys().anchors, DOCTYPE, NOW), Err(MdocError::Chain(ChainError::WrongUse)));

        assert_eq!(verify(&good, &keys().iaca, DOCTYPE, NOW + 160), Err(MdocError::Expired));
        assert!(verify(&good, &keys().iaca, DOCTYPE, NOW + 159).is_ok(), "clocks may differ by a minute");
        assert_eq!(verify(&good, &keys().iaca, DOCTYPE, NOW - 161), Err(MdocError::NotYetValid));
        assert!(verify(&good, &keys().iaca, DOCTYPE, NOW - 160).is_ok());
        let long = issue_at(1, &elements(), NOW, NOW + 1000 * 86400);
        let after = NOW + 458 * 86400;
        assert_eq!(verify(&long, &keys().iaca, DOCTYPE, after), Err(MdocError::Chain(ChainError::NotValidNow)));
        let early = issue_at(1, &elements(), NOW - 3 * 86400, NOW + 100);
        assert_eq!(outcome(&early), Err(MdocError::SignerNotValidThen));
    }

    #[test]
    fn an_item_that_was_not_signed_is_refused() {
        let items = |names: &mut Vec<(Value, Value)>| names[0].1.as_array().unwrap().clone();
        let item = |random: usize, id: i64, identifier: &str, value: &str| {
            let item = Value::Map(vec![
                ("digestID".into(), id.into()),
                ("random".into(), vec![7; random].into()),
                ("elementIdentifier".into(), identifier.into()),
                ("elementValue".into(), value.into()),
            ]);
            Value::Tag(24, Box::new(cbor::encode(&item).into()))
        };
        let with = |added: Value| {
            changed(|names, _| {
                let mut all = items(names);
                all.push(added);
                names[0].1 = Value::Array(all);
            })
        };
        assert_eq!(outcome(&with(item(32, 0, "rank", "minister"))), Err(MdocError::Digest));
        assert_eq!(outcome(&with(item(32, 99, "rank", "minister"))), Err(MdocError::Digest));
        assert_eq!(outcome(&with(item(15, 0, "rank", "minister"))), Err(MdocError::Malformed("random")));
        assert_eq!(outcome(&with(item(32, -1, "rank", "minister"))), Err(MdocError::Malformed("digestID")));
        assert_eq!(outcome(&with(item(32, 1 << 31, "rank", "minister"))), Err(MdocError::Malformed("digestID")));
        assert_eq!(outcome(&with(Value::Null)), Err(MdocError::Malformed("nameSpaces")));
        let twice = changed(|names, _| {
            let mut all = items(names);
            all.push(all[0].clone());
            names[0].1 = Value::Array(all);
        });
        assert_eq!(outcome(&twice), Err(MdocError::Malformed("elementIdentifier")));
        let moved = changed(|names, _| names[0].0 = "org.iso.18013.5.1".into());
        assert_eq!(outcome(&moved), Err(MdocError::Digest));
        // Fewer are the holder's choice.
        let fewer = changed(|names, _| names[0].1 = Value::Array(items(names)[1..].to_vec()));
        assert_eq!(outcome(&fewer).unwrap().elements.len(), 2);
    }

    #[test]
    fn an_mso_that_breaks_the_profile_is_refused() {
        let mso = |name: &'static str, value: Option<Value>| outcome(&changed(|_, mso| set(mso, name, value)));
        let validity = |name: &'static str, value: Option<Value>| {
            outcome(&changed(|_, mso| {
                let Value::Map(info) = member(mso, "validityInfo") else { panic!() };
                set(info, name, value);
            }))
        };
        for (outcome, place) in [
            (mso("version", Some("2.0".into())), "version"),
            (mso("digestAlgorithm", Some("SHA-1".into())), "digestAlgorithm"),
            (mso("docType", None), "docType"),
            (mso("valueDigests", Some(Value::Map(Vec::new()))), ""),
            (mso("deviceKeyInfo", None), "deviceKeyInfo"),
            (mso("deviceKeyInfo", Some(Value::Map(vec![("deviceKey".into(), Value::Null)]))), "deviceKey"),
            (mso("status", Some(Value::Null)), "status"),
            (mso("status", Some(Value::Map(Vec::new()))), "status"),
            (validity("signed", Some("2026-11-22T05:26:08Z".into())), "validityInfo"),
            (validity("signed", Some(date_time("2026-11-22T05:26:08.5Z"))), "validityInfo"),
            (validity("signed", Some(date_time("2026-11-22T12:26:08+07:00"))), "validityInfo"),
            (validity("validUntil", None), "validityInfo"),
            (validity("validUntil", Some(date_time("2026-11-22T05:26:08Z"))), "validityInfo"),
            (validity("validFrom", Some(date_time("2026-11-22T05:26:07Z"))), "validityInfo"),
        ] {
            let expected = if place.is_empty() { MdocError::Digest } else { MdocError::Malformed(place) };
            assert_eq!(outcome, Err(expected));
        }
        assert_eq!(mso("status", None).unwrap().status, None, "a status is the issuer's choice");
        assert!(mso("new", Some(Value::Null)).is_ok(), "later editions may add members");
        let unknown = Value::Map(vec![("identifier_list".into(), Value::Map(Vec::new()))]);
        assert_eq!(
            mso("status", Some(unknown)),
            Err(MdocError::Malformed("status")),
            "a status that is not understood"
        );
        let list = |certificate: Option<Value>| {
            let mut list = vec![("idx".into(), 7.into()), ("uri".into(), "https://issuer.example/s/1".into())];
            set(&mut list, "certificate", certificate);
            mso("status", Some(Value::Map(vec![("status_list".into(), Value::Map(list))])))
        };
        assert_eq!(list(None).unwrap().status_anchor, None);
        assert_eq!(list(Some("root".into())), Err(MdocError::Malformed("status")));
        let private = {
            let mut key = TestKey::new(9).public_key().to_cose();
            if let Value::Map(pairs) = &mut key {
                pairs.push(((-4).into(), vec![1; 32].into()));
            }
            Value::Map(vec![("deviceKey".into(), key)])
        };
        assert_eq!(mso("deviceKeyInfo", Some(private)), Err(MdocError::Malformed("deviceKey")));
    }

    #[test]
    fn bounds_are_kept() {
        assert_eq!(outcome(&vec![0; 256 * 1024 + 1]), Err(MdocError::Cbor(cbor::CborError::TooLarge)));
        let crowded = changed(|names, _| names[0].1 = Value::Array(vec![Value::Null; 257]));
        assert_eq!(outcome(&crowded), Err(MdocError::Malformed("nameSpaces")));
    }

    #[test]
    fn json_has_a_form_for_each_kind_of_value() {
        let json = |value: Value| to_json(&value).unwrap();
        assert_eq!(json(Value::Tag(1004, Box::new("2027-01-31".into()))), "2027-01-31");
        assert_eq!(json(date_time("2026-11-22T05:26:08Z")), "2026-11-22T05:26:08Z");
        let map =
            Value::Map(vec![("code".into(), "H26".into()), ("list".into(), Value::Array(vec![1.into(), true.into()]))]);
        assert_eq!(json(map), serde_json::json!({"code": "H26", "list": [1, true]}));
        for other in [Value::Tag(2, Box::new(Value::Null)), Value::Map(vec![(1.into(), 1.into())]), Value::Float(0.5)] {
            assert_eq!(to_json(&other), None);
        }
    }

    #[test]
    fn a_key_of_either_kind_is_bound() {
        let jwk = keyring::fresh_p256_jwk().unwrap();
        let public = serde_json::json!({"kty": jwk["kty"], "crv": jwk["crv"], "x": jwk["x"], "y": jwk["y"]});
        let holder = PublicKey::from_jwk(&public).unwrap();
        let claims = SignedClaims {
            issued_at: NOW,
            expires_at: NOW + 100,
            holder: &holder,
            status_uri: "https://issuer.example/s/1",
            status_index: u64::from(u32::MAX),
        };
        let template = Template::new(DOCTYPE, NAMESPACE, DIGESTS, b"root");
        let chance = Chance::seeded([1; 32]);
        let card = template.issue(&*keys().document_signer, &chance, &claims, &[]).unwrap();
        assert_eq!(outcome(&card).unwrap().device_key, holder);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// Whatever is changed, it does not verify, or says the same.
        #[test]
        fn a_changed_bit_is_never_another_card(at in 0_usize..4096, bit in 0_u32..8) {
            let mut bytes = issue(1);
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            if let Ok(card) = outcome(&bytes) {
                prop_assert_eq!(card, outcome(&issue(1)).unwrap());
            }
        }

        #[test]
        fn a_cut_or_stretched_card_never_panics(start in 0_usize..2048, length in 0_usize..64, noise in prop::collection::vec(any::<u8>(), 0..32)) {
            let mut bytes = issue(1);
            let start = start % bytes.len();
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, noise);
            if let Ok(card) = outcome(&bytes) {
                prop_assert_eq!(card, outcome(&issue(1)).unwrap());
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            prop_assert!(outcome(&bytes).is_err());
        }
    }
}
