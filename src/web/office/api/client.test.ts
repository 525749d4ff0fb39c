import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { address, change, Problem, quietly, read, TooSlow, Unreachable, useSessionOf } from "./client.ts";

const problem = (status: number, kind: string, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify({ type: `urn:officials-card:problem:${kind}`, status, detail: "body.unit: must be a unit", conflicts: [1] }), { status, headers });

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("document", { baseURI: "https://card.example/van-phong/office/" });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Answers with these, one after the other; an error is thrown. */
function server(...answers: (Response | Error)[]) {
  const fetched = vi.fn(async (_url: URL, _init: RequestInit) => {
    const answer = answers.shift();
    if (answer === undefined || answer instanceof Error) throw answer ?? new Error("asked too often");
    return answer;
  });
  vi.stubGlobal("fetch", fetched);
  return fetched;
}

/** What came of it, with all pauses passed over. */
async function settled<T>(asked: Promise<T>): Promise<T | Error> {
  const outcome = asked.catch((error: Error) => error);
  await vi.runAllTimersAsync();
  return outcome;
}

test("addresses stand beside the page, under whatever path it has", () => {
  expect(address("cards", { unit: "H26", state: "", after: undefined, limit: 5 }).href).toBe("https://card.example/van-phong/api/v1/cards?unit=H26&limit=5");
});

test("a question is asked again when only the moment was wrong", async () => {
  const fetched = server(new TypeError("network"), problem(503, "busy"), Response.json({ items: [] }));
  expect(await settled(read("cards"))).toEqual({ items: [] });
  expect(fetched).toHaveBeenCalledTimes(3);
});

test("a question is not asked again when the answer would be the same, nor for ever", async () => {
  const refusing = server(problem(403, "foreign-unit"));
  expect(await settled(read("cards"))).toMatchObject({ status: 403, kind: "foreign-unit", detail: "body.unit: must be a unit", members: { conflicts: [1] } });
  expect(refusing).toHaveBeenCalledTimes(1);
  const away = server(...Array.from({ length: 9 }, () => new TypeError("network")));
  expect(await settled(read("cards"))).toBeInstanceOf(Unreachable);
  expect(away).toHaveBeenCalledTimes(3);
});

test("a change carries the token and is sent once, whatever happens", async () => {
  useSessionOf("token", () => undefined);
  const fetched = server(problem(503, "busy"), new Response(null, { status: 204 }));
  expect(await settled(change("POST", "cards/X/lock", { reason: "lost" }))).toBeInstanceOf(Problem);
  expect(fetched).toHaveBeenCalledTimes(1);
  expect(fetched.mock.calls[0]?.[1]).toMatchObject({ method: "POST", body: '{"reason":"lost"}', headers: { "x-csrf-token": "token" }, credentials: "same-origin" });
  expect(await settled(change("DELETE", "changes/X"))).toBeUndefined();
});

test("the end of the session is told, a fresh sign-in that is wanted is not one", async () => {
  const ended = vi.fn();
  useSessionOf("token", ended);
  server(problem(401, "insufficient-user-authentication"), problem(401, "session-ended"), new Response("<html>", { status: 401 }));
  await settled(change("POST", "cards/X/withdraw", {}));
  expect(ended).not.toHaveBeenCalled();
  await settled(change("POST", "cards/X/withdraw", {}));
  await settled(change("POST", "cards/X/withdraw", {}));
  expect(ended).toHaveBeenCalledTimes(2);
});

test("a proxy that asks for a long wait is not waited for in silence", async () => {
  const fetched = server(problem(429, "temporarily-unavailable", { "retry-after": "60" }));
  expect(await settled(read("cards"))).toMatchObject({ waitSeconds: 60 });
  expect(fetched).toHaveBeenCalledTimes(1);
});

test("what used up its patience is not asked again, and is no broken network", async () => {
  const slow = vi.fn((_url: URL, init: RequestInit) => new Promise((_, reject) => init.signal?.addEventListener("abort", () => reject(init.signal?.reason))));
  vi.stubGlobal("fetch", slow);
  // The clock of a signal is the browser's own.
  vi.stubGlobal("AbortSignal", Object.assign(AbortSignal, { timeout: timeoutByClock }));
  expect(await settled(read("reorganisations/X/totals"))).toBeInstanceOf(TooSlow);
  expect(slow).toHaveBeenCalledTimes(1);
  // Neither is what a proxy broke off after as long.
  const late = vi.fn(async () => {
    vi.advanceTimersByTime(29_000);
    return problem(503, "");
  });
  vi.stubGlobal("fetch", late);
  expect(await settled(read("reorganisations/X/totals"))).toMatchObject({ status: 503 });
  expect(late).toHaveBeenCalledTimes(1);
});

/** `AbortSignal.timeout` by the clock of the test. */
function timeoutByClock(milliseconds: number): AbortSignal {
  const stop = new AbortController();
  setTimeout(() => stop.abort(new DOMException("late", "TimeoutError")), milliseconds);
  return stop.signal;
}

test("what the page asks by itself says so", async () => {
  const fetched = server(Response.json({}), Response.json({}));
  await settled(read("uploads/X", {}, quietly(new AbortController().signal)));
  await settled(read("uploads/X", {}, new AbortController().signal));
  const headers = fetched.mock.calls.map(([, init]) => new Headers(init.headers).get("x-background"));
  expect(headers).toEqual(["1", null]);
});
