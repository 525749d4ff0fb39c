// Which screen is shown, what every screen has, and the voice for screen readers.
import { useState } from "preact/hooks";
import { useCell } from "../lib/cell.ts";
import type { Verdict } from "../lib/core.ts";
import { language, useTexts } from "../lib/language.ts";
import { THEMES, theme } from "../lib/theme.ts";
import { type Checkpoint, now } from "./data/checkpoint.ts";
import type { Receipts } from "./data/receipts.ts";
import { Debug } from "./debug.tsx";
import { Home } from "./home/home.tsx";
import { ReceiptsPage } from "./receipts_page.tsx";
import { Scan } from "./scan/scan.tsx";
import { allowSound } from "./signals.ts";
import { TEXTS } from "./texts.ts";
import type { Shown } from "./verdict/verdict.tsx";

type Screen = "home" | "scan" | "receipts";

export function App({ checkpoint, receipts, debug }: { checkpoint: Checkpoint; receipts: Receipts; debug: boolean }) {
  const texts = useTexts(TEXTS);
  const tongue = useCell(language);
  const [screen, setScreen] = useState<Screen>("home");
  const [voice, setVoice] = useState("");
  const count = useCell(receipts.list).length;

  const announce = (verdict: Verdict | undefined) =>
    setVoice(verdict === undefined ? "" : `${texts.outcome[verdict.outcome]}. ${verdict.sentence[tongue]} ${verdict.next[tongue]}`);

  const start = () => {
    allowSound();
    setScreen("scan");
  };

  const receipt = async (shown: Shown): Promise<boolean> => {
    try {
      await receipts.make(shown.receipt, shown.now, shown.answer.outcome);
      return true;
    } catch {
      return false;
    }
  };

  return (
    <>
      {screen !== "scan" && <Head />}
      {screen === "home" && (
        <Home checkpoint={checkpoint} start={start} showReceipts={() => setScreen("receipts")} receipts={count} />
      )}
      {screen === "scan" && <Scan checkpoint={checkpoint} deviceKey={receipts.deviceKey} stop={() => setScreen("home")} announce={announce} receipt={receipt} />}
      {screen === "receipts" && <ReceiptsPage receipts={receipts} now={now()} back={() => setScreen("home")} />}
      <div class="visually-hidden" role="alert" aria-live="assertive" aria-atomic="true">
        {voice}
      </div>
      {debug && <Debug />}
    </>
  );
}

export function Head() {
  const texts = useTexts(TEXTS);
  const tongue = useCell(language);
  const colours = useCell(theme);
  const next = THEMES[(THEMES.indexOf(colours) + 1) % THEMES.length] ?? "auto";
  return (
    <header class="head">
      <h1>{texts.title}</h1>
      <div class="buttons">
        <button type="button" lang={tongue === "vi" ? "en" : "vi"} onClick={() => language.set(tongue === "vi" ? "en" : "vi")}>
          {texts.language}
        </button>
        <button type="button" onClick={() => theme.set(next)}>
          {texts.theme[colours]}
        </button>
      </div>
    </header>
  );
}

/** What is shown before the checkpoint is open, and when it cannot be opened. */
export function Waiting({ trouble }: { trouble: "loading" | "coreFailed" | "storeFailed" | "offline" }) {
  const texts = useTexts(TEXTS);
  const failed = trouble !== "loading";
  return (
    <>
      <Head />
      <main class="home">
        <section class={failed ? "ready stop" : "ready"} role={failed ? "alert" : "status"}>
          <h2>{failed ? texts.notReady : texts.loading}</h2>
          {failed && <p class="reason">{trouble === "offline" ? texts.firstNeedsNetwork : texts[trouble]}</p>}
        </section>
      </main>
    </>
  );
}
