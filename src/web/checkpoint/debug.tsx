// What developers and benchmarks look at: shown at `#debug`, and nothing of a card in it.
import { useCell } from "../lib/cell.ts";
import { timings } from "./timing.ts";

export function Debug() {
  const list = useCell(timings);
  const sorted = [...list].sort((one, other) => one - other);
  const median = sorted[Math.floor(sorted.length / 2)];
  return (
    <aside class="debug" aria-label="debug">
      code → verdict: last {list[0]?.toFixed(1) ?? "–"} ms, median {median?.toFixed(1) ?? "–"} ms of {list.length}
    </aside>
  );
}
