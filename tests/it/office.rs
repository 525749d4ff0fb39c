//! Officers at the door of the office and in it: who gets in, how long they stay, what only their own page may do with
//! their cookie, and who may make officers of others.

use axum::http::{Request, header};
use officials_card::config::OfficeSignIn;
use officials_card::flow::Caller;
use officials_card::model::id::{Handle, PersonalNumber};
use officials_card::model::rights::Role;
use serde_json::{Value, json};

use crate::bureau::{Bureau, Factor, new_officer, with_cookie};
use crate::story;
use crate::town::{Answer, URL};

#[track_caller]
fn shows(answer: &Answer, status: u16, text: &str) {
    let page = std::str::from_utf8(&answer.bytes).unwrap();
    assert_eq!(answer.status.as_u16(), status, "{page}");
    assert!(page.contains(text) && page.contains("<p id=\"error\" role=\"alert\">"), "{page}");
    assert!(!page.contains("<script"), "{page}");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
}

async fn actions(bureau: &Bureau, officer: &str) -> Vec<String> {
    let lines = bureau.town.service.store().history(officer).await.unwrap();
    lines.into_iter().map(|(_, actor, action, detail)| format!("{actor} {action} {detail}").trim().to_owned()).collect()
}

story! {
    async fn an_officer_signs_in_works_and_signs_out(town) {
        let bureau = Bureau::open(town).await;
        let id = bureau.enters("clerk", Role::Clerk, Some("H26")).await;
        let browser = bureau.browser();
        assert_eq!(browser.get("/api/v1/session").await.problem(401), "invalid-token");
        let url = bureau.asks(&browser).await;
        for part in ["code_challenge_method=S256", "nonce=", "state=", "prompt=login", "max_age=300"] {
            assert!(url.contains(part), "{part} in {url}");
        }
        let back = bureau.at_provider(&url, "clerk", Factor::Types).await;
        let answer = browser.get(&back).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "http://127.0.0.1:8080/office/"));
        let set: Vec<_> = answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap()).collect();
        assert!(set.iter().any(|line| line.starts_with("office=") && line.contains("HttpOnly; SameSite=Lax")), "{set:?}");
        assert!(set.iter().any(|line| line.starts_with("office-sign-in=; ") && line.contains("Max-Age=0")), "{set:?}");

        let answer = browser.get("/api/v1/session").await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let session = answer.expect(200);
        let now = bureau.town.clock.now();
        assert_eq!(session["officer"], json!({"id": id, "name": "Cán bộ clerk", "role": "clerk"}));
        assert_eq!(session["unit"], json!({"code": "H26", "name": "Ủy ban nhân dân thành phố Hà Nội"}));
        assert_eq!((session["expires_at"].as_i64(), session["idle_expires_at"].as_i64()), (Some(now + 8 * 3600), Some(now + 900)));
        assert_eq!((&session["language"], &session["signed_in_at"], &session["now"]), (&json!("vi"), &json!(now), &json!(now)));
        assert_eq!(session["step_up"]["scopes"], json!([]), "a clerk has none of them");
        let english = Request::get("/api/v1/session").header(header::ACCEPT_LANGUAGE, "en-GB, en");
        assert_eq!(browser.send(english, String::new()).await.expect(200)["language"], "en");

        // The code of a sign-in is used, and so is the attempt.
        shows(&browser.get(&back).await, 400, "Lần đăng nhập đã hết hạn");
        // Out, here and there.
        let desk = bureau.at_work("clerk").await;
        let cookie = desk.cookie();
        let no_csrf = desk.call_with("POST", "/office/sign-out", Value::Null, &[("origin", URL)]).await;
        assert_eq!(no_csrf.problem(403), "cross-site-request");
        let out = desk.post("/office/sign-out", Value::Null).await;
        assert!(out.header("set-cookie").contains("office=; ") && out.header("set-cookie").contains("Max-Age=0"));
        let there = out.expect(200)["end_session"].as_str().unwrap().to_owned();
        assert!(there.starts_with(&format!("{}/sign-out?client_id=officials-card-office&post_logout_redirect_uri=", bureau.issuer)));
        assert_eq!(with_cookie(&bureau.town, "/api/v1/session", &cookie).await.problem(401), "session-ended");
        let told = actions(&bureau, &id).await;
        assert_eq!(told[0], "terminal officer.added clerk H26");
        assert_eq!(told[1..], [format!("{id} officer.signed_in"), format!("{id} officer.signed_in"), format!("{id} officer.signed_out")]);
        // The other session goes on.
        browser.get("/api/v1/session").await.expect(200);
    }
}

