// What officials propose about themselves, what waits for the unit's word, and who decides for whom.
import type { Json } from "../../lib/json.ts";
import { change, type Page, read, readFile, save } from "./client.ts";

export const WAITING_STATES = ["open", "first_approved", "appealed"] as const;
export const PROPOSAL_STATES = [...WAITING_STATES, "approved", "refused", "withdrawn", "appeal_refused", "expired"] as const;
export type ProposalState = (typeof PROPOSAL_STATES)[number];

export interface FieldName {
  readonly field: string;
  readonly label_vi: string;
  readonly label_en: string;
}

/** A field as it was, as it is to be, and as it is now. */
export interface FieldChange extends FieldName {
  readonly old: Json;
  readonly new: Json;
  readonly now: Json;
  readonly old_label?: string | null;
  readonly new_label?: string | null;
  readonly now_label?: string | null;
  readonly is_sensitive: boolean;
  readonly is_on_card: boolean;
  readonly is_conflict?: boolean;
}

export interface Proposal {
  readonly proposal: string;
  readonly record: string;
  readonly unit: string;
  readonly person_masked: string;
  readonly full_name: string;
  readonly fields: readonly FieldName[];
  readonly state: ProposalState;
  readonly needs: "one" | "two" | "second" | "appeal";
  readonly is_sensitive: boolean;
  readonly is_on_card: boolean;
  readonly has_conflicts: boolean;
  readonly evidence_count: number;
  readonly effective_on: string | null;
  readonly created_at: number;
  readonly due_at: number;
  readonly is_overdue: boolean;
  readonly escalated_to: string | null;
  readonly claimed_by: string | null;
  readonly claimed_until: number | null;
  readonly first_approved_by: string | null;
  readonly may_decide: boolean;
  readonly why_not: WhyNot | null;
}

export type WhyNot = "self" | "first_approver" | "decided_before" | "from_appeal" | "scope" | "decided";

export interface Evidence {
  readonly evidence: string;
  readonly name: string;
  readonly media_type: string;
  readonly size: number;
  readonly sha256: string;
  readonly created_at: number;
}

export interface ReviewLine {
  readonly at: number;
  readonly by: string;
  readonly on_behalf_of: string | null;
  readonly what: string;
  readonly fields: readonly string[] | null;
  readonly reason: string | null;
  readonly note: string | null;
}

export interface ProposalDetail extends Proposal {
  readonly note: string;
  readonly base_version: number;
  readonly record_version: number;
  readonly changes: readonly FieldChange[];
  readonly evidence: readonly Evidence[];
  readonly history: readonly ReviewLine[];
  readonly others: readonly { readonly proposal: string; readonly state: ProposalState; readonly fields: readonly string[]; readonly created_at: number }[];
  readonly reason: string | null;
  readonly reason_note: string | null;
  readonly appeal_note: string | null;
  readonly waits_until: string | null;
  readonly version: number | null;
}

export interface Approval {
  readonly expected_version?: number;
  readonly effective_on?: string;
  readonly overwrite?: readonly string[];
  readonly note?: string;
}

export interface Decided {
  readonly proposal: string;
  readonly state: ProposalState;
  readonly record_version: number | null;
  readonly card: string | null;
  readonly replaced_card: string | null;
  readonly waits_until: string | null;
  readonly awaits_second: boolean;
  /** The record waits for the unit's word on what others sent before; its card follows then. */
  readonly awaits_confirmation?: boolean;
}

export interface BulkAnswer {
  readonly items: readonly { readonly proposal: string; readonly done?: Decided; readonly problem?: { readonly type: string; readonly status: number; readonly detail: string } }[];
  readonly done: number;
  readonly problems: number;
}

export interface Workload {
  readonly unit: string | null;
  readonly open: number;
  readonly first_approved: number;
  readonly appealed: number;
  readonly overdue: number;
  readonly unclaimed: number;
  readonly oldest_created_at: number | null;
  readonly median_working_hours: number | null;
  readonly decided_last_30_days: number;
  readonly due: readonly { readonly day: string; readonly count: number }[];
  readonly reviewers: readonly {
    readonly reviewer: string;
    readonly claimed: number;
    readonly decided_last_30_days: number;
    readonly refused_last_30_days: number;
    readonly median_working_hours: number | null;
  }[];
  readonly units: readonly { readonly unit: string; readonly waiting: number; readonly overdue: number }[];
}

