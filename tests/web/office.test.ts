// The unit office as its officers use it, against the real server with the demo's simulators.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { ARTEFACTS, portrait, violations } from "./browser.ts";
import { csv, type Desk, Office, ROLES } from "./office_server.ts";

let office: Office;
/** The unit of the demo's officers. */
let unit: string;

before(async () => {
  office = await Office.start();
  unit = office.demo.office.officers.clerk.unit ?? "";
  await office.offersCard(office.demo.people.verified);
});

after(() => office?.end());

/** The pages that each right opens. */
const PAGES: Record<string, string[]> = {
  uploads: ["records:write"],
  reviews: ["updates:read", "records:confirm"],
  records: ["records:read"],
  changes: ["records:read"],
  quality: ["quality:read"],
  approvals: ["quality:read"],
  cards: ["cards:read"],
  reorganisations: ["reorganisations:read"],
  calls: ["sync:read"],
  audit: ["audit:read"],
  population: ["population:read"],
  officers: ["officers:read"],
};

/** Pictures in light and dark, and axe-core: also at the narrowest width. */
async function looks(desk: Desk, name: string): Promise<void> {
  const { page } = desk;
  await desk.rests();
  assert.deepEqual(await portrait(page, `office-${name}`), []);
  await page.setViewportSize({ width: 360, height: 740 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `${name} is ${wide} pixels too wide at 360`);
  await page.screenshot({ path: join(ARTEFACTS, `office-${name}-360.png`), fullPage: true });
  await page.setViewportSize({ width: 1366, height: 768 });
}

/** A question that stands over the page: as it is seen, and axe-core. */
async function dialogLooks(desk: Desk, name: string): Promise<void> {
  await desk.page.waitForFunction(() => document.activeElement?.closest("dialog") !== null);
  await desk.page.screenshot({ path: join(ARTEFACTS, `office-${name}.png`) });
  assert.deepEqual(await violations(desk.page), []);
}

const saved = async (page: Page, press: () => Promise<void>): Promise<Buffer> => {
  const [download] = await Promise.all([page.waitForEvent("download"), press()]);
  return readFileSync(await download.path());
};

describe("signing in", () => {
  test("with a second factor, and out again", async () => {
    const desk = await office.desk();
    const { page } = desk;
    await desk.goto();
    await page.getByRole("heading", { name: "Đăng nhập" }).waitFor();
    await looks(desk, "sign-in");
    await desk.signIn("clerk");
    await page.getByText("Cán bộ hồ sơ").waitFor();
    await looks(desk, "overview-clerk");
    await page.getByRole("button", { name: "Đăng xuất" }).click();
    // By the provider, and back.
    await page.getByRole("heading", { name: "Đăng nhập" }).waitFor();
    assert.deepEqual(desk.complaints, []);
    await desk.close();
  });

  test("a session that is over says so, and leads back to the same place", async () => {
    const desk = await office.officer("clerk");
    await desk.goto(`cards?unit=${unit}&state=active`);
    await desk.context.clearCookies();
    await desk.page.getByRole("link", { name: "Nạp hồ sơ" }).click();
    await desk.page.getByText("Phiên làm việc đã kết thúc").waitFor();
    await looks(desk, "session-ended");
    await desk.signIn("clerk");
    assert.match(desk.page.url(), /#\/uploads$/);
    assert.deepEqual(desk.complaints, []);
    await desk.close();
  });

  test("the end of a session is told in time", async () => {
    const desk = await office.officer("clerk");
    const soon = Math.floor(Date.now() / 1000) + 100;
    await desk.page.route("**/api/v1/session", async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, json: { ...((await answer.json()) as object), idle_expires_at: soon } });
    });
    await desk.page.reload();
    await desk.page.getByRole("alert").getByText("Phiên làm việc kết thúc sau").waitFor();
    await looks(desk, "session-ending");
    await desk.page.unroute("**/api/v1/session");
    await desk.page.getByRole("button", { name: "Tiếp tục làm việc" }).click();
    await desk.page.getByText("Phiên làm việc kết thúc sau").waitFor({ state: "detached" });
    await desk.close();
  });

  for (const role of ROLES) {
    test(`${role} sees the pages of the role, each clean, and no other`, async () => {
      const desk = await office.officer(role);
      const { scopes } = await desk.asks<{ scopes: string[] }>("session");
      const open = ["overview", ...Object.keys(PAGES).filter((name) => PAGES[name]?.some((scope) => scopes.includes(scope)))];
      const shown = await desk.page.locator("nav.pages a").evaluateAll((links) => links.map((link) => link.getAttribute("href")));
      assert.deepEqual(shown, open.map((name) => `#/${name}`));
      for (const name of ["overview", ...Object.keys(PAGES)]) {
        await desk.goto(name);
        await desk.page.waitForFunction(() => document.activeElement?.tagName === "H1");
        if (open.includes(name)) {
          assert.equal(await desk.page.getByText("Không có trang này").count(), 0, name);
          await looks(desk, `${role}-${name}`);
        } else await desk.page.getByText("Không có trang này").waitFor();
      }
      assert.deepEqual(desk.complaints, []);
      await desk.close();
    });
  }
});

