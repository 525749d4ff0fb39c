// What is to be minded about a proposal, each as sign and word.
import { useCell } from "../../../lib/cell.ts";
import { language, useTexts } from "../../../lib/language.ts";
import type { Proposal, ProposalState } from "../../api/reviews.ts";
import { day, deadline, now } from "../../data/dates.ts";
import { useOfficerName } from "../../data/officer_names.ts";
import { State, type Tone } from "../../parts/signs.tsx";
import { TEXTS } from "./texts.ts";

const TONES: Record<ProposalState, Tone> = {
  open: "waiting",
  first_approved: "waiting",
  appealed: "attention",
  approved: "good",
  refused: "bad",
  withdrawn: "plain",
  appeal_refused: "bad",
  expired: "plain",
};

export function StateOfProposal({ state }: { state: ProposalState }) {
  const texts = useTexts(TEXTS);
  return <State tone={TONES[state]}>{texts.states[state]}</State>;
}

/** A deadline: the day, and how long that is from now. */
export function Due({ at, isOpen = true }: { at: number; isOpen?: boolean }) {
  const tongue = useCell(language);
  if (!isOpen) return <>{day(at)}</>;
  return (
    <span class="nowrap">
      {day(at)}
      <br />
      <State tone={at <= now() ? "bad" : at - now() < 86_400 ? "attention" : "plain"}>{deadline(at, now(), tongue)}</State>
    </span>
  );
}

export function Marks({ proposal }: { proposal: Proposal }) {
  const texts = useTexts(TEXTS);
  const nameOf = useOfficerName();
  const { claimed_by: claimedBy, escalated_to: escalated } = proposal;
  return (
    <ul class="entries">
      {proposal.has_conflicts && (
        <li>
          <State tone="attention">{texts.conflict}</State>
        </li>
      )}
      {proposal.is_sensitive && <li>{texts.sensitive}</li>}
      {proposal.is_on_card && <li>{texts.onCard}</li>}
      {proposal.evidence_count > 0 && <li>{texts.evidenceCount(proposal.evidence_count)}</li>}
      {claimedBy !== null && <li>{texts.claimedBy(nameOf(claimedBy))}</li>}
      {escalated !== null && <li>{texts.escalated(escalated)}</li>}
    </ul>
  );
}
