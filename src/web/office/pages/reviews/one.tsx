// One proposal: old and new side by side, what proves it, what happened, and the decision.
import { useCell } from "../../../lib/cell.ts";
import type { Json } from "../../../lib/json.ts";
import { language, useTexts } from "../../../lib/language.ts";
import { kilobytes } from "../../../lib/times.ts";
import { claim, type Evidence, type FieldChange, type ProposalDetail, readPortrait, readProposal, readReasons, release, type ReviewLine, saveEvidence } from "../../api/reviews.ts";
import { dayAndTime, now, partialDate } from "../../data/dates.ts";
import type { Difference, Patch } from "../../data/diff.ts";
import { labelOf } from "../../data/fields.ts";
import { useOfficerName } from "../../data/officer_names.ts";
import { hashOf } from "../../data/router.ts";
import { useSession } from "../../data/session.ts";
import { FieldDiff } from "../../parts/diff.tsx";
import { Facts } from "../../parts/facts.tsx";
import { PageHeading } from "../../parts/heading.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import { Sign } from "../../parts/signs.tsx";
import { type Column, Table } from "../../parts/table.tsx";
import { say } from "../../parts/voice.tsx";
import { useLoad, useWork } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { Decide } from "./decide.tsx";
import { Due, StateOfProposal } from "./marks.tsx";
import { isPicture, Portraits } from "./portraits.tsx";
import { TEXTS } from "./texts.ts";

/** The changes as the side-by-side table takes them, and what the record says now where it has moved on. */
export function asPatch(changes: readonly FieldChange[]): { patch: Patch; now: Record<string, { value: Json; label: string | undefined }> } {
  const side = (change: FieldChange): Difference => ({
    old: change.old,
    new: change.new,
    oldLabel: change.old_label ?? undefined,
    newLabel: change.new_label ?? undefined,
  });
  return {
    patch: Object.fromEntries(changes.map((change) => [change.field, side(change)])),
    now: Object.fromEntries(
      changes.filter((change) => change.is_conflict === true).map((change) => [change.field, { value: change.now, label: change.now_label ?? undefined }]),
    ),
  };
}

export function OneProposal({ id }: { id: string }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const loaded = useLoad((signal) => readProposal(id, signal), [id]);
  const proposal = loaded.value;
  return (
    <>
      <PageHeading title={texts.proposal} back="#/reviews" />
      <ProblemNote error={loaded.error} retry={loaded.reload} />
      {proposal === undefined ? loaded.isLoading && <p class="loading">{common.loading}</p> : <Shown proposal={proposal} reload={loaded.reload} />}
    </>
  );
}

function Shown({ proposal, reload }: { proposal: ProposalDetail; reload: () => void }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const tongue = useCell(language);
  const reasons = useLoad((signal) => readReasons(signal), []);
  const { patch, now: held } = asPatch(proposal.changes.filter((change) => !isPicture(change)));
  const reason = reasons.value?.find((known) => known.reason === proposal.reason)?.[tongue] ?? proposal.reason;
  const isWaiting = ["open", "first_approved", "appealed"].includes(proposal.state);
  return (
    <>
      <section class="panel" aria-label={texts.proposal}>
        <Facts
          facts={[
            [texts.person, proposal.full_name],
            [texts.personMasked, proposal.person_masked],
            [common.unit, proposal.unit],
            [common.state, <StateOfProposal state={proposal.state} />],
            [texts.sent, dayAndTime(proposal.created_at)],
            [texts.due, <Due at={proposal.due_at} isOpen={isWaiting} />],
            ...(proposal.effective_on === null ? [] : ([[texts.effectiveOn, partialDate(proposal.effective_on)]] as const)),
            ...(reason === null ? [] : ([[common.reason, reason]] as const)),
            ...(proposal.reason_note === null ? [] : ([[common.note, proposal.reason_note]] as const)),
          ]}
        />
        <Claim proposal={proposal} reload={reload} />
      </section>
      {proposal.has_conflicts && isWaiting && (
        <div class="notice attention">
          <Sign name="attention" />
          <div>
            <p>
              <strong>{texts.conflictTitle}</strong>
            </p>
            <p>{texts.conflictText}</p>
          </div>
        </div>
      )}
      <section class="panel" aria-label={texts.proposed}>
        {Object.keys(patch).length > 0 && <FieldDiff caption={texts.proposed} patch={patch} now={held} nowHead={texts.now} />}
        {proposal.changes.filter(isPicture).map((change) => (
          <Portraits
            key={change.field}
            change={change}
            of={proposal.proposal}
            heads={{ old: common.old, new: common.new }}
            load={(side, signal) => readPortrait(proposal.proposal, side, signal)}
          />
        ))}
        {proposal.note !== "" && <Facts facts={[[texts.noteOf, proposal.note]]} />}
        {proposal.appeal_note !== null && <Facts facts={[[texts.appealNote, proposal.appeal_note]]} />}
      </section>
      <div class="columns">
        <EvidenceList proposal={proposal} />
        <Decide proposal={proposal} reasons={reasons.value ?? []} reload={reload} />
      </div>
      {proposal.others.length > 0 && (
        <section class="panel" aria-labelledby="others">
          <h2 id="others">{texts.others}</h2>
          <p class="hint">{texts.othersHint}</p>
          <ul class="bullets">
            {proposal.others.map((other) => (
              <li key={other.proposal}>
                <a href={hashOf(["reviews", "proposal", other.proposal])}>{dayAndTime(other.created_at)}</a>: {other.fields.map((field) => labelOf(field, tongue)).join("; ")}
              </li>
            ))}
          </ul>
        </section>
      )}
      <History proposal={proposal} reason={(code) => reasons.value?.find((known) => known.reason === code)?.[tongue] ?? code} />
    </>
  );
}

