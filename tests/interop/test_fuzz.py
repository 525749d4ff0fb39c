"""Schemathesis reads our OpenAPI document and calls every operation of it with what the document allows and what it does
not: no answer may be a failure of the server, and every answer must be one that the document promises."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance
from schemathesis.specs.openapi.checks import status_code_conformance

from conftest import STOP_SECONDS, first_line

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
# Streams of events do not end by themselves.
ENDLESS = r"/events$"


@schemathesis.serializer("application/x-ndjson")
def one_line(_context, value) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode() + b"\n"


@pytest.fixture(scope="session")
def nation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A server with the demo's data and a client that may do everything: its address, and the client's token."""
    folder = tmp_path_factory.mktemp("fuzz")
    program = os.environ["OFFICIALS_CARD_BIN"]
    command = [program, "demo", "--dir", str(folder), "--listen", "127.0.0.1:0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        url = json.loads(first_line(demo))["url"]
        scopes = requests.get(f"{url}/openapi.json", timeout=30).json()["components"]["securitySchemes"]["client"]
        demo.terminate()
        demo.wait(STOP_SECONDS)
    config = next(Path(folder).glob("*.toml"))
    scopes = json.dumps(sorted(scopes["flows"]["clientCredentials"]["scopes"]))
    # Before the first table: nobody is to be turned away for asking too often.
    limits = "\n".join(f"{name} = 0" for name in ("client_per_minute", "address_documents_per_minute"))
    text = config.read_text().replace("[rate_limits]", f"[rate_limits]\n{limits}")
    config.write_text(f'{text}\n[[clients]]\nname = "everything"\nscopes = {scopes}\n')
    token = [program, "token", "--client", "everything", "--config", str(config)]
    token = subprocess.run(token, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    with subprocess.Popen([program, "serve", "--config", str(config)], stdout=subprocess.DEVNULL) as server:
        try:
            wait_until_ready(url)
            yield url, token
        finally:
            server.terminate()
            server.wait(STOP_SECONDS)


def wait_until_ready(url: str) -> None:
    session = requests.Session()
    session.mount(url, requests.adapters.HTTPAdapter(max_retries=requests.adapters.Retry(connect=40, backoff_factor=0.1)))
    assert session.get(f"{url}/health", timeout=30).ok


def test_no_operation_fails_whatever_it_is_sent(nation):
    url, token = nation
    document = schemathesis.openapi.from_url(f"{url}/openapi.json", timeout=30).exclude(path_regex=ENDLESS)
    operations = [result.ok() for result in document.get_all_operations()]
    assert len(operations) > 40
    failures = [f"{operation.label}: {why}" for operation in operations if (why := fuzz(operation, token))]
    assert not failures, "\n\n".join(failures)


def fuzz(operation, token: str) -> str | None:
    """What went wrong with one operation."""
    cases = st.one_of([operation.as_strategy(generation_mode=mode) for mode in GenerationMode])

    @settings(
        max_examples=int(os.environ.get("FUZZ_EXAMPLES", "30")),
        phases=[Phase.explicit, Phase.generate],
        database=None,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def call(case):
        headers = {"Authorization": f"Bearer {token}"}
        case.validate_response(case.call(headers=headers, timeout=60), checks=CHECKS, headers=headers)

    try:
        call()
    except (FailureGroup, Failure) as failure:
        return str(failure)
    except Unsatisfiable:
        # Nothing that breaks the document can be sent to an operation without parameters.
        return None
    return None
