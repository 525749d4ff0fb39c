//! `officials-card demo`: everything at once on one machine, with fresh keys, an SQLite file and the sample records,
//! matched by a simulator of the population database and with a simulator of the sign-in at VNeID; both run as programs
//! of their own (`examples/`).

mod guide;
mod office;
mod settings;
mod simulators;

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use serde_json::json;
use tokio::net::TcpListener;

use self::settings::{Product, Settings};
use super::{operator, serve, service, start_log};
use crate::chance::Chance;
use crate::clock::Clock;
use crate::error::{Fault, Refusal, Result};
use crate::flow::enroll::{Asker, confirm, match_pending};
use crate::flow::import::{Format, ImportRequest, import};
use crate::flow::lists::{import_codes, import_units};
use crate::flow::{OfferRequest, Service};
use crate::keyring;
use crate::model::id::PersonalNumber;
use crate::store::Confirmed;

const RECORDS: &[u8] = include_bytes!("../../../examples/sample/personnel.csv");
const UNITS: &[u8] = include_bytes!("../../../examples/sample/units.csv");
const LABELS: &[u8] = include_bytes!("../../../examples/sample/labels.csv");
const POPULATION: &[u8] = include_bytes!("../../../examples/sample/population.ndjson");

/// Marks a folder as ours to replace.
const MARK: &str = ".officials-card-demo";
/// How long the demo's API token lives.
const TOKEN_SECONDS: i64 = 86400;
/// Our name at the simulated VNeID.
const SIGN_IN_CLIENT: &str = "officials-card";
/// Everybody's password there.
const PASSWORD: &str = "matkhau";

/// Somebody of the sample.
struct Somebody {
    person: &'static str,
    unit: &'static str,
    number: &'static str,
}

/// A person whose record is verified.
const VERIFIED: Somebody = Somebody { person: "089081574889", unit: "H36", number: "H36-0000002" };
/// A person whose record no unit has confirmed yet: it comes in after the others.
const UNDER_REVIEW: Somebody = Somebody { person: "008177499925", unit: "H35", number: "H35-0000494" };
/// A person without a record.
const NO_RECORD: &str = "001199000010";

/// Tries everything with sample data.
#[derive(Args)]
pub struct Demo {
    /// Thư mục / folder for keys and data; a new one under the system's temporary folder when absent
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Địa chỉ / address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: String,
    /// In một dòng JSON khi sẵn sàng / print one line of JSON when ready
    #[arg(long)]
    json: bool,
}

/// What somebody who tries the demo needs to know.
struct Ready {
    url: String,
    dir: PathBuf,
    token: String,
    person: PersonalNumber,
    sign_in_url: String,
    office_url: String,
    redirect_uri: String,
    products: [Product; 2],
}

