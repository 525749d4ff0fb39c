// The home screen answers one question: can I check offline now?
import type { Sentence } from "../../lib/language.ts";
import { useCell } from "../../lib/cell.ts";
import type { Lamp, LampState } from "../../lib/core.ts";
import { language, useTexts } from "../../lib/language.ts";
import { ago, kilobytes, moment } from "../../lib/times.ts";
import { type Application, application } from "../data/application.ts";
import { type Checkpoint, now, type Standing } from "../data/checkpoint.ts";
import type { SyncResult } from "../data/sync.ts";
import { LampSign } from "../icons.tsx";
import { fill, TEXTS, type Texts } from "../texts.ts";
import { Options } from "./options.tsx";

const both = (of: (texts: Texts) => string): Sentence => ({ vi: of(TEXTS.vi), en: of(TEXTS.en) });

/** The verifier's lamps, and what only the app knows: whether it is kept for offline, whether a gate's rules are missing. */
function lampsOf(standing: Standing, { version, keptOffline, update }: Application): Lamp[] {
  return standing.lamps.map((lamp) => {
    if (lamp.name === "gate" && standing.gateMissing) {
      return { name: lamp.name, state: "stop", sentence: both((texts) => texts.gateMissing) };
    }
    if (lamp.name === "gate" && standing.gate !== undefined) {
      const { name } = standing.gate;
      return { ...lamp, sentence: { vi: `${name}. ${lamp.sentence.vi}`, en: `${name}. ${lamp.sentence.en}` } };
    }
    if (lamp.name !== "app" || lamp.state === "stop") return lamp;
    const about = (texts: Texts) => fill(keptOffline ? texts.appOffline : texts.appOnline, { version });
    const newer = (texts: Texts) => (update === undefined ? "" : ` ${texts.appUpdate}`);
    const state = keptOffline && update === undefined ? lamp.state : "attention";
    return { name: lamp.name, state, sentence: both((texts) => about(texts) + newer(texts)) };
  });
}

/** Why the shift may not start, if so. */
function obstacle(lamps: Lamp[], result: SyncResult | undefined): Sentence | undefined {
  if (result === "otherAnchor") return both((texts) => texts.otherAnchor);
  return lamps.find((lamp) => lamp.state === "stop")?.sentence;
}

export function Home(props: { checkpoint: Checkpoint; start: () => void; showReceipts: () => void; receipts: number }) {
  const { checkpoint } = props;
  const texts = useTexts(TEXTS);
  const tongue = useCell(language);
  const standing = useCell(checkpoint.standing);
  const app = useCell(application);
  const result = useCell(checkpoint.result);
  const syncing = useCell(checkpoint.syncing);
  const lamps = lampsOf(standing, app);
  const stop = obstacle(lamps, result);
  const worst: LampState = stop !== undefined ? "stop" : lamps.some((lamp) => lamp.state !== "good") ? "attention" : "good";
  const heading = { good: texts.ready, attention: texts.readyWithCare, stop: texts.notReady }[worst];
  return (
    <main class="home">
      <section class={`ready ${worst}`} aria-labelledby="ready">
        <p class="question">{texts.readiness}</p>
        <h2 id="ready">
          <LampSign state={worst} />
          <span>{heading}</span>
        </h2>
        <button type="button" class="primary" onClick={props.start} disabled={stop !== undefined} aria-describedby={stop && "stop"}>
          {stop === undefined ? texts.start : texts.cannotStart}
        </button>
        {stop !== undefined && (
          <p id="stop" class="reason">
            {stop[tongue]}
          </p>
        )}
      </section>
      <Lamps lamps={lamps} now={now()} />
      <section class="sync">
        <dl>
          <div>
            <dt>{texts.lastSync}</dt>
            <dd>{standing.syncedAt === undefined ? texts.never : moment(standing.syncedAt, now())}</dd>
          </div>
          <div>
            <dt>{texts.size}</dt>
            <dd>{kilobytes(standing.bytes)}</dd>
          </div>
        </dl>
        <div class="buttons">
          <button type="button" onClick={() => void checkpoint.sync()} disabled={syncing}>
            {syncing ? texts.syncing : texts.sync}
          </button>
          {app.update !== undefined && (
            <button type="button" onClick={app.update}>
              {texts.update}
            </button>
          )}
          {app.install !== undefined && (
            <button type="button" onClick={app.install}>
              {texts.install}
            </button>
          )}
        </div>
        <p role="status" class="status">
          {syncing || result === undefined ? "" : texts[result]}
        </p>
        {!matchMedia("(display-mode: standalone)").matches && <p class="hint">{texts.installHint}</p>}
      </section>
      <Options required={standing.gate?.challengeRequired === true} />
      <button type="button" class="wide" onClick={props.showReceipts}>
        {fill(texts.receipts, { count: props.receipts })}
      </button>
    </main>
  );
}

function Lamps({ lamps, now }: { lamps: Lamp[]; now: number }) {
  const texts = useTexts(TEXTS);
  const tongue = useCell(language);
  return (
    <ul class="lamps">
      {lamps.map((lamp) => (
        <li key={lamp.name} class={lamp.state}>
          <LampSign state={lamp.state} />
          <div>
            <h3>
              {texts.lamp[lamp.name]}
              <span class="state">
                {texts.lampState[lamp.state]}
                {lamp.issuedAt !== undefined && <span class="age"> · {ago(lamp.issuedAt, now, tongue)}</span>}
              </span>
            </h3>
            <p>{lamp.sentence[tongue]}</p>
          </div>
        </li>
      ))}
    </ul>
  );
}
