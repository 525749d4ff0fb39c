// Monthly approval: the document to sign, its signature, what was approved before, and the month's report.
import { useState } from "preact/hooks";
import { useCell } from "../../../lib/cell.ts";
import { useTexts } from "../../../lib/language.ts";
import { type Approval, type ApprovalPage, listApprovals, readQuality, saveApproval, saveReport } from "../../api/quality.ts";
import { dayAndTime, month as monthText, now, partialDate } from "../../data/dates.ts";
import { lateUntil, monthBefore, monthOf, standingOf, windowOf } from "../../data/months.ts";
import { useOfficerName } from "../../data/officer_names.ts";
import { filter, hashOf, place } from "../../data/router.ts";
import { may, useSession } from "../../data/session.ts";
import { Choice, Filters, TextField } from "../../parts/form.tsx";
import { PageHeading } from "../../parts/heading.tsx";
import { Pager } from "../../parts/pager.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import { State } from "../../parts/signs.tsx";
import { type Column, Table } from "../../parts/table.tsx";
import { UnitFilter } from "../../parts/unit_filter.tsx";
import { useLoad, usePieces, useWork } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { Sign } from "./sign.tsx";
import { TEXTS } from "./texts.ts";

export default function Approvals() {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const session = useSession();
  const { query } = useCell(place);
  const unit = query.get("unit") ?? session.unit?.code ?? "";
  const current = monthOf(now());
  const before = monthBefore(current);
  const month = query.get("month") === before ? before : current;
  const set = (change: { unit?: string; month?: string }) => filter({ unit, month, ...change });
  const pieces = usePieces<Approval, ApprovalPage>((after, signal) => listApprovals(unit === "" ? undefined : unit, after, signal), [unit]);
  // The last approval is told by the unit itself: a list has it only as long as few came after it.
  const quality = useLoad((signal) => readQuality(unit === "" ? undefined : unit, undefined, signal), [unit]);
  const last = quality.value?.approval ?? undefined;
  const reload = () => {
    pieces.reload();
    quality.reload();
  };
  const lateDays = pieces.value?.late_days ?? 0;
  const { from, to } = windowOf(month);
  const done = last?.month === month ? last : pieces.value?.items.find((approval) => approval.unit === unit && approval.month === month);
  const standing = standingOf(month, now(), lateDays);
  const told = {
    early: () => texts.windowClosed(partialDate(from), partialDate(to)),
    open: () => texts.windowOpen(partialDate(from), partialDate(to)),
    late: () => texts.windowLate(partialDate(lateUntil(month, lateDays) ?? to)),
    over: () => texts.windowOver(partialDate(to)),
  };
  const nameOf = useOfficerName();
  const saving = useWork();
  const columns: Column<Approval>[] = [
    { key: "month", head: texts.month, isHead: true, cell: (row) => monthText(row.month) },
    { key: "unit", head: common.unit, cell: (row) => row.unit },
    { key: "at", head: texts.approvedAt, cell: (row) => dayAndTime(row.approved_at) },
    { key: "approver", head: texts.approver, cell: (row) => nameOf(row.approver) },
    { key: "subject", head: texts.subject, cell: (row) => row.subject },
    { key: "records", head: texts.records, isNumber: true, cell: (row) => row.records },
    { key: "reason", head: texts.reasonLate, cell: (row) => row.reason ?? "" },
    {
      key: "file",
      head: texts.file,
      cell: (row) => (
        <button type="button" aria-disabled={saving.isBusy} aria-label={`${common.download}: ${texts.file} ${monthText(row.month)} ${row.unit}`} onClick={() => saving.run(() => saveApproval(row.id, row.month))}>
          {common.download}
        </button>
      ),
    },
  ];
  return (
    <>
      <PageHeading title={common.pages.approvals}>
        <a class="button" href={hashOf(["quality"], { unit })}>
          {common.pages.quality}
        </a>
      </PageHeading>
      <p class="hint">{texts.hint}</p>
      <Filters label={common.filter}>
        <UnitFilter value={unit} set={(value) => set({ unit: value })} />
        <Choice
          label={texts.whichMonth}
          value={month === current ? "" : month}
          set={(value) => set({ month: value === "" ? current : value })}
          otherwise={texts.thisMonth(monthText(current))}
          options={[[before, texts.monthBefore(monthText(before))]]}
        />
      </Filters>
      <section class="panel" aria-labelledby="state">
        <h2 id="state">
          {texts.month} {monthText(month)}
        </h2>
        {done !== undefined ? (
          <State tone="good">{texts.done(monthText(month), dayAndTime(done.approved_at))}</State>
        ) : quality.value === undefined ? (
          quality.isLoading && <p class="loading">{common.loading}</p>
        ) : (
          <State tone={standing === "open" || standing === "late" ? "attention" : "waiting"}>{told[standing]()}</State>
        )}
        {done !== undefined && done === last && last.changed_since !== null && (
          <p>
            {texts.changedSince}: {last.changed_since}
          </p>
        )}
        <ProblemNote error={quality.error} retry={quality.reload} />
      </section>
      {may(session, "quality:approve") && (unit === "" ? <p>{texts.needsUnit}</p> : <Sign key={`${unit} ${month}`} unit={unit} month={month} isLate={standing === "late"} done={reload} />)}
      <section class="panel" aria-label={texts.list}>
        <Table caption={texts.list} columns={columns} rows={pieces.value?.items ?? []} rowKey={(row) => row.id} isBusy={pieces.isLoading} />
        <ProblemNote error={saving.error} />
        <ProblemNote error={pieces.error} retry={pieces.reload} />
        <Pager pieces={pieces} />
      </section>
      <Report unit={unit === "" ? undefined : unit} month={current} />
    </>
  );
}

function Report({ unit, month: first }: { unit: string | undefined; month: string }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const [month, setMonth] = useState(first);
  const work = useWork();
  return (
    <section class="panel" aria-labelledby="report">
      <h2 id="report">{texts.report}</h2>
      <p class="hint">{texts.reportHint}</p>
      <form class="form" onSubmit={(event) => event.preventDefault()}>
        <TextField label={texts.month} type="month" value={month} set={setMonth} max={first} required />
        {(["xlsx", "json"] as const).map((format) => (
          <button key={format} type="button" disabled={!/^\d{4}-\d{2}$/.test(month)} aria-disabled={work.isBusy} onClick={() => work.run(() => saveReport(unit, month, format))}>
            {work.isBusy ? common.working : texts.reportAs(format)}
          </button>
        ))}
      </form>
      <ProblemNote error={work.error} />
    </section>
  );
}
