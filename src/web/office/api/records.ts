// Records, their versions, and changes that wait for their day.
import type { Json } from "../../lib/json.ts";
import { change, type Page, read } from "./client.ts";

export const RECORD_FILTERS = ["all", "unconfirmed", "unmatched", "discrepant", "out_of_service", "removed"] as const;
export type RecordFilter = (typeof RECORD_FILTERS)[number];
export type Match = "pending" | "matched" | "not_found" | "mismatched";

export interface RecordLine {
  readonly handle: string;
  readonly unit: string;
  readonly number: string;
  readonly full_name: string;
  readonly masked_personal_number: string | null;
  readonly version: number;
  readonly changed_at: number;
  readonly population: Match;
  readonly confirmed_at: number | null;
  readonly employment_status: string | null;
  readonly removed_at: number | null;
}

export interface RecordField {
  readonly code: string;
  readonly group: string;
  readonly label_vi: string;
  readonly label_en: string;
  readonly privacy: "basic" | "sensitive" | "work";
  readonly value: Json;
  readonly since_version: number;
  readonly way: string;
  readonly since: number;
}

export interface VersionChange {
  readonly code: string;
  readonly label_vi: string;
  readonly label_en: string;
  readonly old: Json;
  readonly new: Json;
}

export interface WaitingChange {
  readonly id: string;
  readonly record: string;
  readonly unit: string;
  readonly number: string;
  readonly effective_on: string;
  readonly state: "waiting" | "conflict";
  readonly conflicts: readonly string[];
  readonly way: string;
  readonly reference: string;
  readonly created_at: number;
  readonly changes: readonly VersionChange[];
}

export interface RecordDetail extends RecordLine {
  readonly differs_in: readonly string[];
  readonly confirmed_by: string | null;
  readonly flags: readonly { readonly word: string; readonly message_vi: string; readonly message_en: string }[];
  readonly fields: readonly RecordField[];
  readonly waiting: readonly WaitingChange[];
}

export interface RecordVersion {
  readonly version: number;
  readonly at: number;
  readonly way: string;
  readonly reference: string;
  readonly actor: string;
  readonly changes: readonly VersionChange[];
}

/** What the population database said about a record. */
export interface Matched {
  readonly outcome: Exclude<Match, "pending">;
  readonly differs: readonly { readonly field: string; readonly registry: string }[];
  readonly outdated: readonly string[];
  readonly card?: { readonly card: string; readonly step: "locked" | "unlocked" };
}

export interface PopulationQuery {
  readonly asked_at: number;
  readonly officer: string;
  readonly purpose: string;
  readonly outcome: string | null;
}

const of = (handle: string) => `records/${encodeURIComponent(handle)}`;

export const listRecords = (filter: { unit: string; filter: RecordFilter }, after: string | undefined, signal: AbortSignal) =>
  read<Page<RecordLine>>("records", { ...filter, after, limit: 50 }, signal);
export const searchRecords = async (search: object) => (await change<{ readonly records: readonly RecordLine[] }>("POST", "records/search", search)).records;
export const readRecord = (handle: string, signal: AbortSignal) => read<RecordDetail>(of(handle), {}, signal);
export const readVersions = (handle: string, signal: AbortSignal) => read<readonly RecordVersion[]>(`${of(handle)}/versions`, {}, signal);
export const listQueries = (handle: string, after: string | undefined, signal: AbortSignal) => read<Page<PopulationQuery>>(`${of(handle)}/population-queries`, { after }, signal);
export const matchRecord = (handle: string, purpose: string) => change<Matched>("POST", `${of(handle)}/match`, { purpose });

export const listChanges = (unit: string, after: string | undefined, signal: AbortSignal, limit = 50) => read<Page<WaitingChange>>("changes", { unit, after, limit }, signal);
/** How many changes wait, without reading about anybody. */
export const countChanges = (unit: string, signal: AbortSignal) => read<{ readonly waiting: number; readonly conflicts: number }>("changes/count", { unit }, signal);
export const dropChange = (id: string) => change<undefined>("DELETE", `changes/${encodeURIComponent(id)}`);
