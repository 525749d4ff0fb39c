"""The QR codes: read from their pictures by zxing-cpp, verified by claim169, cwt and pycose; the live code's proof by
the letter of RFC 9338; and what is wrong refused by our verifier."""

import io
import time
import zlib

import base45
import cbor2
import claim169
import cwt
import pytest
import zxingcpp
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cwt import COSEKey, COSEMessage, Signer
from PIL import Image
from pycose.keys import OKPKey
from pycose.keys.curves import Ed25519
from pycose.messages import Sign1Message

from issuer import ALGORITHMS, Sign1, from_b64url, verify_signature
from plain_wallet import Holder, take

CARDS = 1
COUNTERSIGNATURE, CWT_CLAIMS, CONFIRMATION = 11, 15, 8
PROFILE = b"vn-officials-card/qr/1"


def scan(picture: bytes, ecc: str) -> str:
    """The text of the one QR code in a picture."""
    # Left alone, zxing-cpp now and then sees a linear bar code in a row of modules.
    [code] = zxingcpp.read_barcodes(Image.open(io.BytesIO(picture)), formats=zxingcpp.BarcodeFormat.QRCode)
    assert code.ec_level == ecc
    return code.text


def opened(text: str) -> Sign1:
    """Base45, zlib, COSE: each by its own library."""
    return Sign1(zlib.decompress(base45.b45decode(text)))


def sealed(message: Sign1) -> str:
    return base45.b45encode(zlib.compress(message.encode())).decode()


def read_by_all(issuer, text: str) -> dict:
    """Every library verifies the issuer's signature with the published key and reads the same name."""
    message = opened(text)
    kid = message.protected[4]
    key = issuer.trusted_key(kid, CARDS)
    assert from_b64url(issuer.jwk(kid)["x"]) == key[-2], "trust list and key set differ"

    decoded = claim169.decode(text, verify_with_ed25519=key[-2])
    assert decoded.is_verified
    assert decoded.cwt_meta.issuer == issuer.url

    by_pycose = Sign1Message.decode(message.encode())
    by_pycose.key = OKPKey(crv=Ed25519, x=key[-2])
    assert by_pycose.verify_signature()
    assert cbor2.loads(by_pycose.payload) == message.payload

    by_cwt = cwt.decode(message.encode(), COSEKey.new({1: 1, 2: kid, 3: -8, -1: 6, -2: key[-2]}))
    assert by_cwt == message.payload
    assert decoded.claim169.full_name == by_cwt[169][4]
    return message.payload


def flipped(data: bytes, at: int = -1) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


class TestBadge:
    """Profile S: the issuer's signature alone."""

    @pytest.fixture
    def text(self, issuer) -> str:
        return scan(issuer.badge_png(issuer.make_offer()["card"]), "M")

    def test_everybody_reads_it(self, issuer, text):
        payload = read_by_all(issuer, text)
        assert CONFIRMATION not in payload
        verdict = issuer.verify(text)
        assert (verdict["outcome"], verdict["reasons"]) == ("valid-copy", [])
        assert verdict["claims"]["full_name"] == payload[169][4]
        assert verdict["claims"]["card"] == payload[169][1]

    def test_it_tells_no_personal_number(self, issuer, text):
        assert issuer.person.encode() not in opened(text).encode()

    def test_a_flipped_bit_is_refused(self, issuer, text):
        message = opened(text)
        message.signature = flipped(message.signature)
        issuer.refuses(sealed(message), "bad_signature")

    def test_a_changed_name_is_refused(self, issuer, text):
        message = opened(text)
        message.payload[169][4] = "Nguyễn Văn Giả"
        message.payload_bytes = cbor2.dumps(message.payload)
        issuer.refuses(sealed(message), "bad_signature")

    def test_a_forger_is_refused(self, issuer, text):
        message = opened(text)
        signed = cbor2.dumps(["Signature1", message.protected_bytes, b"", message.payload_bytes])
        message.signature = ed25519.Ed25519PrivateKey.generate().sign(signed)
        issuer.refuses(sealed(message), "bad_signature")

    def test_an_unknown_key_is_refused(self, issuer, text):
        message = opened(text)
        message.protected_bytes = cbor2.dumps({**message.protected, 4: bytes(8)})
        issuer.refuses(sealed(message), "unknown_key")


@pytest.fixture
def live(issuer, wallet, tmp_path):
    """The reference wallet's live code, read from its picture."""

    def show(key: str = "es256", *options: str) -> str:
        made = issuer.make_offer("official-card-qr")
        code = ("--tx-code", made["tx_code"], "--trust-anchor", issuer.trust_anchor_file)
        wallet("take", made["credential_offer"], *code, "--key", key)
        picture = tmp_path / "live.png"
        printed = wallet("qr", "--text", "--png", str(picture), *options)
        text = scan(picture.read_bytes(), "L")
        # Base45 has a space, which may stand at the end: only the line's own end is taken off.
        assert text == printed.removesuffix("\n")
        return text

    return show


def countersignature_input(message: Sign1, protected: bytes, aad: bytes, *, nested: bool) -> bytes:
    """RFC 9338 section 3.3: `other_fields` is an array of its own. Flattened is what the package `cwt` makes of it."""
    other_fields = [[message.signature]] if nested else [message.signature]
    parts = ["CounterSignatureV2", message.protected_bytes, protected, aad, message.payload_bytes, *other_fields]
    return cbor2.dumps(parts)


