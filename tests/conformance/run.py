#!/usr/bin/env python3
"""Runs test plans of the OpenID Foundation conformance suite against what issuer.sh or verifier.sh has started."""

import argparse
import copy
import fnmatch
import json
import os
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from offers import OfferDelivery
from report import ModuleResult, Report, notes_of
from suite import DeliveryError, Suite, SuiteError

HERE = Path(__file__).resolve().parent
POLL_SECONDS = 0.4
# How long a module may wait for a screenshot after the suite's browser has come to its end.
SCREENSHOT_SECONDS = 20


@dataclass
class Run:
    """One entry of plans.toml: a plan with its variants."""

    name: str
    plan: str
    variants: dict[str, str]
    settings: dict[str, str] = field(default_factory=dict)
    cannot_pass: list[str] = field(default_factory=list)

    @property
    def party(self) -> str:
        """Who is tested: `issuer` or `verifier`."""
        return "verifier" if "-verifier-" in self.plan else "issuer"

    def configuration(self, folder: Path) -> dict:
        """The configuration of configure.py, with the settings (`a.b` = value) of the run."""
        name = "verifier" if self.party == "verifier" else self.variants["credential_format"]
        file = folder / f"{name}.json"
        configuration = json.loads(file.read_text(encoding="utf-8"))
        configuration["description"] = self.name
        for path, value in self.settings.items():
            *parents, last = path.split(".")
            table = configuration
            for parent in parents:
                table = table.setdefault(parent, {})
            table[last] = value
        return configuration


def read_runs(file: Path) -> list[Run]:
    plans = tomllib.loads(file.read_text(encoding="utf-8"))
    runs = [Run(**entry) for entry in plans["runs"]]
    for run in runs:
        run.variants = {**plans["common"][run.plan], **run.variants}
    return runs


class StuckError(Exception):
    """The module would not end by itself."""


class Delivery(Protocol):
    """Brings a module what it waits for."""

    def serve(self, exposed: dict, log: list[dict]) -> None:
        """Is called as long as the module waits; raises DeliveryError."""


# By the module's name, its variants, and the test's identifier.
DeliveryOf = Callable[[str, dict[str, str], str], Delivery]


@dataclass
class Driver:
    """Takes the modules of one run through the suite."""

    suite: Suite
    run: Run
    plan: dict
    report: Report
    delivery_of: DeliveryOf
    seconds: int

    def run_module(self, module: dict) -> ModuleResult:
        """Creates the module's test, serves it until it ends, and keeps its log; raises SuiteError and OSError."""
        variants = module.get("variant")
        name = module["testModule"]
        title = name
        # The HAIP plan runs some modules twice.
        if (variants or {}).get("vci_credential_encryption") == "encrypted":
            title += ".encrypted"
        started = time.monotonic()
        cannot_pass = name in self.run.cannot_pass
        test_id = self.suite.create_test(self.plan["id"], name, variants)
        notes = []
        try:
            self._serve(test_id, self.delivery_of(name, {**self.run.variants, **(variants or {})}, test_id))
        except (StuckError, DeliveryError) as error:
            notes.append(str(error))
            self.suite.cancel(test_id)
        state, log = self.suite.state(test_id), self.suite.log(test_id)
        self.report.keep_log(title, state, log)
        interrupted = notes or state.get("status") == "INTERRUPTED"
        result = "FAILED" if interrupted else state.get("result") or "UNKNOWN"
        address = f"{self.suite.url}/log-detail.html?log={test_id}"
        seconds = time.monotonic() - started
        return ModuleResult(title, result, seconds, cannot_pass, notes + notes_of(result, log), address)

    def _serve(self, test_id: str, delivery: Delivery) -> None:
        """Returns when the test has ended; raises StuckError and DeliveryError."""
        deadline = time.monotonic() + self.seconds
        started = False
        screenshot_deadline = None
        while True:
            status = self.suite.state(test_id).get("status")
            if status in ("FINISHED", "INTERRUPTED"):
                return
            if time.monotonic() > deadline:
                raise StuckError(f"still {status} after {self.seconds} seconds")
            if status == "CONFIGURED" and not started:
                started = True
                self.suite.start(test_id)
            elif status == "WAITING":
                shown, log = self.suite.waiting_for(test_id), self.suite.log(test_id)
                delivery.serve(shown.get("exposed") or {}, log)
                if not waits_for_screenshot(shown, log):
                    screenshot_deadline = None
                elif screenshot_deadline is None:
                    screenshot_deadline = time.monotonic() + SCREENSHOT_SECONDS
                elif time.monotonic() > screenshot_deadline:
                    raise StuckError("waits for a screenshot that nobody took")
            time.sleep(POLL_SECONDS)


