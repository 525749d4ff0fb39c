//! `officials-card records …`, `units import` and `codes import`: the stories of enrolment from a terminal.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use crate::chance::Chance;
use crate::clock::Clock;
use crate::config::Population;
use crate::error::{Error, Refusal, Result};
use crate::flow::enroll::{self, Asker};
use crate::flow::import::{self, Format, ImportRequest, Seen};
use crate::flow::lists::{ListSummary, import_codes, import_units};
use crate::model::quality::{Measure, flags};
use crate::model::record::RecordKey;
use crate::remote::population::Gateway;
use crate::store::{Confirmed, Store};

/// Seconds of a minute.
const MINUTE: i64 = 60;

/// What the commands work with.
pub struct RecordsContext {
    /// The store.
    pub store: Store,
    /// Time.
    pub clock: Clock,
    /// Chance.
    pub chance: Chance,
    /// The population registry, when one is configured.
    pub population: Option<Population>,
}

/// `officials-card records …`
#[derive(Debug, Subcommand)]
pub enum RecordsCommand {
    /// Nhập tệp hồ sơ (XLSX, CSV hoặc NDJSON) / import a personnel file
    Import(ImportArguments),
    /// Đối khớp với CSDLQG về dân cư / match pending records with the population database
    Match {
        /// Cán bộ tra cứu / the officer who asks
        #[arg(long)]
        officer: String,
        /// Mục đích tra cứu / why
        #[arg(long, default_value = "cấp thẻ cán bộ, công chức, viên chức")]
        purpose: String,
        /// Thời gian chờ mỗi câu trả lời, giây / how long an answer may take, in seconds; as configured unless given
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=120))]
        timeout_seconds: Option<u64>,
    },
    /// Tình trạng đối khớp / how the match with the population database stands
    Population,
    /// Đơn vị xác nhận hồ sơ / the unit confirms its records
    Confirm {
        /// Mã đơn vị quản lý / code of the managing unit
        #[arg(long)]
        unit: String,
        /// Số hiệu; lặp lại được; bỏ trống là tất cả / numbers; without any, all of the unit and below
        #[arg(long)]
        number: Vec<String>,
        /// Người xác nhận / the officer who confirms
        #[arg(long)]
        officer: String,
    },
    /// Xem chất lượng một hồ sơ / show how good a record is, without its values
    Show {
        /// Mã đơn vị quản lý / code of the managing unit
        #[arg(long)]
        unit: String,
        /// Số hiệu do đơn vị cấp / the number that the unit gave
        #[arg(long)]
        number: String,
    },
}

/// `officials-card units …` and `officials-card codes …`
#[derive(Debug, Subcommand)]
pub enum ListCommand {
    /// Nạp danh mục từ CSV / load the list from CSV
    Import {
        /// Tệp CSV / the file
        file: PathBuf,
        /// Người nạp / who loads it
        #[arg(long, default_value = "operator")]
        officer: String,
    },
}

/// `officials-card records import`
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// Tệp hồ sơ / the file
    file: PathBuf,
    /// Định dạng; mặc định theo đuôi tệp / the form; by the file's ending unless given
    #[arg(long, value_enum)]
    format: Option<FormatArgument>,
    /// Chỉ kiểm tra, không ghi / only say what would happen; a number that comes twice in one file is noticed among its
    /// first 900,000
    #[arg(long)]
    dry_run: bool,
    /// Tệp ghi dòng bị loại; mặc định FILE.rejects.csv / where rejected rows go
    #[arg(long)]
    rejects: Option<PathBuf>,
    /// Người nhập / who imports
    #[arg(long, default_value = "operator")]
    officer: String,
}

/// The forms of a personnel file on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FormatArgument {
    /// CSV.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// A workbook.
    Xlsx,
}

impl RecordsCommand {
    /// Runs the command.
    pub async fn run(self, context: RecordsContext) -> Result<()> {
        let RecordsContext { store, clock, .. } = &context;
        match self {
            Self::Import(arguments) => arguments.run(&context).await,
            Self::Match { officer, purpose, timeout_seconds } => {
                let asker = Asker { officer, purpose, pause_seconds: 0 };
                match_records(&context, &asker, timeout_seconds).await
            }
            Self::Population => population(&context).await,
            Self::Confirm { unit, number, officer } => {
                let which = if number.is_empty() { Confirmed::All } else { Confirmed::Numbers(number) };
                let confirmed = enroll::confirm(store, clock, &unit, which, &officer).await?;
                println!("Đã xác nhận {confirmed} hồ sơ / {confirmed} records confirmed");
                Ok(())
            }
            Self::Show { unit, number } => show(&context, RecordKey { unit, number }).await,
        }
    }
}

