// Waiting changes as a table, each with what it will do, and the way to drop it.
import { useState } from "preact/hooks";
import { useCell } from "../../../lib/cell.ts";
import { language, useTexts } from "../../../lib/language.ts";
import { dropChange, type WaitingChange } from "../../api/records.ts";
import { dayAndTime, partialDate } from "../../data/dates.ts";
import { labelOf } from "../../data/fields.ts";
import { hashOf } from "../../data/router.ts";
import { may, useSession } from "../../data/session.ts";
import { FieldDiff } from "../../parts/diff.tsx";
import { Dialog } from "../../parts/dialog.tsx";
import { Opened, opens } from "../../parts/opened.tsx";
import { State } from "../../parts/signs.tsx";
import { type Column, Table } from "../../parts/table.tsx";
import { say } from "../../parts/voice.tsx";
import { useWork } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { TEXTS as RECORD_TEXTS } from "../records/texts.ts";
import { patchOf } from "../records/versions.tsx";
import { TEXTS } from "./texts.ts";

export function WaitingList(props: { caption: string; changes: readonly WaitingChange[]; reload: () => void; isBusy?: boolean; empty?: string }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const { ways } = useTexts(RECORD_TEXTS);
  const tongue = useCell(language);
  const session = useSession();
  const [shown, setShown] = useState<string>();
  const [dropping, setDropping] = useState<WaitingChange>();
  const open = props.changes.find((change) => change.id === shown);
  const columns: Column<WaitingChange>[] = [
    { key: "day", head: texts.effective, isHead: true, cell: (row) => partialDate(row.effective_on) },
    { key: "number", head: texts.number, cell: (row) => <a href={hashOf(["records", row.record])}>{row.number}</a> },
    { key: "unit", head: common.unit, cell: (row) => row.unit },
    { key: "fields", head: texts.fields, cell: (row) => row.changes.map((change) => (labelOf(change.code, tongue))).join("; ") },
    { key: "from", head: texts.from, cell: (row) => ways[row.way] ?? row.way },
    { key: "at", head: common.time, cell: (row) => dayAndTime(row.created_at) },
    { key: "state", head: common.state, cell: (row) => <State tone={row.state === "conflict" ? "attention" : "waiting"}>{texts.states[row.state]}</State> },
    {
      key: "do",
      head: common.details,
      cell: (row) => (
        <div class="buttons">
          <button type="button" {...opens(shown === row.id)} aria-label={`${texts.show}: ${row.number}`} onClick={() => setShown(shown === row.id ? undefined : row.id)}>
            {texts.show}
          </button>
          {may(session, "records:confirm") && (
            <button type="button" aria-label={`${texts.drop}: ${row.number}`} onClick={() => setDropping(row)}>
              {texts.drop}
            </button>
          )}
        </div>
      ),
    },
  ];
  return (
    <>
      <Table
        caption={props.caption}
        columns={columns}
        rows={props.changes}
        rowKey={(row) => row.id}
        isBusy={props.isBusy === true}
        {...(props.empty === undefined ? {} : { empty: props.empty })}
      />
      {open !== undefined && (
        <Opened of={open.id} label={texts.title(open.number)}>
          {open.conflicts.length > 0 && (
            <p>
              <State tone="attention">{open.conflicts.map((field) => labelOf(field, tongue)).join("; ")}</State>. {texts.conflictHint}
            </p>
          )}
          <FieldDiff caption={texts.title(open.number)} patch={patchOf(open.changes)} oldHead={common.before} newHead={common.after} />
        </Opened>
      )}
      {dropping !== undefined && <Drop change={dropping} close={() => setDropping(undefined)} done={props.reload} />}
    </>
  );
}

function Drop({ change, close, done }: { change: WaitingChange; close: () => void; done: () => void }) {
  const texts = useTexts(TEXTS);
  const work = useWork();
  const act = () =>
    work.run(async () => {
      await dropChange(change.id);
      say(texts.dropped);
      close();
      done();
    });
  return (
    <Dialog title={texts.dropTitle} deed={texts.drop} isGrave work={work} act={act} close={close}>
      <p>{texts.dropText}</p>
    </Dialog>
  );
}
