// Merging, splitting and renaming units.
import { change, type Page, read } from "./client.ts";

export type ReorganisationState = "draft" | "scheduled" | "running" | "paused" | "done";

export interface Move {
  readonly from: string;
  readonly to: string;
  readonly to_name?: string | null;
  /** Only the people with these numbers. */
  readonly numbers?: readonly string[];
}

/** The same as it is told: who moves is told only to whoever may read their records. */
export interface PlannedMove extends Omit<Move, "numbers"> {
  /** How many people move; `null` when everybody does. */
  readonly people: number | null;
  readonly numbers: readonly string[] | null;
}

export interface NewReorganisation {
  readonly name: string;
  readonly decision: string;
  readonly effective_on: string;
  readonly wave_size?: number;
  readonly moves: readonly Move[];
}

export interface Reorganisation {
  readonly id: string;
  readonly name: string;
  readonly decision: string;
  readonly effective_on: string;
  readonly state: ReorganisationState;
  readonly can_be_undone: boolean;
  readonly wave_size: number;
  readonly moves: readonly PlannedMove[];
  readonly created_by: string;
  readonly created_at: number;
  readonly started_at: number | null;
  readonly finished_at: number | null;
  readonly waves: number;
  readonly moved: number;
  readonly cards: number;
  readonly failed: number;
}

export interface Totals {
  readonly records: number;
  readonly cards: number;
  readonly locked_cards: number;
  readonly renumbered: number;
}

export interface Standing {
  readonly managing_unit: string | null;
  readonly using_unit: string | null;
  readonly using_unit_name: string | null;
  readonly number: string;
}

export interface PreviewLine {
  readonly record: string;
  readonly full_name: string;
  readonly before: Standing;
  readonly after: Standing;
  readonly cards: readonly { readonly card: string; readonly is_locked: boolean }[];
}

export type ReorganisationStep = "start" | "pause" | "resume" | "undo";

const of = (id: string) => `reorganisations/${encodeURIComponent(id)}`;

export const listReorganisations = (signal: AbortSignal) => read<readonly Reorganisation[]>("reorganisations", {}, signal);
export const readReorganisation = (id: string, signal: AbortSignal) => read<Reorganisation>(of(id), {}, signal);
export const readTotals = (id: string, signal: AbortSignal) => read<Totals>(`${of(id)}/totals`, {}, signal);
export const readPreview = (id: string, after: string | undefined, signal: AbortSignal) => read<Page<PreviewLine>>(`${of(id)}/preview`, { after, limit: 50 }, signal);
export const readFailures = (id: string, signal: AbortSignal) => read<readonly { readonly record: string; readonly reason: string }[]>(`${of(id)}/failures`, {}, signal);
export const addReorganisation = (what: NewReorganisation) => change<Reorganisation>("POST", "reorganisations", what);
export const stepReorganisation = (id: string, step: ReorganisationStep) => change<Reorganisation>("POST", `${of(id)}/${step}`);
export const dropReorganisation = (id: string) => change<undefined>("DELETE", of(id));
