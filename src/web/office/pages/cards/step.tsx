// A step on a card: its reason from the list, and its consequences before it is taken.
import { useState } from "preact/hooks";
import { useTexts } from "../../../lib/language.ts";
import { type Card, type CardStep, moveCard, STEP_REASONS } from "../../api/cards.ts";
import { Dialog } from "../../parts/dialog.tsx";
import { Choice, Tick } from "../../parts/form.tsx";
import { StepUp } from "../../parts/step_up.tsx";
import { say } from "../../parts/voice.tsx";
import { useWork } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { TEXTS } from "./texts.ts";

export function TakeStep({ card, step, close, done }: { card: Card; step: CardStep; close: () => void; done: () => void }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const [reason, setReason] = useState("");
  const [isUnderstood, setUnderstood] = useState(false);
  const work = useWork();
  const act = () =>
    work.run(async () => {
      await moveCard(card.card, step, reason);
      say(texts.done[step]);
      close();
      done();
    });
  return (
    <Dialog title={texts.titles[step]} deed={texts.steps[step]} isGrave={step === "withdraw"} work={work} act={act} close={close}>
      <p>
        <strong>{card.name}</strong> {card.card_number_masked}
      </p>
      <StepUp scope={`cards:${step}`} />
      <p>{texts.consequences}</p>
      <ul class="bullets">
        {texts.consequencesOf[step].map((sentence) => (
          <li key={sentence}>{sentence}</li>
        ))}
      </ul>
      <Choice label={common.reason} required value={reason} set={setReason} options={STEP_REASONS[step].map((code) => [code, texts.reasons[code] ?? code] as const)} />
      {step === "withdraw" && <Tick label={texts.understood} value={isUnderstood} set={setUnderstood} required />}
    </Dialog>
  );
}
