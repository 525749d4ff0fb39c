// Everything that the card says, on a second tap.
import type { Verdict } from "../../lib/core.ts";
import type { Json } from "../../lib/json.ts";
import { useTexts } from "../../lib/language.ts";
import { day } from "../../lib/times.ts";
import { TEXTS } from "../texts.ts";

const DATES = new Set(["issued_at", "expires_at"]);
/** Shown as a picture. */
const PICTURE = "portrait_webp";

function shown(name: string, value: Json): string {
  if (DATES.has(name) && typeof value === "number") return day(value);
  return typeof value === "string" || typeof value === "number" ? String(value) : JSON.stringify(value);
}

export function FullData({ answer }: { answer: Verdict }) {
  const texts = useTexts(TEXTS);
  const all = answer.claims ?? {};
  // In the order of the texts, then what they do not know.
  const order = [...new Set([...Object.keys(texts.claim), ...Object.keys(all)])];
  const claims = order.flatMap((name) => (name === PICTURE || all[name] === undefined ? [] : [[name, all[name]] as const]));
  return (
    <dl class="full">
      {claims.map(([name, value]) => (
        <div key={name}>
          <dt>{texts.claim[name] ?? name}</dt>
          <dd>{shown(name, value)}</dd>
        </div>
      ))}
      {answer.reasons.length > 0 && (
        <div>
          <dt>{texts.reasons}</dt>
          <dd>
            <code>{answer.reasons.join(", ")}</code>
          </dd>
        </div>
      )}
    </dl>
  );
}
