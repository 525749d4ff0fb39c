"""TLS of the listener as OpenSSL sees it: every suite that is allowed, and every one that is not."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

START_SECONDS = 20
ALLOWED = {
    "ecdsa": {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"},
    "rsa": {"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"},
}
TLS_1_3 = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]


def rsa_certificate(folder: Path) -> None:
    """As an authority gives it: RSA of 2048 bits."""
    key = rsa.generate_private_key(65537, 2048)
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")]), datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=30))
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    certificate = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    (folder / "tls.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "tls.key").touch(0o600)
    (folder / "tls.key").write_bytes(private)


class Server:
    def __init__(self, kind: str, port: int, certificate: Path, process: subprocess.Popen):
        self.kind, self.port, self.certificate, self.process = kind, port, certificate, process
        self.url = f"https://localhost:{port}"

    def connect(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        try:
            return context.wrap_socket(plain, server_hostname="localhost")
        except BaseException:
            plain.close()
            raise

    def context(self, version: ssl.TLSVersion, ciphers: str = "ALL:@SECLEVEL=0") -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.certificate)
        context.minimum_version = context.maximum_version = version
        context.set_ciphers(ciphers)
        return context


@pytest.fixture(scope="module", params=["ecdsa", "rsa"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    program, folder = os.environ["OFFICIALS_CARD_BIN"], tmp_path_factory.mktemp(request.param)
    subprocess.run([program, "keys", "init", "--dir", folder / "keys"], check=True, capture_output=True)
    if request.param == "rsa":
        rsa_certificate(folder)
    else:
        names = ["--name", "localhost", "--name", "127.0.0.1"]
        subprocess.run([program, "keys", "tls", "--dir", folder, *names], check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "server.toml").write_text(
        f'listen = "127.0.0.1:{port}"\npublic_url = "https://localhost:{port}"\n'
        f'database_url = "sqlite://{folder}/server.db"\nkeys = "{folder}/keys"\nlog = "error"\n'
        f'tls = {{ certificate = "{folder}/tls.pem", key = "{folder}/tls.key" }}\n'
    )
    with subprocess.Popen([program, "--config", folder / "server.toml", "serve"]) as process:
        try:
            server = Server(request.param, port, folder / "tls.pem", process)
            until(lambda: answers(server))
            yield server
        finally:
            process.terminate()
            process.wait(20)
            assert process.returncode == 0


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def answers(server: Server) -> bool:
    assert server.process.poll() is None, "the server ended"
    try:
        server.connect(server.context(ssl.TLSVersion.TLSv1_3)).close()
    except OSError:
        return False
    return True


def test_of_all_suites_of_tls_1_2_the_allowed_ones_are_spoken(server):
    everything = server.context(ssl.TLSVersion.TLSv1_2).get_ciphers()
    # Without a shared secret set, OpenSSL does not even ask with these.
    names = {c["name"] for c in everything if c["protocol"] != "TLSv1.3" and c["kea"] in {"kx-ecdhe", "kx-dhe", "kx-rsa"}}
    assert len(names) > 40, "OpenSSL offers a great many"
    assert ALLOWED["ecdsa"] | ALLOWED["rsa"] <= names
    assert "ECDHE-ECDSA-CHACHA20-POLY1305" in names
    for name in sorted(names):
        context = server.context(ssl.TLSVersion.TLSv1_2, f"{name}:@SECLEVEL=0")
        if name in ALLOWED[server.kind]:
            with server.connect(context) as connection:
                assert connection.cipher()[0] == name
        else:
            with pytest.raises(ssl.SSLError) as refused:
                server.connect(context)
            # The server says so: it is not OpenSSL that would not ask.
            assert refused.value.reason == "SSLV3_ALERT_HANDSHAKE_FAILURE", name


@pytest.mark.parametrize("suite", TLS_1_3)
def test_tls_1_3_is_spoken_with_each_suite(server, suite):
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername", "localhost", "-tls1_3"]
    trust = ["-CAfile", server.certificate, "-verify_return_error", "-ciphersuites", suite]
    done = subprocess.run([*command, *trust], input="", capture_output=True, text=True, timeout=30, check=True)
    assert f"New, TLSv1.3, Cipher is {suite}" in done.stdout


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.*deprecated:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_older_versions_are_not_spoken(server, version):
    with pytest.raises(ssl.SSLError) as refused:
        server.connect(server.context(version))
    # rustls misses the signature algorithms of TLS 1.2 before it looks at the version; either alert is the server's.
    assert refused.value.reason in {"TLSV1_ALERT_PROTOCOL_VERSION", "SSLV3_ALERT_HANDSHAKE_FAILURE"}


def test_documents_are_served_over_http_1_and_2(server):
    metadata = requests.get(f"{server.url}/.well-known/openid-credential-issuer", verify=server.certificate, timeout=10)
    assert metadata.json()["credential_issuer"] == server.url
    for version in ("1.1", "2"):
        curl = ["curl", "-sS", "--cacert", server.certificate, f"--http{version}", "-o", os.devnull, "-w", "%{http_version}"]
        done = subprocess.run([*curl, f"{server.url}/health"], capture_output=True, text=True, timeout=30, check=True)
        assert done.stdout == version


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_a_header_may_have_32_kib(server, version):
    """An attestation with its chain, its proof and DPoP exceed the usual 8 KiB."""
    for size, accepted in ((30 * 1024, True), (40 * 1024, False)):
        curl = ["curl", "-sS", "--cacert", server.certificate, f"--http{version}", "-o", os.devnull, "-w", "%{http_code}"]
        header = ["-H", f"X-Long: {'x' * size}"]
        done = subprocess.run([*curl, *header, f"{server.url}/health"], capture_output=True, text=True, timeout=30)
        assert (done.stdout == "200") == accepted, (size, done.stdout, done.stderr)
        assert accepted or version == "2" or done.stdout == "431"


def test_a_renewed_certificate_is_taken_up_on_sighup(server, tmp_path):
    subprocess.run(
        [os.environ["OFFICIALS_CARD_BIN"], "keys", "tls", "--dir", tmp_path, "--name", "localhost"],
        check=True, capture_output=True,
    )
    before = server.certificate.read_bytes()
    for name in ("tls.key", "tls.pem"):
        shutil.copyfile(tmp_path / name, server.certificate.with_name(name))
    assert server.certificate.read_bytes() != before
    server.process.send_signal(signal.SIGHUP)
    # The client trusts the file as it is now.
    until(lambda: answers(server))
    assert server.process.poll() is None
