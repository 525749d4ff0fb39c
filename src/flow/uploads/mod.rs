//! A unit without a system uploads a filled-in form: received, checked row by row without storing anything in records, shown
//! with its faults, and, when somebody submits it, written by the same path as every other record.
//!
//! ```text
//! POST        file → vault.rs (outside the database, encrypted)           receiving → checking
//! check.rs    file → rows (flow/import) → what each would do → rows table             → checked | failed
//! POST submit                                                             checked   → submitting
//! submit.rs   file → the same rows → take_batch / receive                             → done
//! rejects.rs  file → the rows with faults and conflicts, as a file that comes in again
//! ```
//!
//! The work on a file goes on in the background. It is claimed for [`LEASE_SECONDS`], which each durable step renews: a
//! killed process loses its claim, and another goes on after the last durable line. Writing a row twice changes nothing.

mod check;
mod rejects;
mod submit;
mod told;
mod vault;

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use time::Date;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use self::vault::Vault;
use super::import::read::{Batch, Input, Wanted, read_batches};
use super::import::{Format, ImportError};
use super::receive::MOST_DAYS_AHEAD;
use super::{Caller, Service, is_random_name};
use crate::chance::Chance;
use crate::clock::{DAY_SECONDS, UnixSeconds};
use crate::config::Uploads;
use crate::error::{Error, Fault, Refusal, Result};
use crate::model::calendar::{day_of, start_of};
use crate::model::upload::UploadState;
pub use crate::store::Upload;
use crate::store::{NewUpload, ReceivedFile, UploadClaim, UploadFilter};

pub use self::rejects::RejectsForm;
pub use self::told::{ChangedField, PAGE_ROWS, ToldFault, UploadRowPage, UploadRowView, WaitsBeside};

/// How long a claim on an upload lasts unless a step renews it.
pub const LEASE_SECONDS: i64 = 60;
/// How long a file may be on its way until it counts as broken off.
const BROKEN_OFF_SECONDS: i64 = 3_600;
/// How long the sender of a file may pause.
const PAUSE: Duration = Duration::from_secs(30);
/// How often an upload is taken up without getting any further until it is given up: a file must not kill one process after
/// another.
const ATTEMPTS: i64 = 5;
/// Uploads looked at by one round in the background.
const ROUND: i64 = 20;
/// Rows of one step.
const BATCH: usize = 1_000;
/// Most uploads of a page.
pub const PAGE_UPLOADS: i64 = 100;
/// Files that come at the same time in this process.
const RECEIVING: usize = 8;
/// How often somebody who follows an upload is told.
const LOOK: Duration = Duration::from_millis(250);
/// The longest name of a file.
const MAX_NAME: usize = 120;

/// What a list of uploads is asked to have.
#[derive(Clone, Debug, Default)]
pub struct UploadsRequest {
    /// Of this unit and below.
    pub unit: Option<String>,
    /// In this state.
    pub state: Option<UploadState>,
    /// After this place of a list.
    pub after: Option<String>,
    /// At most so many, 1 to [`PAGE_UPLOADS`].
    pub limit: i64,
}

/// What is asked of a submission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Submission {
    /// The day from which the rows hold; at once when absent.
    pub effective_on: Option<Date>,
    /// Rows with faults are left out; without it an upload with faults is refused.
    pub only_good_rows: bool,
}

impl Service {
    /// Receives a file for a unit, and has it checked in the background. `parts` are its bytes as they come.
    ///
    /// # Errors
    ///
    /// [`Refusal::ForeignUnit`], [`Refusal::Malformed`] for a unit that does not exist, a file that is empty, broke off or
    /// came too slowly, [`Refusal::TooMuch`] for one that is too large, [`Refusal::Busy`] when too many come.
    pub async fn receive_upload<P, E>(
        &self,
        caller: &Caller,
        unit: &str,
        name: &str,
        parts: impl Stream<Item = Result<P, E>> + Send,
    ) -> Result<Upload>
    where
        P: AsRef<[u8]> + Send,
        E: Send,
    {
        caller.needs("records:write")?;
        let unit = self.known_unit(caller, unit).await?;
        let name = crate::model::text::normalised(name);
        if name.chars().count() > MAX_NAME || name.chars().any(crate::model::text::is_invisible) {
            return Err(Refusal::malformed("name", format!("must be at most {MAX_NAME} visible characters")).into());
        }
        let _place = self.upload_place()?;
        let id = self.random_name();
        let (uploaded_by, at) = (caller.name.clone(), self.clock.now());
        let new = NewUpload { id: id.clone(), unit: unit.to_string(), name: name.into_owned(), uploaded_by, at };
        self.store.begin_upload(new).await?;
        let vault = self.vault(&id)?;
        let received = match self.keep(&vault, parts).await {
            Ok(file) => self.store.upload_received(&id, file).await,
            Err(error) => Err(error),
        };
        if !matches!(received, Ok(true)) {
            vault.delete()?;
            // It never was one: nobody is shown it.
            let _ = self.store.clear_upload(&id, &caller.name, self.clock.now()).await;
            return Err(received.err().unwrap_or_else(|| Refusal::Gone("upload").into()));
        }
        self.work_soon(&id);
        self.upload_named(&id).await
    }

