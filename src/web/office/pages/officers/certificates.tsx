// With which certificates the monthly approval may be signed.
import { useState } from "preact/hooks";
import { useTexts } from "../../../lib/language.ts";
import { listOfficers } from "../../api/officers.ts";
import { addCertificate, type ApproverCertificate, listCertificates, removeCertificate } from "../../api/quality.ts";
import { day, dayAndTime } from "../../data/dates.ts";
import { useOfficerName } from "../../data/officer_names.ts";
import { may, useSession } from "../../data/session.ts";
import { Dialog } from "../../parts/dialog.tsx";
import { Choice, FileField, Tick } from "../../parts/form.tsx";
import { PageHeading } from "../../parts/heading.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import { StepUp } from "../../parts/step_up.tsx";
import { type Column, Table } from "../../parts/table.tsx";
import { say } from "../../parts/voice.tsx";
import { useLoad, useWork } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { TEXTS } from "./texts.ts";

export function Certificates() {
  const texts = useTexts(TEXTS);
  const session = useSession();
  const nameOf = useOfficerName();
  const loaded = useLoad((signal) => listCertificates(signal), []);
  const [removing, setRemoving] = useState<ApproverCertificate>();
  const mayWrite = may(session, "officers:write");
  const columns: Column<ApproverCertificate>[] = [
    { key: "officer", head: texts.approver, isHead: true, cell: (row) => nameOf(row.officer) },
    { key: "subject", head: texts.subject, cell: (row) => row.subject },
    { key: "until", head: texts.validTo, cell: (row) => day(row.not_after) },
    { key: "match", head: texts.matches, cell: (row) => texts.matchWords[row.match] },
    { key: "added", head: texts.registered, cell: (row) => `${dayAndTime(row.added_at)}, ${nameOf(row.added_by)}` },
    ...(mayWrite
      ? [
          {
            key: "do",
            head: texts.remove,
            cell: (row: ApproverCertificate) => (
              <button type="button" aria-label={`${texts.remove}: ${row.subject}`} onClick={() => setRemoving(row)}>
                {texts.remove}
              </button>
            ),
          },
        ]
      : []),
  ];
  return (
    <>
      <PageHeading title={texts.tabs.certificates} />
      <p class="hint">{texts.certificatesHint}</p>
      {mayWrite && <Register done={loaded.reload} />}
      <section class="panel" aria-label={texts.tabs.certificates}>
        <Table caption={texts.tabs.certificates} isCaptionHidden columns={columns} rows={loaded.value ?? []} rowKey={(row) => row.id} isBusy={loaded.isLoading} />
        <ProblemNote error={loaded.error} retry={loaded.reload} />
      </section>
      {removing !== undefined && <Remove certificate={removing} close={() => setRemoving(undefined)} done={loaded.reload} />}
    </>
  );
}

function Register({ done }: { done: () => void }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const heads = useLoad((signal) => listOfficers({ role: "unit_head", state: "active" }, undefined, signal, 200), []);
  const [officer, setOfficer] = useState("");
  const [file, setFile] = useState<File>();
  const [bySubject, setBySubject] = useState(false);
  const work = useWork();
  const submit = (event: Event) => {
    event.preventDefault();
    work.run(async () => {
      if (file === undefined) return;
      await addCertificate({ officer, certificate: await file.text(), match: bySubject ? "subject" : "certificate" });
      say(texts.certificateAdded);
      setOfficer("");
      done();
    });
  };
  const options = (heads.value?.items ?? []).map((head) => [head.id, `${head.name} (${head.unit?.code ?? texts.wholeNation})`] as const);
  return (
    <form class="panel form tall" onSubmit={submit}>
      <StepUp scope="officers:write" />
      <Choice label={texts.approver} value={officer} set={setOfficer} required options={options} />
      <ProblemNote error={heads.error} retry={heads.reload} />
      <FileField label={texts.certificateFile} set={setFile} required accept=".pem,.crt,.cer" />
      <Tick label={texts.bySubject} value={bySubject} set={setBySubject} />
      <div class="buttons">
        <button type="submit" class="primary" aria-disabled={work.isBusy}>
          {work.isBusy ? common.working : texts.register}
        </button>
      </div>
      <ProblemNote error={work.error} />
    </form>
  );
}

function Remove({ certificate, close, done }: { certificate: ApproverCertificate; close: () => void; done: () => void }) {
  const texts = useTexts(TEXTS);
  const work = useWork();
  const act = () =>
    work.run(async () => {
      await removeCertificate(certificate.id);
      say(texts.certificateRemoved);
      close();
      done();
    });
  return (
    <Dialog title={texts.removeTitle} deed={texts.remove} isGrave work={work} act={act} close={close}>
      <StepUp scope="officers:write" />
      <p>{certificate.subject}</p>
    </Dialog>
  );
}