export interface RefusalReason {
  readonly reason: string;
  readonly vi: string;
  readonly en: string;
  readonly needs_note: boolean;
  readonly for: readonly ("proposal" | "appeal" | "confirmation")[];
}

export interface Delegation {
  readonly delegation: string;
  readonly from: string;
  readonly to: string;
  readonly unit: string;
  readonly includes_sensitive: boolean;
  readonly created_at: number;
  readonly expires_at: number;
  readonly revoked_at: number | null;
  readonly state: "in_force" | "expired" | "revoked";
}

/** A record that came by a file or a system and waits for the unit's word. */
export interface Confirmation {
  readonly record: string;
  readonly version: number;
  readonly unit: string;
  readonly number: string;
  readonly person_masked: string | null;
  readonly full_name: string;
  readonly is_new: boolean;
  readonly confirmed_version: number | null;
  readonly changes: readonly FieldChange[];
  readonly changed_at: number;
  readonly due_at: number;
  readonly is_overdue: boolean;
  readonly sent_by: { readonly way: string; readonly actor: string; readonly reference: string };
  readonly may_confirm: boolean;
  readonly why_not: string | null;
  readonly returned: { readonly reason: string; readonly note: string | null; readonly by: string; readonly at: number } | null;
}

export type ConfirmOutcome = "confirmed" | "already" | "moved_on" | "own" | "self" | "not_found";

export interface QueueFilter {
  readonly unit?: string | undefined;
  readonly state?: string | undefined;
  readonly overdue?: string | undefined;
  readonly assigned?: string | undefined;
}

const of = (id: string) => `proposals/${encodeURIComponent(id)}`;

export const listProposals = (filter: QueueFilter, after: string | undefined, signal: AbortSignal, limit = 50) =>
  read<Page<Proposal>>("proposals", { ...filter, after, limit }, signal);
export const readProposal = (id: string, signal: AbortSignal) => read<ProposalDetail>(of(id), {}, signal);
export const saveEvidence = (id: string, evidence: Evidence) => save(`${of(id)}/evidence/${encodeURIComponent(evidence.evidence)}`, {}, evidence.name);
/** The portrait that a proposal starts from, or asks for: JPEG. */
export const readPortrait = (id: string, which: "old" | "new", signal: AbortSignal) => readFile(`${of(id)}/portraits/${which}`, {}, signal);
/** A portrait that a record has or had, as `sha256:…` names it: JPEG. */
export const readRecordPortrait = (record: string, named: string, signal: AbortSignal) =>
  readFile(`records/${encodeURIComponent(record)}/portraits/${encodeURIComponent(named.replace("sha256:", ""))}`, {}, signal);
export const claim = (id: string) => change<{ readonly claimed_by: string; readonly claimed_until: number }>("POST", `${of(id)}/claim`, {});
export const release = (id: string) => change<undefined>("POST", `${of(id)}/release`, {});
export const approve = (id: string, how: Approval) => change<Decided>("POST", `${of(id)}/approve`, how);
export const refuse = (id: string, why: { reason: string; note?: string }) => change<Decided>("POST", `${of(id)}/refuse`, why);
export const decideAll = (items: readonly object[]) => change<BulkAnswer>("POST", "proposals/decide", { items });
export const readWorkload = (unit: string | undefined, signal: AbortSignal) => read<Workload>("proposals/workload", { unit }, signal);
export const readReasons = async (signal: AbortSignal) => (await read<{ readonly items: readonly RefusalReason[] }>("refusal-reasons", {}, signal)).items;

export const listDelegations = (after: string | undefined, signal: AbortSignal) => read<Page<Delegation>>("delegations", { after }, signal);
export const delegate = (what: { to: string; unit: string; days: number; includes_sensitive: boolean }) => change<Delegation>("POST", "delegations", what);
export const revokeDelegation = (id: string) => change<undefined>("DELETE", `delegations/${encodeURIComponent(id)}`);

export const listConfirmations = (filter: { unit?: string | undefined; state?: string | undefined }, after: string | undefined, signal: AbortSignal, limit = 50) =>
  read<Page<Confirmation>>("confirmations", { ...filter, after, limit }, signal);
export const confirmRecords = (unit: string, records: readonly { record: string; version: number }[]) =>
  change<{ readonly confirmed: number; readonly records: readonly { readonly record: string; readonly outcome: ConfirmOutcome }[] }>("POST", "records/confirm", { unit, records });
export const returnRecord = (record: string, why: { version: number; reason: string; note?: string }) =>
  change<undefined>("POST", `confirmations/${encodeURIComponent(record)}/return`, why);
