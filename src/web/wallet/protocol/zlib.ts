// The zlib container (RFC 1950), by the browser's own streams. Their name for it is "deflate".

import { type Bytes, Malformed, concat } from "./bytes.ts";

/** Compresses. The first byte is 0x78, by which readers know that the message is compressed. */
export async function deflate(bytes: Bytes): Promise<Bytes> {
  return collect(new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate")), Infinity);
}

/** Inflates to at most `limit` bytes. */
export async function inflate(bytes: Bytes, limit: number): Promise<Bytes> {
  return collect(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")), limit);
}

async function collect(stream: ReadableStream<Uint8Array>, limit: number): Promise<Bytes> {
  const reader = stream.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read().catch(() => {
      throw new Malformed("compressed data", "is damaged");
    });
    if (done) return concat(...chunks);
    length += value.length;
    if (length > limit) {
      await reader.cancel();
      throw new Malformed("compressed data", "grows beyond its bound");
    }
    chunks.push(value);
  }
}
