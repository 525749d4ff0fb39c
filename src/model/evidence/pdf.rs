//! Whether a PDF (ISO 32000-2) is a plain one: pages and nothing that acts, carries or hides.
//!
//! The names of what is not wanted are looked for wherever they can stand: in the bytes as they are, with `#`-escapes read
//! (section 7.3.5), and in every stream that inflates, for object streams (section 7.5.7) pack whole dictionaries away.
//! Nothing depends on where the file says that its objects are, so nothing can be hidden by saying it wrongly. What could
//! hide a name from this, another packing of an object stream or encryption, is refused as such.

use std::io::Read;

use flate2::read::ZlibDecoder;

use super::Unacceptable;

/// Most bytes that all streams together may inflate to.
pub const MAX_INFLATED_BYTES: u64 = 128 << 20;
/// Most streams that are looked into.
pub const MAX_STREAMS: usize = 20_000;
/// How far from the end the trailer's end may be, in bytes.
const TRAILER_BYTES: usize = 1024;
/// Longest name that is told from others, in bytes.
const MAX_NAME: usize = 32;

/// Names that make a file act.
const ACTIVE: [&[u8]; 11] = [
    b"JavaScript",
    b"JS",
    b"Launch",
    b"XFA",
    b"SubmitForm",
    b"ImportData",
    b"Rendition",
    b"GoToE",
    b"Movie",
    b"RichMediaExecute",
    b"SetOCGState",
];
/// Names that make a file carry others.
const CARRYING: [&[u8]; 5] = [b"EmbeddedFile", b"EmbeddedFiles", b"RichMedia", b"Sound", b"FileAttachment"];
/// Names so short that they turn up in packed bytes by chance: looked for outside streams and in what is inflated.
const SHORT: usize = 5;

/// Refuses what is not a plain PDF.
pub fn check(bytes: &[u8]) -> Result<(), Unacceptable> {
    let end = bytes.len().saturating_sub(TRAILER_BYTES);
    if !is_header(bytes) || !contains(&bytes[end..], b"%%EOF") || !contains(&bytes[end..], b"startxref") {
        return Err(Unacceptable::Damaged);
    }
    let (mut outside, mut streams, mut budget) = (0, 0, MAX_INFLATED_BYTES);
    while let Some(found) = find(&bytes[outside..], b"stream") {
        let keyword = outside + found;
        names(&bytes[outside..keyword], Place::Plain)?;
        outside = keyword + b"stream".len();
        // "endstream" ends in the same letters.
        if bytes[..keyword].ends_with(b"end") {
            continue;
        }
        streams += 1;
        if streams > MAX_STREAMS {
            return Err(Unacceptable::Opaque);
        }
        let head = dictionary(&bytes[..keyword]);
        let data = &bytes[outside..];
        let data = data.strip_prefix(b"\r\n").or_else(|| data.strip_prefix(b"\n")).unwrap_or(data);
        let place = place_of(head);
        let is_packed = inflated(data, place, &mut budget)?;
        packing(head, is_packed)?;
        // The stream itself, in case that it is not packed at all; up to where it says that it ends, and not a byte is
        // skipped by what it says.
        let length = find(data, b"endstream").unwrap_or(data.len());
        let own = &data[..length];
        names(own, if is_packed { Place::Packed } else { place })?;
        outside = bytes.len() - data.len() + length;
    }
    names(&bytes[outside..], Place::Plain)
}

/// Where bytes stand, which decides what names mean there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Objects in the clear.
    Plain,
    /// Packed bytes, in which short names are chance.
    Packed,
}

/// `%PDF-1.0` to `%PDF-2.9`.
fn is_header(bytes: &[u8]) -> bool {
    matches!(bytes, [b'%', b'P', b'D', b'F', b'-', b'1'..=b'2', b'.', b'0'..=b'9', b'\r' | b'\n' | b' ', ..])
}

