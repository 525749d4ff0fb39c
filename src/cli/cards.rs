//! `officials-card offer`, `card`, `badge`, `token`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use futures_util::stream::{self, StreamExt};
use serde_json::json;
use tokio::io::AsyncReadExt;

use super::{operator, print_json};
use crate::error::{Fault, Refusal, Result};
use crate::flow::{BadgeFormat, OfferGrant, OfferRequest, Service};
use crate::http::{BulkBounds, bulk_answers};
use crate::model::card::{Card as ModelCard, Reason, Selector, State, Step};
use crate::model::id::{Handle, PersonalNumber};
use crate::model::unit::UnitCode;
use crate::protocol::oid4vci::Configuration;

/// How much of a file is read at a time.
const READ_BYTES: usize = 64 << 10;

/// Makes an offer.
#[derive(Args)]
pub struct Offer {
    /// Số định danh cá nhân / personal identification number
    #[arg(long, value_name = "ID", required_unless_present = "bulk")]
    person: Option<String>,
    /// Tệp nhiều dòng JSON / many offers: a file of lines like those of `POST /api/v1/offers:bulk`, answered line by line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["person", "unit", "configurations"])]
    bulk: Option<PathBuf>,
    /// Đơn vị / the unit, where the person has records in several
    #[arg(long, value_name = "CODE")]
    unit: Option<String>,
    /// Loại thẻ / credential configuration; may be repeated; all when absent
    #[arg(long = "configuration", value_name = "ID")]
    configurations: Vec<String>,
    /// Nhận bằng đăng nhập VNeID, không cần mã / taken by signing in at VNeID instead of by a code
    #[arg(long)]
    sign_in: bool,
    /// In một dòng JSON / print one line of JSON
    #[arg(long)]
    json: bool,
}

impl Offer {
    /// Runs the command.
    pub async fn run(self, service: &Service) -> Result<()> {
        if let Some(file) = &self.bulk {
            return bulk(service, file).await;
        }
        let configurations = self.configurations.iter().map(|id| {
            Configuration::parse(id).ok_or_else(|| Refusal::malformed("--configuration", "is not one of this issuer"))
        });
        let request = OfferRequest {
            person: person(self.person.as_deref().unwrap_or_default())?,
            // The operator at the terminal answers for who the person is.
            assurance_level: 2,
            configurations: configurations.collect::<Result<_, _>>()?,
            unit: self.unit,
            grants: if self.sign_in { vec![OfferGrant::AuthorizationCode] } else { Vec::new() },
            idempotency_key: None,
        };
        let made = service.make_offer(&operator(), request).await?;
        if self.json {
            let line = json!({
                "credential_offer_uri": made.uri,
                "credential_offer": made.link,
                "tx_code": made.tx_code,
                "card": made.card.as_str(),
                "expires_at": made.expires_at,
            });
            println!("{line}");
        } else {
            println!("Lời mời / offer: {}", made.link);
            if let Some(tx_code) = made.tx_code {
                println!("Mã giao dịch / transaction code: {tx_code}");
            }
        }
        Ok(())
    }
}

/// Answers every line of a file on standard output.
async fn bulk(service: &Service, file: &Path) -> Result<()> {
    let fault = |error: std::io::Error| Fault::new("reading the file of offers", error);
    let opened = tokio::fs::File::open(file).await.map_err(fault)?;
    let chunks = stream::unfold(opened, |mut file| async move {
        let mut chunk = Vec::with_capacity(READ_BYTES);
        match file.read_buf(&mut chunk).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(chunk.into()), file)),
            Err(error) => Some((Err(error), file)),
        }
    });
    // The operator's own file: as long as it is.
    let bounds = BulkBounds { lines: u64::MAX, bytes: usize::MAX };
    let answers = bulk_answers(service.clone(), operator(), Box::pin(chunks), bounds);
    let mut answers = std::pin::pin!(answers);
    let (mut all, mut refused) = (0, 0);
    while let Some(answer) = answers.next().await {
        println!("{answer}");
        all += 1;
        refused += u64::from(answer.is_problem());
    }
    if refused == 0 {
        return Ok(());
    }
    Err(Refusal::malformed("--bulk", format!("{refused} of {all} lines were refused; their answers say why")).into())
}

/// Whose cards are meant.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Whose {
    /// Mã thẻ / the card's random name
    #[arg(long, value_name = "HANDLE")]
    card: Option<String>,
    /// Số định danh cá nhân / all cards of this person
    #[arg(long, value_name = "ID")]
    person: Option<String>,
    /// Đơn vị / all cards of this unit and of all units below it
    #[arg(long, value_name = "CODE")]
    unit: Option<String>,
}

impl Whose {
    fn selector(&self) -> Result<Selector, Refusal> {
        match (&self.card, &self.person, &self.unit) {
            (Some(card), _, _) => Ok(Selector::Card(handle(card)?)),
            (_, Some(number), _) => Ok(Selector::Person(person(number)?)),
            (_, _, Some(code)) => {
                let unit = UnitCode::parse(code);
                Ok(Selector::Unit(
                    unit.ok_or_else(|| Refusal::malformed("--unit", "must be a unit code such as H26.05"))?,
                ))
            }
            _ => Err(Refusal::malformed("arguments", "one of --card, --person and --unit is needed")),
        }
    }
}

