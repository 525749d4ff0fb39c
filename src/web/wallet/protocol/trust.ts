// Whom the wallet trusts: certificate paths (RFC 5280, as far as a PKI of two or three levels needs it) from `x5c` to the
// pinned root. ASN.1 is read by the library `@peculiar/asn1-x509`; signatures are verified by WebCrypto.

import { ECDSASigValue, id_ecdsaWithSHA256 } from "@peculiar/asn1-ecc";
import { AsnConvert } from "@peculiar/asn1-schema";
import {
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  KeyUsage,
  KeyUsageFlags,
  SubjectAlternativeName,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
} from "@peculiar/asn1-x509";

import { type Bytes, Malformed, concat, equal, fromBase64 } from "./bytes.ts";
import { type VerifyingKey, ed25519, es256, verify } from "./keys.ts";

/** What a certificate was issued for: a URI among its alternative names. */
export type Use = "cards" | "status-lists" | "trust-list" | "requests";

/** RFC 8410 section 3. */
const ID_ED25519 = "1.3.101.112";
/** Leaf and intermediates. */
const MAX_CHAIN = 4;
/** Critical extensions that are understood. */
const UNDERSTOOD: readonly string[] = [
  id_ce_basicConstraints,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_extKeyUsage,
];

/** Whose signature it was, once the path is checked. */
export interface Signer {
  readonly key: VerifyingKey;
  /** DNS names among the alternative names of the leaf. */
  readonly dnsNames: readonly string[];
  /** The common name of its subject, for people. */
  readonly name: string;
}

interface Parsed {
  readonly der: Bytes;
  readonly certificate: Certificate;
}

/** Pinned roots. */
export class Anchors {
  private readonly roots: readonly Parsed[];

  constructor(certificates: readonly Bytes[]) {
    this.roots = certificates.map(parse);
  }

  /** From the `CERTIFICATE` blocks of a PEM text (RFC 7468). */
  static fromPem(pem: string): Anchors {
    const blocks = [...pem.matchAll(/-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----/g)];
    if (blocks.length === 0) throw new Malformed("trust anchor", "holds no certificate");
    return new Anchors(blocks.map(([, body]) => fromBase64((body ?? "").replace(/\s/g, ""), "trust anchor")));
  }

  /** Checks that a chain (leaf first) leads to a root at `now` and that its leaf was issued for this use. HAIP 1.0 section
   * 6.1.1: the root is not in the chain, and the leaf is not signed by itself. */
  async check(chain: readonly Bytes[], use: Use, now: number): Promise<Signer> {
    if (chain.length === 0 || chain.length > MAX_CHAIN) throw wrong("is empty or too long");
    if (chain.some((der) => this.roots.some((root) => equal(root.der, der)))) throw wrong("carries its root");
    const certificates = chain.map(parse);
    const [leaf, last] = [certificates[0], certificates.at(-1)];
    const root = this.roots.find((root) => last && equal(name(last, "issuer"), name(root, "subject")));
    if (!leaf || !root) throw wrong("does not lead to the pinned root");
    const path = [...certificates, root];
    for (const [depth, { certificate }] of path.entries()) {
      checkPeriod(certificate, now);
      checkUsage(certificate, depth);
      const issuer = path[depth + 1];
      const own = path[depth];
      if (issuer && own) await checkSignature(own, issuer);
    }
    const alternatives = extension(leaf.certificate, id_ce_subjectAltName, SubjectAlternativeName) ?? [];
    const uri = `urn:vn:officials-card:use:${use}`;
    if (![...alternatives].some((name) => name.uniformResourceIdentifier === uri)) throw wrong("is for another use");
    const dnsNames = [...alternatives].flatMap((name) => (name.dNSName === undefined ? [] : [name.dNSName]));
    return { key: await publicKey(leaf.certificate), dnsNames, name: commonName(leaf.certificate) };
  }
}

/** The key identifiers of the issuers in a chain: what `aki` of a query means (OpenID4VP 1.0 section 6.1.1.1). */
export function authorityKeyIds(chain: readonly Bytes[]): Bytes[] {
  return chain.flatMap((der) => {
    const id = extension(parse(der).certificate, id_ce_authorityKeyIdentifier, AuthorityKeyIdentifier)?.keyIdentifier;
    return id === undefined ? [] : [new Uint8Array(id.buffer)];
  });
}

