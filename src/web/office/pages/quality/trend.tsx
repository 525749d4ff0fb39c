// The four scores over the last days: a line each, told apart by its dashes as well as its colour, and the same as a table.
import { useCell } from "../../../lib/cell.ts";
import { language, useTexts } from "../../../lib/language.ts";
import { type OfDay, readHistory, WORDS } from "../../api/quality.ts";
import { isoDay, now, partialDate } from "../../data/dates.ts";
import { line, percent } from "../../data/scores.ts";
import { ProblemNote } from "../../parts/problem.tsx";
import { type Column, Table } from "../../parts/table.tsx";
import { useLoad } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { TEXTS } from "./texts.ts";

const DAYS = 30;
const BOX = { left: 40, top: 10, width: 640, height: 160 };

export function Trend({ unit }: { unit: string | undefined }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const tongue = useCell(language);
  const loaded = useLoad((signal) => readHistory(unit, isoDay(now(), -DAYS), signal), [unit ?? ""]);
  const days = loaded.value ?? [];
  const columns: Column<OfDay>[] = [
    { key: "day", head: texts.day, isHead: true, cell: (row) => partialDate(row.day) },
    { key: "records", head: texts.records, isNumber: true, cell: (row) => row.records },
    ...WORDS.map((word): Column<OfDay> => ({ key: word, head: texts.words[word], isNumber: true, cell: (row) => percent(row.scores[word], tongue) })),
  ];
  return (
    <section class="panel" aria-labelledby="trend">
      <h2 id="trend">{texts.trend}</h2>
      <ProblemNote error={loaded.error} retry={loaded.reload} />
      {loaded.isLoading && <p class="loading">{common.loading}</p>}
      {loaded.value !== undefined && days.length < 2 && <p>{texts.trendNone}</p>}
      {days.length >= 2 && (
        <>
          <Chart days={days} label={texts.trend} />
          <ul class="legend" aria-hidden="true">
            {WORDS.map((word) => (
              <li key={word}>
                <svg class="chart" viewBox="0 0 32 10">
                  <polyline class={word} points="0,5 32,5" />
                </svg>{" "}
                {texts.words[word]}
              </li>
            ))}
          </ul>
          <details>
            <summary>{texts.trendTable}</summary>
            <Table caption={texts.trend} columns={columns} rows={[...days].reverse()} rowKey={(row) => row.day} />
          </details>
        </>
      )}
    </section>
  );
}

function Chart({ days, label }: { days: readonly OfDay[]; label: string }) {
  const texts = useTexts(TEXTS);
  const tongue = useCell(language);
  const last = days.at(-1);
  const told = last === undefined ? "" : WORDS.map((word) => `${texts.words[word]} ${percent(last.scores[word], tongue)}`).join(", ");
  const bottom = BOX.top + BOX.height;
  return (
    <svg class="chart" viewBox={`0 0 ${BOX.left + BOX.width + 40} ${bottom + 24}`} role="img" aria-label={`${label}. ${told}`}>
      {[0, 25, 50, 75, 100].map((share) => {
        const y = BOX.top + (1 - share / 100) * BOX.height;
        return (
          <g key={share}>
            <line class="axis" x1={BOX.left} x2={BOX.left + BOX.width} y1={y} y2={y} />
            <text x={BOX.left - 6} y={y + 4} text-anchor="end">
              {share}%
            </text>
          </g>
        );
      })}
      {WORDS.map((word) => (
        <polyline key={word} class={word} points={line(days, word, BOX)} />
      ))}
      <text x={BOX.left} y={bottom + 18}>
        {partialDate(days[0]?.day ?? "")}
      </text>
      <text x={BOX.left + BOX.width} y={bottom + 18} text-anchor="end">
        {partialDate(last?.day ?? "")}
      </text>
    </svg>
  );
}
