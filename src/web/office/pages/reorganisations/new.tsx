// A new plan: which units move where, from which day, by which decision. It is a draft until somebody starts it.
import { useState } from "preact/hooks";
import { useTexts } from "../../../lib/language.ts";
import { addReorganisation } from "../../api/reorganisations.ts";
import { isoDay, now } from "../../data/dates.ts";
import { go } from "../../data/router.ts";
import { Dialog } from "../../parts/dialog.tsx";
import { TextField } from "../../parts/form.tsx";
import { StepUp } from "../../parts/step_up.tsx";
import { say } from "../../parts/voice.tsx";
import { useWork } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { TEXTS } from "./texts.ts";

interface Line {
  readonly from: string;
  readonly to: string;
  readonly toName: string;
  readonly numbers: string;
}

const EMPTY: Line = { from: "", to: "", toName: "", numbers: "" };

export function NewPlan({ close }: { close: () => void }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const [name, setName] = useState("");
  const [decision, setDecision] = useState("");
  const [effectiveOn, setEffectiveOn] = useState("");
  const [waveSize, setWaveSize] = useState("");
  const [lines, setLines] = useState<readonly Line[]>([EMPTY]);
  const work = useWork();
  const set = (at: number, change: Partial<Line>) => setLines(lines.map((line, index) => (index === at ? { ...line, ...change } : line)));
  const act = () =>
    work.run(async () => {
      const plan = await addReorganisation({
        name: name.trim(),
        decision: decision.trim(),
        effective_on: effectiveOn,
        ...(waveSize === "" ? {} : { wave_size: Number(waveSize) }),
        moves: lines.map((line) => {
          const numbers = line.numbers.split(",").map((number) => number.trim()).filter((number) => number !== "");
          return {
            from: line.from.trim(),
            to: line.to.trim(),
            ...(line.toName.trim() === "" ? {} : { to_name: line.toName.trim() }),
            ...(numbers.length === 0 ? {} : { numbers }),
          };
        }),
      });
      say(texts.added);
      close();
      go("reorganisations", plan.id);
    });
  return (
    <Dialog title={texts.add} deed={texts.add} work={work} act={act} close={close}>
      <StepUp scope="reorganisations:write" />
      <TextField label={texts.name} value={name} set={setName} required maxLength={200} />
      <TextField label={texts.decision} value={decision} set={setDecision} required maxLength={200} />
      <div class="form">
        <TextField label={texts.effective} type="date" min={isoDay(now(), 1)} value={effectiveOn} set={setEffectiveOn} required />
        <TextField label={`${texts.waveSize} (${common.optional})`} type="number" min={1} value={waveSize} set={setWaveSize} />
      </div>
      {lines.map((line, at) => (
        <fieldset key={at} class="form">
          <legend>{texts.move(at + 1)}</legend>
          <TextField label={texts.from} value={line.from} set={(from) => set(at, { from })} required maxLength={64} />
          <TextField label={texts.to} value={line.to} set={(to) => set(at, { to })} required maxLength={64} />
          <TextField label={`${texts.toName} (${common.optional})`} value={line.toName} set={(toName) => set(at, { toName })} maxLength={200} />
          <TextField label={`${texts.numbers} (${common.optional})`} hint={texts.numbersHint} value={line.numbers} set={(numbers) => set(at, { numbers })} />
          {lines.length > 1 && (
            <button type="button" aria-label={`${texts.removeMove} ${at + 1}`} onClick={() => setLines(lines.filter((_, index) => index !== at))}>
              {texts.removeMove}
            </button>
          )}
        </fieldset>
      ))}
      <div class="buttons">
        <button type="button" onClick={() => setLines([...lines, EMPTY])}>
          {texts.addMove}
        </button>
      </div>
    </Dialog>
  );
}
