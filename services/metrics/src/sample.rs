//! What was measured at one moment, and how each protocol writes it.

use std::fmt::Write;

/// Whether a figure is as it is now, or only ever grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As it is now.
    Gauge,
    /// Grows since the object began.
    Counter,
}

/// One figure of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What it is part of, as servers group it, e.g. `memory`; `system` for the object as a whole.
    pub group: &'static str,
    /// Its name in the group.
    pub name: &'static str,
    /// Its name for whoever asks for figures over the API.
    pub metric: &'static str,
    /// Gauge or counter.
    pub kind: Kind,
    /// Bytes, seconds, or a part from 0 to 1.
    pub value: f64,
}

impl Figure {
    /// A figure as it is now: its group, its name there, its name in the API.
    pub const fn gauge(
        group: &'static str,
        name: &'static str,
        metric: &'static str,
        value: f64,
    ) -> Self {
        Self {
            group,
            name,
            metric,
            kind: Kind::Gauge,
            value,
        }
    }

    /// A figure that grows.
    pub const fn counter(
        group: &'static str,
        name: &'static str,
        metric: &'static str,
        value: f64,
    ) -> Self {
        Self {
            group,
            name,
            metric,
            kind: Kind::Counter,
            value,
        }
    }
}

/// What figures are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The node.
    Node,
    /// A guest.
    Guest {
        /// `qemu` or `lxc`.
        kind: &'static str,
        /// Number.
        vmid: u32,
        /// Name.
        name: String,
    },
    /// A storage of the node.
    Storage {
        /// Its name.
        name: String,
        /// Its driver.
        driver: String,
    },
}

/// The figures of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The object.
    pub subject: Subject,
    /// Its figures, those of a group one after the other.
    pub figures: Vec<Figure>,
}

/// All that was measured at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Seconds since 1970.
    pub time: u64,
    /// Name of the node.
    pub node: String,
    /// The figures.
    pub measured: Vec<Measured>,
}

/// A label of an object: its name and what it says.
pub(crate) type Label<'a> = (&'static str, &'a str);

impl Sample {
    /// The name of an object in the API, e.g. `qemu/100`.
    pub fn id(&self, subject: &Subject) -> String {
        match subject {
            Subject::Node => format!("node/{}", self.node),
            Subject::Guest { kind, vmid, .. } => format!("{kind}/{vmid}"),
            Subject::Storage { name, .. } => format!("storage/{}/{name}", self.node),
        }
    }

    /// What tells an object from others. `vmid` is the text of its number.
    pub(crate) fn labels<'a>(&'a self, subject: &'a Subject, vmid: &'a str) -> Vec<Label<'a>> {
        let node = self.node.as_str();
        match subject {
            Subject::Node => vec![("object", "nodes"), ("host", node)],
            Subject::Guest { kind, name, .. } => vec![
                ("object", *kind),
                ("vmid", vmid),
                ("nodename", node),
                ("host", name.as_str()),
            ],
            Subject::Storage { name, driver } => vec![
                ("object", "storages"),
                ("nodename", node),
                ("host", name.as_str()),
                ("type", driver.as_str()),
            ],
        }
    }

    /// Lines of InfluxDB's line protocol, one for each group of figures; times are in nanoseconds.
    pub fn influx_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for Measured { subject, figures } in &self.measured {
            let vmid = vmid(subject);
            let labels = self.labels(subject, &vmid);
            for group in figures.chunk_by(|one, next| one.group == next.group) {
                let mut line = group[0].group.to_owned();
                for (name, value) in labels.iter().filter(|(_, value)| !value.is_empty()) {
                    line.push_str(&format!(",{name}={}", escaped(value)));
                }
                let finite = group.iter().filter(|figure| figure.value.is_finite());
                let fields: Vec<String> = finite
                    .map(|figure| format!("{}={}", figure.name, figure.value))
                    .collect();
                if !fields.is_empty() {
                    // Writing to a string cannot fail.
                    let _ = write!(line, " {} {}000000000", fields.join(","), self.time);
                    lines.push(line);
                }
            }
        }
        lines
    }

    /// Lines of Graphite's plain text protocol, below `path`; times are in seconds.
    pub fn graphite_lines(&self, path: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let node = plain(&self.node);
        for Measured { subject, figures } in &self.measured {
            let object = match subject {
                Subject::Node => format!("nodes.{node}"),
                Subject::Guest { kind, vmid, .. } => format!("{kind}.{vmid}"),
                Subject::Storage { name, .. } => format!("storages.{node}.{}", plain(name)),
            };
            for figure in figures.iter().filter(|figure| figure.value.is_finite()) {
                let group = match figure.group {
                    "system" => String::new(),
                    group => format!("{group}."),
                };
                let (name, value, time) = (figure.name, figure.value, self.time);
                lines.push(format!("{path}.{object}.{group}{name} {value} {time}"));
            }
        }
        lines
    }
}

