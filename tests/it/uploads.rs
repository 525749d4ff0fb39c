//! A unit without a system: it downloads the form, fills it in, uploads it, sees what is wrong beside the rows, and submits.

use std::io::Cursor;

use axum::body::Body;
use axum::http::{Request, header};
use calamine::{Data, Reader, Xlsx};
use officials_card::config::Limits;
use officials_card::model::record::RecordKey;
use officials_card::model::upload::UploadState;
use officials_card::store::UploadStep;
use rust_xlsxwriter::Workbook;
use serde_json::{Value, json};

use crate::records::{bring, full_line};
use crate::story;
use crate::town::{Answer, Ground, Officer, Town};

const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const HEADER: &str = "agency_personnel_number,full_name,managing_unit_code,using_unit_code,personal_id_number,date_of_birth,\
    position_title,employment_status,employment_status_date";

/// A row of [`HEADER`].
pub fn row(number: u32, name: &str, unit: &str) -> String {
    format!("{number},{name},{unit},{unit},0010870{number:05},02/05/1987,001,active,20200101")
}

/// A CSV file of these rows.
pub fn csv(rows: &[String]) -> String {
    format!("{HEADER}\n{}\n", rows.join("\n"))
}

/// A workbook of these rows.
pub fn xlsx(rows: &[String]) -> Vec<u8> {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    // Rows may say more than [`HEADER`] asks: what a card needs besides.
    let header = if rows.iter().any(|row| row.split(',').count() > 9) {
        format!("{HEADER},record_type,portrait_photo")
    } else {
        HEADER.to_owned()
    };
    for (row, at) in std::iter::once(header.as_str()).chain(rows.iter().map(String::as_str)).zip(0..) {
        sheet.write_row(at, 0, row.split(',')).unwrap();
    }
    workbook.save_to_buffer().unwrap()
}

impl Officer<'_> {
    /// Uploads a file.
    pub async fn upload(&self, unit: &str, file: impl Into<Body>) -> Answer {
        let request = Request::post(format!("/api/v1/uploads?unit={unit}"))
            .header(header::CONTENT_DISPOSITION, "attachment; filename*=UTF-8''h%E1%BB%93-s%C6%A1.xlsx")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/octet-stream");
        self.town.send(request.body(file.into()).unwrap()).await
    }

    /// Follows an upload until it rests.
    pub async fn rested(&self, id: &str) -> Value {
        let events = self.get(&format!("/api/v1/uploads/{id}/events")).await;
        assert_eq!(events.status.as_u16(), 200, "{events:?}");
        assert_eq!(events.header("content-type"), "text/event-stream");
        let text = String::from_utf8(events.bytes.to_vec()).unwrap();
        assert!(text.contains("event: upload"), "{text}");
        self.get(&format!("/api/v1/uploads/{id}")).await.expect(200)
    }

    /// Uploads a file that is checked.
    pub async fn checked(&self, unit: &str, file: impl Into<Body>) -> Value {
        let begun = self.upload(unit, file).await;
        let place = begun.header("location").to_owned();
        let begun = begun.expect(202);
        let id = begun["id"].as_str().unwrap();
        assert_eq!(place, format!("/api/v1/uploads/{id}"));
        self.rested(id).await
    }

    /// Submits an upload and waits until it is written.
    pub async fn submitted(&self, id: &str, how: Value) -> Value {
        self.post(&format!("/api/v1/uploads/{id}/submit"), how).await.expect(202);
        self.rested(id).await
    }

    async fn rows(&self, id: &str, filter: &str) -> Vec<Value> {
        let (mut items, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/api/v1/uploads/{id}/rows?filter={filter}&limit=2{after}")).await.expect(200);
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return items,
            }
        }
    }
}

fn id(upload: &Value) -> &str {
    upload["id"].as_str().unwrap()
}

fn counts(upload: &Value) -> [i64; 4] {
    ["new", "changed", "unchanged", "faults"].map(|name| upload["counts"][name].as_i64().unwrap())
}

async fn version(town: &Town, unit: &str, number: u32) -> i64 {
    let key = RecordKey { unit: unit.into(), number: number.to_string() };
    town.service.store().record(&key).await.unwrap().map_or(0, |stored| stored.version)
}

async fn title(town: &Town, number: u32) -> String {
    let key = RecordKey { unit: "H26".into(), number: number.to_string() };
    let stored = town.service.store().record(&key).await.unwrap().unwrap();
    stored.record.text("position_title").unwrap().to_owned()
}

async fn text(town: &Town, statement: &'static str) -> Vec<String> {
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(&town.database_url).await.unwrap();
    let found = sqlx::query_scalar(statement).fetch_all(&pool).await.unwrap();
    pool.close().await;
    found
}

/// Files that are kept outside the database.
fn kept(town: &Town) -> usize {
    std::fs::read_dir(town.service.config.data_dir.join("uploads")).map_or(0, Iterator::count)
}