    async fn keep<P: AsRef<[u8]>, E>(
        &self,
        vault: &Vault,
        parts: impl Stream<Item = Result<P, E>>,
    ) -> Result<ReceivedFile> {
        let limits = &self.config.uploads;
        let until = Instant::now() + Duration::from_secs(limits.receive_seconds);
        let mut sealer = vault.create()?;
        let mut parts = std::pin::pin!(parts);
        let mut first = Vec::new();
        loop {
            let Ok(part) = tokio::time::timeout_at(until.min(Instant::now() + PAUSE), parts.next()).await else {
                return Err(Refusal::malformed("body", "came too slowly").into());
            };
            let Some(part) = part else { break };
            let part = part.map_err(|_| Refusal::malformed("body", "broke off"))?;
            let part = part.as_ref();
            if sealer.bytes() + part.len() as u64 > limits.bytes {
                return Err(Refusal::TooMuch(format!("the file is larger than {} bytes", limits.bytes)).into());
            }
            if first.len() < 4 {
                first.extend_from_slice(&part[..part.len().min(4)]);
            }
            // Sixty-four kilobytes at a time, and the page cache takes them: as fast as a socket.
            sealer.write(part)?;
        }
        if sealer.bytes() == 0 {
            return Err(Refusal::malformed("body", "must be the file itself").into());
        }
        // The beginning of an archive, or of the compound file that the reader of workbooks refuses by name.
        let is_workbook = first.starts_with(b"PK") || first.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]);
        let sealed = spawn_blocking(move || sealer.finish()).await;
        let sealed = sealed.map_err(|error| Fault::new("keeping an uploaded file", error))??;
        let bytes = i64::try_from(sealed.bytes).unwrap_or(i64::MAX);
        Ok(ReceivedFile { format: if is_workbook { "xlsx" } else { "csv" }, bytes, sha256: sealed.sha256 })
    }

    /// An upload that the caller may see.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] for any other.
    pub async fn upload(&self, caller: &Caller, id: &str) -> Result<Upload> {
        caller.needs("records:write")?;
        if !is_random_name(id) {
            return Err(Refusal::NotFound("upload").into());
        }
        let found = self.store.upload(id).await?.filter(|upload| caller.sees(&upload.unit));
        found.ok_or_else(|| Refusal::NotFound("upload").into())
    }

    /// The uploads that the caller may see, the newest first, and where the next page begins.
    pub async fn uploads(&self, caller: &Caller, request: UploadsRequest) -> Result<(Vec<Upload>, Option<String>)> {
        caller.needs("records:write")?;
        request.unit.as_deref().map_or(Ok(()), |unit| caller.may_touch(unit))?;
        let place = |after: &String| {
            let (at, id) = after.split_once('.')?;
            is_random_name(id).then_some((at.parse().ok()?, id.to_owned()))
        };
        let before = match &request.after {
            None => None,
            Some(after) => {
                Some(place(after).ok_or_else(|| Refusal::malformed("after", "must be a place of this list"))?)
            }
        };
        let units = caller.units().map(<[_]>::to_vec);
        let filter = UploadFilter { units, unit: request.unit, state: request.state, before };
        let limit = request.limit.clamp(1, PAGE_UPLOADS);
        let mut uploads = self.store.uploads(&filter, limit + 1).await?;
        let more = uploads.len() > usize::try_from(limit).unwrap_or(usize::MAX);
        uploads.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let next = uploads.last().filter(|_| more).map(|last| format!("{}.{}", last.created_at, last.id));
        Ok((uploads, next))
    }

    /// An upload as it stands, once it stands otherwise than `seen`, or has come to rest.
    pub async fn next_upload(&self, id: &str, seen: Option<&Upload>) -> Result<Upload> {
        loop {
            let upload = self.upload_named(id).await?;
            if seen != Some(&upload) || upload.state.rests() {
                return Ok(upload);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A place for a stream of an upload's states, which the caller may see.
    pub async fn upload_stream(&self, caller: &Caller, id: &str) -> Result<super::Place> {
        self.upload(caller, id).await?;
        Ok(self.waiting_place("streams of uploads")?)
    }

    /// When file and rows of an upload are cleared away.
    pub fn upload_expires_at(&self, created_at: UnixSeconds) -> UnixSeconds {
        created_at + self.config.uploads.keep_days * DAY_SECONDS
    }

    /// Rows a second of the work that goes on; `None` when it rests or has just begun.
    #[allow(clippy::cast_precision_loss)]
    pub fn upload_rate(&self, upload: &Upload) -> Option<f64> {
        let (began_at, began_rows, _) = upload.began.filter(|_| !upload.state.rests())?;
        let seconds = self.clock.now() - began_at;
        (seconds > 0).then(|| (upload.rows_done - began_rows) as f64 / seconds as f64)
    }

    /// Seconds that the work still takes, as far as the bytes read so far tell.
    pub fn upload_remaining(&self, upload: &Upload) -> Option<i64> {
        if upload.state.rests() {
            return None;
        }
        let (began_at, _, began_bytes) = upload.began?;
        let (seconds, done) = (self.clock.now() - began_at, upload.bytes_done - began_bytes);
        (seconds > 0 && done > 0).then(|| seconds * (upload.bytes - upload.bytes_done).max(0) / done)
    }

    /// Has the good rows of an upload written, in the background. The same submission again changes nothing.
    ///
    /// # Errors
    ///
    /// [`Refusal::UploadState`] for an upload that is not checked, that has faults which are not to be left out, or that was
    /// submitted otherwise; [`Refusal::Malformed`] for a day that is not ahead, or too far.
    pub async fn submit_upload(&self, caller: &Caller, id: &str, submission: Submission) -> Result<Upload> {
        let upload = self.upload(caller, id).await?;
        caller.may_touch(&upload.unit)?;
        let now = self.clock.now();
        if matches!(upload.state, UploadState::Submitting | UploadState::Done) {
            let earlier = Submission {
                effective_on: upload.effective_on,
                only_good_rows: upload.only_good_rows.unwrap_or_default(),
            };
            let refusal = Refusal::UploadState("was submitted already, and otherwise");
            return if earlier == submission { Ok(upload) } else { Err(refusal.into()) };
        }
        if let Some(on) = submission.effective_on {
            let ahead = (on - day_of(now)).whole_days();
            if !(1..=MOST_DAYS_AHEAD).contains(&ahead) {
                let rule = format!("must be a day ahead, at most {MOST_DAYS_AHEAD} days from now");
                return Err(Refusal::malformed("effective_on", rule).into());
            }
        }
        let Submission { effective_on, only_good_rows } = submission;
        if !self.store.submit_upload(id, effective_on, only_good_rows, &caller.name, now).await? {
            let upload = self.upload(caller, id).await?;
            return Err(Refusal::UploadState(match upload.state {
                UploadState::Checked if upload.cleared_at.is_none() => {
                    "has rows with faults: leave them out, or mend them"
                }
                UploadState::Submitting | UploadState::Done => "was submitted already, and otherwise",
                UploadState::Receiving | UploadState::Checking => "is not checked yet",
                _ => "is over",
            })
            .into());
        }
        self.work_soon(id);
        self.upload_named(id).await
    }

    /// Takes an upload back, or deletes what is kept of one: its file and its rows. What was written to records stays.
    ///
    /// # Errors
    ///
    /// [`Refusal::UploadState`] while its rows are written.
    pub async fn delete_upload(&self, caller: &Caller, id: &str) -> Result<()> {
        let upload = self.upload(caller, id).await?;
        caller.may_touch(&upload.unit)?;
        if upload.cleared_at.is_some() {
            return Ok(());
        }
        self.store.clear_upload(id, &caller.name, self.clock.now()).await?;
        Ok(self.vault(id)?.delete()?)
    }

    /// Works on every upload that waits for it, one after the other. Returns how many were taken up.
    pub async fn work_on_uploads(&self) -> Result<u64> {
        let mut worked = 0;
        for id in self.store.uploads_to_do(self.clock.now(), ROUND).await? {
            worked += u64::from(self.work_on(&id).await?);
        }
        Ok(worked)
    }

    /// Clears away files that never came whole, and uploads that are old. Returns how many.
    pub async fn clear_uploads(&self) -> Result<u64> {
        let now = self.clock.now();
        let mut cleared = 0;
        for id in self.store.uploads_broken_off(now - BROKEN_OFF_SECONDS, ROUND).await? {
            self.vault(&id)?.delete()?;
            self.store.clear_upload(&id, "system", now).await?;
            cleared += 1;
        }
        let old = now - self.config.uploads.keep_days * DAY_SECONDS;
        for id in self.store.uploads_to_clear(old, ROUND).await? {
            self.store.clear_upload(&id, "system", now).await?;
            self.vault(&id)?.delete()?;
            cleared += 1;
        }
        Ok(cleared)
    }

    /// Works on an upload now if there is room in this process; the round in the background does otherwise.
    fn work_soon(&self, id: &str) {
        let (service, id) = (self.clone(), id.to_owned());
        tokio::spawn(async move {
            tokio::select! {
                worked = service.work_on(&id) => {
                    if let Err(error) = worked {
                        tracing::error!(%error, "the work on an upload failed");
                    }
                }
                // The claim ends by itself.
                () = service.stopped() => {}
            }
        });
    }

    /// Works on one upload until it rests; `false` if somebody else does.
    async fn work_on(&self, id: &str) -> Result<bool> {
        let _place = self.work_place().await?;
        let vault = self.vault(id)?;
        if !vault.has_file() {
            // It lies on the machine of another process, or was deleted a moment ago.
            return Ok(false);
        }
        let now = self.clock.now();
        let Some((upload, claim, attempts)) = self.store.claim_upload(id, now, now + LEASE_SECONDS).await? else {
            return Ok(false);
        };
        if attempts > ATTEMPTS {
            let fault = told::GIVEN_UP.map(str::to_owned);
            self.store.fail_upload(id, fault.into(), now).await?;
            return Ok(true);
        }
        let state = upload.state;
        let worked = match state {
            UploadState::Checking => self.check(&upload, claim.clone(), &vault).await,
            _ => self.write(&upload, claim.clone(), &vault).await,
        };
        match worked {
            Ok(true) => {
                self.store.end_upload_work(&claim, state, self.clock.now()).await?;
            }
            // Somebody else has the claim, or took the upload back.
            Ok(false) => {}
            Err(ImportError::Store(error)) => return Err(error),
            Err(error) => {
                self.store.fail_upload(id, told::file_fault(&error), self.clock.now()).await?;
            }
        }
        Ok(true)
    }

    fn vault(&self, id: &str) -> Result<Vault, Fault> {
        Vault::new(&self.keys.secret, &self.config.data_dir, id)
    }

    async fn upload_named(&self, id: &str) -> Result<Upload> {
        self.store.upload(id).await?.ok_or_else(|| Refusal::NotFound("upload").into())
    }

    /// Reads the rows of an upload's file in a thread of its own, at most one batch ahead.
    async fn batches(&self, upload: &Upload, vault: &Vault) -> Result<Batches, Error> {
        let day = day_of(self.clock.now());
        let knowledge = (self.store.unit_register(day).await?, self.store.code_book().await?);
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let names = Chance::seeded(self.chance.bytes());
        let wanted = Wanted {
            unit: Some(upload.unit.clone()),
            keys_once: true,
            most_rows: Some(self.config.uploads.rows),
            batch: Some(BATCH),
        };
        let format = format_of(upload);
        let bytes = vault.read()?;
        let reader =
            spawn_blocking(move || read_batches(Input::Bytes(bytes), format, &knowledge, &names, wanted, &sender));
        Ok(Batches { receiver, reader })
    }

    /// The claim, renewed.
    fn renewed(&self, claim: &UploadClaim) -> UploadClaim {
        UploadClaim { until: self.clock.now() + LEASE_SECONDS, ..claim.clone() }
    }
}

/// Room for what takes long and much memory.
pub(super) struct Places {
    receiving: Semaphore,
    working: Semaphore,
}

impl Places {
    pub(super) fn new(settings: &Uploads) -> Self {
        Self { receiving: Semaphore::new(RECEIVING), working: Semaphore::new(settings.at_once) }
    }
}

impl Service {
    fn upload_place(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        self.uploading.receiving.try_acquire().map_err(|_| Refusal::Busy("uploads"))
    }

    async fn work_place(&self) -> Result<SemaphorePermit<'_>, Fault> {
        let place = self.uploading.working.acquire().await;
        place.map_err(|error| Fault::new("working on an upload", error))
    }
}

/// Batches of rows as they are read.
struct Batches {
    receiver: tokio::sync::mpsc::Receiver<Batch>,
    reader: tokio::task::JoinHandle<Result<(), ImportError>>,
}

impl Batches {
    async fn next(&mut self) -> Option<Batch> {
        self.receiver.recv().await
    }

    /// How the reading ended.
    async fn end(self) -> Result<(), ImportError> {
        drop(self.receiver);
        self.reader.await.map_err(|error| Fault::new("reading an upload", error))?
    }
}

fn format_of(upload: &Upload) -> Format {
    if upload.format == "xlsx" { Format::Xlsx } else { Format::Csv }
}

/// The day from which a status holds, if it lies ahead.
fn waits(status_on: Option<Date>, now: UnixSeconds) -> Option<Date> {
    status_on.filter(|on| start_of(*on) > now)
}
