// What became of many at once: which could not be done, and why.
import { useCell } from "../../../lib/cell.ts";
import { language, useTexts } from "../../../lib/language.ts";
import { Problem } from "../../api/client.ts";
import type { BulkAnswer, Proposal } from "../../api/reviews.ts";
import { describe } from "../../data/problems.ts";
import { hashOf } from "../../data/router.ts";
import { Sign } from "../../parts/signs.tsx";
import { TEXTS } from "./texts.ts";

export function BulkProblems({ answer, names }: { answer: BulkAnswer; names: readonly Proposal[] }) {
  const texts = useTexts(TEXTS);
  const tongue = useCell(language);
  const failed = answer.items.flatMap(({ proposal, problem }) => (problem === undefined ? [] : [{ proposal, problem }]));
  return (
    <div class={failed.length === 0 ? "notice good" : "notice attention"}>
      <Sign name={failed.length === 0 ? "good" : "attention"} />
      <div>
        <p>{texts.bulkDone(answer.done, answer.problems)}</p>
        {failed.length > 0 && (
          <ul class="bullets" aria-label={texts.bulkProblems}>
            {failed.map(({ proposal, problem }) => (
              <li key={proposal}>
                <a href={hashOf(["reviews", "proposal", proposal])}>{names.find((row) => row.proposal === proposal)?.full_name ?? proposal}</a>:{" "}
                {describe(new Problem(problem.status, problem.type.split(":").at(-1) ?? "", problem.detail), tongue).sentence}
              </li>
            ))}
          </ul>
        )}
      </div>
    </div>
  );
}
