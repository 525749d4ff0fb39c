// The step after which the records change.
import { useState } from "preact/hooks";
import { useTexts } from "../../../lib/language.ts";
import { submitUpload, type Upload } from "../../api/uploads.ts";
import { isoDay, now } from "../../data/dates.ts";
import { TextField, Tick } from "../../parts/form.tsx";
import { focusHeading } from "../../parts/heading.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import { say } from "../../parts/voice.tsx";
import { useWork } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { TEXTS } from "./texts.ts";

const MOST_DAYS_AHEAD = 365;

export function Submit({ upload, put }: { upload: Upload; put: (upload: Upload) => void }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const [effectiveOn, setEffectiveOn] = useState("");
  const [isOnlyGood, setOnlyGood] = useState(false);
  const work = useWork();
  const { counts } = upload;
  const count = counts.new + counts.changed;
  const isStopped = count === 0 || (counts.faults > 0 && !isOnlyGood);
  const submit = (event: Event) => {
    event.preventDefault();
    work.run(async () => {
      put(await submitUpload(upload.id, { ...(effectiveOn === "" ? {} : { effective_on: effectiveOn }), ...(isOnlyGood ? { only_good_rows: true } : {}) }));
      say(texts.submitted);
      focusHeading();
    });
  };
  return (
    <section class="panel" aria-labelledby="submit">
      <h2 id="submit">{texts.submitTitle}</h2>
      <p>{count === 0 ? texts.nothing : texts.submitCount(count)}</p>
      {count > 0 && (
        <form class="form tall" onSubmit={submit}>
          <TextField
            label={`${texts.effective} (${common.optional})`}
            hint={texts.effectiveHint}
            type="date"
            min={isoDay(now(), 1)}
            max={isoDay(now(), MOST_DAYS_AHEAD)}
            value={effectiveOn}
            set={setEffectiveOn}
          />
          {counts.faults > 0 && <Tick label={texts.onlyGood(counts.faults)} hint={texts.onlyGoodHint} value={isOnlyGood} set={setOnlyGood} />}
          {counts.faults > 0 && !isOnlyGood && <p id="has-faults">{texts.hasFaults}</p>}
          <div class="buttons">
            <button type="submit" class="primary" disabled={isStopped} aria-disabled={work.isBusy} {...(counts.faults > 0 && !isOnlyGood ? { "aria-describedby": "has-faults" } : {})}>
              {work.isBusy ? common.working : texts.submit}
            </button>
          </div>
        </form>
      )}
      <ProblemNote error={work.error} />
    </section>
  );
}
