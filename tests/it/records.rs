//! Records come in, are matched and confirmed: the stories of enrolment and the contract of the store's functions under
//! them, on both databases.

use std::collections::HashSet;
use std::path::PathBuf;

use futures_util::future::{join, join_all};
use officials_card::chance::Chance;
use officials_card::flow::enroll::{Asker, MatchSummary, confirm, match_pending};
use officials_card::flow::import::{Format, ImportError, ImportRequest, ImportSummary, import};
use officials_card::flow::lists::{ListError, ListSummary, import_codes, import_units};
use officials_card::model::catalogue::Catalogue;
use officials_card::model::cell::Cell;
use officials_card::model::code_list::{CodeBook, CodeLabels};
use officials_card::model::id::{Handle, PersonalNumber};
use officials_card::model::intake::{HeaderFault, Intake, Layout, MAX_COLUMNS};
use officials_card::model::origin::{Origin, Way};
use officials_card::model::partial_date::PartialDate;
use officials_card::model::person::{
    AskedNumber, MatchOutcome, NameParts, PopulationPerson, PopulationQuery, VerifiedRecord,
};
use officials_card::model::record::RecordKey;
use officials_card::model::rule::Knowledge;
use officials_card::model::unit::{UnitDirectory, UnitRegister};
use officials_card::remote::population::{PopulationRegistry, Unreachable};
use officials_card::store::{BatchOutcome, Confirmed, Held, IncomingRecord, Progress, Store};
use serde_json::json;
use time::macros::date;

use crate::story;
use crate::town::Town;

const HEADER: &str = "agency_personnel_number,full_name,managing_unit_code,using_unit_code,personal_id_number,\
    date_of_birth,gender,record_type,employment_status,employment_status_date,portrait_photo\n";

fn row(number: u32, name: &str) -> String {
    row_of("H26", number, name)
}

fn row_of(unit: &str, number: u32, name: &str) -> String {
    format!("{number},{name},{unit},{unit},0010870{number:05},19870502,1,01,active,20200101,/9j/4AD/2Q==\n")
}

fn person(number: u32) -> PersonalNumber {
    PersonalNumber::parse(&format!("0010870{number:05}")).unwrap()
}

fn key(number: u32) -> RecordKey {
    RecordKey { unit: "H26".into(), number: number.to_string() }
}

fn rejects(town: &Town) -> PathBuf {
    town.file("x", "").with_file_name("rejects.csv")
}

/// Imports a file.
pub async fn bring(town: &Town, name: &str, text: impl AsRef<[u8]>) -> Result<ImportSummary, ImportError> {
    run(town, name, text, false).await
}

async fn run(town: &Town, name: &str, text: impl AsRef<[u8]>, dry_run: bool) -> Result<ImportSummary, ImportError> {
    let file = town.file(name, text);
    let request =
        ImportRequest { format: Format::of(&file), file, dry_run, rejects: rejects(town), actor: "test".into() };
    import(town.service.store(), &town.clock, &town.service.chance, request, |_| {}).await
}

fn counts(new: u64, changed: u64, unchanged: u64, rejected: u64) -> ImportSummary {
    ImportSummary { new, changed, unchanged, rejected, waiting: 0, resumed_after: None }
}

async fn versions(store: &Store, number: u32) -> usize {
    let stored = store.record(&key(number)).await.unwrap().unwrap();
    store.record_versions(&stored.handle).await.unwrap().len()
}

/// A row as the store takes it, on this line of its file.
fn incoming(line: u64, row: &str) -> IncomingRecord {
    let (mut units, codes) = (UnitRegister::on(date!(2026 - 11 - 22)), CodeBook::default());
    units.enter("H26.05", "Sở Nội vụ").unwrap();
    units.enter("H26.051", "Sở khác").unwrap();
    let intake = Intake { catalogue: Catalogue::current(), knowledge: Knowledge { units: &units, codes: &codes } };
    let layout = Layout::of(intake.catalogue, HEADER.trim().split(',')).unwrap();
    let cells: Vec<_> = row.trim().split(',').collect();
    let (record, _) = intake.row(line, &layout, cells.into_iter().map(Cell::Text)).unwrap();
    IncomingRecord::of(&record, line, Handle::random(&Chance::system()))
}

/// Takes a batch of a file in.
async fn import_batch(
    store: &Store,
    file: &str,
    actor: &str,
    records: Vec<IncomingRecord>,
    at: i64,
) -> officials_card::error::Result<BatchOutcome> {
    let origin = Origin { way: Way::Import, reference: file.to_owned(), actor: actor.to_owned() };
    store.take_batch(origin, records, at).await
}

fn rows(numbers: std::ops::RangeInclusive<u32>, name: &str) -> Vec<IncomingRecord> {
    numbers.map(|number| incoming(u64::from(number) + 1, &row(number, name))).collect()
}

async fn count(town: &Town, what: &str) -> i64 {
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(&town.database_url).await.unwrap();
    let count = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {what}"))).fetch_one(&pool).await;
    pool.close().await;
    count.unwrap()
}

// Files.

story! {
    async fn the_same_file_twice_changes_nothing_and_a_changed_row_is_a_new_version(town) {
        let file = format!("\u{feff}{HEADER}{}{}", row(1, "Nguyễn Văn An"), row(2, "Trần Thị Bình"));
        assert_eq!(run(&town, "a.csv", &file, true).await.unwrap(), counts(2, 0, 0, 0));
        assert_eq!(count(&town, "records").await, 0);
        assert_eq!(bring(&town, "a.csv", &file).await.unwrap(), counts(2, 0, 0, 0));
        assert_eq!(bring(&town, "a.csv", &file).await.unwrap(), counts(0, 0, 2, 0));
        let changed = file.replace("Trần Thị Bình", "Trần Thị Thanh Bình");
        assert_eq!(run(&town, "a.csv", &changed, true).await.unwrap(), counts(0, 1, 1, 0));
        assert_eq!(bring(&town, "a.csv", &changed).await.unwrap(), counts(0, 1, 1, 0));
        let store = town.service.store();
        assert_eq!((versions(store, 1).await, versions(store, 2).await), (1, 2));
        assert!(!rejects(&town).exists());
    }
}

