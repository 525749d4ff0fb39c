//! `present LINK`: a verifier asks online, the holder sees who wants to know what and says yes or no, and the answer goes
//! to the verifier (OpenID4VP 1.0 section 8.2).

use std::io::Write;
use std::path::Path as File;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use officials_card::chance::Chance;
use officials_card::clock::{Clock, UnixSeconds};
use officials_card::credential::jwe::{self, Recipient};
use officials_card::credential::mdoc::device::{self, SessionTranscript};
use officials_card::credential::x509::Anchors;
use officials_card::credential::{PublicKey, Signer, sd_jwt};
use officials_card::protocol::dcql::{Format, Held, Path, Selected};
use officials_card::protocol::mdoc::NAMESPACE;
use officials_card::protocol::oid4vci::CLAIMS;
use officials_card::protocol::oid4vp::{Answer, RequestObject, VpToken, WalletError as Reason, purpose_of};
use serde_json::{Map, Value, json};

use crate::check::{Checked, Trust};
use crate::error::{Result, WalletError};
use crate::folder::{Folder, KeptCard};
use crate::http::{Http, Repeat, object};
use crate::request::{Asked, claim_name};

const PLACE: &str = "verifier";

/// A card that may be presented, and what it says.
struct Candidate {
    card: KeptCard,
    format: Format,
    types: Vec<String>,
    claims: Value,
    authorities: Vec<Vec<u8>>,
}

/// What the holder has decided before the question comes.
pub struct Wishes<'a> {
    /// The roots of the verifiers that the wallet trusts, as PEM.
    pub trust_anchor: &'a File,
    /// Only cards of this format.
    pub format: Option<Format>,
    /// Only cards of this configuration.
    pub configuration: Option<&'a str>,
    /// Yes, whatever is asked.
    pub yes: bool,
}

/// Answers the question behind a link.
pub async fn answer(link: &str, wishes: &Wishes<'_>, folder: &Folder, clock: &Clock, chance: &Chance) -> Result<()> {
    let http = Http::new()?;
    let pem = std::fs::read_to_string(wishes.trust_anchor)
        .map_err(|source| WalletError::File { path: wishes.trust_anchor.to_owned(), source })?;
    let asked = Asked::fetch(&http, link, &Anchors::from_pem(&pem)?, clock.now(), chance).await?;
    let candidates = candidates(folder, wishes, clock.now())?;
    let held: Vec<_> = candidates.iter().map(Candidate::held).collect();
    let Some(selected) = asked.request.query.select(&held) else {
        // The verifier learns no more than from a holder who says no (section 8.5).
        tell(&http, &asked, &Answer::Declined { error: denied(), state: state(&asked) }).await?;
        return Err(WalletError::Command("this wallet holds no card that answers the question".into()));
    };
    show(&asked, &selected, &candidates);
    if !wishes.yes && !agrees()? {
        tell(&http, &asked, &Answer::Declined { error: denied(), state: state(&asked) }).await?;
        println!("Đã từ chối. / Declined.");
        return Ok(());
    }
    let mut presentations = Vec::new();
    for one in &selected {
        let Candidate { card, format, .. } = &candidates[one.held];
        let text = match format {
            Format::SdJwt => sd_jwt_text(card, one, &asked.request, folder, clock.now())?,
            Format::Mdoc => mdoc_text(card, one, &asked, folder)?,
        };
        folder.count_shown(card.clone())?;
        presentations.push((one.query.id().to_owned(), text));
    }
    let vp_token = VpToken { presentations }.to_json();
    let said = tell(&http, &asked, &Answer::Presented { vp_token, state: state(&asked) }).await?;
    println!("Đã xuất trình. / Presented.");
    if let Some(back) = said.get("redirect_uri").and_then(Value::as_str) {
        println!("{back}");
    }
    Ok(())
}

/// The usable cards that the holder would present, the least shown copies first. One that does not check is passed over.
fn candidates(folder: &Folder, wishes: &Wishes<'_>, now: UnixSeconds) -> Result<Vec<Candidate>> {
    let mut found = Vec::new();
    for card in folder.cards()? {
        let Some(format) = Format::parse(&card.format) else { continue };
        let unwanted = wishes.format.is_some_and(|wanted| wanted != format)
            || wishes.configuration.is_some_and(|wanted| wanted != card.configuration);
        let trust = Trust::new(card.trust_anchor_pem.clone())?;
        let (false, Ok(checked)) = (unwanted, Checked::new(&card, &trust, None, now)) else { continue };
        let claims: Map<String, Value> = checked.claims.into_iter().collect();
        let (claims, kind) = match format {
            Format::SdJwt => (Value::Object(claims), &card.vct),
            Format::Mdoc => (json!({NAMESPACE: claims}), &card.doctype),
        };
        let types = kind.iter().cloned().collect();
        found.push(Candidate { format, types, claims, authorities: trust.authorities(&card), card });
    }
    Ok(found)
}

impl Candidate {
    fn held(&self) -> Held<'_> {
        Held {
            format: self.format,
            types: &self.types,
            claims: &self.claims,
            authority_key_ids: &self.authorities,
            can_bind: true,
        }
    }
}

