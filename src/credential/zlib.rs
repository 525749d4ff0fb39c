//! The zlib container (RFC 1950) and the bare DEFLATE stream (RFC 1951), inflated within a bound.

use std::io::Write;

use flate2::write::{DeflateEncoder, ZlibEncoder};
use flate2::{Compression, Decompress, FlushDecompress, Status};

/// Why bytes are not inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZlibError {
    /// Damaged, cut off, or followed by something else.
    #[error("the compressed data is damaged")]
    Malformed,
    /// It would grow beyond the bound.
    #[error("the compressed data grows beyond {0} bytes")]
    TooLarge(usize),
}

/// Compresses at the best level (Token Status List section 4.1; PixelPass).
pub fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(bytes.len() / 2 + 64), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a vector takes every write")
}

/// Compresses without the container: `DEF` of JWE (RFC 7516 section 4.1.3).
pub fn deflate_bare(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(bytes.len() / 2 + 64), Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a vector takes every write")
}

/// Inflates one whole zlib stream to at most `limit` bytes. What it allocates follows what it has produced, so a bomb
/// costs no more than `limit`.
pub fn inflate(bytes: &[u8], limit: usize) -> Result<Vec<u8>, ZlibError> {
    inflate_stream(Decompress::new(true), bytes, limit)
}

/// The same for a stream without the container.
pub fn inflate_bare(bytes: &[u8], limit: usize) -> Result<Vec<u8>, ZlibError> {
    inflate_stream(Decompress::new(false), bytes, limit)
}

fn inflate_stream(mut stream: Decompress, bytes: &[u8], limit: usize) -> Result<Vec<u8>, ZlibError> {
    let mut rest = bytes;
    let mut out = Vec::with_capacity((2 * bytes.len() + 64).min(limit + 1));
    loop {
        let read_before = stream.total_in();
        let status = stream.decompress_vec(rest, &mut out, FlushDecompress::None).map_err(|_| ZlibError::Malformed)?;
        rest = usize::try_from(stream.total_in() - read_before).ok().and_then(|read| rest.get(read..)).unwrap_or(&[]);
        if out.len() > limit {
            return Err(ZlibError::TooLarge(limit));
        }
        match status {
            Status::StreamEnd if rest.is_empty() => return Ok(out),
            Status::StreamEnd => return Err(ZlibError::Malformed),
            _ if out.len() == out.capacity() => out.reserve(out.len().min(limit + 1 - out.len()).max(1)),
            _ => return Err(ZlibError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bomb_stops_at_the_bound() {
        let bomb = deflate(&vec![0; 1 << 20]);
        assert_eq!(inflate(&bomb, 16 * 1024), Err(ZlibError::TooLarge(16 * 1024)));
        assert_eq!(inflate(&bomb, 1 << 20).unwrap().len(), 1 << 20);
        assert_eq!(inflate(&bomb, (1 << 20) - 1), Err(ZlibError::TooLarge((1 << 20) - 1)));
        let bomb = deflate_bare(&vec![0; 1 << 20]);
        assert_eq!(inflate_bare(&bomb, 16 * 1024), Err(ZlibError::TooLarge(16 * 1024)));
        assert_eq!(inflate_bare(&bomb, 1 << 20).unwrap().len(), 1 << 20);
    }

    #[test]
    fn a_stream_is_whole_and_alone() {
        let whole = deflate(b"officials");
        assert_eq!(inflate(&whole[..whole.len() - 1], 64), Err(ZlibError::Malformed));
        assert_eq!(inflate(&[&whole[..], &[0]].concat(), 64), Err(ZlibError::Malformed));
        assert_eq!(inflate(&[], 64), Err(ZlibError::Malformed));
        let bare = deflate_bare(b"officials");
        assert_eq!(inflate_bare(&bare, 64).unwrap(), b"officials");
        assert_eq!(inflate_bare(&bare[..bare.len() - 1], 64), Err(ZlibError::Malformed));
        assert_eq!(inflate_bare(&[&bare[..], &[0]].concat(), 64), Err(ZlibError::Malformed));
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
            prop_assert_eq!(&inflate(&deflate(&bytes), 4096).unwrap(), &bytes);
            prop_assert_eq!(inflate_bare(&deflate_bare(&bytes), 4096).unwrap(), bytes);
        }

        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            if let Ok(out) = inflate_bare(&bytes, 1024) {
                prop_assert!(out.len() <= 1024);
            }
            bytes.splice(0..0, [0x78, 0xda]);
            if let Ok(out) = inflate(&bytes, 1024) {
                prop_assert!(out.len() <= 1024);
            }
        }
    }
}
