//! The log of calls, for the sending unit to read.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::{DAY_SECONDS, UnixSeconds};
use crate::error::{Refusal, Result};
use crate::flow::{Caller, Service};
use crate::store::{SyncCall, SyncCallFilter, SyncOutcome};

/// Most calls of one page.
const PAGE: i64 = 200;
/// Calls of a page unless asked otherwise.
const USUAL: i64 = 50;

/// Which calls are asked for.
#[derive(Clone, Debug, Default)]
pub struct SyncCallQuery {
    /// Of this unit and those below.
    pub unit: Option<String>,
    /// `accepted` or `refused`.
    pub outcome: Option<String>,
    /// Of this account.
    pub account: Option<String>,
    /// Where the page before ended.
    pub after: Option<String>,
    /// At most so many.
    pub limit: Option<i64>,
}

/// A page of calls, newest first.
#[derive(Clone, Debug)]
pub struct SyncCallPage {
    /// The calls.
    pub items: Vec<SyncCall>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

impl Service {
    /// Calls of the caller's units and those below.
    pub async fn sync_calls(&self, caller: &Caller, query: SyncCallQuery) -> Result<SyncCallPage> {
        caller.needs("sync:read")?;
        let limit = query.limit.unwrap_or(USUAL);
        if !(1..=PAGE).contains(&limit) {
            return Err(Refusal::malformed("limit", format!("must be 1 to {PAGE}")).into());
        }
        let units = match query.unit {
            Some(unit) => {
                caller.may_touch(&unit)?;
                Some(vec![unit])
            }
            None => caller.units().map(<[_]>::to_vec),
        };
        let outcome = |word: String| {
            let rule = "must be accepted, refused or begun";
            SyncOutcome::parse(&word).ok_or_else(|| Refusal::malformed("outcome", rule))
        };
        let after =
            |text: String| read_place(&text).ok_or_else(|| Refusal::malformed("after", "must be a next of ours"));
        let filter = SyncCallFilter {
            units,
            outcome: query.outcome.map(outcome).transpose()?,
            account: query.account,
            after: query.after.map(after).transpose()?,
            limit: limit + 1,
        };
        let mut items = self.store.sync_calls(&filter).await?;
        let size = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = items.len() > size;
        items.truncate(size);
        let next = items.last().filter(|_| has_more).map(place);
        Ok(SyncCallPage { items, next })
    }

    /// One call.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] for one that the caller may not see, too.
    pub async fn sync_call_named(&self, caller: &Caller, transaction: &str) -> Result<SyncCall> {
        caller.needs("sync:read")?;
        let found = self.store.sync_call(transaction).await?.filter(|call| caller.sees(&call.unit));
        Ok(found.ok_or(Refusal::NotFound("call"))?)
    }

    /// Clears away calls that were kept long enough. Returns how many.
    pub async fn clear_sync_calls(&self) -> Result<u64> {
        let before = self.clock.now() - self.config.limits.sync_log_days * DAY_SECONDS;
        self.store.clear_sync_calls(before).await
    }
}

fn place(call: &SyncCall) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}.{}", call.at, call.transaction))
}

fn read_place(text: &str) -> Option<(UnixSeconds, String)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let (at, transaction) = text.split_once('.')?;
    Some((at.parse().ok()?, transaction.to_owned()))
}