/// The text of a guest's number; nothing for anything else.
pub(crate) fn vmid(subject: &Subject) -> String {
    match subject {
        Subject::Guest { vmid, .. } => vmid.to_string(),
        Subject::Node | Subject::Storage { .. } => String::new(),
    }
}

/// A value of a tag in the line protocol: what separates is escaped, what ends a line is left out.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for char in text.chars().filter(|char| !char.is_control()) {
        if matches!(char, ',' | '=' | ' ' | '\\') {
            out.push('\\');
        }
        out.push(char);
    }
    out
}

/// A part of a name in Graphite, whose parts are separated by dots.
fn plain(text: &str) -> String {
    let good = |char: char| char.is_ascii_alphanumeric() || "-_".contains(char);
    let chars = text.chars();
    chars
        .map(|char| if good(char) { char } else { '_' })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub fn sample() -> Sample {
        Sample {
            time: 1_800_000_000,
            node: "n1".into(),
            measured: vec![
                Measured {
                    subject: Subject::Node,
                    figures: vec![
                        Figure::gauge("system", "uptime", "uptime", 77.0),
                        Figure::gauge("cpustat", "cpu", "cpu_current", 0.25),
                        Figure::gauge("cpustat", "wait", "cpu_iowait", f64::NAN),
                    ],
                },
                Measured {
                    subject: Subject::Guest {
                        kind: "qemu",
                        vmid: 100,
                        name: "web, the=first\n".into(),
                    },
                    figures: vec![Figure::counter("system", "netin", "net_in", 4096.0)],
                },
                Measured {
                    subject: Subject::Storage {
                        name: "big.one".into(),
                        driver: "dir".into(),
                    },
                    figures: vec![Figure::gauge("system", "total", "disk_total", 1e12)],
                },
            ],
        }
    }

    #[test]
    fn names_cannot_break_a_line() {
        let expected = [
            "system,object=nodes,host=n1 uptime=77 1800000000000000000",
            "cpustat,object=nodes,host=n1 cpu=0.25 1800000000000000000",
            "system,object=qemu,vmid=100,nodename=n1,host=web\\,\\ the\\=first netin=4096 \
             1800000000000000000",
            "system,object=storages,nodename=n1,host=big.one,type=dir total=1000000000000 \
             1800000000000000000",
        ];
        assert_eq!(sample().influx_lines(), expected);
        let expected = [
            "lab.nodes.n1.uptime 77 1800000000",
            "lab.nodes.n1.cpustat.cpu 0.25 1800000000",
            "lab.qemu.100.netin 4096 1800000000",
            "lab.storages.n1.big_one.total 1000000000000 1800000000",
        ];
        assert_eq!(sample().graphite_lines("lab"), expected);
    }

    #[test]
    fn objects_have_the_apis_names() {
        let sample = sample();
        let ids: Vec<_> = sample
            .measured
            .iter()
            .map(|one| sample.id(&one.subject))
            .collect();
        assert_eq!(ids, ["node/n1", "qemu/100", "storage/n1/big.one"]);
    }
}
