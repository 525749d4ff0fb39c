//! `show`: what the folder holds, and what the issuer says of it now.

use officials_card::clock::Clock;
use officials_card::protocol::oid4vci::CLAIMS;
use serde_json::Value;
use time::{OffsetDateTime, UtcOffset};

use crate::check::{Checked, Trust};
use crate::error::Result;
use crate::folder::{Folder, KeptCard};
use crate::http::Http;
use crate::present::DEFAULT_DISCLOSURE;

/// Claims that are not disclosed by default, but that nobody needs to hide on a screen.
const IMPERSONAL: [&str; 3] = ["job_position", "record_type", "valid_until"];

/// Whether all is shown.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// Also show what a presentation does not disclose by default, such as the personal number.
    #[arg(long)]
    full: bool,
}

impl Show {
    /// Shows every card: its claims once, then each of its copies. One that does not check says so and hides no other.
    pub async fn run(&self, folder: &Folder, http: &Http, clock: &Clock) -> Result<()> {
        let cards = folder.cards()?;
        for waiting in folder.grants()?.iter().flat_map(|grant| &grant.waiting) {
            let id = &waiting.configuration.id;
            println!("{id}: đang được xem xét, sẽ có sau · under review, comes later: wallet refresh");
        }
        if cards.is_empty() {
            println!("Ví chưa có thẻ. / The wallet holds no card.");
        }
        let together = |one: &KeptCard, other: &KeptCard| {
            one.configuration == other.configuration && one.received_at == other.received_at
        };
        for copies in cards.chunk_by(together) {
            println!("{}", copies[0].configuration);
            for (position, card) in copies.iter().enumerate() {
                if let Err(error) = self.show_copy(card, position == 0, http, clock).await {
                    println!("  {}: không dùng được · not usable: {error}", short(&card.key));
                }
            }
        }
        Ok(())
    }

    async fn show_copy(&self, card: &KeptCard, with_claims: bool, http: &Http, clock: &Clock) -> Result<()> {
        let now = clock.now();
        let trust = Trust::new(card.trust_anchor_pem.clone())?;
        let checked = trust.checked(http, card, now).await?;
        if with_claims {
            self.show_claims(&checked);
        }
        let status = match trust.status(http, &checked, now).await {
            Ok(0) => "còn hiệu lực · in force".to_owned(),
            Ok(1) => "đã bị thu hồi · withdrawn".to_owned(),
            Ok(2) => "đang bị khóa · locked".to_owned(),
            Ok(3) => "đã có thẻ mới: wallet refresh · there is a newer card: wallet refresh".to_owned(),
            Ok(other) => format!("không rõ · unknown ({other})"),
            Err(error) => format!("chưa tra được · could not be looked up: {error}"),
        };
        let (key, until, shown) = (short(&card.key), day_in_viet_nam(checked.expires_at), card.times_shown);
        println!("  bản · copy {key}: {status}; đến · until {until}; đã xuất trình · shown {shown}");
        Ok(())
    }

    /// The claims under the labels of the issuer's metadata, in its order.
    fn show_claims(&self, checked: &Checked) {
        for (name, vi, en, _) in CLAIMS {
            let Some((_, value)) = checked.claims.iter().find(|(claim, _)| claim == name) else { continue };
            let open = self.full || DEFAULT_DISCLOSURE.contains(&name) || IMPERSONAL.contains(&name);
            println!("  {vi} · {en}: {}", if open { plain(value) } else { "•••".to_owned() });
        }
    }
}

/// The start of a key's name, enough to tell copies apart.
fn short(key: &str) -> &str {
    key.get(..8).unwrap_or(key)
}

/// A claim for a terminal: an agency by its name and code, a picture by its size.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if text.starts_with("data:") => format!("({} KiB)", text.len().div_ceil(1024)),
        Value::String(text) => text.clone(),
        Value::Object(agency) => {
            let member = |name: &str| agency.get(name).and_then(Value::as_str).unwrap_or_default();
            format!("{} ({})", member("name"), member("code"))
        }
        other => other.to_string(),
    }
}

/// The day in Vietnam of an instant (Unix seconds).
pub fn day_in_viet_nam(at: i64) -> String {
    let instant = OffsetDateTime::from_unix_timestamp(at).ok();
    let there = instant.zip(UtcOffset::from_hms(7, 0, 0).ok()).map(|(instant, offset)| instant.to_offset(offset));
    there.map_or_else(|| at.to_string(), |there| there.date().to_string())
}
