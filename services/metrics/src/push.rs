//! Sends samples to servers elsewhere.
//!
//! Each server has a worker with room for one sample beside the one that it is sending. A server that
//! does not answer costs its own samples and nothing else: neither the node nor the other servers wait.

mod client;
mod otel;

use crate::Sample;
use basalt_model::metrics::Target;
use client::Client;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A server that is told of samples.
struct Worker {
    target: Target,
    queue: mpsc::Sender<Arc<Sample>>,
}

/// Sends samples to servers.
#[derive(Default)]
pub struct Push {
    workers: BTreeMap<String, Worker>,
}

impl Push {
    /// Sends to these servers from now on, by their names. Those that are new or others get a worker,
    /// those that are gone end with what they are sending. Must run within a Tokio runtime.
    pub fn set(&mut self, mut targets: BTreeMap<String, Target>) {
        self.workers
            .retain(|name, worker| targets.get(name) == Some(&worker.target));
        targets.retain(|name, _| !self.workers.contains_key(name));
        for (name, target) in targets {
            let (queue, samples) = mpsc::channel(1);
            tokio::spawn(work(name.clone(), target.clone(), samples));
            self.workers.insert(name, Worker { target, queue });
        }
    }

    /// Hands a sample to every server; one that is behind misses it.
    pub fn send(&self, sample: &Arc<Sample>) {
        for (name, worker) in &self.workers {
            if worker.queue.try_send(Arc::clone(sample)).is_err() {
                tracing::debug!(server = name, "metric server is behind");
            }
        }
    }
}

