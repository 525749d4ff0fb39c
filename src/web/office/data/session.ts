// Who sits here, what they may do, and how long yet.
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { Cell } from "../../lib/cell.ts";
import { Problem, read, useSessionOf } from "../api/client.ts";
import { endSession, readSession, type Session } from "../api/session.ts";
import { setClock } from "./dates.ts";
import { hashOf, place, placeOf } from "./router.ts";

export type Standing =
  | { readonly kind: "loading" }
  | { readonly kind: "out"; readonly hasEnded: boolean }
  | { readonly kind: "failed"; readonly error: unknown }
  | { readonly kind: "in"; readonly session: Session };

export const standing = new Cell<Standing>({ kind: "loading" });

/** The page is told this long before a session ends. */
const WARN_SECONDS = 180;
const POLL_MILLISECONDS = 30_000;
const PLACE = "officials-card.office.place";

/** Finds out who is signed in, now and every so often while somebody is. */
export async function openSession(): Promise<void> {
  await refresh();
  setInterval(() => {
    if (standing.value.kind === "in") void refresh();
  }, POLL_MILLISECONDS);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && standing.value.kind === "in") void refresh();
  });
}

/** Asks the server; that alone prolongs nothing. */
export async function refresh(): Promise<void> {
  try {
    const session = await readSession();
    useSessionOf(session.csrf, ended);
    setClock(session.now);
    standing.set({ kind: "in", session });
  } catch (error) {
    if (error instanceof Problem && error.status === 401) standing.set({ kind: "out", hasEnded: standing.value.kind === "in" || hasEnded(standing.value) });
    // Who is signed in stays so over a short loss of the network.
    else if (standing.value.kind !== "in") standing.set({ kind: "failed", error });
  }
}

const hasEnded = (value: Standing) => value.kind === "out" && value.hasEnded;

function ended(): void {
  if (standing.value.kind === "in") standing.set({ kind: "out", hasEnded: true });
}

/** A question that counts as work, so that the session goes on. */
export async function prolong(session: Session): Promise<void> {
  const [, path] = QUESTIONS.find(([scope]) => session.scopes.includes(scope)) ?? [];
  if (path !== undefined) await read(path, path === "refusal-reasons" ? {} : { limit: 1 });
  await refresh();
}

/** Small answers about nobody, by the scope that they need. */
const QUESTIONS: readonly (readonly [string, string])[] = [
  ["updates:read", "refusal-reasons"],
  ["sync:read", "sync-calls"],
  ["officers:read", "officers"],
];

/** Goes to the sign-in page, and comes back to this place afterwards. */
export function signIn(): void {
  // Only handles and codes stand in a place, and only for this tab.
  sessionStorage.setItem(PLACE, hashOf(place.value.path, Object.fromEntries(place.value.query)));
  location.assign("sign-in");
}

/** Goes back to where the person was before signing in. */
export function returnToPlace(): void {
  const kept = sessionStorage.getItem(PLACE);
  sessionStorage.removeItem(PLACE);
  if (kept === null || location.hash.length > 2) return;
  history.replaceState(null, "", kept);
  place.set(placeOf(kept));
}

/** Ends the session here and, where it knows how, at the provider. */
export async function signOut(): Promise<void> {
  const { end_session: next } = await endSession();
  sessionStorage.removeItem(PLACE);
  location.assign(next ?? "./");
}

/** In how many seconds the session ends, and whether work would prolong it; `undefined` while that is far. */
export function ending(session: Session, now: number): { seconds: number; canProlong: boolean } | undefined {
  const seconds = Math.min(session.idle_expires_at, session.expires_at) - now;
  if (seconds > WARN_SECONDS) return undefined;
  return { seconds: Math.max(seconds, 0), canProlong: session.idle_expires_at < session.expires_at };
}

const OfSession = createContext<Session | undefined>(undefined);
export const SessionProvider = OfSession.Provider;

/** The session, on pages that only somebody who is signed in can see. */
export function useSession(): Session {
  const session = useContext(OfSession);
  if (session === undefined) throw new Error("nobody is signed in");
  return session;
}

/** Whether the role has one of these rights. */
export function may(session: Session, ...scopes: string[]): boolean {
  return scopes.some((scope) => session.scopes.includes(scope));
}

/** Whether a step with this scope needs a fresh sign-in by now. */
export function needsSignIn(session: Session, scope: string, now: number): boolean {
  return session.step_up.scopes.includes(scope) && session.step_up.until <= now;
}
