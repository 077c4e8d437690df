//! A load of HTTPS requests, as an API server puts it on a webhook: HTTP/1.1 on connections that stay (its client asks
//! for no HTTP/2, so that requests spread over replicas: kubernetes#75791), TLS 1.3.
//!
//! One thread per connection and no async runtime, so that the load itself costs little and keeps time.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::processor::Cores;

/// What must be in an answer: load on a server that refuses measures nothing.
const ALLOWED: &[u8] = br#""allowed":true"#;
/// No answer takes as long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who is asked, and what.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    port: u16,
    tls: Arc<ClientConfig>,
    request: Arc<[u8]>,
}

impl Target {
    /// Posts `body` to a path of a server on this machine, whose certificate is of the CA in `ca`.
    ///
    /// # Errors
    /// When that file holds no certificate.
    pub(crate) fn new(port: u16, ca: &Path, path: &str, body: &[u8]) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(ca).with_context(|| format!("no CA in {}", ca.display()))?)?;
        let mut tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut request = format!(
            "POST {path}?timeout=10s HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: kube-apiserver-admission\r\n\
             Accept: application/json, */*\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        Ok(Self { port, tls: Arc::new(tls), request: request.into() })
    }
}

/// Asks on each of `connections` again as soon as there is an answer; returns answers per second.
///
/// # Errors
/// When an answer is not "allowed".
pub(crate) fn closed(target: &Target, connections: usize, cores: Cores, length: Duration) -> Result<f64> {
    let counts = on_connections(target, connections, cores, |_, connection, started| {
        let mut answers = 0u32;
        while started.elapsed() < length {
            connection.ask(&target.request)?;
            answers += 1;
        }
        Ok((answers, started.elapsed()))
    })?;
    Ok(counts.iter().map(|(answers, elapsed)| f64::from(*answers) / elapsed.as_secs_f64()).sum())
}

/// Asks `rate` times a second whether or not there are answers, and returns how long each took since it was due: a
/// server that stalls delays all that is due meanwhile, and all of them tell.
///
/// # Errors
/// When an answer is not "allowed".
pub(crate) fn open(
    target: &Target,
    connections: usize,
    cores: Cores,
    rate: u32,
    length: Duration,
) -> Result<Vec<Duration>> {
    let times = on_connections(target, connections, cores, |nth, connection, started| {
        let mut times = Vec::new();
        for arrival in (nth..).step_by(connections) {
            let due = Duration::from_secs_f64(arrival as f64 / f64::from(rate));
            if due >= length {
                break;
            }
            thread::sleep(due.saturating_sub(started.elapsed()));
            connection.ask(&target.request)?;
            times.push(started.elapsed() - due);
        }
        Ok(times)
    })?;
    Ok(times.concat())
}

/// Runs `work` on every connection at once, when all are open and warm.
fn on_connections<T: Send>(
    target: &Target,
    connections: usize,
    cores: Cores,
    work: impl Fn(usize, &mut Connection, Instant) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let all_open = Barrier::new(connections);
    thread::scope(|scope| {
        let (all_open, work) = (&all_open, &work);
        let one = |nth| {
            move || {
                cores.give_to_load();
                // A sleep ends when it should and not up to 50 us later; at worst it does not.
                let _ = rustix::thread::set_current_timer_slack(Some(std::num::NonZeroU64::MIN));
                let connection = Connection::open(target);
                all_open.wait();
                work(nth, &mut connection?, Instant::now())
            }
        };
        let threads: Vec<_> = (0..connections).map(|nth| scope.spawn(one(nth))).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Result<T>>| {
            thread.join().map_err(|_| anyhow!("a thread of the load panicked"))?
        };
        threads.into_iter().map(join).collect()
    })
}

struct Connection {
    stream: StreamOwned<ClientConnection, TcpStream>,
    answer: Vec<u8>,
}

impl Connection {
    /// Connects and asks once: the first answer pays for the handshake.
    fn open(target: &Target) -> Result<Self> {
        let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, target.port))?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from("localhost")?;
        let tls = ClientConnection::new(target.tls.clone(), name)?;
        let mut connection = Self { stream: StreamOwned::new(tls, tcp), answer: Vec::new() };
        connection.ask(&target.request)?;
        Ok(connection)
    }

    fn ask(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request)?;
        self.stream.flush()?;
        self.answer.clear();
        let mut part = [0; 16 << 10];
        loop {
            let read = self.stream.read(&mut part).context("no answer")?;
            ensure!(read > 0, "the server closed the connection");
            self.answer.extend_from_slice(&part[..read]);
            if let Some(body) = complete(&self.answer)? {
                if !self.answer.starts_with(b"HTTP/1.1 200 ") || !contains(body, ALLOWED) {
                    bail!("not allowed: {}", String::from_utf8_lossy(&self.answer));
                }
                return Ok(());
            }
        }
    }
}

/// The body, when all of it is there.
fn complete(answer: &[u8]) -> Result<Option<&[u8]>> {
    const END: &[u8] = b"\r\n\r\n";
    let Some(end) = answer.windows(END.len()).position(|window| window == END) else { return Ok(None) };
    let head = std::str::from_utf8(&answer[..end])?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    });
    let length = length.with_context(|| format!("an answer of unknown length: {head}"))??;
    let body = &answer[end + END.len()..];
    Ok((body.len() >= length).then_some(body))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_with_the_last_byte_of_its_body() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(complete(answer).unwrap(), Some(&b"abc"[..]));
        assert_eq!(complete(&answer[..answer.len() - 1]).unwrap(), None);
        assert_eq!(complete(b"HTTP/1.1 200 OK\r\nconte").unwrap(), None);
        assert!(complete(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
