// Codes as text, as pictures and as films for Chromium's fake camera; and what forgers make of them.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { deflateSync, inflateSync } from "node:zlib";
import { prepareZXingModule, writeBarcode } from "zxing-wasm/writer";

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
const wasmBinary = readFileSync(createRequire(import.meta.url).resolve("zxing-wasm/writer/zxing_writer.wasm")).buffer;
await prepareZXingModule({ overrides: { wasmBinary: wasmBinary as ArrayBuffer }, fireImmediately: true });

/** RFC 9285. */
function fromBase45(text: string): Buffer {
  const out: number[] = [];
  for (let at = 0; at < text.length; at += 3) {
    const digits = [...text.slice(at, at + 3)].map((letter) => ALPHABET.indexOf(letter));
    const value = digits.reduce((sum, digit, place) => sum + digit * 45 ** place, 0);
    if (digits.length === 3) out.push(value >> 8);
    out.push(value & 0xff);
  }
  return Buffer.from(out);
}

function base45(bytes: Buffer): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 2) {
    const pair = bytes.subarray(at, at + 2);
    let value = pair.length === 2 ? pair.readUInt16BE(0) : pair.readUInt8(0);
    for (let digit = 0; digit < pair.length + 1; digit += 1) {
      text += ALPHABET[value % 45];
      value = Math.floor(value / 45);
    }
  }
  return text;
}

/** The end of the CBOR item that begins at `at` (RFC 8949), for what cards are made of: definite lengths. */
function endOfItem(bytes: Buffer, at: number): number {
  const [major, short] = [bytes[at]! >> 5, bytes[at]! & 31];
  const width = short < 24 ? 0 : 2 ** (short - 24);
  const value = width === 0 ? short : bytes.readUIntBE(at + 1, width);
  let end = at + 1 + width;
  if (major === 2 || major === 3) return end + value;
  const items = major === 4 ? value : major === 5 ? 2 * value : major === 6 ? 1 : 0;
  for (let item = 0; item < items; item += 1) end = endOfItem(bytes, end);
  return end;
}

/** A live code without its holder's proof: the unprotected header is not signed by the issuer, so anybody can empty it. */
export function withoutProof(text: string): string {
  const cose = inflateSync(fromBase45(text));
  const header = endOfItem(cose, 2);
  return base45(deflateSync(Buffer.concat([cose.subarray(0, header), Buffer.of(0xa0), cose.subarray(endOfItem(cose, header))])));
}

/** A code whose issuer's signature has one bit changed. */
export function forged(text: string): string {
  const cose = Buffer.from(inflateSync(fromBase45(text)));
  cose[cose.length - 1]! ^= 1;
  return base45(deflateSync(cose));
}

interface Symbol {
  width: number;
  dark: (x: number, y: number) => boolean;
}

async function symbol(text: string): Promise<Symbol> {
  const { symbol: drawn, error } = await writeBarcode(text, { format: "QRCode", ecLevel: "L", addQuietZones: false });
  if (error) throw new Error(error);
  const { data, width } = drawn;
  return { width, dark: (x, y) => data[y * width + x] === 0 };
}

const WIDTH = 1280;
const HEIGHT = 720;
const PAPER = 235;
const INK = 25;
const ROOM = 110;

/** Brightness of a phone that shows a code, held before a grey wall. */
function frame({ width, dark }: Symbol): Buffer {
  const luma = Buffer.alloc(WIDTH * HEIGHT, ROOM);
  const module_ = Math.floor((HEIGHT * 0.72) / (width + 8));
  const side = module_ * (width + 8);
  const [left, top] = [Math.floor((WIDTH - side) / 2), Math.floor((HEIGHT - side) / 2)];
  for (let y = 0; y < side; y += 1) {
    for (let x = 0; x < side; x += 1) {
      const [column, row] = [Math.floor(x / module_) - 4, Math.floor(y / module_) - 4];
      const inside = column >= 0 && row >= 0 && column < width && row < width;
      luma[(top + y) * WIDTH + left + x] = inside && dark(column, row) ? INK : PAPER;
    }
  }
  return luma;
}

const FRAMES_A_SECOND = 5;

/** A film in which each text is held before the camera for some seconds, with an empty wall before each. */
export async function film(file: string, scenes: readonly { text: string; seconds: number }[]): Promise<void> {
  const colours = Buffer.alloc((WIDTH * HEIGHT) / 2, 128);
  const wall = Buffer.alloc(WIDTH * HEIGHT, ROOM);
  const parts: Buffer[] = [Buffer.from(`YUV4MPEG2 W${WIDTH} H${HEIGHT} F${FRAMES_A_SECOND}:1 Ip A1:1 C420jpeg\n`)];
  const add = (luma: Buffer, seconds: number) => {
    for (let left = seconds * FRAMES_A_SECOND; left > 0; left -= 1) parts.push(Buffer.from("FRAME\n"), luma, colours);
  };
  add(wall, 1);
  for (const { text, seconds } of scenes) {
    add(frame(await symbol(text)), seconds);
    add(wall, 0.6);
  }
  writeFileSync(file, Buffer.concat(parts));
}

/** A picture file of a code. */
export async function png(text: string): Promise<Buffer> {
  const { image, error } = await writeBarcode(text, { format: "QRCode", ecLevel: "L", scale: 6 });
  if (image === null) throw new Error(error);
  return Buffer.from(await image.arrayBuffer());
}
