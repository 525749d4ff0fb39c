// Quality: the four words, how they went, what stands against them, and the units below.
import { useCell } from "../../../lib/cell.ts";
import { language, useTexts } from "../../../lib/language.ts";
import { type Quality, readQuality, type UnitQuality, WORDS } from "../../api/quality.ts";
import { dayAndTime, month } from "../../data/dates.ts";
import { useOfficerName } from "../../data/officer_names.ts";
import { filter, hashOf, place } from "../../data/router.ts";
import { percent } from "../../data/scores.ts";
import { useSession } from "../../data/session.ts";
import { Facts } from "../../parts/facts.tsx";
import { Filters } from "../../parts/form.tsx";
import { PageHeading } from "../../parts/heading.tsx";
import { Pager } from "../../parts/pager.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import { ScoreList } from "../../parts/score_list.tsx";
import { type Column, Table } from "../../parts/table.tsx";
import { UnitFilter } from "../../parts/unit_filter.tsx";
import { usePieces } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { Causes } from "./causes.tsx";
import { RowsPage } from "./rows.tsx";
import { TEXTS } from "./texts.ts";
import { Trend } from "./trend.tsx";

export default function QualityPage() {
  const { path } = useCell(place);
  return path[1] === "rows" ? <RowsPage key="rows" /> : <Scores key="scores" />;
}

function Scores() {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const session = useSession();
  const unit = useCell(place).query.get("unit") ?? session.unit?.code ?? "";
  const asked = unit === "" ? undefined : unit;
  // The page's own document comes with the first piece of its units below.
  const pieces = usePieces(async (after, signal) => {
    const quality = await readQuality(asked, after, signal);
    return { items: [quality], next: quality.children.next };
  }, [unit]);
  const quality = pieces.value?.items[0];
  return (
    <>
      <PageHeading title={common.pages.quality} canPrint>
        <a class="button" href={hashOf(["approvals"], { unit })}>
          {texts.toApprovals}
        </a>
      </PageHeading>
      <Filters label={common.filter}>
        <UnitFilter value={unit} set={(value) => filter({ unit: value })} />
      </Filters>
      <ProblemNote error={pieces.error} retry={pieces.reload} />
      {quality === undefined && pieces.isLoading && <p class="loading">{common.loading}</p>}
      {quality !== undefined && <Shown quality={quality} />}
      {quality !== undefined && <Trend unit={asked} />}
      {quality !== undefined && <Causes unit={asked} />}
      {quality !== undefined && (
        <section class="panel" aria-label={texts.units}>
          <Units units={quality.children.items} isBusy={pieces.isLoading} />
          <Pager pieces={pieces} />
        </section>
      )}
    </>
  );
}

function Shown({ quality }: { quality: Quality }) {
  const texts = useTexts(TEXTS);
  const nameOf = useOfficerName();
  const { approval } = quality;
  const name = quality.unit === null ? texts.wholeNation : (quality.name ?? quality.unit);
  return (
    <section class="panel" aria-labelledby="scores">
      <h2 id="scores">{name}</h2>
      <p class="hint">
        {texts.asOf(dayAndTime(quality.at))}. {texts.records}: {quality.records}.
        {quality.pending > 0 && ` ${texts.pending(quality.pending)}`}
      </p>
      <ScoreList scores={quality.scores} before={quality.previous_month} />
      {quality.unit !== null && (
        <Facts facts={[[texts.lastApproval, approval === null ? texts.neverApproved : texts.approvedBy(month(approval.month), nameOf(approval.approver), approval.changed_since ?? 0)]]} />
      )}
    </section>
  );
}

function Units({ units, isBusy }: { units: readonly UnitQuality[]; isBusy: boolean }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const tongue = useCell(language);
  const columns: Column<UnitQuality>[] = [
    {
      key: "unit",
      head: common.unit,
      isHead: true,
      cell: (row) => (
        <a href={hashOf(["quality"], { unit: row.unit })}>
          {row.name ?? ""} ({row.unit})
        </a>
      ),
      sort: (row) => row.unit,
    },
    { key: "records", head: texts.records, isNumber: true, cell: (row) => row.records, sort: (row) => row.records },
    ...[...WORDS, "all" as const].map(
      (word): Column<UnitQuality> => ({
        key: word,
        head: texts.words[word],
        isNumber: true,
        cell: (row) => percent(row.scores[word], tongue),
        sort: (row) => row.scores[word].percent ?? -1,
      }),
    ),
  ];
  return <Table caption={texts.units} columns={columns} rows={units} rowKey={(row) => row.unit} isBusy={isBusy} empty={texts.noUnits} />;
}
