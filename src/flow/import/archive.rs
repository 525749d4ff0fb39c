//! What a workbook unpacks to, measured before a library reads it: `calamine` trusts what a file says of itself. It makes
//! room for as many shared strings as `uniqueCount` claims, copies fonts and number formats into every cell style, and
//! inflates without a bound. So every part is inflated once, into nothing, with the bounds below.

use std::io::{self, Cursor, Read};

use memchr::memmem;
use quick_xml::events::Event;
use zip::ZipArchive;

use super::FileFault;

/// The largest workbook, packed.
pub const MAX_PACKED_BYTES: usize = 64 << 20;
/// The most parts of one: a workbook of one sheet has about fifteen.
const MAX_PARTS: usize = 2_000;
/// The largest part, unpacked, and all parts together.
const MAX_PART_BYTES: u64 = 512 << 20;
const MAX_UNPACKED_BYTES: u64 = 768 << 20;
/// How many bytes one packed byte may become in parts of more than [`RATIO_FROM`]: sheets of real people pack to a tenth,
/// and a form of empty cells to a hundredth.
const MAX_RATIO: u64 = 400;
const RATIO_FROM: u64 = 4 << 20;
/// The largest table of shared strings, its most entries, and the digits of the longest number in its first tag: how many
/// entries it claims to have.
const MAX_STRING_BYTES: u64 = 128 << 20;
const MAX_STRINGS: usize = 4_000_000;
const MAX_CLAIMED_DIGITS: usize = 7;
/// The largest part of those that are read whole: styles, the workbook itself, relations. And of all others but sheets.
const MAX_SMALL_BYTES: u64 = 8 << 20;
const MAX_OTHER_BYTES: u64 = 64 << 20;
/// The most bytes that the styles of cells may become: each has copies of its font and number format.
const MAX_STYLE_BYTES: u64 = 64 << 20;
/// Tags whose texts one style copies.
const COPIED_TAGS: u64 = 8;

/// Measures a workbook; what it returns is within every bound.
pub(super) fn measured(bytes: Vec<u8>) -> Result<Cursor<Vec<u8>>, FileFault> {
    if bytes.len() > MAX_PACKED_BYTES {
        return Err(FileFault::TooLarge);
    }
    // The archive's own directory is read at once: each of its entries begins so.
    if memmem::find_iter(&bytes, b"PK\x01\x02").count() > MAX_PARTS {
        return Err(FileFault::Bomb);
    }
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|_| FileFault::NotAWorkbook)?;
    let mut unpacked = 0;
    for at in 0..archive.len() {
        let part = archive.by_index(at).map_err(|_| FileFault::NotAWorkbook)?;
        let name = part.name().map_err(|_| FileFault::NotAWorkbook)?.replace('\\', "/").to_ascii_lowercase();
        let packed = part.compressed_size();
        let most = match () {
            () if name.ends_with("sharedstrings.xml") => MAX_STRING_BYTES,
            () if is_small(&name) => MAX_SMALL_BYTES,
            () if name.contains("worksheets/") => MAX_PART_BYTES,
            () => MAX_OTHER_BYTES,
        };
        let mut counted = Counted { inner: part, bytes: 0, most };
        if name.ends_with("sharedstrings.xml") {
            measure_strings(&mut counted)?;
        } else if name.ends_with("styles.xml") {
            measure_styles(&mut counted)?;
        } else if name == "_rels/.rels" {
            // A sheet that is called the workbook would be kept whole.
            let mut relations = Vec::new();
            counted.read_to_end(&mut relations).map_err(|error| fault(&error))?;
            if memmem::find(&relations, b"worksheets").is_some() {
                return Err(FileFault::NotAWorkbook);
            }
        }
        // What is left, after an XML reader that stopped at the end of the document.
        io::copy(&mut counted, &mut io::sink()).map_err(|error| fault(&error))?;
        let bytes = counted.bytes;
        unpacked += bytes;
        if unpacked > MAX_UNPACKED_BYTES || (bytes > RATIO_FROM && bytes > packed.max(1) * MAX_RATIO) {
            return Err(FileFault::Bomb);
        }
    }
    Ok(archive.into_inner())
}

fn is_small(name: &str) -> bool {
    [".rels", "styles.xml", "workbook.xml", "[content_types].xml"].iter().any(|small| name.ends_with(small))
        || name.contains("theme")
}

/// As many entries as it may have, and claims no more.
fn measure_strings(part: &mut impl Read) -> Result<(), FileFault> {
    let mut strings = 0;
    each_tag(part, |tag| {
        match tag.local_name().as_ref() {
            "sst" => {
                let mut numbers = tag.split(|character: char| !character.is_ascii_digit());
                if numbers.any(|digits| digits.len() > MAX_CLAIMED_DIGITS) {
                    return Err(FileFault::Bomb);
                }
            }
            "si" => strings += 1,
            _ => {}
        }
        if strings > MAX_STRINGS { Err(FileFault::Bomb) } else { Ok(()) }
    })
}

/// The longest tag, copied as often as there are styles.
fn measure_styles(part: &mut impl Read) -> Result<(), FileFault> {
    let (mut longest, mut styles) = (0, 0);
    each_tag(part, |tag| {
        longest = longest.max(tag.len() as u64);
        styles += u64::from(tag.local_name().as_ref() == "xf");
        if longest.saturating_mul(styles).saturating_mul(COPIED_TAGS) > MAX_STYLE_BYTES {
            return Err(FileFault::Bomb);
        }
        Ok(())
    })
}

/// Calls `look` for every tag of a part, read as `calamine` reads it.
fn each_tag(
    part: &mut impl Read,
    mut look: impl FnMut(&quick_xml::events::BytesStart<'_>) -> Result<(), FileFault>,
) -> Result<(), FileFault> {
    let mut reader = quick_xml::Reader::from_reader(io::BufReader::new(part));
    reader.config_mut().check_end_names = false;
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(tag) | Event::Empty(tag)) => look(&tag)?,
            Ok(Event::Eof) => return Ok(()),
            Ok(_) => {}
            Err(quick_xml::Error::Io(error)) => return Err(fault(&error)),
            Err(_) => return Err(FileFault::NotAWorkbook),
        }
    }
}

/// A reader that gives no more than a bound.
struct Counted<R> {
    inner: R,
    bytes: u64,
    most: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes += read as u64;
        if self.bytes > self.most { Err(io::Error::from(io::ErrorKind::FileTooLarge)) } else { Ok(read) }
    }
}

fn fault(error: &io::Error) -> FileFault {
    if error.kind() == io::ErrorKind::FileTooLarge { FileFault::Bomb } else { FileFault::NotAWorkbook }
}
