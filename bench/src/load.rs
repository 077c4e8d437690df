//! A load of HTTPS requests, as an API server puts it on a webhook: HTTP/1.1 on connections that stay (its client asks
//! for no HTTP/2, so that requests spread over replicas: kubernetes#75791), TLS 1.3.
//!
//! No async runtime, so that the load itself costs little and keeps time.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
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

/// Asks on each of `connections` again as soon as there is an answer; returns answers per second. One thread asks all
/// of them and never sleeps: a server that answers somebody who sleeps pays for waking them, so that of two servers the
/// slower one, which lets them sleep more often, would seem slower still.
///
/// # Errors
/// When an answer is not "allowed".
pub(crate) fn closed(target: &Target, connections: usize, cores: Cores, length: Duration) -> Result<f64> {
    let ask = || {
        cores.give_to_load();
        let mut open = (0..connections).map(|_| Connection::open(target)).collect::<Result<Vec<_>>>()?;
        let started = Instant::now();
        open.iter_mut().try_for_each(|connection| connection.send(&target.request))?;
        let mut answers = 0u32;
        while started.elapsed() < length {
            for connection in &mut open {
                if connection.is_answered()? {
                    connection.receive()?;
                    answers += 1;
                    connection.send(&target.request)?;
                }
            }
        }
        Ok(f64::from(answers) / started.elapsed().as_secs_f64())
    };
    // A thread of its own, as it stays on the load's cores.
    thread::scope(|scope| joined(scope.spawn(ask)))
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
    let all_open = Barrier::new(connections);
    let ask = |nth: usize| {
        cores.give_to_load();
        // A sleep ends when it should and not up to 50 us later; at worst it does not.
        let _ = rustix::thread::set_current_timer_slack(Some(std::num::NonZeroU64::MIN));
        let connection = Connection::open(target);
        all_open.wait();
        let (mut connection, started) = (connection?, Instant::now());
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
    };
    thread::scope(|scope| {
        let ask = &ask;
        let threads: Vec<_> = (0..connections).map(|nth| scope.spawn(move || ask(nth))).collect();
        let times: Vec<_> = threads.into_iter().map(joined).collect::<Result<_>>()?;
        Ok(times.concat())
    })
}

fn joined<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow!("a thread of the load panicked"))?
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
        self.send(request)?;
        self.receive()
    }

    fn send(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request)?;
        Ok(self.stream.flush()?)
    }

    /// Whether there is something to receive, without waiting for it.
    fn is_answered(&self) -> Result<bool> {
        let mut socket = [PollFd::new(&self.stream.sock, PollFlags::IN)];
        Ok(poll(&mut socket, Some(&Timespec::default()))? > 0)
    }

    fn receive(&mut self) -> Result<()> {
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
