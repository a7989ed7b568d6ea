//! Reading the host's journal, by its own tool.
//!
//! What comes from the journal is kept only as far as it is asked for; the tool ends with the
//! reader.

use basalt_api::methods::system::{JournalQuery, SyslogLine, SyslogQuery};
use basalt_api::{Error, Reply, Result};
use serde_json::{Map, Value};
use std::process::Stdio;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const TOOL: &str = "journalctl";
/// Entries that are read when nobody says how many.
const USUAL_ENTRIES: u64 = 1000;
/// Lines that are read when nobody says how many.
const USUAL_LINES: u64 = 50;
/// So much of one line is kept.
const LONGEST_LINE: usize = 16 << 10;

fn open(arguments: &[String]) -> Result<(Child, impl AsyncBufRead + Unpin + use<>)> {
    let mut child = Command::new(TOOL)
        .args(["--quiet", "--no-pager", "--all"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Error::failed(format_args!("the journal cannot be read: {error}")))?;
    let output = child.stdout.take();
    let output = output.ok_or_else(|| Error::failed("the journal cannot be read"))?;
    Ok((child, BufReader::new(output)))
}

/// The next line, cut where it is too long; none at the end.
async fn next_line(lines: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<String>> {
    let mut kept = Vec::new();
    loop {
        let read = lines.fill_buf().await.map_err(Error::failed)?;
        if read.is_empty() {
            let line = String::from_utf8_lossy(&kept).into_owned();
            return Ok(Some(line).filter(|line| !line.is_empty()));
        }
        let end = read.iter().position(|byte| *byte == b'\n');
        let part = &read[..end.unwrap_or(read.len())];
        let room = LONGEST_LINE.saturating_sub(kept.len()).min(part.len());
        kept.extend_from_slice(&part[..room]);
        let used = part.len() + usize::from(end.is_some());
        lines.consume(used);
        if end.is_some() {
            return Ok(Some(String::from_utf8_lossy(&kept).into_owned()));
        }
    }
}

/// Lines by their numbers, and how many there are.
pub async fn syslog(query: &SyslogQuery) -> Result<Reply<Vec<SyslogLine>>> {
    let mut arguments = vec!["--output=short".to_owned()];
    for (name, value) in [("since", &query.since), ("until", &query.until)] {
        if let Some(value) = value {
            check_time(value).map_err(|text| Error::param(name, text))?;
            arguments.push(format!("--{name}={value}"));
        }
    }
    if let Some(service) = &query.service {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"@._:-\\".contains(&byte);
        if service.is_empty() || !service.bytes().all(good) {
            return Err(Error::param("service", "is no name of a unit"));
        }
        arguments.push(format!("--unit={service}"));
    }
    let (start, limit) = (query.start.unwrap_or(0), query.limit.unwrap_or(USUAL_LINES));
    let (_child, mut lines) = open(&arguments)?;
    let (mut total, mut kept) = (0, Vec::new());
    while let Some(t) = next_line(&mut lines).await? {
        if total >= start && total - start < limit {
            kept.push(SyslogLine { n: total + 1, t });
        }
        total += 1;
    }
    Ok(Reply::page(kept, total))
}

/// `2026-11-29`, with or without ` 10:30` or ` 10:30:05`.
fn check_time(text: &str) -> std::result::Result<(), String> {
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    match shape.as_str() {
        "0000-00-00" | "0000-00-00 00:00" | "0000-00-00 00:00:00" => Ok(()),
        _ => Err("is no time: write it 2026-11-29 or 2026-11-29 10:30:00".to_owned()),
    }
}

/// Entries between two places or times: the place of the first, the entries as lines, the place
/// of the last.
pub async fn journal(query: &JournalQuery) -> Result<Vec<String>> {
    let backwards = query.startcursor.is_none() && query.endcursor.is_some();
    let mut limit = query.lastentries.unwrap_or(USUAL_ENTRIES);
    let fields = "MESSAGE,SYSLOG_IDENTIFIER,_COMM,_PID,_HOSTNAME";
    let mut arguments = vec![
        "--output=json".to_owned(),
        format!("--output-fields={fields}"),
    ];
    for (name, value) in [("since", query.since), ("until", query.until)] {
        arguments.extend(value.map(|seconds| format!("--{name}=@{seconds}")));
    }
    match (&query.startcursor, &query.endcursor) {
        (Some(_), Some(_)) => {
            return Err(Error::param("endcursor", "does not go with startcursor"));
        }
        (Some(cursor), None) => {
            check_cursor(cursor).map_err(|text| Error::param("startcursor", text))?;
            arguments.push(format!("--after-cursor={cursor}"));
        }
        (None, Some(cursor)) => {
            check_cursor(cursor).map_err(|text| Error::param("endcursor", text))?;
            arguments.push(format!("--cursor={cursor}"));
            arguments.push("--reverse".to_owned());
            // The place itself is read, too, and left out below.
            limit += 1;
        }
        (None, None) => {}
    }
    arguments.push(format!("--lines={limit}"));
    let (_child, mut lines) = open(&arguments)?;
    let mut entries = Vec::new();
    while let Some(line) = next_line(&mut lines).await? {
        // An entry that was cut is no JSON any more.
        if let Ok(entry) = serde_json::from_str::<Map<String, Value>>(&line) {
            entries.push(entry);
        }
    }
    let cursor = |entry: Option<&Map<String, Value>>| entry.map(|entry| text(entry, "__CURSOR"));
    if backwards {
        entries.reverse();
        if cursor(entries.last()) == query.endcursor {
            entries.pop();
        }
    }
    let (first, last) = (cursor(entries.first()), cursor(entries.last()));
    let shown = entries.iter().map(show);
    Ok(first.into_iter().chain(shown).chain(last).collect())
}

fn check_cursor(text: &str) -> std::result::Result<(), String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"=;-".contains(&byte);
    match !text.is_empty() && text.bytes().all(good) {
        true => Ok(()),
        false => Err("is no place in the journal: take it from an answer".to_owned()),
    }
}

/// A field as text; bytes that are no text come as an array.
fn text(entry: &Map<String, Value>, name: &str) -> String {
    match entry.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(bytes)) => {
            let bytes = bytes.iter().filter_map(Value::as_u64);
            let bytes: Vec<u8> = bytes.filter_map(|b| u8::try_from(b).ok()).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        _ => String::new(),
    }
}

