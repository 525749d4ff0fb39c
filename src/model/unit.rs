//! Units and their codes (Decision 20/2020/QĐ-TTg: up to 35 characters, groups of `A-Z 0-9` separated by dots, from
//! the top level down: `H26`, `H26.05`). Level 1 ships with the program; levels 2 to 4, some 76,000 codes, are loaded
//! by the operator.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use time::Date;

use crate::model::agency::{Agencies, agencies};

/// Whether a unit is the other, or below it: `H26` holds `H26.05` but not `H261`.
pub fn is_within(unit: &str, above: &str) -> bool {
    unit.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// A well-formed unit code. That the unit exists is a [`UnitDirectory`]'s to say.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnitCode(String);

impl UnitCode {
    /// The longest code.
    pub const MAX_LENGTH: usize = 35;

    /// From a code of Decision 20/2020, or from the older `VVV.ZZ.YY.Mxx` of QCVN 102:2016/BTTTT, which reads from
    /// right to left: `000.05.00.H26` has its zero groups dropped and the rest turned round.
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = |group: &str| {
            !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        };
        if text.len() > Self::MAX_LENGTH || !text.split('.').all(well_formed) {
            return None;
        }
        let starts_with_letter = |group: &str| group.as_bytes()[0].is_ascii_uppercase();
        if text.split('.').next().is_some_and(starts_with_letter) {
            return Some(Self(text.to_owned()));
        }
        let groups: Vec<_> = text.split('.').collect();
        let old_form = groups.len() == 4 && starts_with_letter(groups[3]);
        let is_zero = |group: &&str| group.bytes().all(|byte| byte == b'0');
        old_form.then(|| Self(groups.into_iter().rev().filter(|group| !is_zero(group)).collect::<Vec<_>>().join(".")))
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// 1 for `H26`, 2 for `H26.05`.
    pub fn level(&self) -> usize {
        self.0.split('.').count()
    }

    /// The unit above; `None` at level 1.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('.').map(|(parent, _)| Self(parent.to_owned()))
    }

    /// The level-1 code that it begins with.
    pub fn level_1(&self) -> &str {
        self.0.split_once('.').map_or(&self.0, |(top, _)| top)
    }
}

impl fmt::Display for UnitCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Knows which units exist, and what they are called.
pub trait UnitDirectory: Sync {
    /// The Vietnamese name of the unit with this code; `None` when there is none.
    fn unit_name(&self, code: &str) -> Option<Cow<'_, str>>;

    /// Whether there is such a unit.
    fn has_unit(&self, code: &str) -> bool {
        self.unit_name(code).is_some()
    }

    /// The code of the unit that took the place of one that is closed.
    fn successor(&self, _code: &str) -> Option<Cow<'_, str>> {
        None
    }
}

/// Why a unit cannot be entered in the register.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitFault {
    /// Not a code of Decision 20/2020.
    #[error("mã đơn vị không đúng Quyết định 20/2020/QĐ-TTg / not a unit code of Decision 20/2020/QĐ-TTg")]
    Code,
    /// Empty, or over 300 characters.
    #[error("tên đơn vị phải có từ 1 đến 300 ký tự / a unit's name has 1 to 300 characters")]
    Name,
    /// The unit above is not known.
    #[error("chưa có đơn vị cấp trên {0} / the unit above, {0}, is not known")]
    Parent(UnitCode),
    /// Level 1 ships with the program.
    #[error("mã cấp 1 {0} không có trong danh mục / level-1 code {0} is not in the shipped list")]
    LevelOne(UnitCode),
}

/// The units as they stand on one day: level 1 as shipped, deeper levels as loaded.
#[derive(Debug)]
pub struct UnitRegister {
    agencies: &'static Agencies,
    day: Date,
    loaded: HashMap<String, String>,
    closed: HashMap<String, Option<String>>,
}

impl UnitRegister {
    /// The longest name, in characters.
    pub const MAX_NAME_LENGTH: usize = 300;

