"""The unit office: its sign-in as Authlib knows one, a browser made of `requests` that works in it, and the sheets of
badges as poppler draws and reads them and zxing-cpp scans them."""

import csv
import os
import re
import subprocess
import time
from html.parser import HTMLParser
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
import requests
import zxingcpp
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import OpenIDProviderMetadata
from joserfc import jwt
from joserfc.jwk import KeySet
from PIL import Image

from conftest import STOP_SECONDS, first_line
from test_qr import read_by_all

UNIT = "H36"
CLIENT, SECRET, PASSWORD = "officials-card-office", "interop-secret", "matkhau"
BACK = "http://127.0.0.1:9/office/callback"
NUMBER = "personal_identification_number"
VERIFIER = "an-interop-verifier-that-is-longer-than-forty-three"


class Page(HTMLParser):
    """The one form of a page, and what stands in elements with an id."""

    def __init__(self, text):
        super().__init__()
        self.action, self.hidden, self.ids, self.texts, self.within = None, {}, set(), {}, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "form":
            self.action = attributes["action"]
        if attributes.get("type") == "hidden":
            self.hidden[attributes["name"]] = attributes["value"]
        elif "id" in attributes:
            self.ids.add(attributes["id"])
            self.within = attributes["id"]

    def handle_data(self, data):
        if self.within:
            self.texts.setdefault(self.within, data.strip())
            self.within = None


@pytest.fixture(scope="module")
def provider():
    """The simulator on a free port, and what its discovery document says."""
    command = [
        os.environ["OFFICIALS_CARD_OFFICER_SIGN_IN"], "--listen", "127.0.0.1:0", "--client-id", CLIENT,
        "--redirect-uri", BACK, "--account", "clerk", "--account", "head=001199000018",
    ]
    environment = {**os.environ, "OFFICER_SIGN_IN_CLIENT_SECRET": SECRET}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            issuer = first_line(process).strip()
            yield requests.get(f"{issuer}/.well-known/openid-configuration", timeout=10).json()
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def at_provider(browser, url, username, action="submit"):
    """A person types name, password and the one-time code. Returns the provider's last answer."""
    form = Page(browser.get(url, timeout=10).text)
    assert form.ids >= {"username", "password", "submit", "cancel"}
    fields = {**form.hidden, "username": username, "password": PASSWORD, "action": "submit"}
    form = Page(browser.post(urljoin(url, form.action), fields, timeout=10).text)
    fields = {**form.hidden, "code": form.texts["device"], "action": action}
    return browser.post(urljoin(url, form.action), fields, allow_redirects=False, timeout=10)


def tokens(provider, username, action="submit"):
    client = OAuth2Session(
        CLIENT, SECRET, scope="openid profile", redirect_uri=BACK, code_challenge_method="S256",
        token_endpoint_auth_method="client_secret_basic",
    )
    url, state = client.create_authorization_url(
        provider["authorization_endpoint"], code_verifier=VERIFIER, nonce="n-0S6", prompt="login", max_age=300,
    )
    back = at_provider(requests, url, username, action).headers["Location"]
    assert parse_qs(urlsplit(back).query)["state"] == [state]
    token = client.fetch_token(provider["token_endpoint"], authorization_response=back, code_verifier=VERIFIER)
    keys = KeySet.import_key_set(requests.get(provider["jwks_uri"], timeout=10).json())
    decoded = jwt.decode(token["id_token"], keys, algorithms=["RS256"])
    options = {"iss": {"essential": True, "value": provider["issuer"]}, "aud": {"essential": True, "value": CLIENT}}
    expected = {"client_id": CLIENT, "nonce": "n-0S6", "access_token": token["access_token"], "max_age": 300}
    claims = CodeIDToken(decoded.claims, decoded.header, options, expected)
    claims.validate(now=int(time.time()), leeway=5)
    return claims


def test_authlib_signs_officers_in_and_reads_how(provider):
    OpenIDProviderMetadata(provider).validate()
    assert provider["end_session_endpoint"].startswith(provider["issuer"])
    claims = tokens(provider, "head")
    assert (claims["sub"], claims["amr"], claims[NUMBER]) == ("head", ["pwd", "otp"], "001199000018")
    claims = tokens(provider, "clerk", "skip")
    assert (claims["sub"], claims["amr"], NUMBER in claims) == ("clerk", ["pwd"], False)


