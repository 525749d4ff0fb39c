//! `officials-card sync account …`: accounts of units' systems that speak the Ministry's interface.

use std::io::Read;

use clap::Subcommand;

use super::records::RecordsContext;
use crate::error::{Fault, Refusal, Result};
use crate::flow::sync::{NewSyncAccount, add_sync_account};
use crate::protocol::ministry::MAX_CREDENTIAL_BYTES;

/// `officials-card sync …`
#[derive(Debug, Subcommand)]
pub enum SyncCommand {
    /// Tài khoản đồng bộ / accounts of units' systems
    #[command(subcommand)]
    Account(Account),
}

/// `officials-card sync account …`
#[derive(Debug, Subcommand)]
pub enum Account {
    /// Tạo tài khoản; mật khẩu in ra một lần / make an account; a fresh password is printed once
    Add {
        /// Tên đăng nhập / user name: a-z 0-9 . _ -
        #[arg(long)]
        name: String,
        /// Mã đơn vị gửi, gồm cả đơn vị trực thuộc / code of the sending agency; the units below are included
        #[arg(long)]
        unit: String,
        /// Dữ liệu gửi lên còn phải được đơn vị xác nhận / what it sends has still to be confirmed by the unit
        #[arg(long)]
        unconfirmed: bool,
        /// Đọc mật khẩu từ đầu vào chuẩn / read the password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Khóa tài khoản và mọi token của nó / block an account with all its tokens
    Block {
        /// Tên đăng nhập / user name
        #[arg(long)]
        name: String,
    },
    /// Liệt kê tài khoản / list the accounts
    List,
}

impl SyncCommand {
    /// Runs the command.
    pub async fn run(self, context: RecordsContext) -> Result<()> {
        let (RecordsContext { store, clock, chance, .. }, actor) = (&context, super::operator().name);
        let Self::Account(account) = self;
        match account {
            Account::Add { name, unit, unconfirmed, password_stdin } => {
                let given = password_stdin.then(password).transpose()?;
                let is_fresh = given.is_none();
                let new = NewSyncAccount { name, unit, confirms: !unconfirmed };
                let password = add_sync_account(store, clock, chance, new, given, &actor).await?;
                if is_fresh {
                    println!("{password}");
                }
            }
            Account::Block { name } => {
                if !store.block_sync_account(&name, &actor, clock.now()).await? {
                    return Err(Refusal::NotFound("account that is not blocked").into());
                }
            }
            Account::List => {
                for account in store.sync_accounts().await? {
                    let word = if account.confirms { "confirms" } else { "unconfirmed" };
                    let state = if account.blocked_at.is_some() { "blocked" } else { "active" };
                    println!("{}\t{}\t{word}\t{state}", account.name, account.org_code);
                }
            }
        }
        Ok(())
    }
}

/// The first line of standard input.
fn password() -> Result<String> {
    let mut text = String::new();
    let most = MAX_CREDENTIAL_BYTES as u64 + 2;
    std::io::stdin().take(most).read_to_string(&mut text).map_err(|error| Fault::new("reading a password", error))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
