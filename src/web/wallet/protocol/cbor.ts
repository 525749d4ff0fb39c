// CBOR (RFC 8949), as much as a card takes: integers, byte and text strings, arrays, maps, tags, false, true, null, all of
// definite length. Written deterministically (section 4.2.1); read strictly: no duplicate keys, nothing left over.

import { type Bytes, Malformed, compare, concat, text, utf8 } from "./bytes.ts";

/** A tagged item. */
export class Tagged {
  constructor(
    readonly tag: number,
    readonly item: Item,
  ) {}
}

/** An item that was read. */
export type Item = number | string | boolean | null | Bytes | Item[] | Map<Item, Item> | Tagged;

/** How deep items may be nested. */
const MAX_DEPTH = 16;
/** Major types (section 3.1). */
const UNSIGNED = 0, NEGATIVE = 1, BYTES = 2, TEXT = 3, ARRAY = 4, MAP = 5, TAG = 6, SIMPLE = 7;

/** The head of an item: its major type and its argument, in the shortest form. */
function head(major: number, argument: number): Bytes {
  const type = major << 5;
  if (argument < 24) return Uint8Array.of(type | argument);
  if (argument < 0x100) return Uint8Array.of(type | 24, argument);
  if (argument < 0x1_0000) return Uint8Array.of(type | 25, argument >> 8, argument & 0xff);
  const view = new DataView(new ArrayBuffer(argument < 0x1_0000_0000 ? 5 : 9));
  view.setUint8(0, type | (view.byteLength === 5 ? 26 : 27));
  if (view.byteLength === 5) view.setUint32(1, argument);
  else view.setBigUint64(1, BigInt(argument));
  return new Uint8Array(view.buffer);
}

/** Writes an integer. */
export function integer(value: number): Bytes {
  return value < 0 ? head(NEGATIVE, -1 - value) : head(UNSIGNED, value);
}

/** Writes a byte string around these bytes, whatever they are: this is how bytes stay as they were received. */
export function byteString(bytes: Uint8Array): Bytes {
  return concat(head(BYTES, bytes.length), bytes);
}

/** Writes a text string. */
export function textString(value: string): Bytes {
  const bytes = utf8(value);
  return concat(head(TEXT, bytes.length), bytes);
}

/** Writes an array of items that are written already. */
export function array(...items: readonly Uint8Array[]): Bytes {
  return concat(head(ARRAY, items.length), ...items);
}

/** Writes a map of items that are written already, in the order of their keys' bytes. */
export function map(...entries: readonly (readonly [key: Uint8Array, value: Uint8Array])[]): Bytes {
  const sorted = [...entries].sort(([one], [two]) => compare(one, two));
  return concat(head(MAP, sorted.length), ...sorted.flat());
}

/** Writes a tag before an item that is written already. */
export function tagged(tag: number, item: Uint8Array): Bytes {
  return concat(head(TAG, tag), item);
}

/** Reads one item and nothing after it. */
export function decode(bytes: Uint8Array): Item {
  const reader = new Reader(bytes);
  const item = reader.item();
  if (!reader.isAtEnd) throw new Malformed("CBOR", "has bytes after its item");
  return item;
}

/** Reads items one after the other. */
export class Reader {
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  get isAtEnd(): boolean {
    return this.at === this.bytes.length;
  }

  /** The next item. */
  item(depth = 0): Item {
    if (depth > MAX_DEPTH) throw new Malformed("CBOR", "is nested too deep");
    const [major, argument] = this.head();
    switch (major) {
      case UNSIGNED:
        return argument;
      case NEGATIVE:
        return -1 - argument;
      case BYTES:
        return this.take(argument);
      case TEXT:
        return text(this.take(argument));
      case ARRAY: {
        const items: Item[] = [];
        for (let left = argument; left > 0; left--) items.push(this.item(depth + 1));
        return items;
      }
      case MAP: {
        const entries = new Map<Item, Item>();
        for (let left = argument; left > 0; left--) {
          const key = this.item(depth + 1);
          if (typeof key === "object" || entries.has(key)) throw new Malformed("CBOR", "has an unusable key");
          entries.set(key, this.item(depth + 1));
        }
        return entries;
      }
      case TAG:
        return new Tagged(argument, this.item(depth + 1));
      default:
        if (argument < 20 || argument > 22) throw new Malformed("CBOR", "has a simple value that no card has");
        return argument === 22 ? null : argument === 21;
    }
  }

  /** The bytes of the next item, as they stand. */
  raw(): Bytes {
    const start = this.at;
    this.item();
    return this.bytes.slice(start, this.at);
  }

  /** Goes into the next item, which must be of this kind, and gives its argument: how many items follow. */
  enter(kind: "array" | "map" | "tag"): number {
    const [major, argument] = this.head();
    if (major !== { array: ARRAY, map: MAP, tag: TAG }[kind]) throw new Malformed("CBOR", `has no ${kind} here`);
    return argument;
  }

  private head(): [major: number, argument: number] {
    const first = this.take(1)[0] ?? 0;
    const [major, short] = [first >> 5, first & 31];
    if (short < 24) return [major, short];
    if (short > 27 || major === SIMPLE) throw new Malformed("CBOR", "has an item that no card has");
    const argument = this.take(1 << (short - 24)).reduce((number, byte) => number * 256 + byte, 0);
    if (!Number.isSafeInteger(argument)) throw new Malformed("CBOR", "has a number beyond 53 bits");
    return [major, argument];
  }

  private take(length: number): Bytes {
    if (length > this.bytes.length - this.at) throw new Malformed("CBOR", "ends too early");
    this.at += length;
    return this.bytes.slice(this.at - length, this.at);
  }
}
