// The real server with the demo's data, and the people behind it: who issues, who locks, who holds a wallet.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const run = promisify(execFile);
const START_MILLISECONDS = 120_000;

export function program(variable: string): string {
  const path = process.env[variable];
  if (path === undefined) throw new Error(`${variable} is not set: run tests/web/run.sh`);
  return path;
}

/** What the demo says about itself. */
interface Demo {
  url: string;
  personnel_file: string;
  config: string;
  trust_anchor_pem_file: string;
}

export interface MadeOffer {
  card: string;
  credential_offer: string;
  tx_code: string;
}

/** A demo whose cards in wallets are valid for one day, so that a test can see one expire while its status is known. */
export class Server {
  readonly folder: string;
  readonly demo: Demo;
  #token = "";
  #people: string[] = [];
  #process: ChildProcess | undefined;

  private constructor(folder: string, demo: Demo) {
    this.folder = folder;
    this.demo = demo;
  }

  get url(): string {
    return this.demo.url;
  }

  /** Fills a demo, then serves its data with shorter-lived cards. */
  static async start(): Promise<Server> {
    const folder = mkdtempSync(join(tmpdir(), "officials-card-web-"));
    const arguments_ = ["demo", "--dir", join(folder, "demo"), "--listen", "127.0.0.1:0", "--json"];
    const filling = spawn(program("OFFICIALS_CARD_BIN"), arguments_, { stdio: ["ignore", "pipe", "inherit"] });
    const demo = JSON.parse(await firstLine(filling)) as Demo;
    await stopped(filling);
    const settings = readFileSync(demo.config, "utf8");
    const shorter = settings.replace("[limits]", "[limits]\ncredential_validity_days = 1");
    if (shorter === settings) throw new Error("the demo's settings are others");
    writeFileSync(demo.config, shorter);
    const server = new Server(folder, demo);
    const token = ["--config", demo.config, "token", "--client", "vneid-backend"];
    server.#token = (await run(program("OFFICIALS_CARD_BIN"), token)).stdout.trim();
    // The sixth column, behind five that hold no commas.
    const rows = readFileSync(demo.personnel_file, "utf8").trim().split("\n").slice(1);
    server.#people = rows.map((row) => row.split(",")[5] ?? "");
    await server.serve();
    return server;
  }

  async serve(environment: Record<string, string> = {}): Promise<void> {
    const env = { ...process.env, ...environment };
    this.#process = spawn(program("OFFICIALS_CARD_BIN"), ["--config", this.demo.config, "serve"], { stdio: "inherit", env });
    await isReady(this.url);
  }

  async stop(): Promise<void> {
    if (this.#process !== undefined) await stopped(this.#process);
    this.#process = undefined;
  }

  async end(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async call(path: string, body: object): Promise<unknown> {
    const headers = { authorization: `Bearer ${this.#token}`, "content-type": "application/json" };
    const answer = await fetch(`${this.url}/api/v1/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  }

  async badge(card: string): Promise<Buffer> {
    const headers = { authorization: `Bearer ${this.#token}` };
    const answer = await fetch(`${this.url}/api/v1/cards/${card}/badge.png`, { headers });
    if (!answer.ok) throw new Error(`badge: ${answer.status}`);
    return Buffer.from(await answer.arrayBuffer());
  }

  /** Another person, with a card in a wallet of their own. */
  async holder(name: string): Promise<Holder> {
    const offer = await this.#offer();
    const holder = new Holder(join(this.folder, name), offer.card);
    await holder.wallet("take", offer.credential_offer, "--tx-code", offer.tx_code, "--trust-anchor", this.demo.trust_anchor_pem_file);
    return holder;
  }

  /** An offer to the next person of the sample whose record is verified. */
  async #offer(): Promise<MadeOffer> {
    for (;;) {
      const person = this.#people.shift();
      if (person === undefined) throw new Error("the sample has nobody left");
      const body = { personal_id_number: person, assurance_level: 2, configurations: ["official-card-qr"] };
      try {
        return (await this.call("offers", body)) as MadeOffer;
      } catch (error) {
        if (!/not-verified|several-records/.test(String(error))) throw error;
      }
    }
  }

  lock(card: string): Promise<unknown> {
    return this.call(`cards/${card}/lock`, { reason: "lost" });
  }

  withdraw(card: string): Promise<unknown> {
    return this.call(`cards/${card}/withdraw`, { reason: "lost" });
  }
}

/** Somebody with the reference wallet. */
export class Holder {
  readonly folder: string;
  readonly card: string;

  constructor(folder: string, card: string) {
    this.folder = folder;
    this.card = card;
  }

  async wallet(...arguments_: string[]): Promise<string> {
    const { stdout } = await run(program("OFFICIALS_CARD_WALLET"), ["--dir", this.folder, ...arguments_], { timeout: 60_000 });
    return stdout;
  }

  /** The text of a live code of this moment. Base45 has spaces: only the line's own end is taken off. */
  async code(...options: string[]): Promise<string> {
    return (await this.wallet("qr", "--text", ...options)).replace(/\n$/, "");
  }

  /** The picture that the wallet draws. */
  async picture(): Promise<string> {
    const file = join(this.folder, "live.png");
    await this.wallet("qr", "--text", "--png", file);
    return file;
  }
}

/** Waits until a server answers. */
export async function isReady(url: string): Promise<void> {
  const end = Date.now() + START_MILLISECONDS;
  for (;;) {
    const ready = await fetch(`${url}/ready`).then((answer) => answer.ok, () => false);
    if (ready) return;
    if (Date.now() > end) throw new Error("the server did not start");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export function firstLine(process_: ChildProcess): Promise<string> {
  const { stdout } = process_;
  if (stdout === null) throw new Error("no output");
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("the demo was not ready in time")), START_MILLISECONDS);
    createInterface(stdout).once("line", (line) => {
      clearTimeout(timer);
      resolve(line);
    });
    process_.once("exit", (code) => reject(new Error(`the demo ended with ${code} before it was ready`)));
  });
}

export function stopped(process_: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (process_.exitCode !== null) return resolve();
    process_.once("exit", () => resolve());
    process_.kill("SIGTERM");
  });
}
