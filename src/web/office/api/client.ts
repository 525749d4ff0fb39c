// Every request to the server, all to our own: one way to read, one way to change, one way to send a file, one to save one.
// Who is signed in is known by the session's cookie, which this page cannot read.
import { isObject, type JsonObject } from "../../lib/json.ts";

/** No answer: there is no network, or the server is away. */
export class Unreachable extends Error {}

/** No answer in time, though the server may be at work on one: asked again it would begin anew. */
export class TooSlow extends Error {}

/** A refusal or failure of the server (RFC 9457). */
export class Problem extends Error {
  readonly status: number;
  /** The last part of the problem type, for example `card-state`. */
  readonly kind: string;
  /** What was wrong and where, in English, never a value. */
  readonly detail: string;
  /** After how many seconds to come back, where the server says so. */
  readonly waitSeconds: number | undefined;
  /** The whole document: some kinds have members of their own. */
  readonly members: JsonObject;

  constructor(status: number, kind: string, detail: string, waitSeconds?: number, members: JsonObject = {}) {
    super(`${status} ${kind}`);
    this.status = status;
    this.kind = kind;
    this.detail = detail;
    this.waitSeconds = waitSeconds;
    this.members = members;
  }
}

/** A piece of a long list. */
export interface Page<T> {
  readonly items: readonly T[];
  /** To be handed back as `after`; `null` at the end. */
  readonly next: string | null;
}

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

const PATIENCE_MILLISECONDS = 30_000;
/** Pauses before a question is asked again. Changes are never sent twice. */
const PAUSES_MILLISECONDS = [400, 1500];
/** Longest pause that a server may ask for without the person being told. */
const MOST_WAIT_SECONDS = 3;
const TYPE = "urn:officials-card:problem:";

let token: string | undefined;
let signedOut: () => void = () => undefined;

/** Questions that the page asks by itself, by their signals. */
const inBackground = new WeakSet<AbortSignal>();

/** Marks a question that nobody asked for just now: it keeps no session open. */
export function quietly(signal: AbortSignal): AbortSignal {
  inBackground.add(signal);
  return signal;
}

/** Takes the token that proves that a change comes from this page, and what to do when the session has ended. */
export function useSessionOf(csrf: string | undefined, whenSignedOut: () => void): void {
  token = csrf;
  signedOut = whenSignedOut;
}

/** Addresses are relative to the page, so that it works under any path of the public URL. */
export function address(path: string, query: Query = {}): URL {
  const url = new URL(`../api/v1/${path}`, document.baseURI);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") url.searchParams.set(name, String(value));
  }
  return url;
}

/** Reads. */
export async function read<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  const response = await patiently(address(path, query), signal);
  return (await response.json().catch(unreachable)) as T;
}

/** Changes something, once. An answer without a body gives `undefined`. */
export async function change<T>(method: "POST" | "PUT" | "PATCH" | "DELETE", path: string, body?: object): Promise<T> {
  const response = await request(address(path), {
    method,
    headers: { ...own(), ...(body === undefined ? {} : { "content-type": "application/json" }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text().catch(unreachable);
  return (text === "" ? undefined : JSON.parse(text)) as T;
}

/** Sends a file, and says which part of it has gone. */
export function sendFile<T>(path: string, query: Query, file: Blob, headers: Readonly<Record<string, string>>, told: (part: number) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    // The one thing that `fetch` cannot do is to tell how far it is.
    const sending = new XMLHttpRequest();
    sending.open("POST", address(path, query));
    for (const [name, value] of Object.entries({ ...own(), ...headers })) sending.setRequestHeader(name, value);
    sending.upload.onprogress = (event) => told(event.lengthComputable ? event.loaded / event.total : 0);
    sending.onerror = () => reject(new Unreachable("network"));
    sending.onload = () => {
      if (sending.status >= 200 && sending.status < 300) return resolve(JSON.parse(sending.responseText) as T);
      reject(refused(sending.status, sending.responseText, sending.getResponseHeader("retry-after")));
    };
    sending.send(file);
  });
}

/** Fetches a file as it is. */
export async function readFile(path: string, query: Query = {}, signal?: AbortSignal): Promise<Blob> {
  return (await patiently(address(path, query), signal)).blob().catch(unreachable);
}

/** Fetches a file and lets the browser save it. With a body it is asked for by POST: what the body holds stands in no address. */
export async function save(path: string, query: Query, name: string, body?: object): Promise<void> {
  const response =
    body === undefined
      ? await patiently(address(path, query))
      : await request(address(path, query), { method: "POST", headers: { ...own(), "content-type": "application/json" }, body: JSON.stringify(body) });
  const file = await response.blob().catch(unreachable);
  saveBlob(file, nameIn(response.headers.get("content-disposition")) ?? name);
}

/** Lets the browser save what this page holds. */
export function saveBlob(file: Blob, name: string): void {
  const made = URL.createObjectURL(file);
  const link = document.createElement("a");
  link.href = made;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(made), 10_000);
}

/** The name that the server gives a file (RFC 6266), without any path. */
export function nameIn(disposition: string | null): string | undefined {
  const extended = /filename\*=UTF-8''([^;]+)/i.exec(disposition ?? "")?.[1];
  const plain = /filename="?([^";]+)"?/i.exec(disposition ?? "")?.[1];
  try {
    const name = extended === undefined ? plain : decodeURIComponent(extended);
    return name?.split(/[/\\]/).at(-1);
  } catch {
    return plain;
  }
}