story! {
    async fn without_a_second_factor_nobody_gets_in(town) {
        let bureau = Bureau::open(town).await;
        bureau.enters("clerk", Role::Clerk, Some("H26")).await;
        let browser = bureau.browser();
        shows(&bureau.arrives(&browser, "clerk", Factor::Skips).await, 403, "Cần xác thực hai yếu tố");
        shows(&bureau.arrives(&browser, "clerk", Factor::Cancels).await, 403, "Bạn đã từ chối đăng nhập");
        assert_eq!(browser.get("/api/v1/session").await.problem(401), "invalid-token");
        bureau.at_work_with(browser, "clerk").await;
        // Where only an acr counts, this provider shows none.
        let strict = bureau.town.configured(|config| {
            let own = config.office_sign_in.as_mut().unwrap();
            (own.amr, own.amr_beside) = (Vec::new(), Vec::new());
            own.acr_values = vec!["urn:example:two-factors".into()];
        });
        let browser = crate::browser::Browser::new(&strict);
        let url = bureau.asks(&browser).await;
        assert!(url.contains("acr_values=urn%3Aexample%3Atwo-factors"), "{url}");
        shows(&browser.get(&bureau.at_provider(&url, "clerk", Factor::Types).await).await, 403, "Cần xác thực hai yếu tố");
    }
}

story! {
    async fn there_is_no_default_account_and_no_way_in_for_strangers(town) {
        let bureau = Bureau::open(town).await;
        let browser = bureau.browser();
        shows(&bureau.arrives(&browser, "stranger", Factor::Types).await, 403, "Tài khoản này chưa được cấp quyền");
        assert_eq!(browser.get("/api/v1/session").await.problem(401), "invalid-token");
        let until = bureau.town.clock.now() + 60;
        let operator = Caller::operator("terminal");
        let id = Handle::parse(&bureau.enters("clerk", Role::Clerk, Some("H26")).await).unwrap();
        let edit = officials_card::flow::OfficerEdit { revision: 1, valid_until: officials_card::flow::Edit::Set(Some(until)), ..Default::default() };
        bureau.town.service.edit_officer(&operator, &id, edit).await.unwrap();
        let desk = bureau.at_work("clerk").await;
        bureau.town.clock.advance(60);
        assert_eq!(desk.get("/api/v1/session").await.problem(401), "session-ended");
        shows(&bureau.arrives(&browser, "clerk", Factor::Types).await, 403, "đã hết hạn");
        // A deployment without an office has no way in at all.
        let closed = bureau.town.configured(|config| config.office_sign_in = None);
        shows(&closed.get("/office/sign-in").await, 404, "chưa mở văn phòng");
        assert_eq!(with_cookie(&closed, "/api/v1/session", &desk.cookie()).await.problem(401), "session-ended");
    }
}

story! {
    async fn a_sign_in_stays_in_the_browser_where_it_began(town) {
        let bureau = Bureau::open(town).await;
        bureau.enters("clerk", Role::Clerk, Some("H26")).await;
        let (attacker, victim) = (bureau.browser(), bureau.browser());
        // Somebody's answer in another browser: with no attempt, and with one of its own.
        let back = bureau.at_provider(&bureau.asks(&attacker).await, "clerk", Factor::Types).await;
        shows(&victim.get(&back).await, 400, "Lần đăng nhập đã hết hạn hoặc bắt đầu ở trình duyệt khác");
        bureau.asks(&victim).await;
        shows(&victim.get(&back).await, 400, "Lần đăng nhập đã hết hạn hoặc bắt đầu ở trình duyệt khác");
        assert_eq!(victim.get("/api/v1/session").await.problem(401), "invalid-token");
        for wrong in ["", "?code=x", "?code=x&state=", "?code=x&state=99999999999.x", "?state=%00&code[]=1"] {
            shows(&attacker.get(&format!("/office/callback{wrong}")).await, 400, "Lần đăng nhập");
        }
        // Too late.
        let back = bureau.at_provider(&bureau.asks(&attacker).await, "clerk", Factor::Types).await;
        bureau.town.clock.advance(600);
        shows(&attacker.get(&back).await, 400, "Lần đăng nhập");
        // A session that somebody planted becomes nobody's: the sign-in gives a new one.
        victim.cookies.lock().unwrap().insert("office".into(), "planted".into());
        let desk = bureau.at_work_with(victim, "clerk").await;
        assert_ne!(desk.cookie(), "planted");
        assert_eq!(with_cookie(&bureau.town, "/api/v1/session", "planted").await.problem(401), "session-ended");
        // And the one before ends when the same browser signs in again.
        let before = desk.cookie();
        let desk = bureau.at_work_with(desk.browser, "clerk").await;
        assert_ne!(desk.cookie(), before);
        assert_eq!(with_cookie(&bureau.town, "/api/v1/session", &before).await.problem(401), "session-ended");
        // What stands in the database opens nothing.
        assert_eq!(with_cookie(&bureau.town, "/api/v1/session", "").await.problem(401), "invalid-token");
    }
}

