// A value that screens watch.
import { useEffect, useState } from "preact/hooks";

/** One value and who wants to know when it changes. */
export class Cell<T> {
  #value: T;
  readonly #watchers = new Set<() => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const watcher of [...this.#watchers]) watcher();
  }

  /** Calls `watcher` after every change, until the function that it gives is called. */
  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }
}

/** The value of a cell, in a component that is drawn again when it changes. */
export function useCell<T>(cell: Cell<T>): T {
  const [, redraw] = useState({});
  const drawn = cell.value;
  useEffect(() => {
    // What changed between drawing and watching would never be seen.
    if (!Object.is(cell.value, drawn)) redraw({});
    return cell.watch(() => redraw({}));
  }, [cell]);
  return drawn;
}
