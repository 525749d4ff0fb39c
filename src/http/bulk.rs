//! `POST /api/v1/offers:bulk`: newline-delimited requests in, an answer line for each out, in order, while more come in.
//!
//! Memory stays bounded: a line, the lines under way, and the answers that the caller has not read yet, of which there are
//! at most as many as lines. So a caller that sends everything before it reads anything is never waited for.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::answer::{Problem, ProblemDocument};
use super::api::{self, OfferDelivery, OfferMade};
use super::extract::{has_media_type, parse_json};
use crate::error::Refusal;
use crate::flow::{Caller, OfferGrant, OfferRequest, Service};

/// The media type of both directions.
const NDJSON: &str = "application/x-ndjson";
/// Longest line.
const LINE_BYTES: usize = 4096;
/// Most lines of a call.
const LINES: u64 = 10_000;
/// Lines under way at the same time: they share the transactions of the database.
const AT_ONCE: usize = 64;
/// How long the caller may pause in the middle of its lines, and how long they may take altogether.
const PAUSE: Duration = Duration::from_secs(30);
const ALTOGETHER: Duration = Duration::from_mins(15);

/// One line of a bulk call.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkLine {
    /// The person's 12-digit personal identification number (`person` is understood too).
    #[schema(example = "001199000018", pattern = "^[0-9]{12}$")]
    #[serde(alias = "person")]
    personal_id_number: String,
    /// The identity assurance level at which VNeID knows the person: 2 is required.
    #[schema(minimum = 1, maximum = 2, example = 2)]
    assurance_level: u8,
    /// Credential configurations to offer; all when absent.
    #[serde(default)]
    configurations: Vec<String>,
    /// The unit, where the person has verified records in several.
    #[serde(default)]
    unit: Option<String>,
    /// How the offer gets to the wallet.
    #[serde(default)]
    delivery: OfferDelivery,
    /// 1 to 128 printable ASCII characters; the same key and request give the same offer, in this call or another.
    #[schema(example = "2026-11/000001")]
    idempotency_key: String,
}

/// The answer to one line: an offer or a problem.
#[derive(Debug, Serialize, ToSchema)]
pub struct BulkAnswer {
    /// Which line, from 1; empty ones count and are not answered.
    line: u64,
    /// Its key, when it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
    /// The offer.
    #[serde(skip_serializing_if = "Option::is_none")]
    offer: Option<OfferMade>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ProblemDocument>,
}

impl BulkAnswer {
    /// The line as sent.
    fn to_line(&self) -> String {
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }

    /// Whether the line was refused.
    pub fn is_problem(&self) -> bool {
        self.problem.is_some()
    }
}

impl std::fmt::Display for BulkAnswer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.to_line().trim_end())
    }
}

/// `POST /api/v1/offers:bulk`: makes offers, one a line, up to 10,000 a call; an answer line for each, in order. A bad line
/// harms no other. Safe to repeat: the same keys give the same offers, so a call that broke is sent again, whole or from
/// the first line without an answer.
#[utoipa::path(post, path = "/api/v1/offers:bulk", tag = "Offers",
    request_body(content = BulkLine, content_type = "application/x-ndjson", description = "One object a line"),
    responses((status = 200, body = BulkAnswer, content_type = "application/x-ndjson", description = "One object for each line, in order"), (status = 503, body = ProblemDocument)),
    security(("client" = ["offers:create"])))]
pub async fn make_offers(
    State(service): State<Service>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.needs("offers:create")?;
    if !has_media_type(&headers, NDJSON) {
        return Err(Refusal::malformed("Content-Type", "must be application/x-ndjson").into());
    }
    let place = service.bulk_place()?;
    let bounds = Bounds { lines: LINES, bytes: service.config.limits.bulk_body_bytes };
    // The task goes on when nobody reads, and ends when nobody can: it does not hold its place for a caller that is slow.
    let (sender, receiver) = mpsc::channel(usize::try_from(LINES).unwrap_or(usize::MAX) + 1);
    tokio::spawn(async move {
        let answers = answers(service, caller, body.into_data_stream(), bounds);
        let mut answers = std::pin::pin!(answers);
        while let Some(answer) = answers.next().await {
            if sender.send(Bytes::from(answer.to_line())).await.is_err() {
                break;
            }
        }
        drop(place);
    });
    let lines = stream::unfold(receiver, |mut receiver| async {
        let line = receiver.recv().await?;
        Some((Ok::<_, Infallible>(line), receiver))
    });
    let headers = [(header::CONTENT_TYPE, NDJSON), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(lines)).into_response())
}