function Claim({ proposal, reload }: { proposal: ProposalDetail; reload: () => void }) {
  const texts = useTexts(TEXTS);
  const session = useSession();
  const nameOf = useOfficerName();
  const work = useWork();
  const isClaimed = proposal.claimed_by !== null && (proposal.claimed_until ?? 0) > now();
  const isMine = isClaimed && proposal.claimed_by === session.officer.id;
  const act = (step: () => Promise<unknown>, sentence: string) =>
    work.run(async () => {
      await step();
      say(sentence);
      reload();
    });
  if (!proposal.may_decide) return null;
  return (
    <div class="buttons">
      {isClaimed && !isMine && <span>{texts.claimedBy(nameOf(proposal.claimed_by ?? ""))}</span>}
      {!isClaimed && (
        <button type="button" aria-disabled={work.isBusy} onClick={() => act(() => claim(proposal.proposal), texts.claimed)}>
          {texts.claim}
        </button>
      )}
      {isMine && (
        <button type="button" aria-disabled={work.isBusy} onClick={() => act(() => release(proposal.proposal), texts.released)}>
          {texts.release}
        </button>
      )}
      <ProblemNote error={work.error} />
    </div>
  );
}

function EvidenceList({ proposal }: { proposal: ProposalDetail }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const work = useWork();
  const columns: Column<Evidence>[] = [
    { key: "name", head: texts.file, isHead: true, cell: (file) => file.name },
    { key: "kind", head: texts.kind, cell: (file) => file.media_type },
    { key: "size", head: texts.size, isNumber: true, cell: (file) => kilobytes(file.size) },
    {
      key: "save",
      head: common.download,
      cell: (file) => (
        <button type="button" aria-disabled={work.isBusy} aria-label={`${common.download} ${file.name}`} onClick={() => work.run(() => saveEvidence(proposal.proposal, file))}>
          {common.download}
        </button>
      ),
    },
  ];
  return (
    <section class="panel" aria-labelledby="evidence">
      <h2 id="evidence">{texts.evidence}</h2>
      {proposal.evidence.length === 0 ? (
        <p>{texts.noEvidence}</p>
      ) : (
        <>
          <p class="hint">{texts.evidenceHint}</p>
          <Table caption={texts.evidence} isCaptionHidden columns={columns} rows={proposal.evidence} rowKey={(file) => file.evidence} />
        </>
      )}
      <ProblemNote error={work.error} />
    </section>
  );
}

function History({ proposal, reason }: { proposal: ProposalDetail; reason: (code: string) => string }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const nameOf = useOfficerName();
  const columns: Column<ReviewLine>[] = [
    { key: "at", head: common.time, isHead: true, cell: (line) => dayAndTime(line.at) },
    { key: "what", head: texts.history, cell: (line) => texts.what[line.what] ?? line.what },
    { key: "by", head: texts.by, cell: (line) => (line.on_behalf_of === null ? nameOf(line.by) : `${nameOf(line.by)} (${texts.onBehalf(nameOf(line.on_behalf_of))})`) },
    { key: "reason", head: common.reason, cell: (line) => (line.reason === null ? "" : reason(line.reason)) },
    { key: "note", head: common.note, cell: (line) => line.note ?? "" },
  ];
  return (
    <section class="panel" aria-label={texts.history}>
      <Table caption={texts.history} columns={columns} rows={proposal.history} rowKey={(line) => `${line.at} ${line.what} ${line.by}`} />
    </section>
  );
}
