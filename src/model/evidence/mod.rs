//! Files that people put beside what they propose: a JPEG, a PNG or a PDF, told by what is in it and never by its name.
//!
//! A picture has to decode within bounds and end where the file ends. A PDF has to look like what scanners and office
//! programs write and to hold nothing that acts or carries: see [`pdf`]. None of this is a virus scanner: whoever opens a
//! file gets it as an attachment, in no context of ours.

pub mod pdf;

use std::io::Cursor;

/// Most pixels of a picture: a page of A4 at 600 dots an inch.
pub const MAX_PIXELS: u64 = 40_000_000;
/// Longest side of a picture, in pixels.
pub const MAX_SIDE: u32 = 20_000;
/// Most scans of a JPEG: a progressive one has about ten, and each costs as much as the whole picture.
pub const MAX_SCANS: usize = 32;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `image/jpeg`.
    Jpeg,
    /// `image/png`.
    Png,
    /// `application/pdf`.
    Pdf,
}

impl MediaType {
    /// The name of RFC 6838.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Pdf => "application/pdf",
        }
    }

    /// How the name of such a file ends.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::Pdf => "pdf",
        }
    }
}

/// Why a file is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unacceptable {
    /// None of the three.
    #[error("the file is not a JPEG, PNG or PDF")]
    Kind,
    /// It breaks off, goes on after its end, or cannot be decoded.
    #[error("the file is damaged, or something is behind its end")]
    Damaged,
    /// Over [`MAX_PIXELS`], [`MAX_SIDE`] or [`MAX_SCANS`].
    #[error("the picture is too large")]
    TooLarge,
    /// A PDF that acts: scripts, programs to start, forms to send.
    #[error("the PDF holds scripts or actions; print it to a plain PDF")]
    Active,
    /// A PDF that carries other files, sound or film.
    #[error("the PDF holds other files; send them by themselves")]
    Carries,
    /// A PDF that cannot be looked into: encrypted, or packed in a way that scanners and office programs do not use.
    #[error("the PDF is encrypted or packed in an unusual way; print it to a plain PDF")]
    Opaque,
}

/// What a file is, when it can be taken. It takes as long as decoding it: not for an async thread.
pub fn recognise(bytes: &[u8]) -> Result<MediaType, Unacceptable> {
    if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        jpeg(bytes).map(|()| MediaType::Jpeg)
    } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        png(bytes).map(|()| MediaType::Png)
    } else if bytes.starts_with(b"%PDF-") {
        pdf::check(bytes).map(|()| MediaType::Pdf)
    } else {
        Err(Unacceptable::Kind)
    }
}

/// Walks the markers (ITU-T T.81 annex B), so that size, scans and end are known before anything is decoded.
fn jpeg(bytes: &[u8]) -> Result<(), Unacceptable> {
    let damaged = Unacceptable::Damaged;
    let (mut at, mut scans, mut is_sized) = (2, 0, false);
    loop {
        let marker = bytes.get(at..at + 2).ok_or(damaged)?;
        if marker[0] != 0xff {
            return Err(damaged);
        }
        let kind = marker[1];
        match kind {
            // A marker may be preceded by any number of fill bytes.
            0xff => {
                at += 1;
                continue;
            }
            0xd9 => break,
            0x01 | 0xd0..=0xd7 => {
                at += 2;
                continue;
            }
            _ => {}
        }
        let length = bytes.get(at + 2..at + 4).ok_or(damaged)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let segment = bytes.get(at + 4..at + 2 + length.max(2)).filter(|_| length >= 2).ok_or(damaged)?;
        // Frames: all SOFn but DHT, JPG and DAC.
        if matches!(kind, 0xc0..=0xcf) && !matches!(kind, 0xc4 | 0xc8 | 0xcc) {
            let size = segment.get(1..5).filter(|_| !is_sized).ok_or(damaged)?;
            let side = |at: usize| u32::from(u16::from_be_bytes([size[at], size[at + 1]]));
            fits(side(2), side(0))?;
            is_sized = true;
        }
        at += 2 + length;
        if kind == 0xda {
            scans += 1;
            if scans > MAX_SCANS {
                return Err(Unacceptable::TooLarge);
            }
            // Entropy-coded data: up to the next marker that is neither a stuffed byte nor a restart.
            let rest = bytes.get(at..).ok_or(damaged)?;
            let next = rest.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7));
            at += next.ok_or(damaged)?;
        }
    }
    if at + 2 != bytes.len() || !is_sized || scans == 0 {
        return Err(damaged);
    }
    #[cfg(feature = "server")]
    {
        let side = usize::try_from(MAX_SIDE).unwrap_or(usize::MAX);
        let options = zune_jpeg::zune_core::options::DecoderOptions::default().set_max_width(side).set_max_height(side);
        let input = zune_jpeg::zune_core::bytestream::ZCursor::new(bytes);
        zune_jpeg::JpegDecoder::new_with_options(input, options).decode().map_err(|_| damaged)?;
    }
    Ok(())
}

