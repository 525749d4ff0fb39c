// Asking over HTTP: protected addresses only, no redirects, no cookies, bounded answers.

import { type Bytes, Malformed, concat, text } from "./bytes.ts";

/** The largest answer that is read: cards with a portrait, or a status list. */
const MAX_ANSWER_BYTES = 4 << 20;
/** How long one request may take, in milliseconds. */
const PATIENCE = 20_000;

/** A peer said no: `error` of RFC 6749 section 5.2, or the HTTP status. */
export class Refused extends Error {
  constructor(
    readonly place: string,
    readonly code: string,
    readonly description: string,
  ) {
    super(`${place}: ${code}`);
    this.name = "Refused";
  }
}

/** Nothing came back. */
export class Unreachable extends Error {
  constructor(readonly place: string) {
    super(place);
    this.name = "Unreachable";
  }
}

/** What came back, whatever it says. */
export class Answer {
  constructor(
    readonly place: string,
    readonly status: number,
    readonly headers: Headers,
    private readonly bytes: Bytes,
  ) {}

  /** The body of an answer that says yes. */
  body(): Bytes {
    if (this.status >= 200 && this.status < 300) return this.bytes;
    const { error, error_description: description, detail } = this.members();
    throw new Refused(this.place, typeof error === "string" ? error : String(this.status), String(description ?? detail ?? ""));
  }

  /** The same as a JSON object. */
  json(): Record<string, unknown> {
    return parseObject(this.place, text(this.body()));
  }

  /** `error` of an answer that says no. */
  get error(): unknown {
    return this.status >= 400 ? this.members()["error"] : undefined;
  }

  private members(): Record<string, unknown> {
    try {
      return parseObject(this.place, text(this.bytes));
    } catch {
      return {};
    }
  }
}

/** Sends one request. `place` names it in errors. */
export async function ask(place: string, url: string, init: RequestInit = {}): Promise<Answer> {
  const request: RequestInit = {
    cache: "no-cache",
    credentials: "omit",
    redirect: "error",
    referrerPolicy: "no-referrer",
    signal: AbortSignal.timeout(PATIENCE),
    ...init,
  };
  try {
    const response = await fetch(protectedUrl(place, url), request);
    return new Answer(place, response.status, response.headers, await bounded(place, response));
  } catch (error) {
    if (error instanceof Malformed) throw error;
    throw new Unreachable(place);
  }
}

/** Fetches a JSON object. */
export async function getJson(place: string, url: string): Promise<Record<string, unknown>> {
  return (await ask(place, url, { headers: { Accept: "application/json" } })).json();
}

/** An address that nobody on the way can read along: https, or this machine. */
export function protectedUrl(place: string, url: string): URL {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const isHere = parsed?.protocol === "http:" && ["localhost", "127.0.0.1", "[::1]"].includes(parsed.hostname);
  if (!parsed || (parsed.protocol !== "https:" && !isHere) || parsed.username !== "") {
    throw new Malformed(place, "has no protected address");
  }
  return parsed;
}

/** The address of a well-known document: its name stands between host and path (OpenID4VCI 1.0 section 12.2.2, RFC 8414
 * section 3.1). */
export function wellKnown(place: string, name: string, id: string): string {
  const url = protectedUrl(place, id);
  url.pathname = `/.well-known/${name}${url.pathname.replace(/\/+$/, "")}`;
  return url.href;
}

/** Reads a text as a JSON object. */
export function parseObject(place: string, json: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw new Malformed(place, "is not JSON");
  }
  return object(place, value);
}

/** A value that has to be an object. */
export function object(place: string, value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Malformed(place, "is not an object");
  return value as Record<string, unknown>;
}

/** A member that has to be there, a text that is not empty. */
export function member(place: string, from: Record<string, unknown>, name: string): string {
  const value = from[name];
  if (typeof value !== "string" || value === "") throw new Malformed(place, `lacks ${name}`);
  return value;
}

async function bounded(place: string, response: Response): Promise<Bytes> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (const reader = response.body?.getReader(); reader; ) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > MAX_ANSWER_BYTES) {
      await reader.cancel();
      throw new Malformed(place, "is too large");
    }
    chunks.push(value);
  }
  return concat(...chunks);
}
