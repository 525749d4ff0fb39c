//! Queries of DCQL: those of the specification are read and written as they are, and one broken rule at a time is named.
//! (What answers a query is judged at the foot of `src/protocol/dcql/check.rs`.)

use officials_card::protocol::dcql::{
    Authorities, Format, MAX_ALTERNATIVES, MAX_CLAIMS, MAX_CREDENTIALS, MAX_PATH, MAX_TEXT, Query, Step,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The queries of OpenID4VP 1.0 section 6 and appendix D.
const EXAMPLES: [&str; 7] = [
    include_str!("vectors/dcql/simple.json"),
    include_str!("vectors/dcql/simple_mdoc.json"),
    include_str!("vectors/dcql/multi_credentials.json"),
    include_str!("vectors/dcql/claims_alternatives.json"),
    include_str!("vectors/dcql/credentials_alternatives.json"),
    include_str!("vectors/dcql/complex_mdoc.json"),
    include_str!("vectors/dcql/value_matching_simple.json"),
];

#[test]
fn the_specifications_queries_are_written_as_they_are_read() {
    for example in EXAMPLES {
        let example: Value = serde_json::from_str(example).unwrap();
        // A suite would warn of nothing in them.
        assert_eq!(Query::parse_own(&example).unwrap_or_else(|error| panic!("{error}")).to_json(), example);
    }
}

#[test]
fn a_query_says_what_it_asks_for() {
    let query = Query::parse(&serde_json::from_str(EXAMPLES[3]).unwrap()).unwrap();
    let pid = query.credential("pid").unwrap();
    assert_eq!(
        (pid.format(), pid.types()),
        (Format::SdJwt, &["https://credentials.example.com/identity_credential".into()][..])
    );
    assert_eq!((pid.multiple(), pid.requires_binding(), query.binds_all()), (false, true, true));
    let sets: Vec<Vec<_>> =
        pid.claim_sets().iter().map(|set| set.iter().filter_map(|claim| claim.id()).collect()).collect();
    assert_eq!(sets, [vec!["a", "c", "d", "e"], vec!["a", "b", "e"]]);
    assert_eq!(pid.claims().unwrap()[0].path().steps(), [Step::Name("family_name".into())]);
    assert!(query.credential_sets().is_empty() && query.credential("other").is_none());

    let query = Query::parse(&serde_json::from_str(EXAMPLES[5]).unwrap()).unwrap();
    let required: Vec<_> =
        query.credential_sets().iter().map(officials_card::protocol::dcql::CredentialSet::is_required).collect();
    assert_eq!((required, query.formats()), (vec![true, false], vec![Format::Mdoc]));
    assert_eq!(query.credential_sets()[0].options(), [["mdl-id"], ["photo_card-id"]]);

    let authorities = json!([
        {"type": "aki", "values": ["s9tIpPmhxdiuNkHMEWNpYim8S8Y"]},
        {"type": "etsi_tl", "values": ["https://lotl.example.com"]},
        {"type": "openid_federation", "values": ["https://trustanchor.example.com"]},
    ]);
    let query = Query::parse(&with("trusted_authorities", authorities)).unwrap();
    let [Authorities::KeyIds(ids), Authorities::TrustedLists(_), Authorities::Federations(_)] =
        query.credentials()[0].authorities()
    else {
        panic!();
    };
    assert_eq!(ids[0].len(), 20);
}

/// A query for one SD-JWT card with another member.
fn with(name: &str, value: Value) -> Value {
    let mut query = json!({"credentials": [{
        "id": "card", "format": "dc+sd-jwt", "meta": {"vct_values": ["card"]}, "claims": [{"path": ["a"]}],
    }]});
    query["credentials"][0][name] = value;
    query
}

/// The place and rule that a query breaks.
#[track_caller]
fn broken(query: &Value) -> String {
    Query::parse(query).expect_err("a rule is broken").to_string()
}

#[track_caller]
fn breaks(name: &str, value: Value) -> String {
    broken(&with(name, value))
}

fn mdoc(member: &str, value: Value) -> Value {
    let mut query = json!({"credentials": [{
        "id": "card", "format": "mso_mdoc", "meta": {"doctype_value": "card"}, "claims": [{"path": ["ns", "a"]}],
    }]});
    query["credentials"][0][member] = value;
    query
}

#[test]
fn credentials_have_an_id_a_format_and_a_type() {
    assert!(broken(&json!({})).contains("needs credentials"));
    assert!(broken(&json!([])).contains("is an object"));
    assert!(broken(&json!({"credentials": []})).contains("at least one"));
    assert!(broken(&json!({"credentials": [1]})).starts_with("dcql_query.credentials[0]"));
    for id in [json!(""), json!("a b"), json!("ă"), json!(1), json!(null)] {
        assert!(breaks("id", id).starts_with("dcql_query.credentials[0].id"));
    }
    for format in [json!("vc+sd-jwt"), json!("jwt_vc_json"), json!(""), json!(1), json!(null)] {
        assert!(breaks("format", format).starts_with("dcql_query.credentials[0].format"));
    }
    for meta in [
        json!(null),
        json!([]),
        json!({}),
        json!({"vct_values": []}),
        json!({"vct_values": [1]}),
        json!({"doctype_value": "x"}),
    ] {
        assert!(breaks("meta", meta).starts_with("dcql_query.credentials[0].meta"));
    }
    for meta in [json!({}), json!({"doctype_value": ""}), json!({"doctype_value": ["x"]}), json!({"vct_values": ["x"]})]
    {
        assert!(broken(&mdoc("meta", meta)).starts_with("dcql_query.credentials[0].meta"));
    }
    let mut twice = with("id", json!("card"));
    let again = twice["credentials"][0].clone();
    twice["credentials"].as_array_mut().unwrap().push(again);
    assert!(broken(&twice).contains("same id"));
    for name in ["multiple", "require_cryptographic_holder_binding"] {
        assert!(breaks(name, json!("true")).ends_with("is true or false"));
        assert!(Query::parse(&with(name, json!(true))).is_ok());
    }
}

#[test]
fn claims_have_a_path_and_where_there_are_sets_an_id() {
    assert!(breaks("claims", json!([])).contains("at least one"));
    assert!(breaks("claims", json!([{}])).contains("needs a path"));
    for path in [json!([]), json!("a"), json!([1.5]), json!([-1]), json!([true]), json!([["a"]]), json!([{}])] {
        assert!(breaks("claims", json!([{"path": path}])).contains("path"), "{path}");
    }
    assert!(breaks("claims", json!([{"path": ["a"]}, {"path": ["a"]}])).contains("same path"));
    assert!(breaks("claims", json!([{"id": "x", "path": ["a"]}, {"id": "x", "path": ["b"]}])).contains("same id"));
    assert!(breaks("claims", json!([{"id": "x y", "path": ["a"]}])).contains("letters, digits"));
    for path in [json!(["ns"]), json!(["ns", "a", "b"]), json!(["ns", 0]), json!([null, "a"])] {
        assert!(broken(&mdoc("claims", json!([{"path": path}]))).contains("namespace and element"));
    }
    assert!(broken(&mdoc("claims", json!([{"path": ["ns", "a"], "intent_to_retain": 1}]))).contains("true or false"));
    for values in [json!([]), json!("a"), json!([1.5]), json!([null]), json!([[]]), json!([{}])] {
        assert!(breaks("claims", json!([{"path": ["a"], "values": values}])).contains("values"));
    }
    let sets = |sets: Value| {
        let mut query = with("claims", json!([{"id": "a", "path": ["a"]}, {"id": "b", "path": ["b"]}]));
        query["credentials"][0]["claim_sets"] = sets;
        query
    };
    assert!(Query::parse(&sets(json!([["a"], ["a", "b"]]))).is_ok());
    for bad in [json!([]), json!([[]]), json!([["c"]]), json!(["a"]), json!([[1]])] {
        assert!(broken(&sets(bad.clone())).contains("claim_sets"), "{bad}");
    }
    assert!(breaks("claim_sets", json!([["a"]])).contains("claim_sets"), "no claim has an id");
    let mut unnamed = sets(json!([["a"]]));
    unnamed["credentials"][0]["claims"][1] = json!({"path": ["b"]});
    assert!(broken(&unnamed).contains("every claim has an id"));
    let mut alone = sets(json!([["a"]]));
    alone["credentials"][0].as_object_mut().unwrap().remove("claims");
    assert!(broken(&alone).contains("claim_sets"));
}

#[test]
fn authorities_and_sets_name_what_there_is() {
    for bad in [
        json!([]),
        json!([{}]),
        json!([{"type": "aki"}]),
        json!([{"type": "aki", "values": []}]),
        json!([{"type": "aki", "values": ["a+b="]}]),
        json!([{"type": "x509", "values": ["a"]}]),
        json!([{"type": "etsi_tl", "values": [1]}]),
    ] {
        assert!(breaks("trusted_authorities", bad.clone()).contains("trusted_authorities"), "{bad}");
    }
    let sets = |sets: Value| {
        let mut query = with("id", json!("card"));
        query["credential_sets"] = sets;
        query
    };
    assert!(Query::parse(&sets(json!([{"options": [["card"]], "required": false}]))).is_ok());
    for bad in [
        json!([]),
        json!([{}]),
        json!([{"options": []}]),
        json!([{"options": [[]]}]),
        json!([{"options": [["other"]]}]),
        json!([{"options": [["card"]], "required": 1}]),
    ] {
        assert!(broken(&sets(bad.clone())).contains("credential_sets"), "{bad}");
    }
}

#[test]
fn every_bound_holds() {
    let many = |most: usize, one: &dyn Fn(usize) -> Value| (0..most).map(one).collect::<Vec<_>>();
    let credentials = |most| {
        json!({"credentials": many(most, &|at| {
            json!({"id": format!("c{at}"), "format": "dc+sd-jwt", "meta": {"vct_values": ["x"]}})
        })})
    };
    let claims = |most| with("claims", json!(many(most, &|at| json!({"path": [format!("c{at}")]}))));
    let path = |most| with("claims", json!([{"path": vec!["a"; most]}]));
    let types = |most| with("meta", json!({"vct_values": vec!["x"; most]}));
    let values = |most| with("claims", json!([{"path": ["a"], "values": many(most, &|at| json!(at))}]));
    let text = |most| with("meta", json!({"vct_values": ["x".repeat(most)]}));
    let name = |most| with("claims", json!([{"path": ["x".repeat(most)]}]));
    let value = |most| with("claims", json!([{"path": ["a"], "values": ["x".repeat(most)]}]));
    let bounds: [(usize, &dyn Fn(usize) -> Value); 8] = [
        (MAX_CREDENTIALS, &credentials),
        (MAX_CLAIMS, &claims),
        (MAX_PATH, &path),
        (MAX_ALTERNATIVES, &types),
        (MAX_ALTERNATIVES, &values),
        (MAX_TEXT, &text),
        (MAX_TEXT, &name),
        (MAX_TEXT, &value),
    ];
    for (at, (most, query)) in bounds.into_iter().enumerate() {
        assert!(Query::parse(&query(most)).is_ok(), "{at}");
        assert!(Query::parse(&query(most + 1)).is_err(), "{at}");
    }
}

#[test]
fn what_we_ask_ourselves_holds_no_mistake() {
    let own = |query: &Value| Query::parse_own(query).map(|_| ()).map_err(|error| error.rule);
    let good = with("id", json!("card"));
    assert_eq!(own(&good), Ok(()));
    let unknown = with("purpose", json!("x"));
    assert!(Query::parse(&unknown).is_ok(), "receivers pass it over");
    assert_eq!(own(&unknown), Err("has a member that the language does not know"));
    for name in ["iss", "vct", "exp", "cnf", "status"] {
        let query = with("claims", json!([{"path": [name]}]));
        assert_eq!(own(&query), Err("no claim is one that is always disclosed"));
    }
    let mut unset = with("claims", json!([{"id": "a", "path": ["a"]}, {"id": "b", "path": ["b"]}]));
    unset["credentials"][0]["claim_sets"] = json!([["a"]]);
    assert_eq!(own(&unset), Err("every claim stands in a claim set"));
    let mut two = good.clone();
    let mut other = good["credentials"][0].clone();
    other["id"] = json!("other");
    two["credentials"].as_array_mut().unwrap().push(other);
    two["credential_sets"] = json!([{"options": [["card"]]}]);
    assert_eq!(own(&two), Err("every credential stands in a credential set"));
}

/// JSON of every shape, with the names that the parser looks for.
fn any_json() -> impl Strategy<Value = Value> {
    let names = "credentials|id|format|meta|vct_values|doctype_value|claims|path|claim_sets|values|multiple|trusted_authorities|type|credential_sets|options|required|[a-z]{0,3}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "dc\\+sd-jwt|mso_mdoc|aki|\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(names, inner, 0..6).prop_map(|members| json!(members)),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_panics(value in any_json(), inner in any_json(), member in "meta|claims|claim_sets|trusted_authorities|id|format") {
        let _ = Query::parse(&value);
        let _ = Query::parse_own(&value);
        if let Ok(query) = Query::parse(&with(&member, inner)) {
            prop_assert_eq!(Query::parse(&query.to_json()).unwrap(), query);
        }
    }
}
