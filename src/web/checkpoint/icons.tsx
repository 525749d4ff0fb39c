// Signs that differ by shape, never by colour alone. They say nothing to a screen reader: the word beside them does.
import type { LampState, Outcome } from "../lib/core.ts";

const OUTCOMES: Record<Outcome, string> = {
  "valid-live": "M4 12.5l5.5 5.5L20 6.5",
  "valid-copy": "M5 4h14v16H5zM9 9.5a3 3 0 1 0 6 0a3 3 0 1 0-6 0M8 17c1-3 7-3 8 0",
  "check-further": "M12 3L22 20.5H2zM12 9.5v5M12 17.4v.2",
  "not-valid": "M5 5l14 14M19 5L5 19",
  "other-code": "M12 2.5a9.5 9.5 0 1 0 0 19a9.5 9.5 0 0 0 0-19M9 9.5c0-4 6-4 6 0c0 2.2-3 2.2-3 4.5M12 17.4v.2",
};

const LAMPS: Record<LampState, string> = {
  good: OUTCOMES["valid-live"],
  attention: OUTCOMES["check-further"],
  stop: OUTCOMES["not-valid"],
};

function Sign({ path, width }: { path: string; width: number }) {
  return (
    <svg class="sign" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={path} fill="none" stroke="currentColor" stroke-width={width} stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}

export function OutcomeSign({ outcome }: { outcome: Outcome }) {
  return <Sign path={OUTCOMES[outcome]} width={2.6} />;
}

export function LampSign({ state }: { state: LampState }) {
  return <Sign path={LAMPS[state]} width={2.8} />;
}
