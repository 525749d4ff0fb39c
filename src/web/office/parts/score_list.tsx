// The four words of a unit with their scores, and the change against last month.
import { useCell } from "../../lib/cell.ts";
import { language, useTexts } from "../../lib/language.ts";
import { type OfDay, type Scores, WORDS } from "../api/quality.ts";
import { percent, points } from "../data/scores.ts";
import { TEXTS } from "../pages/quality/texts.ts";

export function ScoreList({ scores, before }: { scores: Scores; before: OfDay | null }) {
  const texts = useTexts(TEXTS);
  const tongue = useCell(language);
  return (
    <ul class="counts scores">
      {[...WORDS, "all" as const].map((word) => {
        const change = points(scores[word], before?.scores[word], tongue);
        return (
          <li key={word}>
            <div>
              <span>{texts.words[word]}</span>
              <strong>{percent(scores[word], tongue)}</strong>
              <span class="hint">{texts.of(scores[word].holds, scores[word].of)}</span>
              {change !== undefined && <span class="hint">{texts.change(change)}</span>}
              <span class="hint">{texts.meaning[word]}</span>
            </div>
          </li>
        );
      })}
    </ul>
  );
}
