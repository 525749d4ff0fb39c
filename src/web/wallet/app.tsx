// Which screen is open, and what goes on behind all of them: links that come in, and the card's state.
import { useEffect, useState } from "preact/hooks";

import { useCell } from "../lib/cell.ts";
import { language, useTexts } from "../lib/language.ts";
import { brought } from "./links.ts";
import { Code } from "./screens/code.tsx";
import { Consent } from "./screens/consent.tsx";
import { Home } from "./screens/home.tsx";
import { Paste } from "./screens/paste.tsx";
import { Take } from "./screens/take.tsx";
import { texts } from "./texts.ts";
import type { Wallet } from "./wallet.ts";

/** A screen and what it needs. */
export type Screen =
  | { readonly name: "home" | "code" | "paste" }
  | { readonly name: "take"; readonly link: string; readonly transactionCode?: string }
  | { readonly name: "consent"; readonly link: string };

/** How often the issuer is asked what became of the card, in milliseconds. A wallet for phones asks far less often, and
 * when the card is opened. */
const UPDATE_PAUSE = 15_000;

/** The phone. */
export function App({ wallet }: { wallet: Wallet }) {
  const words = useTexts(texts);
  const current = useCell(language);
  const card = useCell(wallet.card);
  const [screen, open] = useState<Screen>({ name: "home" });
  useEffect(() => {
    document.title = words.title;
  }, [words]);
  useLinks(open);
  useUpdates(wallet);
  const isShowable = card !== undefined && (card.state === "valid" || card.state === "unknown");
  const isCode = screen.name === "code" && isShowable;
  return (
    <div class="phone">
      <header hidden={isCode}>
        <p>
          {words.title} <small>{words.demo}</small>
        </p>
        <button class="small" lang={current === "vi" ? "en" : "vi"} onClick={() => language.set(current === "vi" ? "en" : "vi")}>
          {words.otherLanguage}
        </button>
      </header>
      <main>
        {isCode && <Code wallet={wallet} card={card} close={() => open({ name: "home" })} />}
        {(screen.name === "home" || (screen.name === "code" && !isCode)) && <Home wallet={wallet} open={open} />}
        {screen.name === "paste" && <Paste wallet={wallet} open={open} />}
        {screen.name === "take" && <Take key={screen.link} wallet={wallet} open={open} {...screen} />}
        {screen.name === "consent" && <Consent key={screen.link} wallet={wallet} open={open} link={screen.link} />}
      </main>
    </div>
  );
}

/** Opens what the address brings, and takes it out of the address: an offer is a secret. */
function useLinks(open: (screen: Screen) => void): void {
  useEffect(() => {
    const look = () => {
      const found = brought(location.href);
      if (!found) return;
      history.replaceState(null, "", location.pathname);
      open({ name: found.kind === "offer" ? "take" : "consent", link: found.link });
    };
    look();
    addEventListener("hashchange", look);
    return () => removeEventListener("hashchange", look);
  }, []);
}

/** Asks now, every so often, and whenever somebody comes back to the page. */
function useUpdates(wallet: Wallet): void {
  useEffect(() => {
    const look = () => {
      if (!document.hidden) void wallet.update();
    };
    look();
    const timer = setInterval(look, UPDATE_PAUSE);
    document.addEventListener("visibilitychange", look);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, []);
}
