// The verdict: what to do, in a word, a colour and a sign; why; who. It clears itself, and can be held.
import { useEffect, useRef, useState } from "preact/hooks";
import { fromBase64 } from "../../lib/bytes.ts";
import { useCell } from "../../lib/cell.ts";
import { text, type Verdict as Answer } from "../../lib/core.ts";
import type { JsonObject } from "../../lib/json.ts";
import { language, useTexts } from "../../lib/language.ts";
import { moment } from "../../lib/times.ts";
import { OutcomeSign } from "../icons.tsx";
import { fill, TEXTS } from "../texts.ts";
import { FullData } from "./full.tsx";

/** What is on the screen: an answer and when it came. */
export interface Shown {
  /** Another number for another check. */
  number: number;
  answer: Answer;
  now: number;
  /** What a receipt of it says, to be signed. */
  receipt: string;
}

interface Props {
  shown: Shown;
  /** For how long, unless it is held. */
  seconds: number;
  done: () => void;
  /** Makes a receipt; gives whether it could. */
  receipt: () => Promise<boolean>;
}

export function Verdict({ shown, seconds, done, receipt }: Props) {
  const { answer, now } = shown;
  const texts = useTexts(TEXTS);
  const tongue = useCell(language);
  const [full, setFull] = useState(false);
  const heading = useFocus(shown.number);
  const countdown = useCountdown(seconds, done);
  return (
    <div class={`verdict ${answer.outcome}`} role="group" aria-labelledby="verdict">
      <div class="outcome">
        <OutcomeSign outcome={answer.outcome} />
        <h1 id="verdict" ref={heading} tabIndex={-1}>
          {texts.outcome[answer.outcome]}
        </h1>
        <p class="sentence">{answer.sentence[tongue]}</p>
      </div>
      <div class="facts">
        <section class="next">
          <h2>{texts.next}</h2>
          <p>{answer.next[tongue]}</p>
        </section>
        {answer.claims !== undefined && <Person claims={answer.claims} copy={answer.outcome === "valid-copy"} />}
        {answer.statusAsOf !== undefined && (
          <p class="as-of">{fill(texts.statusAsOf, { time: moment(answer.statusAsOf, now) })}</p>
        )}
        {full && <FullData answer={answer} />}
        <div class="buttons">
          <button type="button" aria-expanded={full} onClick={() => setFull(!full)}>
            {full ? texts.lessData : texts.full}
          </button>
          <Receipt make={receipt} />
        </div>
      </div>
      <div class="foot">
        <p class="countdown">
          {countdown.held ? texts.held : fill(texts.clearsIn, { seconds: countdown.left })}
          <button type="button" aria-pressed={countdown.held} onClick={countdown.toggle}>
            {countdown.held ? texts.resume : texts.hold}
          </button>
        </p>
        <button type="button" class="primary" onClick={done}>
          {texts.nextPerson}
        </button>
      </div>
    </div>
  );
}

function Person({ claims, copy }: { claims: JsonObject; copy: boolean }) {
  const texts = useTexts(TEXTS);
  const portrait = usePicture(text(claims, "portrait_webp"));
  const agency = text(claims, "agency_name") ?? text(claims, "agency_code");
  return (
    <section class="person">
      {portrait !== undefined && <img class="portrait" src={portrait} alt={texts.portrait} />}
      <div>
        <p class="name">{text(claims, "full_name")}</p>
        <p class="position">{text(claims, "position_title")}</p>
        <p class="agency">{agency}</p>
        {portrait === undefined && copy && <p class="hint">{texts.noPortrait}</p>}
      </div>
    </section>
  );
}

function Receipt({ make }: { make: () => Promise<boolean> }) {
  const texts = useTexts(TEXTS);
  const [state, setState] = useState<"none" | "receiptMade" | "receiptFailed">("none");
  const press = async () => setState((await make()) ? "receiptMade" : "receiptFailed");
  return (
    <>
      <button type="button" onClick={() => void press()} disabled={state === "receiptMade"}>
        {texts.receipt}
      </button>
      <span role="status">{state === "none" ? "" : texts[state]}</span>
    </>
  );
}

/** Moves the focus to the heading whenever another verdict is shown. */
function useFocus(number: number) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), [number]);
  return heading;
}

/** Counts down to the end, unless it is held (WCAG 2.2.1). */
function useCountdown(seconds: number, done: () => void) {
  const [left, setLeft] = useState(seconds);
  // Ticks stop while a phone sleeps and the page is hidden; the clock does not.
  const until = useRef(0);
  const [held, setHeld] = useState(false);
  const end = useRef(done);
  end.current = done;
  useEffect(() => {
    if (held) return;
    until.current = Date.now() + left * 1000;
    const tick = () => setLeft((left) => Math.min(left - 1, Math.ceil((until.current - Date.now()) / 1000)));
    const timer = setInterval(tick, 1000);
    return () => clearInterval(timer);
  }, [held]);
  useEffect(() => {
    if (left <= 0) end.current();
  }, [left]);
  return { left: Math.max(left, 0), held, toggle: () => setHeld(!held) };
}

/** An address for a picture that came as base64, as long as it is shown. */
function usePicture(base64: string | undefined): string | undefined {
  const [address, setAddress] = useState<string>();
  useEffect(() => {
    const bytes = base64 === undefined ? undefined : fromBase64(base64);
    if (bytes === undefined) return setAddress(undefined);
    const made = URL.createObjectURL(new Blob([bytes], { type: "image/webp" }));
    setAddress(made);
    return () => URL.revokeObjectURL(made);
  }, [base64]);
  return address;
}
