// The first screen: the card, or how to get one.
import { useState } from "preact/hooks";

import { useCell } from "../../lib/cell.ts";
import { useTexts } from "../../lib/language.ts";
import type { Screen } from "../app.tsx";
import { CLAIMS, texts } from "../texts.ts";
import type { Card, Wallet } from "../wallet.ts";
import { Heading, Problem, Value, claim, plain, timeOf, useClaimName, usePicture, useWork } from "./parts.tsx";

interface Properties {
  wallet: Wallet;
  open: (screen: Screen) => void;
}

/** The screen. */
export function Home({ wallet, open }: Properties) {
  const card = useCell(wallet.card);
  return card === undefined ? <Empty wallet={wallet} open={open} /> : <Held wallet={wallet} card={card} open={open} />;
}

function Empty({ wallet, open }: Properties) {
  const words = useTexts(texts);
  const { isBusy, error, run } = useWork();
  return (
    <section class="empty">
      <Heading>{words.noCard}</Heading>
      <p>{words.noCardHint}</p>
      {error !== undefined && <Problem error={error} />}
      <div class="buttons">
        <button class="main" disabled={isBusy} onClick={() => run(async () => newOffer(wallet, open))}>
          {isBusy ? words.working : words.newOffer}
        </button>
        <button onClick={() => open({ name: "paste" })}>{words.pasteOffer}</button>
      </div>
    </section>
  );
}

async function newOffer(wallet: Wallet, open: Properties["open"]): Promise<void> {
  const { link, transactionCode } = await wallet.demoOffer();
  open({ name: "take", link, transactionCode });
}

function Held({ wallet, card, open }: Properties & { card: Card }) {
  const words = useTexts(texts);
  const { isBusy, error, run } = useWork();
  const isRenewed = useCell(wallet.renewals) > 0;
  const [isSure, setSure] = useState(false);
  const hidden = card.state === "valid" || card.state === "unknown" ? undefined : words.hidden[card.state];
  return (
    <section>
      <Face card={card} />
      <p class={`state ${card.state}`} role="status" data-state={card.state}>
        <strong>{words.states[card.state]}</strong>
        {card.asOf !== undefined && <span> · {words.asOf(timeOf(card.asOf))}</span>}
        {isRenewed && card.state === "valid" && <span> · {words.renewed}</span>}
      </p>
      {error !== undefined && <Problem error={error} />}
      {hidden === undefined ? (
        <button class="main wide" onClick={() => open({ name: "code" })}>
          {words.show}
        </button>
      ) : (
        <p class="hidden">{hidden}</p>
      )}
      <div class="buttons">
        {hidden === undefined && <button onClick={() => open({ name: "paste" })}>{words.pasteRequest}</button>}
        <button disabled={isBusy} onClick={() => run(() => wallet.update())}>
          {isBusy ? words.working : words.update}
        </button>
      </div>
      <Details card={card} />
      <div class="buttons">
        <button disabled={isBusy} onClick={() => run(() => newOffer(wallet, open))}>
          {words.another}
        </button>
        <button onClick={() => (isSure ? void wallet.erase() : setSure(true))}>{isSure ? words.eraseSure : words.erase}</button>
      </div>
    </section>
  );
}

/** The card itself. Nothing on it moves or shines: no picture of it is a proof. */
function Face({ card }: { card: Card }) {
  const words = useTexts(texts);
  const { root } = card.sdJwt;
  const portrait = usePicture(root.children.get("portrait")?.value);
  const agency = root.children.get("employing_agency")?.value;
  const agencyName = typeof agency === "object" && agency !== null && "name" in agency ? String(agency.name) : plain(agency ?? "");
  return (
    <article class={`face ${card.state}`} aria-label={claim(root, "full_name")}>
      <p class="issuer" lang="vi">
        Thẻ cán bộ, công chức, viên chức
      </p>
      <div class="person">
        {portrait !== undefined && <img src={portrait} alt="" />}
        <div>
          <h1 class="name" lang="vi">
            {claim(root, "full_name")}
          </h1>
          <p lang="vi">{claim(root, "position_title")}</p>
          <p lang="vi">{agencyName}</p>
        </div>
      </div>
      <p class="number">
        {claim(root, "card_number_masked")}
        <span>
          {words.dateOfUse} {claim(root, "valid_until")}
        </span>
      </p>
      <p class="unless">{words.notValidUnlessScanned}</p>
    </article>
  );
}

function Details({ card }: { card: Card }) {
  const words = useTexts(texts);
  const nameOf = useClaimName();
  const own = Object.keys(CLAIMS).filter((name) => name !== "portrait" && card.sdJwt.root.children.has(name));
  return (
    <details>
      <summary>{words.details}</summary>
      <dl>
        {own.map((name) => (
          <div key={name}>
            <dt>{nameOf(name)}</dt>
            <dd lang="vi">
              <Value value={card.sdJwt.root.children.get(name)?.value} />
            </dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
