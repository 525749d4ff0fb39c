// Who decides for whom, until when.
import { useState } from "preact/hooks";
import { useTexts } from "../../../lib/language.ts";
import { delegate, type Delegation, listDelegations, revokeDelegation } from "../../api/reviews.ts";
import { allNames } from "../../api/officers.ts";
import { dayAndTime } from "../../data/dates.ts";
import { useOfficerName } from "../../data/officer_names.ts";
import { isWithin } from "../../data/units.ts";
import { may, useSession } from "../../data/session.ts";
import { Dialog } from "../../parts/dialog.tsx";
import { Choice, TextField, Tick } from "../../parts/form.tsx";
import { PageHeading } from "../../parts/heading.tsx";
import { PagedTable } from "../../parts/paged_table.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import { State } from "../../parts/signs.tsx";
import type { Column } from "../../parts/table.tsx";
import { say } from "../../parts/voice.tsx";
import { useLoad, usePieces, useWork } from "../../parts/work.ts";
import { TEXTS as SHELL } from "../../shell/texts.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { TEXTS } from "./texts.ts";

const TONES = { in_force: "good", expired: "plain", revoked: "plain" } as const;

export function Delegations() {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const session = useSession();
  const pieces = usePieces((after, signal) => listDelegations(after, signal), []);
  const nameOf = useOfficerName();
  const [revoking, setRevoking] = useState<Delegation>();
  const columns: Column<Delegation>[] = [
    { key: "from", head: texts.giver, isHead: true, cell: (row) => nameOf(row.from) },
    { key: "to", head: texts.receiver, cell: (row) => nameOf(row.to) },
    { key: "unit", head: common.unit, cell: (row) => row.unit },
    { key: "sensitive", head: texts.sensitive, cell: (row) => (row.includes_sensitive ? common.yes : common.no) },
    { key: "until", head: texts.until, cell: (row) => dayAndTime(row.expires_at) },
    { key: "state", head: common.state, cell: (row) => <State tone={TONES[row.state]}>{texts.delegationStates[row.state]}</State> },
    {
      key: "do",
      head: texts.revoke,
      cell: (row) =>
        row.state === "in_force" && row.from === session.officer.id ? (
          <button type="button" aria-label={`${texts.revoke}: ${nameOf(row.to)}`} onClick={() => setRevoking(row)}>
            {texts.revoke}
          </button>
        ) : (
          ""
        ),
    },
  ];
  return (
    <>
      <PageHeading title={texts.delegations} />
      <p class="hint">{texts.delegationsHint}</p>
      {may(session, "updates:decide") && <New done={pieces.reload} />}
      <section class="panel" aria-label={texts.delegations}>
        <PagedTable caption={texts.delegations} isCaptionHidden columns={columns} pieces={pieces} rowKey={(row) => row.delegation} />
      </section>
      {revoking !== undefined && <Revoke delegation={revoking} close={() => setRevoking(undefined)} done={pieces.reload} />}
    </>
  );
}

function New({ done }: { done: () => void }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const session = useSession();
  const { roles } = useTexts(SHELL);
  const [to, setTo] = useState("");
  const [unit, setUnit] = useState(session.unit?.code ?? "");
  const known = useLoad((signal) => allNames({ state: "active" }, signal), []);
  // Who can take a right: of the unit in which it is lent, or below; and who may decide at all.
  const others = (known.value ?? []).filter(
    (officer) => officer.id !== session.officer.id && !["inspector", "operator"].includes(officer.role) && officer.unit !== null && isWithin(officer.unit, unit.trim()),
  );
  const [days, setDays] = useState("14");
  const [includesSensitive, setIncludesSensitive] = useState(false);
  const work = useWork();
  const submit = (event: Event) => {
    event.preventDefault();
    work.run(async () => {
      await delegate({ to, unit: unit.trim(), days: Number(days), includes_sensitive: includesSensitive });
      say(texts.delegated);
      setTo("");
      done();
    });
  };
  return (
    <form class="panel form" onSubmit={submit}>
      <TextField label={common.unitCode} value={unit} set={setUnit} required maxLength={64} />
      <Choice
        label={texts.receiver}
        hint={known.value !== undefined && others.length === 0 ? texts.nobodyThere : undefined}
        value={to}
        set={setTo}
        required
        options={others.map((officer) => [officer.id, `${officer.name} (${roles[officer.role]}, ${officer.unit ?? ""})`] as const)}
      />
      <ProblemNote error={known.error} retry={known.reload} />
      <TextField label={texts.days} value={days} set={setDays} required type="number" min={1} max={90} />
      <Tick label={texts.includesSensitive} value={includesSensitive} set={setIncludesSensitive} />
      <button type="submit" class="primary" aria-disabled={work.isBusy}>
        {work.isBusy ? common.working : texts.delegate}
      </button>
      <ProblemNote error={work.error} />
    </form>
  );
}

function Revoke({ delegation, close, done }: { delegation: Delegation; close: () => void; done: () => void }) {
  const texts = useTexts(TEXTS);
  const nameOf = useOfficerName();
  const work = useWork();
  const act = () =>
    work.run(async () => {
      await revokeDelegation(delegation.delegation);
      say(texts.revoked);
      close();
      done();
    });
  return (
    <Dialog title={texts.revokeTitle} deed={texts.revoke} isGrave work={work} act={act} close={close}>
      <p>{texts.revokeText(nameOf(delegation.to))}</p>
    </Dialog>
  );
}
