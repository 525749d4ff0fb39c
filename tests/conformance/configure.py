#!/usr/bin/env python3
"""Makes the settings of both sides. For the plans of issuers: keys of two wallets, providers that attest wallets and keys,
the suite's configurations (sd_jwt_vc.json, mdoc.json), and the part of the issuer's settings that trusts those keys
(wallets.toml). For the plans of verifiers: an issuer of the cards that the suite presents, the suite's configuration
(verifier.json), and the verifier's templates and trust (verifier.toml).
"""

import argparse
import base64
import itertools
import json
import urllib.parse
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

ATTESTER = "attester.example"
KEY_ATTESTER = "key-attester.example"
WALLETS = ("suite-client-1", "suite-client-2")
# Who issues the identity documents that the suite presents as SD-JWT VCs.
CARD_ISSUER = "identity-issuer.example"
LICENCE_NAMESPACE = "org.iso.18013.5.1"
# What is asked for, by the suite's names of the formats.
CREDENTIAL_QUERIES = {
    "sd_jwt_vc": {
        "format": "dc+sd-jwt",
        "meta": {"vct_values": ["urn:eudi:pid:1"]},
        "claims": [{"path": [name]} for name in ("given_name", "family_name", "birthdate")],
    },
    "iso_mdl": {
        "format": "mso_mdoc",
        "meta": {"doctype_value": "org.iso.18013.5.1.mDL"},
        "claims": [
            {"path": [LICENCE_NAMESPACE, name], "intent_to_retain": False} for name in ("family_name", "given_name")
        ],
    },
}
RESPONSE_MODES = ("direct_post.jwt", "direct_post")
CLIENT_ID_PREFIXES = ("x509_hash", "x509_san_dns")
REQUEST_URI_METHODS = ("get", "post")
# The suite's mdocs are signed by a key and certificate in its source (TestAppUtils.kt), which signs itself and is renewed there
# every year; this one is good until 3 August 2027.
DOCUMENT_SIGNER = Path(__file__).resolve().parent / "suite-document-signer.pem"
# The program that starts presentations.
VERIFIER_CLIENT = "conformance"
# The suite also asks for a redirect URI with a query.
REDIRECT_QUERIES = ("", "?dummy1=lorem&dummy2=ipsum")
PAGE_SECONDS = 10
CERTIFICATE_DAYS = 400
KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)

# Modules that see something else than a sign-in and a consent: by the kind of steps (see `steps_by_kind`).
FAPI = "fapi2-security-profile-final-"
MODULES_BY_KIND = {
    "denied": ("user-rejects-authentication",),
    "error": (
        "ensure-request-object-without-redirect-uri-fails",
        "ensure-unsigned-authorization-request-without-using-par-fails",
        "ensure-response-type-code-idtoken-fails",
        "ensure-response-type-token-fails",
        "par-attempt-to-use-expired-request_uri",
        "par-attempt-to-use-request_uri-for-different-client",
        "par-ensure-pkce-required",
        "par-plain-pkce-rejected",
    ),
    "sign-in or error": (
        "plain-fapi-tolerate-unregistered-redirect-uri",
        "ensure-redirect-uri-in-authorization-request",
        "ensure-different-state-inside-and-outside-request-object",
        "state-only-outside-request-object-not-used",
        "ensure-authorization-request-with-long-state",
    ),
    "sign-in, then error": ("par-attempt-reuse-request_uri",),
    "abandoned, then sign-in": ("par-ensure-reused-request-uri-prior-to-auth-completion-succeeds",),
}


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class SigningKey:
    """A P-256 key, with the certificate that its JWK carries if there is one."""

    identifier: str
    private: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate | None = None

    def jwks(self, *, private: bool) -> dict:
        """A JWK Set of this key alone."""
        public = self.private.public_key().public_numbers()
        key = {
            "kty": "EC",
            "crv": "P-256",
            "alg": "ES256",
            "use": "sig",
            "kid": self.identifier,
            "x": base64url(public.x.to_bytes(32)),
            "y": base64url(public.y.to_bytes(32)),
        }
        if private:
            key["d"] = base64url(self.private.private_numbers().private_value.to_bytes(32))
        if self.certificate:
            key["x5c"] = [base64.b64encode(self.certificate.public_bytes(Encoding.DER)).decode()]
        return {"keys": [key]}


