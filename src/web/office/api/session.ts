// Who is signed in.
import { change, read } from "./client.ts";

export const ROLES = ["clerk", "confirmer", "unit_head", "inspector", "operator"] as const;
export type Role = (typeof ROLES)[number];

export interface Unit {
  readonly code: string;
  readonly name: string;
}

export interface Session {
  readonly officer: { readonly id: string; readonly name: string; readonly role: Role };
  /** `null` is the whole nation. */
  readonly unit: Unit | null;
  readonly scopes: readonly string[];
  readonly csrf: string;
  /** The server's time. */
  readonly now: number;
  readonly signed_in_at: number;
  /** When the session ends if nothing is done. */
  readonly idle_expires_at: number;
  /** When it ends in any case. */
  readonly expires_at: number;
  /** Scopes that need a fresh sign-in, and until when this one is fresh. */
  readonly step_up: { readonly scopes: readonly string[]; readonly until: number };
}

/** The session of now. Asking does not prolong it. */
export const readSession = () => read<Session>("session");

/** Ends it. Gives where to sign out at the provider too. */
export const endSession = () => change<{ readonly end_session: string | null }>("POST", "../../office/sign-out");