impl Demo {
    /// Runs the command.
    pub async fn run(self) -> Result<()> {
        // Before there are simulators, which end with this process only if it ends in order.
        let told = serve::told_to_stop();
        // First the address: while another demo serves there, its folder is left alone.
        let listener = TcpListener::bind(&self.listen)
            .await
            .map_err(|error| Fault::new("listening", format!("{}: {error}", self.listen)))?;
        let address = listener.local_addr().map_err(|error| Fault::new("listening", error))?.to_string();
        let dir = fresh_folder(self.dir)?;
        let clock = Clock::system();
        let chance = Chance::system();
        let url = format!("http://{address}");
        keyring::init(&dir.join("keys"), None, &url, &chance, clock.now())?;

        let secret = || URL_SAFE_NO_PAD.encode(chance.bytes::<16>());
        let (population_secret, sign_in_secret) = (secret(), secret());
        let people = written(&dir, "population.ndjson", POPULATION)?;
        let population = simulators::population_registry(&people, &population_secret).await?;
        let office = office::simulator(&url, PASSWORD, &sign_in_secret).await?;
        let callbacks = ["/sign-in/callback", "/me/callback"].map(|path| format!("{url}{path}"));
        let vneid = simulators::vneid_sign_in(SIGN_IN_CLIENT, &sign_in_secret, &callbacks, PASSWORD).await?;
        let redirect_uri = format!("http://127.0.0.1:{}/callback", free_port().await?);
        let settings = Settings {
            dir: &dir,
            address: &address,
            population_url: &population.url,
            population_secret: &population_secret,
            sign_in_url: &vneid.url,
            sign_in_client: SIGN_IN_CLIENT,
            sign_in_secret: &sign_in_secret,
            office_url: &office.url,
            office_client: office::CLIENT,
            office_secret: &sign_in_secret,
            redirect_uri: &redirect_uri,
        };
        let (config, products) = settings.write(clock.now())?;
        start_log(&config)?;
        let service = service(config).await?;
        let person = fill(&service, &dir).await?;
        office::fill(&service).await?;
        let token = service.mint_token("vneid-backend", TOKEN_SECONDS).await?;
        service.refresh_published().await?;
        let (sign_in_url, office_url) = (vneid.url.clone(), office.url.clone());
        let ready = Ready { url, dir, token, person, sign_in_url, office_url, redirect_uri, products };
        keyring::write_new(&ready.dir.join("demo.json"), format!("{}\n", ready.to_json()).as_bytes())?;
        if self.json {
            println!("{}", ready.to_json());
        } else {
            let request = OfferRequest {
                person: ready.person.clone(),
                assurance_level: 2,
                configurations: Vec::new(),
                unit: None,
                grants: Vec::new(),
                idempotency_key: None,
            };
            guide::print(&ready, &service.make_offer(&operator(), request).await?)?;
        }
        serve::serve(service, listener, None, told).await
    }
}

impl Ready {
    fn to_json(&self) -> serde_json::Value {
        let Self { url, dir, .. } = self;
        let [attested, keyed] = &self.products;
        json!({
            "url": url,
            "backend_token": self.token,
            "person": self.person.expose(),
            "trust_anchor_pem_file": dir.join("keys/root.pem"),
            "iaca_pem_file": dir.join("keys/iaca.pem"),
            "config": dir.join("officials-card.toml"),
            "dir": dir,
            "pages": {"start": format!("{url}/"), "docs": format!("{url}/docs"), "wallet": format!("{url}/demo/wallet"), "office": format!("{url}/office/")},
            "personnel_file": dir.join("personnel.csv"),
            "sign_in": {"issuer": self.sign_in_url, "password": PASSWORD},
            "office": office::to_json(&self.office_url, PASSWORD),
            // Who can sign in, and what comes of it.
            "people": {
                "verified": VERIFIED.person,
                "under_review": UNDER_REVIEW.person,
                "under_review_unit": UNDER_REVIEW.unit,
                "under_review_number": UNDER_REVIEW.number,
                "none": NO_RECORD,
            },
            "wallet": {
                "client_id": attested.client_id,
                "redirect_uri": self.redirect_uri,
                "attester_key_file": dir.join("attester.jwk"),
                "attester_root_pem_file": dir.join("attester-root.pem"),
                "product_file": attested.file,
            },
            "wallet_b": {
                "client_id": keyed.client_id,
                "redirect_uri": self.redirect_uri,
                "client_key_file": dir.join(format!("{}.jwk", keyed.client_id)),
                "product_file": keyed.file,
            },
        })
    }
}

/// An empty folder of ours: an earlier demo in it is replaced, anything else is left alone.
fn fresh_folder(dir: Option<PathBuf>) -> Result<PathBuf> {
    let fault = |error: std::io::Error| Fault::new("making the demo folder", error);
    let dir = dir.unwrap_or_else(|| {
        let name = u64::from_be_bytes(Chance::system().bytes());
        std::env::temp_dir().join(format!("officials-card-demo-{name:016x}"))
    });
    if dir.join(MARK).exists() {
        std::fs::remove_dir_all(&dir).map_err(fault)?;
    }
    // Nobody else's business: keys, tokens and (synthetic) records.
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(fault)?;
    if std::fs::read_dir(&dir).map_err(fault)?.next().is_some() {
        return Err(Refusal::malformed(dir.display().to_string(), "is neither empty nor an earlier demo").into());
    }
    std::fs::write(dir.join(MARK), "").map_err(fault)?;
    std::fs::canonicalize(dir).map_err(|error| fault(error).into())
}

