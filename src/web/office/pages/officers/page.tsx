// Who may use the office, and as what.
import { useState } from "preact/hooks";
import { useCell } from "../../../lib/cell.ts";
import { useTexts } from "../../../lib/language.ts";
import { listOfficers, type Officer, OFFICER_STATES, setBlocked } from "../../api/officers.ts";
import { ROLES } from "../../api/session.ts";
import { day, dayAndTime } from "../../data/dates.ts";
import { filter, place } from "../../data/router.ts";
import { may, useSession } from "../../data/session.ts";
import { Dialog } from "../../parts/dialog.tsx";
import { Choice, Filters } from "../../parts/form.tsx";
import { PageHeading } from "../../parts/heading.tsx";
import { PagedTable } from "../../parts/paged_table.tsx";
import { State } from "../../parts/signs.tsx";
import { StepUp } from "../../parts/step_up.tsx";
import type { Column } from "../../parts/table.tsx";
import { Tabs } from "../../parts/tabs.tsx";
import { UnitFilter } from "../../parts/unit_filter.tsx";
import { say } from "../../parts/voice.tsx";
import { usePieces, useWork } from "../../parts/work.ts";
import { TEXTS as SHELL } from "../../shell/texts.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { Certificates } from "./certificates.tsx";
import { EditOfficer } from "./edit.tsx";
import { TEXTS } from "./texts.ts";

const TONES = { active: "good", blocked: "bad", expired: "plain" } as const;

export default function Officers() {
  const texts = useTexts(TEXTS);
  const session = useSession();
  const [, part] = useCell(place).path;
  // Who may approve is for the whole nation to say.
  if (session.unit !== null) return <OfficerList />;
  return (
    <>
      <Tabs page="officers" tabs={[{ path: [], title: texts.tabs.officers }, { path: ["certificates"], title: texts.tabs.certificates }]} />
      {part === "certificates" ? <Certificates /> : <OfficerList />}
    </>
  );
}

function OfficerList() {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const { roles } = useTexts(SHELL);
  const session = useSession();
  const { query } = useCell(place);
  const asked = { unit: query.get("unit") ?? "", role: query.get("role") ?? "", state: query.get("state") ?? "" };
  const set = (change: Partial<typeof asked>) => filter({ ...asked, ...change });
  const pieces = usePieces((after, signal) => listOfficers(asked, after, signal), [asked]);
  const [editing, setEditing] = useState<Officer | "new">();
  const [blocking, setBlocking] = useState<Officer>();
  const mayWrite = may(session, "officers:write");
  const columns: Column<Officer>[] = [
    { key: "name", head: texts.name, isHead: true, cell: (row) => row.name },
    { key: "account", head: texts.account, cell: (row) => row.subject },
    { key: "unit", head: common.unit, cell: (row) => (row.unit === null ? texts.wholeNation : `${row.unit.name} (${row.unit.code})`) },
    { key: "role", head: texts.role, cell: (row) => roles[row.role] },
    { key: "state", head: common.state, cell: (row) => <State tone={TONES[row.state]}>{texts.states[row.state]}</State> },
    { key: "until", head: texts.validUntil, cell: (row) => (row.valid_until === null ? "" : day(row.valid_until)) },
    { key: "seen", head: texts.signedIn, cell: (row) => (row.signed_in_at === null ? texts.never : dayAndTime(row.signed_in_at)) },
    ...(mayWrite
      ? [
          {
            key: "do",
            head: texts.change,
            cell: (row: Officer) =>
              row.id === session.officer.id ? (
                ""
              ) : (
                <div class="buttons">
                  <button type="button" aria-label={`${texts.change}: ${row.name}`} onClick={() => setEditing(row)}>
                    {texts.change}
                  </button>
                  <button type="button" aria-label={`${row.state === "blocked" ? texts.unblock : texts.block}: ${row.name}`} onClick={() => setBlocking(row)}>
                    {row.state === "blocked" ? texts.unblock : texts.block}
                  </button>
                </div>
              ),
          },
        ]
      : []),
  ];
  return (
    <>
      <PageHeading title={common.pages.officers} canPrint>
        {mayWrite && (
          <button type="button" class="primary" onClick={() => setEditing("new")}>
            {texts.add}
          </button>
        )}
      </PageHeading>
      <p class="hint">{texts.hint}</p>
      <Filters label={common.filter}>
        <UnitFilter value={asked.unit} set={(unit) => set({ unit })} />
        <Choice label={texts.role} value={asked.role} set={(role) => set({ role })} otherwise={common.all} options={ROLES.map((role) => [role, roles[role]] as const)} />
        <Choice label={common.state} value={asked.state} set={(state) => set({ state })} otherwise={common.all} options={OFFICER_STATES.map((state) => [state, texts.states[state]] as const)} />
      </Filters>
      <section class="panel" aria-label={common.pages.officers}>
        <PagedTable caption={common.pages.officers} isCaptionHidden columns={columns} pieces={pieces} rowKey={(row) => row.id} />
      </section>
      {editing !== undefined && <EditOfficer officer={editing === "new" ? undefined : editing} close={() => setEditing(undefined)} done={pieces.reload} />}
      {blocking !== undefined && <Block officer={blocking} close={() => setBlocking(undefined)} done={pieces.reload} />}
    </>
  );
}

function Block({ officer, close, done }: { officer: Officer; close: () => void; done: () => void }) {
  const texts = useTexts(TEXTS);
  const work = useWork();
  const isBlocked = officer.state === "blocked";
  const act = () =>
    work.run(async () => {
      await setBlocked(officer.id, !isBlocked);
      say(isBlocked ? texts.unblocked : texts.blocked);
      close();
      done();
    });
  return (
    <Dialog
      title={isBlocked ? texts.unblockTitle(officer.name) : texts.blockTitle(officer.name)}
      deed={isBlocked ? texts.unblock : texts.block}
      isGrave={!isBlocked}
      work={work}
      act={act}
      close={close}
    >
      <StepUp scope="officers:write" />
      <p>{isBlocked ? texts.unblockText : texts.blockText}</p>
    </Dialog>
  );
}
