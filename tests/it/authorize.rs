//! The person between the wallet's request and its answer: who signs in and how surely, what they are asked, what they
//! are told when there is no card, and that a request stays with one browser.

use axum::http::Request;
use futures_util::future::join_all;
use officials_card::flow::enroll::{Asker, match_pending};
use officials_card::model::person::{AskedNumber, PopulationPerson, PopulationQuery};
use officials_card::remote::population::{PopulationRegistry, Unreachable};
use serde_json::json;

use crate::holder::{Browser, CodeWallet, NEIGHBOUR, Office, PERSON, Page, SD_JWT, Tokens, request_uri};
use crate::story;
use crate::town::{Answer, Town, URL};

const OTHER_BROWSER: &str = "Trình duyệt này không phải nơi bắt đầu yêu cầu";
const OVER: &str = "Yêu cầu nhận thẻ không tồn tại, đã hết hạn hoặc đã dùng";

/// A page in Vietnamese first, which nobody keeps and which loads nothing.
#[track_caller]
fn shows(answer: &Answer, status: u16, text: &str) {
    let page = std::str::from_utf8(&answer.bytes).unwrap();
    assert_eq!(answer.status.as_u16(), status, "{page}");
    assert!(page.contains(text), "{page}");
    assert!(page.starts_with("<!doctype html><html lang=\"vi\">") && !page.contains("<script"), "{page}");
    assert!(page.contains("<span lang=\"en\">"), "{page}");
    assert_eq!(page.contains("<p id=\"error\" role=\"alert\">"), status != 200);
    assert!(!page.contains(PERSON), "no number of a person");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    let policy = answer.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
}

/// There is no card, which is said; the way back to the wallet is a denial.
async fn no_card(browser: &Browser<'_>, wallet: &CodeWallet<'_>, page: &Page, text: &str) {
    shows(&page.answer, 403, text);
    assert!(!page.text().contains("id=\"approve\""));
    let landing = wallet.landing(page.decide(browser, "deny").await);
    assert_eq!((landing.error(), landing.0["state"].as_str()), ("access_denied", "the state & more"));
}

/// A wallet asks and a person signs in: what the person is told.
async fn refused(office: &Office, person: &str, text: &str) {
    let (wallet, browser) = (office.wallet(), office.browser());
    let page = browser.arrives(office, &wallet.client_id, &wallet.pushed().await, person).await;
    no_card(&browser, &wallet, &page, text).await;
}

/// A registry that knows everybody by another name, or nobody.
struct Disagreeing {
    knows: bool,
}

impl PopulationRegistry for Disagreeing {
    async fn look_up(&self, query: &PopulationQuery) -> Result<Option<PopulationPerson>, Unreachable> {
        let AskedNumber::Personal(number) = &query.number else { return Ok(None) };
        let name = officials_card::model::person::NameParts { given: "Người Khác".into(), ..Default::default() };
        Ok(self.knows.then(|| PopulationPerson::new(number.clone(), name, query.date_of_birth)))
    }
}

/// The population database answers, and not as the unit would like.
pub async fn disagrees(town: &Town, knows: bool) {
    let asker = Asker { officer: "test".into(), purpose: "test".into(), pause_seconds: 0 };
    match_pending(town.service.store(), &town.clock, &Disagreeing { knows }, &asker, |_| {}).await.unwrap();
}

story! {
    async fn who_says_no_at_vneid_sends_the_wallet_away(town) {
        let office = Office::open(town).await;
        let (wallet, browser) = (office.second_wallet(), office.browser());
        let request_uri = wallet.pushed().await;
        let vneid = browser.goes_to_vneid(&wallet.client_id, &request_uri).await;
        assert!(vneid.starts_with(&office.vneid.config.issuer) && !vneid.contains("wallet-b"), "{vneid}");
        let landing = wallet.landing(browser.get(&office.vneid.denies(&vneid).await).await);
        assert_eq!((landing.error(), landing.0["state"].as_str()), ("access_denied", "the state & more"));
        shows(&browser.visits(&wallet.client_id, &request_uri).await, 400, OVER);
        let told: Vec<_> = office.town.service.store().history("wallet-b").await.unwrap();
        assert!(told.iter().any(|line| (line.2.as_str(), line.3.as_str()) == ("authorization.denied", "sign-in denied")));
    }
}