def holder_key(cose_key: dict):
    """The key of `cnf` (RFC 9053 section 7): P-256 with the sign bit of y, or Ed25519."""
    if cose_key[1] == 2:
        point = bytes([2 + cose_key[-3]]) + cose_key[-2]
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    return ed25519.Ed25519PublicKey.from_public_bytes(cose_key[-2])


class TestLive:
    """Profile D: with the wallet's countersignature of this moment."""

    @pytest.mark.parametrize("key", ["es256", "ed25519"])
    def test_everybody_reads_it(self, issuer, live, key):
        text = live(key)
        payload = read_by_all(issuer, text)
        verdict = issuer.verify(text)
        assert (verdict["outcome"], verdict["reasons"]) == ("valid-live", [])
        assert verdict["claims"]["full_name"] == payload[169][4]

    @pytest.mark.parametrize(("key", "alg"), [("es256", -7), ("ed25519", -8)])
    @pytest.mark.parametrize(("digits", "aad"), [((), PROFILE), (("--challenge", "4711"), PROFILE + b"#4711")])
    def test_the_countersignature_is_that_of_rfc_9338(self, live, key, alg, digits, aad):
        message = opened(live(key, *digits))
        protected, unprotected, signature = message.unprotected[COUNTERSIGNATURE]
        header = cbor2.loads(protected)
        assert unprotected == {}
        assert header[1] == alg
        assert set(header) == {1, CWT_CLAIMS}
        assert abs(header[CWT_CLAIMS][6] - time.time()) < 60
        public = holder_key(message.payload[CONFIRMATION][1])
        signed = countersignature_input(message, protected, aad, nested=True)
        verify_signature(public, ALGORITHMS[alg], signature, signed)

    def test_the_challenge_has_to_be_the_one_that_was_asked(self, issuer, live):
        text = live("es256", "--challenge", "4711")
        assert issuer.verify(text, challenge="4711")["outcome"] == "valid-live"
        issuer.refuses(text, "proof_wrong", challenge="4712")
        issuer.refuses(live(), "challenge_unanswered", challenge="4711")

    def test_a_screenshot_without_its_proof_is_refused(self, issuer, live):
        message = opened(live())
        del message.unprotected[COUNTERSIGNATURE]
        issuer.refuses(sealed(message), "proof_missing")

    @pytest.mark.parametrize("part", [0, 2])
    def test_a_flipped_bit_in_the_proof_is_refused(self, issuer, live, part):
        message = opened(live())
        proof = list(message.unprotected[COUNTERSIGNATURE])
        proof[part] = flipped(proof[part])
        message.unprotected = {COUNTERSIGNATURE: proof}
        issuer.refuses(sealed(message), "proof_wrong")


class TestOtherWallets:
    """A wallet in Python makes the proof itself."""

    @pytest.fixture(params=["ES256", "EdDSA"])
    def holder(self, request) -> Holder:
        return Holder(request.param)

    @pytest.fixture
    def card(self, issuer, holder) -> Sign1:
        [card] = take(issuer, "official-card-qr", holder)
        return Sign1(from_b64url(card))

    def countersigned(self, card: Sign1, holder: Holder, at: int, *, nested: bool = True) -> str:
        alg = {name: number for number, name in ALGORITHMS.items()}[holder.alg]
        protected = cbor2.dumps({1: alg, CWT_CLAIMS: {6: at}})
        signature = holder.sign(countersignature_input(card, protected, PROFILE, nested=nested))
        card.unprotected = {COUNTERSIGNATURE: [protected, {}, signature]}
        return sealed(card)

    def test_the_nested_form_is_accepted(self, issuer, holder, card):
        assert issuer.verify(self.countersigned(card, holder, int(time.time())))["outcome"] == "valid-live"

    def test_the_flattened_form_is_refused(self, issuer, holder, card):
        issuer.refuses(self.countersigned(card, holder, int(time.time()), nested=False), "proof_wrong")

    def test_what_the_package_cwt_makes_is_the_flattened_form(self, issuer):
        """Its own verifier accepts it, ours does not: a wallet may not use this package for the proof."""
        holder = Holder("EdDSA")
        [credential] = take(issuer, "official-card-qr", holder)
        private = {1: 1, 3: -8, -1: 6, -2: from_b64url(holder.jwk["x"]), -4: holder.private.private_bytes_raw()}
        signer = Signer.new(COSEKey.new(private), protected={1: -8, CWT_CLAIMS: {6: int(time.time())}})
        made = COSEMessage.loads(from_b64url(credential)).countersign(signer, aad=PROFILE)
        assert made.counterverify(COSEKey.new({label: private[label] for label in (1, 3, -1, -2)}), aad=PROFILE)
        issuer.refuses(base45.b45encode(zlib.compress(made.dumps())).decode(), "proof_wrong")

    @pytest.mark.parametrize(("seconds", "reason"), [(-300, "proof_stale"), (300, "proof_from_future")])
    def test_a_proof_of_another_moment_is_refused(self, issuer, holder, card, seconds, reason):
        issuer.refuses(self.countersigned(card, holder, int(time.time()) + seconds), reason)

    def test_a_proof_of_another_key_is_refused(self, issuer, holder, card):
        issuer.refuses(self.countersigned(card, Holder(holder.alg), int(time.time())), "proof_wrong")
