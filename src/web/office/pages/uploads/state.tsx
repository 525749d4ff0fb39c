// The state of an upload as sign and word.
import { useTexts } from "../../../lib/language.ts";
import type { UploadState } from "../../api/uploads.ts";
import { State, type Tone } from "../../parts/signs.tsx";
import { TEXTS } from "./texts.ts";

const TONES: Record<UploadState, Tone> = {
  receiving: "waiting",
  checking: "waiting",
  checked: "attention",
  submitting: "waiting",
  done: "good",
  failed: "bad",
  cancelled: "plain",
};

export function StateOfUpload({ state }: { state: UploadState }) {
  const texts = useTexts(TEXTS);
  return <State tone={TONES[state]}>{texts.states[state]}</State>;
}
