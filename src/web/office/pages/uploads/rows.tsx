// The rows of a file with their faults and changes beside them.
import { useState } from "preact/hooks";
import { useCell } from "../../../lib/cell.ts";
import type { Json } from "../../../lib/json.ts";
import { language, useTexts } from "../../../lib/language.ts";
import { readRows, ROW_FILTERS, type RowFault, type RowFilter, type RowOutcome, type Upload, type UploadRow } from "../../api/uploads.ts";
import { partialDate } from "../../data/dates.ts";
import { labelOf, valueText } from "../../data/fields.ts";
import { Choice, Filters } from "../../parts/form.tsx";
import { PagedTable } from "../../parts/paged_table.tsx";
import { State, type Tone } from "../../parts/signs.tsx";
import type { Column } from "../../parts/table.tsx";
import { usePieces } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { TEXTS } from "./texts.ts";

const TONES: Record<RowOutcome, Tone> = { new: "good", changed: "good", unchanged: "plain", faults: "bad", written: "good", waiting: "waiting", moved_on: "attention" };

export function Rows({ upload }: { upload: Upload }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const [filter, setFilter] = useState<RowFilter>(upload.counts.faults > 0 ? "faults" : "all");
  const pieces = usePieces((after, signal) => readRows(upload.id, filter, after, signal), [upload.id, upload.state, filter]);
  const columns: Column<UploadRow>[] = [
    { key: "line", head: texts.line, isHead: true, isNumber: true, cell: (row) => row.line },
    { key: "number", head: texts.number, cell: (row) => row.key?.number ?? "" },
    { key: "person", head: texts.person, cell: (row) => row.person ?? "" },
    { key: "unit", head: common.unit, cell: (row) => row.key?.unit ?? "" },
    { key: "outcome", head: texts.result, cell: (row) => <State tone={TONES[row.outcome]}>{texts.outcomes[row.outcome]}</State> },
    { key: "what", head: texts.what, cell: (row) => <What row={row} /> },
  ];
  return (
    <section class="panel" aria-labelledby="rows">
      <h2 id="rows">{texts.rowsTitle}</h2>
      <Filters label={common.filter}>
        <Choice
          label={texts.result}
          value={filter === "all" ? "" : filter}
          otherwise={texts.filters.all}
          options={ROW_FILTERS.filter((known) => known !== "all").map((known) => [known, texts.filters[known]] as const)}
          set={(value) => setFilter(ROW_FILTERS.find((known) => known === value) ?? "all")}
        />
      </Filters>
      <PagedTable
        caption={`${texts.rowsTitle}: ${texts.filters[filter]}`}
        columns={columns}
        pieces={pieces}
        rowKey={(row) => String(row.line)}
      />
    </section>
  );
}

function What({ row }: { row: UploadRow }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const tongue = useCell(language);
  const of = (field: string, value: Json) => valueText(field, value, tongue) || common.nothing;
  return (
    <ul class="entries">
      {row.faults.map((fault, at) => (
        <Fault key={at} fault={fault} />
      ))}
      {row.fields.map((change) => (
        <li key={change.field}>
          <strong>{labelOf(change.field, tongue)}</strong>: {texts.becomes(of(change.field, change.old), of(change.field, change.new))}
        </li>
      ))}
      {row.waiting.map((waiting, at) => (
        <li key={at}>{texts.waits(partialDate(waiting.on), waiting.fields.map((field) => labelOf(field, tongue)).join(", "), waiting.ends)}</li>
      ))}
    </ul>
  );
}

function Fault({ fault }: { fault: RowFault }) {
  const texts = useTexts(TEXTS);
  const tongue = useCell(language);
  const label = fault.field === "" ? "" : labelOf(fault.field, tongue);
  return (
    <li>
      <strong>
        {fault.cell === null ? texts.wholeRow : texts.cell(fault.cell)}
        {label !== "" && `, ${label}`}
      </strong>
      : {tongue === "vi" ? fault.message_vi : fault.message_en} {fault.cell !== null && <span class="hint">({fault.value === null ? texts.missing : texts.wrote(fault.value)})</span>}
    </li>
  );
}
