//! Small synthetic portraits: a head and shoulders of a few grey ellipses, as a JPEG of some 600 bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jpeg_encoder::{ColorType, Encoder, EncodingError};

const WIDTH: u16 = 36;
const HEIGHT: u16 = 48;

/// Portrait number `number`, as JPEG.
pub fn jpeg(number: u32) -> Result<Vec<u8>, EncodingError> {
    let part = |modulus: u32, divisor: u32| i32::try_from(number / divisor % modulus).unwrap_or_default();
    let (background, coat, face_width, hair) = (part(5, 1), part(4, 5), part(3, 20), part(4, 60));
    let mut pixels = Vec::with_capacity(usize::from(WIDTH) * usize::from(HEIGHT));
    for y in 0..i32::from(HEIGHT) {
        for x in 0..i32::from(WIDTH) {
            let inside = |centre_y: i32, half_width: i32, half_height: i32| {
                let (dx, dy) = (x - 18, y - centre_y);
                dx * dx * half_height * half_height + dy * dy * half_width * half_width
                    <= half_width * half_width * half_height * half_height
            };
            let face = inside(20, 7 + face_width, 10);
            let shade = if face && y > 12 + hair {
                190
            } else if inside(18, 9 + face_width, 12) && y < 20 + 3 * hair {
                40
            } else if inside(52, 16, 18) {
                70 + 25 * coat
            } else {
                235 - 12 * background
            };
            pixels.push(u8::try_from(shade).unwrap_or(u8::MAX));
        }
    }
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 30);
    encoder.set_optimized_huffman_tables(true);
    encoder.encode(&pixels, WIDTH, HEIGHT, ColorType::Luma)?;
    Ok(bytes)
}

/// The same in Base64. A `mark` makes it a picture of its own (a comment segment, ITU-T T.81 B.2.4.5), as real
/// portraits are.
pub fn base64(jpeg: &[u8], mark: Option<u64>) -> String {
    let Some(mark) = mark else { return STANDARD.encode(jpeg) };
    let mut marked = Vec::with_capacity(jpeg.len() + 12);
    marked.extend_from_slice(&jpeg[..2]);
    marked.extend_from_slice(&[0xff, 0xfe, 0, 10]);
    marked.extend_from_slice(&mark.to_be_bytes());
    marked.extend_from_slice(&jpeg[2..]);
    STANDARD.encode(marked)
}
