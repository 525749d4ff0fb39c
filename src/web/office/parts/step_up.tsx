// Said before a grave step rather than after it: this sign-in is too old for it by now.
import { useTexts } from "../../lib/language.ts";
import { now } from "../data/dates.ts";
import { needsSignIn, signIn, useSession } from "../data/session.ts";
import { TEXTS } from "../texts.ts";
import { Sign } from "./signs.tsx";

export function StepUp({ scope }: { scope: string }) {
  const texts = useTexts(TEXTS);
  const session = useSession();
  if (!needsSignIn(session, scope, now())) return null;
  return (
    <div class="notice attention">
      <Sign name="attention" />
      <div>
        <p>{texts.stepUp}</p>
        <button type="button" onClick={signIn}>
          {texts.signInAgain}
        </button>
      </div>
    </div>
  );
}
