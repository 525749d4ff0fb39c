//! Badges as a PDF for printing: A4, two labels beside each other, crop marks at the edges. The QR codes are drawn as
//! lines and areas, not as a picture; the text can be selected and is tagged, so that a screen reader goes from label to
//! label.
//!
//! A label is plain: size, colours and layout of the card of Decision 06/2008/QĐ-BNV could not be read, so nothing here
//! claims to look like it.

use krilla::Document;
use krilla::color::rgb;
use krilla::geom::{Path, PathBuilder, Point, Rect};
use krilla::metadata::Metadata;
use krilla::page::PageSettings;
use krilla::paint::{Fill, Stroke};
use krilla::surface::Surface;
use krilla::tagging::{Artifact, ArtifactType, ContentTag, Identifier, SpanTag, Tag, TagGroup, TagTree};
use krilla::text::{Font, TextDirection};
use ttf_parser::Face;

use crate::credential::symbol::Symbol;
use crate::error::Fault;
use crate::model::text::normalised;

/// Noto Sans with the Latin letters; its licence stands beside it.
static FONT: &[u8] = include_bytes!("NotoSans-Vietnamese.ttf");

/// Points of a millimetre.
const MILLIMETRE: f32 = 72.0 / 25.4;
/// A4.
const PAGE: (f32, f32) = (210.0, 297.0);
/// A label, in millimetres: a QR code of version 19 at the module size below fits, and text beside it.
const LABEL: (f32, f32) = (90.0, 44.0);
const COLUMNS: usize = 2;
const ROWS: usize = 6;
/// Where the first label begins: the rest of the page on both sides.
const MARGIN: (f32, f32) = ((PAGE.0 - 2.0 * LABEL.0) / 2.0, (PAGE.1 - 6.0 * LABEL.1) / 2.0);
/// Width of a printed module: above the 0.34 mm that cheap cameras need (four dots at 300 dpi), so that a printer that
/// scales by a few per cent does no harm.
const MODULE: f32 = 0.36;
/// Modules around the code that stay white (ISO/IEC 18004).
const QUIET: f32 = 4.0;
/// Between the edge of a label and what is on it.
const PADDING: f32 = 3.0;
const CROP_MARK: f32 = 5.0;
const CROP_LINE: f32 = 0.1;
/// Line height over font size.
const LEADING: f32 = 1.25;

/// What one label says.
pub struct Label {
    /// The code.
    pub symbol: Symbol,
    /// The person's name.
    pub name: String,
    /// Position or title.
    pub title: Option<String>,
    /// The employing body.
    pub unit: String,
    /// The card's number, masked.
    pub number: String,
}

/// A text of a label: its largest and smallest size in points, and its lines at most.
struct Style {
    sizes: (f32, f32),
    lines: usize,
    before: f32,
}

const NAME: Style = Style { sizes: (12.0, 7.5), lines: 2, before: 0.0 };
const TITLE: Style = Style { sizes: (9.0, 6.5), lines: 2, before: 3.0 };
const UNIT: Style = Style { sizes: (9.0, 6.0), lines: 3, before: 3.0 };
const NUMBER: Style = Style { sizes: (8.0, 5.0), lines: 1, before: 4.0 };