/// Shows the holder who asks for what, by the names of the card.
fn show(asked: &Asked, selected: &[Selected<'_>], candidates: &[Candidate]) {
    println!("Bên hỏi · Verifier: {} ({})", asked.verifier(), asked.request.client_id);
    for (language, heading) in [("vi", "Mục đích"), ("en", "Purpose")] {
        if let Some(purpose) = asked.request.verifier_info.as_ref().and_then(|info| purpose_of(info, language)) {
            // Nothing that a terminal would obey.
            println!("{heading}: {}", purpose.replace(char::is_control, " "));
        }
    }
    for one in selected {
        let is_mdoc = one.query.format() == Format::Mdoc;
        println!("{} ({}):", candidates[one.held].card.configuration, candidates[one.held].card.format);
        for path in &one.paths {
            let name = claim_name(path, is_mdoc);
            match CLAIMS.iter().find(|(claim, ..)| *claim == name) {
                Some((_, vi, en, _)) => println!("  {vi} · {en}"),
                None => println!("  {name}"),
            }
        }
        if one.query.claims().is_some_and(|claims| claims.iter().any(|claim| claim.intent_to_retain() == Some(true))) {
            println!("  (bên hỏi sẽ lưu lại · the verifier will keep it)");
        }
    }
}

/// Asks the holder.
fn agrees() -> Result<bool> {
    let failed = |source| WalletError::File { path: "terminal".into(), source };
    print!("Đồng ý cung cấp? / Do you agree? [c/y = có/yes] ");
    std::io::stdout().flush().map_err(failed)?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(failed)?;
    Ok(["c", "y", "có", "yes"].contains(&line.trim().to_lowercase().as_str()))
}

fn denied() -> Reason {
    Reason::new("access_denied", None)
}

fn state(asked: &Asked) -> Option<String> {
    asked.request.state().map(str::to_owned)
}

fn sd_jwt_text(
    card: &KeptCard,
    one: &Selected<'_>,
    request: &RequestObject,
    folder: &Folder,
    now: UnixSeconds,
) -> Result<String> {
    let selected = sd_jwt::select(&card.credential, |name| names(one, false).any(|wanted| wanted == name));
    if !one.query.requires_binding() {
        return Ok(selected);
    }
    let key = folder.key(&card.key)?;
    Ok(sd_jwt::bind(&selected, &key, request.client_id.as_str(), &request.nonce, now)?)
}

fn mdoc_text(card: &KeptCard, one: &Selected<'_>, asked: &Asked, folder: &Folder) -> Result<String> {
    let request = &asked.request;
    let key = request.client_metadata.encryption_key.as_ref().map(encryption_key).transpose()?;
    let thumbprint = key.map(|key| key.thumbprint());
    let client_id = request.client_id.as_str();
    let transcript =
        SessionTranscript::of_redirect(client_id, &request.nonce, thumbprint.as_ref(), &asked.response_uri);
    let bytes = URL_SAFE_NO_PAD.decode(&card.credential).map_err(|_| WalletError::Issued("it is not base64url"))?;
    let discloses = |namespace: &str, element: &str| {
        one.paths.iter().any(|path| path.first() == Some(namespace) && path.name(1) == Some(element))
    };
    let doctype = card.doctype.as_deref().unwrap_or_default();
    let holder: &dyn Signer = &folder.key(&card.key)?;
    Ok(URL_SAFE_NO_PAD.encode(device::present(&bytes, doctype, discloses, &transcript, holder)?))
}

fn names<'a>(one: &'a Selected<'_>, is_mdoc: bool) -> impl Iterator<Item = &'a str> {
    one.paths.iter().map(move |path: &&Path| claim_name(path, is_mdoc))
}

/// The verifier's key without the members that say what it is for.
fn encryption_key(jwk: &Value) -> Result<PublicKey> {
    PublicKey::from_jwk(jwk).map_err(|_| WalletError::Answer("verifier's request", "has no usable key to encrypt to"))
}

/// Posts the answer, encrypted where that was asked for, and gives what the verifier says to it.
async fn tell(http: &Http, asked: &Asked, answer: &Answer) -> Result<Map<String, Value>> {
    let metadata = &asked.request.client_metadata;
    let fields = match &metadata.encryption_key {
        None => answer.to_form(),
        Some(key) => {
            let no = |_| WalletError::Answer("verifier's request", "has no usable key to encrypt to");
            let enc = metadata.encs.iter().find(|enc| jwe::ENCS.contains(&enc.as_str()));
            let enc = enc.ok_or(WalletError::Answer("verifier's request", "offers no encryption that we know"))?;
            let jwe = Recipient::new(key, enc, false).map_err(no)?.seal(answer.to_json().to_string().as_bytes())?;
            vec![("response".to_owned(), jwe)]
        }
    };
    let make = || Ok(http.post(PLACE, &asked.response_uri)?.form(&fields));
    // A nonce is good for one answer.
    object(PLACE, &http.ask(PLACE, Repeat::Never, make).await?.body(PLACE)?)
}