story! {
    async fn only_our_own_page_changes_anything_with_the_cookie(town) {
        let bureau = Bureau::open(town).await;
        bureau.town.hires("001199000018", "H26").await;
        bureau.enters("head", Role::UnitHead, Some("H26")).await;
        bureau.enters("clerk", Role::Clerk, Some("H26")).await;
        let (desk, other) = (bureau.at_work("head").await, bureau.at_work("clerk").await);
        let csrf = desk.session["csrf"].as_str().unwrap();
        let (search, body) = ("/api/v1/cards/search", json!({"personal_id_number": "001199000018"}));
        let foreign = other.session["csrf"].as_str().unwrap();
        for headers in [
            &[][..],
            &[("origin", URL)],
            &[("x-csrf-token", csrf)],
            &[("x-csrf-token", foreign), ("origin", URL)],
            &[("x-csrf-token", csrf), ("origin", "https://evil.example")],
            &[("x-csrf-token", csrf), ("origin", "null")],
            &[("x-csrf-token", csrf), ("sec-fetch-site", "cross-site")],
            &[("x-csrf-token", csrf), ("sec-fetch-site", "same-site"), ("origin", URL)],
            &[("x-csrf-token", csrf), ("origin", URL), ("sec-fetch-site", "none")],
        ] {
            let answer = desk.call_with("POST", search, body.clone(), headers).await;
            assert_eq!(answer.problem(403), "cross-site-request", "{headers:?}");
        }
        for headers in [
            &[("x-csrf-token", csrf), ("origin", URL)][..],
            &[("x-csrf-token", csrf), ("sec-fetch-site", "same-origin")],
        ] {
            desk.call_with("POST", search, body.clone(), headers).await.expect(200);
        }
        // Another site's page cannot read with the cookie either, where the browser says who asks.
        let read = |site| desk.call_with("GET", "/api/v1/officers", Value::Null, site);
        read(&[("sec-fetch-site", "none")]).await.expect(200);
        assert_eq!(read(&[("sec-fetch-site", "cross-site")]).await.problem(403), "cross-site-request");
        assert_eq!(read(&[("sec-fetch-site", "same-site")]).await.problem(403), "cross-site-request");
        // A program's token counts before a cookie, and takes none of this.
        let token = bureau.town.service.mint_token("reader", 60).await.unwrap();
        let both = [("authorization", format!("Bearer {token}"))];
        let both: Vec<_> = both.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(desk.call_with("GET", "/api/v1/officers", Value::Null, &both).await.problem(403), "insufficient-scope");
    }
}

story! {
    async fn a_session_ends_by_idleness_and_by_its_term(town) {
        let bureau = Bureau::open(town).await;
        bureau.enters("inspector", Role::Inspector, None).await;
        let clock = &bureau.town.clock;
        let desk = bureau.at_work("inspector").await;
        // Asking for the session is no work.
        for _ in 0..14 {
            clock.advance(60);
            desk.get("/api/v1/session").await.expect(200);
        }
        clock.advance(60);
        assert_eq!(desk.get("/api/v1/session").await.problem(401), "session-ended");
        assert_eq!(desk.get("/api/v1/officers").await.problem(401), "session-ended");
        // Neither is what a page asks by itself.
        let desk = bureau.at_work("inspector").await;
        for _ in 0..14 {
            clock.advance(60);
            desk.call_with("GET", "/api/v1/officers", Value::Null, &[("x-background", "1")]).await.expect(200);
        }
        clock.advance(60);
        assert_eq!(desk.get("/api/v1/officers").await.problem(401), "session-ended");
        // Work keeps it open, but not for ever.
        let desk = bureau.at_work("inspector").await;
        let ends_at = desk.session["expires_at"].as_i64().unwrap();
        while clock.now() + 840 < ends_at {
            clock.advance(840);
            desk.get("/api/v1/officers").await.expect(200);
        }
        clock.advance(ends_at - clock.now() - 1);
        desk.get("/api/v1/officers").await.expect(200);
        clock.advance(1);
        assert_eq!(desk.get("/api/v1/officers").await.problem(401), "session-ended");
    }
}

