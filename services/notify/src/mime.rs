//! A mail as it is sent (RFC 5322, RFC 2045).

use basalt_model::notify::{MailAddress, Severity};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// Longest line of an encoded body (RFC 2045, section 6.8).
const LINE: usize = 76;
/// Most bytes in an encoded word, so that it has at most 75 characters (RFC 2047, section 2).
const WORD: usize = 45;

/// A mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Who sends it.
    pub from: MailAddress,
    /// The sender's name.
    pub author: String,
    /// Who gets it.
    pub to: Vec<MailAddress>,
    /// What it is about, in one line.
    pub subject: String,
    /// Its text.
    pub body: String,
    /// How bad it is.
    pub severity: Severity,
    /// When, in seconds since 1970.
    pub time: u64,
}

impl Mail {
    /// The whole message, its lines ended by CR LF.
    pub fn message(&self, host: &str) -> String {
        let to: Vec<&str> = self.to.iter().map(MailAddress::as_str).collect();
        let id = uuid::Uuid::new_v4();
        let mut text = String::new();
        let mut header = |name: &str, value: &str| {
            text.push_str(&format!("{name}: {value}\r\n"));
        };
        let from = format!("{} <{}>", phrase(&self.author), self.from);
        header("From", &from);
        header("To", &to.join(",\r\n "));
        header("Subject", &unstructured(&self.subject));
        header("Date", &date(self.time));
        header("Message-ID", &format!("<{id}@{host}>"));
        // No machine has to answer (RFC 3834, section 5).
        header("Auto-Submitted", "auto-generated");
        header("X-Basalt-Severity", self.severity.as_str());
        header("MIME-Version", "1.0");
        header("Content-Type", "text/plain; charset=utf-8");
        header("Content-Transfer-Encoding", "base64");
        text.push_str("\r\n");
        let body = self.body.replace("\r\n", "\n").replace('\n', "\r\n");
        let encoded = STANDARD.encode(format!("{}\r\n", body.trim_end()));
        let mut rest = encoded.as_str();
        while !rest.is_empty() {
            let (line, more) = rest.split_at(rest.len().min(LINE));
            text.push_str(line);
            text.push_str("\r\n");
            rest = more;
        }
        text
    }
}

/// Universal time as mails have it.
fn date(time: u64) -> String {
    let seconds = i64::try_from(time).unwrap_or(0);
    let moment = OffsetDateTime::from_unix_timestamp(seconds);
    let moment = moment.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    // Only years before 1900 have no form.
    moment.format(&Rfc2822).unwrap_or_default()
}

/// Whether a text can stand in a header as it is.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && !text.contains("=?")
}

/// A text in a header.
fn unstructured(text: &str) -> String {
    match is_plain(text) && text.len() < 200 {
        true => text.to_owned(),
        false => words(text),
    }
}

/// A name before an address.
fn phrase(text: &str) -> String {
    match is_plain(text) {
        true => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        false => words(text),
    }
}

/// A text as encoded words (RFC 2047), each of whole characters.
fn words(text: &str) -> String {
    let mut parts = vec![String::new()];
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        let full = parts
            .last()
            .is_none_or(|part| part.len() + c.len_utf8() > WORD);
        if full {
            parts.push(String::new());
        }
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    let words = parts.iter();
    let words = words.map(|part| format!("=?utf-8?B?{}?=", STANDARD.encode(part)));
    words.collect::<Vec<_>>().join("\r\n ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(author: &str, subject: &str, body: &str) -> String {
        let mail = Mail {
            from: "host@example.org".parse().unwrap(),
            author: author.to_owned(),
            to: ["a@example.org", "b@example.org"]
                .map(|to| to.parse().unwrap())
                .to_vec(),
            subject: subject.to_owned(),
            body: body.to_owned(),
            severity: Severity::Warning,
            time: 1_799_020_800,
        };
        mail.message("n1")
    }

    fn decoded(word: &str) -> String {
        let inner = word
            .trim()
            .strip_prefix("=?utf-8?B?")
            .unwrap()
            .strip_suffix("?=")
            .unwrap();
        String::from_utf8(STANDARD.decode(inner).unwrap()).unwrap()
    }

    #[test]
    fn headers_say_who_what_and_when() {
        let text = mail("Host \"one\"", "All is well", "text");
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        for line in [
            "From: \"Host \\\"one\\\"\" <host@example.org>",
            "To: a@example.org,\r\n b@example.org",
            "Subject: All is well",
            "Date: Mon, 04 Jan 2027 00:00:00 +0000",
            "Auto-Submitted: auto-generated",
        ] {
            assert!(head.contains(line), "{line} in {head}");
        }
    }

    #[test]
    fn other_letters_are_encoded_and_no_line_is_long() {
        let subject = "Prüfung ".repeat(24);
        let text = mail("Süd", &subject, &"ä long line ".repeat(100));
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
        assert!(text.is_ascii());
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let found = head.split("Subject: ").nth(1).unwrap();
        let found = found.split("\r\nDate").next().unwrap();
        let found: String = found.split("\r\n").map(decoded).collect();
        assert_eq!(found, subject);
        let body = STANDARD.decode(body.replace("\r\n", "")).unwrap();
        let body = String::from_utf8(body).unwrap();
        assert_eq!(body.trim_end(), "ä long line ".repeat(100).trim_end());
    }

    #[test]
    fn a_subject_cannot_begin_another_header() {
        let text = mail("a", "x\r\nBcc: eve@example.org", "y");
        assert!(!text.contains("\r\nBcc"), "{text}");
    }
}
