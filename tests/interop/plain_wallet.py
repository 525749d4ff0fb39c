"""A wallet in plain Python: OpenID4VCI 1.0 with nothing but `requests` and `cryptography`, so that it shares no mistake
with the reference wallet."""

import json
import time
from urllib.parse import parse_qs, urlsplit

import requests
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from issuer import b64url

PRE_AUTHORIZED = "urn:ietf:params:oauth:grant-type:pre-authorized_code"


class Holder:
    """A holder key."""

    def __init__(self, kind: str):
        self.alg = kind
        if kind == "ES256":
            self.private = ec.generate_private_key(ec.SECP256R1())
            numbers = self.private.public_key().public_numbers()
            x, y = (b64url(number.to_bytes(32)) for number in (numbers.x, numbers.y))
            self.jwk = {"kty": "EC", "crv": "P-256", "x": x, "y": y}
        else:
            self.private = ed25519.Ed25519PrivateKey.generate()
            self.jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64url(self.private.public_key().public_bytes_raw())}

    def sign(self, message: bytes) -> bytes:
        if self.alg == "EdDSA":
            return self.private.sign(message)
        r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)

    def jws(self, header: dict, payload: dict) -> str:
        signed = ".".join(b64url(json.dumps(part).encode()) for part in (header, payload))
        return f"{signed}.{b64url(self.sign(signed.encode()))}"

    def key_binding(self, presented: str, sd_hash: str, audience: str, nonce: str) -> str:
        """`presented` with a key binding JWT (RFC 9901 section 4.3)."""
        payload = {"iat": int(time.time()), "aud": audience, "nonce": nonce, "sd_hash": sd_hash}
        return presented + self.jws({"alg": self.alg, "typ": "kb+jwt"}, payload)


class PlainWallet:
    """One offer, from its link to its credentials."""

    def __init__(self, offer_link: str):
        link = urlsplit(offer_link)
        assert link.scheme == "openid-credential-offer"
        [self.reference] = parse_qs(link.query)["credential_offer_uri"]
        self.offer = requests.get(self.reference, timeout=30).json()
        self.issuer = self.offer["credential_issuer"]
        self.grant = self.offer["grants"][PRE_AUTHORIZED]
        self.metadata = self.well_known("openid-credential-issuer")
        assert self.metadata["credential_issuer"] == self.issuer
        self.server = self.well_known("oauth-authorization-server")
        assert self.server["issuer"] == self.issuer
        self.token = None

    def well_known(self, name: str) -> dict:
        """Section 12.2.2: the name stands between host and path."""
        issuer = urlsplit(self.issuer)
        path = f"/.well-known/{name}{issuer.path.rstrip('/')}"
        answer = requests.get(issuer._replace(path=path).geturl(), timeout=30)
        assert answer.ok
        assert answer.headers["Content-Type"] == "application/json"
        return answer.json()

    def ask_token(self, **form: str | None) -> requests.Response:
        """The token endpoint; `form` changes, adds and (with None) leaves out parameters."""
        form = {"grant_type": PRE_AUTHORIZED, "pre-authorized_code": self.grant["pre-authorized_code"], **form}
        return requests.post(self.server["token_endpoint"], data=form, timeout=30)

    def redeem(self, tx_code: str) -> None:
        answer = self.ask_token(tx_code=tx_code)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        token = answer.json()
        # RFC 9700 section 2.2.1: a token that lives longer should be sender-constrained.
        assert token["token_type"] == "Bearer"
        assert 0 < token["expires_in"] <= 300
        self.token = token["access_token"]

    def nonce(self) -> str:
        answer = requests.post(self.metadata["nonce_endpoint"], timeout=30)
        assert answer.status_code == 200
        assert "no-store" in answer.headers["Cache-Control"]
        return answer.json()["c_nonce"]

    def proof(self, holder: Holder, nonce: str | None, header: dict | None = None, payload: dict | None = None) -> str:
        """A proof of possession (appendix F.1); `header` and `payload` change, add or (with None) leave out members."""
        header = {"typ": "openid4vci-proof+jwt", "alg": holder.alg, "jwk": holder.jwk, **(header or {})}
        payload = {"aud": self.issuer, "iat": int(time.time()), "nonce": nonce, **(payload or {})}
        return holder.jws(present(header), present(payload))

    def post(self, endpoint: str, body, token: str | None = None, **options) -> requests.Response:
        headers = {"Authorization": f"Bearer {token or self.token}", **options.pop("headers", {})}
        return requests.post(self.metadata[endpoint], json=body, headers=headers, timeout=30, **options)

    def ask_credential(self, body) -> requests.Response:
        return self.post("credential_endpoint", body)

    def request(self, configuration: str, proofs: list[str]) -> dict:
        return {"credential_configuration_id": configuration, "proofs": {"jwt": proofs}}

    def take(self, configuration: str, holders: list[Holder]) -> list[str]:
        """One credential for each holder key, proved with one nonce."""
        nonce = self.nonce()
        answer = self.ask_credential(self.request(configuration, [self.proof(holder, nonce) for holder in holders]))
        assert answer.status_code == 200, answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Date" in answer.headers
        issued = answer.json()
        accepted = {"notification_id": issued["notification_id"], "event": "credential_accepted"}
        assert self.post("notification_endpoint", accepted).status_code == 204
        return [one["credential"] for one in issued["credentials"]]


def present(members: dict) -> dict:
    return {name: value for name, value in members.items() if value is not None}


def take(issuer, configuration: str, *holders: Holder) -> list[str]:
    """Credentials of a fresh offer."""
    made = issuer.make_offer(configuration)
    wallet = PlainWallet(made["credential_offer"])
    wallet.redeem(made["tx_code"])
    return wallet.take(configuration, list(holders))
