"""What a checkpoint carries offline, read by pycose and cbor2: signature, media type, version, the statuses by the letter
of the formats (`src/credential/snapshot.rs`), and what a withdrawal changes."""

import hashlib
import time
import zlib
from dataclasses import dataclass

import cbor2
import pytest
import requests
from pycose.headers import Algorithm
from pycose.keys import OKPKey
from pycose.keys.curves import Ed25519
from pycose.messages import Sign1Message

from issuer import Sign1, from_b64url
from plain_wallet import Holder, take

STATUS_LISTS = 2
TYPE = "application/vnd.vn-officials-card.{}+cbor"
VALID, INVALID, SUSPENDED = 0, 1, 2


def opened(issuer, answer: requests.Response, kind: str) -> dict:
    """The payload under a signature that pycose finds good by the key of the trust list."""
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == TYPE.format(kind)
    assert answer.headers["Cache-Control"] == "public, no-cache"
    message = Sign1Message.decode(answer.content)
    protected = Sign1(answer.content).protected
    # RFC 9596: the type of the whole object, so that nothing else that this key signs can pass for it.
    assert protected[16] == TYPE.format(kind)
    assert set(protected) == {1, 4, 16}
    assert message.get_attr(Algorithm).identifier == -8
    message.key = OKPKey(crv=Ed25519, x=issuer.trusted_key(protected[4], STATUS_LISTS)[-2])
    assert message.verify_signature()
    message.signature = message.signature[:-1] + bytes([message.signature[-1] ^ 1])
    assert not message.verify_signature()
    payload = cbor2.loads(message.payload)
    assert cbor2.dumps(payload, canonical=True) == message.payload, "deterministic"
    assert payload[1] >= 1
    assert payload[2] <= time.time() + 1 < payload[4]
    assert 0 < payload[3] < payload[4] - payload[2]
    return payload


