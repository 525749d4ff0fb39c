// Reorganisations: the plans, and one with everybody whom it concerns.
import { useState } from "preact/hooks";
import { useCell } from "../../../lib/cell.ts";
import { useTexts } from "../../../lib/language.ts";
import { listReorganisations, type Reorganisation, type ReorganisationState } from "../../api/reorganisations.ts";
import { partialDate } from "../../data/dates.ts";
import { hashOf, place } from "../../data/router.ts";
import { may, useSession } from "../../data/session.ts";
import { PageHeading } from "../../parts/heading.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import { State, type Tone } from "../../parts/signs.tsx";
import { type Column, Table } from "../../parts/table.tsx";
import { useLoad } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { NewPlan } from "./new.tsx";
import { OneReorganisation } from "./one.tsx";
import { TEXTS } from "./texts.ts";

export default function Reorganisations() {
  const [, id] = useCell(place).path;
  return id === undefined ? <List key="list" /> : <OneReorganisation key={id} id={id} />;
}

const TONES: Record<ReorganisationState, Tone> = { draft: "plain", scheduled: "waiting", running: "waiting", paused: "attention", done: "good" };

export function StateOfPlan({ state }: { state: ReorganisationState }) {
  const texts = useTexts(TEXTS);
  return <State tone={TONES[state]}>{texts.states[state]}</State>;
}

function List() {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const session = useSession();
  const loaded = useLoad((signal) => listReorganisations(signal), []);
  const [isNew, setNew] = useState(false);
  const columns: Column<Reorganisation>[] = [
    { key: "name", head: texts.name, isHead: true, cell: (row) => <a href={hashOf(["reorganisations", row.id])}>{row.name}</a>, sort: (row) => row.name },
    { key: "decision", head: texts.decision, cell: (row) => row.decision },
    { key: "day", head: texts.effective, cell: (row) => partialDate(row.effective_on), sort: (row) => row.effective_on },
    { key: "state", head: common.state, cell: (row) => <StateOfPlan state={row.state} /> },
    { key: "moved", head: texts.counts.moved, isNumber: true, cell: (row) => row.moved },
    { key: "cards", head: texts.counts.cards, isNumber: true, cell: (row) => row.cards },
    { key: "failed", head: texts.counts.failed, isNumber: true, cell: (row) => row.failed },
  ];
  return (
    <>
      <PageHeading title={common.pages.reorganisations} canPrint>
        {may(session, "reorganisations:write") && (
          <button type="button" class="primary" onClick={() => setNew(true)}>
            {texts.add}
          </button>
        )}
      </PageHeading>
      <p class="hint">{texts.hint}</p>
      <section class="panel" aria-label={common.pages.reorganisations}>
        <Table caption={common.pages.reorganisations} isCaptionHidden columns={columns} rows={loaded.value ?? []} rowKey={(row) => row.id} isBusy={loaded.isLoading} />
        <ProblemNote error={loaded.error} retry={loaded.reload} />
      </section>
      {isNew && <NewPlan close={() => setNew(false)} />}
    </>
  );
}
