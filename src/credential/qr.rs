//! The text of a card's QR code, `Base45(zlib(COSE))` without a prefix; the wallet's fresh countersignature inside it;
//! and the names of other people's codes. `symbol.rs` draws the text.
//!
//! Base45 (RFC 9285) contains the space: a scanned text is never trimmed, collapsed or decoded as a URL.

use crate::clock::UnixSeconds;
use crate::credential::cbor::{self, Value};
use crate::credential::cose::{CoseError, Countersignature, Sign1};
use crate::credential::cwt::{MAX_BYTES, QrCredential};
use crate::credential::zlib::{self, ZlibError};
use crate::credential::{PublicKey, Signer};
use crate::error::Fault;

/// The longest text that is looked at: what the largest symbol holds (version 40, L, alphanumeric mode).
const MAX_TEXT_BYTES: usize = 4296;

/// The text of a QR code for a signed message.
pub fn encode(cose: &[u8]) -> String {
    base45::encode(zlib::deflate(cose))
}

/// Why a scanned text is not one of our cards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOurs {
    /// A code of another kind.
    Foreign(Foreign),
    /// Ours by its beginning, but damaged, or made to harm.
    Damaged,
}

/// Codes of another kind that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// The unsigned text of a citizen identity card: fields separated by `|`.
    CitizenCard,
    /// An EU Digital COVID Certificate or one of its kin (`HC1:`).
    HealthCertificate,
    /// A SMART Health Card (`shc:/`).
    SmartHealthCard,
    /// A web address.
    WebAddress,
    /// Our text, changed on its way: a scanner that types like a keyboard through a Vietnamese input method, which
    /// turns AA, DD, OW into letters that Base45 does not have.
    KeyboardScanner,
    /// Anything else.
    Other,
}

/// From a scanned text to the bytes of a message. Reads what public Claim 169 software writes as well: without
/// compression, and as hexadecimal text before compression (Inji).
pub fn decode(text: &str) -> Result<Vec<u8>, NotOurs> {
    if let Some(foreign) = foreign_prefix(text) {
        return Err(NotOurs::Foreign(foreign));
    }
    let compressed = base45_decode(text).ok_or(NotOurs::Foreign(unreadable(text)))?;
    let bytes = match compressed.first() {
        Some(0x78) => match zlib::inflate(&compressed, MAX_BYTES) {
            Ok(bytes) => bytes,
            Err(ZlibError::TooLarge(_) | ZlibError::Malformed) => return Err(NotOurs::Damaged),
        },
        _ => compressed,
    };
    let bytes = from_hexadecimal(&bytes).unwrap_or(bytes);
    match bytes.first() {
        // Tag 18, tag 61, an array of four.
        Some(0xd2 | 0xd8 | 0x84) => Ok(bytes),
        _ => Err(NotOurs::Foreign(Foreign::Other)),
    }
}

/// Digits that the checker shows and the holder types: they are signed, and cost no byte in the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge(String);

impl Challenge {
    /// From four to six digits.
    pub fn parse(digits: &str) -> Option<Self> {
        let fits = (4..=6).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        fits.then(|| Self(digits.to_owned()))
    }
}

/// Puts the wallet's proof of the moment into a signed card: a countersignature whose protected header carries the time
/// (RFC 9338; RFC 9597 for header 15).
pub fn countersign(
    card: &mut Sign1,
    holder: &dyn Signer,
    time: UnixSeconds,
    challenge: Option<&Challenge>,
) -> Result<(), Fault> {
    let claims = cbor::map([(CLAIM_ISSUED_AT, time.into())]);
    card.countersign((HEADER_CWT_CLAIMS, claims), external_data(challenge).as_bytes(), holder)
}

/// The wallet's proof in a card.
#[derive(Debug)]
pub struct HolderProof<'a> {
    countersignature: Countersignature<'a>,
    /// When the wallet says it was made.
    pub time: UnixSeconds,
}

impl<'a> HolderProof<'a> {
    /// The proof of `card`, when it has one.
    pub fn of(card: &'a QrCredential) -> Result<Option<Self>, CoseError> {
        let Some(countersignature) = card.message.countersignature()? else { return Ok(None) };
        let time = countersignature
            .protected(HEADER_CWT_CLAIMS)
            .and_then(Value::as_map)
            .and_then(|claims| cbor::get(claims, CLAIM_ISSUED_AT))
            .and_then(cbor::integer)
            .ok_or(CoseError::MalformedCountersignature)?;
        Ok(Some(Self { countersignature, time }))
    }

    /// Whether the key of the card made it, for this challenge. Its age is for the caller to judge.
    pub fn verify(&self, key: &PublicKey, challenge: Option<&Challenge>) -> Result<(), CoseError> {
        self.countersignature.verify(external_data(challenge).as_bytes(), key)
    }
}

const HEADER_CWT_CLAIMS: i64 = 15;
const CLAIM_ISSUED_AT: i64 = 6;

