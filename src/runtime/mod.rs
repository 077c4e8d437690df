//! What every process needs and none is about: the async runtime, shutdown, health, TLS, logs, metrics, traces.
//! Imports nothing of ours.

pub(crate) mod health;
pub(crate) mod lean;
pub(crate) mod metrics;
pub(crate) mod pages;
pub(crate) mod telemetry;
pub(crate) mod tls;
pub(crate) mod trace;

use anyhow::Context;
use std::future::Future;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Runs a service until it ends or the process is told to: SIGTERM and SIGINT cancel the token.
///
/// # Errors
/// What the service returns, and when the runtime can't be started.
pub(crate) fn block_on<T, F>(service: impl FnOnce(CancellationToken) -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    // A second provider in the process would make rustls choose at run time, and panic.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("can't start")?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let on_signal = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            on_signal.cancel();
        });
        let result = service(stop).await;
        trace::flush().await;
        result
    })
}
