// How long a verdict takes: the verifier's part, and from the moment that a code was read to the frame that shows it.
// Nothing of the card is in it.
import { Cell } from "../lib/cell.ts";

/** Milliseconds of one check. */
export interface Timing {
  verifier: number;
  /** From the code to the frame. */
  whole: number;
}

/** The last checks, the newest first. */
export const timings = new Cell<readonly Timing[]>([]);
const MOST = 50;
const NAME = "verdict";

let running: { start: number; verifier: number } | undefined;

/** Measures a verification. */
export function timed<T>(verify: () => T): T {
  const start = performance.now();
  const answer = verify();
  running = { start, verifier: performance.now() - start };
  return answer;
}

/** Its verdict is drawn with the next frame. */
export function verdictShown(): void {
  requestAnimationFrame(() => {
    if (running === undefined) return;
    const { start, verifier } = running;
    running = undefined;
    performance.clearMeasures(NAME);
    const { duration } = performance.measure(NAME, { start });
    timings.set([{ verifier, whole: duration }, ...timings.value].slice(0, MOST));
  });
}
