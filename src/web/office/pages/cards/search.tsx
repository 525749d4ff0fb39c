// Finding cards by what belongs to a person: sent in a body, kept nowhere.
import { useState } from "preact/hooks";
import { useTexts } from "../../../lib/language.ts";
import { type Card, type CardSearch, searchCards } from "../../api/cards.ts";
import { Choice, TextField } from "../../parts/form.tsx";
import { ProblemNote } from "../../parts/problem.tsx";
import { say } from "../../parts/voice.tsx";
import { useWork } from "../../parts/work.ts";
import { TEXTS as COMMON } from "../../texts.ts";
import { TEXTS } from "./texts.ts";

type By = "name" | "person" | "number";

export function Search({ found }: { found: (cards: readonly Card[]) => void }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  const [by, setBy] = useState<By>("name");
  const [text, setText] = useState("");
  const work = useWork();
  const submit = (event: Event) => {
    event.preventDefault();
    work.run(async () => {
      const cards = await searchCards(searchOf(by, text.trim()));
      say(texts.found(cards.length));
      found(cards);
    });
  };
  const about = {
    name: { label: texts.byName, hint: texts.nameHint },
    person: { label: texts.byPerson, hint: texts.personHint, pattern: "[0-9]{12}", inputMode: "numeric" as const },
    number: { label: texts.byNumber, hint: texts.numberHint },
  }[by];
  return (
    <search class="panel">
      <h2>{texts.find}</h2>
      <p class="hint">{texts.findHint}</p>
      <form class="form" onSubmit={submit}>
        <Choice
          label={texts.by}
          value={by === "name" ? "" : by}
          set={(value) => setBy(value === "person" || value === "number" ? value : "name")}
          otherwise={texts.byName}
          options={[["person", texts.byPerson], ["number", texts.byNumber]]}
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

function searchOf(by: By, text: string): CardSearch {
  if (by === "person") return { personal_id_number: text };
  return by === "number" ? { number: text } : { name: text };
}
