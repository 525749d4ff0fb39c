//! `officials-card officers …`: who works in the units' offices. The first operator is entered here: there is no default
//! account.

use clap::{Args, Subcommand, ValueEnum};

use super::{operator, print_json};
use crate::error::{Refusal, Result};
use crate::flow::{NewOfficer, OfficerQuery, Service};
use crate::model::calendar::{parse_day, start_of};
use crate::model::id::Handle;
use crate::model::officer::Officer;
use crate::model::rights::Role;

/// Officers that one reading returns.
const PAGE: usize = 500;

/// Enters, lists and blocks officers.
#[derive(Subcommand)]
pub enum Officers {
    /// Thêm cán bộ / enter an officer
    Add(Add),
    /// Danh sách / list the officers
    List(List),
    /// Khóa tài khoản / block an officer; their sessions end at once
    Block(Which),
    /// Mở khóa / let an officer sign in again
    Unblock(Which),
}

/// An officer to enter.
#[derive(Args)]
pub struct Add {
    /// Tài khoản đăng nhập / the account at the sign-in (its `sub`)
    #[arg(long)]
    subject: String,
    /// Họ tên / the person's name
    #[arg(long)]
    name: String,
    /// Vai trò / the role
    #[arg(long, value_enum)]
    role: RoleName,
    /// Mã đơn vị / the unit; none for the whole nation
    #[arg(long)]
    unit: Option<String>,
    /// Ngày hết hạn / the day on which the account ends, YYYY-MM-DD
    #[arg(long, value_name = "DAY")]
    until: Option<String>,
}

/// Which officers to list.
#[derive(Args)]
pub struct List {
    /// Mã đơn vị / of this unit and below
    #[arg(long)]
    unit: Option<String>,
}

/// An officer.
#[derive(Args)]
pub struct Which {
    /// Mã cán bộ / the officer's random name, as `list` shows it
    id: String,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum RoleName {
    Clerk,
    Confirmer,
    UnitHead,
    Inspector,
    Operator,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Clerk => Self::Clerk,
            RoleName::Confirmer => Self::Confirmer,
            RoleName::UnitHead => Self::UnitHead,
            RoleName::Inspector => Self::Inspector,
            RoleName::Operator => Self::Operator,
        }
    }
}

impl Officers {
    /// Runs the command.
    pub async fn run(self, service: &Service) -> Result<()> {
        match self {
            Self::Add(add) => {
                let new = NewOfficer {
                    valid_until: add.until.as_deref().map(end_of).transpose()?,
                    subject: add.subject,
                    name: add.name,
                    unit: add.unit,
                    role: add.role.into(),
                    person: None,
                };
                show(service, &service.add_officer(&operator(), new).await?);
            }
            Self::List(List { unit }) => {
                let mut query = OfficerQuery { unit, ..OfficerQuery::default() };
                loop {
                    let (officers, has_more) = service.find_officers(&operator(), query.clone(), PAGE).await?;
                    for officer in &officers {
                        show(service, officer);
                    }
                    match officers.last().filter(|_| has_more) {
                        Some(last) => query.after = Some(last.id.clone()),
                        None => break,
                    }
                }
            }
            Self::Block(Which { id }) => show(service, &service.block_officer(&operator(), &handle(&id)?, true).await?),
            Self::Unblock(Which { id }) => {
                show(service, &service.block_officer(&operator(), &handle(&id)?, false).await?);
            }
        }
        Ok(())
    }
}

fn show(service: &Service, officer: &Officer) {
    print_json(&serde_json::json!({
        "id": officer.id.as_str(), "subject": officer.subject, "name": officer.name, "role": officer.role,
        "unit": officer.unit, "state": officer.state_at(service.clock.now()), "valid_until": officer.valid_until,
    }));
}

fn handle(id: &str) -> Result<Handle, Refusal> {
    Handle::parse(id).ok_or(Refusal::NotFound("officer"))
}

/// Midnight in Vietnam at the beginning of a day.
fn end_of(day: &str) -> Result<i64, Refusal> {
    let day = parse_day(day).ok_or_else(|| Refusal::malformed("--until", "must be a day, YYYY-MM-DD"))?;
    Ok(start_of(day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_ends_when_the_day_begins_in_vietnam() {
        assert_eq!(end_of("2026-11-22").unwrap(), 1_795_280_400);
        assert!(end_of("22/11/2026").is_err());
    }
}
