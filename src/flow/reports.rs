//! The monthly report on the quality of the records of a unit: what it holds, and the same as a spreadsheet.

use std::collections::HashMap;

use time::Date;
use tokio::task::spawn_blocking;

use super::quality::{Cell, DayScores, Sheet, Table, TableForm, UnitScores, quality_unit};
use super::{Caller, Service};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Refusal, Result};
use crate::model::calendar::{Month, day_of};
use crate::model::quality::Flag;
use crate::model::quality::score::{Score, Tally, counted_for};

/// Units one level below that a report lists.
const MOST_UNITS: usize = 5_000;
/// Causes that it lists.
const CAUSES: usize = 10;

/// One line of the report: a unit one level below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportUnit {
    /// Its scores.
    pub scores: UnitScores,
    /// Those at the end of the month before.
    pub previous: Option<Tally>,
    /// When its own approval of the month was made.
    pub approved_at: Option<UnixSeconds>,
}

/// An approval that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportApproval {
    /// The unit.
    pub unit: String,
    /// By whom.
    pub approver: String,
    /// When.
    pub approved_at: UnixSeconds,
    /// Whether after the month.
    pub late: bool,
}

/// The report of a unit and a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonthlyReport {
    /// The month.
    pub month: Month,
    /// The unit with its scores.
    pub unit: UnitScores,
    /// The day that the scores are of: the last of the month, or today.
    pub as_of: Date,
    /// The end of the month before.
    pub previous: Option<DayScores>,
    /// The units one level below.
    pub units: Vec<ReportUnit>,
    /// The ten worst causes.
    pub causes: Vec<(Flag, i64)>,
    /// Records with a change that waited longer than allowed at the end of that day, and still did. What was confirmed late
    /// by then is not counted.
    pub confirmations_late: i64,
    /// Cards made in the month.
    pub cards_issued: i64,
    /// Cards withdrawn in the month.
    pub cards_withdrawn: i64,
    /// Approvals of the month, of the unit and of units below it.
    pub approvals: Vec<ReportApproval>,
    /// Units one level below, and the unit itself, that neither approved nor have a unit above them that did.
    pub missing: Vec<String>,
}

impl Service {
    /// The report of a month that has begun.
    pub async fn monthly_report(&self, caller: &Caller, month: Month, unit: Option<&str>) -> Result<MonthlyReport> {
        let unit = quality_unit(caller, unit)?;
        let now = self.clock.now();
        if month > Month::of(now) {
            return Err(Refusal::NotFound("report").into());
        }
        let as_of = month.last_day().min(day_of(now));
        let before = month.previous().last_day();
        let tally = self.scores_on(&unit, as_of).await?.map_or_else(Tally::default, |day| day.tally);
        // The units that there were then, whatever has become of them.
        let mut there = self.store.quality_of_units_on(&unit, as_of).await?;
        there.retain(|(_, tally)| tally.records > 0);
        there.truncate(MOST_UNITS);
        let below: Vec<_> = there.iter().map(|(code, _)| code.clone()).collect();
        let then: HashMap<_, _> = self.store.quality_of_units_on(&unit, before).await?.into_iter().collect();
        let made: Vec<_> = self.store.approvals_of_month(&unit, month).await?;
        let made: Vec<_> = made
            .into_iter()
            .map(|(unit, approver, approved_at, late)| ReportApproval { unit, approver, approved_at, late })
            .collect();
        let approved = |code: &str| made.iter().find(|one| one.unit == code).map(|one| one.approved_at);
        let units = self.named_on(as_of, there).await?.into_iter().map(|scores| {
            let code = scores.unit.as_deref().unwrap_or_default();
            ReportUnit { previous: then.get(code).copied(), approved_at: approved(code), scores }
        });
        let units: Vec<_> = units.collect();
        // An approval of a unit above is one of all below it.
        let above: Vec<_> = counted_for(&unit).filter(|above| !above.is_empty()).collect();
        let covered = !above.is_empty() && self.store.is_approved_in(&above, month).await?;
        let own = (!unit.is_empty()).then_some(unit.as_str());
        let missing = own.into_iter().chain(below.iter().map(String::as_str));
        let missing = missing.filter(|code| !covered && approved(code).is_none()).map(str::to_owned).collect();
        let causes = self.store.quality_causes(&unit, Some(month)).await?;
        let late = causes.iter().find(|(flag, _)| *flag == Flag::ConfirmationOverdue).map_or(0, |(_, count)| *count);
        let (cards_issued, cards_withdrawn) = self.store.cards_moved(&unit, month.begins_at(), month.ends_at()).await?;
        Ok(MonthlyReport {
            month,
            unit: self.named_on(as_of, vec![(unit.clone(), tally)]).await?.remove(0),
            as_of,
            previous: self.scores_on(&unit, before).await?,
            units,
            causes: causes.into_iter().take(CAUSES).collect(),
            confirmations_late: late,
            cards_issued,
            cards_withdrawn,
            approvals: made,
            missing,
        })
    }
}

