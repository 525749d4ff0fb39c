// Scores as people read them.
import type { OfDay, Score, Word } from "../api/quality.ts";
import type { Language } from "../../lib/language.ts";

/** A share with one place, as the language writes it; a dash of nothing. */
export function percent(score: Score, language: Language): string {
  return score.percent === null ? "–" : `${decimal(score.percent, language)}%`;
}

function decimal(value: number, language: Language): string {
  const text = value.toFixed(1);
  return language === "vi" ? text.replace(".", ",") : text;
}

/** The difference of two shares in points, with its sign; `undefined` where there is none to tell. */
export function points(now: Score, before: Score | undefined, language: Language): string | undefined {
  if (now.percent === null || before === undefined || before.percent === null) return undefined;
  const difference = Math.round((now.percent - before.percent) * 10) / 10;
  const sign = difference > 0 ? "+" : difference < 0 ? "−" : "±";
  return sign + decimal(Math.abs(difference), language);
}

/** The points of a line over days, in a box of this size: 0 % at the bottom, the whole width for the days from first to last. */
export function line(days: readonly OfDay[], word: Word, box: { left: number; top: number; width: number; height: number }): string {
  const at = (day: string) => Date.parse(day);
  const first = at(days[0]?.day ?? "");
  const span = at(days.at(-1)?.day ?? "") - first;
  return days
    .flatMap((one) => {
      const share = one.scores[word].percent;
      if (share === null) return [];
      const x = box.left + (span === 0 ? 0 : ((at(one.day) - first) / span) * box.width);
      return [`${x.toFixed(1)},${(box.top + (1 - share / 100) * box.height).toFixed(1)}`];
    })
    .join(" ");
}
