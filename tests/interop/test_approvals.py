"""The monthly approval, signed and checked by libraries that know nothing of us: OpenSSL's command line and cryptography
make the signature, and hashlib alone finds the signed root again in the list of records. The report opens in openpyxl."""

import base64
import hashlib
import io
import json
import os
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import openpyxl
import pytest
from asn1crypto import cms, tsp  # noqa: F401  (tsp knows the signing-certificate attribute)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

BIN = os.environ["OFFICIALS_CARD_BIN"]
HANDLES = ["0000000000000001", "7Q2M8K3D5N9R1T4V", "ZZZZZZZZZZZZZZZZ"]


def certificate(subject: str, key, issuer: str, issuer_key, is_ca: bool) -> x509.Certificate:
    name = lambda text: x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"), x509.NameAttribute(NameOID.COMMON_NAME, text)])
    usage = dict.fromkeys(
        ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"], False,
    )
    usage |= {"key_cert_sign": True, "crl_sign": True} if is_ca else {"content_commitment": True}
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject)).issuer_name(name(issuer)).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30)).not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
    )
    return builder.sign(issuer_key, hashes.SHA256())


@pytest.fixture(scope="module")
def pki(tmp_path_factory) -> Path:
    """A root and a person with RSA keys, as Vietnamese authorities give them out."""
    folder = tmp_path_factory.mktemp("pki")
    root_key, key = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    root = certificate("Approvers", root_key, "Approvers", root_key, is_ca=True)
    chief = certificate("Nguyễn Văn Ký", key, "Approvers", root_key, is_ca=False)
    pem = serialization.Encoding.PEM
    (folder / "root.pem").write_bytes(root.public_bytes(pem))
    (folder / "chief.pem").write_bytes(chief.public_bytes(pem))
    (folder / "chief.der").write_bytes(chief.public_bytes(serialization.Encoding.DER))
    (folder / "chief.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder


def leaf(handle: str, version: int) -> str:
    return f"{handle} {version} {hashlib.sha256(handle.encode()).hexdigest()}"


def root_of(leaves: list[str]) -> bytes:
    """RFC 6962 section 2.1, by hashlib alone."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0].encode()).digest()
    left = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + root_of(leaves[:left]) + root_of(leaves[left:])).digest()


def document(leaves: list[str]) -> bytes:
    counts = {"all": 1, "clean": 1, "correct": 2, "live": 3, "records": len(leaves), "sufficient": 3}
    state = {
        "at": int(datetime.now(UTC).timestamp()), "catalogue": "2023", "counts": counts, "month": "2026-11",
        "previous": None, "root": root_of(leaves).hex(), "type": "officials-card/quality-approval/1", "unit": "H26",
    }
    return json.dumps(state, separators=(",", ":"), sort_keys=True).encode()


def sign(pki: Path, data: bytes, folder: Path) -> bytes:
    (folder / "document").write_bytes(data)
    command = ["openssl", "cms", "-sign", "-binary", "-cades", "-md", "sha256", "-outform", "DER",
               "-signer", pki / "chief.pem", "-inkey", pki / "chief.key", "-in", folder / "document"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def approval(pki: Path, leaves: list[str], folder: Path) -> dict:
    data = document(leaves)
    encode = lambda content: base64.b64encode(content).decode()
    return {
        "id": "x" * 22, "approver": "hanoi", "approved_at": 0, "reason": None, "form": "cms",
        "document": encode(data), "signature": encode(sign(pki, data, folder)),
        "certificate": encode((pki / "chief.der").read_bytes()), "leaves": "".join(f"{one}\n" for one in leaves),
    }


def verify(pki: Path, file: dict, folder: Path) -> subprocess.CompletedProcess:
    (folder / "approval.json").write_text(json.dumps(file))
    command = [BIN, "approval", "verify", folder / "approval.json", "--roots", pki / "root.pem"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_an_approval_made_by_others_is_checked_without_network(pki, tmp_path):
    leaves = [leaf(handle, 1) for handle in HANDLES]
    done = verify(pki, approval(pki, leaves, tmp_path), tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["unit"], told["month"], told["records"]) == ("H26", "2026-11", 3)
    assert told["root"] == root_of(leaves).hex()
    assert "Nguyễn Văn Ký" in told["subject"]


def test_the_signature_names_its_certificate_as_cades_wants(pki, tmp_path):
    file = approval(pki, [leaf(HANDLES[0], 1)], tmp_path)
    signed = cms.ContentInfo.load(base64.b64decode(file["signature"]))["content"]
    [signer] = signed["signer_infos"]
    assert "signing_certificate_v2" in {attribute["type"].native for attribute in signer["signed_attrs"]}
    assert signed["encap_content_info"]["content"].native is None, "detached"


@pytest.mark.parametrize("what", ["version", "missing", "order", "document", "certificate"])
def test_anything_changed_is_noticed(pki, tmp_path, what):
    leaves = [leaf(handle, 1) for handle in HANDLES]
    file = approval(pki, leaves, tmp_path)
    match what:
        case "version":
            file["leaves"] = file["leaves"].replace(" 1 ", " 2 ", 1)
        case "missing":
            file["leaves"] = "".join(f"{one}\n" for one in leaves[1:])
        case "order":
            file["leaves"] = "".join(f"{one}\n" for one in reversed(leaves))
        case "document":
            other = base64.b64decode(file["document"]).replace(b'"live":3', b'"live":4')
            file["document"] = base64.b64encode(other).decode()
        case "certificate":
            root = x509.load_pem_x509_certificate((pki / "root.pem").read_bytes())
            file["certificate"] = base64.b64encode(root.public_bytes(serialization.Encoding.DER)).decode()
    done = verify(pki, file, tmp_path)
    assert done.returncode == 4, (done.stdout, done.stderr)


def test_the_report_opens_as_a_spreadsheet(issuer):
    """Whoever holds the demo's token of the backend sees the nation."""
    import requests

    month = (datetime.now(UTC) + timedelta(hours=7)).strftime("%Y-%m")
    report = f"{issuer.url}/api/v1/reports/{month}"
    told, answer = None, None
    # The server still counts the demo's records: two reports in a row have to say the same.
    for _ in range(120):
        before, told = told, requests.get(f"{report}.json", headers=issuer.backend, timeout=60).json()
        if answer and before == told and told["records"] > 0:
            break
        answer = requests.get(f"{report}.xlsx", headers=issuer.backend, timeout=60)
        assert answer.ok, answer.text
        time.sleep(0.5)
    book = openpyxl.load_workbook(io.BytesIO(answer.content))
    assert book.sheetnames == ["Tổng hợp", "Đơn vị", "Nguyên nhân", "Phê duyệt"]
    summary = {row[0]: row[1] for row in book["Tổng hợp"].iter_rows(min_row=5, values_only=True)}
    assert summary["Tổng số hồ sơ / records"] == told["records"]
    assert summary["Đúng / correct"] == told["scores"]["correct"]["holds"]
    assert all(cell.data_type != "f" for sheet in book for row in sheet.iter_rows() for cell in row), "no formulas"
