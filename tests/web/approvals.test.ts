// The monthly approval as the competent person makes it: the page gives the document, OpenSSL's command line signs it as the
// agency's tool would, the page takes the signature. And the trend over days that there were.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, test } from "node:test";
import { portrait } from "./browser.ts";
import { Office } from "./office_server.ts";
import { program } from "./server.ts";

let office: Office;
let unit: string;
/** Where the person's key and certificate are. */
let pki: string;

const openssl = (...arguments_: string[]) => execFileSync("openssl", arguments_, { stdio: ["ignore", "pipe", "pipe"] });

/** A root and a person, as an authority gives them out. */
function makePki(folder: string): void {
  const file = (name: string) => join(folder, name);
  writeFileSync(file("root.ext"), "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n");
  writeFileSync(file("chief.ext"), "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,nonRepudiation\n");
  const request = (name: string, subject: string) =>
    openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-utf8", "-keyout", file(`${name}.key`), "-out", file(`${name}.csr`), "-subj", `/C=VN/CN=${subject}`);
  request("root", "Approvers");
  openssl("x509", "-req", "-in", file("root.csr"), "-key", file("root.key"), "-extfile", file("root.ext"), "-days", "30", "-out", file("root.pem"));
  request("chief", "Phạm Thị Trưởng");
  openssl("x509", "-req", "-in", file("chief.csr"), "-CA", file("root.pem"), "-CAkey", file("root.key"), "-extfile", file("chief.ext"), "-days", "30", "-out", file("chief.pem"));
}

before(async () => {
  office = await Office.start((settings, folder) => {
    pki = join(folder, "pki");
    mkdirSync(pki);
    makePki(pki);
    // A month after its end at most: some month can be approved whatever today is.
    return `${settings}\n[approvals]\nlate_days = 31\n\n[[approver_roots]]\nname = "test"\ncertificates = "${join(pki, "root.pem")}"\n`;
  });
  unit = office.demo.office.officers.unit_head.unit ?? "";
});

after(() => office?.end());

test("the month before is approved late, with a document signed outside of the page", async () => {
  const operator = await office.officer("operator");
  await operator.goto("officers/certificates");
  await operator.page.getByLabel("Người phê duyệt").selectOption({ label: `Phạm Thị Trưởng (${unit})` });
  await operator.page.getByLabel("Tệp chứng thư (PEM)").setInputFiles(join(pki, "chief.pem"));
  await operator.page.getByRole("button", { name: "Đăng ký chứng thư" }).click();
  await operator.page.getByRole("row").filter({ hasText: "Phạm Thị Trưởng" }).waitFor();
  assert.deepEqual(await portrait(operator.page, "office-certificates"), []);
  assert.deepEqual(operator.complaints, []);
  await operator.close();
  const desk = await office.officer("unit_head");
  const { page } = desk;
  // What the page says of a month depends on today; that of the one before does not.
  await desk.goto("approvals");
  await desk.rests();
  await page.getByLabel("Tháng phê duyệt").selectOption({ index: 1 });
  await page.getByText("Còn phê duyệt muộn được đến hết ngày").waitFor();
  assert.deepEqual(await portrait(page, "office-approval-late"), []);
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Tải văn bản cần ký" }).click()]);
  const document_ = join(pki, "document.json");
  await download.saveAs(document_);
  const { unit: named, counts } = JSON.parse(readFileSync(document_, "utf8")) as { unit: string; counts: { records: number } };
  assert.equal(named, unit);

  const send = async (signed: string) => {
    openssl("cms", "-sign", "-binary", "-cades", "-md", "sha256", "-outform", "DER", "-signer", join(pki, "chief.pem"), "-inkey", join(pki, "chief.key"), "-in", signed, "-out", `${signed}.p7s`);
    await page.getByLabel("Văn bản đã ký").setInputFiles(document_);
    await page.getByLabel("Tệp chữ ký").setInputFiles(`${signed}.p7s`);
    await page.getByLabel("Lý do phê duyệt muộn").fill("Thủ trưởng đi công tác.");
    await page.getByRole("button", { name: "Gửi phê duyệt" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Gửi phê duyệt" }).click();
  };
  // Another document's signature first.
  const other = join(pki, "other.json");
  writeFileSync(other, `${readFileSync(document_, "utf8")}\n`);
  await send(other);
  await page.getByRole("dialog").getByText("Chữ ký không đúng với văn bản.").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await send(document_);
  await page.getByText("Đã phê duyệt.").first().waitFor();
  const row = page.getByRole("row").filter({ hasText: "Thủ trưởng đi công tác." });
  await row.waitFor();
  assert.match(await row.innerText(), new RegExp(`Phạm Thị Trưởng[^]*${counts.records}`));
  await page.getByText(/Tháng \d\d\/\d{4} đã được phê duyệt lúc/).waitFor();
  assert.deepEqual(await portrait(page, "office-approval-done"), []);
  // Also where the list does not show it, because many units below have approved since.
  const month = await page.getByLabel("Tháng phê duyệt").inputValue();
  const again = async () => {
    await desk.goto();
    await desk.goto(`approvals?month=${month}`);
  };
  await page.route("**/api/v1/approvals?*", async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, json: { ...((await answer.json()) as object), items: [] } });
  });
  await again();
  await page.getByText(/Tháng \d\d\/\d{4} đã được phê duyệt lúc/).waitFor();
  await page.getByText("Hồ sơ đã đổi từ đó: 0").waitFor();
  await desk.rests();
  assert.equal(await row.count(), 0);
  await page.unroute("**/api/v1/approvals?*");
  await again();
  await row.waitFor();
  // Whoever has the file can check it without us.
  const [file] = await Promise.all([page.waitForEvent("download"), row.getByRole("button", { name: /Tải về/ }).click()]);
  await file.saveAs(join(pki, "approval.json"));
  execFileSync(program("OFFICIALS_CARD_BIN"), ["approval", "verify", join(pki, "approval.json"), "--roots", join(pki, "root.pem")]);
  assert.deepEqual(desk.complaints, []);
  await desk.close();
});

test("the trend shows the days that there were", async () => {
  const database = new DatabaseSync(join(office.demo.dir, "demo.db"));
  const day = (back: number) => new Date(Date.now() + 7 * 3_600_000 - back * 86_400_000).toISOString().slice(0, 10);
  const { records } = database.prepare("SELECT records FROM quality_units WHERE unit = ?").get(unit) as { records: number };
  const insert = database.prepare(
    "INSERT INTO quality_days (unit, day, records, correct, sufficient, clean, live, perfect, signed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING",
  );
  const part = (percent: number) => Math.floor((records * percent) / 100);
  for (let back = 25; back >= 1; back -= 4) insert.run(unit, day(back), records, part(95 - back), part(90 - 2 * back), part(99 - back / 2), part(80 - back), part(60 - back));
  database.close();
  const desk = await office.officer("unit_head");
  await desk.goto("quality");
  await desk.page.locator("svg.chart polyline").first().waitFor();
  await desk.page.getByText("Xem dạng bảng").or(desk.page.locator("details summary")).first().click();
  const table = desk.page.locator("details table").first();
  await table.getByRole("row").nth(5).waitFor();
  assert.ok((await table.innerText()).includes(day(25).split("-").reverse().join("/")));
  assert.deepEqual(await portrait(desk.page, "office-quality-trend"), []);
  assert.deepEqual(desk.complaints, []);
  await desk.close();
});
