// Old and new side by side, one field a row; in lists each entry says whether it goes, stays or comes.
import { useCell } from "../../lib/cell.ts";
import type { Json } from "../../lib/json.ts";
import { language, useTexts } from "../../lib/language.ts";
import { type Difference, entries, type Mark, type Patch } from "../data/diff.ts";
import { entryText, labelOf, valueText } from "../data/fields.ts";
import { TEXTS } from "../texts.ts";
import { State } from "./signs.tsx";
import { ScrollBox } from "./table.tsx";

export function FieldDiff(props: {
  caption: string;
  patch: Patch;
  oldHead?: string;
  newHead?: string;
  /** What the record says now, of fields on which it has moved on since: shown beside both. */
  now?: Readonly<Record<string, Json | undefined>> | undefined;
  nowHead?: string;
}) {
  const texts = useTexts(TEXTS);
  const tongue = useCell(language);
  const hasNow = props.now !== undefined && Object.keys(props.now).length > 0;
  return (
    <ScrollBox label={texts.scroll(props.caption)}>
      <table class="diff">
        <caption>{props.caption}</caption>
        <thead>
          <tr>
            <th scope="col">{texts.field}</th>
            <th scope="col">{props.oldHead ?? texts.old}</th>
            <th scope="col">{props.newHead ?? texts.new}</th>
            {hasNow && <th scope="col">{props.nowHead}</th>}
          </tr>
        </thead>
        <tbody>
          {Object.entries(props.patch).map(([name, difference]) => (
            <tr key={name}>
              <th scope="row">{labelOf(name, tongue)}</th>
              <Both name={name} difference={difference} />
              {hasNow && (
                <td>{props.now !== undefined && name in props.now ? <State tone="attention">{valueText(name, props.now[name], tongue) || texts.nothing}</State> : ""}</td>
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollBox>
  );
}

function Both({ name, difference }: { name: string; difference: Difference }) {
  if (Array.isArray(difference.old) || Array.isArray(difference.new)) {
    const list = entries(asList(difference.old), asList(difference.new));
    return (
      <>
        <Entries name={name} list={list.filter(({ mark }) => mark !== "added")} />
        <Entries name={name} list={list.filter(({ mark }) => mark !== "removed")} />
      </>
    );
  }
  return (
    <>
      <Side name={name} value={difference.old} element="del" />
      <Side name={name} value={difference.new} element="ins" />
    </>
  );
}

const asList = (value: Json | undefined): Json[] => (Array.isArray(value) ? value : value === undefined || value === null ? [] : [value]);

function Side({ name, value, element: Element }: { name: string; value: Json | undefined; element: "del" | "ins" }) {
  const texts = useTexts(TEXTS);
  const text = valueText(name, value, useCell(language));
  return <td>{text === "" ? <span class="hint">{texts.nothing}</span> : <Element>{text}</Element>}</td>;
}

function Entries({ name, list }: { name: string; list: readonly { mark: Mark; entry: Json }[] }) {
  const texts = useTexts(TEXTS);
  const tongue = useCell(language);
  if (list.length === 0) {
    return (
      <td>
        <span class="hint">{texts.nothing}</span>
      </td>
    );
  }
  return (
    <td>
      <ul class="entries">
        {list.map(({ mark, entry }, at) => (
          <li key={at} class={mark}>
            {mark !== "kept" && <strong>{mark === "added" ? `+ ${texts.added}: ` : `− ${texts.removed}: `}</strong>}
            {entryText(name, entry, tongue)}
          </li>
        ))}
      </ul>
    </td>
  );
}
