//! Offers, and the grants that redeeming one gives.

use sqlx::{AssertSqlSafe, Row};

use super::cards::{self, FoundCard, NewCard};
use super::grants::{self, Holder, NewGrant};
use super::{Change, Line, Store, Transaction, deliveries, failed};
use crate::clock::UnixSeconds;
use crate::error::{Error, Fault, Refusal, Result};
use crate::model::card::{Reason, State, StateName};
use crate::model::id::{Handle, PersonalNumber};

/// Seconds after which a code whose grant was never used may be redeemed again: its answer was lost. Within them a
/// second redemption is a second wallet.
const LOST_ANSWER_SECONDS: i64 = 2;

/// An offer that is to be made, with the card that it is for if the record has none in force yet.
#[derive(Clone, Debug)]
pub struct NewOffer {
    /// Its random name.
    pub id: String,
    /// The client that asked.
    pub client: String,
    /// Its idempotency key.
    pub idempotency_key: Option<String>,
    /// Digest of what it asked for.
    pub request_hash: String,
    /// Configuration identifiers, separated by spaces.
    pub configurations: String,
    /// When the offer expires.
    pub expires_at: UnixSeconds,
    /// OAuth grant types that it can be taken by, separated by spaces.
    pub grant_types: String,
    /// The card to make, if there is none in force that says the same.
    pub card: NewCard,
    /// Whether it is pushed to the backend.
    pub push: bool,
}

/// An offer as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its name.
    pub id: String,
    /// The card.
    pub card: Handle,
    /// Configuration identifiers, separated by spaces.
    pub configurations: String,
    /// When it expires.
    pub expires_at: UnixSeconds,
    /// When it was redeemed.
    pub redeemed_at: Option<UnixSeconds>,
    /// Wrong transaction codes so far.
    pub failed_attempts: i64,
    /// OAuth grant types that it can be taken by, separated by spaces.
    pub grant_types: String,
}

/// What an offer that is taken by signing in is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedRecord {
    /// The record.
    pub record: Handle,
    /// Whose it is.
    pub person: PersonalNumber,
    /// When the offer expires.
    pub expires_at: UnixSeconds,
}

/// An attempt to redeem an offer by its pre-authorized code.
#[derive(Clone, Debug)]
pub struct Redemption {
    /// The offer that the code names.
    pub offer: String,
    /// Whether the transaction code was right.
    pub right_tx_code: bool,
    /// Name of the grant that it becomes.
    pub grant: String,
    /// Who will hold it.
    pub holder: Holder,
    /// Thumbprint of the DPoP key of the token.
    pub token_key: Option<String>,
    /// What is asked for by `authorization_details`, out of what is offered.
    pub details: Option<Vec<&'static str>>,
    /// When the grant can no longer be refreshed.
    pub expires_at: UnixSeconds,
    /// Wrong transaction codes that close an offer.
    pub max_attempts: i64,
    /// Now.
    pub at: UnixSeconds,
}

impl Offer {
    /// Grant type of OpenID4VCI 1.0 section 4.1.1, as the store keeps it.
    pub const PRE_AUTHORIZED: &'static str = "pre-authorized_code";
    /// Grant type of RFC 6749 section 4.1.
    pub const AUTHORIZATION_CODE: &'static str = "authorization_code";

    /// Whether it can be taken by this grant type.
    pub fn takes(&self, grant_type: &str) -> bool {
        self.grant_types.split(' ').any(|own| own == grant_type)
    }
}

impl Store {
    /// Makes an offer and, where needed, its card. The same key and request give the offer that was made first. A card
    /// in force whose record meanwhile says something else is replaced in the same transaction.
    pub async fn make_offer(&self, new: NewOffer) -> Result<Offer> {
        self.write(MakeOffer(new)).await
    }

