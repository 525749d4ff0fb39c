"""Online presentations (OpenID4VP 1.0, HAIP 1.0): a wallet of other people's libraries reads our requests and answers them
with the cards that it took, and what is not right is refused while it waits."""

import json
import time

import cbor2
import pytest
import requests
from cryptography import x509
from pymdoccbor.mdoc.verifier import MdocCbor

from issuer import b64url, encoded, from_b64url
from online_wallet import DOCTYPE, NAMESPACE, Request, device_response, sd_jwt
from plain_wallet import Holder, take

TEMPLATE = "position-agency"
REFUSED = {"error": "invalid_request", "error_description": "the presentation is not accepted"}
CLAIMS = {"full_name", "employing_agency"}


@pytest.fixture(scope="module")
def holder() -> Holder:
    return Holder("ES256")


@pytest.fixture(scope="module")
def cards(issuer, holder) -> dict[str, str]:
    """One card of each format, bound to the same key."""
    formats = {"dc+sd-jwt": "official-card-sdjwt", "mso_mdoc": "official-card-mdoc"}
    return {name: take(issuer, configuration, holder)[0] for name, configuration in formats.items()}


def begin(issuer, template: str = TEMPLATE, **asked) -> dict:
    return issuer.call("presentations", {"template": template, **asked})


def seen(issuer, made: dict) -> dict:
    return requests.get(f"{issuer.url}/api/v1/presentations/{made['id']}", headers=issuer.backend, timeout=30).json()


class TestRequest:
    def test_the_link_leads_to_a_request_of_a_certified_verifier(self, issuer):
        made = begin(issuer)
        assert made["link"].startswith("openid4vp://?")
        request = Request.fetch(issuer, made["link"])
        claims = request.claims
        assert claims["response_type"] == "vp_token"
        assert claims["response_mode"] == "direct_post.jwt"
        assert claims["aud"] == "https://self-issued.me/v2"
        assert claims["response_uri"].startswith(f"{issuer.url}/vp/")
        assert "redirect_uri" not in claims
        assert claims["iat"] <= time.time() + 1 < claims["exp"]
        assert claims["nonce"] != claims["state"]
        assert all(len(from_b64url(claims[name])) >= 16 for name in ("nonce", "state"))
        leaf = x509.load_der_x509_certificate(request.chain[0])
        assert leaf.issuer != leaf.subject

    def test_the_metadata_is_what_haip_asks_for(self, issuer):
        metadata = Request.fetch(issuer, begin(issuer)["link"]).claims["client_metadata"]
        assert set(metadata) == {"jwks", "vp_formats_supported", "encrypted_response_enc_values_supported"}
        assert set(metadata["encrypted_response_enc_values_supported"]) == {"A128GCM", "A256GCM"}
        formats = metadata["vp_formats_supported"]
        assert all("ES256" in formats["dc+sd-jwt"][f"{signed}_alg_values"] for signed in ("sd-jwt", "kb-jwt"))
        assert -7 in formats["mso_mdoc"]["issuerauth_alg_values"]
        # A device's MAC is not accepted, so it is not offered.
        assert all(-65536 < alg < 0 for alg in formats["mso_mdoc"]["deviceauth_alg_values"])

    def test_every_request_has_a_key_of_its_own_and_stays_as_it_is(self, issuer):
        made = [begin(issuer) for _ in range(3)]
        first = [Request.fetch(issuer, one["link"]) for one in made]
        assert len({request.key.thumbprint() for request in first}) == 3
        assert len({request.claims["nonce"] for request in first}) == 3
        for one, request in zip(made, first, strict=True):
            again = Request.fetch(issuer, one["link"])
            volatile = {"iat", "exp"}
            assert {name: again.claims[name] for name in set(again.claims) - volatile} == {
                name: request.claims[name] for name in set(request.claims) - volatile
            }

    def test_a_wallets_nonce_comes_back_signed(self, issuer):
        made = begin(issuer, "demo-wallet")
        request = Request.fetch(issuer, made["link"], wallet_nonce="n ă+/=")
        assert request.claims["wallet_nonce"] == "n ă+/="
        assert "request_uri_method" not in request.claims


