// What the wallet does, one story after the other: take a card, show it live, keep it true, present it. The screens call
// these and watch the cells.
import { Cell } from "../lib/cell.ts";
import { countersign } from "./protocol/countersignature.ts";
import { type Match, answer } from "./protocol/dcql.ts";
import { Malformed, text } from "./protocol/bytes.ts";
import { Refused, ask, member } from "./protocol/http.ts";
import { Issuance, type Issued, type Tokens } from "./protocol/issuance.ts";
import { makeKey, sign } from "./protocol/keys.ts";
import { codeText } from "./protocol/livecode.ts";
import type { Offer } from "./protocol/offer.ts";
import { type QrCard, checkQrCard } from "./protocol/qrcard.ts";
import { type PresentationRequest, fetchRequest, parseLink } from "./protocol/request.ts";
import { sendPresentations, sendRefusal } from "./protocol/response.ts";
import { type SdJwtCard, TYPE, checkSdJwt } from "./protocol/sdjwt.ts";
import { STATUS, statusOf } from "./protocol/statuslist.ts";
import { Anchors } from "./protocol/trust.ts";
import { openTrustList } from "./protocol/trustlist.ts";
import { type Held, type Holding, Store } from "./store.ts";

/** The format of the QR card in the issuer's metadata. */
const QR_FORMAT = "cwt";
/** A card is renewed so long before it ends, in seconds. */
const RENEWAL = 14 * 86_400;

/** What is known of the card's state. */
export type State = "valid" | "locked" | "withdrawn" | "expired" | "unknown";

/** The card as the screens show it. */
export interface Card {
  readonly holding: Holding;
  readonly qr: QrCard;
  readonly sdJwt: SdJwtCard;
  readonly state: State;
  /** When the issuer last said so (Unix seconds). */
  readonly asOf: number | undefined;
}

/** An offer that somebody of the sample could take. */
export interface DemoOffer {
  readonly link: string;
  readonly transactionCode: string;
}

/** A request that the card can answer, or, without matches, cannot. */
export interface Question {
  readonly request: PresentationRequest;
  readonly matches: readonly Match[];
}

/** The time of this device (Unix seconds). */
export function now(): number {
  return Math.floor(Date.now() / 1000);
}

/** The wallet. */
export class Wallet {
  /** The card, if there is one. */
  readonly card = new Cell<Card | undefined>(undefined);
  /** How often the card was replaced by a newer one while the page was open. */
  readonly renewals = new Cell(0);
  private isUpdating = false;

  private constructor(private readonly store: Store) {}

  /** Opens the wallet with the card that it keeps. What no longer checks has ended. */
  static async open(): Promise<Wallet> {
    const wallet = new Wallet(await Store.open());
    const holding = await wallet.store.holding();
    if (holding) wallet.card.set(await wallet.kept(holding).catch(() => undefined));
    return wallet;
  }

  /** Asks the demo for an offer. */
  async demoOffer(): Promise<DemoOffer> {
    const made = (await ask("demo", new URL("../offers", pageFolder()).href, { method: "POST" })).json();
    return { link: member("demo", made, "credential_offer"), transactionCode: member("demo", made, "tx_code") };
  }

  /** Takes an offer: both forms of the card, each for a key of its own. All is checked before anything is kept. */
  async take(offer: Offer, transactionCode: string | undefined): Promise<void> {
    const dpop = await makeKey();
    const issuance = await Issuance.begin(offer.issuer, dpop, now);
    // Pinned on first use, for want of another channel; a real wallet has its anchors from its maker.
    const pem = text((await ask("trust anchor", `${offer.issuer}/trust-anchor.pem`)).body());
    const forms = [QR_FORMAT, TYPE].map((format) => {
      const id = offer.configurations.find((id) => issuance.configuration(id)["format"] === format);
      if (id === undefined) throw new Malformed("credential offer", "does not hold both forms of the card");
      return id;
    });
    const tokens = await issuance.redeem(offer, transactionCode);
    await this.receive(issuance, tokens, { issuer: offer.issuer, anchor: pem, dpop, refreshToken: tokens.refresh }, forms);
  }

  /** The text of the live code of this moment. */
  async liveCode(challenge: string | undefined): Promise<string> {
    const card = this.shown();
    const { key } = card.holding.qr;
    const proof = { time: now(), algorithm: "ES256", challenge } as const;
    return codeText(await countersign(card.qr.cose, proof, (message) => sign(key, message)));
  }

  /** Asks what became of the card, and gets the new one in its place when there is one. */
  async update(): Promise<void> {
    const card = this.card.value;
    if (!card || this.isUpdating) return;
    this.isUpdating = true;
    try {
      await this.look(card);
    } catch {
      // Not to be reached: the card stays as it was, and says how old that is.
      this.card.set({ ...card, state: card.state === "valid" ? "unknown" : card.state });
    } finally {
      this.isUpdating = false;
    }
  }

