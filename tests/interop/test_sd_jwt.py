"""SD-JWT VC: the package `sd-jwt` (of the authors of RFC 9901) verifies what the reference wallet presents, and our
verifier refuses what is not right."""

import base64
import hashlib
import json
import time

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwcrypto.jwk import JWK
from sd_jwt.common import SDObj
from sd_jwt.holder import SDJWTHolder
from sd_jwt.issuer import SDJWTIssuer
from sd_jwt.verifier import SDJWTVerifier

from issuer import b64url, certificate_chain, from_b64url
from plain_wallet import Holder, take

AUDIENCE, NONCE = "https://checkpoint.example", "n-0S6_WzA2Mj"
ASKED = {"audience": AUDIENCE, "nonce": NONCE}
CONFIGURATIONS = {"official-card-sdjwt": "ES256", "official-card-sdjwt-eddsa": "EdDSA"}
ALWAYS_VISIBLE = {"vct", "vct#integrity", "iss", "iat", "exp", "cnf", "status"}
DEFAULT = {"full_name", "managing_agency", "employing_agency", "position_title", "card_number_masked"}
SENSITIVE = {"personal_id_number", "card_number", "date_of_birth", "gender"}


class Verifier(SDJWTVerifier):
    """The package's verifier, with the key binding algorithm that the holder's key asks for: left alone, it expects
    ES256 of every holder."""

    def _verify_key_binding_jwt(self, expected_aud, expected_nonce):
        curve = self._holder_public_key_payload["jwk"]["crv"]
        super()._verify_key_binding_jwt(expected_aud, expected_nonce, {"P-256": "ES256", "Ed25519": "EdDSA"}[curve])


