//! The listener itself, on a real connection: TLS, its suites and certificates, and the bound of a header.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use officials_card::clock::Clock;
use officials_card::config;
use officials_card::http::{Tls, router, serve};
use officials_card::keyring;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::aws_lc_rs::{cipher_suite as suite, default_provider};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedCipherSuite};

use crate::town::{Ground, Town};

const NAME: &str = "localhost";
const GRACE: Duration = Duration::from_mins(1);

/// A server on a free port of loopback.
struct Server {
    address: SocketAddr,
    tls: Option<Tls>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
    _town: Town,
}

impl Server {
    async fn start(files: Option<&config::Tls>) -> Self {
        let town = Town::on(Ground::Sqlite).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, told) = oneshot::channel();
        let tls = files.map(|files| Tls::open(files).unwrap());
        let stopped = async {
            let _ = told.await;
        };
        let running = tokio::spawn(serve(listener, tls.clone(), router(town.service.clone()), stopped, GRACE));
        Self { address, tls, stop, running, _town: town }
    }
}

/// A folder of this test for certificate and key.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("tls_{name}_{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// As `officials-card keys tls` makes them.
    fn files(&self) -> config::Tls {
        keyring::tls(&self.0, &[NAME.into(), "127.0.0.1".into()], Clock::system().now()).unwrap();
        config::Tls { certificate: self.0.join("tls.pem"), key: self.0.join("tls.key") }
    }

    /// A certificate with an RSA key, as many authorities still give out.
    fn rsa_files(&self) -> config::Tls {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let certificate = CertificateParams::new(vec![NAME.into()]).unwrap().self_signed(&key).unwrap();
        let files = config::Tls { certificate: self.0.join("rsa.pem"), key: self.0.join("rsa.key") };
        std::fs::write(&files.certificate, certificate.pem()).unwrap();
        keyring::write_new(&files.key, key.serialize_pem().as_bytes()).unwrap();
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A client that trusts this certificate and speaks these suites.
async fn connect(
    server: &Server,
    certificate: &Path,
    suites: &[SupportedCipherSuite],
    protocols: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let provider = CryptoProvider { cipher_suites: suites.to_vec(), ..default_provider() };
    let versions: Vec<_> =
        [&TLS13, &TLS12].into_iter().filter(|version| suites.iter().any(|s| *s.version() == **version)).collect();
    let mut client = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(server.address).await.unwrap();
    TlsConnector::from(Arc::new(client)).connect(ServerName::try_from(NAME).unwrap(), stream).await
}

/// Sends a request with a header of about so many bytes and gives the status.
async fn status<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, header_bytes: usize) -> String {
    let filling = "x".repeat(header_bytes);
    let request = format!("GET /health HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\nX-Long: {filling}\r\n\r\n");
    // The server may have answered and closed before it has read everything.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap_or("nothing").to_owned()
}

const ALLOWED_ANY: [SupportedCipherSuite; 3] =
    [suite::TLS13_AES_128_GCM_SHA256, suite::TLS13_AES_256_GCM_SHA384, suite::TLS13_CHACHA20_POLY1305_SHA256];

#[tokio::test]
async fn every_allowed_suite_is_spoken_and_chacha_under_tls_1_2_is_not() {
    let folder = Folder::new("suites");
    for (files, allowed, forbidden) in [
        (
            folder.files(),
            [suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384],
            suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        ),
        (
            folder.rsa_files(),
            [suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384],
            suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ),
    ] {
        let server = Server::start(Some(&files)).await;
        for suite in allowed.into_iter().chain(ALLOWED_ANY) {
            let mut stream = connect(&server, &files.certificate, &[suite], &[]).await.unwrap();
            assert_eq!(stream.get_ref().1.negotiated_cipher_suite(), Some(suite));
            assert_eq!(status(&mut stream, 0).await, "200", "{suite:?}");
        }
        let refused = connect(&server, &files.certificate, &[forbidden], &[]).await.unwrap_err();
        assert!(refused.to_string().contains("HandshakeFailure"), "{refused}");
        let mixed = connect(&server, &files.certificate, &[forbidden, allowed[0]], &[]).await.unwrap();
        assert_eq!(mixed.get_ref().1.negotiated_cipher_suite(), Some(allowed[0]));
    }
}