describe("a filled-in file", () => {
  test("is sent, corrected and submitted by keyboard alone", async () => {
    const desk = await office.officer("clerk");
    const { page } = desk;
    const [first, second, third] = office.rows(unit);
    assert.ok(first !== undefined && second !== undefined && third !== undefined);
    const file = csv([
      { ...first, main_duties: "Theo dõi hồ sơ" },
      { ...second, position_title: "022" },
      { ...third, personal_id_number: "1099012345" },
    ]);
    await desk.goto("uploads");
    await looks(desk, "uploads");
    await desk.tabTo("Tải biểu mẫu Excel");
    const form = await saved(page, () => page.keyboard.press("Enter"));
    assert.equal(form.subarray(0, 2).toString(), "PK", "a workbook");

    await desk.tabTo(/chọn tệp trên máy/);
    // What the browser's own window for files would do.
    await page.locator("input[type=file]").setInputFiles({ name: "ho-so.csv", mimeType: "text/csv", buffer: file });
    await page.getByRole("heading", { name: "Kết quả kiểm tra" }).waitFor();
    await page.getByText("phải", { exact: false }).first().waitFor();
    const row = page.getByRole("row").filter({ hasText: "1099012345" });
    assert.match(await row.innerText(), /Ô [A-Z]+4/);
    await looks(desk, "upload-checked");
    assert.ok(await page.getByRole("button", { name: "Nộp hồ sơ" }).isDisabled(), "faults are not submitted unseen");

    await desk.tabTo("Chỉ nộp các dòng đúng");
    await page.keyboard.press("Space");
    await desk.tabTo("Nộp hồ sơ");
    await page.keyboard.press("Enter");
    await page.getByText("Đã ghi", { exact: true }).first().waitFor();
    await looks(desk, "upload-done");
    await desk.tabTo(/Tải tệp lỗi \(csv\)/);
    const rejects = await saved(page, () => page.keyboard.press("Enter"));
    assert.match(rejects.toString(), /1099012345/);
    await desk.goto("uploads");
    await page.getByRole("row").filter({ hasText: "Đã ghi" }).first().waitFor();
    assert.deepEqual(desk.complaints, []);
    await desk.close();
  });

  test("that is none is refused with a sentence", async () => {
    const desk = await office.officer("clerk");
    await desk.goto("uploads");
    await desk.page.locator("input[type=file]").setInputFiles({ name: "anh.png", mimeType: "image/png", buffer: Buffer.from("x") });
    await desk.page.getByRole("alert").getByText("Chỉ nhận tệp .xlsx hoặc .csv.").waitFor();
    await desk.page.locator("input[type=file]").setInputFiles({ name: "x.xlsx", mimeType: "application/zip", buffer: Buffer.from("PK not a workbook") });
    await desk.page.getByText("Không đọc được").first().waitFor();
    await looks(desk, "upload-failed");
    await desk.close();
  });

  test("is confirmed by somebody else", async () => {
    const desk = await office.officer("unit_head");
    const { page } = desk;
    await desk.goto("reviews/confirmations");
    const show = page.getByRole("button", { name: /Xem thay đổi/ }).first();
    await show.click();
    await page.getByRole("table", { name: /Xem thay đổi/ }).waitFor();
    const opened = page.getByRole("region", { name: /Xem thay đổi/ });
    await opened.and(page.locator(":focus")).waitFor();
    assert.deepEqual([await show.getAttribute("aria-expanded"), await show.getAttribute("aria-controls")], ["true", await opened.getAttribute("id")]);
    await looks(desk, "confirmations");
    await page.getByRole("button", { name: /Trả lại/ }).first().click();
    await dialogLooks(desk, "confirmation-return");
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    const box = page.getByRole("checkbox", { name: /Chọn hồ sơ của/ }).first();
    await box.check();
    await page.getByRole("button", { name: "Xác nhận 1 hồ sơ" }).click();
    await dialogLooks(desk, "confirmation-ask");
    await page.getByRole("dialog").getByRole("button", { name: "Xác nhận", exact: true }).click();
    await page.getByText("Đã xác nhận: 1").waitFor();
    assert.deepEqual(desk.complaints, []);
    await desk.close();
  });
});