/// Draws the labels. `title` is the document's, for whoever has several open.
pub fn draw(labels: &[Label], title: &str) -> Result<Vec<u8>, Fault> {
    let doing = "drawing badges";
    let broken = |what: &'static str| Fault::new(doing, what);
    let font = Font::new(FONT.into(), 0).ok_or_else(|| broken("the font cannot be read"))?;
    let measure = Measure::new().ok_or_else(|| broken("the font cannot be measured"))?;
    let mut document = Document::new();
    document.set_metadata(Metadata::new().title(title.to_owned()).language("vi".to_owned()));
    let mut tags = TagTree::new().with_lang(Some("vi".to_owned()));
    for on_page in labels.chunks(COLUMNS * ROWS) {
        let settings = PageSettings::from_wh(PAGE.0 * MILLIMETRE, PAGE.1 * MILLIMETRE);
        let mut page = document.start_page_with(settings.ok_or_else(|| broken("the page has no size"))?);
        let mut surface = page.surface();
        crop_marks(&mut surface, on_page.len().div_ceil(COLUMNS));
        for (place, label) in on_page.iter().enumerate() {
            let (column, row) = (place % COLUMNS, place / COLUMNS);
            #[allow(clippy::cast_precision_loss)]
            let corner = (MARGIN.0 + column as f32 * LABEL.0, MARGIN.1 + row as f32 * LABEL.1);
            let mut pen = Pen { surface: &mut surface, font: &font, measure: &measure };
            tags.push(pen.label(label, corner).ok_or_else(|| broken("a code does not fit its label"))?);
        }
        surface.finish();
        page.finish();
    }
    document.set_tag_tree(tags);
    document.finish().map_err(|error| Fault::new(doing, format!("{error:?}")))
}

/// Short lines outside the labels, where the paper is to be cut: around the rows that are used.
fn crop_marks(surface: &mut Surface<'_>, rows: usize) {
    surface.start_tagged(ContentTag::Artifact(Artifact::with_kind(ArtifactType::Other)));
    surface.set_stroke(Some(Stroke { width: CROP_LINE * MILLIMETRE, ..Stroke::default() }));
    #[allow(clippy::cast_precision_loss)]
    let bottom = MARGIN.1 + rows as f32 * LABEL.1;
    let right = MARGIN.0 + 2.0 * LABEL.0;
    for column in 0..=COLUMNS {
        #[allow(clippy::cast_precision_loss)]
        let x = MARGIN.0 + column as f32 * LABEL.0;
        line(surface, (x, MARGIN.1 - CROP_MARK - 1.0), (x, MARGIN.1 - 1.0));
        line(surface, (x, bottom + 1.0), (x, bottom + 1.0 + CROP_MARK));
    }
    for row in 0..=rows {
        #[allow(clippy::cast_precision_loss)]
        let y = MARGIN.1 + row as f32 * LABEL.1;
        line(surface, (MARGIN.0 - CROP_MARK - 1.0, y), (MARGIN.0 - 1.0, y));
        line(surface, (right + 1.0, y), (right + 1.0 + CROP_MARK, y));
    }
    surface.set_stroke(None);
    surface.end_tagged();
}

fn line(surface: &mut Surface<'_>, from: (f32, f32), to: (f32, f32)) {
    let mut path = PathBuilder::new();
    path.move_to(from.0 * MILLIMETRE, from.1 * MILLIMETRE);
    path.line_to(to.0 * MILLIMETRE, to.1 * MILLIMETRE);
    if let Some(path) = path.finish() {
        surface.draw_path(&path);
    }
}

struct Pen<'a, 's> {
    surface: &'a mut Surface<'s>,
    font: &'a Font,
    measure: &'a Measure,
}

