// What the person at this device likes: language, colours, lens. Nothing about anybody else, and nothing that decides.
import { Cell } from "./cell.ts";

const PREFIX = "officials-card.";

/** A preference that outlives the visit, where the browser allows it. */
export function preference<T extends string>(name: string, otherwise: T, allowed?: readonly T[]): Cell<T> {
  const key = PREFIX + name;
  let kept: string | null = null;
  try {
    kept = localStorage.getItem(key);
  } catch {
    // No storage: it lives as long as the page.
  }
  const known = kept !== null && (allowed === undefined || allowed.includes(kept as T));
  const cell = new Cell<T>(known ? (kept as T) : otherwise);
  cell.watch(() => {
    try {
      localStorage.setItem(key, cell.value);
    } catch {
      // As above.
    }
  });
  return cell;
}
