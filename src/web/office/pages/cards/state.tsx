// A card's state as sign and word, with the reason where it has one.
import { useTexts } from "../../../lib/language.ts";
import type { Card, CardState } from "../../api/cards.ts";
import { State, type Tone } from "../../parts/signs.tsx";
import { TEXTS } from "./texts.ts";

const TONES: Record<CardState, Tone> = { active: "good", locked: "attention", withdrawn: "bad", expired: "plain" };

export function StateOfCard({ card }: { card: Card }) {
  const texts = useTexts(TEXTS);
  const reason = card.reason === null ? "" : ` (${texts.reasons[card.reason] ?? card.reason})`;
  return <State tone={TONES[card.state]}>{texts.states[card.state] + reason}</State>;
}