impl Pen<'_, '_> {
    /// One label with its upper left corner there, in millimetres; `None` when the code is too large.
    fn label(&mut self, label: &Label, corner: (f32, f32)) -> Option<TagGroup> {
        #[allow(clippy::cast_precision_loss)]
        let side = (label.symbol.modules() as f32 + 2.0 * QUIET) * MODULE;
        // The quiet zone may reach into the padding, but not out of the label.
        if side > LABEL.1 {
            return None;
        }
        let mut group = TagGroup::new(Tag::Section);
        self.surface.set_fill(Some(black()));
        let code_at = (corner.0 + 1.0 + QUIET * MODULE, corner.1 + (LABEL.1 - side) / 2.0 + QUIET * MODULE);
        let code = self.surface.start_tagged(ContentTag::Other);
        self.surface.draw_path(&code_path(&label.symbol, code_at)?);
        self.surface.end_tagged();
        let alternative = format!("Mã QR của thẻ {}", label.number);
        group.push(TagGroup::with_children(Tag::Figure(Some(alternative)), vec![code.into()]));

        let left = (corner.0 + 1.0 + side + 1.0) * MILLIMETRE;
        let width = (corner.0 + LABEL.0 - PADDING) * MILLIMETRE - left;
        let room = (LABEL.1 - 2.0 * PADDING) * MILLIMETRE;
        let texts = [
            (Some(&label.name), &NAME),
            (label.title.as_ref(), &TITLE),
            (Some(&label.unit), &UNIT),
            (Some(&label.number), &NUMBER),
        ];
        let set: Vec<_> = texts
            .into_iter()
            .filter_map(|(text, style)| text.filter(|text| !text.is_empty()).map(|text| (text, style)))
            .map(|(text, style)| (self.measure.set(text, style, width), style))
            .collect();
        let height: f32 = set.iter().map(|((size, lines), style)| style.before + height(*size, lines.len())).sum();
        let mut y = (corner.1 + PADDING) * MILLIMETRE + ((room - height) / 2.0).max(0.0);
        for ((size, lines), style) in &set {
            y += style.before;
            let mut paragraph = TagGroup::new(Tag::P);
            for text in lines {
                paragraph.push(self.text(text, *size, (left, y + size)));
                y += size * LEADING;
            }
            group.push(paragraph);
        }
        Some(group)
    }

    fn text(&mut self, text: &str, size: f32, at: (f32, f32)) -> Identifier {
        let tag = self.surface.start_tagged(ContentTag::Span(SpanTag::empty()));
        let at = Point::from_xy(at.0, at.1);
        self.surface.draw_text(at, self.font.clone(), size, text, false, TextDirection::LeftToRight);
        self.surface.end_tagged();
        tag
    }
}

fn black() -> Fill {
    Fill { paint: rgb::Color::new(0, 0, 0).into(), ..Fill::default() }
}

#[allow(clippy::cast_precision_loss)]
fn height(size: f32, lines: usize) -> f32 {
    size * LEADING * lines as f32
}

/// The dark modules as one area, the first one there.
#[allow(clippy::cast_precision_loss)]
fn code_path(symbol: &Symbol, at: (f32, f32)) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (x, y, length) in symbol.dark_runs() {
        let left = (at.0 + x as f32 * MODULE) * MILLIMETRE;
        let top = (at.1 + y as f32 * MODULE) * MILLIMETRE;
        path.push_rect(Rect::from_xywh(left, top, length as f32 * MODULE * MILLIMETRE, MODULE * MILLIMETRE)?);
    }
    path.finish()
}

/// How wide texts are.
struct Measure {
    face: Face<'static>,
}

impl Measure {
    fn new() -> Option<Self> {
        Face::parse(FONT, 0).ok().map(|face| Self { face })
    }

    /// The width of a text in points at size 1; letters that the font does not have take the width of its sign for that.
    fn width(&self, text: &str) -> f32 {
        let advance = |character| {
            let glyph = self.face.glyph_index(character).unwrap_or_default();
            f32::from(self.face.glyph_hor_advance(glyph).unwrap_or_default())
        };
        text.chars().map(advance).sum::<f32>() / f32::from(self.face.units_per_em())
    }

    /// Size and lines of a text: as large as its style wants and the width allows; what does not fit even at the smallest
    /// size ends with an ellipsis.
    fn set(&self, text: &str, style: &Style, width: f32) -> (f32, Vec<String>) {
        let text = normalised(text);
        let words: Vec<_> = text.split_whitespace().collect();
        let mut size = style.sizes.0;
        loop {
            let lines = self.wrap(&words, width / size);
            let fits = lines.len() <= style.lines && lines.iter().all(|line| self.width(line) <= width / size);
            if fits {
                return (size, lines);
            }
            if size <= style.sizes.1 {
                return (size, self.cut(lines, style.lines, width / size));
            }
            size = (size - 0.5).max(style.sizes.1);
        }
    }

