// Start, pause, resume, take back: each says before what it does.
import { useState } from "preact/hooks";
import { useTexts } from "../../../lib/language.ts";
import { dropReorganisation, type Reorganisation, type ReorganisationState, type ReorganisationStep, stepReorganisation } from "../../api/reorganisations.ts";
import { partialDate } from "../../data/dates.ts";
import { go } from "../../data/router.ts";
import { Dialog } from "../../parts/dialog.tsx";
import { StepUp } from "../../parts/step_up.tsx";
import { say } from "../../parts/voice.tsx";
import { useWork } from "../../parts/work.ts";
import { TEXTS } from "./texts.ts";

type Deed = ReorganisationStep | "drop";

/** What the server takes at each state: waves are paused once they run, and only what has not begun is taken back. */
export const DEEDS: Readonly<Record<ReorganisationState, readonly Deed[]>> = {
  draft: ["start", "drop"],
  scheduled: ["undo"],
  running: ["pause"],
  paused: ["resume"],
  done: ["resume"],
};

export function Steps({ plan, put }: { plan: Reorganisation; put: (plan: Reorganisation) => void }) {
  const texts = useTexts(TEXTS);
  const [deed, setDeed] = useState<Deed>();
  const work = useWork();
  // One that is done goes on for the sake of what it could not move.
  const hasMore = plan.state !== "done" || plan.failed > 0;
  const open = DEEDS[plan.state].filter((known) => (known !== "undo" || plan.can_be_undone) && (known !== "resume" || hasMore));
  const name = (known: Deed) => (known === "drop" ? texts.drop : texts.steps[known]);
  const act = () =>
    work.run(async () => {
      if (deed === undefined) return;
      const after = deed === "drop" ? undefined : await stepReorganisation(plan.id, deed);
      if (after === undefined) await dropReorganisation(plan.id);
      say(texts.done[deed]);
      setDeed(undefined);
      if (after === undefined) go("reorganisations");
      else put(after);
    });
  return (
    <div class="buttons">
      {open.map((known) => (
        <button key={known} type="button" onClick={() => setDeed(known)}>
          {name(known)}
        </button>
      ))}
      {deed !== undefined && (
        <Dialog title={texts.titles[deed]} deed={name(deed)} isGrave={deed === "start" || deed === "drop"} work={work} act={act} close={() => setDeed(undefined)}>
          <p>
            <strong>{plan.name}</strong>, {partialDate(plan.effective_on)}
          </p>
          <StepUp scope="reorganisations:write" />
          <ul class="bullets">
            {texts.consequences[deed].map((sentence) => (
              <li key={sentence}>{sentence}</li>
            ))}
          </ul>
        </Dialog>
      )}
    </div>
  );
}
