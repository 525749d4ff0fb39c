// How long a verdict takes, measured from the moment that a code was read to the frame that shows it.
import { Cell } from "../lib/cell.ts";

const READ = "code-read";
export const VERDICT = "verdict";

/** Milliseconds of the last checks, the newest first. */
export const timings = new Cell<readonly number[]>([]);
const MOST = 50;

/** A code was read. */
export function codeRead(): void {
  performance.clearMarks(READ);
  performance.mark(READ);
}

/** Its verdict is drawn with the next frame. */
export function verdictShown(): void {
  requestAnimationFrame(() => {
    if (performance.getEntriesByName(READ).length === 0) return;
    const { duration } = performance.measure(VERDICT, READ);
    performance.clearMarks(READ);
    timings.set([duration, ...timings.value].slice(0, MOST));
  });
}
