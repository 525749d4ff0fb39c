// Officers are named by codes in the API. Whoever may read the officers sees their names; everybody else the codes.
import { useEffect } from "preact/hooks";
import { Cell, useCell } from "../../lib/cell.ts";
import { listOfficers, type Officer } from "../api/officers.ts";
import { may, useSession } from "./session.ts";

/** The officers whom this officer may see, the first hundreds of them; asked for once. */
const officers = new Cell<readonly Officer[]>([]);
let isAsked = false;

export function useOfficers(): readonly Officer[] {
  const session = useSession();
  const mayRead = may(session, "officers:read");
  useEffect(() => {
    if (isAsked || !mayRead) return;
    isAsked = true;
    listOfficers({}, undefined, AbortSignal.timeout(30_000), 200).then(
      (page) => officers.set(page.items),
      // Without names the codes stay.
      () => undefined,
    );
  }, [mayRead]);
  return useCell(officers);
}

/** The name of whom a code stands for; the code itself, where that is not known. */
export function useOfficerName(): (code: string) => string {
  const session = useSession();
  const known = useOfficers();
  return (code) => (code === session.officer.id ? session.officer.name : (known.find((officer) => officer.id === code)?.name ?? code));
}
