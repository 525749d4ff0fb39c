// Asks the population database about a record, for a purpose that is written down.
import { useState } from "preact/hooks";
import { useCell } from "../../../lib/cell.ts";
import { language, useTexts } from "../../../lib/language.ts";
import { type Matched, matchRecord, type RecordLine } from "../../api/records.ts";
import { labelOf, valueText } from "../../data/fields.ts";
import { Dialog } from "../../parts/dialog.tsx";
import { TextField } from "../../parts/form.tsx";
import { say } from "../../parts/voice.tsx";
import { useWork } from "../../parts/work.ts";
import { MatchState } from "./match_state.tsx";
import { TEXTS } from "./texts.ts";

export function MatchAgain({ record, reload }: { record: RecordLine; reload: () => void }) {
  const texts = useTexts(TEXTS);
  const [isAsked, setAsked] = useState(false);
  const [purpose, setPurpose] = useState("");
  const [matched, setMatched] = useState<Matched>();
  const work = useWork();
  const act = () =>
    work.run(async () => {
      setMatched(await matchRecord(record.handle, purpose.trim()));
      say(texts.asked);
      setAsked(false);
      reload();
    });
  return (
    <>
      <div class="buttons">
        <button type="button" onClick={() => setAsked(true)}>
          {texts.match}
        </button>
      </div>
      {matched !== undefined && <Answer matched={matched} />}
      {isAsked && (
        <Dialog title={texts.matchTitle} deed={texts.match} work={work} act={act} close={() => setAsked(false)}>
          <p>{texts.matchText}</p>
          <TextField label={texts.purpose} value={purpose} set={setPurpose} required maxLength={200} />
        </Dialog>
      )}
    </>
  );
}

function Answer({ matched }: { matched: Matched }) {
  const texts = useTexts(TEXTS);
  const tongue = useCell(language);
  return (
    <div class={matched.outcome === "matched" ? "notice good" : "notice attention"}>
      <div>
        <MatchState match={matched.outcome} />
        {matched.differs.length > 0 && (
          <ul class="bullets">
            {matched.differs.map(({ field, registry }) => (
              <li key={field}>
                {labelOf(field, tongue)}. {texts.registry}: {valueText(field, registry, tongue)}
              </li>
            ))}
          </ul>
        )}
        {matched.outdated.length > 0 && (
          <p>
            {texts.outdated}: {matched.outdated.map((field) => labelOf(field, tongue)).join("; ")}
          </p>
        )}
        {matched.card !== undefined && <p>{matched.card.step === "locked" ? texts.cardLocked(matched.card.card) : texts.cardUnlocked(matched.card.card)}</p>}
      </div>
    </div>
  );
}
