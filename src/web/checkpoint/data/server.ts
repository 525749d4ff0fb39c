// Every request to the server, all to our own: signed documents come, nothing that was scanned ever goes.

import { isObject, type Json, type JsonObject } from "../../lib/json.ts";

/** An answer of the server, and what it says about the clocks. */
export interface Fetched {
  /** Absent when nothing has changed. */
  bytes?: Uint8Array;
  /** Media type. */
  type: string;
  /** Seconds that the server's clock is ahead of the device's. */
  offset?: number;
}

/** Longest answer that is taken: the statuses of twenty million cards. */
const MOST_BYTES = 4 << 20;
const PATIENCE_MILLISECONDS = 20_000;
/** After how long it listens again to a server that refused; up to twice as long, so that not all come at once. */
const AGAIN_MILLISECONDS = 15_000;

/** No answer: there is no network, or the server is away. */
export class Unreachable extends Error {}
/** An answer, but not what was asked for. */
export class Unexpected extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`status ${status}`);
    this.status = status;
  }
}

/** Addresses are relative to the page, so that it works under any path. */
const at = (path: string) => new URL(path, document.baseURI);

/** The half second by which a date in whole seconds is early on average. */
const HALF = 0.5;

/** Fetches a document, unless it still is the version that is held: ten thousand gates ask every few minutes. */
export async function fetchDocument(path: string, held?: number): Promise<Fetched> {
  const asked = Date.now();
  const headers = { accept: "*/*", ...(held === undefined ? {} : { "if-none-match": `"${held}"` }) };
  const response = await request(at(path), { headers });
  const answered = Date.now();
  const date = Date.parse(response.headers.get("date") ?? "");
  const clock = Number.isNaN(date) ? {} : { offset: date / 1000 + HALF - (asked + answered) / 2000 };
  const type = response.headers.get("content-type") ?? "";
  if (response.status === 304) return { type, ...clock };
  if (!response.ok) throw new Unexpected(response.status);
  if (Number(response.headers.get("content-length") ?? 0) > MOST_BYTES) throw new Unexpected(413);
  const bytes = new Uint8Array(await response.arrayBuffer().catch(unreachable));
  if (bytes.length > MOST_BYTES) throw new Unexpected(413);
  return { bytes, type, ...clock };
}

/** Sends JSON; gives the answer, or `undefined` when it was turned away for good. */
export async function send(path: string, body: JsonObject): Promise<Json | undefined> {
  const headers = { "content-type": "application/json" };
  const response = await request(at(path), { method: "POST", body: JSON.stringify(body), headers });
  if (response.ok) return (await response.json().catch(unreachable)) as Json;
  if (response.status >= 500 || response.status === 429) throw new Unexpected(response.status);
  return undefined;
}

/** Listens to the versions that the server has now, at once and after every change. */
export function listen(path: string, told: (versions: JsonObject) => void): void {
  const source = new EventSource(at(path));
  source.addEventListener("versions", (event: MessageEvent<string>) => {
    const versions = JSON.parse(event.data) as Json;
    if (isObject(versions)) told(versions);
  });
  // Browsers come again after a broken line, but never after an answer like 503: one restart would end it for the shift.
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) setTimeout(() => listen(path, told), AGAIN_MILLISECONDS * (1 + Math.random()));
  });
}

function request(url: URL, init: RequestInit): Promise<Response> {
  const signal = AbortSignal.timeout(PATIENCE_MILLISECONDS);
  return fetch(url, { ...init, signal, cache: "no-store", credentials: "omit", redirect: "error" }).catch(unreachable);
}

function unreachable(): never {
  throw new Unreachable("network");
}