class TestSdJwt:
    @pytest.mark.parametrize("enc", ["A128GCM", "A256GCM"])
    def test_a_card_bound_by_the_package_is_verified(self, issuer, cards, holder, enc):
        made = begin(issuer)
        request = Request.fetch(issuer, made["link"])
        query = request.queries["dc+sd-jwt"]
        presented = sd_jwt(request, cards["dc+sd-jwt"], holder, CLAIMS | {"position_title", "gender"})
        answer = request.tell(request.answer(query["id"], presented), enc)
        assert (answer.status_code, answer.headers["Content-Type"], answer.json()) == (200, "application/json", {})
        end = seen(issuer, made)
        assert end["state"] == "verified"
        [credential] = end["result"]["credentials"]
        assert (credential["query"], credential["format"]) == (query["id"], "dc+sd-jwt")
        # The gender came unasked and goes nowhere.
        assert CLAIMS <= set(credential["claims"]) <= CLAIMS | {"position_title"}
        assert abs(credential["status_as_of"] - time.time()) < 60
        assert request.tell(request.answer(query["id"], presented)).status_code == 410, "one answer"

    def test_it_is_refused_when_it_was_made_for_another_question(self, issuer, cards, holder):
        other = Request.fetch(issuer, begin(issuer)["link"])
        for changes, reason in [
            ({"nonce": other.claims["nonce"]}, "binding_nonce"),
            ({"audience": "x509_hash:another"}, "binding_audience"),
        ]:
            made = begin(issuer)
            request = Request.fetch(issuer, made["link"])
            presented = sd_jwt(request, cards["dc+sd-jwt"], holder, CLAIMS, **changes)
            refuses(issuer, made, request, "dc+sd-jwt", presented, reason)

    @pytest.mark.parametrize("part", ["issuer", "disclosure", "proof", "no proof", "another proof"])
    def test_it_is_refused_when_it_was_changed(self, issuer, cards, holder, part):
        made = begin(issuer)
        request = Request.fetch(issuer, made["link"])
        binder = Holder("ES256") if part == "another proof" else holder
        presented = sd_jwt(request, cards["dc+sd-jwt"], binder, CLAIMS)
        jwt, *disclosures, proof = presented.split("~")
        if part == "issuer":
            jwt = flipped(jwt)
        elif part == "disclosure":
            salt, name, _ = json.loads(from_b64url(disclosures[0]))
            disclosures[0] = b64url(json.dumps([salt, name, "Nguyễn Văn Giả"]).encode())
        elif part == "proof":
            proof = flipped(proof)
        elif part == "no proof":
            proof = ""
        reason = {
            "issuer": "issuer_signature",
            "disclosure": "disclosure",
            "proof": "binding_signature",
            "no proof": "binding_missing",
            "another proof": "binding_signature",
        }[part]
        refuses(issuer, made, request, "dc+sd-jwt", "~".join([jwt, *disclosures, proof]), reason)


class TestMdoc:
    @pytest.mark.parametrize("enc", ["A128GCM", "A256GCM"])
    def test_a_card_that_pycose_signs_for_is_verified(self, issuer, cards, holder, enc):
        made = begin(issuer)
        request = Request.fetch(issuer, made["link"])
        query = request.queries["mso_mdoc"]
        assert query["meta"] == {"doctype_value": DOCTYPE}
        elements = CLAIMS | {"position_title", "gender"}
        response = device_response(cards["mso_mdoc"], holder, elements, request.session())
        # Another reader finds it good as well, as far as the issuer goes.
        reader = MdocCbor()
        reader.loads(response)
        assert reader.verify([issuer.iaca])
        answer = request.tell(request.answer(query["id"], b64url(response)), enc)
        assert (answer.status_code, answer.json()) == (200, {})
        end = seen(issuer, made)
        assert end["state"] == "verified"
        [credential] = end["result"]["credentials"]
        assert credential["format"] == "mso_mdoc"
        assert CLAIMS <= set(credential["claims"]) <= CLAIMS | {"position_title"}

    @pytest.mark.parametrize(
        "changes",
        [
            {"nonce": "another"},
            {"response_uri": "https://another.example/vp"},
            {"thumbprint": None},
            {"thumbprint": bytes(32)},
        ],
    )
    def test_it_is_refused_when_it_was_signed_for_another_session(self, issuer, cards, holder, changes):
        made = begin(issuer)
        request = Request.fetch(issuer, made["link"])
        response = device_response(cards["mso_mdoc"], holder, CLAIMS, request.session(**changes))
        refuses(issuer, made, request, "mso_mdoc", b64url(response), "binding_signature")

    @pytest.mark.parametrize("part", ["issuer", "element", "device", "mac", "doctype", "another device"])
    def test_it_is_refused_when_it_was_changed(self, issuer, cards, holder, part):
        def change(document: dict) -> None:
            signed, device = document["issuerSigned"], document["deviceSigned"]["deviceAuth"]
            if part == "issuer":
                signed["issuerAuth"][3] = flip(signed["issuerAuth"][3])
            elif part == "element":
                item = cbor2.loads(encoded(signed["nameSpaces"][NAMESPACE][0])) | {"elementValue": "Nguyễn Văn Giả"}
                signed["nameSpaces"][NAMESPACE][0] = cbor2.CBORTag(24, cbor2.dumps(item))
            elif part == "device":
                device["deviceSignature"][3] = flip(device["deviceSignature"][3])
            elif part == "mac":
                device["deviceMac"] = device.pop("deviceSignature")
            elif part == "doctype":
                document["docType"] = "org.iso.18013.5.1.mDL"

        made = begin(issuer)
        request = Request.fetch(issuer, made["link"])
        signer = Holder("ES256") if part == "another device" else holder
        response = device_response(cards["mso_mdoc"], signer, CLAIMS, request.session(), change)
        reason = {
            "issuer": "issuer_signature",
            "element": "disclosure",
            "device": "binding_signature",
            "mac": "binding_missing",
            "doctype": "type",
            "another device": "binding_signature",
        }[part]
        refuses(issuer, made, request, "mso_mdoc", b64url(response), reason)


