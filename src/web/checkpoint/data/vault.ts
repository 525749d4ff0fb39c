// What the checkpoint keeps: the pinned root, the signed documents, and nothing about anybody who was checked. A new
// version is written whole; then one pointer is turned to it. Signatures are checked when documents are loaded, not here:
// this is a drawer, not a judge.
import { type Kind, KINDS } from "../../lib/core.ts";
import { Database } from "../../lib/database.ts";

const NAME = "officials-card-checkpoint";
const VERSION = 1;
const KEPT = "kept";
const RECEIPTS = "receipts";

/** Which version of a kind is in use: a document, and for statuses what changed since, oldest first. */
export interface Pointer {
  version: number;
  bytes: number;
  deltas: { version: number; bytes: number }[];
}

type Pointers = Partial<Record<Kind, Pointer>>;

/** What else is kept. `offset`: seconds that the server's clock was ahead of the device's. */
export interface Settings {
  anchor: string;
  gate: string;
  offset: number;
  syncedAt: number;
}

export class Vault {
  readonly #database: Database;
  #pointers: Pointers;

  private constructor(database: Database, pointers: Pointers) {
    this.#database = database;
    this.#pointers = pointers;
  }

  static async open(): Promise<Vault> {
    const database = await Database.open(NAME, VERSION, [KEPT, RECEIPTS]);
    return new Vault(database, (await database.get<Pointers>(KEPT, "current")) ?? {});
  }

  /** The database, for the receipts that stand beside. */
  get receipts(): { database: Database; store: string } {
    return { database: this.#database, store: RECEIPTS };
  }

  setting<Name extends keyof Settings>(name: Name): Promise<Settings[Name] | undefined> {
    return this.#database.get<Settings[Name]>(KEPT, name);
  }

  set<Name extends keyof Settings>(name: Name, value: Settings[Name]): Promise<void> {
    return this.#database.change(KEPT, new Map([[name, value]]));
  }

  pointer(kind: Kind): Pointer | undefined {
    return this.#pointers[kind];
  }

  /** Bytes of all the documents in use. */
  get size(): number {
    const parts = KINDS.flatMap((kind) => this.#pointers[kind] ?? []).flatMap((pointer) => [pointer, ...pointer.deltas]);
    return parts.reduce((sum, part) => sum + part.bytes, 0);
  }

  /** The documents in use, in the order in which they are to be loaded. */
  async documents(kind: Kind): Promise<Uint8Array[]> {
    const read = names(kind, this.#pointers[kind]).map((name) => this.#database.get<Uint8Array>(KEPT, name));
    return (await Promise.all(read)).filter((bytes) => bytes !== undefined);
  }

  /** Brings a new version into use. */
  async keep(kind: Kind, version: number, bytes: Uint8Array): Promise<void> {
    const before = this.#pointers[kind];
    if (before?.version === version && before.deltas.length === 0) return;
    await this.#turn(kind, { version, bytes: bytes.length, deltas: [] }, document(kind, version), bytes);
  }

  /** Puts what changed behind what is held. */
  async add(kind: Kind, version: number, bytes: Uint8Array): Promise<void> {
    const before = this.#pointers[kind];
    if (before === undefined) return;
    const deltas = [...before.deltas, { version, bytes: bytes.length }];
    await this.#turn(kind, { ...before, deltas }, delta(kind, version), bytes);
  }

  /** Takes a kind out of use. */
  async drop(kind: Kind): Promise<void> {
    const { [kind]: before, ...pointers } = this.#pointers;
    await this.#write(pointers, names(kind, before));
  }

  async #turn(kind: Kind, pointer: Pointer, name: string, bytes: Uint8Array): Promise<void> {
    const used = new Set(names(kind, pointer));
    const old = names(kind, this.#pointers[kind]).filter((name) => !used.has(name));
    await this.#database.change(KEPT, new Map([[name, bytes]]));
    await this.#write({ ...this.#pointers, [kind]: pointer }, old);
  }

  /** Turns the pointer, and lets go what it no longer points at. */
  async #write(pointers: Pointers, old: string[]): Promise<void> {
    const changes = new Map<string, unknown>(old.map((name) => [name, undefined]));
    await this.#database.change(KEPT, changes.set("current", pointers));
    this.#pointers = pointers;
  }
}

const document = (kind: Kind, version: number) => `${kind}/${version}`;
const delta = (kind: Kind, version: number) => `${kind}/delta/${version}`;

function names(kind: Kind, pointer: Pointer | undefined): string[] {
  if (pointer === undefined) return [];
  return [document(kind, pointer.version), ...pointer.deltas.map((part) => delta(kind, part.version))];
}
