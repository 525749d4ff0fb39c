//! Claims path pointers (OpenID4VP 1.0 section 7): evaluated over the claims of a credential that has been verified.

use serde_json::{Map, Value};

/// One step into a credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The member of an object.
    Name(String),
    /// Every element of an array.
    Every,
    /// One element of an array. Elements that were not disclosed are gone and do not count.
    Index(usize),
}

/// A path with at least one step. In an mdoc it is namespace and element.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path(pub(super) Vec<Step>);

impl Path {
    /// The steps.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The first name: the claim, or the namespace.
    pub fn first(&self) -> Option<&str> {
        self.name(0)
    }

    /// The name at a depth.
    pub fn name(&self, depth: usize) -> Option<&str> {
        match self.0.get(depth) {
            Some(Step::Name(name)) => Some(name),
            _ => None,
        }
    }

    /// What it points to; nothing where it is not present, and where it steps into what is neither object nor array as
    /// the step wants: section 7.1.1 calls that an error, and for either reason the claim is not there.
    pub fn select<'a>(&self, claims: &'a Value) -> Vec<&'a Value> {
        let mut current = vec![claims];
        for step in &self.0 {
            let mut next = Vec::new();
            for value in current {
                match (step, value) {
                    (Step::Name(name), Value::Object(members)) => next.extend(members.get(name)),
                    (Step::Every, Value::Array(items)) => next.extend(items),
                    (Step::Index(at), Value::Array(items)) => next.extend(items.get(*at)),
                    _ => return Vec::new(),
                }
            }
            current = next;
        }
        current
    }

    pub(super) fn to_json(&self) -> Value {
        let step = |step: &Step| match step {
            Step::Name(name) => Value::from(name.as_str()),
            Step::Every => Value::Null,
            Step::Index(at) => Value::from(*at),
        };
        Value::Array(self.0.iter().map(step).collect())
    }
}

/// The claims with nothing but what the paths point to. Elements of arrays move up.
pub(super) fn prune(claims: &Value, paths: &[&Path]) -> Value {
    let steps: Vec<&[Step]> = paths.iter().map(|path| path.steps()).collect();
    kept(claims, &steps).unwrap_or_else(|| Value::Object(Map::new()))
}

fn kept(value: &Value, paths: &[&[Step]]) -> Option<Value> {
    if paths.iter().any(|path| path.is_empty()) {
        return Some(value.clone());
    }
    let below = |leads: &dyn Fn(&Step) -> bool| -> Vec<&[Step]> {
        paths.iter().filter(|path| leads(&path[0])).map(|path| &path[1..]).collect()
    };
    match value {
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                let below = below(&|step| matches!(step, Step::Name(wanted) if wanted == name));
                Some((name.clone(), kept(value, &below)?))
            };
            let members: Map<_, _> = members.iter().filter_map(member).collect();
            (!members.is_empty()).then_some(Value::Object(members))
        }
        Value::Array(items) => {
            let item = |(at, value)| {
                kept(
                    value,
                    &below(&|step| *step == Step::Every || matches!(step, Step::Index(wanted) if *wanted == at)),
                )
            };
            let items: Vec<_> = items.iter().enumerate().filter_map(item).collect();
            (!items.is_empty()).then_some(Value::Array(items))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn path(steps: &Value) -> Path {
        let step = |step: &Value| match step {
            Value::String(name) => Step::Name(name.clone()),
            Value::Null => Step::Every,
            other => Step::Index(usize::try_from(other.as_u64().unwrap()).unwrap()),
        };
        Path(steps.as_array().unwrap().iter().map(step).collect())
    }

    /// Section 7.3.
    fn example() -> Value {
        json!({
            "name": "Arthur Dent",
            "address": {"street_address": "42 Market Street", "locality": "Milliways", "postal_code": "12345"},
            "degrees": [
                {"type": "Bachelor of Science", "university": "University of Betelgeuse"},
                {"type": "Master of Science", "university": "University of Betelgeuse"},
            ],
            "nationalities": ["British", "Betelgeusian"],
        })
    }

    #[test]
    fn the_specifications_paths_select_what_it_says() {
        let example = example();
        for (steps, expected) in [
            (json!(["name"]), vec![json!("Arthur Dent")]),
            (json!(["address"]), vec![example["address"].clone()]),
            (json!(["address", "street_address"]), vec![json!("42 Market Street")]),
            (json!(["degrees", null, "type"]), vec![json!("Bachelor of Science"), json!("Master of Science")]),
            (json!(["nationalities", 1]), vec![json!("Betelgeusian")]),
            (json!(["nationalities", null]), vec![json!("British"), json!("Betelgeusian")]),
            (json!(["nationalities", 2]), vec![]),
            (json!(["age"]), vec![]),
            (json!(["name", "first"]), vec![]),
            (json!(["name", null]), vec![]),
            (json!(["address", 0]), vec![]),
        ] {
            assert_eq!(path(&steps).select(&example).into_iter().cloned().collect::<Vec<_>>(), expected, "{steps}");
            assert_eq!(path(&steps).to_json(), steps);
        }
    }

    #[test]
    fn a_step_into_the_wrong_kind_ends_the_whole_path() {
        let mixed = json!({"list": [{"a": 1}, "text"]});
        assert!(path(&json!(["list", null, "a"])).select(&mixed).is_empty(), "section 7.1.1: abort");
        let partial = json!({"list": [{"a": 1}, {"b": 2}]});
        assert_eq!(path(&json!(["list", null, "a"])).select(&partial), [&json!(1)], "a missing member is only dropped");
    }

    #[test]
    fn only_what_was_asked_for_is_kept() {
        let keep = |paths: Value| {
            let paths: Vec<_> = paths.as_array().unwrap().iter().map(path).collect();
            prune(&example(), &paths.iter().collect::<Vec<_>>())
        };
        assert_eq!(keep(json!([])), json!({}));
        assert_eq!(keep(json!([["name"], ["age"]])), json!({"name": "Arthur Dent"}));
        assert_eq!(
            keep(json!([["address", "locality"], ["degrees", null, "type"], ["nationalities", 1]])),
            json!({
                "address": {"locality": "Milliways"},
                "degrees": [{"type": "Bachelor of Science"}, {"type": "Master of Science"}],
                "nationalities": ["Betelgeusian"],
            })
        );
        assert_eq!(keep(json!([["address", "locality"], ["address"]])), json!({"address": example()["address"]}));
    }
}
