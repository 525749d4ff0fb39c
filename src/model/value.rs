//! Typed values of a record's fields, each with one canonical text.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::model::partial_date::PartialDate;

/// One value, already checked against its field's rule.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// Text or a code, NFC.
    Text(String),
    /// A date with its precision.
    Date(PartialDate),
    /// A decimal number.
    Decimal(Decimal),
    /// A whole number.
    Integer(i64),
    /// A list of small objects: members in alphabetical order, only those that are present.
    Items(Vec<Vec<(String, String)>>),
    /// A portrait.
    Portrait(Portrait),
}

/// Values of personal fields do not print: only their kind does.
impl fmt::Debug for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Text(_) => "Text(…)",
            Self::Date(_) => "Date(…)",
            Self::Decimal(_) => "Decimal(…)",
            Self::Integer(_) => "Integer(…)",
            Self::Items(_) => "Items(…)",
            Self::Portrait(_) => "Portrait(…)",
        })
    }
}

/// A decimal number: `units` divided by ten to the power of `scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    units: i64,
    scale: u8,
}

impl Decimal {
    /// From `3`, `3.66` or `3,66` (spreadsheets in Vietnamese write a comma), with at most `digits` digits of which
    /// `scale` after the point; zeros at either end do not count. `digits` is at most 18.
    pub fn parse(text: &str, digits: u8, scale: u8) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let ends_well = !whole.is_empty() && !text.ends_with(['.', ',']);
        if !ends_well || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let (scale_length, digits) = (usize::from(scale), usize::from(digits.min(18)));
        if fraction.len() > scale_length || whole.len() + scale_length > digits {
            return None;
        }
        let padded = whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat(b'0'));
        let units =
            padded.take(whole.len() + scale_length).fold(0, |units, digit| units * 10 + i64::from(digit - b'0'));
        Some(Self { units: if negative { -units } else { units }, scale })
    }

    /// The number times ten to the power of [`Decimal::scale`].
    pub fn units(self) -> i64 {
        self.units
    }

    /// Digits after the point.
    pub fn scale(self) -> u8 {
        self.scale
    }
}

/// With all its digits after the point: `3.00`.
impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let divisor = 10_u64.pow(u32::from(self.scale));
        let (sign, size) = (if self.units < 0 { "-" } else { "" }, self.units.unsigned_abs());
        if self.scale == 0 {
            return write!(formatter, "{sign}{size}");
        }
        write!(formatter, "{sign}{}.{:0width$}", size / divisor, size % divisor, width = usize::from(self.scale))
    }
}

/// A portrait, named by its content. A record's content carries the name; the bytes are kept once, apart.
#[derive(Clone, PartialEq, Eq)]
pub struct Portrait {
    sha256: [u8; 32],
    jpeg: Option<Vec<u8>>,
}

/// What opens the name of a portrait in a record's content.
const PORTRAIT_NAME: &str = "sha256:";

impl Portrait {
    /// From Base64, with or without `data:image/jpeg;base64,`; JPEG by its first and last bytes, at most `max_bytes`.
    pub fn from_base64(text: &str, max_bytes: usize) -> Option<Self> {
        let encoded = text.strip_prefix("data:image/jpeg;base64,").unwrap_or(text);
        if encoded.len() > max_bytes.div_ceil(3) * 4 {
            return None;
        }
        let jpeg = STANDARD.decode(encoded).ok()?;
        (jpeg.len() <= max_bytes).then_some(jpeg).and_then(Self::from_jpeg)
    }

    /// From the bytes of a JPEG.
    pub fn from_jpeg(jpeg: Vec<u8>) -> Option<Self> {
        let looks_right = jpeg.len() > 4 && jpeg.starts_with(&[0xff, 0xd8, 0xff]) && jpeg.ends_with(&[0xff, 0xd9]);
        looks_right.then(|| Self { sha256: Sha256::digest(&jpeg).into(), jpeg: Some(jpeg) })
    }

    /// From the name in a stored record; the bytes are not there until [`Portrait::attach`].
    pub fn named(name: &str) -> Option<Self> {
        let hex = name.strip_prefix(PORTRAIT_NAME).filter(|hex| hex.len() == 64)?;
        let mut sha256 = [0; 32];
        for (byte, pair) in sha256.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Some(Self { sha256, jpeg: None })
    }

    /// Gives it its bytes; `false` when they are not the ones that it names.
    pub fn attach(&mut self, jpeg: Vec<u8>) -> bool {
        let the_same = <[u8; 32]>::from(Sha256::digest(&jpeg)) == self.sha256;
        if the_same {
            self.jpeg = Some(jpeg);
        }
        the_same
    }

    /// The name: `sha256:` and 64 hexadecimal digits.
    pub fn name(&self) -> String {
        format!("{PORTRAIT_NAME}{}", hex(&self.sha256))
    }

    /// The bytes, when they are at hand.
    pub fn jpeg(&self) -> Option<&[u8]> {
        self.jpeg.as_deref()
    }
}

/// Only the name prints, and only its beginning.
impl fmt::Debug for Portrait {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Portrait({}…)", hex(&self.sha256[..4]))
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals_have_one_canonical_text() {
        let text = |text| Decimal::parse(text, 4, 2).map(|decimal| decimal.to_string());
        assert_eq!(text("3.66").as_deref(), Some("3.66"));
        assert_eq!(text("3,660").as_deref(), Some("3.66"));
        assert_eq!(text("-0.5").as_deref(), Some("-0.50"));
        assert_eq!(text("003").as_deref(), Some("3.00"));
        for wrong in ["", ".", "3.", ".5", "3.666", "100", "1e2", "3.6.6", "٣", "--1"] {
            assert_eq!(text(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_portrait_is_a_jpeg_and_is_named_by_its_content() {
        let jpeg = vec![0xff, 0xd8, 0xff, 0xe0, 0, 0xff, 0xd9];
        let portrait =
            Portrait::from_base64(&format!("data:image/jpeg;base64,{}", STANDARD.encode(&jpeg)), 100).unwrap();
        let mut named = Portrait::named(&portrait.name()).unwrap();
        assert!(named.jpeg().is_none() && !named.attach(vec![1]) && named.attach(jpeg.clone()));
        assert_eq!(named, portrait);
        assert!(Portrait::from_base64(&STANDARD.encode(&jpeg), 6).is_none());
        assert!(Portrait::from_base64(&STANDARD.encode(b"\x89PNG\r\n"), 100).is_none());
        assert!(Portrait::from_base64("not base64", 100).is_none());
    }

    #[test]
    fn values_do_not_print() {
        assert_eq!(format!("{:?}", Value::Text("Nguyễn Văn An".into())), "Text(…)");
    }

    proptest! {
        #[test]
        fn numbers_and_portraits_never_panic(text in "\\PC{0,30}|-?[0-9.,]{0,25}") {
            if let Some(decimal) = Decimal::parse(&text, 18, 4) {
                prop_assert_eq!(Decimal::parse(&decimal.to_string(), 18, 4), Some(decimal));
            }
            let _ = Portrait::from_base64(&text, 10);
            let _ = Portrait::named(&text);
        }
    }
}
