// Old and new side by side: which entries of a list went, stayed and came.
import type { Json } from "../../lib/json.ts";
import { isObject } from "../../lib/json.ts";

/** Whether an entry was taken away, is as it was, or is new. */
export type Mark = "removed" | "kept" | "added";

/** What changes in one field. */
export interface Difference {
  readonly old: Json | undefined;
  readonly new: Json | undefined;
  /** What the values stand for, where they are codes that the server knows. */
  readonly oldLabel?: string | undefined;
  readonly newLabel?: string | undefined;
}

/** What changes, by field or list. */
export type Patch = Readonly<Record<string, Difference>>;

/** One text for equal values, whatever the order of their members. */
export function canonical(value: Json | undefined): string {
  if (value === undefined || value === null) return "";
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const members = Object.keys(value).filter((name) => value[name] !== null).sort();
  return `{${members.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(",")}}`;
}

/** The entries of both lists in the order of the longest common one: equal entries are found once for each time they stand there. */
export function entries(old: readonly Json[], new_: readonly Json[]): { mark: Mark; entry: Json }[] {
  const [before, after] = [old.map(canonical), new_.map(canonical)];
  // lengths[i][j]: how many entries the ends from i and j have in common.
  const lengths: number[][] = Array.from({ length: before.length + 1 }, () => new Array<number>(after.length + 1).fill(0));
  const length = (i: number, j: number) => lengths[i]?.[j] ?? 0;
  for (let i = before.length - 1; i >= 0; i -= 1) {
    for (let j = after.length - 1; j >= 0; j -= 1) {
      const row = lengths[i];
      if (row !== undefined) row[j] = before[i] === after[j] ? length(i + 1, j + 1) + 1 : Math.max(length(i + 1, j), length(i, j + 1));
    }
  }
  const found: { mark: Mark; entry: Json }[] = [];
  let [i, j] = [0, 0];
  while (i < before.length || j < after.length) {
    if (i < before.length && j < after.length && before[i] === after[j]) {
      found.push({ mark: "kept", entry: new_[j] ?? null });
      [i, j] = [i + 1, j + 1];
    } else if (j >= after.length || (i < before.length && length(i + 1, j) >= length(i, j + 1))) {
      found.push({ mark: "removed", entry: old[i] ?? null });
      i += 1;
    } else {
      found.push({ mark: "added", entry: new_[j] ?? null });
      j += 1;
    }
  }
  return found;
}
