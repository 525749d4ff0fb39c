//! The browser of a person: cookies, VNeID's address, our pages and their buttons, and the way back to the wallet.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::http::{Request, header};
use url::form_urlencoded;

use crate::holder::Office;
use crate::town::{Answer, Town, URL};

/// A form as it travels.
pub fn form<N: AsRef<str>, V: AsRef<str>>(fields: &[(N, V)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// A browser, which follows no redirection by itself.
#[derive(Clone)]
pub struct Browser<'a> {
    town: &'a Town,
    /// By name.
    pub cookies: Arc<Mutex<BTreeMap<String, String>>>,
}

impl<'a> Browser<'a> {
    /// Without cookies.
    pub fn new(town: &'a Town) -> Self {
        Self { town, cookies: Arc::default() }
    }

    /// The same browser, whose requests go to another process.
    pub fn at(&self, town: &'a Town) -> Browser<'a> {
        Browser { town, cookies: Arc::clone(&self.cookies) }
    }

    /// Opens one of our addresses.
    pub async fn get(&self, url: &str) -> Answer {
        self.send(Request::get(url.strip_prefix(URL).unwrap_or(url)), String::new()).await
    }

    /// Opens the page of a presentation as its script does: begins there where nobody has.
    pub async fn opens(&self, page: &str) -> Answer {
        let answer = self.get(page).await;
        if !String::from_utf8_lossy(&answer.bytes).contains("<form id=\"begin\"") {
            return answer;
        }
        let begun = self.post(page.strip_prefix(URL).unwrap_or(page), &[("", ""); 0]).await;
        assert_eq!((begun.status.as_u16(), begun.header("location")), (303, page));
        self.get(page).await
    }

    /// Sends a form.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request, form(fields)).await
    }

    /// Sends a request with the cookies, and keeps those that come.
    pub async fn send(&self, mut request: axum::http::request::Builder, body: String) -> Answer {
        let cookies: Vec<_> =
            self.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        let answer = self.town.send(request.body(body.into()).unwrap()).await;
        for line in answer.headers.get_all(header::SET_COOKIE) {
            let (name, value) = line.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.lock().unwrap().insert(name.to_owned(), value.to_owned());
        }
        answer
    }

    /// Asks for the head of one of our addresses, as whoever looks at links does.
    pub async fn head(&self, url: &str) -> Answer {
        self.send(Request::head(url.strip_prefix(URL).unwrap_or(url)), String::new()).await
    }

    /// Opens the authorization endpoint.
    pub async fn visits(&self, client_id: &str, request_uri: &str) -> Answer {
        self.get(&format!("/authorize?{}", form(&[("client_id", client_id), ("request_uri", request_uri)]))).await
    }

    /// The same, and VNeID's address to which it leads.
    pub async fn goes_to_vneid(&self, client_id: &str, request_uri: &str) -> String {
        let answer = self.visits(client_id, request_uri).await;
        assert_eq!(answer.status, 303, "{}", String::from_utf8_lossy(&answer.bytes));
        answer.header("location").to_owned()
    }

    /// Signs a person in and opens what comes after.
    pub async fn arrives(&self, office: &Office, client_id: &str, request_uri: &str, person: &str) -> Page {
        let vneid = self.goes_to_vneid(client_id, request_uri).await;
        self.returns(&office.vneid.signs_in(&vneid, person, 2).await).await
    }

    /// Comes back from VNeID and opens what comes after.
    pub async fn returns(&self, callback: &str) -> Page {
        let answer = self.get(callback).await;
        let path = answer.header("location").strip_prefix(URL).unwrap_or_default().to_owned();
        if answer.status == 303 && path.starts_with("/authorize/") {
            return Page { answer: self.get(&path).await, path };
        }
        Page { answer, path }
    }
}

/// A page in the browser.
#[derive(Debug)]
pub struct Page {
    /// The page.
    pub answer: Answer,
    /// Its path.
    pub path: String,
}

impl Page {
    /// Its text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.answer.bytes).unwrap()
    }

    /// Presses the button with this id.
    pub async fn decide(&self, browser: &Browser<'_>, button: &str) -> Answer {
        self.decide_on(browser, button, None).await
    }

    /// The same, with a record chosen or the one that is chosen already.
    pub async fn decide_on(&self, browser: &Browser<'_>, button: &str, record: Option<&str>) -> Answer {
        let text = self.text();
        assert!(text.contains(&format!("<button id=\"{button}\" name=\"decision\" value=\"{button}\"")), "{text}");
        // A page without a place of its own, as after a sign-in of level 1, has it in its form.
        let (_, rest) = text.split_once("<form method=\"post\" action=\"").expect("a form");
        let action = rest.split('"').next().unwrap().strip_prefix(URL).unwrap();
        let mut fields = vec![("decision", button)];
        let fixed = text.split("type=\"hidden\" name=\"record\" value=\"").nth(1);
        let checked =
            text.split("type=\"radio\" name=\"record\" value=\"").skip(1).find(|part| part.contains("\" checked>"));
        let chosen = fixed.or(checked).and_then(|part| part.split('"').next());
        fields.extend(record.or(chosen).map(|record| ("record", record)));
        browser.post(action, &fields).await
    }

    /// The records that can be chosen, each with its agency.
    pub fn choices(&self) -> Vec<(String, String)> {
        let parts = self.text().split("type=\"radio\" name=\"record\" value=\"").skip(1);
        let choice = |part: &str| {
            let (record, rest) = part.split_once('"').unwrap();
            let agency = rest.split_once("> <span>").unwrap().1.split('<').next().unwrap();
            (record.to_owned(), agency.to_owned())
        };
        parts.map(choice).collect()
    }
}

/// Where a browser lands: at the wallet, with these parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landing(pub BTreeMap<String, String>);

impl Landing {
    /// From the address, which must begin with the redirect URI, its query and all.
    #[track_caller]
    pub fn of(location: &str, redirect_uri: &str) -> Self {
        let rest = location.strip_prefix(redirect_uri).unwrap_or_else(|| panic!("{location}"));
        assert!(rest.starts_with(if redirect_uri.contains('?') { '&' } else { '?' }), "{location}");
        assert!(!rest.contains('#'), "{location}");
        let pairs: Vec<_> = form_urlencoded::parse(&rest.as_bytes()[1..]).into_owned().collect();
        let parameters: BTreeMap<_, _> = pairs.iter().cloned().collect();
        assert_eq!(pairs.len(), parameters.len(), "each once: {location}");
        assert_eq!(parameters["iss"], URL);
        Self(parameters)
    }

    /// The code of a landing that has nothing else than it should.
    #[track_caller]
    pub fn code(&self) -> String {
        let names: Vec<_> = self.0.keys().map(String::as_str).filter(|name| *name != "state").collect();
        assert_eq!(names, ["code", "iss"]);
        self.0["code"].clone()
    }

    /// The error of a landing that has nothing else than it should.
    #[track_caller]
    pub fn error(&self) -> &str {
        let names: Vec<_> = self.0.keys().map(String::as_str).filter(|name| *name != "state").collect();
        assert_eq!(names, ["error", "iss"]);
        &self.0["error"]
    }
}
