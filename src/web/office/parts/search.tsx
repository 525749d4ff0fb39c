// Finding cards or records by what belongs to a person: sent in a body, kept nowhere.
import { useState } from "preact/hooks";
import { type Language, useTexts } from "../../lib/language.ts";
import { TEXTS as COMMON } from "../texts.ts";
import { Choice, TextField } from "./form.tsx";
import { ProblemNote } from "./problem.tsx";
import { say } from "./voice.tsx";
import { useWork } from "./work.ts";

/** What is looked for: exactly one of these. */
export type Sought = { personal_id_number: string } | { number: string } | { name: string };

type By = "name" | "person" | "number";

export function Search<T>(props: {
  /** What the page calls it. */
  texts: { readonly find: string; readonly byNumber: string; readonly numberHint: string; readonly found: (count: number) => string };
  search: (sought: Sought) => Promise<readonly T[]>;
  found: (things: readonly T[]) => void;
}) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const [by, setBy] = useState<By>("name");
  const [text, setText] = useState("");
  const work = useWork();
  const submit = (event: Event) => {
    event.preventDefault();
    work.run(async () => {
      const things = await props.search(soughtBy(by, text.trim()));
      say(props.texts.found(things.length));
      props.found(things);
    });
  };
  const about = {
    name: { label: texts.byName, hint: texts.nameHint },
    person: { label: texts.byPerson, hint: texts.personHint, pattern: "[0-9]{12}", inputMode: "numeric" as const },
    number: { label: props.texts.byNumber, hint: props.texts.numberHint },
  }[by];
  return (
    <search class="panel">
      <h2>{props.texts.find}</h2>
      <p class="hint">{texts.hint}</p>
      <form class="form" onSubmit={submit}>
        <Choice
          label={texts.by}
          value={by === "name" ? "" : by}
          set={(value) => setBy(value === "person" || value === "number" ? value : "name")}
          otherwise={texts.byName}
          options={[["person", texts.byPerson], ["number", props.texts.byNumber]]}
        />
        <TextField {...about} value={text} set={setText} required maxLength={120} />
        <button type="submit" class="primary" aria-disabled={work.isBusy}>
          {work.isBusy ? common.working : texts.search}
        </button>
      </form>
      <ProblemNote error={work.error} />
    </search>
  );
}

function soughtBy(by: By, text: string): Sought {
  if (by === "person") return { personal_id_number: text };
  return by === "number" ? { number: text } : { name: text };
}

const vi = {
  hint: "Nội dung tìm không ghi vào địa chỉ trang. Việc tìm được ghi lại.",
  by: "Tìm theo",
  byName: "Họ và tên",
  byPerson: "Số định danh cá nhân",
  nameHint: "Không cần đúng dấu và chữ hoa.",
  personHint: "12 chữ số",
  search: "Tìm",
};

const en: typeof vi = {
  hint: "What you search for stands in no address. Searches are written down.",
  by: "Find by",
  byName: "Name",
  byPerson: "Personal number",
  nameHint: "Accents and capitals do not matter.",
  personHint: "12 digits",
  search: "Find",
};

const TEXTS: Record<Language, typeof vi> = { vi, en };
