//! The keyboard maps of the image.

use std::fs;
use std::path::Path;

use basalt_model::host::Keyboard;
use basalt_update::command;

/// Where the maps lie.
const MAPS: &str = "/usr/share/keymaps/i386";

/// The names of all maps.
pub fn names() -> Vec<String> {
    let mut names = Vec::new();
    collect(Path::new(MAPS), &mut names);
    names.sort();
    names.dedup();
    names
}

fn collect(folder: &Path, names: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let (path, name) = (
            entry.path(),
            entry.file_name().to_string_lossy().into_owned(),
        );
        if path.is_dir() {
            // Parts of maps, which are none by themselves.
            if name != "include" {
                collect(&path, names);
            }
        } else if let Some(name) = name.strip_suffix(".kmap") {
            names.push(name.to_owned());
        }
    }
}

/// Whether there is this map, in the image or in the kernel.
pub fn exists(keyboard: &Keyboard) -> bool {
    keyboard.is_default() || names().iter().any(|name| name == keyboard.as_str())
}

/// Makes the consoles' keyboard this one.
pub fn load(keyboard: &Keyboard) {
    // A machine without a screen has no keyboard to be set.
    if let Err(error) = command::run("loadkeys", &["--quiet", keyboard.as_str()], "") {
        tracing::warn!(%keyboard, %error, "the keyboard is not set");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_found_in_all_folders_but_not_their_parts() {
        let dir = tempfile::tempdir().unwrap();
        for file in [
            "qwertz/de.kmap",
            "qwerty/us.kmap",
            "include/keys.kmap",
            "qwerty/x.inc",
        ] {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let mut names = Vec::new();
        collect(dir.path(), &mut names);
        names.sort();
        assert_eq!(names, ["de", "us"]);
    }
}
