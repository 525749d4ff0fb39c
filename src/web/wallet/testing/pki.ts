// Certificates, cards and requests for the unit tests: a small issuer of its own.
import { ECDSASigValue, id_ecdsaWithSHA256 } from "@peculiar/asn1-ecc";
import { AsnConvert, OctetString } from "@peculiar/asn1-schema";
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  BasicConstraints,
  Certificate,
  Extension,
  Extensions,
  GeneralName,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  id_ce_basicConstraints,
  id_ce_keyUsage,
  id_ce_subjectAltName,
} from "@peculiar/asn1-x509";
import { CompactSign } from "jose";

import { type Bytes, sha256, toBase64Url, utf8 } from "../protocol/bytes.ts";
import type { PublicJwk } from "../protocol/keys.ts";

/** The instant of all tests (Unix seconds). */
export const NOW = 1_795_325_268;

const P256 = { name: "ECDSA", namedCurve: "P-256" } as const;
const ES256 = { name: "ECDSA", hash: "SHA-256" } as const;

/** Somebody with a certificate. */
export interface Certified {
  readonly keys: CryptoKeyPair;
  readonly der: Bytes;
  readonly name: string;
}

/** What a certificate says. */
export interface Asked {
  readonly issuer?: Certified;
  readonly uris?: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly isAuthority?: boolean;
  readonly from?: number;
  readonly until?: number;
}

/** Makes a certificate; without an issuer it signs itself. */
export async function certify(name: string, asked: Asked = {}): Promise<Certified> {
  const keys = await crypto.subtle.generateKey(P256, true, ["sign", "verify"]);
  const { issuer, uris = [], dnsNames = [], isAuthority = false, from = NOW - 86_400, until = NOW + 86_400 } = asked;
  const flag = isAuthority ? KeyUsageFlags.keyCertSign : KeyUsageFlags.digitalSignature;
  const names = [
    ...uris.map((uniformResourceIdentifier) => new GeneralName({ uniformResourceIdentifier })),
    ...dnsNames.map((dNSName) => new GeneralName({ dNSName })),
  ];
  const extensions = [
    extension(id_ce_basicConstraints, new BasicConstraints({ cA: isAuthority }), true),
    extension(id_ce_keyUsage, new KeyUsage(flag), true),
    ...(names.length > 0 ? [extension(id_ce_subjectAltName, new SubjectAlternativeName(names), false)] : []),
  ];
  const algorithm = new AlgorithmIdentifier({ algorithm: id_ecdsaWithSHA256 });
  const tbsCertificate = new TBSCertificate({
    version: 2,
    serialNumber: crypto.getRandomValues(new Uint8Array(8)).map((byte, at) => (at === 0 ? 1 : byte)).buffer,
    signature: algorithm,
    issuer: distinguished(issuer?.name ?? name),
    validity: new Validity({ notBefore: new Date(from * 1000), notAfter: new Date(until * 1000) }),
    subject: distinguished(name),
    subjectPublicKeyInfo: AsnConvert.parse(await crypto.subtle.exportKey("spki", keys.publicKey), SubjectPublicKeyInfo),
    extensions: new Extensions(extensions),
  });
  const signer = (issuer?.keys ?? keys).privateKey;
  const raw = new Uint8Array(await crypto.subtle.sign(ES256, signer, AsnConvert.serialize(tbsCertificate)));
  const signatureValue = AsnConvert.serialize(new ECDSASigValue({ r: positive(raw.slice(0, 32)), s: positive(raw.slice(32)) }));
  const certificate = new Certificate({ tbsCertificate, signatureAlgorithm: algorithm, signatureValue });
  return { keys, name, der: new Uint8Array(AsnConvert.serialize(certificate)) };
}

/** The root of a test, and somebody below it for one use. */
export async function world(use: string, asked: Asked = {}): Promise<{ root: Certified; leaf: Certified }> {
  const root = await certify("Test root", { isAuthority: true });
  const uris = [`urn:vn:officials-card:use:${use}`];
  return { root, leaf: await certify("Test leaf", { issuer: root, uris, ...asked }) };
}

/** A token with its certificates. */
export async function signed(signer: Certified, type: string, claims: object): Promise<string> {
  const x5c = [Buffer.from(signer.der).toString("base64")];
  const token = new CompactSign(utf8(JSON.stringify(claims))).setProtectedHeader({ alg: "ES256", typ: type, x5c });
  return token.sign(signer.keys.privateKey);
}

/** An SD-JWT card as issued. `plain` are claims that are always visible. */
export async function card(
  issuer: Certified,
  holder: PublicJwk,
  claims: Record<string, unknown>,
  plain: Record<string, unknown> = {},
): Promise<string> {
  const disclosures = Object.entries(claims).map(([name, value]) => disclosure(["salt", name, value]));
  const payload = {
    vct: "https://issuer.example/types/official-card/1",
    iat: NOW - 3600,
    exp: NOW + 3600,
    cnf: { jwk: holder },
    status: { status_list: { idx: 7, uri: "https://issuer.example/s/1" } },
    _sd: await Promise.all(disclosures.map(digest)),
    ...plain,
  };
  return [await signed(issuer, "dc+sd-jwt", payload), ...disclosures, ""].join("~");
}

/** One disclosure. */
export function disclosure(parts: readonly unknown[]): string {
  return toBase64Url(utf8(JSON.stringify(parts)));
}

/** Its digest. */
export async function digest(text: string): Promise<string> {
  return toBase64Url(await sha256(utf8(text)));
}

function extension(extnID: string, value: object, critical: boolean): Extension {
  return new Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) });
}

function distinguished(commonName: string): Name {
  const value = new AttributeValue({ utf8String: commonName });
  return new Name([new RelativeDistinguishedName([new AttributeTypeAndValue({ type: "2.5.4.3", value })])]);
}

function positive(bytes: Uint8Array): ArrayBuffer {
  const start = bytes.findIndex((byte) => byte !== 0);
  const digits = bytes.slice(Math.max(start, 0));
  return Uint8Array.from((digits[0] ?? 0) > 127 ? [0, ...digits] : digits).buffer;
}
