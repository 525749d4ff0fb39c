// What was done and read in the unit and below: who looked, who changed, and when. Codes and counts, nobody's data.
import { useCell } from "../../../lib/cell.ts";
import { useTexts } from "../../../lib/language.ts";
import { type AuditEntry, listAudit } from "../../api/audit.ts";
import { dayAndTime } from "../../data/dates.ts";
import { useOfficerName } from "../../data/officer_names.ts";
import { filter, hashOf, place } from "../../data/router.ts";
import { may, useSession } from "../../data/session.ts";
import { Choice, Filters } from "../../parts/form.tsx";
import { PageHeading } from "../../parts/heading.tsx";
import { PagedTable } from "../../parts/paged_table.tsx";
import type { Column } from "../../parts/table.tsx";
import { TextFilter, UnitFilter } from "../../parts/unit_filter.tsx";
import { usePieces } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { TEXTS } from "./texts.ts";

export default function Audit() {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const session = useSession();
  const nameOf = useOfficerName();
  const { query } = useCell(place);
  const asked = { unit: query.get("unit") ?? "", subject: query.get("subject") ?? "", action: query.get("action") ?? "" };
  const set = (change: Partial<typeof asked>) => filter({ ...asked, ...change });
  const pieces = usePieces((after, signal) => listAudit(asked, after, signal), [asked]);
  const about = ({ action, subject }: AuditEntry) => {
    if (action.startsWith("officer.")) return nameOf(subject);
    if (action.startsWith("card.") && may(session, "cards:read")) return <a href={hashOf(["cards", "card", subject])}>{subject}</a>;
    if (action.startsWith("record.") && may(session, "records:read")) return <a href={hashOf(["records", subject])}>{subject}</a>;
    return subject;
  };
  const columns: Column<AuditEntry>[] = [
    { key: "at", head: common.time, isHead: true, cell: (row) => <span class="nowrap">{dayAndTime(row.at)}</span> },
    { key: "actor", head: texts.actor, cell: (row) => nameOf(row.actor) },
    { key: "action", head: texts.action, cell: (row) => texts.actions[row.action] ?? <code>{row.action}</code> },
    { key: "subject", head: texts.subject, cell: about },
    { key: "detail", head: texts.detail, cell: (row) => texts.purposes[row.detail] ?? row.detail },
  ];
  return (
    <>
      <PageHeading title={common.pages.audit} canPrint reload={pieces.reload} />
      <p class="hint">{texts.hint}</p>
      <Filters label={common.filter}>
        <UnitFilter value={asked.unit} set={(unit) => set({ unit })} />
        <TextFilter label={texts.subjectFilter} value={asked.subject} set={(subject) => set({ subject })} />
        <Choice label={texts.action} value={asked.action} set={(action) => set({ action })} otherwise={common.all} options={Object.entries(texts.actions)} />
      </Filters>
      <section class="panel" aria-label={common.pages.audit}>
        <PagedTable
          caption={common.pages.audit}
          isCaptionHidden
          columns={columns}
          pieces={pieces}
          rowKey={(row) => `${row.at} ${row.actor} ${row.action} ${row.subject} ${row.detail}`}
        />
      </section>
    </>
  );
}
