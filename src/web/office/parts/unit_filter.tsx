// A unit's code as a filter: taken when it is complete, not at every key.
import { useEffect, useState } from "preact/hooks";
import { useTexts } from "../../lib/language.ts";
import { TEXTS } from "../texts.ts";
import { TextField } from "./form.tsx";

/** A filter of text, for example a unit's code. */
export function TextFilter({ label, value, set }: { label: string; value: string; set: (value: string) => void }) {
  const [draft, setDraft] = useState(value);
  useEffect(() => setDraft(value), [value]);
  const take = () => {
    if (draft.trim() !== value) set(draft.trim());
  };
  return <TextField label={label} value={draft} set={setDraft} onBlur={take} onKeyDown={(event) => event.key === "Enter" && take()} maxLength={64} />;
}

export function UnitFilter({ value, set }: { value: string; set: (value: string) => void }) {
  const texts = useTexts(TEXTS);
  return <TextFilter label={texts.unitBelow} value={value} set={set} />;
}
