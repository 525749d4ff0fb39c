"""Token Status Lists, read by the letter of the draft: JWT and CWT, inflated by zlib, in every state of a card."""

import json
import time
import zlib

import pytest

from issuer import Sign1, certificate_chain, from_b64url, verify_signature
from plain_wallet import Holder, take

STATUS_LISTS = 2
VALID, INVALID, SUSPENDED = 0, 1, 2


def as_jwt(issuer, uri: str) -> tuple[int, bytes]:
    """Bits and compressed list of the JWT (section 5.1), its signature led back to the root."""
    answer = issuer.get(uri, Accept="application/statuslist+jwt")
    assert answer.headers["Content-Type"] == "application/statuslist+jwt"
    header, payload, signature = answer.text.split(".")
    claims, protected = (json.loads(from_b64url(part)) for part in (payload, header))
    assert protected["typ"] == "statuslist+jwt"
    key = issuer.certified_key(certificate_chain(protected["x5c"]))
    verify_signature(key, protected["alg"], from_b64url(signature), f"{header}.{payload}".encode())
    current(uri, claims["sub"], claims["iat"], claims["exp"], claims["ttl"])
    return claims["status_list"]["bits"], from_b64url(claims["status_list"]["lst"])


def as_cwt(issuer, uri: str) -> tuple[int, bytes]:
    """The same of the CWT (section 5.2), verified with the key of the trust list."""
    answer = issuer.get(uri, Accept="application/statuslist+cwt")
    assert answer.headers["Content-Type"] == "application/statuslist+cwt"
    token = Sign1(answer.content)
    assert token.protected[16] == "application/statuslist+cwt"
    chain = token.unprotected[33]
    key = issuer.certified_key(chain if isinstance(chain, list) else [chain])
    assert key.public_bytes_raw() == issuer.trusted_key(token.protected[4], STATUS_LISTS)[-2]
    token.verify(key)
    current(uri, token.payload[2], token.payload[6], token.payload[4], token.payload[65534])
    return token.payload[65533]["bits"], token.payload[65533]["lst"]


def current(uri: str, subject: str, issued_at: int, expires_at: int, ttl: int) -> None:
    assert subject == uri
    assert issued_at <= time.time() + 1 < expires_at
    assert 0 < ttl < expires_at - issued_at


def status(bits: int, compressed: bytes, index: int) -> int:
    """Section 4.1: the lowest bits of a byte come first."""
    entries = zlib.decompress(compressed)
    place = index * bits
    return entries[place // 8] >> place % 8 & (1 << bits) - 1


@pytest.fixture(params=["official-card-sdjwt", "official-card-qr"])
def card(issuer, request) -> tuple[str, str, int]:
    """A card's handle, and where the status of its one copy stands."""
    made = issuer.make_offer(request.param)
    [credential] = take(issuer, request.param, Holder("ES256"))
    if request.param == "official-card-qr":
        reference = Sign1(from_b64url(credential)).payload[65535]
    else:
        reference = json.loads(from_b64url(credential.split(".")[1]))["status"]
    return made["card"], reference["status_list"]["uri"], reference["status_list"]["idx"]


@pytest.mark.parametrize("read", [as_jwt, as_cwt])
def test_locking_and_withdrawing_show_at_once(issuer, card, read):
    handle, uri, index = card

    def now() -> int:
        return status(*read(issuer, uri), index)

    assert now() == VALID
    issuer.call(f"cards/{handle}/lock", {"reason": "lost"})
    assert now() == SUSPENDED
    issuer.call(f"cards/{handle}/unlock", {"reason": "found"})
    assert now() == VALID
    issuer.call(f"cards/{handle}/withdraw", {"reason": "resigned"})
    assert now() == INVALID


def test_both_forms_tell_the_same(issuer, card):
    _, uri, _ = card
    (bits, jwt), (cwt_bits, cwt) = as_jwt(issuer, uri), as_cwt(issuer, uri)
    assert bits == cwt_bits == 2
    assert zlib.decompress(jwt) == zlib.decompress(cwt)


def test_the_aggregation_names_the_list(issuer, card):
    _, uri, _ = card
    server = issuer.get("/.well-known/oauth-authorization-server").json()
    assert uri in issuer.get(server["status_list_aggregation_endpoint"]).json()["status_lists"]


def test_the_reference_wallet_sees_its_card_withdrawn(issuer, wallet):
    made = issuer.make_offer()
    anchors = ("--trust-anchor", issuer.trust_anchor_file, issuer.iaca_file)
    wallet("take", made["credential_offer"], "--tx-code", made["tx_code"], *anchors)
    for step, reason, word in [
        (None, None, "in force"),
        ("lock", "lost", "locked"),
        ("withdraw", "lost", "withdrawn"),
    ]:
        if step:
            issuer.call(f"cards/{made['card']}/{step}", {"reason": reason})
        assert wallet("show").count(f"· {word}") == 4, "one card of each configuration"
