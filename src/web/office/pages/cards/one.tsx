// One card, what happened to it, and the steps that its state allows.
import { useState } from "preact/hooks";
import { useTexts } from "../../../lib/language.ts";
import { type CardDetail, type CardStep, readCard, saveBadges } from "../../api/cards.ts";
import { day, dayAndTime } from "../../data/dates.ts";
import { useOfficerName } from "../../data/officer_names.ts";
import { hashOf } from "../../data/router.ts";
import { may, useSession } from "../../data/session.ts";
import { Facts } from "../../parts/facts.tsx";
import { PageHeading } from "../../parts/heading.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import { type Column, Table } from "../../parts/table.tsx";
import { useLoad, useWork } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { StateOfCard } from "./state.tsx";
import { TakeStep } from "./step.tsx";
import { TEXTS } from "./texts.ts";

export function OneCard({ handle }: { handle: string }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const loaded = useLoad((signal) => readCard(handle, signal), [handle]);
  const card = loaded.value;
  return (
    <>
      <PageHeading title={texts.card} back="#/cards" />
      <ProblemNote error={loaded.error} retry={loaded.reload} />
      {card === undefined ? loaded.isLoading && <p class="loading">{common.loading}</p> : <Shown card={card} reload={loaded.reload} />}
    </>
  );
}

/** What can be done with a card in each state. */
const STEPS: Readonly<Record<CardDetail["state"], readonly CardStep[]>> = { active: ["lock", "withdraw"], locked: ["unlock", "withdraw"], withdrawn: [], expired: [] };

function Shown({ card, reload }: { card: CardDetail; reload: () => void }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const session = useSession();
  const nameOf = useOfficerName();
  const [step, setStep] = useState<CardStep>();
  const saving = useWork();
  const steps = STEPS[card.state].filter((known) => may(session, `cards:${known}`));
  const columns: Column<CardDetail["history"][number]>[] = [
    { key: "at", head: common.time, isHead: true, cell: (line) => dayAndTime(line.at) },
    { key: "action", head: texts.action, cell: (line) => texts.actions[line.action] ?? line.action },
    { key: "actor", head: texts.actor, cell: (line) => nameOf(line.actor) },
    { key: "detail", head: texts.detail, cell: (line) => texts.reasons[line.detail] ?? line.detail },
  ];
  return (
    <>
      <section class="panel" aria-label={texts.card}>
        <Facts
          facts={[
            [texts.person, card.name],
            ...(card.position === null ? [] : ([[texts.position, card.position]] as const)),
            [texts.number, card.card_number_masked],
            [texts.handle, <code>{card.card}</code>],
            [common.unit, card.unit],
            [common.state, <StateOfCard card={card} />],
            ...(card.since === null ? [] : ([[texts.since, dayAndTime(card.since)]] as const)),
            [texts.created, day(card.created_at)],
            [texts.valid, day(card.valid_until)],
            ...(card.replaced_by === null ? [] : ([[texts.replacedBy, <a href={hashOf(["cards", "card", card.replaced_by])}>{card.replaced_by}</a>]] as const)),
            ...(may(session, "records:read") ? ([[texts.record, <a href={hashOf(["records", card.record])}>{texts.openRecord}</a>]] as const) : []),
          ]}
        />
        <div class="buttons">
          {card.state === "active" && may(session, "badges:read") && (
            <button type="button" aria-disabled={saving.isBusy} onClick={() => saving.run(() => saveBadges({ cards: [card.card] }))}>
              {saving.isBusy ? common.working : texts.badge}
            </button>
          )}
          {steps.map((known) => (
            <button key={known} type="button" onClick={() => setStep(known)}>
              {texts.steps[known]}
            </button>
          ))}
        </div>
        <ProblemNote error={saving.error} />
      </section>
      <section class="panel" aria-label={texts.history}>
        <Table caption={texts.history} columns={columns} rows={card.history} rowKey={(line) => `${line.at} ${line.action} ${line.detail}`} />
      </section>
      {step !== undefined && <TakeStep card={card} step={step} close={() => setStep(undefined)} done={reload} />}
    </>
  );
}
