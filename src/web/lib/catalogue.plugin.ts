// The field catalogue and its code lists for the browser: the module `virtual:catalogue`, made from the data that the program
// itself reads, so that a label is written in one place. Policy columns stay behind.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

const NAME = "virtual:catalogue";
/** So marked, no other plugin takes it for a file. */
const RESOLVED = `\0${NAME}`;
const DATA = join(import.meta.dirname, "../../model/data/2023");

/** The rows of a CSV text (RFC 4180) as objects by the names of the first row. */
function rows(text: string): Record<string, string>[] {
  const table: string[][] = [[]];
  let cell = "";
  let isQuoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at] ?? "";
    if (isQuoted) {
      if (character !== '"') cell += character;
      else if (text[at + 1] === '"') cell += text[(at += 1)];
      else isQuoted = false;
    } else if (character === '"') isQuoted = true;
    else if (character === "," || character === "\n") {
      table.at(-1)?.push(cell);
      cell = "";
      if (character === "\n") table.push([]);
    } else if (character !== "\r") cell += character;
  }
  const [names = [], ...lines] = table;
  return lines.filter((line) => line.length === names.length).map((line) => Object.fromEntries(names.map((name, at) => [name, line[at] ?? ""])));
}

const read = (file: string) => rows(readFileSync(join(DATA, file), "utf8"));

/** The module's text. */
export function catalogueModule(): string {
  const fields = read("fields.csv").map((row) => ({
    code: row["code"],
    label: { vi: row["label_vi"], en: row["label_en"] },
    group: row["group"],
    type: row["type"],
    codes: row["code_list"],
    list: row["repeat_list"],
  }));
  const codes: Record<string, Record<string, { vi: string; en: string }>> = {};
  for (const row of read("code_lists.csv")) {
    (codes[row["list"] ?? ""] ??= {})[row["code"] ?? ""] = { vi: row["label_vi"] ?? "", en: row["label_en"] ?? "" };
  }
  return `export const FIELDS = ${JSON.stringify(fields)};\nexport const CODES = ${JSON.stringify(codes)};\n`;
}

/** The plugin. */
export function catalogue(): Plugin {
  return {
    name: "catalogue",
    resolveId: (name) => (name === NAME ? RESOLVED : undefined),
    load: (name) => (name === RESOLVED ? catalogueModule() : undefined),
  };
}
