// Cards: find, lock, unlock, withdraw, and badges to print.
import { change, type Page, read, save } from "./client.ts";

export const CARD_STATES = ["active", "locked", "withdrawn", "expired"] as const;
export type CardState = (typeof CARD_STATES)[number];

export interface Card {
  readonly card: string;
  readonly record: string;
  readonly state: CardState;
  readonly since: number | null;
  readonly reason: string | null;
  readonly card_number_masked: string;
  readonly unit: string;
  readonly created_at: number;
  readonly valid_until: number;
  readonly replaced_by: string | null;
  readonly name: string;
  readonly position: string | null;
}

export interface CardDetail extends Card {
  readonly history: readonly { readonly at: number; readonly actor: string; readonly action: string; readonly detail: string }[];
}

export type CardStep = "lock" | "unlock" | "withdraw";

/** The reasons that fit each step, as the model has them. */
export const STEP_REASONS: Readonly<Record<CardStep, readonly string[]>> = {
  lock: ["lost", "stolen", "device_change", "under_review"],
  unlock: ["found", "cleared"],
  withdraw: ["lost", "stolen", "resigned", "dismissed", "transferred", "position_changed", "retired", "deceased", "data_changed", "damaged", "issued_in_error"],
};

export const listCards = (filter: { unit?: string | undefined; state?: string | undefined }, after: string | undefined, signal: AbortSignal) =>
  read<Page<Card>>("cards", { ...filter, after, limit: 50 }, signal);
export const searchCards = async (search: object) => (await change<{ readonly cards: readonly Card[] }>("POST", "cards/search", search)).cards;
export const readCard = (card: string, signal: AbortSignal) => read<CardDetail>(`cards/${encodeURIComponent(card)}`, {}, signal);
export const moveCard = (card: string, step: CardStep, reason: string) =>
  change<{ readonly cards: readonly string[]; readonly credentials: number }>("POST", `cards/${encodeURIComponent(card)}/${step}`, { reason });
export const saveBadges = (which: { cards: readonly string[] } | { unit: string }) => save("badges/sheet.pdf", {}, "badges.pdf", which);

/** A card whose term or contract ends soon. */
export interface EndingCard {
  readonly card: string;
  readonly record: string;
  readonly unit: string;
  readonly masked_number: string;
  readonly valid_until: number;
}

export const listEnding = (unit: string, signal: AbortSignal) => read<readonly EndingCard[]>("cards/ending", { unit }, signal);
