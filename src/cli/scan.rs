//! A QR code from a picture.

use std::path::Path;

use crate::error::{Fault, Refusal, Result};

/// Largest picture that is looked at, in pixels: 64 megapixels, which takes 64 MiB.
const MAX_PIXELS: u64 = 1 << 26;

/// The text of the QR code in a PNG file. Nothing of it is trimmed: Base45 has spaces.
pub fn read_png(file: &Path) -> Result<String> {
    let bad = |rule: &str| Refusal::malformed(file.display().to_string(), rule);
    let bytes = std::fs::read(file)
        .map_err(|error| Fault::new("reading the picture", format!("{}: {error}", file.display())))?;
    let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|_| bad("is not a PNG picture"))?;
    let (width, height) = (reader.info().width, reader.info().height);
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(bad("is larger than 64 megapixels").into());
    }
    let size = reader.output_buffer_size().ok_or_else(|| bad("is too large"))?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).map_err(|_| bad("is a damaged PNG picture"))?;
    let samples = frame.color_type.samples();
    let grey: Vec<u8> = pixels[..frame.buffer_size()].chunks_exact(samples).map(brightness).collect();
    rxing::helpers::detect_in_luma(grey, width, height, Some(rxing::BarcodeFormat::QR_CODE))
        .map(|code| code.getText().to_owned())
        .map_err(|_| bad("shows no readable QR code").into())
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
