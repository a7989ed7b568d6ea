//! A small web server for what an appliance fetches: files of one folder, and stretches of them.

use anyhow::{Context, Result};
use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;

/// This machine as an appliance in QEMU sees it.
const HOST: &str = "10.0.2.2";

/// Serves a folder until this program ends; returns its address for appliances.
pub fn serve(folder: &Path) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port for a web server")?;
    let port = listener.local_addr()?.port();
    let folder = folder.to_owned();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let folder = folder.clone();
            thread::spawn(move || {
                // A client that has what it wants hangs up.
                while answer(&stream, &folder).unwrap_or(false) {}
            });
        }
    });
    Ok(format!("http://{HOST}:{port}"))
}

/// Answers one request; false when there is no other.
fn answer(mut stream: &TcpStream, folder: &Path) -> std::io::Result<bool> {
    let mut path = None;
    let mut range = None;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if path.is_none() {
            path = line.split(' ').nth(1).map(|path| PathBuf::from(&path[1..]));
        } else if let Some((from, to)) = lower
            .strip_prefix("range: bytes=")
            .and_then(|range| range.split_once('-'))
        {
            range = from.parse::<u64>().ok().zip(to.parse::<u64>().ok());
        }
    }
    let Some(path) = path else {
        return Ok(false);
    };
    let name = path.file_name().unwrap_or_default();
    let Ok(mut file) = fs::File::open(folder.join(name)) else {
        write!(
            stream,
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        )?;
        return Ok(true);
    };
    let size = file.metadata()?.len();
    let (from, end) = range.map_or((0, size), |(from, to)| (from, (to + 1).min(size)));
    let status = match range {
        None => "200 OK".to_owned(),
        Some(_) => format!(
            "206 Partial Content\r\nContent-Range: bytes {from}-{}/{size}",
            end - 1
        ),
    };
    let length = end - from;
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n"
    )?;
    file.seek(SeekFrom::Start(from))?;
    std::io::copy(&mut file.take(length), &mut stream)?;
    Ok(true)
}
