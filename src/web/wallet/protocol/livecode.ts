// From a card with its proof to the symbol on the screen: Base45(zlib(COSE)) without a prefix, in the alphanumeric mode of
// a QR code with error correction L. Dense codes read better from a screen with less of it.

import { encode } from "uqr";

import { encodeBase45 } from "./base45.ts";
import type { Bytes } from "./bytes.ts";
import { deflate } from "./zlib.ts";

/** Empty modules around a symbol (ISO/IEC 18004 section 6.3.8). */
export const QUIET_MODULES = 4;
/** A new code every so often: a checkpoint accepts one for 60 seconds. */
export const REDRAW_SECONDS = 20;

/** The text of the code. */
export async function codeText(cose: Bytes): Promise<string> {
  return encodeBase45(await deflate(cose));
}

/** A symbol to draw: plain square modules, nothing in the middle, nothing rounded. */
export interface Symbol {
  /** From 1 to 40. */
  readonly version: number;
  /** Modules on one side, with the quiet zone. */
  readonly side: number;
  /** The dark modules as the data of an SVG path, one unit per module. */
  readonly path: string;
}

/** The smallest symbol for a text of Base45. */
export function symbol(text: string): Symbol {
  const { version, size, data } = encode(text, { ecc: "L", boostEcc: false, border: 0 });
  let path = "";
  data.forEach((row, y) => {
    for (let x = 0; x < size; x++) {
      if (!row[x]) continue;
      const start = x;
      while (row[x + 1]) x++;
      const length = x + 1 - start;
      path += `M${start + QUIET_MODULES} ${y + QUIET_MODULES}h${length}v1h-${length}z`;
    }
  });
  return { version, side: size + 2 * QUIET_MODULES, path };
}
