// The queue: what is due first stands first. Several simple proposals can be approved at once, each with its own answer.
import { useState } from "preact/hooks";
import { useCell } from "../../../lib/cell.ts";
import { language, useTexts } from "../../../lib/language.ts";
import { type BulkAnswer, decideAll, listProposals, type Proposal, PROPOSAL_STATES } from "../../api/reviews.ts";
import { canBeOneOfMany } from "../../data/deciding.ts";
import { labelOf } from "../../data/fields.ts";
import { day } from "../../data/dates.ts";
import { filter, hashOf, place } from "../../data/router.ts";
import { Dialog } from "../../parts/dialog.tsx";
import { Choice, Filters } from "../../parts/form.tsx";
import { PageHeading } from "../../parts/heading.tsx";
import { Pager } from "../../parts/pager.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import { type Column, Table } from "../../parts/table.tsx";
import { UnitFilter } from "../../parts/unit_filter.tsx";
import { say } from "../../parts/voice.tsx";
import { usePieces, useWork } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { BulkProblems } from "./bulk.tsx";
import { Due, Marks, StateOfProposal } from "./marks.tsx";
import { TEXTS } from "./texts.ts";

export function Queue() {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const tongue = useCell(language);
  const { query } = useCell(place);
  const of = (name: string) => query.get(name) ?? "";
  const asked = { unit: of("unit"), state: of("state"), overdue: of("overdue"), assigned: of("assigned") };
  const set = (change: Partial<typeof asked>) => filter({ ...asked, ...change });
  const pieces = usePieces((after, signal) => listProposals(asked, after, signal), [asked]);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [isAsked, setAsked] = useState(false);
  const [answer, setAnswer] = useState<BulkAnswer>();
  const work = useWork();
  const rows = pieces.value?.items ?? [];
  const picked = rows.filter((row) => chosen.has(row.proposal) && canBeOneOfMany(row));

  const approveAll = () =>
    work.run(async () => {
      const given = await decideAll(picked.map(({ proposal }) => ({ proposal, decision: "approve" })));
      setAnswer(given);
      setAsked(false);
      setChosen(new Set());
      say(texts.bulkDone(given.done, given.problems));
      pieces.reload();
    });

  const columns: Column<Proposal>[] = [
    {
      key: "person",
      head: texts.person,
      isHead: true,
      cell: (row) => (
        <>
          <a href={hashOf(["reviews", "proposal", row.proposal])}>{row.full_name}</a>
          <br />
          <span class="hint nowrap">{row.person_masked}</span>
        </>
      ),
    },
    { key: "unit", head: common.unit, cell: (row) => row.unit },
    { key: "fields", head: texts.fields, cell: (row) => row.fields.map((field) => (labelOf(field.field, tongue))).join("; ") },
    { key: "due", head: texts.due, cell: (row) => <Due at={row.due_at} isOpen={isWaiting(row)} /> },
    { key: "sent", head: texts.sent, cell: (row) => day(row.created_at) },
    { key: "state", head: common.state, cell: (row) => <StateOfProposal state={row.state} /> },
    { key: "needs", head: texts.needsHead, cell: (row) => (isWaiting(row) ? texts.needs[row.needs] : "") },
    { key: "marks", head: texts.marks, cell: (row) => <Marks proposal={row} /> },
  ];
  return (
    <>
      <PageHeading title={texts.queue} canPrint reload={pieces.reload} />
      <Filters label={common.filter}>
        <UnitFilter value={asked.unit} set={(unit) => set({ unit })} />
        <Choice label={common.state} value={asked.state} set={(state) => set({ state })} otherwise={texts.waiting} options={PROPOSAL_STATES.map((state) => [state, texts.states[state]] as const)} />
        <Choice
          label={texts.deadlineFilter}
          value={asked.overdue}
          set={(overdue) => set({ overdue })}
          otherwise={common.all}
          options={[["true", texts.overdue], ["false", texts.inTime]]}
        />
        <Choice
          label={texts.assigned}
          value={asked.assigned}
          set={(assigned) => set({ assigned })}
          otherwise={common.all}
          options={[["me", texts.assignedMe], ["none", texts.assignedNone]]}
        />
      </Filters>
      {answer !== undefined && <BulkProblems answer={answer} names={rows} />}
      <section class="panel" aria-label={texts.queue}>
        <Table
          caption={texts.queue}
          isCaptionHidden
          columns={columns}
          rows={rows}
          rowKey={(row) => row.proposal}
          isBusy={pieces.isLoading}
          selection={
            rows.some(canBeOneOfMany)
              ? { of: chosen, set: setChosen, key: (row) => row.proposal, label: (row) => texts.choose(row.full_name), isOpen: canBeOneOfMany }
              : undefined
          }
        />
        <ProblemNote error={pieces.error} retry={pieces.reload} />
        <div class="buttons">
          {rows.some(canBeOneOfMany) && (
            <button type="button" class="primary" disabled={picked.length === 0} onClick={() => setAsked(true)}>
              {texts.approveSelected(picked.length)}
            </button>
          )}
          <Pager pieces={pieces} />
        </div>
      </section>
      {isAsked && (
        <Dialog title={texts.bulkTitle(picked.length)} deed={texts.approve} work={work} act={approveAll} close={() => setAsked(false)}>
          <p>{texts.bulkText}</p>
          <ul class="bullets">
            {picked.map((row) => (
              <li key={row.proposal}>
                {row.full_name}: {row.fields.map((field) => (labelOf(field.field, tongue))).join("; ")}
              </li>
            ))}
          </ul>
        </Dialog>
      )}
    </>
  );
}

const isWaiting = ({ state }: Proposal) => state === "open" || state === "first_approved" || state === "appealed";
