// Signs that differ by shape, never by colour alone. They say nothing to a screen reader: the word beside them does.
import type { ComponentChildren } from "preact";

/** How something stands. */
export type Tone = "good" | "attention" | "bad" | "waiting" | "plain";

const PATHS: Record<Tone, string> = {
  good: "M4 12.5l5.5 5.5L20 6.5",
  attention: "M12 3L22 20.5H2zM12 9.5v5M12 17.4v.2",
  bad: "M5 5l14 14M19 5L5 19",
  waiting: "M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18M12 7v5l3.5 2",
  plain: "M12 8a4 4 0 1 0 0 8a4 4 0 1 0 0-8",
};

export function Sign({ name }: { name: Tone }) {
  return (
    <svg class={`sign ${name}`} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}

/** A state: sign and word. */
export function State({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return (
    <span class={`state ${tone}`}>
      <Sign name={tone} />
      <span>{children}</span>
    </span>
  );
}
