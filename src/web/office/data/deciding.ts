// What has to be looked at one by one, and what can be decided among others.
import type { Proposal } from "../api/reviews.ts";

/** Conflicts, sensitive data, what a card shows (a portrait above all) and appeals are never approved among many. */
export function canBeOneOfMany(row: Pick<Proposal, "may_decide" | "state" | "has_conflicts" | "is_sensitive" | "is_on_card">): boolean {
  return row.may_decide && row.state === "open" && !row.has_conflicts && !row.is_sensitive && !row.is_on_card;
}
