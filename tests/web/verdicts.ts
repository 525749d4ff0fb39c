// How long a verdict takes in Chromium, on the thread of a page, with the statuses of the whole nation loaded: as fast as
// this machine is, and slowed down as a cheap phone is. The shift is that of `benches/verdicts.rs`:
// node verdicts.ts SHIFT.json
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { chromium } from "playwright-core";

/** What is promised of every verdict, on any phone. */
const PROMISE_MILLISECONDS = 300;
/** How many times slower than this machine, as Chromium's own tools slow down: 4 for a usual phone, 6 for a cheap one.
 *  They stop the thread now and then, so that the mean tells more than the median. */
const SLOWER = [1, 4, 6];
/** How often each code is judged; the first round is told apart, for its code is not optimised yet. */
const ROUNDS = 5;

interface Times {
  load: number;
  kinds: { kind: string; first: number; mean: number; median: number; late: number; most: number }[];
}

const shift = process.argv[2];
if (shift === undefined) throw new Error("name the shift: cargo bench --bench verdicts -- SHIFT.json");
const core = (name: string): string => new URL(`../../src/web/core/${name}`, import.meta.url).pathname;
const FILES: Record<string, [string, string]> = {
  "/core.js": ["text/javascript", core("core.js")],
  "/core_bg.wasm": ["application/wasm", core("core_bg.wasm")],
  "/shift.json": ["application/json", shift],
};

/** A blank page on loopback, and the core beside it. */
async function serve(): Promise<Server> {
  const server = createServer((request, response) => {
    const [type, path] = FILES[request.url ?? ""] ?? ["text/html", undefined];
    response.setHeader("content-type", type);
    // Isolated pages have the finer clock.
    response.setHeader("cross-origin-opener-policy", "same-origin");
    response.setHeader("cross-origin-embedder-policy", "require-corp");
    response.end(path === undefined ? "<!doctype html><title>-</title>" : readFileSync(path));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

/** In the page: everything is loaded anew, as when the app starts. */
async function measured(rounds: number): Promise<Times> {
  interface Core {
    default: (module: string) => Promise<unknown>;
    Checkpoint: new (anchor: string) => {
      load: (kind: string, bytes: Uint8Array, now: number) => string;
      verify: (text: string, now: number, options: string) => string;
    };
  }
  const module = "/core.js";
  const loaded = (await import(module)) as Core;
  await loaded.default("/core_bg.wasm");
  interface Shift {
    anchor: string;
    now: number;
    documents: [string, string][];
    codes: Record<string, string[]>;
  }
  const { anchor, now, documents, codes } = (await (await fetch("/shift.json")).json()) as Shift;
  const inBytes = documents.map(([kind, text]) => [kind, Uint8Array.from(atob(text), (one) => one.charCodeAt(0))] as const);
  let begun = performance.now();
  const checkpoint = new loaded.Checkpoint(anchor);
  for (const [kind, bytes] of inBytes) checkpoint.load(kind, bytes, now);
  const load = performance.now() - begun;
  const options = JSON.stringify({ forget: true });
  const kinds = Object.entries(codes).map(([kind, texts]) => {
    const times: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      for (const text of texts) {
        begun = performance.now();
        const { outcome } = JSON.parse(checkpoint.verify(text, now, options)) as { outcome: string };
        times.push(performance.now() - begun);
        if (outcome !== "valid-live") throw new Error(`${kind}: ${outcome}`);
      }
    }
    const first = times[0] ?? Number.NaN;
    const sorted = times.toSorted((one, other) => one - other);
    const at = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN;
    const mean = times.reduce((sum, time) => sum + time, 0) / times.length;
    return { kind, first, mean, median: at(0.5), late: at(0.95), most: at(1) };
  });
  return { load, kinds };
}

const server = await serve();
const browser = await chromium.launch({
  executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
  headless: true,
  chromiumSandbox: false,
});
let kept = true;
try {
  console.log(`verdict in Chromium ${browser.version()}, ms`.padEnd(44) + ["first", "mean", "median", "p95", "most"].map((name) => name.padStart(10)).join(""));
  for (const slower of SLOWER) {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    const tools = await page.context().newCDPSession(page);
    await tools.send("Emulation.setCPUThrottlingRate", { rate: slower });
    const { load, kinds } = await page.evaluate(measured, ROUNDS);
    await page.close();
    console.log(`${slower} times slower: all caches load in ${load.toFixed(1)}`);
    for (const { kind, first, mean, median, late, most } of kinds) {
      console.log(`  ${kind}`.padEnd(44) + [first, mean, median, late, most].map((time) => time.toFixed(2).padStart(10)).join(""));
      kept &&= most < PROMISE_MILLISECONDS;
    }
  }
} finally {
  await browser.close();
  server.close();
}
if (!kept) throw new Error(`a verdict took longer than ${PROMISE_MILLISECONDS} ms`);
