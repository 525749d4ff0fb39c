// The checkpoint app: opens the checkpoint, then shows it.
import { render } from "preact";
import { followLanguage, language } from "../lib/language.ts";
import { followTheme } from "../lib/theme.ts";
import { App, Waiting } from "./app.tsx";
import { openCore } from "./core.ts";
import { keepApplication } from "./data/application.ts";
import { Checkpoint } from "./data/checkpoint.ts";
import { Receipts } from "./data/receipts.ts";
import { Unreachable } from "./data/server.ts";
import { decoder } from "./scan/decoder.ts";
import "./style.css";
import { TEXTS } from "./texts.ts";

/** What stands behind the `#` of the address: `gate=…` sets this device up for a gate, `debug` shows measurements. */
const asked = new URLSearchParams(location.hash.slice(1));

async function start(root: HTMLElement): Promise<void> {
  render(<Waiting trouble="loading" />, root);
  void keepApplication();
  try {
    const checkpoint = await Checkpoint.open(openCore, asked.get("gate") ?? undefined, () => confirm(TEXTS[language.value].moveGate));
    // Who has a gate's name can set up a checkpoint there: it stays in no address and no history.
    if (asked.has("gate")) history.replaceState(null, "", location.pathname + location.search);
    const receipts = new Receipts(checkpoint.vault);
    await receipts.load();
    checkpoint.run();
    addEventListener("online", () => void receipts.sendWaiting());
    // Warm before the first code comes.
    decoder();
    render(<App checkpoint={checkpoint} receipts={receipts} debug={asked.has("debug")} />, root);
  } catch (error) {
    const trouble = error instanceof Unreachable ? "offline" : error instanceof DOMException ? "storeFailed" : "coreFailed";
    render(<Waiting trouble={trouble} />, root);
  }
}

followLanguage();
followTheme();
const root = document.getElementById("app");
if (root !== null) void start(root);
