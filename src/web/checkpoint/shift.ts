// How this shift checks: what the person at the checkpoint chose, and the digits of the moment.
import { Cell } from "../lib/cell.ts";
import { preference } from "../lib/preferences.ts";

export const queue = preference<"on" | "off">("queue", "off", ["on", "off"]);

/** How many check digits a holder types; `0` for none. */
export const DIGIT_COUNTS = ["0", "4", "5", "6"] as const;
export type DigitCount = (typeof DIGIT_COUNTS)[number];
export const digitCount = preference<DigitCount>("digits", "0", DIGIT_COUNTS);

/** The digits that the next holder is asked to type. */
export const digits = new Cell<string | undefined>(undefined);

/** Digits that nobody can know beforehand; every one of them equally likely. */
export function randomDigits(count: number): string {
  const found: number[] = [];
  while (found.length < count) {
    for (const byte of crypto.getRandomValues(new Uint8Array(16))) {
      // 250 is the largest multiple of ten in a byte.
      if (byte < 250 && found.length < count) found.push(byte % 10);
    }
  }
  return found.join("");
}

/** New digits for the next holder, if this shift uses any. */
export function renewDigits(): void {
  const count = Number(digitCount.value);
  digits.set(count === 0 ? undefined : randomDigits(count));
}
