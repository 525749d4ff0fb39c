// The receipts of the shift: to hand over when a check is disputed.
import { useEffect, useRef } from "preact/hooks";
import { useCell } from "../lib/cell.ts";
import { OUTCOMES } from "../lib/core.ts";
import { useTexts } from "../lib/language.ts";
import { moment } from "../lib/times.ts";
import type { Receipt, Receipts } from "./data/receipts.ts";
import { OutcomeSign } from "./icons.tsx";
import { TEXTS } from "./texts.ts";

/** A receipt as a file: both signatures, one below the other. */
function file(receipt: Receipt): File {
  const { signed, countersignature } = receipt;
  const text = JSON.stringify(countersignature === undefined ? { signed } : { signed, countersignature }, undefined, 2);
  return new File([`${text}\n`], `bien-nhan-${receipt.at}.json`, { type: "application/json" });
}

function download(receipt: Receipt): void {
  const address = URL.createObjectURL(file(receipt));
  const link = document.createElement("a");
  link.href = address;
  link.download = file(receipt).name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

export function ReceiptsPage({ receipts, now, back }: { receipts: Receipts; now: number; back: () => void }) {
  const texts = useTexts(TEXTS);
  const list = useCell(receipts.list);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    heading.current?.focus();
    void receipts.sendWaiting();
  }, [receipts]);
  return (
    <main class="receipts">
      <h2 ref={heading} tabIndex={-1}>
        {texts.receiptsTitle}
      </h2>
      <p class="hint">{list.length === 0 ? texts.noReceipts : texts.receiptsHint}</p>
      <ul>
        {list.map((receipt) => (
          <Line key={receipt.id} receipt={receipt} now={now} />
        ))}
      </ul>
      <div class="buttons">
        <button type="button" class="primary" onClick={back}>
          {texts.back}
        </button>
        {list.length > 0 && (
          <button type="button" onClick={() => void receipts.remove()}>
            {texts.removeReceipts}
          </button>
        )}
      </div>
    </main>
  );
}

function Line({ receipt, now }: { receipt: Receipt; now: number }) {
  const texts = useTexts(TEXTS);
  const outcome = OUTCOMES.find((known) => known === receipt.outcome) ?? "other-code";
  const share = navigator.canShare?.({ files: [file(receipt)] }) === true;
  return (
    <li>
      <OutcomeSign outcome={outcome} />
      <div>
        <p>
          <strong>{moment(receipt.at, now)}</strong> {texts.outcome[outcome]}
        </p>
        <p class="state">{texts[receipt.state]}</p>
        <div class="buttons">
          <button type="button" onClick={() => download(receipt)}>
            {texts.download}
          </button>
          {share && (
            <button type="button" onClick={() => void navigator.share({ files: [file(receipt)] }).catch(() => undefined)}>
              {texts.share}
            </button>
          )}
        </div>
      </div>
    </li>
  );
}
