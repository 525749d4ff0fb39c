//! Code lists: what ships (`data/2023/code_lists.csv`) and what the operator loads over it. The Ministry's labels were
//! not published, so most shipped labels are placeholders; a code without a real label shows as `Mã 012`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Knows codes and their labels.
pub trait CodeLabels: Sync {
    /// Whether the list has this code.
    fn has_code(&self, list: &str, code: &str) -> bool;

    /// The Vietnamese label, when a real one is known.
    fn label(&self, list: &str, code: &str) -> Option<Cow<'_, str>>;

    /// The label, or the neutral `Mã 012`.
    fn label_or_code<'a>(&'a self, list: &str, code: &str) -> Cow<'a, str> {
        self.label(list, code).unwrap_or_else(|| Cow::Owned(format!("Mã {code}")))
    }
}

/// One shipped code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// Vietnamese label, NFC.
    pub label_vi: String,
    /// English label.
    pub label_en: String,
    /// `high`, `medium`, `low`, `derived` or `placeholder`.
    pub certainty: String,
    /// The word of ours that it stands for (card type, sex); always derived.
    pub maps_to: Option<String>,
}

/// The shipped lists, by list and code.
#[derive(Debug)]
pub struct ShippedCodes(HashMap<String, HashMap<String, Code>>);

/// The shipped lists of 2023.
pub fn shipped() -> &'static ShippedCodes {
    static SHIPPED: LazyLock<ShippedCodes> =
        LazyLock::new(|| ShippedCodes::read(include_str!("data/2023/code_lists.csv")));
    &SHIPPED
}

impl ShippedCodes {
    /// One code of one list.
    pub fn code(&self, list: &str, code: &str) -> Option<&Code> {
        self.0.get(list)?.get(code)
    }

    /// Whether a list of this name ships.
    pub fn has_list(&self, list: &str) -> bool {
        self.0.contains_key(list)
    }

    /// The codes of a list, in no order; none for a list that does not ship.
    pub fn codes(&self, list: &str) -> impl Iterator<Item = &str> {
        self.0.get(list).into_iter().flat_map(HashMap::keys).map(String::as_str)
    }

    /// The word of ours that a code stands for.
    pub fn maps_to(&self, list: &str, code: &str) -> Option<&str> {
        self.code(list, code)?.maps_to.as_deref()
    }

    /// How many codes ship in all.
    pub fn len(&self) -> usize {
        self.0.values().map(HashMap::len).sum()
    }

    /// Never; the other half of [`ShippedCodes::len`].
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Rows whose shape is not right are left out; a test counts the shipped ones.
    fn read(text: &str) -> Self {
        let mut lists: HashMap<String, HashMap<String, Code>> = HashMap::new();
        for row in csv::Reader::from_reader(text.as_bytes()).records().flatten() {
            let cell = |at: usize| row.get(at).unwrap_or_default().to_owned();
            let code = Code {
                label_vi: cell(2),
                label_en: cell(3),
                certainty: cell(4),
                maps_to: Some(cell(5)).filter(|word| !word.is_empty()),
            };
            lists.entry(cell(0)).or_default().insert(cell(1), code);
        }
        Self(lists)
    }
}

impl CodeLabels for ShippedCodes {
    fn has_code(&self, list: &str, code: &str) -> bool {
        self.code(list, code).is_some()
    }

    fn label(&self, list: &str, code: &str) -> Option<Cow<'_, str>> {
        self.code(list, code).filter(|code| code.certainty != "placeholder").map(|code| code.label_vi.as_str().into())
    }
}

/// The shipped lists with the operator's codes over them.
#[derive(Debug, Default)]
pub struct CodeBook {
    loaded: HashMap<String, HashMap<String, String>>,
}

impl CodeBook {
    /// The longest list name, code and label, in characters.
    pub const MAX_LENGTHS: (usize, usize, usize) = (40, 35, 300);

    /// Adds or renames a code; `false` when a part is empty, too long or has invisible characters.
    pub fn load(&mut self, list: &str, code: &str, label: &str) -> bool {
        let [list, code, label] = [list, code, label].map(|part| crate::model::text::normalised(part).into_owned());
        let fits = |part: &str, max: usize| {
            !part.is_empty() && part.chars().count() <= max && !part.chars().any(crate::model::text::is_invisible)
        };
        let (list_max, code_max, label_max) = Self::MAX_LENGTHS;
        let sound = fits(&list, list_max) && fits(&code, code_max) && fits(&label, label_max);
        if sound {
            self.loaded.entry(list).or_default().insert(code, label);
        }
        sound
    }
}

impl CodeBook {
    /// Every code of a list in alphabetical order, shipped or loaded.
    pub fn codes(&self, list: &str) -> Vec<&str> {
        let loaded = self.loaded.get(list).into_iter().flat_map(HashMap::keys).map(String::as_str);
        let codes: std::collections::BTreeSet<_> = shipped().codes(list).chain(loaded).collect();
        codes.into_iter().collect()
    }
}

impl CodeLabels for CodeBook {
    fn has_code(&self, list: &str, code: &str) -> bool {
        shipped().has_code(list, code) || self.loaded.get(list).is_some_and(|codes| codes.contains_key(code))
    }

    fn label(&self, list: &str, code: &str) -> Option<Cow<'_, str>> {
        let loaded = self.loaded.get(list).and_then(|codes| codes.get(code));
        loaded.map(|label| label.as_str().into()).or_else(|| shipped().label(list, code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::card::CardType;

    #[test]
    fn the_shipped_lists_are_whole() {
        assert_eq!(shipped().len(), 461);
        assert_eq!(shipped().0["GSO.DANTOC"].len(), 56);
        for suffix in CardType::ALL.map(CardType::suffix) {
            assert!(shipped().has_code("CARD.TYPE", suffix));
        }
        for kind in 0..10 {
            let suffix = shipped().maps_to("MOHA.DOITUONG", &format!("{kind:02}")).unwrap();
            assert!(CardType::parse(suffix).is_some());
            assert_eq!(shipped().code("MOHA.DOITUONG", &format!("{kind:02}")).unwrap().certainty, "derived");
        }
    }

    #[test]
    fn the_operators_labels_go_over_the_placeholders() {
        let mut book = CodeBook::default();
        assert_eq!(book.label_or_code("MOHA.CHUCVU", "012"), "Mã 012");
        assert!(book.load("MOHA.CHUCVU", "012", "Giám đốc Sở") && book.load("MOHA.CHUCVU", "500", "Mới"));
        assert!(!book.load("MOHA.CHUCVU", "501", "\u{202e}"));
        assert_eq!(book.label_or_code("MOHA.CHUCVU", "012"), "Giám đốc Sở");
        assert!(book.has_code("MOHA.CHUCVU", "500") && book.has_code("MOHA.CHUCVU", "163"));
        assert!(!book.has_code("MOHA.CHUCVU", "164"));
        assert_eq!(book.label("GSO.DANTOC", "01").unwrap(), "Kinh");
        let codes = book.codes("MOHA.CHUCVU");
        assert_eq!((codes.len(), codes[0], codes[164]), (165, "000", "500"));
        assert!(book.codes("NOTHING").is_empty());
    }
}