    fn wrap(&self, words: &[&str], width: f32) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for word in words {
            match lines.last_mut() {
                Some(line) if self.width(line) + self.width(" ") + self.width(word) <= width => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push((*word).to_owned()),
            }
        }
        lines
    }

    fn cut(&self, mut lines: Vec<String>, most: usize, width: f32) -> Vec<String> {
        let is_more = lines.len() > most;
        lines.truncate(most);
        let last = lines.len().saturating_sub(1);
        for (place, line) in lines.iter_mut().enumerate() {
            let is_open = place == last && is_more;
            if self.width(line) > width || is_open {
                while !line.is_empty() && self.width(line) + self.width("…") > width {
                    line.pop();
                }
                line.push('…');
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::symbol::{Ecc, MIN_MODULE_MILLIMETRES};

    fn label(name: &str, unit: &str) -> Label {
        Label {
            symbol: Symbol::new(&"A".repeat(476), Ecc::Medium).unwrap(),
            name: name.into(),
            title: Some("Chuyên viên chính".into()),
            unit: unit.into(),
            number: "H26.*********018.CC".into(),
        }
    }

    #[test]
    fn modules_are_as_wide_as_cheap_cameras_need() {
        assert!(f64::from(MODULE) >= MIN_MODULE_MILLIMETRES);
        assert!(MARGIN.0 >= CROP_MARK + 1.0 && MARGIN.1 >= CROP_MARK + 1.0);
    }

    #[test]
    fn every_text_stays_within_its_label() {
        let measure = Measure::new().unwrap();
        let long = "Nguyễn Phước Bảo Ngọc Hoàng Anh Thư ".repeat(8);
        for (text, style) in [(long.as_str(), &NAME), (&"x".repeat(400), &UNIT), ("Lê An", &NAME), ("", &TITLE)] {
            let (size, lines) = measure.set(text, style, 150.0);
            assert!(lines.len() <= style.lines && (style.sizes.1..=style.sizes.0).contains(&size));
            for line in &lines {
                assert!(measure.width(line) * size <= 150.1, "{line}");
            }
            assert_eq!(lines.last().is_some_and(|line| line.ends_with('…')), text.len() > 300);
        }
        assert_eq!(measure.set("Lê An", &NAME, 150.0), (12.0, vec!["Lê An".to_owned()]));
    }

    #[test]
    fn the_font_has_every_vietnamese_letter() {
        let face = Face::parse(FONT, 0).unwrap();
        let letters = "aàáảãạăằắẳẵặâầấẩẫậbcdđeèéẻẽẹêềếểễệghiìíỉĩịklmnoòóỏõọôồốổỗộơờớởỡợpqrstuùúủũụưừứửữựvxyỳýỷỹỵ";
        // Names of other peoples of Vietnam.
        let others = "ĂĔĬŎŬƀčñ *.-–,()/0123456789…";
        for letter in letters.chars().chain(letters.to_uppercase().chars()).chain(others.chars()) {
            assert!(face.glyph_index(letter).is_some(), "{letter}");
        }
    }

    #[test]
    fn a_sheet_has_as_many_pages_as_it_takes() {
        let labels: Vec<_> = (0..13).map(|_| label("Nguyễn Thị Thử Nghiệm", "Sở Nội vụ")).collect();
        let pdf = draw(&labels, "Thẻ").unwrap();
        assert!(pdf.starts_with(b"%PDF-1."));
        let has = |pdf: &[u8], text: &[u8]| pdf.windows(text.len()).any(|part| part == text);
        assert!(has(&pdf, b"/Type/Pages/Count 2/"));
        assert!(has(&draw(&labels[..12], "Thẻ").unwrap(), b"/Type/Pages/Count 1/"));
        let large = Label { symbol: Symbol::new(&"A".repeat(3000), Ecc::Medium).unwrap(), ..label("A", "B") };
        assert!(draw(&[large], "Thẻ").is_err());
    }
}
