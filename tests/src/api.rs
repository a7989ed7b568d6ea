//! The appliance's HTTP interface as a client sees it: log in, call, wait for tasks, upload.

use anyhow::{Context, Result, bail};
use basalt_image::appliance::https::{Body, Client, Response};
use basalt_image::appliance::poll;
use serde_json::Value;
use std::fmt;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;
use std::time::Duration;

/// The name of every appliance under test, as a node.
pub const NODE: &str = "basalt";
/// Longest time a single answer may take on an emulated appliance that is busy.
const ANSWER_LIMIT: Duration = Duration::from_secs(90);

/// An answer that is an error, as the wire format carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Status code.
    pub status: u16,
    /// The reason phrase.
    pub reason: String,
    /// Errors by parameter.
    pub errors: Vec<(String, String)>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.reason)?;
        for (parameter, text) in &self.errors {
            write!(f, "; {parameter}: {text}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}

/// A logged-in client.
pub struct Api {
    client: Client,
    ticket: String,
    csrf: String,
}

impl Api {
    /// Logs in as `root@pam`.
    pub fn login(port: u16, password: &str) -> Result<Self> {
        let client = Client::local(port, ANSWER_LIMIT);
        let anonymous = Self {
            client,
            ticket: String::new(),
            csrf: String::new(),
        };
        let answer = anonymous.post(
            "/access/ticket",
            &[("username", "root@pam"), ("password", password)],
        )?;
        let text = |key: &str| {
            answer[key]
                .as_str()
                .map(str::to_owned)
                .with_context(|| format!("no {key} in the login"))
        };
        Ok(Self {
            ticket: text("ticket")?,
            csrf: text("CSRFPreventionToken")?,
            ..anonymous
        })
    }

    /// The connection below.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Value of the cookie that carries the ticket.
    pub fn cookie(&self) -> String {
        format!("PVEAuthCookie={}", encode(&self.ticket))
    }

    /// `GET`.
    pub fn get(&self, path: &str) -> Result<Value, anyhow::Error> {
        self.call("GET", path, &[])
    }

    /// `POST`.
    pub fn post(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        self.call("POST", path, parameters)
    }

    /// `PUT`.
    pub fn put(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        self.call("PUT", path, parameters)
    }

    /// `DELETE`.
    pub fn delete(&self, path: &str) -> Result<Value> {
        self.call("DELETE", path, &[])
    }

    fn call(&self, method: &str, path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let body = form(parameters);
        let cookie = self.cookie();
        let mut headers = vec![("Cookie", cookie.as_str())];
        if method != "GET" {
            headers.push(("CSRFPreventionToken", &self.csrf));
            headers.push(("Content-Type", "application/x-www-form-urlencoded"));
        }
        let path = format!("/api2/json{path}");
        let response =
            self.client
                .request(method, &path, &headers, Body::Bytes(body.as_bytes()))?;
        data(&response).with_context(|| format!("{method} {path}"))
    }

    /// Uploads a file into the storage `local`; returns the task's id.
    pub fn upload(&self, content: &str, name: &str, file: &Path) -> Result<Value> {
        let opened = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
        let size = opened.metadata()?.len();
        self.upload_from(content, name, opened, size, &[])
    }

    /// Uploads `size` bytes of `from`, with more form fields such as a checksum. A shorter `from`
    /// cuts the upload off.
    pub fn upload_from(
        &self,
        content: &str,
        name: &str,
        from: impl Read,
        size: u64,
        fields: &[(&str, &str)],
    ) -> Result<Value> {
        let fields = [&[("content", content)], fields].concat();
        let path = format!("/nodes/{NODE}/storage/local/upload");
        self.upload_to(&path, &fields, name, from, size)
    }

    /// Sends a form with these fields and a file of `size` bytes.
    pub fn upload_to(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        name: &str,
        from: impl Read,
        size: u64,
    ) -> Result<Value> {
        const BOUNDARY: &str = "basalt-test-boundary";
        let mut before = String::new();
        for (key, value) in fields {
            before.push_str(&format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{key}\"\r\n\r\n{value}\r\n"
            ));
        }
        before.push_str(&format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"filename\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        ));
        let after = format!("\r\n--{BOUNDARY}--\r\n");
        let length = before.len() as u64 + size + after.len() as u64;
        let mut body = Cursor::new(before)
            .chain(Whole { from, left: size })
            .chain(Cursor::new(after));
        let cookie = self.cookie();
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        let headers = [
            ("Cookie", cookie.as_str()),
            ("CSRFPreventionToken", &self.csrf),
            ("Content-Type", &kind),
        ];
        let path = format!("/api2/json{path}");
        let response =
            self.client
                .request("POST", &path, &headers, Body::Stream(length, &mut body))?;
        data(&response).with_context(|| format!("upload of {name}"))
    }

    /// Waits for a task's end and returns its exit status.
    pub fn task_end(&self, upid: &Value, limit: Duration) -> Result<String> {
        let upid = upid
            .as_str()
            .with_context(|| format!("not a task: {upid}"))?;
        let path = format!("/nodes/{NODE}/tasks/{upid}/status");
        let ended = poll::until(limit, Duration::from_millis(300), || {
            let status = self.get(&path)?;
            let stopped = status["status"] == "stopped";
            Ok::<_, anyhow::Error>(
                stopped.then(|| status["exitstatus"].as_str().unwrap_or("").to_owned()),
            )
        })?;
        ended.with_context(|| format!("the task {upid} has not ended after {} s", limit.as_secs()))
    }

    /// Waits for a task that must end well.
    pub fn task(&self, upid: &Value, limit: Duration) -> Result<()> {
        let end = self.task_end(upid, limit)?;
        if end != "OK" {
            bail!(
                "the task {upid} ended with: {end}\n{}",
                self.task_log(upid)?
            );
        }
        Ok(())
    }

    /// A task's log as text.
    pub fn task_log(&self, upid: &Value) -> Result<String> {
        let path = format!(
            "/nodes/{NODE}/tasks/{}/log",
            upid.as_str().unwrap_or_default()
        );
        let lines = self.get(&path)?;
        let lines = lines.as_array().cloned().unwrap_or_default();
        let texts = lines.iter().filter_map(|line| line["t"].as_str());
        Ok(texts.collect::<Vec<_>>().join("\n"))
    }
}

/// Reads as many bytes as it should; a reader that ends earlier is an error.
struct Whole<R> {
    from: R,
    left: u64,
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.by_ref().take(self.left).read(buffer)?;
        if count == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(std::io::Error::other("the file ended early"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// Unpacks `{"data":…}`, or the error.
fn data(response: &Response) -> Result<Value> {
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    if response.status == 200 {
        return Ok(body["data"].clone());
    }
    let errors = body["errors"].as_object().cloned().unwrap_or_default();
    Err(Refusal {
        status: response.status,
        reason: response.reason.clone(),
        errors: errors
            .into_iter()
            .map(|(key, value)| (key, value.as_str().unwrap_or_default().to_owned()))
            .collect(),
    }
    .into())
}

/// The refusal inside an error; anything else is a real failure.
pub fn refusal<T: fmt::Debug>(result: Result<T>) -> Result<Refusal> {
    match result {
        Ok(value) => bail!("expected a refusal, got {value:?}"),
        Err(error) => match error.downcast_ref::<Refusal>() {
            Some(refusal) => Ok(refusal.clone()),
            None => Err(error),
        },
    }
}

fn form(parameters: &[(&str, &str)]) -> String {
    let pairs = parameters
        .iter()
        .map(|(key, value)| format!("{}={}", encode(key), encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Percent-encodes everything but unreserved characters.
pub fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_percent_encoded() {
        assert_eq!(form(&[("a b", "c&d"), ("e", "ü")]), "a%20b=c%26d&e=%C3%BC");
    }

    #[test]
    fn an_error_answer_becomes_a_refusal() {
        let response = Response {
            status: 400,
            reason: "Parameter verification failed.".into(),
            headers: Vec::new(),
            body: br#"{"data":null,"errors":{"vmid":"taken"}}"#.to_vec(),
        };
        let refusal = refusal(data(&response)).unwrap();
        assert_eq!(refusal.status, 400);
        assert_eq!(refusal.errors, [("vmid".to_owned(), "taken".to_owned())]);
    }
}
