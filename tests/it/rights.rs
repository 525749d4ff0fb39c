//! Every route of `/api/v1` is walked with every role, from a unit that is meant and from one that is not, and by
//! nobody: what happens is exactly what the table of rights (`src/model/data/rights.csv`) says. The routes come from the
//! OpenAPI document, so that a new one is walked as soon as it is there; a route or scope without an entry fails.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use officials_card::model::rights::{Role, rights};
use officials_card::protocol::oauth::SCOPES;
use serde_json::{Value, json};

use crate::bureau::{Bureau, Desk};
use crate::story;
use crate::town::{Answer, Town, URL};

/// A named part of a path that names nothing.
const NOTHING: &str = "0000000000000000";
/// How long one answer may take: a route that streams has to refuse a name that names nothing.
const ANSWER: Duration = Duration::from_secs(20);

/// An operation of the document.
struct Operation {
    method: String,
    path: String,
    kind: Kind,
    document: Value,
}

/// Who an operation is for.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// Everybody.
    Public,
    /// Whoever has all scopes of one of these lists.
    Scoped(Vec<Vec<String>>),
    /// Any officer at work.
    Session,
    /// Somebody else, by a way of their own.
    Other,
}

/// All operations of `/api/v1`.
fn operations() -> (Value, Vec<Operation>) {
    let document = serde_json::to_value(officials_card::http::openapi_document(URL)).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            assert!(path.starts_with("/api/v1/"), "{name}");
            operations.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                kind: kind(operation, &name),
                document: operation.clone(),
            });
        }
    }
    assert!(operations.len() > 30);
    (document, operations)
}

fn kind(operation: &Value, name: &str) -> Kind {
    let Some(needed) = operation.get("security").and_then(Value::as_array) else { return Kind::Public };
    let of = |scheme: &str| -> Vec<Vec<String>> {
        let lists = needed.iter().filter_map(|one| one.get(scheme));
        lists.map(|scopes| serde_json::from_value(scopes.clone()).unwrap()).collect()
    };
    let (programs, officers) = (of("client"), of("office"));
    if programs.is_empty() {
        return if officers.is_empty() { Kind::Other } else { Kind::Session };
    }
    assert_eq!(programs, officers, "{name}: what a program may be given, an officer may be given");
    for scope in programs.iter().flatten() {
        assert!(rights().scopes().contains(scope), "{name}: {scope} has no row in rights.csv");
    }
    assert!(programs.iter().all(|scopes| !scopes.is_empty()), "{name} takes no scope");
    Kind::Scoped(programs)
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn allows(&self, role: Role) -> bool {
        match &self.kind {
            Kind::Public | Kind::Session => true,
            Kind::Scoped(lists) => lists.iter().any(|list| list.iter().all(|scope| rights().allows(role, scope))),
            Kind::Other => false,
        }
    }

    fn is_safe(&self) -> bool {
        self.method == "GET"
    }

    /// The path with these in the places of its named parts.
    fn filled(&self, part: &str) -> String {
        let parts: Vec<_> = self
            .path
            .split('/')
            .map(|own| match (own.find('{'), own.find('}')) {
                (Some(open), Some(close)) => format!("{}{part}{}", &own[..open], &own[close + 1..]),
                _ => own.to_owned(),
            })
            .collect();
        parts.join("/")
    }

    fn schema(&self) -> Option<&Value> {
        self.document.pointer("/requestBody/content/application~1json/schema")
    }

    /// Whether it is asked for a unit in its query.
    fn asks_for_unit(&self) -> bool {
        let parameters = self.document["parameters"].as_array();
        parameters.into_iter().flatten().any(|own| own["name"] == "unit" && own["in"] == "query")
    }
}

/// Something that fits a schema: what is required, by its examples where it has some.
fn example(document: &Value, schema: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return example(document, &document["components"]["schemas"][name]);
    }
    if let Some(example) = schema.get("example").or_else(|| schema["examples"].get(0)) {
        return example.clone();
    }
    if let Some(value) = schema["enum"].get(0) {
        return value.clone();
    }
    for several in ["oneOf", "anyOf", "allOf"] {
        let options = schema[several].as_array().into_iter().flatten();
        if let Some(option) = options.into_iter().find(|option| option["type"] != "null") {
            return example(document, option);
        }
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or("object");
    match kind {
        "string" => json!("001199000018"),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or(json!(1)),
        "boolean" => json!(false),
        "array" => json!([example(document, &schema["items"])]),
        _ => {
            let properties = schema["properties"].as_object();
            let required: Vec<_> = schema["required"].as_array().into_iter().flatten().collect();
            let of = |(name, own): (&String, &Value)| {
                required.contains(&&json!(name)).then(|| (name.clone(), example(document, own)))
            };
            Value::Object(properties.into_iter().flatten().filter_map(of).collect())
        }
    }
}

