// One upload: how far it is, what the check found, and the step that is due.
import { useEffect, useState } from "preact/hooks";
import { useCell } from "../../../lib/cell.ts";
import { language, useTexts } from "../../../lib/language.ts";
import { quietly } from "../../api/client.ts";
import { cancelUpload, followUpload, isUnderWay, readUpload, saveRejects, type Upload } from "../../api/uploads.ts";
import { day, dayAndTime, duration, partialDate } from "../../data/dates.ts";
import { go } from "../../data/router.ts";
import { may, useSession } from "../../data/session.ts";
import { Dialog } from "../../parts/dialog.tsx";
import { Facts } from "../../parts/facts.tsx";
import { PageHeading } from "../../parts/heading.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import { Progress } from "../../parts/progress.tsx";
import { Sign } from "../../parts/signs.tsx";
import { say } from "../../parts/voice.tsx";
import { useEvery, useLoad, useWork } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { Rows } from "./rows.tsx";
import { StateOfUpload } from "./state.tsx";
import { Submit } from "./submit.tsx";
import { TEXTS } from "./texts.ts";

const ASK_AGAIN_MILLISECONDS = 3000;

export function OneUpload({ id }: { id: string }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const loaded = useLoad((signal) => readUpload(id, signal), [id]);
  const upload = loaded.value;
  return (
    <>
      <PageHeading title={texts.upload} back="#/uploads" />
      <ProblemNote error={loaded.error} retry={loaded.reload} />
      {upload === undefined ? loaded.isLoading && <p class="loading">{common.loading}</p> : <Shown upload={upload} put={loaded.put} />}
    </>
  );
}

function Shown({ upload, put }: { upload: Upload; put: (upload: Upload) => void }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const tongue = useCell(language);
  const isLost = useFollowing(upload, put);
  const { counts } = upload;
  const counted = upload.state === "done" ? (["written", "waiting", "conflicts", "unchanged", "faults"] as const) : (["new", "changed", "changed_fields", "unchanged", "faults"] as const);
  const hasRows = upload.state === "checked" || upload.state === "done";
  return (
    <>
      <section class="panel" aria-label={texts.upload}>
        <Facts
          facts={[
            [texts.file, upload.name ?? texts.unnamed],
            [common.unit, upload.unit],
            [common.time, dayAndTime(upload.created_at)],
            [common.state, <StateOfUpload state={upload.state} />],
            ...(upload.effective_on === null ? [] : ([[texts.effective, partialDate(upload.effective_on)]] as const)),
          ]}
        />
        {isUnderWay(upload.state) && <HowFar upload={upload} />}
        {isLost && <p role="status">{texts.lost}</p>}
        {upload.fault !== null && (
          <div class="problem" role="alert">
            <Sign name="bad" />
            <p>{tongue === "vi" ? upload.fault.message_vi : upload.fault.message_en}</p>
          </div>
        )}
        {hasRows && (
          <>
            <h2>{texts.summary}</h2>
            <ul class="counts">
              {counted.map((name) => (
                <li key={name}>
                  <div>
                    <strong>{counts[name]}</strong>
                    <span>{texts.counts[name]}</span>
                  </div>
                </li>
              ))}
            </ul>
          </>
        )}
        <Steps upload={upload} put={put} />
      </section>
      {upload.state === "checked" && <Submit upload={upload} put={put} />}
      {hasRows && <Rows upload={upload} />}
    </>
  );
}

/** Follows an upload while the server is at work on it. */
function useFollowing(upload: Upload, put: (upload: Upload) => void): boolean {
  const texts = useTexts(TEXTS);
  const [isLost, setLost] = useState(false);
  const isOn = isUnderWay(upload.state);
  useEffect(() => {
    if (!isOn) return undefined;
    setLost(false);
    return followUpload(
      upload.id,
      (latest) => {
        if (!isUnderWay(latest.state)) say(texts.states[latest.state]);
        put(latest);
      },
      () => setLost(true),
    );
  }, [upload.id, isOn]);
  useEvery(ASK_AGAIN_MILLISECONDS, isOn && isLost, () => {
    readUpload(upload.id, quietly(AbortSignal.timeout(ASK_AGAIN_MILLISECONDS))).then(put, () => undefined);
  });
  return isOn && isLost;
}

function HowFar({ upload }: { upload: Upload }) {
  const texts = useTexts(TEXTS);
  const tongue = useCell(language);
  const { rows, rows_total: total, remaining_seconds: remaining } = upload.progress;
  const about = texts.progress(rows, total) + (remaining === null ? "" : `, ${texts.remaining(duration(remaining, tongue))}`);
  return (
    <Progress label={upload.state === "submitting" ? texts.writing : texts.checking} part={total === null || total === 0 ? undefined : rows / total}>
      {about}
    </Progress>
  );
}

function Steps({ upload, put }: { upload: Upload; put: (upload: Upload) => void }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const session = useSession();
  const saving = useWork();
  const discarding = useWork();
  const [isAsked, setAsked] = useState(false);
  const rests = upload.state === "checked" || upload.state === "done";
  const hasRejects = rests && upload.counts.faults + upload.counts.conflicts > 0;
  const discard = () =>
    discarding.run(async () => {
      await cancelUpload(upload.id);
      put({ ...upload, state: "cancelled" });
      say(texts.discarded);
      setAsked(false);
      go("uploads");
    });
  return (
    <>
      {rests && <p class="hint">{texts.expires(day(upload.expires_at))}</p>}
      <div class="buttons">
        {hasRejects &&
          (["xlsx", "csv"] as const).map((format) => (
            <button key={format} type="button" aria-disabled={saving.isBusy} onClick={() => saving.run(() => saveRejects(upload.id, format))}>
              {texts.rejects} ({format})
            </button>
          ))}
        {upload.state === "checked" && (
          <button type="button" onClick={() => setAsked(true)}>
            {texts.discard}
          </button>
        )}
        {upload.state === "done" && may(session, "records:confirm") && (
          <a class="button" href="#/reviews/confirmations">
            {texts.toConfirm}
          </a>
        )}
        {!isUnderWay(upload.state) && upload.state !== "checked" && (
          <a class="button" href="#/uploads">
            {texts.anew}
          </a>
        )}
      </div>
      <ProblemNote error={saving.error} />
      {isAsked && (
        <Dialog title={texts.discardTitle} deed={texts.discard} isGrave work={discarding} act={discard} close={() => setAsked(false)}>
          <p>{texts.discardText}</p>
          <p class="hint">{common.unit}: {upload.unit}</p>
        </Dialog>
      )}
    </>
  );
}
