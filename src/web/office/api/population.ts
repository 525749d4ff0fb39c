// How the connection to the population database stands.
import { read } from "./client.ts";

export interface Connection {
  readonly configured: boolean;
  readonly circuit: { readonly state: "closed" | "open" | "half_open"; readonly probes_in_seconds: number | null } | null;
  readonly waiting: { readonly interactive: number; readonly background: number };
  readonly in_flight: number;
  readonly backlog: { readonly pending: number; readonly changed_at_the_registry: number; readonly unanswered: number; readonly oldest_pending_at: number | null };
  readonly answers: { readonly last_at: number | null; readonly last_five_minutes: number; readonly rate_per_second: number };
  readonly discrepancies: { readonly mismatched: number; readonly not_found: number; readonly locked_cards: number };
  readonly feed: { readonly enabled: boolean; readonly through: number | null; readonly last_round_at: number | null; readonly last_outcome: string | null };
}

export const readConnection = (signal: AbortSignal) => read<Connection>("population", {}, signal);
