"""The generator of synthetic personnel: the same for the same seed, and every kind of its faults is found."""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
KINDS = 38
COUNT = 2_000


def generated(*arguments: str) -> bytes:
    command = [os.environ["OFFICIALS_CARD_PERSONNEL"], *arguments]
    return subprocess.run(command, capture_output=True, timeout=120, check=True).stdout


def program(folder: Path, *arguments: str) -> str:
    own = {**os.environ, "OFFICIALS_CARD_DATABASE_URL": f"sqlite://{folder}/records.db"}
    command = [os.environ["OFFICIALS_CARD_BIN"], *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=own).stdout


def counts(folder: Path, file: bytes) -> dict[str, int]:
    """What an import of the file says, after the units that the generator draws from."""
    (folder / "personnel.csv").write_bytes(file)
    units = folder / "units.csv"
    generated("--count", "0", "--units", str(units))
    program(folder, "units", "import", str(units))
    said = program(folder, "records", "import", str(folder / "personnel.csv"))
    found = re.search(r"new (\d+), changed (\d+), unchanged (\d+), rejected (\d+)", said)
    return dict(zip(("new", "changed", "unchanged", "rejected"), map(int, found.groups()), strict=True))


def test_the_same_seed_gives_the_same_people() -> None:
    people = ["--count", "300", "--bad", "0.1", "--seed"]
    assert generated(*people, "7") == generated(*people, "7")
    assert generated(*people, "7") != generated(*people, "8")


def test_as_many_are_bad_as_was_asked_and_all_others_are_good(tmp_path: Path) -> None:
    file = generated("--count", str(COUNT), "--seed", "3", "--bad", "0.1", "--with-portrait", "0")
    assert file.count(b"\n") == COUNT + 1
    found = counts(tmp_path, file)
    assert found["new"] + found["rejected"] == COUNT
    # Five standard deviations.
    assert abs(found["rejected"] - COUNT * 0.1) < 5 * (COUNT * 0.1 * 0.9) ** 0.5, found
    (tmp_path / "good").mkdir()
    assert counts(tmp_path / "good", generated("--count", "300", "--seed", "3"))["rejected"] == 0


def test_every_kind_of_fault_is_found(tmp_path: Path) -> None:
    people = ["--count", str(COUNT), "--seed", "3", "--with-portrait", "0", "--population", str(tmp_path / "known")]
    good, bad = generated(*people), generated(*people, "--bad", "0.1")
    # Rows that were spoilt; a birth date or a sex that is only odd is drawn for the others alone.
    spoilt = [line for line, pair in enumerate(zip(good.split(b"\n"), bad.split(b"\n"), strict=True), 1) if len(set(pair)) == 2]
    assert len(spoilt) > 3 * KINDS, "each kind comes several times"
    counts(tmp_path, bad)
    rejects = (tmp_path / "personnel.csv.rejects.csv").read_text(encoding="utf-8")
    assert {int(line) for line in re.findall(r"Dòng (\d+)", rejects)} == set(spoilt)


def test_the_sample_is_what_its_command_makes(tmp_path: Path) -> None:
    told = (ROOT / "examples/personnel/main.rs").read_text(encoding="utf-8")
    command = re.search(r"--example personnel -- (.*?) > personnel\.csv", told, re.S)
    words = command[1].replace("\\\n//!", "").split()
    files = ("units.csv", "population.ndjson", "labels.csv")
    made = generated(*[str(tmp_path / word) if word in files else word for word in words])
    assert made == (ROOT / "examples/sample/personnel.csv").read_bytes()
    for name in files:
        assert (tmp_path / name).read_bytes() == (ROOT / "examples/sample" / name).read_bytes(), name
