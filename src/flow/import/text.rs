//! The bytes of a CSV file as UTF-8: a byte order mark says UTF-8 or UTF-16; older Vietnamese encodings are recognised
//! and refused by name, for what they say can be read in more than one way; the separator is seen from the first line.

use std::io::{self, Read};

/// How many bytes are looked at to tell encoding and separator.
const SAMPLE: usize = 1 << 16;
/// Letters beyond ASCII that a sample has at least until an older encoding is named.
const EVIDENCE: usize = 4;

/// An encoding that is refused, by the name that people know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Windows-1258 (VISCII-like code page of Vietnamese Windows).
    Windows1258,
    /// TCVN 5712-3, the encoding of the `.Vn…` fonts ("ABC").
    Tcvn3,
    /// VNI Windows, the encoding of the `VNI-…` fonts.
    Vni,
}

impl Encoding {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Windows1258 => "Windows-1258",
            Self::Tcvn3 => "TCVN3 (ABC)",
            Self::Vni => "VNI",
        }
    }

    /// The older encoding that a text most likely has; `None` for UTF-8, or when nothing speaks for one of them. A guess
    /// from how often the letters of each come (derived from their code tables), good enough to tell people what to do.
    pub fn guess(sample: &[u8]) -> Option<Self> {
        // A sample may end in the middle of a character.
        let cut = match std::str::from_utf8(sample) {
            Ok(_) => return None,
            Err(error) => error.error_len().is_none(),
        };
        if cut {
            return None;
        }
        let mut counts = [0_usize; 3];
        for pair in sample.windows(2) {
            let (before, byte) = (pair[0], pair[1]);
            let after_letter = before.is_ascii_alphabetic();
            // ă â ê ô ơ ư đ à ả ã á ạ ằ ẳ ẵ ắ, which neither of the others uses.
            counts[0] += usize::from(matches!(byte, 0xa8..=0xae | 0xb5..=0xb9 | 0xbb..=0xbe));
            // đ, ư, and tones that stand after their vowel.
            let is_vowel = after_letter || matches!(before, 0xe2 | 0xe3 | 0xea | 0xf4 | 0xf5 | 0xfd);
            let tone = matches!(byte, 0xcc | 0xd2 | 0xde | 0xec | 0xf2) && is_vowel;
            counts[1] += usize::from(tone || matches!(byte, 0xf0 | 0xfd));
            // Vowel and tone, vowel and hat, đ, ư.
            let marked = matches!(
                byte,
                0xf9 | 0xf8 | 0xfb | 0xf5 | 0xef | 0xe2 | 0xe1 | 0xe0 | 0xe5 | 0xe3 | 0xe4 | 0xea | 0xe9 | 0xe8 | 0xfa
            );
            counts[2] += usize::from((marked && after_letter) || matches!(byte, 0xf1 | 0xd1 | 0xf6 | 0xd6));
        }
        let [tcvn3, windows, vni] = counts;
        let best = tcvn3.max(windows).max(vni);
        if best < EVIDENCE {
            return None;
        }
        // The bytes of TCVN3 are its own; a text in one of the others hardly has them.
        Some(if tcvn3 * 2 >= best {
            Self::Tcvn3
        } else if windows >= vni {
            Self::Windows1258
        } else {
            Self::Vni
        })
    }
}

/// What the first bytes of a file tell.
pub(super) struct Opened<R> {
    /// The file as UTF-8, without byte order mark and without a line `sep=`.
    pub(super) text: Utf8<R>,
    /// What stands between two cells.
    pub(super) separator: u8,
    /// Lines that were taken off the front.
    pub(super) lines_off: u64,
    /// An older encoding, as which the rest cannot be read.
    pub(super) refused: Option<Encoding>,
}

