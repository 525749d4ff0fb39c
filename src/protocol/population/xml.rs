//! XML from and to strangers: no DTD, no entities beyond the five of XML and character references, everything bounded before
//! it is kept. What is read becomes a tree of [`Element`]s with resolved namespaces; attributes are not kept, for no
//! message of ours needs one.

use quick_xml::Writer;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

/// The five entities that XML itself has.
const ENTITIES: [(&str, char); 5] = [("amp", '&'), ("lt", '<'), ("gt", '>'), ("quot", '"'), ("apos", '\'')];

/// What a document may have at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes as they come.
    pub bytes: usize,
    /// Elements.
    pub elements: usize,
    /// Elements inside each other.
    pub depth: usize,
}

impl Bounds {
    /// One person: the recorded answer has 4 KB, 90 elements and 6 levels.
    pub const PERSON: Self = Self { bytes: 64 << 10, elements: 1_000, depth: 12 };
    /// A page of changed people, with whatever the service puts into `Body`.
    pub const PAGE: Self = Self { bytes: 8 << 20, elements: 200_000, depth: 12 };
}

/// Why a document is refused. Never says what stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// More bytes, elements or levels than allowed.
    #[error("the document is too large, too deep or has too many elements")]
    TooMuch,
    /// Not UTF-8.
    #[error("the document is not UTF-8")]
    Encoding,
    /// A document type, an entity that is not one of the five, or a processing instruction.
    #[error("the document has a document type, an unknown entity or a processing instruction")]
    Forbidden,
    /// Not well-formed.
    #[error("the document is not well-formed XML with namespaces")]
    Form,
}

/// An element with the text directly in it, without white space around.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Empty for none.
    pub namespace: String,
    /// Without prefix.
    pub name: String,
    /// Texts, CDATA and references, one after the other.
    pub text: String,
    /// In their order.
    pub children: Vec<Self>,
}

impl Element {
    /// Reads a document.
    pub fn read(bytes: &[u8], bounds: Bounds) -> Result<Self, XmlError> {
        if bytes.len() > bounds.bytes {
            return Err(XmlError::TooMuch);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| XmlError::Encoding)?;
        let mut reader = NsReader::from_str(text.trim_start_matches('\u{feff}'));
        reader.config_mut().expand_empty_elements = true;
        // The open elements, outermost first; below them the one that will hold the root.
        let mut open = vec![Self::default()];
        let mut elements = 0;
        loop {
            let (namespace, event) = reader.read_resolved_event().map_err(|_| XmlError::Form)?;
            let innermost = open.last_mut().ok_or(XmlError::Form)?;
            match event {
                Event::Start(start) => {
                    elements += 1;
                    if elements > bounds.elements || open.len() > bounds.depth {
                        return Err(XmlError::TooMuch);
                    }
                    let namespace = match namespace {
                        ResolveResult::Bound(namespace) => text_of(namespace.as_ref())?,
                        ResolveResult::Unbound => String::new(),
                        ResolveResult::Unknown(_) => return Err(XmlError::Form),
                    };
                    let name = text_of(start.local_name().as_ref())?;
                    open.push(Self { namespace, name, ..Self::default() });
                }
                Event::End(_) => {
                    let mut done = open.pop().ok_or(XmlError::Form)?;
                    done.text = done.text.trim().into();
                    open.last_mut().ok_or(XmlError::Form)?.children.push(done);
                }
                Event::Text(text) => innermost.text.push_str(&text.xml_content(XmlVersion::Implicit1_0)),
                Event::CData(text) => innermost.text.push_str(&text.xml_content(XmlVersion::Implicit1_0)),
                Event::GeneralRef(reference) => {
                    let character = match reference.resolve_char_ref().map_err(|_| XmlError::Form)? {
                        Some(character) => character,
                        None => entity(&reference.xml10_content())?,
                    };
                    innermost.text.push(character);
                }
                Event::Decl(declaration) => {
                    if let Some(encoding) = declaration.encoding()
                        && !encoding.is_ok_and(|encoding| encoding.eq_ignore_ascii_case("utf-8"))
                    {
                        return Err(XmlError::Encoding);
                    }
                }
                Event::Comment(_) => {}
                Event::DocType(_) | Event::PI(_) => return Err(XmlError::Forbidden),
                Event::Empty(_) => return Err(XmlError::Form),
                Event::Eof => break,
            }
        }
        let [outside] = <[Self; 1]>::try_from(open).map_err(|_| XmlError::Form)?;
        let is_nothing = outside.text.trim().is_empty();
        let [root] = <[Self; 1]>::try_from(outside.children).map_err(|_| XmlError::Form)?;
        if is_nothing && root.is_of_xml() { Ok(root) } else { Err(XmlError::Form) }
    }

