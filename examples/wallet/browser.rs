//! A person at a browser, for tests and tours without either: opens an address, fills in the plain HTML forms that it
//! meets (the simulated sign-in at VNeID, the question of the issuer), and says where it was sent in the end.

use std::collections::BTreeMap;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Method, Url};

use crate::error::{Result, WalletError};
use crate::http::{Http, bounded, protected};

const PAGE: &str = "page";
/// Pages that are walked through at most.
const MOST_STEPS: usize = 20;

/// Somebody who signs in and agrees.
pub struct Person<'a> {
    /// The personal number.
    pub number: &'a str,
    /// The password.
    pub password: &'a str,
}

impl Person<'_> {
    /// Walks from `url` until sent to `redirect_uri`, and gives the whole address.
    pub async fn walk(&self, http: &Http, url: &str, redirect_uri: &str) -> Result<String> {
        let mut cookies: BTreeMap<(String, String), String> = BTreeMap::new();
        let (mut method, mut url, mut fields) = (Method::GET, protected(PAGE, url)?, Vec::new());
        for _ in 0..MOST_STEPS {
            let origin = url.origin().ascii_serialization();
            let own = cookies.iter().filter(|((of, _), _)| *of == origin);
            let own: Vec<_> = own.map(|((_, name), value)| format!("{name}={value}")).collect();
            let mut request = http.0.request(method.clone(), url.clone()).header(COOKIE, own.join("; "));
            if method == Method::POST {
                request = request.form(&fields);
            }
            let lost = |source: reqwest::Error| WalletError::Unreachable { place: PAGE, source: source.without_url() };
            let answer = request.send().await.map_err(lost)?;
            for cookie in answer.headers().get_all(SET_COOKIE).iter().filter_map(|line| line.to_str().ok()) {
                if let Some((name, value)) = cookie.split(';').next().and_then(|pair| pair.split_once('=')) {
                    cookies.insert((origin.clone(), name.to_owned()), value.to_owned());
                }
            }
            let location = answer.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            if let Some(location) = location {
                if location.starts_with(redirect_uri) {
                    return Ok(location.to_owned());
                }
                let next = url.join(location).map_err(|_| WalletError::Answer(PAGE, "leads nowhere"))?;
                (method, url, fields) = (Method::GET, protected(PAGE, next.as_str())?, Vec::new());
                continue;
            }
            let page = bounded(answer).await.map_err(lost)?;
            let page = String::from_utf8(page).map_err(|_| WalletError::Answer(PAGE, "is no text"))?;
            (method, url, fields) = (Method::POST, target(&url, &page)?, self.answers(&page)?);
        }
        Err(WalletError::SignIn("it did not end"))
    }

    /// What is put into the form of a page: what is hidden or chosen already, the own number and password, and a yes.
    fn answers(&self, page: &str) -> Result<Vec<(String, String)>> {
        let mut fields = Vec::new();
        for input in tags(page, "input") {
            let Some(name) = attribute(input, "name") else { continue };
            let value = attribute(input, "value").unwrap_or_default();
            match (attribute(input, "type").as_deref(), name.as_str()) {
                (Some("hidden"), _) => fields.push((name, value)),
                (Some("radio"), _) if input.contains(" checked") => fields.push((name, value)),
                (_, "username") => fields.push((name, self.number.to_owned())),
                (_, "password") => fields.push((name, self.password.to_owned())),
                _ => {}
            }
        }
        // A form that was refused is not sent again.
        if page.contains("role=\"alert\"") {
            return Err(told(page));
        }
        let yes = tags(page, "button").find_map(|button| {
            let value = attribute(button, "value").filter(|value| ["submit", "approve"].contains(&value.as_str()));
            attribute(button, "name").zip(value)
        });
        fields.push(yes.ok_or_else(|| told(page))?);
        Ok(fields)
    }
}

/// Where the form of a page goes.
fn target(url: &Url, page: &str) -> Result<Url> {
    let form = tags(page, "form").next().ok_or_else(|| told(page))?;
    let action = attribute(form, "action").unwrap_or_default();
    let next = url.join(&action).map_err(|_| WalletError::Answer(PAGE, "leads nowhere"))?;
    protected(PAGE, next.as_str())
}

/// What a page says that cannot be answered: its text is for the person.
fn told(page: &str) -> WalletError {
    let alert = page.split_once("role=\"alert\"").map_or(page, |(_, alert)| alert);
    let alert = alert.split_once('>').map_or(alert, |(_, alert)| alert);
    let alert = alert.split_once("</p>").map_or(alert, |(alert, _)| alert);
    let mut text = String::new();
    let mut is_tag = false;
    for character in alert.chars() {
        match character {
            '<' => {
                is_tag = true;
                text.push(' ');
            }
            '>' => is_tag = false,
            _ if is_tag => {}
            other => text.push(other),
        }
    }
    WalletError::Told(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The opening tags of a name, without their brackets.
fn tags<'a>(page: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    page.split('<').filter_map(move |part| {
        let rest = part.strip_prefix(name)?.split_once('>')?.0;
        rest.starts_with([' ', '\n']).then_some(rest)
    })
}

/// An attribute of a tag, with its characters as they are meant.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    Some(value.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&"))
}