/// How much one call may bring.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most lines.
    pub lines: u64,
    /// Most bytes.
    pub bytes: usize,
}

/// The answers to the lines of a body, in order. What breaks the body off is answered last, under the next line.
pub fn answers<E>(
    service: Service,
    caller: Caller,
    body: impl Stream<Item = Result<Bytes, E>> + Unpin + Send,
    bounds: Bounds,
) -> impl Stream<Item = BulkAnswer> + Send
where
    E: Send,
{
    let reader = Reader::new(body, bounds);
    let lines = stream::unfold(reader, |mut reader| async { reader.next().await.map(|line| (line, reader)) });
    lines
        .map(move |line| {
            let (service, caller) = (service.clone(), caller.clone());
            async move { answer(&service, &caller, line).await }
        })
        .buffered(AT_ONCE)
}

async fn answer(service: &Service, caller: &Caller, line: Line) -> BulkAnswer {
    let parsed = line.content.and_then(|content| parse_json::<BulkLine>(&content));
    let (idempotency_key, made) = match parsed {
        Err(refusal) => (None, Err(refusal.into())),
        Ok(asked) => match is_key(&asked.idempotency_key) {
            Err(refusal) => (None, Err(refusal.into())),
            Ok(()) => (Some(asked.idempotency_key.clone()), make(service, caller, asked).await),
        },
    };
    let (offer, problem) = match made {
        Ok(offer) => (Some(offer), None),
        Err(problem) => (None, Some(problem.document())),
    };
    BulkAnswer { line: line.number, idempotency_key, offer, problem }
}

async fn make(service: &Service, caller: &Caller, asked: BulkLine) -> Result<OfferMade, Problem> {
    let handover = asked.delivery.into();
    let request = OfferRequest {
        person: api::person(&asked.personal_id_number)?,
        assurance_level: asked.assurance_level,
        configurations: api::configurations(&asked.configurations)?,
        unit: asked.unit,
        // Many people are offered their cards without being there: a code each.
        grants: vec![OfferGrant::PreAuthorizedCode],
        idempotency_key: Some(asked.idempotency_key),
    };
    let ttl = service.config.limits.bulk_offer_ttl_seconds;
    let made = service.make_offer_to(caller, request, handover, ttl).await?;
    Ok(OfferMade::new(made, handover))
}

fn is_key(key: &str) -> Result<(), Refusal> {
    let fits = (1..=128).contains(&key.len()) && key.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let refusal = || Refusal::malformed("body.idempotency_key", "must be 1 to 128 printable ASCII characters");
    fits.then_some(()).ok_or_else(refusal)
}

/// A line, or why there is none.
struct Line {
    number: u64,
    content: Result<Vec<u8>, Refusal>,
}

#[derive(PartialEq, Eq)]
enum Reading {
    Body,
    /// The body is over; what is left is the last line.
    Rest,
    Over,
}

/// Takes a body apart into lines.
struct Reader<S> {
    body: S,
    bounds: Bounds,
    /// Read so far.
    bytes: usize,
    /// Of the last line.
    number: u64,
    /// Read, and not yet a line.
    rest: Vec<u8>,
    /// The line that is being read is passed over to its end.
    is_too_long: bool,
    state: Reading,
    until: Instant,
}

