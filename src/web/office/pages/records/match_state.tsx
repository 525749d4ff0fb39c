// What the population database said, as sign and word.
import { useTexts } from "../../../lib/language.ts";
import type { Match } from "../../api/records.ts";
import { State, type Tone } from "../../parts/signs.tsx";
import { TEXTS } from "./texts.ts";

const TONES: Record<Match, Tone> = { pending: "waiting", matched: "good", not_found: "bad", mismatched: "bad" };

export function MatchState({ match }: { match: Match }) {
  const texts = useTexts(TEXTS);
  return <State tone={TONES[match]}>{texts.matches[match]}</State>;
}
