"""The reference wallet as a careful wallet: whom it believes, what it keeps, how it bears the loss of an answer."""

import contextlib
import http.server
import json
import os
import queue
import sqlite3
import subprocess
import threading
from collections import Counter
from urllib.parse import urlencode

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from issuer import from_b64url

ASKED = ("present", "--audience", "https://checkpoint.example", "--nonce", "7Kq2")


def offer(issuer, *configurations: str) -> tuple[str, ...]:
    """An offer as the arguments that take it."""
    made = issuer.make_offer(*configurations)
    anchor = ("--trust-anchor", issuer.trust_anchor_file)
    return ("take", made["credential_offer"], "--tx-code", made["tx_code"], *anchor)


def holder_of(presentation: str) -> str:
    return json.loads(from_b64url(presentation.split(".")[1]))["cnf"]["jwk"]["x"]


def root_of_the_same_name(root: x509.Certificate) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder(root.issuer, root.subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(root.not_valid_before_utc).not_valid_after(root.not_valid_after_utc)
    for extension in (x509.BasicConstraints, x509.KeyUsage):
        builder = builder.add_extension(root.extensions.get_extension_for_class(extension).value, critical=True)
    return builder.sign(key, SHA256())


def test_copies_are_shown_in_turn(issuer, wallet):
    wallet(*offer(issuer, "official-card-sdjwt"), "--copies", "3")
    shown = [holder_of(wallet(*ASKED)) for _ in range(4)]
    assert len(set(shown[:3])) == 3
    assert shown[3] in shown[:3]


def test_keys_and_cards_are_for_their_owner_only(issuer, wallet, tmp_path):
    wallet(*offer(issuer, "official-card-sdjwt", "official-card-qr"))
    files = [path for path in (tmp_path / "wallet").rglob("*") if path.is_file()]
    # Two cards with their keys, and the grant with its key.
    assert Counter(path.suffix for path in files) == {".jwk": 3, ".json": 3}
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


@pytest.mark.parametrize("configuration", ["official-card-sdjwt", "official-card-qr"])
def test_another_root_is_not_believed(issuer, wallet, tmp_path, configuration):
    """A root of the same name, but of another key."""
    other = tmp_path / "other.pem"
    other.write_bytes(root_of_the_same_name(issuer.root).public_bytes(Encoding.PEM))
    assert "not accepted" in wallet(*offer(issuer, configuration)[:4], "--trust-anchor", str(other), succeeds=False)
    assert "holds no card" in wallet("show")


def test_the_root_on_first_use_comes_with_a_warning(issuer, wallet):
    wallet(*offer(issuer, "official-card-sdjwt")[:4])
    assert "in force" in wallet("show")


def test_a_wrong_transaction_code_is_told_and_not_repeated(issuer, wallet):
    take, link, option, tx_code, *_ = offer(issuer, "official-card-sdjwt")
    wrong = "000000" if tx_code != "000000" else "000001"
    told = wallet(take, link, option, wrong, succeeds=False)
    assert "invalid_grant" in told
    assert wrong not in told


def test_the_screen_hides_what_is_not_disclosed_by_default(issuer, wallet):
    wallet(*offer(issuer, "official-card-sdjwt"))
    assert issuer.person not in wallet("show")
    assert issuer.person in wallet("show", "--full")


def test_a_claim_that_the_card_does_not_have_cannot_be_chosen(issuer, wallet):
    wallet(*offer(issuer, "official-card-sdjwt"))
    assert "no claim rank" in wallet(*ASKED, "--disclose", "full_name,rank", succeeds=False)


@pytest.mark.parametrize(
    "link",
    [
        "openid-credential-offer://?credential_offer_uri=http%3A%2F%2Fexample.com%2Foffers%2F1",
        "openid-credential-offer://?credential_offer=%7B%7D&credential_offer_uri=https%3A%2F%2Fexample.com",
        "openid-credential-offer://",
        "mailto:somebody@example.com",
    ],
)
def test_a_careless_offer_is_not_taken(wallet, link):
    wallet("take", link, "--tx-code", "123456", succeeds=False)
    assert "holds no card" in wallet("show")


class LosingProxy(http.server.BaseHTTPRequestHandler):
    """Forwards every request, and loses the first answer to each address that is posted to."""

    protocol_version = "HTTP/1.1"
    answers: Counter[str]

    def do_GET(self) -> None:
        self.forward(None)

    def do_POST(self) -> None:
        self.forward(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def forward(self, body: bytes | None) -> None:
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        answer = requests.request(self.command, self.path, data=body, headers=headers, timeout=30)
        if body is not None:
            self.answers[self.path] += 1
            if self.answers[self.path] == 1:
                self.close_connection = True
                return
        self.send_response(answer.status_code)
        if nonce := answer.headers.get("DPoP-Nonce"):
            self.send_header("DPoP-Nonce", nonce)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_) -> None:
        """A test has nothing to say while it goes well."""


@pytest.fixture
def losing():
    """A network on which first answers get lost: its address, and the answers by address."""
    handler = type("Handler", (LosingProxy,), {"answers": Counter()})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{proxy.server_port}", handler.answers
        proxy.shutdown()
        thread.join()


def test_lost_answers_cost_nothing(issuer, wallet, losing):
    made = issuer.make_offer("official-card-sdjwt")
    code = ("--tx-code", made["tx_code"], "--trust-anchor", issuer.trust_anchor_file)
    issued_before = issuer.credentials_issued(made["card"])
    network, answers = losing
    wallet("take", made["credential_offer"], *code, "--copies", "2", http_proxy=network, no_proxy="")
    endpoints = ("token", "nonce", "credential", "notification")
    # The token endpoint is asked once more: the answer that was lost held the nonce for the DPoP proof.
    asked = dict.fromkeys(endpoints, 2) | {"token": 3}
    assert {path: answers[f"{issuer.url}/{path}"] for path in endpoints} == asked
    assert wallet("show").count("in force") == 2
    assert issuer.credentials_issued(made["card"]) == issued_before + 2


def sign_in(issuer, product: str = "wallet", person: str = "verified") -> tuple[str, ...]:
    """A sign-in as the arguments that do it: the wallet fills in the forms."""
    demo = issuer.demo
    who = ("--person", demo["people"][person], "--password", demo["sign_in"]["password"])
    anchors = ("--trust-anchor", issuer.trust_anchor_file, issuer.iaca_file)
    return ("take", "--sign-in", issuer.url, "--product", demo[product]["product_file"], *who, *anchors)


@pytest.mark.parametrize("product", ["wallet", "wallet_b"])
def test_a_person_signs_in_and_the_wallet_comes_back_without_them(issuer, wallet, product):
    wallet(*sign_in(issuer, product), "--config", "official-card-sdjwt", "official-card-mdoc", "--copies", "2")
    assert wallet("show").count("in force") == 4
    assert "Nothing is new" in wallet("refresh")
    shown = holder_of(wallet(*ASKED))
    assert wallet("refresh", "--all").count("Received 2") == 2
    assert wallet("show").count("in force") == 4
    assert holder_of(wallet(*ASKED)) != shown


def test_a_person_without_a_record_is_told(issuer, wallet):
    assert "No agency has sent a record" in wallet(*sign_in(issuer, person="none"), succeeds=False)
    wrong = sign_in(issuer)[:-5]
    assert "password is wrong" in wallet(*wrong, "--password", "sai", succeeds=False)


def test_an_offer_that_is_taken_by_signing_in_is_for_one_person(issuer, wallet):
    body = {"personal_id_number": issuer.demo["people"]["verified"], "assurance_level": 2}
    link = issuer.call("offers", {**body, "grants": ["authorization_code"]})["credential_offer"]
    arguments = ["take", link, *sign_in(issuer)[3:]]
    number = arguments.index("--person") + 1
    stranger = [*arguments[:number], issuer.person, *arguments[number + 1 :]]
    assert "for somebody else" in wallet(*stranger, succeeds=False)
    assert "Received 1 of official-card-qr" in wallet(*arguments)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"state": "x"}, "answer to another request"),
        ({"iss": "https://issuer.example"}, "answer of another server"),
        ({"iss": None}, "answer of another server"),
        ({"error": "access_denied", "code": None}, "access_denied"),
        ({"code": None}, "failed at the authorization server"),
        ({}, "invalid_grant"),
    ],
)
def test_the_wallet_believes_the_answer_to_its_own_request_only(issuer, tmp_path, change, told):
    """Somebody else's browser calls at the wallet's address; only the server knows that the code is not one of its own."""
    command = [os.environ["OFFICIALS_CARD_WALLET"], "--dir", str(tmp_path / "wallet"), *sign_in(issuer)]
    person = command.index("--person")
    del command[person : person + 4]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=lambda: [lines.put(line) for line in process.stdout], daemon=True).start()
        try:
            assert "Open this page" in lines.get(timeout=30)
            assert lines.get(timeout=30).startswith(f"{issuer.url}/authorize?")
            # The state is nobody's but the server's and the wallet's: a real person brings it back.
            state = pushed_state(issuer)
            answer = {"code": "c0de", "state": state, "iss": issuer.url, **change}
            query = urlencode({name: value for name, value in answer.items() if value is not None})
            page = requests.get(f"{issuer.demo['wallet']['redirect_uri']}?{query}", timeout=30)
            assert page.ok
            assert process.wait(30) != 0
            assert told in process.stderr.read()
        finally:
            process.kill()


def pushed_state(issuer) -> str:
    """The state of the newest pushed request, from the server's own database."""
    with contextlib.closing(sqlite3.connect(issuer.database)) as database:
        [state] = database.execute("SELECT state FROM authorizations ORDER BY created_at DESC, rowid DESC").fetchone()
    return state