describe("proposals of officials", () => {
  test("one is looked at and approved by keyboard alone", async () => {
    const person = office.demo.people.verified;
    await office.proposes(person, { marital_status: "1" }, "Đã ly hôn năm 2025.");
    const desk = await office.officer("unit_head");
    const { page } = desk;
    await desk.goto("reviews");
    await looks(desk, "reviews");
    await desk.tabTo("Lê Đức Thắng");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Đề nghị thay đổi", level: 1 }).waitFor();
    await desk.rests();
    await page.getByRole("row").filter({ hasText: "Tình trạng hôn nhân" }).first().waitFor();
    await looks(desk, "proposal");
    await desk.tabTo(/Tải về giay-chung-nhan\.pdf/);
    const evidence = await saved(page, () => page.keyboard.press("Enter"));
    assert.equal(evidence.subarray(0, 5).toString(), "%PDF-");
    await desk.tabTo(/^Duyệt$/);
    await page.keyboard.press("Enter");
    await dialogLooks(desk, "proposal-approve");
    await desk.tabTo(/^Duyệt$/);
    await page.keyboard.press("Enter");
    await page.getByText("Đã duyệt.").first().waitFor();
    await looks(desk, "proposal-approved");
    assert.deepEqual(desk.complaints, []);
    await desk.close();
  });

  test("two for the same field are a conflict, which is shown and refused with a reason", async () => {
    const person = office.demo.people.verified;
    const one = await office.proposes(person, { occupation_before_recruitment: "Giáo viên" }, "Còn thiếu.");
    const other = await office.proposes(person, { occupation_before_recruitment: "Kỹ sư" }, "Ghi nhầm.");
    const desk = await office.officer("unit_head");
    const { page } = desk;
    await desk.goto(`reviews/proposal/${one}`);
    await page.getByText("Đề nghị khác cho cùng thông tin").waitFor();
    await page.getByRole("button", { name: "Duyệt", exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Duyệt", exact: true }).click();
    await page.getByText("Đã duyệt.").first().waitFor();
    await desk.goto(`reviews/proposal/${other}`);
    await page.getByText("Hồ sơ đã thay đổi sau khi đề nghị được gửi").waitFor();
    await looks(desk, "proposal-conflict");
    await page.getByRole("button", { name: "Từ chối" }).click();
    await page.getByRole("dialog").getByRole("combobox").selectOption({ index: 1 });
    await page.getByRole("dialog").getByRole("textbox").fill("Đã có đề nghị khác.");
    await dialogLooks(desk, "proposal-refuse");
    await page.getByRole("dialog").getByRole("button", { name: "Từ chối" }).click();
    await page.getByText("Đã từ chối.").first().waitFor();
    assert.deepEqual(desk.complaints, []);
    await desk.close();
  });

  test("a new portrait is seen beside the old one before anybody approves it", async () => {
    const desk = await office.officer("unit_head");
    const { page } = desk;
    const draw = (colour: string) =>
      page.evaluate((colour) => {
        const canvas = Object.assign(document.createElement("canvas"), { width: 240, height: 320 });
        const context = canvas.getContext("2d");
        if (context === null) throw new Error("no canvas");
        context.fillStyle = "#dde6f0";
        context.fillRect(0, 0, 240, 320);
        context.fillStyle = colour;
        context.arc(120, 130, 70, 0, 7);
        context.fill();
        context.fillRect(40, 230, 160, 90);
        return canvas.toDataURL("image/jpeg").replace(/^[^,]*,/, "");
      }, colour);
    const proposal = await office.proposes(office.demo.people.verified, { portrait_photo: await draw("#6b4a3a") }, "Ảnh mới.");
    await desk.goto("reviews");
    const row = page.getByRole("row").filter({ hasText: "Ảnh chân dung" });
    await row.waitFor();
    assert.equal(await row.getByRole("checkbox").count(), 0, "not among many");
    await page.route("**/portraits/new", (route) => route.fulfill({ status: 404 }));
    await desk.goto(`reviews/proposal/${proposal}`);
    await page.getByText("Chưa xem được ảnh này").first().waitFor();
    await page.unroute("**/portraits/new");
    const shown = page.getByRole("img", { name: "Ảnh chân dung: Đề nghị" });
    await page.getByRole("figure").filter({ hasText: "Đề nghị" }).getByRole("button", { name: "Thử lại" }).click();
    await shown.waitFor();
    await page.waitForFunction(() => [...document.querySelectorAll("figure img")].some((image) => (image as HTMLImageElement).naturalWidth === 240));
    assert.equal(await page.getByText("(ảnh)").count(), 0);
    await looks(desk, "proposal-portrait");
    assert.deepEqual(desk.complaints, []);
    await desk.close();
  });

  test("whoever confirms knows colleagues by name and lends them the right to decide", async () => {
    const desk = await office.officer("confirmer");
    const { page } = desk;
    await desk.goto("reviews/delegations");
    await page.getByLabel("Người nhận").selectOption({ label: `Trần Thị Nhập (Cán bộ hồ sơ, ${unit})` });
    assert.equal(await page.getByLabel("Người nhận").getByRole("option").filter({ hasText: "Đỗ Thị Quản" }).count(), 0, "no operator");
    await page.getByRole("button", { name: "Ủy quyền", exact: true }).click();
    await page.getByRole("row").filter({ hasText: "Trần Thị Nhập" }).getByText("Đang hiệu lực").waitFor();
    await looks(desk, "delegations-confirmer");
    assert.deepEqual(desk.complaints, []);
    await desk.close();
  });

  test("the workload is told, and the right to decide is given on and taken back", async () => {
    const desk = await office.officer("unit_head");
    const { page } = desk;
    await desk.goto("reviews/workload");
    await looks(desk, "workload");
    await desk.goto("reviews/delegations");
    const officers = await office.officer("operator");
    const { items } = await officers.asks<{ items: { id: string; subject: string }[] }>("officers");
    await officers.close();
    const to = items.find((officer) => officer.subject === office.demo.office.officers.clerk.subject)?.id ?? "";
    await page.getByLabel("Người nhận").selectOption(to);
    await page.getByRole("button", { name: "Ủy quyền", exact: true }).click();
    await page.getByText("Đang hiệu lực").first().waitFor();
    await looks(desk, "delegations");
    await page.getByRole("button", { name: /^Thu hồi/ }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Thu hồi" }).click();
    await page.getByText("Đã thu hồi", { exact: true }).waitFor();
    assert.deepEqual(desk.complaints, []);
    await desk.close();
  });
});

describe("cards and records", () => {
  test("a card is found by name, locked, unlocked, printed and withdrawn", async () => {
    const desk = await office.officer("unit_head");
    const { page } = desk;
    await desk.goto("cards");
    await page.getByLabel("Họ và tên").fill("le duc thang");
    await page.getByRole("button", { name: "Tìm", exact: true }).click();
    const found = page.getByRole("link", { name: "Lê Đức Thắng" }).first();
    await found.waitFor();
    await looks(desk, "cards-found");
    await found.click();
    await page.getByRole("heading", { name: "Thẻ", exact: true, level: 1 }).waitFor();
    await page.locator(".facts").getByText("Lê Đức Thắng").waitFor();
    await desk.rests();
    const step = async (name: string, reason: string, state: string) => {
      await page.getByRole("button", { name, exact: true }).click();
      await page.getByRole("dialog").getByRole("combobox").selectOption(reason);
      await page.getByRole("dialog").getByText("Lê Đức Thắng").waitFor();
      if (name === "Thu hồi") await page.getByRole("checkbox").check();
      await dialogLooks(desk, `card-${reason}`);
      await page.getByRole("dialog").getByRole("button", { name, exact: true }).click();
      await page.locator(".facts").getByText(state, { exact: false }).waitFor();
    };
    const badge = await saved(page, () => page.getByRole("button", { name: "Tải PDF mã QR" }).click());
    assert.equal(badge.subarray(0, 5).toString(), "%PDF-");
    await step("Tạm khóa", "lost", "Tạm khóa (Mất)");
    await looks(desk, "card-locked");
    await step("Mở khóa", "found", "Đang hiệu lực");
    await step("Thu hồi", "issued_in_error", "Đã thu hồi (Cấp nhầm)");
    await looks(desk, "card-withdrawn");
    assert.deepEqual(desk.complaints, []);
    await desk.close();
  });

  test("a record says where each value comes from and what each version changed", async () => {
    const desk = await office.officer("clerk");
    const { page } = desk;
    await desk.goto("records");
    await looks(desk, "records");
    await page.getByRole("rowheader").getByRole("link").first().click();
    await page.getByRole("heading", { name: "Hồ sơ cán bộ" }).waitFor();
    await desk.rests();
    await page.getByText("Các phiên bản").click();
    await page.getByRole("heading", { name: /Phiên bản/ }).first().waitFor();
    await looks(desk, "record");
    assert.deepEqual(desk.complaints, []);
    await desk.close();
  });

  test("a record is found by name and by number, and the look is in the log", async () => {
    const desk = await office.officer("unit_head");
    const { page } = desk;
    const [row] = office.rows(unit);
    assert.ok(row !== undefined);
    await desk.goto("records");
    await page.getByLabel("Họ và tên").fill("le duc thang");
    await page.getByRole("button", { name: "Tìm", exact: true }).click();
    await page.getByRole("link", { name: "Lê Đức Thắng" }).first().waitFor();
    await looks(desk, "records-found");
    await page.getByLabel("Tìm theo").selectOption("number");
    await page.getByLabel("Số hiệu do đơn vị cấp").last().fill(row["agency_personnel_number"] ?? "");
    await page.getByRole("button", { name: "Tìm", exact: true }).click();
    await page.getByText("Tìm thấy 1 hồ sơ").first().waitFor();
    await page.getByRole("link", { name: row["full_name"] ?? "" }).click();
    await page.getByRole("heading", { name: "Hồ sơ cán bộ" }).waitFor();
    await desk.goto("audit?action=record.read");
    await page.getByRole("row").filter({ hasText: "tìm hồ sơ" }).filter({ hasText: "Phạm Thị Trưởng" }).first().waitFor();
    await looks(desk, "audit");
    assert.deepEqual(desk.complaints, []);
    await desk.close();
  });

  test("nothing about a person stands in an address, a title or this device's memory", async () => {
    const desk = await office.officer("unit_head");
    const { page } = desk;
    const addresses: string[] = [];
    page.on("request", (request) => addresses.push(request.url()));
    await desk.goto("cards");
    await page.getByLabel("Họ và tên").fill("le duc thang");
    await page.getByRole("button", { name: "Tìm", exact: true }).click();
    await page.getByRole("link", { name: "Lê Đức Thắng" }).first().click();
    await page.getByRole("heading", { name: "Thẻ", exact: true, level: 1 }).waitFor();
    await desk.rests();
    const kept = await page.evaluate(() => JSON.stringify([localStorage, sessionStorage, document.title, location.href, document.cookie]));
    for (const text of [kept, ...addresses]) assert.doesNotMatch(decodeURIComponent(text), /thang|thắng|089081574889/i);
    await desk.close();
  });
});

describe("the rest of the office", () => {
  test("a refused call of a unit's system is in the log with its faults", async () => {
    await office.callsWrongly(unit);
    const desk = await office.officer("clerk");
    const { page } = desk;
    await desk.goto("calls");
    await page.getByText("he-thong").first().waitFor();
    await looks(desk, "calls");
    await page.getByRole("rowheader").getByRole("link").first().click();
    await page.getByRole("heading", { name: "Lần gọi đồng bộ" }).waitFor();
    await looks(desk, "call");
    assert.deepEqual(desk.complaints, []);
    await desk.close();
  });

  test("an officer is added, blocked and unblocked", async () => {
    const desk = await office.officer("operator");
    const { page } = desk;
    await desk.goto("officers");
    await page.getByRole("button", { name: "Thêm người sử dụng" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Tài khoản đăng nhập").fill("moi.nv");
    await dialog.getByLabel("Họ và tên").fill("Nguyễn Văn Mới");
    await dialog.getByLabel("Vai trò").selectOption("clerk");
    await dialog.getByLabel(/Mã đơn vị/).fill(unit);
    await dialogLooks(desk, "officer-new");
    await dialog.getByRole("button", { name: "Thêm người sử dụng" }).click();
    const row = page.getByRole("row").filter({ hasText: "Nguyễn Văn Mới" });
    await row.waitFor();
    await row.getByRole("button", { name: /^Sửa/ }).click();
    await dialog.getByLabel("Tài khoản đăng nhập").fill("moi.nv2");
    await dialogLooks(desk, "officer-change");
    await dialog.getByRole("button", { name: "Lưu" }).click();
    await row.getByText("moi.nv2").waitFor();
    for (const [step, state] of [["Khóa", "Bị khóa"], ["Mở khóa", "Đang dùng"]] as const) {
      await row.getByRole("button", { name: `${step}: Nguyễn Văn Mới` }).click();
      await dialog.getByRole("button", { name: step, exact: true }).click();
      await row.getByText(state).waitFor();
    }
    await looks(desk, "officers");
    assert.deepEqual(desk.complaints, []);
    await desk.close();
  });

  test("a reorganisation is drawn up, looked at, started and taken back", async () => {
    const desk = await office.officer("unit_head");
    const { page } = desk;
    await desk.goto("reorganisations");
    await page.getByRole("button", { name: "Lập phương án" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Tên phương án").fill("Hợp nhất mẫu");
    await dialog.getByLabel("Căn cứ").fill("Quyết định 01/QĐ mẫu");
    await dialog.getByLabel("Ngày có hiệu lực").fill(new Date(Date.now() + 40 * 86_400_000).toISOString().slice(0, 10));
    await dialog.getByLabel("Từ mã đơn vị").fill(`${unit}.05`);
    await dialog.getByLabel("Sang mã đơn vị").fill(`${unit}.99`);
    await dialog.getByLabel("Tên mới của đơn vị").fill("Sở mẫu mới");
    await dialogLooks(desk, "plan-new");
    await dialog.getByRole("button", { name: "Lập phương án" }).click();
    await page.getByRole("heading", { name: "Hợp nhất mẫu" }).waitFor();
    await page.getByRole("button", { name: "Xem danh sách" }).click();
    await looks(desk, "plan");
    for (const [step, state] of [["Bắt đầu", "Đã lên lịch"], ["Hủy lịch", "Bản nháp"]] as const) {
      await page.getByRole("button", { name: step, exact: true }).click();
      await dialogLooks(desk, `plan-${state}`);
      await dialog.getByRole("button", { name: step, exact: true }).click();
      await page.locator(".facts").getByText(state).waitFor();
    }
    assert.deepEqual(desk.complaints, []);
    await desk.close();
  });

  test("everything is there in English, too, and lists print without the frame", async () => {
    const desk = await office.officer("unit_head");
    const { page } = desk;
    await page.getByRole("button", { name: "English" }).click();
    assert.equal(await page.evaluate(() => document.documentElement.lang), "en");
    await desk.goto("cards");
    await page.getByRole("heading", { name: "Cards", exact: true, level: 1 }).waitFor();
    await looks(desk, "cards-english");
    await page.emulateMedia({ media: "print" });
    assert.equal(await page.locator("nav.pages").isVisible(), false);
    assert.equal(await page.getByRole("table").isVisible(), true);
    await page.screenshot({ path: join(ARTEFACTS, "office-cards-print.png"), fullPage: true });
    await desk.close();
  });

  test("what the server refuses is told in the page's language", async () => {
    const desk = await office.officer("clerk");
    await desk.goto(`records?unit=G01`);
    await desk.page.getByRole("alert").getByText("không thuộc phạm vi").waitFor();
    await looks(desk, "refused");
    await desk.goto("records/7Q2M8K3D5N9R1T4V");
    await desk.page.getByRole("alert").getByText("Không tìm thấy").waitFor();
    await desk.close();
  });
});