    /// An offer by its name.
    pub async fn offer(&self, id: &str) -> Result<Option<Offer>, Fault> {
        let row = sqlx::query(
            "SELECT id, card, configurations, expires_at, redeemed_at, failed_attempts, grant_types FROM offers WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(self.readers())
        .await
        .map_err(failed("reading an offer"))?;
        row.as_ref().map(read).transpose()
    }

    /// Redeems an offer: of several at once exactly one succeeds. A wrong transaction code is counted. Returns the granted
    /// configurations.
    pub async fn redeem_offer(&self, redemption: Redemption) -> Result<String> {
        self.write(redemption).await
    }

    /// The record of an offer that can be taken by signing in, whose it is, and when the offer expires.
    pub async fn offered_record(&self, id: &str) -> Result<Option<OfferedRecord>, Fault> {
        let doing = failed("reading an offer");
        let row = sqlx::query(
            "SELECT cards.record_id, cards.person, offers.grant_types, offers.expires_at FROM offers \
             JOIN cards ON cards.handle = offers.card WHERE offers.id = $1",
        )
        .bind(id)
        .fetch_optional(self.readers())
        .await
        .map_err(&doing)?;
        let Some(row) = row else { return Ok(None) };
        let grant_types: String = row.try_get("grant_types").map_err(&doing)?;
        if !grant_types.split(' ').any(|grant| grant == Offer::AUTHORIZATION_CODE) {
            return Ok(None);
        }
        let person: String = row.try_get("person").map_err(&doing)?;
        let person =
            PersonalNumber::parse(&person).ok_or_else(|| Fault::new("reading an offer", "its person is malformed"))?;
        let expires_at = row.try_get("expires_at").map_err(&doing)?;
        Ok(Some(OfferedRecord { record: cards::handle(&row, "record_id")?, person, expires_at }))
    }
}

struct MakeOffer(NewOffer);

impl Change for MakeOffer {
    type Done = Offer;

