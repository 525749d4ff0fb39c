"""The suite's own HTTP interface, as far as a run needs it."""

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request


class SuiteError(Exception):
    """The suite answered something that a run cannot go on with."""


class DeliveryError(Exception):
    """What a module waits for could not be brought to it, or did not have the effect that it is about."""


def no_verification() -> ssl.SSLContext:
    """The programs on the tester's own machine have certificates that sign themselves, and are told nothing secret."""
    tls = ssl.create_default_context()
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    return tls


def request(
    method: str,
    url: str,
    *,
    query: dict | None = None,
    body: dict | str | None = None,
    token: str | None = None,
    seconds: int = 60,
) -> tuple[int, str]:
    """The status and the text of an answer, whatever the status is."""
    if query:
        url += "?" + urllib.parse.urlencode(query)
    data = None if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
    media_type = "text/plain" if isinstance(body, str) else "application/json"
    headers = {"Content-Type": media_type, "Accept": "application/json, */*"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    asked = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(asked, context=no_verification(), timeout=seconds) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


class Suite:
    """A running suite; `url` has no slash at its end."""

    def __init__(self, url: str):
        self.url = url

    def _json(self, method: str, path: str, **options):
        status, text = request(method, self.url + path, **options)
        if status not in (200, 201):
            raise SuiteError(f"{method} {path} was answered {status}: {text[:500]}")
        return json.loads(text) if text.strip() else None

    def create_plan(self, name: str, variants: dict, configuration: dict) -> dict:
        query = {"planName": name, "variant": json.dumps(variants)}
        return self._json("POST", "/api/plan", query=query, body=configuration)

    def create_test(self, plan_id: str, module: str, variants: dict | None) -> str:
        """Creates a test of a module, and gives its identifier."""
        query = {"test": module, "plan": plan_id}
        if variants is not None:
            query["variant"] = json.dumps(variants)
        return self._json("POST", "/api/runner", query=query)["id"]

    def start(self, test_id: str) -> None:
        request("POST", f"{self.url}/api/runner/{test_id}")

    def cancel(self, test_id: str) -> None:
        request("DELETE", f"{self.url}/api/runner/{test_id}")

    def state(self, test_id: str) -> dict:
        """`status` (how far it is), `result` and `version` among others."""
        return self._json("GET", f"/api/info/{test_id}")

    def waiting_for(self, test_id: str) -> dict:
        """What a test that waits shows to the tester (`exposed`) and does in its browser (`browser`)."""
        status, text = request("GET", f"{self.url}/api/runner/{test_id}")
        return json.loads(text) if status == 200 else {}

    def log(self, test_id: str) -> list[dict]:
        return self._json("GET", f"/api/log/{test_id}") or []

    def fill_placeholder(self, test_id: str, placeholder: str, picture: str) -> None:
        """Puts a picture (a `data:` URL, at most 500 KiB) where a test waits for one."""
        self._json("POST", f"/api/log/{test_id}/images/{placeholder}", body=picture)
