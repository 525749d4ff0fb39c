"""Encrypted messages by jwcrypto, and keys attested by a wallet provider that is not ours."""

import json
import os
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator

import pytest
import requests
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK

from attester import Attester
from issuer import Issuer, from_b64url
from plain_wallet import Holder, PlainWallet

SD_JWT = "official-card-sdjwt"
START_SECONDS = 60


def redeemed(issuer: Issuer) -> PlainWallet:
    made = issuer.make_offer(SD_JWT)
    wallet = PlainWallet(made["credential_offer"])
    wallet.redeem(made["tx_code"])
    return wallet


def bound_keys(answer: dict) -> list[dict]:
    claims = [json.loads(from_b64url(one["credential"].split(".")[1])) for one in answer["credentials"]]
    return [one["cnf"]["jwk"] for one in claims]


class Envelope:
    """A wallet that encrypts (section 10), with jwcrypto on both ways."""

    def __init__(self, wallet: PlainWallet):
        self.wallet = wallet
        offered = wallet.metadata["credential_request_encryption"]
        [self.issuer_key] = offered["jwks"]["keys"]
        self.own = JWK.generate(kty="EC", crv="P-256", kid="answer-1", alg="ECDH-ES", use="enc")

    def asks(self, enc: str, **more: str) -> dict:
        return {"jwk": self.own.export_public(as_dict=True), "enc": enc, **more}

    def seal(self, request: dict, enc: str, **more: str) -> str:
        header = {"alg": self.issuer_key["alg"], "enc": enc, "kid": self.issuer_key["kid"], "cty": "json", **more}
        sealed = JWE(json.dumps(request).encode(), protected=json.dumps(header))
        sealed.add_recipient(JWK(**self.issuer_key))
        return sealed.serialize(compact=True)

    def post(self, sealed: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.wallet.token}", "Content-Type": "application/jwt"}
        return requests.post(self.wallet.metadata["credential_endpoint"], sealed, headers=headers, timeout=30)

    def open(self, answer: requests.Response) -> tuple[dict, dict]:
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == "application/jwt"
        assert answer.headers["Cache-Control"] == "no-store"
        opened = JWE()
        opened.deserialize(answer.text, key=self.own)
        return json.loads(opened.objects["protected"]), json.loads(opened.payload)


@pytest.mark.parametrize("zipped", [{}, {"zip": "DEF"}])
@pytest.mark.parametrize("enc", ["A128GCM", "A256GCM"])
def test_a_request_and_its_answer_are_encrypted(issuer, enc, zipped):
    wallet, holder = redeemed(issuer), Holder("ES256")
    envelope = Envelope(wallet)
    for direction in ("credential_request_encryption", "credential_response_encryption"):
        offered = wallet.metadata[direction]
        assert enc in offered["enc_values_supported"]
        assert offered["zip_values_supported"] == ["DEF"]
        assert offered["encryption_required"] is False
    request = wallet.request(SD_JWT, [wallet.proof(holder, wallet.nonce())])
    request["credential_response_encryption"] = envelope.asks(enc, **zipped)
    header, answer = envelope.open(envelope.post(envelope.seal(request, enc, **zipped)))
    assert {"alg": "ECDH-ES", "enc": enc, "kid": "answer-1", **zipped}.items() <= header.items()
    assert ("zip" in header) == bool(zipped)
    assert bound_keys(answer) == [holder.jwk]


def test_a_refusal_is_told_in_the_clear(issuer):
    wallet = redeemed(issuer)
    envelope = Envelope(wallet)
    nonce = wallet.nonce()
    request = wallet.request(SD_JWT, [wallet.proof(Holder("ES256"), nonce)])
    request["credential_response_encryption"] = envelope.asks("A128GCM")
    unsupported = json.loads(json.dumps(request))
    unsupported["credential_response_encryption"]["jwk"]["alg"] = "UNSUPPORTED_ALG"
    for wrong, error in (
        (unsupported, "invalid_encryption_parameters"),
        ({**request, "credential_configuration_id": "other"}, "unknown_credential_configuration"),
        ({**request, "proofs": {"jwt": ["x"]}}, "invalid_proof"),
    ):
        answer = envelope.post(envelope.seal(wrong, "A128GCM"))
        assert (answer.status_code, answer.json()["error"]) == (400, error)
        assert set(answer.json()) == {"error", "error_description"}
    in_the_clear = wallet.ask_credential(request)
    assert (in_the_clear.status_code, in_the_clear.json()["error"]) == (400, "invalid_encryption_parameters")
    bomb = envelope.seal({**request, "x": "0" * (16 << 20)}, "A128GCM", zip="DEF")
    answer = envelope.post(bomb)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_encryption_parameters")
    envelope.open(envelope.post(envelope.seal(request, "A128GCM")))


def test_the_reference_wallet_encrypts(issuer, wallet):
    made = issuer.make_offer(SD_JWT)
    code = ("--tx-code", made["tx_code"], "--trust-anchor", issuer.trust_anchor_file)
    wallet("take", made["credential_offer"], *code, "--copies", "3", "--encrypt")
    assert wallet("show").count("in force") == 3


@pytest.fixture(scope="module")
def attester() -> Attester:
    return Attester()