class TestAnswers:
    """What carries the presentation."""

    def test_a_holder_who_says_no_is_believed(self, issuer):
        made = begin(issuer)
        request = Request.fetch(issuer, made["link"])
        answer = request.post({"error": "access_denied", "state": request.claims["state"]})
        assert (answer.status_code, answer.json()) == (200, {})
        assert (seen(issuer, made)["state"], seen(issuer, made)["reason"]) == ("wallet_error", "access_denied")

    def test_what_is_not_for_this_transaction_changes_nothing(self, issuer, cards, holder):
        made, other = begin(issuer), begin(issuer)
        request, another = (Request.fetch(issuer, one["link"]) for one in (made, other))
        query = request.queries["dc+sd-jwt"]["id"]
        good = request.answer(query, sd_jwt(request, cards["dc+sd-jwt"], holder, CLAIMS))
        clear = {"vp_token": json.dumps(good["vp_token"]), "state": good["state"]}
        for form in [
            {"response": another.seal(good)},
            {"response": request.seal({**good, "state": another.claims["state"]})},
            {"response": flipped(request.seal(good))},
            clear,
            {"unknown": "1"},
        ]:
            answer = request.post(form)
            assert answer.status_code == 400
            assert answer.json()["error"] == "invalid_request"
        assert seen(issuer, made)["state"] == "created"
        assert request.tell(good).status_code == 200
        assert seen(issuer, other)["state"] == "created"

    @pytest.mark.parametrize("kind", ["dc+sd-jwt", "mso_mdoc"])
    def test_the_browser_carries_it(self, issuer, cards, holder, kind):
        """The page of the transaction hands the request to the browser and posts what it gets (appendix A)."""
        made = begin(issuer)
        browser = requests.Session()
        assert browser.get(made["page"], timeout=30).status_code == 200
        # Only now the page is this browser's: a preview of the link takes it from nobody.
        assert browser.get(f"{made['page']}/dc-request", timeout=30).status_code == 404
        assert browser.post(made["page"], timeout=30).status_code == 200
        asked = browser.get(f"{made['page']}/dc-request", timeout=30).json()
        assert asked["protocol"] == "openid4vp-v1-signed"
        request = Request(issuer, asked["request"])
        assert request.claims["response_mode"] == "dc_api.jwt"
        assert request.claims["expected_origins"] == [issuer.url]
        assert not {"response_uri", "state", "redirect_uri"} & set(request.claims)
        if kind == "mso_mdoc":
            presented = b64url(device_response(cards[kind], holder, CLAIMS, request.session()))
        else:
            presented = sd_jwt(request, cards[kind], holder, CLAIMS)
        data = {"response": request.seal(request.answer(request.queries[kind]["id"], presented))}
        answer = browser.post(
            f"{made['page']}/dc-response",
            json={"protocol": asked["protocol"], "data": data},
            headers={"Origin": issuer.url},
            timeout=30,
        )
        assert (answer.status_code, answer.json()) == (200, {})
        assert seen(issuer, made)["state"] == "verified"


def flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def flipped(text: str) -> str:
    """A compact JWS or JWE with a bit of its last part changed."""
    rest, last = text.rsplit(".", 1)
    return f"{rest}.{b64url(flip(from_b64url(last)))}"


def refuses(issuer, made: dict, request: Request, kind: str, presented: str, reason: str) -> None:
    """The wallet hears no more than that; the client hears why."""
    answer = request.tell(request.answer(request.queries[kind]["id"], presented))
    assert (answer.status_code, answer.json()) == (400, REFUSED)
    end = seen(issuer, made)
    assert (end["state"], end["reason"]) == ("rejected", reason)
    assert "result" not in end
