// How the connection to the population database stands: for whoever runs the deployment. Nothing here is about people.
import { useTexts } from "../../../lib/language.ts";
import { type Connection, readConnection } from "../../api/population.ts";
import { dayAndTime } from "../../data/dates.ts";
import { Facts } from "../../parts/facts.tsx";
import { PageHeading } from "../../parts/heading.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import { State } from "../../parts/signs.tsx";
import { useEvery, useLoad } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { TEXTS } from "./texts.ts";

const ASK_AGAIN_MILLISECONDS = 15_000;
const TONES = { closed: "good", half_open: "attention", open: "bad" } as const;

export default function Population() {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const loaded = useLoad((signal) => readConnection(signal), []);
  useEvery(ASK_AGAIN_MILLISECONDS, true, loaded.poll);
  return (
    <>
      <PageHeading title={common.pages.population} reload={loaded.reload} />
      <p class="hint">{texts.hint}</p>
      <ProblemNote error={loaded.error} retry={loaded.reload} />
      {loaded.value === undefined ? loaded.isLoading && <p class="loading">{common.loading}</p> : <Shown connection={loaded.value} />}
    </>
  );
}

function Shown({ connection }: { connection: Connection }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const { circuit, waiting, backlog, answers, discrepancies, feed } = connection;
  const at = (instant: number | null) => (instant === null ? common.none : dayAndTime(instant));
  return (
    <>
      <section class="panel" aria-labelledby="connection">
        <h2 id="connection">{texts.connection}</h2>
        <Facts
          facts={[
            [common.state, circuit === null ? <State tone="attention">{texts.notConfigured}</State> : <State tone={TONES[circuit.state]}>{texts.circuits[circuit.state]}</State>],
            ...(circuit?.probes_in_seconds == null ? [] : ([[texts.probes, texts.seconds(circuit.probes_in_seconds)]] as const)),
            [texts.lastAnswer, at(answers.last_at)],
            [texts.answers, `${answers.last_five_minutes} (${texts.rate(answers.rate_per_second)})`],
            [texts.waiting, texts.waitingOf(waiting.interactive, waiting.background)],
            [texts.inFlight, connection.in_flight],
          ]}
        />
      </section>
      <section class="panel" aria-labelledby="backlog">
        <h2 id="backlog">{texts.backlog}</h2>
        <Facts
          facts={[
            [texts.pending, backlog.pending],
            [texts.changed, backlog.changed_at_the_registry],
            [texts.unanswered, backlog.unanswered],
            [texts.oldest, at(backlog.oldest_pending_at)],
            [texts.mismatched, discrepancies.mismatched],
            [texts.notFound, discrepancies.not_found],
            [texts.lockedCards, discrepancies.locked_cards],
          ]}
        />
      </section>
      <section class="panel" aria-labelledby="feed">
        <h2 id="feed">{texts.feed}</h2>
        {feed.enabled ? (
          <Facts
            facts={[
              [texts.through, at(feed.through)],
              [texts.lastRound, at(feed.last_round_at)],
              [texts.lastOutcome, feed.last_outcome === null ? common.none : <State tone={feed.last_outcome === "ok" ? "good" : "attention"}>{feed.last_outcome}</State>],
            ]}
          />
        ) : (
          <p>{texts.noFeed}</p>
        )}
      </section>
    </>
  );
}