class Office:
    """A browser, without script, at the demo's office."""

    def __init__(self, issuer, role):
        self.url, self.browser = issuer.url, requests.Session()
        self.demo = issuer.demo["office"]
        self.subject = self.demo["officers"][role]["subject"]

    def sign_in(self, action="submit"):
        there = self.browser.get(f"{self.url}/office/sign-in", allow_redirects=False, timeout=10)
        assert there.status_code == 303
        back = at_provider(self.browser, there.headers["Location"], self.subject, action).headers["Location"]
        return self.browser.get(back, allow_redirects=False, timeout=10)

    def session(self):
        return self.browser.get(f"{self.url}/api/v1/session", timeout=10)

    def post(self, path, body=None):
        headers = {"X-CSRF-Token": self.session().json()["csrf"], "Origin": self.url}
        return self.browser.post(f"{self.url}{path}", json=body, headers=headers, timeout=60)


def test_an_officer_works_with_the_cookie_and_needs_two_factors(issuer):
    office = Office(issuer, "clerk")
    refused = office.sign_in("skip")
    assert refused.status_code == 403 and "error" in Page(refused.text).ids
    assert office.session().status_code == 401
    assert office.sign_in().headers["Location"] == f"{issuer.url}/office/"
    [cookie] = [cookie for cookie in office.browser.cookies if cookie.name == "office"]
    assert cookie.has_nonstandard_attr("HttpOnly") and cookie.get_nonstandard_attr("SameSite") == "Lax"
    session = office.session().json()
    assert (session["officer"]["role"], session["unit"]["code"]) == ("clerk", UNIT)
    assert office.browser.get(f"{issuer.url}/api/v1/officers", timeout=10).status_code == 403
    plain = office.browser.post(f"{issuer.url}/api/v1/cards/search", json={"name": "an"}, timeout=10)
    assert plain.json()["type"].endswith(":cross-site-request")
    assert office.post("/api/v1/cards/search", {"name": "nguyen"}).status_code == 200
    out = office.post("/office/sign-out")
    assert out.json()["end_session"].startswith(office.demo["issuer"])
    assert office.session().status_code == 401
    back = requests.get(out.json()["end_session"], allow_redirects=False, timeout=10)
    assert back.headers["Location"] == f"{issuer.url}/office/"


def words(text):
    return " ".join(text.split())


def test_a_sheet_of_badges_prints_and_scans(issuer, tmp_path):
    office = Office(issuer, "unit_head")
    office.sign_in()
    # Every person of the unit gets a card first, as an offer makes one.
    cards = []
    with open(issuer.demo["personnel_file"], newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = [row for row in csv.DictReader(file) if row["using_unit_code"].startswith(UNIT)]
    for row in rows:
        offer = {"personal_id_number": row["personal_id_number"], "assurance_level": 2}
        made = requests.post(f"{issuer.url}/api/v1/offers", json=offer, headers=issuer.backend, timeout=30)
        if made.status_code == 201:
            cards.append(made.json()["card"])
    assert len(cards) >= 3
    listed = office.browser.get(f"{issuer.url}/api/v1/cards", params={"state": "active", "limit": 200}, timeout=10)
    names = {one["card"]: one for one in listed.json()["items"]}

    answer = office.post("/api/v1/badges/sheet.pdf", {"cards": cards})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/pdf"), answer.text
    sheet = tmp_path / "badges.pdf"
    sheet.write_bytes(answer.content)
    told = subprocess.run(["pdfinfo", sheet], capture_output=True, text=True, check=True).stdout
    facts = dict(re.findall(r"^([\w ]+):\s+(.*)$", told, re.MULTILINE))
    pages = -(-len(cards) // 12)
    assert (facts["Pages"], facts["Tagged"], facts["JavaScript"]) == (str(pages), "yes", "no")
    assert "(A4)" in facts["Page size"]
    fonts = subprocess.run(["pdffonts", sheet], capture_output=True, text=True, check=True).stdout
    assert "NotoSans" in fonts and fonts.splitlines()[2].split()[-5:-2] == ["yes", "yes", "yes"], fonts

    # The text of each label can be selected, in Vietnamese.
    text = words(subprocess.run(["pdftotext", sheet, "-"], capture_output=True, text=True, check=True).stdout)
    for card in cards:
        assert words(names[card]["name"]) in text and names[card]["card_number_masked"] in text
    assert "Lâm Đồng" in text

    # Printed at 300 dpi, every code is read, at the level that print takes, and is the card's own.
    subprocess.run(["pdftoppm", "-r", "300", "-gray", "-png", sheet, tmp_path / "page"], check=True)
    codes = []
    for picture in sorted(tmp_path.glob("page*.png")):
        found = zxingcpp.read_barcodes(Image.open(picture), formats=zxingcpp.BarcodeFormat.QRCode)
        codes += [(code.ec_level, code.text) for code in found]
    assert len(codes) == len(cards) and {level for level, _ in codes} == {"M"}
    scanned = [read_by_all(issuer, text)[169] for _, text in codes]
    assert {claims[1]: claims[4] for claims in scanned} == {card: names[card]["name"] for card in cards}
