// Brings this device's documents up to date. Each goes through the verifier before it is kept, and the verifier refuses
// what is not signed as it must be or is older than what it has.
import { type Core, CoreRefusal, type Kind } from "../../lib/core.ts";
import { type Fetched, fetchDocument, Unexpected, Unreachable } from "./server.ts";
import type { Vault } from "./vault.ts";

/** What a synchronisation came to, as a key of the texts. */
export type SyncResult = "synced" | "offline" | "syncFailed" | "olderRefused" | "badDataRefused" | "otherAnchor" | "storeFailed";

const ANCHOR = "../trust-anchor.pem";
/** After so many changes one whole document is smaller. */
const MOST_DELTAS = 24;

/** Fetches the root. */
export async function fetchAnchor(): Promise<string | undefined> {
  const { bytes } = await fetchDocument(ANCHOR);
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
}

/** Whether all that is pinned is still offered. What is offered beside it, a successor, is not believed for that. */
export function offersAll(offered: string, pinned: string): boolean {
  const certificates = (pem: string) => pem.replace(/\s+/g, "").match(/-----BEGINCERTIFICATE-----[^-]+/g) ?? [];
  const there = new Set(certificates(offered));
  return certificates(pinned).every((certificate) => there.has(certificate));
}

/** One synchronisation, and what it saw. */
export class Sync {
  readonly #core: Core;
  readonly #vault: Vault;
  readonly #now: () => number;
  /** Seconds that the server's clock is ahead of the device's. */
  offset: number | undefined;
  #worst: SyncResult = "synced";

  constructor(core: Core, vault: Vault, now: () => number) {
    this.#core = core;
    this.#vault = vault;
    this.#now = now;
  }

  async run(pinned: string, gate: string | undefined): Promise<SyncResult> {
    try {
      const anchor = await fetchAnchor();
      if (anchor !== undefined && !offersAll(anchor, pinned)) return "otherAnchor";
      await this.#bring("trust-list", "data/trust-list");
      await this.#statuses();
      await this.#bring("agencies", "data/agencies");
      if (gate !== undefined) await this.#bring("gate", `data/gates/${encodeURIComponent(gate)}`);
      return this.#worst;
    } catch (error) {
      if (error instanceof Unreachable) return "offline";
      if (error instanceof Unexpected) return "syncFailed";
      return "storeFailed";
    }
  }

  /** What changed since the version that is held, as long as there are few such steps; otherwise all of it. */
  async #statuses(): Promise<void> {
    const held = this.#core.version("statuses");
    const kept = this.#vault.pointer("statuses");
    // A delta is only put behind what it starts from: a part that did not load again, or another window, may have left
    // something else there.
    const tip = kept?.deltas.at(-1)?.version ?? kept?.version;
    if (held === undefined || kept === undefined || tip !== held || kept.deltas.length >= MOST_DELTAS) {
      return this.#whole("statuses", "data/statuses");
    }
    const fetched = await this.#fetch(`data/statuses?since=${held}`);
    if (fetched === undefined) return;
    const version = this.#load("statuses", fetched.bytes);
    if (version === "other_base") return this.#whole("statuses", "data/statuses");
    if (typeof version === "string") return this.#refuse(version);
    if (version === held) return;
    if (fetched.type.includes("status-delta")) await this.#vault.add("statuses", version, fetched.bytes);
    else await this.#vault.keep("statuses", version, fetched.bytes);
  }

  /** A document, if it is another one than is held and kept. */
  async #bring(kind: Kind, path: string): Promise<void> {
    const held = this.#core.version(kind);
    return this.#whole(kind, path, held === this.#vault.pointer(kind)?.version ? held : undefined);
  }

  async #whole(kind: Kind, path: string, held?: number): Promise<void> {
    const fetched = await this.#fetch(path, held);
    if (fetched === undefined) return;
    const version = this.#load(kind, fetched.bytes);
    if (typeof version === "string") this.#refuse(version);
    else await this.#vault.keep(kind, version, fetched.bytes);
  }

  /** `undefined`: nothing has changed. */
  async #fetch(path: string, held?: number): Promise<Required<Pick<Fetched, "bytes" | "type">> | undefined> {
    const { bytes, type, offset } = await fetchDocument(path, held);
    if (offset !== undefined) this.offset = Math.round(offset);
    return bytes === undefined ? undefined : { bytes, type };
  }

  /** The version, or the code of the refusal. */
  #load(kind: Kind, bytes: Uint8Array): number | string {
    try {
      return this.#core.load(kind, bytes, this.#now());
    } catch (error) {
      if (error instanceof CoreRefusal) return error.code;
      throw error;
    }
  }

  #refuse(code: string): void {
    this.#worst = code === "older" ? "olderRefused" : "badDataRefused";
  }
}