impl Service {
    /// The same as a workbook.
    pub async fn monthly_report_file(&self, caller: &Caller, month: Month, unit: Option<&str>) -> Result<Vec<u8>> {
        let (report, at) = (self.monthly_report(caller, month, unit).await?, self.clock.now());
        let made = spawn_blocking(move || report.table().file(TableForm::Xlsx, at)).await;
        Ok(made.map_err(|error| Fault::new("making a monthly report", error))??)
    }
}

/// The words as column heads.
const WORDS: [&str; 5] = ["Đúng / correct", "Đủ / sufficient", "Sạch / clean", "Sống / live", "Cả bốn / all four"];

/// For each word: how many, what share, and the share of the month before.
fn score_cells(tally: &Tally, previous: Option<&Tally>) -> Vec<Cell> {
    let before = previous.map(Tally::scores);
    let cells = tally.scores().into_iter().enumerate().flat_map(|(at, (_, score))| {
        let before: Option<Score> = before.map(|before| before[at].1);
        [Cell::Count(score.holds), Cell::Percent(score.percent()), Cell::Percent(before.and_then(Score::percent))]
    });
    cells.collect()
}

fn score_heads() -> impl Iterator<Item = &'static str> {
    WORDS.into_iter().flat_map(|word| [word, "%", "% tháng trước / last month"])
}

/// When, as people write it.
fn when(at: UnixSeconds) -> String {
    day_of(at).to_string()
}

impl MonthlyReport {
    /// As a spreadsheet.
    pub fn table(&self) -> Table {
        let unit = self.unit.unit.as_deref().unwrap_or("Toàn quốc / the nation");
        let name = self.unit.name.as_deref().unwrap_or_default();
        let title = vec![
            format!("Báo cáo chất lượng dữ liệu tháng {} / data quality report", self.month),
            format!("{unit} {name}").trim().to_owned(),
            format!("Số liệu đến ngày / as of {}", self.as_of),
        ];
        let count = |label: &str, count: i64| vec![Cell::from(label), count.into()];
        let mut summary = vec![count("Tổng số hồ sơ / records", self.unit.tally.records)];
        let previous = self.previous.map(|day| day.tally);
        for ((word, (_, score)), at) in WORDS.into_iter().zip(self.unit.tally.scores()).zip(0..) {
            let before = previous.as_ref().and_then(|tally| tally.scores()[at].1.percent());
            summary.push(vec![word.into(), score.holds.into(), Cell::Percent(score.percent()), Cell::Percent(before)]);
        }
        summary.push(count("Quá hạn mà chưa xác nhận / overdue and unconfirmed", self.confirmations_late));
        summary.push(count("Thẻ đã cấp / cards issued", self.cards_issued));
        summary.push(count("Thẻ đã thu hồi / cards withdrawn", self.cards_withdrawn));
        let size = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
        summary.push(count("Phê duyệt đã ký / approvals made", size(self.approvals.len())));
        summary.push(count("Phê duyệt còn thiếu / approvals missing", size(self.missing.len())));
        let units = self.units.iter().map(|line| {
            let UnitScores { unit, name, tally } = &line.scores;
            let mut cells: Vec<Cell> = vec![unit.as_deref().unwrap_or_default().into()];
            cells.push(name.as_deref().unwrap_or_default().into());
            cells.push(tally.records.into());
            cells.extend(score_cells(tally, line.previous.as_ref()));
            cells.push(line.approved_at.map_or_else(String::new, when).into());
            cells
        });
        let records = self.unit.tally.records;
        let causes = self.causes.iter().map(|(flag, holds)| {
            let (vi, en) = flag.messages();
            let share = Score { holds: *holds, of: records }.percent();
            vec![
                vi.into(),
                en.into(),
                flag.measure().word_vi().into(),
                (*holds).into(),
                Cell::Percent(share),
                flag.code().into(),
            ]
        });
        let made = self.approvals.iter().map(|one| {
            let late = if one.late { "muộn / late" } else { "" };
            vec![
                one.unit.as_str().into(),
                "đã ký / made".into(),
                one.approver.as_str().into(),
                when(one.approved_at).into(),
                late.into(),
            ]
        });
        let missing = self
            .missing
            .iter()
            .map(|unit| vec![unit.as_str().into(), "còn thiếu / missing".into(), "".into(), "".into(), "".into()]);
        let sheet = |name, title, header, rows| Sheet { name, title, header, rows };
        Table(vec![
            sheet(
                "Tổng hợp",
                title,
                vec!["Chỉ tiêu / measure", "Số lượng / count", "%", "% tháng trước / last month"],
                summary,
            ),
            sheet(
                "Đơn vị",
                Vec::new(),
                ["Mã / code", "Đơn vị / unit", "Hồ sơ / records"]
                    .into_iter()
                    .chain(score_heads())
                    .chain(["Phê duyệt / approved"])
                    .collect(),
                units.collect(),
            ),
            sheet(
                "Nguyên nhân",
                Vec::new(),
                vec!["Nguyên nhân", "Cause", "Tiêu chí / word", "Hồ sơ / records", "%", "Mã / code"],
                causes.collect(),
            ),
            sheet(
                "Phê duyệt",
                Vec::new(),
                vec!["Đơn vị / unit", "Tình trạng / state", "Người ký / approver", "Ngày / day", "Ghi chú / note"],
                made.chain(missing).collect(),
            ),
        ])
    }
}
