// How much waits, when it is due, and how fast it is dealt with.
import { useState } from "preact/hooks";
import { useTexts } from "../../../lib/language.ts";
import { readWorkload, type Workload } from "../../api/reviews.ts";
import { partialDate } from "../../data/dates.ts";
import { useOfficerName } from "../../data/officer_names.ts";
import { hashOf } from "../../data/router.ts";
import { Filters } from "../../parts/form.tsx";
import { PageHeading } from "../../parts/heading.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import { type Column, Table } from "../../parts/table.tsx";
import { UnitFilter } from "../../parts/unit_filter.tsx";
import { useLoad } from "../../parts/work.ts";
import { useSession } from "../../data/session.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { TEXTS } from "./texts.ts";

export function WorkloadPage() {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const session = useSession();
  const [unit, setUnit] = useState(session.unit?.code ?? "");
  const loaded = useLoad((signal) => readWorkload(unit === "" ? undefined : unit, signal), [unit]);
  return (
    <>
      <PageHeading title={texts.workload} canPrint />
      <Filters label={common.filter}>
        <UnitFilter value={unit} set={setUnit} />
      </Filters>
      <ProblemNote error={loaded.error} retry={loaded.reload} />
      {loaded.isLoading && <p class="loading">{common.loading}</p>}
      {loaded.value !== undefined && <Shown load={loaded.value} />}
    </>
  );
}

function Shown({ load }: { load: Workload }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const nameOf = useOfficerName();
  const counts: [keyof typeof texts.counts, number, string | undefined][] = [
    ["open", load.open, hashOf(["reviews"], { state: "open" })],
    ["first_approved", load.first_approved, hashOf(["reviews"], { state: "first_approved" })],
    ["appealed", load.appealed, hashOf(["reviews"], { state: "appealed" })],
    ["overdue", load.overdue, hashOf(["reviews"], { overdue: "true" })],
    ["unclaimed", load.unclaimed, hashOf(["reviews"], { assigned: "none" })],
    ["decided", load.decided_last_30_days, undefined],
  ];
  const due: Column<Workload["due"][number]>[] = [
    { key: "day", head: texts.day, isHead: true, cell: (row) => partialDate(row.day) },
    { key: "count", head: texts.count, isNumber: true, cell: (row) => row.count },
  ];
  const reviewers: Column<Workload["reviewers"][number]>[] = [
    { key: "reviewer", head: texts.reviewers, isHead: true, cell: (row) => nameOf(row.reviewer), sort: (row) => nameOf(row.reviewer) },
    { key: "claimed", head: texts.claimedNow, isNumber: true, cell: (row) => row.claimed, sort: (row) => row.claimed },
    { key: "decided", head: texts.decided30, isNumber: true, cell: (row) => row.decided_last_30_days, sort: (row) => row.decided_last_30_days },
    { key: "refused", head: texts.refused30, isNumber: true, cell: (row) => row.refused_last_30_days, sort: (row) => row.refused_last_30_days },
    { key: "median", head: texts.median, isNumber: true, cell: (row) => row.median_working_hours ?? "–", sort: (row) => row.median_working_hours ?? -1 },
  ];
  const units: Column<Workload["units"][number]>[] = [
    { key: "unit", head: common.unit, isHead: true, cell: (row) => <a href={hashOf(["reviews"], { unit: row.unit })}>{row.unit}</a>, sort: (row) => row.unit },
    { key: "waiting", head: texts.waitingCount, isNumber: true, cell: (row) => row.waiting, sort: (row) => row.waiting },
    { key: "overdue", head: texts.overdue, isNumber: true, cell: (row) => row.overdue, sort: (row) => row.overdue },
  ];
  return (
    <>
      <ul class="counts">
        {counts.map(([name, count, href]) => {
          const inside = (
            <>
              <strong>{count}</strong>
              <span>{texts.counts[name]}</span>
            </>
          );
          return <li key={name}>{href === undefined ? <div>{inside}</div> : <a href={href}>{inside}</a>}</li>;
        })}
        <li>
          <div>
            <strong>{load.median_working_hours ?? "–"}</strong>
            <span>{texts.median}</span>
          </div>
        </li>
      </ul>
      <div class="columns">
        <section class="panel" aria-label={texts.dueDays}>
          <Table caption={texts.dueDays} columns={due} rows={load.due} rowKey={(row) => row.day} />
        </section>
        <section class="panel" aria-label={texts.units}>
          <Table caption={texts.units} columns={units} rows={load.units} rowKey={(row) => row.unit} />
        </section>
      </div>
      <section class="panel" aria-label={texts.reviewers}>
        <Table caption={texts.reviewers} columns={reviewers} rows={load.reviewers} rowKey={(row) => row.reviewer} />
      </section>
    </>
  );
}