story! {
    async fn bad_rows_go_to_a_file_that_comes_in_again_when_it_is_corrected(town) {
        let mut file = format!("{HEADER}{}", row(1, "Nguyễn Văn An")).into_bytes();
        file.extend_from_slice(row(2, "Trần 2").as_bytes());
        file.extend_from_slice(b"3,\xa7\xb5o,H26,H26,,,,,,,\n");
        file.extend_from_slice(row(1, "Nguyễn Văn Khác").as_bytes());
        assert_eq!(run(&town, "a.csv", &file, true).await.unwrap(), counts(1, 0, 0, 3));
        assert_eq!(bring(&town, "a.csv", &file).await.unwrap(), counts(1, 0, 0, 3));
        assert_eq!(bring(&town, "a.csv", &file).await.unwrap(), counts(0, 0, 1, 3));
        let told = std::fs::read_to_string(rejects(&town)).unwrap();
        assert!(told.starts_with('\u{feff}') && told.contains("Dòng 3, full_name (có 1 chữ số, 4 chữ cái"));
        assert!(told.contains("UTF-8") && told.contains("chỉ có một lần trong tệp"));
        let corrected = told.replace("Trần 2", "Trần Hai").replace("\u{fffd}\u{fffd}o", "Đào").replace("\n1,", "\n4,");
        assert_eq!(bring(&town, "b.csv", corrected).await.unwrap(), counts(3, 0, 0, 0));
    }
}

story! {
    async fn a_key_that_comes_twice_is_rejected_also_where_the_first_changes_nothing(town) {
        bring(&town, "a.csv", format!("{HEADER}{}", row(1, "An"))).await.unwrap();
        let twice = format!("{HEADER}{}{}{}", row(1, "An"), row(1, "Ân"), row(1, "An"));
        for _ in 0..2 {
            assert_eq!(bring(&town, "b.csv", &twice).await.unwrap(), counts(0, 0, 2, 1));
        }
        assert_eq!(versions(town.service.store(), 1).await, 1);
    }
}

story! {
    async fn ndjson_rejects_come_in_again_too(town) {
        let good =
            r#"{"agency_personnel_number":"1","full_name":"An","managing_unit_code":"H26","using_unit_code":"H26"}"#;
        let file = format!("{good}\n\n{}\n{{\n", good.replace("\"1\"", "\"2\"").replace("An", "A1"));
        assert_eq!(bring(&town, "a.ndjson", file).await.unwrap(), counts(1, 0, 0, 2));
        let corrected = std::fs::read_to_string(rejects(&town)).unwrap().replace("A1", "Bình");
        assert_eq!(bring(&town, "b.csv", corrected).await.unwrap(), counts(1, 0, 0, 1));
    }
}

story! {
    async fn an_import_that_ended_early_is_completed_and_counted_once(town) {
        let rows: String = (1..=9_000).map(|number| row(number, "Nguyễn Văn An")).collect();
        let file = town.file("a.csv", format!("{HEADER}{rows}{}", row(9_001, "Lỗi 1")));
        let request =
            ImportRequest { file, format: Format::Csv, dry_run: false, rejects: rejects(&town), actor: "test".into() };
        let (store, clock, chance) = (town.service.store(), &town.clock, &town.service.chance);
        let (stop, mut stopped) = tokio::sync::mpsc::unbounded_channel();
        let first = import(store, clock, chance, request.clone(), |_| stop.send(()).unwrap());
        tokio::select! { biased; _ = stopped.recv() => {}, _ = first => {} }

        let summary = import(store, clock, chance, request.clone(), |_| {}).await.unwrap();
        assert!(summary.resumed_after.is_some_and(|line| line >= 4_001), "{summary:?}");
        assert_eq!(ImportSummary { resumed_after: None, ..summary }, counts(9_000, 0, 0, 1));
        assert_eq!((count(&town, "records").await, count(&town, "record_versions").await), (9_000, 9_000));
        let again = import(store, clock, chance, request, |_| {}).await.unwrap();
        assert_eq!(again, counts(0, 0, 9_000, 1));
    }
}

story! {
    async fn rows_and_headers_are_bounded(town) {
        let endless = format!("{HEADER}{}\"{}", row(1, "An"), "x".repeat(3 << 20));
        assert!(matches!(bring(&town, "a.csv", endless).await, Err(ImportError::RowTooLong(3))));
        let long = format!("{{\"full_name\":\"{}\"}}\n", "x".repeat(2 << 20));
        assert_eq!(bring(&town, "a.ndjson", long).await.unwrap(), counts(0, 0, 0, 1));
        assert!(matches!(bring(&town, "b.csv", "a,b\n1,2\n").await, Err(ImportError::Header(HeaderFault::NoHeader))));
        let wide = "__faults,".repeat(MAX_COLUMNS + 1);
        assert!(matches!(bring(&town, "c.csv", wide).await, Err(ImportError::Header(HeaderFault::TooWide))));
    }
}

