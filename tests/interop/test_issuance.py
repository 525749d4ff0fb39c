"""OpenID4VCI 1.0 with a wallet that is not ours: the whole flow, and every error code that it can meet."""

import itertools
import json
import re
import time

import pytest
import requests

from issuer import Mdoc, Sign1, from_b64url
from plain_wallet import Holder, PlainWallet, present

SD_JWT, SD_JWT_EDDSA, QR = "official-card-sdjwt", "official-card-sdjwt-eddsa", "official-card-qr"
MDOC = "official-card-mdoc"
KINDS = ("ES256", "EdDSA")


@pytest.fixture
def offered(issuer) -> tuple[PlainWallet, str]:
    """A wallet with an offer that is not redeemed yet, and its transaction code."""
    made = issuer.make_offer(SD_JWT, QR)
    return PlainWallet(made["credential_offer"]), made["tx_code"]


@pytest.fixture
def redeemed(offered) -> PlainWallet:
    wallet, tx_code = offered
    wallet.redeem(tx_code)
    return wallet


def refused(answer: requests.Response, error: str, status: int = 400) -> None:
    """The error code, in the form that RFC 6749 section 5.2 and OpenID4VCI section 8.3.1.2 ask for."""
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(answer.json()) == {"error", "error_description"}
    description = answer.json()["error_description"]
    assert description.isascii()
    assert not set('"\\') & set(description)


def unlinkable_part(configuration: str, credential: str) -> tuple[dict, int, set]:
    """The holder key as far as the issuer signed it, the status index, and the digests."""
    if configuration == QR:
        claims = Sign1(from_b64url(credential)).payload
        return claims[8][1], claims[65535]["status_list"]["idx"], set()
    if configuration == MDOC:
        mso = Mdoc(credential).mso
        digests = {digest for namespace in mso["valueDigests"].values() for digest in namespace.values()}
        return mso["deviceKeyInfo"]["deviceKey"], mso["status"]["status_list"]["idx"], digests
    claims = json.loads(from_b64url(credential.split(".")[1]))
    return claims["cnf"]["jwk"], claims["status"]["status_list"]["idx"], set(claims["_sd"])


