// What takes a while: to load something for a page, and to do something at a press.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { type Page, quietly } from "../api/client.ts";
import { Walk } from "../data/paging.ts";

/** What was loaded, or why not. What was there stays while the same is loaded anew. */
export interface Loaded<T> {
  readonly value: T | undefined;
  readonly error: unknown;
  readonly isLoading: boolean;
  readonly reload: () => void;
  /** The same without anybody having asked for it: keeps no session open. */
  readonly poll: () => void;
  /** Puts in a newer value that came another way, as an answer to a change. */
  readonly put: (value: T) => void;
}

/** Loads what a page shows, anew whenever `keys` change; `undefined` loads nothing. */
export function useLoad<T>(load: ((signal: AbortSignal) => Promise<T>) | undefined, keys: readonly unknown[]): Loaded<T> {
  const [turn, setTurn] = useState({ isQuiet: false });
  const [state, setState] = useState<{ value?: T | undefined; error?: unknown; isLoading: boolean }>({ isLoading: load !== undefined });
  const lastKeys = useRef<string | undefined>(undefined);
  useEffect(() => {
    if (load === undefined) return undefined;
    const stop = new AbortController();
    const name = JSON.stringify(keys);
    const isSame = lastKeys.current === name;
    // Something else is asked for by somebody.
    if (turn.isQuiet && isSame) quietly(stop.signal);
    lastKeys.current = name;
    setState((before) => ({ value: isSame ? before.value : undefined, isLoading: true }));
    load(stop.signal).then(
      (value) => !stop.signal.aborted && setState({ value, isLoading: false }),
      (error: unknown) => !stop.signal.aborted && setState({ error, isLoading: false }),
    );
    return () => stop.abort();
  }, [...keys, turn, load === undefined]);
  const reload = useCallback(() => setTurn({ isQuiet: false }), []);
  const poll = useCallback(() => setTurn({ isQuiet: true }), []);
  const put = useCallback((value: T) => setState({ value, isLoading: false }), []);
  return { value: state.value, error: state.error, isLoading: state.isLoading, reload, poll, put };
}

/** A long list, one piece at a time. */
export interface Pieces<T, P extends Page<T> = Page<T>> extends Omit<Loaded<P>, "put"> {
  readonly walk: Walk;
  readonly back: () => void;
  readonly onwards: () => void;
}

/** Loads the pieces of a list; from the start whenever `keys` change. */
export function usePieces<T, P extends Page<T> = Page<T>>(load: (after: string | undefined, signal: AbortSignal) => Promise<P>, keys: readonly unknown[]): Pieces<T, P> {
  const name = JSON.stringify(keys);
  const [at, setAt] = useState({ name, walk: Walk.start });
  const walk = at.name === name ? at.walk : Walk.start;
  const loaded = useLoad((signal) => load(walk.after, signal), [name, walk.after]);
  const next = loaded.value?.next;
  return {
    ...loaded,
    walk,
    back: () => setAt({ name, walk: walk.back() }),
    onwards: () => {
      if (next !== undefined && next !== null) setAt({ name, walk: walk.onwards(next) });
    },
  };
}

/** Something that is done at a press: whether it is under way, and how it failed. */
export interface Work {
  readonly isBusy: boolean;
  readonly error: unknown;
  readonly run: (work: () => Promise<void>) => void;
  readonly forget: () => void;
}

/** One thing at a time: a second press while the first is under way does nothing. So a button need not be disabled
 * meanwhile, which would take the focus away from it; it says `aria-disabled`. */
export function useWork(): Work {
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const busy = useRef(false);
  const run = (work: () => Promise<void>) => {
    if (busy.current) return;
    busy.current = true;
    setBusy(true);
    setError(undefined);
    work()
      .catch(setError)
      .finally(() => {
        busy.current = false;
        setBusy(false);
      });
  };
  return { isBusy, error, run, forget: () => setError(undefined) };
}

/** Does something every so often while the page is looked at and `isOn`. */
export function useEvery(milliseconds: number, isOn: boolean, what: () => void): void {
  const latest = useRef(what);
  latest.current = what;
  useEffect(() => {
    if (!isOn) return undefined;
    const timer = setInterval(() => {
      if (!document.hidden) latest.current();
    }, milliseconds);
    return () => clearInterval(timer);
  }, [milliseconds, isOn]);
}
