// The bar at the top: which office this is, who is signed in with which role for which unit, and the way out.
import { useTexts } from "../../lib/language.ts";
import type { Session } from "../api/session.ts";
import { signOut } from "../data/session.ts";
import { ProblemNote } from "../parts/problem.tsx";
import { useWork } from "../parts/work.ts";
import { TEXTS as COMMON } from "../texts.ts";
import { Switches } from "./switches.tsx";
import { TEXTS } from "./texts.ts";

export function Head({ session }: { session: Session }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const leaving = useWork();
  const { officer, unit } = session;
  return (
    <header class="head">
      <p class="name">
        <strong>{common.title}</strong>
        <span>{unit === null ? texts.wholeNation : `${unit.name} (${unit.code})`}</span>
      </p>
      <div class="who" role="group" aria-label={texts.who}>
        <p>
          <strong>{officer.name}</strong>
          <span>{texts.roles[officer.role]}</span>
        </p>
        <Switches />
        <button type="button" class="quiet" aria-disabled={leaving.isBusy} onClick={() => leaving.run(signOut)}>
          {texts.signOut}
        </button>
      </div>
      <ProblemNote error={leaving.error} />
    </header>
  );
}
