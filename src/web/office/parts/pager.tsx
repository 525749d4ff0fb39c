// Forth and back in a long list.
import { useTexts } from "../../lib/language.ts";
import { TEXTS } from "../texts.ts";
import type { Pieces } from "./work.ts";

export function Pager<T>({ pieces }: { pieces: Pieces<T> }) {
  const texts = useTexts(TEXTS);
  const { walk, value, isLoading } = pieces;
  const hasMore = value !== undefined && value.next !== null && value.next !== undefined;
  if (walk.isFirst && !hasMore) return null;
  return (
    <nav class="pager" aria-label={texts.paging}>
      <button type="button" disabled={walk.isFirst || isLoading} onClick={pieces.back}>
        {texts.previous}
      </button>
      <span role="status">{isLoading ? texts.loading : texts.page(walk.number)}</span>
      <button type="button" disabled={!hasMore || isLoading} onClick={pieces.onwards}>
        {texts.next}
      </button>
    </nav>
  );
}
