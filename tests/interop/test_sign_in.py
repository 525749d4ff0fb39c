"""The simulator of the sign-in at VNeID, as a relying party that we did not write knows it: Authlib and joserfc."""

import json
import os
import subprocess
import time
from html.parser import HTMLParser
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import OpenIDProviderMetadata
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from conftest import STOP_SECONDS, first_line

CLIENT = "officials-card"
SECRET = "interop-secret"
BACK = "http://127.0.0.1:9/sign-in/callback"
PERSON = "001199000010"
PASSWORD = "matkhau"
LEVEL_2 = "urn:example:vneid:level:2"
NUMBER = "personal_identification_number"


@pytest.fixture(scope="module")
def client_key():
    return ECKey.generate_key("P-256", private=True)


@pytest.fixture(scope="module", params=["rs256", "es256"])
def provider(request, client_key, tmp_path_factory):
    """The simulator on a free port, and what its discovery document says."""
    public = tmp_path_factory.mktemp("vneid") / "client.jwk"
    public.write_text(json.dumps(client_key.as_dict(private=False)))
    command = [
        os.environ["OFFICIALS_CARD_VNEID"], "--listen", "127.0.0.1:0", "--client-id", CLIENT, "--redirect-uri", BACK,
        "--client-key", str(public), "--algorithm", request.param,
    ]
    environment = {**os.environ, "VNEID_CLIENT_SECRET": SECRET}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        try:
            issuer = first_line(process).strip()
            document = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=10).json()
            assert document["issuer"] == issuer
            yield {**document, "algorithm": request.param.upper()}
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


class Form(HTMLParser):
    """The one form of a page: where it goes, its hidden fields and the ids of all others."""

    def __init__(self, text):
        super().__init__()
        self.action, self.hidden, self.ids = None, {}, set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "form":
            self.action = attributes["action"]
        if tag in ("input", "select", "button"):
            if attributes.get("type") == "hidden":
                self.hidden[attributes["name"]] = attributes["value"]
            else:
                self.ids.add(attributes["id"])


def session(secret=SECRET, method="client_secret_basic"):
    return OAuth2Session(
        CLIENT, secret, scope="openid personal_identification", redirect_uri=BACK, code_challenge_method="S256",
        token_endpoint_auth_method=method,
    )


VERIFIER = "an-interop-verifier-that-is-longer-than-forty-three"


def signs_in(provider, client, level="2", action="submit", **parameters):
    """A person at a browser without script. Returns where it is sent back to."""
    url, state = client.create_authorization_url(
        provider["authorization_endpoint"], code_verifier=VERIFIER, nonce="n-0S6", acr_values=LEVEL_2, prompt="login",
        max_age=300, **parameters,
    )
    page = requests.get(url, timeout=10)
    assert page.status_code == 200
    form = Form(page.text)
    assert form.ids == {"username", "password", "level", "submit", "cancel"}
    fields = {**form.hidden, "username": PERSON, "password": PASSWORD, "level": level, "action": action}
    answer = requests.post(urljoin(url, form.action), fields, allow_redirects=False, timeout=10)
    assert answer.status_code == 303
    back = answer.headers["Location"]
    query = parse_qs(urlsplit(back).query)
    assert back.startswith(BACK) and query["state"] == [state] and query["iss"] == [provider["issuer"]]
    return back


def claims_of(provider, token):
    keys = KeySet.import_key_set(requests.get(provider["jwks_uri"], timeout=10).json())
    decoded = jwt.decode(token["id_token"], keys, algorithms=[provider["algorithm"]])
    options = {
        "iss": {"essential": True, "value": provider["issuer"]},
        "aud": {"essential": True, "value": CLIENT},
        "acr": {"essential": True, "value": LEVEL_2},
    }
    expected = {"client_id": CLIENT, "nonce": "n-0S6", "access_token": token["access_token"], "max_age": 300}
    claims = CodeIDToken(decoded.claims, decoded.header, options, expected)
    claims.validate(now=int(time.time()), leeway=5)
    return claims


def test_the_discovery_document_is_valid(provider):
    document = {key: value for key, value in provider.items() if key != "algorithm"}
    # The library insists on https for a provider in earnest.
    secure = {
        key: value.replace("http://", "https://") if isinstance(value, str) else value for key, value in document.items()
    }
    OpenIDProviderMetadata(secure).validate()
    assert provider["code_challenge_methods_supported"] == ["S256"]


def test_a_person_signs_in(provider):
    client = session()
    back = signs_in(provider, client)
    token = client.fetch_token(provider["token_endpoint"], authorization_response=back, code_verifier=VERIFIER)
    claims = claims_of(provider, token)
    assert claims[NUMBER] == PERSON
    assert abs(claims["auth_time"] - time.time()) < 60
    assert "at_hash" in claims, "the library compared it with the access token"
    known = client.get(provider["userinfo_endpoint"], timeout=10).json()
    assert known == {"sub": claims["sub"], NUMBER: PERSON}
    assert PERSON not in claims["sub"]
    with pytest.raises(OAuthError, match="invalid_grant"):
        client.fetch_token(provider["token_endpoint"], authorization_response=back, code_verifier=VERIFIER)
    assert client.get(provider["userinfo_endpoint"], timeout=10).status_code == 401


def test_without_the_scope_the_number_stays_with_the_provider(provider):
    client = session()
    client.scope = "openid"
    back = signs_in(provider, client)
    token = client.fetch_token(provider["token_endpoint"], authorization_response=back, code_verifier=VERIFIER)
    assert NUMBER not in claims_of(provider, token)
    assert list(client.get(provider["userinfo_endpoint"], timeout=10).json()) == ["sub"]


def test_a_person_says_no_or_is_not_sure_enough(provider):
    client = session()
    denied = parse_qs(urlsplit(signs_in(provider, client, action="cancel")).query)
    assert denied["error"] == ["access_denied"] and "code" not in denied
    back = signs_in(provider, client, level="1")
    token = client.fetch_token(provider["token_endpoint"], authorization_response=back, code_verifier=VERIFIER)
    with pytest.raises(JoseError, match="acr"):
        claims_of(provider, token)


def test_a_code_without_its_verifier_or_secret_is_worth_nothing(provider):
    for client, verifier, error in [
        (session(), VERIFIER[::-1], "invalid_grant"),
        (session(), "", "invalid_request"),
        (session(secret="wrong"), VERIFIER, "invalid_client"),
        (session(method="none"), VERIFIER, "invalid_client"),
    ]:
        back = signs_in(provider, client)
        with pytest.raises(OAuthError, match=error):
            client.fetch_token(provider["token_endpoint"], authorization_response=back, code_verifier=verifier)


def test_a_client_proves_itself_by_its_key(provider, client_key):
    def exchange(key, **claims):
        client = session(secret=key, method="private_key_jwt")
        client.register_client_auth_method(
            PrivateKeyJWT(provider["token_endpoint"], {"exp": int(time.time()) + 60, **claims}, alg="ES256")
        )
        back = signs_in(provider, client)
        return client.fetch_token(provider["token_endpoint"], authorization_response=back, code_verifier=VERIFIER)

    assert claims_of(provider, exchange(client_key, jti="one"))[NUMBER] == PERSON
    # An assertion is good once, for a moment, and only if the registered key made it.
    with pytest.raises(OAuthError, match="invalid_client"):
        exchange(client_key, jti="one")
    with pytest.raises(OAuthError, match="invalid_client"):
        exchange(client_key, exp=int(time.time()) - 1)
    with pytest.raises(OAuthError, match="invalid_client"):
        exchange(ECKey.generate_key("P-256", private=True))