def bound_x(key: dict) -> bytes:
    """The x coordinate of a JWK or COSE_Key: enough to tell three random keys apart."""
    return key[-2] if -2 in key else from_b64url(key["x"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("configuration", [SD_JWT, SD_JWT_EDDSA, QR, MDOC])
def test_a_batch_is_bound_to_its_keys_and_cannot_be_linked(issuer, configuration, kind):
    made = issuer.make_offer(configuration)
    wallet = PlainWallet(made["credential_offer"])
    assert wallet.offer["credential_configuration_ids"] == [configuration]
    metadata = wallet.metadata["credential_configurations_supported"][configuration]
    assert kind in metadata["proof_types_supported"]["jwt"]["proof_signing_alg_values_supported"]
    wallet.redeem(made["tx_code"])
    holders = [Holder(kind) for _ in range(3)]
    credentials = wallet.take(configuration, holders)
    keys, indices, digests = zip(*(unlinkable_part(configuration, one) for one in credentials), strict=True)
    assert [bound_x(key) for key in keys] == [from_b64url(holder.jwk["x"]) for holder in holders]
    assert len(set(indices)) == 3
    assert indices[1] - indices[0] != indices[2] - indices[1], "an arithmetic progression is predictable"
    for one, other in itertools.combinations(digests, 2):
        assert not one & other, "a salt is used twice"


def test_a_lost_answer_is_had_again_by_the_same_request(redeemed):
    proof = redeemed.proof(Holder("ES256"), redeemed.nonce())
    first, again = (redeemed.ask_credential(redeemed.request(SD_JWT, [proof])).json() for _ in range(2))
    assert first["notification_id"] == again["notification_id"]
    indices = [unlinkable_part(SD_JWT, one["credentials"][0]["credential"])[1] for one in (first, again)]
    assert indices[0] == indices[1], "a second card was issued"


class TestToken:
    def test_a_wrong_transaction_code(self, offered):
        wallet, tx_code = offered
        wrong = "000000" if tx_code != "000000" else "000001"
        refused(wallet.ask_token(tx_code=wrong), "invalid_grant")
        wallet.redeem(tx_code)

    def test_guessing_closes_the_offer(self, offered):
        wallet, tx_code = offered
        wrong = (f"{number:06}" for number in range(10) if f"{number:06}" != tx_code)
        for guess in itertools.islice(wrong, 5):
            refused(wallet.ask_token(tx_code=guess), "invalid_grant")
        refused(wallet.ask_token(tx_code=tx_code), "invalid_grant")

    def test_a_missing_transaction_code(self, offered):
        refused(offered[0].ask_token(), "invalid_request")

    def test_a_code_serves_once(self, offered):
        wallet, tx_code = offered
        wallet.redeem(tx_code)
        wallet.take(SD_JWT, [Holder("ES256")])
        # Beyond the two seconds in which it would be taken for a second wallet anyway.
        time.sleep(3)
        refused(wallet.ask_token(tx_code=tx_code), "invalid_grant")

    def test_an_unknown_code(self, offered):
        wallet, tx_code = offered
        refused(wallet.ask_token(tx_code=tx_code, **{"pre-authorized_code": "made-up"}), "invalid_grant")

    def test_an_unknown_grant_type(self, offered):
        refused(offered[0].ask_token(tx_code=offered[1], grant_type="password"), "unsupported_grant_type")

    def test_unknown_parameters_are_ignored(self, offered):
        assert offered[0].ask_token(tx_code=offered[1], colour="red").status_code == 200


class TestCredentialRequest:
    @pytest.mark.parametrize(
        ("error", "change"),
        [
            ("unknown_credential_configuration", {"credential_configuration_id": "another"}),
            ("unknown_credential_identifier", {"credential_configuration_id": None, "credential_identifier": "x"}),
            ("invalid_credential_request", {"credential_identifier": "x"}),
            ("invalid_credential_request", {"credential_configuration_id": None}),
            ("invalid_credential_request", {"credential_configuration_id": 7}),
            ("invalid_credential_request", {"proofs": {"jwt": []}}),
            ("invalid_credential_request", {"proofs": {"jwt": "text"}}),
            ("invalid_credential_request", {"proofs": {"jwt": ["a.b.c"], "attestation": ["a.b.c"]}}),
            ("invalid_credential_request", {"proofs": {"attestation": ["a.b.c", "a.b.c"]}}),
            ("invalid_proof", {"proofs": None}),
            ("invalid_proof", {"proofs": {"attestation": ["a.b.c"]}}),
            ("invalid_encryption_parameters", {"credential_response_encryption": {"enc": "A128GCM"}}),
            ("credential_request_denied", {"credential_configuration_id": SD_JWT_EDDSA}),
        ],
    )
    def test_the_shape_decides_the_error(self, redeemed, error, change):
        body = redeemed.request(SD_JWT, [redeemed.proof(Holder("ES256"), redeemed.nonce())]) | change
        refused(redeemed.ask_credential(present(body)), error)

    def test_more_proofs_than_a_batch(self, redeemed):
        nonce = redeemed.nonce()
        size = redeemed.metadata["batch_credential_issuance"]["batch_size"]
        proofs = [redeemed.proof(Holder("EdDSA"), nonce) for _ in range(size + 1)]
        refused(redeemed.ask_credential(redeemed.request(SD_JWT, proofs)), "invalid_credential_request")
        assert redeemed.ask_credential(redeemed.request(SD_JWT, proofs[:size])).status_code == 200

    def test_not_an_object(self, redeemed):
        refused(redeemed.ask_credential(["proofs"]), "invalid_credential_request")

    def test_an_encrypted_request(self, redeemed):
        headers = {"Authorization": f"Bearer {redeemed.token}", "Content-Type": "application/jwt"}
        answer = requests.post(redeemed.metadata["credential_endpoint"], "a.b.c.d.e", headers=headers, timeout=30)
        refused(answer, "invalid_encryption_parameters")

    def test_unknown_members_are_ignored(self, redeemed):
        body = redeemed.request(SD_JWT, [redeemed.proof(Holder("ES256"), redeemed.nonce())])
        assert redeemed.ask_credential({**body, "colour": "red"}).status_code == 200


class TestProof:
    """Every way in which a proof may be wrong that a wallet's developer may meet."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize(
        ("header", "payload"),
        [
            ({"typ": "JWT"}, {}),
            ({"typ": None}, {}),
            ({"alg": "none"}, {}),
            ({"alg": "HS256"}, {}),
            ({"alg": "ES384"}, {}),
            ({"jwk": None}, {}),
            ({"jwk": None, "kid": "did:example:1#0"}, {}),
            ({"kid": "did:example:1#0"}, {}),
            ({"crit": ["b64"], "b64": True}, {}),
            ({}, {"aud": "https://another.example"}),
            ({}, {"aud": None}),
            ({}, {"nonce": None}),
            ({}, {"iat": None}),
            ({}, {"iat": int(time.time()) - 86_400}),
            ({}, {"iat": int(time.time()) + 86_400}),
            ({}, {"iss": "an-anonymous-wallet-is-nobody"}),
        ],
    )
    def test_is_refused(self, redeemed, kind, header, payload):
        holder, nonce = Holder(kind), redeemed.nonce()
        wrong = redeemed.proof(holder, nonce, header, payload)
        refused(redeemed.ask_credential(redeemed.request(SD_JWT, [wrong])), "invalid_proof")
        right = redeemed.proof(holder, nonce)
        assert redeemed.ask_credential(redeemed.request(SD_JWT, [right])).ok, "a refusal used the nonce up"

    @pytest.mark.parametrize("kind", KINDS)
    def test_by_another_key_is_refused(self, redeemed, kind):
        wrong = redeemed.proof(Holder(kind), redeemed.nonce(), {"jwk": Holder(kind).jwk})
        refused(redeemed.ask_credential(redeemed.request(SD_JWT, [wrong])), "invalid_proof")

    def test_with_a_private_key_is_refused(self, redeemed):
        holder = Holder("ES256")
        wrong = redeemed.proof(holder, redeemed.nonce(), {"jwk": {**holder.jwk, "d": "AA"}})
        refused(redeemed.ask_credential(redeemed.request(SD_JWT, [wrong])), "invalid_proof")

    def test_of_the_same_key_twice_is_refused(self, redeemed):
        holder, nonce = Holder("EdDSA"), redeemed.nonce()
        proofs = [redeemed.proof(holder, nonce, payload={"jti": number}) for number in (1, 2)]
        refused(redeemed.ask_credential(redeemed.request(SD_JWT, proofs)), "invalid_proof")

    def test_one_wrong_proof_refuses_the_batch(self, redeemed):
        nonce = redeemed.nonce()
        wrong = redeemed.proof(Holder("ES256"), nonce, payload={"aud": "https://another.example"})
        proofs = [redeemed.proof(Holder("ES256"), nonce), wrong]
        refused(redeemed.ask_credential(redeemed.request(SD_JWT, proofs)), "invalid_proof")


class TestNonce:
    def test_a_made_up_one(self, redeemed):
        proof = redeemed.proof(Holder("ES256"), "made-up")
        refused(redeemed.ask_credential(redeemed.request(SD_JWT, [proof])), "invalid_nonce")

    def test_serves_once(self, redeemed):
        nonce = redeemed.nonce()
        first, second = (redeemed.request(SD_JWT, [redeemed.proof(Holder("ES256"), nonce)]) for _ in range(2))
        assert redeemed.ask_credential(first).status_code == 200
        refused(redeemed.ask_credential(second), "invalid_nonce")


def challenges(answer: requests.Response) -> list[str]:
    """The schemes by which the answer says that a token is needed."""
    return re.findall(r"(?:^|, )(DPoP|Bearer)\b", answer.headers["WWW-Authenticate"])


class TestAccessToken:
    @pytest.fixture
    def request_body(self, redeemed) -> dict:
        return redeemed.request(SD_JWT, [redeemed.proof(Holder("ES256"), redeemed.nonce())])

    def unauthorized(self, answer: requests.Response) -> None:
        """RFC 6750 section 3, and RFC 9449 section 7.1: either kind of token would do."""
        refused(answer, "invalid_token", 401)
        assert challenges(answer) == ["DPoP", "Bearer"]

    def test_is_needed(self, redeemed, request_body):
        answer = requests.post(redeemed.metadata["credential_endpoint"], json=request_body, timeout=30)
        assert answer.status_code == 401
        assert challenges(answer) == ["DPoP", "Bearer"]
        assert "error" not in answer.headers["WWW-Authenticate"]

    def test_must_be_known(self, redeemed, request_body):
        self.unauthorized(redeemed.post("credential_endpoint", request_body, token="made-up"))

    def test_is_not_looked_for_in_the_address(self, redeemed, request_body):
        endpoint, query = redeemed.metadata["credential_endpoint"], {"access_token": redeemed.token}
        answer = requests.post(endpoint, json=request_body, params=query, timeout=30)
        assert answer.status_code == 401
        assert redeemed.ask_credential(request_body).status_code == 200, "the token itself was good"

    def test_of_a_program_is_none_of_a_wallet(self, issuer, redeemed, request_body):
        token = issuer.backend["Authorization"].removeprefix("Bearer ")
        self.unauthorized(redeemed.post("credential_endpoint", request_body, token=token))


class TestNotification:
    def test_is_idempotent_and_ignores_unknown_members(self, redeemed):
        proof = redeemed.proof(Holder("ES256"), redeemed.nonce())
        issued = redeemed.ask_credential(redeemed.request(SD_JWT, [proof])).json()
        body = {"notification_id": issued["notification_id"], "event": "credential_deleted", "colour": "red"}
        for _ in range(2):
            assert redeemed.post("notification_endpoint", body).status_code == 204

    def test_of_an_unknown_issuance(self, redeemed):
        body = {"notification_id": "made-up", "event": "credential_accepted"}
        refused(redeemed.post("notification_endpoint", body), "invalid_notification_id")

    @pytest.mark.parametrize("event", ["CREDENTIAL_ACCEPTED", "", None])
    def test_of_an_unknown_event(self, redeemed, event):
        body = {"notification_id": "any", "event": event}
        refused(redeemed.post("notification_endpoint", body), "invalid_notification_request")


def test_an_offer_is_fetched_until_it_is_redeemed(offered):
    wallet, tx_code = offered
    wallet.redeem(tx_code)
    assert requests.get(wallet.reference, timeout=30).status_code == 410