#[tokio::test]
async fn http_2_is_preferred_and_nothing_but_http_is_spoken() {
    let folder = Folder::new("alpn");
    let files = folder.files();
    let server = Server::start(Some(&files)).await;
    let spoken = async |protocols: &[&[u8]]| {
        let stream = connect(&server, &files.certificate, &ALLOWED_ANY, protocols).await;
        stream.map(|stream| stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec))
    };
    assert_eq!(spoken(&[b"http/1.1", b"h2"]).await.unwrap().unwrap(), b"h2");
    assert_eq!(spoken(&[b"http/1.1"]).await.unwrap().unwrap(), b"http/1.1");
    assert_eq!(spoken(&[]).await.unwrap(), None);
    assert!(spoken(&[b"imap"]).await.unwrap_err().to_string().contains("NoApplicationProtocol"));
}

#[tokio::test]
async fn a_header_may_be_as_long_as_attestations_need_and_no_longer() {
    let folder = Folder::new("header");
    let files = folder.files();
    let (plain, secured) = (Server::start(None).await, Server::start(Some(&files)).await);
    for (bytes, expected) in [(31 * 1024, "200"), (33 * 1024, "431")] {
        let mut stream = TcpStream::connect(plain.address).await.unwrap();
        assert_eq!(status(&mut stream, bytes).await, expected, "plain, {bytes} bytes");
        let mut stream = connect(&secured, &files.certificate, &ALLOWED_ANY, &[]).await.unwrap();
        assert_eq!(status(&mut stream, bytes).await, expected, "TLS, {bytes} bytes");
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_up_and_a_broken_one_is_not() {
    let (folder, renewed) = (Folder::new("renewed"), Folder::new("renewal"));
    let (files, fresh) = (folder.files(), renewed.files());
    let old = folder.0.join("old.pem");
    std::fs::copy(&files.certificate, &old).unwrap();
    let server = Server::start(Some(&files)).await;
    let tls = server.tls.as_ref().unwrap();
    let trusts = async |certificate: &Path| connect(&server, certificate, &ALLOWED_ANY, &[]).await.is_ok();
    assert!(!tls.reload().unwrap(), "nothing has changed");

    // Between the two writes of a renewal the key is of another certificate.
    std::fs::copy(&fresh.certificate, &files.certificate).unwrap();
    assert!(tls.reload().is_err());
    assert!(trusts(&old).await && !trusts(&fresh.certificate).await);
    std::fs::copy(&fresh.key, &files.key).unwrap();
    assert!(tls.reload().unwrap());
    assert!(!trusts(&old).await && trusts(&fresh.certificate).await);

    for broken in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&files.certificate, broken).unwrap();
        assert!(tls.reload().is_err(), "{broken}");
    }
    std::fs::remove_file(&files.certificate).unwrap();
    assert!(tls.reload().is_err());
    assert!(trusts(&fresh.certificate).await);
}

#[tokio::test]
async fn a_key_that_everybody_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("mode");
    let files = folder.files();
    let mode = |mode| std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(mode)).unwrap();
    assert_eq!(std::fs::metadata(&files.key).unwrap().permissions().mode() & 0o777, 0o600);
    mode(0o640);
    assert!(Tls::open(&files).is_ok());
    mode(0o644);
    assert!(Tls::open(&files).is_err_and(|fault| fault.to_string().contains("chmod o=")));
    assert!(keyring::tls(&folder.0, &[NAME.into()], Clock::system().now()).is_err(), "existing files are left alone");
}

#[tokio::test]
async fn a_stop_ends_idle_connections_and_new_ones() {
    let folder = Folder::new("stop");
    let files = folder.files();
    let server = Server::start(Some(&files)).await;
    let mut idle = connect(&server, &files.certificate, &ALLOWED_ANY, &[]).await.unwrap();
    idle.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    // This one is answered, kept alive and idle.
    server.stop.send(()).unwrap();
    tokio::time::timeout(GRACE / 2, server.running).await.expect("long before the grace is over").unwrap();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_stop_lets_a_request_that_is_under_way_finish() {
    let server = Server::start(None).await;
    let mut client = TcpStream::connect(server.address).await.unwrap();
    let body = "grant_type=nobody-knows-it";
    let head = format!(
        "POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body: it is at it.
    let mut told = [0; 25];
    client.read_exact(&mut told).await.unwrap();
    assert!(told.starts_with(b"HTTP/1.1 100 Continue"));
    let (first, rest) = body.split_at(body.len() / 2);
    client.write_all(first.as_bytes()).await.unwrap();
    server.stop.send(()).unwrap();
    // Nobody else is let in any more.
    let closed = async { while TcpStream::connect(server.address).await.is_ok() {} };
    tokio::time::timeout(GRACE / 2, closed).await.expect("it stops to listen");
    assert!(!server.running.is_finished(), "it waits for the request");
    client.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("\"error\""), "{answer}");
    tokio::time::timeout(GRACE / 2, server.running).await.expect("and ends then").unwrap();
}
