import { expect, test } from "vitest";
import { isPassing, nameIn, Problem, TooSlow, Unreachable } from "../api/client.ts";
import { describe } from "./problems.ts";

test("a refusal is a sentence with its place", () => {
  const wrong = describe(new Problem(400, "invalid-request", "body.personal_id_number: must be 12 digits"), "vi");
  expect(wrong.sentence).toContain("chưa đúng");
  expect(wrong.place).toBe("Chỗ sai: Số định danh cá nhân (số căn cước).");
  expect(describe(new Problem(400, "invalid-request", "body.items[3].decision: must be one of"), "en").place).toBe("Where: body.items[3].decision.");
  expect(describe(new Problem(403, "foreign-unit", "this client may not act for that unit"), "vi").place).toBeUndefined();
});

test("what nobody foresaw still says something", () => {
  expect(describe(new Problem(418, "teapot", ""), "vi").sentence).toBe("Máy chủ từ chối yêu cầu.");
  expect(describe(new Problem(502, "", ""), "vi").sentence).toContain("Hệ thống gặp lỗi");
  expect(describe(new Unreachable("network"), "vi").sentence).toContain("kiểm tra mạng");
  expect(describe(new TooSlow("patience"), "vi").sentence).toContain("lâu hơn thường lệ");
  expect(describe(new TypeError("x is undefined"), "en")).toEqual({ sentence: "The page failed. Please reload it.", place: undefined, detail: "" });
});

test("only what passes by itself is asked again", () => {
  expect([new Unreachable("network"), new Problem(503, "busy", ""), new Problem(429, "x", "", 1)].map(isPassing)).toEqual([true, true, true]);
  expect([new Problem(409, "moved-on", ""), new Problem(500, "fault", ""), new Problem(429, "x", "", 60), new Error("x")].map(isPassing)).toEqual([false, false, false, false]);
});

test("a saved file has the server's name and no path", () => {
  expect(nameIn("attachment; filename=\"rejects.xlsx\"")).toBe("rejects.xlsx");
  expect(nameIn("attachment; filename=\"x.pdf\"; filename*=UTF-8''gi%E1%BA%A5y%20k%E1%BA%BFt%20h%C3%B4n.pdf")).toBe("giấy kết hôn.pdf");
  expect(nameIn("attachment; filename=\"../../etc/passwd\"")).toBe("passwd");
  expect(nameIn(null)).toBeUndefined();
});