@dataclass
class Snapshot:
    """Version, and the packed statuses of each list."""

    version: int
    lists: dict[str, tuple[int, bytearray]]

    @classmethod
    def of(cls, payload: dict) -> "Snapshot":
        lists = {uri: (entries, bytearray(zlib.decompress(packed))) for uri, entries, packed in payload[5]}
        assert all(len(packed) == -(-entries // 4) for entries, packed in lists.values())
        return cls(payload[1], lists)

    def status(self, uri: str, index: int) -> int:
        """Token Status List section 4.1 with two bits: the lowest of a byte come first."""
        entries, packed = self.lists[uri]
        assert index < entries
        return packed[index // 4] >> index % 4 * 2 & 3

    def put(self, position: int, index: int, status: int) -> None:
        _, packed = list(self.lists.values())[position]
        packed[index // 4] = packed[index // 4] & ~(3 << index % 4 * 2) | status << index % 4 * 2

    def digest(self) -> bytes:
        digest = hashlib.sha256()
        for uri, (entries, packed) in self.lists.items():
            digest.update(len(uri).to_bytes(8) + uri.encode() + entries.to_bytes(8) + packed)
        return digest.digest()

    def apply(self, delta: dict) -> None:
        """The newer snapshot in its place."""
        assert delta[5] == self.version < delta[1]
        for uri, entries in delta[7]:
            self.lists[uri] = (entries, bytearray(-(-entries // 4)))
        for position, steps in delta[8]:
            index = 0
            for step in leb128(steps):
                self.put(position, index + (step >> 2), step & 3)
                index += (step >> 2) + 1
        self.version = delta[1]
        assert self.digest() == delta[6]


def leb128(data: bytes) -> list[int]:
    numbers, number, shift = [], 0, 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(number)
            number, shift = 0, 0
    assert shift == 0
    return numbers


@pytest.fixture
def card(issuer) -> tuple[str, str, int]:
    """A QR card's handle, and its place in a list."""
    made = issuer.make_offer("official-card-qr")
    [credential] = take(issuer, "official-card-qr", Holder("ES256"))
    reference = Sign1(from_b64url(credential)).payload[65535]["status_list"]
    return made["card"], reference["uri"], reference["idx"]


def snapshot(issuer) -> Snapshot:
    return Snapshot.of(opened(issuer, issuer.get("/checkpoint/data/statuses"), "status-snapshot"))


def since(issuer, version: int) -> dict:
    answer = issuer.get(f"/checkpoint/data/statuses?since={version}")
    assert len(answer.content) < 1024
    return opened(issuer, answer, "status-delta")


class TestStatuses:
    def test_a_snapshot_says_of_every_card_what_its_list_says(self, issuer, card):
        _, uri, index = card
        state = snapshot(issuer)
        assert state.status(uri, index) == VALID
        for uri, (_, packed) in state.lists.items():
            served = Sign1(issuer.get(uri, Accept="application/statuslist+cwt").content).payload[65533]
            entries = zlib.decompress(served["lst"])
            per_byte = 8 // served["bits"]
            for index in range(4 * len(packed)):
                value = entries[index // per_byte] >> index % per_byte * served["bits"] & (1 << served["bits"]) - 1
                assert state.status(uri, index) == value

    def test_a_delta_leads_to_the_next_snapshot(self, issuer, card):
        handle, uri, index = card
        carried = snapshot(issuer)
        issuer.call(f"cards/{handle}/lock", {"reason": "lost"})
        delta = since(issuer, carried.version)
        carried.apply(delta)
        assert carried == snapshot(issuer)
        assert carried.status(uri, index) == SUSPENDED
        before = carried.version
        issuer.call(f"cards/{handle}/unlock", {"reason": "found"})
        snapshot(issuer)
        issuer.call(f"cards/{handle}/withdraw", {"reason": "resigned"})
        carried.apply(since(issuer, before))
        assert carried == snapshot(issuer), "one step over two versions"
        assert carried.status(uri, index) == INVALID

    def test_a_delta_is_for_its_base_alone(self, issuer, card):
        handle, uri, index = card
        first = snapshot(issuer)
        issuer.call(f"cards/{handle}/lock", {"reason": "lost"})
        second = snapshot(issuer)
        issuer.call(f"cards/{handle}/withdraw", {"reason": "resigned"})
        delta = since(issuer, second.version)
        with pytest.raises(AssertionError):
            first.apply(delta)
        second.lists[uri][1][0] ^= 3
        with pytest.raises(AssertionError):
            second.apply(delta)

    def test_who_has_the_newest_hears_so(self, issuer):
        version = snapshot(issuer).version
        answer = requests.get(f"{issuer.url}/checkpoint/data/statuses?since={version}", timeout=30)
        assert (answer.status_code, answer.content) == (304, b"")
        whole = issuer.get("/checkpoint/data/statuses")
        again = requests.get(whole.url, headers={"If-None-Match": whole.headers["ETag"]}, timeout=30)
        assert again.status_code == 304


def test_agencies_are_told_by_their_codes(issuer):
    payload = opened(issuer, issuer.get("/checkpoint/data/agencies"), "agencies")
    lines = zlib.decompress(payload[5]).decode().splitlines()
    names = dict(line.split("\t") for line in lines)
    assert len(names) == len(lines) > 1
    assert lines == sorted(lines, key=lambda line: line.split("\t")[0].encode())
    assert "Hà Nội" in names["H26"]


def test_a_gates_rules_say_what_the_unit_said(issuer, card):
    handle, _, _ = card
    now = int(time.time())
    rules = {
        "unit": "H26",
        "name": "Cổng chính",
        "agencies": ["H26", "G01"],
        "minimum_position": "truong-phong",
        "duty": [{"card": handle, "from": now, "until": now + 3600}],
        "challenge_required": True,
        "copies_accepted": False,
    }
    gate = issuer.call("gates", rules)
    signed = opened(issuer, issuer.get(gate["document"]), "gate")
    assert set(signed) == set(range(1, 14))
    assert (signed[5], signed[6], signed[7]) == (gate["id"], "Cổng chính", ["H26", "G01"])
    assert (signed[8], signed[11], signed[12], signed[13]) == (6, True, False, False)
    [[mark, start, end]] = signed[10]
    assert (start, end) == (now, now + 3600)
    assert len(mark) == 12
    assert handle.encode() not in issuer.get(gate["document"]).content, "nobody reads from it who is on duty"

    answer = requests.put(
        f"{issuer.url}/api/v1/gates/{gate['id']}",
        json={"unit": "H26", "name": "Cổng phụ"},
        headers=issuer.backend,
        timeout=30,
    )
    assert answer.status_code == 200
    changed = opened(issuer, issuer.get(gate["document"]), "gate")
    assert changed[1] == signed[1] + 1
    assert set(changed) == {1, 2, 3, 4, 5, 6, 7, 11, 12, 13}
    assert (changed[6], changed[7], changed[11], changed[12]) == ("Cổng phụ", [], False, True)
    answer = requests.delete(f"{issuer.url}/api/v1/gates/{gate['id']}", headers=issuer.backend, timeout=30)
    assert answer.status_code == 204
    assert opened(issuer, issuer.get(gate["document"]), "gate")[13] is True


def test_all_of_it_fits_together(issuer):
    """`bundle` and the checkpoint's documents tell the same trust list."""
    served = issuer.get("/checkpoint/data/trust-list")
    assert served.content == issuer.get("/trust-list").content
    assert Sign1(served.content).payload
