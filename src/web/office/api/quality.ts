// The four words, what stands against them, and the monthly approval.
import { change, type Page, read, readFile, save } from "./client.ts";

export const WORDS = ["correct", "sufficient", "clean", "live"] as const;
export type Word = (typeof WORDS)[number];

export interface Score {
  readonly holds: number;
  readonly of: number;
  /** Rounded down to a tenth; `null` of nothing. */
  readonly percent: number | null;
}

export type Scores = Readonly<Record<Word | "all", Score>>;

export interface OfDay {
  readonly day: string;
  readonly records: number;
  readonly scores: Scores;
}

export interface UnitQuality {
  readonly unit: string;
  readonly name: string | null;
  readonly records: number;
  readonly scores: Scores;
}

export interface Quality {
  readonly unit: string | null;
  readonly name: string | null;
  readonly at: number;
  /** Records that still wait to be computed. */
  readonly pending: number;
  readonly records: number;
  readonly scores: Scores;
  readonly previous_day: OfDay | null;
  readonly previous_month: OfDay | null;
  readonly approval: { readonly month: string; readonly id: string; readonly approved_at: number; readonly approver: string; readonly changed_since: number | null } | null;
  readonly children: Page<UnitQuality>;
}

export interface Cause {
  readonly flag: string;
  readonly word: Word;
  readonly count: number;
  readonly of: number;
  readonly percent: number | null;
  readonly sentence_vi: string;
  readonly sentence_en: string;
}

export interface QualityRow {
  readonly record: string;
  readonly unit: string;
  readonly number: string;
  readonly full_name?: string;
  readonly flags: readonly string[];
  readonly changed_at: number;
}

export interface Approval {
  readonly id: string;
  readonly unit: string;
  readonly month: string;
  readonly approved_at: number;
  readonly approver: string;
  readonly certificate_sha256: string;
  readonly subject: string;
  readonly records: number;
  readonly root: string;
  readonly document_sha256: string;
  readonly previous: string | null;
  readonly reason: string | null;
}

export const readQuality = (unit: string | undefined, after: string | undefined, signal: AbortSignal) => read<Quality>("quality", { unit, after, limit: 50 }, signal);
export const readHistory = async (unit: string | undefined, from: string, signal: AbortSignal) =>
  (await read<{ readonly items: readonly OfDay[] }>("quality/history", { unit, from }, signal)).items;
export const readCauses = async (unit: string | undefined, signal: AbortSignal, limit = 10) =>
  (await read<{ readonly items: readonly Cause[] }>("quality/causes", { unit, limit }, signal)).items;
export const listRows = (unit: string | undefined, flag: string | undefined, after: string | undefined, signal: AbortSignal) =>
  read<Page<QualityRow>>("quality/rows", { unit, flag, after, limit: 100 }, signal);
export const saveRows = (unit: string | undefined, flag: string | undefined, format: "xlsx" | "csv") => save(`quality/export.${format}`, { unit, flag }, `quality.${format}`);
export const saveReport = (unit: string | undefined, month: string, format: "xlsx" | "json") => save(`reports/${month}.${format}`, { unit }, `${month}.${format}`);

export interface ApprovalPage extends Page<Approval> {
  /** For how many days after its end a month may still be approved, with a reason. */
  readonly late_days: number;
}

export const listApprovals = (unit: string | undefined, after: string | undefined, signal: AbortSignal) => read<ApprovalPage>("approvals", { unit, after, limit: 24 }, signal);
export const saveApproval = (id: string, month: string) => save(`approvals/${encodeURIComponent(id)}/file`, {}, `approval-${month}.json`);
export const approve = (what: { document: string; signature: string; reason?: string }) => change<Approval>("POST", "approvals", what);

/** A certificate with which an officer may approve. */
export interface ApproverCertificate {
  readonly id: string;
  readonly officer: string;
  readonly sha256: string;
  readonly subject: string;
  readonly match: "certificate" | "subject";
  readonly not_after: number;
  readonly added_at: number;
  readonly added_by: string;
}

export const listCertificates = async (signal: AbortSignal) => (await read<{ readonly items: readonly ApproverCertificate[] }>("approver-certificates", {}, signal)).items;
export const addCertificate = (what: { officer: string; certificate: string; match: "certificate" | "subject" }) => change<ApproverCertificate>("POST", "approver-certificates", what);
export const removeCertificate = (id: string) => change<undefined>("DELETE", `approver-certificates/${encodeURIComponent(id)}`);

/** The exact bytes to sign. Not read as JSON: another space would be another document. */
export const readDocument = (unit: string, month: string) => readFile(`approvals/${month}/document`, { unit });