story! {
    async fn two_imports_of_one_file_at_once_lose_and_double_nothing(town) {
        let rows: String = (1..=5_000).map(|number| row(number, "Nguyễn Văn An")).collect();
        let (file, other) = (format!("{HEADER}{rows}"), town.second_process().await);
        let (one, two) = join(bring(&town, "a.csv", &file), bring(&other, "a.csv", &file)).await;
        assert!(one.unwrap().rejected == 0 && two.unwrap().rejected == 0);
        assert_eq!((count(&town, "records").await, count(&town, "record_versions").await), (5_000, 5_000));
        assert_eq!(count(&town, "portraits").await, 1);
        assert_eq!(bring(&town, "a.csv", &file).await.unwrap(), counts(0, 0, 5_000, 0));
    }
}

story! {
    async fn two_files_about_the_same_people_at_once_leave_one_history(town) {
        let other = town.second_process().await;
        let (there, back): (String, String) =
            ((1..=300).map(|number| row(number, "An")).collect(), (1..=300).rev().map(|number| row(number, "Ân")).collect());
        let (one, two) = join(
            bring(&town, "a.csv", format!("{HEADER}{there}")),
            bring(&other, "b.csv", format!("{HEADER}{back}")),
        )
        .await;
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!((one.new + two.new, one.changed + two.changed), (300, 300));
        assert_eq!((count(&town, "records WHERE version = 2").await, count(&town, "record_versions").await), (300, 600));
    }
}

/// All that the record says, by field code and list name.
async fn says(town: &Town, number: u32) -> serde_json::Map<String, serde_json::Value> {
    town.service.store().record(&key(number)).await.unwrap().unwrap().record.members()
}

/// A line of NDJSON that says much of a person: five posts, three rewards, a portrait.
pub fn full_line(number: u32) -> String {
    let posts: Vec<_> = (2010..2015)
        .map(|year| json!({"work_history_from": year.to_string(), "work_history_to": format!("{year}12")}))
        .collect();
    let rewards: Vec<_> = (1..4).map(|at| json!({"form": format!("R{at}"), "authority": "Chủ tịch"})).collect();
    let line = json!({
        "agency_personnel_number": number.to_string(), "full_name": "Nguyễn Văn An", "managing_unit_code": "H26",
        "using_unit_code": "H26", "personal_id_number": person(number).expose(), "date_of_birth": "19870502", "gender": "1",
        "record_type": "01", "portrait_photo": "/9j/4AD/2Q==", "employment_status": "suspended",
        "employment_status_date": "20260101", "position_title": "001", "email": "an@mau.example",
        "phone_number": "0900000001", "salary_coefficient": "3.66", "DS_QUATRINH_CONGTAC": posts, "rewards": rewards,
    });
    format!("{line}\n")
}

const KEY_HEADER: &str = "agency_personnel_number,full_name,managing_unit_code,using_unit_code";

story! {
    async fn a_file_changes_what_its_columns_say_and_leaves_the_rest(town) {
        assert_eq!(bring(&town, "full.ndjson", full_line(1) + &full_line(2)).await.unwrap(), counts(2, 0, 0, 0));
        let before = says(&town, 1).await;
        assert!(before.len() >= 17, "{before:?}");
        // With the columns that every form has, empty.
        let contact = format!(
            "{KEY_HEADER},personal_id_number,date_of_birth,portrait_photo,employment_status,employment_status_date,phone_number,email\n\
             1,Nguyễn Văn An,H26,H26,,,,,,0900000002,\n3,Lê Văn Ba,H26,H26,,,,,,0900000003,\n"
        );
        assert_eq!(run(&town, "contact.csv", &contact, true).await.unwrap(), counts(1, 1, 0, 0));
        assert_eq!(bring(&town, "contact.csv", &contact).await.unwrap(), counts(1, 1, 0, 0));
        let mut expected = before.clone();
        expected.insert("phone_number".into(), json!("0900000002"));
        expected.remove("email");
        assert_eq!(says(&town, 1).await, expected, "an empty cell empties, what is not there stays");
        let stored = town.service.store().record(&key(1)).await.unwrap().unwrap().record;
        assert!(stored.portrait().unwrap().jpeg().is_some());
        assert_eq!(bring(&town, "contact.csv", &contact).await.unwrap(), counts(0, 0, 2, 0), "the same file twice");
        assert_eq!(versions(town.service.store(), 1).await, 2);
        assert_eq!(says(&town, 3).await.len(), 5, "what is new says what its row says");
        // NDJSON: what is named.
        let line = r#"{"agency_personnel_number":"2","full_name":"Nguyễn Văn An","managing_unit_code":"H26","using_unit_code":"H26","rewards":null}"#;
        assert_eq!(bring(&town, "b.ndjson", line).await.unwrap(), counts(0, 1, 0, 0));
        let mut expected = before;
        expected.insert("agency_personnel_number".into(), json!("2"));
        expected.insert("personal_id_number".into(), json!(person(2).expose()));
        expected.remove("rewards");
        assert_eq!(says(&town, 2).await, expected);
        // What contradicts that which stays goes to the rejects, in a dry run too.
        let wrong = format!("{KEY_HEADER},work_history_from[1]\n2,Nguyễn Văn An,H26,H26,2020\n");
        for dry_run in [true, false] {
            assert_eq!(run(&town, "wrong.csv", &wrong, dry_run).await.unwrap(), counts(0, 0, 0, 1));
            let told = std::fs::read_to_string(rejects(&town)).unwrap();
            assert!(told.contains("work_history_to[1]") && told.contains("work_history_from"), "{told}");
        }
    }
}

