//! `me`: the person's own side at the issuer, after a sign-in at VNeID that is kept for this one command.

use std::collections::BTreeMap;
use std::path::PathBuf;

use officials_card::chance::Chance;
use officials_card::clock::Clock;
use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value, json};

use crate::authorization::Authorization;
use crate::error::{Result, WalletError};
use crate::folder::Folder;
use crate::http::{Http, Repeat, object, protected, text};
use crate::server::Server;
use crate::session::Session;
use crate::show::day_in_viet_nam;
use crate::sign_in::{SignIn, unregistered};

const PLACE: &str = "person's own side";
const TOKEN: &str = "token endpoint";

/// Where, who, and what they want.
#[derive(Debug, clap::Args)]
pub struct Me {
    /// The issuer's address.
    issuer: String,
    #[command(flatten)]
    who: SignIn,
    #[command(subcommand)]
    wish: Wish,
}

/// What the person wants.
#[derive(Debug, clap::Subcommand)]
enum Wish {
    /// See what is held, where each field came from and how it can change.
    Show,
    /// See who looked, and what happened.
    Access,
    /// Change fields: at once where you may, otherwise by a proposal that your unit decides about.
    Propose {
        /// `FIELD=VALUE`; an empty value empties the field.
        #[arg(required = true, value_name = "FIELD=VALUE", value_parser = change)]
        changes: Vec<(String, String)>,
        /// Of which record, where there are several.
        #[arg(long, value_name = "HANDLE")]
        record: Option<String>,
        /// A file that shows it: JPEG, PNG or PDF.
        #[arg(long, value_name = "FILE")]
        evidence: Vec<PathBuf>,
        /// From which day it is to hold.
        #[arg(long, value_name = "YYYY-MM-DD")]
        on: Option<String>,
        /// What you say to it.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// See your proposals, their state and until when they are decided.
    Proposals,
    /// Take a proposal back.
    Withdraw {
        /// Its name.
        id: String,
    },
    /// Appeal against a refusal.
    Appeal {
        /// The proposal's name.
        id: String,
        /// Why the refusal is wrong.
        #[arg(long)]
        note: String,
    },
    /// Freeze your card in force, at once.
    Freeze {
        /// `lost`, `stolen` or `device_change`.
        #[arg(long, default_value = "lost")]
        reason: String,
    },
    /// Give back a card that you froze yourself.
    Unfreeze,
}

fn change(text: &str) -> Result<(String, String), &'static str> {
    text.split_once('=').map(|(field, value)| (field.to_owned(), value.to_owned())).ok_or("must be FIELD=VALUE")
}

impl Me {
    /// Signs in, and does it.
    pub async fn run(&self, folder: &Folder, http: &Http, clock: &Clock, chance: &Chance) -> Result<()> {
        let session = Session::new(http, clock, chance, self.who.client(folder)?, None);
        let own = Own { http, issuer: &self.issuer, token: self.token(&session).await? };
        match &self.wish {
            Wish::Show => own.show().await,
            Wish::Access => own.access().await,
            Wish::Propose { changes, record, evidence, on, note } => {
                let mut files = Vec::new();
                for path in evidence {
                    files.push(own.put_beside(path).await?);
                }
                let record = match record {
                    Some(record) => record.clone(),
                    None => own.only_record().await?,
                };
                let value = |value: &String| if value.is_empty() { Value::Null } else { json!(value) };
                let changes: Map<_, _> = changes.iter().map(|(field, new)| (field.clone(), value(new))).collect();
                let mut body = json!({"record": record, "changes": changes, "evidence": files, "note": note});
                if let Some(on) = on {
                    body["effective_on"] = json!(on);
                }
                own.propose(&body).await
            }
            Wish::Proposals => own.proposals().await,
            Wish::Withdraw { id } => {
                own.ask(Method::DELETE, &format!("/proposals/{id}"), None).await?;
                println!("Đã rút lại. / Withdrawn.");
                Ok(())
            }
            Wish::Appeal { id, note } => {
                let body = json!({"note": note});
                tell_proposal(&own.ask(Method::POST, &format!("/proposals/{id}/appeal"), Some(&body)).await?);
                Ok(())
            }
            Wish::Freeze { reason } => own.turn("freeze", "active", &json!({"reason": reason})).await,
            Wish::Unfreeze => own.turn("unfreeze", "locked", &json!({})).await,
        }
    }

    /// A token of the person's own session. The request goes by the browser: it says nothing that PAR would have to hide.
    async fn token(&self, session: &Session<'_>) -> Result<String> {
        let client = session.client.as_ref().ok_or_else(unregistered)?;
        let redirect_uri = client.redirect_uri.as_str();
        let endpoint = format!("{}/api/v1/me/authorize", self.issuer);
        let begin = async || Authorization::carried(session, &endpoint, &client.id, redirect_uri);
        let (authorization, back) = self.who.back(session.http, redirect_uri, begin).await?;
        let code = authorization.code(&self.issuer, true, &back)?;
        let server = Server::look_up(session.http, &self.issuer).await?;
        let challenge = server.challenge(session).await?;
        let form = authorization.granted(&code).form();
        let endpoint = format!("{}/api/v1/me/token", self.issuer);
        let answer =
            session.post_form(TOKEN, &endpoint, Repeat::Never, &server.id, challenge.as_deref(), &form).await?;
        text(TOKEN, &object(TOKEN, &answer)?, "access_token")
    }
}

