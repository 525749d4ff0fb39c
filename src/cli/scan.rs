//! A QR code from a picture.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::{Fault, Refusal, Result};

/// The largest file that is read.
const MAX_BYTES: u64 = 64 << 20;
/// Largest picture that is looked at, in pixels: 64 megapixels, which takes 64 MiB.
const MAX_PIXELS: u64 = 1 << 26;

/// The text of the QR code in a PNG file. Nothing of it is trimmed: Base45 has spaces.
pub fn read_png(file: &Path) -> Result<String> {
    let unread = |error| Fault::new("reading the picture", format!("{}: {error}", file.display()));
    let mut bytes = Vec::new();
    File::open(file).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(unread)?;
    let read = if bytes.len() as u64 > MAX_BYTES { Err("is larger than 64 MiB") } else { qr_code(bytes) };
    read.map_err(|rule| Refusal::malformed(file.display().to_string(), rule).into())
}

fn qr_code(bytes: Vec<u8>) -> Result<String, &'static str> {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|_| "is not a PNG picture")?;
    let (width, height) = (reader.info().width, reader.info().height);
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err("is larger than 64 megapixels");
    }
    let size = reader.output_buffer_size().ok_or("is too large")?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).map_err(|_| "is a damaged PNG picture")?;
    let samples = frame.color_type.samples();
    let grey: Vec<u8> = pixels[..frame.buffer_size()].chunks_exact(samples).map(brightness).collect();
    rxing::helpers::detect_in_luma(grey, width, height, Some(rxing::BarcodeFormat::QR_CODE))
        .map(|code| code.getText().to_owned())
        .map_err(|_| "shows no readable QR code")
}

/// The brightness of a pixel of one to four samples; what is transparent is paper.
fn brightness(pixel: &[u8]) -> u8 {
    let (colour, alpha) = match pixel {
        [grey] => (u32::from(*grey), 255),
        [grey, alpha] => (u32::from(*grey), u32::from(*alpha)),
        [red, green, blue, rest @ ..] => {
            let luma = 299 * u32::from(*red) + 587 * u32::from(*green) + 114 * u32::from(*blue);
            (luma / 1000, rest.first().map_or(255, |alpha| u32::from(*alpha)))
        }
        [] => (255, 255),
    };
    u8::try_from((colour * alpha + 255 * (255 - alpha)) / 255).unwrap_or(255)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of these pixels.
    fn picture(width: u32, height: u32, colour: png::ColorType, pixels: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(colour);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.write_header().unwrap().write_image_data(pixels).unwrap();
        bytes
    }

    #[test]
    fn a_picture_is_bounded() {
        // The size stands in the header; the first check value of a PNG covers it.
        let mut large = picture(1, 1, png::ColorType::Grayscale, &[0]);
        large[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        let mut check = !0_u32;
        for byte in &large[12..29] {
            check ^= u32::from(*byte);
            for _ in 0..8 {
                check = if check & 1 == 1 { (check >> 1) ^ 0xedb8_8320 } else { check >> 1 };
            }
        }
        large[29..33].copy_from_slice(&(!check).to_be_bytes());
        assert_eq!(qr_code(large), Err("is larger than 64 megapixels"));
    }

    proptest::proptest! {
        #[test]
        fn any_picture_never_panics(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
            (width, height) in (1_u32..24, 1_u32..24), at in 8_usize..200, flip in proptest::prelude::any::<u8>(),
        ) {
            proptest::prop_assert!(qr_code(bytes.clone()).is_err());
            for colour in [png::ColorType::Grayscale, png::ColorType::GrayscaleAlpha, png::ColorType::Rgb, png::ColorType::Rgba] {
                let size = width as usize * height as usize * colour.samples();
                let pixels: Vec<_> = bytes.iter().copied().chain(std::iter::repeat(255)).take(size).collect();
                let mut damaged = picture(width, height, colour, &pixels);
                let _ = qr_code(damaged.clone());
                let at = at % damaged.len();
                damaged[at] ^= flip;
                let _ = qr_code(damaged);
            }
        }
    }
}
