//! Why the wallet does not go on. No text holds a code, a key, a token or anything about the holder.

use std::path::PathBuf;

use officials_card::credential::cose::CoseError;
use officials_card::credential::cwt::CwtError;
use officials_card::credential::jws::JwsError;
use officials_card::credential::mdoc::MdocError;
use officials_card::credential::sd_jwt::CardError;
use officials_card::credential::status_list::StatusListError;
use officials_card::credential::symbol::SymbolError;
use officials_card::credential::trust_list::TrustListError;
use officials_card::credential::x509::ChainError;
use officials_card::error::Fault;
use officials_card::protocol::oid4vp::MessageError;

/// The wallet's answer to each of its commands.
pub type Result<T, E = WalletError> = std::result::Result<T, E>;

/// What went wrong, in words for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// The offer cannot be taken.
    #[error("the offer {0}")]
    Offer(&'static str),
    /// The command asks for something that this wallet does not have or know.
    #[error("{0}")]
    Command(String),
    /// A card, code or token would travel in the clear.
    #[error("the address of the {0} is not https (http is only for this machine)")]
    Unprotected(&'static str),
    /// No whole answer, however often it was asked for.
    #[error("the {place} cannot be reached: {source}")]
    Unreachable {
        /// Which endpoint.
        place: &'static str,
        /// What the last attempt ended with, without its address.
        source: reqwest::Error,
    },
    /// The endpoint said no.
    #[error("the {place} refused: {code} ({description})")]
    Refused {
        /// Which endpoint.
        place: &'static str,
        /// `error` of the answer, or its HTTP status.
        code: String,
        /// `error_description` of the answer.
        description: String,
    },
    /// The person did not sign in, or somebody else answered.
    #[error("the sign-in did not succeed: {0}")]
    SignIn(&'static str),
    /// A page says to the person why it does not go on.
    #[error("{0}")]
    Told(String),
    /// An answer is not what the specification says.
    #[error("the answer of the {0} {1}")]
    Answer(&'static str, &'static str),
    /// What was issued is not what was asked for.
    #[error("the issued card is not accepted: {0}")]
    Issued(&'static str),
    /// A message of a verifier breaks the rules.
    #[error("the verifier's message is not accepted: {0}")]
    Message(#[from] MessageError),
    /// An SD-JWT card does not verify.
    #[error("the card is not accepted: {0}")]
    SdJwt(#[from] CardError),
    /// A QR card does not read.
    #[error("the QR card is not accepted: {0}")]
    Cwt(#[from] CwtError),
    /// An mdoc does not verify.
    #[error("the card is not accepted: {0}")]
    Mdoc(#[from] MdocError),
    /// A signed message does not read.
    #[error("the signed message is not accepted: {0}")]
    Cose(#[from] CoseError),
    /// A signed JSON document does not verify.
    #[error("the signed document is not accepted: {0}")]
    Jws(#[from] JwsError),
    /// Certificates do not lead to the trust anchor.
    #[error("the certificates are not accepted: {0}")]
    Chain(#[from] ChainError),
    /// The trust list does not verify.
    #[error("the trust list is not accepted: {0}")]
    TrustList(#[from] TrustListError),
    /// The status list does not verify.
    #[error("the status list is not accepted: {0}")]
    StatusList(#[from] StatusListError),
    /// The code cannot be drawn.
    #[error(transparent)]
    Symbol(#[from] SymbolError),
    /// A key could not be made or used.
    #[error(transparent)]
    Key(#[from] Fault),
    /// The wallet's folder.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}
