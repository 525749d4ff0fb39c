// The log of the Ministry's synchronisation interface.
import { type Page, read } from "./client.ts";

export interface Call {
  readonly transaction_id: string;
  readonly at: number;
  readonly account: string;
  readonly unit: string;
  readonly operation: string;
  readonly action: string | null;
  readonly dossiers: number;
  readonly outcome: "accepted" | "refused" | "begun";
  readonly codes: readonly string[];
  readonly duration_ms: number | null;
  readonly repeats: string | null;
}

export interface CallFault {
  readonly dossier: number | null;
  readonly field: string | null;
  readonly code: string;
  readonly rule: string | null;
  readonly message: string;
}

export interface CallDetail extends Call {
  readonly digest: string;
  readonly message: string | null;
  readonly records: readonly string[];
  readonly ignored: readonly string[];
  readonly faults: readonly CallFault[];
}

export interface CallFilter {
  readonly unit?: string | undefined;
  readonly outcome?: string | undefined;
  readonly account?: string | undefined;
}

export const listCalls = (filter: CallFilter, after: string | undefined, signal: AbortSignal) => read<Page<Call>>("sync-calls", { ...filter, after, limit: 50 }, signal);
export const readCall = (id: string, signal: AbortSignal) => read<CallDetail>(`sync-calls/${encodeURIComponent(id)}`, {}, signal);
