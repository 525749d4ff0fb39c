// Cards whose term or contract ends soon.
import { useCell } from "../../../lib/cell.ts";
import { useTexts } from "../../../lib/language.ts";
import { type EndingCard, listEnding } from "../../api/cards.ts";
import { day } from "../../data/dates.ts";
import { filter, hashOf, place } from "../../data/router.ts";
import { may, useSession } from "../../data/session.ts";
import { Filters } from "../../parts/form.tsx";
import { PageHeading } from "../../parts/heading.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import { type Column, Table } from "../../parts/table.tsx";
import { UnitFilter } from "../../parts/unit_filter.tsx";
import { useLoad } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { TEXTS } from "./texts.ts";

export function Ending() {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const session = useSession();
  const unit = useCell(place).query.get("unit") ?? session.unit?.code ?? "";
  const loaded = useLoad(unit === "" ? undefined : (signal) => listEnding(unit, signal), [unit]);
  const columns: Column<EndingCard>[] = [
    { key: "number", head: texts.number, isHead: true, cell: (card) => <a href={hashOf(["cards", "card", card.card])}>{card.masked_number}</a>, sort: (card) => card.masked_number },
    { key: "unit", head: common.unit, cell: (card) => card.unit, sort: (card) => card.unit },
    { key: "valid", head: texts.valid, cell: (card) => day(card.valid_until), sort: (card) => card.valid_until },
    {
      key: "record",
      head: texts.record,
      cell: (card) => (may(session, "records:read") ? <a href={hashOf(["records", card.record])} aria-label={`${texts.openRecord} ${card.masked_number}`}>{texts.openRecord}</a> : card.record),
    },
  ];
  return (
    <>
      <PageHeading title={texts.endingTitle} canPrint />
      <p class="hint">{texts.endingHint}</p>
      <Filters label={common.filter}>
        <UnitFilter value={unit} set={(value) => filter({ unit: value })} />
      </Filters>
      <section class="panel" aria-label={texts.endingTitle}>
        <Table
          caption={texts.endingTitle}
          isCaptionHidden
          columns={columns}
          rows={loaded.value ?? []}
          rowKey={(card) => card.card}
          isBusy={loaded.isLoading}
          {...(unit === "" ? { empty: texts.needsUnit } : {})}
        />
        <ProblemNote error={loaded.error} retry={loaded.reload} />
      </section>
    </>
  );
}