  /** Fetches a request and finds what of the card answers it. */
  async question(link: string): Promise<Question> {
    const card = this.shown();
    const request = await fetchRequest(parseLink(link), Anchors.fromPem(card.holding.anchor), now());
    return { request, matches: answer(request.query, card.sdJwt) };
  }

  /** Answers. Returns where the person goes on. */
  async agree({ request, matches }: Question): Promise<string | undefined> {
    const card = this.shown();
    return sendPresentations(request, matches, card.sdJwt, card.holding.sdJwt.key, now());
  }

  /** Says no. */
  async refuse({ request }: Question): Promise<string | undefined> {
    return sendRefusal(request);
  }

  /** Forgets everything. */
  async erase(): Promise<void> {
    await this.store.keep(undefined);
    this.card.set(undefined);
  }

  private async look(card: Card): Promise<void> {
    const { holding } = card;
    const anchors = Anchors.fromPem(holding.anchor);
    const [qr, sdJwt] = [await statusOf(card.qr.status, anchors, now()), await statusOf(card.sdJwt.status, anchors, now())];
    const ends = Math.min(card.qr.expiresAt, card.sdJwt.expiresAt);
    // A locked card comes back as it is; any other that is not as it should be is asked for anew.
    if (qr === STATUS.locked || sdJwt === STATUS.locked) return this.set(card, "locked");
    if (qr === STATUS.valid && sdJwt === STATUS.valid && now() < ends - RENEWAL) return this.set(card, "valid");
    try {
      await this.renew(holding);
      this.renewals.set(this.renewals.value + 1);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const isWithdrawn = qr !== STATUS.valid || sdJwt !== STATUS.valid;
      this.set(card, isWithdrawn ? "withdrawn" : now() < ends ? "valid" : "expired");
    }
  }

  private set(card: Card, state: State): void {
    this.card.set({ ...card, state, asOf: now() });
  }

  /** The new card in the place of the old one, by the refresh token and for new keys. */
  private async renew(holding: Holding): Promise<void> {
    const { issuer, anchor, dpop, refreshToken } = holding;
    if (refreshToken === undefined) throw new Refused("authorization server", "invalid_grant", "");
    const issuance = await Issuance.begin(issuer, dpop, now);
    const tokens = await issuance.refresh(refreshToken);
    // An issuer may give a new one with every use.
    const grant = { issuer, anchor, dpop, refreshToken: tokens.refresh ?? refreshToken };
    await this.store.keep({ ...holding, ...grant });
    await this.receive(issuance, tokens, grant, [holding.qr.configuration, holding.sdJwt.configuration]);
  }

  private async receive(
    issuance: Issuance,
    { access }: Tokens,
    grant: Pick<Holding, "issuer" | "anchor" | "dpop" | "refreshToken">,
    configurations: readonly string[],
  ): Promise<void> {
    const issued: (Held & Issued)[] = [];
    for (const configuration of configurations) {
      const key = await makeKey();
      issued.push({ configuration, key, ...(await issuance.request(configuration, key, access)) });
    }
    const [qr, sdJwt] = issued.map(({ configuration, key, credential }): Held => ({ configuration, key, credential }));
    if (!qr || !sdJwt) throw new Malformed("credential issuer", "gave no card");
    const tell = (event: "credential_accepted" | "credential_failure") =>
      Promise.all(issued.map((one) => issuance.notify(one, event, access)));
    try {
      const card = await this.checked({ ...grant, qr, sdJwt });
      await this.store.keep(card.holding);
      this.card.set(card);
    } catch (error) {
      await tell("credential_failure");
      throw error;
    }
    await tell("credential_accepted");
  }

  /** A card that just came: checked with the trust list. */
  private async checked(holding: Holding): Promise<Card> {
    const anchors = Anchors.fromPem(holding.anchor);
    const bytes = (await ask("trust list", `${holding.issuer}/trust-list`)).body();
    const list = await openTrustList(bytes, anchors, now());
    const qr = await checkQrCard(holding.qr.credential, holding.issuer, holding.qr.key.jwk, list, now());
    const sdJwt = await checkSdJwt(holding.sdJwt.credential, anchors, holding.sdJwt.key.jwk, now());
    return { holding, qr, sdJwt, state: "valid", asOf: now() };
  }

  /** A card that was kept: it was checked when it came, and there may be no network. */
  private async kept(holding: Holding): Promise<Card> {
    const qr = await checkQrCard(holding.qr.credential, holding.issuer, holding.qr.key.jwk, undefined, now());
    const sdJwt = await checkSdJwt(holding.sdJwt.credential, Anchors.fromPem(holding.anchor), holding.sdJwt.key.jwk, now());
    return { holding, qr, sdJwt, state: "unknown", asOf: undefined };
  }

  private shown(): Card {
    if (!this.card.value) throw new Malformed("wallet", "holds no card");
    return this.card.value;
  }
}

/** The folder of this page, whether or not its address ends with a slash. */
function pageFolder(): string {
  return `${location.origin}${location.pathname.replace(/\/?$/, "/")}`;
}

