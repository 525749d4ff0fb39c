// What the fields of a record are called, and what their values say to a person.
import { CODES, type CatalogueField, FIELDS } from "virtual:catalogue";
import type { Json } from "../../lib/json.ts";
import { isObject } from "../../lib/json.ts";
import type { Language, Sentence } from "../../lib/language.ts";
import { partialDate } from "./dates.ts";

const BY_CODE = new Map(FIELDS.map((field) => [field.code, field]));

/** Titles of the dossier's groups and of the repeating lists, which the data names only by their codes. */
const TITLES: Record<string, Sentence> = {
  identity: { vi: "Thông tin chung", en: "Identity" },
  contact: { vi: "Liên hệ", en: "Contact" },
  organisation: { vi: "Đơn vị", en: "Organisation" },
  recruitment: { vi: "Tuyển dụng", en: "Recruitment" },
  work_history: { vi: "Quá trình công tác", en: "Work history" },
  position: { vi: "Chức vụ, vị trí việc làm", en: "Position" },
  grade_salary: { vi: "Ngạch, lương", en: "Grade and salary" },
  salary_history: { vi: "Quá trình lương", en: "Salary history" },
  allowance_history: { vi: "Quá trình phụ cấp", en: "Allowance history" },
  education: { vi: "Trình độ", en: "Education" },
  political_training: { vi: "Lý luận chính trị, quản lý nhà nước", en: "Political and state-management training" },
  it_language: { vi: "Tin học, ngoại ngữ", en: "IT and languages" },
  training_history: { vi: "Đào tạo, bồi dưỡng", en: "Training history" },
  party: { vi: "Đảng", en: "Party" },
  mass_org: { vi: "Tổ chức chính trị - xã hội", en: "Mass organisation" },
  military: { vi: "Quân đội", en: "Military" },
  health_policy: { vi: "Sức khỏe, chính sách", en: "Health and policy" },
  family: { vi: "Gia đình", en: "Family" },
  reward_discipline: { vi: "Khen thưởng, kỷ luật", en: "Rewards and discipline" },
  assessment: { vi: "Đánh giá, xếp loại", en: "Assessment" },
  planning: { vi: "Quy hoạch", en: "Planning" },
  status: { vi: "Trạng thái công tác", en: "Employment status" },
};

/** Lists that share their group with others. */
const LISTS: Record<string, Sentence> = {
  DS_NGOAINGU: { vi: "Ngoại ngữ", en: "Foreign languages" },
  DS_TINHOC: { vi: "Tin học", en: "Information technology" },
};

/** Every group, in the order of the dossier. */
export const GROUPS: readonly string[] = [...new Set(FIELDS.map((field) => field.group))];

/** Members of the small objects that some fields are lists of, where they are no fields of their own. */
const MEMBERS: Record<string, Sentence> = {
  relation: { vi: "Quan hệ", en: "Relation" },
  birth_year: { vi: "Năm sinh", en: "Birth year" },
  occupation: { vi: "Nghề nghiệp", en: "Occupation" },
  form: { vi: "Hình thức", en: "Form" },
  decision_number: { vi: "Số quyết định", en: "Decision number" },
  decision_date: { vi: "Ngày quyết định", en: "Decision date" },
  authority: { vi: "Cơ quan quyết định", en: "Deciding authority" },
  until: { vi: "Đến ngày", en: "Until" },
  position: { vi: "Chức danh", en: "Position" },
  period_from: { vi: "Từ", en: "From" },
  period_to: { vi: "Đến", en: "To" },
};
const DATE_MEMBERS = new Set(["decision_date", "until", "period_from", "period_to"]);

/** The field itself, where the catalogue has it. */
export function fieldOf(code: string): CatalogueField | undefined {
  return BY_CODE.get(code);
}

/** Where a field or a repeating list stands in the dossier. */
export function orderOf(name: string): number {
  const at = FIELDS.findIndex((field) => field.code === name || field.list === name);
  return at < 0 ? FIELDS.length : at;
}

/** The title of a group. */
export function groupTitle(group: string, language: Language): string {
  return TITLES[group]?.[language] ?? group;
}

/** The group that a field or a repeating list stands in. */
export function groupOf(name: string): string {
  return (BY_CODE.get(name) ?? FIELDS.find((field) => field.list === name))?.group ?? "";
}

/** What a field or a repeating list is called. */
export function labelOf(name: string, language: Language): string {
  const field = BY_CODE.get(name);
  if (field !== undefined) return field.label[language];
  const list = LISTS[name];
  if (list !== undefined) return list[language];
  const column = FIELDS.find((known) => known.list === name);
  return column === undefined ? (MEMBERS[name]?.[language] ?? name) : groupTitle(column.group, language);
}

/** A column of a list, without the list's name in front. */
function columnLabel(name: string, language: Language): string {
  return labelOf(name, language).replace(/^[^:]*: /, "");
}

/** A sentence of the server with the codes of fields in it replaced by what they are called. */
export function withLabels(sentence: string, language: Language): string {
  return sentence.replace(/\b[a-z]+(?:_[a-z]+)+\b/g, (word) => (BY_CODE.has(word) ? `“${labelOf(word, language)}”` : word));
}

/** A value as text: codes with their labels, dates as people write them, entries of lists on lines of their own. */
export function valueText(name: string, value: Json | undefined, language: Language): string {
  if (value === undefined || value === null || value === "") return "";
  if (Array.isArray(value)) return value.map((entry) => entryText(name, entry, language)).join("\n");
  if (isObject(value)) return entryText(name, value, language);
  const field = BY_CODE.get(name);
  const text = String(value);
  if (field?.type === "date" || DATE_MEMBERS.has(name)) return partialDate(text);
  if (field?.type === "image") return language === "vi" ? "(ảnh)" : "(picture)";
  const label = field === undefined ? undefined : CODES[field.codes]?.[text]?.[language];
  return label === undefined ? text : `${label} (${text})`;
}

/** One entry of a list. */
export function entryText(name: string, entry: Json, language: Language): string {
  if (!isObject(entry)) return valueText(name, entry, language);
  return Object.entries(entry)
    .filter(([, value]) => value !== null && value !== "")
    .map(([member, value]) => `${columnLabel(member, language)}: ${valueText(member, value, language)}`)
    .join("; ");
}
