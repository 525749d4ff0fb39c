"""The suite's own HTTP interface, as far as a run needs it."""

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request


class SuiteError(Exception):
    """The suite answered something that a run cannot go on with."""


class Suite:
    """A running suite; `url` has no slash at its end."""

    def __init__(self, url: str):
        self.url = url
        # A suite on the tester's own machine has a certificate that signs itself, and is told nothing secret.
        self._tls = ssl.create_default_context()
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE

    def request(self, method: str, url: str, *, query: dict | None = None, body: dict | None = None, seconds: int = 60):
        """The status and the text of an answer, whatever the status is."""
        if query:
            url += "?" + urllib.parse.urlencode(query)
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json, */*"}
        request = urllib.request.Request(url, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, context=self._tls, timeout=seconds) as answer:
                return answer.status, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")

    def _json(self, method: str, path: str, **options):
        status, text = self.request(method, self.url + path, **options)
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
        self.request("POST", f"{self.url}/api/runner/{test_id}")

    def cancel(self, test_id: str) -> None:
        self.request("DELETE", f"{self.url}/api/runner/{test_id}")

    def state(self, test_id: str) -> dict:
        """`status` (how far it is), `result` and `version` among others."""
        return self._json("GET", f"/api/info/{test_id}")

    def waiting_for(self, test_id: str) -> dict:
        """What a test that waits shows to the tester (`exposed`) and does in its browser (`browser`)."""
        status, text = self.request("GET", f"{self.url}/api/runner/{test_id}")
        return json.loads(text) if status == 200 else {}

    def log(self, test_id: str) -> list[dict]:
        return self._json("GET", f"/api/log/{test_id}") or []
