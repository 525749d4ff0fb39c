"""A wallet provider in plain Python: certificates by `cryptography`, so that its attestations are nobody's but its own."""

import base64
import time
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from plain_wallet import Holder, present

KEY_ATTESTATION = "key-attestation+jwt"


class Attester:
    """A root that the issuer may trust, and a key that it certifies."""

    def __init__(self, name: str = "Wallet provider"):
        root_key, self.key = ec.generate_private_key(ec.SECP256R1()), Holder("ES256")
        root_name, leaf_name = (
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (f"{name} root", name)
        )
        self.root = certificate(root_name, root_name, root_key.public_key(), root_key, ca=True)
        self.leaf = certificate(leaf_name, root_name, self.key.private.public_key(), root_key, ca=False)
        self.root_pem = self.root.public_bytes(Encoding.PEM).decode()

    def attest(self, holders: list[Holder], nonce: str, header: dict | None = None, /, **claims) -> str:
        """A key attestation (appendix D.1); keyword arguments change, add or (with None) leave out claims."""
        now = int(time.time())
        body = {
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "attested_keys": [holder.jwk for holder in holders],
            "key_storage": ["iso_18045_high"],
            "user_authentication": ["iso_18045_high"],
            **claims,
        }
        chain = [base64.b64encode(self.leaf.public_bytes(Encoding.DER)).decode()]
        header = {"typ": KEY_ATTESTATION, "alg": "ES256", "x5c": chain, **(header or {})}
        return self.key.jws(present(header), present(body))


def certificate(subject: x509.Name, issuer: x509.Name, key, signer, *, ca: bool) -> x509.Certificate:
    now = datetime.now(UTC)
    usage = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    usage["key_cert_sign" if ca else "digital_signature"] = True
    builder = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=30))
    builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
    builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
    return builder.sign(signer, SHA256())
