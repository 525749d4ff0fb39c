//! Another issuer's status host on loopback, which answers, is down, or hangs.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use officials_card::clock::Clock;
use officials_card::credential::status_list::{Bits, CompressedList, StatusList, StatusListToken};
use officials_card::credential::{Signer, jws};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::office::Result;

/// What it does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// It serves its lists.
    Up,
    /// It refuses connections.
    Down,
    /// It takes connections and never answers.
    Hanging,
}

/// The host.
pub struct StatusHost {
    address: SocketAddr,
    lists: Arc<Lists>,
    serving: Mutex<Option<AbortHandle>>,
}

struct Lists {
    prefix: String,
    signer: Arc<dyn Signer>,
    list: CompressedList,
}

impl StatusHost {
    /// How long its lists need not be fetched anew: short, so that they are due again and again.
    pub const TTL_SECONDS: u64 = 2;
    const ENTRIES: u32 = 1 << 17;

    /// One that is up.
    pub async fn start(signer: Arc<dyn Signer>) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
        let list = StatusList::new(Bits::Two, Self::ENTRIES, [(5, 1)])?.compress();
        let lists = Arc::new(Lists { prefix: format!("http://{address}/lists/"), signer, list });
        let host = Self { address, lists, serving: Mutex::default() };
        host.does(Behaviour::Up).await?;
        Ok(host)
    }

    /// How the addresses of its lists begin.
    pub fn prefix(&self) -> &str {
        &self.lists.prefix
    }

    /// From now on it does this; connections that it has are broken.
    pub async fn does(&self, behaviour: Behaviour) -> Result<()> {
        let before = self.serving.lock().map_err(|_| "somebody panicked")?.take();
        if let Some(before) = before {
            before.abort();
            while !before.is_finished() {
                tokio::task::yield_now().await;
            }
        }
        if behaviour == Behaviour::Down {
            return Ok(());
        }
        let listener = TcpListener::bind(self.address).await?;
        let lists = Arc::clone(&self.lists);
        let serving = tokio::spawn(async move {
            let mut calls = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let lists = Arc::clone(&lists);
                calls.spawn(async move {
                    match behaviour {
                        Behaviour::Up => lists.serve(stream).await.unwrap_or_default(),
                        _ => std::future::pending::<()>().await,
                    }
                });
            }
        });
        *self.serving.lock().map_err(|_| "somebody panicked")? = Some(serving.abort_handle());
        Ok(())
    }
}

impl Lists {
    /// Answers one call.
    async fn serve(&self, mut stream: TcpStream) -> Result<()> {
        let mut call = Vec::new();
        while !call.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut call).await? == 0 {
                return Ok(());
            }
        }
        let name = std::str::from_utf8(&call)?.split([' ', '/']).nth(3).ok_or("no list")?;
        let now = Clock::system().now();
        let token = StatusListToken {
            uri: format!("{}{name}", self.prefix),
            issued_at: now,
            expires_at: Some(now + 3600),
            ttl_seconds: Some(StatusHost::TTL_SECONDS.cast_signed()),
            list: self.list.clone(),
        };
        let header = jws::header(&*self.signer, "statuslist+jwt", json!({"x5c": jws::x5c(&*self.signer)}));
        let body = jws::sign(&*self.signer, &header, token.to_jwt_claims().to_string().as_bytes())?;
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/statuslist+jwt\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;
        Ok(())
    }
}
