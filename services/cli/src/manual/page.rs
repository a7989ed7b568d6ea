//! Makes the pages: one for each program, and for `basalt` one for each of its nouns.

use crate::leaf::{self, Leaf};
use crate::program::Program;
use crate::{output, peers, tree};
use basalt_api::registry::Declaration;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// A page.
#[derive(Debug)]
pub struct Page {
    /// Its name, e.g. `basalt-vm`.
    pub name: String,
    /// It, in the macros of man(7).
    pub text: String,
}

/// Every page.
pub fn all() -> Vec<Page> {
    let mut pages = Vec::new();
    for program in Program::all() {
        match program {
            Program::Basalt => {
                pages.push(overview());
                pages.extend(
                    nouns()
                        .into_iter()
                        .map(|(noun, leaves)| noun_page(noun, &leaves)),
                );
            }
            Program::Peer(peers::Peer::Pvesh) => pages.push(pvesh()),
            Program::Peer(_) => pages.push(peer_page(program)),
            Program::Man => {}
        }
    }
    pages
}

fn nouns() -> BTreeMap<&'static str, Vec<Leaf>> {
    let mut nouns: BTreeMap<&str, Vec<Leaf>> = BTreeMap::new();
    for leaf in Program::Basalt.leaves() {
        let noun = leaf.words.split(' ').next().unwrap_or(leaf.words);
        nouns.entry(noun).or_default().push(leaf);
    }
    nouns
}

/// A page that is being written.
struct Sheet {
    name: String,
    text: String,
}

impl Sheet {
    fn begin(name: &str, summary: &str) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let mut text = format!(
            ".TH {} 1 \"\" \"Basalt {version}\" \"Basalt\"\n",
            name.to_uppercase()
        );
        let summary = summary.trim_end_matches('.');
        let _ = writeln!(text, ".SH NAME\n{} \\- {}", plain(name), plain(summary));
        Self {
            name: name.to_owned(),
            text,
        }
    }

    fn section(&mut self, title: &str) {
        let _ = writeln!(self.text, ".SH {title}");
    }

    fn paragraph(&mut self, text: &str) {
        let _ = writeln!(self.text, ".PP\n{}", plain(text));
    }

    /// A term in bold, its value in italics, and what it is.
    fn item(&mut self, term: &str, value: &str, about: &str) {
        let about = if about.is_empty() {
            "\\&".to_owned()
        } else {
            plain(about)
        };
        let value = match value {
            "" => String::new(),
            value => format!(" \\fI{}\\fR", inline(value)),
        };
        let _ = writeln!(self.text, ".TP\n\\fB{}\\fR{value}\n{about}", inline(term));
    }

    fn end(mut self, also: &[&str]) -> Page {
        self.section("EXIT STATUS");
        self.paragraph(
            "0 when all was done, and a task that was waited for ended well; otherwise a message \
             on standard error says which parameter was wrong and what it should be, or what failed.",
        );
        self.section("SEE ALSO");
        let list: Vec<String> = also
            .iter()
            .map(|name| format!("\\fB{}\\fR(1)", inline(name)))
            .collect();
        let _ = writeln!(self.text, ".PP\n{}", list.join(", "));
        Page {
            name: self.name,
            text: self.text,
        }
    }

    /// A command of a program with all its arguments.
    fn command(&mut self, program: &str, leaf: &Leaf) {
        let _ = writeln!(self.text, ".SS {} {}", inline(program), inline(leaf.words));
        let places: Vec<String> = leaf
            .places
            .iter()
            .map(|place| place.replace(leaf::bare(place), &leaf::bare(place).to_uppercase()))
            .collect();
        let _ = writeln!(
            self.text,
            ".PP\n\\fB{} {}\\fR \\fI{}\\fR [OPTIONS]",
            inline(program),
            inline(leaf.words),
            inline(&places.join(" "))
        );
        match leaf.declaration() {
            None => self.paragraph(leaf.summary()),
            Some(declaration) => self.method(leaf, declaration),
        }
    }

    fn method(&mut self, leaf: &Leaf, declaration: &Declaration) {
        let method = declaration.method;
        for paragraph in method.description().split("\n\n") {
            self.paragraph(&paragraph.replace('\n', " "));
        }
        let schema = basalt_api::schema::params(declaration);
        for place in &leaf.places {
            let name = leaf::bare(place);
            let found = &schema["properties"][name];
            self.item(&name.to_uppercase(), "", &leaf::help(found));
        }
        let required: BTreeSet<&str> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|name| name.as_str())
            .collect();
        for option in leaf.options(&schema, &[]) {
            let mut about = leaf::help(&option.schema);
            if required.contains(option.name.as_str()) && option.name != "node" {
                about.push_str(" Required.");
            }
            let kind = output::kind(&option.schema);
            self.item(&format!("--{}", option.name), &kind, about.trim());
        }
        self.paragraph(&format!(
            "API: {} {}. Who may: {}.",
            method.verb,
            method.path,
            method.permission.describe()
        ));
    }

    fn common_options(&mut self) {
        self.section("OPTIONS OF EVERY COMMAND");
        let format = "How to print the answer.";
        self.item("--output-format", "text|json|json-pretty|yaml", format);
        let wait = "Print the task's id instead of waiting for its end and showing its log.";
        self.item("--no-wait", "", wait);
        self.item("--help", "", "Show a command's arguments.");
    }
}

