//! Sends one request to a running machine and prints the answer: `request SOCKET '"status"'`.
//! After `"events"`, prints events until the machine is gone.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().collect();
    let [_, socket, request] = words.as_slice() else {
        return Err(std::io::Error::other("usage: request SOCKET REQUEST"));
    };
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(format!("{request}\n").as_bytes())?;
    let endless = request.contains("events");
    for line in BufReader::new(stream).lines() {
        println!("{}", line?);
        if !endless {
            break;
        }
    }
    Ok(())
}
