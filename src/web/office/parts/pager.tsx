// Forth and back in a long list. Its buttons are never taken out of reach while they may have the focus.
import { useRef } from "preact/hooks";
import { useTexts } from "../../lib/language.ts";
import { TEXTS } from "../texts.ts";
import type { Pieces } from "./work.ts";

export function Pager<T>({ pieces }: { pieces: Pieces<T> }) {
  const texts = useTexts(TEXTS);
  const { walk, value, isLoading } = pieces;
  const hasMore = value !== undefined && value.next !== null && value.next !== undefined;
  const wasLong = useRef(false);
  wasLong.current ||= hasMore;
  // While the first piece comes back the way on stays: it may have the focus.
  if (walk.isFirst && !hasMore && !(isLoading && wasLong.current)) return null;
  return (
    <nav class="pager" aria-label={texts.paging}>
      <button type="button" aria-disabled={walk.isFirst || isLoading} onClick={pieces.back}>
        {texts.previous}
      </button>
      <span role="status">{isLoading ? texts.loading : texts.page(walk.number)}</span>
      <button type="button" aria-disabled={!hasMore || isLoading} onClick={pieces.onwards}>
        {texts.next}
      </button>
    </nav>
  );
}
