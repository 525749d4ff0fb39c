// Officers are named by codes in the API. Who works with others sees their names; what stays unknown stays a code.
import { useEffect } from "preact/hooks";
import { Cell, useCell } from "../../lib/cell.ts";
import { allNames, listOfficers, type OfficerName } from "../api/officers.ts";
import { may, useSession } from "./session.ts";

/** The officers around this one's units; asked for once. */
const colleagues = new Cell<readonly OfficerName[]>([]);
let isAsked = false;

/** The name of whom a code stands for; the code itself, where that is not known. */
export function useOfficerName(): (code: string) => string {
  const session = useSession();
  const isColleague = may(session, "updates:read", "records:read");
  const isManager = may(session, "officers:read");
  useEffect(() => {
    if (isAsked || !(isColleague || isManager)) return;
    isAsked = true;
    const signal = AbortSignal.timeout(60_000);
    const asked = isColleague ? allNames({}, signal) : listOfficers({}, undefined, signal, 200).then((page) => page.items.map((one) => ({ ...one, unit: one.unit?.code ?? null })));
    asked.then(
      (names) => colleagues.set(names),
      // Without names the codes stay.
      () => undefined,
    );
  }, [isColleague, isManager]);
  const known = useCell(colleagues);
  return (code) => (code === session.officer.id ? session.officer.name : (known.find((officer) => officer.id === code)?.name ?? code));
}
