// What a picture without a readable code looks like, in terms of what the person can do about it. Pure.

/** `code`: read; `failed`: the reader itself did not work; the others say what to do. */
export type Look = "code" | "nothing" | "dark" | "near" | "far" | "blurred" | "failed";

/** Mean brightness, of 255, below which a torch helps. */
const DARK = 40;
/** A code that fills more than this of the picture is cut off at its edges. */
const TOO_LARGE = 0.92;
/** A code that fills less than this has too few pixels for each of its modules: 85 modules at 3 pixels, of 1080. */
const TOO_SMALL = 0.24;
/** Every n-th pixel is enough to judge the light. */
const STEP = 97;

export interface Point {
  x: number;
  y: number;
}

/** Mean brightness of an RGBA picture, 0 to 255. */
export function brightness(rgba: Uint8ClampedArray): number {
  let sum = 0;
  let count = 0;
  for (let at = 0; at + 2 < rgba.length; at += 4 * STEP) {
    sum += 0.299 * (rgba[at] ?? 0) + 0.587 * (rgba[at + 1] ?? 0) + 0.114 * (rgba[at + 2] ?? 0);
    count += 1;
  }
  return count === 0 ? 0 : sum / count;
}

/** Judges a picture by its light and by the corners of a code that was found but not read. */
export function look(light: number, corners: readonly Point[] | undefined, size: { width: number; height: number }): Look {
  if (corners === undefined || corners.length === 0) return light < DARK ? "dark" : "nothing";
  const reach = (values: number[]) => Math.max(...values) - Math.min(...values);
  const widest = Math.max(
    reach(corners.map((corner) => corner.x)) / size.width,
    reach(corners.map((corner) => corner.y)) / size.height,
  );
  if (widest > TOO_LARGE) return "near";
  if (widest < TOO_SMALL) return "far";
  return light < DARK ? "dark" : "blurred";
}
