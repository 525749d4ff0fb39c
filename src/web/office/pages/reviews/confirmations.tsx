// Records that came by a file or a system and wait for the unit's word: seen with what changed, confirmed several at once,
// or sent back with a reason.
import { useState } from "preact/hooks";
import { useCell } from "../../../lib/cell.ts";
import { language, useTexts } from "../../../lib/language.ts";
import { type Confirmation, type ConfirmOutcome, confirmRecords, listConfirmations, readReasons, readRecordPortrait, returnRecord } from "../../api/reviews.ts";
import { dayAndTime } from "../../data/dates.ts";
import { groupBy } from "../../data/groups.ts";
import { useOfficerName } from "../../data/officer_names.ts";
import { filter, hashOf, place } from "../../data/router.ts";
import { may, useSession } from "../../data/session.ts";
import { FieldDiff } from "../../parts/diff.tsx";
import { Dialog } from "../../parts/dialog.tsx";
import { Choice, Filters } from "../../parts/form.tsx";
import { PageHeading } from "../../parts/heading.tsx";
import { Opened, opens } from "../../parts/opened.tsx";
import { Pager } from "../../parts/pager.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import { State } from "../../parts/signs.tsx";
import { type Column, Table } from "../../parts/table.tsx";
import { UnitFilter } from "../../parts/unit_filter.tsx";
import { say } from "../../parts/voice.tsx";
import { useLoad, usePieces, useWork } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { WhyFields } from "./decide.tsx";
import { Due } from "./marks.tsx";
import { asPatch } from "./one.tsx";
import { isPicture, Portraits } from "./portraits.tsx";
import { TEXTS } from "./texts.ts";

export function Confirmations() {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const session = useSession();
  const { query } = useCell(place);
  const asked = { unit: query.get("unit") ?? "", state: query.get("state") ?? "" };
  const set = (change: Partial<typeof asked>) => filter({ ...asked, ...change });
  const pieces = usePieces((after, signal) => listConfirmations(asked, after, signal, 25), [asked]);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [shown, setShown] = useState<string>();
  const [isAsked, setAsked] = useState(false);
  const [returning, setReturning] = useState<Confirmation>();
  const [outcomes, setOutcomes] = useState<ReadonlyMap<string, ConfirmOutcome>>(new Map());
  const work = useWork();
  const rows = pieces.value?.items ?? [];
  const nameOf = useOfficerName();
  const mayConfirm = may(session, "records:confirm");
  const picked = rows.filter((row) => chosen.has(row.record) && row.may_confirm);
  const open = rows.find((row) => row.record === shown);

  const confirmAll = () =>
    work.run(async () => {
      const found = new Map<string, ConfirmOutcome>();
      // One request for each unit: a record is confirmed by its own unit.
      try {
        for (const unit of new Set(picked.map((row) => row.unit))) {
          const records = picked.filter((row) => row.unit === unit).map(({ record, version }) => ({ record, version }));
          for (const { record, outcome } of (await confirmRecords(unit, records)).records) found.set(record, outcome);
        }
      } catch (error) {
        // What the units before it said is done, whatever became of this one.
        if (found.size > 0) {
          setOutcomes(new Map(found));
          setChosen(new Set([...chosen].filter((record) => !found.has(record))));
          pieces.reload();
        }
        throw error;
      }
      setOutcomes(found);
      setAsked(false);
      setChosen(new Set());
      say([...found.values()].map((outcome) => texts.outcomes[outcome]).join(", "));
      pieces.reload();
    });

  const columns: Column<Confirmation>[] = [
    {
      key: "person",
      head: texts.person,
      isHead: true,
      cell: (row) => (
        <>
          {may(session, "records:read") ? <a href={hashOf(["records", row.record])}>{row.full_name}</a> : row.full_name}
          <br />
          <span class="hint nowrap">{row.person_masked ?? ""}</span>
        </>
      ),
    },
    { key: "number", head: texts.number, cell: (row) => row.number },
    { key: "unit", head: common.unit, cell: (row) => row.unit },
    { key: "what", head: texts.changes, cell: (row) => (row.is_new ? texts.isNew : texts.changedFields(row.changes.length)) },
    { key: "from", head: texts.from, cell: (row) => `${texts.ways[row.sent_by.way] ?? row.sent_by.way}, ${nameOf(row.sent_by.actor)}` },
    { key: "at", head: common.time, cell: (row) => <span class="nowrap">{dayAndTime(row.changed_at)}</span> },
    { key: "due", head: texts.due, cell: (row) => <Due at={row.due_at} /> },
    {
      key: "do",
      head: common.details,
      cell: (row) => (
        <div class="buttons">
          <button type="button" {...opens(shown === row.record)} aria-label={`${texts.showChanges}: ${row.full_name}`} onClick={() => setShown(shown === row.record ? undefined : row.record)}>
            {texts.showChanges}
          </button>
          {mayConfirm && row.returned === null && (
            <button type="button" aria-label={`${texts.returnOne}: ${row.full_name}`} onClick={() => setReturning(row)}>
              {texts.returnOne}
            </button>
          )}
          {row.why_not === "own" && <State tone="plain">{texts.cannotOwn}</State>}
          {row.why_not === "self" && <State tone="plain">{texts.outcomes.self}</State>}
          {row.returned !== null && <State tone="attention">{texts.returnedState}</State>}
        </div>
      ),
    },
  ];
  return (
    <>
      <PageHeading title={texts.confirmations} canPrint reload={pieces.reload} />
      <p class="hint">{texts.confirmationsHint}</p>
      <Filters label={common.filter}>
        <UnitFilter value={asked.unit} set={(unit) => set({ unit })} />
        <Choice label={common.state} value={asked.state} set={(state) => set({ state })} otherwise={texts.waitingState} options={[["returned", texts.returnedState]]} />
      </Filters>
      <Outcomes outcomes={outcomes} />
      <section class="panel" aria-label={texts.confirmations}>
        <Table
          caption={texts.confirmations}
          isCaptionHidden
          columns={columns}
          rows={rows}
          rowKey={(row) => row.record}
          isBusy={pieces.isLoading}
          selection={
            mayConfirm ? { of: chosen, set: setChosen, key: (row) => row.record, label: (row) => texts.confirmChoose(row.full_name), isOpen: (row) => row.may_confirm } : undefined
          }
        />
        <ProblemNote error={pieces.error} retry={pieces.reload} />
        <div class="buttons">
          {mayConfirm && (
            <button type="button" class="primary" disabled={picked.length === 0} onClick={() => setAsked(true)}>
              {texts.confirmSelected(picked.length)}
            </button>
          )}
          <Pager pieces={pieces} />
        </div>
      </section>
      {open !== undefined && (
        <Opened of={open.record} label={`${texts.showChanges}: ${open.full_name}`}>
          <FieldDiff caption={`${texts.showChanges}: ${open.full_name}`} patch={asPatch(open.changes.filter((change) => !isPicture(change))).patch} oldHead={texts.confirmedBefore} newHead={texts.waitsNow} />
          {open.changes.filter(isPicture).map((change) => (
            <Portraits
              key={change.field}
              change={change}
              of={open.record}
              heads={{ old: texts.confirmedBefore, new: texts.waitsNow }}
              load={(side, signal) => readRecordPortrait(open.record, String(change[side]), signal)}
            />
          ))}
        </Opened>
      )}
      {isAsked && (
        <Dialog title={texts.confirmTitle(picked.length)} deed={common.confirm} work={work} act={confirmAll} close={() => setAsked(false)}>
          <p>{texts.confirmText}</p>
          <ul class="bullets">
            {picked.map((row) => (
              <li key={row.record}>
                {row.full_name} ({row.number})
              </li>
            ))}
          </ul>
        </Dialog>
      )}
      {returning !== undefined && <Return row={returning} close={() => setReturning(undefined)} done={pieces.reload} />}
    </>
  );
}

