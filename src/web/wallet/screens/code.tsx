// The live code over the whole screen: black on white whatever the colours of the page, drawn anew every 20 seconds and
// whenever somebody comes back to it, and gone while nobody looks.
import { useEffect, useRef, useState } from "preact/hooks";

import { useTexts } from "../../lib/language.ts";
import { isChallenge } from "../protocol/countersignature.ts";
import { REDRAW_SECONDS, type Symbol, symbol } from "../protocol/livecode.ts";
import { texts } from "../texts.ts";
import type { Card, Wallet } from "../wallet.ts";
import { Problem, claim } from "./parts.tsx";

/** The screen. */
export function Code({ wallet, card, close }: { wallet: Wallet; card: Card; close: () => void }) {
  const words = useTexts(texts);
  const [digits, setDigits] = useState("");
  const challenge = isChallenge(digits) ? digits : undefined;
  const { drawn, left, error } = useLiveCode(wallet, challenge);
  useWakeLock();
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    button.current?.focus();
    const leave = (event: KeyboardEvent) => event.key === "Escape" && close();
    addEventListener("keydown", leave);
    return () => removeEventListener("keydown", leave);
  }, []);
  return (
    <section class="code" aria-label={words.code}>
      {drawn ? (
        <svg
          role="img"
          aria-label={words.code}
          viewBox={`0 0 ${drawn.side} ${drawn.side}`}
          shape-rendering="crispEdges"
          data-version={drawn.version}
        >
          <rect width={drawn.side} height={drawn.side} fill="#fff" />
          <path d={drawn.path} fill="#000" />
        </svg>
      ) : (
        <p class="paused">{words.paused}</p>
      )}
      <p class="sr" role="status">
        {drawn && words.refreshed(REDRAW_SECONDS)}
      </p>
      <div class="under">
        {error !== undefined && <Problem error={error} />}
        <h1 lang="vi">{claim(card.sdJwt.root, "full_name")}</h1>
        <p class="unless">{words.notValidUnlessScanned}</p>
        <p role="timer" aria-live="off">
          {drawn && words.seconds(left)}
        </p>
        <label>
          {words.challenge}
          <input
            value={digits}
            onInput={(event) => setDigits(event.currentTarget.value.replace(/\D/g, ""))}
            inputMode="numeric"
            autoComplete="off"
            maxLength={6}
            placeholder={words.challengeHint}
          />
        </label>
        <p role="status">{challenge !== undefined && words.challengeUsed(challenge)}</p>
        <p class="number">
          {words.withoutSight} <strong>{claim(card.sdJwt.root, "card_number_masked")}</strong>
        </p>
        <button ref={button} class="wide" onClick={close}>
          {words.close}
        </button>
      </div>
    </section>
  );
}

/** The code of now, and how many seconds it stays. */
function useLiveCode(wallet: Wallet, challenge: string | undefined) {
  const [drawn, setDrawn] = useState<Symbol>();
  const [left, setLeft] = useState(REDRAW_SECONDS);
  const [error, setError] = useState<unknown>();
  useEffect(() => {
    let isOver = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const draw = async () => {
      try {
        const drawing = symbol(await wallet.liveCode(challenge));
        if (isOver || document.hidden) return;
        setDrawn(drawing);
        setLeft(REDRAW_SECONDS);
        tick(REDRAW_SECONDS - 1);
      } catch (error) {
        setError(error);
      }
    };
    const tick = (next: number) => {
      timer = setTimeout(() => {
        if (next === 0) return void draw();
        setLeft(next);
        tick(next - 1);
      }, 1000);
    };
    const look = () => {
      clearTimeout(timer);
      if (document.hidden) setDrawn(undefined);
      else void draw();
    };
    look();
    document.addEventListener("visibilitychange", look);
    return () => {
      isOver = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, [wallet, challenge]);
  return { drawn, left, error };
}

/** Keeps the screen on, where the browser can. */
function useWakeLock(): void {
  useEffect(() => {
    let lock: WakeLockSentinel | undefined;
    const hold = async () => {
      if (!document.hidden) lock = await navigator.wakeLock?.request("screen").catch(() => undefined);
    };
    void hold();
    document.addEventListener("visibilitychange", hold);
    return () => {
      document.removeEventListener("visibilitychange", hold);
      void lock?.release();
    };
  }, []);
}
