// The records behind a cause, and the same as a file.
import { useCell } from "../../../lib/cell.ts";
import { language, useTexts } from "../../../lib/language.ts";
import { listRows, type QualityRow, readCauses, saveRows } from "../../api/quality.ts";
import { day } from "../../data/dates.ts";
import { withLabels } from "../../data/fields.ts";
import { filter, hashOf, place } from "../../data/router.ts";
import { may, useSession } from "../../data/session.ts";
import { Choice, Filters } from "../../parts/form.tsx";
import { PageHeading } from "../../parts/heading.tsx";
import { PagedTable } from "../../parts/paged_table.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import type { Column } from "../../parts/table.tsx";
import { UnitFilter } from "../../parts/unit_filter.tsx";
import { useLoad, usePieces, useWork } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { TEXTS } from "./texts.ts";

const MOST_CAUSES = 50;

export function RowsPage() {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const tongue = useCell(language);
  const session = useSession();
  const { query } = useCell(place);
  const unit = query.get("unit") ?? session.unit?.code ?? "";
  const flag = query.get("flag") ?? "";
  const [askedUnit, askedFlag] = [unit, flag].map((text) => (text === "" ? undefined : text));
  const pieces = usePieces((after, signal) => listRows(askedUnit, askedFlag, after, signal), [unit, flag]);
  const causes = useLoad((signal) => readCauses(askedUnit, signal, MOST_CAUSES), [unit]);
  const saving = useWork();
  const sentence = (code: string) => {
    const cause = causes.value?.find((known) => known.flag === code);
    return cause === undefined ? code : withLabels(tongue === "vi" ? cause.sentence_vi : cause.sentence_en, tongue);
  };
  const set = (change: { unit?: string; flag?: string }) => filter({ unit, flag, ...change });
  const columns: Column<QualityRow>[] = [
    {
      key: "person",
      head: texts.person,
      isHead: true,
      cell: (row) => (may(session, "records:read") ? <a href={hashOf(["records", row.record])}>{row.full_name ?? row.record}</a> : row.record),
    },
    { key: "number", head: texts.number, cell: (row) => row.number },
    { key: "unit", head: common.unit, cell: (row) => row.unit },
    { key: "flags", head: texts.flags, cell: (row) => row.flags.map(sentence).join("; ") },
    { key: "changed", head: texts.changed, cell: (row) => day(row.changed_at) },
  ];
  return (
    <>
      <PageHeading title={flag === "" ? texts.rows : texts.rowsOf(sentence(flag))} back={hashOf(["quality"], { unit })} canPrint>
        {(["xlsx", "csv"] as const).map((format) => (
          <button key={format} type="button" aria-disabled={saving.isBusy} onClick={() => saving.run(() => saveRows(askedUnit, askedFlag, format))}>
            {texts.exportAs(format)}
          </button>
        ))}
      </PageHeading>
      <ProblemNote error={saving.error} />
      <Filters label={common.filter}>
        <UnitFilter value={unit} set={(value) => set({ unit: value })} />
        <Choice
          label={texts.cause}
          value={flag}
          set={(value) => set({ flag: value })}
          otherwise={common.all}
          options={(causes.value ?? []).map((cause) => [cause.flag, withLabels(tongue === "vi" ? cause.sentence_vi : cause.sentence_en, tongue)] as const)}
        />
      </Filters>
      <section class="panel" aria-label={texts.rows}>
        <PagedTable caption={texts.rows} isCaptionHidden columns={columns} pieces={pieces} rowKey={(row) => row.record} />
      </section>
    </>
  );
}
