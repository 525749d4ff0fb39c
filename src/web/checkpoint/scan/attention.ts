// Which of the texts that the camera sees are worth a verdict. A code stays before the lens for many looks; a foreign one
// on the wall is not worth a word until it stays. Pure but for the time that is handed in.
import type { Verdict } from "../../lib/core.ts";

/** A code that was out of sight for this long is shown anew. */
const GONE_MILLISECONDS = 2500;
/** A foreign code that stays for this long is meant. */
const MEANT_MILLISECONDS = 900;

export type Attention = { show: Verdict } | "same" | "other";

export class Attentive {
  /** The text in sight, and no longer than that. */
  #text: string | undefined;
  #first = 0;
  #last = 0;
  #shown = false;

  /** Weighs a text that was read at `now` (milliseconds); `verify` is asked only for what is new. */
  weigh(text: string, now: number, verify: (text: string) => Verdict): Attention {
    const stays = text === this.#text && now - this.#last < GONE_MILLISECONDS;
    this.#last = now;
    if (!stays) {
      this.#text = text;
      this.#first = now;
      this.#shown = false;
    }
    if (this.#shown) return "same";
    const answer = verify(text);
    const foreign = answer.outcome === "other-code" && answer.claims === undefined;
    if (foreign && now - this.#first < MEANT_MILLISECONDS) return "other";
    this.#shown = true;
    return { show: answer };
  }

  /** Nothing was read: what is out of sight is forgotten, for the text of a code is the whole card. */
  none(now: number): void {
    if (now - this.#last >= GONE_MILLISECONDS) this.#text = undefined;
  }

  /** Looking goes on after a pause: what was in sight before it still is, until it is seen to be gone. */
  resume(now: number): void {
    this.#last = now;
  }
}
