// Receipts of disputed checks: what the verifier decided and when, without name or card number, signed by a key that
// never leaves this device and countersigned by the server when there is a network.
import { base64url } from "../../lib/bytes.ts";
import { Cell } from "../../lib/cell.ts";
import { text } from "../../lib/core.ts";
import { isObject } from "../../lib/json.ts";
import { send, Unexpected, Unreachable } from "./server.ts";
import type { Vault } from "./vault.ts";

const ENDPOINT = "../api/v1/receipts";
const KEY = "device-key";
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256" } as const;
/** A shift's worth; older ones make room. */
const MOST = 200;

/** `waiting` for the network; `refused` for good. */
export type ReceiptState = "waiting" | "countersigned" | "refused";

export interface Receipt {
  id: string;
  /** Unix seconds. */
  at: number;
  /** The outcome, which may be shown in the list. */
  outcome: string;
  /** Signed by this device, as compact JWS (RFC 7515). */
  signed: string;
  state: ReceiptState;
  /** What the server answered. */
  countersignature?: string;
}

export class Receipts {
  readonly list = new Cell<readonly Receipt[]>([]);
  readonly #vault: Vault;
  /** This device's public key. */
  deviceKey: JsonWebKey = {};
  #sending = false;

  constructor(vault: Vault) {
    this.#vault = vault;
  }

  /** Reads what is kept. */
  async load(): Promise<void> {
    const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", (await this.#keys()).publicKey);
    this.deviceKey = { ...(kty && { kty }), ...(crv && { crv }), ...(x && { x }), ...(y && { y }) };
    await this.#read();
  }

  async #read(): Promise<void> {
    const all = await this.#store.database.all<Receipt | CryptoKeyPair>(this.#store.store);
    const receipts = all.filter((value): value is Receipt => "signed" in value);
    this.list.set(receipts.sort((one, other) => other.at - one.at));
  }

  /** Signs what the verifier wrote about a check, keeps it and sends it when it can. */
  async make(input: string, at: number, outcome: string): Promise<void> {
    const { privateKey } = await this.#keys();
    const signature = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, privateKey, new TextEncoder().encode(input));
    const signed = `${input}.${base64url(new Uint8Array(signature))}`;
    const receipt: Receipt = { id: crypto.randomUUID(), at, outcome, signed, state: "waiting" };
    const changes = new Map<string, unknown>([[receipt.id, receipt]]);
    for (const old of this.list.value.slice(MOST - 1)) changes.set(old.id, undefined);
    await this.#store.database.change(this.#store.store, changes);
    await this.#read();
    void this.sendWaiting();
  }

  /** Sends what waits; what does not go through waits on. */
  async sendWaiting(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    try {
      for (const receipt of this.list.value.filter((receipt) => receipt.state === "waiting")) {
        const answer = await send(ENDPOINT, { receipt: receipt.signed });
        const countersignature = isObject(answer) ? text(answer, "confirmation") : undefined;
        const sent: Receipt =
          countersignature === undefined ? { ...receipt, state: "refused" } : { ...receipt, state: "countersigned", countersignature };
        await this.#store.database.change(this.#store.store, new Map([[receipt.id, sent]]));
      }
    } catch (error) {
      if (!(error instanceof Unreachable || error instanceof Unexpected)) throw error;
    } finally {
      this.#sending = false;
      await this.#read();
    }
  }

  /** Ends the shift's list. */
  async remove(): Promise<void> {
    const changes = new Map<string, unknown>(this.list.value.map((receipt) => [receipt.id, undefined]));
    await this.#store.database.change(this.#store.store, changes);
    await this.#read();
  }

  get #store() {
    return this.#vault.receipts;
  }

  /** This device's key: made once, and the browser gives it to nobody. */
  async #keys(): Promise<CryptoKeyPair> {
    const { database, store } = this.#store;
    const held = await database.get<CryptoKeyPair>(store, KEY);
    if (held !== undefined) return held;
    const made = await crypto.subtle.generateKey(ALGORITHM, false, ["sign", "verify"]);
    await database.change(store, new Map([[KEY, made]]));
    return made;
  }
}
