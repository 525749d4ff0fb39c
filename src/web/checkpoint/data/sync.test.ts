import { afterEach, expect, test, vi } from "vitest";
import { type Core, CoreRefusal } from "../../lib/core.ts";
import { offersAll, Sync } from "./sync.ts";
import type { Pointer, Vault } from "./vault.ts";

const pem = (body: string) => `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`;

afterEach(() => vi.unstubAllGlobals());

/** A server that answers every request as if nothing had changed, and what it was asked. */
function server(answers: Record<string, () => Response> = {}): string[] {
  const asked: string[] = [];
  const fetch = (url: URL, init: RequestInit) => {
    const path = url.pathname.slice(1) + url.search;
    asked.push(`${path} ${new Headers(init.headers).get("if-none-match") ?? "-"}`);
    if (path === "trust-anchor.pem") return Promise.resolve(new Response(pem("root")));
    const headers = { date: new Date(1_790_000_000_000).toUTCString() };
    return Promise.resolve(answers[path]?.() ?? new Response(null, { status: 304, headers }));
  };
  vi.stubGlobal("document", { baseURI: "https://issuer.example.vn/checkpoint/" });
  vi.stubGlobal("fetch", fetch);
  return asked;
}

/** A verifier that holds version 7 of everything, and a drawer with these statuses. */
function device(statuses: Pointer, load: () => number = () => 7) {
  const kept: string[] = [];
  const core = { version: () => 7, load } as unknown as Core;
  const vault = {
    pointer: (kind: string) => (kind === "statuses" ? statuses : { version: 7, bytes: 1, deltas: [] }),
    keep: (kind: string, version: number) => void kept.push(`${kind}/${version}`),
    add: (kind: string, version: number) => void kept.push(`${kind}+${version}`),
  } as unknown as Vault;
  return { sync: new Sync(core, vault, () => 1_790_000_000), kept };
}

test("what is held is not fetched again, and the clocks are compared all the same", async () => {
  const asked = server();
  const { sync, kept } = device({ version: 5, bytes: 1, deltas: [{ version: 7, bytes: 1 }] });
  expect(await sync.run(pem("root"), "gate")).toBe("synced");
  expect(asked).toEqual([
    "trust-anchor.pem -",
    'checkpoint/data/trust-list "7"',
    "checkpoint/data/statuses?since=7 -",
    'checkpoint/data/agencies "7"',
    'checkpoint/data/gates/gate "7"',
  ]);
  expect(kept).toEqual([]);
  expect(sync.offset).toBeTypeOf("number");
});

test("a delta is put behind nothing but what it starts from", async () => {
  const whole = { "checkpoint/data/statuses": () => new Response("whole") };
  // Version 6 did not load again, or another window keeps something newer.
  for (const statuses of [{ version: 5, bytes: 1, deltas: [{ version: 6, bytes: 1 }] }, { version: 9, bytes: 1, deltas: [] }]) {
    server(whole);
    const { sync, kept } = device(statuses, () => 8);
    expect(await sync.run(pem("root"), undefined)).toBe("synced");
    expect(kept).toEqual(["statuses/8"]);
  }
});

test("what the verifier refuses is not kept", async () => {
  server({ "checkpoint/data/statuses?since=7": () => new Response("older") });
  const { sync, kept } = device({ version: 7, bytes: 1, deltas: [] }, () => {
    throw new CoreRefusal("older");
  });
  expect(await sync.run(pem("root"), undefined)).toBe("olderRefused");
  expect(kept).toEqual([]);
});

test("the pinned root has to be there, and may have a successor beside it", () => {
  expect(offersAll(pem("one"), pem("one").replaceAll("\n", "\r\n"))).toBe(true);
  expect(offersAll(pem("one") + pem("two"), pem("one"))).toBe(true);
  expect(offersAll(pem("two"), pem("one"))).toBe(false);
  expect(offersAll("", pem("one"))).toBe(false);
});