story! {
    async fn a_status_of_a_later_day_waits_and_leaves_the_rest(town) {
        bring(&town, "full.ndjson", full_line(1)).await.unwrap();
        let before = says(&town, 1).await;
        let leaves = format!("{KEY_HEADER},employment_status,employment_status_date,email\n1,Nguyễn Văn An,H26,H26,retired,20261201,b@mau.example\n");
        assert_eq!(bring(&town, "a.csv", &leaves).await.unwrap(), ImportSummary { waiting: 1, ..counts(0, 0, 0, 0) });
        let mut expected = before;
        expected.insert("email".into(), json!("b@mau.example"));
        assert_eq!(says(&town, 1).await, expected);
        town.clock.advance(10 * 86_400);
        town.service.act_on_waiting().await.unwrap();
        expected.insert("employment_status".into(), json!("retired"));
        expected.insert("employment_status_date".into(), json!("20261201"));
        assert_eq!(says(&town, 1).await, expected);
    }
}

story! {
    async fn a_file_takes_back_the_status_that_a_file_announced(town) {
        bring(&town, "full.ndjson", full_line(1)).await.unwrap();
        let before = says(&town, 1).await;
        let file = |status: &str, on: &str| {
            format!("{KEY_HEADER},employment_status,employment_status_date\n1,Nguyễn Văn An,H26,H26,{status},{on}\n")
        };
        bring(&town, "a.csv", &file("retired", "20261201")).await.unwrap();
        // Not by a file that does not say it.
        bring(&town, "b.csv", &format!("{KEY_HEADER}\n1,Nguyễn Văn An,H26,H26\n")).await.unwrap();
        assert_eq!(town.service.store().count_waiting("H26").await.unwrap(), (1, 0));
        let text = |field: &str| before[field].as_str().unwrap();
        let stays = file(text("employment_status"), text("employment_status_date"));
        assert_eq!(bring(&town, "c.csv", &stays).await.unwrap(), counts(0, 0, 1, 0));
        town.clock.advance(10 * 86_400);
        assert_eq!(town.service.act_on_waiting().await.unwrap(), 0);
        assert_eq!(says(&town, 1).await, before);
    }
}

story! {
    async fn two_files_that_say_different_things_at_once_are_both_heard(town) {
        let full: String = (1..=200).map(full_line).collect();
        bring(&town, "full.ndjson", full).await.unwrap();
        let other = town.second_process().await;
        let file = |column: &str, value: &str| {
            let rows: Vec<_> = (1..=200).map(|number| format!("{number},Nguyễn Văn An,H26,H26,{value}\n")).collect();
            format!("{KEY_HEADER},{column}\n{}", rows.concat())
        };
        let (one, two) = join(
            bring(&town, "phone.csv", file("phone_number", "0900000007")),
            bring(&other, "title.csv", file("position_title", "002")),
        )
        .await;
        assert_eq!((one.unwrap(), two.unwrap()), (counts(0, 200, 0, 0), counts(0, 200, 0, 0)));
        for number in [1, 77, 200] {
            let says = says(&town, number).await;
            assert_eq!((&says["phone_number"], &says["position_title"]), (&json!("0900000007"), &json!("002")));
        }
    }
}

story! {
    async fn rejects_never_take_the_place_of_what_is_read(town) {
        let rows: String = (1..=9_000).map(|number| row(number, if number % 2 == 0 { "Lỗi 1" } else { "An" })).collect();
        let file = town.file("a.csv", format!("{HEADER}{rows}"));
        let before = std::fs::read(&file).unwrap();
        let (store, clock, chance) = (town.service.store(), &town.clock, &town.service.chance);
        let link = file.with_file_name("link.csv");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let growing = town.file("b.csv.partial", &before);
        for (input, rejects, dry_run) in [
            (&file, file.clone(), false),
            (&file, file.clone(), true),
            (&file, link, false),
            (&growing, file.with_file_name("b.csv"), false),
        ] {
            let request =
                ImportRequest { file: input.clone(), format: Format::Csv, dry_run, rejects, actor: "test".into() };
            let refused = import(store, clock, chance, request, |_| {}).await;
            assert!(matches!(refused, Err(ImportError::SameFile)), "{refused:?}");
            assert_eq!((std::fs::read(&file).unwrap(), std::fs::read(&growing).unwrap()), (before.clone(), before.clone()));
        }
        assert_eq!(count(&town, "records").await, 0);

        // A hard link is another name: the input is whole until it is read, then the rejects take this name.
        let twin = file.with_file_name("twin.csv");
        std::fs::hard_link(&file, &twin).unwrap();
        let rejects = twin.clone();
        let request = ImportRequest { file: file.clone(), format: Format::Csv, dry_run: true, rejects, actor: "test".into() };
        assert_eq!(import(store, clock, chance, request, |_| {}).await.unwrap(), counts(4_500, 0, 0, 4_500));
        assert_eq!(std::fs::read(&file).unwrap(), before);
        assert_eq!(std::fs::read_to_string(&twin).unwrap().lines().count(), 4_501);

        // An import that comes to nothing leaves the rejects of an earlier one as they were, and none of its own.
        let endless = format!("{HEADER}{}{}\"{}", rows, row(9_001, "Lỗi 1"), "x".repeat(3 << 20));
        std::fs::write(self::rejects(&town), "earlier").unwrap();
        assert!(matches!(run(&town, "c.csv", endless, true).await, Err(ImportError::RowTooLong(_))));
        assert_eq!(std::fs::read_to_string(self::rejects(&town)).unwrap(), "earlier");
        assert!(!file.with_file_name("rejects.csv.partial").exists());
    }
}

// The lists.