impl ListCommand {
    /// `officials-card units import`
    pub async fn run_units(self, context: RecordsContext) -> Result<()> {
        let Self::Import { file, officer } = self;
        tell(&import_units(&context.store, &file, &officer, context.clock.now()).await?)
    }

    /// `officials-card codes import`
    pub async fn run_codes(self, context: RecordsContext) -> Result<()> {
        let Self::Import { file, officer } = self;
        tell(&import_codes(&context.store, &file, &officer, context.clock.now()).await?)
    }
}

fn tell(summary: &ListSummary) -> Result<()> {
    for fault in &summary.faults {
        eprintln!("{fault}");
    }
    let (changed, faulty) = (summary.changed, summary.faults.len());
    println!(
        "Đã nạp hoặc đổi {changed}, bỏ qua {faulty} dòng lỗi / {changed} loaded or changed, {faulty} faulty rows left out"
    );
    if faulty == 0 { Ok(()) } else { Err(Refusal::malformed("list", format!("{faulty} rows were left out")).into()) }
}

impl ImportArguments {
    async fn run(self, context: &RecordsContext) -> Result<()> {
        let format = match self.format {
            Some(FormatArgument::Csv) => Format::Csv,
            Some(FormatArgument::Ndjson) => Format::Ndjson,
            Some(FormatArgument::Xlsx) => Format::Xlsx,
            None => Format::of(&self.file),
        };
        let rejects = self.rejects.unwrap_or_else(|| {
            let mut name = self.file.clone().into_os_string();
            name.push(".rejects.csv");
            name.into()
        });
        let (rejects_name, dry_run) = (rejects.display().to_string(), self.dry_run);
        let request = ImportRequest { file: self.file, format, dry_run, rejects, actor: self.officer };
        let mut meter = Meter::new();
        let summary =
            import::import(&context.store, &context.clock, &context.chance, request, |seen| meter.show(seen)).await;
        meter.finish();
        let summary = summary.map_err(Error::from)?;
        if let Some(line) = summary.resumed_after {
            println!("Tiếp tục lần nhập dở dang sau dòng {line} / continued an unfinished import after line {line}");
        }
        if dry_run {
            println!("Chạy thử, không ghi gì / dry run, nothing written");
        }
        let import::ImportSummary { new, changed, unchanged, rejected, waiting, .. } = summary;
        println!(
            "Mới {new}, thay đổi {changed}, giữ nguyên {unchanged}, bị loại {rejected} / new {new}, changed {changed}, unchanged {unchanged}, rejected {rejected}"
        );
        if waiting > 0 {
            println!(
                "{waiting} hồ sơ có thay đổi chờ đến ngày hiệu lực / {waiting} records have changes that wait for their day"
            );
        }
        if new + changed + waiting == 0 {
            println!("Không có gì thay đổi / nothing changed");
        }
        if rejected > 0 {
            println!("Các dòng bị loại: {rejects_name} / rejected rows: {rejects_name}");
        }
        Ok(())
    }
}

async fn match_records(context: &RecordsContext, asker: &Asker, timeout_seconds: Option<u64>) -> Result<()> {
    let Some(settings) = &context.population else {
        let rule = "chưa cấu hình / not configured (OFFICIALS_CARD_POPULATION_URL)";
        return Err(Refusal::malformed("population", rule).into());
    };
    let mut settings = settings.clone();
    settings.timeout_seconds = timeout_seconds.unwrap_or(settings.timeout_seconds);
    let gateway = Gateway::new(&settings, context.clock.clone(), &context.chance)?;
    let (store, clock) = (&context.store, &context.clock);
    let summary = enroll::match_pending(store, clock, &gateway.background(), asker, |so_far| {
        eprintln!("… {} khớp / matched", so_far.matched);
    })
    .await?;
    println!("Khớp / matched: {}", summary.matched);
    println!("Không tìm thấy / not found: {}", summary.not_found);
    println!("Sai lệch / mismatched: {}", summary.mismatched);
    println!("Chưa hỏi được, sẽ hỏi lại / unreachable, to be asked again: {}", summary.unreachable);
    if summary.incomplete + summary.overtaken > 0 {
        println!("Thiếu ngày sinh hoặc số / without birth date or number: {}", summary.incomplete);
        println!("Đã có phiên bản mới / overtaken by a new version: {}", summary.overtaken);
    }
    if summary.locked + summary.released > 0 {
        println!("Thẻ tạm khóa / cards locked: {}, mở lại / given back: {}", summary.locked, summary.released);
    }
    Ok(())
}

