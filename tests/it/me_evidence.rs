//! Files beside proposals: what is taken, how it is kept, who can read it.

use std::io::Write as _;

use axum::http::{Request, header};
use serde_json::json;

use crate::holder::{NEIGHBOUR, Office, PERSON};
use crate::me::Me;
use crate::story;
use crate::town::{Answer, Town};

/// A PDF with this object in it.
pub fn a_pdf(object: &str) -> Vec<u8> {
    format!("%PDF-1.7\n1 0 obj\n<</Type/Catalog>>\nendobj\n{object}\nxref\n0 1\ntrailer\n<</Root 1 0 R>>\nstartxref\n9\n%%EOF\n")
        .into_bytes()
}

fn a_png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let mut writer = encoder.write_header().unwrap();
    let line = usize::try_from(width.div_ceil(8)).unwrap();
    writer.write_image_data(&vec![0; line * usize::try_from(height).unwrap()]).unwrap();
    writer.finish().unwrap();
    bytes
}

/// Sends a file.
pub async fn uploads(me: &Me<'_>, bytes: &[u8], disposition: &str) -> Answer {
    let mut request = Request::post("/api/v1/me/evidence")
        .header(header::AUTHORIZATION, format!("Bearer {}", me.token))
        .header(header::CONTENT_TYPE, "text/html");
    if !disposition.is_empty() {
        request = request.header(header::CONTENT_DISPOSITION, disposition);
    }
    me.town.send(request.body(bytes.to_vec().into()).unwrap()).await
}

