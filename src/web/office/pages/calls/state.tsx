// How a call ended, as sign and word.
import { useTexts } from "../../../lib/language.ts";
import type { Call } from "../../api/calls.ts";
import { State } from "../../parts/signs.tsx";
import { TEXTS } from "./texts.ts";

const TONES = { accepted: "good", refused: "bad", begun: "waiting" } as const;

export function StateOfCall({ call }: { call: Call }) {
  const texts = useTexts(TEXTS);
  return <State tone={TONES[call.outcome]}>{texts.outcomes[call.outcome]}</State>;
}