story! {
    async fn lists_are_loaded_renamed_and_bounded(town) {
        let (store, now) = (town.service.store(), town.clock.now());
        let load = async |text: &str| import_units(store, &town.file("units.csv", text), "test", now).await;
        let text = "code,name\nH26.05.001,Phòng\nH26.05,So\u{31b}\u{309} Nội vụ\nH26,Hà Nội\nH26.06.1,Mồ côi\n";
        let ListSummary { changed, faults } = load(text).await.unwrap();
        assert_eq!((changed, faults.len()), (2, 1));
        assert!(faults[0].contains("5: ") && faults[0].contains("H26.06"), "{faults:?}");
        assert_eq!(load(text).await.unwrap().changed, 0);
        assert_eq!(load(&text.replace("Phòng", "Phòng Một")).await.unwrap().changed, 1);
        assert!(matches!(load("code\nH26.05\n").await, Err(ListError::Header(HeaderFault::Missing(_)))));

        let labels = town.file("labels.csv", "list,code,label_vi\nMOHA.CHUCVU,001,Trưởng phòng\n,1,x\n");
        let summary = import_codes(store, &labels, "test", now).await.unwrap();
        assert_eq!((summary.changed, summary.faults.len()), (1, 1));
        let missing = import_codes(store, &town.file("x", "").with_file_name("none"), "test", now).await;
        assert!(matches!(missing, Err(ListError::Read(_))));
    }
}

story! {
    async fn units_and_labels_are_kept_and_renamed(town) {
        let store = town.service.store();
        let day = date!(2026 - 11 - 22);
        let units = |name: &str| (1..=100).map(|at| (format!("H26.{at:03}"), format!("{name} {at}"))).collect::<Vec<_>>();
        assert_eq!(store.save_units(units("Sở"), "test", 1).await.unwrap(), 100);
        assert_eq!(store.save_units(units("Sở"), "test", 2).await.unwrap(), 0);
        assert_eq!(store.save_units(units("Ban")[..40].to_vec(), "test", 3).await.unwrap(), 40);
        let all = store.unit_register(day).await.unwrap();
        assert_eq!((all.unit_name("H26.040").unwrap(), all.unit_name("H26.041").unwrap()), ("Ban 40".into(), "Sở 41".into()));
        assert!(all.has_unit("H26") && !all.has_unit("H26.101"));
        let some = store.units_named(day, &["H26.001", "H26.999"]).await.unwrap();
        assert!(some.has_unit("H26.001") && !some.has_unit("H26.002") && !some.has_unit("H26.999"));
        assert_eq!(store.history("units").await.unwrap().len(), 3);

        let label = |label: &str| vec![["MOHA.CHUCVU".to_owned(), "001".to_owned(), label.to_owned()]];
        assert_eq!(store.save_labels(label("Trưởng phòng"), "test", 1).await.unwrap(), 1);
        assert_eq!(store.save_labels(label("Trưởng phòng"), "test", 1).await.unwrap(), 0);
        assert_eq!(store.save_labels(label("Trưởng ban"), "test", 1).await.unwrap(), 1);
        let book = store.code_book().await.unwrap();
        assert_eq!(book.label("MOHA.CHUCVU", "001").as_deref(), Some("Trưởng ban"));
    }
}

// What the store promises of batches.

story! {
    async fn progress_moves_with_the_rows_and_counts_each_once(town) {
        let store = town.service.store();
        assert_eq!(store.import_progress("run").await.unwrap(), None);
        let batch = rows(1..=70, "An");
        let outcome = import_batch(store, "run", "test", batch.clone(), 10).await.unwrap();
        let progress = Progress { line: 71, new: 70, changed: 0, unchanged: 0 };
        assert_eq!((outcome.progress, outcome.twice), (progress.clone(), vec![]));
        assert_eq!(store.import_progress("run").await.unwrap(), Some(progress.clone()));
        // The next run looks at the same lines again and counts what is beyond them.
        let again = import_batch(store, "run", "test", rows(1..=72, "An"), 11).await.unwrap();
        let sum = Progress { line: 73, new: 72, ..progress };
        assert_eq!(again.progress, sum);
        assert_eq!(store.import_progress("run").await.unwrap(), Some(sum.clone()));
        // Other files do not touch it.
        let other = import_batch(store, "other", "test", rows(1..=2, "Ân"), 12).await.unwrap();
        assert_eq!((other.progress.changed, store.import_progress("run").await.unwrap()), (2, Some(sum)));

        store.finish_import("run", "test", 13).await.unwrap();
        assert_eq!(store.import_progress("run").await.unwrap(), None);
        let anew = import_batch(store, "run", "test", rows(3..=4, "An"), 14).await.unwrap();
        assert_eq!(store.import_progress("run").await.unwrap(), Some(anew.progress));
        let actions: Vec<_> = store.history("run").await.unwrap().into_iter().map(|line| line.2).collect();
        assert_eq!(actions, ["records.imported", "records.imported", "records.import_finished"]);
    }
}

story! {
    async fn a_batch_notices_a_key_that_its_file_wrote_otherwise(town) {
        let store = town.service.store();
        let batch = vec![incoming(2, &row(1, "An")), incoming(3, &row(1, "An")), incoming(4, &row(1, "Ân"))];
        // Among others, so that the key comes again in another statement.
        let batch = [batch, rows(10..=60, "An"), vec![incoming(90, &row(1, "Ẩn"))]].concat();
        let outcome = import_batch(store, "run", "test", batch, 10).await.unwrap();
        assert_eq!(outcome.progress, Progress { line: 90, new: 52, changed: 0, unchanged: 1 });
        assert_eq!(outcome.twice, [4, 90]);
        let outcome = import_batch(store, "run", "test", vec![incoming(91, &row(1, "Ân"))], 10).await.unwrap();
        assert_eq!(outcome.twice, [91]);
        assert_eq!((versions(store, 1).await, count(&town, "record_versions").await), (1, 52));
    }
}

