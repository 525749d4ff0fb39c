// The cards of a unit, or those that a search found; the chosen ones' codes as a sheet to print.
import { useState } from "preact/hooks";
import { useCell } from "../../../lib/cell.ts";
import { useTexts } from "../../../lib/language.ts";
import { Problem } from "../../api/client.ts";
import { type Card, CARD_STATES, listCards, saveBadges, searchCards } from "../../api/cards.ts";
import { day } from "../../data/dates.ts";
import { filter, hashOf, place } from "../../data/router.ts";
import { may, useSession } from "../../data/session.ts";
import { Dialog } from "../../parts/dialog.tsx";
import { Choice, Filters } from "../../parts/form.tsx";
import { PageHeading } from "../../parts/heading.tsx";
import { Pager } from "../../parts/pager.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import { Search } from "../../parts/search.tsx";
import { type Column, Table } from "../../parts/table.tsx";
import { UnitFilter } from "../../parts/unit_filter.tsx";
import { usePieces, useWork } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { StateOfCard } from "./state.tsx";
import { TEXTS } from "./texts.ts";

export function CardList() {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const [found, setFound] = useState<readonly Card[]>();
  const { query } = useCell(place);
  const asked = { unit: query.get("unit") ?? "", state: query.get("state") ?? "" };
  const set = (change: Partial<typeof asked>) => filter({ ...asked, ...change });
  const pieces = usePieces((after, signal) => listCards(asked, after, signal), [asked]);
  return (
    <>
      <PageHeading title={common.pages.cards} canPrint />
      <Search texts={texts} search={searchCards} found={setFound} />
      {found === undefined ? (
        <>
          <Filters label={common.filter}>
            <UnitFilter value={asked.unit} set={(unit) => set({ unit })} />
            <Choice label={common.state} value={asked.state} set={(state) => set({ state })} otherwise={common.all} options={CARD_STATES.map((state) => [state, texts.states[state]] as const)} />
          </Filters>
          <section class="panel" aria-label={texts.list}>
            <CardTable caption={texts.list} cards={pieces.value?.items ?? []} isBusy={pieces.isLoading} unit={asked.unit} />
            <ProblemNote error={pieces.error} retry={pieces.reload} />
            <Pager pieces={pieces} />
          </section>
        </>
      ) : (
        <section class="panel" aria-label={texts.results}>
          <div class="buttons">
            <button type="button" onClick={() => setFound(undefined)}>
              {texts.backToList}
            </button>
          </div>
          <CardTable caption={`${texts.results}: ${texts.found(found.length)}`} cards={found} isBusy={false} unit="" />
        </section>
      )}
    </>
  );
}

function CardTable({ caption, cards, isBusy, unit }: { caption: string; cards: readonly Card[]; isBusy: boolean; unit: string }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const session = useSession();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [isAsked, setAsked] = useState(false);
  const saving = useWork();
  const savingAll = useWork();
  const mayPrint = may(session, "badges:read");
  const picked = cards.filter((card) => chosen.has(card.card) && card.state === "active");
  const ofUnit = unit === "" ? session.unit?.code : unit;
  const columns: Column<Card>[] = [
    { key: "name", head: texts.person, isHead: true, cell: (card) => <a href={hashOf(["cards", "card", card.card])}>{card.name}</a> },
    { key: "position", head: texts.position, cell: (card) => card.position ?? "" },
    { key: "number", head: texts.number, cell: (card) => <span class="nowrap">{card.card_number_masked}</span> },
    { key: "unit", head: common.unit, cell: (card) => card.unit },
    { key: "state", head: common.state, cell: (card) => <StateOfCard card={card} /> },
    { key: "created", head: texts.created, cell: (card) => day(card.created_at) },
    { key: "valid", head: texts.valid, cell: (card) => day(card.valid_until) },
  ];
  return (
    <>
      <Table
        caption={caption}
        columns={columns}
        rows={cards}
        rowKey={(card) => card.card}
        isBusy={isBusy}
        selection={
          mayPrint
            ? { of: chosen, set: setChosen, key: (card) => card.card, label: (card) => texts.select(card.name), isOpen: (card) => card.state === "active" }
            : undefined
        }
      />
      {mayPrint && (
        <div class="buttons">
          <button type="button" disabled={picked.length === 0} aria-disabled={saving.isBusy} onClick={() => saving.run(() => saveBadges({ cards: picked.map((card) => card.card) }))}>
            {saving.isBusy ? common.working : texts.badges(picked.length)}
          </button>
          {ofUnit !== undefined && (
            <button type="button" onClick={() => setAsked(true)}>
              {texts.badgesUnit}
            </button>
          )}
        </div>
      )}
      <ProblemNote error={saving.error} />
      {isAsked && ofUnit !== undefined && (
        <Dialog
          title={texts.badgesUnitTitle}
          deed={common.download}
          work={savingAll}
          act={() =>
            savingAll.run(async () => {
              await saveBadges({ unit: ofUnit });
              setAsked(false);
            })
          }
          close={() => setAsked(false)}
          trouble={isTooMuch(savingAll.error) ? <p class="error" role="alert">{texts.badgesTooMany}</p> : undefined}
        >
          <p>
            {texts.badgesUnitText} {common.unit}: {ofUnit}
          </p>
        </Dialog>
      )}
    </>
  );
}

/** Whether a unit has more cards than a file of badges takes. */
const isTooMuch = (error: unknown) => error instanceof Problem && error.kind === "too-much";