story! {
    async fn whoever_is_blocked_is_out_at_once(town) {
        let bureau = Bureau::open(town).await;
        let units = vec![("H26.05".to_owned(), "Sở Nội vụ".to_owned())];
        bureau.town.service.store().save_units(units, "test", bureau.town.clock.now()).await.unwrap();
        let clerk = bureau.enters("clerk", Role::Clerk, Some("H26.05")).await;
        bureau.enters("head", Role::UnitHead, Some("H26")).await;
        let (desk, second, head) =
            (bureau.at_work("clerk").await, bureau.at_work("clerk").await, bureau.at_work("head").await);
        let blocked = head.post(&format!("/api/v1/officers/{clerk}/block"), Value::Null).await.expect(200);
        assert_eq!((&blocked["state"], &blocked["revision"]), (&json!("blocked"), &json!(2)));
        for desk in [&desk, &second] {
            assert_eq!(desk.get("/api/v1/session").await.problem(401), "session-ended");
        }
        shows(&bureau.arrives(&bureau.browser(), "clerk", Factor::Types).await, 403, "đã bị khóa");
        // Let in again, they have to sign in again.
        head.post(&format!("/api/v1/officers/{clerk}/unblock"), Value::Null).await.expect(200);
        assert_eq!(desk.get("/api/v1/session").await.problem(401), "session-ended");
        let desk = bureau.at_work("clerk").await;
        // Another unit or role ends what was begun with the old rights; another name does not.
        let path = format!("/api/v1/officers/{clerk}");
        head.call("PATCH", &path, json!({"revision": 3, "name": "Trần Thị Hoa"})).await.expect(200);
        desk.get("/api/v1/session").await.expect(200);
        let changed = head.call("PATCH", &path, json!({"revision": 4, "role": "confirmer"})).await.expect(200);
        assert_eq!((&changed["role"], &changed["revision"]), (&json!("confirmer"), &json!(5)));
        assert_eq!(desk.get("/api/v1/session").await.problem(401), "session-ended");
        let told = actions(&bureau, &clerk).await;
        let by_head: Vec<_> = told.iter().filter_map(|line| line.strip_prefix(head.id())).collect();
        assert_eq!(by_head, [
            " officer.blocked", " officer.unblocked", " officer.changed name", " officer.changed role confirmer",
        ]);
    }
}

