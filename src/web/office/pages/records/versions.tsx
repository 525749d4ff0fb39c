// Every version of a record with what it changed, and every question to the population database about it.
import { useTexts } from "../../../lib/language.ts";
import { listQueries, type PopulationQuery, readVersions, type VersionChange } from "../../api/records.ts";
import { dayAndTime } from "../../data/dates.ts";
import type { Patch } from "../../data/diff.ts";
import { useOfficerName } from "../../data/officer_names.ts";
import { FieldDiff } from "../../parts/diff.tsx";
import { PagedTable } from "../../parts/paged_table.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import type { Column } from "../../parts/table.tsx";
import { useLoad, usePieces } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { TEXTS } from "./texts.ts";

/** The changes as the side-by-side table takes them. */
export function patchOf(changes: readonly VersionChange[]): Patch {
  return Object.fromEntries(changes.map((change) => [change.code, { old: change.old, new: change.new }]));
}

export function Versions({ handle, version }: { handle: string; version: number }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const nameOf = useOfficerName();
  const loaded = useLoad((signal) => readVersions(handle, signal), [handle, version]);
  return (
    <>
      {loaded.isLoading && <p class="loading">{common.loading}</p>}
      <ProblemNote error={loaded.error} retry={loaded.reload} />
      {loaded.value?.map((one) => (
        <section key={one.version} aria-label={texts.versionTitle(one.version)}>
          <h3>{texts.versionTitle(one.version)}</h3>
          <p class="hint">
            {dayAndTime(one.at)}. {texts.by(texts.ways[one.way] ?? one.way, nameOf(one.actor))} (<code>{one.reference}</code>)
          </p>
          {one.changes.length === 0 ? (
            <p>{one.version === 1 ? texts.firstVersion : texts.noChanges}</p>
          ) : (
            <FieldDiff caption={texts.versionTitle(one.version)} isCaptionHidden patch={patchOf(one.changes)} oldHead={common.before} newHead={common.after} />
          )}
        </section>
      ))}
      <Queries handle={handle} />
    </>
  );
}

function Queries({ handle }: { handle: string }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const nameOf = useOfficerName();
  const pieces = usePieces((after, signal) => listQueries(handle, after, signal), [handle]);
  const columns: Column<PopulationQuery>[] = [
    { key: "at", head: common.time, isHead: true, cell: (row) => dayAndTime(row.asked_at) },
    { key: "officer", head: texts.officer, cell: (row) => nameOf(row.officer) },
    { key: "purpose", head: texts.purpose, cell: (row) => row.purpose },
    { key: "outcome", head: texts.answer, cell: (row) => texts.queryOutcomes[row.outcome ?? ""] ?? common.unknown },
  ];
  return (
    <>
      <PagedTable caption={texts.queries} columns={columns} pieces={pieces} rowKey={(row) => `${row.asked_at} ${row.officer}`} />
    </>
  );
}
