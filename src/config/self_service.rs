//! What officials may do for themselves, and how much of it.

use std::path::PathBuf;

use serde::Deserialize;

/// Lifetimes and bounds of the officials' own side, all with sound defaults.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SelfService {
    /// How long a session lives, in seconds; there is nothing to prolong it with but another sign-in.
    pub session_ttl_seconds: i64,
    /// How old a sign-in may be for what is sensitive, in seconds.
    pub fresh_seconds: i64,
    /// `OFFICIALS_CARD_EVIDENCE`: the folder of the encrypted files of evidence, on a disk that every process shares.
    pub evidence: PathBuf,
    /// The largest file of evidence, in bytes.
    pub evidence_file_bytes: usize,
    /// Files of evidence that one person may have waiting.
    pub evidence_files: i64,
    /// Bytes of them together.
    pub evidence_bytes: i64,
    /// How long a file may be of no proposal, in seconds.
    pub unused_evidence_seconds: i64,
    /// How long files beside a proposal are kept after its decision, in days, for an appeal and for whoever asks why it was
    /// decided so. No text says how long; this is derived.
    pub decided_evidence_days: i64,
    /// Proposals that one person may have waiting.
    pub waiting_proposals: i64,
    /// Proposals that one person may make in 24 hours, whatever becomes of them.
    pub proposals_a_day: i64,
    /// Working days in which a proposal has to be decided: three, after the three of Decree 27/2026/NĐ-CP for the unit's own
    /// updates (derived).
    pub decision_working_days: u32,
}

impl Default for SelfService {
    fn default() -> Self {
        Self {
            session_ttl_seconds: 900,
            fresh_seconds: 300,
            evidence: "evidence".into(),
            evidence_file_bytes: 10 << 20,
            evidence_files: 20,
            evidence_bytes: 50 << 20,
            unused_evidence_seconds: 86_400,
            decided_evidence_days: 365,
            waiting_proposals: 10,
            proposals_a_day: 30,
            decision_working_days: 3,
        }
    }
}

impl SelfService {
    /// What belongs together.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if !(60..=3600).contains(&self.session_ttl_seconds) {
            return Err("self_service.session_ttl_seconds must be 60 to 3600");
        }
        if !(30..=self.session_ttl_seconds).contains(&self.fresh_seconds) {
            return Err("self_service.fresh_seconds must be at least 30 and at most session_ttl_seconds");
        }
        if !(1024..=32 << 20).contains(&self.evidence_file_bytes) {
            return Err("self_service.evidence_file_bytes must be 1024 to 33554432");
        }
        if !(1..=100).contains(&self.evidence_files) || !(1..=100).contains(&self.waiting_proposals) {
            return Err("self_service.evidence_files and waiting_proposals must be 1 to 100");
        }
        if self.evidence_bytes < i64::try_from(self.evidence_file_bytes).unwrap_or(i64::MAX) {
            return Err("self_service.evidence_bytes must have room for one file");
        }
        if self.unused_evidence_seconds < 3600 {
            return Err("self_service.unused_evidence_seconds must be at least 3600");
        }
        if !(30..=36_500).contains(&self.decided_evidence_days) {
            return Err("self_service.decided_evidence_days must be 30 to 36500");
        }
        if !(1..=1_000).contains(&self.proposals_a_day) {
            return Err("self_service.proposals_a_day must be 1 to 1000");
        }
        if !(1..=30).contains(&self.decision_working_days) {
            return Err("self_service.decision_working_days must be 1 to 30");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_belong_together_is_refused() {
        assert_eq!(SelfService::default().check(), Ok(()));
        let wrong = |change: fn(&mut SelfService)| {
            let mut settings = SelfService::default();
            change(&mut settings);
            settings.check().is_err()
        };
        assert!(wrong(|settings| settings.session_ttl_seconds = 59));
        assert!(wrong(|settings| settings.fresh_seconds = 901));
        assert!(wrong(|settings| settings.evidence_file_bytes = 64 << 20));
        assert!(wrong(|settings| settings.evidence_files = 0));
        assert!(wrong(|settings| settings.evidence_bytes = 1));
        assert!(wrong(|settings| settings.unused_evidence_seconds = 1));
        assert!(wrong(|settings| settings.waiting_proposals = 101));
        assert!(wrong(|settings| settings.decided_evidence_days = 29));
        assert!(wrong(|settings| settings.proposals_a_day = 0));
        assert!(wrong(|settings| settings.decision_working_days = 0));
    }
}
