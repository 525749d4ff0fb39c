//! The Ministry's synchronisation interface: a unit's own system points its base address at us and works.

use axum::body::Body;
use axum::http::{Request, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::{join, join_all};
use officials_card::config::RateLimits;
use officials_card::flow::import::{Format, ImportRequest, import};
use officials_card::flow::lists::import_units;
use officials_card::flow::sync::{NewSyncAccount, add_sync_account};
use officials_card::http::Peer;
use officials_card::model::calendar::start_of;
use officials_card::model::record::RecordKey;
use officials_card::store::{StoredRecord, SyncCallFilter};
use serde_json::{Value, json};
use time::macros::date;

use crate::story;
use crate::town::{Answer, Ground, Town};

const PASSWORD: &str = "mật khẩu của phần mềm";

/// A unit's own system, as a client of 2020 is written: it knows the published interface alone.
pub struct System<'a> {
    town: &'a Town,
    org: &'a str,
    token: String,
}

impl System<'_> {
    pub async fn call(&self, operation: &str, action: &str, dossier: Value) -> Answer {
        self.send(operation, &packet(self.org, action, &dossier)).await
    }

    pub async fn send(&self, operation: &str, body: &str) -> Answer {
        post(self.town, &format!("/apisyncmsg/syncmsg/{operation}"), body, Some(&self.token)).await
    }

    /// A call that is done; its transaction.
    #[track_caller]
    pub fn done(answer: Answer) -> String {
        let answer = answer.expect(200);
        assert_eq!(answer["err_code"], 0, "{answer}");
        answer["transaction_id"].as_str().unwrap().to_owned()
    }

    /// A call that is refused; what is told.
    #[track_caller]
    pub fn refused(answer: Answer) -> String {
        let answer = answer.expect(200);
        assert_eq!(answer["err_code"], 1, "{answer}");
        assert_eq!(answer["transaction_id"].as_str().unwrap().len(), 36);
        answer["message"].as_str().unwrap().to_owned()
    }

    async fn add(&self, number: &str) -> String {
        Self::done(self.call("servicem0001", "ADD", dossier(number, self.org)).await)
    }
}

