// Looks through the camera, eight to ten times a second, at the middle of the picture in its own pixels.
import type { Answer } from "./decoder.ts";
import { decoder } from "./decoder.ts";

/** From the beginning of one look to that of the next. */
const PERIOD_MILLISECONDS = 105;
/** Largest side of what is read: more pixels cost time and tell nothing more. */
const LARGEST_SIDE = 1440;

/** Where the square in the middle of a picture lies. */
export function middle(width: number, height: number): { x: number; y: number; side: number } {
  const side = Math.min(width, height);
  return { x: Math.floor((width - side) / 2), y: Math.floor((height - side) / 2), side };
}

export class Scanner {
  readonly #video: HTMLVideoElement;
  readonly #seen: (answer: Answer) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running = false;

  constructor(video: HTMLVideoElement, seen: (answer: Answer) => void) {
    this.#video = video;
    this.#seen = seen;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#timer = setTimeout(() => void this.#look(), 0);
  }

  stop(): void {
    this.#running = false;
    clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    const began = performance.now();
    try {
      const picture = await this.#picture();
      const answer = picture === undefined ? undefined : await decoder().read(picture);
      // It may have been stopped in the meantime: then nobody waits for the answer.
      if (answer !== undefined && this.#running) this.#seen(answer);
    } catch {
      // A frame that cannot be taken is followed by another.
    }
    if (!this.#running) return;
    const rest = PERIOD_MILLISECONDS - (performance.now() - began);
    this.#timer = setTimeout(() => void this.#look(), Math.max(rest, 0));
  }

  #picture(): Promise<ImageBitmap> | undefined {
    const video = this.#video;
    if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA || document.hidden) return undefined;
    const { x, y, side } = middle(video.videoWidth, video.videoHeight);
    if (side === 0) return undefined;
    const options = side > LARGEST_SIDE ? ({ resizeWidth: LARGEST_SIDE, resizeHeight: LARGEST_SIDE } as const) : {};
    return createImageBitmap(video, x, y, side, side, options);
  }
}

/** Longest side of an uploaded picture that is read as it is. */
const LARGEST_PICTURE = 3000;

/** Reads a picture file. */
export async function readPicture(file: Blob): Promise<Answer> {
  let picture = await createImageBitmap(file);
  const longest = Math.max(picture.width, picture.height);
  if (longest > LARGEST_PICTURE) {
    const resizeWidth = Math.round((picture.width * LARGEST_PICTURE) / longest);
    const smaller = await createImageBitmap(picture, { resizeWidth, resizeQuality: "high" });
    picture.close();
    picture = smaller;
  }
  return decoder().read(picture, true);
}
