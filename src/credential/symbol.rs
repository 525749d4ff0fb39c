//! A text as a QR symbol: SVG, PNG and terminal. Plain square modules, black on white, with the quiet zone of four
//! modules that ISO/IEC 18004 asks for; no logo and no rounded corners, which cheap scanners fail on.

use std::fmt::Write;

use qrcode::{Color, EcLevel, QrCode};

const QUIET_MODULES: u32 = 4;

/// How much damage the symbol bears. Dense codes read better with less of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ecc {
    /// L: for screens.
    Low,
    /// M: for print.
    Medium,
}

/// Why a text is not drawn.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum SymbolError {
    /// It does not fit the largest symbol.
    #[error("the text does not fit a QR code")]
    TooLong,
    /// The printed modules would be too small for cheap readers.
    #[error(
        "a module would be {module:.2} mm wide; at least {MIN_MODULE_MILLIMETRES} mm are needed, which takes a symbol of {needed:.0} mm"
    )]
    TooSmall {
        /// The width of a module, in millimetres.
        module: f64,
        /// The symbol's width that would do, in millimetres.
        needed: f64,
    },
    /// The picture would be larger than any printer or screen.
    #[error("the picture would be too large")]
    PictureTooLarge,
}

/// The smallest printed module: four dots at 300 dpi.
pub const MIN_MODULE_MILLIMETRES: f64 = 0.34;

/// The largest module of a PNG.
const MAX_MODULE_PIXELS: u32 = 64;

/// A QR symbol.
#[derive(Clone, Debug)]
pub struct Symbol {
    dark: Vec<bool>,
    modules: u32,
}

impl Symbol {
    /// The smallest symbol for `text`.
    pub fn new(text: &str, ecc: Ecc) -> Result<Self, SymbolError> {
        let level = match ecc {
            Ecc::Low => EcLevel::L,
            Ecc::Medium => EcLevel::M,
        };
        let code = QrCode::with_error_correction_level(text, level).map_err(|_| SymbolError::TooLong)?;
        let modules = u32::try_from(code.width()).map_err(|_| SymbolError::TooLong)?;
        Ok(Self { dark: code.into_colors().into_iter().map(|color| color == Color::Dark).collect(), modules })
    }

    /// Modules on one side, without the quiet zone.
    pub fn modules(&self) -> u32 {
        self.modules
    }

    /// From 1 to 40 (ISO/IEC 18004).
    pub fn version(&self) -> u32 {
        (self.modules - 17) / 4
    }

    /// The width of one module when the symbol is printed `width` millimetres wide without its quiet zone; refused
    /// when that is too small to be read.
    pub fn module_millimetres(&self, width: f64) -> Result<f64, SymbolError> {
        let module = width / f64::from(self.modules);
        if module >= MIN_MODULE_MILLIMETRES {
            return Ok(module);
        }
        Err(SymbolError::TooSmall { module, needed: (f64::from(self.modules) * MIN_MODULE_MILLIMETRES).ceil() })
    }

