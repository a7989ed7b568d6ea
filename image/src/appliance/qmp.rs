//! A small client of QEMU's machine protocol (QMP): one JSON object a line over a Unix socket.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Longest silence we accept between a command and its answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// A connection that has finished the greeting.
pub struct Qmp {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Qmp {
    /// Connects to the socket `name` inside `dir`.
    pub fn connect(dir: &Path, name: &str) -> Result<Self> {
        let stream = connect_in(dir, name)?;
        Self::greet(stream)
    }

    fn greet(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        let mut qmp = Self {
            reader: BufReader::new(stream.try_clone()?),
            writer: stream,
        };
        let greeting = qmp.read()?;
        if greeting.get("QMP").is_none() {
            bail!("not a QMP greeting: {greeting}");
        }
        qmp.execute("qmp_capabilities", Value::Null)?;
        Ok(qmp)
    }

    /// Runs a command; `arguments` is an object or null.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let mut message = json!({ "execute": command });
        if !arguments.is_null() {
            message["arguments"] = arguments;
        }
        let mut line = message.to_string();
        line.push('\n');
        self.writer
            .write_all(line.as_bytes())
            .with_context(|| format!("QMP {command}"))?;
        loop {
            let mut answer = self.read().with_context(|| format!("QMP {command}"))?;
            if let Some(error) = answer.get("error") {
                let text = error["desc"].as_str().unwrap_or("unknown error");
                bail!("QEMU refuses {command}: {text}");
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            // Anything else is an event, which nobody here waits for.
        }
    }

    fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            bail!("QEMU closed the connection");
        }
        serde_json::from_str(&line).with_context(|| format!("QEMU sent {line:?}"))
    }
}

/// Connects to a Unix socket by folder and name: going through the folder's descriptor keeps the
/// path below the kernel's limit of 107 bytes however deep the checkout lies.
pub fn connect_in(dir: &Path, name: &str) -> Result<UnixStream> {
    let folder = File::open(dir).with_context(|| format!("cannot open {}", dir.display()))?;
    let path = format!("/proc/self/fd/{}/{name}", folder.as_raw_fd());
    UnixStream::connect(path)
        .with_context(|| format!("cannot connect to {}", dir.join(name).display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn serve(answers: &'static [&'static str]) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        thread::spawn(move || {
            let mut writer = theirs.try_clone().unwrap();
            let mut reader = BufReader::new(theirs);
            for answer in answers {
                writeln!(writer, "{answer}").unwrap();
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
            }
        });
        ours
    }

    #[test]
    fn skips_events_and_returns_the_answer() {
        let stream = serve(&[
            r#"{"QMP":{}}"#,
            r#"{"return":{}}"#,
            "{\"event\":\"RESET\"}\n{\"return\":{\"status\":\"running\"}}",
        ]);
        // The last answer is written before the command arrives, which the protocol allows.
        let mut qmp = Qmp::greet(stream).unwrap();
        let status = qmp.execute("query-status", Value::Null).unwrap();
        assert_eq!(status["status"], "running");
    }

    #[test]
    fn reports_what_qemu_refuses() {
        let stream = serve(&[
            r#"{"QMP":{}}"#,
            r#"{"return":{}}"#,
            r#"{"error":{"class":"GenericError","desc":"no such device"}}"#,
        ]);
        let mut qmp = Qmp::greet(stream).unwrap();
        let error = qmp.execute("device_del", json!({"id": "x"})).unwrap_err();
        assert!(error.to_string().contains("no such device"), "{error}");
    }
}
