// A new officer, or another role, unit or end for one who is there.
import { useState } from "preact/hooks";
import { useTexts } from "../../../lib/language.ts";
import { addOfficer, changeOfficer, type Officer } from "../../api/officers.ts";
import { type Role, ROLES } from "../../api/session.ts";
import { isoDay, now, startOf } from "../../data/dates.ts";
import { useSession } from "../../data/session.ts";
import { Dialog } from "../../parts/dialog.tsx";
import { Choice, TextField } from "../../parts/form.tsx";
import { StepUp } from "../../parts/step_up.tsx";
import { say } from "../../parts/voice.tsx";
import { useWork } from "../../parts/work.ts";
import { TEXTS as SHELL } from "../../shell/texts.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { TEXTS } from "./texts.ts";

const DAY_SECONDS = 86_400;

/** The instant at which an account ends that may be used up to and on this day. */
const endOf = (isoDate: string) => (isoDate === "" ? null : (startOf(isoDate) ?? 0) + DAY_SECONDS);

export function EditOfficer({ officer, close, done }: { officer: Officer | undefined; close: () => void; done: () => void }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const { roles } = useTexts(SHELL);
  const session = useSession();
  const [subject, setSubject] = useState(officer?.subject ?? "");
  const [name, setName] = useState(officer?.name ?? "");
  const [unit, setUnit] = useState(officer === undefined ? (session.unit?.code ?? "") : (officer.unit?.code ?? ""));
  const [role, setRole] = useState<string>(officer?.role ?? "");
  const until = officer?.valid_until ?? null;
  const [validUntil, setValidUntil] = useState(until === null ? "" : isoDay(until - 1));
  const [person, setPerson] = useState("");
  const work = useWork();
  // A unit's head manages clerks and confirmers; the server says so, too.
  const open = session.officer.role === "unit_head" ? (["clerk", "confirmer"] as const) : ROLES;
  const act = () =>
    work.run(async () => {
      const chosen = ROLES.find((known) => known === role) as Role;
      const to = { subject: subject.trim(), name: name.trim(), unit: unit.trim() === "" ? null : unit.trim(), role: chosen, valid_until: endOf(validUntil) };
      if (officer === undefined) await addOfficer({ ...to, ...(person === "" ? {} : { personal_id_number: person }) });
      else {
        // The same account again would end the sessions of whoever has it for nothing.
        const { subject: account, ...rest } = to;
        await changeOfficer(officer.id, officer.revision, account === officer.subject ? rest : to);
      }
      say(officer === undefined ? texts.added : texts.changed);
      close();
      done();
    });
  return (
    <Dialog title={officer === undefined ? texts.add : `${texts.change}: ${officer.name}`} deed={officer === undefined ? texts.add : texts.save} work={work} act={act} close={close}>
      <StepUp scope="officers:write" />
      <TextField label={texts.account} hint={officer === undefined ? texts.accountHint : texts.accountChangeHint} value={subject} set={setSubject} required maxLength={200} />
      <TextField label={texts.name} value={name} set={setName} required maxLength={120} />
      <Choice label={texts.role} value={role} set={setRole} required options={open.map((known) => [known, roles[known]] as const)} />
      <TextField
        label={session.unit === null ? `${common.unitCode} (${common.optional})` : common.unitCode}
        hint={session.unit === null ? texts.unitHint : undefined}
        value={unit}
        set={setUnit}
        required={session.unit !== null}
        maxLength={64}
      />
      <TextField label={`${texts.validUntil} (${common.optional})`} hint={texts.validHint} type="date" min={isoDay(now())} value={validUntil} set={setValidUntil} />
      {officer === undefined && (
        <TextField label={`${texts.person} (${common.optional})`} hint={texts.personHint} value={person} set={setPerson} pattern="[0-9]{12}" inputMode="numeric" maxLength={12} />
      )}
    </Dialog>
  );
}
