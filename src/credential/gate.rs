//! The policy of one gate as a signed document. Payload, beside the members 1 to 4 of [`Term`]:
//!
//! | key | member |
//! |---|---|
//! | 5, 6 | the gate's id and its name |
//! | 7 | agency codes that are let in, each with all below it; none means all |
//! | 8 | number of the lowest position, 1 to 10; absent means any |
//! | 9, 10 | salt, and people on duty `[mark, from, until]`; absent means that duty does not matter |
//! | 11 | true where the checker's digits are required |
//! | 12 | true where printed copies are accepted |
//! | 13 | true when the gate was closed: nothing is checked there any more |

use crate::clock::UnixSeconds;
use crate::credential::cbor::{self, Value};
use crate::credential::cose::Sign1;
use crate::credential::signed::{Kind, SignedError, Term, member, optional, payload};
use crate::credential::{PublicKey, Signer};
use crate::error::Fault;
use crate::model::gate::{Duty, GatePolicy, MAX_AGENCIES, MAX_DUTY, Position};

/// A policy: at most 128 KiB.
pub const GATE: Kind = Kind { media_type: "application/vnd.vn-officials-card.gate+cbor", max_bytes: 128 << 10 };

/// A gate at one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedGate {
    /// Version and times.
    pub term: Term,
    /// Its random id.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// Whom it lets in.
    pub policy: GatePolicy,
    /// It was closed.
    pub is_closed: bool,
}

impl SignedGate {
    /// Signs it.
    pub fn seal(&self, signer: &dyn Signer) -> Result<Vec<u8>, Fault> {
        let policy = &self.policy;
        let agencies = policy.agencies.iter().map(|code| code.as_str().into()).collect();
        let members = [
            (5, self.id.as_str().into()),
            (6, self.name.as_str().into()),
            (7, Value::Array(agencies)),
            (11, policy.challenge_required.into()),
            (12, policy.copies_accepted.into()),
            (13, self.is_closed.into()),
        ];
        let mut payload = payload(&self.term, members);
        if let Value::Map(pairs) = &mut payload {
            pairs.extend(policy.minimum_position.map(|position| (8.into(), position.number().into())));
            if let Some(duty) = &policy.duty {
                let entry = |(mark, from, until): &([u8; 12], UnixSeconds, UnixSeconds)| {
                    Value::Array(vec![mark.to_vec().into(), (*from).into(), (*until).into()])
                };
                pairs.push((9.into(), duty.salt.clone().into()));
                pairs.push((10.into(), Value::Array(duty.entries.iter().map(entry).collect())));
            }
        }
        GATE.seal(&payload, signer, &[])
    }

