//! Issuing: elements are encoded once for a batch; each mdoc draws its own randoms, numbering and decoys in one draw.

use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{DIGEST_ALGORITHM, TAG_DATE_TIME, TAG_ENCODED, TAG_FULL_DATE, VERSION};
use crate::chance::Chance;
use crate::clock::UnixSeconds;
use crate::credential::Signer;
use crate::credential::cbor::{self, Value};
use crate::credential::cose::Sign1;
use crate::credential::sd_jwt::SignedClaims;
use crate::error::Fault;

/// Bytes of an item's `random`: the standard asks for 16 at least, and recommends 32.
const RANDOM: usize = 32;
/// Bytes by which the numbering is drawn for an item.
const LOT: usize = 8;

/// What does not change between mdocs of one configuration.
#[derive(Clone, Debug)]
pub struct Template {
    doctype: String,
    namespace: String,
    /// How many digests every mdoc carries, so that their number tells nothing.
    digests: usize,
    /// DER.
    status_anchor: Vec<u8>,
}

/// An element that its holder may show: its identifier, and its value as CBOR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// The element identifier.
    pub identifier: &'static str,
    cbor: Vec<u8>,
}

impl Element {
    /// From a CBOR value.
    pub fn new(identifier: &'static str, value: &Value) -> Self {
        Self { identifier, cbor: cbor::encode(value) }
    }

    /// From bytes, such as a picture, without a copy on the way.
    pub fn bytes(identifier: &'static str, bytes: &[u8]) -> Self {
        let mut cbor = Vec::with_capacity(bytes.len() + 5);
        cbor::write_bytes(&mut cbor, bytes);
        Self { identifier, cbor }
    }

    /// Its value as CBOR.
    pub fn cbor(&self) -> &[u8] {
        &self.cbor
    }

    /// From a calendar date, `YYYY-MM-DD`.
    pub fn full_date(identifier: &'static str, date: &str) -> Self {
        Self::new(identifier, &Value::Tag(TAG_FULL_DATE, Box::new(date.into())))
    }
}

impl Template {
    /// For mdocs of the type `doctype` with their elements in `namespace` and `digests` digests each: more than elements.
    /// `status_anchor` (DER) has certified the signer of the status lists: a reader expects the IACA to have done it, unless
    /// the mdoc names another.
    pub fn new(doctype: &str, namespace: &str, digests: usize, status_anchor: &[u8]) -> Self {
        Self {
            doctype: doctype.to_owned(),
            namespace: namespace.to_owned(),
            digests,
            status_anchor: status_anchor.to_vec(),
        }
    }

    /// Issues one: the CBOR of `IssuerSigned`.
    pub fn issue(
        &self,
        signer: &dyn Signer,
        chance: &Chance,
        signed: &SignedClaims<'_>,
        elements: &[Element],
    ) -> Result<Vec<u8>, Fault> {
        let entries = self.digests.max(elements.len());
        let mut noise = vec![0; (RANDOM + LOT) * entries];
        chance.fill(&mut noise);
        let (randoms, lots) = noise.split_at(RANDOM * entries);
        // The numbers in the order of lots that were drawn for them: any order is as likely as any other.
        let mut numbers: Vec<(&[u8], u64)> = lots.chunks_exact(LOT).zip(0..).collect();
        numbers.sort_unstable();
        let mut drawn = randoms.chunks_exact(RANDOM).zip(numbers.into_iter().map(|(_, number)| number));

        let mut items = Vec::with_capacity(elements.iter().map(|element| element.cbor.len() + 128).sum());
        let mut digests = Vec::with_capacity(entries);
        let mut item = Vec::new();
        cbor::head(&mut items, 4, elements.len() as u64);
        for (element, (random, number)) in elements.iter().zip(&mut drawn) {
            item.clear();
            // In the order of the deterministic encoding.
            cbor::head(&mut item, 5, 4);
            cbor::write_text(&mut item, "random");
            cbor::write_bytes(&mut item, random);
            cbor::write_text(&mut item, "digestID");
            cbor::head(&mut item, 0, number);
            cbor::write_text(&mut item, "elementValue");
            item.extend_from_slice(&element.cbor);
            cbor::write_text(&mut item, "elementIdentifier");
            cbor::write_text(&mut item, element.identifier);
            let start = items.len();
            write_encoded(&mut items, &item);
            digests.push((number, Sha256::digest(&items[start..])));
        }
        // A decoy is the digest of a random that nobody will see.
        digests.extend(drawn.map(|(random, number)| (number, Sha256::digest(random))));

        let digests = digests.into_iter().map(|(number, digest)| (number.into(), digest.to_vec().into())).collect();
        let mso = cbor::encode(&self.mso(Value::Map(digests), signed)?);
        let mut payload = Vec::with_capacity(mso.len() + 8);
        write_encoded(&mut payload, &mso);
        let message = Sign1::sign_bare(payload, signer)?.with_certificates(signer.certificates());

        let mut out = Vec::with_capacity(items.len() + 3072);
        cbor::head(&mut out, 5, 2);
        cbor::write_text(&mut out, "issuerAuth");
        message.write_untagged(&mut out);
        cbor::write_text(&mut out, "nameSpaces");
        cbor::head(&mut out, 5, 1);
        cbor::write_text(&mut out, &self.namespace);
        out.extend_from_slice(&items);
        Ok(out)
    }

    /// The mobile security object (section 9.1.2.4); `status` as the Token Status List and section 12.3.6 of the second
    /// edition have it.
    fn mso(&self, digests: Value, signed: &SignedClaims<'_>) -> Result<Value, Fault> {
        let start = date_time(signed.issued_at)?;
        Ok(map([
            ("version", VERSION.into()),
            ("digestAlgorithm", DIGEST_ALGORITHM.into()),
            ("valueDigests", Value::Map(vec![(self.namespace.as_str().into(), digests)])),
            ("deviceKeyInfo", map([("deviceKey", signed.holder.to_cose_uncompressed())])),
            ("docType", self.doctype.as_str().into()),
            (
                "validityInfo",
                map([("signed", start.clone()), ("validFrom", start), ("validUntil", date_time(signed.expires_at)?)]),
            ),
            (
                "status",
                map([(
                    "status_list",
                    map([
                        ("idx", signed.status_index.into()),
                        ("uri", signed.status_uri.into()),
                        ("certificate", self.status_anchor.clone().into()),
                    ]),
                )]),
            ),
        ]))
    }
}

fn map<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    Value::Map(pairs.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

/// `24(bytes)`.
pub(super) fn write_encoded(out: &mut Vec<u8>, encoded: &[u8]) {
    cbor::head(out, 6, TAG_ENCODED);
    cbor::write_bytes(out, encoded);
}

/// `tdate` in UTC without fractions of a second (section 9.1.2.4).
fn date_time(at: UnixSeconds) -> Result<Value, Fault> {
    let fault = |error: &dyn std::fmt::Display| Fault::new("dating an mdoc", error.to_string());
    let instant = OffsetDateTime::from_unix_timestamp(at).map_err(|error| fault(&error))?;
    let text = instant.format(&Rfc3339).map_err(|error| fault(&error))?;
    Ok(Value::Tag(TAG_DATE_TIME, Box::new(text.into())))
}
