// Changes that wait for their day.
import { useCell } from "../../../lib/cell.ts";
import { useTexts } from "../../../lib/language.ts";
import { listChanges } from "../../api/records.ts";
import { filter, place } from "../../data/router.ts";
import { useSession } from "../../data/session.ts";
import { Filters } from "../../parts/form.tsx";
import { PageHeading } from "../../parts/heading.tsx";
import { Pager } from "../../parts/pager.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import { UnitFilter } from "../../parts/unit_filter.tsx";
import { usePieces } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { WaitingList } from "./list.tsx";
import { TEXTS } from "./texts.ts";

export default function Changes() {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const session = useSession();
  const unit = useCell(place).query.get("unit") ?? session.unit?.code ?? "";
  const pieces = usePieces((after, signal) => (unit === "" ? Promise.resolve({ items: [], next: null }) : listChanges(unit, after, signal)), [unit]);
  return (
    <>
      <PageHeading title={common.pages.changes} canPrint />
      <p class="hint">{texts.hint}</p>
      <Filters label={common.filter}>
        <UnitFilter value={unit} set={(value) => filter({ unit: value })} />
      </Filters>
      <section class="panel" aria-label={common.pages.changes}>
        <WaitingList
          caption={common.pages.changes}
          changes={pieces.value?.items ?? []}
          isBusy={pieces.isLoading}
          reload={pieces.reload}
          {...(unit === "" ? { empty: texts.needsUnit } : {})}
        />
        <ProblemNote error={pieces.error} retry={pieces.reload} />
        <Pager pieces={pieces} />
      </section>
    </>
  );
}
