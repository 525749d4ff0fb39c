//! A set of changed fields of a record: what a proposal asks for, what waits for its day, and what "old and new side by
//! side" shows.
//!
//! Values stand as [`Record::content`] writes them. A repeating list is one value, under the interface's name: who changes
//! an entry changes the list. A patch is made against one version and can be applied to a later one; fields that somebody
//! else changed meanwhile are told by [`Patch::conflicts`], never overwritten unseen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::record::{Record, RestoreError};

/// The changed fields, by field code or list name, in alphabetical order.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Patch(BTreeMap<String, Difference>);

/// What one field said, and what it shall say; `None` is an empty field.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Before.
    pub old: Option<Value>,
    /// After.
    pub new: Option<Value>,
}

/// Stored text that is not a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored patch cannot be read")]
pub struct PatchError;

/// Values are personal data: only the names of fields print.
impl std::fmt::Debug for Patch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

impl Patch {
    /// What has to be changed in `old` to say what `new` says.
    pub fn between(old: &Record, new: &Record) -> Self {
        let (mut before, after) = (old.members(), new.members());
        let mut patch = BTreeMap::new();
        for (name, new) in after {
            let old = before.remove(&name);
            if old.as_ref() != Some(&new) {
                patch.insert(name, Difference { old, new: Some(new) });
            }
        }
        patch.extend(before.into_iter().map(|(name, old)| (name, Difference { old: Some(old), new: None })));
        Self(patch)
    }

    /// `base` with the changed fields; the portrait without its bytes, unless it stays as it is.
    ///
    /// # Errors
    ///
    /// When a field is not one of the catalogue of `base`, or its value does not fit.
    pub fn apply(&self, base: &Record) -> Result<Record, RestoreError> {
        let mut members = base.members();
        for (name, difference) in &self.0 {
            match &difference.new {
                Some(new) => members.insert(name.clone(), new.clone()),
                None => members.remove(name),
            };
        }
        base.amended(members)
    }

    /// The same change as it will be found after `earlier` ones, in their order: what they make of a field is what this one
    /// finds there.
    #[must_use]
    pub fn following<'a>(mut self, earlier: impl IntoIterator<Item = &'a Self>) -> Self {
        for (name, Difference { new, .. }) in earlier.into_iter().flat_map(|patch| &patch.0) {
            if let Some(own) = self.0.get_mut(name) {
                own.old.clone_from(new);
            }
        }
        self
    }

    /// The fields that say in `current` neither what they said before nor what they shall say: somebody else changed them.
    pub fn conflicts(&self, current: &Record) -> Vec<String> {
        let current = current.members();
        let moved = |(name, difference): &(&String, &Difference)| {
            let now = current.get(*name);
            now != difference.old.as_ref() && now != difference.new.as_ref()
        };
        self.0.iter().filter(moved).map(|(name, _)| name.clone()).collect()
    }

    /// The same without the fields that `drop` names, and those alone.
    pub fn split(self, drop: impl Fn(&str) -> bool) -> (Self, Self) {
        let (dropped, kept) = self.0.into_iter().partition(|(name, _)| drop(name));
        (Self(kept), Self(dropped))
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Codes of the changed fields and names of the changed lists, in alphabetical order.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The changed fields with their values.
    pub fn differences(&self) -> impl Iterator<Item = (&str, &Difference)> {
        self.0.iter().map(|(name, difference)| (name.as_str(), difference))
    }

    /// As it is stored.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From what was stored.
    ///
    /// # Errors
    ///
    /// When the text is not a patch.
    pub fn parse(json: &str) -> Result<Self, PatchError> {
        serde_json::from_str(json).map_err(|_| PatchError)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::catalogue::Catalogue;

    fn record(content: &str) -> Record {
        Record::restore(Catalogue::current(), content).unwrap()
    }

    const OLD: &str = r#"{"DS_TINHOC":[{"it_level":"01"}],"email":"a@b.vn","full_name":"An","position_title":"012"}"#;
    const NEW: &str =
        r#"{"DS_TINHOC":[{"it_level":"02"}],"full_name":"An","phone_number":"0912345678","position_title":"012"}"#;

    #[test]
    fn a_patch_names_what_changed_and_brings_it_about() {
        let patch = Patch::between(&record(OLD), &record(NEW));
        assert_eq!(patch.fields().collect::<Vec<_>>(), ["DS_TINHOC", "email", "phone_number"]);
        assert_eq!(patch.apply(&record(OLD)).unwrap().content(), NEW);
        assert_eq!(Patch::parse(&patch.to_json()), Ok(patch.clone()));
        assert!(!format!("{patch:?}").contains("0912345678"), "values do not print");
        assert!(Patch::between(&record(OLD), &record(OLD)).is_empty());
    }

    #[test]
    fn what_somebody_else_changed_is_a_conflict_and_the_same_change_is_none() {
        let patch = Patch::between(&record(OLD), &record(NEW));
        assert_eq!(patch.conflicts(&record(OLD)), Vec::<String>::new());
        assert_eq!(patch.conflicts(&record(NEW)), Vec::<String>::new());
        let moved = record(&OLD.replace("a@b.vn", "c@b.vn").replace("012", "013"));
        assert_eq!(patch.conflicts(&moved), ["email"]);
        let applied = patch.apply(&moved).unwrap();
        assert_eq!(applied.text("position_title"), Some("013"), "fields outside the patch stay");
    }

    #[test]
    fn a_patch_is_split_by_fields() {
        let (now, later) = Patch::between(&record(OLD), &record(NEW)).split(|name| name == "email");
        assert_eq!(later.fields().collect::<Vec<_>>(), ["email"]);
        assert_eq!(now.fields().collect::<Vec<_>>(), ["DS_TINHOC", "phone_number"]);
    }

    proptest! {
        #[test]
        fn stored_patches_never_panic(text in "\\PC{0,80}|\\{\"[a-z_]{0,12}\":\\{\"old\":[0-9\"a-z]{0,6},\"new\":[0-9\"a-z\\[\\]]{0,6}\\}\\}") {
            if let Ok(patch) = Patch::parse(&text) {
                let _ = patch.apply(&record(OLD));
                let _ = patch.conflicts(&record(OLD));
            }
        }
    }
}
