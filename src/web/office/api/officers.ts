// Who may use the office.
import { change, type Page, read } from "./client.ts";
import type { Role, Unit } from "./session.ts";

export const OFFICER_STATES = ["active", "blocked", "expired"] as const;

export interface Officer {
  readonly id: string;
  readonly subject: string;
  readonly name: string;
  readonly unit: Unit | null;
  readonly role: Role;
  readonly state: (typeof OFFICER_STATES)[number];
  readonly valid_until: number | null;
  readonly blocked_at: number | null;
  readonly created_at: number;
  readonly signed_in_at: number | null;
  readonly revision: number;
}

/** What everybody may know of a colleague. */
export interface OfficerName {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  /** `null` is the whole nation. */
  readonly unit: string | null;
}

export interface NewOfficer {
  readonly subject: string;
  readonly name: string;
  readonly unit: string | null;
  readonly role: Role;
  readonly valid_until: number | null;
  readonly personal_id_number?: string;
}

export interface OfficerFilter {
  readonly unit?: string | undefined;
  readonly role?: string | undefined;
  readonly state?: string | undefined;
}

const of = (id: string) => `officers/${encodeURIComponent(id)}`;

export const listOfficers = (filter: OfficerFilter, after: string | undefined, signal: AbortSignal, limit = 50) =>
  read<Page<Officer>>("officers", { ...filter, after, limit }, signal);
/** Pages of names that are asked for at most. */
const MOST_PAGES = 50;

/** The officers of one's units, below, above, and for the nation. */
export async function allNames(filter: { unit?: string; state?: string }, signal: AbortSignal): Promise<readonly OfficerName[]> {
  const names: OfficerName[] = [];
  let after: string | undefined;
  for (let asked = 0; asked < MOST_PAGES; asked += 1) {
    const page: Page<OfficerName> = await read("officers/names", { ...filter, after, limit: 200 }, signal);
    names.push(...page.items);
    if (page.next === null) break;
    after = page.next;
  }
  return names;
}
export const addOfficer = (officer: NewOfficer) => change<Officer>("POST", "officers", officer);
export const changeOfficer = (id: string, revision: number, to: Partial<Omit<NewOfficer, "personal_id_number">>) => change<Officer>("PATCH", of(id), { revision, ...to });
export const setBlocked = (id: string, isBlocked: boolean) => change<Officer>("POST", `${of(id)}/${isBlocked ? "block" : "unblock"}`);
