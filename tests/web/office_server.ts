// A demo with its simulators left running, and the people around a unit office: its officers, an official, a unit's system.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { firstLine, isReady, program, stopped } from "./server.ts";

export const ROLES = ["clerk", "confirmer", "unit_head", "inspector", "operator"] as const;
export type Role = (typeof ROLES)[number];

interface Demo {
  url: string;
  backend_token: string;
  config: string;
  dir: string;
  personnel_file: string;
  sign_in: { password: string };
  people: { verified: string };
  office: { issuer: string; password: string; officers: Record<Role, { subject: string; unit: string | null }> };
}

/** Somebody's row of the sample. */
export type Row = Record<string, string>;

export class Office {
  readonly demo: Demo;
  /** Of everything that the office leaves behind. */
  readonly folder: string;
  readonly #processes: readonly ChildProcess[];
  readonly #browser: Browser;

  private constructor(demo: Demo, folder: string, processes: readonly ChildProcess[], browser: Browser) {
    this.demo = demo;
    this.folder = folder;
    this.#processes = processes;
    this.#browser = browser;
  }

  /** With `change` the demo's data are served by these other settings; the officers still sign in at their simulator. */
  static async start(change?: (settings: string, folder: string) => string): Promise<Office> {
    const folder = mkdtempSync(join(tmpdir(), "officials-card-office-"));
    const arguments_ = ["demo", "--dir", join(folder, "demo"), "--listen", "127.0.0.1:0", "--json"];
    let process_ = spawn(program("OFFICIALS_CARD_BIN"), arguments_, { stdio: ["ignore", "pipe", "inherit"] });
    const demo = JSON.parse(await firstLine(process_)) as Demo;
    let simulator: ChildProcess | undefined;
    if (change !== undefined) {
      await stopped(process_);
      const settings = readFileSync(demo.config, "utf8");
      simulator = await signIn(demo, settings);
      writeFileSync(demo.config, change(settings, folder));
      process_ = spawn(program("OFFICIALS_CARD_BIN"), ["--config", demo.config, "serve"], { stdio: ["ignore", "pipe", "inherit"] });
      await isReady(demo.url);
    }
    const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
    const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"] });
    return new Office(demo, folder, [process_, ...(simulator === undefined ? [] : [simulator])], browser);
  }

  async end(): Promise<void> {
    await this.#browser.close();
    await Promise.all(this.#processes.map(stopped));
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** The rows of the sample that a unit manages. */
  rows(unit: string): Row[] {
    const [head = "", ...lines] = readFileSync(this.demo.personnel_file, "utf8").trim().split("\n");
    const names = cells(head);
    const rows = lines.map((line) => Object.fromEntries(cells(line).map((cell, at) => [names[at] ?? "", cell])));
    return rows.filter((row) => row["managing_unit_code"] === unit);
  }

  /** A desk with a browser of its own; whatever the browser complains about fails the test that asks for it. */
  async desk(): Promise<Desk> {
    const context = await this.#browser.newContext({ viewport: { width: 1366, height: 768 }, locale: "vi-VN", acceptDownloads: true });
    context.setDefaultTimeout(20_000);
    return Desk.open(this, context);
  }

  /** A desk at which an officer sits. */
  async officer(role: Role): Promise<Desk> {
    const desk = await this.desk();
    await desk.goto();
    await desk.signIn(role);
    return desk;
  }

  /** VNeID offers somebody the card, which is thereby made. */
  async offersCard(person: string): Promise<void> {
    const headers = { authorization: `Bearer ${this.demo.backend_token}`, "content-type": "application/json" };
    const body = JSON.stringify({ personal_id_number: person, assurance_level: 2 });
    const answer = await fetch(`${this.demo.url}/api/v1/offers`, { method: "POST", headers, body });
    if (!answer.ok) throw new Error(`offer: ${answer.status} ${await answer.text()}`);
  }

  /** An official who proposes changes to the own record, signed in at VNeID. Gives the proposal. */
  async proposes(person: string, changes: object, note: string): Promise<string> {
    const context = await this.#browser.newContext({ locale: "vi-VN" });
    const page = await context.newPage();
    await page.goto(`${this.demo.url}/api/v1/me/sign-in?return_to=/docs`);
    await page.locator("#username").fill(person);
    await page.locator("#password").fill(this.demo.sign_in.password);
    await page.locator("#submit").click();
    await page.waitForURL(`${this.demo.url}/docs`);
    const headers = { origin: this.demo.url };
    const own = (await (await context.request.get(`${this.demo.url}/api/v1/me`)).json()) as { records: { record: string }[] };
    const file = await context.request.post(`${this.demo.url}/api/v1/me/evidence`, {
      headers: { ...headers, "content-disposition": "attachment; filename*=UTF-8''giay-chung-nhan.pdf", "content-type": "application/pdf" },
      data: PDF,
    });
    if (!file.ok()) throw new Error(`evidence: ${file.status()} ${await file.text()}`);
    const { evidence } = (await file.json()) as { evidence: string };
    const made = await context.request.post(`${this.demo.url}/api/v1/me/proposals`, {
      headers,
      data: { record: own.records[0]?.record, changes, note, evidence: [evidence] },
    });
    if (!made.ok()) throw new Error(`proposal: ${made.status()} ${await made.text()}`);
    const { proposal } = (await made.json()) as { proposal: { proposal: string } };
    await context.close();
    return proposal.proposal;
  }

  /** A system of the unit calls the Ministry's service with a packet that is none. */
  async callsWrongly(unit: string): Promise<void> {
    const password = "mat-khau-cua-he-thong";
    const adding = ["--config", this.demo.config, "sync", "account", "add", "--name", "he-thong", "--unit", unit, "--password-stdin"];
    await new Promise<void>((resolve, reject) => {
      const child = execFile(program("OFFICIALS_CARD_BIN"), adding, (error) => (error === null ? resolve() : reject(error)));
      child.stdin?.end(password);
    });
    const post = async (path: string, body: object, headers: Record<string, string> = {}) => {
      const answer = await fetch(`${this.demo.url}/${path}`, { method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) });
      return (await answer.json()) as { access_token?: string; err_code: number };
    };
    const { access_token: token } = await post("apiauth/oauth/login", { username: "he-thong", password });
    const content = Buffer.from(JSON.stringify({ Data: { Header: { Sender_Code: unit, Action_Type: "ADD" }, Body: {} } })).toString("base64");
    await post("apisyncmsg/syncmsg/servicem0001", { org_Code: unit, jsonContent: content }, { authorization: `Bearer ${token ?? ""}` });
  }
}

/** The simulator at which the demo's officers sign in, at the address that the settings name. */
async function signIn(demo: Demo, settings: string): Promise<ChildProcess> {
  const [, secret = ""] = /\[office_sign_in\][^[]*client_secret = "([^"]+)"/.exec(settings) ?? [];
  const accounts = Object.values(demo.office.officers).flatMap(({ subject }) => ["--account", subject]);
  const own = ["--listen", new URL(demo.office.issuer).host, "--redirect-uri", `${demo.url}/office/callback`, "--password", demo.office.password];
  const path = join(dirname(program("OFFICIALS_CARD_BIN")), "examples", "officer_sign_in");
  const env = { ...process.env, OFFICER_SIGN_IN_CLIENT_SECRET: secret };
  const simulator = spawn(path, [...own, ...accounts], { stdio: ["ignore", "pipe", "inherit"], env });
  await firstLine(simulator);
  return simulator;
}

