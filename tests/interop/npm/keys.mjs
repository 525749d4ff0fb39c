// Keys and signatures by WebCrypto: what the libraries leave to the wallet.

import {X509Certificate, randomBytes} from "node:crypto";

const ECDSA = {name: "ECDSA", namedCurve: "P-256", hash: "SHA-256"};

export const base64url = bytes => Buffer.from(bytes).toString("base64url");

export const digest = async (bytes, algorithm = "SHA-256") =>
  new Uint8Array(await crypto.subtle.digest(algorithm.toUpperCase().replace(/^SHA(\d)/, "SHA-$1"), bytes));

/** A P-256 key: `publicJwk`, and `sign`. */
export class Key {
  static async fresh() {
    const {privateKey, publicKey} = await crypto.subtle.generateKey(ECDSA, true, ["sign", "verify"]);
    return new Key(privateKey, await crypto.subtle.exportKey("jwk", publicKey));
  }

  /** From a private JWK, which may carry its certificates. */
  static async read({kty, crv, x, y, d, x5c}) {
    const key = await crypto.subtle.importKey("jwk", {kty, crv, x, y, d}, ECDSA, false, ["sign"]);
    return new Key(key, {kty, crv, x, y}, x5c);
  }

  constructor(key, {kty, crv, x, y}, x5c) {
    Object.assign(this, {key, publicJwk: {kty, crv, x, y}, x5c});
  }

  async sign(text) {
    return new Uint8Array(await crypto.subtle.sign(ECDSA, this.key, Buffer.from(text)));
  }

  async jwt(header, payload) {
    const signed = [header, payload].map(part => base64url(JSON.stringify(part))).join(".");
    return `${signed}.${base64url(await this.sign(signed))}`;
  }

  /** As the libraries name a signer. */
  get signer() {
    const by = this.x5c ? {method: "x5c", x5c: this.x5c} : {method: "jwk", publicJwk: this.publicJwk};
    return {...by, alg: "ES256"};
  }

  is({x, y}) {
    return this.publicJwk.x === x && this.publicJwk.y === y;
  }
}

export async function verify(jwk, message, signature) {
  const {kty, crv, x, y} = jwk;
  const key = await crypto.subtle.importKey("jwk", {kty, crv, x, y}, ECDSA, false, ["verify"]);
  return crypto.subtle.verify(ECDSA, key, signature, message);
}

/** The leaf of a chain (DER, leaf first) that leads to one of the roots; it throws where it does not. */
export function leafOf(chain, roots, now = new Date()) {
  const certificates = chain.map(der => new X509Certificate(der));
  const above = [...certificates.slice(1), ...roots.map(der => new X509Certificate(der))];
  for (const [place, certificate] of certificates.entries()) {
    const issuers = place + 1 < certificates.length ? [certificates[place + 1]] : above.slice(place);
    const isIssued = issuers.some(
      issuer => issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey),
    );
    if (!isIssued) throw new Error("the chain does not lead to a root");
    if (now < new Date(certificate.validFrom) || now > new Date(certificate.validTo)) {
      throw new Error("a certificate is not valid now");
    }
  }
  return certificates[0];
}

export const random = length => new Uint8Array(randomBytes(length));
