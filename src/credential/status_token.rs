//! The status list tokens of others (Token Status List sections 5 and 8.3, HAIP 1.0 section 6.1): from what a host answered
//! to a list that may be relied upon, and for how long.
//!
//! The signer is named by `x5c` or `x5chain` only, whose chain leads to an anchor of the issuer and does not carry it. A
//! token that is authenticated by a MAC is refused: it has none of our algorithms.

use super::cose::CoseError;
use super::jws::{Jws, JwsError};
use super::status_list::{Band, CWT_MEDIA_TYPE, MAX_TOKEN_BYTES, StatusList, StatusListError, StatusListToken};
use super::x509::{Anchors, ChainError, Use};
use crate::clock::{DAY_SECONDS, UnixSeconds};

/// The media type of the token as JWT; its `typ` is the same without `application/`.
pub const JWT_MEDIA_TYPE: &str = "application/statuslist+jwt";
const JWT_TYPE: &str = "statuslist+jwt";

/// How far an issuer's clock may be ahead of ours.
pub const MAX_AHEAD_SECONDS: i64 = 60;
/// The time to live of a token that names none.
pub const DEFAULT_TTL_SECONDS: i64 = 300;
/// No list is asked for more often than this, whatever its `ttl`.
pub const MIN_TTL_SECONDS: i64 = 10;
/// No list is believed without asking again for longer than this, whatever its `ttl`.
pub const MAX_TTL_SECONDS: i64 = DAY_SECONDS;

/// The two forms of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenForm {
    /// A compact JWS.
    Jwt,
    /// A COSE_Sign1 message.
    Cwt,
}

impl TokenForm {
    /// Both, the one that SD-JWT cards need first.
    pub const ALL: [Self; 2] = [Self::Jwt, Self::Cwt];

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jwt => JWT_MEDIA_TYPE,
            Self::Cwt => CWT_MEDIA_TYPE,
        }
    }
}

/// Who may sign the lists of an issuer.
#[derive(Clone, Debug)]
pub struct ListSigners {
    anchors: Anchors,
    purpose: Option<Use>,
}

impl ListSigners {
    /// Anybody with a certificate for signatures under these anchors of another issuer. The extended key usage for status
    /// lists (`id-kp-oauthStatusSigning`) has no number yet, so it cannot be asked for.
    pub fn of_others(anchors: Anchors) -> Self {
        Self { anchors, purpose: None }
    }

    /// Those whom our own root has certified for status lists.
    pub fn ours(anchors: Anchors) -> Self {
        Self { anchors, purpose: Some(Use::StatusLists) }
    }

    fn key(&self, chain: &[Vec<u8>], now: UnixSeconds) -> Result<super::PublicKey, ChainError> {
        match self.purpose {
            Some(purpose) => self.anchors.check(chain, purpose, now),
            None => self.anchors.check_path(chain, now),
        }
    }
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not text, where a JWT was announced.
    #[error("the token is not text")]
    NotText,
    /// Larger than any that is read.
    #[error("the token is too large")]
    TooLarge,
    /// The JWT does not read, or its signature is wrong.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// It names no certificate chain.
    #[error("the token carries no certificate chain")]
    NoChain,
    /// The chain does not lead to an anchor of the issuer.
    #[error("the signer of the token is not trusted: {0}")]
    Signer(#[from] ChainError),
    /// Its claims or its list are not acceptable.
    #[error(transparent)]
    List(#[from] StatusListError),
    /// Signed after the present.
    #[error("the token is dated ahead")]
    DatedAhead,
}

/// A list whose token has been proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvedList {
    /// When it was signed: what a status is "as of".
    pub issued_at: UnixSeconds,
    /// From when it is over.
    pub expires_at: Option<UnixSeconds>,
    /// For how long after it was fetched it needs no new fetch, within [`MIN_TTL_SECONDS`] and [`MAX_TTL_SECONDS`].
    pub ttl_seconds: i64,
    list: StatusList,
}

impl ProvedList {
    /// Proves a token for the list at `uri`, which its `sub` must equal byte for byte.
    pub fn prove(
        bytes: &[u8],
        form: TokenForm,
        uri: &str,
        signers: &ListSigners,
        now: UnixSeconds,
    ) -> Result<Self, TokenError> {
        if bytes.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLarge);
        }
        let token = match form {
            TokenForm::Jwt => Self::proved_jwt(bytes, uri, signers, now)?,
            TokenForm::Cwt => Self::proved_cwt(bytes, uri, signers, now)?,
        };
        if token.issued_at > now.saturating_add(MAX_AHEAD_SECONDS) {
            return Err(TokenError::DatedAhead);
        }
        let ttl_seconds = token.ttl_seconds.unwrap_or(DEFAULT_TTL_SECONDS).clamp(MIN_TTL_SECONDS, MAX_TTL_SECONDS);
        Ok(Self { issued_at: token.issued_at, expires_at: token.expires_at, ttl_seconds, list: token.list.inflate()? })
    }

    /// The status at an index; one beyond the end is an error, which whoever relies on it must refuse.
    pub fn get(&self, index: u32) -> Result<u8, StatusListError> {
        self.list.get(index)
    }

    /// The bytes that the list takes.
    pub fn size(&self) -> usize {
        self.list.size_in_bytes()
    }

    /// How far the list can be relied upon `now`, having been fetched at `fetched_at`. Its end wins over its time to live;
    /// one that names no end is over with its time to live. A clock that went back does not make it older.
    pub fn band(&self, fetched_at: UnixSeconds, now: UnixSeconds) -> Band {
        let is_fresh = now <= fetched_at.saturating_add(self.ttl_seconds);
        match self.expires_at {
            Some(end) if now >= end => Band::Expired,
            _ if is_fresh => Band::Fresh,
            Some(_) => Band::Aging,
            None => Band::Expired,
        }
    }

    fn proved_jwt(
        bytes: &[u8],
        uri: &str,
        signers: &ListSigners,
        now: UnixSeconds,
    ) -> Result<StatusListToken, TokenError> {
        let text = std::str::from_utf8(bytes).map_err(|_| TokenError::NotText)?;
        let jws = Jws::parse_within(text.trim_ascii(), JWT_TYPE, MAX_TOKEN_BYTES)?;
        let chain = jws.certificates().filter(|chain| !chain.is_empty()).ok_or(TokenError::NoChain)?;
        let signer = signers.key(&chain, now)?;
        let claims = jws.verify(&signer)?.into();
        Ok(StatusListToken::from_jwt_claims(&claims, uri, now)?)
    }

    fn proved_cwt(
        bytes: &[u8],
        uri: &str,
        signers: &ListSigners,
        now: UnixSeconds,
    ) -> Result<StatusListToken, TokenError> {
        let mut why = None;
        let token = StatusListToken::from_cwt(bytes, uri, now, |message| {
            let chain = message.certificates();
            let proved = if chain.is_empty() {
                Err(TokenError::NoChain)
            } else {
                signers.key(&chain, now).map_err(TokenError::Signer).and_then(|signer| {
                    message.verify(&signer).map_err(|error: CoseError| StatusListError::from(error).into())
                })
            };
            why = proved.err();
            why.is_none()
        });
        token.map_err(|error| why.unwrap_or(TokenError::List(error)))
    }
}
