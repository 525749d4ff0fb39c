// What the wallet keeps, in IndexedDB of this browser. Private keys are kept as WebCrypto's own objects: they cannot be read
// out, neither here nor by anybody else in this page.
import { Database } from "../lib/database.ts";
import type { OwnKey } from "./protocol/keys.ts";

const STORE = "wallet";
const HOLDING = "holding";

/** A credential and the key that it is bound to. */
export interface Held {
  readonly configuration: string;
  readonly credential: string;
  readonly key: OwnKey;
}

/** The one card of this wallet, in its two forms, and the grant by which it comes anew. */
export interface Holding {
  readonly issuer: string;
  /** The root that was pinned when the card was taken (PEM). */
  readonly anchor: string;
  readonly dpop: OwnKey;
  readonly refreshToken: string | undefined;
  readonly qr: Held;
  readonly sdJwt: Held;
}

/** The store. */
export class Store {
  private constructor(private readonly database: Database) {}

  static async open(): Promise<Store> {
    return new Store(await Database.open("officials-card.wallet", 1, [STORE]));
  }

  holding(): Promise<Holding | undefined> {
    return this.database.get<Holding>(STORE, HOLDING);
  }

  /** Keeps a card in the place of any other, or none. */
  keep(holding: Holding | undefined): Promise<void> {
    return this.database.change(STORE, new Map([[HOLDING, holding]]));
  }
}
