// One record: what it says by groups, where each value comes from, what is wrong with it, its versions.
import { useState } from "preact/hooks";
import { useCell } from "../../../lib/cell.ts";
import { language, useTexts } from "../../../lib/language.ts";
import { type RecordDetail, type RecordField, readRecord } from "../../api/records.ts";
import { day, dayAndTime } from "../../data/dates.ts";
import { groupTitle, labelOf, orderOf, valueText, withLabels } from "../../data/fields.ts";
import { groupBy } from "../../data/groups.ts";
import { useOfficerName } from "../../data/officer_names.ts";
import { may, useSession } from "../../data/session.ts";
import { Facts } from "../../parts/facts.tsx";
import { PageHeading } from "../../parts/heading.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import { State } from "../../parts/signs.tsx";
import { ScrollBox } from "../../parts/table.tsx";
import { useLoad } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { WaitingList } from "../changes/list.tsx";
import { MatchAgain } from "./match.tsx";
import { MatchState } from "./match_state.tsx";
import { TEXTS } from "./texts.ts";
import { Versions } from "./versions.tsx";

export function OneRecord({ handle }: { handle: string }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const loaded = useLoad((signal) => readRecord(handle, signal), [handle]);
  const record = loaded.value;
  return (
    <>
      <PageHeading title={texts.record} back="#/records" />
      <ProblemNote error={loaded.error} retry={loaded.reload} />
      {record === undefined ? loaded.isLoading && <p class="loading">{common.loading}</p> : <Shown record={record} reload={loaded.reload} />}
    </>
  );
}

function Shown({ record, reload }: { record: RecordDetail; reload: () => void }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const tongue = useCell(language);
  const session = useSession();
  const nameOf = useOfficerName();
  const [hasVersions, setVersions] = useState(false);
  return (
    <>
      <section class="panel" aria-label={texts.record}>
        <Facts
          facts={[
            [texts.person, record.full_name],
            [texts.personal, record.masked_personal_number ?? common.unknown],
            [texts.number, record.number],
            [common.unit, record.unit],
            [texts.version, `${record.version}, ${dayAndTime(record.changed_at)}`],
            [texts.population, <MatchState match={record.population} />],
            [
              texts.confirmed,
              record.confirmed_at === null ? (
                <State tone="attention">{texts.notConfirmed}</State>
              ) : (
                <State tone="good">{texts.confirmedBy(nameOf(record.confirmed_by ?? ""), dayAndTime(record.confirmed_at))}</State>
              ),
            ],
            [texts.status, valueText("employment_status", record.employment_status, tongue) || common.unknown],
            ...(record.removed_at === null ? [] : ([[texts.removed, <State tone="bad">{day(record.removed_at)}</State>]] as const)),
            ...(record.differs_in.length === 0 ? [] : ([[texts.differs, record.differs_in.map((field) => labelOf(field, tongue)).join("; ")]] as const)),
          ]}
        />
        {may(session, "records:confirm") && record.removed_at === null && <MatchAgain record={record} reload={reload} />}
      </section>
      <section class="panel" aria-labelledby="flags">
        <h2 id="flags">{texts.flags}</h2>
        {record.flags.length === 0 ? (
          <State tone="good">{texts.noFlags}</State>
        ) : (
          <ul class="entries">
            {record.flags.map((flag, at) => (
              <li key={at}>
                <State tone="attention">
                  <strong>{flag.word}</strong>: {withLabels(tongue === "vi" ? flag.message_vi : flag.message_en, tongue)}
                </State>
              </li>
            ))}
          </ul>
        )}
      </section>
      {record.waiting.length > 0 && (
        <section class="panel" aria-label={texts.waiting}>
          <WaitingList changes={record.waiting} caption={texts.waiting} reload={reload} />
        </section>
      )}
      <Groups fields={record.fields} />
      <details class="panel" onToggle={(event) => event.currentTarget.open && setVersions(true)}>
        <summary>{texts.versions}</summary>
        {hasVersions && <Versions handle={record.handle} version={record.version} />}
      </details>
    </>
  );
}

function Groups({ fields }: { fields: readonly RecordField[] }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const tongue = useCell(language);
  const ordered = [...fields].sort((a, b) => orderOf(a.code) - orderOf(b.code));
  const groups = [...groupBy(ordered, (field) => field.group)];
  return (
    <section class="panel" aria-label={texts.content}>
      <ScrollBox label={common.scroll(texts.content)}>
        <table class="by-groups">
          <caption>{texts.content}</caption>
          <thead>
            <tr>
              <th scope="col">{common.field}</th>
              <th scope="col">{texts.value}</th>
              <th scope="col">{texts.source}</th>
            </tr>
          </thead>
          {groups.map(([group, of]) => (
            <tbody key={group}>
              <tr class="group">
                <th scope="rowgroup" colSpan={3}>
                  {groupTitle(group, tongue)}
                </th>
              </tr>
              {of.map((field) => (
                <tr key={field.code}>
                  <th scope="row">{labelOf(field.code, tongue)}</th>
                  <td class="lines">{valueText(field.code, field.value, tongue)}</td>
                  <td class="hint">{texts.sourceText(texts.ways[field.way] ?? field.way, field.since_version, day(field.since))}</td>
                </tr>
              ))}
            </tbody>
          ))}
        </table>
      </ScrollBox>
    </section>
  );
}
