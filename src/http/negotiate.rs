//! What a client would rather have: `Accept`, `Accept-Language` and `Accept-Encoding` (RFC 9110 section 12.5), read
//! strictly. What is malformed in a list is passed over; the rest of the list counts.

use axum::http::{HeaderMap, HeaderName, header};

use crate::protocol::display::Language;

/// Choices of one request that are looked at.
const MOST_CHOICES: usize = 64;
/// The weight of what is wanted most. A weight has at most three digits after the point.
const FULL: u16 = 1000;

/// A client's choices, each with its weight in thousandths; 0 is not at all.
pub struct Choices(Vec<(String, u16)>);

impl Choices {
    /// From all fields of this name, in order.
    pub fn of(headers: &HeaderMap, name: &HeaderName) -> Self {
        let fields = headers.get_all(name).iter().filter_map(|field| field.to_str().ok());
        Self(fields.flat_map(|field| split(field, ',')).filter_map(choice).take(MOST_CHOICES).collect())
    }

    /// The weight of something by its names, the most specific first: what is not mentioned at all is not wanted.
    pub fn weight(&self, names: &[&str]) -> u16 {
        let of = |name: &&str| self.0.iter().find(|(meant, _)| meant.eq_ignore_ascii_case(name));
        names.iter().find_map(of).map_or(0, |(_, weight)| *weight)
    }
}

/// The languages that a client wants, best first; all of ours when it wants none of them or says nothing.
pub fn languages(headers: &HeaderMap) -> Vec<Language> {
    let choices = Choices::of(headers, &header::ACCEPT_LANGUAGE);
    let weight = |language: Language| {
        // Our very tag decides, else whatever is about the language: en-US still means English to us.
        let about = choices.0.iter().filter(|(range, _)| {
            range.split('-').next().is_some_and(|primary| primary.eq_ignore_ascii_case(language.primary()))
        });
        let exact = choices.weight(&[language.tag()]);
        let is_exact = choices.0.iter().any(|(range, _)| range.eq_ignore_ascii_case(language.tag()));
        let nearest = about.map(|(_, weight)| *weight).max();
        if is_exact { exact } else { nearest.unwrap_or_else(|| choices.weight(&["*"])) }
    };
    let mut wanted: Vec<_> = Language::ALL
        .into_iter()
        .map(|language| (language, weight(language)))
        .filter(|(_, weight)| *weight > 0)
        .collect();
    // The sort is stable: of two that are wanted alike, the country's own is first.
    wanted.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    if wanted.is_empty() { Language::ALL.to_vec() } else { wanted.into_iter().map(|(language, _)| language).collect() }
}

/// One element: what is meant, then parameters, of which only the weight matters.
fn choice(element: &str) -> Option<(String, u16)> {
    let mut parts = split(element, ';').map(str::trim);
    let meant = parts.next().filter(|meant| is_name(meant))?;
    let mut weight = FULL;
    for parameter in parts.filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=')?;
        if name.eq_ignore_ascii_case("q") {
            weight = thousandths(value)?;
        }
    }
    Some((meant.to_owned(), weight))
}

/// A token, or two with a slash between them (RFC 9110 section 5.6.2).
fn is_name(text: &str) -> bool {
    let token = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let mut parts = text.split('/');
    parts.by_ref().take(2).all(token) && parts.next().is_none()
}

/// `qvalue`: 0 to 1 with at most three digits after the point.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, digits) = text.split_once('.').unwrap_or((text, ""));
    if digits.len() > 3 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let part: u16 = format!("{digits:0<3}").parse().ok()?;
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(FULL),
        _ => None,
    }
}

/// The parts between separators that stand outside quotation marks.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |character| {
        let is_separator = !quoted && character == separator;
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        is_separator
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn weights_are_read_as_the_rfc_says() {
        for (accept, json, jwt) in [
            ("application/jwt", 0, 1000),
            ("application/json;q=0.5, application/jwt", 500, 1000),
            ("Application/JWT;Q=0.25,*/*;q=0.125", 125, 250),
            ("application/*;q=0.7, */*;q=0.1", 700, 700),
            ("application/jwt;q=0, */*", 1000, 0),
            ("application/json; charset=utf-8; q=0.3", 300, 0),
            (r#"text/html;a="x, application/jwt;q=1", application/json"#, 1000, 0),
            (r#"text/html;a="\", application/jwt", application/json"#, 1000, 0),
            ("application/jwt;q=1.000, application/json;q=1.", 1000, 1000),
            // Malformed elements count for nothing, the others do.
            ("application/jwt;q=1.5, application/json;q=0.1", 100, 0),
            ("application/jwt;q=0.1234, application/jwt;q=-1, application/json", 1000, 0),
            ("application/jwt;q=, application/jwt;q, a/b/c, application/ json, ,", 0, 0),
            ("", 0, 0),
        ] {
            let choices = Choices::of(&fields(&header::ACCEPT, &[accept]), &header::ACCEPT);
            let weight = |name| choices.weight(&[name, "application/*", "*/*"]);
            assert_eq!((weight("application/json"), weight("application/jwt")), (json, jwt), "{accept}");
        }
        let two =
            Choices::of(&fields(&header::ACCEPT, &["application/json;q=0.1", "application/jwt"]), &header::ACCEPT);
        assert_eq!(two.weight(&["application/jwt"]), 1000, "a list may come in several fields");
        let many = Choices::of(&fields(&header::ACCEPT, &[&"a/b,".repeat(5000)]), &header::ACCEPT);
        assert_eq!(many.0.len(), MOST_CHOICES);
    }

    #[test]
    fn languages_come_in_the_order_they_are_wanted() {
        use Language::{English, Vietnamese};
        for (accept, expected) in [
            ("vi", vec![Vietnamese]),
            ("VI-vn", vec![Vietnamese]),
            ("en-US, en;q=0.8", vec![English]),
            ("en, vi;q=0.9", vec![English, Vietnamese]),
            ("en;q=0.2, vi-VN;q=0.1", vec![English, Vietnamese]),
            ("*", vec![Vietnamese, English]),
            ("en, *;q=0.5", vec![English, Vietnamese]),
            ("*, vi;q=0", vec![English]),
            ("vi-VN;q=0, vi, en;q=0.1", vec![English]),
            ("fr, de;q=0.5", vec![Vietnamese, English]),
            ("vi;q=0", vec![Vietnamese, English]),
            ("eng, vip", vec![Vietnamese, English]),
            ("", vec![Vietnamese, English]),
        ] {
            assert_eq!(languages(&fields(&header::ACCEPT_LANGUAGE, &[accept])), expected, "{accept}");
        }
        assert_eq!(languages(&HeaderMap::new()), [Vietnamese, English]);
    }

    proptest::proptest! {
        #[test]
        fn any_header_never_panics_and_weights_are_weights(text in "[ -~\u{80}-\u{ff}]{0,120}|([a-z*/]{0,6}(;q=[0-9.]{0,5})?,? ?){0,80}") {
            let Ok(value) = axum::http::HeaderValue::from_bytes(text.as_bytes()) else { return Ok(()) };
            let headers: HeaderMap = [(header::ACCEPT, value.clone()), (header::ACCEPT_LANGUAGE, value)].into_iter().collect();
            let choices = Choices::of(&headers, &header::ACCEPT);
            proptest::prop_assert!(choices.0.len() <= MOST_CHOICES && choices.0.iter().all(|(_, weight)| *weight <= FULL));
            proptest::prop_assert!(!languages(&headers).is_empty());
        }
    }
}