def new_key(identifier: str) -> SigningKey:
    return SigningKey(identifier, ec.generate_private_key(ec.SECP256R1()))


class Authority:
    """A root that the issuer trusts, and one key that it certifies."""

    def __init__(self, host: str):
        root_name, leaf_name = common_name(f"{host} root"), common_name(host)
        root_key = ec.generate_private_key(ec.SECP256R1())
        self.key = new_key(host)
        root = certify(root_name, root_key.public_key(), root_name, root_key, host=None)
        # The root stays out of x5c (HAIP 1.0 section 4.4.1).
        self.key.certificate = certify(leaf_name, self.key.private.public_key(), root_name, root_key, host=host)
        self.root_pem = root.public_bytes(Encoding.PEM).decode()


def common_name(text: str) -> x509.Name:
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Conformance test")
    return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certify(subject: x509.Name, key, issuer: x509.Name, issuer_key, *, host: str | None) -> x509.Certificate:
    """A certificate for a key: of an authority, or of `host`."""
    now = datetime.now(UTC)
    authority = host is None
    allowed = ("key_cert_sign", "crl_sign") if authority else ("digital_signature",)
    usages = {usage: usage in allowed for usage in KEY_USAGES}
    identifier = x509.SubjectKeyIdentifier.from_public_key(key)
    issuer_identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = (
        x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=CERTIFICATE_DAYS))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
        .add_extension(x509.KeyUsage(**usages), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(issuer_identifier, critical=False)
    )
    if host:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    return builder.sign(issuer_key, SHA256())


def wait_for(*identifiers: str) -> list:
    """A command of the suite's browser: wait until the page has one of these elements."""
    anyone = " or ".join(f"@id='{identifier}'" for identifier in identifiers)
    return ["wait", "xpath", f"//*[{anyone}]", PAGE_SECONDS]


@dataclass
class Pages:
    """What the suite's browser does on the pages of the sign-in simulator and of the issuer.

    Its cookies live as long as a module: the second wallet may meet a session, so that a sign-in is optional.
    """

    issuer: str
    callback: str
    person: str
    password: str

    def steps_by_kind(self) -> dict[str, list[dict]]:
        """The browser settings of every kind of module."""
        # Both programs are on loopback, on ports of their own.
        ours = "http*://127.0.0.1:*"
        sign_in = {
            "task": "Sign in",
            "optional": True,
            "match": ours,
            "commands": [
                wait_for("username", "approve", "error", "submission_complete"),
                ["text", "id", "username", self.person, "optional"],
                ["text", "id", "password", self.password, "optional"],
                ["click", "id", "submit", "optional"],
            ],
        }
        approve = {
            "task": "Approve",
            "optional": True,
            "match": ours,
            "commands": [
                wait_for("approve", "error", "submission_complete"),
                ["click", "id", "approve", "optional"],
            ],
        }
        deny = {
            "task": "Deny",
            "optional": True,
            "match": ours,
            "commands": [["wait", "id", "deny", PAGE_SECONDS], ["click", "id", "deny"]],
        }
        error_page = {
            "task": "Show the error page",
            "optional": True,
            "match": ours,
            "commands": [["wait", "id", "error", PAGE_SECONDS, ".*", "update-image-placeholder-optional"]],
        }
        callback = {
            "task": "Come back",
            "match": f"{self.callback}*",
            "commands": [["wait", "id", "submission_complete", PAGE_SECONDS]],
        }
        maybe_callback = {**callback, "optional": True}
        signed_in = [sign_in, approve, callback]
        refused = [error_page, maybe_callback]
        return {
            "sign-in": [self._visit(signed_in)],
            "denied": [self._visit([sign_in, deny, callback])],
            "error": [self._visit(refused)],
            "sign-in or error": [self._visit([sign_in, approve, *refused])],
            "sign-in, then error": [self._visit(signed_in, once=True), self._visit(refused)],
            "abandoned, then sign-in": [self._visit([], once=True), self._visit(signed_in)],
        }

    def _visit(self, tasks: list[dict], *, once: bool = False) -> dict:
        visit = {"match": f"{self.issuer}/*", "tasks": tasks}
        return {**visit, "match-limit": 1} if once else visit


