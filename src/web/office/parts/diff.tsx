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
  isCaptionHidden?: boolean;
  patch: Patch;
  oldHead?: string;
  newHead?: string;
  /** What the record says now, of fields on which it has moved on since: shown beside both. */
  now?: Readonly<Record<string, { readonly value: Json; readonly label: string | undefined }>> | undefined;
  nowHead?: string;
}) {
  const texts = useTexts(TEXTS);
  const tongue = useCell(language);
  const hasNow = props.now !== undefined && Object.keys(props.now).length > 0;
  return (
    <ScrollBox label={texts.scroll(props.caption)}>
      <table class="diff">
        <caption class={props.isCaptionHidden === true ? "visually-hidden" : ""}>{props.caption}</caption>
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
              {hasNow && <Now name={name} now={props.now?.[name]} />}
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
      <Side name={name} value={difference.old} label={difference.oldLabel} element="del" />
      <Side name={name} value={difference.new} label={difference.newLabel} element="ins" />
    </>
  );
}

const asList = (value: Json | undefined): Json[] => (Array.isArray(value) ? value : value === undefined || value === null ? [] : [value]);

function Now({ name, now }: { name: string; now: { readonly value: Json; readonly label: string | undefined } | undefined }) {
  const texts = useTexts(TEXTS);
  const tongue = useCell(language);
  if (now === undefined) return <td />;
  return (
    <td>
      <State tone="attention">{labelled(now.value, now.label) ?? (valueText(name, now.value, tongue) || texts.nothing)}</State>
    </td>
  );
}

const labelled = (value: Json | undefined, label: string | undefined) => (label === undefined ? undefined : `${label} (${String(value)})`);

function Side({ name, value, label, element: Element }: { name: string; value: Json | undefined; label: string | undefined; element: "del" | "ins" }) {
  const texts = useTexts(TEXTS);
  const tongue = useCell(language);
  const text = labelled(value, label) ?? valueText(name, value, tongue);
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
