//! How an mdoc is presented: a `DeviceResponse` with one document, whose holder's key has signed over the session
//! (ISO/IEC 18013-5 sections 8.3.2 and 9.1.3; OpenID4VP 1.0 appendix B.2).
//!
//! ```text
//! DeviceResponse = { version, documents: [ { docType, issuerSigned, deviceSigned } ], status }
//! deviceSigned = { nameSpaces: 24(bstr .cbor {}), deviceAuth: { deviceSignature: COSE_Sign1 [ {alg}, {}, nil, signature ] } }
//! signed: 24(bstr .cbor [ "DeviceAuthentication", SessionTranscript, docType, nameSpaces ])
//! SessionTranscript = [ null, null, [ handover, SHA-256(handover info) ] ]
//! ```
//!
//! A device's MAC is not read: OpenID4VP has no reader's key that it could be made with. What a device signs by itself is
//! not read either, and a response that holds any is refused.

use sha2::{Digest, Sha256};

use super::verify::{encoded, take_text};
use super::{IssuerSigned, MdocError, TAG_ENCODED, VERSION, VerifiedMdoc};
use crate::credential::cbor::{self, CborError, Map, Value};
use crate::credential::cose::{CoseError, Sign1};
use crate::credential::{PublicKey, Signer};
use crate::error::Fault;

/// The longest response that is looked at, in bytes: an mdoc at its bound, and what goes with it.
pub const MAX_BYTES: usize = super::MAX_BYTES + 16 * 1024;