/// What the operator looks at: how much there is to do and whether it goes on.
async fn population(context: &RecordsContext) -> Result<()> {
    let now = context.clock.now();
    let state = context.store.population_state(now - MINUTE).await?;
    let ago = |at: Option<i64>| at.map_or("—".to_owned(), |at| format!("{} s", now - at));
    println!("Chờ đối khớp / pending: {}, lâu nhất / oldest: {}", state.pending, ago(state.oldest_pending_at));
    println!("  do CSDL dân cư thay đổi / changed at the registry: {}", state.changed_at_the_registry);
    println!("  chưa có trả lời / asked in vain: {}", state.unanswered);
    println!("Trả lời trong phút qua / answers in the last minute: {}", state.answers);
    println!("Trả lời gần nhất / last answer: {}", ago(state.last_answer_at));
    println!("Sai lệch / mismatched: {}, không tìm thấy / not found: {}", state.mismatched, state.not_found);
    println!("Thẻ đang tạm khóa / cards locked for it: {}", state.locked_cards);
    if let Some(feed) = context.store.population_feed().await? {
        println!(
            "Nhật ký thay đổi đọc đến / change feed read up to: {} ({})",
            ago(Some(feed.through / 1000)),
            feed.outcome
        );
    }
    Ok(())
}

async fn show(context: &RecordsContext, key: RecordKey) -> Result<()> {
    let stored = context.store.record(&key).await?.ok_or(Refusal::NotFound("record"))?;
    println!("{} {}", key.unit, key.number);
    println!("Phiên bản / version: {}", stored.version);
    if let Some(number) = stored.record.personal_number() {
        println!("Số định danh / personal number: {number}");
    }
    let flags = match context.store.quality_of(&stored.handle, stored.version).await? {
        Some(found) => found.iter().collect(),
        None => flags(&stored.record, &stored.standing, context.clock.now()),
    };
    for measure in Measure::ALL {
        let against: Vec<_> = flags.iter().filter(|flag| flag.measure() == measure).collect();
        let verdict = if against.is_empty() { "đạt / yes" } else { "chưa / no" };
        println!("{} / {}: {verdict}", measure.word_vi(), measure.word_en());
        for (vi, en) in against.into_iter().map(|flag| flag.messages()) {
            println!("  - {vi} / {en}");
        }
    }
    Ok(())
}

/// Rate and remaining time: a bar at a terminal, a line now and then elsewhere. On standard error.
struct Meter {
    bar: ProgressBar,
    plain: bool,
    told_at: u64,
}

impl Meter {
    fn new() -> Self {
        let plain = !std::io::stderr().is_terminal();
        let bar = if plain { ProgressBar::hidden() } else { ProgressBar::new(0) };
        let template = "{wide_bar} {percent}% {msg} {binary_bytes_per_sec}, còn/left {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, plain, told_at: 0 }
    }

    fn show(&mut self, seen: Seen) {
        self.bar.set_length(seen.bytes_total);
        self.bar.set_position(seen.bytes);
        let seconds = self.bar.elapsed().as_secs_f64().max(0.001);
        let share = |part: u64, whole: f64| f64::from(u32::try_from(part).unwrap_or(u32::MAX)) / whole;
        let rate = share(seen.rows, seconds);
        self.bar.set_message(format!("{} dòng/rows, {rate:.0}/s", seen.rows));
        // Every tenth of the file is enough for a log.
        let tenth = seen.bytes * 10 / seen.bytes_total.max(1);
        if self.plain && tenth > self.told_at {
            self.told_at = tenth;
            let left = seconds * share(10 - tenth.min(10), 1.0) / share(tenth, 1.0);
            eprintln!("{} dòng/rows, {}%, {rate:.0}/s, còn/left {left:.0} s", seen.rows, tenth * 10);
        }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