async fn post(town: &Town, path: &str, body: &str, token: Option<&str>) -> Answer {
    let mut request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    town.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

async fn account(town: &Town, name: &str, unit: &str, confirms: bool) {
    let new = NewSyncAccount { name: name.into(), unit: unit.into(), confirms };
    let password = Some(PASSWORD.to_owned());
    add_sync_account(town.service.store(), &town.clock, &town.service.chance, new, password, "test").await.unwrap();
}

async fn log_in(town: &Town, name: &str, password: &str) -> Value {
    let body = json!({"username": name, "password": password}).to_string();
    post(town, "/apiauth/oauth/login", &body, None).await.expect(200)
}

pub async fn system<'a>(town: &'a Town, name: &str, org: &'a str) -> System<'a> {
    account(town, name, org, true).await;
    let token = log_in(town, name, PASSWORD).await["access_token"].as_str().unwrap().to_owned();
    System { town, org, token }
}

pub async fn units(town: &Town) {
    let text = "code,name\nH26.05,Sở Nội vụ\nH26.06,Sở Tài chính\nH26.05.01,Chi cục\n";
    import_units(town.service.store(), &town.file("units.csv", text), "test", town.clock.now()).await.unwrap();
}

fn packet(org: &str, action: &str, dossier: &Value) -> String {
    let content = json!({"Data": {
        "Header": {"Sender_Code": org, "Sender_Name": "Phần mềm quản lý", "Action_Type": action, "Transaction_ID": ""},
        "Body": {"HOSO_CBCCVC": dossier},
    }});
    json!({"org_Code": org, "jsonContent": STANDARD.encode(content.to_string())}).to_string()
}

pub fn dossier(number: &str, unit: &str) -> Value {
    json!({
        "SoHieuCBCCVC_BNDP": number,
        "THONGTINCHUNG": {
            "SoHieuCBCCVC": "", "HoVaTen": "Nguyễn Thị Đào", "MaDonViQuanLy": unit, "MaDonviSuDung": unit,
            "NgaySinh": "19870502", "GioiTinh": "2", "DanToc": "01", "TonGiao": "", "PhanLoaiHoSo": "01",
            "SoDinhDanhCaNhan": "001187012345",
        },
        "TUYENDUNG_QT_CONGTAC": {
            "NgayTuyenDungLanDau": "201003",
            "DS_QUATRINH_CONGTAC": [
                {"TuNgay": "2010", "DenNgay": "201503", "TenCoQuan": "Sở Tài chính"},
                {"TuNgay": "20150401", "DenNgay": "", "TenCoQuan": "Sở Nội vụ"},
            ],
        },
        "LUONG_PHUCAP_CHUCVU": {"HeSoLuong": "3.33", "DS_QUATRINH_LUONG": [{"TuNgay": "2015", "BacLuong": "3"}]},
        "DS_KETQUA_DANHGIA_PHANLOAI": [{"KetQuaDanhGia": "01", "Nam": "2024"}],
    })
}

fn with(mut dossier: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    dossier.pointer_mut(parent).unwrap()[name] = value;
    dossier
}

async fn stored(town: &Town, unit: &str, number: &str) -> Option<StoredRecord> {
    let key = RecordKey { unit: unit.into(), number: number.into() };
    town.service.store().record(&key).await.unwrap().filter(|stored| stored.removed_at.is_none())
}

async fn content(town: &Town, unit: &str, number: &str) -> Value {
    serde_json::from_str(&stored(town, unit, number).await.unwrap().record.content()).unwrap()
}

/// Records that come in by an operator's file.
async fn bring(town: &Town, records: &[(&str, &str)]) {
    let rows: Vec<_> = records.iter().map(|(unit, number)| format!("{number},Trần Văn Bình,{unit},{unit}\n")).collect();
    let text = format!("agency_personnel_number,full_name,managing_unit_code,using_unit_code\n{}", rows.concat());
    let (file, rejects) = (town.file("a.csv", text), town.file("x", "").with_file_name("rejects.csv"));
    let request = ImportRequest { file, format: Format::Csv, dry_run: false, rejects, actor: "test".into() };
    let store = town.service.store();
    let summary = import(store, &town.clock, &town.service.chance, request, |_| {}).await.unwrap();
    assert_eq!(summary.new, records.len() as u64);
}

async fn log(town: &Town) -> Vec<Value> {
    let page = town.officer("vneid").await.get("/api/v1/sync-calls?limit=200").await.expect(200);
    page["items"].as_array().unwrap().clone()
}

// Logging in.

story! {
    async fn a_system_logs_in_and_its_token_ends_after_five_hours(town) {
        account(&town, "hanoi-hrm", "H26", true).await;
        let answer = log_in(&town, "hanoi-hrm", PASSWORD).await;
        assert_eq!(answer["err_code"], 0);
        assert_eq!(answer["expired_time"], "17:27:48 22-11-2026");
        let token = answer["access_token"].as_str().unwrap().to_owned();
        assert_eq!(answer["token"], token.as_str(), "as clients of an earlier version read it");
        let body = json!({"username": "hanoi-hrm", "password": PASSWORD}).to_string();
        assert_eq!(post(&town, "/authen/login", &body, None).await.expect(200)["err_code"], 0);

        let wrong = log_in(&town, "hanoi-hrm", "mật khẩu khác").await;
        assert_eq!(wrong["err_code"], 1);
        assert_eq!(wrong["message"], log_in(&town, "nobody", PASSWORD).await["message"], "nobody learns who exists");
        assert_eq!(log_in(&town, "hanoi-hrm", "").await["err_code"], 1);

        let system = System { town: &town, org: "H26", token };
        system.add("1").await;
        town.clock.advance(5 * 3600 - 1);
        system.add("2").await;
        town.clock.advance(1);
        let ended = system.call("servicem0001", "ADD", dossier("3", "H26")).await.expect(401);
        assert_eq!(ended, json!({"err_code": 1, "message": "Xác thực không thành công. Token không đúng hoặc đã hết phiên làm việc!"}));
        assert_eq!(post(&town, "/apisyncmsg/syncmsg/servicem0001", "{}", None).await.expect(401), ended);
        assert_eq!(post(&town, "/apisyncmsg/syncmsg/servicem0001", "{}", Some("x")).await.expect(401), ended);
    }
}

story! {
    async fn a_blocked_account_loses_its_tokens_at_once(town) {
        let system = system(&town, "hanoi-hrm", "H26").await;
        system.add("1").await;
        let store = town.service.store();
        assert!(store.block_sync_account("hanoi-hrm", "test", town.clock.now()).await.unwrap());
        assert!(!store.block_sync_account("hanoi-hrm", "test", town.clock.now()).await.unwrap());
        assert_eq!(system.call("servicem0001", "ADD", dossier("2", "H26")).await.status, 401);
        assert_eq!(log_in(&town, "hanoi-hrm", PASSWORD).await["err_code"], 1);
        let history = store.history("hanoi-hrm").await.unwrap();
        let actions: Vec<_> = history.iter().map(|(_, _, action, _)| action.as_str()).collect();
        assert_eq!(actions, ["sync_account.added", "token.issued", "sync_account.blocked"]);
    }
}

story! {
    async fn guessing_passwords_makes_the_account_wait(town) {
        account(&town, "hanoi-hrm", "H26", true).await;
        // All at once: each is one guess.
        join_all((0..10).map(|guess| log_in(&town, "hanoi-hrm", ["a", "b"][guess % 2]))).await;
        let locked = log_in(&town, "hanoi-hrm", PASSWORD).await;
        assert!(locked["message"].as_str().unwrap().contains("thử lại sau 1 phút"), "{locked}");
        town.clock.advance(59);
        assert_eq!(log_in(&town, "hanoi-hrm", PASSWORD).await["err_code"], 1);
        town.clock.advance(1);
        assert_eq!(log_in(&town, "hanoi-hrm", "c").await["err_code"], 1);
        town.clock.advance(60);
        let longer = log_in(&town, "hanoi-hrm", PASSWORD).await;
        assert!(longer["message"].as_str().unwrap().contains("sau 1 phút"), "twice as long: {longer}");
        town.clock.advance(60);
        assert_eq!(log_in(&town, "hanoi-hrm", PASSWORD).await["err_code"], 0);
        assert_eq!(log_in(&town, "hanoi-hrm", "d").await["message"], log_in(&town, "nobody", "d").await["message"]);
        let calls = log(&town).await;
        let codes = |code: &str| calls.iter().filter(|call| call["operation"] == "login" && call["codes"] == json!([code])).count();
        assert_eq!((codes("password"), codes("locked")), (12, 3));
        assert!(calls.iter().all(|call| call["unit"] == "H26" && call["outcome"] == "refused"));
    }
}

// Adding, changing, taking back.

story! {
    async fn a_dossier_is_added_changed_and_taken_back(town) {
        let system = system(&town, "hanoi-hrm", "H26").await;
        let transaction = system.add("CB.01").await;
        let record = stored(&town, "H26", "CB.01").await.unwrap();
        assert_eq!(record.confirmed_by.as_deref(), Some("sync:hanoi-hrm"), "the account gives the unit's word");
        let added = content(&town, "H26", "CB.01").await;
        assert_eq!(added["full_name"], "Nguyễn Thị Đào");
        assert_eq!(added["first_recruitment_date"], "201003", "as precise as it was sent");
        assert_eq!(added["DS_QUATRINH_CONGTAC"][0], json!({"work_history_agency_name": "Sở Tài chính", "work_history_from": "2010", "work_history_to": "201503"}));
        assert_eq!(added.get("religion"), None);
        let log = town.officer("vneid").await.get(&format!("/api/v1/sync-calls/{transaction}")).await.expect(200);
        assert_eq!(log["records"], json!([record.handle.to_string()]));

        // Only what is there changes: an empty text takes away, a list that is present replaces, an absent one stays.
        let edit = json!({
            "SoHieuCBCCVC_BNDP": "CB.01",
            "THONGTINCHUNG": {"HoVaTen": "Nguyễn Thị Anh Đào", "DanToc": ""},
            "TUYENDUNG_QT_CONGTAC": {"DS_QUATRINH_CONGTAC": [{"TuNgay": "2016"}]},
            "LUONG_PHUCAP_CHUCVU": {},
            "DS_KETQUA_DANHGIA_PHANLOAI": [],
        });
        System::done(system.call("servicem0001_1", "EDIT", edit.clone()).await);
        let mut expected = added.clone();
        expected["full_name"] = json!("Nguyễn Thị Anh Đào");
        expected["DS_QUATRINH_CONGTAC"] = json!([{"work_history_from": "2016"}]);
        for gone in ["ethnicity", "DS_KETQUA_DANHGIA_PHANLOAI"] {
            expected.as_object_mut().unwrap().remove(gone);
        }
        assert_eq!(content(&town, "H26", "CB.01").await, expected);
        // The same again changes nothing.
        System::done(system.call("servicem0001", "EDIT", edit).await);
        assert_eq!(stored(&town, "H26", "CB.01").await.unwrap().version, 2);

        let number = json!({"SoHieuCBCCVC_BNDP": "CB.01"});
        System::done(system.call("servicem0001", "DEL", number.clone()).await);
        assert!(stored(&town, "H26", "CB.01").await.is_none());
        assert!(System::refused(system.call("servicem0002", "EDIT", number).await).contains("không tồn tại"));
        system.add("CB.01").await;
        assert_eq!(content(&town, "H26", "CB.01").await, added, "nothing of the old one");
    }
}

story! {
    async fn add_needs_nothing_and_edit_and_del_need_something(town) {
        let system = system(&town, "hanoi-hrm", "H26").await;
        for action in ["EDIT", "DEL"] {
            let told = System::refused(system.call("servicem0001", action, dossier("1", "H26")).await);
            assert_eq!(told, "Số hiệu CBCCVC Bộ ngành địa phương không tồn tại!");
        }
        system.add("1").await;
        let other = with(dossier("1", "H26"), "/THONGTINCHUNG/HoVaTen", json!("Người Khác"));
        let told = System::refused(system.call("servicem0001", "ADD", other).await);
        assert_eq!(told, "Số hiệu CBCCVC Bộ ngành địa phương đã tồn tại!");
        assert_eq!(content(&town, "H26", "1").await["full_name"], "Nguyễn Thị Đào");
        let told = System::refused(system.call("servicem0001", "ADD", json!({"SoHieuCBCCVC_BNDP": "2"})).await);
        assert!(told.starts_with("Không tìm thấy thông tin chung"), "{told}");
    }
}

story! {
    async fn a_section_operation_touches_its_section_alone(town) {
        let system = system(&town, "hanoi-hrm", "H26").await;
        system.add("1").await;
        let before = content(&town, "H26", "1").await;
        let salary = with(dossier("1", "H26"), "/LUONG_PHUCAP_CHUCVU/HeSoLuong", json!("4.40"));
        let salary = with(salary, "/THONGTINCHUNG/HoVaTen", json!("Không được đổi"));
        let answer = system.call("servicem0003", "EDIT", salary).await.expect(200);
        assert!(answer["message"].as_str().unwrap().contains("(thành phần không nhận: DS_KETQUA_DANHGIA_PHANLOAI, THONGTINCHUNG, TUYENDUNG_QT_CONGTAC)"), "{answer}");
        let mut expected = before.clone();
        expected["salary_coefficient"] = json!("4.40");
        assert_eq!(content(&town, "H26", "1").await, expected);

        for (operation, section) in [
            ("servicem0002", json!({"TUYENDUNG_QT_CONGTAC": {"NgayVaoCoQuanHienNay": "2015"}})),
            ("servicem0004", json!({"TRINHDO_DAOTAO_BOIDUONG": {"DS_NGOAINGU": [{"MaNgoaiNgu": "01", "TrinhDo": "02"}]}})),
            ("servicem0005", json!({"THONGTIN_KHAC": {"NgayVaoDang": "199902"}})),
            ("servicem0006", json!({"DS_KETQUA_DANHGIA_PHANLOAI": [{"KetQuaDanhGia": "02", "Nam": 2025}]})),
        ] {
            let dossier = with(section, "/SoHieuCBCCVC_BNDP", json!("1"));
            let told = System::refused(system.call(operation, "ADD", dossier.clone()).await);
            assert!(told.contains("Hành động phải thuộc EDIT hoặc DEL!"), "{told}");
            System::done(system.call(operation, "EDIT", dossier).await);
        }
        expected["current_agency_join_date"] = json!("2015");
        expected["DS_NGOAINGU"] = json!([{"foreign_language": "01", "foreign_language_level": "02"}]);
        expected["party_join_date"] = json!("199902");
        expected["DS_KETQUA_DANHGIA_PHANLOAI"] = json!([{"assessment_result": "02", "assessment_year": "2025"}]);
        assert_eq!(content(&town, "H26", "1").await, expected);

        // DEL empties the lists that the packet names, whatever stands in them; single values stay.
        let named = json!({"SoHieuCBCCVC_BNDP": "1", "TUYENDUNG_QT_CONGTAC": {"NgayVaoCoQuanHienNay": "2015", "DS_QUATRINH_CONGTAC": []}});
        System::done(system.call("servicem0002", "DEL", named).await);
        System::done(system.call("servicem0006", "DEL", dossier("1", "H26")).await);
        for gone in ["DS_QUATRINH_CONGTAC", "DS_KETQUA_DANHGIA_PHANLOAI"] {
            expected.as_object_mut().unwrap().remove(gone);
        }
        assert_eq!(content(&town, "H26", "1").await, expected);
        let none = json!({"SoHieuCBCCVC_BNDP": "1", "LUONG_PHUCAP_CHUCVU": {"HeSoLuong": ""}});
        assert!(System::refused(system.call("servicem0003", "DEL", none.clone()).await).contains("DEL phải nêu danh sách"));
        let told = System::refused(system.call("servicem0005", "DEL", none).await);
        assert!(told.starts_with("Không thể xóa thông tin khác"), "{told}");
        assert_eq!(content(&town, "H26", "1").await, expected);
    }
}

story! {
    async fn all_of_a_call_is_stored_or_nothing(town) {
        let system = system(&town, "hanoi-hrm", "H26").await;
        // "0" is a part of "00" and no code of the list: their check would have let it pass.
        let bad = with(dossier("1", "H26"), "/THONGTINCHUNG/PhanLoaiHoSo", json!("0"));
        let bad = with(bad, "/TUYENDUNG_QT_CONGTAC/DS_QUATRINH_CONGTAC/1/TuNgay", json!("20150230"));
        let told = System::refused(system.call("servicem0001", "ADD", bad.clone()).await);
        assert!(told.contains("THONGTINCHUNG.PhanLoaiHoSo (có 1 chữ số): phải là một mã của danh mục MOHA.DOITUONG"), "{told}");
        assert!(told.contains("TUYENDUNG_QT_CONGTAC.DS_QUATRINH_CONGTAC[2].TuNgay (có 8 chữ số): phải là năm"), "{told}");
        assert!(!told.contains("20150230"), "never the value");
        assert!(stored(&town, "H26", "1").await.is_none());

        let several = json!([dossier("2", "H26"), bad, dossier("3", "H26")]);
        let told = System::refused(system.call("servicem0001", "ADD", several).await);
        assert!(told.starts_with("Hồ sơ 2: THONGTINCHUNG.PhanLoaiHoSo"), "{told}");
        assert!(stored(&town, "H26", "2").await.is_none() && stored(&town, "H26", "3").await.is_none());
        let good = json!([dossier("2", "H26"), dossier("3", "H26")]);
        System::done(system.call("servicem0001", "ADD", good).await);
        assert!(stored(&town, "H26", "2").await.is_some() && stored(&town, "H26", "3").await.is_some());
        // One of them is there already, the other is not.
        let half = json!([dossier("4", "H26"), dossier("3", "H26")]);
        assert_eq!(System::refused(system.call("servicem0001", "ADD", half).await), "Hồ sơ 2: Số hiệu CBCCVC Bộ ngành địa phương đã tồn tại!");
        assert!(stored(&town, "H26", "4").await.is_none());
        let twice = json!([dossier("5", "H26"), dossier("5", "H26")]);
        assert!(System::refused(system.call("servicem0001", "ADD", twice).await).contains("hai lần"));
        let both = json!([{"SoHieuCBCCVC_BNDP": "2"}, {"SoHieuCBCCVC_BNDP": "3"}]);
        assert!(System::refused(system.call("servicem0001", "DEL", both).await).contains("chỉ được có một hồ sơ"));
        assert!(stored(&town, "H26", "2").await.is_some());
    }
}

story! {
    async fn an_edit_with_one_bad_section_changes_no_other(town) {
        let system = system(&town, "hanoi-hrm", "H26").await;
        system.add("1").await;
        let before = content(&town, "H26", "1").await;
        let edit = json!({"SoHieuCBCCVC_BNDP": "1", "THONGTINCHUNG": {"HoVaTen": "Tên Mới"}, "LUONG_PHUCAP_CHUCVU": {"BacLuong": "13"}});
        assert!(System::refused(system.call("servicem0001", "EDIT", edit).await).contains("LUONG_PHUCAP_CHUCVU.BacLuong"));
        let name = json!({"SoHieuCBCCVC_BNDP": "1", "THONGTINCHUNG": {"HoVaTen": ""}});
        assert!(System::refused(system.call("servicem0001", "EDIT", name).await).contains("THONGTINCHUNG.HoVaTen (để trống): phải có giá trị"));
        assert_eq!(content(&town, "H26", "1").await, before);
    }
}

// Who may send what.

story! {
    async fn an_account_sends_for_its_agency_and_the_units_below(town) {
        units(&town).await;
        let hanoi = system(&town, "hanoi-hrm", "H26").await;
        for (org, told) in [
            ("H29", "Tài khoản chưa được phân quyền đồng bộ dữ liệu cho đơn vị này H29 !"),
            ("H261", "Tài khoản chưa được phân quyền đồng bộ dữ liệu cho đơn vị này H261 !"),
            ("H26.99", "Mã đơn vị H26.99 không tồn tại trên hệ thống!"),
            ("Hà Nội", "Mã đơn vị (org_Code) không tồn tại trên hệ thống!"),
            ("", "Mã đơn vị (org_Code) không tồn tại trên hệ thống!"),
        ] {
            assert_eq!(System::refused(hanoi.send("servicem0001", &packet(org, "ADD", &dossier("1", "H26"))).await), told);
        }
        // In the older form of the code it is the same agency.
        System::done(hanoi.send("servicem0001", &packet("000.00.00.H26", "ADD", &dossier("1", "000.00.05.H26"))).await);
        assert!(stored(&town, "H26.05", "1").await.is_some());
        System::done(hanoi.send("servicem0001", &packet("H26.06", "ADD", &dossier("2", "H26.06"))).await);
        assert_eq!(log(&town).await.iter().filter(|call| call["unit"] == "H26.06").count(), 1);
        for unit in ["H29", "H26.99"] {
            let told = System::refused(hanoi.call("servicem0001", "ADD", dossier("3", unit)).await);
            assert!(told.starts_with("THONGTINCHUNG.MaDonViQuanLy"), "{told}");
        }
        // Seconded to another agency: only the managing unit is bound.
        let seconded = with(dossier("4", "H26"), "/THONGTINCHUNG/MaDonviSuDung", json!("G01"));
        System::done(hanoi.call("servicem0001", "ADD", seconded).await);

        let sender = |code: &str| {
            let content = json!({"Data": {"Header": {"Sender_Code": code, "Action_Type": "ADD"}, "Body": {"HOSO_CBCCVC": dossier("5", "H26")}}});
            json!({"org_Code": "H26", "jsonContent": STANDARD.encode(content.to_string())}).to_string()
        };
        assert_eq!(System::refused(hanoi.send("servicem0001", &sender("H2")).await), "Mã đơn vị gửi không tồn tại trên hệ thống!");
        System::done(hanoi.send("servicem0001", &sender("")).await);

        let office = system(&town, "so-noi-vu", "H26.05").await;
        assert!(System::refused(office.send("servicem0001", &packet("H26", "ADD", &dossier("6", "H26.05"))).await).contains("H26 !"));
        assert!(System::refused(office.call("servicem0001", "EDIT", json!({"SoHieuCBCCVC_BNDP": "2"})).await).contains("không tồn tại"));
    }
}

story! {
    async fn a_number_means_the_record_of_the_agency_that_gave_it(town) {
        units(&town).await;
        let hanoi = system(&town, "hanoi-hrm", "H26").await;
        let office = system(&town, "so-noi-vu", "H26.05").await;
        // The office below has a number 7 of its own, and so has the city.
        System::done(office.call("servicem0001", "ADD", dossier("7", "H26.05.01")).await);
        System::done(hanoi.call("servicem0001", "ADD", dossier("7", "H26.06")).await);
        let name = |name: &str| json!({"SoHieuCBCCVC_BNDP": "7", "THONGTINCHUNG": {"HoVaTen": name}});
        System::done(hanoi.call("servicem0001", "EDIT", name("Người Của Thành Phố")).await);
        System::done(office.call("servicem0001", "EDIT", name("Người Của Sở")).await);
        assert_eq!(content(&town, "H26.06", "7").await["full_name"], "Người Của Thành Phố");
        assert_eq!(content(&town, "H26.05.01", "7").await["full_name"], "Người Của Sở");
        // Where both would keep it in one unit there is one key.
        System::done(office.call("servicem0001", "ADD", dossier("8", "H26.05")).await);
        assert!(System::refused(hanoi.call("servicem0001", "ADD", dossier("8", "H26.05")).await).contains("đã tồn tại"));

        // What came another way is found, unless it could be two.
        bring(&town, &[("H26.06", "20"), ("H26", "21"), ("H26.06", "21")]).await;
        System::done(hanoi.call("servicem0005", "EDIT", json!({"SoHieuCBCCVC_BNDP": "20", "THONGTIN_KHAC": {"SoTheDang": "1"}})).await);
        assert_eq!(content(&town, "H26.06", "20").await["party_card_number"], "1");
        let told = System::refused(hanoi.call("servicem0001", "EDIT", json!({"SoHieuCBCCVC_BNDP": "21"})).await);
        assert!(told.contains("nhiều đơn vị (H26, H26.06)"), "{told}");
        let edit = json!({"SoHieuCBCCVC_BNDP": "21", "THONGTIN_KHAC": {"SoTheDang": "2"}});
        System::done(hanoi.send("servicem0005", &packet("H26.06", "EDIT", &edit)).await);
        assert_eq!(content(&town, "H26.06", "21").await["party_card_number"], "2");
    }
}

story! {
    async fn a_move_within_the_agency_is_the_same_record(town) {
        units(&town).await;
        let hanoi = system(&town, "hanoi-hrm", "H26").await;
        System::done(hanoi.call("servicem0001", "ADD", dossier("7", "H26.05")).await);
        let before = stored(&town, "H26.05", "7").await.unwrap();
        let to = |unit: &str| json!({"SoHieuCBCCVC_BNDP": "7", "THONGTINCHUNG": {"MaDonViQuanLy": unit, "MaDonviSuDung": unit}});
        System::done(hanoi.call("servicem0001", "EDIT", to("H26.06")).await);
        let after = stored(&town, "H26.06", "7").await.unwrap();
        assert_eq!((after.handle.clone(), after.version), (before.handle, 2));
        assert!(stored(&town, "H26.05", "7").await.is_none());
        System::done(hanoi.call("servicem0002", "EDIT", dossier("7", "H26.06")).await);
        assert!(System::refused(hanoi.call("servicem0001", "EDIT", to("H29")).await).contains("MaDonViQuanLy"));
        assert!(System::refused(hanoi.call("servicem0001", "EDIT", json!([to("H26.05"), with(to("H26.05"), "/SoHieuCBCCVC_BNDP", json!("9"))])).await).contains("phải gửi riêng"));
        System::done(hanoi.call("servicem0001", "DEL", json!({"SoHieuCBCCVC_BNDP": "7"})).await);
        assert!(stored(&town, "H26.06", "7").await.is_none());
    }
}

story! {
    async fn a_number_leads_to_its_record_after_a_reorganisation(town) {
        units(&town).await;
        let hanoi = system(&town, "hanoi-hrm", "H26").await;
        System::done(hanoi.call("servicem0001", "ADD", dossier("7", "H26.05")).await);
        let ours = stored(&town, "H26.05", "7").await.unwrap();
        let officer = town.officer("hanoi").await;
        let plan = json!({"name": "Sáp nhập", "decision": "01/QĐ", "effective_on": "2026-12-01",
            "moves": [{"from": "H26.05", "to": "H26.06"}]});
        let plan = officer.post("/api/v1/reorganisations", plan).await.expect(201);
        officer.post(&format!("/api/v1/reorganisations/{}/start", plan["id"].as_str().unwrap()), json!({})).await.expect(200);
        town.clock.advance(start_of(date!(2026 - 12 - 01)) - town.clock.now());
        assert_eq!(town.service.reorganise().await.unwrap(), 1);
        // Another unit of the agency has the same number by now: the agency means the one that it added.
        bring(&town, &[("H26", "7")]).await;
        let token = log_in(&town, "hanoi-hrm", PASSWORD).await["access_token"].as_str().unwrap().to_owned();
        let hanoi = System { token, ..hanoi };
        let renamed = json!({"SoHieuCBCCVC_BNDP": "7", "THONGTINCHUNG": {"HoVaTen": "Nguyễn Thị Mận"}});
        System::done(hanoi.call("servicem0001", "EDIT", renamed).await);
        assert_eq!(content(&town, "H26.06", "7").await["full_name"], "Nguyễn Thị Mận");
        assert_eq!(stored(&town, "H26.06", "7").await.unwrap().handle, ours.handle);
    }
}

story! {
    async fn a_number_that_a_reorganisation_changes_is_the_agencys_own_for_ever(town) {
        units(&town).await;
        let hanoi = system(&town, "hanoi-hrm", "H26").await;
        System::done(hanoi.call("servicem0001", "ADD", dossier("7", "H26.05")).await);
        let ours = stored(&town, "H26.05", "7").await.unwrap();
        bring(&town, &[("H26.06", "7")]).await;
        let officer = town.officer("hanoi").await;
        let plan = json!({"name": "Sáp nhập", "decision": "01/QĐ", "effective_on": "2026-12-01",
            "moves": [{"from": "H26.05", "to": "H26.06"}]});
        let plan = officer.post("/api/v1/reorganisations", plan).await.expect(201);
        officer.post(&format!("/api/v1/reorganisations/{}/start", plan["id"].as_str().unwrap()), json!({})).await.expect(200);
        town.clock.advance(start_of(date!(2026 - 12 - 01)) - town.clock.now());
        assert_eq!(town.service.reorganise().await.unwrap(), 1);
        let token = log_in(&town, "hanoi-hrm", PASSWORD).await["access_token"].as_str().unwrap().to_owned();
        let hanoi = System { token, ..hanoi };
        let renamed = json!({"SoHieuCBCCVC_BNDP": "7", "THONGTINCHUNG": {"HoVaTen": "Nguyễn Thị Mận"}});
        System::done(hanoi.call("servicem0001", "EDIT", renamed).await);
        assert_eq!(content(&town, "H26.06", "H26.05-7").await["full_name"], "Nguyễn Thị Mận");
        assert_eq!(content(&town, "H26.06", "7").await["full_name"], "Trần Văn Bình", "somebody else");
        System::refused(hanoi.call("servicem0001", "ADD", with(dossier("7", "H26.05"), "/THONGTINCHUNG/MaDonViQuanLy", json!("H26"))).await);
        // It goes on to another unit of the agency with the same two numbers.
        let goes = with(dossier("7", "H26.06"), "/THONGTINCHUNG/MaDonViQuanLy", json!("H26"));
        System::done(hanoi.call("servicem0001", "EDIT", goes).await);
        assert_eq!(stored(&town, "H26", "H26.05-7").await.unwrap().handle, ours.handle);
        System::done(hanoi.call("servicem0001", "DEL", json!({"SoHieuCBCCVC_BNDP": "7"})).await);
        assert!(stored(&town, "H26", "H26.05-7").await.is_none() && stored(&town, "H26.06", "7").await.is_some());
    }
}

story! {
    async fn an_account_without_the_units_word_confirms_nothing(town) {
        account(&town, "draft", "H26", false).await;
        let token = log_in(&town, "draft", PASSWORD).await["access_token"].as_str().unwrap().to_owned();
        let system = System { town: &town, org: "H26", token };
        system.add("1").await;
        let record = stored(&town, "H26", "1").await.unwrap();
        assert_eq!((record.confirmed_by, record.standing.confirmed_at), (None, None));
    }
}

story! {
    async fn a_status_of_a_later_day_waits_for_it(town) {
        let system = system(&town, "hanoi-hrm", "H26").await;
        system.add("1").await;
        let status = |status: &str, on: &str| json!({"SoHieuCBCCVC_BNDP": "1", "THONGTIN_BOSUNG": {"employment_status": status, "employment_status_date": on}});
        System::done(system.call("servicem0005", "EDIT", status("active", "2020-01-01")).await);
        System::done(system.call("servicem0001", "EDIT", status("retired", "20261201")).await);
        assert_eq!(content(&town, "H26", "1").await["employment_status"], "active");
        town.clock.advance(10 * 86_400);
        town.service.act_on_waiting().await.unwrap();
        let token = log_in(&town, "hanoi-hrm", PASSWORD).await["access_token"].as_str().unwrap().to_owned();
        let system = System { token, ..system };
        assert_eq!(content(&town, "H26", "1").await["employment_status"], "retired");
        let far = System::refused(system.call("servicem0001", "EDIT", status("resigned", "20501231")).await);
        assert!(far.contains("THONGTIN_BOSUNG.employment_status_date"), "{far}");
    }
}

/// What a system says of the status of dossier 1.
fn status(status: &str, on: &str) -> Value {
    json!({"SoHieuCBCCVC_BNDP": "1", "THONGTIN_BOSUNG": {"employment_status": status, "employment_status_date": on}})
}

/// The day comes, and what waits for it acts. Tokens are over by then.
async fn comes(town: &Town, day: time::Date) {
    town.clock.advance(start_of(day) - town.clock.now());
    town.service.act_on_waiting().await.unwrap();
}

story! {
    async fn a_status_that_is_postponed_acts_on_its_new_day(town) {
        let system = system(&town, "hanoi-hrm", "H26").await;
        system.add("1").await;
        System::done(system.call("servicem0001", "EDIT", status("active", "20200101")).await);
        for on in ["20261201", "20270101"] {
            System::done(system.call("servicem0001", "EDIT", status("retired", on)).await);
        }
        comes(&town, date!(2026 - 12 - 31)).await;
        assert_eq!(content(&town, "H26", "1").await["employment_status"], "active");
        comes(&town, date!(2027 - 01 - 01)).await;
        assert_eq!(content(&town, "H26", "1").await["employment_status"], "retired");
        assert_eq!(town.service.store().count_waiting("H26").await.unwrap(), (0, 0), "nothing is left to decide");
    }
}

story! {
    async fn a_move_takes_back_an_announced_status_and_announces_one(town) {
        units(&town).await;
        let system = system(&town, "hanoi-hrm", "H26").await;
        System::done(system.call("servicem0001", "ADD", dossier("1", "H26.05")).await);
        let within = |unit: &str, said: Value| with(said, "/THONGTINCHUNG", json!({"MaDonViQuanLy": unit}));
        System::done(system.call("servicem0001", "EDIT", status("active", "20200101")).await);
        System::done(system.call("servicem0001", "EDIT", status("resigned", "20261201")).await);
        System::done(system.call("servicem0001", "EDIT", within("H26.06", status("active", "20200101"))).await);
        assert_eq!(town.service.store().count_waiting("H26").await.unwrap(), (0, 0));
        // The unit at once, the status on its day.
        System::done(system.call("servicem0001", "EDIT", within("H26.05", status("retired", "20261215"))).await);
        assert_eq!(content(&town, "H26.05", "1").await["employment_status"], "active");
        comes(&town, date!(2026 - 12 - 01)).await;
        assert_eq!(content(&town, "H26.05", "1").await["employment_status"], "active");
        comes(&town, date!(2026 - 12 - 15)).await;
        assert_eq!(content(&town, "H26.05", "1").await["employment_status"], "retired");
    }
}

story! {
    async fn a_title_of_a_later_day_waits_for_it(town) {
        units(&town).await;
        let system = system(&town, "hanoi-hrm", "H26").await;
        let held = |title: &str| json!({"SoHieuCBCCVC_BNDP": "1", "LUONG_PHUCAP_CHUCVU": {"ChucVu": title}});
        let from = |said: Value, day: &str| with(said, "/THONGTIN_BOSUNG", json!({"effective_on": day}));
        system.add("1").await;
        System::done(system.call("servicem0003", "EDIT", held("010")).await);
        let title = async || content(&town, "H26", "1").await["position_title"].clone();
        let said = System::done(system.call("servicem0003", "EDIT", from(held("020"), "20261201")).await);
        let log = town.officer("vneid").await.get(&format!("/api/v1/sync-calls/{said}")).await.expect(200);
        assert_eq!(log["ignored"], json!([]));
        assert_eq!(title().await, "010", "not before the day");
        // Every night's word of what is today leaves it; a word of that day takes it back, and another one announces it.
        System::done(system.call("servicem0003", "EDIT", held("010")).await);
        let waiting = async || town.service.store().count_waiting("H26").await.unwrap();
        assert_eq!(waiting().await, (1, 0));
        System::done(system.call("servicem0003", "EDIT", from(held("010"), "20261201")).await);
        assert_eq!(waiting().await, (0, 0));
        System::done(system.call("servicem0003", "EDIT", from(held("020"), "20261201")).await);

        // Somebody comes on that day, whatever is corrected before; nobody before their status does.
        System::done(system.call("servicem0001", "ADD", from(dossier("2", "H26"), "20261201")).await);
        let renamed = json!({"SoHieuCBCCVC_BNDP": "2", "THONGTINCHUNG": {"HoVaTen": "Nguyễn Thị Mận"}});
        System::done(system.call("servicem0001", "EDIT", renamed).await);
        let active = json!({"effective_on": "20261201", "employment_status": "active", "employment_status_date": "20261202"});
        System::done(system.call("servicem0001", "ADD", with(dossier("3", "H26"), "/THONGTIN_BOSUNG", active)).await);
        let goes = from(json!({"SoHieuCBCCVC_BNDP": "1", "THONGTINCHUNG": {"MaDonViQuanLy": "H26.05"}}), "20261201");
        assert!(System::refused(system.call("servicem0001", "EDIT", goes).await).contains("effective_on trong tương lai"));
        let gone = from(json!({"SoHieuCBCCVC_BNDP": "1"}), "20261201");
        assert!(System::refused(system.call("servicem0001", "DEL", gone).await).contains("effective_on"));
        let far = System::refused(system.call("servicem0003", "EDIT", from(held("030"), "20501231")).await);
        assert!(far.contains("effective_on: phải không muộn hơn"), "{far}");
        assert!(System::refused(system.call("servicem0003", "EDIT", from(held("030"), "202612")).await).contains("effective_on"));

        comes(&town, date!(2026 - 11 - 30)).await;
        assert!(stored(&town, "H26", "2").await.is_none());
        comes(&town, date!(2026 - 12 - 01)).await;
        assert_eq!(title().await, "020");
        assert_eq!(content(&town, "H26", "2").await["full_name"], "Nguyễn Thị Mận");
        assert!(stored(&town, "H26", "3").await.is_none());
        comes(&town, date!(2026 - 12 - 02)).await;
        assert!(stored(&town, "H26", "3").await.is_some());
        assert_eq!(waiting().await, (0, 0));
    }
}

story! {
    async fn every_field_that_names_a_unit_may_name_one_of_the_list(town) {
        units(&town).await;
        let system = system(&town, "hanoi-hrm", "H26").await;
        for (field, member) in [("managing_unit_code", "MaDonViQuanLy"), ("using_unit_code", "MaDonviSuDung"), ("work_unit_code", "MaDonVi")] {
            let number = format!("N-{member}");
            let at = format!("/THONGTINCHUNG/{member}");
            System::done(system.call("servicem0001", "ADD", with(dossier(&number, "H26.05"), &at, json!("H26.05.01"))).await);
            let unit = if field == "managing_unit_code" { "H26.05.01" } else { "H26.05" };
            assert_eq!(content(&town, unit, &number).await[field], "H26.05.01");
            let unknown = with(dossier("N", "H26.05"), &at, json!("H26.99"));
            assert!(System::refused(system.call("servicem0001", "ADD", unknown).await).contains(member));
        }
    }
}

story! {
    async fn who_comes_on_a_later_day_can_be_changed_and_taken_back_before_it(town) {
        let system = system(&town, "hanoi-hrm", "H26").await;
        let coming = |number: &str| {
            let supplement = json!({"employment_status": "active", "employment_status_date": "20261201"});
            with(dossier(number, "H26"), "/THONGTIN_BOSUNG", supplement)
        };
        for number in ["1", "2"] {
            System::done(system.call("servicem0001", "ADD", coming(number)).await);
            assert!(stored(&town, "H26", number).await.is_none(), "not before the day");
        }
        let other = with(coming("1"), "/THONGTINCHUNG/HoVaTen", json!("Nguyễn Thị Mận"));
        System::refused(system.call("servicem0001", "ADD", other).await);
        let elsewhere = with(json!({"SoHieuCBCCVC_BNDP": "1"}), "/THONGTINCHUNG", json!({"MaDonViQuanLy": "H26.05"}));
        units(&town).await;
        let told = System::refused(system.call("servicem0001", "EDIT", elsewhere).await);
        assert!(told.contains("MaDonViQuanLy"), "{told}");

        let renamed = json!({"SoHieuCBCCVC_BNDP": "1", "THONGTINCHUNG": {"HoVaTen": "Nguyễn Thị Mận"}});
        System::done(system.call("servicem0001", "EDIT", renamed).await);
        System::done(system.call("servicem0006", "EDIT", json!({"SoHieuCBCCVC_BNDP": "1", "DS_KETQUA_DANHGIA_PHANLOAI": [{"KetQuaDanhGia": "02", "Nam": "2025"}]})).await);
        let number = json!({"SoHieuCBCCVC_BNDP": "2"});
        let gone = System::done(system.call("servicem0001", "DEL", number.clone()).await);
        assert_eq!(System::done(system.call("servicem0001", "DEL", number).await), gone, "the answer was lost");

        town.clock.advance(start_of(date!(2026 - 12 - 01)) - town.clock.now());
        assert_eq!(town.service.act_on_waiting().await.unwrap(), 1);
        let there = content(&town, "H26", "1").await;
        assert_eq!(there["full_name"], "Nguyễn Thị Mận");
        let assessed = json!([{"assessment_result": "02", "assessment_year": "2025"}]);
        assert_eq!(there["DS_KETQUA_DANHGIA_PHANLOAI"], assessed, "of the section that was sent last");
        assert!(stored(&town, "H26", "2").await.is_none());
    }
}

story! {
    async fn who_comes_on_a_later_day_is_whose_number_it_is(town) {
        units(&town).await;
        let hanoi = system(&town, "hanoi-hrm", "H26").await;
        let office = system(&town, "so-noi-vu", "H26.05").await;
        let coming = |unit: &str| with(dossier("7", unit), "/THONGTIN_BOSUNG", json!({"effective_on": "20261201"}));
        let name = |name: &str| json!({"SoHieuCBCCVC_BNDP": "7", "THONGTINCHUNG": {"HoVaTen": name}});
        System::done(office.call("servicem0001", "ADD", coming("H26.05")).await);
        // The city has none yet, and none in the office's place.
        assert!(System::refused(hanoi.call("servicem0001", "EDIT", name("Người Khác")).await).contains("không tồn tại"));
        assert!(System::refused(hanoi.call("servicem0001", "DEL", name("Người Khác")).await).contains("không tồn tại"));
        assert!(System::refused(hanoi.call("servicem0001", "ADD", coming("H26.05")).await).contains("đã tồn tại"));
        assert!(System::refused(hanoi.call("servicem0001", "EDIT", name("Người Khác")).await).contains("không tồn tại"));
        System::done(hanoi.call("servicem0001", "ADD", coming("H26.06")).await);
        System::done(hanoi.call("servicem0001", "EDIT", name("Người Của Thành Phố")).await);
        System::done(office.call("servicem0001", "EDIT", name("Người Của Sở")).await);
        comes(&town, date!(2026 - 12 - 01)).await;
        assert_eq!(content(&town, "H26.06", "7").await["full_name"], "Người Của Thành Phố");
        assert_eq!(content(&town, "H26.05", "7").await["full_name"], "Người Của Sở");
    }
}

story! {
    async fn a_refused_add_leads_to_nobody_elses_record(town) {
        units(&town).await;
        let hanoi = system(&town, "hanoi-hrm", "H26").await;
        let office = system(&town, "so-noi-vu", "H26.05").await;
        System::done(office.call("servicem0001", "ADD", dossier("8", "H26.05")).await);
        System::refused(hanoi.call("servicem0001", "ADD", dossier("8", "H26.05")).await);
        let number = json!({"SoHieuCBCCVC_BNDP": "8"});
        assert!(System::refused(hanoi.call("servicem0001", "DEL", number).await).contains("không tồn tại"));
        assert!(stored(&town, "H26.05", "8").await.is_some());
    }
}

// Lost answers, and two at once.

story! {
    async fn a_packet_sent_again_after_a_lost_answer_has_the_first_answer(town) {
        let system = system(&town, "hanoi-hrm", "H26").await;
        let first = system.add("1").await;
        assert_eq!(system.add("1").await, first);
        // Written down otherwise it is the same.
        let mut turned = dossier("1", "H26");
        let general = turned["THONGTINCHUNG"].as_object_mut().unwrap();
        *general = std::mem::take(general).into_iter().rev().collect();
        let content = json!({"Data": {"Header": {"Action_Type": "ADD", "Sent": "later"}, "Body": {"HOSO_CBCCVC": [turned]}}});
        let body = json!({"jsonContent": STANDARD.encode(format!("\n{content:#}")), "org_Code": "H26"}).to_string();
        assert_eq!(System::done(system.send("servicem0001", &body).await), first);
        assert_eq!(stored(&town, "H26", "1").await.unwrap().version, 1);
        let repeats = log(&town).await.iter().filter(|call| call["repeats"] == first.as_str()).count();
        assert_eq!(repeats, 2);

        // Another account's packet is another thing.
        account(&town, "other", "H26", true).await;
        let token = log_in(&town, "other", PASSWORD).await["access_token"].as_str().unwrap().to_owned();
        let other = System { town: &town, org: "H26", token };
        System::refused(other.call("servicem0001", "ADD", dossier("1", "H26")).await);

        let number = json!({"SoHieuCBCCVC_BNDP": "1"});
        let gone = System::done(system.call("servicem0001", "DEL", number.clone()).await);
        assert_eq!(System::done(system.call("servicem0001", "DEL", number).await), gone);
        let again = system.add("1").await;
        assert_ne!(again, first, "it was gone meanwhile: this one added it");
        assert_eq!(system.add("1").await, again);
    }
}

story! {
    async fn of_two_that_add_one_number_one_does(town) {
        units(&town).await;
        let system = system(&town, "hanoi-hrm", "H26").await;
        let second = town.second_process().await;
        let elsewhere = System { town: &second, org: "H26", token: system.token.clone() };
        for round in 0..8 {
            let number = format!("N{round}");
            let (one, other) = join(
                system.call("servicem0001", "ADD", dossier(&number, "H26.05")),
                elsewhere.call("servicem0001", "ADD", dossier(&number, "H26.06")),
            )
            .await;
            let done = [&one.json(), &other.json()].iter().filter(|answer| answer["err_code"] == 0).count();
            assert_eq!(done, 1, "{} {}", one.json(), other.json());
            let kept = [stored(&town, "H26.05", &number).await, stored(&town, "H26.06", &number).await];
            assert_eq!(kept.iter().flatten().count(), 1);
        }
    }
}

story! {
    async fn two_that_change_one_dossier_at_once_lose_nothing(town) {
        let system = system(&town, "hanoi-hrm", "H26").await;
        let second = town.second_process().await;
        let elsewhere = System { town: &second, org: "H26", token: system.token.clone() };
        system.add("1").await;
        for round in 0..8 {
            let party = json!({"SoHieuCBCCVC_BNDP": "1", "THONGTIN_KHAC": {"SoTheDang": format!("T{round}")}});
            let salary = json!({"SoHieuCBCCVC_BNDP": "1", "LUONG_PHUCAP_CHUCVU": {"HeSoLuong": format!("2.{round:02}")}});
            let (one, other) =
                join(system.call("servicem0005", "EDIT", party), elsewhere.call("servicem0003", "EDIT", salary)).await;
            System::done(one);
            System::done(other);
            let now = content(&town, "H26", "1").await;
            assert_eq!(now["party_card_number"], format!("T{round}"));
            assert_eq!(now["salary_coefficient"], format!("2.{round:02}"));
        }
        assert_eq!(stored(&town, "H26", "1").await.unwrap().version, 17);
    }
}

// The log.

story! {
    async fn the_unit_reads_what_its_system_sent(town) {
        let hanoi = system(&town, "hanoi-hrm", "H26").await;
        let saigon = system(&town, "hcm-hrm", "H29").await;
        hanoi.add("CB.0001").await;
        saigon.add("CB.0001").await;
        let bad = with(dossier("CB.0002", "H26"), "/THONGTINCHUNG/NgaySinh", json!("31121987"));
        let bad = with(bad, "/THONGTINCHUNG/MauMat", json!("đen"));
        hanoi.call("servicem0001", "ADD", bad).await;
        hanoi.send("servicem0006", "không phải JSON").await;

        let officer = town.officer("hanoi").await;
        let page = officer.get("/api/v1/sync-calls").await.expect(200);
        let calls = page["items"].as_array().unwrap();
        assert_eq!((calls.len(), &page["next"]), (3, &Value::Null), "its own only");
        assert!(calls.iter().all(|call| call["account"] == "hanoi-hrm"));
        let refused = officer.get("/api/v1/sync-calls?outcome=refused&unit=H26&account=hanoi-hrm").await.expect(200);
        let refused = refused["items"].as_array().unwrap().clone();
        assert_eq!(refused.len(), 2);
        let unreadable = refused.iter().find(|call| call["codes"] == json!(["form"])).unwrap();
        assert_eq!((&unreadable["action"], &unreadable["operation"]), (&Value::Null, &json!("servicem0006")));
        let rule = refused.iter().find(|call| call["codes"] == json!(["rule"])).unwrap();
        let detail = officer.get(&format!("/api/v1/sync-calls/{}", rule["transaction_id"].as_str().unwrap())).await.expect(200);
        assert_eq!(detail["ignored"], json!(["THONGTINCHUNG.MauMat"]));
        assert_eq!(detail["faults"][0]["field"], "THONGTINCHUNG.NgaySinh");
        assert_eq!((&detail["faults"][0]["dossier"], &detail["faults"][0]["code"]), (&json!(1), &json!("rule")));
        for secret in ["31121987", "Đào", "001187012345", "CB.0002"] {
            assert!(!detail.to_string().contains(secret), "{secret}");
        }

        // Pages, newest first, without gap or overlap.
        for number in 0..5 {
            town.clock.advance(number % 2);
            hanoi.add(&format!("P{number}")).await;
        }
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = officer.get(&format!("/api/v1/sync-calls?limit=3{after}")).await.expect(200);
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 3);
            seen.extend(items.iter().map(|call| (call["at"].as_i64().unwrap(), call["transaction_id"].as_str().unwrap().to_owned())));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(seen.len(), 8);
        assert!(seen.is_sorted_by(|one, other| one > other));

        let theirs = town.officer("vneid").await.get("/api/v1/sync-calls?unit=H29").await.expect(200);
        let theirs = theirs["items"][0]["transaction_id"].as_str().unwrap().to_owned();
        assert_eq!(officer.get(&format!("/api/v1/sync-calls/{theirs}")).await.problem(404), "not-found");
        assert_eq!(officer.get("/api/v1/sync-calls?unit=H29").await.problem(403), "foreign-unit");
        assert_eq!(town.officer("reader").await.get("/api/v1/sync-calls").await.problem(403), "insufficient-scope");
        for wrong in ["limit=0", "limit=201", "after=x", "outcome=done", "colour=red"] {
            assert_eq!(officer.get(&format!("/api/v1/sync-calls?{wrong}")).await.problem(400), "invalid-request", "{wrong}");
        }
    }
}