/// Sends what comes. Of a server that fails the journal says so once, and once that it is back.
async fn work(name: String, target: Target, mut samples: mpsc::Receiver<Arc<Sample>>) {
    let client = match tokio::task::spawn_blocking(move || Client::new(target)).await {
        Ok(Ok(client)) => Arc::new(client),
        Ok(Err(error)) => {
            tracing::warn!(server = name, %error, "metric server");
            return;
        }
        Err(error) => {
            tracing::error!(server = name, %error, "metric server");
            return;
        }
    };
    let mut is_well = true;
    while let Some(sample) = samples.recv().await {
        let client = Arc::clone(&client);
        let sent = tokio::task::spawn_blocking(move || client.send(&sample)).await;
        let sent = sent.map_err(|error| error.to_string());
        let sent = sent.and_then(|sent| sent.map_err(|error| error.to_string()));
        match (&sent, is_well) {
            (Err(error), true) => tracing::warn!(server = name, error, "metric server fails"),
            (Ok(()), false) => tracing::info!(server = name, "metric server is back"),
            (Ok(()), true) | (Err(_), false) => {}
        }
        is_well = sent.is_ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::tests::sample;
    use basalt_model::metrics::{Compression, Web};
    use std::io::{Read, Write};
    use std::net::{TcpListener, UdpSocket};
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    fn send_to(target: Target) -> Push {
        let mut push = Push::default();
        push.set(BTreeMap::from([("one".to_owned(), target)]));
        push.send(&Arc::new(sample()));
        push
    }

    fn local(port: u16) -> (String, u16) {
        ("127.0.0.1".to_owned(), port)
    }

    fn web(port: u16, path: &str) -> Web {
        Web {
            url: format!("http://127.0.0.1:{port}{path}"),
            verify: true,
            timeout: 20 * SECOND,
            longest: 1 << 20,
        }
    }

    /// Reads one request and answers it: the head and the body.
    fn request(listener: &TcpListener, status: &str) -> (String, Vec<u8>) {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = String::from_utf8(bytes[..end].to_vec())
                    .unwrap()
                    .to_lowercase();
                let length = head
                    .lines()
                    .find_map(|l| l.strip_prefix("content-length: "));
                let length: usize = length.unwrap().parse().unwrap();
                if bytes.len() == end + 4 + length {
                    let rest = "Connection: close\r\nContent-Length: 0\r\n\r\n";
                    let answer = format!("HTTP/1.1 {status}\r\n{rest}");
                    stream.write_all(answer.as_bytes()).unwrap();
                    return (head, bytes.split_off(end + 4));
                }
            }
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "the request is cut");
            bytes.extend(&buffer[..count]);
        }
    }

    #[tokio::test]
    async fn packets_have_whole_lines() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(20 * SECOND)).unwrap();
        let mtu = 80;
        let _push = send_to(Target::Udp {
            server: local(socket.local_addr().unwrap().port()),
            mtu,
            path: Some("lab".into()),
        });
        let expected = sample().graphite_lines("lab");
        let reading = move || {
            let (mut lines, mut packets) = (Vec::new(), 0);
            while lines.len() < expected.len() {
                let mut buffer = [0; 2048];
                let count = socket.recv(&mut buffer).unwrap();
                assert!(count <= mtu);
                packets += 1;
                let text = std::str::from_utf8(&buffer[..count]).unwrap();
                lines.extend(text.lines().map(str::to_owned));
            }
            assert_eq!(lines, expected);
            assert!(packets > 1 && packets < expected.len());
        };
        tokio::task::spawn_blocking(reading).await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_has_all_lines() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _push = send_to(Target::Tcp {
            server: local(listener.local_addr().unwrap().port()),
            timeout: 20 * SECOND,
            path: "lab".into(),
        });
        let reading = move || {
            let mut text = String::new();
            listener
                .accept()
                .unwrap()
                .0
                .read_to_string(&mut text)
                .unwrap();
            text
        };
        let text = tokio::task::spawn_blocking(reading).await.unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines, sample().graphite_lines("lab"));
        assert!(text.ends_with('\n'));
    }

    #[tokio::test]
    async fn influx_gets_its_token_and_its_lines() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let _push = send_to(Target::Influx {
            web: web(port, "/api/v2/write?org=o&bucket=b"),
            token: Some("geheim".into()),
        });
        let reading = move || request(&listener, "204 No Content");
        let (head, body) = tokio::task::spawn_blocking(reading).await.unwrap();
        assert!(
            head.starts_with("post /api/v2/write?org=o&bucket=b http/1.1"),
            "{head}"
        );
        assert!(head.contains("authorization: token geheim"), "{head}");
        let body = String::from_utf8(body).unwrap();
        let lines: Vec<&str> = body.lines().collect();
        assert_eq!(lines, sample().influx_lines());
    }

    #[tokio::test]
    async fn a_collector_gets_json() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let _push = send_to(Target::Otel {
            web: web(port, "/v1/metrics"),
            headers: BTreeMap::from([("x-scope".into(), "lab".into())]),
            attributes: BTreeMap::from([("site".into(), "here".into())]),
            compression: Compression::Gzip,
        });
        let reading = move || request(&listener, "200 OK");
        let (head, body) = tokio::task::spawn_blocking(reading).await.unwrap();
        assert!(head.contains("content-type: application/json"), "{head}");
        assert!(head.contains("content-encoding: gzip"), "{head}");
        assert!(head.contains("x-scope: lab"), "{head}");
        let body = flate2::read::GzDecoder::new(body.as_slice());
        let body: serde_json::Value = serde_json::from_reader(body).unwrap();
        let resource = &body["resourceMetrics"][0];
        assert!(
            resource["resource"]["attributes"]
                .to_string()
                .contains("here")
        );
        let metrics = resource["scopeMetrics"][0]["metrics"].as_array().unwrap();
        let named = |name: &str| metrics.iter().find(|one| one["name"] == name).unwrap();
        let netin = &named("proxmox_system_netin")["sum"];
        assert_eq!(netin["isMonotonic"], true);
        assert_eq!(netin["dataPoints"][0]["asDouble"], 4096.0);
        let cpu = &named("proxmox_cpustat_cpu")["gauge"]["dataPoints"][0];
        assert_eq!(cpu["timeUnixNano"], "1800000000000000000");
    }

    #[tokio::test]
    async fn who_does_not_answer_holds_nobody_up() {
        // Accepts by the kernel, and is never read.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(20 * SECOND)).unwrap();
        let mut push = Push::default();
        let well = Target::Udp {
            server: local(socket.local_addr().unwrap().port()),
            mtu: 1400,
            path: None,
        };
        let stuck = Target::Influx {
            web: web(silent.local_addr().unwrap().port(), "/"),
            token: None,
        };
        let both = [("stuck".to_owned(), stuck), ("well".to_owned(), well)];
        push.set(BTreeMap::from(both));
        let sample = Arc::new(sample());
        let socket = Arc::new(socket);
        for _ in 0..5 {
            push.send(&sample);
            let socket = Arc::clone(&socket);
            let reading = move || socket.recv(&mut [0; 2048]).unwrap();
            assert!(tokio::task::spawn_blocking(reading).await.unwrap() > 100);
        }
        // What is no longer configured is told nothing more.
        push.set(BTreeMap::new());
        assert!(push.workers.is_empty());
    }

    #[tokio::test]
    async fn a_server_that_fails_is_told_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = Client::new(Target::Influx {
            web: web(port, "/api/v2/write"),
            token: Some("geheim".into()),
        });
        let client = client.unwrap();
        let sending = tokio::task::spawn_blocking(move || {
            let refused = client.send(&sample()).unwrap_err().to_string();
            assert!(
                refused.contains("401") && !refused.contains("geheim"),
                "{refused}"
            );
            client.send(&sample())
        });
        let reading = move || {
            request(&listener, "401 Unauthorized");
            request(&listener, "204 No Content");
        };
        tokio::task::spawn_blocking(reading).await.unwrap();
        sending.await.unwrap().unwrap();
    }
}