/** The smallest file that says what it is. */
const PDF = Buffer.from("%PDF-1.7\n1 0 obj\n<</Type/Catalog>>\nendobj\nxref\n0 1\ntrailer\n<</Root 1 0 R>>\nstartxref\n9\n%%EOF\n");

/** The cells of a line of CSV. */
function cells(line: string): string[] {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? "");
}

/** Rows as CSV of the columns that any of them has. */
export function csv(rows: readonly Row[]): Buffer {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const line = (values: string[]) => values.map((value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value)).join(",");
  return Buffer.from([line(names), ...rows.map((row) => line(names.map((name) => row[name] ?? "")))].join("\n"));
}

/** Somebody's desk. */
export class Desk {
  readonly office: Office;
  readonly context: BrowserContext;
  readonly page: Page;
  readonly complaints: string[] = [];

  private constructor(office: Office, context: BrowserContext, page: Page) {
    this.office = office;
    this.context = context;
    this.page = page;
    page.on("pageerror", (error) => this.complaints.push(String(error)));
    page.on("console", (message) => {
      // A refusal of the server is the page's to tell.
      if (message.type() === "error" && !/status of 4/.test(message.text())) this.complaints.push(message.text());
    });
  }

  static async open(office: Office, context: BrowserContext): Promise<Desk> {
    return new Desk(office, context, await context.newPage());
  }

  /** Opens a place of the office and waits until it is drawn and loaded. */
  async goto(place = ""): Promise<void> {
    await this.page.goto(`${this.office.demo.url}/office/${place === "" ? "" : `#/${place}`}`);
    await this.page.locator("h1").waitFor();
    await this.rests();
  }

  /** Waits until nothing is being loaded any more. */
  async rests(): Promise<void> {
    await this.page.waitForFunction(() => document.querySelector(".loading, table[aria-busy=true]") === null);
  }

  /** Signs in at the simulator, with the second factor. */
  async signIn(role: Role): Promise<void> {
    const { password, officers } = this.office.demo.office;
    await this.page.getByRole("button", { name: "Đăng nhập" }).click();
    await this.page.locator("#username").fill(officers[role].subject);
    await this.page.locator("#password").fill(password);
    await this.page.locator("#submit").click();
    await this.page.locator("#code").fill(await this.page.locator("#device").innerText());
    await this.page.locator("#submit").click();
    await this.page.getByRole("button", { name: "Đăng xuất" }).waitFor();
    await this.rests();
  }

  /** Presses Tab until what has the focus is called so. */
  async tabTo(name: string | RegExp): Promise<void> {
    const named = () =>
      this.page.evaluate(() => {
        const element = document.activeElement;
        const label = element?.id === "" || element?.id === undefined ? null : document.querySelector(`label[for="${element.id}"]`);
        return element?.getAttribute("aria-label") ?? label?.textContent ?? element?.closest("label")?.textContent ?? element?.textContent ?? "";
      });
    for (let presses = 0; presses < 120; presses += 1) {
      await this.page.keyboard.press("Tab");
      const found = (await named()).trim();
      if (typeof name === "string" ? found.startsWith(name) : name.test(found)) return;
    }
    throw new Error(`the keyboard does not reach ${String(name)}`);
  }

  /** What the desk asks the API for itself, with its session. */
  async asks<T>(path: string): Promise<T> {
    return this.page.evaluate(async (path) => (await fetch(`../api/v1/${path}`)).json() as Promise<T>, path);
  }

  close(): Promise<void> {
    return this.context.close();
  }
}