def suite_configuration(
    options: argparse.Namespace,
    credential: str,
    wallets: list[SigningKey],
    attester: Authority,
    key_attester: Authority,
) -> dict:
    """What the suite asks for in its form, for one credential configuration."""
    steps = Pages(options.url, callback_of(options), options.person, options.password).steps_by_kind()
    root = options.root.read_text(encoding="ascii")
    clients = [{"client_id": name, "jwks": key.jwks(private=True)} for name, key in zip(WALLETS, wallets, strict=True)]
    return {
        "alias": options.alias,
        "description": credential,
        "vci": {"credential_issuer_url": options.url, "credential_configuration_id": credential},
        "client": clients[0],
        "client2": clients[1],
        "client_attestation": {
            "issuer": f"https://{ATTESTER}",
            "attester_jwks": attester.key.jwks(private=True),
            "trust_anchor": attester.root_pem,
            "key_attestation_jwks": key_attester.key.jwks(private=True),
        },
        "credential": {"trust_anchor_pem": root, "status_list_trust_anchor_pem": root},
        "browser": steps["sign-in"],
        "override": {
            FAPI + module: {"browser": steps[kind]} for kind, modules in MODULES_BY_KIND.items() for module in modules
        },
        "options": {"browsercontrol_css_enable": False},
    }


def callback_of(options: argparse.Namespace) -> str:
    return f"{options.suite}/test/a/{options.alias}/callback"


def toml_value(value) -> str:
    """A JSON value as TOML, whose strings and numbers are JSON's."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {toml_value(inner)}" for name, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml_value(inner) for inner in value) + "]"
    return json.dumps(value)


def toml_table(heading: str, table: dict) -> str:
    """A table under its heading, brackets included."""
    return "\n".join([heading, *(f"{name} = {toml_value(value)}" for name, value in table.items()), ""])


def issuer_settings(
    options: argparse.Namespace, wallets: list[SigningKey], attester: Authority, key_attester: Authority
) -> str:
    """The issuer's [[attesters]] and [[wallets]]."""
    tables = [
        toml_table("[[attesters]]", {"name": "suite", "root": attester.root_pem, "certifies": ["wallets"]}),
        toml_table("[[attesters]]", {"name": "suite keys", "root": key_attester.root_pem, "certifies": ["keys"]}),
    ]
    for name, key in zip(WALLETS, wallets, strict=True):
        wallet = {
            "client_id": name,
            "name": name,
            "redirect_uris": [callback_of(options) + query for query in REDIRECT_QUERIES],
            "jwks": key.jwks(private=False),
        }
        tables.append(toml_table("[[wallets]]", wallet))
    return "\n".join(tables)


def verifier_configuration(options: argparse.Namespace, card_issuer: Authority) -> dict:
    """What the suite asks for in its form, for all formats and kinds of `client_id`.

    Pictures of our page come from presentations.py: the suite's browser has nothing to do.
    """
    (signing_key,) = card_issuer.key.jwks(private=True)["keys"]
    return {
        "alias": options.alias,
        "description": "verifier",
        "client": {
            "client_id": urllib.parse.urlsplit(options.url).hostname,
            "request_object_trust_anchor_pem": options.root.read_text(encoding="ascii"),
        },
        "credential": {"signing_jwk": signing_key},
    }


def template_name(*kind: str) -> str:
    """The template for a credential format, response mode, kind of `client_id` and method of fetching the request."""
    return "-".join(["suite", *kind]).replace("_", "-").replace(".", "-")


