//! What takes arguments, or several steps: programs, files, passwords.

use super::{Agent, AgentError, OUTPUT_ANSWER, Result, USUAL_ANSWER, USUAL_PATIENCE, printable};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Bytes of a file read at a time.
const CHUNK: u64 = 1 << 20;

/// A program that was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Executed {
    /// Its process number in the guest.
    pub pid: i64,
}

/// What became of a program.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finished {
    /// Whether it has ended.
    pub exited: bool,
    /// Its exit status.
    pub exitcode: Option<i64>,
    /// The signal that ended it.
    pub signal: Option<i64>,
    /// What it printed, in base64.
    out_data: Option<String>,
    /// What it printed as errors, in base64.
    err_data: Option<String>,
    /// Whether some of what it printed is missing.
    pub out_truncated: Option<bool>,
    /// Whether some of the errors is missing.
    pub err_truncated: Option<bool>,
}

impl Finished {
    /// What it printed; what is no UTF-8 is replaced.
    pub fn output(&self) -> Result<Option<String>> {
        text("guest-exec-status", self.out_data.as_deref())
    }

    /// What it printed as errors.
    pub fn errors(&self) -> Result<Option<String>> {
        text("guest-exec-status", self.err_data.as_deref())
    }
}

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileContent {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Whether the file goes on.
    pub truncated: bool,
}

#[derive(Deserialize)]
struct ReadPart {
    count: u64,
    #[serde(rename = "buf-b64")]
    bytes: String,
    eof: bool,
}

#[derive(Deserialize)]
struct Written {
    count: u64,
}

fn text(command: &'static str, data: Option<&str>) -> Result<Option<String>> {
    let bytes = data.map(|data| decode(command, data)).transpose()?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn decode(command: &'static str, data: &str) -> Result<Vec<u8>> {
    STANDARD.decode(data).map_err(|error| AgentError::Nonsense {
        command,
        problem: error.to_string(),
    })
}

fn read<T: DeserializeOwned>(command: &'static str, value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| AgentError::Nonsense {
        command,
        problem: printable(&error.to_string()),
    })
}

impl Agent {
    async fn act(&mut self, command: &'static str, arguments: Value) -> Result<Value> {
        let arguments = Some(arguments);
        self.call(command, arguments, USUAL_PATIENCE, USUAL_ANSWER)
            .await
    }

    /// Starts a program with its arguments and what it reads.
    pub async fn execute(
        &mut self,
        path: &str,
        arguments: &[String],
        input: Option<&str>,
    ) -> Result<Executed> {
        let mut all = json!({"path": path, "arg": arguments, "capture-output": true});
        if let Some(input) = input {
            all["input-data"] = STANDARD.encode(input).into();
        }
        read("guest-exec", self.act("guest-exec", all).await?)
    }

    /// Asks what became of a program that [`Self::execute`] started. An agent forgets those that
    /// ended once it has told.
    pub async fn executed(&mut self, pid: i64) -> Result<Finished> {
        const COMMAND: &str = "guest-exec-status";
        let arguments = Some(json!({"pid": pid}));
        let answer = self.call(COMMAND, arguments, USUAL_PATIENCE, OUTPUT_ANSWER);
        read(COMMAND, answer.await?)
    }

    /// Reads at most `count` bytes of a file from `offset` on.
    pub async fn read_file(&mut self, path: &str, offset: u64, count: u64) -> Result<FileContent> {
        let handle = self.open(path, "rb").await?;
        let content = self.read_open(&handle, offset, count).await;
        self.close(handle, content).await
    }

    /// Replaces the content of a file by what `content` is the base64 of.
    pub async fn write_file(&mut self, path: &str, content: &str) -> Result<()> {
        let handle = self.open(path, "wb").await?;
        let written = self.write_open(&handle, content).await;
        self.close(handle, written).await
    }

    /// Gives a user of the guest another password.
    pub async fn set_password(&mut self, user: &str, password: &str, crypted: bool) -> Result<()> {
        let password = STANDARD.encode(password);
        let arguments = json!({"username": user, "password": password, "crypted": crypted});
        self.act("guest-set-user-password", arguments).await?;
        Ok(())
    }

    async fn open(&mut self, path: &str, mode: &str) -> Result<Value> {
        self.act("guest-file-open", json!({"path": path, "mode": mode}))
            .await
    }

    /// Closes a file and passes a result on. After a broken connection the agent keeps it open.
    async fn close<T>(&mut self, handle: Value, result: Result<T>) -> Result<T> {
        let usable = matches!(&result, Ok(_) | Err(AgentError::Refused(_)));
        if usable {
            self.act("guest-file-close", json!({"handle": handle}))
                .await?;
        }
        result
    }

    async fn read_open(&mut self, handle: &Value, offset: u64, count: u64) -> Result<FileContent> {
        const COMMAND: &str = "guest-file-read";
        if offset > 0 {
            let seek = json!({"handle": handle, "offset": offset, "whence": 0});
            self.act("guest-file-seek", seek).await?;
        }
        let mut bytes = Vec::new();
        loop {
            let left = count.saturating_sub(bytes.len() as u64);
            if left == 0 {
                let truncated = true;
                return Ok(FileContent { bytes, truncated });
            }
            let arguments = json!({"handle": handle, "count": left.min(CHUNK)});
            let part: ReadPart = read(COMMAND, self.act(COMMAND, arguments).await?)?;
            let more = decode(COMMAND, &part.bytes)?;
            if more.len() as u64 != part.count || part.count > left.min(CHUNK) {
                let problem = "the number of bytes is wrong".to_owned();
                let command = COMMAND;
                return Err(AgentError::Nonsense { command, problem });
            }
            bytes.extend(&more);
            if part.eof || more.is_empty() {
                let truncated = !part.eof;
                return Ok(FileContent { bytes, truncated });
            }
        }
    }

    async fn write_open(&mut self, handle: &Value, content: &str) -> Result<()> {
        const COMMAND: &str = "guest-file-write";
        let expected = decode(COMMAND, content)
            .map_err(|_| AgentError::Refused("content: it is no base64".to_owned()))?;
        let arguments = json!({"handle": handle, "buf-b64": content});
        let written: Written = read(COMMAND, self.act(COMMAND, arguments).await?)?;
        if written.count != expected.len() as u64 {
            return Err(AgentError::Refused(format!(
                "only {} of {} bytes were written",
                written.count,
                expected.len()
            )));
        }
        Ok(())
    }
}
