"""A wallet that presents online (OpenID4VP 1.0, HAIP 1.0), made of other people's libraries: jwcrypto reads the request and
encrypts the answer, `sd-jwt` binds a card, pycose signs for a device. The session transcript is computed here by the
letter of appendix B.2.6."""

import hashlib
import json
import os
from urllib.parse import parse_qs, urlsplit

import cbor2
import requests
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS
from pycose.algorithms import Es256
from pycose.headers import Algorithm
from pycose.keys import EC2Key
from pycose.keys.curves import P256
from pycose.messages import Sign1Message
from sd_jwt.holder import SDJWTHolder

from issuer import b64url, certificate_chain, encoded, from_b64url
from plain_wallet import Holder

REQUEST_TYPE = "application/oauth-authz-req+jwt"
DOCTYPE = NAMESPACE = "vn.gov.moha.officials-card.1"


class Request:
    """A signed request that is believed: `claims`, and who signed it."""

    def __init__(self, issuer, text: str):
        jws = JWS()
        jws.deserialize(text)
        header = json.loads(jws.objects["protected"])
        assert header["typ"] == "oauth-authz-req+jwt"
        assert header["alg"] == "ES256"
        assert not {"jwk", "jku", "x5u"} & set(header)
        self.chain = certificate_chain(header["x5c"])
        key = issuer.certified_key(self.chain)
        jws.verify(JWK.from_pem(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)), alg="ES256")
        self.claims = json.loads(jws.payload)
        self.client_id = self.claims["client_id"]
        # Section 5.9.3: of the leaf as it is, not of its key.
        assert self.client_id == f"x509_hash:{b64url(hashlib.sha256(self.chain[0]).digest())}"
        [key] = self.claims["client_metadata"]["jwks"]["keys"]
        self.key, self.kid = JWK(**key), key["kid"]
        assert not self.key.has_private
        assert (key["kty"], key["crv"], key["alg"]) == ("EC", "P-256", "ECDH-ES")

    @classmethod
    def fetch(cls, issuer, link: str, wallet_nonce: str | None = None) -> "Request":
        """Follows a link, as its method says."""
        link = {name: value for name, [value] in parse_qs(urlsplit(link).query, strict_parsing=True).items()}
        if link.pop("request_uri_method", "get") == "post":
            form = {"wallet_nonce": wallet_nonce, "wallet_metadata": '{"vp_formats_supported": {"dc+sd-jwt": {}}}'}
            answer = requests.post(link["request_uri"], data=form, headers={"Accept": REQUEST_TYPE}, timeout=30)
        else:
            answer = requests.get(link["request_uri"], allow_redirects=False, timeout=30)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == REQUEST_TYPE
        request = cls(issuer, answer.text)
        assert set(link) == {"client_id", "request_uri"}
        assert link["client_id"] == request.client_id
        assert request.claims.get("wallet_nonce") == wallet_nonce
        return request

    @property
    def queries(self) -> dict[str, dict]:
        """The credential queries by their formats."""
        return {query["format"]: query for query in self.claims["dcql_query"]["credentials"]}

    def session(self, **changes: str) -> list:
        """The session transcript; `changes` are what somebody else would have put there."""
        said = {"nonce": self.claims["nonce"], **changes}
        thumbprint = said.get("thumbprint", from_b64url(self.key.thumbprint()))
        if "response_uri" in self.claims:
            uri = said.get("response_uri", self.claims["response_uri"])
            name, information = "OpenID4VPHandover", [self.client_id, said["nonce"], thumbprint, uri]
        else:
            origin = said.get("origin", self.claims["expected_origins"][0])
            name, information = "OpenID4VPDCAPIHandover", [origin, said["nonce"], thumbprint]
        return [None, None, [name, hashlib.sha256(cbor2.dumps(information)).digest()]]

    @property
    def audience(self) -> str:
        if "response_uri" in self.claims:
            return self.client_id
        return f"origin:{self.claims['expected_origins'][0]}"

    def seal(self, answer: dict, enc: str = "A256GCM") -> str:
        """The answer encrypted, with the random `apu` and `apv` that a wallet may put there."""
        assert enc in self.claims["client_metadata"]["encrypted_response_enc_values_supported"]
        header = {"alg": "ECDH-ES", "enc": enc, "kid": self.kid, "cty": "json"}
        header |= {"apu": b64url(os.urandom(16)), "apv": b64url(os.urandom(16))}
        jwe = JWE(json.dumps(answer).encode(), protected=json.dumps(header), recipient=self.key)
        return jwe.serialize(compact=True)

    def answer(self, query: str, presentation: str) -> dict:
        answer = {"vp_token": {query: [presentation]}}
        return answer | ({"state": self.claims["state"]} if "state" in self.claims else {})

    def post(self, form: dict) -> requests.Response:
        return requests.post(self.claims["response_uri"], data=form, allow_redirects=False, timeout=30)

    def tell(self, answer: dict, enc: str = "A256GCM") -> requests.Response:
        return self.post({"response": self.seal(answer, enc)})


def sd_jwt(request: Request, card: str, holder: Holder, claims: set[str], **changes: str) -> str:
    """The card with these claims, bound by the package to the request; `changes` are another nonce or audience."""
    said = {"nonce": request.claims["nonce"], "audience": request.audience, **changes}
    selection = SDJWTHolder(card)
    private = b64url(holder.private.private_numbers().private_value.to_bytes(32))
    key = JWK(**holder.jwk, d=private)
    selection.create_presentation(dict.fromkeys(claims, True), said["nonce"], said["audience"], key, sign_alg="ES256")
    return selection.sd_jwt_presentation


def device_response(card: str, holder: Holder, elements: set[str], session: list, change=None) -> bytes:
    """A DeviceResponse of ISO/IEC 18013-5 section 8.3 with these elements, signed by pycose for the session. `change` alters
    the document once it is signed."""
    issuer_signed = cbor2.loads(from_b64url(card))
    items = issuer_signed["nameSpaces"][NAMESPACE]
    chosen = [item for item in items if cbor2.loads(encoded(item))["elementIdentifier"] in elements]
    issuer_signed["nameSpaces"] = {NAMESPACE: chosen}
    nothing = cbor2.CBORTag(24, cbor2.dumps({}))
    authentication = cbor2.dumps(["DeviceAuthentication", session, DOCTYPE, nothing])
    numbers = holder.private.private_numbers()
    x, y = (part.to_bytes(32) for part in (numbers.public_numbers.x, numbers.public_numbers.y))
    message = Sign1Message(phdr={Algorithm: Es256}, key=EC2Key(crv=P256, x=x, y=y, d=numbers.private_value.to_bytes(32)))
    signature = message.encode(tag=False, detached_payload=cbor2.dumps(cbor2.CBORTag(24, authentication)))
    signed = {"nameSpaces": nothing, "deviceAuth": {"deviceSignature": cbor2.loads(signature)}}
    document = {"docType": DOCTYPE, "issuerSigned": issuer_signed, "deviceSigned": signed}
    if change:
        change(document)
    return cbor2.dumps({"version": "1.0", "documents": [document], "status": 0})
