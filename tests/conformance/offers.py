"""Hands credential offers and transaction codes to modules that wait for them, as a wallet's user would."""

import os
import subprocess
import threading
import urllib.parse
from collections.abc import Callable

from suite import DeliveryError, request

# The log entries by which a module says that it waits.
WAITS_FOR_OFFER = "VCIWaitForCredentialOffer"
WAITS_FOR_CODE = "VCIWaitForTxCode"

COMMAND_SECONDS = 60
# The suite answers the hand-over only after it has asked the issuer for the credential.
DELIVERY_SECONDS = 200


class OfferDelivery:
    """Serves one module. `say` takes lines for the tester."""

    def __init__(self, command: str, environment: dict[str, str], say: Callable[[str], None]):
        self.command = command
        self.environment = environment
        self.say = say
        self.offers = 0
        self.codes = 0
        self.code = ""

    def serve(self, exposed: dict, log: list[dict]) -> None:
        """Delivers what the module has asked for since the last call; raises DeliveryError."""
        sources = [entry.get("src") for entry in log]
        if "credential_offer_endpoint" in exposed and sources.count(WAITS_FOR_OFFER) > self.offers:
            self.offers += 1
            offer, self.code = self._make_offer()
            self._deliver(exposed["credential_offer_endpoint"], offer)
        elif "tx_code_endpoint" in exposed and sources.count(WAITS_FOR_CODE) > self.codes:
            self.codes += 1
            if not self.code:
                raise DeliveryError("the module waits for a transaction code, but the offer has none")
            self._deliver(exposed["tx_code_endpoint"].split("?")[0], {"code": self.code})

    def _make_offer(self) -> tuple[dict[str, str], str]:
        """Parameters of the offer's link, and the transaction code."""
        done = subprocess.run(
            self.command,
            shell=True,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            env={**os.environ, **self.environment},
            check=False,
        )
        lines = done.stdout.splitlines()
        if done.returncode != 0 or not lines:
            raise DeliveryError(f"the offer command ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        link, code = lines[0], lines[1] if len(lines) > 1 else ""
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(link).query)), code

    def _deliver(self, endpoint: str, query: dict[str, str]) -> None:
        """In a thread of its own, because the module goes on before it answers."""

        def deliver() -> None:
            try:
                status, text = request("GET", endpoint, query=query, seconds=DELIVERY_SECONDS)
            except OSError as error:
                self.say(f"handing over {', '.join(query)}: {error}")
                return
            if status >= 400:
                self.say(f"handing over {', '.join(query)} was answered {status}: {text[:300]}")

        threading.Thread(target=deliver, daemon=True).start()