/// Walks the chunks (PNG third edition, section 5), then decodes a line at a time.
fn png(bytes: &[u8]) -> Result<(), Unacceptable> {
    let damaged = Unacceptable::Damaged;
    let mut at = 8;
    loop {
        let head = bytes.get(at..at + 8).ok_or(damaged)?;
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let end = usize::try_from(length).ok().and_then(|length| at.checked_add(length)?.checked_add(12));
        let end = end.filter(|end| *end <= bytes.len()).ok_or(damaged)?;
        match &head[4..] {
            // Animations have one picture that is seen and others that are not.
            b"acTL" => return Err(Unacceptable::Kind),
            b"IEND" if end == bytes.len() => break,
            b"IEND" => return Err(damaged),
            _ => at = end,
        }
    }
    // What stands in text and profile chunks is never inflated.
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: 64 << 20 });
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let mut reader = decoder.read_info().map_err(|_| damaged)?;
    fits(reader.info().width, reader.info().height)?;
    while reader.next_row().map_err(|_| damaged)?.is_some() {}
    reader.finish().map_err(|_| damaged)
}

fn fits(width: u32, height: u32) -> Result<(), Unacceptable> {
    if width == 0 || height == 0 {
        Err(Unacceptable::Damaged)
    } else if width > MAX_SIDE || height > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
        Err(Unacceptable::TooLarge)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn a_jpeg(side: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        let pixels = vec![120; usize::from(side) * usize::from(side) * 3];
        jpeg_encoder::Encoder::new(&mut bytes, 80).encode(&pixels, side, side, jpeg_encoder::ColorType::Rgb).unwrap();
        bytes
    }

    fn a_png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        let mut writer = encoder.write_header().unwrap();
        let line = usize::try_from(width.div_ceil(8)).unwrap();
        writer.write_image_data(&vec![0; line * usize::try_from(height).unwrap()]).unwrap();
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn pictures_are_known_by_their_content() {
        assert_eq!(recognise(&a_jpeg(16)), Ok(MediaType::Jpeg));
        assert_eq!(recognise(&a_png(16, 9)), Ok(MediaType::Png));
        for other in [&b""[..], b"GIF89a", b"PK\x03\x04", b"<svg>", b"\xff\xd8", b" %PDF-1.7", b"MZ"] {
            assert_eq!(recognise(other), Err(Unacceptable::Kind));
        }
    }

    #[test]
    fn what_breaks_off_or_goes_on_is_damaged() {
        for whole in [a_jpeg(16), a_png(16, 9)] {
            assert!(recognise(&whole[..whole.len() - 1]).is_err());
            assert_eq!(recognise(&[&whole[..], b"<script>"].concat()), Err(Unacceptable::Damaged));
        }
        // A second picture behind the first.
        assert_eq!(recognise(&[a_jpeg(8), a_jpeg(8)].concat()), Err(Unacceptable::Damaged));
    }

    #[test]
    fn bombs_are_turned_away_before_they_are_decoded() {
        // Forty million bits in a few kilobytes.
        let bomb = a_png(MAX_SIDE, 2_001);
        assert!(bomb.len() < 100_000);
        assert_eq!(recognise(&bomb), Err(Unacceptable::TooLarge));
        let mut large = a_jpeg(16);
        let frame = large.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        large[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
        assert_eq!(recognise(&large), Err(Unacceptable::TooLarge));
        // The same scan over and over.
        let jpeg = a_jpeg(16);
        let scan = jpeg.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
        let mut scans = jpeg[..scan].to_vec();
        for _ in 0..=MAX_SCANS {
            scans.extend_from_slice(&jpeg[scan..jpeg.len() - 2]);
        }
        scans.extend_from_slice(&[0xff, 0xd9]);
        assert_eq!(recognise(&scans), Err(Unacceptable::TooLarge));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn spoiled_pictures_never_panic(
            which in 0..2_usize,
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = if which == 0 { a_jpeg(16) } else { a_png(33, 5) };
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let _ = recognise(&bytes);
            bytes.truncate(cut.index(bytes.len()));
            let _ = recognise(&bytes);
        }
    }
}