    /// Level 1 only, as valid on `day`.
    pub fn on(day: Date) -> Self {
        Self { agencies: agencies(), day, loaded: HashMap::new(), closed: HashMap::new() }
    }

    /// Level 1 as valid on `day`, and units that were checked when they were stored: codes and names; but for those, of
    /// any level, that were closed by then, each with the one that took its place.
    pub fn restored(
        day: Date,
        loaded: impl IntoIterator<Item = (String, String)>,
        closed: impl IntoIterator<Item = (String, Option<String>)>,
    ) -> Self {
        Self { loaded: loaded.into_iter().collect(), closed: closed.into_iter().collect(), ..Self::on(day) }
    }

    /// Enters a unit, or renames it. Its parent must be known already: feed shorter codes first.
    pub fn enter(&mut self, code: &str, name: &str) -> Result<UnitCode, UnitFault> {
        let code = UnitCode::parse(code.trim()).ok_or(UnitFault::Code)?;
        let name = crate::model::text::normalised(name);
        if name.is_empty() || name.chars().count() > Self::MAX_NAME_LENGTH || name.chars().any(char::is_control) {
            return Err(UnitFault::Name);
        }
        match code.parent() {
            None if self.agencies.ever(code.as_str()) => {}
            None => return Err(UnitFault::LevelOne(code)),
            Some(parent) if self.has_unit(parent.as_str()) => {}
            Some(parent) => return Err(UnitFault::Parent(parent)),
        }
        if code.level() > 1 {
            self.loaded.insert(code.0.clone(), name.into_owned());
        }
        Ok(code)
    }
}

impl UnitDirectory for UnitRegister {
    fn unit_name(&self, code: &str) -> Option<Cow<'_, str>> {
        if self.closed.contains_key(code) {
            return None;
        }
        if code.contains('.') {
            return self.loaded.get(code).map(|name| Cow::Borrowed(name.as_str()));
        }
        self.agencies.on(code, self.day).map(|agency| Cow::Borrowed(agency.name_vi.as_str()))
    }

    fn successor(&self, code: &str) -> Option<Cow<'_, str>> {
        self.closed.get(code)?.as_deref().map(Cow::Borrowed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::date;

    use super::*;

    #[test]
    fn codes_of_both_directions_are_read() {
        for (text, code) in [
            ("H26", Some("H26")),
            ("H26.05", Some("H26.05")),
            ("000.00.00.H49", Some("H49")),
            ("001.05.00.H26", Some("H26.05.001")),
            ("h26", None),
            ("H26.", None),
            ("", None),
            ("26.05", None),
            ("H26.05.001.002.003.004.005.006.007.1", None),
        ] {
            assert_eq!(UnitCode::parse(text).as_ref().map(UnitCode::as_str), code, "{text}");
        }
        let code = UnitCode::parse("H26.05.1").unwrap();
        assert_eq!((code.level(), code.level_1(), code.parent().unwrap().as_str()), (3, "H26", "H26.05"));
    }

    #[test]
    fn a_unit_needs_its_parent_and_its_day() {
        let mut units = UnitRegister::on(date!(2025 - 07 - 02));
        assert_eq!(units.enter("H26.05.1", "Phòng"), Err(UnitFault::Parent(UnitCode("H26.05".into()))));
        units.enter("H26.05", " So\u{31b}\u{309} Nội vụ ").unwrap();
        units.enter("H26.05.1", "Phòng").unwrap();
        assert_eq!(units.unit_name("H26.05").unwrap(), "Sở Nội vụ");
        assert!(units.has_unit("H26") && !units.has_unit("H06") && !units.has_unit("Z99"));
        assert!(matches!(units.enter("Z99", "?"), Err(UnitFault::LevelOne(_))));
        assert_eq!(units.enter("H26.06", " "), Err(UnitFault::Name));
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_is_stable(text in "\\PC{0,40}|[A-H0-9.]{0,36}") {
            if let Some(code) = UnitCode::parse(&text) {
                prop_assert!(!code.as_str().is_empty());
                prop_assert_eq!(UnitCode::parse(code.as_str()), Some(code));
            }
        }
    }
}