/// The files that are kept.
fn kept_files(town: &Town) -> Vec<std::path::PathBuf> {
    let folder = &town.service.config.self_service.evidence;
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

story! {
    async fn a_file_is_what_is_in_it_and_is_kept_encrypted(town) {
        use std::os::unix::fs::PermissionsExt;
        let office = Office::open(town).await;
        let me = Me::signs_in(&office, PERSON).await;
        let pdf = a_pdf("(Nguyễn Thị Thử Nghiệm)");
        let kept = uploads(&me, &pdf, "attachment; filename*=UTF-8''Gi%E1%BA%A5y%20k%E1%BA%BFt%20h%C3%B4n.exe").await.expect(201);
        assert_eq!((&kept["name"], &kept["media_type"], &kept["size"]), (&json!("Giấy kết hôn.pdf"), &json!("application/pdf"), &json!(pdf.len())));
        let png = uploads(&me, &a_png(10, 10), "").await.expect(201);
        assert_eq!((&png["name"], &png["media_type"]), (&json!("evidence.png"), &json!("image/png")));
        for file in kept_files(&office.town) {
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
            let bytes = std::fs::read(&file).unwrap();
            let has = |wanted: &[u8]| bytes.windows(wanted.len()).any(|window| window == wanted);
            assert!(!has(b"PDF") && !has("Nguyễn".as_bytes()) && !has(b"PNG") && !has(PERSON.as_bytes()));
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            assert!(!name.contains(kept["evidence"].as_str().unwrap()), "the place is not the name");
        }
        let answer = me.get(&format!("/evidence/{}", kept["evidence"].as_str().unwrap())).await;
        assert_eq!(answer.bytes, pdf);
        assert_eq!(answer.header("content-type"), "application/pdf");
        assert_eq!(answer.header("content-disposition"), "attachment; filename*=UTF-8''Gi%E1%BA%A5y%20k%E1%BA%BFt%20h%C3%B4n.pdf");
        assert_eq!((answer.header("x-content-type-options"), answer.header("cache-control")), ("nosniff", "no-store"));
        assert!(answer.header("content-security-policy").ends_with("sandbox"));
        // Somebody else's file is not there, to look at or to put beside a proposal.
        office.town.hires(NEIGHBOUR, "H26").await;
        let neighbour = Me::signs_in(&office, NEIGHBOUR).await;
        let path = format!("/evidence/{}", kept["evidence"].as_str().unwrap());
        assert_eq!(neighbour.get(&path).await.problem(404), "not-found");
        assert_eq!(neighbour.delete(&path).await.problem(404), "not-found");
        let record = neighbour.handle().await;
        let stolen = json!({"record": record, "changes": {"marital_status": "1"}, "evidence": [kept["evidence"]]});
        assert_eq!(neighbour.post("/proposals", stolen).await.problem(404), "not-found");
        me.delete(&path).await.expect(204);
        assert_eq!(me.get(&path).await.problem(404), "not-found");
        assert_eq!(kept_files(&office.town).len(), 1);
    }
}

story! {
    async fn what_acts_explodes_or_is_something_else_is_not_taken(town) {
        let office = Office::open(town).await;
        let me = Me::signs_in(&office, PERSON).await;
        let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        packed.write_all(b"7 0 <</S/JavaScript/JS(app.alert(1))>>").unwrap();
        let hidden = [
            a_pdf("")[..60].to_vec(),
            b"\n5 0 obj\n<</Type/ObjStm/N 1/First 4/Filter/FlateDecode>>\nstream\n".to_vec(),
            packed.finish().unwrap(),
            b"\nendstream\nendobj\nstartxref\n9\n%%EOF\n".to_vec(),
        ]
        .concat();
        for (what, bytes) in [
            ("nothing", Vec::new()),
            ("a program", b"MZ\x90\0".to_vec()),
            ("a page", b"<html><script>alert(1)</script>".to_vec()),
            ("a picture that is a program", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec()),
            ("an archive", b"PK\x03\x04".to_vec()),
            ("a script", a_pdf("<</S/JavaScript/JS(1)>>")),
            ("an escaped script", a_pdf("<</S/Java#53cript>>")),
            ("a packed script", hidden),
            ("a program to start", a_pdf("<</S/Launch/F(x)>>")),
            ("another file", a_pdf("<</EmbeddedFiles 3 0 R>>")),
            ("an encrypted one", a_pdf("<</Encrypt 3 0 R>>")),
            ("two in one", [a_png(4, 4), a_pdf("")].concat()),
            ("half of one", a_png(40, 40)[..60].to_vec()),
            ("forty million points", a_png(20_000, 2_001)),
        ] {
            assert_eq!(uploads(&me, &bytes, "").await.problem(422), "unacceptable-file", "{what}");
        }
        let large = vec![b' '; (10 << 20) + 1];
        assert_eq!(uploads(&me, &large, "").await.problem(413), "too-much");
        assert!(kept_files(&office.town).is_empty());
        let stranger = Me { town: &office.town, token: "x".into() };
        assert_eq!(uploads(&stranger, &a_pdf(""), "").await.problem(401), "invalid-token");
    }
}

story! {
    async fn a_person_has_only_so_many_files_and_unused_ones_go(town) {
        let office = Office::open_with(town, |config| {
            config.self_service.evidence_files = 2;
            config.self_service.evidence_file_bytes = 4096;
            config.self_service.evidence_bytes = 5_000;
        }).await;
        let me = Me::signs_in(&office, PERSON).await;
        let padded = |bytes: usize| a_pdf(&" ".repeat(bytes));
        uploads(&me, &padded(3_000), "").await.expect(201);
        assert_eq!(uploads(&me, &padded(3_000), "").await.problem(413), "too-much");
        assert_eq!(uploads(&me, &padded(5_000), "").await.problem(413), "too-much");
        let used = uploads(&me, &padded(10), "").await.expect(201);
        assert_eq!(uploads(&me, &padded(10), "").await.problem(413), "too-much");
        assert_eq!(kept_files(&office.town).len(), 2);
        let record = me.handle().await;
        let body = json!({"record": record, "changes": {"marital_status": "1"}, "evidence": [used["evidence"]]});
        me.post("/proposals", body).await.expect(201);
        assert_eq!(office.town.service.clear_evidence().await.unwrap(), 0, "not yet");
        office.town.clock.advance(86_401);
        assert_eq!(office.town.service.clear_evidence().await.unwrap(), 1);
        assert_eq!(kept_files(&office.town).len(), 1);
        let me = Me::signs_in(&office, PERSON).await;
        assert_eq!(me.get(&format!("/evidence/{}", used["evidence"].as_str().unwrap())).await.bytes, padded(10));
    }
}

story! {
    async fn files_of_what_was_withdrawn_count_again_and_go(town) {
        let office = Office::open_with(town, |config| config.self_service.evidence_files = 2).await;
        let me = Me::signs_in(&office, PERSON).await;
        let record = me.handle().await;
        for _ in 0..2 {
            let kept = uploads(&me, &a_pdf("x"), "").await.expect(201);
            let body = json!({"record": record, "changes": {"marital_status": "1"}, "evidence": [kept["evidence"]]});
            let made = me.post("/proposals", body).await.expect(201);
            me.delete(&format!("/proposals/{}", made["proposal"]["proposal"].as_str().unwrap())).await.expect(204);
        }
        assert_eq!(uploads(&me, &a_pdf("x"), "").await.problem(413), "too-much");
        office.town.clock.advance(86_401);
        assert_eq!(office.town.service.clear_evidence().await.unwrap(), 2);
        assert!(kept_files(&office.town).is_empty());
    }
}

story! {
    async fn files_of_what_was_decided_long_ago_go(town) {
        let office = Office::open_with(town, |config| config.self_service.decided_evidence_days = 30).await;
        let me = Me::signs_in(&office, PERSON).await;
        let record = me.handle().await;
        let mut made = Vec::new();
        for _ in 0..2 {
            let kept = uploads(&me, &a_pdf("x"), "").await.expect(201);
            let body = json!({"record": record, "changes": {"marital_status": "1"}, "evidence": [kept["evidence"]]});
            let proposal = me.post("/proposals", body).await.expect(201)["proposal"]["proposal"].as_str().unwrap().to_owned();
            made.push((kept["evidence"].as_str().unwrap().to_owned(), proposal));
        }
        assert!(crate::me_proposals::decides(&office.town, &made[0].1, "refused").await);
        office.town.clock.advance(30 * 86_400);
        assert_eq!(office.town.service.clear_evidence().await.unwrap(), 0, "not yet");
        office.town.clock.advance(1);
        assert_eq!(office.town.service.clear_evidence().await.unwrap(), 1);
        assert_eq!(kept_files(&office.town).len(), 1);
        let me = Me::signs_in(&office, PERSON).await;
        assert_eq!(me.get(&format!("/evidence/{}", made[0].0)).await.problem(404), "not-found");
        assert_eq!(me.get(&format!("/evidence/{}", made[1].0)).await.bytes, a_pdf("x"), "what waits is kept");
        let lines = office.town.service.store().history(&made[0].1).await.unwrap();
        assert!(lines.iter().any(|line| (line.1.as_str(), line.2.as_str()) == ("system", "evidence.cleared")));
    }
}

story! {
    async fn no_file_is_left_without_its_row(town) {
        let office = Office::open(town).await;
        let me = Me::signs_in(&office, PERSON).await;
        // What a process left that died while it wrote goes with the file.
        let kept = uploads(&me, &a_pdf("x"), "").await.expect(201);
        std::fs::write(kept_files(&office.town)[0].with_extension("part"), "half").unwrap();
        me.delete(&format!("/evidence/{}", kept["evidence"].as_str().unwrap())).await.expect(204);
        assert!(kept_files(&office.town).is_empty());
        // A file that cannot be removed: its row stays for the next round, and nobody reads or uses it meanwhile.
        let kept = uploads(&me, &a_pdf("x"), "").await.expect(201);
        let (path, file) = (format!("/evidence/{}", kept["evidence"].as_str().unwrap()), kept_files(&office.town)[0].clone());
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert_eq!(me.delete(&path).await.problem(500), "fault");
        assert_eq!(me.get(&path).await.problem(404), "not-found");
        let record = me.handle().await;
        let body = json!({"record": record, "changes": {"marital_status": "1"}, "evidence": [kept["evidence"]]});
        assert_eq!(me.post("/proposals", body).await.problem(404), "not-found");
        assert_eq!(office.town.service.clear_evidence().await.unwrap(), 0);
        std::fs::remove_dir(&file).unwrap();
        std::fs::write(&file, "sealed").unwrap();
        assert_eq!(office.town.service.clear_evidence().await.unwrap(), 1);
        assert!(kept_files(&office.town).is_empty());
    }
}

story! {
    async fn a_file_in_anothers_place_or_spoiled_does_not_open(town) {
        let office = Office::open(town).await;
        let me = Me::signs_in(&office, PERSON).await;
        let one = uploads(&me, &a_pdf("1"), "").await.expect(201);
        let first = kept_files(&office.town)[0].clone();
        let two = uploads(&me, &a_pdf("2"), "").await.expect(201);
        let second = kept_files(&office.town).into_iter().find(|file| *file != first).unwrap();
        let (a, b) = (std::fs::read(&first).unwrap(), std::fs::read(&second).unwrap());
        std::fs::write(&first, &b).unwrap();
        std::fs::write(&second, &a[..a.len() - 1]).unwrap();
        for kept in [&one, &two] {
            let answer = me.get(&format!("/evidence/{}", kept["evidence"].as_str().unwrap())).await;
            assert_eq!(answer.problem(500), "fault");
        }
        std::fs::write(&first, &a).unwrap();
        std::fs::write(&second, &b).unwrap();
        let answer = me.get(&format!("/evidence/{}", one["evidence"].as_str().unwrap())).await;
        assert_eq!(answer.bytes, a_pdf("1"));
    }
}

story! {
    async fn a_reviewer_of_the_unit_reads_it_and_the_person_sees_that(town) {
        let office = Office::open_with(town, crate::review::reviewers).await;
        let me = Me::signs_in(&office, PERSON).await;
        let kept = uploads(&me, &a_pdf("x"), "").await.expect(201);
        let record = me.handle().await;
        let body = json!({"record": record, "changes": {"marital_status": "1"}, "evidence": [kept["evidence"]]});
        let made = me.post("/proposals", body).await.expect(201);
        let proposal = made["proposal"]["proposal"].as_str().unwrap();
        let evidence = kept["evidence"].as_str().unwrap();
        let path = |proposal: &str, evidence: &str| format!("/api/v1/proposals/{proposal}/evidence/{evidence}");
        let an = office.town.officer("an").await;
        assert_eq!(an.get(&path(proposal, evidence)).await.bytes, a_pdf("x"));
        for (proposal, evidence) in [(proposal, "AAAAAAAAAAAAAAAAAAAAAA"), ("x", evidence), (proposal, "..%2fx")] {
            assert_eq!(an.get(&path(proposal, evidence)).await.problem(404), "not-found");
        }
        assert_eq!(office.town.officer("elsewhere").await.get(&path(proposal, evidence)).await.problem(404), "not-found");
        let told = me.get("/access").await.expect(200);
        let read: Vec<_> = told["items"].as_array().unwrap().iter().filter(|item| item["action"] == "evidence.read").collect();
        assert_eq!(read.len(), 1);
        assert_eq!((&read[0]["actor"], &read[0]["proposal"], &read[0]["kind"]), (&json!("an"), &json!(proposal), &json!("looked")));
        // So does who answers for the unit, by itself or under the record; and what else was done with the proposal.
        let hanoi = office.town.officer("hanoi").await;
        let subjects = async |query: &str| {
            let lines = hanoi.get(&format!("/api/v1/audit?{query}")).await.expect(200)["items"].clone();
            lines.as_array().unwrap().iter().map(|line| line["subject"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        for query in ["action=evidence.read".to_owned(), format!("action=evidence.read&subject={record}"), "action=proposal.made".into()] {
            assert_eq!(subjects(&query).await, [proposal], "{query}");
        }
        assert!(subjects("action=evidence.read&unit=H26.05").await.is_empty(), "the record is of the unit above");
    }
}