/// What a holder proof is for. With the context string of RFC 9338 it keeps a wallet's key from signing anything else by
/// mistake.
fn external_data(challenge: Option<&Challenge>) -> String {
    const PROFILE: &str = "vn-officials-card/qr/1";
    challenge.map_or_else(|| PROFILE.to_owned(), |Challenge(digits)| format!("{PROFILE}#{digits}"))
}

fn foreign_prefix(text: &str) -> Option<Foreign> {
    let starts = |prefix: &str| text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    if starts("HC1:") {
        Some(Foreign::HealthCertificate)
    } else if starts("shc:/") {
        Some(Foreign::SmartHealthCard)
    } else if starts("https://") || starts("http://") {
        Some(Foreign::WebAddress)
    } else if text.split('|').count() >= 7 {
        Some(Foreign::CitizenCard)
    } else {
        None
    }
}

/// Names a text that is not Base45. Our texts begin with the header of zlib at one of its levels, which the changes of
/// an input method leave alone.
fn unreadable(text: &str) -> Foreign {
    let start = text.get(..3).map(str::to_ascii_uppercase);
    let ours = matches!(start.as_deref(), Some("NCF" | "6BF" | "Y9F" | "V7F"));
    if ours && !text.bytes().all(is_base45) { Foreign::KeyboardScanner } else { Foreign::Other }
}

fn is_base45(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || b" $%*+-./:".contains(&byte)
}

fn base45_decode(text: &str) -> Option<Vec<u8>> {
    if text.len() > MAX_TEXT_BYTES {
        return None;
    }
    let bytes = base45::decode(text).ok()?;
    // The library wraps a last pair beyond 255, which RFC 9285 section 6 forbids.
    let wraps = text.len() % 3 == 2 && !text.ends_with(&base45::encode(bytes.last_chunk::<1>()?));
    (!wraps).then_some(bytes)
}

fn from_hexadecimal(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MESSAGE: &[u8] = &[0xd2, 0x84, 0x40, 0xa0, 0x40, 0x40];

    #[test]
    fn every_published_form_reads() {
        for text in [encode(MESSAGE), base45::encode(MESSAGE), encode(b"d28440a04040"), encode(b"D28440A04040")] {
            assert_eq!(decode(&text).as_deref(), Ok(MESSAGE));
        }
    }

    #[test]
    fn foreign_codes_are_named() {
        let cccd = "001099012345|012345678|Nguyễn Văn A|01011990|Nam|Số 1, Hà Nội|01012022";
        for (text, name) in [
            (cccd, Foreign::CitizenCard),
            ("HC1:6BFOXN", Foreign::HealthCertificate),
            ("shc:/5676290952432060346029243740446031222959532654603460292540772804336028", Foreign::SmartHealthCard),
            ("https://example.vn/#NCF", Foreign::WebAddress),
            ("HTTP://EXAMPLE.VN", Foreign::WebAddress),
            ("NCFÂB7ƠR", Foreign::KeyboardScanner),
            ("ncf7x", Foreign::KeyboardScanner),
            ("HELLO WORLD", Foreign::Other),
            ("chào", Foreign::Other),
            ("", Foreign::Other),
        ] {
            assert_eq!(decode(text), Err(NotOurs::Foreign(name)), "{text}");
        }
    }

    #[test]
    fn a_text_is_taken_as_it_is() {
        let text = encode(MESSAGE);
        assert_ne!(decode(&format!(" {text}")).as_deref(), Ok(MESSAGE));
        assert_ne!(decode(&format!("{text} ")).as_deref(), Ok(MESSAGE));
    }

    #[test]
    fn a_pair_beyond_a_byte_is_refused() {
        // RFC 9285 section 6: "GGW" is more than 65535, and a last pair "::" more than 255.
        assert_eq!(base45_decode("GGW"), None);
        assert_eq!(base45_decode("::"), None);
        assert_eq!(base45_decode("QED8WEX0").as_deref(), Some(&b"ietf!"[..]));
    }

    #[test]
    fn a_bomb_is_damaged() {
        assert_eq!(decode(&encode(&vec![0; 1 << 20])), Err(NotOurs::Damaged));
    }

    #[test]
    fn challenges_are_four_to_six_digits() {
        assert!(["1234", "000000"].into_iter().all(|digits| Challenge::parse(digits).is_some()));
        assert!(["", "123", "1234567", "12a4", "١٢٣٤"].into_iter().all(|digits| Challenge::parse(digits).is_none()));
    }

    proptest! {
        #[test]
        fn every_message_comes_back(mut bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            bytes.insert(0, 0xd2);
            let text = encode(&bytes);
            prop_assert!(text.bytes().all(is_base45));
            prop_assert_eq!(decode(&text), Ok(bytes));
        }

        #[test]
        fn arbitrary_texts_never_panic(text in any::<String>(), alphanumeric in "[0-9A-Z $%*+./:-]{0,200}") {
            let _ = (decode(&text), decode(&alphanumeric), decode(&format!("NCF{alphanumeric}")));
        }
    }
}
