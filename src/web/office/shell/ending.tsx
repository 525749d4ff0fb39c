// Says in time that the session is about to end, and how to go on.
import { useEffect, useState } from "preact/hooks";
import { useTexts } from "../../lib/language.ts";
import type { Session } from "../api/session.ts";
import { now } from "../data/dates.ts";
import { ending, prolong, refresh, signIn } from "../data/session.ts";
import { ProblemNote } from "../parts/problem.tsx";
import { Sign } from "../parts/signs.tsx";
import { useWork } from "../parts/work.ts";
import { TEXTS } from "./texts.ts";

/** How coarsely the seconds are told: each change is read out. */
const STEP_SECONDS = 30;

export function Ending({ session }: { session: Session }) {
  const texts = useTexts(TEXTS);
  const [time, setTime] = useState(now());
  const work = useWork();
  useEffect(() => {
    const timer = setInterval(() => setTime(now()), 5000);
    return () => clearInterval(timer);
  }, []);
  const end = ending(session, Math.max(time, now()));
  const isOver = end?.seconds === 0;
  useEffect(() => {
    if (isOver) void refresh();
  }, [isOver]);
  if (end === undefined) return null;
  return (
    <div class="notice attention" role="alert">
      <Sign name="attention" />
      <div>
        <p>{texts.ending(Math.ceil(end.seconds / STEP_SECONDS) * STEP_SECONDS)}</p>
        <button type="button" aria-disabled={work.isBusy} onClick={() => (end.canProlong ? work.run(() => prolong(session)) : signIn())}>
          {end.canProlong ? texts.stay : texts.again}
        </button>
        <ProblemNote error={work.error} />
      </div>
    </div>
  );
}