impl<S, E> Reader<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    /// At the beginning of a body, whose time begins now.
    fn new(body: S, bounds: Bounds) -> Self {
        Self {
            body,
            bounds,
            bytes: 0,
            number: 0,
            rest: Vec::new(),
            is_too_long: false,
            state: Reading::Body,
            until: Instant::now() + ALTOGETHER,
        }
    }

    /// The next line that is not empty.
    async fn next(&mut self) -> Option<Line> {
        loop {
            if self.state == Reading::Over {
                return None;
            }
            if let Some(line) = self.line() {
                self.number += 1;
                if self.number > self.bounds.lines {
                    return Some(self.end(Refusal::TooMuch(format!("more than {} lines", self.bounds.lines))));
                }
                match line {
                    Ok(content) if content.trim_ascii().is_empty() => continue,
                    content => return Some(Line { number: self.number, content }),
                }
            }
            if self.state == Reading::Rest {
                self.state = Reading::Over;
                continue;
            }
            if let Err(refusal) = self.read().await {
                self.number += 1;
                return Some(self.end(refusal));
            }
        }
    }

    fn end(&mut self, why: Refusal) -> Line {
        self.state = Reading::Over;
        Line { number: self.number, content: Err(why) }
    }

    /// A whole line of what was read.
    fn line(&mut self) -> Option<Result<Vec<u8>, Refusal>> {
        let too_long = || Refusal::TooMuch(format!("a line is longer than {LINE_BYTES} bytes"));
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let line = match end {
            Some(end) => {
                let after = self.rest.split_off(end + 1);
                std::mem::replace(&mut self.rest, after)
            }
            None if self.state == Reading::Rest && (self.is_too_long || !self.rest.is_empty()) => {
                std::mem::take(&mut self.rest)
            }
            None => {
                if self.rest.len() > LINE_BYTES {
                    self.is_too_long = true;
                    self.rest.clear();
                }
                return None;
            }
        };
        if std::mem::take(&mut self.is_too_long) || line.len() > LINE_BYTES {
            return Some(Err(too_long()));
        }
        Some(Ok(line))
    }

    async fn read(&mut self) -> Result<(), Refusal> {
        let deadline = self.until.min(Instant::now() + PAUSE);
        let Ok(chunk) = tokio::time::timeout_at(deadline, self.body.next()).await else {
            return Err(Refusal::malformed("body", "came too slowly; send the rest again"));
        };
        let Some(chunk) = chunk else {
            self.state = Reading::Rest;
            return Ok(());
        };
        let chunk = chunk.map_err(|_| Refusal::malformed("body", "broke off"))?;
        self.bytes += chunk.len();
        if self.bytes > self.bounds.bytes {
            return Err(Refusal::TooMuch(format!("the body is larger than {} bytes", self.bounds.bytes)));
        }
        self.rest.extend_from_slice(&chunk);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(chunks: &[&str], bounds: Bounds) -> Vec<(u64, Result<String, String>)> {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok::<_, ()>(Bytes::from((*chunk).to_owned()))).collect();
        let mut reader = Reader::new(stream::iter(chunks), bounds);
        let mut lines = Vec::new();
        while let Some(line) = reader.next().await {
            let content = line.content.map(|content| String::from_utf8(content).unwrap().trim().to_owned());
            lines.push((line.number, content.map_err(|refusal| refusal.to_string())));
        }
        lines
    }

    #[tokio::test]
    async fn lines_are_whole_however_they_come() {
        let bounds = Bounds { lines: 10, bytes: 100_000 };
        let expected = vec![(1, Ok("one".into())), (3, Ok("three".into())), (4, Ok("four".into()))];
        assert_eq!(lines(&["one\n\nthree\r\nfour"], bounds).await, expected);
        assert_eq!(lines(&["on", "e", "\n", "\nth", "ree\r", "\nfour\n", ""], bounds).await, expected);
        assert_eq!(lines(&[], bounds).await, []);
    }

    #[tokio::test]
    async fn what_is_too_much_ends_itself_only() {
        let bounds = Bounds { lines: 10, bytes: 100_000 };
        let long = "x".repeat(LINE_BYTES + 1);
        for chunks in [&[long.as_str(), &long, "\n", "two"][..], &[&format!("{long}\ntwo")], &["", &long, "\ntwo\n"]] {
            let lines = lines(chunks, bounds).await;
            assert!(lines[0].1.as_ref().unwrap_err().contains("4096"), "{lines:?}");
            assert_eq!(lines[1..], [(2, Ok("two".into()))]);
        }
        assert!(lines(&[&long, &long], bounds).await[0].1.is_err(), "and without an end");
        let few = lines(&["1\n2\n3\n4\n"], Bounds { lines: 2, bytes: 100 }).await;
        assert_eq!(few.len(), 3);
        assert_eq!((few[1].clone(), few[2].0), ((2, Ok("2".into())), 3));
        assert!(few[2].1.is_err());
        let small = lines(&["1\n", "22222\n"], Bounds { lines: 9, bytes: 4 }).await;
        assert_eq!((small.len(), small[1].1.is_err()), (2, true));
    }
}
