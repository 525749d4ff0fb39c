//! `show`: what the folder holds, and what the issuer says of it now.

use officials_card::clock::Clock;
use officials_card::protocol::oid4vci::CLAIMS;
use serde_json::Value;
use time::{OffsetDateTime, UtcOffset};

use crate::check::{Checked, QR_FORMAT, Trust};
use crate::error::Result;
use crate::folder::{Folder, KeptCard};
use crate::http::Http;

/// Shows every card. One that does not check, or whose status cannot be had, says so and hides no other.
pub async fn show(folder: &Folder, http: &Http, clock: &Clock) -> Result<()> {
    let cards = folder.cards()?;
    if cards.is_empty() {
        println!("Ví chưa có thẻ. / The wallet holds no card.");
    }
    for card in &cards {
        println!("── {} · {}", card.configuration, &card.key[..8.min(card.key.len())]);
        if let Err(error) = show_one(card, http, clock).await {
            println!("  Không dùng được. / Not usable: {error}");
        }
    }
    Ok(())
}

async fn show_one(card: &KeptCard, http: &Http, clock: &Clock) -> Result<()> {
    let now = clock.now();
    let trust = Trust::new(card.trust_anchor_pem.clone())?;
    let list = match card.format.as_str() {
        QR_FORMAT => Some(trust.list(http, &card.issuer, now).await?),
        _ => None,
    };
    let checked = Checked::new(card, &trust, list.as_ref(), now)?;
    // The labels of the issuer's metadata and of the type metadata, in their order.
    for (name, vi, en, _) in CLAIMS {
        if let Some((_, value)) = checked.claims.iter().find(|(claim, _)| claim == name) {
            println!("  {vi} · {en}: {}", plain(value));
        }
    }
    println!("  Thẻ điện tử dùng đến · Good until: {}", day_in_viet_nam(checked.expires_at));
    println!("  Đã xuất trình · Shown: {}", card.times_shown);
    let status = match trust.status(http, &checked.status, now).await {
        Ok(0) => "còn hiệu lực · in force".to_owned(),
        Ok(1) => "đã bị thu hồi · withdrawn".to_owned(),
        Ok(2) => "đang bị khóa · locked".to_owned(),
        Ok(other) => format!("không rõ · unknown ({other})"),
        Err(error) => format!("chưa tra được · could not be looked up: {error}"),
    };
    println!("  Hiệu lực · Status: {status}");
    Ok(())
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

fn day_in_viet_nam(at: i64) -> String {
    let instant = OffsetDateTime::from_unix_timestamp(at).ok();
    let there = instant.zip(UtcOffset::from_hms(7, 0, 0).ok()).map(|(instant, offset)| instant.to_offset(offset));
    there.map_or_else(|| at.to_string(), |there| there.date().to_string())
}
