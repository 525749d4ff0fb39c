"""mdoc (ISO/IEC 18013-5): the package `pymdoccbor` verifies what is issued, `cryptography` the certificates and their
profile, and the reference wallet takes it."""

import re
from datetime import UTC, datetime, timedelta

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, Hash
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID, NameOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError
from pymdoccbor.mdoc.verifier import MdocCbor

from issuer import Mdoc, Sign1, encoded, from_b64url
from plain_wallet import Holder, take

MDOC = "official-card-mdoc"
TYPE = NAMESPACE = "vn.gov.moha.officials-card.1"
# Ours, a UUID: see DOCUMENT_SIGNING_OID in src/credential/x509.rs.
DOCUMENT_SIGNING = x509.ObjectIdentifier("2.25.116005120628725839794736311592479511309")
KEY_USAGES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
CA_USAGES = ("key_cert_sign", "crl_sign")


@pytest.fixture(scope="module")
def holder() -> Holder:
    return Holder("ES256")


@pytest.fixture(scope="module")
def card(issuer, holder) -> Mdoc:
    [credential] = take(issuer, MDOC, holder)
    return Mdoc(credential)


@pytest.fixture
def signer(card) -> x509.Certificate:
    # RFC 9360 section 2: one certificate stands alone, several in an array.
    return x509.load_der_x509_certificate(card.unprotected[33])


def accepted(issuer_signed: dict, *anchors: x509.Certificate) -> MdocCbor | None:
    """What the package makes of it as the only document of a response, when it accepts it."""
    document = {"docType": TYPE, "issuerSigned": issuer_signed}
    response = MdocCbor()
    response.loads(cbor2.dumps({"version": "1.0", "documents": [document], "status": 0}))
    return response if response.verify(list(anchors)) else None


def test_the_package_accepts_it_and_reads_what_the_card_says(issuer, card):
    response = accepted(card.parts, issuer.iaca)
    [document] = response.documents
    shown = len(card.namespaces[NAMESPACE])
    assert document.hash_verification == {"valid": True, "total": shown, "verified": shown, "failed": []}
    said = response.disclosure_map[NAMESPACE]
    assert said["personal_id_number"] == issuer.person
    assert set(said["employing_agency"]) == {"code", "name"}
    # Tag 1004, which this reader leaves to its user, has the date as text.
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", str(said["date_of_birth"]))
    if "portrait" in said:
        assert said["portrait"][:2] == b"\xff\xd8", "a JPEG as it is"


def test_the_package_refuses_what_was_changed(issuer, card):
    assert accepted(card.parts, issuer.iaca), "or the rest shows nothing"
    assert not accepted(card.parts, issuer.root), "the root is no IACA"
    for place in range(len(card.namespaces[NAMESPACE])):
        items = list(card.parts["nameSpaces"][NAMESPACE])
        item = card.namespaces[NAMESPACE][place] | {"elementValue": "Nguyễn Văn Giả"}
        items[place] = cbor2.CBORTag(24, cbor2.dumps(item))
        assert not accepted({**card.parts, "nameSpaces": {NAMESPACE: items}}, issuer.iaca)
    protected, unprotected, _, signature = card.parts["issuerAuth"]
    mso = card.mso | {"docType": "another"}
    payload = cbor2.dumps(cbor2.CBORTag(24, cbor2.dumps(mso)))
    assert not accepted({**card.parts, "issuerAuth": [protected, unprotected, payload, signature]}, issuer.iaca)


def test_the_mso_is_by_the_profile(issuer, card, holder):
    assert card.protected == {1: -7}
    assert set(card.unprotected) == {33}
    assert set(card.mso) == {
        "version", "digestAlgorithm", "valueDigests", "deviceKeyInfo", "docType", "validityInfo", "status"
    }  # fmt: skip
    assert (card.mso["version"], card.mso["digestAlgorithm"], card.mso["docType"]) == ("1.0", "SHA-256", TYPE)
    numbers = holder.private.public_key().public_numbers()
    key = {1: 2, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}
    assert card.mso["deviceKeyInfo"] == {"deviceKey": key}
    validity = card.mso["validityInfo"]
    assert validity["signed"] == validity["validFrom"] <= datetime.now(UTC) < validity["validUntil"]
    assert (validity["signed"].minute, validity["signed"].second) == (0, 0)
    # As text, before any reader made something of it.
    texts = re.findall(rb"\xc0\x74(.{20})", encoded(cbor2.loads(card.parts["issuerAuth"][2])))
    assert len(texts) == 3
    assert all(re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text) for text in texts)
    assert set(card.mso["status"]) == {"status_list"}
    status = card.mso["status"]["status_list"]
    assert status["uri"].startswith(f"{issuer.url}/s/")
    # Second edition, 12.3.6.2: who has certified the list's signer, when it was not the IACA.
    lists = Sign1(issuer.get(status["uri"], Accept="application/statuslist+cwt").content)
    list_signer = x509.load_der_x509_certificate(lists.unprotected[33])
    list_signer.verify_directly_issued_by(x509.load_der_x509_certificate(status["certificate"]))
    lists.verify(list_signer.public_key())
    assert lists.payload[65533]["lst"]
    [digests] = card.mso["valueDigests"].values()
    assert sorted(digests) == list(range(16)), "always as many, whatever the card holds"
    items = card.namespaces[NAMESPACE]
    assert len(items) < 16
    assert all(len(item["random"]) >= 16 for item in items)
    assert len({item["random"] for item in items}) == len(items)


def extensions(certificate: x509.Certificate) -> dict[x509.ObjectIdentifier, bool]:
    return {extension.oid: extension.critical for extension in certificate.extensions}