story! {
    async fn a_no_is_final_and_so_is_a_yes(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        for (first, error) in [("deny", true), ("approve", false)] {
            let browser = office.browser();
            let page = browser.arrives(&office, &wallet.client_id, &wallet.pushed().await, PERSON).await;
            let landing = wallet.landing(page.decide(&browser, first).await);
            assert_eq!(landing.0.contains_key("error"), error);
            for then in ["approve", "deny"] {
                shows(&page.decide(&browser, then).await, 400, OVER);
            }
            shows(&browser.get(&page.path).await, 400, OVER);
        }
        let told = office.town.service.store().history("vneid").await.unwrap();
        assert!(told.iter().any(|line| line.3 == "consent denied"));
    }
}

story! {
    async fn an_identity_of_level_1_is_not_enough(town) {
        let office = Office::open(town).await;
        let (wallet, browser) = (office.wallet(), office.browser());
        let request_uri = wallet.pushed().await;
        let vneid = browser.goes_to_vneid(&wallet.client_id, &request_uri).await;
        let page = browser.returns(&office.vneid.signs_in(&vneid, PERSON, 1).await).await;
        shows(&page.answer, 403, "Cần tài khoản định danh điện tử mức độ 2");
        // The form's address is that of the consent: nobody has signed in there.
        let (_, rest) = page.text().split_once("action=\"").unwrap();
        let consent = rest.split('"').next().unwrap();
        shows(&browser.get(consent).await, 400, OTHER_BROWSER);
        let approved = browser.post(consent.strip_prefix(URL).unwrap(), &[("decision", "approve")]).await;
        shows(&approved, 400, OTHER_BROWSER);
        // Who can, signs in once more; who cannot, goes back.
        let again = browser.arrives(&office, &wallet.client_id, &request_uri, PERSON).await;
        shows(&again.answer, 200, "id=\"approve\"");
        let vneid = browser.goes_to_vneid(&wallet.client_id, &request_uri).await;
        let page = browser.returns(&office.vneid.signs_in(&vneid, PERSON, 1).await).await;
        no_card(&browser, &wallet, &page, "Cần tài khoản định danh điện tử mức độ 2").await;
    }
}

story! {
    async fn without_a_verified_record_there_is_no_card_and_that_is_said(town) {
        let office = Office::without_people(town, |_| {}).await;
        refused(&office, PERSON, "Chưa có cơ quan nào gửi hồ sơ của bạn").await;
        for (person, knows) in [("001199000020", true), ("001199000021", false)] {
            office.town.imports(person, "H26", "001", "active").await;
            disagrees(&office.town, knows).await;
            refused(&office, person, "chưa khớp với Cơ sở dữ liệu quốc gia về dân cư").await;
        }
        office.town.imports("001199000022", "H26", "001", "retired").await;
        office.town.matches_and_confirms("H26").await;
        refused(&office, "001199000022", "bạn không còn công tác").await;
    }
}

story! {
    async fn a_card_that_is_not_in_force_is_not_given_anew(town) {
        let office = Office::open(town).await;
        let officer = office.town.officer("vneid").await;
        let card = officer.offer(PERSON).await["card"].as_str().unwrap().to_owned();
        let locked = "Thẻ của bạn đang bị khóa hoặc đã bị thu hồi";
        let (wallet, browser) = (office.wallet(), office.browser());
        let shown = browser.arrives(&office, &wallet.client_id, &wallet.pushed().await, PERSON).await;
        officer.step(&card, "lock", "lost").await.expect(200);
        refused(&office, PERSON, locked).await;
        // Locked while the person was reading.
        shows(&shown.decide(&browser, "approve").await, 403, locked);
        officer.step(&card, "unlock", "found").await.expect(200);
        wallet.landing(shown.decide(&browser, "approve").await).code();

        let shown = browser.arrives(&office, &wallet.client_id, &wallet.pushed().await, PERSON).await;
        officer.step(&card, "withdraw", "dismissed").await.expect(200);
        shows(&shown.decide(&browser, "approve").await, 403, locked);
        assert_eq!(wallet.landing(shown.decide(&browser, "deny").await).error(), "access_denied");
    }
}