story! {
    async fn old_versions_stay_and_the_digest_is_the_newest(town) {
        let store = town.service.store();
        let (one, two) = (rows(1..=100, "An"), rows(1..=1, "Ân"));
        import_batch(store, "one", "test", one.clone(), 10).await.unwrap();
        import_batch(store, "two", "test", two.clone(), 20).await.unwrap();
        let keys: Vec<_> = (1..=120).map(key).collect();
        let known = store.record_heads(&keys).await.unwrap();
        assert_eq!(known.len(), 100);
        assert_eq!((&known[&key(1)].digest, &known[&key(2)].digest), (&two[0].digest, &one[1].digest));
        assert_eq!((&known[&key(1)].content, known[&key(1)].version), (&two[0].content, 2));
        let stored = store.record(&key(1)).await.unwrap().unwrap();
        assert_eq!((stored.version, stored.standing.changed_at, &stored.handle), (2, 20, &one[0].handle));
        let versions = store.record_versions(&stored.handle).await.unwrap();
        assert_eq!(versions, [(1, 10, one[0].content.clone()), (2, 20, two[0].content.clone())]);
        assert!(store.record(&key(101)).await.unwrap().is_none());
        assert!(store.record_heads(&[]).await.unwrap().is_empty());
    }
}

story! {
    async fn a_person_has_every_record_with_its_portrait(town) {
        let store = town.service.store();
        let second = row(1, "An").replacen("1,", "77,", 1);
        let batch = vec![incoming(2, &row(1, "An")), incoming(3, &second), incoming(4, &row_of("G09", 1, "An"))];
        let batch = [batch, rows(2..=3, "An")].concat();
        import_batch(store, "run", "test", batch, 10).await.unwrap();
        let records = store.records_of(&person(1)).await.unwrap();
        let found: HashSet<_> = records
            .iter()
            .map(|stored| {
                assert!(stored.record.portrait().unwrap().jpeg().is_some());
                (stored.record.key().unit, stored.record.key().number, stored.standing.namesakes)
            })
            .collect();
        let expected = [("H26", "1", 1), ("H26", "77", 1), ("G09", "1", 0)];
        assert_eq!(found, expected.map(|(unit, number, namesakes)| (unit.into(), number.into(), namesakes)).into());
        assert!(store.records_of(&person(9)).await.unwrap().is_empty());
        assert_eq!(count(&town, "portraits").await, 1);
        assert_eq!(store.units_with_records().await.unwrap(), ["G09", "H26"]);
    }
}

// What the population database says.

story! {
    async fn an_answer_is_of_the_version_that_was_asked_about(town) {
        let store = town.service.store();
        import_batch(store, "one", "test", rows(1..=3, "An"), 10).await.unwrap();
        let to_match = async |now| store.records_to_match(None, now, now, 10).await.unwrap();
        let asked = store.ask_about(to_match(11).await, "cb01", "cấp thẻ", 11, 100).await.unwrap();
        assert_eq!(asked.len(), 3);
        assert_eq!(to_match(12).await.len(), 0, "somebody asks about them");
        assert_eq!(to_match(100).await.len(), 3, "who asked has died");
        store.conclude_without(&asked[0], Held::Unanswered, 12).await.unwrap();
        store.conclude_without(&asked[1], Held::NotSent, 12).await.unwrap();
        assert_eq!(store.records_to_match(None, 11, 12, 10).await.unwrap().len(), 1, "one was asked about in vain");
        let open = to_match(12).await;
        assert_eq!(open.len(), 2, "and says nothing");
        let place = (open[0].fresh, open[0].stored.handle.clone());
        let after = store.records_to_match(Some(&place), 12, 12, 10).await.unwrap();
        assert_eq!(after.iter().map(|one| &one.stored.handle).collect::<Vec<_>>(), [&open[1].stored.handle]);

        let differs = MatchOutcome::Mismatched { fields: vec!["full_name"] };
        assert!(store.conclude(&asked[2], &differs, 12).await.unwrap().is_noted);
        let key = asked[2].about.stored.record.key();
        assert_eq!(store.record(&key).await.unwrap().unwrap().standing.population, Some(differs));
        let late = store.ask_about(open, "cb01", "cấp thẻ", 12, 100).await.unwrap();
        import_batch(store, "two", "test", rows(1..=3, "Ân"), 13).await.unwrap();
        let concluded = store.conclude(&late[0], &MatchOutcome::Matched { outdated: Vec::new() }, 14).await.unwrap();
        assert!(!concluded.is_noted, "the record has moved on");
        assert_eq!(to_match(14).await.len(), 3, "each is another version, which nobody asks about");

        // Every question is on record, and how it ended: once, and for good.
        let records: Vec<_> = asked.iter().map(|asked| asked.about.stored.handle.clone()).collect();
        let lines = store.population_queries_of(&records, None, 10).await.unwrap();
        let mut outcomes: Vec<_> = lines.iter().map(|line| line.outcome.as_deref().unwrap_or("?")).collect();
        outcomes.sort_unstable();
        assert_eq!(outcomes, ["?", "mismatched", "not_sent", "overtaken", "unreachable"]);
        assert!(lines.iter().all(|line| (line.officer.as_str(), line.purpose.as_str()) == ("cb01", "cấp thẻ")));
        assert_eq!(store.population_queries_of(&records, Some(lines[3].seq), 10).await.unwrap(), lines[4..]);
        store.conclude_without(&late[0], Held::Unanswered, 15).await.unwrap();
        assert_eq!(store.population_queries_of(&records, None, 10).await.unwrap(), lines, "an outcome stays");
        let mut past_the_store = open_database(&town).await;
        for forbidden in [
            "DELETE FROM population_queries",
            "UPDATE population_queries SET officer = 'x'",
            "UPDATE population_queries SET outcome = 'matched'",
        ] {
            assert!(sqlx::query(forbidden).execute(&mut past_the_store).await.is_err(), "{forbidden}");
        }
        let history = store.history(asked[0].about.stored.handle.as_str()).await.unwrap();
        assert!(history.iter().any(|line| line.2 == "population.unreachable" && line.1 == "cb01"), "{history:?}");
    }
}

