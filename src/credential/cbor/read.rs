//! The reading half: one pass over the bytes that keeps every bound as it goes. Filling [`Value`] by way of serde takes
//! about three times as long, which a checkpoint feels (`benches/credentials.rs`).

use super::{CborError, MAX_DEPTH, MAX_PAIRS, Map, Value};

/// Ends an item of indefinite length (RFC 8949 section 3.2.1).
const BREAK: u8 = 0xff;

/// What has not been read, and how many more levels may be entered.
pub struct Reader<'a> {
    rest: &'a [u8],
    levels: usize,
}

/// The head of an item (RFC 8949 section 3). Without an argument its length is indefinite.
struct Head {
    major: u8,
    minor: u8,
    argument: Option<u64>,
}

impl<'a> Reader<'a> {
    /// At the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, levels: MAX_DEPTH }
    }

    /// Whether everything has been read.
    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next item.
    pub fn item(&mut self) -> Result<Value, CborError> {
        let Head { major, minor, argument } = self.head()?;
        match (major, argument) {
            (0, Some(number)) => Ok(Value::Integer(number.into())),
            (1, Some(number)) => match (-1 - i128::from(number)).try_into() {
                Ok(number) => Ok(Value::Integer(number)),
                Err(_) => Err(CborError::Malformed),
            },
            (2, Some(length)) => Ok(Value::Bytes(self.slice(length)?.to_vec())),
            (2, None) => Ok(Value::Bytes(self.segments(2)?.concat())),
            (3, Some(length)) => Ok(Value::Text(utf8(self.slice(length)?)?.to_owned())),
            (3, None) => self.segments(3)?.into_iter().map(utf8).collect::<Result<_, _>>().map(Value::Text),
            (4, length) => self.one_level_down(|reader| reader.array(length)),
            (5, length) => self.one_level_down(|reader| reader.map(length)),
            (6, Some(tag)) => self.one_level_down(|reader| Ok(Value::Tag(tag, Box::new(reader.item()?)))),
            (7, Some(argument)) => simple_or_float(minor, argument),
            _ => Err(CborError::Malformed),
        }
    }

    fn head(&mut self) -> Result<Head, CborError> {
        let [first] = self.chunk()?;
        let (major, minor) = (first >> 5, first & 0x1f);
        let argument = match minor {
            0..=23 => Some(minor.into()),
            24 => Some(u8::from_be_bytes(self.chunk()?).into()),
            25 => Some(u16::from_be_bytes(self.chunk()?).into()),
            26 => Some(u32::from_be_bytes(self.chunk()?).into()),
            27 => Some(u64::from_be_bytes(self.chunk()?)),
            31 => None,
            _ => return Err(CborError::Malformed),
        };
        Ok(Head { major, minor, argument })
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], CborError> {
        let (chunk, rest) = self.rest.split_first_chunk().ok_or(CborError::Malformed)?;
        self.rest = rest;
        Ok(*chunk)
    }

    fn slice(&mut self, length: u64) -> Result<&'a [u8], CborError> {
        let split = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let (slice, rest) = split.ok_or(CborError::Malformed)?;
        self.rest = rest;
        Ok(slice)
    }

    /// The parts of a string of indefinite length: strings of the same kind and of definite length.
    fn segments(&mut self, kind: u8) -> Result<Vec<&'a [u8]>, CborError> {
        let mut segments = Vec::new();
        while self.is_followed(None, 0) {
            match self.head()? {
                Head { major, argument: Some(length), .. } if major == kind => segments.push(self.slice(length)?),
                _ => return Err(CborError::Malformed),
            }
        }
        Ok(segments)
    }

    fn array(&mut self, length: Option<u64>) -> Result<Value, CborError> {
        let mut items = Vec::with_capacity(capacity(length));
        while self.is_followed(length, items.len()) {
            items.push(self.item()?);
        }
        Ok(Value::Array(items))
    }

    fn map(&mut self, length: Option<u64>) -> Result<Value, CborError> {
        let mut pairs = Map::with_capacity(capacity(length));
        while self.is_followed(length, pairs.len()) {
            if pairs.len() == MAX_PAIRS {
                return Err(CborError::TooLarge);
            }
            let key = self.item()?;
            if pairs.iter().any(|(earlier, _)| *earlier == key) {
                return Err(CborError::DuplicateKey);
            }
            pairs.push((key, self.item()?));
        }
        Ok(Value::Map(pairs))
    }

    /// Whether a container of this length goes on after `read` entries. Takes the break that ends an indefinite one.
    fn is_followed(&mut self, length: Option<u64>, read: usize) -> bool {
        match (length, self.rest) {
            (Some(length), _) => (read as u64) < length,
            (None, [BREAK, rest @ ..]) => {
                self.rest = rest;
                false
            }
            (None, _) => true,
        }
    }

    fn one_level_down(&mut self, read: impl FnOnce(&mut Self) -> Result<Value, CborError>) -> Result<Value, CborError> {
        self.levels = self.levels.checked_sub(1).ok_or(CborError::TooLarge)?;
        let value = read(self)?;
        self.levels += 1;
        Ok(value)
    }
}