/// The body of a request that would be for `unit`, and whether it names one.
fn body_for(document: &Value, operation: &Operation, unit: &str) -> (Value, bool) {
    let Some(schema) = operation.schema() else { return (Value::Null, false) };
    let mut body = example(document, schema);
    let name = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()).unwrap_or_default();
    let names_unit = document["components"]["schemas"][name]["properties"].get("unit").is_some();
    if names_unit && body.is_object() {
        body["unit"] = json!(unit);
    }
    (body, names_unit)
}

async fn in_time(name: &str, answer: impl Future<Output = Answer>) -> Answer {
    tokio::time::timeout(ANSWER, answer).await.unwrap_or_else(|_| panic!("{name} does not answer"))
}

fn problem(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.bytes).unwrap_or_default();
    let kind = body["type"].as_str().unwrap_or_default();
    kind.strip_prefix("urn:officials-card:problem:").unwrap_or_default().to_owned()
}

async fn by_nobody(town: &Town, operation: &Operation, cookie: Option<&str>) -> Answer {
    let mut request = Request::builder().method(operation.method.as_str()).uri(operation.filled(NOTHING));
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, format!("office={cookie}"));
    }
    if operation.schema().is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let body = if operation.schema().is_some() { Body::from("{}") } else { Body::empty() };
    in_time(&operation.name(), town.send(request.body(body).unwrap())).await
}

/// An officer of the role asks for what is not there, with nothing that could be done.
async fn walks(desk: &Desk<'_>, role: Role, operation: &Operation) {
    let body = if operation.schema().is_some() { json!({}) } else { Value::Null };
    let answer = in_time(&operation.name(), desk.call(&operation.method, &operation.filled(NOTHING), body)).await;
    let (status, problem) = (answer.status.as_u16(), problem(&answer));
    let what = format!("{role}: {} gives {status} {problem}", operation.name());
    assert!(status < 500, "{what}");
    match &operation.kind {
        Kind::Scoped(_) if !operation.allows(role) => {
            assert_eq!((status, problem.as_str()), (403, "insufficient-scope"), "{what}");
        }
        Kind::Scoped(_) => assert!(status != 401 && problem != "insufficient-scope", "{what}"),
        Kind::Public => assert!(status != 401 && status != 403, "{what}"),
        Kind::Session => assert!((200..300).contains(&status), "{what}"),
        Kind::Other => assert!(status == 401 || status == 403, "{what}"),
    }
}

story! {
    async fn every_route_gives_every_role_what_the_table_says(town) {
        assert_eq!(rights().scopes(), SCOPES, "a row for each scope, in their order");
        let bureau = Bureau::open(town).await;
        bureau.enters_all("H26").await;
        let (_, operations) = operations();
        for role in Role::ALL {
            let subject = if role == Role::UnitHead { "head" } else { role.word() };
            let desk = bureau.at_work(subject).await;
            assert_eq!(desk.session["scopes"], json!(rights().scopes_of(role)));
            for operation in &operations {
                walks(&desk, role, operation).await;
                // With the cookie alone, another site's page may do nothing that changes something.
                if !operation.is_safe() && matches!(operation.kind, Kind::Scoped(_)) {
                    let answer = by_nobody(&bureau.town, operation, Some(&desk.cookie())).await;
                    let refused = (answer.status.as_u16(), problem(&answer));
                    assert_eq!(refused, (403, "cross-site-request".to_owned()), "{}", operation.name());
                }
            }
        }
    }
}

story! {
    async fn nobody_gets_in_without_saying_who_they_are(town) {
        let bureau = Bureau::open(town).await;
        for operation in operations().1 {
            let answer = by_nobody(&bureau.town, &operation, None).await;
            let (status, problem) = (answer.status.as_u16(), problem(&answer));
            let what = format!("{} gives {status} {problem}", operation.name());
            match operation.kind {
                Kind::Public => assert!(status != 401 && status != 403 && status < 500, "{what}"),
                Kind::Scoped(_) | Kind::Session => {
                    assert_eq!((status, problem.as_str()), (401, "invalid-token"), "{what}");
                    let answer = by_nobody(&bureau.town, &operation, Some("guessed")).await;
                    assert_eq!(answer.problem(401), "session-ended", "{what}");
                }
                Kind::Other => assert_eq!(status, 401, "{what}"),
            }
        }
    }
}

