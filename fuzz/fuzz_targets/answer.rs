//! The answer file of an unattended installation.
#![no_main]

use basalt_model::host::answer::AnswerFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(errors) = AnswerFile::parse(text) {
        // What is wrong must also be sayable.
        assert!(!errors.to_string().is_empty());
    }
});
