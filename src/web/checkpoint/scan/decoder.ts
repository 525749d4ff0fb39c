// The page's side of the reader: one picture at a time, the newest wins.
import type { Answer, Question } from "./decoder.worker.ts";

export type { Answer } from "./decoder.worker.ts";

/** The reader, in its own thread. */
export class Decoder {
  readonly #worker = new Worker(new URL("./decoder.worker.ts", import.meta.url), { type: "module" });
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #last = 0;

  constructor() {
    this.#worker.onmessage = (event: MessageEvent<Answer>) => this.#settle(event.data);
    this.#worker.onerror = () => {
      for (const id of [...this.#waiting.keys()]) this.#settle({ id, look: "failed", milliseconds: 0 });
    };
  }

  /** Whether a picture is being read. */
  get busy(): boolean {
    return this.#waiting.size > 0;
  }

  /** Reads a picture, which it takes over. */
  read(picture: ImageBitmap, thorough = false): Promise<Answer> {
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#worker.postMessage({ id, picture, thorough } satisfies Question, [picture]);
    });
  }

  #settle(answer: Answer): void {
    this.#waiting.get(answer.id)?.(answer);
    this.#waiting.delete(answer.id);
  }
}

let shared: Decoder | undefined;

/** The one reader of the page; it stays warm between checks. */
export function decoder(): Decoder {
  shared ??= new Decoder();
  return shared;
}
