// What went wrong, where, and what can be done.
import { useCell } from "../../lib/cell.ts";
import { language, useTexts } from "../../lib/language.ts";
import { Problem } from "../api/client.ts";
import { describe, STEP_UP } from "../data/problems.ts";
import { signIn } from "../data/session.ts";
import { TEXTS } from "../texts.ts";
import { Sign } from "./signs.tsx";

export function ProblemNote({ error, retry }: { error: unknown; retry?: (() => void) | undefined }) {
  const texts = useTexts(TEXTS);
  const tongue = useCell(language);
  if (error === undefined || error === null) return null;
  const { sentence, place, detail } = describe(error, tongue);
  return (
    <div class="problem" role="alert">
      <Sign name="bad" />
      <div>
        <p>
          <strong>{sentence}</strong>
        </p>
        {place !== undefined && <p>{place}</p>}
        {detail !== "" && (
          <p class="detail" lang="en">
            {detail}
          </p>
        )}
        {error instanceof Problem && error.kind === STEP_UP && (
          <button type="button" onClick={signIn}>
            {texts.signInAgain}
          </button>
        )}
        {retry !== undefined && (
          <button type="button" onClick={retry}>
            {texts.retry}
          </button>
        )}
      </div>
    </div>
  );
}