/// Whose cards, and why.
#[derive(Args)]
pub struct Why {
    #[command(flatten)]
    whose: Whose,
    /// Lý do / reason, for example `lost`, `found`, `resigned`
    #[arg(long, value_name = "CODE")]
    reason: String,
}

/// Cards.
#[derive(Subcommand)]
pub enum Card {
    /// Xem / show
    Show(Whose),
    /// Khóa / lock
    Lock(Why),
    /// Mở khóa / unlock
    Unlock(Why),
    /// Thu hồi / withdraw, for ever
    Withdraw(Why),
    /// Đổi / withdraw and make a new card from the verified record
    Replace {
        /// Mã thẻ / the card's random name
        #[arg(long, value_name = "HANDLE")]
        card: String,
        /// Lý do / reason
        #[arg(long, value_name = "CODE")]
        reason: String,
    },
    /// Thay ngay các thẻ có thông tin đã đổi / replace cards whose verified facts changed: now, not in the server's next round
    Refresh,
}

impl Card {
    /// Runs the command.
    pub async fn run(self, service: &Service) -> Result<()> {
        let (why, step) = match self {
            Self::Show(whose) => return show(&whose, service).await,
            Self::Replace { card, reason } => {
                let new = service.replace_card(&operator(), &handle(&card)?, self::reason(&reason)?).await?;
                print_json(&json!({"card": new.as_str()}));
                return Ok(());
            }
            Self::Refresh => {
                print_json(&json!({"records": service.refresh_cards().await?}));
                return Ok(());
            }
            Self::Lock(why) => (why, Step::Lock),
            Self::Unlock(why) => (why, Step::Unlock),
            Self::Withdraw(why) => (why, Step::Withdraw),
        };
        let moved = service.move_cards(&operator(), why.whose.selector()?, step, reason(&why.reason)?).await?;
        let cards: Vec<_> = moved.cards.iter().map(Handle::as_str).collect();
        print_json(&json!({"cards": cards, "credentials": moved.credentials}));
        Ok(())
    }
}

async fn show(whose: &Whose, service: &Service) -> Result<()> {
    let now = service.clock.now();
    let cards = service.store().cards(&whose.selector()?, 100).await?;
    let view = |card: &ModelCard| {
        let state = card.state_at(now);
        let reason = match &state {
            State::Locked { reason, .. } | State::Withdrawn { reason, .. } => Some(reason.code()),
            State::Active | State::Expired { .. } => None,
        };
        json!({
            "card": card.handle.as_str(), "state": state.name(), "reason": reason, "unit": card.unit,
            "card_number_masked": card.masked_number, "created_at": card.created_at, "valid_until": card.valid_until,
        })
    };
    print_json(&cards.iter().map(view).collect::<Vec<_>>());
    Ok(())
}

/// Draws a badge.
#[derive(Args)]
pub struct Badge {
    /// Mã thẻ / the card's random name
    #[arg(long, value_name = "HANDLE")]
    card: String,
    /// Tệp PNG / PNG file to write
    #[arg(long, value_name = "FILE", required_unless_present_any = ["svg", "text"])]
    png: Option<PathBuf>,
    /// Tệp SVG / SVG file to write
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// In nội dung mã / print the code's text
    #[arg(long)]
    text: bool,
    /// Chiều rộng khi in (mm) / printed width in millimetres, refused when no camera could read it
    #[arg(long, value_name = "MM")]
    width_mm: Option<f64>,
}

impl Badge {
    /// Runs the command.
    pub async fn run(self, service: &Service) -> Result<()> {
        let card = handle(&self.card)?;
        let mut drawn = Vec::new();
        for (file, format) in [(&self.png, BadgeFormat::Png(8)), (&self.svg, BadgeFormat::Svg)] {
            let Some(file) = file else { continue };
            let badge = service.badge(&operator(), &card, format, self.width_mm).await?;
            std::fs::write(file, &badge.picture).map_err(|error| Fault::new("writing the badge", error))?;
            drawn.push(file.display().to_string());
        }
        if self.text {
            println!("{}", service.badge(&operator(), &card, BadgeFormat::Svg, self.width_mm).await?.text);
        }
        if !drawn.is_empty() {
            println!("{}", drawn.join(" "));
        }
        Ok(())
    }
}

/// Mints an API token.
#[derive(Args)]
pub struct Token {
    /// Tên ứng dụng / the client's name in the configuration
    #[arg(long, value_name = "NAME")]
    client: String,
    /// Thời hạn (giây) / lifetime in seconds, at most a day
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(i64).range(1..=86400))]
    ttl_seconds: i64,
}

impl Token {
    /// Runs the command.
    pub async fn run(self, service: &Service) -> Result<()> {
        println!("{}", service.mint_token(&self.client, self.ttl_seconds).await?);
        Ok(())
    }
}

fn person(number: &str) -> Result<PersonalNumber, Refusal> {
    PersonalNumber::parse(number).ok_or_else(|| Refusal::malformed("--person", "must be 12 digits"))
}

fn handle(name: &str) -> Result<Handle, Refusal> {
    Handle::parse(name).ok_or_else(|| Refusal::malformed("--card", "must be the 16 characters of a card's name"))
}

fn reason(code: &str) -> Result<Reason, Refusal> {
    Reason::parse(code).ok_or_else(|| {
        let codes: Vec<_> = Reason::ALL.into_iter().map(Reason::code).collect();
        Refusal::malformed("--reason", format!("must be one of {}", codes.join(", ")))
    })
}
