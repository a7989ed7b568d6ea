//! The answer file of an unattended installation.

use basalt_model::host::answer::AnswerFile;

/// Plays one input.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Err(errors) = AnswerFile::parse(text) {
        // What is wrong must also be sayable.
        assert!(!errors.to_string().is_empty());
    }
}
