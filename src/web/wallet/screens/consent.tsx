// Somebody asks: who, what for, and what exactly they would receive. Nothing is sent before the person agrees.
import { useEffect, useState } from "preact/hooks";

import { useCell } from "../../lib/cell.ts";
import { type Language, language, useTexts } from "../../lib/language.ts";
import type { Screen } from "../app.tsx";
import type { Shown } from "../protocol/dcql.ts";
import { texts } from "../texts.ts";
import type { Question, Wallet } from "../wallet.ts";
import { Heading, Problem, Value, useClaimName, useWork } from "./parts.tsx";

interface Properties {
  wallet: Wallet;
  link: string;
  open: (screen: Screen) => void;
}

/** The screen. */
export function Consent({ wallet, link, open }: Properties) {
  const words = useTexts(texts);
  const [question, setQuestion] = useState<Question>();
  const [outcome, setOutcome] = useState<"sent" | "refused">();
  const { isBusy, error, run } = useWork();
  useEffect(() => run(async () => setQuestion(await wallet.question(link))), [link]);
  const finish = (as: "sent" | "refused", answer: (question: Question) => Promise<string | undefined>) => {
    if (!question) return;
    run(async () => {
      const next = await answer(question);
      setOutcome(as);
      // The verifier's page takes over in the browser in which the person began.
      if (next !== undefined) location.assign(next);
    });
  };
  if (outcome) return <Outcome outcome={outcome} open={open} />;
  return (
    <section class="consent">
      {question ? (
        <Asked
          question={question}
          isBusy={isBusy}
          agree={() => finish("sent", (question) => wallet.agree(question))}
          refuse={() => finish("refused", (question) => wallet.refuse(question))}
        />
      ) : (
        <Heading>{words.pasteRequest}</Heading>
      )}
      {!question && isBusy && <p role="status">{words.working}</p>}
      {error !== undefined && (
        <>
          <Problem error={error} />
          <button class="wide" onClick={() => open({ name: "home" })}>
            {words.back}
          </button>
        </>
      )}
    </section>
  );
}

function Asked(properties: { question: Question; isBusy: boolean; agree: () => void; refuse: () => void }) {
  const { question, isBusy, agree, refuse } = properties;
  const words = useTexts(texts);
  const { request, matches } = question;
  const purpose = purposeOf(request.verifierInfo, useCell(language));
  const shown = matches.flatMap((match) => match.shown);
  return (
    <>
      <Heading>
        {request.verifierName || new URL(request.responseUri).host} {words.asks}
      </Heading>
      <p class="host">{new URL(request.responseUri).host}</p>
      <p>
        <strong>{words.purpose}:</strong> {purpose ?? words.noPurpose}
      </p>
      {matches.length === 0 ? (
        <p class="hidden">{words.cannotAnswer}</p>
      ) : (
        <>
          <h2>{words.theyReceive}</h2>
          {shown.length === 0 ? <p>{words.nothingElse}</p> : <ShownClaims shown={shown} />}
          <p class="detail">{words.always}</p>
        </>
      )}
      <div class="buttons">
        {matches.length > 0 && (
          <button class="main" disabled={isBusy} onClick={agree}>
            {isBusy ? words.working : words.agree}
          </button>
        )}
        <button disabled={isBusy} onClick={refuse}>
          {words.refuse}
        </button>
      </div>
    </>
  );
}

function ShownClaims({ shown }: { shown: readonly Shown[] }) {
  const nameOf = useClaimName();
  return (
    <dl>
      {shown.map(({ path, values }) => (
        <div key={path.join("/")}>
          <dt>{nameOf(String(path[0]))}</dt>
          <dd lang="vi">
            {values.map((value, position) => (
              <span key={position}>
                {position > 0 && ", "}
                <Value value={value} />
              </span>
            ))}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Outcome({ outcome, open }: { outcome: "sent" | "refused"; open: Properties["open"] }) {
  const words = useTexts(texts);
  return (
    <section class="empty">
      <Heading>{words[outcome]}</Heading>
      <p role="status">{outcome === "sent" ? words.sentText : words.refusedText}</p>
      <button class="main wide" onClick={() => open({ name: "home" })}>
        {words.done}
      </button>
    </section>
  );
}

/** `format` of the entry of `verifier_info` in which our verifiers say why they ask; others are passed over. */
const PURPOSE_FORMAT = "urn:vn:officials-card:purpose";

/** The purpose among what the verifier says of itself: its data has a text for each language. */
export function purposeOf(info: unknown, wanted: Language): string | undefined {
  const entries = (Array.isArray(info) ? info : []) as { format?: unknown; data?: Record<string, unknown> }[];
  const data = entries.find((entry) => entry?.format === PURPOSE_FORMAT)?.data;
  const said = [data?.[wanted], data?.["vi"], data?.["en"]];
  return said.find((text) => typeof text === "string");
}
