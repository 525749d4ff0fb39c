"""The frozen set of degraded pictures (tests/frames): zxing-cpp, which the checkpoint's page scans with, and the program's
own `verify --png` read at least as many as when the set was made."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image

FOLDER = Path(__file__).parent.parent / "frames"
MANIFEST = json.loads((FOLDER / "manifest.json").read_text())
FLOORS = MANIFEST["floors"]
CELLS = {
    cell["cell"]: [frame for frame in MANIFEST["frames"] if frame["cell"] == cell["cell"]] for cell in MANIFEST["cells"]
}


def text_sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def is_read(frame: dict) -> bool:
    """Whether the one QR code is found and says what it should."""
    codes = zxingcpp.read_barcodes(Image.open(FOLDER / frame["file"]), formats=zxingcpp.BarcodeFormat.QRCode)
    return [text_sha256(code.text) for code in codes] == [frame["text_sha256"]]


@pytest.fixture(scope="module")
def unread() -> set[str]:
    return {frame["file"] for frame in MANIFEST["frames"] if not is_read(frame)}


def test_the_manifest_tells_of_every_picture_and_of_the_published_texts():
    assert sorted(frame["file"] for frame in MANIFEST["frames"]) == sorted(path.name for path in FOLDER.glob("*.jpg"))
    assert sum(len(frames) for frames in CELLS.values()) == len(MANIFEST["frames"]) == 60
    for cell in MANIFEST["cells"]:
        vector = json.loads((FOLDER.parent / "vectors" / "qr" / f"{cell['kind']}.json").read_text())
        assert {frame["text_sha256"] for frame in CELLS[cell["cell"]]} == {text_sha256(vector["text"])}


@pytest.mark.parametrize("cell", CELLS)
def test_zxing_reads_what_it_did_in_each_cell(unread, cell):
    read = [frame["file"] for frame in CELLS[cell] if frame["file"] not in unread]
    assert len(read) >= FLOORS["cell"], f"{len(read)} of {len(CELLS[cell])}"


def test_zxing_reads_what_it_did_altogether(unread):
    assert len(MANIFEST["frames"]) - len(unread) >= FLOORS["total"], sorted(unread)


def test_our_own_reader_reads_what_it_did(issuer, tmp_path):
    """Rxing has a floor of its own. The demo does not know the keys of the vectors, but says so only of a code that was
    read to the last bit: zlib sees to that."""
    program, anchor = os.environ["OFFICIALS_CARD_BIN"], issuer.trust_anchor_file
    bundle, picture = str(tmp_path / "bundle.json"), tmp_path / "frame.png"
    fetch = [program, "bundle", "--url", issuer.url, "--out", bundle, "--anchor", anchor]
    subprocess.run(fetch, check=True, capture_output=True, timeout=30)
    unread = set()
    for frame in MANIFEST["frames"]:
        Image.open(FOLDER / frame["file"]).save(picture)
        verify = [program, "verify", "--png", str(picture), "--bundle", bundle, "--anchor", anchor, "--json"]
        done = subprocess.run(verify, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode == 4:
            assert [reason["code"] for reason in json.loads(done.stdout)["reasons"]] == ["unknown_key"]
        else:
            assert "no readable QR code" in done.stderr
            unread.add(frame["file"])
    assert len(MANIFEST["frames"]) - len(unread) >= FLOORS["own_reader"], sorted(unread)
