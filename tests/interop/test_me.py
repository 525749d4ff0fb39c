"""The VNeID backend acts for an official who signed in: Authlib as the OAuth client, requests for the rest."""

import json
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import ECKey

VERIFIER = "a-verifier-of-the-backend-that-is-longer-than-43-characters"
PDF = b"%PDF-1.7\n1 0 obj\n<</Type/Catalog>>\nendobj\ntrailer\n<</Root 1 0 R>>\nstartxref\n9\n%%EOF\n"


class Hidden(HTMLParser):
    """The form of the sign-in: where it goes and its hidden fields."""

    def __init__(self, text):
        super().__init__()
        self.action, self.fields = None, {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "form":
            self.action = attributes["action"]
        if tag == "input" and attributes.get("type") == "hidden":
            self.fields[attributes["name"]] = attributes["value"]


def backend(issuer):
    """A wallet product with a key of its own, as Authlib knows it."""
    product = issuer.demo["wallet_b"]
    key = ECKey.import_key(json.loads(Path(product["client_key_file"]).read_text()))
    client = OAuth2Session(
        product["client_id"], key, redirect_uri=product["redirect_uri"], code_challenge_method="S256",
        token_endpoint_auth_method="private_key_jwt",
    )
    client.register_client_auth_method(
        PrivateKeyJWT(issuer.url, {"exp": int(time.time()) + 60, "aud": issuer.url}, alg="ES256")
    )
    return client


def signs_in(issuer, client, level="2", person="verified"):
    """A person at a browser without script, from our address to the wallet's. Returns where it ends."""
    browser = requests.Session()
    url, state = client.create_authorization_url(f"{issuer.url}/api/v1/me/authorize", code_verifier=VERIFIER)
    vneid = browser.get(url, allow_redirects=False, timeout=10)
    assert vneid.status_code == 303, vneid.text
    page = browser.get(vneid.headers["Location"], timeout=10)
    form = Hidden(page.text)
    demo = issuer.demo
    fields = {
        **form.fields, "username": demo["people"][person], "password": demo["sign_in"]["password"], "level": level,
        "action": "submit",
    }
    answer = browser.post(urljoin(page.url, form.action), fields, allow_redirects=False, timeout=10)
    back = browser.get(answer.headers["Location"], allow_redirects=False, timeout=10)
    assert back.status_code == 303, back.text
    query = parse_qs(urlsplit(back.headers["Location"]).query)
    assert query["state"] == [state] and query["iss"] == [issuer.url]
    return back.headers["Location"]


@pytest.fixture
def me(issuer):
    """A session of the person, and its address."""
    client = backend(issuer)
    back = signs_in(issuer, client)
    token = client.fetch_token(f"{issuer.url}/api/v1/me/token", authorization_response=back, code_verifier=VERIFIER)
    assert token["token_type"] == "Bearer" and 0 < token["expires_in"] <= 3600 and "refresh_token" not in token
    return client


def test_a_person_sees_what_is_held_and_who_looked(issuer, me):
    seen = me.get(f"{issuer.url}/api/v1/me", timeout=10).json()
    assert seen["person"]["personal_id_number"] == issuer.demo["people"]["verified"]
    record = seen["records"][0]
    columns = sum(len(one["columns"]) for one in record["lists"])
    assert len(record["fields"]) + columns == 109
    assert all(field["source"] is None or field["since"] <= time.time() for field in record["fields"])
    assert all(basis["certainty"] == "derived" for basis in seen["legal_bases"])
    access = me.get(f"{issuer.url}/api/v1/me/access", timeout=10).json()["items"]
    assert any(line["kind"] == "asked" for line in access), "the population database was asked about them"
    export = me.get(f"{issuer.url}/api/v1/me/export", timeout=10)
    assert export.headers["Content-Disposition"].startswith("attachment")
    assert export.json()["records"][0]["record"] == record["record"]
    asked = me.post(f"{issuer.url}/api/v1/me/records/{record['record']}/rematch", json={}, timeout=20)
    assert asked.status_code == 200 and asked.json()["outcome"] == "matched", asked.text


def test_a_person_proposes_with_evidence_and_takes_it_back(issuer, me):
    url = f"{issuer.url}/api/v1/me"
    record = me.get(url, timeout=10).json()["records"][0]["record"]
    name = {"Content-Disposition": "attachment; filename*=UTF-8''gi%E1%BA%A5y.pdf", "Content-Type": "application/pdf"}
    kept = me.post(f"{url}/evidence", data=PDF, headers=name, timeout=10)
    assert kept.status_code == 201 and kept.json()["name"] == "giấy.pdf"
    assert me.get(f"{url}/evidence/{kept.json()['evidence']}", timeout=10).content == PDF
    script = me.post(f"{url}/evidence", data=PDF.replace(b"/Catalog", b"/Catalog/JS(1)"), timeout=10)
    assert script.status_code == 422
    typed = me.post(f"{url}/proposals", json={"record": record, "changes": {"full_name": "Khác"}}, timeout=10)
    assert [fault["rule"] for fault in typed.json()["faults"]] == ["rematch"]
    wanted = {"record": record, "changes": {"marital_status": "09", "phone_number": "0912345678"}}
    made = me.post(f"{url}/proposals", json={**wanted, "evidence": [kept.json()["evidence"]]}, timeout=10)
    assert made.status_code == 201, made.text
    assert made.json()["applied"]["fields"] == ["phone_number"]
    proposal = made.json()["proposal"]
    assert proposal["state"] == "open" and proposal["changes"][0]["field"] == "marital_status"
    assert me.delete(f"{url}/proposals/{proposal['proposal']}", timeout=10).status_code == 204
    assert me.delete(f"{url}/proposals/{proposal['proposal']}", timeout=10).status_code == 409


def test_level_1_a_used_code_and_no_client_are_nothing(issuer):
    client = backend(issuer)
    assert "access_denied" in signs_in(issuer, client, level="1")
    back = signs_in(issuer, client)
    token = f"{issuer.url}/api/v1/me/token"
    session = client.fetch_token(token, authorization_response=back, code_verifier=VERIFIER)
    # An assertion is good once: the second request needs one of its own.
    with pytest.raises(OAuthError, match="invalid_grant"):
        backend(issuer).fetch_token(token, authorization_response=back, code_verifier=VERIFIER)
    bearer = {"Authorization": f"Bearer {session['access_token']}"}
    assert requests.get(f"{issuer.url}/api/v1/me", headers=bearer, timeout=10).status_code == 401, "it was stolen"
    code = parse_qs(urlsplit(signs_in(issuer, client)).query)["code"][0]
    anonymous = {
        "grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER,
        "redirect_uri": issuer.demo["wallet_b"]["redirect_uri"], "client_id": issuer.demo["wallet_b"]["client_id"],
    }
    refused = requests.post(token, anonymous, timeout=10)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