    /// A drawing that scales: one unit per module.
    pub fn svg(&self) -> String {
        let side = self.modules + 2 * QUIET_MODULES;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
             <path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path d=\""
        );
        for (x, y, length) in self.dark_runs() {
            // Writing to a string cannot fail.
            let _ = write!(svg, "M{} {}h{length}v1h-{length}z", x + QUIET_MODULES, y + QUIET_MODULES);
        }
        svg.push_str("\"/></svg>\n");
        svg
    }

    /// A picture of one bit per pixel.
    pub fn png(&self, module_pixels: u32) -> Result<Vec<u8>, SymbolError> {
        if !(1..=MAX_MODULE_PIXELS).contains(&module_pixels) {
            return Err(SymbolError::PictureTooLarge);
        }
        let side = (self.modules + 2 * QUIET_MODULES) * module_pixels;
        let mut pixels = Vec::new();
        for module_y in 0..self.modules + 2 * QUIET_MODULES {
            let mut line = vec![0xff_u8; side.div_ceil(8) as usize];
            for x in (0..side).filter(|x| self.is_dark(x / module_pixels, module_y)) {
                line[(x / 8) as usize] &= !(0x80 >> (x % 8));
            }
            (0..module_pixels).for_each(|_| pixels.extend_from_slice(&line));
        }
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, side, side);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        encoder
            .write_header()
            .and_then(|mut writer| writer.write_image_data(&pixels))
            .map_err(|_| SymbolError::PictureTooLarge)?;
        Ok(file)
    }

    /// Lines of half blocks for a terminal with light text on dark ground: light modules are drawn, dark ones left.
    pub fn terminal(&self) -> String {
        let side = self.modules + 2 * QUIET_MODULES;
        let mut lines = String::new();
        for y in (0..side).step_by(2) {
            for x in 0..side {
                // Below the last line there is nothing to draw.
                let lower_is_light = y + 1 < side && !self.is_dark(x, y + 1);
                lines.push(match (!self.is_dark(x, y), lower_is_light) {
                    (true, true) => '█',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (false, false) => ' ',
                });
            }
            lines.push('\n');
        }
        lines
    }

    /// The dark modules as pieces of rows: column and row of the first module, without the quiet zone, and how many follow
    /// each other.
    pub fn dark_runs(&self) -> impl Iterator<Item = (u32, u32, u32)> {
        (0..).zip(self.rows()).flat_map(|(y, row)| {
            let runs = row.chunk_by(|one, two| one == two).scan(0, move |x, run| {
                let (start, length) = (*x, u32::try_from(run.len()).unwrap_or_default());
                *x += length;
                Some(run[0].then_some((start, y, length)))
            });
            runs.flatten()
        })
    }

    fn rows(&self) -> impl Iterator<Item = &[bool]> {
        self.dark.chunks(self.modules as usize)
    }

    /// Whether the module at these coordinates, quiet zone included, is dark.
    fn is_dark(&self, x: u32, y: u32) -> bool {
        let (Some(x), Some(y)) = (x.checked_sub(QUIET_MODULES), y.checked_sub(QUIET_MODULES)) else { return false };
        x < self.modules && y < self.modules && self.dark[(y * self.modules + x) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_of_the_dossier_holds() {
        // 758 characters fit version 15-L, 483 fit 13-M.
        assert_eq!(Symbol::new(&"A".repeat(758), Ecc::Low).unwrap().version(), 15);
        assert_eq!(Symbol::new(&"A".repeat(759), Ecc::Low).unwrap().version(), 16);
        assert_eq!(Symbol::new(&"A".repeat(483), Ecc::Medium).unwrap().version(), 13);
        assert_eq!(Symbol::new(&"A".repeat(4297), Ecc::Low).unwrap_err(), SymbolError::TooLong);
    }

    #[test]
    fn too_small_a_print_is_refused() {
        let symbol = Symbol::new(&"A".repeat(483), Ecc::Medium).unwrap();
        assert_eq!(symbol.modules(), 69);
        assert!(symbol.module_millimetres(24.0).is_ok());
        let refused = symbol.module_millimetres(11.0).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "a module would be 0.16 mm wide; at least 0.34 mm are needed, which takes a symbol of 24 mm"
        );
        assert!(symbol.module_millimetres(f64::NAN).is_err());
    }

    #[test]
    fn the_three_drawings_show_the_same_modules() {
        let symbol = Symbol::new("OFFICIALS CARD", Ecc::Medium).unwrap();
        let dark = symbol.dark.iter().filter(|dark| **dark).count();

        let png = symbol.png(1).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&png)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let side = reader.next_frame(&mut pixels).unwrap().width;
        assert_eq!(side, symbol.modules() + 8);
        let padding = pixels.len() * 8 - (side * side) as usize;
        let light: u32 = pixels.iter().map(|byte| byte.count_ones()).sum();
        assert_eq!(pixels.len() * 8 - light as usize, dark, "padding of {padding} bits is light");

        let light: usize = symbol
            .terminal()
            .chars()
            .map(|block| match block {
                '█' => 2,
                '▀' | '▄' => 1,
                _ => 0,
            })
            .sum();
        assert_eq!((side * side) as usize - light, dark);

        let svg = symbol.svg();
        let runs = svg.split('M').filter_map(|run| run.split_once("v1h-")?.0.split_once('h'));
        let drawn: usize = runs.map(|(_, length)| length.parse::<usize>().unwrap()).sum();
        assert_eq!(drawn, dark);
    }

    #[test]
    fn pictures_are_bounded() {
        let symbol = Symbol::new("A", Ecc::Low).unwrap();
        assert_eq!(symbol.png(0).unwrap_err(), SymbolError::PictureTooLarge);
        assert_eq!(symbol.png(65).unwrap_err(), SymbolError::PictureTooLarge);
    }
}
