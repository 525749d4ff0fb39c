// DPoP (RFC 9449): every request of one grant carries a proof of the grant's key, which makes a stolen token worthless.

import { randomText, sha256, toBase64Url, utf8 } from "./bytes.ts";
import { type Answer, ask } from "./http.ts";
import { signJwt } from "./jwt.ts";
import type { OwnKey } from "./keys.ts";

/** The requests of one grant. */
export class Session {
  /** The last nonce of each server (section 8). */
  private readonly nonces = new Map<string, string>();

  constructor(
    private readonly key: OwnKey,
    private readonly clock: () => number,
  ) {}

  /** POSTs with a proof, and once more with the nonce that the server asks for. */
  async post(place: string, url: string, body: BodyInit, type: string, token?: string): Promise<Answer> {
    const send = async () => {
      const headers = new Headers({ "Content-Type": type, Accept: "application/json" });
      headers.set("DPoP", await this.prove(url, token));
      if (token !== undefined) headers.set("Authorization", `DPoP ${token}`);
      const answer = await ask(place, url, { method: "POST", headers, body });
      const nonce = answer.headers.get("DPoP-Nonce");
      if (nonce !== null) this.nonces.set(new URL(url).origin, nonce);
      return answer;
    };
    const answer = await send();
    return answer.error === "use_dpop_nonce" ? send() : answer;
  }

  /** Section 4.2. */
  private async prove(url: string, token: string | undefined): Promise<string> {
    const target = new URL(url);
    const nonce = this.nonces.get(target.origin);
    const claims = {
      jti: randomText(16),
      htm: "POST",
      htu: target.origin + target.pathname,
      iat: this.clock(),
      ...(nonce === undefined ? {} : { nonce }),
      ...(token === undefined ? {} : { ath: toBase64Url(await sha256(utf8(token))) }),
    };
    return signJwt(this.key, "dpop+jwt", claims, { jwk: this.key.jwk });
  }
}