/// The bytes between the last `obj` and the keyword: the dictionary of the stream, and perhaps more.
fn dictionary(before: &[u8]) -> &[u8] {
    let from = before.len().saturating_sub(4096);
    let near = &before[from..];
    near.windows(3).rposition(|word| word == b"obj").map_or(near, |at| &near[at..])
}

/// Pictures are bytes without meaning for us; everything else is text, and so is a picture that says where the first object
/// in it begins.
fn place_of(dictionary: &[u8]) -> Place {
    let is_of_picture =
        |name: &[u8]| matches!(name, b"DCTDecode" | b"JPXDecode" | b"CCITTFaxDecode" | b"JBIG2Decode" | b"Image");
    let is_picture = names_in(dictionary).any(|name| is_of_picture(&name));
    if is_picture && !holds_objects(dictionary) { Place::Packed } else { Place::Plain }
}

/// Whether a stream may be an object stream: a reader needs `First` to read one.
fn holds_objects(dictionary: &[u8]) -> bool {
    names_in(dictionary).any(|name| matches!(name.as_slice(), b"ObjStm" | b"First"))
}

/// An object stream has to be packed by Flate alone, once, without a predictor, so that its names could be read; and no
/// stream by what only old or hiding programs use.
fn packing(dictionary: &[u8], is_packed: bool) -> Result<(), Unacceptable> {
    let names: Vec<_> = names_in(dictionary).collect();
    let count = |wanted: &[u8]| names.iter().filter(|name| name.as_slice() == wanted).count();
    let is_hidden =
        [&b"LZWDecode"[..], b"ASCII85Decode", b"ASCIIHexDecode", b"RunLengthDecode", b"Crypt", b"LZW", b"A85"]
            .into_iter()
            .any(|name| count(name) > 0);
    let is_readable = count(b"DecodeParms") == 0 && count(b"FlateDecode") <= 1 && (count(b"Filter") == 0 || is_packed);
    if is_hidden || (holds_objects(dictionary) && !is_readable) { Err(Unacceptable::Opaque) } else { Ok(()) }
}

/// Looks for names in what a stream inflates to. Gives whether it inflates at all.
fn inflated(data: &[u8], place: Place, budget: &mut u64) -> Result<bool, Unacceptable> {
    // The first byte of zlib (RFC 1950): deflate, and the check bits hold.
    let is_zlib = matches!(data, [cmf, flags, ..] if cmf & 15 == 8
        && (u16::from(*cmf) << 8 | u16::from(*flags)).is_multiple_of(31));
    if !is_zlib {
        return Ok(false);
    }
    let mut reader = ZlibDecoder::new(data);
    let mut chunk = vec![0; 64 << 10];
    let mut kept = 0;
    loop {
        // What breaks off in the middle is what a reader would see as well.
        let Ok(read) = reader.read(&mut chunk[kept..]) else { return Ok(true) };
        if read == 0 {
            names(&chunk[..kept], place)?;
            return Ok(true);
        }
        *budget = budget.checked_sub(read as u64).ok_or(Unacceptable::Opaque)?;
        let filled = kept + read;
        names(&chunk[..filled], place)?;
        // A name on the border is seen whole the next time.
        let keep = filled.min(3 * MAX_NAME);
        chunk.copy_within(filled - keep..filled, 0);
        kept = keep;
    }
}

/// Refuses bytes with a name that is not wanted.
fn names(bytes: &[u8], place: Place) -> Result<(), Unacceptable> {
    for name in names_in(bytes) {
        let counts = place == Place::Plain || name.len() > SHORT;
        let is = |list: &[&[u8]]| counts && list.contains(&name.as_slice());
        if is(&ACTIVE) {
            return Err(Unacceptable::Active);
        }
        if is(&CARRYING) {
            return Err(Unacceptable::Carries);
        }
        if counts && name == b"Encrypt" {
            return Err(Unacceptable::Opaque);
        }
    }
    Ok(())
}

