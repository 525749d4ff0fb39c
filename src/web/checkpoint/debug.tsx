// What developers and benchmarks look at: shown at `#debug`, and nothing of a card in it.
import { useCell } from "../lib/cell.ts";
import { timings } from "./timing.ts";

/** The one in the middle. */
function median(values: number[]): number | undefined {
  return values.sort((one, other) => one - other)[Math.floor(values.length / 2)];
}

const shown = (milliseconds: number | undefined) => `${milliseconds?.toFixed(1) ?? "–"} ms`;

export function Debug() {
  const list = useCell(timings);
  return (
    <aside class="debug" aria-label="debug">
      verifier: last {shown(list[0]?.verifier)}, median {shown(median(list.map((timing) => timing.verifier)))} · code → verdict: last{" "}
      {shown(list[0]?.whole)}, median {shown(median(list.map((timing) => timing.whole)))} of {list.length}
    </aside>
  );
}
