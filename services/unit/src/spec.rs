//! What to start.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;
use zbus::zvariant::{Fd, Value};

use crate::proxy::ExecCommand;

/// One setting of a unit under its D-Bus name, e.g. `Delegate` or `DeviceAllow`.
#[derive(Debug, PartialEq)]
pub struct Property {
    name: String,
    value: Value<'static>,
}

impl Property {
    /// A setting whose D-Bus type is the one `value` turns into: `bool` → `b`, `u64` → `t`,
    /// `String` → `s`, `Vec<String>` → `as`, `Vec<(String, String)>` → `a(ss)`.
    pub fn new(name: impl Into<String>, value: impl Into<Value<'static>>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
        }
    }

    /// As the service manager takes it.
    pub(crate) fn into_pair(self) -> (String, Value<'static>) {
        (self.name, self.value)
    }

    /// A setting that is an open file, e.g. `StandardOutputFileDescriptor`.
    pub fn descriptor(name: impl Into<String>, file: OwnedFd) -> Self {
        Self {
            name: name.into(),
            value: Value::Fd(Fd::from(file)),
        }
    }

    /// A setting that is a time span; systemd counts microseconds and names it `…USec`.
    pub fn duration(name: impl Into<String>, span: Duration) -> Self {
        Self::new(name, u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
    }
}

/// A transient service to start.
///
/// Every such unit gets `CollectMode=inactive-or-failed`, so that its name is free again as soon
/// as it ended; [`UnitSpec::properties`] adds what the kind of guest needs.
#[derive(Debug)]
pub struct UnitSpec {
    /// Full unit name, e.g. `basalt-ct-101.service`.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Slice the unit lives in.
    pub slice: String,
    /// Absolute path of the executable.
    pub executable: PathBuf,
    /// Its arguments as they are to arrive, without argument zero.
    pub arguments: Vec<String>,
    /// User to run as; none means root.
    pub user: Option<String>,
    /// Becomes file descriptor 0.
    pub stdin: OwnedFd,
    /// Further settings.
    pub properties: Vec<Property>,
}

impl UnitSpec {
    /// The settings as `StartTransientUnit` takes them.
    pub(crate) fn into_properties(self) -> Vec<(String, Value<'static>)> {
        let path = self.executable.to_string_lossy().into_owned();
        let mut argv = vec![path.clone()];
        // In systemd's command lines a dollar begins the name of a variable.
        argv.extend(self.arguments.iter().map(|word| word.replace('$', "$$")));
        let exec: Vec<ExecCommand> = vec![(path, argv, false)];

        let mut properties: Vec<(String, Value<'static>)> = vec![
            ("Description".into(), self.description.into()),
            ("Slice".into(), self.slice.into()),
            ("CollectMode".into(), "inactive-or-failed".into()),
            ("ExecStart".into(), exec.into()),
            // With a descriptor as input, output would go there as well.
            ("StandardOutput".into(), "journal".into()),
            ("StandardError".into(), "journal".into()),
            (
                "StandardInputFileDescriptor".into(),
                Value::Fd(Fd::from(self.stdin)),
            ),
        ];
        if let Some(user) = self.user {
            properties.push(("User".into(), user.into()));
        }
        properties.extend(self.properties.into_iter().map(Property::into_pair));
        properties
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> UnitSpec {
        UnitSpec {
            name: "basalt-ct-101.service".into(),
            description: "Container 101".into(),
            slice: "basalt-guests.slice".into(),
            executable: "/usr/lib/basalt/basalt-container".into(),
            arguments: vec!["run".into()],
            user: None,
            stdin: std::fs::File::open("/dev/null").unwrap().into(),
            properties: vec![
                Property::new("Delegate", true),
                Property::new(
                    "DeviceAllow",
                    vec![("/dev/null".to_owned(), "rw".to_owned())],
                ),
                Property::duration("TimeoutStopUSec", Duration::from_secs(3)),
            ],
        }
    }

    fn signature(properties: &[(String, Value<'_>)], name: &str) -> String {
        let (_, value) = properties.iter().find(|(n, _)| *n == name).unwrap();
        value.value_signature().to_string()
    }

    #[test]
    fn properties_have_the_types_systemd_expects() {
        let properties = spec().into_properties();
        assert_eq!(signature(&properties, "ExecStart"), "a(sasb)");
        assert_eq!(signature(&properties, "StandardInputFileDescriptor"), "h");
        assert_eq!(signature(&properties, "Delegate"), "b");
        assert_eq!(signature(&properties, "DeviceAllow"), "a(ss)");
        assert_eq!(signature(&properties, "TimeoutStopUSec"), "t");
        assert!(properties.iter().all(|(name, _)| name != "User"));
    }

    #[test]
    fn argument_zero_is_the_executable_and_the_others_arrive_as_they_are() {
        let mut spec = spec();
        spec.arguments.push("--dir=/srv/${HOME}".into());
        let properties = spec.into_properties();
        let (_, exec) = properties.iter().find(|(n, _)| *n == "ExecStart").unwrap();
        let exec: Vec<ExecCommand> = exec.try_clone().unwrap().try_into().unwrap();
        let arguments = [
            "/usr/lib/basalt/basalt-container",
            "run",
            "--dir=/srv/$${HOME}",
        ];
        assert_eq!(exec[0].1, arguments);
    }
}