def verifier_settings(options: argparse.Namespace, card_issuer: Authority) -> str:
    """The verifier's [[clients]], [conformance] and a template of each kind. The suite's cards name no status list."""
    scopes = ["presentations:create", "presentations:read"]
    tables = [toml_table("[[clients]]", {"name": VERIFIER_CLIENT, "scopes": scopes})]
    for kind in itertools.product(CREDENTIAL_QUERIES, RESPONSE_MODES, CLIENT_ID_PREFIXES, REQUEST_URI_METHODS):
        credential_format, response_mode, client_id_prefix, request_uri_method = kind
        template = {
            "id": template_name(*kind),
            "name_vi": "Bộ kiểm thử",
            "name_en": "Conformance suite",
            "purpose_vi": "Kiểm thử",
            "purpose_en": "A test",
            "dcql_query": json.dumps({"credentials": [{"id": "card", **CREDENTIAL_QUERIES[credential_format]}]}),
            "response_mode": response_mode,
            "client_id_prefix": client_id_prefix,
            "request_uri_method": request_uri_method,
            "wallet": f"{options.suite}/test/a/{options.alias}/authorize",
            "conformance": True,
        }
        tables.append(toml_table("[[presentation_templates]]", template))
    trust = {
        "enabled": True,
        "issuers": card_issuer.root_pem,
        "document_signers": DOCUMENT_SIGNER.read_text(encoding="ascii"),
    }
    tables.append(toml_table("[conformance]", trust))
    return "\n".join(tables)


def configure_issuer(options: argparse.Namespace) -> None:
    wallets = [new_key(f"{name}-key") for name in WALLETS]
    attester, key_attester = Authority(ATTESTER), Authority(KEY_ATTESTER)
    for credential_format, credential in (("sd_jwt_vc", options.sd_jwt_vc), ("mdoc", options.mdoc)):
        configuration = suite_configuration(options, credential, wallets, attester, key_attester)
        write_json(options.out / f"{credential_format}.json", configuration)
    settings = issuer_settings(options, wallets, attester, key_attester)
    (options.out / "wallets.toml").write_text(settings, encoding="utf-8")


def configure_verifier(options: argparse.Namespace) -> None:
    card_issuer = Authority(CARD_ISSUER)
    write_json(options.out / "verifier.json", verifier_configuration(options, card_issuer))
    (options.out / "verifier.toml").write_text(verifier_settings(options, card_issuer), encoding="utf-8")


def write_json(file: Path, value: dict) -> None:
    file.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write into")
    parser.add_argument("--url", required=True, help="our public URL, the credential issuer identifier")
    parser.add_argument("--root", type=Path, required=True, help="root.pem of our keys")
    parser.add_argument(
        "--suite", default="https://localhost.emobix.co.uk:8443", help="the suite's address [%(default)s]"
    )
    parser.add_argument("--alias", default="officials-card", help="the suite's name for the test [%(default)s]")
    parties = parser.add_subparsers(required=True, metavar="PARTY")
    issuer = parties.add_parser("issuer", help="for the plans of issuers")
    issuer.set_defaults(configure=configure_issuer)
    issuer.add_argument("--person", required=True, help="who signs in: twelve digits")
    issuer.add_argument("--password", required=True, help="the sign-in simulator's password")
    issuer.add_argument("--sd-jwt-vc", default="official-card-sdjwt", help="the configuration to ask for [%(default)s]")
    issuer.add_argument("--mdoc", default="official-card-mdoc", help="the configuration to ask for [%(default)s]")
    verifier = parties.add_parser("verifier", help="for the plans of verifiers")
    verifier.set_defaults(configure=configure_verifier)
    options = parser.parse_args()
    options.suite = options.suite.rstrip("/")
    return options


def main() -> None:
    options = read_options()
    options.out.mkdir(mode=0o700, parents=True, exist_ok=True)
    options.configure(options)


if __name__ == "__main__":
    main()