story! {
    async fn nobody_raises_their_own_rights_nor_reaches_beyond_their_unit(town) {
        let bureau = Bureau::open(town).await;
        bureau.enters_all("H26").await;
        let foreign = bureau.enters("foreign", Role::Clerk, Some("H29")).await;
        let head = bureau.at_work("head").await;
        // Below is theirs, beside and above is not.
        let made = head.post("/api/v1/officers", new_officer("third", "confirmer", Some("H26"))).await.expect(201);
        assert_eq!(made["unit"]["name"], "Ủy ban nhân dân thành phố Hà Nội");
        for (role, unit, problem) in [
            ("clerk", Some("H29"), "foreign-unit"),
            ("unit_head", Some("H26"), "not-manageable"),
            ("inspector", Some("H26"), "not-manageable"),
            ("inspector", None, "foreign-unit"),
            ("operator", None, "foreign-unit"),
        ] {
            let answer = head.post("/api/v1/officers", new_officer("stranger", role, unit)).await;
            assert_eq!(answer.problem(403), problem, "{role} {unit:?}");
        }
        let own = format!("/api/v1/officers/{}", head.id());
        for change in [json!({"revision": 1, "unit": null}), json!({"revision": 1, "name": "Ai Đó"})] {
            assert_eq!(head.call("PATCH", &own, change).await.problem(403), "not-manageable");
        }
        assert_eq!(head.post(&format!("{own}/block"), Value::Null).await.problem(403), "not-manageable");
        assert_eq!(head.get(&format!("/api/v1/officers/{foreign}")).await.problem(404), "not-found");
        assert_eq!(head.post(&format!("/api/v1/officers/{foreign}/block"), Value::Null).await.problem(404), "not-found");
        assert_eq!(head.get("/api/v1/officers?unit=H29").await.problem(403), "foreign-unit");
        // Nobody is lifted out of what the head may give.
        let clerk = format!("/api/v1/officers/{}", made["id"].as_str().unwrap());
        for (change, problem) in [
            (json!({"revision": 1, "role": "unit_head"}), "not-manageable"),
            (json!({"revision": 1, "unit": "H29"}), "foreign-unit"),
        ] {
            assert_eq!(head.call("PATCH", &clerk, change).await.problem(403), problem);
        }
        assert_eq!(head.call("PATCH", &clerk, json!({"revision": 9, "role": "clerk"})).await.problem(409), "moved-on");
        assert_eq!(head.call("PATCH", &clerk, json!({"revision": 1})).await.problem(400), "invalid-request");
        // An operator makes anybody but changes not themselves.
        let operator = bureau.at_work("operator").await;
        let own = format!("/api/v1/officers/{}", operator.id());
        assert_eq!(operator.call("PATCH", &own, json!({"revision": 1, "role": "unit_head"})).await.problem(403), "not-manageable");
        operator.post("/api/v1/officers", new_officer("second", "operator", None)).await.expect(201);
        assert_eq!(
            operator.post("/api/v1/officers", new_officer("second", "clerk", Some("H26"))).await.problem(409),
            "officer-exists"
        );
        for (new, place) in [
            (new_officer("x1", "clerk", None), "body.unit"),
            (new_officer("x1", "operator", Some("H26")), "body.unit"),
            (new_officer("x1", "clerk", Some("H26.99")), "body.unit"),
            (new_officer("x1", "clerk", Some("ha noi")), "body.unit"),
            (new_officer(" ", "clerk", Some("H26")), "body.subject"),
            (new_officer("x1", "boss", Some("H26")), "body.role"),
        ] {
            let body = operator.post("/api/v1/officers", new).await.expect(400);
            assert!(body["detail"].as_str().unwrap().starts_with(place), "{body}");
        }
        // Neither does a program make operators.
        let vneid = bureau.town.officer("vneid").await;
        assert_eq!(vneid.post("/api/v1/officers", new_officer("x2", "operator", None)).await.problem(403), "not-manageable");
        vneid.post("/api/v1/officers", new_officer("x2", "clerk", Some("H26"))).await.expect(201);
        let hanoi = bureau.town.officer("hanoi").await;
        assert_eq!(hanoi.post("/api/v1/officers", new_officer("x3", "inspector", None)).await.problem(403), "foreign-unit");
    }
}

story! {
    async fn officers_are_listed_by_name_page_by_page(town) {
        let bureau = Bureau::open(town).await;
        bureau.enters_all("H26").await;
        bureau.enters("foreign", Role::Clerk, Some("H29")).await;
        let subjects = |page: &Value| -> Vec<String> {
            page["items"].as_array().unwrap().iter().map(|one| one["subject"].as_str().unwrap().to_owned()).collect()
        };
        let operator = bureau.at_work("operator").await;
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = operator.get(&format!("/api/v1/officers?limit=2{after}")).await.expect(200);
            seen.extend(subjects(&page));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(seen, ["clerk", "confirmer", "foreign", "head", "inspector", "operator"]);
        let operator = &operator;
        let listed = |query: &'static str| async move {
            subjects(&operator.get(&format!("/api/v1/officers?{query}")).await.expect(200))
        };
        assert_eq!(listed("role=clerk").await, ["clerk", "foreign"]);
        assert_eq!(listed("unit=H29&state=active").await, ["foreign"]);
        assert!(listed("state=blocked").await.is_empty() && listed("state=expired").await.is_empty());
        let head = bureau.at_work("head").await;
        let own = head.get("/api/v1/officers").await.expect(200);
        assert_eq!(subjects(&own), ["clerk", "confirmer", "head", "inspector"], "neither beside nor above");
        for wrong in ["limit=0", "limit=201", "limit=x", "after=x", "role=boss", "name=x"] {
            assert_eq!(operator.get(&format!("/api/v1/officers?{wrong}")).await.problem(400), "invalid-request");
        }
    }
}