story! {
    async fn the_person_is_asked_in_vietnamese_what_the_wallet_would_get(town) {
        let office = Office::open_with(town, |config| config.wallets[0].name = "Ví <b>\"& của tôi".into()).await;
        let (wallet, browser) = (office.wallet(), office.browser());
        let par = wallet.par().with("scope", "openid official-card-qr unknown official-card-sdjwt");
        let page = browser.arrives(&office, &wallet.client_id, &request_uri(par.send().await), PERSON).await;
        shows(&page.answer, 200, "Ứng dụng <strong>Ví &lt;b&gt;&quot;&amp; của tôi</strong> xin nhận thẻ của bạn:");
        for text in [
            "<title>Nhận thẻ cán bộ, công chức, viên chức</title>",
            "<li>Thẻ cán bộ, công chức, viên chức <span lang=\"en\">· Officials card</span></li>",
            "<li>Mã QR thẻ cán bộ, công chức, viên chức <span lang=\"en\">· Officials card QR code</span></li>",
            "<li>Họ và tên <span lang=\"en\">· Full name</span></li>",
            "<li>Số định danh cá nhân <span",
            "<button id=\"approve\" name=\"decision\" value=\"approve\" class=\"main\">Đồng ý <span lang=\"en\">· Approve</span></button>",
            "<button id=\"deny\" name=\"decision\" value=\"deny\">Từ chối <span lang=\"en\">· Deny</span></button>",
            "<strong>Nguyễn Thị Thử Nghiệm</strong>",
            "<strong>Ủy ban nhân dân thành phố Hà Nội</strong>",
            "<form method=\"post\" action=\"http://127.0.0.1:8080/authorize/",
        ] {
            assert!(page.text().contains(text), "{text} in {}", page.text());
        }
        assert!(page.choices().is_empty(), "nothing to choose from");
        let landing = wallet.landing(page.decide(&browser, "approve").await);
        let tokens = Tokens::of(wallet.redeem(&landing.code()).send().await);
        assert_eq!(tokens.answer["scope"], "official-card-qr official-card-sdjwt");
        for configuration in ["official-card-qr", SD_JWT] {
            wallet.credential(&tokens.access, configuration).await.send().await.expect(200);
        }
        let more = wallet.credential(&tokens.access, "official-card-mdoc").await;
        assert_eq!(more.send().await.error(400), "credential_request_denied", "it was not asked for");
    }
}