story! {
    async fn the_freshest_are_asked_about_first_and_each_by_one(town) {
        let (store, other) = (town.service.store(), town.second_process().await);
        for at in 1..=6 {
            import_batch(store, &format!("{at}"), "test", rows(at..=at, "An"), 10 + i64::from(at)).await.unwrap();
        }
        let found = store.records_to_match(None, 50, 50, 4).await.unwrap();
        assert_eq!(found.iter().map(|one| one.fresh).collect::<Vec<_>>(), [16, 15, 14, 13]);
        let again = other.service.store().records_to_match(None, 50, 50, 4).await.unwrap();
        let (ours, theirs) = join(
            store.ask_about(found, "cb01", "x", 50, 100),
            other.service.store().ask_about(again, "cb01", "x", 50, 100),
        )
        .await;
        let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
        let mut both: Vec<_> = ours.iter().chain(&theirs).map(|asked| asked.about.stored.handle.clone()).collect();
        both.sort_unstable();
        both.dedup();
        assert_eq!((ours.len() + theirs.len(), both.len()), (4, 4), "each claimed by one");
        assert_eq!(store.population_queries_of(&both, None, 100).await.unwrap().len(), 4, "and on record once");
    }
}

story! {
    async fn an_old_answer_never_sticks_to_a_new_version(town) {
        let (store, other) = (town.service.store(), town.second_process().await);
        import_batch(store, "one", "test", rows(1..=24, "An"), 10).await.unwrap();
        let pending = store.records_to_match(None, town.clock.now(), town.clock.now(), 100).await.unwrap();
        let asked = store.ask_about(pending, "cb01", "x", 10, 100).await.unwrap();
        let matched = MatchOutcome::Matched { outdated: Vec::new() };
        let answers = join_all(asked.iter().map(|asked| other.service.store().conclude(asked, &matched, 11)));
        let changes = join_all((1..=24).map(|number| import_batch(store, "two", "test", rows(number..=number, "Ân"), 12)));
        let (answers, changes) = join(answers, changes).await;
        assert!(answers.iter().all(Result::is_ok) && changes.iter().all(Result::is_ok));
        for number in 1..=24 {
            let stored = store.record(&key(number)).await.unwrap().unwrap();
            assert_eq!((stored.version, stored.standing.population), (2, None));
        }
    }
}

/// A connection past the store.
async fn open_database(town: &Town) -> sqlx::AnyConnection {
    use sqlx::Connection;
    sqlx::AnyConnection::connect(&town.database_url).await.unwrap()
}

// What the unit says.

story! {
    async fn a_confirmation_is_of_what_was_seen(town) {
        let store = town.service.store();
        let units = ["H26", "H26.05", "H26.051", "G09"];
        let batch = (2..).zip(units).map(|(line, unit)| incoming(line, &row_of(unit, 1, "An"))).collect();
        import_batch(store, "one", "test", batch, 10).await.unwrap();
        import_batch(store, "two", "test", rows(2..=3, "An"), 20).await.unwrap();
        let confirm = async |unit: &str, which: &[&str], seen_at: i64| {
            let which = match which {
                [] => Confirmed::All,
                numbers => Confirmed::Numbers(numbers.iter().map(|number| (*number).to_owned()).collect()),
            };
            store.confirm_records(unit, which, "cb02", seen_at, 30).await.unwrap()
        };
        assert_eq!(confirm("H26.05", &[], 10).await, 1, "and not H26.051");
        assert_eq!(confirm("H26", &[], 9).await, 0, "nobody has seen them yet");
        assert_eq!(confirm("H26", &[], 10).await, 2, "the unit and what is below it, as seen");
        assert_eq!(confirm("G09", &["1", "2", "1"], 30).await, 1);
        assert_eq!(confirm("H26", &["1", "2", "77"], 30).await, 1, "1 is confirmed already, 77 is not there");
        assert_eq!(confirm("H26", &[], 30).await, 1);
        assert_eq!(confirm("H26", &[], 30).await, 0);
        // A new version has to be confirmed again.
        import_batch(store, "three", "test", rows(1..=1, "Ân"), 40).await.unwrap();
        assert_eq!(confirm("H26", &[], 30).await, 0);
        assert_eq!(confirm("H26", &[], 40).await, 1);
        let history = store.history("H26").await.unwrap();
        assert!(history.iter().all(|line| line.1 == "cb02" && line.2 == "records.confirmed"));
    }
}

story! {
    async fn two_confirmations_at_once_confirm_each_record_once(town) {
        let (store, other) = (town.service.store(), town.second_process().await);
        import_batch(store, "one", "test", rows(1..=200, "An"), 10).await.unwrap();
        let stores = [store, other.service.store()];
        let numbers: Vec<_> = (1..=200).rev().map(|number: u32| number.to_string()).collect();
        let confirmed = join_all((0..6).map(|at| {
            let which = if at < 4 { Confirmed::All } else { Confirmed::Numbers(numbers.clone()) };
            stores[at % 2].confirm_records("H26", which, "cb02", 10, 20)
        }))
        .await;
        assert_eq!(confirmed.into_iter().map(Result::unwrap).sum::<u64>(), 200);
    }
}