story! {
    async fn a_form_is_filled_in_checked_and_submitted_and_the_records_wait_for_the_unit(town) {
        let officer = town.officer("hanoi").await;
        let form = officer.get("/api/v1/forms/personnel.xlsx?unit=H26&entries=1").await;
        assert_eq!((form.status.as_u16(), form.header("content-type")), (200, XLSX));
        assert!(form.header("content-disposition").contains("personnel.xlsx"));
        let mut book = Xlsx::new(Cursor::new(form.bytes.to_vec())).unwrap();
        assert_eq!(book.sheet_names(), ["Hướng dẫn", "Nhập liệu", "Danh mục"]);
        let sheet = book.worksheet_range("Nhập liệu").unwrap();
        let codes: Vec<_> = sheet.rows().nth(3).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(codes[..4], ["agency_personnel_number", "full_name", "managing_unit_code", "using_unit_code"]);
        assert!(matches!(&sheet.rows().nth(4).unwrap()[2], Data::String(unit) if unit.starts_with("H26 – ")));

        // As somebody fills it in: labels from the lists, dates as people write them, rows with nothing but the unit.
        let mut workbook = Workbook::new();
        let filled = workbook.add_worksheet();
        for (row, at) in sheet.rows().take(6).zip(0_u32..) {
            for (cell, column) in row.iter().zip(0_u16..) {
                filled.write(at, column, cell.to_string()).unwrap();
            }
        }
        for (code, value) in [
            ("agency_personnel_number", "1"),
            ("full_name", "Nguyễn Văn Đức"),
            ("using_unit_code", "H26"),
            ("personal_id_number", "001087000001"),
            ("date_of_birth", "02/05/1987"),
            ("ethnicity", "01 – Kinh"),
            ("work_history_from[1]", "05/2010"),
            ("rewards[1].authority", "Chủ tịch"),
        ] {
            let column = codes.iter().position(|known| known == code).unwrap();
            filled.write(4, u16::try_from(column).unwrap(), value).unwrap();
        }
        let upload = officer.checked("H26", workbook.save_to_buffer().unwrap()).await;
        assert_eq!((&upload["state"], counts(&upload)), (&json!("checked"), [1, 0, 0, 0]), "{upload}");
        assert_eq!((&upload["format"], &upload["name"]), (&json!("xlsx"), &json!("hồ-sơ.xlsx")));
        assert_eq!((&upload["uploaded_by"], upload["bytes"].as_i64().unwrap() > 0), (&json!("hanoi"), true));
        assert_eq!(version(&town, "H26", 1).await, 0, "nothing is stored by the check");
        let rows = officer.rows(id(&upload), "new").await;
        assert_eq!((&rows[0]["line"], &rows[0]["person"]), (&json!(5), &json!("Nguyễn Văn Đức")));

        let done = officer.submitted(id(&upload), json!({})).await;
        assert_eq!((&done["state"], &done["counts"]["written"]), (&json!("done"), &json!(1)), "{done}");
        let key = RecordKey { unit: "H26".into(), number: "1".into() };
        let stored = town.service.store().record(&key).await.unwrap().unwrap();
        assert_eq!((stored.version, stored.confirmed_by), (1, None));
        assert_eq!(stored.record.text("ethnicity"), Some("01"));
        let content = stored.record.content();
        assert!(content.contains(r#""date_of_birth":"19870502""#) && content.contains(r#""authority":"Chủ tịch""#));
        let origins = text(&town, "SELECT way || ' ' || reference || ' ' || actor FROM record_versions").await;
        assert_eq!(origins, [format!("upload {} hanoi", id(&upload))]);
        // The same submission again is the same.
        officer.post(&format!("/api/v1/uploads/{}/submit", id(&upload)), json!({})).await.expect(202);
        let other = json!({"effective_on": "2026-12-01"});
        let again = officer.post(&format!("/api/v1/uploads/{}/submit", id(&upload)), other).await;
        assert_eq!(again.problem(409), "upload-state");
    }
}

story! {
    async fn faults_stand_beside_their_rows_and_come_back_corrected(town) {
        let officer = town.officer("hanoi").await;
        let bad = "3,Trần 7,H26,H26,1087000003,31/02/1987,999,active,20200101".to_owned();
        let rows = [row(1, "Nguyễn Văn An", "H26"), bad, row(4, "Lê Thị Tư", "H29"), row(1, "Nguyễn Văn An", "H26")];
        for file in [csv(&rows).into_bytes(), xlsx(&rows)] {
            let upload = officer.checked("H26", file).await;
            assert_eq!(counts(&upload), [1, 0, 0, 3], "{upload}");
            let faults = officer.rows(id(&upload), "faults").await;
            let lines: Vec<_> = faults.iter().map(|row| row["line"].as_i64().unwrap()).collect();
            assert_eq!(lines, [3, 4, 5]);
            let told = |row: usize, field: &str| {
                let faults = faults[row]["faults"].as_array().unwrap();
                faults.iter().find(|fault| fault["field"] == field).unwrap_or_else(|| panic!("{field}")).clone()
            };
            let number = told(0, "personal_id_number");
            assert_eq!((&number["cell"], &number["value"]), (&json!("E3"), &json!("1087000003")));
            assert_eq!(number["label_vi"], "Số định danh cá nhân (số căn cước)");
            assert_eq!((&number["rule"], &number["message_en"]), (&json!("personal_number"), &json!("must be exactly 12 digits")));
            assert_eq!(told(0, "date_of_birth")["column"], "F");
            assert_eq!(told(0, "position_title")["rule"], "list MOHA.CHUCVU");
            assert_eq!(told(1, "managing_unit_code")["rule"], "foreign_unit");
            assert_eq!(told(2, "")["rule"], "once");
            assert_eq!(officer.rows(id(&upload), "all").await.len(), 4);

            let submit = format!("/api/v1/uploads/{}/submit", id(&upload));
            assert_eq!(officer.post(&submit, json!({})).await.problem(409), "upload-state");

            // The rejects open in a spreadsheet, are corrected there, and come in again.
            let rejects = officer.get(&format!("/api/v1/uploads/{}/rejects.xlsx", id(&upload))).await;
            assert_eq!(rejects.header("content-type"), XLSX);
            let mut book = Xlsx::new(Cursor::new(rejects.bytes.to_vec())).unwrap();
            let sheet = book.worksheet_range("Dòng bị loại").unwrap();
            assert_eq!(sheet.get_value((1, 9)).unwrap().to_string(), "__faults");
            assert!(sheet.get_value((2, 9)).unwrap().to_string().contains("đúng 12 chữ số"));
            let again = officer.checked("H26", rejects.bytes.to_vec()).await;
            assert_eq!(counts(&again), [1, 0, 0, 2], "once alone, the row that came twice is good: {again}");
            let csv = officer.get(&format!("/api/v1/uploads/{}/rejects.csv", id(&upload))).await;
            let text = String::from_utf8(csv.bytes.to_vec()).unwrap();
            assert!(text.starts_with("\u{feff}agency_personnel_number,") && text.contains(",__faults\n"), "{text}");
            let corrected = text.replace("Trần 7", "Trần Bảy").replace(",1087000003,31/02/1987,999", ",001087000003,1987,002");
            let again = officer.checked("H26", corrected.replace("H29", "H26")).await;
            assert_eq!(counts(&again)[3], 0, "{again}");
            officer.call("DELETE", &format!("/api/v1/uploads/{}", id(&upload)), Value::Null).await.expect(204);
        }
        let clean = officer.checked("H26", csv(&[row(1, "Nguyễn Văn An", "H26")])).await;
        for form in ["xlsx", "csv"] {
            let none = officer.get(&format!("/api/v1/uploads/{}/rejects.{form}", id(&clean))).await;
            assert_eq!(none.problem(404), "not-found");
        }
    }
}

story! {
    async fn what_would_change_is_counted_and_shown_side_by_side(town) {
        let officer = town.officer("hanoi").await;
        let rows: Vec<_> = (1..=3).map(|number| row(number, "Nguyễn Văn An", "H26")).collect();
        let first = officer.checked("H26", csv(&rows)).await;
        officer.submitted(id(&first), json!({})).await;
        let changed = [rows[0].clone(), rows[1].replace(",001,", ",002,").replace("Văn An", "Văn Ân"), row(4, "Lê Thị Tư", "H26")];
        let second = officer.checked("H26", xlsx(&changed)).await;
        assert_eq!((counts(&second), &second["counts"]["changed_fields"]), ([1, 1, 1, 0], &json!(2)), "{second}");
        let row = &officer.rows(id(&second), "changed").await[0];
        assert_eq!((&row["line"], &row["changed_fields"], &row["key"]), (&json!(3), &json!(2), &json!({"unit": "H26", "number": "2"})));
        let title = row["fields"].as_array().unwrap().iter().find(|field| field["field"] == "position_title").unwrap();
        assert_eq!((&title["old"], &title["new"]), (&json!("001"), &json!("002")));
        assert_eq!(title["label_vi"], "Chức vụ (chức danh)");
        let reads = text(&town, "SELECT actor || ' ' || detail FROM audit WHERE action = 'record.read'").await;
        assert_eq!(reads, ["hanoi upload.compare"], "the person can see who looked");
        let done = officer.submitted(id(&second), json!({})).await;
        assert_eq!(done["counts"]["written"], 2);
        assert_eq!((version(&town, "H26", 1).await, version(&town, "H26", 2).await, version(&town, "H26", 4).await), (1, 2, 1));
    }
}

/// The form as somebody fills in one row of it.
fn filled(form: &[u8], values: &[(&str, &str)]) -> Vec<u8> {
    let mut book = Xlsx::new(Cursor::new(form.to_vec())).unwrap();
    let sheet = book.worksheet_range("Nhập liệu").unwrap();
    let codes: Vec<_> = sheet.rows().nth(3).unwrap().iter().map(ToString::to_string).collect();
    let mut workbook = Workbook::new();
    let filled = workbook.add_worksheet();
    for (row, at) in sheet.rows().take(5).zip(0_u32..) {
        for (cell, column) in row.iter().zip(0_u16..) {
            filled.write(at, column, cell.to_string()).unwrap();
        }
    }
    for (code, value) in values {
        let column = codes.iter().position(|known| known == code).unwrap_or_else(|| panic!("{code}"));
        filled.write(4, u16::try_from(column).unwrap(), *value).unwrap();
    }
    workbook.save_to_buffer().unwrap()
}

/// All that record 1 says.
async fn members(town: &Town) -> serde_json::Map<String, Value> {
    let key = RecordKey { unit: "H26".into(), number: "1".into() };
    town.service.store().record(&key).await.unwrap().unwrap().record.members()
}

const FILLED: [(&str, &str); 3] =
    [("agency_personnel_number", "1"), ("full_name", "Nguyễn Văn An"), ("using_unit_code", "H26")];

story! {
    async fn a_form_of_some_groups_leaves_the_others_as_they_are(town) {
        bring(&town, "full.ndjson", full_line(1)).await.unwrap();
        let before = members(&town).await;
        let officer = town.officer("hanoi").await;
        let form = officer.get("/api/v1/forms/personnel.xlsx?unit=H26&groups=contact").await;
        let file = filled(&form.bytes, &[&FILLED[..], &[("phone_number", "0900000009"), ("email", "an@mau.example")]].concat());
        for (how, days) in [(json!({}), 0), (json!({"effective_on": "2026-12-01"}), 10)] {
            let upload = officer.checked("H26", file.clone()).await;
            assert_eq!((counts(&upload), &upload["counts"]["changed_fields"]), ([0, 1, 0, 0], &json!(1)), "{upload}");
            let rows = officer.rows(id(&upload), "changed").await;
            let fields: Vec<_> = rows[0]["fields"].as_array().unwrap().iter().map(|field| field["field"].clone()).collect();
            assert_eq!(fields, ["phone_number"], "the dry run says what changes, and nothing else does");
            officer.submitted(id(&upload), how.clone()).await;
            town.clock.advance(days * 86_400);
            assert_eq!(town.service.act_on_waiting().await.unwrap(), u64::from(days > 0));
            let mut expected = before.clone();
            expected.insert("phone_number".into(), json!("0900000009"));
            assert_eq!(members(&town).await, expected, "{how}");
            if days == 0 {
                let again = officer.checked("H26", file.clone()).await;
                assert_eq!(counts(&again), [0, 0, 1, 0], "the same file again changes nothing: {again}");
                bring(&town, "again.ndjson", full_line(1)).await.unwrap();
                assert_eq!(members(&town).await, before);
            }
        }
    }
}

story! {
    async fn the_full_form_has_less_room_than_a_record_and_loses_nothing(town) {
        bring(&town, "full.ndjson", full_line(1)).await.unwrap();
        let before = members(&town).await;
        let officer = town.officer("hanoi").await;
        let form = officer.get("/api/v1/forms/personnel.xlsx?unit=H26").await;
        let others = [
            ("gender", "1"), ("record_type", "01"), ("position_title", "002"), ("email", "an@mau.example"),
            ("phone_number", "0900000001"), ("salary_coefficient", "3.66"), ("work_history_from[1]", "2009"),
            ("rewards[2].form", "R9"), ("rewards[2].authority", "Chủ tịch"),
        ];
        let upload = officer.checked("H26", filled(&form.bytes, &[&FILLED[..], &others].concat())).await;
        assert_eq!(counts(&upload), [0, 1, 0, 0], "{upload}");
        let rows = officer.rows(id(&upload), "changed").await;
        let fields: Vec<_> = rows[0]["fields"].as_array().unwrap().iter().map(|field| field["field"].clone()).collect();
        assert_eq!(fields, ["DS_QUATRINH_CONGTAC", "position_title", "rewards"], "{rows:?}");
        officer.submitted(id(&upload), json!({})).await;
        let after = members(&town).await;
        let (posts, rewards) = (&after["DS_QUATRINH_CONGTAC"], &after["rewards"]);
        assert_eq!(posts[0], json!({"work_history_from": "2009"}), "the first place is said anew");
        for at in 1..5 {
            assert_eq!(posts[at], before["DS_QUATRINH_CONGTAC"][at], "the fourth and fifth have no place in the form");
        }
        assert_eq!((&rewards[0], &rewards[1]["form"], &rewards[2]), (&before["rewards"][0], &json!("R9"), &before["rewards"][2]));
        for field in ["portrait_photo", "employment_status", "employment_status_date", "personal_id_number", "date_of_birth"] {
            assert_eq!(after[field], before[field], "an empty cell does not take away what a card needs");
        }
    }
}

story! {
    async fn a_suspended_person_stays_suspended_whatever_else_a_form_says(town) {
        let person = "001199000018";
        town.hires(person, "H26").await;
        let vneid = town.officer("vneid").await;
        let card = vneid.offer(person).await["card"].as_str().unwrap().to_owned();
        let state = async || {
            town.matches_and_confirms("H26").await;
            town.service.follow_records().await.unwrap();
            let card = vneid.get(&format!("/api/v1/cards/{card}")).await.expect(200);
            (card["state"].clone(), card["reason"].clone())
        };
        town.imports(person, "H26", "001", "suspended").await;
        assert_eq!(state().await, (json!("locked"), json!("under_review")));
        let clerk = town.officer("hanoi").await;
        let form = clerk.get("/api/v1/forms/personnel.xlsx?unit=H26&groups=contact").await;
        let number = format!("N{person}");
        let values = [
            ("agency_personnel_number", number.as_str()),
            ("full_name", "Nguyễn Thị Thử Nghiệm"),
            ("using_unit_code", "H26"),
            ("phone_number", "0900000009"),
        ];
        let upload = clerk.checked("H26", filled(&form.bytes, &values)).await;
        let done = clerk.submitted(id(&upload), json!({})).await;
        assert_eq!(done["counts"]["written"], 1, "{done}");
        assert_eq!(state().await, (json!("locked"), json!("under_review")));
    }
}

story! {
    async fn a_row_that_contradicts_what_stays_is_faulty(town) {
        bring(&town, "full.ndjson", full_line(1)).await.unwrap();
        let officer = town.officer("hanoi").await;
        let file = "agency_personnel_number,full_name,managing_unit_code,using_unit_code,work_history_from[1]\n1,An,H26,H26,2020\n";
        let upload = officer.checked("H26", file).await;
        assert_eq!(counts(&upload), [0, 0, 0, 1], "{upload}");
        let faults = officer.rows(id(&upload), "faults").await;
        assert_eq!(faults[0]["faults"][0]["field"], "work_history_to[1]");
    }
}

story! {
    async fn a_record_that_moved_on_after_the_check_is_not_overwritten(town) {
        let officer = town.officer("hanoi").await;
        let rows: Vec<_> = (1..=4).map(|number| row(number, "Nguyễn Văn An", "H26")).collect();
        let first = officer.checked("H26", csv(&rows[..2])).await;
        officer.submitted(id(&first), json!({})).await;
        let changed: Vec<_> = rows.iter().map(|row| row.replace(",001,", ",002,")).collect();
        let stale = officer.checked("H26", csv(&changed)).await;
        assert_eq!(counts(&stale), [2, 2, 0, 0]);
        // Meanwhile somebody else changes record 1 and brings record 3.
        let other = officer.checked("H26", csv(&[rows[0].replace(",001,", ",003,"), rows[2].replace(",001,", ",003,")])).await;
        officer.submitted(id(&other), json!({})).await;
        for how in [json!({}), json!({})] {
            let done = officer.submitted(id(&stale), how).await;
            assert_eq!((&done["counts"]["written"], &done["counts"]["conflicts"]), (&json!(2), &json!(2)), "{done}");
        }
        assert_eq!((title(&town, 1).await, title(&town, 2).await), ("003".into(), "002".into()));
        assert_eq!((title(&town, 3).await, title(&town, 4).await), ("003".into(), "002".into()));
        let conflicts = officer.rows(id(&stale), "conflicts").await;
        let lines: Vec<_> = conflicts.iter().map(|row| (row["line"].as_i64().unwrap(), row["faults"][0]["rule"].clone())).collect();
        assert_eq!(lines, [(2, json!("moved_on")), (4, json!("moved_on"))]);
        // They come back as a file, and are taken once they were looked at again.
        let rejects = officer.get(&format!("/api/v1/uploads/{}/rejects.csv", id(&stale))).await;
        let again = officer.checked("H26", rejects.bytes.to_vec()).await;
        assert_eq!(counts(&again), [0, 2, 0, 0]);
        officer.submitted(id(&again), json!({})).await;
        assert_eq!(title(&town, 1).await, "002");
    }
}

story! {
    async fn rows_that_hold_from_a_later_day_wait_for_it(town) {
        let officer = town.officer("hanoi").await;
        let rows: Vec<_> = (1..=3).map(|number| row(number, "Nguyễn Văn An", "H26")).collect();
        let first = officer.checked("H26", csv(&rows[..2])).await;
        officer.submitted(id(&first), json!({})).await;
        let changed: Vec<_> = rows.iter().map(|row| row.replace(",001,", ",002,")).collect();
        let later = officer.checked("H26", csv(&changed)).await;
        let submit = format!("/api/v1/uploads/{}/submit", id(&later));
        for (day, status) in [("2026-11-22", 400), ("1.12.2026", 400), ("2040-01-01", 400)] {
            assert_eq!(officer.post(&submit, json!({"effective_on": day})).await.status.as_u16(), status, "{day}");
        }
        // Record 1 moves on between check and submission.
        let other = officer.checked("H26", csv(&[rows[0].replace(",001,", ",003,")])).await;
        officer.submitted(id(&other), json!({})).await;
        let done = officer.submitted(id(&later), json!({"effective_on": "2026-12-01"})).await;
        let counts = &done["counts"];
        assert_eq!((&counts["waiting"], &counts["conflicts"], &counts["written"]), (&json!(2), &json!(1), &json!(0)), "{done}");
        assert_eq!((version(&town, "H26", 2).await, version(&town, "H26", 3).await), (1, 0));
        town.clock.advance(10 * 86_400);
        assert_eq!(town.service.act_on_waiting().await.unwrap(), 2);
        assert_eq!((title(&town, 1).await, title(&town, 2).await, title(&town, 3).await), ("003".into(), "002".into(), "002".into()));
    }
}

story! {
    async fn a_status_of_a_later_day_waits_by_itself(town) {
        let officer = town.officer("hanoi").await;
        let first = officer.checked("H26", csv(&[row(1, "Nguyễn Văn An", "H26")])).await;
        officer.submitted(id(&first), json!({})).await;
        let leaves = row(1, "Nguyễn Văn An", "H26").replace("active,20200101", "resigned,20261201").replace(",001,", ",002,");
        let too_far = row(2, "Nguyễn Văn Ba", "H26").replace("20200101", "20401201");
        let upload = officer.checked("H26", csv(&[leaves, too_far])).await;
        assert_eq!(counts(&upload), [0, 1, 0, 1], "{upload}");
        assert_eq!(officer.rows(id(&upload), "changed").await[0]["waits_until"], "2026-12-01");
        assert_eq!(officer.rows(id(&upload), "faults").await[0]["faults"][0]["rule"], "not_too_far");
        officer.submitted(id(&upload), json!({"only_good_rows": true})).await;
        assert_eq!(title(&town, 1).await, "002", "everything else holds at once");
        let status = |town: &Town| {
            let store = town.service.store().clone();
            async move {
                let key = RecordKey { unit: "H26".into(), number: "1".into() };
                store.record(&key).await.unwrap().unwrap().record.text("employment_status").unwrap().to_owned()
            }
        };
        assert_eq!(status(&town).await, "active");
        town.clock.advance(10 * 86_400);
        town.service.act_on_waiting().await.unwrap();
        assert_eq!(status(&town).await, "resigned");
    }
}

story! {
    async fn a_form_shows_and_takes_back_what_a_form_announced(town) {
        let officer = town.officer("hanoi").await;
        let here: Vec<_> = (1..=3).map(|number| row(number, "Nguyễn Văn An", "H26")).collect();
        let send = async |file: String, how: Value| {
            let upload = officer.checked("H26", file).await;
            let rows = officer.rows(id(&upload), "all").await;
            (rows, officer.submitted(id(&upload), how).await["counts"].clone())
        };
        send(csv(&here), json!({})).await;
        let leaves = |row: &String, day: &str| row.replace("active,20200101", &format!("resigned,{day}"));
        let comes = row(4, "Nguyễn Văn Ba", "H26").replace("20200101", "20261201");
        let mut announced: Vec<_> = here.iter().map(|row| leaves(row, "20261201")).collect();
        announced.push(comes.clone());
        assert_eq!(send(csv(&announced), json!({})).await.1["waiting"], 4);

        // One stays, one leaves today, one later, and the newcomer comes today.
        let now = [here[0].clone(), leaves(&here[1], "20261122"), leaves(&here[2], "20261215"), comes.replace("20261201", "20261122")];
        let (rows, counts) = send(csv(&now), json!({})).await;
        let outcomes: Vec<_> = rows.iter().map(|row| row["outcome"].as_str().unwrap()).collect();
        assert_eq!(outcomes, ["changed", "changed", "changed", "new"], "to take something back is a change");
        let waiting = json!([{"on": "2026-12-01", "way": "upload", "fields": ["employment_status", "employment_status_date"], "ends": true}]);
        assert_eq!((&rows[0]["changed_fields"], &rows[0]["waiting"]), (&json!(0), &waiting));
        assert_eq!((&counts["written"], &counts["waiting"]), (&json!(3), &json!(1)), "{counts}");
        assert_eq!((version(&town, "H26", 1).await, version(&town, "H26", 4).await), (1, 1));
        // A form that does not say the status leaves it, and shows it.
        let titles = "agency_personnel_number,full_name,managing_unit_code,using_unit_code,position_title\n3,Nguyễn Văn An,H26,H26,002\n";
        let (rows, _) = send(titles.into(), json!({})).await;
        assert_eq!((&rows[0]["waiting"][0]["on"], &rows[0]["waiting"][0]["ends"]), (&json!("2026-12-15"), &json!(false)));

        let status = async |number: u32| {
            let key = RecordKey { unit: "H26".into(), number: number.to_string() };
            let record = town.service.store().record(&key).await.unwrap().unwrap().record;
            format!("{} {}", record.text("employment_status").unwrap(), record.date("employment_status_date").unwrap())
        };
        town.clock.advance(10 * 86_400);
        assert_eq!(town.service.act_on_waiting().await.unwrap(), 0);
        assert_eq!((status(1).await, status(2).await), ("active 20200101".into(), "resigned 20261122".into()));
        town.clock.advance(14 * 86_400);
        assert_eq!(town.service.act_on_waiting().await.unwrap(), 1);
        assert_eq!((status(3).await, title(&town, 3).await), ("resigned 20261215".into(), "002".into()));
        assert_eq!(town.service.store().count_waiting("H26").await.unwrap(), (0, 0), "nothing is left to decide");
    }
}

story! {
    async fn a_file_that_cannot_be_read_is_told_as_a_whole(town) {
        let officer = town.officer("vneid").await;
        let tcvn3 = [HEADER.as_bytes(), b"\n1,Nguy\xd4n V\xa8n \xa7\xf8c L\xaa \xa7\xd7nh Ph\xad\xedc V\xa8n ph\xb9m,H26,H26,,,,,\n"].concat();
        for (file, code, says) in [
            (tcvn3, "encoding", "TCVN3"),
            (vec![0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1, 0], "old_form", ".xls"),
            (b"PK\x03\x04".to_vec(), "not_a_workbook", "XLSX"),
            (b"1,Nguyen,H26\n".to_vec(), "header", "mã trường"),
            (format!("{HEADER}\n1,\"{}", "x".repeat(2 << 20)).into_bytes(), "row_too_long", "1 MiB"),
        ] {
            let upload = officer.checked("H26", file).await;
            assert_eq!((&upload["state"], &upload["fault"]["code"]), (&json!("failed"), &json!(code)), "{upload}");
            assert!(upload["fault"]["message_vi"].as_str().unwrap().contains(says), "{upload}");
            let rows = officer.get(&format!("/api/v1/uploads/{}/rows", id(&upload))).await;
            assert_eq!(rows.problem(409), "upload-state");
        }
        // Other encodings and separators are read.
        let text = format!("sep=;\n{}", csv(&[row(1, "Nguyễn Văn Đức", "H26")]).replace(',', ";"));
        let utf16: Vec<u8> = std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        let upload = officer.checked("H26", utf16).await;
        assert_eq!(counts(&upload), [1, 0, 0, 0], "{upload}");
        assert_eq!(officer.rows(id(&upload), "new").await[0]["line"], 3);
    }
}

story! {
    async fn bounds_of_bytes_and_rows_are_kept(town) {
        let town = town.configured(|config| (config.uploads.bytes, config.uploads.rows) = (2_000, 3));
        let officer = town.officer("vneid").await;
        assert_eq!(officer.upload("H26", " ".repeat(2_001)).await.problem(413), "too-much");
        assert_eq!(officer.upload("H26", Body::empty()).await.problem(400), "invalid-request");
        let broken = futures_util::stream::iter([Ok("agency"), Err(std::io::Error::other("gone"))]);
        assert_eq!(officer.upload("H26", Body::from_stream(broken)).await.problem(400), "invalid-request");
        assert_eq!(kept(&town), 0, "nothing is left of them");
        let rows: Vec<_> = (1..=4).map(|number| row(number, "Nguyễn Văn An", "H26")).collect();
        let many = officer.checked("H26", csv(&rows)).await;
        assert_eq!(many["fault"]["code"], "too_many_rows", "{many}");
        assert_eq!(counts(&officer.checked("H26", csv(&rows[..3])).await), [3, 0, 0, 0]);
    }
}

story! {
    async fn units_see_their_own_uploads_only(town) {
        let (nation, hanoi, reader) = (town.officer("vneid").await, town.officer("hanoi").await, town.officer("reader").await);
        let file = || csv(&[row(1, "Nguyễn Văn An", "H29")]);
        assert_eq!(hanoi.upload("H29", file()).await.problem(403), "foreign-unit");
        assert_eq!(reader.upload("H26", file()).await.problem(403), "insufficient-scope");
        assert_eq!(nation.upload("H26.99", file()).await.problem(400), "invalid-request");
        assert_eq!(nation.upload("x", file()).await.problem(400), "invalid-request");
        let foreign = nation.checked("H29", file()).await;
        let own = hanoi.checked("H26", csv(&[row(1, "Nguyễn Văn An", "H26")])).await;
        let path = format!("/api/v1/uploads/{}", id(&foreign));
        for (method, part) in [("GET", ""), ("GET", "/rows"), ("GET", "/events"), ("GET", "/rejects.csv"), ("DELETE", "")] {
            assert_eq!(hanoi.call(method, &format!("{path}{part}"), Value::Null).await.problem(404), "not-found", "{part}");
            assert_eq!(reader.call(method, &format!("{path}{part}"), Value::Null).await.problem(403), "insufficient-scope");
        }
        assert_eq!(hanoi.post(&format!("{path}/submit"), json!({})).await.problem(404), "not-found");
        let seen = |list: Value| list["items"].as_array().unwrap().iter().map(|item| id(item).to_owned()).collect::<Vec<_>>();
        assert_eq!(seen(hanoi.get("/api/v1/uploads").await.expect(200)), [id(&own)]);
        assert_eq!(seen(nation.get("/api/v1/uploads?unit=H29").await.expect(200)), [id(&foreign)]);
        assert_eq!(seen(nation.get("/api/v1/uploads?state=done").await.expect(200)), Vec::<String>::new());
        let page = nation.get("/api/v1/uploads?limit=1").await.expect(200);
        let rest = nation.get(&format!("/api/v1/uploads?limit=1&after={}", page["next"].as_str().unwrap())).await.expect(200);
        let mut both = [seen(page), seen(rest.clone())].concat();
        both.sort();
        let mut expected = [id(&own).to_owned(), id(&foreign).to_owned()];
        expected.sort();
        assert_eq!((both, &rest["next"]), (expected.to_vec(), &Value::Null));
        for wrong in ["?limit=0", "?limit=101", "?after=x", "?state=x", "?unknown=1"] {
            assert_eq!(nation.get(&format!("/api/v1/uploads{wrong}")).await.problem(400), "invalid-request", "{wrong}");
        }
        assert_eq!(nation.get(&format!("{path}/rows?filter=x")).await.problem(400), "invalid-request");
        for wrong in ["?unit=H99", "?groups=x", "?entries=0", "?entries=11"] {
            assert_eq!(nation.get(&format!("/api/v1/forms/personnel.xlsx{wrong}")).await.problem(400), "invalid-request");
        }
        assert_eq!(hanoi.get("/api/v1/forms/personnel.xlsx?unit=H29").await.problem(403), "foreign-unit");
        assert_eq!(reader.get("/api/v1/forms/personnel.xlsx").await.problem(403), "insufficient-scope");
    }
}

story! {
    async fn what_is_kept_of_an_upload_is_sealed_and_cleared_away(town) {
        let officer = town.officer("hanoi").await;
        let rows = [row(1, "Nguyễn Văn Bí Mật", "H26"), row(2, "Bí Mật 7", "H26")];
        let upload = officer.checked("H26", csv(&rows)).await;
        let path = town.service.config.data_dir.join("uploads").join(id(&upload));
        let sealed = std::fs::read(&path).unwrap();
        assert!(!String::from_utf8_lossy(&sealed).contains("Mật") && sealed.len() > 100);
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&town.database_url).await.unwrap();
        let found: Vec<Vec<u8>> = sqlx::query_scalar("SELECT sealed FROM upload_rows").fetch_all(&pool).await.unwrap();
        pool.close().await;
        assert!(found.len() == 2 && found.iter().all(|row| !String::from_utf8_lossy(row).contains("Mật")));
        let audit = text(&town, "SELECT action || ' ' || detail FROM audit ORDER BY seq").await.join("\n");
        assert!(audit.contains("upload.begun H26") && audit.contains("upload.checked 1 new, 0 changed, 1 with faults"), "{audit}");

        officer.call("DELETE", &format!("/api/v1/uploads/{}", id(&upload)), Value::Null).await.expect(204);
        officer.call("DELETE", &format!("/api/v1/uploads/{}", id(&upload)), Value::Null).await.expect(204);
        let cancelled = officer.get(&format!("/api/v1/uploads/{}", id(&upload))).await.expect(200);
        assert_eq!(cancelled["state"], "cancelled");
        assert_eq!((kept(&town), text(&town, "SELECT outcome FROM upload_rows").await.len()), (0, 0));
        let submit = officer.post(&format!("/api/v1/uploads/{}/submit", id(&upload)), json!({"only_good_rows": true})).await;
        assert_eq!(submit.problem(409), "upload-state");

        let old = officer.checked("H26", csv(&rows[..1])).await;
        officer.submitted(id(&old), json!({})).await;
        assert_eq!(town.service.clear_uploads().await.unwrap(), 0);
        town.clock.advance(31 * 86_400);
        let officer = town.officer("hanoi").await;
        assert_eq!(town.service.clear_uploads().await.unwrap(), 1);
        assert_eq!(town.service.clear_uploads().await.unwrap(), 0);
        assert_eq!((kept(&town), text(&town, "SELECT outcome FROM upload_rows").await.len()), (0, 0));
        let done = officer.get(&format!("/api/v1/uploads/{}", id(&old))).await.expect(200);
        assert_eq!((&done["state"], &done["counts"]["written"]), (&json!("done"), &json!(1)), "the counts stay");
        assert_eq!(officer.get(&format!("/api/v1/uploads/{}/rows", id(&old))).await.problem(409), "upload-state");
    }
}

story! {
    async fn two_processes_never_do_one_upload_twice(town) {
        // Nobody works in the first process.
        let idle = town.configured(|config| config.uploads.at_once = 0);
        let rows: Vec<_> = (1..=50).map(|number| row(number, "Nguyễn Văn An", "H26")).collect();
        let begun = idle.officer("hanoi").await.upload("H26", csv(&rows)).await.expect(202);
        assert_eq!(begun["state"], "checking");
        let (one, two) = (town.second_process().await, town.second_process().await);
        let both = futures_util::future::join(one.service.work_on_uploads(), two.service.work_on_uploads()).await;
        assert_eq!((both.0.unwrap() + both.1.unwrap()), 1);
        let officer = idle.officer("hanoi").await;
        let checked = officer.get(&format!("/api/v1/uploads/{}", id(&begun))).await.expect(200);
        assert_eq!((&checked["state"], counts(&checked)), (&json!("checked"), [50, 0, 0, 0]));
        officer.post(&format!("/api/v1/uploads/{}/submit", id(&begun)), json!({})).await.expect(202);
        let deleted = officer.call("DELETE", &format!("/api/v1/uploads/{}", id(&begun)), Value::Null).await;
        assert_eq!(deleted.problem(409), "upload-state", "not while it is written");
        let both = futures_util::future::join(one.service.work_on_uploads(), two.service.work_on_uploads()).await;
        assert_eq!((both.0.unwrap() + both.1.unwrap()), 1);
        let done = officer.get(&format!("/api/v1/uploads/{}", id(&begun))).await.expect(200);
        assert_eq!((&done["state"], &done["counts"]["written"]), (&json!("done"), &json!(50)));
        assert_eq!(text(&town, "SELECT record FROM record_versions").await.len(), 50);
    }
}

story! {
    async fn who_lost_the_claim_writes_nothing_more(town) {
        let idle = town.configured(|config| config.uploads.at_once = 0);
        let begun = idle.officer("hanoi").await.upload("H26", csv(&[row(1, "Nguyễn Văn An", "H26")])).await.expect(202);
        let (store, now) = (town.service.store(), town.clock.now());
        let (_, first, _) = store.claim_upload(id(&begun), now, now + 60).await.unwrap().unwrap();
        assert!(store.claim_upload(id(&begun), now, now + 60).await.unwrap().is_none(), "it is claimed");
        assert_eq!(town.service.work_on_uploads().await.unwrap(), 0);
        town.clock.advance(61);
        let now = town.clock.now();
        let (_, second, _) = store.claim_upload(id(&begun), now, now + 60).await.unwrap().unwrap();
        let step = || UploadStep { line: 2, rows: 1, ..UploadStep::default() };
        assert!(!store.step_upload(&first, UploadState::Checking, step()).await.unwrap());
        assert!(!store.renew_upload(&first, UploadState::Checking).await.unwrap());
        assert!(!store.end_upload_work(&first, UploadState::Checking, now).await.unwrap());
        assert!(store.step_upload(&second, UploadState::Checking, step()).await.unwrap());
        assert!(!store.step_upload(&second, UploadState::Checking, step()).await.unwrap(), "a step once");
        // A file that kills whoever reads it is given up.
        let other = idle.officer("hanoi").await.upload("H26", csv(&[row(1, "Nguyễn Văn An", "H26")])).await.expect(202);
        for _ in 0..5 {
            let now = town.clock.now();
            store.claim_upload(id(&other), now, now + 60).await.unwrap().unwrap();
            town.clock.advance(61);
        }
        town.service.work_on_uploads().await.unwrap();
        let officer = town.officer("hanoi").await;
        let given_up = officer.get(&format!("/api/v1/uploads/{}", id(&other))).await.expect(200);
        assert_eq!((&given_up["state"], &given_up["fault"]["code"]), (&json!("failed"), &json!("given_up")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_file_is_waited_for_longer_than_a_request() {
    let limits = Limits { request_seconds: 1, ..Limits::default() };
    let town = Town::with(Ground::Sqlite, limits).await;
    let officer = town.officer("hanoi").await;
    let file = csv(&[row(1, "Nguyễn Văn An", "H26")]);
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<String, std::io::Error>>(1);
    let parts =
        futures_util::stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
    let sending = async {
        let (first, rest) = file.split_at(20);
        sender.send(Ok(first.to_owned())).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        sender.send(Ok(rest.to_owned())).await.unwrap();
        drop(sender);
    };
    let (answer, ()) = futures_util::future::join(officer.upload("H26", Body::from_stream(parts)), sending).await;
    answer.expect(202);
}

story! {
    async fn what_one_caller_keeps_has_an_end(town) {
        use officials_card::store::NewUpload;
        for number in 0..200 {
            let (uploaded_by, at) = ("hanoi".to_owned(), town.clock.now());
            let new = NewUpload { id: format!("u{number}"), unit: "H26".into(), name: String::new(), uploaded_by, at };
            town.service.store().begin_upload(new).await.unwrap();
        }
        let hanoi = town.officer("hanoi").await;
        assert_eq!(hanoi.upload("H26", xlsx(&[])).await.status.as_u16(), 413);
        town.service.store().clear_upload("u7", "hanoi", town.clock.now()).await.unwrap();
        hanoi.checked("H26", xlsx(&[])).await;
    }
}
