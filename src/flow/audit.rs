//! What was done and read in a unit and below, for those who have to answer for it: codes and counts, no personal data.

use super::{Caller, Service};
use crate::error::Result;
use crate::store::AuditFilter;
pub use crate::store::AuditLine;

/// Which lines are looked for.
#[derive(Clone, Debug, Default)]
pub struct AuditRequest {
    /// Of this unit and below; wherever the caller may look when absent.
    pub unit: Option<String>,
    /// About this record (with its proposals), card, officer, proposal, upload, delegation, reorganisation or unit.
    pub subject: Option<String>,
    /// Of this kind.
    pub action: Option<String>,
    /// Those that came before this one.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: i64,
}

impl Service {
    /// Lines of the audit table, newest first, and whether there are more.
    pub async fn audit(&self, caller: &Caller, request: AuditRequest) -> Result<(Vec<AuditLine>, bool)> {
        caller.needs("audit:read")?;
        if let Some(unit) = &request.unit {
            caller.may_touch(unit)?;
        }
        let AuditRequest { unit, subject, action, before, limit } = request;
        let units = unit.map_or_else(|| caller.units().map(<[String]>::to_vec), |unit| Some(vec![unit]));
        let filter = AuditFilter { units, subject, action, before, limit: limit + 1 };
        let mut lines = self.store.audit_lines(&filter).await?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = lines.len() > most;
        lines.truncate(most);
        Ok((lines, has_more))
    }
}
