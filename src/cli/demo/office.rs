//! The demo's unit office: one officer of each role, with accounts at a simulated sign-in.

use serde_json::{Value, json};

use super::super::operator;
use super::simulators::{Simulator, officer_sign_in};
use crate::error::Result;
use crate::flow::{NewOfficer, Service};
use crate::model::rights::Role;

/// Our name at the simulated sign-in.
pub const CLIENT: &str = "officials-card-office";

/// An officer of the demo.
struct Account {
    subject: &'static str,
    name: &'static str,
    role: Role,
    unit: Option<&'static str>,
    /// The owner's own number, where the provider tells it.
    person: Option<&'static str>,
}

/// The unit of the person whose record is verified. The confirmer is that person: nobody decides in their own matter.
const ACCOUNTS: [Account; 5] = [
    account("nhaplieu", "Trần Thị Nhập", Role::Clerk, Some(super::VERIFIED.unit), None),
    account("xacnhan", "Lê Văn Xác", Role::Confirmer, Some(super::VERIFIED.unit), Some(super::VERIFIED.person)),
    account("thutruong", "Phạm Thị Trưởng", Role::UnitHead, Some(super::VERIFIED.unit), None),
    account("thanhtra", "Võ Văn Tra", Role::Inspector, None, None),
    account("quantri", "Đỗ Thị Quản", Role::Operator, None, None),
];

const fn account(
    subject: &'static str,
    name: &'static str,
    role: Role,
    unit: Option<&'static str>,
    person: Option<&'static str>,
) -> Account {
    Account { subject, name, role, unit, person }
}

/// Starts the sign-in for the server at `url`.
pub async fn simulator(url: &str, password: &str, secret: &str) -> Result<Simulator> {
    let named = |account: &Account| match account.person {
        Some(person) => format!("{}={person}", account.subject),
        None => account.subject.to_owned(),
    };
    let accounts: Vec<_> = ACCOUNTS.iter().map(named).collect();
    officer_sign_in(CLIENT, secret, &format!("{url}/office/callback"), password, &accounts).await
}

/// Enters the officers.
pub async fn fill(service: &Service) -> Result<()> {
    for Account { subject, name, role, unit, .. } in ACCOUNTS {
        let new = NewOfficer {
            subject: subject.to_owned(),
            name: name.to_owned(),
            unit: unit.map(str::to_owned),
            role,
            valid_until: None,
            person: None,
        };
        service.add_officer(&operator(), new).await?;
    }
    Ok(())
}

/// Who can sign in, for programs that try the demo.
pub fn to_json(issuer: &str, password: &str) -> Value {
    let officers: serde_json::Map<_, _> = ACCOUNTS
        .iter()
        .map(|own| (own.role.word().to_owned(), json!({"subject": own.subject, "unit": own.unit})))
        .collect();
    json!({"issuer": issuer, "password": password, "officers": officers})
}

/// Who can sign in, for people.
pub fn guide() -> String {
    let line = |own: &Account| format!("   {:<10} {:<10} {}\n", own.subject, own.role.word(), own.unit.unwrap_or("*"));
    ACCOUNTS.iter().map(line).collect()
}