function wrong(rule: string): Malformed {
  return new Malformed("certificate chain", rule);
}

function parse(der: Bytes): Parsed {
  try {
    return { der, certificate: AsnConvert.parse(der, Certificate) };
  } catch {
    throw wrong("is not DER");
  }
}

function name({ certificate }: Parsed, whose: "issuer" | "subject"): Bytes {
  return new Uint8Array(AsnConvert.serialize(certificate.tbsCertificate[whose]));
}

function commonName(certificate: Certificate): string {
  const attributes = certificate.tbsCertificate.subject.flatMap((relative) => [...relative]);
  const value = attributes.find(({ type }) => type === "2.5.4.3")?.value;
  return value?.utf8String ?? value?.printableString ?? "";
}

function checkPeriod(certificate: Certificate, now: number): void {
  const { notBefore, notAfter } = certificate.tbsCertificate.validity;
  if (now * 1000 < notBefore.getTime().getTime() || now * 1000 > notAfter.getTime().getTime()) {
    throw wrong("holds a certificate that is not valid now");
  }
}

/** `depth` 0 signs messages; every other signs the certificate below it. */
function checkUsage(certificate: Certificate, depth: number): void {
  const extensions = certificate.tbsCertificate.extensions ?? [];
  const constraints = extension(certificate, id_ce_basicConstraints, BasicConstraints);
  const usage = extension(certificate, id_ce_keyUsage, KeyUsage)?.toNumber() ?? 0;
  const needed = depth === 0 ? KeyUsageFlags.digitalSignature : KeyUsageFlags.keyCertSign;
  const isUnknown = extensions.some(({ critical, extnID }) => critical && !UNDERSTOOD.includes(extnID));
  const isTooDeep = depth > 0 && depth - 1 > (constraints?.pathLenConstraint ?? Infinity);
  if (isUnknown || isTooDeep || (usage & needed) === 0 || (constraints?.cA ?? false) !== depth > 0) {
    throw wrong("holds a certificate that was not issued for this");
  }
}

async function checkSignature({ certificate }: Parsed, issuer: Parsed): Promise<void> {
  const { tbsCertificateRaw: signed, signatureAlgorithm, signatureValue, tbsCertificate } = certificate;
  const isLinked = equal(new Uint8Array(AsnConvert.serialize(tbsCertificate.issuer)), name(issuer, "subject"));
  const isKnown = signatureAlgorithm.algorithm === id_ecdsaWithSHA256;
  if (!isLinked || !isKnown || signed === undefined) throw wrong("is signed by somebody or something unknown");
  const { r, s } = AsnConvert.parse(signatureValue, ECDSASigValue);
  const signature = concat(padded(r), padded(s));
  const key = await publicKey(issuer.certificate);
  if (key.algorithm !== "ES256" || !(await verify(key, signature, new Uint8Array(signed)))) {
    throw wrong("has a wrong signature");
  }
}

/** An unsigned integer of DER in 32 bytes. */
function padded(integer: ArrayBuffer): Bytes {
  const bytes = new Uint8Array(integer);
  const significant = bytes.slice(bytes.findIndex((byte) => byte !== 0));
  if (significant.length > 32) throw wrong("has a malformed signature");
  return concat(new Uint8Array(32 - significant.length), significant);
}

/** P-256, or Ed25519, with which the trust list and QR cards are signed. */
async function publicKey(certificate: Certificate): Promise<VerifyingKey> {
  const { subjectPublicKeyInfo } = certificate.tbsCertificate;
  const spki = AsnConvert.serialize(subjectPublicKeyInfo);
  try {
    if (subjectPublicKeyInfo.algorithm.algorithm === ID_ED25519) {
      return ed25519(await crypto.subtle.importKey("spki", spki, { name: "Ed25519" }, true, ["verify"]));
    }
    return es256(await crypto.subtle.importKey("spki", spki, { name: "ECDSA", namedCurve: "P-256" }, true, ["verify"]));
  } catch {
    throw wrong("holds a key that is neither P-256 nor Ed25519");
  }
}

function extension<T>(certificate: Certificate, id: string, type: new () => T): T | undefined {
  const found = certificate.tbsCertificate.extensions?.find(({ extnID }) => extnID === id);
  return found && AsnConvert.parse(found.extnValue, type);
}