def waits_for_screenshot(shown: dict, log: list[dict]) -> bool:
    """Whether a place for a screenshot is empty and nobody is on the way to fill it."""
    browser = shown.get("browser") or {}
    busy = browser.get("runners") or browser.get("browserApiRequests")
    return not busy and any(entry.get("upload") for entry in log)


def chosen(modules: list[dict], patterns: list[str]) -> list[dict]:
    """Those whose names fit one of the shell patterns; all without patterns."""
    if not patterns:
        return modules
    return [module for module in modules if any(fnmatch.fnmatch(module["testModule"], each) for each in patterns)]


@contextmanager
def offers(configuration: dict, options: argparse.Namespace) -> Iterator[DeliveryOf]:
    """What modules of issuers wait for."""

    def delivery_of(module: str, variants: dict[str, str], _test_id: str) -> Delivery:
        environment = {
            "SUITE_MODULE": module,
            "SUITE_GRANT": variants.get("vci_grant_type", "authorization_code"),
            "SUITE_CONFIGURATION": configuration["vci"]["credential_configuration_id"],
        }
        return OfferDelivery(options.offer_command, environment, lambda line: print(f"            {line}"))

    yield delivery_of


@contextmanager
def presentations(suite: Suite, screenshots: Path, options: argparse.Namespace) -> Iterator[DeliveryOf]:
    """What modules of verifiers wait for."""
    # Only these need a browser.
    from presentations import PresentationDelivery, Verifier, chromium  # noqa: PLC0415

    verifier = Verifier(options.url, options.program)
    with chromium(options.chromium) as browser:
        yield lambda module, variants, test_id: PresentationDelivery(
            suite, verifier, browser, variants, module, screenshots, test_id
        )


def run_plan(suite: Suite, run: Run, options: argparse.Namespace) -> Report:
    configuration = run.configuration(options.configurations)
    plan = suite.create_plan(run.plan, run.variants, copy.deepcopy(configuration))
    report = Report(options.results / run.name, f"{run.name}: {run.plan}", {**run.variants, **run.settings})
    print(f"\n{run.name}: {suite.url}/plan-detail.html?plan={plan['id']}", flush=True)
    deliveries = (
        presentations(suite, report.folder, options)
        if run.party == "verifier"
        else offers(configuration, options)
    )
    with deliveries as delivery_of:
        driver = Driver(suite, run, plan, report, delivery_of, options.seconds)
        for module in chosen(plan["modules"], options.modules):
            try:
                result = driver.run_module(module)
            except (SuiteError, OSError) as error:
                result = ModuleResult(module["testModule"], "NOT RUN", 0, notes=[str(error)])
            report.add(result)
    return report


def read_options() -> argparse.Namespace:
    work = Path(os.environ.get("CONFORMANCE_DIR", "target/conformance"))
    suite_url = os.environ.get("SUITE_URL", "https://localhost.emobix.co.uk:8443")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", metavar="RUN", help="names of plans.toml; all of the party when absent")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    parser.add_argument("--modules", nargs="+", default=[], metavar="PATTERN", help="only modules of these names")
    parser.add_argument("--suite", default=suite_url, help="the suite's address [%(default)s]")
    parser.add_argument(
        "--configurations", type=Path, default=work / "suite", help="made by configure.py [%(default)s]"
    )
    parser.add_argument("--results", type=Path, default=work / "results", help="where results go [%(default)s]")
    parser.add_argument(
        "--offer-command", default=str(HERE / "offer.sh"), help="prints a link and a code [%(default)s]"
    )
    parser.add_argument(
        "--party", default=os.environ.get("CONFORMANCE_PARTY", "issuer"), help="issuer or verifier [%(default)s]"
    )
    parser.add_argument("--url", default=os.environ.get("CONFORMANCE_URL"), help="the verifier's [%(default)s]")
    parser.add_argument("--program", default=os.environ.get("OFFICIALS_CARD_BIN"), help="ours [%(default)s]")
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="for our pages [%(default)s]")
    parser.add_argument("--seconds", type=int, default=400, help="patience with one module [%(default)s]")
    return parser.parse_args()


def main() -> int:
    options = read_options()
    runs = read_runs(HERE / "plans.toml")
    if options.list:
        print("\n".join(run.name for run in runs))
        return 0
    unknown = set(options.runs) - {run.name for run in runs}
    if unknown:
        print(f"plans.toml has no {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    suite = Suite(options.suite.rstrip("/"))
    try:
        wanted = [run for run in runs if (run.name in options.runs if options.runs else run.party == options.party)]
        reports = [run_plan(suite, run, options) for run in wanted]
    except (SuiteError, OSError) as error:
        print(f"no plan could be made: {error}", file=sys.stderr)
        return 2
    print()
    for report in reports:
        print(f"{report.title}: {report.counts()}")
    unexpected = [result for report in reports for result in report.unexpected()]
    for result in unexpected:
        print(f"unexpected: {result.name} {result.result}")
    return 1 if unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
