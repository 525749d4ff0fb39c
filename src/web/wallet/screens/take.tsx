// Taking an offer: what is offered by whom, and the code that came on another channel.
import { useEffect, useState } from "preact/hooks";

import { useTexts } from "../../lib/language.ts";
import type { Screen } from "../app.tsx";
import { type Offer, fetchOffer } from "../protocol/offer.ts";
import { texts } from "../texts.ts";
import type { Wallet } from "../wallet.ts";
import { Heading, Problem, useWork } from "./parts.tsx";

interface Properties {
  wallet: Wallet;
  link: string;
  /** The demo's own offers bring their code, as a text message would. */
  transactionCode?: string | undefined;
  open: (screen: Screen) => void;
}

/** The screen. */
export function Take({ wallet, link, transactionCode, open }: Properties) {
  const words = useTexts(texts);
  const [offer, setOffer] = useState<Offer>();
  const [code, setCode] = useState("");
  const { isBusy, error, run } = useWork();
  useEffect(() => run(async () => setOffer(await fetchOffer(link))), [link]);
  const take = (event: Event) => {
    event.preventDefault();
    if (!offer) return;
    run(async () => {
      await wallet.take(offer, offer.transactionCode && code.trim());
      open({ name: "home" });
    });
  };
  return (
    <section>
      <Heading>{words.offerTitle}</Heading>
      {transactionCode !== undefined && (
        <aside class="message">
          <strong>{words.message}</strong>
          <p data-testid="message">{words.messageText(transactionCode)}</p>
        </aside>
      )}
      {offer && (
        <form onSubmit={take}>
          <p>
            {words.offerFrom}: <strong>{new URL(offer.issuer).host}</strong>
          </p>
          {offer.transactionCode && (
            <label>
              {words.transactionCode}
              <input
                required
                value={code}
                onInput={(event) => setCode(event.currentTarget.value)}
                inputMode={offer.transactionCode.isNumeric ? "numeric" : "text"}
                autoComplete="one-time-code"
                {...(offer.transactionCode.length === undefined ? {} : { maxLength: offer.transactionCode.length })}
              />
            </label>
          )}
          <button class="main wide" disabled={isBusy}>
            {isBusy ? words.working : words.take}
          </button>
        </form>
      )}
      {!offer && isBusy && <p role="status">{words.working}</p>}
      {error !== undefined && <Problem error={error} />}
      <button class="wide" onClick={() => open({ name: "home" })}>
        {words.back}
      </button>
    </section>
  );
}
