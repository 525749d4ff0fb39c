// The log of the synchronisation, for the sending unit to read.
import { useCell } from "../../../lib/cell.ts";
import { useTexts } from "../../../lib/language.ts";
import { type Call, listCalls } from "../../api/calls.ts";
import { dayAndTime } from "../../data/dates.ts";
import { filter, hashOf, place } from "../../data/router.ts";
import { Choice, Filters } from "../../parts/form.tsx";
import { PageHeading } from "../../parts/heading.tsx";
import { PagedTable } from "../../parts/paged_table.tsx";
import type { Column } from "../../parts/table.tsx";
import { TextFilter, UnitFilter } from "../../parts/unit_filter.tsx";
import { usePieces } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { OneCall } from "./one.tsx";
import { StateOfCall } from "./state.tsx";
import { TEXTS } from "./texts.ts";

export default function Calls() {
  const [, id] = useCell(place).path;
  return id === undefined ? <CallList key="list" /> : <OneCall key={id} id={id} />;
}

function CallList() {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const { query } = useCell(place);
  const asked = { unit: query.get("unit") ?? "", outcome: query.get("outcome") ?? "", account: query.get("account") ?? "" };
  const set = (change: Partial<typeof asked>) => filter({ ...asked, ...change });
  const pieces = usePieces((after, signal) => listCalls(asked, after, signal), [asked]);
  const columns: Column<Call>[] = [
    { key: "at", head: common.time, isHead: true, cell: (call) => <a href={hashOf(["calls", call.transaction_id])}>{dayAndTime(call.at)}</a> },
    { key: "account", head: texts.account, cell: (call) => call.account },
    { key: "unit", head: common.unit, cell: (call) => call.unit },
    {
      key: "operation",
      head: texts.operation,
      cell: (call) => (
        <>
          {texts.operations[call.operation] ?? ""} <code>{call.operation}</code>
        </>
      ),
    },
    { key: "action", head: texts.action, cell: (call) => texts.actions[call.action ?? ""] ?? call.action ?? "" },
    { key: "dossiers", head: texts.dossiers, isNumber: true, cell: (call) => call.dossiers },
    { key: "outcome", head: texts.outcome, cell: (call) => <StateOfCall call={call} /> },
    { key: "why", head: texts.why, cell: (call) => call.codes.map((code) => texts.codes[code] ?? code).join("; ") },
    { key: "took", head: texts.took, isNumber: true, cell: (call) => (call.duration_ms === null ? "" : texts.milliseconds(call.duration_ms)) },
  ];
  return (
    <>
      <PageHeading title={common.pages.calls} canPrint reload={pieces.reload} />
      <p class="hint">{texts.hint}</p>
      <Filters label={common.filter}>
        <UnitFilter value={asked.unit} set={(unit) => set({ unit })} />
        <TextFilter label={texts.account} value={asked.account} set={(account) => set({ account })} />
        <Choice
          label={texts.outcome}
          value={asked.outcome}
          set={(outcome) => set({ outcome })}
          otherwise={common.all}
          options={[["accepted", texts.outcomes.accepted], ["refused", texts.outcomes.refused]]}
        />
      </Filters>
      <section class="panel" aria-label={common.pages.calls}>
        <PagedTable caption={common.pages.calls} isCaptionHidden columns={columns} pieces={pieces} rowKey={(call) => call.transaction_id} />
      </section>
    </>
  );
}
