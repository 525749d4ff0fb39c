// Reviews: what officials propose, what waits for the unit's word, how much there is, and who decides for whom.
import { useCell } from "../../../lib/cell.ts";
import { useTexts } from "../../../lib/language.ts";
import { place } from "../../data/router.ts";
import { may, useSession } from "../../data/session.ts";
import { Tabs } from "../../parts/tabs.tsx";
import { Confirmations } from "./confirmations.tsx";
import { Delegations } from "./delegations.tsx";
import { OneProposal } from "./one.tsx";
import { Queue } from "./queue.tsx";
import { TEXTS } from "./texts.ts";
import { WorkloadPage } from "./workload.tsx";

export default function Reviews() {
  const texts = useTexts(TEXTS);
  const session = useSession();
  const [, part, id] = useCell(place).path;
  const hasQueue = may(session, "updates:read");
  const shown = part ?? (hasQueue ? "" : "confirmations");
  const tabs = [
    ...(hasQueue ? [{ path: [], title: texts.tabs.queue }] : []),
    ...(may(session, "records:confirm", "records:read") ? [{ path: ["confirmations"], title: texts.tabs.confirmations }] : []),
    ...(hasQueue ? [{ path: ["workload"], title: texts.tabs.workload }] : []),
    ...(hasQueue ? [{ path: ["delegations"], title: texts.tabs.delegations }] : []),
  ];
  if (shown === "proposal" && id !== undefined) return <OneProposal key={id} id={id} />;
  return (
    <>
      <Tabs page="reviews" tabs={tabs} />
      {shown === "confirmations" ? <Confirmations /> : shown === "workload" ? <WorkloadPage /> : shown === "delegations" ? <Delegations /> : <Queue />}
    </>
  );
}