function Outcomes({ outcomes }: { outcomes: ReadonlyMap<string, ConfirmOutcome> }) {
  const texts = useTexts(TEXTS);
  if (outcomes.size === 0) return null;
  const counted = groupBy(outcomes.values(), (outcome) => outcome);
  const isGood = [...counted.keys()].every((outcome) => outcome === "confirmed" || outcome === "already");
  return (
    <div class="notice">
      <State tone={isGood ? "good" : "attention"}>{[...counted].map(([outcome, all]) => `${texts.outcomes[outcome]}: ${all.length}`).join("; ")}</State>
    </div>
  );
}

function Return({ row, close, done }: { row: Confirmation; close: () => void; done: () => void }) {
  const texts = useTexts(TEXTS);
  const tongue = useCell(language);
  const reasons = useLoad((signal) => readReasons(signal), [tongue]);
  const [reason, setReason] = useState("");
  const [note, setNote] = useState("");
  const work = useWork();
  const act = () =>
    work.run(async () => {
      await returnRecord(row.record, { version: row.version, reason, ...(note === "" ? {} : { note }) });
      say(texts.returned);
      close();
      done();
    });
  return (
    <Dialog title={texts.returnTitle} deed={texts.returnOne} isGrave work={work} act={act} close={close}>
      <p>{texts.returnText}</p>
      <p>
        {row.full_name} ({row.number})
      </p>
      <WhyFields reasons={(reasons.value ?? []).filter((known) => known.for.includes("confirmation"))} reason={reason} setReason={setReason} note={note} setNote={setNote} />
      <ProblemNote error={reasons.error} retry={reasons.reload} />
    </Dialog>
  );
}