fn written(dir: &Path, name: &str, text: &[u8]) -> Result<PathBuf> {
    let file = dir.join(name);
    std::fs::write(&file, text).map_err(|error| Fault::new("writing the sample data", error))?;
    Ok(file)
}

/// A port where a wallet can wait for its browser. Redirect URIs are compared byte for byte, so it is chosen beforehand.
async fn free_port() -> Result<u16> {
    let doing = "looking for a free port";
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| Fault::new(doing, error))?;
    Ok(listener.local_addr().map_err(|error| Fault::new(doing, error))?.port())
}

/// Imports the sample, matches and confirms it, but for one record that comes later. Returns a person who can be tried.
async fn fill(service: &Service, dir: &Path) -> Result<PersonalNumber> {
    let (store, clock) = (service.store(), &service.clock);
    import_units(store, &written(dir, "units.csv", UNITS)?, "demo", clock.now()).await?;
    import_codes(store, &written(dir, "labels.csv", LABELS)?, "demo", clock.now()).await?;
    let (confirmed, unconfirmed) = split(RECORDS, UNDER_REVIEW.number.as_bytes());
    take_in(service, dir, "personnel.csv", &confirmed).await?;
    for unit in store.units_with_records().await? {
        confirm(store, clock, &unit, Confirmed::All, "demo").await?;
    }
    take_in(service, dir, "personnel-new.csv", &unconfirmed).await?;
    let somebody = service.somebody_verified(&operator()).await?;
    somebody.ok_or_else(|| Fault::new("filling the demo", "no sample record is verified").into())
}

/// Imports a personnel file and matches its records.
async fn take_in(service: &Service, dir: &Path, name: &str, records: &[u8]) -> Result<()> {
    let (store, clock) = (service.store(), &service.clock);
    let request = ImportRequest {
        file: written(dir, name, records)?,
        format: Format::Csv,
        dry_run: false,
        rejects: dir.join(format!("{name}.rejects.csv")),
        actor: "demo".into(),
    };
    import(store, clock, &service.chance, request, |_| {}).await?;
    if let Some(gateway) = service.registry() {
        let asker = Asker { officer: "demo".into(), purpose: "demo: match of the sample".into(), pause_seconds: 0 };
        match_pending(store, clock, &gateway.background(), &asker, |_| {}).await?;
    }
    Ok(())
}

/// A file without, and one with only, the rows that start with `number`; both with the header. No row of the sample spans
/// several lines.
fn split(file: &[u8], number: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut others, mut meant) = (Vec::new(), Vec::new());
    for (place, line) in file.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if place == 0 || !line.starts_with(number) {
            others.extend_from_slice(line);
        }
        if place == 0 || line.starts_with(number) {
            meant.extend_from_slice(line);
        }
    }
    (others, meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_holds_whom_the_guide_names() {
        let text = String::from_utf8_lossy(RECORDS);
        let population = String::from_utf8_lossy(POPULATION);
        for Somebody { person, unit, number } in [VERIFIED, UNDER_REVIEW] {
            assert!(PersonalNumber::parse(person).is_some());
            let rows: Vec<_> = text.lines().filter(|line| line.contains(person)).collect();
            let [row] = rows.as_slice() else { panic!("{person} has one row") };
            assert!(row.starts_with(&format!("{number},")) && row.contains(&format!(",{unit},")));
            assert!(population.contains(person));
        }
        assert!(PersonalNumber::parse(NO_RECORD).is_some() && !text.contains(NO_RECORD));
        let (others, meant) = split(RECORDS, UNDER_REVIEW.number.as_bytes());
        assert_eq!(others.len() + meant.len(), RECORDS.len() + text.lines().next().unwrap_or_default().len() + 1);
        assert_eq!(meant.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count(), 2);
    }
}
