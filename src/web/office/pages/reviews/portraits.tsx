// The portrait as it is and as it is to be, side by side: nobody approves a face that they have not seen.
import { useCell } from "../../../lib/cell.ts";
import type { Json } from "../../../lib/json.ts";
import { language, useTexts } from "../../../lib/language.ts";
import { type FieldChange, readPortrait } from "../../api/reviews.ts";
import { labelOf } from "../../data/fields.ts";
import { Picture } from "../../parts/picture.tsx";
import { State } from "../../parts/signs.tsx";
import { TEXTS as COMMON } from "../../texts.ts";
import { TEXTS } from "./texts.ts";

export function Portraits({ proposal, change }: { proposal: string; change: FieldChange }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const tongue = useCell(language);
  const label = labelOf(change.field, tongue);
  const side = (which: "old" | "new", head: string, value: Json) => (
    <figure>
      <figcaption>{head}</figcaption>
      {value === null ? (
        <p class="hint">{common.nothing}</p>
      ) : (
        <Picture alt={`${label}: ${head}`} of={[proposal, which]} load={(signal) => readPortrait(proposal, which, signal)} trouble={texts.portraitUnseen} />
      )}
    </figure>
  );
  return (
    <section aria-label={label}>
      <h2>{label}</h2>
      <div class="pictures">
        {side("old", common.old, change.old)}
        {side("new", common.new, change.new)}
      </div>
      {change.is_conflict === true && <State tone="attention">{texts.portraitMoved}</State>}
    </section>
  );
}
