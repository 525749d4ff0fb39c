//! How a person signs in for this wallet: at a browser, or, for tests, by the forms that are filled in for them.

use std::path::PathBuf;

use crate::authorization::Authorization;
use crate::browser::Person;
use crate::client::Client;
use crate::error::{Result, WalletError};
use crate::folder::Folder;
use crate::http::Http;
use crate::listener::Waiting;

/// Which wallet asks, and who signs in.
#[derive(Debug, clap::Args)]
pub struct SignIn {
    /// How this wallet is registered with the issuer: a JSON file with `client_id`, `redirect_uri`, and the name of a file
    /// with a private key, `attester` or `client_key`.
    #[arg(long, global = true, value_name = "FILE")]
    product: Option<PathBuf>,
    /// Fill in the forms of the sign-in as this person (12 digits) instead of waiting for a browser; for tests.
    #[arg(long, global = true, value_name = "NUMBER", requires = "password")]
    person: Option<String>,
    /// The person's password at the simulated VNeID; for tests.
    #[arg(long, global = true, value_name = "PASSWORD", requires = "person")]
    password: Option<String>,
}

impl SignIn {
    /// The wallet product, where one is named.
    pub fn client(&self, folder: &Folder) -> Result<Option<Client>> {
        self.product.as_deref().map(|product| Client::open(product, folder)).transpose()
    }

    /// Lets the person sign in. `begin` makes the request, once somebody awaits the browser. Returns the request, and the
    /// address that the browser came back with.
    pub async fn back(
        &self,
        http: &Http,
        redirect_uri: &str,
        begin: impl AsyncFnOnce() -> Result<Authorization>,
    ) -> Result<(Authorization, String)> {
        if let Some((number, password)) = self.person.as_deref().zip(self.password.as_deref()) {
            let authorization = begin().await?;
            let back = Person { number, password }.walk(http, &authorization.url, redirect_uri).await?;
            return Ok((authorization, back));
        }
        // Before anybody can come.
        let waiting = Waiting::at(redirect_uri).await?;
        let authorization = begin().await?;
        println!("Mở trang này trong trình duyệt: / Open this page in a browser:\n{}", authorization.url);
        Ok((authorization, waiting.browser().await?))
    }
}

/// That signing in is for registered wallets.
pub fn unregistered() -> WalletError {
    WalletError::Command("signing in needs a registered wallet product: --product".to_owned())
}
