// One plan: what it moves, how far it is, and the steps that its state allows.
import { useTexts } from "../../../lib/language.ts";
import { type PlannedMove, readFailures, readReorganisation, readTotals, type Reorganisation } from "../../api/reorganisations.ts";
import { dayAndTime, isoDay, now, partialDate } from "../../data/dates.ts";
import { useOfficerName } from "../../data/officer_names.ts";
import { hashOf } from "../../data/router.ts";
import { may, useSession } from "../../data/session.ts";
import { Facts } from "../../parts/facts.tsx";
import { PageHeading } from "../../parts/heading.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import { Progress } from "../../parts/progress.tsx";
import { type Column, Table } from "../../parts/table.tsx";
import { useEvery, useLoad } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { StateOfPlan } from "./page.tsx";
import { Preview } from "./preview.tsx";
import { Steps } from "./steps.tsx";
import { TEXTS } from "./texts.ts";

const ASK_AGAIN_MILLISECONDS = 5000;

export function OneReorganisation({ id }: { id: string }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const loaded = useLoad((signal) => readReorganisation(id, signal), [id]);
  const plan = loaded.value;
  useEvery(ASK_AGAIN_MILLISECONDS, plan?.state === "running" || isDue(plan), loaded.poll);
  return (
    <>
      <PageHeading title={texts.one} back="#/reorganisations" />
      <ProblemNote error={loaded.error} retry={loaded.reload} />
      {plan === undefined ? loaded.isLoading && <p class="loading">{common.loading}</p> : <Shown plan={plan} put={loaded.put} />}
    </>
  );
}

/** Whether a plan that waits for its day begins by itself any moment. */
function isDue(plan: Reorganisation | undefined): boolean {
  return plan?.state === "scheduled" && plan.effective_on <= isoDay(now());
}

function Shown({ plan, put }: { plan: Reorganisation; put: (plan: Reorganisation) => void }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const session = useSession();
  const nameOf = useOfficerName();
  // Who is counted has not moved yet; with those who had by then it is everybody, however far the plan is later.
  const totals = useLoad(async (signal) => ({ ...(await readTotals(plan.id, signal)), movedBefore: plan.moved }), [plan.id, plan.state]);
  const failures = useLoad(plan.failed > 0 ? (signal) => readFailures(plan.id, signal) : undefined, [plan.id, plan.failed]);
  const all = totals.value === undefined ? undefined : Math.max(totals.value.records + totals.value.movedBefore, plan.moved);
  const moves: Column<PlannedMove>[] = [
    { key: "from", head: texts.from, isHead: true, cell: (move) => move.from },
    { key: "to", head: texts.to, cell: (move) => move.to },
    { key: "name", head: texts.toName, cell: (move) => move.to_name ?? "" },
    { key: "who", head: texts.numbers, cell: (move) => (move.people === null ? texts.everybody : texts.people(move.people)) },
  ];
  const failed: Column<{ record: string; reason: string }>[] = [
    { key: "record", head: common.handle, isHead: true, cell: (row) => (may(session, "records:read") ? <a href={hashOf(["records", row.record])}>{row.record}</a> : row.record) },
    { key: "reason", head: common.reason, cell: (row) => row.reason },
  ];
  return (
    <>
      <section class="panel" aria-labelledby="plan">
        <h2 id="plan">{plan.name}</h2>
        <Facts
          facts={[
            [texts.decision, plan.decision],
            [texts.effective, partialDate(plan.effective_on)],
            [common.state, <StateOfPlan state={plan.state} />],
            [texts.waveSize, plan.wave_size],
            [texts.created, `${dayAndTime(plan.created_at)}, ${nameOf(plan.created_by)}`],
            ...(plan.started_at === null ? [] : ([[texts.started, dayAndTime(plan.started_at)]] as const)),
            ...(plan.finished_at === null ? [] : ([[texts.finished, dayAndTime(plan.finished_at)]] as const)),
          ]}
        />
        {(plan.state === "running" || plan.state === "paused") && (
          <Progress label={texts.progress} part={all === undefined || all === 0 ? undefined : plan.moved / all}>
            {texts.progressText(plan.moved, all, plan.waves)}
          </Progress>
        )}
        <ul class="counts">
          {plan.state === "draft" || plan.state === "scheduled"
            ? (["records", "cards", "locked_cards", "renumbered"] as const).map((name) => <Number key={name} count={totals.value?.[name]} label={texts.totals[name]} />)
            : (["moved", "cards", "failed", "waves"] as const).map((name) => <Number key={name} count={plan[name]} label={texts.counts[name]} />)}
        </ul>
        <ProblemNote error={totals.error} retry={totals.reload} />
        {may(session, "reorganisations:write") && <Steps plan={plan} put={put} />}
      </section>
      <section class="panel" aria-label={texts.moves}>
        <Table caption={texts.moves} columns={moves} rows={plan.moves} rowKey={(move) => `${move.from} ${move.to} ${move.people ?? ""}`} />
      </section>
      {plan.failed > 0 && (
        <section class="panel" aria-label={texts.failures}>
          <Table caption={texts.failures} columns={failed} rows={failures.value ?? []} rowKey={(row) => row.record} isBusy={failures.isLoading} />
          <ProblemNote error={failures.error} retry={failures.reload} />
        </section>
      )}
      {may(session, "records:read") && plan.state !== "done" && <Preview plan={plan} />}
    </>
  );
}

function Number({ count, label }: { count: number | undefined; label: string }) {
  return (
    <li>
      <div>
        <strong>{count ?? "…"}</strong>
        <span>{label}</span>
      </div>
    </li>
  );
}