story! {
    async fn who_works_for_two_agencies_chooses(town) {
        let office = Office::open(town).await;
        office.town.hires(PERSON, "G09").await;
        office.town.hires(NEIGHBOUR, "H26").await;
        let (wallet, browser) = (office.wallet(), office.browser());
        let page = browser.arrives(&office, &wallet.client_id, &wallet.pushed().await, PERSON).await;
        let choices = page.choices();
        let mut agencies: Vec<_> = choices.iter().map(|(_, agency)| agency.as_str()).collect();
        agencies.sort_unstable();
        assert_eq!(agencies, ["Bộ Nội vụ", "Ủy ban nhân dân thành phố Hà Nội"]);
        assert_eq!(page.text().matches(" checked>").count(), 1);
        assert_eq!(page.text().matches("<strong>Nguyễn Thị Thử Nghiệm</strong>").count(), 1, "the page says for whom");
        // No record, another person's, and none at all: the question comes again.
        let person = officials_card::model::id::PersonalNumber::parse(NEIGHBOUR).unwrap();
        let foreign = office.town.service.store().records_of(&person).await.unwrap().remove(0).handle;
        for wrong in ["", "0000000000000000", "x", foreign.as_str()] {
            let answer = browser.post(&page.path, &[("decision", "approve"), ("record", wrong)]).await;
            shows(&answer, 200, "type=\"radio\"");
        }
        let (ministry, _) = choices.iter().find(|(_, agency)| agency == "Bộ Nội vụ").unwrap();
        let landing = wallet.landing(page.decide_on(&browser, "approve", Some(ministry)).await);
        let tokens = Tokens::of(wallet.redeem(&landing.code()).send().await);
        let issued = wallet.issued(&tokens.access).await;
        assert_eq!(claims(&office, &issued)["employing_agency"]["name"], "Bộ Nội vụ");

        // An offer has chosen already.
        let ask = json!({"personal_id_number": PERSON, "assurance_level": 2, "unit": "G09", "grants": ["authorization_code"]});
        let made = office.town.officer("vneid").await.post("/api/v1/offers", ask).await.expect(201);
        assert!(made["tx_code"].is_null(), "nothing to tell on another channel");
        let state = made["credential_offer_uri"].as_str().unwrap().rsplit('/').next().unwrap();
        let request_uri = request_uri(wallet.par().with("issuer_state", state).send().await);
        let page = browser.arrives(&office, &wallet.client_id, &request_uri, PERSON).await;
        shows(&page.answer, 200, "<strong>Bộ Nội vụ</strong>");
        assert!(page.choices().is_empty());
    }
}

/// What an issued SD-JWT VC says.
pub fn claims(office: &Office, issued: &serde_json::Value) -> serde_json::Map<String, serde_json::Value> {
    use officials_card::credential::{sd_jwt::Presentation, x509::Anchors};
    let anchors = Anchors::from_pem(office.town.service.anchor_pem()).unwrap();
    let text = issued["credentials"][0]["credential"].as_str().unwrap();
    let vct = format!("{URL}/types/official-card/1");
    Presentation::parse(text).unwrap().verify(&anchors, &vct, office.town.clock.now()).unwrap().claims
}

story! {
    async fn an_offer_for_somebody_else_gives_nothing(town) {
        let office = Office::open(town).await;
        office.town.hires(NEIGHBOUR, "H26").await;
        let (wallet, browser) = (office.wallet(), office.browser());
        let issuer_state = office.issuer_state(NEIGHBOUR).await;
        let pushed = request_uri(wallet.par().with("issuer_state", issuer_state.as_str()).send().await);
        let page = browser.arrives(&office, &wallet.client_id, &pushed, PERSON).await;
        let approved = browser.post(&page.path, &[("decision", "approve")]).await;
        shows(&approved, 403, "Lời mời nhận thẻ này dành cho người khác.");
        no_card(&browser, &wallet, &page, "Lời mời nhận thẻ này dành cho người khác.").await;

        let pushed = request_uri(wallet.par().with("issuer_state", issuer_state.as_str()).send().await);
        wallet.lands(&pushed, NEIGHBOUR).await.code();
    }
}

