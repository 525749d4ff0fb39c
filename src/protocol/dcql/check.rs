//! Whether an answer is one (the verifier), and how to give one (the wallet).

use serde_json::Value;

use super::path::{Path, prune};
use super::{ALWAYS_DISCLOSED, Authorities, ClaimQuery, CredentialQuery, CredentialSet, Format, Query};

/// A presentation whose own checks have succeeded, as the query looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// Under which identifier it came.
    pub query_id: &'a str,
    /// The format that it really has.
    pub format: Format,
    /// Its types: `vct` and whatever else it is by trusted word, or the doctype.
    pub types: &'a [String],
    /// Its claims; those of an mdoc by namespace and element, signed by the issuer.
    pub claims: &'a Value,
    /// The key identifiers of the certificates in the chain that was validated.
    pub authority_key_ids: &'a [Vec<u8>],
    /// Whether its holder proved that it is theirs.
    pub bound: bool,
}

/// A presentation that answers its credential query.
#[derive(Clone, Debug, PartialEq)]
pub struct Matched {
    /// Its place among those that were checked.
    pub index: usize,
    /// Which credential query it answers.
    pub query_id: String,
    /// Its claims with nothing but what was asked for.
    pub claims: Value,
    /// The names of claims that came unasked: of the first level, and in an mdoc of the second. Those that are always
    /// disclosed do not count. More is a fault of the wallet, or the same card serving two queries.
    pub unasked: Vec<String>,
}

/// Why an answer is none. Every text names the credential query and the rule, never what was presented.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Nothing of that name was asked for.
    #[error("a presentation answers no credential query")]
    UnknownQuery,
    /// More than one where one was asked for.
    #[error("{0}: more than one presentation")]
    Several(String),
    /// An SD-JWT where an mdoc was asked for, or the other way round.
    #[error("{0}: the presentation has another format")]
    Format(String),
    /// Another type.
    #[error("{0}: the credential is of another type")]
    Type(String),
    /// The holder's proof was asked for and is not there.
    #[error("{0}: the holder's proof is missing")]
    Unbound(String),
    /// Nobody of those who should stand behind the issuer does.
    #[error("{0}: the issuer is under none of the authorities")]
    Authority(String),
    /// A claim is missing, or no claim set is whole.
    #[error("{0}: a claim is missing")]
    Claims(String),
    /// A claim has none of the values that were asked for.
    #[error("{0}: a claim has another value")]
    Values(String),
    /// A credential, or a set of them, did not come.
    #[error("a credential is missing")]
    Missing,
}

impl Mismatch {
    /// A short name for logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownQuery => "query_unknown",
            Self::Several(_) => "query_several",
            Self::Format(_) => "query_format",
            Self::Type(_) => "query_type",
            Self::Unbound(_) => "query_unbound",
            Self::Authority(_) => "query_authority",
            Self::Claims(_) => "query_claims",
            Self::Values(_) => "query_values",
            Self::Missing => "query_missing",
        }
    }
}

/// A card in a wallet, as the query looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// Its format.
    pub format: Format,
    /// Its types.
    pub types: &'a [String],
    /// All its claims.
    pub claims: &'a Value,
    /// The key identifiers of its issuer's certificates.
    pub authority_key_ids: &'a [Vec<u8>],
    /// Whether the wallet holds the key that it is bound to.
    pub can_bind: bool,
}

/// A card to present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected<'q> {
    /// Which credential query it answers.
    pub query: &'q CredentialQuery,
    /// Its place among those that are held.
    pub held: usize,
    /// What to disclose.
    pub paths: Vec<&'q Path>,
}

