// The decision on a proposal. What it will do is said before it is done; a refusal has a reason from the list.
import { useState } from "preact/hooks";
import { useCell } from "../../../lib/cell.ts";
import { language, useTexts } from "../../../lib/language.ts";
import { Problem } from "../../api/client.ts";
import { approve, type Decided, type ProposalDetail, refuse, type RefusalReason } from "../../api/reviews.ts";
import { isoDay, now, partialDate } from "../../data/dates.ts";
import { useOfficerName } from "../../data/officer_names.ts";
import { Dialog } from "../../parts/dialog.tsx";
import { Choice, TextArea, TextField, Tick } from "../../parts/form.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import { Sign } from "../../parts/signs.tsx";
import { say } from "../../parts/voice.tsx";
import { useWork, type Work } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { TEXTS } from "./texts.ts";

interface Props {
  proposal: ProposalDetail;
  reasons: readonly RefusalReason[];
  reload: () => void;
}

export function Decide({ proposal, reasons, reload }: Props) {
  const texts = useTexts(TEXTS);
  const [open, setOpen] = useState<"approve" | "refuse">();
  const [decided, setDecided] = useState<Decided>();
  const [conflict, setConflict] = useState<unknown>();
  const work = useWork();
  const decide = (step: () => Promise<Decided>) =>
    work.run(async () => {
      try {
        const answer = await step();
        setDecided(answer);
        setConflict(undefined);
        say(sentenceOf(answer, texts));
      } catch (error) {
        // Somebody else was first: nothing was written, and the page shows what is there now.
        if (!(error instanceof Problem) || !["moved-on", "proposal-state"].includes(error.kind)) throw error;
        setConflict(error);
        say(texts.movedOn);
      }
      setOpen(undefined);
      reload();
    });
  const close = () => {
    work.forget();
    setOpen(undefined);
  };
  return (
    <section class="panel" aria-labelledby="decide">
      <h2 id="decide">{texts.decide}</h2>
      {decided !== undefined && <Outcome decided={decided} />}
      {conflict !== undefined && (
        <>
          <ProblemNote error={conflict} />
          <p>{texts.movedOn}</p>
        </>
      )}
      <FourEyes proposal={proposal} />
      {proposal.may_decide ? (
        <div class="buttons">
          <button type="button" class="primary" onClick={() => setOpen("approve")}>
            {proposal.needs === "second" ? texts.approveSecond : texts.approve}
          </button>
          <button type="button" onClick={() => setOpen("refuse")}>
            {texts.refuse}
          </button>
        </div>
      ) : (
        proposal.why_not !== null && <p>{texts.whyNot[proposal.why_not]}</p>
      )}
      {open === "approve" && <Approve proposal={proposal} work={work} close={close} act={(how) => decide(() => approve(proposal.proposal, how))} />}
      {open === "refuse" && <Refuse proposal={proposal} reasons={reasons} work={work} close={close} act={(why) => decide(() => refuse(proposal.proposal, why))} />}
    </section>
  );
}

function FourEyes({ proposal }: { proposal: ProposalDetail }) {
  const texts = useTexts(TEXTS);
  const nameOf = useOfficerName();
  if (proposal.first_approved_by !== null && proposal.needs === "second") return <p>{texts.fourEyesFirst(nameOf(proposal.first_approved_by))}</p>;
  return proposal.needs === "two" ? <p>{texts.fourEyes}</p> : null;
}

function sentenceOf(decided: Decided, texts: (typeof TEXTS)["vi"]): string {
  if (decided.state === "refused" || decided.state === "appeal_refused") return texts.refused;
  return decided.awaits_second ? texts.approvedFirst : texts.approved;
}

function Outcome({ decided }: { decided: Decided }) {
  const texts = useTexts(TEXTS);
  return (
    <div class="notice good">
      <Sign name="good" />
      <div>
        <p>{sentenceOf(decided, texts)}</p>
        {decided.awaits_second && <p>{texts.becomesFirst}</p>}
        {decided.awaits_confirmation === true && <p>{texts.becomesLaterConfirmed}</p>}
        {decided.card !== null && <p>{texts.newCard(decided.card)}</p>}
        {decided.waits_until !== null && <p>{texts.becomesLater(partialDate(decided.waits_until))}</p>}
      </div>
    </div>
  );
}

interface Step<T> {
  proposal: ProposalDetail;
  work: Work;
  close: () => void;
  act: (how: T) => void;
}

function Approve({ proposal, work, close, act }: Step<Parameters<typeof approve>[1]>) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const isSecond = proposal.needs === "second";
  const conflicts = proposal.changes.filter((change) => change.is_conflict === true).map((change) => change.field);
  const [effectiveOn, setEffectiveOn] = useState("");
  const [isOverwriting, setOverwriting] = useState(false);
  const submit = () =>
    act({
      expected_version: proposal.record_version,
      ...(effectiveOn === "" ? {} : { effective_on: effectiveOn }),
      ...(isOverwriting ? { overwrite: conflicts } : {}),
    });
  const later = effectiveOn !== "" ? effectiveOn : proposal.effective_on;
  return (
    <Dialog title={texts.approveTitle} deed={isSecond ? texts.approveSecond : texts.approve} work={work} act={submit} close={close}>
      <p>{texts.consequences}</p>
      <ul class="bullets">
        {proposal.needs === "two" ? <li>{texts.becomesFirst}</li> : <li>{texts.becomesVersion}</li>}
        {proposal.needs !== "two" && proposal.is_on_card && <li>{texts.becomesCard}</li>}
        {later !== null && later > isoDay(now()) && <li>{texts.becomesLater(partialDate(later))}</li>}
      </ul>
      {conflicts.length > 0 && <Tick label={texts.overwrite} value={isOverwriting} set={setOverwriting} required />}
      {!isSecond && (
        <TextField
          label={`${texts.effective} (${common.optional})`}
          hint={texts.effectiveHint}
          type="date"
          min={isoDay(now(), 1)}
          value={effectiveOn}
          set={setEffectiveOn}
        />
      )}
    </Dialog>
  );
}

function Refuse({ proposal, reasons, work, close, act }: Step<{ reason: string; note?: string }> & { reasons: readonly RefusalReason[] }) {
  const texts = useTexts(TEXTS);
  const [reason, setReason] = useState("");
  const [note, setNote] = useState("");
  const kind = proposal.state === "appealed" ? "appeal" : "proposal";
  return (
    <Dialog title={texts.refuseTitle} deed={texts.refuse} isGrave work={work} act={() => act({ reason, ...(note === "" ? {} : { note }) })} close={close}>
      <WhyFields reasons={reasons.filter((known) => known.for.includes(kind))} reason={reason} setReason={setReason} note={note} setNote={setNote} />
      <p class="hint">{texts.refuseHint}</p>
    </Dialog>
  );
}

/** A reason from the list, and a note where the reason asks for one. */
export function WhyFields(props: {
  reasons: readonly RefusalReason[];
  reason: string;
  setReason: (reason: string) => void;
  note: string;
  setNote: (note: string) => void;
}) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const tongue = useCell(language);
  const needsNote = props.reasons.find((known) => known.reason === props.reason)?.needs_note === true;
  return (
    <>
      <Choice label={common.reason} required value={props.reason} set={props.setReason} options={props.reasons.map((known) => [known.reason, known[tongue]] as const)} />
      <TextArea
        label={needsNote ? common.note : `${common.note} (${common.optional})`}
        hint={needsNote ? texts.needsNote : undefined}
        required={needsNote}
        maxLength={1000}
        value={props.note}
        set={props.setNote}
      />
    </>
  );
}
