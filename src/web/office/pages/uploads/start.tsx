// The form to fill in, the place to bring it, and what was brought before.
import { useState } from "preact/hooks";
import { useCell } from "../../../lib/cell.ts";
import { language, useTexts } from "../../../lib/language.ts";
import { listUploads, saveForm, sendUpload, type Upload } from "../../api/uploads.ts";
import { dayAndTime } from "../../data/dates.ts";
import { GROUPS, groupTitle } from "../../data/fields.ts";
import { go, hashOf } from "../../data/router.ts";
import { useSession } from "../../data/session.ts";
import { TextField, Tick } from "../../parts/form.tsx";
import { PageHeading } from "../../parts/heading.tsx";
import { PagedTable } from "../../parts/paged_table.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import { Progress } from "../../parts/progress.tsx";
import type { Column } from "../../parts/table.tsx";
import { say } from "../../parts/voice.tsx";
import { usePieces, useWork } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { StateOfUpload } from "./state.tsx";
import { TEXTS } from "./texts.ts";

export function Start() {
  const common = useTexts(COMMON);
  const session = useSession();
  const [unit, setUnit] = useState(session.unit?.code ?? "");
  return (
    <>
      <PageHeading title={common.pages.uploads} />
      <form class="form" onSubmit={(event) => event.preventDefault()}>
        <TextField label={common.unitCode} value={unit} set={setUnit} maxLength={64} required />
      </form>
      <div class="columns">
        <FormOf unit={unit.trim()} />
        <Send unit={unit.trim()} />
      </div>
      <Earlier />
    </>
  );
}

function FormOf({ unit }: { unit: string }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const tongue = useCell(language);
  const [groups, setGroups] = useState<ReadonlySet<string>>(new Set());
  const work = useWork();
  const toggle = (group: string) => {
    const chosen = new Set(groups);
    if (!chosen.delete(group)) chosen.add(group);
    setGroups(chosen);
  };
  return (
    <section class="panel" aria-labelledby="form">
      <h2 id="form">{texts.formTitle}</h2>
      <p class="hint">{texts.formHint}</p>
      <details>
        <summary>
          {texts.groups}
          {groups.size > 0 && ` (${common.selected(groups.size)})`}
        </summary>
        <p class="hint">{texts.groupsAll}</p>
        <div class="facts" role="group" aria-label={texts.groups}>
          {GROUPS.map((group) => (
            <Tick key={group} label={groupTitle(group, tongue)} value={groups.has(group)} set={() => toggle(group)} />
          ))}
        </div>
      </details>
      <div class="buttons">
        <button type="button" aria-disabled={work.isBusy} onClick={() => work.run(() => saveForm(unit, GROUPS.filter((group) => groups.has(group))))}>
          {work.isBusy ? common.working : texts.form}
        </button>
      </div>
      <ProblemNote error={work.error} />
    </section>
  );
}

function Send({ unit }: { unit: string }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const [isOver, setOver] = useState(false);
  const [part, setPart] = useState(0);
  const [isRefused, setRefused] = useState(false);
  const work = useWork();
  const send = (files: FileList | null | undefined) => {
    const file = files?.[0];
    if (file === undefined) return;
    const fits = /\.(xlsx|csv)$/i.test(file.name);
    setRefused(!fits);
    if (!fits) return say(texts.notAForm);
    work.run(async () => {
      setPart(0);
      const upload = await sendUpload(unit, file, setPart);
      say(texts.sent);
      go("uploads", upload.id);
    });
  };
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    send(event.dataTransfer?.files);
  };
  const over = (event: DragEvent) => {
    event.preventDefault();
    setOver(true);
  };
  return (
    <section class="panel" aria-labelledby="file">
      <h2 id="file">{texts.fileTitle}</h2>
      <p class="hint">{texts.fileHint}</p>
      {work.isBusy ? (
        <Progress label={texts.sending} part={part}>
          {common.percent(part)}
        </Progress>
      ) : (
        <label class={isOver ? "drop over" : "drop"} onDrop={drop} onDragOver={over} onDragLeave={() => setOver(false)}>
          <span>
            {texts.drop} <strong>{texts.choose}</strong>
          </span>
          <span class="hint">{texts.kinds}</span>
          <input
            type="file"
            accept=".xlsx,.csv,text/csv,application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
            onChange={(event) => {
              send(event.currentTarget.files);
              // The same file, corrected, can be chosen again.
              event.currentTarget.value = "";
            }}
          />
        </label>
      )}
      {isRefused && (
        <p class="error" role="alert">
          {texts.notAForm}
        </p>
      )}
      <ProblemNote error={work.error} />
    </section>
  );
}

function Earlier() {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const pieces = usePieces((after, signal) => listUploads({}, after, signal), []);
  const columns: Column<Upload>[] = [
    { key: "time", head: common.time, isHead: true, cell: (upload) => <a href={hashOf(["uploads", upload.id])}>{dayAndTime(upload.created_at)}</a> },
    { key: "file", head: texts.file, cell: (upload) => upload.name ?? texts.unnamed },
    { key: "unit", head: common.unit, cell: (upload) => upload.unit },
    { key: "state", head: common.state, cell: (upload) => <StateOfUpload state={upload.state} /> },
    { key: "rows", head: texts.rows, isNumber: true, cell: (upload) => upload.progress.rows_total ?? upload.progress.rows },
    { key: "faults", head: texts.faultRows, isNumber: true, cell: (upload) => upload.counts.faults },
  ];
  return (
    <section class="panel" aria-label={texts.earlier}>
      <PagedTable caption={texts.earlier} columns={columns} pieces={pieces} rowKey={(upload) => upload.id} />
    </section>
  );
}
