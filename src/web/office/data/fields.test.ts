import { expect, test } from "vitest";
import { GROUPS, groupTitle, labelOf, valueText, withLabels } from "./fields.ts";

test("every group has a title in both languages", () => {
  for (const group of GROUPS) {
    expect(groupTitle(group, "vi"), group).not.toBe(group);
    expect(groupTitle(group, "en"), group).not.toBe(group);
  }
});

test("codes in sentences are replaced by labels", () => {
  expect(withLabels("thiếu portrait_photo để cấp thẻ", "vi")).toBe("thiếu “Ảnh chân dung” để cấp thẻ");
  expect(withLabels("no field_here and nothing else", "en")).toBe("no field_here and nothing else");
});

test("values say what they mean", () => {
  expect(labelOf("position_title", "vi")).toBe("Chức vụ (chức danh)");
  expect(labelOf("DS_QUATRINH_CONGTAC", "vi")).toBe("Quá trình công tác");
  expect(valueText("date_of_birth", "1990-05", "vi")).toBe("05/1990");
  expect(valueText("gender", "2", "vi")).toBe("Nữ (2)");
  expect(valueText("full_name", null, "vi")).toBe("");
  expect(valueText("DS_QUATRINH_CONGTAC", [{ work_history_from: "2020", work_history_agency_name: "Sở X" }], "vi")).toBe("từ ngày: 2020; tên cơ quan: Sở X");
  expect(valueText("disciplines", [{ form: "01", decision_date: "20240131" }], "en")).toBe("Form: 01; Decision date: 31/01/2024");
  expect(valueText("unheard_of", "x", "en")).toBe("x");
});