story! {
    async fn one_account_is_one_persons(town) {
        let bureau = Bureau::open(town).await;
        bureau.enters("confirmer", Role::Confirmer, Some("H26")).await;
        bureau.enters("second", Role::Clerk, Some("H26")).await;
        let id = bureau.enters("clerk", Role::Clerk, Some("H26")).await;
        let own = PersonalNumber::parse("001199000018").unwrap();
        let desk = bureau.at_work("confirmer").await;
        // The account is hers now, and she is known as who she is.
        let officer = bureau.town.service.officer(desk.id()).await.unwrap().unwrap();
        assert_eq!(officer.person.as_deref(), Some(bureau.town.service.person_key(&own).as_str()));
        assert!(!format!("{officer:?}").contains(own.expose()), "by a keyed hash");
        let caller = bureau.town.service.at_work(&desk.cookie(), false).await.unwrap().caller;
        assert!(caller.is_officer() && bureau.town.service.is_own(&caller, &own));
        assert!(!bureau.town.service.is_own(&caller, &PersonalNumber::parse("001199000019").unwrap()));
        assert!(!bureau.town.service.is_own(&Caller::operator("terminal"), &own));
        // The same person has no second one; and nobody else takes hers.
        shows(&bureau.arrives(&bureau.browser(), "second", Factor::Types).await, 403, "Mỗi người một tài khoản");
        let operator = Caller::operator("terminal");
        let new = officials_card::flow::NewOfficer {
            subject: "third".into(),
            name: "Người Khác".into(),
            unit: Some("H26".into()),
            role: Role::Clerk,
            valid_until: None,
            person: PersonalNumber::parse("001199000020"),
        };
        bureau.town.service.add_officer(&operator, new).await.unwrap();
        shows(&bureau.arrives(&bureau.browser(), "third", Factor::Types).await, 403, "thuộc về người khác");
        // Where the provider tells no number, the account is whose it was.
        bureau.at_work("clerk").await;
        assert_eq!(bureau.town.service.officer(&id).await.unwrap().unwrap().person, None);
    }
}

story! {
    async fn an_account_of_a_known_person_opens_to_nobody_who_is_not_shown_to_be_them(town) {
        let bureau = Bureau::open(town).await;
        let new = |subject: &str| officials_card::flow::NewOfficer {
            subject: subject.into(),
            name: "Cán bộ".into(),
            unit: Some("H26".into()),
            role: Role::Clerk,
            valid_until: None,
            person: PersonalNumber::parse("001199000018"),
        };
        bureau.town.service.add_officer(&Caller::operator("terminal"), new("clerk")).await.unwrap();
        // The provider says the account's name, and of its owner's number nothing.
        let browser = bureau.browser();
        shows(&bureau.arrives(&browser, "clerk", Factor::Types).await, 403, "thuộc về người khác");
        assert_eq!(browser.get("/api/v1/session").await.problem(401), "invalid-token");
        // A deployment whose provider has no numbers says so, and goes by the account alone.
        let without = bureau.town.configured(|config| {
            config.office_sign_in.as_mut().unwrap().personal_number_claim = String::new();
        });
        let browser = crate::browser::Browser::new(&without);
        let back = bureau.at_provider(&bureau.asks(&browser).await, "clerk", Factor::Types).await;
        assert_eq!(browser.get(&back).await.status.as_u16(), 303);
    }
}

story! {
    async fn an_account_that_is_called_otherwise_stays_its_owner_s(town) {
        let bureau = Bureau::open(town).await;
        let id = bureau.enters("confirmer", Role::Confirmer, Some("H26")).await;
        bureau.enters("clerk", Role::Clerk, Some("H26")).await;
        bureau.enters("head", Role::UnitHead, Some("H26")).await;
        let (desk, head) = (bureau.at_work("confirmer").await, bureau.at_work("head").await);
        let path = format!("/api/v1/officers/{id}");
        // The same person signs in by another name: no second account for one person.
        shows(&bureau.arrives(&bureau.browser(), "second", Factor::Types).await, 403, "Tài khoản này");
        let change = |subject: &str| head.call("PATCH", &path, json!({"revision": 1, "subject": subject}));
        assert_eq!(change(" second").await.problem(400), "invalid-request");
        assert_eq!(change("clerk").await.problem(409), "officer-exists");
        assert_eq!(desk.call("PATCH", &path, json!({"revision": 1, "subject": "second"})).await.problem(403), "insufficient-scope");
        let changed = change("second").await.expect(200);
        assert_eq!((&changed["subject"], &changed["revision"]), (&json!("second"), &json!(2)));
        assert_eq!(desk.get("/api/v1/session").await.problem(401), "session-ended");
        shows(&bureau.arrives(&bureau.browser(), "confirmer", Factor::Types).await, 403, "chưa được cấp quyền");
        assert_eq!(bureau.at_work("second").await.id(), id);
        assert!(actions(&bureau, &id).await.contains(&format!("{} officer.changed subject", head.id())));
    }
}

