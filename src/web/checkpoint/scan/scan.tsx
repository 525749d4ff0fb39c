// The shift: camera, verdict, next person, until whoever checks ends it. No timer does.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { useCell } from "../../lib/cell.ts";
import type { Verdict as Checked } from "../../lib/core.ts";
import { useTexts } from "../../lib/language.ts";
import { type Checkpoint, now } from "../data/checkpoint.ts";
import { digitCount, digits, queue, renewDigits } from "../shift.ts";
import { signal } from "../signals.ts";
import { TEXTS } from "../texts.ts";
import { timed, verdictShown } from "../timing.ts";
import { type Shown, Verdict } from "../verdict/verdict.tsx";
import { Attentive } from "./attention.ts";
import type { Answer } from "./decoder.ts";
import { OtherWays } from "./other_ways.tsx";
import { Scanner } from "./scanner.ts";
import { useCamera } from "./use_camera.ts";
import { type Hint, Knobs, View } from "./view.tsx";

/** How long a verdict stays. In a queue a good one makes room sooner; what needs a look stays as long as ever. */
const SHOWN_SECONDS = 20;
const QUEUE_SECONDS = 6;

interface Props {
  checkpoint: Checkpoint;
  /** This device's public key, for receipts. */
  deviceKey: JsonWebKey;
  stop: () => void;
  /** Says the verdict to screen readers. */
  announce: (verdict: Checked | undefined) => void;
  receipt: (shown: Shown) => Promise<boolean>;
}

export function Scan({ checkpoint, deviceKey, stop, announce, receipt }: Props) {
  const texts = useTexts(TEXTS);
  // With digits to type there is a new question for everybody, so nobody is let through while a verdict is read.
  const questioned = useCell(digits) !== undefined;
  const queueing = useCell(queue) === "on" && !questioned;
  const video = useRef<HTMLVideoElement>(null);
  const use = useCamera(video);
  const [hint, setHint] = useState<Hint>("none");
  const [shown, setShown] = useState<Shown>();
  const attentive = useRef(new Attentive());
  const number = useRef(0);
  const back = useRef<HTMLHeadingElement>(null);

  const verify = (text: string): Checked => timed(() => checkpoint.verify(text, digits.value));

  const show = (answer: Checked) => {
    number.current += 1;
    setHint("none");
    setShown({ number: number.current, answer, now: now(), receipt: checkpoint.receipt(deviceKey) });
    announce(answer);
    signal(answer.outcome);
  };

  const clear = () => {
    setShown(undefined);
    announce(undefined);
    attentive.current.resume(performance.now());
    renewDigits();
  };

  const seen = (answer: Answer) => {
    if (answer.text === undefined) {
      attentive.current.none(performance.now());
      if (shown === undefined && answer.look !== "code") setHint(answer.look);
      return;
    }
    const attention = attentive.current.weigh(answer.text, performance.now(), verify);
    if (attention === "other") setHint("other");
    else if (attention !== "same") show(attention.show);
  };

  useScanner(video, seen, shown === undefined || queueing);
  useEffect(renewDigits, [useCell(digitCount)]);
  // Before anybody can press a key: a focus that comes later would take it from where they are by then.
  useLayoutEffect(() => {
    if (shown === undefined) back.current?.focus();
  }, [shown]);
  useEffect(() => {
    if (shown !== undefined) verdictShown();
  }, [shown]);
  useEscape(shown === undefined ? undefined : clear);

  const seconds = queueing && shown?.answer.outcome === "valid-live" ? QUEUE_SECONDS : SHOWN_SECONDS;
  return (
    <main class={shown === undefined ? "scan" : queueing ? "scan showing queueing" : "scan showing"}>
      <div class="camera" hidden={shown !== undefined && !queueing}>
        <h1 class="visually-hidden" ref={back} tabIndex={-1}>
          {texts.scan}
        </h1>
        <Digits />
        <View video={video} use={use} hint={hint} />
      </div>
      {shown === undefined ? (
        <div class="below">
          <Knobs use={use} />
          <OtherWays scanned={(text) => show(verify(text))} />
          <button type="button" class="wide" onClick={stop}>
            {texts.stop}
          </button>
        </div>
      ) : (
        <Verdict key={shown.number} shown={shown} seconds={seconds} done={clear} receipt={() => receipt(shown)} />
      )}
    </main>
  );
}

function Digits() {
  const texts = useTexts(TEXTS);
  const current = useCell(digits);
  if (current === undefined) return null;
  return (
    <div class="digits">
      <p id="digits">{texts.digitsToType}</p>
      <p class="number" aria-labelledby="digits">
        {current}
      </p>
      <button type="button" onClick={renewDigits}>
        {texts.newDigits}
      </button>
    </div>
  );
}

function useScanner(video: { current: HTMLVideoElement | null }, seen: (answer: Answer) => void, active: boolean): void {
  // The scanner outlives many drawings of the component, and calls the newest.
  const newest = useRef(seen);
  newest.current = seen;
  useEffect(() => {
    const element = video.current;
    if (!active || element === null) return;
    const scanner = new Scanner(element, (answer) => newest.current(answer));
    scanner.start();
    return () => scanner.stop();
  }, [active, video]);
}

function useEscape(act: (() => void) | undefined): void {
  useEffect(() => {
    if (act === undefined) return;
    const pressed = (event: KeyboardEvent) => event.key === "Escape" && act();
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [act]);
}
