"""The change feed, verified by a JOSE library that knows nothing of us, from the pinned root on."""

import json

import pytest
import requests
from cryptography import x509
from jwcrypto import jwk, jws

from issuer import certificate_chain

USE = "urn:vn:officials-card:use:events"


def page(issuer, after: int, **parameters: int) -> dict:
    """The payload of a page whose signature leads back to the root."""
    answer = requests.get(
        f"{issuer.url}/api/v1/events", params={"after": after, **parameters}, headers=issuer.backend, timeout=40
    )
    assert answer.ok, answer.text
    assert answer.headers["Content-Type"] == "application/jwt"
    return verified(issuer, answer.text)


def verified(issuer, compact: str) -> dict:
    token = jws.JWS()
    token.deserialize(compact)
    assert token.jose_header["typ"] == "officials-card-events+jwt"
    chain = certificate_chain(token.jose_header["x5c"])
    key = issuer.certified_key(chain)
    names = x509.load_der_x509_certificate(chain[0]).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert USE in names.value.get_values_for_type(x509.UniformResourceIdentifier)
    token.verify(jwk.JWK.from_pyca(key))
    return json.loads(token.payload)


def test_a_page_is_proved_and_follows_on_the_one_before(issuer):
    card = issuer.make_offer()["card"]
    before = page(issuer, 0, limit=500)
    assert (before["iss"], before["aud"]) == (issuer.url, "vneid-backend")
    assert [event["seq"] for event in before["events"]] == list(range(1, before["next"] + 1))
    issuer.call(f"cards/{card}/lock", {"reason": "lost"})
    issuer.call(f"cards/{card}/unlock", {"reason": "found"})
    after = page(issuer, before["next"], wait=20)
    told = [(event["kind"], event["card"], event["reason"]) for event in after["events"]]
    assert told == [("card.locked", card, "lost"), ("card.unlocked", card, "found")]
    assert issuer.person not in json.dumps([before, after])


def test_a_changed_page_is_no_page(issuer):
    issuer.make_offer()
    answer = requests.get(f"{issuer.url}/api/v1/events", headers=issuer.backend, timeout=30)
    header, payload, signature = answer.text.split(".")
    other = payload[:-8] + ("A" if payload[-8] != "A" else "B") + payload[-7:]
    with pytest.raises(jws.InvalidJWSSignature):
        verified(issuer, f"{header}.{other}.{signature}")


def test_thousands_of_lines_to_a_client_that_reads_nothing_before_it_has_sent_all(issuer):
    """As requests does: answers must wait for their reader without holding the lines up."""
    line = {"personal_id_number": issuer.person, "assurance_level": 2, "configurations": ["official-card-qr"]}
    lines = "".join(json.dumps({**line, "idempotency_key": f"bulk {at}"}) + "\n" for at in range(5000))
    headers = {**issuer.backend, "Content-Type": "application/x-ndjson"}

    def send() -> list[dict]:
        answer = requests.post(f"{issuer.url}/api/v1/offers:bulk", data=lines, headers=headers, timeout=120)
        assert answer.ok, answer.text
        return [json.loads(text) for text in answer.text.splitlines()]

    first = send()
    assert [answer["line"] for answer in first] == list(range(1, 5001))
    assert all("offer" in answer for answer in first)
    assert send() == first
