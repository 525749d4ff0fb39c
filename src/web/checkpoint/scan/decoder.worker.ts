// Reads QR codes from pictures, off the page's thread. What it cannot read it describes, so that the page can say what
// to do about it. The reader is zxing-cpp; its program is our own copy, never a foreign host's.
import { prepareZXingModule, readBarcodes, type ReaderOptions } from "zxing-wasm/reader";
import wasm from "zxing-wasm/reader/zxing_reader.wasm?url";
import { brightness, look, type Look } from "./look.ts";

/** A picture to read; `thorough` for a still that may be turned or upside down. */
export interface Question {
  id: number;
  picture: ImageBitmap;
  thorough: boolean;
}

/** What came of it. */
export interface Answer {
  id: number;
  /** Text of the code, untouched: Base45 has spaces. */
  text?: string;
  /** What was seen instead. */
  look: Look;
  /** How long reading took. */
  milliseconds: number;
}

const ready = prepareZXingModule({
  overrides: { locateFile: (path: string, prefix: string) => (path.endsWith(".wasm") ? wasm : prefix + path) },
  fireImmediately: true,
});

const options = (thorough: boolean): ReaderOptions => ({
  formats: ["QRCode"],
  tryHarder: true,
  tryRotate: thorough,
  tryInvert: thorough,
  tryDownscale: true,
  returnErrors: true,
  maxNumberOfSymbols: 1,
  textMode: "Plain",
});

let canvas: OffscreenCanvas | undefined;

function pixels(picture: ImageBitmap): ImageData {
  canvas ??= new OffscreenCanvas(picture.width, picture.height);
  if (canvas.width !== picture.width || canvas.height !== picture.height) {
    canvas.width = picture.width;
    canvas.height = picture.height;
  }
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) throw new Error("no 2d canvas");
  context.drawImage(picture, 0, 0);
  picture.close();
  const image = context.getImageData(0, 0, canvas.width, canvas.height);
  // The last picture of a shift would stay here: a phone, a hand, perhaps a face.
  context.clearRect(0, 0, canvas.width, canvas.height);
  return image;
}

async function answer({ id, picture, thorough }: Question): Promise<Answer> {
  const started = performance.now();
  const image = pixels(picture);
  await ready;
  const [code] = await readBarcodes(image, options(thorough));
  const milliseconds = performance.now() - started;
  if (code?.isValid === true) return { id, text: code.text, look: "code", milliseconds };
  const corners = code === undefined ? undefined : Object.values(code.position);
  return { id, look: look(brightness(image.data), corners, image), milliseconds };
}

self.onmessage = (event: MessageEvent<Question>) => {
  const { id } = event.data;
  answer(event.data).then(
    (done) => self.postMessage(done),
    () => self.postMessage({ id, look: "failed", milliseconds: 0 } satisfies Answer),
  );
};

ready.then(
  () => self.postMessage({ id: 0, look: "nothing", milliseconds: 0 } satisfies Answer),
  () => self.postMessage({ id: 0, look: "failed", milliseconds: 0 } satisfies Answer),
);