story! {
    async fn colleagues_are_known_by_name_in_the_unit_above_and_below(town) {
        let bureau = Bureau::open(town).await;
        let units = [("H26.05", "Sở Năm"), ("H26.05.01", "Phòng"), ("H26.06", "Sở Sáu"), ("H26.055", "Sở Khác")];
        let units = units.map(|(code, name)| (code.to_owned(), name.to_owned())).to_vec();
        bureau.town.service.store().save_units(units, "test", bureau.town.clock.now()).await.unwrap();
        for (subject, role, unit) in [
            ("clerk", Role::Clerk, Some("H26.05")),
            ("confirmer", Role::Confirmer, Some("H26.05")),
            ("head", Role::UnitHead, Some("H26")),
            ("inspector", Role::Inspector, None),
            ("operator", Role::Operator, None),
            ("below", Role::Clerk, Some("H26.05.01")),
            ("beside", Role::Clerk, Some("H26.06")),
            ("alike", Role::Clerk, Some("H26.055")),
            ("foreign", Role::Clerk, Some("H29")),
        ] {
            bureau.enters(subject, role, unit).await;
        }
        let names = |page: &Value| -> Vec<String> {
            let name = |one: &Value| one["name"].as_str().unwrap().trim_start_matches("Cán bộ ").to_owned();
            page["items"].as_array().unwrap().iter().map(name).collect()
        };
        let around = ["below", "clerk", "confirmer", "head", "inspector", "operator"];
        for subject in ["clerk", "confirmer"] {
            let desk = bureau.at_work(subject).await;
            let (mut seen, mut after) = (Vec::new(), String::new());
            loop {
                let page = desk.get(&format!("/api/v1/officers/names?limit=4{after}")).await.expect(200);
                seen.extend(names(&page));
                let Some(next) = page["next"].as_str() else { break };
                after = format!("&after={next}");
            }
            assert_eq!(seen, around, "{subject}");
            assert_eq!(desk.get("/api/v1/officers/names?unit=H26.06").await.problem(403), "foreign-unit");
            assert_eq!(desk.get("/api/v1/officers").await.problem(403), "insufficient-scope", "no more than names");
        }
        let head = bureau.at_work("head").await;
        let page = head.get("/api/v1/officers/names?unit=H26.05").await.expect(200);
        assert_eq!(names(&page), around);
        let own = page["items"].as_array().unwrap().iter().find(|one| one["id"] == head.id()).unwrap();
        assert_eq!(own, &json!({"id": head.id(), "name": "Cán bộ head", "role": "unit_head", "unit": "H26"}), "no more");
        assert_eq!(names(&head.get("/api/v1/officers/names?state=blocked").await.expect(200)), Vec::<String>::new());
        let all = bureau.at_work("inspector").await.get("/api/v1/officers/names").await.expect(200);
        assert_eq!(names(&all).len(), 9);
        let operator = bureau.at_work("operator").await;
        assert_eq!(operator.get("/api/v1/officers/names").await.problem(403), "insufficient-scope");
        // Who is known can be lent a right.
        let confirmer = bureau.at_work("confirmer").await;
        let known = confirmer.get("/api/v1/officers/names?state=active").await.expect(200);
        let clerk = known["items"].as_array().unwrap().iter().find(|one| one["name"] == "Cán bộ clerk").unwrap();
        confirmer.post("/api/v1/delegations", json!({"to": clerk["id"], "unit": "H26.05", "days": 3})).await.expect(201);
    }
}