def usages(certificate: x509.Certificate) -> set[str]:
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    return {name for name in KEY_USAGES + CA_USAGES if getattr(usage, name)}


def test_the_certificates_are_by_annex_b(issuer, signer):
    common = {
        ExtensionOID.KEY_USAGE: True,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER: False,
        ExtensionOID.ISSUER_ALTERNATIVE_NAME: False,
        ExtensionOID.CRL_DISTRIBUTION_POINTS: False,
    }
    assert extensions(issuer.iaca) == common | {ExtensionOID.BASIC_CONSTRAINTS: True}
    own = {ExtensionOID.AUTHORITY_KEY_IDENTIFIER: False, ExtensionOID.EXTENDED_KEY_USAGE: True}
    assert extensions(signer) == common | own
    assert usages(issuer.iaca) == set(CA_USAGES)
    assert usages(signer) == {"digital_signature"}
    constraints = issuer.iaca.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)
    assert list(signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [DOCUMENT_SIGNING]
    assert signer.not_valid_after_utc - signer.not_valid_before_utc <= timedelta(days=457)
    assert issuer.iaca.not_valid_after_utc - issuer.iaca.not_valid_before_utc <= timedelta(days=20 * 365)
    for certificate in (issuer.iaca, signer):
        assert certificate.version is x509.Version.v3
        assert isinstance(certificate.public_key().curve, ec.SECP256R1)
        assert isinstance(certificate.signature_hash_algorithm, SHA256)
        assert 2**63 < certificate.serial_number < 2**159
        [country] = certificate.subject.get_attributes_for_oid(NameOID.COUNTRY_NAME)
        assert (country.value, country._type.name) == ("VN", "PrintableString")  # noqa: SLF001
        assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        # Method 1 of RFC 5280 section 4.2.1.2: SHA-1 of the bits of the key.
        sha1 = Hash(SHA1())  # noqa: S303
        sha1.update(certificate.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
        identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        assert identifier.digest == sha1.finalize()
        names = certificate.extensions.get_extension_for_class(x509.IssuerAlternativeName).value
        assert names.get_values_for_type(x509.UniformResourceIdentifier) == [issuer.url]
    authority = signer.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert authority.key_identifier == (
        issuer.iaca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    )


def test_the_path_is_valid_to_the_served_anchor_alone(issuer, signer):
    served = x509.load_pem_x509_certificate(issuer.get("/iaca.pem").content)
    assert served == issuer.iaca
    only_ours = ExtensionPolicy.permit_all().require_present(x509.ExtendedKeyUsage, Criticality.CRITICAL, None)

    def verify(anchor: x509.Certificate, at: datetime) -> list[x509.Certificate]:
        policy = PolicyBuilder().store(Store([anchor])).time(at).max_chain_depth(0)
        policy = policy.extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=only_ours)
        return policy.build_client_verifier().verify(signer, []).chain

    now = datetime.now(UTC)
    assert verify(served, now) == [signer, served]
    with pytest.raises(VerificationError):
        verify(issuer.root, now)
    with pytest.raises(VerificationError):
        verify(served, now + timedelta(days=458))


def test_the_revocation_list_is_where_the_certificates_say(issuer, signer):
    for certificate in (issuer.iaca, signer):
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        [point] = points
        assert (point.reasons, point.crl_issuer) == (None, None)
        [name] = point.full_name
        served = issuer.get(name.value)
        assert served.headers["Content-Type"] == "application/pkix-crl"
        revoked = x509.load_der_x509_crl(served.content)
        assert revoked.is_signature_valid(issuer.iaca.public_key())
        assert revoked.issuer == issuer.iaca.subject
        assert revoked.last_update_utc <= datetime.now(UTC) < revoked.next_update_utc
        assert set(extensions(revoked)) == {ExtensionOID.AUTHORITY_KEY_IDENTIFIER, ExtensionOID.CRL_NUMBER}
        assert not list(revoked)


class TestReferenceWallet:
    def test_takes_and_shows_it(self, issuer, wallet):
        made = issuer.make_offer(MDOC)
        code = ("--tx-code", made["tx_code"], "--trust-anchor", issuer.iaca_file)
        wallet("take", made["credential_offer"], *code, "--copies", "2")
        shown = wallet("show")
        assert shown.count("in force") == 2
        assert "Full name" in shown
        assert issuer.person not in shown
        assert issuer.person in wallet("show", "--full")

    def test_takes_every_form_with_both_anchors(self, issuer, wallet):
        made = issuer.make_offer()
        anchors = ("--trust-anchor", issuer.trust_anchor_file, issuer.iaca_file)
        wallet("take", made["credential_offer"], "--tx-code", made["tx_code"], *anchors)
        assert wallet("show").count("in force") == 4

    def test_does_not_believe_another_anchor(self, issuer, wallet):
        made = issuer.make_offer(MDOC)
        code = ("--tx-code", made["tx_code"], "--trust-anchor", issuer.trust_anchor_file)
        assert "not accepted" in wallet("take", made["credential_offer"], *code, succeeds=False)
        assert "holds no card" in wallet("show")

    def test_on_first_use_the_anchors_come_with_a_warning(self, issuer, wallet):
        made = issuer.make_offer(MDOC)
        wallet("take", made["credential_offer"], "--tx-code", made["tx_code"])
        assert "in force" in wallet("show")


def test_it_is_base64url_without_padding(issuer, holder):
    [credential] = take(issuer, MDOC, holder)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", credential)
    assert set(cbor2.loads(from_b64url(credential))) == {"nameSpaces", "issuerAuth"}