    /// Whether it is this one.
    pub fn is(&self, namespaces: &[&str], name: &str) -> bool {
        self.name == name && namespaces.contains(&self.namespace.as_str())
    }

    /// The first child of that name in the element's own namespace.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name && child.namespace == self.namespace)
    }

    /// The text of such a child, unless it is empty.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str()).filter(|text| !text.is_empty())
    }

    /// XML 1.0 section 2.2: characters that may stand in a document, which references could smuggle in.
    fn is_of_xml(&self) -> bool {
        self.text.chars().all(is_of_xml) && self.children.iter().all(Self::is_of_xml)
    }
}

fn is_of_xml(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

fn text_of(name: impl AsRef<[u8]>) -> Result<String, XmlError> {
    String::from_utf8(name.as_ref().to_vec()).map_err(|_| XmlError::Encoding)
}

fn entity(name: &str) -> Result<char, XmlError> {
    ENTITIES.iter().find(|(known, _)| *known == name).map(|(_, character)| *character).ok_or(XmlError::Forbidden)
}

/// An element to be written, with the prefix of its namespace.
#[derive(Clone, Debug, Default)]
pub struct Node {
    name: String,
    namespaces: Vec<(&'static str, &'static str)>,
    text: String,
    children: Vec<Self>,
}

impl Node {
    /// With this name, prefix and all.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// With text in it. Characters that XML cannot carry become spaces.
    #[must_use]
    pub fn with_text(mut self, text: &str) -> Self {
        self.text = text.chars().map(|character| if is_of_xml(character) { character } else { ' ' }).collect();
        self
    }

    /// Which declares a prefix (`xmlns:…`).
    #[must_use]
    pub fn declaring(mut self, prefix: &'static str, namespace: &'static str) -> Self {
        self.namespaces.push((prefix, namespace));
        self
    }

    /// With these elements in it.
    #[must_use]
    pub fn with(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(children);
        self
    }

    /// As a document.
    pub fn to_document(&self) -> String {
        let mut writer = Writer::new(Vec::new());
        // Writing to memory does not fail.
        let _ = writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
        self.write(&mut writer);
        String::from_utf8(writer.into_inner()).unwrap_or_default()
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>) {
        let mut start = BytesStart::new(self.name.as_str());
        for (prefix, namespace) in &self.namespaces {
            start.push_attribute((format!("xmlns:{prefix}").as_str(), *namespace));
        }
        if self.text.is_empty() && self.children.is_empty() {
            let _ = writer.write_event(Event::Empty(start));
            return;
        }
        let _ = writer.write_event(Event::Start(start));
        if !self.text.is_empty() {
            let _ = writer.write_event(Event::Text(BytesText::new(&self.text)));
        }
        for child in &self.children {
            child.write(writer);
        }
        let _ = writer.write_event(Event::End(BytesEnd::new(self.name.as_str())));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Element, XmlError> {
        Element::read(text.as_bytes(), Bounds::PERSON)
    }

    #[test]
    fn names_texts_and_namespaces_are_resolved() {
        let root = read(
            "\u{feff}<?xml version='1.0' encoding='utf-8'?><!-- c --><a:x xmlns:a='urn:a' xmlns='urn:b'>\n \
             <y>Đ&#224;o &amp; <![CDATA[<Tý>]]></y><a:z/></a:x>",
        )
        .unwrap();
        assert!(root.is(&["urn:c", "urn:a"], "x") && root.text.is_empty());
        assert_eq!((root.children[0].namespace.as_str(), root.children[0].text.as_str()), ("urn:b", "Đào & <Tý>"));
        assert!(root.child("z").is_some() && root.child("y").is_none() && root.text_of("z").is_none());
    }

    #[test]
    fn what_could_be_a_trap_is_refused() {
        let bomb = "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><x>&b;</x>";
        for (text, error) in [
            (bomb, XmlError::Forbidden),
            ("<x>&b;</x>", XmlError::Forbidden),
            ("<?xml-stylesheet href='x'?><x/>", XmlError::Forbidden),
            ("<?xml version='1.0' encoding='utf-16'?><x/>", XmlError::Encoding),
            ("<x>&#0;</x>", XmlError::Form),
            ("<x>&#1;</x>", XmlError::Form),
            ("<x>", XmlError::Form),
            ("<x></y>", XmlError::Form),
            ("<p:x/>", XmlError::Form),
            ("<x/><x/>", XmlError::Form),
            ("<x/>y", XmlError::Form),
            ("", XmlError::Form),
            ("<html><p>the line is busy</html>", XmlError::Form),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
        assert_eq!(Element::read(b"<x>\xff</x>", Bounds::PERSON), Err(XmlError::Encoding));
    }

    #[test]
    fn size_depth_and_count_are_bounded() {
        let bounds = Bounds { bytes: 100, elements: 4, depth: 3 };
        let read = |text: String| Element::read(text.as_bytes(), bounds);
        assert!(read("<x><x><x/></x></x>".into()).is_ok() && read("<x><x/><x/><x/></x>".into()).is_ok());
        assert_eq!(read("<x><x><x><x/></x></x></x>".into()), Err(XmlError::TooMuch));
        assert_eq!(read("<x><x/><x/><x/><x/></x>".into()), Err(XmlError::TooMuch));
        assert_eq!(read(format!("<x>{}</x>", " ".repeat(94))), Err(XmlError::TooMuch));
        let deep = "<x>".repeat(20_000);
        assert_eq!(Element::read(deep.as_bytes(), Bounds::PAGE), Err(XmlError::TooMuch));
    }

    #[test]
    fn what_is_written_reads_back() {
        let text = "Đ\u{300} <&>\"' ]]>\u{7}x";
        let node = Node::new("a:x").declaring("a", "urn:a").with([Node::new("a:y").with_text(text), Node::new("a:z")]);
        let root = read(&node.to_document()).unwrap();
        assert_eq!(root.text_of("y"), Some("Đ\u{300} <&>\"' ]]> x"));
        assert!(root.child("z").is_some());
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Element::read(&bytes, Bounds::PERSON);
        }

        #[test]
        fn reading_of_almost_xml_never_panics(parts in proptest::collection::vec(prop_oneof![
            Just("<a>"), Just("</a>"), Just("<a xmlns='u'>"), Just("<b:c xmlns:b='u'/>"), Just("&amp;"), Just("&#x110;"),
            Just("&x;"), Just("<![CDATA["), Just("]]>"), Just("<!DOCTYPE a ["), Just("<!--"), Just("-->"), Just("<?p?>"),
            Just("text"), Just("<?xml version='1.0'?>"), Just("\""),
        ], 0..30)) {
            if let Ok(root) = Element::read(parts.concat().as_bytes(), Bounds::PERSON) {
                prop_assert!(!root.name.is_empty());
            }
        }

        #[test]
        fn any_text_survives(text in "\\PC{0,40}") {
            let node = Node::new("x").with_text(&text);
            prop_assert_eq!(read(&node.to_document()).unwrap().text, text.trim());
        }
    }
}