story! {
    async fn what_weighs_most_takes_a_recent_sign_in(town) {
        let bureau = Bureau::with(town, |config| {
            let own = config.office_sign_in.as_mut().unwrap();
            *own = OfficeSignIn { step_up_seconds: 300, idle_seconds: 3600, ..own.clone() };
        })
        .await;
        bureau.town.hires("001199000018", "H26").await;
        let vneid = bureau.town.officer("vneid").await;
        let card = vneid.offer("001199000018").await["card"].as_str().unwrap().to_owned();
        bureau.enters("head", Role::UnitHead, Some("H26")).await;
        let head = bureau.at_work("head").await;
        assert_eq!(head.session["step_up"]["scopes"], json!(["cards:withdraw", "quality:approve", "officers:write"]));
        let withdraw = format!("/api/v1/cards/{card}/withdraw");
        bureau.town.clock.advance(300);
        let answer = head.post(&withdraw, json!({"reason": "lost"})).await;
        assert!(answer.header("www-authenticate").contains("insufficient_user_authentication\", max_age=\"300\""));
        assert_eq!(answer.problem(401), "insufficient-user-authentication");
        // All else goes on.
        head.post(&format!("/api/v1/cards/{card}/lock"), json!({"reason": "under_review"})).await.expect(200);
        // The same browser signs in again, and then it works.
        let head = bureau.at_work_with(head.browser, "head").await;
        head.post(&withdraw, json!({"reason": "lost"})).await.expect(200);
        let history = vneid.get(&format!("/api/v1/cards/{card}")).await.expect(200);
        let last = history["history"].as_array().unwrap().last().unwrap().clone();
        assert_eq!((last["actor"].as_str(), &last["action"]), (Some(head.id()), &json!("card.withdrawn")));
    }
}

story! {
    async fn sessions_are_those_of_every_process(town) {
        let bureau = Bureau::open(town).await;
        let id = bureau.enters("clerk", Role::Clerk, Some("H26")).await;
        let second = bureau.town.second_process().await;
        // Begun here, answered there.
        let browser = bureau.browser();
        let url = bureau.asks(&browser).await;
        let back = bureau.at_provider(&url, "clerk", Factor::Types).await;
        let there = browser.at(&second);
        assert_eq!(there.get(&back).await.status.as_u16(), 303);
        browser.get("/api/v1/session").await.expect(200);
        // Two answers with one code: one session at most.
        let terminal = Caller::operator("terminal");
        second.service.block_officer(&terminal, &Handle::parse(&id).unwrap(), true).await.unwrap();
        assert_eq!(browser.get("/api/v1/session").await.problem(401), "session-ended");
    }
}

story! {
    async fn two_changes_of_one_account_have_one_winner(town) {
        let bureau = Bureau::open(town).await;
        let id = bureau.enters("clerk", Role::Clerk, Some("H26")).await;
        let operator = bureau.town.officer("vneid").await;
        let path = format!("/api/v1/officers/{id}");
        let changes = (0..8).map(|at| operator.call("PATCH", &path, json!({"revision": 1, "name": format!("Tên {at}")})));
        let answers = futures_util::future::join_all(changes).await;
        let won: Vec<_> = answers.iter().filter(|answer| answer.status.as_u16() == 200).collect();
        assert_eq!(won.len(), 1);
        let now = operator.get(&path).await.expect(200);
        assert_eq!((&now["name"], &now["revision"]), (&won[0].json()["name"], &json!(2)));
        // Two accounts of one subject: one.
        let adding = (0..8).map(|_| operator.post("/api/v1/officers", new_officer("x9", "clerk", Some("H26"))));
        let answers = futures_util::future::join_all(adding).await;
        assert_eq!(answers.iter().filter(|answer| answer.status.as_u16() == 201).count(), 1);
    }
}

story! {
    async fn a_lent_right_takes_as_recent_a_sign_in_as_an_own_one(town) {
        let bureau = Bureau::with(town, |config| {
            let own = config.office_sign_in.as_mut().unwrap();
            let step_up_scopes = vec!["updates:decide".to_owned()];
            *own = OfficeSignIn { step_up_seconds: 300, idle_seconds: 3600, step_up_scopes, ..own.clone() };
        })
        .await;
        bureau.town.hires("001199000018", "H26").await;
        let proposal = crate::review::proposes(&bureau.town, "001199000018", "p1", json!({"marital_status": "2"})).await;
        bureau.enters("head", Role::UnitHead, Some("H26")).await;
        let id = bureau.enters("clerk", Role::Clerk, Some("H26")).await;
        let head = bureau.at_work("head").await;
        head.post("/api/v1/delegations", json!({"to": id, "unit": "H26", "days": 3})).await.expect(201);
        let clerk = bureau.at_work("clerk").await;
        bureau.town.clock.advance(300);
        let approve = format!("/api/v1/proposals/{proposal}/approve");
        assert_eq!(clerk.post(&approve, json!({})).await.problem(401), "insufficient-user-authentication");
        let clerk = bureau.at_work_with(clerk.browser, "clerk").await;
        clerk.post(&approve, json!({})).await.expect(200);
    }
}
