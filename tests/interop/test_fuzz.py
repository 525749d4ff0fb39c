"""Schemathesis reads our OpenAPI document and calls every operation of it with what the document allows and what it does
not: no answer may be a failure of the server, and every answer must be one that the document promises. Each operation is
called by somebody who may call it, in a share of the cases about something that is there."""

import base64
import csv
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import requests
import schemathesis
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance
from schemathesis.specs.openapi.checks import status_code_conformance

from conftest import STOP_SECONDS, first_line
from issuer import Issuer
from test_approvals import certificate, sign
from test_me import PDF, VERIFIER, backend, signs_in
from test_office import UNIT, Office
from test_sync import VIETNAM, System

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
# Streams of events do not end by themselves.
ENDLESS = r"/events$"
# Turned away at the door, or sent away for something that is not there.
OUTSIDE = {401, 403, 404}
# What no case gets into, and why.
CLOSED = {"GET /api/v1/proposals/{id}/portraits/{which}": "nobody proposed another portrait"}


@schemathesis.serializer("application/x-ndjson")
def one_line(_context, value) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode() + b"\n"


@dataclass
class Nation:
    """A server with the demo's data, who calls it, and what is there."""

    url: str
    config: Path
    demo: dict
    # By who calls: `program` may do everything, `unit` the same for one unit; `official`; `officer`.
    callers: dict[str, dict[str, str]] = field(default_factory=dict)
    # Parameters of paths that begin so.
    known: list[tuple[str, list[dict[str, str]]]] = field(default_factory=list)

    def asks(self, who: str, method: str, path: str, headers: dict[str, str] | None = None, **request) -> dict:
        headers = {**self.callers[who], **(headers or {})}
        answer = requests.request(method, f"{self.url}/api/v1/{path}", headers=headers, timeout=60, **request)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else {}

    def knows(self, start: str, *parameters: dict[str, str]) -> None:
        self.known.append((f"/api/v1/{start}", list(parameters)))

    def named(self, path: str) -> list[dict[str, str]]:
        """Parameters that name something, for this path."""
        wanted = set(re.findall(r"{(\w+)}", path))
        fitting = (found for start, found in self.known if path.startswith(start) and found[0].keys() == wanted)
        return next(fitting, [])

    def caller_of(self, operation) -> dict[str, str]:
        schemes = {name for option in operation.definition.raw.get("security", []) for name in option}
        if "official" in schemes:
            return self.callers["official"]
        path = operation.path
        if "client" not in schemes or path.startswith("/api/v1/delegations"):
            return self.callers["officer"]
        # The competent person is named for exactly one unit.
        own = path.endswith("/document") or operation.label == "POST /api/v1/approvals"
        return self.callers["unit" if own else "program"]


@pytest.fixture(scope="session")
def nation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nation]:
    folder = tmp_path_factory.mktemp("fuzz")
    program = os.environ["OFFICIALS_CARD_BIN"]
    command = [program, "demo", "--dir", str(folder), "--listen", "127.0.0.1:0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        try:
            issuer = Issuer(json.loads(first_line(demo)))
            nation = Nation(issuer.url, Path(issuer.demo["config"]), issuer.demo)
            document = requests.get(f"{issuer.url}/openapi.json", timeout=30).json()
            # People sign in while those who know them are there.
            client, token = backend(issuer), f"{issuer.url}/api/v1/me/token"
            session = client.fetch_token(token, authorization_response=signs_in(issuer, client), code_verifier=VERIFIER)
            nation.callers["official"] = {"Authorization": f"Bearer {session['access_token']}"}
            office = Office(issuer, "unit_head")
            office.sign_in()
            cookie, csrf = office.browser.cookies["office"], office.session().json()["csrf"]
            nation.callers["officer"] = {"Cookie": f"office={cookie}", "X-CSRF-Token": csrf, "Origin": issuer.url}
        finally:
            demo.terminate()
            demo.wait(STOP_SECONDS)
    root = approvers(folder)
    scopes = document["components"]["securitySchemes"]["client"]["flows"]["clientCredentials"]["scopes"]
    scopes = json.dumps(sorted(scopes))
    # Before the first table: nobody is to be turned away for asking too often.
    limits = "\n".join(f"{name} = 0" for name in ("client_per_minute", "address_documents_per_minute"))
    text = nation.config.read_text().replace("[rate_limits]", f"[rate_limits]\n{limits}")
    text += f"""
[approvals]
late_days = 31

[[approver_roots]]
name = "test"
certificates = "{root}"
"""
    for name, units in (("program", ""), ("unit", f'units = ["{UNIT}"]')):
        text += f'\n[[clients]]\nname = "{name}"\nscopes = {scopes}\n{units}\n'
    nation.config.write_text(text)
    for name in ("program", "unit"):
        token = [program, "token", "--client", name, "--config", str(nation.config)]
        token = subprocess.run(token, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
        nation.callers[name] = {"Authorization": f"Bearer {token}"}
    with subprocess.Popen([program, "serve", "--config", str(nation.config)], stdout=subprocess.DEVNULL) as server:
        try:
            wait_until_ready(nation.url)
            settle(nation, folder)
            yield nation
        finally:
            server.terminate()
            server.wait(STOP_SECONDS)


def wait_until_ready(url: str) -> None:
    session = requests.Session()
    patient = requests.adapters.Retry(connect=40, backoff_factor=0.1)
    session.mount(url, requests.adapters.HTTPAdapter(max_retries=patient))
    assert session.get(f"{url}/health", timeout=30).ok


def approvers(folder: Path) -> Path:
    """An authority, and two people whom it certifies: one who approves, one who does not."""
    keys = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(3)]
    pem = serialization.Encoding.PEM
    for name, key in zip(("root", "chief", "other"), keys, strict=True):
        made = certificate(name, key, "root", keys[0], is_ca=name == "root")
        (folder / f"{name}.pem").write_bytes(made.public_bytes(pem))
    kept = keys[1].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "chief.key").write_bytes(kept)
    return folder / "root.pem"


