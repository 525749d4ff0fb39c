// The checkpoint as the screens see it: what it knows, how ready it is, and its answer for a scanned text.
import { Cell } from "../../lib/cell.ts";
import { type Core, CoreRefusal, type Gate, KINDS, type Lamp, type Verdict } from "../../lib/core.ts";
import { listen } from "./server.ts";
import { fetchAnchor, Sync, type SyncResult } from "./sync.ts";
import { type Settings, Vault } from "./vault.ts";

const SYNC_EVERY_MILLISECONDS = 5 * 60_000;
/** Lamps age also while nothing happens. */
const LOOK_EVERY_MILLISECONDS = 15_000;
/** Many changes in a row are one; and not every checkpoint of the country asks in the same moment. */
const SETTLE_MILLISECONDS = 500;
const SPREAD_MILLISECONDS = 2500;
/** On a busy day something changes every second: it is fetched no more often than this. */
const PAUSE_MILLISECONDS = 15_000;

/** What the home screen shows of the documents. */
export interface Standing {
  lamps: Lamp[];
  gate: Gate | undefined;
  /** A gate was chosen, and its rules never came: nobody knows whom it lets in. */
  gateMissing: boolean;
  syncedAt: number | undefined;
  bytes: number;
}

/** Unix seconds by this device's clock. */
export const now = () => Math.floor(Date.now() / 1000);

export class Checkpoint {
  readonly standing: Cell<Standing>;
  readonly syncing = new Cell(false);
  readonly result = new Cell<SyncResult | undefined>(undefined);
  readonly vault: Vault;
  readonly #core: Core;
  readonly #settings: Pick<Settings, "anchor"> & Partial<Settings>;
  #again = false;

  private constructor(core: Core, vault: Vault, settings: Pick<Settings, "anchor"> & Partial<Settings>) {
    this.#core = core;
    this.vault = vault;
    this.#settings = settings;
    this.standing = new Cell(this.#look());
  }

  /**
   * Opens it with what this device keeps; a device that was never set up pins the server's root now. `mayMove` is asked
   * before a device leaves its gate for another: anybody can make a link.
   */
  static async open(openCore: (anchor: string) => Promise<Core>, gate: string | undefined, mayMove: () => boolean): Promise<Checkpoint> {
    const vault = await Vault.open();
    const pinned = await vault.setting("anchor");
    const anchor = pinned ?? (await fetchAnchor());
    if (anchor === undefined) throw new Error("there is no root to pin");
    const core = await openCore(anchor);
    if (pinned === undefined) await vault.set("anchor", anchor);
    const before = await vault.setting("gate");
    if (gate !== undefined && gate !== before && (before === undefined || mayMove())) {
      await vault.drop("gate");
      await vault.set("gate", gate);
    }
    await load(core, vault);
    const settings: Pick<Settings, "anchor"> & Partial<Settings> = { anchor };
    const [chosen, offset, syncedAt] = await Promise.all([vault.setting("gate"), vault.setting("offset"), vault.setting("syncedAt")]);
    if (chosen !== undefined) settings.gate = chosen;
    if (offset !== undefined) settings.offset = offset;
    if (syncedAt !== undefined) settings.syncedAt = syncedAt;
    return new Checkpoint(core, vault, settings);
  }

  /** Keeps itself up to date from now on. */
  run(): void {
    void this.sync();
    setInterval(() => void this.sync(), SYNC_EVERY_MILLISECONDS);
    setInterval(() => this.look(), LOOK_EVERY_MILLISECONDS);
    addEventListener("online", () => void this.sync());
    let isSettling = false;
    let earliest = 0;
    const { gate } = this.#settings;
    listen(gate === undefined ? "data/changes" : `data/changes?gate=${encodeURIComponent(gate)}`, (versions) => {
      const isNews = KINDS.some((kind) => versions[kind] !== undefined && versions[kind] !== this.#core.version(kind));
      if (!isNews || isSettling) return;
      isSettling = true;
      const settled = () => {
        isSettling = false;
        earliest = performance.now() + PAUSE_MILLISECONDS;
        void this.sync();
      };
      const soon = SETTLE_MILLISECONDS + Math.random() * SPREAD_MILLISECONDS;
      setTimeout(settled, Math.max(soon, earliest - performance.now()));
    });
  }

  /** Brings everything up to date; what is asked for meanwhile is done right after, once. */
  async sync(): Promise<void> {
    if (this.syncing.value) {
      this.#again = true;
      return;
    }
    this.syncing.set(true);
    try {
      const sync = new Sync(this.#core, this.vault, now);
      const result = await sync.run(this.#settings.anchor, this.#settings.gate);
      if (sync.offset !== undefined) await this.#set("offset", sync.offset);
      if (result === "synced") await this.#set("syncedAt", now());
      this.result.set(result);
    } catch {
      this.result.set("storeFailed");
    } finally {
      this.syncing.set(false);
      this.look();
    }
    if (!this.#again) return;
    this.#again = false;
    await this.sync();
  }

  /** Verifies a scanned text. */
  verify(text: string, challenge: string | undefined): Verdict {
    const { offset } = this.#settings;
    return this.#core.verify(text, now(), {
      ...(challenge === undefined ? {} : { challenge }),
      ...(offset === undefined ? {} : { offset }),
    });
  }

  /** What the device signs for a receipt of the last check. */
  receipt(deviceKey: JsonWebKey): string {
    return this.#core.receipt(deviceKey, this.#settings.offset);
  }

  /** Looks at the lamps again. */
  look(): void {
    this.standing.set(this.#look());
  }

  #look(): Standing {
    const { gate: chosen, offset, syncedAt } = this.#settings;
    const gate = this.#core.gate();
    const gateMissing = chosen !== undefined && gate === undefined;
    return { lamps: this.#core.lamps(now(), offset), gate, gateMissing, syncedAt, bytes: this.vault.size };
  }

  async #set<Name extends "offset" | "syncedAt">(name: Name, value: Settings[Name]): Promise<void> {
    this.#settings[name] = value;
    await this.vault.set(name, value);
  }
}

/** Loads what is kept. What does not verify any more is left out, and its lamp says so. */
async function load(core: Core, vault: Vault): Promise<void> {
  for (const kind of KINDS) {
    try {
      for (const bytes of await vault.documents(kind)) core.load(kind, bytes, now());
    } catch (error) {
      if (!(error instanceof CoreRefusal)) throw error;
    }
  }
}
