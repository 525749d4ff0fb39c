//! Vietnamese text: one normal form (NFC, so that stacked diacritics and `HĐ` compare and survive), what may stand in
//! a cell, and how two names compare.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// NFC without surrounding white space. Borrows when there is nothing to change.
pub fn normalised(text: &str) -> Cow<'_, str> {
    let text = text.trim_matches(|character: char| character.is_whitespace() || character == '\u{feff}');
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfc().collect())
    }
}

/// With every run of white space as one space.
pub fn single_spaced(text: &str) -> Cow<'_, str> {
    let spaced = |(one, two): (char, char)| one.is_whitespace() && (one != ' ' || two.is_whitespace());
    if text.chars().zip(text.chars().skip(1)).any(spaced) {
        Cow::Owned(text.split_whitespace().collect::<Vec<_>>().join(" "))
    } else {
        Cow::Borrowed(text)
    }
}

/// With the Icelandic `Ð` that some keyboards give taken for `Đ`.
pub fn vietnamese(name: &str) -> String {
    name.replace('Ð', "Đ").replace('ð', "đ")
}

/// Two names are the same person's when this is equal: NFC, lower case, single spaces, [`vietnamese`].
pub fn folded(name: &str) -> String {
    vietnamese(&single_spaced(&normalised(name))).to_lowercase().nfc().collect()
}

/// A text as it is looked for: lower-case letters and digits without accents, `đ` as `d`, single spaces. Whoever types
/// without accents finds everybody.
pub fn searchable(text: &str) -> String {
    let is_accent = |character: &char| ('\u{300}'..='\u{36f}').contains(character);
    let plain = |character: char| match character {
        'đ' | 'ð' => 'd',
        'ƀ' => 'b',
        other if other.is_alphanumeric() => other,
        _ => ' ',
    };
    let bare: String = folded(text).nfd().filter(|character| !is_accent(character)).map(plain).collect();
    bare.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The order of the Vietnamese alphabet (a ă â … d đ … o ô ơ … u ư), whatever the case; where only tones differ: level,
/// huyền, hỏi, ngã, sắc, nặng.
pub fn collated(text: &str) -> (Vec<(char, u8)>, Vec<u8>) {
    let (mut letters, mut tones): (Vec<(char, u8)>, Vec<u8>) = (Vec::new(), Vec::new());
    for character in folded(text).nfd() {
        let (last, tone) = (letters.last_mut(), tones.last_mut());
        match (character, last, tone) {
            ('\u{306}', Some(letter), _) => letter.1 = 1,
            ('\u{302}', Some(letter), _) => letter.1 = 2,
            ('\u{31b}', Some(letter), _) => letter.1 = 3,
            ('\u{300}', _, Some(tone)) => *tone = 1,
            ('\u{309}', _, Some(tone)) => *tone = 2,
            ('\u{303}', _, Some(tone)) => *tone = 3,
            ('\u{301}', _, Some(tone)) => *tone = 4,
            ('\u{323}', _, Some(tone)) => *tone = 5,
            (other, ..) => {
                letters.push(if other == 'đ' { ('d', 1) } else { (other, 0) });
                tones.push(0);
            }
        }
    }
    (letters, tones)
}

/// Controls and invisible marks that can hide or turn round what a reader sees.
pub fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stacked_diacritics_become_one_form() {
        assert_eq!(normalised("\u{a0}Nguye\u{302}\u{303}n "), "Nguyễn");
        assert_eq!(normalised("HĐ"), "HĐ");
        assert_eq!(folded("NGUYỄN  Thị\tĐẸP"), folded("Nguye\u{302}\u{303}n Thị Đẹp"));
        assert_eq!(folded("Ðặng"), folded("Đặng"));
        assert_ne!(folded("Hòa"), folded("Hoa"));
    }

    #[test]
    fn whoever_types_without_accents_finds_everybody() {
        assert_eq!(searchable("  NGUYỄN   Thị-Đẹp % _ "), "nguyen thi dep");
        assert_eq!(searchable("Ðặng Ê Čư"), "dang e cu");
        assert_eq!(searchable("%_'\\"), "");
    }

    #[test]
    fn names_stand_in_the_order_of_the_alphabet() {
        let ordered = [
            "An Bình",
            "Ánh",
            "Ăn",
            "Ân",
            "Dung",
            "Đào",
            "Đỗ An",
            "Đỗ Ân",
            "Hoa",
            "Hòa",
            "Hỏa",
            "Lệ",
            "Lê Văn",
            "Ông",
            "Ơn",
            "Vũ",
        ];
        let mut names = ordered;
        names.sort_unstable();
        assert_ne!(names, ordered, "code points know no alphabet");
        names.sort_by_key(|name| collated(name));
        assert_eq!(names, ordered);
        assert_eq!(collated("ĐỖ"), collated("đo\u{302}\u{303}"));
    }

    proptest! {
        #[test]
        fn normalising_twice_is_normalising_once(text in "\\PC{0,40}") {
            let once = normalised(&text).into_owned();
            prop_assert_eq!(normalised(&once).into_owned(), once.clone());
            let spaced = single_spaced(&once).into_owned();
            prop_assert_eq!(single_spaced(&spaced).into_owned(), spaced.clone());
        }
    }
}
