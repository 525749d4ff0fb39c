// The three steps of an approval. The page never sees a key: the document is signed by the agency's own software.
import { useState } from "preact/hooks";
import { useCell } from "../../../lib/cell.ts";
import { language, useTexts } from "../../../lib/language.ts";
import { Problem, saveBlob } from "../../api/client.ts";
import { approve, readDocument } from "../../api/quality.ts";
import { fromBase64, toBase64 } from "../../../lib/bytes.ts";
import { month as monthText } from "../../data/dates.ts";
import { Dialog } from "../../parts/dialog.tsx";
import { FileField, TextArea } from "../../parts/form.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import { Sign as Mark } from "../../parts/signs.tsx";
import { StepUp } from "../../parts/step_up.tsx";
import { say } from "../../parts/voice.tsx";
import { useWork } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { TEXTS } from "./texts.ts";

export function Sign({ unit, month, isLate, done }: { unit: string; month: string; isLate: boolean; done: () => void }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const [document_, setDocument] = useState<File>();
  const [signature, setSignature] = useState<File>();
  const [reason, setReason] = useState("");
  const [isAsked, setAsked] = useState(false);
  const [isApproved, setApproved] = useState(false);
  const fetching = useWork();
  const sending = useWork();
  const name = `phe-duyet-${unit}-${month}.json`;
  const fetchDocument = () => fetching.run(async () => saveBlob(await readDocument(unit, month), name));
  const submit = (event: Event) => {
    event.preventDefault();
    sending.forget();
    if (document_ !== undefined && signature !== undefined) setAsked(true);
  };
  const send = () =>
    sending.run(async () => {
      if (document_ === undefined || signature === undefined) return;
      await approve({ document: await base64Of(document_), signature: await signatureOf(signature), ...(isLate ? { reason: reason.trim() } : {}) });
      setApproved(true);
      setAsked(false);
      say(texts.approved);
      done();
    });
  return (
    <section class="panel" aria-labelledby="steps">
      <h2 id="steps">{texts.steps}</h2>
      <StepUp scope="quality:approve" />
      <h3>{texts.step1}</h3>
      <p class="hint">{texts.step1Hint}</p>
      <div class="buttons">
        <button type="button" aria-disabled={fetching.isBusy} onClick={fetchDocument}>
          {fetching.isBusy ? common.working : texts.document}
        </button>
      </div>
      <Trouble error={fetching.error} name={name} />
      <h3>{texts.step2}</h3>
      <p class="hint">{texts.step2Hint}</p>
      <h3>{texts.step3}</h3>
      <form class="form tall" onSubmit={submit}>
        <FileField label={texts.theDocument} set={setDocument} required accept=".json,application/json" />
        <FileField label={texts.theSignature} set={setSignature} required accept=".p7s,.p7m,.der,.sig,.jws,.txt" />
        {isLate && <TextArea label={texts.late} value={reason} set={setReason} maxLength={500} required />}
        <div class="buttons">
          <button type="submit" class="primary">
            {texts.submit}
          </button>
        </div>
      </form>
      {isApproved && (
        <div class="notice good">
          <Mark name="good" />
          <p>{texts.approved}</p>
        </div>
      )}
      {isAsked && (
        <Dialog
          title={texts.submitTitle}
          deed={texts.submit}
          work={sending}
          act={send}
          close={() => setAsked(false)}
          trouble={<Trouble error={sending.error} name={name} />}
        >
          <p>{texts.submitText(unit, monthText(month))}</p>
        </Dialog>
      )}
    </section>
  );
}

/** What stands in the way of an approval; where the state has moved, with the new document. */
function Trouble({ error, name }: { error: unknown; name: string }) {
  const texts = useTexts(TEXTS);
  const tongue = useCell(language);
  if (!(error instanceof Problem)) return <ProblemNote error={error} />;
  const document_ = error.members["document"];
  const sentence = error.kind === "state-moved" ? texts.stateMoved : texts.problems[error.kind];
  if (sentence === undefined) return <ProblemNote error={error} />;
  const bytes = typeof document_ === "string" ? fromBase64(document_) : undefined;
  return (
    <div class="problem" role="alert" lang={tongue}>
      <Mark name="bad" />
      <div>
        <p>
          <strong>{sentence}</strong>
        </p>
        {bytes !== undefined && (
          <button type="button" onClick={() => saveBlob(new Blob([bytes], { type: "application/json" }), name)}>
            {texts.newDocument}
          </button>
        )}
      </div>
    </div>
  );
}

async function base64Of(file: File): Promise<string> {
  return toBase64(new Uint8Array(await file.arrayBuffer()));
}

/** A JWS is text and goes as it is; a CMS is bytes, or the same in PEM. */
async function signatureOf(file: File): Promise<string> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const text = new TextDecoder().decode(bytes).trim();
  if (/^[A-Za-z0-9_-]+\.\.[A-Za-z0-9_-]+$/.test(text)) return text;
  const [, pem] = /-----BEGIN [A-Z0-9 ]+-----([A-Za-z0-9+/=\s]+)-----END/.exec(text) ?? [];
  return pem === undefined ? toBase64(bytes) : pem.replace(/\s/g, "");
}
