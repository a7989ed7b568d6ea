//! What tar said, told apart from what it means.

use super::{ArchiveFault, ExtractReport};

/// Remarks passed on; more would only fill a task's log.
const MAX_WARNINGS: usize = 20;

/// tar's closing words, which add nothing to what it said before.
const EMPTY_PHRASES: &[&str] = &[
    "tar: Exiting with failure status due to previous errors",
    "tar: Error is not recoverable: exiting now",
    "tar: Child returned status",
    "tar: Exiting with failure",
];

/// Judges a run by its exit status (none when a signal ended it) and standard error.
pub fn judge(status: Option<i32>, stderr: &str) -> Result<ExtractReport, ArchiveFault> {
    let (devices, remarks): (Vec<&str>, Vec<&str>) = stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .filter(|line| !EMPTY_PHRASES.iter().any(|phrase| line.starts_with(phrase)))
        .partition(|line| line.contains(": Cannot mknod: "));
    let failed = match status {
        Some(0) => false,
        // tar fails as a whole for each node the user namespace would not make.
        Some(2) => devices.is_empty() || !remarks.is_empty(),
        _ => true,
    };
    if failed {
        let last = remarks
            .last()
            .copied()
            .unwrap_or("tar was ended by a signal");
        return Err(ArchiveFault::Damaged(last.to_owned()));
    }
    Ok(ExtractReport {
        skipped_devices: devices.len() as u64,
        warnings: remarks
            .iter()
            .take(MAX_WARNINGS)
            .map(|line| (*line).to_owned())
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_nodes_alone_do_not_fail_an_archive() {
        let stderr = "tar: ./x/null: Cannot mknod: Operation not permitted\n\
                      tar: Exiting with failure status due to previous errors\n";
        assert_eq!(judge(Some(2), stderr).unwrap().skipped_devices, 1);
    }

    #[test]
    fn the_last_meaningful_line_is_the_reason() {
        let stderr = "gzip: stdin: invalid compressed data--format violated\n\
                      tar: Child returned status 1\n\
                      tar: Error is not recoverable: exiting now\n";
        assert_eq!(
            judge(Some(2), stderr),
            Err(ArchiveFault::Damaged(
                "gzip: stdin: invalid compressed data--format violated".into()
            ))
        );
    }

    #[test]
    fn a_node_does_not_hide_another_error() {
        let stderr = "tar: ./null: Cannot mknod: Operation not permitted\n\
                      tar: ./a: Cannot write: No space left on device\n";
        assert!(judge(Some(2), stderr).is_err());
    }

    #[test]
    fn warnings_are_kept() {
        let report = judge(Some(0), "tar: ./a: time stamp in the future\n").unwrap();
        assert_eq!(report.warnings.len(), 1);
        assert!(judge(None, "").is_err());
    }
}