def verified(issuer, presentation: str, alg: str) -> dict:
    """The claims of a presentation that the package accepts, the issuer's key taken from `x5c`."""

    def key_of(_, header):
        assert (header["typ"], header["alg"]) == ("dc+sd-jwt", alg)
        key = issuer.certified_key(certificate_chain(header["x5c"]))
        return JWK.from_pem(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    return Verifier(presentation, key_of, AUDIENCE, NONCE).get_verified_payload()


@pytest.fixture
def presentation(issuer, wallet):
    """The reference wallet takes an offer and presents the card."""

    def present(configuration: str = "official-card-sdjwt", key: str = "es256", disclose: str | None = None) -> str:
        made = issuer.make_offer(configuration)
        code = ("--tx-code", made["tx_code"], "--trust-anchor", issuer.trust_anchor_file)
        wallet("take", made["credential_offer"], *code, "--key", key)
        chosen = () if disclose is None else ("--disclose", disclose)
        return wallet("present", "--audience", AUDIENCE, "--nonce", NONCE, *chosen).strip()

    return present


@pytest.mark.parametrize("key", ["es256", "ed25519"])
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_the_default_presentation_tells_who_and_not_more(issuer, presentation, configuration, key):
    presented = presentation(configuration, key)
    claims = verified(issuer, presented, CONFIGURATIONS[configuration])
    # The portrait and the position are only there when the record has them.
    assert DEFAULT - {"position_title"} <= set(claims) <= ALWAYS_VISIBLE | DEFAULT | {"portrait"}
    assert claims["vct"] == issuer.get(claims["vct"]).json()["vct"]
    # Subresource Integrity: standard base64 over the very bytes that are served.
    served = hashlib.sha256(issuer.get(claims["vct"]).content).digest()
    assert claims["vct#integrity"] == f"sha256-{base64.b64encode(served).decode()}"

    verdict = issuer.verify(presented, **ASKED)
    assert (verdict["outcome"], verdict["reasons"]) == ("valid-live", [])
    shared = set(claims) - {"cnf", "status"}
    assert {name: verdict["claims"][name] for name in shared} == {name: claims[name] for name in shared}


def test_the_holder_chooses(issuer, presentation):
    claims = verified(issuer, presentation(disclose="date_of_birth"), "ES256")
    assert set(claims) == ALWAYS_VISIBLE | {"date_of_birth"}


def test_all_that_is_not_disclosed_is_out_of_sight(issuer):
    """What is sensitive stands in disclosures alone, and their number does not show in the digests."""
    holder = Holder("ES256")
    [card] = take(issuer, "official-card-sdjwt", holder)
    jwt, *disclosures, last = card.split("~")
    assert last == ""
    claims = json.loads(from_b64url(jwt.split(".")[1]))
    assert not SENSITIVE & set(claims)
    assert len(claims["_sd"]) == 16 > len(disclosures)
    assert claims["_sd"] == sorted(claims["_sd"], key=from_b64url)
    names = {json.loads(from_b64url(one))[1] for one in disclosures}
    assert SENSITIVE - {"gender"} <= names


@pytest.mark.parametrize("kind", ["ES256", "EdDSA"])
def test_a_card_in_another_wallet_is_presented_by_the_package(issuer, kind):
    """The package's holder selects and, for the algorithm that it knows, binds; our verifier accepts it."""
    holder = Holder(kind)
    [card] = take(issuer, "official-card-sdjwt", holder)
    selection = SDJWTHolder(card)
    private = {**holder.jwk, "d": private_part(holder)}
    selection.create_presentation(
        {"full_name": True, "employing_agency": True}, NONCE, AUDIENCE, JWK(**private), sign_alg=kind
    )
    verdict = issuer.verify(selection.sd_jwt_presentation, **ASKED)
    assert verdict["outcome"] == "valid-live"
    assert {"full_name", "employing_agency"} == set(verdict["claims"]) - ALWAYS_VISIBLE


def private_part(holder: Holder) -> str:
    if holder.alg == "ES256":
        return b64url(holder.private.private_numbers().private_value.to_bytes(32))
    return b64url(holder.private.private_bytes_raw())


class TestRefused:
    """By our verifier; each starts from what it accepts."""

    @pytest.fixture
    def holder(self) -> Holder:
        return Holder("ES256")

    @pytest.fixture
    def card(self, issuer, holder) -> str:
        [card] = take(issuer, "official-card-sdjwt", holder)
        assert issuer.verify(bound(holder, card), **ASKED)["outcome"] == "valid-live"
        return card

    def test_a_changed_claim(self, issuer, holder, card):
        jwt, disclosure, *rest = card.split("~")
        salt, name, _ = json.loads(from_b64url(disclosure))
        forged = b64url(json.dumps([salt, name, "Nguyễn Văn Giả"]).encode())
        issuer.refuses(bound(holder, "~".join([jwt, forged, *rest])), "damaged", **ASKED)

    def test_an_added_claim(self, issuer, holder, card):
        added = b64url(json.dumps(["c2FsdA", "rank", "minister"]).encode())
        issuer.refuses(bound(holder, f"{card}{added}~"), "damaged", **ASKED)

    def test_a_repeated_disclosure(self, issuer, holder, card):
        issuer.refuses(bound(holder, card + card.split("~")[1] + "~"), "damaged", **ASKED)

    def test_a_changed_payload(self, issuer, holder, card):
        jwt, *rest = card.split("~")
        header, payload, signature = jwt.split(".")
        claims = json.loads(from_b64url(payload)) | {"exp": int(time.time()) + 10**9}
        forged = f"{header}.{b64url(json.dumps(claims).encode())}.{signature}"
        issuer.refuses(bound(holder, "~".join([forged, *rest])), "bad_signature", **ASKED)

    def test_a_thief_without_the_key(self, issuer, card):
        issuer.refuses(bound(Holder("ES256"), card), "proof_wrong", **ASKED)

    def test_a_stripped_key_binding(self, issuer, holder, card):
        issuer.refuses(bound(holder, card).rpartition("~")[0] + "~", "proof_missing", **ASKED)

    def test_a_presentation_to_somebody_else(self, issuer, holder, card):
        issuer.refuses(bound(holder, card, audience="https://another.example"), "proof_for_another", **ASKED)

    def test_a_replayed_presentation(self, issuer, holder, card):
        issuer.refuses(bound(holder, card, nonce="yesterday"), "proof_for_another", **ASKED)

    def test_another_selection_than_was_bound(self, issuer, holder, card):
        disclosures, _, binding = bound(holder, card).rpartition("~")
        fewer = disclosures.rpartition("~")[0]
        issuer.refuses(f"{fewer}~{binding}", "proof_for_another", **ASKED)

    def test_a_card_of_an_issuer_of_their_own(self, issuer, holder, card):
        """The genuine certificates over a card that another key has signed, made by the package itself."""
        genuine = json.loads(from_b64url(card.split(".")[0]))
        claims = json.loads(from_b64url(card.split(".")[1]))
        claims = {name: claims[name] for name in ALWAYS_VISIBLE} | {SDObj("full_name"): "Nguyễn Văn Giả"}
        forger = JWK.generate(kty="EC", crv="P-256")
        header = {"typ": "dc+sd-jwt", "x5c": genuine["x5c"]}
        forged = SDJWTIssuer(claims, forger, extra_header_parameters=header).sd_jwt_issuance
        issuer.refuses(bound(holder, forged), "bad_signature", **ASKED)


def bound(holder: Holder, presented: str, audience: str = AUDIENCE, nonce: str = NONCE) -> str:
    return holder.key_binding(presented, b64url(hashlib.sha256(presented.encode()).digest()), audience, nonce)
