// What is said to screen readers when something has happened that the eye would see.
import { Cell, useCell } from "../../lib/cell.ts";

const said = new Cell("");

/** Says it once what is being read has ended. */
export function say(sentence: string): void {
  // The same sentence twice is said twice: the second differs by what nobody hears.
  said.set(said.value === sentence ? `${sentence}\u00a0` : sentence);
}

/** Stands once in the page, and stays there. */
export function Voice() {
  return (
    <div class="visually-hidden" role="status" aria-live="polite" aria-atomic="true">
      {useCell(said)}
    </div>
  );
}