/// Every name (`/Name`, section 7.3.5), its escapes read, cut at [`MAX_NAME`].
fn names_in(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at + 1);
    starts.map(|start| {
        let mut name = Vec::with_capacity(MAX_NAME);
        let mut rest = &bytes[start..];
        while let [first, others @ ..] = rest {
            if name.len() == MAX_NAME || is_delimiter(*first) {
                break;
            }
            let escaped = match (first, others) {
                (b'#', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
                _ => None,
            };
            name.push(escaped.unwrap_or(*first));
            rest = if escaped.is_some() { &others[2..] } else { others };
        }
        name
    })
}

fn is_delimiter(byte: u8) -> bool {
    matches!(
        byte,
        0 | b'\t' | b'\n' | 0x0c | b'\r' | b' ' | b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'{' | b'}' | b'/' | b'%'
    )
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    find(bytes, wanted).is_some()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    // By the first byte: windows alone would compare at every place.
    let mut from = 0;
    while let Some(at) = bytes.get(from..)?.iter().position(|byte| *byte == wanted[0]) {
        if bytes[from + at..].starts_with(wanted) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use proptest::prelude::*;

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// A file with these objects before its trailer.
    fn file(objects: &[&[u8]]) -> Vec<u8> {
        [
            b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n",
            &objects.concat()[..],
            b"\nxref\n0 1\ntrailer\n<</Root 1 0 R>>\nstartxref\n9\n%%EOF\n",
        ]
        .concat()
    }

    fn stream(head: &str, data: &[u8]) -> Vec<u8> {
        [b"5 0 obj\n<<", head.as_bytes(), b">>\nstream\r\n", data, b"\nendstream\nendobj\n"].concat()
    }

    #[test]
    fn a_plain_file_is_taken() {
        let text = stream("/Length 9/Filter/FlateDecode", &packed(b"BT /F1 12 Tf (Xin ch\xc3\xa0o) Tj ET"));
        let objects = stream("/Type/ObjStm/N 1/First 4/Filter/FlateDecode", &packed(b"7 0 <</Type/Font>>"));
        let index = stream(
            "/Type/XRef/Filter/FlateDecode/DecodeParms<</Columns 4/Predictor 12>>",
            &packed(&[2, 0, 0, 1, 2, 1, 1, 1]),
        );
        let picture = stream("/Subtype/Image/Filter/DCTDecode", b"\xff\xd8\xff/JS \xff\xd9");
        assert_eq!(check(&file(&[&text, &objects, &index, &picture])), Ok(()));
    }

    #[test]
    fn what_acts_or_carries_is_refused_wherever_it_stands() {
        let action = b"6 0 obj\n<</S/JavaScript/JS(app.alert\\(1\\))>>\nendobj\n";
        let escaped = b"6 0 obj\n<</S/J#61vaScr#69pt>>\nendobj\n";
        let short = b"6 0 obj\n<</JS 7 0 R>>\nendobj\n";
        let inside = stream("/Type/ObjStm/Filter/FlateDecode/First 4/N 1", &packed(b"7 0 <</S/Launch/F(x.exe)>>"));
        // That it says to be a picture does not help it.
        let disguised = stream("/Subtype/Image/Filter/FlateDecode", &packed(b"7 0 <</S/JavaScript>>"));
        let objects = stream("/Subtype/Image/First 4/Filter/FlateDecode", &packed(b"7 0 <</XFA 8 0 R>>"));
        let lying = stream("/Length 0", b"endstream 6 0 obj <</S/Launch>> endobj");
        for active in [&action[..], escaped, short, &inside, &disguised, &objects, &lying] {
            assert_eq!(check(&file(&[active])), Err(Unacceptable::Active));
        }
        let carried = b"6 0 obj\n<</Names<</EmbeddedFiles 8 0 R>>>>\nendobj\n";
        assert_eq!(check(&file(&[carried])), Err(Unacceptable::Carries));
        let deep = stream("/Filter/FlateDecode", &packed(&[&vec![b' '; 300_000][..], b"/EmbeddedFile "].concat()));
        assert_eq!(check(&file(&[&deep])), Err(Unacceptable::Carries));
        // A name over the border of two pieces that are inflated.
        for padding in 65_520..65_540 {
            let border = packed(&[&vec![b' '; padding][..], b"/EmbeddedFile "].concat());
            assert_eq!(check(&file(&[&stream("", &border)])), Err(Unacceptable::Carries), "{padding}");
        }
    }

    #[test]
    fn what_cannot_be_looked_into_is_refused() {
        let twice = stream("/Type/ObjStm/First 4/Filter[/FlateDecode/FlateDecode]", &packed(&packed(b"7 0 <<>>")));
        let predicted = stream("/Type/ObjStm/First 4/Filter/FlateDecode/DecodeParms 8 0 R", &packed(b"7 0 <<>>"));
        let unnamed = stream("/Type 9 0 R/First 4/Filter/ASCIIHexDecode", b"37203020>");
        let lzw = stream("/Filter/LZWDecode", b"\x80\x0b");
        for opaque in [&twice, &predicted, &unnamed, &lzw] {
            assert_eq!(check(&file(&[opaque])), Err(Unacceptable::Opaque));
        }
        let encrypted = b"6 0 obj\n<</Encrypt 9 0 R>>\nendobj\n";
        assert_eq!(check(&file(&[encrypted])), Err(Unacceptable::Opaque));
    }

    #[test]
    fn bombs_end_at_the_bound() {
        let bomb = packed(&vec![0; 32 << 20]);
        assert!(bomb.len() < 64 << 10);
        let one = stream("/Filter/FlateDecode", &bomb);
        assert_eq!(check(&file(&[&one, &one, &one])), Ok(()));
        assert_eq!(check(&file(&[&one, &one, &one, &one, &one])), Err(Unacceptable::Opaque));
        let many = stream("", b"").repeat(MAX_STREAMS + 1);
        assert_eq!(check(&file(&[&many])), Err(Unacceptable::Opaque));
    }

    #[test]
    fn a_file_has_its_beginning_and_its_end() {
        let whole = file(&[]);
        assert_eq!(check(&whole), Ok(()));
        assert_eq!(check(&whole[..whole.len() - 8]), Err(Unacceptable::Damaged));
        assert_eq!(check(&[&whole[..], &vec![b'x'; TRAILER_BYTES]].concat()), Err(Unacceptable::Damaged));
        assert_eq!(check(b"%PDF-3.0\nstartxref\n%%EOF"), Err(Unacceptable::Damaged));
        assert_eq!(check(b"%PDF-"), Err(Unacceptable::Damaged));
    }

    proptest! {
        #[test]
        fn anything_ends_without_a_panic(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just(b"stream\n".to_vec()), Just(b"endstream ".to_vec()), Just(b" 1 0 obj<<".to_vec()),
                    Just(b"/Filter/FlateDecode>>".to_vec()), Just(b"/J#".to_vec()), Just(packed(b"<</S/Name>>")),
                    proptest::collection::vec(any::<u8>(), 0..20),
                ],
                0..12,
            )
        ) {
            let _ = check(&file(&[&parts.concat()]));
            let _ = check(&parts.concat());
        }

        #[test]
        fn a_script_is_found_between_whatever(
            before in proptest::collection::vec(any::<u8>(), 0..60),
            after in proptest::collection::vec(any::<u8>(), 0..60),
            escapes in proptest::collection::vec(any::<bool>(), 10),
        ) {
            let name: String = "JavaScript".chars().zip(escapes)
                .map(|(letter, escape)| if escape { format!("#{:02x}", u32::from(letter)) } else { letter.to_string() })
                .collect();
            let action = format!("/{name} ");
            let bytes = file(&[&before, action.as_bytes(), &after]);
            prop_assert!(check(&bytes).is_err());
        }
    }
}