story! {
    async fn an_officer_of_another_unit_neither_sees_nor_touches_anything(town) {
        let bureau = Bureau::open(town).await;
        let person = "001199000018";
        bureau.town.hires(person, "H26").await;
        let card = bureau.town.officer("vneid").await.offer(person).await["card"].as_str().unwrap().to_owned();
        let record = {
            let person = officials_card::model::id::PersonalNumber::parse(person).unwrap();
            bureau.town.service.store().records_of(&person).await.unwrap().remove(0).handle.to_string()
        };
        let colleague = bureau.enters("stranger", Role::Clerk, Some("H26")).await;
        bureau.enters_all("H29").await;
        let (document, operations) = operations();
        let (mut by_unit, mut by_name) = (BTreeSet::new(), BTreeSet::new());
        for role in Role::ALL {
            // Whose rights go as far as the nation has no other unit.
            if rights().reach(role) == officials_card::model::rights::Reach::Nation {
                continue;
            }
            let subject = if role == Role::UnitHead { "head" } else { role.word() };
            let desk = bureau.at_work(subject).await;
            for operation in &operations {
                if !matches!(operation.kind, Kind::Scoped(_)) || !operation.allows(role) {
                    continue;
                }
                let name = operation.name();
                let (body, names_unit) = body_for(&document, operation, "H26");
                let refused = |answer: &Answer, path: &str| {
                    let (status, text) = (answer.status.as_u16(), String::from_utf8_lossy(&answer.bytes));
                    assert!((400..500).contains(&status), "{role}: {name} ({path}) gives {status} {text}");
                };
                if operation.asks_for_unit() || names_unit {
                    let query = if operation.asks_for_unit() { "?unit=H26" } else { "" };
                    let path = format!("{}{query}", operation.filled(NOTHING));
                    let answer = in_time(&name, desk.call(&operation.method, &path, body.clone())).await;
                    refused(&answer, &path);
                    by_unit.insert(name.clone());
                }
                if operation.path.contains('{') {
                    for part in [&card, &record, &colleague] {
                        let path = operation.filled(part);
                        let answer = in_time(&name, desk.call(&operation.method, &path, body.clone())).await;
                        refused(&answer, &path);
                    }
                    by_name.insert(name.clone());
                } else if operation.is_safe() {
                    let answer = in_time(&name, desk.get(&operation.path)).await;
                    let text = String::from_utf8_lossy(&answer.bytes);
                    for own in [&card, &record, &colleague, person] {
                        assert!(!text.contains(own), "{role}: {name} shows {own}");
                    }
                }
            }
        }
        assert!(by_unit.contains("POST /api/v1/records/confirm") && by_unit.contains("GET /api/v1/officers"), "{by_unit:?}");
        assert!(by_name.contains("POST /api/v1/cards/{handle}/withdraw"), "{by_name:?}");
        // Everything is as it was, and those whose it is see it.
        bureau.enters("clerk-of-h26", Role::Clerk, Some("H26")).await;
        let vneid = bureau.town.officer("hanoi").await;
        assert_eq!(vneid.get(&format!("/api/v1/cards/{card}")).await.expect(200)["state"], "active");
        assert_eq!(vneid.get(&format!("/api/v1/officers/{colleague}")).await.expect(200)["state"], "active");
    }
}

/// A path with each named part as `{}`.
fn nameless(path: &str) -> String {
    path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect::<Vec<_>>().join("/")
}

/// Redirections of a browser on its way to the sign-in of officials, which no program calls.
const REDIRECTIONS: [&str; 3] = ["/api/v1/me/authorize", "/api/v1/me/sign-in", "/api/v1/me/callback"];

/// The paths of `.route(…)` in a folder of sources.
fn routes_in(folder: &std::path::Path) -> BTreeSet<String> {
    let mut routes = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            routes.extend(routes_in(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            let named = source.split(".route(").skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
            let own = named.filter_map(|rest| rest.split('"').next()).filter(|path| path.starts_with("/api/v1"));
            routes.extend(own.map(nameless));
        }
    }
    routes
}

#[test]
fn every_route_of_the_server_stands_in_the_document() {
    let mut routes = routes_in(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http"));
    assert!(routes.len() > 40);
    routes.retain(|route| !REDIRECTIONS.contains(&route.as_str()));
    let documented: BTreeSet<_> = operations().1.iter().map(|operation| nameless(&operation.path)).collect();
    assert_eq!(routes, documented);
}