const own = (): Record<string, string> => (token === undefined ? {} : { [CSRF_HEADER]: token });
const CSRF_HEADER = "x-csrf-token";
const BACKGROUND_HEADER = "x-background";

/** Asks, and asks again where only the moment was wrong. */
async function patiently(url: URL, signal?: AbortSignal): Promise<Response> {
  for (let attempt = 0; ; attempt += 1) {
    const began = Date.now();
    try {
      return await request(url, signal === undefined ? {} : { signal });
    } catch (error) {
      const pause = PAUSES_MILLISECONDS[attempt];
      // What took long would take long again, whoever broke it off.
      const isLong = Date.now() - began > PATIENCE_MILLISECONDS / 2;
      if (pause === undefined || signal?.aborted === true || isLong || !isPassing(error)) throw error;
      const asked = error instanceof Problem ? (error.waitSeconds ?? 0) * 1000 : 0;
      await new Promise((resolve) => setTimeout(resolve, Math.max(pause, asked)));
    }
  }
}

/** Whether the same question may be answered a moment later. */
export function isPassing(error: unknown): boolean {
  if (error instanceof Unreachable) return true;
  return error instanceof Problem && [429, 502, 503, 504].includes(error.status) && (error.waitSeconds ?? 0) <= MOST_WAIT_SECONDS;
}

async function request(url: URL, init: RequestInit): Promise<Response> {
  const patience = AbortSignal.timeout(PATIENCE_MILLISECONDS);
  const signal = init.signal ? AbortSignal.any([init.signal, patience]) : patience;
  const quiet = init.signal !== null && init.signal !== undefined && inBackground.has(init.signal) ? { [BACKGROUND_HEADER]: "1" } : {};
  const accept = { accept: "application/json, */*;q=0.5", ...quiet, ...init.headers };
  const response = await fetch(url, { ...init, headers: accept, signal, cache: "no-store", credentials: "same-origin", redirect: "error" }).catch((error: unknown) => {
    if (init.signal?.aborted === true) throw error;
    if (patience.aborted) throw new TooSlow("patience");
    return unreachable();
  });
  if (response.ok) return response;
  throw refused(response.status, await response.text().catch(() => ""), response.headers.get("retry-after"));
}

/** The kinds of 401 after which nobody is signed in; the other asks somebody who is to sign in anew. */
const SESSION_OVER = ["", "invalid-token", "session-ended"];

function refused(status: number, text: string, retryAfter: string | null): Problem {
  let told: unknown;
  try {
    told = JSON.parse(text);
  } catch {
    // A proxy that answers for the server writes no problem document.
  }
  const document_ = isObject(told) ? told : {};
  const type = typeof document_["type"] === "string" ? document_["type"] : "";
  const detail = typeof document_["detail"] === "string" ? document_["detail"] : "";
  const seconds = Number(retryAfter);
  const kind = type.startsWith(TYPE) ? type.slice(TYPE.length) : "";
  if (status === 401 && SESSION_OVER.includes(kind)) signedOut();
  return new Problem(status, kind, detail, Number.isFinite(seconds) && retryAfter !== null ? seconds : undefined, document_);
}

function unreachable(): never {
  throw new Unreachable("network");
}
