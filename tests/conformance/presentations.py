"""Asks for presentations when modules wait for one, and brings them to the suite's wallet as a person with a browser would."""

import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Error, Page, sync_playwright

from configure import VERIFIER_CLIENT, template_name
from suite import DeliveryError, Suite, request

MODULES = "oid4vp-1final-verifier-"
# Modules whose presentation has to be refused, and the reason that our API has to give.
REFUSED = {
    "invalid-session-transcript": "binding_signature",
    "invalid-kb-jwt-signature": "binding_signature",
    "invalid-credential-signature": "issuer_signature",
    "invalid-sd-hash": "binding_card",
    "invalid-kb-jwt-nonce": "binding_nonce",
    "invalid-kb-jwt-aud": "binding_audience",
    "kb-jwt-iat-in-past": "binding_time",
    "kb-jwt-iat-in-future": "binding_time",
}
COMMAND_SECONDS = 60
# The suite answers the browser only after it has presented.
PAGE_MILLISECONDS = 60_000
END_SECONDS = 10
SETTLE_MILLISECONDS = 500
SCREEN = {"width": 480, "height": 800}


class Verifier:
    """Our verifier, as a program that may ask for presentations sees it."""

    def __init__(self, url: str, program: str):
        self.url = url
        self.program = program

    def ask(self, wanted: dict) -> dict:
        """Begins a transaction."""
        return self._call("POST", "/api/v1/presentations", wanted)

    def outcome(self, identifier: str) -> str:
        """The state, and the reason if there is one."""
        answer = self._call("GET", f"/api/v1/presentations/{identifier}")
        return " ".join(answer[name] for name in ("state", "reason") if name in answer)

    def _call(self, method: str, path: str, body: dict | None = None) -> dict:
        status, text = request(method, self.url + path, body=body, token=self._token())
        if status not in (200, 201):
            raise DeliveryError(f"{method} {path} was answered {status}: {text[:300]}")
        return json.loads(text)

    def _token(self) -> str:
        command = [self.program, "token", "--client", VERIFIER_CLIENT]
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
        if done.returncode != 0:
            raise DeliveryError(f"no token: {done.stderr.strip()[-300:]}")
        return done.stdout.strip()


@dataclass
class PresentationDelivery:
    """Serves one module of a run with these variants."""

    suite: Suite
    verifier: Verifier
    browser: Browser
    variants: dict[str, str]
    module: str
    screenshots: Path
    test_id: str
    is_done: bool = False

    def serve(self, exposed: dict, _log: list[dict]) -> None:
        """Has the module's wallet present once, and looks at what our verifier makes of it; raises DeliveryError."""
        if self.is_done or "authorization_endpoint" not in exposed:
            return
        self.is_done = True
        asked = self.verifier.ask(self._wanted())
        try:
            outcome = self._visit(asked)
        except Error as error:
            raise DeliveryError(f"the browser did not get through: {error.message}") from error
        reason = REFUSED.get(self.module.removeprefix(MODULES))
        expected = f"rejected {reason}" if reason else "verified"
        if outcome != expected:
            raise DeliveryError(f"the verifier says {outcome!r} where it has to say {expected!r}")

    def _wanted(self) -> dict:
        post = self.module.endswith("-request-uri-method-post")
        template = template_name(
            self.variants["credential_format"],
            self.variants["response_mode"],
            self.variants.get("client_id_prefix", "x509_hash"),
            "post" if post else "get",
        )
        # HAIP 1.0 section 5.1 has the browser come back; the other transactions end without it.
        return {"template": template, "same_device": self.variants.get("vp_profile") != "plain_vp"}

    def _visit(self, asked: dict) -> str:
        """From our page to the suite's wallet, and back if that leads back; shows the suite what our page says then, and gives
        how the transaction ended."""
        with page_of(self.browser) as page:
            page.goto(asked["page"])
            # Our script begins there, and what it begins has to be ours before we leave.
            page.locator("#present").wait_for()
            page.goto(asked["link"])
            if not page.url.startswith(self.verifier.url):
                page.goto(asked["page"])
            outcome = self._end_of(asked["id"], page)
            picture = page.screenshot(path=self.screenshots / f"{self.module}.png")
        encoded = "data:image/png;base64," + base64.b64encode(picture).decode()
        for entry in self.suite.log(self.test_id):
            if entry.get("upload"):
                self.suite.fill_placeholder(self.test_id, entry["upload"], encoded)
        return outcome

    def _end_of(self, identifier: str, page: Page) -> str:
        """The outcome, or the state that it is still in after a while: our page may have a script to run until then."""
        deadline = time.monotonic() + END_SECONDS
        while True:
            outcome = self.verifier.outcome(identifier)
            # Never less than once, so that the page has had time to show it.
            page.wait_for_timeout(SETTLE_MILLISECONDS)
            if outcome not in ("created", "response_received") or time.monotonic() > deadline:
                return outcome


@contextmanager
def page_of(browser: Browser) -> Iterator[Page]:
    """A page of a person who was never here before."""
    # Our certificate signs itself, and so does the suite's.
    context = browser.new_context(ignore_https_errors=True, viewport=SCREEN, locale="vi-VN")
    context.set_default_timeout(PAGE_MILLISECONDS)
    try:
        yield context.new_page()
    finally:
        context.close()


@contextmanager
def chromium(program: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Chromium's sandbox does not work for root.
        browser = playwright.chromium.launch(executable_path=program, chromium_sandbox=os.geteuid() != 0)
        try:
            yield browser
        finally:
            browser.close()
