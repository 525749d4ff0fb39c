// What stands most against the four words, each with the way to its records.
import { useCell } from "../../../lib/cell.ts";
import { language, useTexts } from "../../../lib/language.ts";
import { type Cause, readCauses } from "../../api/quality.ts";
import { withLabels } from "../../data/fields.ts";
import { hashOf } from "../../data/router.ts";
import { percent } from "../../data/scores.ts";
import { ProblemNote } from "../../parts/problem.tsx";
import { type Column, Table } from "../../parts/table.tsx";
import { useLoad } from "../../parts/work.ts";
import { TEXTS } from "./texts.ts";

export function Causes({ unit }: { unit: string | undefined }) {
  const texts = useTexts(TEXTS);
  const tongue = useCell(language);
  const loaded = useLoad((signal) => readCauses(unit, signal), [unit ?? ""]);
  const columns: Column<Cause>[] = [
    { key: "cause", head: texts.cause, isHead: true, cell: (row) => (withLabels(tongue === "vi" ? row.sentence_vi : row.sentence_en, tongue)) },
    { key: "word", head: texts.word, cell: (row) => texts.words[row.word] },
    { key: "count", head: texts.count, isNumber: true, cell: (row) => row.count },
    { key: "share", head: texts.share, isNumber: true, cell: (row) => percent({ holds: row.count, of: row.of, percent: row.percent }, tongue) },
    {
      key: "rows",
      head: texts.showRows,
      cell: (row) => (
        <a href={hashOf(["quality", "rows"], { unit, flag: row.flag })} aria-label={`${texts.showRows}: ${withLabels(tongue === "vi" ? row.sentence_vi : row.sentence_en, tongue)}`}>
          {texts.showRows}
        </a>
      ),
    },
  ];
  return (
    <section class="panel" aria-label={texts.causes}>
      <Table caption={texts.causes} columns={columns} rows={loaded.value ?? []} rowKey={(row) => row.flag} isBusy={loaded.isLoading} />
      <ProblemNote error={loaded.error} retry={loaded.reload} />
    </section>
  );
}
