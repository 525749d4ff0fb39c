"""What is kept of a run: one line and one log for each module, and a table of all."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

# REVIEW: the suite has a screenshot that a person has to look at. SKIPPED: the module does not apply to the variants.
GOOD = ("PASSED", "REVIEW", "SKIPPED")
DETAIL_LENGTH = 500


@dataclass
class ModuleResult:
    """How a module ended. `cannot_pass`: it is known not to pass in this run, whatever the issuer does."""

    name: str
    result: str
    seconds: float
    cannot_pass: bool = False
    notes: list[str] = field(default_factory=list)
    address: str = ""

    @property
    def unexpected(self) -> bool:
        return (self.result in GOOD) == self.cannot_pass


def notes_of(result: str, log: list[dict]) -> list[str]:
    """Why a module did not simply pass: failures and warnings with the exchange before them, reviews, skips."""
    notes: list[str] = []
    exchange = ""
    for entry in log:
        said = f"{entry.get('src')}: {entry.get('msg')}"[:DETAIL_LENGTH]
        if entry.get("http") == "request":
            exchange = f"{entry.get('request_method')} {entry.get('request_uri')}"
        elif entry.get("http") == "response":
            answer = str(entry.get("response_body") or "")[:DETAIL_LENGTH]
            exchange += f" was answered {entry.get('response_status_code')} {answer}"
        elif entry.get("result") == "FAILURE":
            notes.append(f"FAILURE {said} ({exchange})" if exchange else f"FAILURE {said}")
        elif entry.get("result") in ("WARNING", "REVIEW"):
            notes.append(f"{entry['result']} {said}")
        elif result == "SKIPPED" and "was skipped" in str(entry.get("msg")):
            notes.append(said)
    return notes


class Report:
    """Writes into `folder`: NAME.json for each module, and summary.md, always up to date."""

    def __init__(self, folder: Path, title: str, variants: dict[str, str]):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.title = title
        self.variants = variants
        self.results: list[ModuleResult] = []

    def keep_log(self, name: str, state: dict, log: list[dict]) -> None:
        text = json.dumps({"info": state, "log": log}, indent=1, ensure_ascii=False)
        (self.folder / f"{name}.json").write_text(text, encoding="utf-8")

    def add(self, result: ModuleResult) -> None:
        self.results.append(result)
        (self.folder / "summary.md").write_text(self._summary(), encoding="utf-8")
        known = " (cannot pass here)" if result.cannot_pass else ""
        print(f"{result.result:11} {result.name}{known}, {result.seconds:.0f} s", flush=True)
        if result.result != "PASSED":
            for line in [*result.notes, result.address]:
                print(f"            {line}", flush=True)

    def counts(self) -> str:
        counted = Counter(result.result for result in self.results)
        return ", ".join(f"{number} {result}" for result, number in sorted(counted.items()))

    def unexpected(self) -> list[ModuleResult]:
        return [result for result in self.results if result.unexpected]

    def _summary(self) -> str:
        lines = [f"# {self.title}", ""]
        lines += [f"- {name}: {value}" for name, value in self.variants.items()]
        lines += ["", self.counts(), "", "| module | result | seconds | notes |", "|---|---|---|---|"]
        for result in self.results:
            notes = "; ".join(result.notes).replace("|", "/").replace("\n", " ")
            lines.append(f"| {result.name} | {result.result} | {result.seconds:.0f} | {notes} |")
        return "\n".join(lines) + "\n"