/// Room for what most containers hold. A length that promises more than there is costs nothing.
fn capacity(length: Option<u64>) -> usize {
    const MOST: u64 = 16;
    length.map_or(0, |length| usize::try_from(length.min(MOST)).unwrap_or_default())
}

fn utf8(bytes: &[u8]) -> Result<&str, CborError> {
    std::str::from_utf8(bytes).map_err(|_| CborError::Malformed)
}

/// Major type 7 (RFC 8949 section 3.3). Of the simple values only those that have a meaning are read.
fn simple_or_float(minor: u8, argument: u64) -> Result<Value, CborError> {
    let argument = argument.to_be_bytes();
    let [_, _, _, _, single @ ..] = argument;
    let [_, _, half @ ..] = single;
    match minor {
        20 => Ok(Value::Bool(false)),
        21 => Ok(Value::Bool(true)),
        22 | 23 => Ok(Value::Null),
        25 => Ok(Value::Float(half_float(u16::from_be_bytes(half)))),
        26 => Ok(Value::Float(f32::from_be_bytes(single).into())),
        27 => Ok(Value::Float(f64::from_be_bytes(argument))),
        _ => Err(CborError::Malformed),
    }
}

/// A number of half precision (RFC 8949 appendix D).
fn half_float(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), bits & 0x3ff);
    let magnitude = match (exponent, fraction) {
        (0, _) => f64::from(fraction) * 2_f64.powi(-24),
        (31, 0) => f64::INFINITY,
        (31, _) => f64::NAN,
        _ => f64::from(fraction + 1024) * 2_f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::super::{decode, encode};
    use super::*;
    use proptest::prelude::*;

    const LIMIT: usize = 16 * 1024;

    /// RFC 8949 appendix A, the entries that this system reads: in hexadecimal, and in the shortest form where that is
    /// another.
    #[test]
    fn the_examples_of_the_rfc_read() {
        for (bytes, shortest) in [
            ("1bffffffffffffffff", None),
            ("3bffffffffffffffff", None),
            ("3903e7", None),
            ("f4", None),
            ("f5", None),
            ("f6", None),
            ("f7", Some("f6")),
            ("f98000", None),
            ("fa47c35000", None),
            ("f90001", None),
            ("f9c400", None),
            ("fb7ff0000000000000", Some("f97c00")),
            ("f9fc00", None),
            ("f97e00", None),
            ("c074323031332d30332d32315432303a30343a30305a", None),
            ("64f0908591", None),
            ("5f42010243030405ff", Some("450102030405")),
            ("7f657374726561646d696e67ff", Some("6973747265616d696e67")),
            ("9f018202039f0405ffff", Some("8301820203820405")),
            ("bf61610161629f0203ffff", Some("a26161016162820203")),
            ("bf6346756ef563416d7421ff", Some("a263416d74216346756ef5")),
            ("9fff", Some("80")),
        ] {
            let unhex = |text: &str| -> Vec<u8> {
                (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
            };
            let written = encode(&decode(&unhex(bytes), LIMIT).expect(bytes));
            assert_eq!(written, unhex(shortest.unwrap_or(bytes)), "{bytes}");
        }
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for bytes in [
            // RFC 8949 appendix F: reserved additional information, no end, a break out of place, wrong segments.
            &[0x1c][..],
            &[0x18],
            &[0x61],
            &[0x9f],
            &[0xff],
            &[0x81, 0xff],
            &[0xa1, 1, 0xff],
            &[0xbf, 1, 0xff],
            &[0x1f],
            &[0xdf, 1],
            &[0x5f, 0x61, 0x61, 0xff],
            &[0x5f, 0x5f, 0x41, 1, 0xff, 0xff],
            &[0x7f, 0x61, 0xc3, 0x61, 0xa9, 0xff],
            &[0x61, 0xff],
            // Simple values without a meaning, and one in two bytes that fits one.
            &[0xe0],
            &[0xf8, 0x14],
            &[0xf8, 0xff],
        ] {
            assert_eq!(decode(bytes, LIMIT), Err(CborError::Malformed), "{bytes:02x?}");
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<f32>().prop_map(|number| Value::from(f64::from(number))),
            Just(Value::Null),
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 64, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
                proptest::collection::vec(inner.clone(), 0..8)
                    .prop_map(|values| { Value::Map((0_i64..).map(Value::from).zip(values).collect()) }),
                (24_u64..1 << 40, inner).prop_map(|(tag, value)| Value::Tag(tag, Box::new(value))),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_another_library_writes_comes_back(value in values()) {
            let mut bytes = Vec::new();
            ciborium::into_writer(&value, &mut bytes).unwrap();
            prop_assert_eq!(decode(&bytes, usize::MAX), Ok(value));
        }

        #[test]
        fn what_we_read_another_library_reads_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..32)) {
            // It makes numbers of tags 2 and 3, which are none here.
            prop_assume!(!bytes.contains(&0xc2) && !bytes.contains(&0xc3));
            if let Ok(value) = decode(&bytes, LIMIT) {
                let theirs: Value = ciborium::from_reader(bytes.as_slice()).unwrap();
                // Written, since no number that is none equals another.
                prop_assert_eq!(encode(&value), encode(&theirs));
            }
        }
    }
}
