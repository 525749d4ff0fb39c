// Everybody whom a plan concerns, with their cards. The list is asked for by a press: looking at it is written down.
import { useState } from "preact/hooks";
import { useTexts } from "../../../lib/language.ts";
import { type PreviewLine, readPreview, type Reorganisation, type Standing } from "../../api/reorganisations.ts";
import { hashOf } from "../../data/router.ts";
import { PagedTable } from "../../parts/paged_table.tsx";
import type { Column } from "../../parts/table.tsx";
import { usePieces } from "../../parts/work.ts";
import { TEXTS } from "./texts.ts";

export function Preview({ plan }: { plan: Reorganisation }) {
  const texts = useTexts(TEXTS);
  const [isShown, setShown] = useState(false);
  return (
    <section class="panel" aria-labelledby="preview">
      <h2 id="preview">{texts.preview}</h2>
      {isShown ? (
        <Lines plan={plan} />
      ) : (
        <>
          <p class="hint">{texts.previewHint}</p>
          <div class="buttons">
            <button type="button" onClick={() => setShown(true)}>
              {texts.showPreview}
            </button>
          </div>
        </>
      )}
    </section>
  );
}

const placeOf = (standing: Standing) => [standing.managing_unit, standing.using_unit, standing.using_unit_name].filter((part) => part !== null && part !== "").join(" · ");

function Lines({ plan }: { plan: Reorganisation }) {
  const texts = useTexts(TEXTS);
  const pieces = usePieces((after, signal) => readPreview(plan.id, after, signal), [plan.id, plan.state]);
  const columns: Column<PreviewLine>[] = [
    { key: "person", head: texts.person, isHead: true, cell: (row) => <a href={hashOf(["records", row.record])}>{row.full_name}</a> },
    { key: "before", head: texts.before, cell: (row) => placeOf(row.before) },
    { key: "after", head: texts.after, cell: (row) => <ins>{placeOf(row.after)}</ins> },
    { key: "number", head: texts.number, cell: (row) => (row.before.number === row.after.number ? row.before.number : `${row.before.number} → ${row.after.number}`) },
    {
      key: "cards",
      head: texts.cards,
      cell: (row) => (
        <ul class="entries">
          {row.cards.map((card) => (
            <li key={card.card}>
              <a href={hashOf(["cards", "card", card.card])}>{card.card}</a>
              {card.is_locked && ` (${texts.locked})`}
            </li>
          ))}
        </ul>
      ),
    },
  ];
  return (
    <>
      <PagedTable caption={texts.preview} isCaptionHidden columns={columns} pieces={pieces} rowKey={(row) => row.record} />
    </>
  );
}