story! {
    async fn an_issuer_state_is_of_an_open_offer_to_sign_in(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let refused = async |state: &str| wallet.par().with("issuer_state", state).send().await.error(400);
        for unknown in ["x", "AAAAAAAAAAAAAAAAAAAAAA", &"x".repeat(5000)] {
            assert_eq!(refused(unknown).await, "invalid_request");
        }
        let (made, offer) = office.offer(PERSON, &["pre-authorized_code"]).await;
        assert!(offer["grants"].get("authorization_code").is_none());
        let name = made["credential_offer_uri"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        assert_eq!(refused(&name).await, "invalid_request", "it is taken by its code only");

        let (made, offer) = office.offer(PERSON, &["authorization_code", "pre-authorized_code"]).await;
        assert_eq!(offer["grants"].as_object().unwrap().len(), 2);
        assert!(made["tx_code"].is_string());
        let state = offer["grants"]["authorization_code"]["issuer_state"].as_str().unwrap().to_owned();
        wallet.par().with("issuer_state", state.as_str()).send().await.expect(201);
        let by_state = office.issuer_state(PERSON).await;
        let code = format!("{by_state}.{}", "A".repeat(27));
        assert_eq!(wallet.redeem_offer(&code, "000000").send().await.error(400), "invalid_grant");
        office.town.clock.advance(600);
        assert_eq!(refused(&state).await, "invalid_request", "it has expired");
    }
}

story! {
    async fn a_cookie_binds_a_request_to_its_browser(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let set = office.browser().visits(&wallet.client_id, &wallet.pushed().await).await;
        let attributes: Vec<_> = set.header("set-cookie").split("; ").collect();
        assert_eq!(attributes[1..], ["Path=/", "Max-Age=600", "HttpOnly", "SameSite=Lax"], "http, on loopback only");
        let (name, value) = attributes[0].split_once('=').unwrap();
        assert!(name.starts_with("authorization-") && value.len() == 43, "{name}={value}");
        assert!(!set.header("location").contains(value));
        assert_eq!(set.header("cache-control"), "no-store");

        // Two requests in one browser do not know of each other.
        let browser = office.browser();
        let (one, two) = (wallet.pushed().await, wallet.pushed().await);
        let first = browser.goes_to_vneid(&wallet.client_id, &one).await;
        let second = browser.goes_to_vneid(&wallet.client_id, &two).await;
        assert_eq!(browser.cookies.lock().unwrap().len(), 2);
        for vneid in [second, first] {
            let page = browser.returns(&office.vneid.signs_in(&vneid, PERSON, 2).await).await;
            wallet.landing(page.decide(&browser, "approve").await).code();
        }
    }
}

#[tokio::test]
async fn behind_https_the_cookie_goes_nowhere_else() {
    let town = Town::on(crate::town::Ground::Sqlite).await;
    let office = Office::open_with(town, |config| config.public_url = "https://card.example.vn/dept".into()).await;
    let wallet = office.wallet();
    let pushed =
        wallet.par().under("/dept").pop(|_, claims| claims["aud"] = json!("https://card.example.vn/dept")).send().await;
    let url = format!("/dept/authorize?client_id=vneid&request_uri={}", request_uri(pushed));
    let set = office.browser().get(&url).await;
    let cookie = set.header("set-cookie");
    assert!(cookie.starts_with("__Host-authorization-"), "{set:?}");
    assert!(cookie.ends_with("; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"), "{set:?}");
}

story! {
    async fn another_browser_cannot_go_on(town) {
        let office = Office::open(town).await;
        let (wallet, browser, stranger) = (office.wallet(), office.browser(), office.browser());
        let request_uri = wallet.pushed().await;
        let vneid = browser.goes_to_vneid(&wallet.client_id, &request_uri).await;
        let callback = office.vneid.signs_in(&vneid, PERSON, 2).await;
        shows(&stranger.returns(&callback).await.answer, 400, OTHER_BROWSER);
        let page = browser.returns(&callback).await;
        shows(&page.answer, 200, "id=\"approve\"");
        let forged = office.browser();
        for (name, value) in browser.cookies.lock().unwrap().iter() {
            forged.cookies.lock().unwrap().insert(name.clone(), value.chars().rev().collect());
        }
        for other in [&stranger, &forged] {
            shows(&other.get(&page.path).await, 400, OTHER_BROWSER);
            for button in ["approve", "deny"] {
                shows(&page.decide(other, button).await, 400, OTHER_BROWSER);
            }
        }
        wallet.landing(page.decide(&browser, "approve").await).code();

        // Who comes later with the request takes it over, and signs in anew: the first is out.
        let request_uri = wallet.pushed().await;
        let page = browser.arrives(&office, &wallet.client_id, &request_uri, PERSON).await;
        stranger.goes_to_vneid(&wallet.client_id, &request_uri).await;
        shows(&page.decide(&browser, "approve").await, 400, OTHER_BROWSER);
        shows(&page.decide(&stranger, "approve").await, 400, OTHER_BROWSER);
        let page = stranger.arrives(&office, &wallet.client_id, &request_uri, PERSON).await;
        wallet.landing(page.decide(&stranger, "approve").await).code();
    }
}

story! {
    async fn a_sign_in_answers_one_request_of_one_browser(town) {
        let office = Office::open(town).await;
        let (wallet, browser) = (office.wallet(), office.browser());
        let vneid = browser.goes_to_vneid(&wallet.client_id, &wallet.pushed().await).await;
        let callback = office.vneid.signs_in(&vneid, PERSON, 2).await;
        let other = browser.goes_to_vneid(&wallet.client_id, &wallet.pushed().await).await;
        let other = office.vneid.signs_in(&other, PERSON, 2).await;
        let parameter = |url: &str, name: &str| {
            let (_, query) = url.split_once('?').unwrap();
            let mut pairs = url::form_urlencoded::parse(query.as_bytes()).into_owned();
            pairs.find(|(own, _)| own == name).unwrap().1
        };
        let (state, code) = (parameter(&callback, "state"), parameter(&callback, "code"));
        let failed = "Đăng nhập VNeID không thành công";
        for (wrong, status, text) in [
            (callback.replace(&code, &parameter(&other, "code")), 400, failed),
            (callback.replace(&code, "x"), 400, failed),
            (callback.replace("iss=", "was="), 400, failed),
            (callback.replace(&state, &state.to_uppercase()), 400, OVER),
            (format!("{callback}&state=x"), 400, OVER),
            ("/sign-in/callback".to_owned(), 400, OVER),
            ("/sign-in/callback?state=%ff&code=%00".to_owned(), 400, OVER),
            (format!("/sign-in/callback?state={state}&error=invalid_scope"), 400, failed),
        ] {
            shows(&browser.get(&wrong).await, status, text);
        }
    }
}

story! {
    async fn what_one_person_was_asked_another_does_not_answer(town) {
        let office = Office::open(town).await;
        office.town.hires(NEIGHBOUR, "G09").await;
        let (wallet, browser) = (office.wallet(), office.browser());
        // Two people open VNeID from one request: who signs in first is asked, and the page stays theirs.
        let request_uri = wallet.pushed().await;
        let vneid = browser.goes_to_vneid(&wallet.client_id, &request_uri).await;
        let (mine, theirs) =
            (office.vneid.signs_in(&vneid, PERSON, 2).await, office.vneid.signs_in(&vneid, NEIGHBOUR, 2).await);
        let page = browser.returns(&mine).await;
        shows(&page.answer, 200, "<strong>Ủy ban nhân dân thành phố Hà Nội</strong>");
        shows(&browser.get(&theirs).await, 400, OVER);
        shows(&browser.get(&page.path).await, 200, "<strong>Ủy ban nhân dân thành phố Hà Nội</strong>");

        // Who begins anew signs in anew, and the page of the first asks for the second before it says yes.
        let again = browser.arrives(&office, &wallet.client_id, &request_uri, NEIGHBOUR).await;
        shows(&again.answer, 200, "<strong>Bộ Nội vụ</strong>");
        let asked = page.decide(&browser, "approve").await;
        shows(&asked, 200, "<strong>Bộ Nội vụ</strong>");
        for wrong in [&[("decision", "approve")][..], &[("decision", "approve"), ("record", "0000000000000000")]] {
            shows(&browser.post(&page.path, wrong).await, 200, "<strong>Bộ Nội vụ</strong>");
        }
        let code = wallet.landing(again.decide(&browser, "approve").await).code();
        let issued = wallet.issued(&Tokens::of(wallet.redeem(&code).send().await).access).await;
        assert_eq!(claims(&office, &issued)["personal_id_number"], NEIGHBOUR);
    }
}

story! {
    async fn who_looks_at_a_link_takes_nothing_from_the_person(town) {
        let office = Office::open(town).await;
        let (wallet, browser, scanner) = (office.wallet(), office.browser(), office.browser());
        let request_uri = wallet.pushed().await;
        let query = crate::browser::form(&[("client_id", wallet.client_id.as_str()), ("request_uri", &request_uri)]);
        let vneid = browser.goes_to_vneid(&wallet.client_id, &request_uri).await;
        let callback = office.vneid.signs_in(&vneid, PERSON, 2).await;
        let looks = async || {
            for url in [format!("/authorize?{query}"), callback.clone()] {
                for from in [&scanner, &browser] {
                    let answer = from.head(&url).await;
                    assert_eq!(answer.status, 405);
                    assert!(answer.headers.get("set-cookie").is_none());
                }
            }
        };
        looks().await;
        let page = browser.returns(&callback).await;
        shows(&page.answer, 200, "id=\"approve\"");
        looks().await;
        wallet.landing(page.decide(&browser, "approve").await).code();
    }
}

story! {
    async fn a_request_that_is_visited_again_and_again_ends(town) {
        let office = Office::open(town).await;
        let (wallet, browser) = (office.wallet(), office.browser());
        let request_uri = wallet.pushed().await;
        for seconds in [89, 599, 500, 11] {
            office.town.clock.advance(seconds);
            assert_eq!(browser.visits(&wallet.client_id, &request_uri).await.status, 303);
        }
        let page = browser.arrives(&office, &wallet.client_id, &request_uri, PERSON).await;
        shows(&page.answer, 200, "id=\"approve\"");
        office.town.clock.advance(1);
        shows(&page.decide(&browser, "approve").await, 400, OVER);
        shows(&browser.visits(&wallet.client_id, &request_uri).await, 400, OVER);
    }
}

story! {
    async fn an_offer_that_expires_during_the_sign_in_still_says_for_whom_it_is(town) {
        let office = Office::open(town).await;
        office.town.hires(PERSON, "G09").await;
        office.town.hires(NEIGHBOUR, "H26").await;
        let (wallet, browser) = (office.wallet(), office.browser());
        let ask = json!({"personal_id_number": PERSON, "assurance_level": 2, "unit": "G09", "grants": ["authorization_code"]});
        let made = office.town.officer("vneid").await.post("/api/v1/offers", ask).await.expect(201);
        let state = made["credential_offer_uri"].as_str().unwrap().rsplit('/').next().unwrap();
        office.town.clock.advance(550);
        let push = async || request_uri(wallet.par().with("issuer_state", state).send().await);
        let (one, two) = (push().await, push().await);
        let mine = browser.goes_to_vneid(&wallet.client_id, &one).await;
        let theirs = browser.goes_to_vneid(&wallet.client_id, &two).await;
        office.town.clock.advance(100);
        assert_eq!(wallet.par().with("issuer_state", state).send().await.error(400), "invalid_request", "it has expired");
        let page = browser.returns(&office.vneid.signs_in(&theirs, NEIGHBOUR, 2).await).await;
        no_card(&browser, &wallet, &page, "Lời mời nhận thẻ này dành cho người khác.").await;
        let page = browser.returns(&office.vneid.signs_in(&mine, PERSON, 2).await).await;
        shows(&page.answer, 200, "<strong>Bộ Nội vụ</strong>");
        assert!(page.choices().is_empty(), "the offer has chosen");
        let tokens = Tokens::of(wallet.redeem(&wallet.landing(page.decide(&browser, "approve").await).code()).send().await);
        let issued = wallet.issued(&tokens.access).await;
        assert_eq!(claims(&office, &issued)["employing_agency"]["name"], "Bộ Nội vụ");
    }
}

story! {
    async fn what_leads_nowhere_is_a_page(town) {
        let office = Office::open(town).await;
        let (wallet, browser) = (office.wallet(), office.browser());
        let request_uri = wallet.pushed().await;
        for query in [
            String::new(),
            "?client_id=%ff".to_owned(),
            "?client_id=vneid&request_uri=urn:x".to_owned(),
            format!("?client_id=vneid&request_uri={request_uri}x"),
            format!("?request_uri={request_uri}"),
            format!("?client_id=vneid&request_uri={request_uri}&client_id=vneid"),
        ] {
            shows(&browser.get(&format!("/authorize{query}")).await, 400, OVER);
        }
        for path in ["/authorize/x", "/authorize/%ff", &format!("/authorize/{}", "A".repeat(43))] {
            shows(&browser.get(path).await, 400, OVER);
            shows(&browser.post(path, &[("decision", "approve")]).await, 400, OVER);
        }
        let page = browser.arrives(&office, &wallet.client_id, &request_uri, PERSON).await;
        let json = Request::post(&page.path).header("content-type", "application/json").body("{}".into()).unwrap();
        shows(&office.town.send(json).await, 400, OVER);
        wallet.landing(page.decide(&browser, "approve").await).code();
    }
}

story! {
    async fn a_person_has_ten_minutes(town) {
        let office = Office::open(town).await;
        let (wallet, browser) = (office.wallet(), office.browser());
        let page = browser.arrives(&office, &wallet.client_id, &wallet.pushed().await, PERSON).await;
        office.town.clock.advance(599);
        shows(&browser.get(&page.path).await, 200, "id=\"approve\"");
        office.town.clock.advance(1);
        shows(&browser.get(&page.path).await, 400, OVER);
        shows(&page.decide(&browser, "approve").await, 400, OVER);
    }
}

story! {
    async fn a_double_submission_yields_one_code(town) {
        let office = Office::open(town).await;
        let other = office.town.second_process().await;
        let (wallet, browser) = (office.wallet(), office.browser());
        let page = browser.arrives(&office, &wallet.client_id, &wallet.pushed().await, PERSON).await;
        let browsers = [browser.clone(), browser.at(&other)];
        let answers = join_all((0..8).map(|at| page.decide(&browsers[at % 2], "approve"))).await;
        let (served, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 303);
        assert_eq!(served.len(), 1);
        for answer in &refused {
            shows(answer, 400, OVER);
        }
        let code = wallet.landing(served.into_iter().next().unwrap()).code();
        let tokens = Tokens::of(wallet.redeem(&code).send().await);
        wallet.issued(&tokens.access).await;
    }
}

story! {
    async fn yes_and_no_at_once_is_one_of_them(town) {
        let office = Office::open(town).await;
        let other = office.town.second_process().await;
        let (wallet, browser) = (office.wallet(), office.browser());
        for _ in 0..4 {
            let page = browser.arrives(&office, &wallet.client_id, &wallet.pushed().await, PERSON).await;
            let elsewhere = browser.at(&other);
            let (yes, no) = tokio::join!(page.decide(&browser, "approve"), page.decide(&elsewhere, "deny"));
            let landed = [yes, no].into_iter().filter(|answer| answer.status == 303).count();
            assert_eq!(landed, 1);
        }
    }
}

story! {
    async fn while_vneid_cannot_be_reached_that_is_said(town) {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let office = Office::open_with(town, |config| {
            config.sign_in.as_mut().unwrap().issuer = format!("http://{nobody}");
        }).await;
        let (wallet, browser) = (office.wallet(), office.browser());
        let answer = browser.visits(&wallet.client_id, &wallet.pushed().await).await;
        shows(&answer, 503, "Không kết nối được với VNeID. Hãy thử lại sau ít phút.");
        assert!(answer.headers.get("set-cookie").is_none());
    }
}

story! {
    async fn without_a_sign_in_there_is_no_code_flow(town) {
        let office = Office::open_with(town, |config| config.sign_in = None).await;
        let (wallet, browser) = (office.wallet(), office.browser());
        assert_eq!(wallet.par().send().await.error(400), "unauthorized_client");
        shows(&browser.visits("vneid", "urn:ietf:params:oauth:request_uri:x").await, 400, OVER);
        shows(&browser.get("/sign-in/callback?state=x&code=y").await, 400, OVER);
        let server = office.town.get("/.well-known/oauth-authorization-server").await.expect(200);
        for name in ["authorization_endpoint", "pushed_authorization_request_endpoint"] {
            assert!(server.get(name).is_none(), "{name}");
        }
        assert!(!server["grant_types_supported"].as_array().unwrap().contains(&json!("authorization_code")));
        assert_eq!(office.town.get("/offer").await.problem(404), "not-found");
    }
}