story! {
    async fn the_log_is_cleared_away_when_it_was_kept_long_enough(town) {
        let system = system(&town, "hanoi-hrm", "H26").await;
        system.add("1").await;
        town.clock.advance(365 * 86_400);
        assert_eq!(town.service.clear_sync_calls().await.unwrap(), 0);
        town.clock.advance(1);
        assert_eq!(town.service.clear_sync_calls().await.unwrap(), 1);
        let left = town.service.store().sync_calls(&SyncCallFilter { limit: 10, ..SyncCallFilter::default() }).await;
        assert!(left.unwrap().is_empty());
        assert!(town.service.store().clear_away(town.clock.now()).await.unwrap() >= 1, "the token is over, too");
    }
}

// The interface's own form.

#[tokio::test]
async fn every_answer_has_the_interfaces_form() {
    let town = Town::on(Ground::Sqlite).await;
    let system = system(&town, "hanoi-hrm", "H26").await;
    for (body, code) in [
        (String::new(), "form"),
        ("{}".into(), "form"),
        (r#"{"org_Code":"H26","jsonContent":"***"}"#.into(), "form"),
        (packet("H26", "VIEW", &dossier("1", "H26")), "action"),
        (packet("H26", "ADD", &json!({})), "number"),
        (packet("H26", "ADD", &json!({"SoHieuCBCCVC_BNDP": "1", "THONGTINCHUNG": []})), "section"),
    ] {
        System::refused(system.send("servicem0001", &body).await);
        assert_eq!(log(&town).await[0]["codes"], json!([code]), "{body}");
        // So that the next one is the newest.
        town.clock.advance(1);
    }
    assert_eq!(system.send("servicem0007", "{}").await.expect(404)["err_code"], 1);
    let large = json!({"org_Code": "H26", "jsonContent": "A".repeat(4 << 20)}).to_string();
    let told = system.send("servicem0001", &large).await.expect(413);
    assert_eq!(told["err_code"], 1);
    let row = &log(&town).await[0];
    assert_eq!(
        (&row["codes"], &row["transaction_id"]),
        (&json!(["too_large"]), &told["transaction_id"]),
        "in the log, too"
    );
    // Of a stranger it is not even read.
    post(&town, "/apisyncmsg/syncmsg/servicem0001", &large, Some("stranger")).await.expect(401);
    let large = json!({"username": "a", "password": "A".repeat(4 << 10)}).to_string();
    assert_eq!(post(&town, "/apiauth/oauth/login", &large, None).await.expect(413)["err_code"], 1);
    assert_eq!(town.get("/apisyncmsg/syncmsg/servicem0001").await.status, 405);
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_told_in_the_interfaces_form() {
    let town = Town::on(Ground::Sqlite).await;
    let system = system(&town, "hanoi-hrm", "H26").await;
    // No request has any time: whatever waits for the database is too late.
    let hasty = town.configured(|config| config.limits.request_seconds = 0);
    let system = System { town: &hasty, ..system };
    let late = system.call("servicem0001", "ADD", dossier("1", "H26")).await.expect(503);
    assert_eq!((&late["err_code"], late["message"].is_string()), (&json!(1), true));
}

#[tokio::test]
async fn an_account_that_calls_too_often_waits() {
    let town = Town::on(Ground::Sqlite).await;
    let town = town.configured(|config| {
        config.rate_limits = RateLimits { client_per_minute: 2, address_documents_per_minute: 4, ..RateLimits::OFF };
    });
    let system = system(&town, "hanoi-hrm", "H26").await;
    system.add("1").await;
    system.add("2").await;
    let refused = system.call("servicem0001", "ADD", dossier("3", "H26")).await;
    assert_eq!(refused.header("retry-after"), "30");
    assert_eq!(refused.expect(429)["err_code"], 1);
    town.clock.advance(30);
    system.add("3").await;

    let from_address = async || {
        let mut request = Request::post("/apiauth/oauth/login").body(Body::from("{}")).unwrap();
        request.extensions_mut().insert(Peer("192.0.2.1".parse().unwrap()));
        town.send(request).await
    };
    for _ in 0..4 {
        from_address().await.expect(200);
    }
    let refused = from_address().await;
    assert_eq!(refused.header("retry-after"), "15");
    assert_eq!(refused.expect(429)["err_code"], 1);
}

/// A call as it was recorded, with what it makes: the wire form does not change unseen.
#[tokio::test]
async fn the_recorded_call_makes_the_recorded_record() {
    let town = Town::on(Ground::Sqlite).await;
    units(&town).await;
    let system = system(&town, "hanoi-hrm", "H26").await;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/ministry");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    System::done(system.send("servicem0001", &read("servicem0001-add.json")).await);
    let expected: Value = serde_json::from_str(&read("servicem0001-add.record.json")).unwrap();
    assert_eq!(content(&town, "H26.05", "CB.2020.0017").await, expected);
}

story! {
    async fn logins_wait_in_a_short_line_and_who_is_sent_away_has_not_guessed(town) {
        account(&town, "hanoi-hrm", "H26", true).await;
        let body = json!({"username": "hanoi-hrm", "password": "sai mật khẩu rồi"}).to_string();
        let unknown = json!({"username": "nobody", "password": "sai mật khẩu rồi"}).to_string();
        let others = (0..40).map(|_| post(&town, "/apiauth/oauth/login", &unknown, None));
        // The ones behind come when the line is full.
        let behind = (0..20).map(|_| post(&town, "/apiauth/oauth/login", &body, None));
        let (first, last) = join(join_all(others), join_all(behind)).await;
        let busy = |answers: &[Answer]| answers.iter().filter(|answer| answer.status == 503).count();
        assert!(busy(&first) > 0 && busy(&first) < 40, "{} of 40", busy(&first));
        assert_eq!(busy(&last), 20);
        assert_eq!(log_in(&town, "hanoi-hrm", PASSWORD).await["err_code"], 0, "no guess of theirs counted");
    }
}

story! {
    async fn what_left_the_agency_is_out_of_its_reach(town) {
        units(&town).await;
        let (old, new) = (system(&town, "noi-vu", "H26.05").await, system(&town, "tai-chinh", "H26.06").await);
        let own = dossier("SNV-1", "H26.05.01");
        System::done(old.call("servicem0001", "ADD", own.clone()).await);
        let plan = json!({
            "name": "Chuyển chi cục", "decision": "02/QĐ", "effective_on": "2026-12-01",
            "moves": [{"from": "H26.05.01", "to": "H26.06"}],
        });
        let officer = town.officer("hanoi").await;
        let id = officer.post("/api/v1/reorganisations", plan).await.expect(201)["id"].as_str().unwrap().to_owned();
        officer.post(&format!("/api/v1/reorganisations/{id}/start"), json!({})).await.expect(200);
        town.clock.advance(start_of(date!(2026 - 12 - 01)) - town.clock.now());
        while town.service.reorganise().await.unwrap() > 0 {}
        assert!(stored(&town, "H26.06", "SNV-1").await.is_some());

        let token = async |name: &str| log_in(&town, name, PASSWORD).await["access_token"].as_str().unwrap().to_owned();
        let old = System { token: token("noi-vu").await, ..old };
        let new = System { token: token("tai-chinh").await, ..new };
        System::refused(old.call("servicem0001", "DEL", own.clone()).await);
        System::refused(old.call("servicem0001", "EDIT", dossier("SNV-1", "H26.05")).await);
        assert!(stored(&town, "H26.06", "SNV-1").await.is_some(), "neither taken away nor taken back");
        System::done(new.call("servicem0001", "EDIT", dossier("SNV-1", "H26.06")).await);
    }
}