story! {
    async fn a_program_confirms_for_its_unit(town) {
        let store = town.service.store();
        store.save_units(vec![("H26.05".into(), "Sở Nội vụ".into())], "test", 1).await.unwrap();
        let batch = vec![incoming(2, &row_of("H26.05", 1, "An")), incoming(3, &row_of("G09", 1, "An"))];
        import_batch(store, "one", "test", [batch, rows(1..=3, "An")].concat(), 10).await.unwrap();
        let (hanoi, reader) = (town.officer("hanoi").await, town.officer("reader").await);
        let path = "/api/v1/records/confirm";
        assert_eq!(reader.post(path, json!({"unit": "H26"})).await.problem(403), "insufficient-scope");
        assert_eq!(hanoi.post(path, json!({"unit": "G09"})).await.problem(403), "foreign-unit");
        for wrong in [
            json!({"unit": "h26"}),
            json!({"unit": "H26%"}),
            json!({}),
            json!({"unit": "H26", "numbers": []}),
            json!({"unit": "H26", "numbers": [""]}),
            json!({"unit": "H26", "numbers": ["1\u{0}"]}),
            json!({"unit": "H26", "numbers": vec!["1"; 1_001]}),
            json!({"unit": "H26", "number": ["1"]}),
        ] {
            assert_eq!(hanoi.post(path, wrong).await.problem(400), "invalid-request");
        }
        let confirm = async |body| hanoi.post(path, body).await.expect(200);
        assert_eq!(confirm(json!({"unit": "H26", "numbers": ["2", " 3 ", "9"]})).await, json!({"confirmed": 2}));
        assert_eq!(confirm(json!({"unit": "H26"})).await, json!({"confirmed": 2}), "1, and the unit below");
        assert_eq!(confirm(json!({"unit": "000.00.05.H26"})).await, json!({"confirmed": 0}), "the older form");
        let history = store.history("H26").await.unwrap();
        assert!(history.len() == 2 && history.iter().all(|line| line.1 == "hanoi"), "{history:?}");
        let stored = store.record(&RecordKey { unit: "G09".into(), number: "1".into() }).await.unwrap().unwrap();
        assert_eq!(stored.standing.confirmed_at, None);
    }
}

/// Knows 00001, knows 00002 otherwise, does not know 00003 and does not answer about the rest.
struct Registry;

impl PopulationRegistry for Registry {
    async fn look_up(&self, query: &PopulationQuery) -> Result<Option<PopulationPerson>, Unreachable> {
        let AskedNumber::Personal(number) = &query.number else { return Ok(None) };
        let given = match number.expose() {
            "001087000001" => "NGUYỄN VĂN AN",
            "001087000002" => "KHÁC",
            "001087000003" => return Ok(None),
            _ => return Err(Unreachable::Status(503)),
        };
        let name = NameParts { given: given.into(), ..NameParts::default() };
        let person = PopulationPerson::new(number.clone(), name, PartialDate::parse("19870502").unwrap());
        Ok(Some(PopulationPerson { sex: Some("male".into()), ..person }))
    }
}

/// The person's records that a card can be made of, with their handles.
async fn verified(store: &Store, person: &PersonalNumber) -> Vec<(Handle, VerifiedRecord)> {
    let stored = store.records_of(person).await.unwrap().into_iter();
    let verified =
        stored.map(|stored| Some((stored.handle, VerifiedRecord::new(stored.record, &stored.standing).ok()?)));
    verified.flatten().collect()
}

story! {
    async fn only_a_matched_and_confirmed_record_makes_a_card(town) {
        let rows: String = (1..=4).map(|number| row(number, "Nguyễn Văn An")).collect();
        bring(&town, "a.csv", format!("{HEADER}{rows}")).await.unwrap();
        let asker = Asker { officer: "cb01".into(), purpose: "cấp thẻ".into(), pause_seconds: 0 };
        let (store, clock) = (town.service.store(), &town.clock);
        let first = match_pending(store, clock, &Registry, &asker, |_| {}).await.unwrap();
        let expected = MatchSummary { matched: 1, not_found: 1, mismatched: 1, unreachable: 1, ..MatchSummary::default() };
        assert_eq!(first, expected);
        let again = match_pending(store, clock, &Registry, &asker, |_| {}).await.unwrap();
        assert_eq!(again, MatchSummary { unreachable: 1, ..MatchSummary::default() });

        assert!(verified(store, &person(1)).await.is_empty());
        assert_eq!(confirm(store, clock, "H26", Confirmed::All, "cb02").await.unwrap(), 4);
        assert_eq!(confirm(store, clock, "H26", Confirmed::All, "cb02").await.unwrap(), 0);
        let (handle, record) = verified(store, &person(1)).await.remove(0);
        let units = store.units_named(date!(2025 - 12 - 01), &["H26"]).await.unwrap();
        let facts = record.card_facts(&units, &store.code_book().await.unwrap());
        assert_eq!(facts.card_number(), "H26.001087000001.CC");
        assert!(facts.portrait.is_some());
        for other in 2..=4 {
            assert!(verified(store, &person(other)).await.is_empty());
        }
        assert_eq!(store.matched_people(10).await.unwrap(), [person(1)]);
        // A new version starts without match and confirmation.
        bring(&town, "b.csv", format!("{HEADER}{}", row(1, "Nguyễn Văn Ân"))).await.unwrap();
        assert!(verified(store, &person(1)).await.is_empty());
        let history = store.history(handle.as_str()).await.unwrap();
        assert!(history.iter().any(|line| line.1 == "cb01" && line.3.contains("cấp thẻ")));
    }
}