impl Query {
    /// Checks a whole answer. Everything that came has to answer what was asked, whether it was needed or not.
    pub fn check(&self, presented: &[Presented<'_>]) -> Result<Vec<Matched>, Mismatch> {
        let mut matched = Vec::with_capacity(presented.len());
        for (index, presentation) in presented.iter().enumerate() {
            let query = self.credential(presentation.query_id).ok_or(Mismatch::UnknownQuery)?;
            let again = presented[..index].iter().any(|earlier| earlier.query_id == presentation.query_id);
            if again && !query.multiple() {
                return Err(Mismatch::Several(query.id.clone()));
            }
            let (claims, unasked) = query.check(presentation)?;
            matched.push(Matched { index, query_id: query.id.clone(), claims, unasked });
        }
        let came = |id: &str| matched.iter().any(|one| one.query_id == id);
        let whole = match &self.credential_sets {
            None => self.credentials.iter().all(|credential| came(&credential.id)),
            Some(sets) => sets.iter().filter(|set| set.is_required()).all(|set| set.option(came).is_some()),
        };
        if whole && !matched.is_empty() { Ok(matched) } else { Err(Mismatch::Missing) }
    }

    /// What a wallet with these cards should present: for every credential that is needed the first card that fits, with
    /// the first claim set that it can fill. Nothing when the query cannot be answered. Optional credential sets are left
    /// to the holder and are not selected.
    pub fn select(&self, held: &[Held<'_>]) -> Option<Vec<Selected<'_>>> {
        let fitting = |query| -> Option<Selected<'_>> {
            held.iter().enumerate().find_map(|(at, card)| {
                let paths = CredentialQuery::select(query, card)?;
                Some(Selected { query, held: at, paths })
            })
        };
        let selected: Vec<_> = self.credentials.iter().map(fitting).collect();
        let Some(sets) = &self.credential_sets else { return selected.into_iter().collect() };
        let can = |id: &str| selected.iter().flatten().any(|one| one.query.id == id);
        let mut needed: Vec<&str> = Vec::new();
        for set in sets.iter().filter(|set| set.is_required()) {
            needed.extend(set.option(can)?.iter().map(String::as_str));
        }
        let selected: Vec<_> = selected.into_iter().flatten().filter(|one| needed.contains(&one.query.id())).collect();
        (!selected.is_empty()).then_some(selected)
    }
}

impl CredentialSet {
    /// The first option all of which is there.
    fn option(&self, there: impl Fn(&str) -> bool) -> Option<&Vec<String>> {
        self.options.iter().find(|option| option.iter().all(|id| there(id)))
    }
}

impl CredentialQuery {
    /// The claims that were asked for, and the names of those that were not.
    fn check(&self, presented: &Presented<'_>) -> Result<(Value, Vec<String>), Mismatch> {
        let no = |mismatch: fn(String) -> Mismatch| Err(mismatch(self.id.clone()));
        if presented.format != self.format {
            return no(Mismatch::Format);
        }
        if !presented.types.iter().any(|one| self.types.contains(one)) {
            return no(Mismatch::Type);
        }
        if self.requires_binding() && !presented.bound {
            return no(Mismatch::Unbound);
        }
        if !self.is_under(presented.authority_key_ids) {
            return no(Mismatch::Authority);
        }
        let sets = self.claim_sets();
        if let Some(set) = sets.iter().find(|set| set.iter().all(|claim| claim.is_in(presented.claims))) {
            let paths: Vec<_> = set.iter().map(|claim| &claim.path).collect();
            return Ok((prune(presented.claims, &paths), self.unasked(presented.claims, &paths)));
        }
        let there = |claim: &&ClaimQuery| !claim.path.select(presented.claims).is_empty();
        no(if sets.iter().any(|set| set.iter().all(there)) { Mismatch::Values } else { Mismatch::Claims })
    }

    fn select<'q>(&'q self, card: &Held<'_>) -> Option<Vec<&'q Path>> {
        let fits = card.format == self.format
            && card.types.iter().any(|one| self.types.contains(one))
            && (card.can_bind || !self.requires_binding())
            && self.is_under(card.authority_key_ids);
        let sets = if fits { self.claim_sets() } else { return None };
        let set = sets.into_iter().find(|set| set.iter().all(|claim| claim.is_in(card.claims)))?;
        Some(set.into_iter().map(|claim| &claim.path).collect())
    }

    /// Whether one of the authorities stands behind these certificates. Trusted lists and federations are none that can
    /// be seen in them: where only such are named, nothing is under them.
    fn is_under(&self, key_ids: &[Vec<u8>]) -> bool {
        let Some(authorities) = &self.authorities else { return true };
        authorities.iter().any(|authorities| match authorities {
            Authorities::KeyIds(wanted) => wanted.iter().any(|id| key_ids.contains(id)),
            Authorities::TrustedLists(_) | Authorities::Federations(_) => false,
        })
    }

    fn unasked(&self, claims: &Value, paths: &[&Path]) -> Vec<String> {
        let names = |value: &Value| -> Vec<String> {
            value.as_object().map(|members| members.keys().cloned().collect()).unwrap_or_default()
        };
        let asked = |depth: usize, name: &str, under: Option<&str>| {
            paths
                .iter()
                .any(|path| path.name(depth) == Some(name) && under.is_none_or(|under| path.first() == Some(under)))
        };
        match self.format {
            Format::SdJwt => {
                let plain = |name: &str| ALWAYS_DISCLOSED.contains(&name) || name == "iat";
                names(claims).into_iter().filter(|name| !plain(name) && !asked(0, name, None)).collect()
            }
            Format::Mdoc => {
                let elements = names(claims).into_iter().flat_map(|namespace| {
                    let elements = names(&claims[&namespace]);
                    elements.into_iter().filter(move |name| !asked(1, name, Some(&namespace)))
                });
                elements.collect()
            }
        }
    }
}

impl ClaimQuery {
    /// Whether the claim is there, with one of the values where some are named: same type, same value.
    fn is_in(&self, claims: &Value) -> bool {
        let found = self.path.select(claims);
        match &self.values {
            None => !found.is_empty(),
            Some(values) => found.iter().any(|value| values.contains(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn query(value: &Value) -> Query {
        Query::parse(value).unwrap()
    }

    fn types() -> [String; 1] {
        ["card".to_owned()]
    }

    /// One credential query with these other members.
    fn one(members: &Value) -> Query {
        let mut credential = json!({"id": "a", "format": "dc+sd-jwt", "meta": {"vct_values": ["card", "other"]}});
        credential.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        query(&json!({"credentials": [credential]}))
    }

    fn answer<'a>(types: &'a [String], claims: &'a Value) -> Presented<'a> {
        Presented { query_id: "a", format: Format::SdJwt, types, claims, authority_key_ids: &[], bound: true }
    }

    fn id() -> String {
        "a".to_owned()
    }

    #[test]
    fn what_was_asked_for_is_handed_on_and_nothing_else() {
        let claims = json!({"name": "N", "birth": "B", "iss": "i", "vct": "card", "agency": {"code": 1, "name": "x"}});
        let types = types();
        let outcome = one(&json!({"claims": [{"path": ["name"]}, {"path": ["agency", "code"]}]}))
            .check(&[answer(&types, &claims)])
            .unwrap();
        assert_eq!(outcome.len(), 1);
        assert_eq!(outcome[0].claims, json!({"name": "N", "agency": {"code": 1}}));
        assert_eq!(outcome[0].unasked, ["birth"]);
        let nothing = one(&json!({})).check(&[answer(&types, &claims)]).unwrap();
        assert_eq!(nothing[0].claims, json!({}));
    }

    #[test]
    fn what_does_not_answer_is_refused() {
        let (types, claims) = (types(), json!({"name": "N"}));
        let good = answer(&types, &claims);
        let any = one(&json!({"claims": [{"path": ["name"]}]}));
        let refused = |presented: &[Presented<'_>]| any.check(presented).unwrap_err();
        assert_eq!(refused(&[]), Mismatch::Missing);
        assert_eq!(refused(&[Presented { query_id: "b", ..good }]), Mismatch::UnknownQuery);
        assert_eq!(refused(&[good, good]), Mismatch::Several(id()));
        assert_eq!(refused(&[Presented { format: Format::Mdoc, ..good }]), Mismatch::Format(id()));
        assert_eq!(refused(&[Presented { types: &["third".to_owned()], ..good }]), Mismatch::Type(id()));
        assert_eq!(refused(&[Presented { bound: false, ..good }]), Mismatch::Unbound(id()));
        assert_eq!(refused(&[answer(&types, &json!({"names": "N"}))]), Mismatch::Claims(id()));
        let several = one(&json!({"multiple": true}));
        assert_eq!(several.check(&[good, good]).unwrap().len(), 2);
        let unbound = one(&json!({"require_cryptographic_holder_binding": false}));
        assert!(unbound.check(&[Presented { bound: false, ..good }]).is_ok());
        assert!(!unbound.binds_all());
    }

    #[test]
    fn values_are_of_one_type_and_value() {
        let types = types();
        let valued = one(&json!({"claims": [{"path": ["n", null], "values": [1, "x", true]}]}));
        for (claims, fits) in [
            (json!({"n": [1]}), true),
            (json!({"n": [7, "x"]}), true),
            (json!({"n": [true]}), true),
            (json!({"n": ["1"]}), false),
            (json!({"n": [1.0]}), false),
            (json!({"n": ["X"]}), false),
        ] {
            let outcome = valued.check(&[answer(&types, &claims)]);
            assert_eq!(outcome.err(), (!fits).then(|| Mismatch::Values(id())), "{claims}");
        }
    }

    #[test]
    fn authorities_are_looked_for_in_the_validated_chain() {
        let (types, claims, ours) = (types(), json!({}), [vec![1, 2, 3]]);
        let good = answer(&types, &claims);
        let aki = one(&json!({"trusted_authorities": [
            {"type": "etsi_tl", "values": ["https://lists.example"]}, {"type": "aki", "values": ["CQ", "AQID"]},
        ]}));
        assert!(aki.check(&[Presented { authority_key_ids: &ours, ..good }]).is_ok());
        assert_eq!(aki.check(&[good]).unwrap_err(), Mismatch::Authority(id()));
        let unseen =
            one(&json!({"trusted_authorities": [{"type": "openid_federation", "values": ["https://a.example"]}]}));
        let outcome = unseen.check(&[Presented { authority_key_ids: &ours, ..good }]);
        assert_eq!(outcome.unwrap_err(), Mismatch::Authority(id()));
    }

    #[test]
    fn one_whole_claim_set_is_enough_and_the_first_decides_what_is_kept() {
        let types = types();
        let sets = one(&json!({
            "claims": [{"id": "a", "path": ["a"]}, {"id": "b", "path": ["b"]}, {"id": "c", "path": ["c"]}],
            "claim_sets": [["a"], ["b", "c"]],
        }));
        let kept = |claims: Value| sets.check(&[answer(&types, &claims)]).map(|all| all[0].claims.clone());
        assert_eq!(kept(json!({"a": 1, "b": 2, "c": 3})).unwrap(), json!({"a": 1}));
        assert_eq!(kept(json!({"b": 2, "c": 3})).unwrap(), json!({"b": 2, "c": 3}));
        assert_eq!(kept(json!({"b": 2})).unwrap_err(), Mismatch::Claims(id()));
    }

    /// The alternatives of appendix D.
    fn alternatives() -> Query {
        let credential = |id: &str| json!({"id": id, "format": "dc+sd-jwt", "meta": {"vct_values": ["card"]}});
        let credentials = ["pid", "other", "part1", "part2", "nice"].map(credential);
        query(&json!({
            "credentials": credentials,
            "credential_sets": [
                {"options": [["pid"], ["other"], ["part1", "part2"]]},
                {"options": [["nice"]], "required": false},
            ],
        }))
    }

    #[test]
    fn every_required_set_has_an_option_that_came_whole() {
        let (types, claims) = (types(), json!({}));
        let outcome = |ids: &[&str]| {
            let presented: Vec<_> =
                ids.iter().map(|id| Presented { query_id: id, ..answer(&types, &claims) }).collect();
            alternatives().check(&presented).map(|all| all.len())
        };
        assert_eq!(outcome(&["pid"]), Ok(1));
        assert_eq!(outcome(&["nice", "other"]), Ok(2));
        assert_eq!(outcome(&["part1", "part2"]), Ok(2));
        assert_eq!(outcome(&["pid", "part1"]), Ok(2), "one too many, but it was asked for");
        assert_eq!(outcome(&["part1"]), Err(Mismatch::Missing));
        assert_eq!(outcome(&["nice"]), Err(Mismatch::Missing));
        assert_eq!(outcome(&["pid", "more"]), Err(Mismatch::UnknownQuery));
    }

    #[test]
    fn elements_of_an_mdoc_are_found_under_their_namespace() {
        let query = query(&json!({"credentials": [{
            "id": "a", "format": "mso_mdoc", "meta": {"doctype_value": "card"}, "claims": [{"path": ["ns", "name"]}],
        }]}));
        let (types, claims) = (types(), json!({"ns": {"name": "N", "more": 1}, "other": {"name": "M"}}));
        let presented = Presented { format: Format::Mdoc, ..answer(&types, &claims) };
        let matched = &query.check(&[presented]).unwrap()[0];
        assert_eq!(matched.claims, json!({"ns": {"name": "N"}}));
        assert_eq!(matched.unasked, ["more", "name"]);
    }

    fn any_query() -> impl Strategy<Value = Value> {
        let claim = (0_usize..4, any::<bool>(), prop::option::of(0_i64..3));
        let credential = (prop::collection::vec(claim, 0..4), any::<bool>(), prop::option::of(0_usize..4));
        (prop::collection::vec(credential, 1..4), any::<bool>()).prop_map(|(credentials, with_sets)| {
            let ids: Vec<_> = (0..credentials.len()).map(|at| format!("q{at}")).collect();
            let credentials: Vec<_> = credentials
                .iter()
                .zip(&ids)
                .map(|((claims, binding, sets), id)| {
                    let mut names = std::collections::BTreeMap::new();
                    for (name, nested, value) in claims {
                        names.entry((*name, *nested)).or_insert(*value);
                    }
                    let claims: Vec<_> = names
                        .iter()
                        .enumerate()
                        .map(|(at, ((name, nested), value))| {
                            let name = ["w", "x", "y", "z"][*name];
                            let path = if *nested { json!([name, null]) } else { json!([name]) };
                            let mut claim = json!({"id": format!("c{at}"), "path": path});
                            if let Some(value) = value {
                                claim["values"] = json!([value]);
                            }
                            claim
                        })
                        .collect();
                    let mut query = json!({
                        "id": id, "format": "dc+sd-jwt", "meta": {"vct_values": ["card"]},
                        "require_cryptographic_holder_binding": binding,
                    });
                    if !claims.is_empty() {
                        if let Some(size) = sets {
                            let ids: Vec<_> = (0..claims.len()).map(|at| format!("c{at}")).collect();
                            let first = ids[..(size + 1).min(ids.len())].to_vec();
                            query["claim_sets"] = json!([ids, first]);
                        }
                        query["claims"] = claims.into();
                    }
                    query
                })
                .collect();
            let mut query = json!({"credentials": credentials});
            if with_sets {
                query["credential_sets"] = json!([{"options": [ids, [ids[0]]]}]);
            }
            query
        })
    }

    fn any_card() -> impl Strategy<Value = (Value, bool)> {
        let value =
            prop_oneof![(0_i64..3).prop_map(Value::from), prop::collection::vec(0_i64..3, 0..3).prop_map(Value::from)];
        (prop::collection::btree_map("[w-z]", value, 0..5).prop_map(|members| json!(members)), any::<bool>())
    }

    proptest! {
        #[test]
        fn what_a_wallet_selects_is_accepted(query in any_query(), cards in prop::collection::vec(any_card(), 0..4)) {
            let parsed = Query::parse(&query).unwrap();
            prop_assert_eq!(&parsed.to_json(), &query, "written as it was read");
            let types = types();
            let held: Vec<_> = cards.iter().map(|(claims, can_bind)| Held {
                format: Format::SdJwt, types: &types, claims, authority_key_ids: &[], can_bind: *can_bind,
            }).collect();
            let everything: Vec<_> = parsed.credentials().iter().flat_map(|credential| {
                held.iter().map(|card| Presented { query_id: credential.id(), bound: card.can_bind, ..answer(&types, card.claims) })
            }).collect();
            if let Some(selected) = parsed.select(&held) {
                // The wallet discloses only what was selected.
                let disclosed: Vec<_> = selected.iter().map(|one| prune(held[one.held].claims, &one.paths)).collect();
                let presented: Vec<_> = selected.iter().zip(&disclosed).map(|(one, claims)| Presented {
                    query_id: one.query.id(), bound: held[one.held].can_bind, ..answer(&types, claims)
                }).collect();
                let matched = parsed.check(&presented);
                prop_assert!(matched.is_ok(), "{:?}", matched);
                for (one, claims) in matched.unwrap().iter().zip(&disclosed) {
                    prop_assert_eq!(&one.claims, claims);
                    prop_assert!(one.unasked.is_empty());
                }
            } else {
                // Then no choice of one card for each query is accepted.
                let fitting = |credential: &CredentialQuery| {
                    let fits = |one: &&Presented<'_>| {
                        one.query_id == credential.id() && Query::alone(credential).check(&[**one]).is_ok()
                    };
                    everything.iter().find(fits).copied()
                };
                let first: Vec<_> = parsed.credentials().iter().filter_map(fitting).collect();
                prop_assert!(parsed.check(&first).is_err());
            }
        }
    }

    impl Query {
        fn alone(credential: &CredentialQuery) -> Self {
            Self { credentials: vec![credential.clone()], credential_sets: None }
        }
    }
}