/// Why a response is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The CBOR does not read, or is beyond a bound.
    #[error(transparent)]
    Cbor(#[from] CborError),
    /// What the issuer signed.
    #[error(transparent)]
    Mdoc(#[from] MdocError),
    /// A member is missing, malformed, or has a value that is not accepted.
    #[error("{0} is missing or malformed")]
    Malformed(&'static str),
    /// Not exactly one document (HAIP 1.0 section 6.1).
    #[error("the response does not hold exactly one document")]
    NotOneDocument,
    /// The device has authenticated by MAC, by both, or not at all.
    #[error("the device has not authenticated by its signature alone")]
    NoSignature,
    /// The device has signed elements of its own.
    #[error("the device has signed elements of its own")]
    DeviceElements,
    /// The document says that it is of another type than what the issuer signed.
    #[error("the document is of another type than its card")]
    OtherType,
    /// The device's signature does not read, or is not over this session by the key of the card.
    #[error("device's signature: {0}")]
    Signature(CoseError),
}

/// What a device's signature is over besides the document: who asks what, and whom the answer is encrypted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionTranscript(Vec<u8>);

impl SessionTranscript {
    /// For a response that is posted (appendix B.2.6.1). `thumbprint` is that of the key to encrypt to (RFC 7638), when
    /// the response is encrypted.
    pub fn of_redirect(client_id: &str, nonce: &str, thumbprint: Option<&[u8; 32]>, response_uri: &str) -> Self {
        let info = [client_id.into(), nonce.into(), bytes_or_null(thumbprint), response_uri.into()];
        Self::new("OpenID4VPHandover", info.to_vec())
    }

    /// For a response that the browser's API hands over (appendix B.2.6.2): `origin` as the browser writes it, without
    /// `origin:`.
    pub fn of_dc_api(origin: &str, nonce: &str, thumbprint: Option<&[u8; 32]>) -> Self {
        Self::new("OpenID4VPDCAPIHandover", vec![origin.into(), nonce.into(), bytes_or_null(thumbprint)])
    }

    fn new(handover: &str, info: Vec<Value>) -> Self {
        let hash = Sha256::digest(cbor::encode(&Value::Array(info))).to_vec();
        let handover = Value::Array(vec![handover.into(), hash.into()]);
        Self(cbor::encode(&Value::Array(vec![Value::Null, Value::Null, handover])))
    }

    /// Its CBOR.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The `DeviceAuthenticationBytes` of a document. `names` is the content of the `DeviceNameSpacesBytes`.
    fn device_authentication(&self, doctype: &str, names: &[u8]) -> Vec<u8> {
        let mut inner = Vec::with_capacity(self.0.len() + doctype.len() + names.len() + 64);
        cbor::head(&mut inner, 4, 4);
        cbor::write_text(&mut inner, "DeviceAuthentication");
        inner.extend_from_slice(&self.0);
        cbor::write_text(&mut inner, doctype);
        cbor::head(&mut inner, 6, TAG_ENCODED);
        cbor::write_bytes(&mut inner, names);
        let mut out = Vec::with_capacity(inner.len() + 8);
        super::issue::write_encoded(&mut out, &inner);
        out
    }
}

fn bytes_or_null(thumbprint: Option<&[u8; 32]>) -> Value {
    thumbprint.map_or(Value::Null, |thumbprint| thumbprint.to_vec().into())
}

/// A response with one document, read but not believed yet.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceResponse {
    doctype: String,
    issuer_signed: IssuerSigned,
    /// The content of the `DeviceNameSpacesBytes`, as received.
    names: Vec<u8>,
    signature: Value,
}

impl DeviceResponse {
    /// Reads the CBOR of at most [`MAX_BYTES`]: the form of the one document, without any trust.
    pub fn parse(bytes: &[u8]) -> Result<Self, DeviceError> {
        let mut response = cbor::decode_map(bytes, MAX_BYTES)?;
        if cbor::get_text(&response, "version").and_then(Value::as_text) != Some(VERSION) {
            return Err(DeviceError::Malformed("version"));
        }
        if cbor::get_text(&response, "status").and_then(cbor::integer) != Some(0) {
            return Err(DeviceError::Malformed("status"));
        }
        if cbor::get_text(&response, "documentErrors").is_some() {
            return Err(DeviceError::Malformed("documentErrors"));
        }
        let documents = take_text(&mut response, "documents").and_then(|documents| documents.into_array().ok());
        let document = match <[Value; 1]>::try_from(documents.unwrap_or_default()) {
            Ok([Value::Map(document)]) => document,
            Ok(_) => return Err(DeviceError::Malformed("documents")),
            Err(_) => return Err(DeviceError::NotOneDocument),
        };
        Self::of_document(document)
    }

    fn of_document(mut document: Map) -> Result<Self, DeviceError> {
        let doctype = take_text(&mut document, "docType").and_then(|doctype| doctype.into_text().ok());
        let doctype = doctype.ok_or(DeviceError::Malformed("docType"))?;
        let issuer_signed = take_text(&mut document, "issuerSigned").ok_or(DeviceError::Malformed("issuerSigned"))?;
        let issuer_signed = IssuerSigned::from_value(issuer_signed)?;
        let device_signed = take_text(&mut document, "deviceSigned").and_then(|signed| signed.into_map().ok());
        let mut device_signed = device_signed.ok_or(DeviceError::Malformed("deviceSigned"))?;
        let names = take_text(&mut device_signed, "nameSpaces").and_then(encoded);
        let names = names.ok_or(DeviceError::Malformed("nameSpaces"))?;
        if !cbor::decode_map(&names, MAX_BYTES)?.is_empty() {
            return Err(DeviceError::DeviceElements);
        }
        let authentication = take_text(&mut device_signed, "deviceAuth").and_then(|auth| auth.into_map().ok());
        let authentication = authentication.ok_or(DeviceError::Malformed("deviceAuth"))?;
        let signature = match <[(Value, Value); 1]>::try_from(authentication) {
            Ok([(Value::Text(name), signature)]) if name == "deviceSignature" => signature,
            _ => return Err(DeviceError::NoSignature),
        };
        Ok(Self { doctype, issuer_signed, names, signature })
    }

    /// The type that it claims to be of.
    pub fn claimed_doctype(&self) -> &str {
        &self.doctype
    }

    /// The certificates of whoever signed the card, before anything is proved: to find whom to trust.
    pub fn certificates(&self) -> Vec<Vec<u8>> {
        self.issuer_signed.certificates()
    }

    /// Checks the card by `issuer`, which is [`IssuerSigned::verify`] or [`IssuerSigned::verify_by`] for the type that
    /// it claims to be of, and then that the key of the card has signed over this session. No device's element is in
    /// what comes out.
    pub fn verify(
        self,
        transcript: &SessionTranscript,
        issuer: impl FnOnce(IssuerSigned, &str) -> Result<VerifiedMdoc, MdocError>,
    ) -> Result<VerifiedMdoc, DeviceError> {
        if self.issuer_signed.claimed_doctype() != self.doctype {
            return Err(DeviceError::OtherType);
        }
        let card = issuer(self.issuer_signed, &self.doctype)?;
        let signed = transcript.device_authentication(&self.doctype, &self.names);
        check_signature(self.signature, signed, &card.device_key)?;
        Ok(card)
    }
}

fn check_signature(signature: Value, signed: Vec<u8>, key: &PublicKey) -> Result<(), DeviceError> {
    let message = Sign1::from_detached(signature, signed).map_err(DeviceError::Signature)?;
    message.verify(key).map_err(DeviceError::Signature)
}

/// The holder's part: the response that presents a card as issued (the CBOR of `IssuerSigned`), with those elements for
/// which `disclose` says yes to namespace and identifier, signed by the key of the card.
pub fn present(
    issuer_signed: &[u8],
    doctype: &str,
    disclose: impl Fn(&str, &str) -> bool,
    transcript: &SessionTranscript,
    holder: &dyn Signer,
) -> Result<Vec<u8>, Fault> {
    let doing = "presenting an mdoc";
    let mut card = cbor::decode_map(issuer_signed, super::MAX_BYTES).map_err(|error| Fault::new(doing, error))?;
    let shown = match take_text(&mut card, "nameSpaces") {
        Some(Value::Map(namespaces)) => namespaces.into_iter().filter_map(|(name, items)| {
            let namespace = name.as_text()?.to_owned();
            let items = items.into_array().ok()?;
            let items: Vec<_> = items
                .into_iter()
                .filter(|item| identifier(item).is_some_and(|one| disclose(&namespace, &one)))
                .collect();
            (!items.is_empty()).then_some((name, Value::Array(items)))
        }),
        _ => return Err(Fault::new(doing, "the card has no elements")),
    };
    let shown: Map = shown.collect();
    if !shown.is_empty() {
        card.push(("nameSpaces".into(), Value::Map(shown)));
    }

    let names = cbor::encode(&Value::Map(Map::new()));
    let signed = transcript.device_authentication(doctype, &names);
    let mut signature = Vec::with_capacity(80);
    Sign1::sign_bare(signed, holder)?.write_detached(&mut signature);
    let signature = cbor::decode(&signature, MAX_BYTES).map_err(|error| Fault::new(doing, error))?;
    let document = Value::Map(vec![
        ("docType".into(), doctype.into()),
        ("issuerSigned".into(), Value::Map(card)),
        (
            "deviceSigned".into(),
            Value::Map(vec![
                ("nameSpaces".into(), Value::Tag(TAG_ENCODED, Box::new(names.into()))),
                ("deviceAuth".into(), Value::Map(vec![("deviceSignature".into(), signature)])),
            ]),
        ),
    ]);
    Ok(cbor::encode(&Value::Map(vec![
        ("version".into(), VERSION.into()),
        ("documents".into(), Value::Array(vec![document])),
        ("status".into(), 0.into()),
    ])))
}

fn identifier(item: &Value) -> Option<String> {
    let item = cbor::decode_map(&encoded(item.clone())?, super::MAX_BYTES).ok()?;
    cbor::get_text(&item, "elementIdentifier").and_then(Value::as_text).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NONCE: &str = "exc7gBkxjx1rdc9udRrveKvSsJIq80avlXeLHhGwqtA";

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    /// The key of OpenID4VP 1.0 appendix B.2.6.
    fn thumbprint() -> [u8; 32] {
        let key = PublicKey::from_jwk(&json!({
            "kty": "EC", "crv": "P-256", "use": "enc", "alg": "ECDH-ES", "kid": "1",
            "x": "DxiH5Q4Yx3UrukE2lWCErq8N8bqC9CHLLrAwLz5BmE0", "y": "XtLM4-3h5o3HUH0MHVJV0kyq0iBlrBwlh8qEDMZ4-Pc",
        }));
        key.unwrap().thumbprint()
    }

    /// The transcript with this hash of its information.
    fn transcript(handover: &str, hash: &str) -> Vec<u8> {
        let mut out = vec![0x83, 0xf6, 0xf6, 0x82];
        cbor::write_text(&mut out, handover);
        cbor::write_bytes(&mut out, &hex(hash));
        out
    }

    /// The examples of appendix B.2.6, and one without encryption.
    #[test]
    fn the_transcripts_are_the_specifications() {
        let thumbprint = thumbprint();
        assert_eq!(thumbprint[..], hex("4283ec927ae0f208daaa2d026a814f2b22dca52cf85ffa8f3f8626c6bd669047"));
        let redirect = |thumbprint| {
            SessionTranscript::of_redirect(
                "x509_san_dns:example.com",
                NONCE,
                thumbprint,
                "https://example.com/response",
            )
        };
        let expected = "048bc053c00442af9b8eed494cefdd9d95240d254b046b11b68013722aad38ac";
        assert_eq!(redirect(Some(&thumbprint)).as_bytes(), transcript("OpenID4VPHandover", expected));
        let expected = "c672b54a2facfb3284965c5be838a8cd1f96f7de36ede3470b1d5de2c57d7719";
        assert_eq!(redirect(None).as_bytes(), transcript("OpenID4VPHandover", expected));
        let expected = "fbece366f4212f9762c74cfdbf83b8c69e371d5d68cea09cb4c48ca6daab761a";
        let api = SessionTranscript::of_dc_api("https://example.com", NONCE, Some(&thumbprint));
        assert_eq!(api.as_bytes(), transcript("OpenID4VPDCAPIHandover", expected));
    }
}
