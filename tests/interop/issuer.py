"""The demo server as its users see it: the VNeID backend, a checkpoint, and anybody who fetches its documents."""

import base64
from datetime import UTC, datetime
from pathlib import Path

import cbor2
import requests
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

ALGORITHMS = {-7: "ES256", -8: "EdDSA"}


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_b64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def certificate_chain(x5c: list[str]) -> list[bytes]:
    """RFC 7515 section 4.1.6: standard base64, not base64url."""
    return [base64.b64decode(certificate, validate=True) for certificate in x5c]


def verify_signature(key, alg: str, signature: bytes, message: bytes) -> None:
    """RFC 7518 section 3.4 and RFC 8037; raises InvalidSignature."""
    assert len(signature) == 64
    if alg == "ES256":
        assert isinstance(key, ec.EllipticCurvePublicKey)
        r, s = (int.from_bytes(half) for half in (signature[:32], signature[32:]))
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
    else:
        assert alg == "EdDSA"
        assert isinstance(key, ed25519.Ed25519PublicKey)
        key.verify(signature, message)


class Sign1:
    """A COSE_Sign1 under tag 18 (RFC 9052 section 4.2), by nothing but a CBOR reader."""

    def __init__(self, data: bytes):
        tagged = cbor2.loads(data)
        assert tagged.tag == 18
        self.protected_bytes, self.unprotected, self.payload_bytes, self.signature = tagged.value
        self.protected = cbor2.loads(self.protected_bytes)
        self.payload = cbor2.loads(self.payload_bytes)

    def verify(self, key) -> None:
        signed = cbor2.dumps(["Signature1", self.protected_bytes, b"", self.payload_bytes])
        verify_signature(key, ALGORITHMS[self.protected[1]], self.signature, signed)

    def encode(self) -> bytes:
        parts = [self.protected_bytes, self.unprotected, self.payload_bytes, self.signature]
        return cbor2.dumps(cbor2.CBORTag(18, parts))


class Mdoc:
    """The IssuerSigned of ISO/IEC 18013-5 section 9.1, by nothing but a CBOR reader."""

    def __init__(self, credential: str):
        self.data = from_b64url(credential)
        self.parts = cbor2.loads(self.data)
        protected, self.unprotected, payload, _ = self.parts["issuerAuth"]
        self.protected = cbor2.loads(protected)
        self.mso = cbor2.loads(encoded(cbor2.loads(payload)))
        self.namespaces = {
            name: [cbor2.loads(encoded(item)) for item in items] for name, items in self.parts["nameSpaces"].items()
        }


def encoded(item: cbor2.CBORTag) -> bytes:
    """The bytes under tag 24."""
    assert item.tag == 24
    return item.value


class Issuer:
    """Where the server is, and what its clients may do."""

    def __init__(self, demo: dict):
        self.demo = demo
        self.url = demo["url"]
        self.database = Path(demo["dir"], "demo.db")
        self.person = demo["person"]
        self.trust_anchor_file = demo["trust_anchor_pem_file"]
        self.root = x509.load_pem_x509_certificate(Path(self.trust_anchor_file).read_bytes())
        self.iaca_file = demo["iaca_pem_file"]
        self.iaca = x509.load_pem_x509_certificate(Path(self.iaca_file).read_bytes())
        self.backend = {"Authorization": f"Bearer {demo['backend_token']}"}

    def settings(self) -> str:
        return Path(self.demo["config"]).read_text()

    def at(self, url: str) -> "Issuer":
        """Another server with the same keys and clients."""
        return Issuer({**self.demo, "url": url})

    # The VNeID backend and the unit.

    def call(self, path: str, body: dict) -> dict:
        answer = requests.post(f"{self.url}/api/v1/{path}", json=body, headers=self.backend, timeout=30)
        assert answer.ok, answer.text
        return answer.json()

    def make_offer(self, *configurations: str) -> dict:
        body = {"personal_id_number": self.person, "assurance_level": 2, "configurations": list(configurations)}
        return self.call("offers", body)

    def badge_png(self, card: str) -> bytes:
        answer = requests.get(f"{self.url}/api/v1/cards/{card}/badge.png", headers=self.backend, timeout=30)
        assert answer.ok, answer.text
        assert answer.headers["Content-Type"] == "image/png"
        return answer.content

    def credentials_issued(self, card: str) -> int:
        """How many credentials the card's history tells of."""
        answer = requests.get(f"{self.url}/api/v1/cards/{card}", headers=self.backend, timeout=30)
        assert answer.ok, answer.text
        issued = [line["detail"] for line in answer.json()["history"] if line["action"] == "credential.issued"]
        return sum(int(detail.split()[0]) for detail in issued)

    # A checkpoint.

    def verify(self, text: str, **asked: str) -> dict:
        answer = requests.post(f"{self.url}/api/v1/verify", json={"text": text, **asked}, timeout=30)
        assert answer.ok, answer.text
        return answer.json()

    def refuses(self, text: str, reason: str, **asked: str) -> None:
        """The checkpoint turns it away, for this reason."""
        verdict = self.verify(text, **asked)
        assert (verdict["outcome"], verdict["reasons"][0]["code"]) == ("not-valid", reason)

    # Anybody.

    def get(self, path: str, **headers: str) -> requests.Response:
        url = path if path.startswith("http") else f"{self.url}{path}"
        answer = requests.get(url, headers=headers, timeout=30)
        assert answer.ok, answer.text
        return answer

    def certified_key(self, chain: list[bytes]):
        """The leaf's key, if `chain` (DER, leaf first) leads to the root. HAIP 1.0 section 6.1.1: the root itself is
        not in the chain, and the leaf is not self-signed."""
        certificates = [x509.load_der_x509_certificate(der) for der in chain]
        assert certificates
        assert self.root not in certificates
        now = datetime.now(UTC)
        for certificate, issuer in zip(certificates, [*certificates[1:], self.root], strict=True):
            certificate.verify_directly_issued_by(issuer)
            constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
            usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
            assert constraints.ca
            assert usage.key_cert_sign
            for one in (certificate, issuer):
                assert one.not_valid_before_utc <= now <= one.not_valid_after_utc
        usage = certificates[0].extensions.get_extension_for_class(x509.KeyUsage).value
        assert usage.digital_signature
        assert not usage.key_cert_sign
        return certificates[0].public_key()

    def jwk(self, kid: bytes) -> dict:
        """The published key with this `kid`."""
        [jwk] = [jwk for jwk in self.get("/.well-known/jwks.json").json()["keys"] if jwk["kid"] == kid.hex()]
        return jwk

    def trusted_key(self, kid: bytes, purpose: int) -> dict:
        """The COSE_Key with this `kid` and purpose (1 cards, 2 status lists) from the signed trust list."""
        trust_list = Sign1(self.get("/trust-list").content)
        chain = trust_list.unprotected[33]
        trust_list.verify(self.certified_key(chain if isinstance(chain, list) else [chain]))
        [key] = [key for key in trust_list.payload[4] if key[1] == kid and purpose in key[6]]
        return key[2]
