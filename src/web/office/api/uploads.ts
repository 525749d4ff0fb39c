// Filled-in forms on their way into the records.
import type { Json } from "../../lib/json.ts";
import { address, change, type Page, read, save, sendFile } from "./client.ts";

export type UploadState = "receiving" | "checking" | "checked" | "submitting" | "done" | "failed" | "cancelled";

export interface Upload {
  readonly id: string;
  readonly unit: string;
  readonly name: string | null;
  readonly format: "xlsx" | "csv" | null;
  readonly bytes: number;
  readonly state: UploadState;
  readonly uploaded_by: string;
  readonly created_at: number;
  readonly expires_at: number;
  readonly progress: {
    readonly rows: number;
    readonly rows_total: number | null;
    readonly rate_per_second: number | null;
    readonly remaining_seconds: number | null;
  };
  readonly counts: {
    readonly new: number;
    readonly changed: number;
    readonly unchanged: number;
    readonly faults: number;
    readonly changed_fields: number;
    readonly conflicts: number;
    readonly written: number;
    readonly waiting: number;
  };
  /** Why the file as a whole cannot be read. */
  readonly fault: { readonly code: string; readonly message_vi: string; readonly message_en: string } | null;
  readonly effective_on: string | null;
  readonly submitted_at: number | null;
  readonly submitted_by: string | null;
  readonly finished_at: number | null;
}

export const ROW_FILTERS = ["all", "faults", "new", "changed", "unchanged", "conflicts"] as const;
export type RowFilter = (typeof ROW_FILTERS)[number];
export type RowOutcome = "new" | "changed" | "unchanged" | "faults" | "written" | "waiting" | "moved_on";

export interface RowFault {
  readonly field: string;
  readonly label_vi: string;
  readonly label_en: string;
  readonly column: string | null;
  readonly cell: string | null;
  readonly value: string | null;
  readonly rule: string;
  readonly message_vi: string;
  readonly message_en: string;
}

export interface UploadRow {
  /** The row of the spreadsheet, the line of the CSV file. */
  readonly line: number;
  readonly outcome: RowOutcome;
  readonly key: { readonly unit: string; readonly number: string } | null;
  readonly person: string | null;
  readonly changed_fields: number;
  readonly fields: readonly { readonly field: string; readonly label_vi: string; readonly label_en: string; readonly old: Json; readonly new: Json }[];
  /** What waits for the record already, and whether the row takes its place. */
  readonly waiting: readonly { readonly on: string; readonly way: string; readonly fields: readonly string[]; readonly ends: boolean }[];
  readonly faults: readonly RowFault[];
}

const XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

export const saveForm = (unit: string, groups: readonly string[]) =>
  save("forms/personnel.xlsx", { unit, groups: groups.join(",") }, "personnel.xlsx");

export function sendUpload(unit: string, file: File, told: (part: number) => void): Promise<Upload> {
  const type = /\.csv$/i.test(file.name) ? "text/csv" : /\.xlsx$/i.test(file.name) ? XLSX : "application/octet-stream";
  // Not in the address: people's names stand in names of files, and addresses in logs.
  const name = `attachment; filename*=UTF-8''${encodeURIComponent([...file.name].slice(-120).join(""))}`;
  return sendFile<Upload>("uploads", { unit }, file, { "content-type": type, "content-disposition": name }, told);
}

export const listUploads = (filter: { unit?: string | undefined; state?: UploadState | undefined }, after: string | undefined, signal: AbortSignal, limit = 20) =>
  read<Page<Upload>>("uploads", { ...filter, after, limit }, signal);
export const readUpload = (id: string, signal: AbortSignal) => read<Upload>(`uploads/${encodeURIComponent(id)}`, {}, signal);
export const readRows = (id: string, filter: RowFilter, after: string | undefined, signal: AbortSignal) =>
  read<Page<UploadRow>>(`uploads/${encodeURIComponent(id)}/rows`, { filter, after, limit: 50 }, signal);
export const submitUpload = (id: string, how: { effective_on?: string; only_good_rows?: boolean }) =>
  change<Upload>("POST", `uploads/${encodeURIComponent(id)}/submit`, how);
export const cancelUpload = (id: string) => change<undefined>("DELETE", `uploads/${encodeURIComponent(id)}`);
export const saveRejects = (id: string, format: "xlsx" | "csv") => save(`uploads/${encodeURIComponent(id)}/rejects.${format}`, {}, `rejects.${format}`);

/** Follows an upload until it rests; gives how to stop. `lost` is told when the line breaks for good. */
export function followUpload(id: string, told: (upload: Upload) => void, lost: () => void): () => void {
  const source = new EventSource(address(`uploads/${encodeURIComponent(id)}/events`));
  source.addEventListener("upload", (event: MessageEvent<string>) => {
    const upload = JSON.parse(event.data) as Upload;
    told(upload);
    if (!isUnderWay(upload.state)) source.close();
  });
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) lost();
  });
  return () => source.close();
}

/** Whether the server is at work on it. */
export function isUnderWay(state: UploadState): boolean {
  return state === "receiving" || state === "checking" || state === "submitting";
}