def settle(nation: Nation, folder: Path) -> None:
    """Something of everything that a path can name."""
    asks, knows = nation.asks, nation.knows
    records = [one["handle"] for one in asks("program", "GET", "records", params={"unit": UNIT, "limit": 5})["items"]]
    own = asks("official", "GET", "me")["records"][0]["record"]
    fields = {one["code"]: one["value"] for one in asks("program", "GET", f"records/{own}")["fields"]}
    face = fields["portrait_photo"]
    knows("records", {"handle": own, "sha256": face.removeprefix("sha256:")})
    knows("records", *[{"handle": handle} for handle in records])
    knows("confirmations", *[{"handle": handle} for handle in records])
    knows("me/records", {"handle": own})

    with open(nation.demo["personnel_file"], newline="", encoding="utf-8-sig", errors="replace") as file:
        people = [row["personal_id_number"] for row in csv.DictReader(file) if row["using_unit_code"].startswith(UNIT)]
    offers = []
    for person in [nation.demo["people"]["verified"], *people[:40]]:
        made = requests.post(f"{nation.url}/api/v1/offers", json={"personal_id_number": person, "assurance_level": 2},
                             headers=nation.callers["program"], timeout=30)
        if made.status_code == 201:
            offers.append(made.json())
    knows("offers", *[{"id": made["qr_svg"].split("/")[-2]} for made in offers])
    knows("me/cards", {"handle": offers[0]["card"]})
    knows("cards", *[{"handle": made["card"]} for made in offers])

    name = {"Content-Disposition": "attachment; filename=a.pdf", "Content-Type": "application/pdf"}
    beside, alone = (asks("official", "POST", "me/evidence", data=PDF, headers=name)["evidence"] for _ in range(2))
    wanted = {"record": own, "changes": {"blood_type": "01"}, "evidence": [beside]}
    proposal = asks("official", "POST", "me/proposals", json=wanted)["proposal"]["proposal"]
    today = datetime.now(VIETNAM).date()
    in_two_months = str(today + timedelta(days=60))
    later = {"record": own, "changes": {"marital_status": "09"}, "effective_on": in_two_months}
    waits = asks("official", "POST", "me/proposals", json=later)["proposal"]["proposal"]
    asks("program", "POST", f"proposals/{waits}/approve", json={})
    of = asks("program", "GET", f"records/{own}")["unit"]
    knows("changes", {"id": asks("program", "GET", "changes", params={"unit": of})["items"][0]["id"]})
    knows("me/evidence", {"id": alone})
    knows("me/proposals", {"id": proposal})
    knows("proposals", {"id": proposal, "evidence": beside})
    knows("proposals", {"id": proposal})

    rows = "agency_personnel_number,full_name,managing_unit_code\nX1,Thử,no such\n"
    of_unit, is_csv = {"unit": UNIT}, {"Content-Type": "text/csv"}
    upload = asks("program", "POST", "uploads", params=of_unit, data=rows.encode(), headers=is_csv)["id"]
    while asks("program", "GET", f"uploads/{upload}")["state"] in ("received", "checking"):
        time.sleep(0.1)
    knows("uploads", {"id": upload})

    gate = asks("program", "POST", "gates", json={"unit": UNIT, "name": "Cổng chính", "agencies": [UNIT]})
    knows("gates", {"id": gate["id"]})
    knows("presentations", {"id": asks("program", "POST", "presentations", json={"template": "demo-wallet"})["id"]})
    moves = [{"from": f"{UNIT}.01", "to": f"{UNIT}.01", "to_name": "Tên mới"}]
    plan = {"name": "Đổi tên", "decision": "01/QĐ", "effective_on": in_two_months, "wave_size": 2, "moves": moves}
    knows("reorganisations", {"id": asks("program", "POST", "reorganisations", json=plan)["id"]})
    officers = {one["role"]: one["id"] for one in asks("program", "GET", "officers")["items"]}
    knows("officers", {"id": officers["clerk"]}, {"id": officers["inspector"]})
    lent = asks("officer", "POST", "delegations", json={"to": officers["confirmer"], "unit": UNIT, "days": 3})
    knows("delegations", {"id": lent["delegation"]})

    registered = {}
    for name in ("chief", "other"):
        new = {"officer": "unit", "certificate": (folder / f"{name}.pem").read_text()}
        registered[name] = asks("program", "POST", "approver-certificates", json=new)["id"]
    knows("approver-certificates", {"id": registered["other"]})
    month = str(today.replace(day=1) - timedelta(days=1))[:7]
    document = f"{nation.url}/api/v1/approvals/{month}/document"
    document = requests.get(document, params=of_unit, headers=nation.callers["unit"], timeout=60).content
    signed = {"document": base64.b64encode(document).decode(), "reason": "Nghỉ phép",
              "signature": base64.b64encode(sign(folder, document, folder)).decode()}
    knows("approvals", {"month": month})
    knows("approvals", {"id": asks("unit", "POST", "approvals", json=signed)["id"]})
    knows("reports", {"file": f"{month}.json"}, {"file": f"{month}.xlsx"})

    program = [os.environ["OFFICIALS_CARD_BIN"], "--config", str(nation.config)]
    account = [*program, "sync", "account", "add", "--name", "hrm", "--unit", UNIT]
    password = subprocess.run(account, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    System(nation.url, "hrm", password).call("servicem0001", "ADD", {})
    knows("sync-calls", {"transaction_id": asks("program", "GET", "sync-calls")["items"][0]["transaction_id"]})


def test_no_operation_fails_whatever_it_is_sent(nation):
    document = schemathesis.openapi.from_url(f"{nation.url}/openapi.json", timeout=30).exclude(path_regex=ENDLESS)
    operations = [result.ok() for result in document.get_all_operations()]
    assert len(operations) > 40
    # What takes something away comes last, and last of all the official leaves.
    ends = lambda label: (label.startswith("DELETE "), label == "DELETE /api/v1/me/session")
    operations.sort(key=lambda operation: ends(operation.label))
    failures, closed = [], set()
    for operation in operations:
        why, statuses = fuzz(operation, nation)
        failures += [f"{operation.label}: {why}"] * (why is not None)
        closed |= {operation.label} if statuses <= OUTSIDE else set()
    assert not failures, "\n\n".join(failures)
    assert closed == CLOSED.keys(), "got into, or shut out, unlike what is said above"


def fuzz(operation, nation: Nation) -> tuple[str | None, set[int]]:
    """What went wrong with one operation, and the statuses that it answered."""
    cases = st.one_of([operation.as_strategy(generation_mode=mode) for mode in GenerationMode])
    headers, statuses = nation.caller_of(operation), set()

    @settings(
        max_examples=int(os.environ.get("FUZZ_EXAMPLES", "30")),
        phases=[Phase.explicit, Phase.generate],
        database=None,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, named=st.sampled_from([{}, *nation.named(operation.path)]))
    def call(case, named):
        case.path_parameters = {**(case.path_parameters or {}), **named}
        answer = case.call(headers=headers, timeout=60)
        statuses.add(answer.status_code)
        # That the population database, which is not there, does not answer is no failure of ours.
        is_ours = answer.status_code != 503 or not answer.json()["type"].endswith(":registry-unavailable")
        case.validate_response(answer, checks=CHECKS if is_ours else CHECKS[1:], headers=headers)

    try:
        call()
    except (FailureGroup, Failure) as failure:
        return str(failure), statuses
    except Unsatisfiable:
        # Nothing that breaks the document can be sent to an operation without parameters.
        return None, statuses
    return None, statuses
