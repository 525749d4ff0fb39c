//! As much HTTP/1.1 as the benchmarks need, and no more: whoever asks costs next to nothing.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Result;

/// A kept connection.
pub struct Connection {
    stream: TcpStream,
    host: String,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, host: server.to_string(), buffer: Vec::new() })
    }

    /// Sends a request and gives the JSON of a successful answer.
    pub async fn send(&mut self, method: &str, path: &str, headers: &str, body: &str) -> Result<Value> {
        match self.exchange(method, path, headers, body).await? {
            (200..=299, body) => Ok(serde_json::from_slice(body)?),
            (_, body) => Err(format!("{method} {path}: {}", String::from_utf8_lossy(body)).into()),
        }
    }

    /// Sends a request and gives status and body of the answer.
    pub async fn exchange(&mut self, method: &str, path: &str, headers: &str, body: &str) -> Result<(u16, &[u8])> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        let (start, length) = loop {
            if let Some(head) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break (head + 4, content_length(std::str::from_utf8(&self.buffer[..head])?)?);
            }
            self.read().await?;
        };
        while self.buffer.len() < start + length {
            self.read().await?;
        }
        let status = std::str::from_utf8(self.buffer.get(9..12).ok_or("the answer has no status")?)?.parse()?;
        Ok((status, &self.buffer[start..start + length]))
    }

    async fn read(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 { Err("the server hung up".into()) } else { Ok(()) }
    }
}

fn content_length(head: &str) -> Result<usize> {
    let value = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then_some(value.trim())
    });
    Ok(value.ok_or("the answer has no length")?.parse()?)
}
