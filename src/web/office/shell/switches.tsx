// Language and colours.
import { useCell } from "../../lib/cell.ts";
import { language, useTexts } from "../../lib/language.ts";
import { THEMES, theme } from "../../lib/theme.ts";
import { TEXTS } from "../texts.ts";

export function Switches() {
  const texts = useTexts(TEXTS);
  const tongue = useCell(language);
  const colours = useCell(theme);
  const other = tongue === "vi" ? "en" : "vi";
  const next = THEMES[(THEMES.indexOf(colours) + 1) % THEMES.length] ?? "auto";
  return (
    <>
      <button type="button" class="quiet" lang={other} onClick={() => language.set(other)}>
        {texts.language}
      </button>
      <button type="button" class="quiet" onClick={() => theme.set(next)}>
        {texts.theme[colours]}
      </button>
    </>
  );
}