/// Looks at the beginning of a file.
pub(super) fn open<R: Read>(mut inner: R) -> io::Result<Opened<R>> {
    let mut sample = Vec::with_capacity(SAMPLE);
    inner.by_ref().take(SAMPLE as u64).read_to_end(&mut sample)?;
    let unit = match &*sample {
        [0xff, 0xfe, ..] => Some(u16::from_le_bytes as fn([u8; 2]) -> u16),
        [0xfe, 0xff, ..] => Some(u16::from_be_bytes as fn([u8; 2]) -> u16),
        _ => None,
    };
    let refused = if unit.is_none() { Encoding::guess(&sample) } else { None };
    let mut text = Utf8 { inner, unit, raw: sample, ready: Vec::new(), given: 0, high: None, is_over: false };
    if unit.is_some() {
        text.raw.drain(..2);
    } else if text.raw.starts_with(b"\xef\xbb\xbf") {
        text.raw.drain(..3);
    }
    text.fill()?;
    let mut lines_off = 0;
    let end = text.ready.iter().position(|byte| *byte == b'\n').map_or(text.ready.len(), |end| end + 1);
    let first = text.ready[..end].trim_ascii_end().to_vec();
    // `sep=;`, which spreadsheets write and read as the first line.
    let separator = match first.strip_prefix(b"sep=") {
        Some([separator @ (b';' | b',' | b'\t')]) => {
            text.given = end;
            lines_off = 1;
            *separator
        }
        _ if first == b"sep=" => {
            text.given = end;
            lines_off = 1;
            b'\t'
        }
        _ => separator_of(&text.ready),
    };
    Ok(Opened { text, separator, lines_off, refused })
}

/// The separator that comes most often outside quotation marks in the first lines; the comma when none does.
fn separator_of(text: &[u8]) -> u8 {
    let mut counts = [(b',', 0_usize), (b';', 0), (b'\t', 0)];
    let (mut quoted, mut lines) = (false, 0);
    for byte in text {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => {
                lines += 1;
                // Titles may stand above the field codes.
                if lines == super::HEADER_ROWS {
                    break;
                }
            }
            _ if !quoted => {
                for (separator, count) in &mut counts {
                    *count += usize::from(byte == separator);
                }
            }
            _ => {}
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or_default();
    counts.iter().find(|(_, count)| *count == most).map_or(b',', |(separator, _)| *separator)
}

/// A reader that gives UTF-8, whatever stands before it.
pub(super) struct Utf8<R> {
    inner: R,
    /// How two bytes are a unit of UTF-16; `None` when the file is UTF-8 already.
    unit: Option<fn([u8; 2]) -> u16>,
    /// Read and not yet turned into UTF-8.
    raw: Vec<u8>,
    ready: Vec<u8>,
    /// How much of `ready` was given.
    given: usize,
    /// The first half of a character beyond the basic plane.
    high: Option<u16>,
    is_over: bool,
}

impl<R: Read> Utf8<R> {
    /// Turns what was read into UTF-8.
    fn fill(&mut self) -> io::Result<()> {
        let Some(unit) = self.unit else {
            self.ready.append(&mut self.raw);
            return Ok(());
        };
        let whole = self.raw.len() / 2 * 2;
        let units = self.raw[..whole].chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        let mut buffer = [0; 4];
        // A first half at the end waits for the second.
        let mut units: Vec<_> = self.high.take().into_iter().chain(units).collect();
        if units.last().is_some_and(|last| (0xd800..0xdc00).contains(last)) && !self.is_over {
            self.high = units.pop();
        }
        for character in char::decode_utf16(units) {
            let character = character.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-16"))?;
            self.ready.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        }
        self.raw.drain(..whole);
        if self.is_over && !self.raw.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not UTF-16"));
        }
        Ok(())
    }
}

