// The portrait as it is and as it is to be, side by side: nobody approves a face that they have not seen.
import { useCell } from "../../../lib/cell.ts";
import type { Json } from "../../../lib/json.ts";
import { language, useTexts } from "../../../lib/language.ts";
import type { FieldChange } from "../../api/reviews.ts";
import { fieldOf, labelOf } from "../../data/fields.ts";
import { Picture } from "../../parts/picture.tsx";
import { State } from "../../parts/signs.tsx";
import { TEXTS as COMMON } from "../../texts.ts";
import { TEXTS } from "./texts.ts";

type Side = "old" | "new";

/** Whether a change is one of a picture, which no table shows. */
export const isPicture = (change: FieldChange): boolean => fieldOf(change.field)?.type === "image";

export function Portraits(props: {
  change: FieldChange;
  /** Whose change it is: others have other pictures. */
  of: string;
  heads: Readonly<Record<Side, string>>;
  load: (side: Side, signal: AbortSignal) => Promise<Blob>;
}) {
  const { change, of, heads, load } = props;
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const tongue = useCell(language);
  const label = labelOf(change.field, tongue);
  const side = (which: Side, value: Json) => (
    <figure>
      <figcaption>{heads[which]}</figcaption>
      {value === null ? (
        <p class="hint">{common.nothing}</p>
      ) : (
        <Picture alt={`${label}: ${heads[which]}`} of={[of, which]} load={(signal) => load(which, signal)} trouble={texts.portraitUnseen} />
      )}
    </figure>
  );
  return (
    <section aria-label={label}>
      <h2>{label}</h2>
      <div class="pictures">
        {side("old", change.old)}
        {side("new", change.new)}
      </div>
      {change.is_conflict === true && <State tone="attention">{texts.portraitMoved}</State>}
    </section>
  );
}