@pytest.fixture(scope="module")
def strict(issuer, attester, tmp_path_factory) -> Iterator[Issuer]:
    """A server of its own, on a copy of the demo's data, that requires attested keys and encrypted messages."""
    folder = tmp_path_factory.mktemp("strict")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings = issuer.settings().replace(issuer.url.removeprefix("http://"), address)
    copy = folder / "strict.db"
    with sqlite3.connect(issuer.database) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    root = folder / "attester.pem"
    root.write_text(attester.root_pem)
    settings = settings.replace(str(issuer.database), str(copy)) + f"""
[[attesters]]
name = "wallet provider"
root = "{root}"
certifies = ["keys"]

[key_attestations."{SD_JWT}"]
required = true
key_storage = ["iso_18045_moderate"]
user_authentication = ["iso_18045_moderate"]

[encryption]
requests_required = true
responses_required = true
"""
    file = folder / "officials-card.toml"
    file.write_text(settings)
    with subprocess.Popen([os.environ["OFFICIALS_CARD_BIN"], "--config", str(file), "serve"]) as process:
        try:
            wait_for(f"http://{address}/health", process)
            yield issuer.at(f"http://{address}")
        finally:
            process.terminate()


def wait_for(url: str, process: subprocess.Popen) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, "the server ended"
        try:
            if requests.get(url, timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise TimeoutError(url)


class TestKeyAttestation:
    @pytest.fixture
    def taking(self, strict) -> Envelope:
        return Envelope(redeemed(strict))

    def ask(self, taking: Envelope, proofs: dict) -> requests.Response:
        request = {"credential_configuration_id": SD_JWT, "proofs": proofs}
        request["credential_response_encryption"] = taking.asks("A256GCM", zip="DEF")
        return taking.post(taking.seal(request, "A256GCM", zip="DEF"))

    def refused(self, taking: Envelope, proofs: dict) -> None:
        answer = self.ask(taking, proofs)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_proof"), answer.text

    def test_is_told_in_the_metadata(self, taking):
        types = taking.wallet.metadata["credential_configurations_supported"][SD_JWT]["proof_types_supported"]
        levels = ["iso_18045_high", "iso_18045_moderate"]
        for name in ("jwt", "attestation"):
            assert types[name]["key_attestations_required"] == {"key_storage": levels, "user_authentication": levels}

    def test_alone_brings_a_credential_for_each_key(self, taking, attester):
        holders = [Holder("ES256") for _ in range(4)]
        attestation = attester.attest(holders, taking.wallet.nonce(), exp=None)
        _, answer = taking.open(self.ask(taking, {"attestation": [attestation]}))
        assert bound_keys(answer) == [holder.jwk for holder in holders]

    @pytest.mark.parametrize("named", ["jwk", "place"])
    def test_in_a_proof_brings_the_others_with_it(self, taking, attester, named):
        holders = [Holder("ES256"), Holder("ES256")]
        nonce = taking.wallet.nonce()
        header = {"key_attestation": attester.attest(holders, nonce)}
        if named == "place":
            header |= {"jwk": None, "kid": "1"}
        proof = taking.wallet.proof(holders[1], nonce, header)
        _, answer = taking.open(self.ask(taking, {"jwt": [proof]}))
        assert bound_keys(answer) == [holders[1].jwk, holders[0].jwk]

    @pytest.mark.parametrize(
        ("header", "claims"),
        [
            ({"typ": "JWT"}, {}),
            ({"alg": "none"}, {}),
            ({"x5c": None}, {}),
            ({"x5c": []}, {}),
            ({}, {"iat": None}),
            ({}, {"iat": int(time.time()) + 86_400}),
            ({}, {"exp": int(time.time()) - 600}),
            ({}, {"nonce": None}),
            ({}, {"attested_keys": []}),
            ({}, {"key_storage": ["iso_18045_basic"]}),
            ({}, {"key_storage": None}),
            ({}, {"user_authentication": ["iso_18045_enhanced-basic"]}),
        ],
    )
    def test_that_is_wrong_is_refused_by_either_proof_type(self, taking, attester, header, claims):
        holder, nonce = Holder("ES256"), taking.wallet.nonce()
        wrong = attester.attest([holder], nonce, header, **claims)
        self.refused(taking, {"attestation": [wrong]})
        self.refused(taking, {"jwt": [taking.wallet.proof(holder, nonce, {"key_attestation": wrong})]})
        self.refused(taking, {"jwt": [taking.wallet.proof(holder, nonce)]})
        right = attester.attest([holder], nonce)
        taking.open(self.ask(taking, {"attestation": [right]}))

    def test_by_a_stranger_is_refused(self, taking):
        holder, nonce = Holder("ES256"), taking.wallet.nonce()
        for stranger in (Attester(), Attester("Another")):
            attestation = stranger.attest([holder], nonce)
            self.refused(taking, {"attestation": [attestation]})
            self.refused(taking, {"jwt": [taking.wallet.proof(holder, nonce, {"key_attestation": attestation})]})

    def test_plain_messages_are_not_looked_at(self, taking, attester):
        attestation = attester.attest([Holder("ES256")], taking.wallet.nonce())
        request = {"credential_configuration_id": SD_JWT, "proofs": {"attestation": [attestation]}}
        answer = taking.wallet.ask_credential(request)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_encryption_parameters")