    fn order(&self) -> &str {
        self.0.card.record.as_str()
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Offer> {
        let new = &self.0;
        if let Some(key) = &new.idempotency_key
            && let Some(earlier) = earlier_offer(transaction, &new.client, key, &new.request_hash).await?
        {
            return Ok(earlier);
        }
        let card = card_in_force(transaction, &new.card, &new.client).await?;
        sqlx::query(
            "INSERT INTO offers (id, card, client, idempotency_key, request_hash, configurations, created_at, expires_at, \
             grant_types) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(&new.id)
        .bind(card.as_str())
        .bind(&new.client)
        .bind(&new.idempotency_key)
        .bind(&new.request_hash)
        .bind(&new.configurations)
        .bind(new.card.created_at)
        .bind(new.expires_at)
        .bind(&new.grant_types)
        .execute(&mut **transaction)
        .await
        .map_err(failed("making an offer"))?;
        if new.push {
            deliveries::push(transaction, &new.id, new.expires_at, new.card.created_at).await?;
        }
        let (at, actor) = (new.card.created_at, new.client.clone());
        let line =
            Line { at, actor, action: "offer.made", subject: card.to_string(), detail: new.configurations.clone() };
        transaction.note(line);
        Ok(Offer {
            id: new.id.clone(),
            card,
            configurations: new.configurations.clone(),
            expires_at: new.expires_at,
            redeemed_at: None,
            failed_attempts: 0,
            grant_types: new.grant_types.clone(),
        })
    }
}

async fn earlier_offer(
    transaction: &mut Transaction<'_>,
    client: &str,
    key: &str,
    request_hash: &str,
) -> Result<Option<Offer>> {
    let row = sqlx::query(
        "SELECT id, card, configurations, expires_at, redeemed_at, failed_attempts, grant_types, request_hash FROM offers \
         WHERE client = $1 AND idempotency_key = $2",
    )
    .bind(client)
    .bind(key)
    .fetch_optional(&mut **transaction)
    .await
    .map_err(failed("reading an offer"))?;
    let Some(row) = row else { return Ok(None) };
    let same: String = row.try_get("request_hash").map_err(failed("reading an offer"))?;
    if same != request_hash {
        return Err(Refusal::IdempotencyKeyReused.into());
    }
    Ok(Some(read(&row)?))
}

/// The card in force that says what `new` says: the one there is, or `new`, which replaces one that says something else.
pub(super) async fn card_in_force(transaction: &mut Transaction<'_>, new: &NewCard, actor: &str) -> Result<Handle> {
    let now = new.created_at;
    still_verified(transaction, new).await?;
    not_dead(transaction, new).await?;
    let mut over = None;
    if let Some(FoundCard { card, facts }) = cards::in_force(transaction, &new.record).await? {
        let is_newer = card.record_version != new.record_version;
        // Within one version what differs is only a label, which another process may have read earlier.
        let change = if is_newer { facts.change_to(&new.facts) } else { None };
        match (card.state_at(now), change) {
            (State::Locked { .. }, _) => {
                return Err(Refusal::CardState { state: StateName::Locked.word(), action: "offered" }.into());
            }
            (State::Active, None) => {
                if is_newer {
                    cards::confirm_version(transaction, &card.handle, new.record_version).await?;
                }
                return Ok(card.handle);
            }
            (State::Active, Some(reason)) => {
                // A record that comes to be of another person never was this one's: nothing is handed on.
                let is_other = facts.personal_id_number != new.facts.personal_id_number;
                let reason = if is_other { Reason::IssuedInError } else { reason };
                return match cards::replace(transaction, &card.handle, new, reason, actor).await {
                    Ok(()) => Ok(new.handle.clone()),
                    Err(Error::Refusal(refusal)) => replaced_by_another(transaction, new, refusal).await,
                    Err(fault) => Err(fault),
                };
            }
            (State::Expired { .. } | State::Withdrawn { .. }, _) => over = Some(card.handle),
        }
    }
    // What refuses comes before what writes.
    not_ended(transaction, new).await?;
    if let Some(over) = over {
        cards::expire(transaction, &over, now).await?;
    }
    if !cards::insert(transaction, new).await? {
        // Another request made it between our reading and our writing.
        let made = cards::in_force(transaction, &new.record).await?;
        return made.map(|made| made.card.handle).ok_or_else(|| Fault::new("making a card", "it is not there").into());
    }
    let line = Line {
        at: now,
        actor: actor.to_owned(),
        action: "card.created",
        subject: new.handle.to_string(),
        detail: format!("record version {}", new.record_version),
    };
    transaction.note(line);
    Ok(new.handle.clone())
}

/// The card that another request put in force between our reading and our writing, if it says no less than `new`.
async fn replaced_by_another(transaction: &mut Transaction<'_>, new: &NewCard, refusal: Refusal) -> Result<Handle> {
    match cards::in_force(transaction, &new.record).await? {
        Some(FoundCard { card, .. })
            if card.record_version >= new.record_version
                && card.state_at(new.created_at).name() == StateName::Active =>
        {
            Ok(card.handle)
        }
        _ => Err(refusal.into()),
    }
}

/// Refuses a card from facts that were read before the record moved on.
async fn still_verified(transaction: &mut Transaction<'_>, card: &NewCard) -> Result<()> {
    // A write that changes nothing, so that whoever takes the record back, or finds that it has ended, waits for the card
    // and finds it.
    let stands = sqlx::query(
        "UPDATE records SET version = version WHERE id = $1 AND version = $2 AND population = 'matched' \
         AND confirmed_at IS NOT NULL AND removed_at IS NULL",
    )
    .bind(card.record.as_str())
    .bind(card.record_version)
    .execute(&mut **transaction)
    .await
    .map_err(failed("reading a record"))?;
    if stands.rows_affected() == 0 {
        return Err(Refusal::NotVerified("it has just changed; ask again").into());
    }
    Ok(())
}

/// Refuses a card of whoever died, as any of their units says: a death is of the person, not of one record. After
/// [`still_verified`], for which whoever withdraws the cards of the dead waits.
async fn not_dead(transaction: &mut Transaction<'_>, card: &NewCard) -> Result<()> {
    let dead = sqlx::query(
        "SELECT 1 FROM records WHERE person = $1 AND out_of_service = 'deceased' AND confirmed_at IS NOT NULL \
         AND population = 'matched' AND removed_at IS NULL LIMIT 1",
    )
    .bind(card.facts.personal_id_number.expose())
    .fetch_optional(&mut **transaction)
    .await
    .map_err(failed("reading whether somebody has died"))?;
    match dead {
        Some(_) => Err(Refusal::NotVerified("another record says that the person has died").into()),
        None => Ok(()),
    }
}

/// Refuses another card from a version after [`Reason::ENDING`].
async fn not_ended(transaction: &mut Transaction<'_>, card: &NewCard) -> Result<()> {
    let ending = Reason::ENDING.map(|reason| format!("'{}'", reason.code())).join(", ");
    let left = sqlx::query(AssertSqlSafe(format!(
        "SELECT 1 FROM cards WHERE record_id = $1 AND record_version = $2 AND state = 'withdrawn' \
         AND state_reason IN ({ending})"
    )))
    .bind(card.record.as_str())
    .bind(card.record_version)
    .fetch_optional(&mut **transaction)
    .await
    .map_err(failed("reading withdrawn cards"))?;
    match left {
        Some(_) => {
            Err(Refusal::NotVerified("the card was withdrawn for good; the unit must confirm a newer record").into())
        }
        None => Ok(()),
    }
}

impl Change for Redemption {
    type Done = String;

    fn order(&self) -> &str {
        &self.offer
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<String> {
        let doing = failed("redeeming an offer");
        let row = sqlx::query(
            "SELECT offers.card, offers.configurations, offers.grant_types, offers.grant_id, offers.redeemed_at, \
             cards.record_id, cards.person FROM offers JOIN cards ON cards.handle = offers.card \
             WHERE offers.id = $1 AND offers.expires_at > $2 AND offers.failed_attempts < $3",
        )
        .bind(&self.offer)
        .bind(self.at)
        .bind(self.max_attempts)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(&doing)?
        .ok_or_else(no_grant)?;
        let text = |column: &str| row.try_get::<String, _>(column).map_err(&doing);
        if !text("grant_types")?.split(' ').any(|grant| grant == Offer::PRE_AUTHORIZED) {
            return Err(no_grant().into());
        }
        let redeemed_at = row.try_get::<Option<i64>, _>("redeemed_at").map_err(&doing)?;
        if redeemed_at.is_some_and(|at| at > self.at - LOST_ANSWER_SECONDS) {
            return Err(no_grant().into());
        }
        let (card, offered) = (cards::handle(&row, "card")?, text("configurations")?);
        let configurations = match &self.details {
            None => offered,
            Some(details) if details.iter().all(|asked| offered.split(' ').any(|one| one == *asked)) => {
                details.join(" ")
            }
            Some(_) => return Err(Refusal::InvalidAuthorizationDetails("this configuration was not offered").into()),
        };
        let earlier = row.try_get::<Option<String>, _>("grant_id").map_err(&doing)?;
        if self.right_tx_code {
            let person = PersonalNumber::parse(&text("person")?);
            let person = person.ok_or_else(|| Fault::new("redeeming an offer", "its person is malformed"))?;
            let of = (cards::handle(&row, "record_id")?, person);
            self.redeem(transaction, earlier, &card, of, &configurations).await?;
        } else {
            sqlx::query(
                "UPDATE offers SET failed_attempts = failed_attempts + 1 WHERE id = $1 AND failed_attempts < $2",
            )
            .bind(&self.offer)
            .bind(self.max_attempts)
            .execute(&mut **transaction)
            .await
            .map_err(&doing)?;
        }
        let action = if self.right_tx_code { "offer.redeemed" } else { "offer.wrong_tx_code" };
        // Not the offer's name: who reads the audit table could fetch the offer.
        let (actor, detail) = ("wallet".to_owned(), self.holder.client.clone().unwrap_or_default());
        transaction.note(Line { at: self.at, actor, action, subject: card.to_string(), detail });
        Ok(configurations)
    }
}

impl Redemption {
    /// Turns the offer into a grant. An earlier grant of the same wallet whose answer was lost, and which therefore was never
    /// used, ends.
    async fn redeem(
        &self,
        transaction: &mut Transaction<'_>,
        earlier: Option<String>,
        card: &Handle,
        (record, person): (Handle, PersonalNumber),
        configurations: &str,
    ) -> Result<()> {
        if let Some(earlier) = &earlier
            && !grants::is_unused(transaction, earlier, &self.holder, self.token_key.as_deref()).await?
        {
            return Err(no_grant().into());
        }
        let redeemed = sqlx::query(
            "UPDATE offers SET redeemed_at = $2, grant_id = $3 WHERE id = $1 AND COALESCE(grant_id, '') = $4 \
             AND failed_attempts < $5 AND expires_at > $2",
        )
        .bind(&self.offer)
        .bind(self.at)
        .bind(&self.grant)
        .bind(earlier.as_deref().unwrap_or_default())
        .bind(self.max_attempts)
        .execute(&mut **transaction)
        .await
        .map_err(failed("redeeming an offer"))?;
        if redeemed.rows_affected() == 0 {
            return Err(no_grant().into());
        }
        if let Some(earlier) = &earlier
            && !grants::revoke(transaction, earlier, true, self.at).await?
        {
            // It was used between our reading and our writing: nothing of this may stay.
            return Err(Fault::new("redeeming an offer", "its earlier grant came into use").into());
        }
        let grant = NewGrant {
            id: self.grant.clone(),
            record,
            person,
            card: Some(card.clone()),
            holder: self.holder.clone(),
            token_key: self.token_key.clone(),
            configurations: configurations.to_owned(),
            by_details: self.details.is_some(),
            offer: Some(self.offer.clone()),
            created_at: self.at,
            expires_at: self.expires_at,
        };
        Ok(grants::begin(transaction, &grant).await?)
    }
}

fn no_grant() -> Refusal {
    Refusal::InvalidGrant("the pre-authorized code is unknown, expired, used or closed")
}

fn read(row: &sqlx::any::AnyRow) -> Result<Offer, Fault> {
    let doing = failed("reading an offer");
    Ok(Offer {
        id: row.try_get("id").map_err(&doing)?,
        card: cards::handle(row, "card")?,
        configurations: row.try_get("configurations").map_err(&doing)?,
        expires_at: row.try_get("expires_at").map_err(&doing)?,
        redeemed_at: row.try_get("redeemed_at").map_err(&doing)?,
        failed_attempts: row.try_get("failed_attempts").map_err(&doing)?,
        grant_types: row.try_get("grant_types").map_err(&doing)?,
    })
}
