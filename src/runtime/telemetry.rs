//! Log lines: text for people, JSON for machines, to stderr.

use clap::ValueEnum;
use std::io::IsTerminal;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

/// What is logged. The client logs the whole answer of an API server that it can't read, and with it people and
/// whatever else stands in objects.
const DEFAULT: &str = "info,kube_client=error";

/// How log lines are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// One readable line.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging; `RUST_LOG` filters, `info` is the default.
pub(crate) fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    subscriber(format, filter, std::io::stderr, std::io::stderr().is_terminal()).init();
}

fn subscriber<W>(
    format: LogFormat,
    filter: EnvFilter,
    to: W,
    color: bool,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(to).with_ansi(color);
    match format {
        LogFormat::Text => Box::new(builder.with_target(false).finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What one event writes.
    fn line(format: LogFormat) -> String {
        let written = Written::default();
        let to = written.clone();
        let subscriber = subscriber(format, EnvFilter::new("info"), move || to.clone(), false);
        tracing::subscriber::with_default(subscriber, || {
            let account: Option<&str> = None;
            tracing::info!(namespace = "support", pod_uid = "u-1", account, code = "AID001", "pod refused");
            tracing::debug!("nobody asked for this");
        });
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_of_json_has_its_fields_side_by_side() {
        let line: serde_json::Value = serde_json::from_str(&line(LogFormat::Json)).unwrap();
        for (field, value) in [
            ("message", "pod refused"),
            ("namespace", "support"),
            ("pod_uid", "u-1"),
            ("code", "AID001"),
            ("level", "INFO"),
        ] {
            assert_eq!(line[field], value, "{line}");
        }
        assert!(line.get("account").is_none(), "what is not known is left out");
        assert!(line["timestamp"].is_string());
    }

    #[test]
    fn a_line_of_text_names_its_fields() {
        let line = line(LogFormat::Text);
        assert!(
            line.trim_end()
                .ends_with("INFO pod refused namespace=\"support\" pod_uid=\"u-1\" code=\"AID001\""),
            "{line}"
        );
        assert_eq!(line.lines().count(), 1);
    }
}
