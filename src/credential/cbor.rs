//! CBOR (RFC 8949) as this system reads and writes it: bounded on the way in, deterministic on the way out.

mod read;

pub use ciborium::Value;
use read::Reader;

/// The pairs of a map, as [`Value`] holds them.
pub type Map = Vec<(Value, Value)>;

/// Containers and tags inside one another. Ours need six.
const MAX_DEPTH: usize = 16;
/// Pairs in one map. Ours have at most fourteen; the bound keeps the search for duplicate keys short.
const MAX_PAIRS: usize = 256;

/// Why bytes are not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CborError {
    /// More bytes, levels or pairs than are read.
    #[error("the CBOR is too large or too deep")]
    TooLarge,
    /// Not well-formed.
    #[error("the CBOR is malformed")]
    Malformed,
    /// Something follows the item.
    #[error("bytes follow the CBOR item")]
    TrailingBytes,
    /// A map names a key twice (RFC 8949 section 5.6).
    #[error("a CBOR map has a duplicate key")]
    DuplicateKey,
}

/// Reads exactly one item from at most `limit` bytes: no trailing bytes, no duplicate keys, no deep nesting.
pub fn decode(bytes: &[u8], limit: usize) -> Result<Value, CborError> {
    if bytes.len() > limit {
        return Err(CborError::TooLarge);
    }
    let mut reader = Reader::new(bytes);
    let value = reader.item()?;
    if reader.is_at_end() { Ok(value) } else { Err(CborError::TrailingBytes) }
}

/// Reads one item that must be a map.
pub fn decode_map(bytes: &[u8], limit: usize) -> Result<Map, CborError> {
    decode(bytes, limit)?.into_map().map_err(|_| CborError::Malformed)
}

/// Writes `value` in the core deterministic encoding (RFC 8949 section 4.2.1): shortest forms, definite lengths, map
/// keys in the order of their bytes.
pub fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write(&mut out, value);
    out
}

/// A map with integer keys.
pub fn map<const N: usize>(pairs: [(i64, Value); N]) -> Value {
    Value::Map(pairs.into_iter().map(|(label, value)| (Value::from(label), value)).collect())
}

/// The value under an integer key.
pub fn get(map: &[(Value, Value)], label: i64) -> Option<&Value> {
    map.iter().find(|(key, _)| is_label(key, label)).map(|(_, value)| value)
}

/// Takes the value under an integer key out of the map.
pub fn take(map: &mut Map, label: i64) -> Option<Value> {
    let at = map.iter().position(|(key, _)| is_label(key, label))?;
    Some(map.swap_remove(at).1)
}

/// The value under a text key.
pub fn get_text<'a>(map: &'a [(Value, Value)], name: &str) -> Option<&'a Value> {
    map.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value)
}

/// A 64-bit integer; floats and big numbers are none.
pub fn integer(value: &Value) -> Option<i64> {
    i128::from(value.as_integer()?).try_into().ok()
}

/// Appends the head of an item: its major type and argument in the shortest form.
pub fn head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let major = major << 5;
    match argument.to_be_bytes() {
        [0, 0, 0, 0, 0, 0, 0, small @ 0..=23] => out.push(major | small),
        [0, 0, 0, 0, 0, 0, 0, one] => out.extend_from_slice(&[major | 0x18, one]),
        [0, 0, 0, 0, 0, 0, two @ ..] => {
            out.push(major | 0x19);
            out.extend_from_slice(&two);
        }
        [0, 0, 0, 0, four @ ..] => {
            out.push(major | 0x1a);
            out.extend_from_slice(&four);
        }
        eight => {
            out.push(major | 0x1b);
            out.extend_from_slice(&eight);
        }
    }
}

/// Appends a byte string.
pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    head(out, 2, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a text string.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    head(out, 3, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Appends an item in the deterministic encoding.
pub fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Bytes(bytes) => write_bytes(out, bytes),
        Value::Text(text) => write_text(out, text),
        Value::Array(items) => {
            head(out, 4, items.len() as u64);
            for item in items {
                write(out, item);
            }
        }
        Value::Map(pairs) => {
            head(out, 5, pairs.len() as u64);
            let mut pairs: Vec<_> = pairs.iter().map(|(key, value)| (encode(key), value)).collect();
            pairs.sort_unstable_by(|one, two| one.0.cmp(&two.0));
            for (key, value) in pairs {
                out.extend_from_slice(&key);
                write(out, value);
            }
        }
        Value::Tag(tag, inner) => {
            head(out, 6, *tag);
            write(out, inner);
        }
        scalar => ciborium::into_writer(scalar, out).expect("a vector takes every number and simple value"),
    }
}

fn is_label(key: &Value, label: i64) -> bool {
    matches!(key, Value::Integer(number) if i128::from(*number) == i128::from(label))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: usize = 16 * 1024;

    #[test]
    fn one_whole_item_and_nothing_more() {
        assert_eq!(decode(&[0x01], LIMIT), Ok(Value::from(1)));
        assert_eq!(decode(&[0x01, 0x01], LIMIT), Err(CborError::TrailingBytes));
        assert_eq!(decode(&[], LIMIT), Err(CborError::Malformed));
        assert_eq!(decode(&[0x01], 0), Err(CborError::TooLarge));
    }

    #[test]
    fn duplicate_keys_are_refused_at_every_level() {
        assert_eq!(decode(&[0xa2, 1, 2, 1, 3], LIMIT), Err(CborError::DuplicateKey));
        // The same key in a longer form is the same key.
        assert_eq!(decode(&[0x81, 0xa2, 1, 2, 0x18, 1, 3], LIMIT), Err(CborError::DuplicateKey));
    }

    #[test]
    fn depth_and_pairs_are_bounded() {
        assert_eq!(decode(&[0x81; 64], LIMIT), Err(CborError::TooLarge));
        let wide = Value::Map((0..=256_i64).map(|key| (Value::from(key), Value::Null)).collect());
        assert_eq!(decode(&encode(&wide), LIMIT), Err(CborError::TooLarge));
        // A length that promises more than there is costs nothing.
        assert_eq!(decode(&[0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], LIMIT), Err(CborError::Malformed));
    }

    #[test]
    fn keys_are_written_in_the_order_of_their_bytes() {
        let value = map([(-1, Value::from(1)), (65_535, Value::from(2)), (10, Value::from(-300)), (100, Value::Null)]);
        assert_eq!(
            encode(&value),
            [0xa4, 0x0a, 0x39, 0x01, 0x2b, 0x18, 0x64, 0xf6, 0x19, 0xff, 0xff, 0x02, 0x20, 0x01]
        );
    }

    #[test]
    fn heads_are_shortest() {
        for argument in [0, 23, 24, 255, 256, 65_535, 65_536, u64::from(u32::MAX), 1 << 32, u64::MAX] {
            let mut out = Vec::new();
            head(&mut out, 0, argument);
            let mut expected = Vec::new();
            ciborium::into_writer(&argument, &mut expected).unwrap();
            assert_eq!(out, expected);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            if let Ok(value) = decode(&bytes, LIMIT) {
                prop_assert_eq!(decode(&encode(&value), LIMIT).is_ok(), true);
            }
        }
    }
}
