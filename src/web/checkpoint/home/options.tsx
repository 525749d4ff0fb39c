// How this shift checks.
import { useEffect } from "preact/hooks";
import { useCell } from "../../lib/cell.ts";
import { useTexts } from "../../lib/language.ts";
import { DIGIT_COUNTS, digitCount, queue } from "../shift.ts";
import { fill, TEXTS } from "../texts.ts";

/** `required`: the gate's rules ask for check digits. */
export function Options({ required }: { required: boolean }) {
  const texts = useTexts(TEXTS);
  const queueing = useCell(queue) === "on";
  const count = useCell(digitCount);
  useEffect(() => {
    if (required && count === "0") digitCount.set("4");
  }, [required, count]);
  return (
    <section class="options" aria-labelledby="options">
      <h2 id="options">{texts.options}</h2>
      <label class="choice">
        <input type="checkbox" checked={queueing} onChange={() => queue.set(queueing ? "off" : "on")} aria-describedby="queue-hint" />
        <span>
          {texts.queue}
          <small id="queue-hint">{texts.queueHint}</small>
        </span>
      </label>
      <fieldset>
        <legend>{texts.challenge}</legend>
        <p class="hint">{texts.challengeHint}</p>
        <div class="segments">
          {DIGIT_COUNTS.filter((choice) => !required || choice !== "0").map((choice) => (
            <label key={choice}>
              <input type="radio" name="digits" checked={choice === count} onChange={() => digitCount.set(choice)} />
              <span>{choice === "0" ? texts.challengeOff : fill(texts.challengeDigits, { count: choice })}</span>
            </label>
          ))}
        </div>
      </fieldset>
    </section>
  );
}