impl<R: Read> Read for Utf8<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.ready.len() {
            if self.is_over {
                return Ok(0);
            }
            (self.given, self.ready) = (0, Vec::new());
            if self.unit.is_none() && self.raw.is_empty() {
                return self.inner.read(buffer);
            }
            let before = self.raw.len();
            self.inner.by_ref().take(SAMPLE as u64).read_to_end(&mut self.raw)?;
            self.is_over = self.raw.len() == before;
            self.fill()?;
        }
        let rest = &self.ready[self.given..];
        let taken = rest.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&rest[..taken]);
        self.given += taken;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(bytes: &[u8]) -> (String, u8, u64) {
        let mut opened = open(bytes).unwrap();
        let mut text = String::new();
        opened.text.read_to_string(&mut text).unwrap();
        (text, opened.separator, opened.lines_off)
    }

    fn utf16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(order).collect()
    }

    #[test]
    fn byte_order_marks_say_how_to_read() {
        let text = "full_name;gender\nNguyễn Văn Đức 𠀋;1\n";
        let expected = (text.to_owned(), b';', 0);
        assert_eq!(whole(text.as_bytes()), expected);
        assert_eq!(whole(format!("\u{feff}{text}").as_bytes()), expected);
        assert_eq!(whole(&utf16(text, u16::to_le_bytes)), expected);
        assert_eq!(whole(&utf16(text, u16::to_be_bytes)), expected);
        let long = "Đ𠀋,".repeat(40_000);
        assert_eq!(whole(&utf16(&long, u16::to_le_bytes)).0, long);
        assert!(open(&b"\xff\xfe\x00\xd8a\x00"[..]).is_err(), "half a character");
    }

    #[test]
    fn the_separator_is_seen_or_said() {
        for (text, separator, rest, lines) in [
            ("a,b;c,d\n", b',', "a,b;c,d\n", 0),
            ("a;b\n", b';', "a;b\n", 0),
            ("a\tb\n", b'\t', "a\tb\n", 0),
            ("\"a;b;c\",d\n", b',', "\"a;b;c\",d\n", 0),
            ("Hồ sơ\na;b\n", b';', "Hồ sơ\na;b\n", 0),
            ("sep=;\r\na,b,c\n", b';', "a,b,c\n", 1),
            ("sep=\t\na,b\n", b'\t', "a,b\n", 1),
            ("", b',', "", 0),
        ] {
            assert_eq!(whole(text.as_bytes()), (rest.to_owned(), separator, lines), "{text:?}");
        }
    }

    #[test]
    fn older_encodings_are_named() {
        // "Nguyễn Văn Đức, Trần Thị Hồng, Lê Đình Phước" in each.
        let tcvn3: &[u8] = b"Nguy\xd4n V\xa8n \xa7\xf8c, Tr\xc7n Th\xde H\xe5ng, L\xaa \xa7\xd7nh Ph\xad\xedc, l\xb7nh \xae\xb9o, V\xa8n ph\xb9m";
        let windows: &[u8] =
            b"Nguy\xea\xdfn V\xe3n \xd0\xfd\xecc, Tr\xe2\xccn Thi\xf2 H\xf4\xccng, L\xea \xd0i\xccnh Ph\xfd\xf5\xecc";
        let vni: &[u8] =
            b"Nguy\x65\xe3n V\x61\xean \xd1\xf6\xf9c, Tra\xe0n Th\xf2 Ho\xe0ng, Le\xe2 \xd1\xecnh Ph\xf6\xf4\xf9c";
        assert_eq!(Encoding::guess(tcvn3), Some(Encoding::Tcvn3));
        assert_eq!(Encoding::guess(windows), Some(Encoding::Windows1258));
        assert_eq!(Encoding::guess(vni), Some(Encoding::Vni));
        assert_eq!(Encoding::guess("Nguyễn Văn Đức".as_bytes()), None);
        assert_eq!(Encoding::guess(&"Nguyễn".as_bytes()[..5]), None, "cut in the middle of a letter");
        assert_eq!(Encoding::guess(b"caf\xe9"), None);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), mark in 0..4_usize) {
            let marks: [&[u8]; 4] = [b"", b"\xff\xfe", b"\xfe\xff", b"sep=;\n"];
            let bytes = [marks[mark], &bytes].concat();
            if let Ok(mut opened) = open(&*bytes) {
                let mut rest = Vec::new();
                let _ = opened.text.read_to_end(&mut rest);
            }
        }
    }
}
