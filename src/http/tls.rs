//! TLS of the listener, by rustls: TLS 1.3, and of TLS 1.2 only the four suites that BCP 195 (RFC 9325 section 4.2) and
//! FAPI 2.0 recommend. rustls would also offer ChaCha20 under 1.2, which the conformance suite counts as a failure.
//!
//! Certificate and key are read again while the server runs ([`Tls::reload`]); a pair that does not fit leaves the one
//! before in force.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::aws_lc_rs::{cipher_suite, default_provider};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ServerConfig, SupportedCipherSuite};
use tokio_rustls::server::TlsStream;

use crate::config;
use crate::error::Fault;

/// How long a client may take for its handshake.
const HANDSHAKE_SECONDS: u64 = 10;
/// What is spoken inside (RFC 7301), best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// Every suite that is spoken, best first.
const SUITES: [SupportedCipherSuite; 7] = [
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
];

/// Certificate and key in force. Clones share them.
#[derive(Clone)]
pub struct Tls {
    files: config::Tls,
    current: Arc<RwLock<Pair>>,
}

struct Pair {
    /// Of both files as read: whether they have changed.
    digest: [u8; 32],
    config: Arc<ServerConfig>,
}

impl Tls {
    /// Reads both files.
    pub fn open(files: &config::Tls) -> Result<Self, Fault> {
        let (certificate, key) = read(files)?;
        let pair = Pair { digest: digest(&certificate, &key), config: server_config(&certificate, &key)? };
        Ok(Self { files: files.clone(), current: Arc::new(RwLock::new(pair)) })
    }

    /// Reads both files again, and takes them into force for new connections when they have changed. Returns whether
    /// they had. Half-written files or a key of another certificate are a fault and change nothing.
    pub fn reload(&self) -> Result<bool, Fault> {
        let (certificate, key) = read(&self.files)?;
        let digest = digest(&certificate, &key);
        if self.current.read().unwrap_or_else(PoisonError::into_inner).digest == digest {
            return Ok(false);
        }
        let config = server_config(&certificate, &key)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Pair { digest, config };
        Ok(true)
    }

    /// The handshake of one connection; `None` when it fails or takes too long, which is the client's affair.
    pub(super) async fn accept(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let config = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).config);
        let handshake = TlsAcceptor::from(config).accept(stream);
        let done = tokio::time::timeout(Duration::from_secs(HANDSHAKE_SECONDS), handshake).await;
        done.ok()?.inspect_err(|error| tracing::debug!(%error, "a TLS handshake failed")).ok()
    }
}

fn server_config(certificate: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, Fault> {
    let doing = "reading the TLS certificate";
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
        .map(|one| one.map(CertificateDer::into_owned))
        .collect::<Result<_, _>>()
        .map_err(|error| Fault::new(doing, error))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| Fault::new("reading the TLS key", error))?;
    let provider = CryptoProvider { cipher_suites: SUITES.to_vec(), ..default_provider() };
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| Fault::new(doing, error))?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}

fn read(files: &config::Tls) -> Result<(Vec<u8>, zeroize::Zeroizing<Vec<u8>>), Fault> {
    let read = |file: &Path| {
        std::fs::read(file).map_err(|error| Fault::new("reading a TLS file", format!("{}: {error}", file.display())))
    };
    check_mode(&files.key)?;
    Ok((read(&files.certificate)?, read(&files.key)?.into()))
}

/// A key may be shared with a group (certificate managers do) but not with everybody.
fn check_mode(key: &Path) -> Result<(), Fault> {
    use std::os::unix::fs::PermissionsExt;
    let doing = "reading the TLS key";
    let metadata = std::fs::metadata(key).map_err(|error| Fault::new(doing, format!("{}: {error}", key.display())))?;
    let others = metadata.permissions().mode() & 0o007;
    if others == 0 {
        return Ok(());
    }
    Err(Fault::new(doing, format!("{} is open to everybody: chmod o= {0}", key.display())))
}

fn digest(certificate: &[u8], key: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update((certificate.len() as u64).to_be_bytes());
    digest.update(certificate);
    digest.update(key);
    digest.finalize().into()
}