fn overview() -> Page {
    let mut sheet = Sheet::begin("basalt", Program::Basalt.about());
    sheet.section("SYNOPSIS");
    sheet.paragraph("basalt NOUN VERB [ARGUMENTS] [OPTIONS]");
    sheet.paragraph("basalt api get|create|set|delete|ls PATH [--NAME VALUE ...]");
    sheet.section("DESCRIPTION");
    sheet.paragraph(
        "basalt calls the methods of this host's API as root, over a local socket, without a \
         login. Every method has its command, and basalt api reaches all of them by their paths. \
         Numbered options such as --net0 may have any number.",
    );
    sheet.paragraph(
        "The Tab key completes commands, options and what is there now: guests, storages, users.",
    );
    sheet.section("NOUNS");
    for (noun, leaves) in nouns() {
        let verbs: Vec<&str> = leaves
            .iter()
            .filter_map(|leaf| leaf.words.split_once(' ').map(|(_, verb)| verb))
            .collect();
        let about = match &verbs[..] {
            [] => leaves.first().map_or("", Leaf::summary).to_owned(),
            _ => format!("Commands on {}: {}.", tree::subject(noun), verbs.join(", ")),
        };
        sheet.item(noun, "", &about);
    }
    sheet.common_options();
    let pages: Vec<String> = nouns()
        .into_keys()
        .map(|noun| format!("basalt-{noun}"))
        .collect();
    let mut also: Vec<&str> = pages.iter().map(String::as_str).collect();
    also.extend(peers::Peer::ALL.iter().map(|peer| peer.name()));
    sheet.end(&also)
}

fn noun_page(noun: &str, leaves: &[Leaf]) -> Page {
    let name = format!("basalt-{noun}");
    let mut sheet = Sheet::begin(&name, &format!("commands on {}", tree::subject(noun)));
    commands(&mut sheet, "basalt", leaves);
    sheet.common_options();
    sheet.end(&["basalt"])
}

fn peer_page(program: Program) -> Page {
    let mut sheet = Sheet::begin(program.name(), program.about());
    let leaves = program.leaves();
    if leaves.is_empty() {
        sheet.section("SYNOPSIS");
        sheet.paragraph(&format!("{} [--verbose]", program.name()));
    } else {
        sheet.section("DESCRIPTION");
        sheet.paragraph(
            "The commands of Proxmox VE under their names, for those who know them and for their \
             scripts. Options may have one dash or two.",
        );
        commands(&mut sheet, program.name(), &leaves);
    }
    sheet.common_options();
    sheet.end(&["basalt"])
}

fn commands(sheet: &mut Sheet, program: &str, leaves: &[Leaf]) {
    sheet.section("COMMANDS");
    let mut shown: Vec<&Leaf> = leaves.iter().filter(|leaf| leaf.is_shown()).collect();
    shown.sort_by_key(|leaf| leaf.words);
    for leaf in shown {
        sheet.command(program, leaf);
    }
}

fn pvesh() -> Page {
    let program = Program::Peer(peers::Peer::Pvesh);
    let mut sheet = Sheet::begin(program.name(), program.about());
    sheet.section("SYNOPSIS");
    sheet.paragraph("pvesh get|create|set|delete PATH [--NAME VALUE ...]");
    sheet.paragraph("pvesh ls PATH");
    sheet.paragraph("pvesh usage PATH [--command get|create|set|delete] [--verbose] [--returns]");
    sheet.section("DESCRIPTION");
    sheet.paragraph(
        "get, create, set and delete call the method of that path whose HTTP verb is GET, POST, PUT \
         or DELETE. ls lists what lies below a path; its first column has D for a folder and r, w, \
         c, d for what can be done. usage says which parameters a method takes.",
    );
    sheet.section("OPTIONS");
    sheet.item("--noborder", "", "Print tables without lines.");
    sheet.item("--noheader", "", "Print tables without names of columns.");
    sheet.item("--quiet", "", "Print no answer.");
    sheet.common_options();
    sheet.end(&["basalt"])
}

/// Text of a paragraph: escaped, and no line that begins like a macro.
fn plain(text: &str) -> String {
    let line = inline(text);
    if line.starts_with(['.', '\'']) {
        return format!("\\&{line}");
    }
    line
}

/// Text inside a line. A hyphen in what can be typed is a minus, so that it can be copied.
fn inline(text: &str) -> String {
    text.replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(name: &str) -> Page {
        all().into_iter().find(|page| page.name == name).unwrap()
    }

    #[test]
    fn every_noun_and_program_has_a_page() {
        let names: Vec<String> = all().into_iter().map(|page| page.name).collect();
        for name in [
            "basalt",
            "basalt-vm",
            "basalt-ct",
            "qm",
            "pct",
            "pvesh",
            "pveum",
        ] {
            assert!(names.iter().any(|one| one == name), "{name}");
        }
    }

    #[test]
    fn a_page_names_commands_options_and_rights() {
        let text = page("basalt-vm").text;
        for part in [
            ".TH BASALT-VM 1",
            ".SS basalt vm start",
            "\\fB\\-\\-memory\\fR",
            "VM.PowerMgmt",
        ] {
            assert!(text.contains(part), "{part}");
        }
    }

    #[test]
    fn pages_are_the_same_each_time() {
        let texts = || all().into_iter().map(|page| page.text).collect::<Vec<_>>();
        assert_eq!(texts(), texts());
    }
}
