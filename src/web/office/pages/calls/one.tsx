// One call: what was sent where, what was answered, and every fault with its place.
import { useTexts } from "../../../lib/language.ts";
import { type CallDetail, type CallFault, readCall } from "../../api/calls.ts";
import { dayAndTime } from "../../data/dates.ts";
import { hashOf } from "../../data/router.ts";
import { may, useSession } from "../../data/session.ts";
import { Facts } from "../../parts/facts.tsx";
import { PageHeading } from "../../parts/heading.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import { type Column, Table } from "../../parts/table.tsx";
import { useLoad } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { StateOfCall } from "./state.tsx";
import { TEXTS } from "./texts.ts";

export function OneCall({ id }: { id: string }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const loaded = useLoad((signal) => readCall(id, signal), [id]);
  return (
    <>
      <PageHeading title={texts.call} back="#/calls" />
      <ProblemNote error={loaded.error} retry={loaded.reload} />
      {loaded.value === undefined ? loaded.isLoading && <p class="loading">{common.loading}</p> : <Shown call={loaded.value} />}
    </>
  );
}

function Shown({ call }: { call: CallDetail }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const session = useSession();
  const columns: Column<CallFault>[] = [
    { key: "dossier", head: texts.dossier, isNumber: true, cell: (fault) => fault.dossier ?? "" },
    { key: "field", head: common.field, isHead: true, cell: (fault) => (fault.field === null || fault.field === "" ? texts.wholePacket : <code>{fault.field}</code>) },
    { key: "why", head: texts.why, cell: (fault) => texts.codes[fault.code] ?? fault.code },
    { key: "message", head: texts.message, cell: (fault) => fault.message },
    { key: "rule", head: texts.rule, cell: (fault) => (fault.rule === null ? "" : <code>{fault.rule}</code>) },
  ];
  return (
    <>
      <section class="panel" aria-label={texts.call}>
        <Facts
          facts={[
            [texts.id, <code>{call.transaction_id}</code>],
            [common.time, dayAndTime(call.at)],
            [texts.account, call.account],
            [common.unit, call.unit],
            [texts.operation, `${texts.operations[call.operation] ?? ""} (${call.operation})`],
            [texts.action, texts.actions[call.action ?? ""] ?? call.action ?? common.unknown],
            [texts.dossiers, call.dossiers],
            [texts.outcome, <StateOfCall call={call} />],
            ...(call.codes.length === 0 ? [] : ([[texts.why, call.codes.map((code) => texts.codes[code] ?? code).join("; ")]] as const)),
            ...(call.message === null ? [] : ([[texts.message, call.message]] as const)),
            ...(call.repeats === null ? [] : ([[texts.repeats, <a href={hashOf(["calls", call.repeats])}>{call.repeats}</a>]] as const)),
            [texts.digest, <code>{call.digest}</code>],
          ]}
        />
      </section>
      <section class="panel" aria-label={texts.faults}>
        <Table caption={texts.faults} columns={columns} rows={call.faults} rowKey={(fault) => `${fault.dossier} ${fault.field} ${fault.code}`} empty={texts.noFaults} />
      </section>
      <div class="columns">
        {call.records.length > 0 && (
          <section class="panel" aria-labelledby="records">
            <h2 id="records">{texts.records}</h2>
            <ul class="entries">
              {call.records.map((record) => (
                <li key={record}>{may(session, "records:read") ? <a href={hashOf(["records", record])}>{record}</a> : <code>{record}</code>}</li>
              ))}
            </ul>
          </section>
        )}
        {call.ignored.length > 0 && (
          <section class="panel" aria-labelledby="ignored">
            <h2 id="ignored">{texts.ignored}</h2>
            <p class="hint">{texts.ignoredHint}</p>
            <ul class="entries">
              {call.ignored.map((member) => (
                <li key={member}>
                  <code>{member}</code>
                </li>
              ))}
            </ul>
          </section>
        )}
      </div>
    </>
  );
}