    /// Reads one under the signature of the key that `trusted_key` finds, and gives that key too. A rule that is there but
    /// not understood must never read as no rule.
    pub fn open(
        bytes: &[u8],
        trusted_key: impl FnOnce(&Sign1) -> Option<PublicKey>,
    ) -> Result<(Self, PublicKey), SignedError> {
        let (payload, signer) = GATE.open(bytes, trusted_key)?;
        let text = |label, name| member(&payload, label, name, |value| value.as_text().map(str::to_owned));
        let flag = |label, name| member(&payload, label, name, Value::as_bool);
        let agencies = member(&payload, 7, "agencies", |value| {
            let codes = value.as_array().filter(|codes| codes.len() <= MAX_AGENCIES)?;
            codes.iter().map(|code| code.as_text().map(str::to_owned)).collect::<Option<Vec<_>>>()
        })?;
        let position = |value: &Value| Position::numbered(cbor::integer(value)?);
        let entry = |value: &Value| match value.as_array().map(Vec::as_slice) {
            Some([Value::Bytes(mark), from, until]) => {
                Some((mark.as_slice().try_into().ok()?, cbor::integer(from)?, cbor::integer(until)?))
            }
            _ => None,
        };
        let entries = optional(&payload, 10, "duty", |value| {
            let entries = value.as_array().filter(|entries| entries.len() <= MAX_DUTY)?;
            entries.iter().map(entry).collect::<Option<Vec<_>>>()
        })?;
        let duty = match (optional(&payload, 9, "salt", Value::as_bytes)?, entries) {
            (None, None) => None,
            (Some(salt), Some(entries)) => Some(Duty { salt: salt.clone(), entries }),
            _ => return Err(SignedError::Member("duty")),
        };
        let gate = Self {
            term: Term::from_cbor(&payload)?,
            id: text(5, "id")?,
            name: text(6, "name")?,
            policy: GatePolicy {
                agencies,
                minimum_position: optional(&payload, 8, "minimum_position", position)?,
                duty,
                challenge_required: flag(11, "challenge_required")?,
                copies_accepted: flag(12, "copies_accepted")?,
            },
            is_closed: flag(13, "closed")?,
        };
        Ok((gate, signer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::test_key::TestKey;

    fn gate() -> SignedGate {
        SignedGate {
            term: Term { version: 1, issued_at: 1, ttl_seconds: 1, expires_at: 9 },
            id: "AAAAAAAAAAAAAAAAAAAAAA".into(),
            name: "Cổng chính".into(),
            policy: GatePolicy {
                agencies: vec!["H26".into()],
                minimum_position: Position::named("truong-phong"),
                duty: Some(Duty { salt: vec![7; 16], entries: vec![([1; 12], 5, 6)] }),
                challenge_required: true,
                copies_accepted: false,
            },
            is_closed: false,
        }
    }

    fn read(bytes: &[u8]) -> Result<SignedGate, SignedError> {
        SignedGate::open(bytes, |_| Some(TestKey::new(1).public_key().clone())).map(|(gate, _)| gate)
    }

    #[test]
    fn a_gate_comes_back() {
        for gate in [gate(), SignedGate { policy: GatePolicy::default(), is_closed: true, ..gate() }] {
            assert_eq!(read(&gate.seal(&TestKey::new(1)).unwrap()), Ok(gate));
        }
    }

    #[test]
    fn a_rule_that_is_not_understood_is_not_absent() {
        for (label, value) in [(8_i64, Value::from(99)), (10, Value::Null), (7, Value::Null), (11, 1.into())] {
            let bytes = gate().seal(&TestKey::new(1)).unwrap();
            let (mut payload, _) = GATE.open(&bytes, |_| Some(TestKey::new(1).public_key().clone())).unwrap();
            if let Value::Map(pairs) = &mut payload {
                cbor::take(pairs, label);
                pairs.push((label.into(), value));
            }
            let bytes = GATE.seal(&payload, &TestKey::new(1), &[]).unwrap();
            assert!(matches!(read(&bytes), Err(SignedError::Member(_))), "{label}");
        }
        let full = |entries| {
            let duty = Duty { salt: vec![0; 16], entries: vec![([255; 12], i64::MAX, i64::MAX); entries] };
            SignedGate { policy: GatePolicy { duty: Some(duty), ..GatePolicy::default() }, ..gate() }
        };
        assert!(read(&full(MAX_DUTY).seal(&TestKey::new(1)).unwrap()).is_ok(), "the bounds fit each other");
    }

    proptest::proptest! {
        #[test]
        fn any_member_of_any_kind_never_panics_and_keeps_its_bounds(
            label in 1_i64..16, bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40), many in 0_usize..3_000,
        ) {
            let any = cbor::decode(&bytes, 1_000).unwrap_or_else(|_| Value::Bytes(bytes.clone()));
            for value in [any, Value::Array(vec!["H26".into(); many]), Value::Array(vec![Value::Array(vec![1.into()]); many])] {
                let good = gate().seal(&TestKey::new(1)).unwrap();
                let (mut payload, _) = GATE.open(&good, |_| Some(TestKey::new(1).public_key().clone())).unwrap();
                if let Value::Map(pairs) = &mut payload {
                    cbor::take(pairs, label);
                    pairs.push((label.into(), value));
                }
                if let Ok(gate) = GATE.seal(&payload, &TestKey::new(1), &[]).map(|bytes| read(&bytes)) {
                    proptest::prop_assert!(gate.is_err() || gate.is_ok_and(|gate| gate.policy.agencies.len() <= MAX_AGENCIES));
                }
            }
        }
    }
}
