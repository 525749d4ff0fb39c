// The wallet's side of issuance (OpenID4VCI 1.0): metadata, tokens by code or refresh token, nonce, credentials,
// notification. What comes is only read here; `qrcard.ts` and `sdjwt.ts` judge it.

import { Malformed } from "./bytes.ts";
import { Session } from "./dpop.ts";
import { ask, getJson, member, object, wellKnown } from "./http.ts";
import { signJwt } from "./jwt.ts";
import type { OwnKey } from "./keys.ts";
import { type Offer, PRE_AUTHORIZED } from "./offer.ts";

const ISSUER = "credential issuer";
const SERVER = "authorization server";
const FORM = "application/x-www-form-urlencoded";
const JSON_TYPE = "application/json";

/** An access token and, for later, a refresh token. */
export interface Tokens {
  readonly access: string;
  readonly refresh: string | undefined;
}

/** A credential as it came. */
export interface Issued {
  readonly credential: string;
  readonly notificationId: string | undefined;
}

/** An issuer and one grant at it. */
export class Issuance {
  private constructor(
    readonly issuer: string,
    private readonly metadata: Record<string, unknown>,
    private readonly server: Record<string, unknown>,
    private readonly session: Session,
    private readonly clock: () => number,
  ) {}

  /** Reads the metadata of the issuer and of its authorization server. Both must name themselves as they were asked for, or
   * another could pass for them (section 12.2.1, RFC 8414 section 3.3). */
  static async begin(issuer: string, dpop: OwnKey, clock: () => number): Promise<Issuance> {
    const metadata = await getJson(ISSUER, wellKnown(ISSUER, "openid-credential-issuer", issuer));
    if (metadata["credential_issuer"] !== issuer) throw new Malformed(ISSUER, "names another issuer");
    const servers = metadata["authorization_servers"];
    const id = Array.isArray(servers) && typeof servers[0] === "string" ? servers[0] : issuer;
    const server = await getJson(SERVER, wellKnown(SERVER, "oauth-authorization-server", id));
    if (server["issuer"] !== id) throw new Malformed(SERVER, "names another server");
    return new Issuance(issuer, metadata, server, new Session(dpop, clock), clock);
  }

  /** What the metadata says about a configuration. */
  configuration(id: string): Record<string, unknown> {
    const all = object(ISSUER, this.metadata["credential_configurations_supported"]);
    return object(ISSUER, all[id]);
  }

  /** Redeems an offer's code (section 6.1). It serves once. */
  async redeem(offer: Offer, transactionCode: string | undefined): Promise<Tokens> {
    const form = new URLSearchParams({ grant_type: PRE_AUTHORIZED, "pre-authorized_code": offer.code });
    if (offer.transactionCode && transactionCode !== undefined) form.set("tx_code", transactionCode);
    return this.token(form);
  }

  /** Goes back with the refresh token (RFC 6749 section 6), without the person. */
  async refresh(token: string): Promise<Tokens> {
    return this.token(new URLSearchParams({ grant_type: "refresh_token", refresh_token: token }));
  }

  /** Requests a credential for a key (section 8.2), which proves itself for this issuer and this nonce (appendix F.1). */
  async request(configuration: string, key: OwnKey, access: string): Promise<Issued> {
    const nonceEndpoint = member(ISSUER, this.metadata, "nonce_endpoint");
    const nonce = member(ISSUER, (await ask(ISSUER, nonceEndpoint, { method: "POST" })).json(), "c_nonce");
    const claims = { aud: this.issuer, iat: this.clock(), nonce };
    const proof = await signJwt(key, "openid4vci-proof+jwt", claims, { jwk: key.jwk });
    const body = JSON.stringify({ credential_configuration_id: configuration, proofs: { jwt: [proof] } });
    const endpoint = member(ISSUER, this.metadata, "credential_endpoint");
    const answer = (await this.session.post(ISSUER, endpoint, body, JSON_TYPE, access)).json();
    const { credentials, notification_id: notificationId } = answer;
    const [first] = Array.isArray(credentials) ? credentials : [];
    // A card that comes later (section 8.3) is not for this page: demo offers are made for verified records.
    if (first === undefined) throw new Malformed(ISSUER, "gave no card");
    return {
      credential: member(ISSUER, object(ISSUER, first), "credential"),
      notificationId: typeof notificationId === "string" ? notificationId : undefined,
    };
  }

  /** Tells the issuer what became of a credential (section 11.1). Nothing depends on it. */
  async notify({ notificationId }: Issued, event: "credential_accepted" | "credential_failure", access: string): Promise<void> {
    const endpoint = this.metadata["notification_endpoint"];
    if (notificationId === undefined || typeof endpoint !== "string") return;
    const body = JSON.stringify({ notification_id: notificationId, event });
    await this.session.post(ISSUER, endpoint, body, JSON_TYPE, access).catch(() => undefined);
  }

  private async token(form: URLSearchParams): Promise<Tokens> {
    const endpoint = member(SERVER, this.server, "token_endpoint");
    const answer = (await this.session.post(SERVER, endpoint, form, FORM)).json();
    if (String(answer["token_type"]).toLowerCase() !== "dpop") throw new Malformed(SERVER, "gave a token for anybody");
    const refresh = answer["refresh_token"];
    return {
      access: member(SERVER, answer, "access_token"),
      refresh: typeof refresh === "string" ? refresh : undefined,
    };
  }
}
