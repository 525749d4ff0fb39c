//! Two kinds of no: a [`Refusal`] is the caller's to mend and is told to them; a [`Fault`] is ours, is logged, and
//! the caller only learns that it happened. A new refusal does not compile until `http/answer.rs` chooses its wire
//! code.

use std::fmt;

/// What a story ends with when it does not succeed.
#[derive(Debug)]
pub enum Error {
    /// The caller asked for something that cannot be granted.
    Refusal(Refusal),
    /// We failed.
    Fault(Fault),
}

/// A story's answer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request is refused. Texts name the place and the rule, never the value of personal data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request does not have the required form.
    #[error("{place}: {rule}")]
    Malformed {
        /// Where in the request: a member, parameter or header.
        place: String,
        /// The rule that it breaks.
        rule: String,
    },
    /// No token at all.
    #[error("an access token is required")]
    NoToken,
    /// A token that is unknown, expired or revoked.
    #[error("the access token is unknown, expired or revoked")]
    InvalidToken,
    /// The token does not carry this scope.
    #[error("the access token lacks the scope {0}")]
    MissingScope(&'static str),
    /// The client may not act for this unit.
    #[error("this client may not act for that unit")]
    ForeignUnit,
    /// VNeID must have established the holder at assurance level 2 (Decree 69/2024).
    #[error("identity assurance level 2 is required")]
    AssuranceTooLow,
    /// There is no such thing, or none that this client may see.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// It existed and is over: used, expired or closed.
    #[error("the {0} is no longer available")]
    Gone(&'static str),
    /// The person has no record that a card can be made from.
    #[error("the person has no verified personnel record: {0}")]
    NotVerified(&'static str),
    /// The term or contract in the record is over.
    #[error("the person has no verified personnel record: the term in the record is over")]
    TermOver,
    /// More than one record could be meant.
    #[error("the person has verified records in several units; name the unit")]
    SeveralRecords,
    /// The card's state does not allow this.
    #[error("a card that is {state} cannot be {action}")]
    CardState {
        /// The state that the card is in.
        state: &'static str,
        /// The past participle of what was asked.
        action: &'static str,
    },
    /// Approvals are made at the end of the month.
    #[error(
        "a month is approved in its last five days, in Vietnam; later only where the settings allow it, with a reason"
    )]
    OutsideWindow,
    /// The month is approved, or a later one.
    #[error("this month, or a later one, is approved already")]
    AlreadyApproved,
    /// The unit has no records.
    #[error("the unit has no records to approve")]
    NothingToApprove,
    /// What was signed is no state that was handed out and may still be approved.
    #[error("what was signed is too old, was not handed out here, or follows another approval; sign the new document")]
    StateMoved,
    /// A signature of a person that does not hold.
    #[error("{0}")]
    InvalidSignature(String),
    /// A certificate that is not registered for the caller.
    #[error("the signer's certificate is not registered for this caller")]
    UnregisteredCertificate,
    /// There is a record already where one was to be added.
    #[error("there is such a record already")]
    RecordExists,
    /// Somebody else changed it meanwhile.
    #[error("the {0} has changed meanwhile: look at it again")]
    MovedOn(&'static str),
    /// The population database cannot be asked about a record that does not say this.
    #[error("the population database cannot be asked about it: the record has no {0}")]
    RecordIncomplete(&'static str),
    /// The population database gave no answer; nothing was learned.
    #[error("the population database cannot be asked at the moment; try again in {retry_after_seconds} seconds")]
    RegistryUnavailable {
        /// After how many seconds it is worth a try.
        retry_after_seconds: u64,
    },
    /// One account for one person.
    #[error("this account, or this person, is an officer already")]
    OfficerExists,
    /// Not an account that this caller may make or change.
    #[error("{0}")]
    NotManageable(&'static str),
    /// An officer's session that is over: by time, by signing out, or because the officer was blocked.
    #[error("the session is over; sign in again")]
    SessionEnded,
    /// The person signed in too long ago for what is asked (RFC 9470).
    #[error("this takes a sign-in of the last {max_age_seconds} seconds; sign in again")]
    SignInTooOld {
        /// How long ago it may have been.
        max_age_seconds: i64,
    },
    /// A request with an officer's cookie that was not made by our own pages.
    #[error("a request of an officer must come from the office's own pages: {0}")]
    CrossSite(&'static str),
    /// The upload's state does not allow this.
    #[error("the upload {0}")]
    UploadState(&'static str),
    /// The same idempotency key came with another request.
    #[error("this idempotency key was used for another request")]
    IdempotencyKeyReused,
    /// The state of a proposal does not allow this.
    #[error("a proposal that is {state} cannot be {action}")]
    ProposalState {
        /// The state that the proposal is in.
        state: &'static str,
        /// The past participle of what was asked.
        action: &'static str,
    },
    /// Another reviewer works on it.
    #[error("another reviewer works on this proposal")]
    Claimed,
    /// Who decides must be another.
    #[error("{0}")]
    NotImpartial(&'static str),
    /// A request with a cookie that another site may have made the browser send.
    #[error("a request that changes something with a cookie must come from this service's own pages")]
    ForeignOrigin,
    /// A file that is not taken.
    #[error("{0}")]
    UnacceptableFile(&'static str),
    /// As many at the same time as are served; see `Retry-After`.
    #[error("too many {0} at the same time; try again in a few seconds")]
    Busy(&'static str),
    /// Too much of something; the rule names the bound.
    #[error("{0}")]
    TooMuch(String),
    /// Too many requests of one address, client or person.
    #[error("too many requests; try again in {retry_after_seconds} seconds")]
    TooManyRequests {
        /// After how many seconds the next one will be answered.
        retry_after_seconds: u64,
    },

    /// RFC 6749 `invalid_request`.
    #[error("{0}")]
    InvalidTokenRequest(&'static str),
    /// RFC 6749 `invalid_client`.
    #[error("{0}")]
    InvalidClient(&'static str),
    /// RFC 6749 `invalid_grant`.
    #[error("{0}")]
    InvalidGrant(&'static str),
    /// RFC 6749 `unsupported_grant_type`.
    #[error("this grant type is not supported")]
    UnsupportedGrantType,
    /// RFC 6749 `invalid_scope`.
    #[error("the client may not have this scope, or no scope is known")]
    InvalidScope,
    /// RFC 6749 `unauthorized_client`.
    #[error("{0}")]
    UnauthorizedClient(&'static str),
    /// RFC 6749 `unsupported_response_type`.
    #[error("the only supported response_type is code")]
    UnsupportedResponseType,
    /// OpenID Connect Core 3.1.2.6 `request_not_supported`.
    #[error("request objects are not supported; push the parameters themselves")]
    RequestNotSupported,
    /// RFC 9396 `invalid_authorization_details`.
    #[error("{0}")]
    InvalidAuthorizationDetails(&'static str),
    /// RFC 9449 `invalid_dpop_proof`.
    #[error("{0}")]
    InvalidDpopProof(&'static str),
    /// RFC 9449 `use_dpop_nonce`.
    #[error("the DPoP proof must carry the nonce of the DPoP-Nonce header")]
    UseDpopNonce,
    /// Attestation-based client authentication: `use_attestation_challenge`.
    #[error("the attestation PoP must carry the challenge of the OAuth-Client-Attestation-Challenge header")]
    UseAttestationChallenge,

    /// OpenID4VCI 1.0 section 8.3.1.2 `invalid_credential_request`.
    #[error("{0}")]
    InvalidCredentialRequest(String),
    /// OpenID4VCI `unknown_credential_configuration`.
    #[error("the credential configuration is not known")]
    UnknownCredentialConfiguration,
    /// OpenID4VCI `unknown_credential_identifier`.
    #[error("the credential identifier is not known")]
    UnknownCredentialIdentifier,
    /// OpenID4VCI `invalid_proof`.
    #[error("{0}")]
    InvalidProof(String),
    /// OpenID4VCI `invalid_nonce`.
    #[error("the c_nonce of a proof is unknown, expired or used; fetch a new one")]
    InvalidNonce,
    /// OpenID4VCI `invalid_encryption_parameters`.
    #[error("{0}")]
    InvalidEncryptionParameters(&'static str),
    /// OpenID4VCI `credential_request_denied`.
    #[error("{0}")]
    CredentialRequestDenied(&'static str),
    /// OpenID4VCI section 9.3 `invalid_transaction_id`.
    #[error("the transaction id is not known, or its credentials were delivered")]
    InvalidTransactionId,
    /// OpenID4VCI section 11.3 `invalid_notification_id`.
    #[error("the notification id is not known")]
    InvalidNotificationId,
    /// OpenID4VCI section 11.3 `invalid_notification_request`.
    #[error("{0}")]
    InvalidNotificationRequest(String),
}

impl Refusal {
    /// [`Refusal::Malformed`] from its two parts.
    pub fn malformed(place: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::Malformed { place: place.into(), rule: rule.into() }
    }
}

/// Our own failure: what we were doing, and why it did not work. Never shown to a caller.
#[derive(Debug)]
pub struct Fault {
    doing: &'static str,
    cause: Box<dyn std::error::Error + Send + Sync>,
}

impl Fault {
    /// A fault while `doing` something, for example `"opening the key file"`.
    pub fn new(doing: &'static str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { doing, cause: cause.into() }
    }
}

impl Fault {
    /// The cause, if it is of this kind.
    pub fn caused_by<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.cause.downcast_ref()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.doing, self.cause)
    }
}

impl std::error::Error for Fault {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refusal(refusal) => refusal.fmt(formatter),
            Self::Fault(fault) => fault.fmt(formatter),
        }
    }
}

impl std::error::Error for Error {}
