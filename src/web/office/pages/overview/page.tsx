// What waits for this officer, and how the unit's data stands. Each number is asked for by itself: one that cannot be had
// keeps no other away. Nothing here reads about people.
import type { ComponentChildren } from "preact";
import { useTexts } from "../../../lib/language.ts";
import { listCalls } from "../../api/calls.ts";
import { listEnding } from "../../api/cards.ts";
import { readCauses, readQuality } from "../../api/quality.ts";
import { countChanges } from "../../api/records.ts";
import { readWorkload } from "../../api/reviews.ts";
import { listUploads } from "../../api/uploads.ts";
import { now, partialDate } from "../../data/dates.ts";
import { isOpen, monthOf, windowOf } from "../../data/months.ts";
import { hashOf } from "../../data/router.ts";
import { may, useSession } from "../../data/session.ts";
import { PageHeading } from "../../parts/heading.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import { ScoreList } from "../../parts/score_list.tsx";
import { State } from "../../parts/signs.tsx";
import { type Loaded, useLoad } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { TEXTS } from "./texts.ts";

const DAY_SECONDS = 86_400;

export default function Overview() {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const session = useSession();
  const unit = session.unit?.code;
  const useWhen = <T,>(isAllowed: boolean, load: (signal: AbortSignal) => Promise<T>) => useLoad(isAllowed ? load : undefined, [unit ?? ""]);
  const workload = useWhen(may(session, "updates:read"), (signal) => readWorkload(unit, signal));
  const causes = useWhen(may(session, "quality:read"), (signal) => readCauses(unit, signal, 50));
  const uploads = useWhen(may(session, "records:write"), (signal) => listUploads({ state: "checked" }, undefined, signal, 100));
  const changes = useWhen(may(session, "records:read") && unit !== undefined, (signal) => countChanges(unit ?? "", signal));
  const calls = useWhen(may(session, "sync:read"), (signal) => listCalls({ outcome: "refused" }, undefined, signal));
  const ending = useWhen(may(session, "cards:read") && unit !== undefined, (signal) => listEnding(unit ?? "", signal));
  const quality = useWhen(may(session, "quality:read"), (signal) => readQuality(unit, undefined, signal));
  const has = (loaded: Pick<Loaded<unknown>, "value" | "error" | "isLoading">) => loaded.value !== undefined || loaded.error !== undefined || loaded.isLoading;
  return (
    <>
      <PageHeading title={common.pages.overview} />
      <section aria-labelledby="waiting">
        <h2 id="waiting">{texts.waiting}</h2>
        <ul class="counts">
          {has(workload) && (
            <>
              <Count of={workload} count={(load) => load.open} href={hashOf(["reviews"])} label={texts.open} />
              <Count of={workload} count={(load) => load.overdue} href={hashOf(["reviews"], { overdue: "true" })} label={texts.overdue} isBad />
              <Count of={workload} count={(load) => load.first_approved} href={hashOf(["reviews"], { state: "first_approved" })} label={texts.second} />
              <Count of={workload} count={(load) => load.appealed} href={hashOf(["reviews"], { state: "appealed" })} label={texts.appealed} />
            </>
          )}
          {has(causes) && (
            <Count
              of={causes}
              count={(all) => all.find((cause) => cause.flag === "not_confirmed")?.count ?? 0}
              href={hashOf(["reviews", "confirmations"])}
              label={texts.unconfirmed}
            />
          )}
          {has(uploads) && <Count of={uploads} count={(page) => page.items.length} isMore={(page) => page.next !== null} href={hashOf(["uploads"])} label={texts.uploads} />}
          {has(changes) && (
            <>
              <Count of={changes} count={(counted) => counted.waiting + counted.conflicts} href={hashOf(["changes"])} label={texts.changes} />
              <Count of={changes} count={(counted) => counted.conflicts} href={hashOf(["changes"])} label={texts.conflicts} isBad />
            </>
          )}
          {has(calls) && (
            <Count
              of={calls}
              count={(page) => page.items.filter((call) => call.at > now() - DAY_SECONDS).length}
              isMore={(page) => page.next !== null && page.items.every((call) => call.at > now() - DAY_SECONDS)}
              href={hashOf(["calls"], { outcome: "refused" })}
              label={texts.calls}
              isBad
            />
          )}
          {has(ending) && <Count of={ending} count={(cards) => cards.length} href={hashOf(["cards", "ending"])} label={texts.ending} />}
          {has(quality) && unit !== undefined && <ApprovalDue month={quality.value?.approval?.month} isKnown={quality.value !== undefined} />}
        </ul>
      </section>
      {has(quality) && (
        <section class="panel" aria-labelledby="words">
          <h2 id="words">
            <a href="#/quality">{texts.words}</a>
          </h2>
          {quality.isLoading && quality.value === undefined && <p class="loading">{common.loading}</p>}
          <ProblemNote error={quality.error} retry={quality.reload} />
          {quality.value !== undefined && <ScoreList scores={quality.value.scores} before={quality.value.previous_month} />}
        </section>
      )}
    </>
  );
}

function Count<T>(props: { of: Loaded<T>; count: (value: T) => number; isMore?: (value: T) => boolean; href: string; label: string; isBad?: boolean }) {
  const texts = useTexts(TEXTS);
  const { of } = props;
  const count = of.value === undefined ? undefined : props.count(of.value);
  const isMore = of.value !== undefined && props.isMore?.(of.value) === true;
  let shown: ComponentChildren = "…";
  if (count !== undefined) shown = isMore ? texts.more(count) : count;
  else if (of.error !== undefined) shown = <State tone="attention">{texts.notKnown}</State>;
  if (props.isBad === true && count !== undefined && count > 0) shown = <State tone="attention">{shown}</State>;
  return (
    <li>
      <a href={props.href}>
        <strong>{shown}</strong>
        <span>{props.label}</span>
      </a>
    </li>
  );
}

function ApprovalDue({ month: approved, isKnown }: { month: string | undefined; isKnown: boolean }) {
  const texts = useTexts(TEXTS);
  const month = monthOf(now());
  const { from, to } = windowOf(month);
  const isDone = approved !== undefined && approved >= month;
  const told = isDone ? texts.approvalDone : isOpen(month, now()) ? texts.approvalDue(partialDate(to)) : texts.approvalLater(partialDate(from));
  return (
    <li>
      <a href="#/approvals">
        <strong>{partialDate(month)}</strong>
        <span>
          {texts.approval}: {isKnown ? told : "…"}
        </span>
      </a>
    </li>
  );
}
