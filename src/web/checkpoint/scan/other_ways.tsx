// When the camera does not do: a picture, a hand-held scanner that types, and an honest word about card numbers.
import { useState } from "preact/hooks";
import { useTexts } from "../../lib/language.ts";
import { TEXTS } from "../texts.ts";
import { readPicture } from "./scanner.ts";

/** No code of ours is as short as this, and no card number longer. */
const LONGEST_NUMBER = 32;

export function OtherWays({ scanned }: { scanned: (text: string) => void }) {
  const texts = useTexts(TEXTS);
  const [note, setNote] = useState<"pictureNothing" | "number">();

  const picked = async (input: HTMLInputElement) => {
    const file = input.files?.[0];
    if (file === undefined) return;
    setNote(undefined);
    const answer = await readPicture(file).catch(() => undefined);
    // The same picture may be chosen again.
    input.value = "";
    if (answer?.text === undefined) setNote("pictureNothing");
    else scanned(answer.text);
  };

  const typed = (form: HTMLFormElement) => {
    const field = form.elements.namedItem("text");
    // A scanner ends with the enter key, which is not part of the code; the spaces are.
    const text = field instanceof HTMLTextAreaElement ? field.value.replace(/[\r\n]+$/, "") : "";
    form.reset();
    if (text.trim() === "") return;
    const isNumber = text.trim().length <= LONGEST_NUMBER && /^[0-9A-Za-z .-]+$/.test(text);
    setNote(isNumber ? "number" : undefined);
    if (!isNumber) scanned(text);
  };

  return (
    <details class="other-ways">
      <summary>{texts.otherWays}</summary>
      <label class="file">
        <span>{texts.picture}</span>
        <input type="file" accept="image/*" onChange={(event) => void picked(event.currentTarget)} />
      </label>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          typed(event.currentTarget);
        }}
      >
        <label>
          {texts.typed}
          <textarea
            name="text"
            rows={2}
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
            onKeyDown={(event) => {
              if (event.key !== "Enter") return;
              event.preventDefault();
              event.currentTarget.form?.requestSubmit();
            }}
          />
        </label>
        <button type="submit">{texts.check}</button>
      </form>
      <div role="status">
        {note === "pictureNothing" && <p>{texts.pictureNothing}</p>}
        {note === "number" && (
          <div class="note">
            <h2>{texts.manualTitle}</h2>
            <p>{texts.manualText}</p>
          </div>
        )}
      </div>
    </details>
  );
}
