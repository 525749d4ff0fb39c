// The records of a unit and of all below it.
import { useState } from "preact/hooks";
import { useCell } from "../../../lib/cell.ts";
import { language, useTexts } from "../../../lib/language.ts";
import { listRecords, RECORD_FILTERS, type RecordLine, searchRecords } from "../../api/records.ts";
import { day } from "../../data/dates.ts";
import { valueText } from "../../data/fields.ts";
import { filter, hashOf, place } from "../../data/router.ts";
import { useSession } from "../../data/session.ts";
import { Choice, Filters } from "../../parts/form.tsx";
import { PageHeading } from "../../parts/heading.tsx";
import { PagedTable } from "../../parts/paged_table.tsx";
import { Search } from "../../parts/search.tsx";
import { State } from "../../parts/signs.tsx";
import { type Column, Table } from "../../parts/table.tsx";
import { UnitFilter } from "../../parts/unit_filter.tsx";
import { usePieces } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { MatchState } from "./match_state.tsx";
import { TEXTS } from "./texts.ts";

export function RecordList() {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const tongue = useCell(language);
  const session = useSession();
  const { query } = useCell(place);
  const unit = query.get("unit") ?? session.unit?.code ?? "";
  const kind = RECORD_FILTERS.find((known) => known === query.get("filter")) ?? "all";
  const [found, setFound] = useState<readonly RecordLine[]>();
  const set = (change: { unit?: string; filter?: string }) => filter({ unit, filter: kind, ...change });
  const pieces = usePieces(
    (after, signal) => (unit === "" ? Promise.resolve({ items: [], next: null }) : listRecords({ unit, filter: kind }, after, signal)),
    [unit, kind],
  );
  const columns: Column<RecordLine>[] = [
    { key: "name", head: texts.person, isHead: true, cell: (row) => <a href={hashOf(["records", row.handle])}>{row.full_name}</a> },
    { key: "personal", head: texts.personal, cell: (row) => <span class="nowrap">{row.masked_personal_number ?? ""}</span> },
    { key: "number", head: texts.number, cell: (row) => row.number },
    { key: "unit", head: common.unit, cell: (row) => row.unit },
    { key: "status", head: texts.status, cell: (row) => valueText("employment_status", row.employment_status, tongue) },
    { key: "population", head: texts.population, cell: (row) => <MatchState match={row.population} /> },
    {
      key: "confirmed",
      head: texts.confirmed,
      cell: (row) => (row.confirmed_at === null ? <State tone="attention">{texts.notConfirmed}</State> : <State tone="good">{day(row.confirmed_at)}</State>),
    },
    { key: "changed", head: texts.changed, cell: (row) => day(row.changed_at) },
    { key: "version", head: texts.version, isNumber: true, cell: (row) => row.version },
  ];
  return (
    <>
      <PageHeading title={common.pages.records} canPrint />
      <p class="hint">{texts.hint}</p>
      <Search texts={texts} search={searchRecords} found={setFound} />
      {found === undefined ? (
        <>
          <Filters label={common.filter}>
            <UnitFilter value={unit} set={(value) => set({ unit: value })} />
            <Choice
              label={texts.kind}
              value={kind === "all" ? "" : kind}
              set={(value) => set({ filter: value })}
              otherwise={texts.filters.all}
              options={RECORD_FILTERS.filter((known) => known !== "all").map((known) => [known, texts.filters[known]] as const)}
            />
          </Filters>
          <section class="panel" aria-label={common.pages.records}>
            <PagedTable
              caption={`${common.pages.records}: ${texts.filters[kind]}`}
              columns={columns}
              pieces={pieces}
              rowKey={(row) => row.handle}
              {...(unit === "" ? { empty: texts.needsUnit } : {})}
            />
          </section>
        </>
      ) : (
        <section class="panel" aria-label={texts.results}>
          <div class="buttons">
            <button type="button" onClick={() => setFound(undefined)}>
              {texts.backToList}
            </button>
          </div>
          <Table caption={`${texts.results}: ${texts.found(found.length)}`} columns={columns} rows={found} rowKey={(row) => row.handle} />
        </section>
      )}
    </>
  );
}
