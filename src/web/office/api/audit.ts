// What was done and read, by whom.
import { type Page, read } from "./client.ts";

export interface AuditEntry {
  readonly at: number;
  readonly actor: string;
  readonly action: string;
  /** The record, card, officer or unit. */
  readonly subject: string;
  /** Codes and counts. */
  readonly detail: string;
}

export interface AuditFilter {
  readonly unit?: string | undefined;
  readonly subject?: string | undefined;
  readonly action?: string | undefined;
}

/** The pages are named by numbers; to walk them they are words. */
export async function listAudit(filter: AuditFilter, after: string | undefined, signal: AbortSignal): Promise<Page<AuditEntry>> {
  const page = await read<{ readonly items: readonly AuditEntry[]; readonly next: number | null }>("audit", { ...filter, after, limit: 50 }, signal);
  return { items: page.items, next: page.next === null ? null : String(page.next) };
}
