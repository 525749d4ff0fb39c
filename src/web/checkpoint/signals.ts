// Sound and vibration, another pattern for every outcome, so that nobody has to look at the screen in a queue.
import type { Outcome } from "../lib/core.ts";

/** Frequency in hertz and length in milliseconds of each tone; 0 hertz is a pause. */
const TONES: Record<Outcome, readonly (readonly [number, number])[]> = {
  "valid-live": [[880, 90], [0, 40], [1320, 160]],
  "valid-copy": [[880, 260]],
  "check-further": [[620, 140], [0, 80], [620, 140]],
  "not-valid": [[220, 220], [0, 60], [220, 220], [0, 60], [180, 420]],
  "other-code": [[440, 90]],
};

const VIBRATIONS: Record<Outcome, readonly number[]> = {
  "valid-live": [80],
  "valid-copy": [80, 60, 80],
  "check-further": [200, 100, 200],
  "not-valid": [400, 100, 400, 100, 400],
  "other-code": [40],
};

let audio: AudioContext | undefined;

/** Browsers make sound only after a touch: call it in the answer to one. */
export function allowSound(): void {
  try {
    audio ??= new AudioContext();
    void audio.resume();
  } catch {
    // A device without sound still shows and vibrates.
  }
}

/** Tells an outcome. */
export function signal(outcome: Outcome): void {
  navigator.vibrate?.([...VIBRATIONS[outcome]]);
  if (audio === undefined) return;
  // A call takes the sound away; without this, for the rest of the shift.
  if (audio.state !== "running") void audio.resume().catch(() => undefined);
  let at = audio.currentTime + 0.01;
  for (const [frequency, milliseconds] of TONES[outcome]) {
    const seconds = milliseconds / 1000;
    if (frequency > 0) tone(audio, frequency, at, seconds);
    at += seconds;
  }
}

function tone(context: AudioContext, frequency: number, at: number, seconds: number): void {
  const oscillator = context.createOscillator();
  const loudness = context.createGain();
  oscillator.frequency.value = frequency;
  oscillator.type = frequency < 400 ? "square" : "sine";
  loudness.gain.setValueAtTime(0, at);
  loudness.gain.linearRampToValueAtTime(0.25, at + 0.01);
  loudness.gain.setValueAtTime(0.25, at + seconds - 0.02);
  loudness.gain.linearRampToValueAtTime(0, at + seconds);
  oscillator.connect(loudness).connect(context.destination);
  oscillator.start(at);
  oscillator.stop(at + seconds);
}
