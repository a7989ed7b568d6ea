//! Clients that ask at a pace, or as fast as they can.

use crate::{Client, Gateway};
use anyhow::{Result, ensure};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Connections for calls that come at a pace; more wait than ever should.
const PACED_CONNECTIONS: usize = 32;

/// How long calls took, shortest first, in seconds.
#[derive(Debug)]
pub struct Times(Vec<f64>);

impl Times {
    /// So many per cent took at most this long.
    pub fn percentile(&self, percent: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let at = (self.0.len() as f64 * percent / 100.0).ceil() as usize;
        let at = at.saturating_sub(1).min(last);
        self.0.get(at).copied().unwrap_or(f64::NAN)
    }
}

/// Makes `rate` calls a second. A call's time begins when it is due, so that one that waits for a
/// slow one before it is slow as well.
pub async fn paced(
    gateway: &Gateway,
    login: &str,
    line: &'static str,
    rate: u32,
    time: Duration,
) -> Result<Times> {
    let (due, queue) = mpsc::unbounded_channel::<Instant>();
    let queue = std::sync::Arc::new(tokio::sync::Mutex::new(queue));
    let mut clients = JoinSet::new();
    for _ in 0..PACED_CONNECTIONS {
        let mut client = Client::connect(gateway, login).await?;
        let queue = std::sync::Arc::clone(&queue);
        clients.spawn(async move {
            let mut times = Vec::new();
            loop {
                let Some(due) = queue.lock().await.recv().await else {
                    return Ok::<_, anyhow::Error>(times);
                };
                let status = client.ask(line).await?;
                ensure!(status == 200, "{line}: status {status}");
                times.push(due.elapsed().as_secs_f64());
            }
        });
    }
    let mut pace = interval(Duration::from_secs(1) / rate);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for _ in 0..(time.as_secs_f64() * f64::from(rate)) as u64 {
        due.send(pace.tick().await)?;
    }
    drop(due);
    let mut all = Vec::new();
    while let Some(times) = clients.join_next().await {
        all.extend(times??);
    }
    all.sort_by(f64::total_cmp);
    Ok(Times(all))
}

/// Calls a second when each of some connections is asked as fast as it answers.
pub async fn most(
    gateway: &Gateway,
    login: &str,
    line: &'static str,
    connections: usize,
    time: Duration,
) -> Result<f64> {
    let mut ready = Vec::new();
    for _ in 0..connections {
        ready.push(Client::connect(gateway, login).await?);
    }
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for mut client in ready {
        clients.spawn(async move {
            let mut calls = 0_u32;
            while begun.elapsed() < time {
                let status = client.ask(line).await?;
                ensure!(status == 200, "{line}: status {status}");
                calls += 1;
            }
            Ok::<_, anyhow::Error>(calls)
        });
    }
    let mut all = 0;
    while let Some(calls) = clients.join_next().await {
        all += calls??;
    }
    Ok(f64::from(all) / begun.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let times = Times((1..=200).map(f64::from).collect());
        assert_eq!(times.percentile(50.0), 100.0);
        assert_eq!(times.percentile(99.0), 198.0);
        assert_eq!(times.percentile(100.0), 200.0);
        assert!(Times(Vec::new()).percentile(99.0).is_nan());
    }
}