/// An entry as a line: `Nov 29 10:30:00 host name[1]: text`.
fn show(entry: &Map<String, Value>) -> String {
    let micros = text(entry, "__REALTIME_TIMESTAMP").parse::<u64>();
    let seconds = micros.unwrap_or(0) / 1_000_000;
    let mut name = text(entry, "SYSLOG_IDENTIFIER");
    if name.is_empty() {
        name = text(entry, "_COMM");
    }
    let pid = match text(entry, "_PID").as_str() {
        "" => String::new(),
        pid => format!("[{pid}]"),
    };
    let (host, message) = (text(entry, "_HOSTNAME"), text(entry, "MESSAGE"));
    format!("{} {host} {name}{pid}: {message}", local_time(seconds))
}

fn local_time(seconds: u64) -> String {
    let offset = crate::host::utc_offset(seconds);
    let offset = i32::try_from(offset).ok();
    let offset = offset.and_then(|offset| UtcOffset::from_whole_seconds(offset).ok());
    let time = i64::try_from(seconds).ok();
    let time = time.and_then(|time| OffsetDateTime::from_unix_timestamp(time).ok());
    let shown = time.and_then(|time| {
        let format = format_description!("[month repr:short] [day] [hour]:[minute]:[second]");
        let local = time.to_offset(offset.unwrap_or(UtcOffset::UTC));
        local.format(format).ok()
    });
    shown.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_reaches_the_tool_is_checked() {
        for good in ["2026-11-29", "2026-11-29 10:30", "2026-11-29 10:30:05"] {
            assert!(check_time(good).is_ok(), "{good}");
        }
        for bad in ["", "yesterday", "2026-11-29T10:30", "2026-11-29 ", "@1"] {
            assert!(check_time(bad).is_err(), "{bad}");
        }
        assert!(check_cursor("s=0ab;i=1;b=2;m=3;t=4;x=5").is_ok());
        assert!(check_cursor("s=0 --file=/etc/shadow").is_err() && check_cursor("").is_err());
    }

    #[test]
    fn an_entry_becomes_a_line() {
        let entry = json!({
            "__REALTIME_TIMESTAMP": "0", "_HOSTNAME": "n1", "_COMM": "x", "_PID": "7",
            "MESSAGE": [104, 105, 255],
        });
        let line = show(entry.as_object().unwrap());
        assert!(line.ends_with(" n1 x[7]: hi\u{fffd}"), "{line}");
        assert_eq!(line.split(' ').next().unwrap().len(), 3);
    }

    #[tokio::test]
    async fn a_line_of_any_length_takes_bounded_memory() {
        let long = "x".repeat(3 * LONGEST_LINE);
        let text = format!("a\n{long}\n\nb");
        let mut lines = BufReader::with_capacity(100, text.as_bytes());
        let mut lengths = Vec::new();
        while let Some(line) = next_line(&mut lines).await.unwrap() {
            lengths.push(line.len());
        }
        assert_eq!(lengths, [1, LONGEST_LINE, 0, 1]);
    }
}
