// A link that is pasted: an offer or a request.
import { useState } from "preact/hooks";

import { useTexts } from "../../lib/language.ts";
import type { Screen } from "../app.tsx";
import { pasted } from "../links.ts";
import { Malformed } from "../protocol/bytes.ts";
import { texts } from "../texts.ts";
import type { Wallet } from "../wallet.ts";
import { Heading, Problem } from "./parts.tsx";

/** The screen. */
export function Paste({ wallet, open }: { wallet: Wallet; open: (screen: Screen) => void }) {
  const words = useTexts(texts);
  const [link, setLink] = useState("");
  const [error, setError] = useState<unknown>();
  const goOn = (event: Event) => {
    event.preventDefault();
    const found = pasted(link);
    if (found?.kind === "offer") open({ name: "take", link: found.link });
    else if (found?.kind === "request") open({ name: "consent", link: found.link });
    else setError(new Malformed("link", "is neither an offer nor a request"));
  };
  return (
    <section>
      <Heading>{wallet.card.value ? words.pasteRequest : words.pasteOffer}</Heading>
      <form onSubmit={goOn}>
        <label>
          {words.link}
          <textarea
            required
            rows={5}
            spellcheck={false}
            autoComplete="off"
            placeholder={wallet.card.value ? "openid4vp://…" : "openid-credential-offer://…"}
            value={link}
            onInput={(event) => setLink(event.currentTarget.value)}
          />
        </label>
        {error !== undefined && <Problem error={error} />}
        <button class="main wide">{words.goOn}</button>
      </form>
      <button class="wide" onClick={() => open({ name: "home" })}>
        {words.back}
      </button>
    </section>
  );
}