/// The person's side, signed in.
struct Own<'a> {
    http: &'a Http,
    issuer: &'a str,
    token: String,
}

impl Own<'_> {
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        self.send(method, path, |request| match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        complete: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Value> {
        let url = protected(PLACE, &format!("{}/api/v1/me{path}", self.issuer))?;
        let make = || {
            let request = self.http.0.request(method.clone(), url.clone()).bearer_auth(&self.token);
            Ok(complete(request))
        };
        let body = self.http.ask(PLACE, Repeat::Never, make).await?.body(PLACE)?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        object(PLACE, &body).map(Value::Object)
    }

    async fn show(&self) -> Result<()> {
        let held = self.ask(Method::GET, "", None).await?;
        let bases: BTreeMap<_, _> =
            list(&held, "legal_bases").iter().map(|basis| (word(basis, "group"), basis)).collect();
        for record in list(&held, "records") {
            println!(
                "{} ({}), hồ sơ · record {}",
                word(&record["unit"], "name"),
                word(&record["unit"], "code"),
                word(record, "record")
            );
            let mut group = "";
            for field in list(record, "fields").iter().filter(|field| !field["value"].is_null()) {
                if word(field, "group") != group {
                    group = word(field, "group");
                    let basis = bases.get(group).map_or("", |basis| word(basis, "vi"));
                    println!("  [{group}] {basis}");
                }
                let value = field["value_label"].as_str().map_or_else(|| plain(&field["value"]), str::to_owned);
                let (way, since) = (word(&field["source"], "way"), day(&field["since"]));
                let how = word(&field["change"], "how");
                println!("  {} · {}: {value} ({way} {since}; {how})", word(field, "label_vi"), word(field, "label_en"));
            }
        }
        for card in list(&held, "cards") {
            println!(
                "thẻ · card {}: {}, đến · until {}",
                word(card, "card"),
                word(card, "state"),
                day(&card["valid_until"])
            );
        }
        Ok(())
    }

    async fn access(&self) -> Result<()> {
        let lines = self.ask(Method::GET, "/access", None).await?;
        for line in list(&lines, "items") {
            println!("{} {} {} {}", day(&line["at"]), word(line, "actor"), word(line, "action"), word(line, "detail"));
        }
        Ok(())
    }

    /// A file of evidence; its name here.
    async fn put_beside(&self, path: &PathBuf) -> Result<String> {
        let bytes = std::fs::read(path).map_err(|source| WalletError::File { path: path.clone(), source })?;
        let name = path.file_name().map(|name| name.to_string_lossy().replace(['"', '\\'], "_")).unwrap_or_default();
        let kept = self
            .send(Method::POST, "/evidence", |request| {
                request.header("Content-Disposition", format!("attachment; filename=\"{name}\"")).body(bytes.clone())
            })
            .await?;
        Ok(word(&kept, "evidence").to_owned())
    }

    async fn only_record(&self) -> Result<String> {
        let held = self.ask(Method::GET, "", None).await?;
        match list(&held, "records") {
            [one] => Ok(word(one, "record").to_owned()),
            [] => Err(WalletError::Command("there is no record of this person".to_owned())),
            _ => Err(WalletError::Command("there are several records: name one with --record".to_owned())),
        }
    }

    async fn propose(&self, body: &Value) -> Result<()> {
        let became = self.ask(Method::POST, "/proposals", Some(body)).await?;
        let applied = list(&became["applied"], "fields");
        if !applied.is_empty() {
            let fields: Vec<_> = applied.iter().filter_map(Value::as_str).collect();
            println!("Đã thay đổi: / Changed: {}", fields.join(", "));
        }
        match &became["proposal"] {
            Value::Null if applied.is_empty() => println!("Không có gì thay đổi. / Nothing changes."),
            Value::Null => {}
            proposal => tell_proposal(proposal),
        }
        Ok(())
    }

    async fn proposals(&self) -> Result<()> {
        let found = self.ask(Method::GET, "/proposals", None).await?;
        list(&found, "items").iter().for_each(tell_proposal);
        Ok(())
    }

    /// Freezes the card in this state, or gives it back.
    async fn turn(&self, step: &str, from: &str, body: &Value) -> Result<()> {
        let held = self.ask(Method::GET, "", None).await?;
        let mine = |card: &&Value| word(card, "state") == from && (step == "freeze" || card["may_unfreeze"] == true);
        let none = || WalletError::Command("there is no such card".to_owned());
        let card = list(&held, "cards").iter().find(mine).ok_or_else(none)?;
        let card = self.ask(Method::POST, &format!("/cards/{}/{step}", word(card, "card")), Some(body)).await?;
        println!("thẻ · card {}: {}", word(&card, "card"), word(&card, "state"));
        Ok(())
    }
}

fn tell_proposal(proposal: &Value) {
    println!(
        "đề nghị · proposal {}: {}, hạn · due {}",
        word(proposal, "proposal"),
        word(proposal, "state"),
        day(&proposal["due_at"])
    );
    for change in list(proposal, "changes") {
        let side = |name: &str| {
            let label = change[format!("{name}_label")].as_str();
            label.map_or_else(|| plain(&change[name]), str::to_owned)
        };
        println!("  {} · {}: {} → {}", word(change, "label_vi"), word(change, "label_en"), side("old"), side("new"));
    }
}

fn list<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value[member].as_array().map_or(&[], Vec::as_slice)
}

fn word<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

fn day(at: &Value) -> String {
    at.as_i64().map(day_in_viet_nam).unwrap_or_default()
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
