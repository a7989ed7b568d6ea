//! Shows a page: the macros of man(7) that our own pages use, as text for a terminal.

/// Indentation of text, and of what explains a term.
const TEXT: usize = 4;
const EXPLAINED: usize = 12;

/// A page in lines of at most `width` columns; with `styles`, bold and underlined by escape
/// sequences.
pub fn format(page: &str, width: usize, styles: bool) -> String {
    let mut view = View {
        width,
        styles,
        out: String::new(),
        words: Vec::new(),
        style: Style::Plain,
        indent: TEXT,
        term_next: false,
    };
    for line in page.lines() {
        view.line(line);
    }
    view.flush();
    view.out
}

/// What stands behind a page's name.
pub fn summary(page: &str) -> String {
    let mut lines = page.lines().skip_while(|line| *line != ".SH NAME");
    let line = lines.nth(1).unwrap_or_default();
    let text: String = pieces(line).into_iter().map(|(_, text)| text).collect();
    text.split_once(" - ")
        .map_or(String::new(), |(_, summary)| summary.to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Bold,
    Italic,
}

impl Style {
    fn codes(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Plain => None,
            Self::Bold => Some(("\x1b[1m", "\x1b[22m")),
            Self::Italic => Some(("\x1b[4m", "\x1b[24m")),
        }
    }
}

struct View {
    width: usize,
    styles: bool,
    out: String,
    /// The paragraph that is being filled: words, each made of pieces.
    words: Vec<Vec<(Style, String)>>,
    style: Style,
    indent: usize,
    /// Whether the next line is a term.
    term_next: bool,
}

impl View {
    fn line(&mut self, line: &str) {
        let Some(request) = line.strip_prefix('.') else {
            self.fill(line);
            if std::mem::take(&mut self.term_next) {
                self.flush();
                self.indent = EXPLAINED;
            }
            return;
        };
        let (name, rest) = request.split_once(' ').unwrap_or((request, ""));
        self.flush();
        match name {
            "TH" => self.title(rest),
            "SH" => self.heading(rest, 0),
            "SS" => self.heading(rest, TEXT / 2),
            "PP" => {
                self.blank();
                self.indent = TEXT;
            }
            "TP" => {
                self.blank();
                self.indent = TEXT;
                self.term_next = true;
            }
            _ => {}
        }
    }

    fn title(&mut self, rest: &str) {
        let parts = rest.split('"').next().unwrap_or_default();
        let mut words = parts.split_whitespace();
        let name = words.next().unwrap_or_default();
        let page = format!("{name}({})", words.next().unwrap_or("1"));
        let middle = "Basalt";
        let space = self.width.saturating_sub(2 * page.len() + middle.len());
        let left = " ".repeat(space / 2);
        let right = " ".repeat(space - space / 2);
        self.out
            .push_str(&format!("{page}{left}{middle}{right}{page}\n"));
    }

    fn heading(&mut self, text: &str, indent: usize) {
        self.blank();
        self.indent = indent;
        self.style = Style::Bold;
        self.fill(text);
        self.style = Style::Plain;
        self.flush();
        self.indent = TEXT;
    }

    fn blank(&mut self) {
        let is_there = self.out.ends_with("\n\n");
        if !is_there && !self.out.is_empty() {
            self.out.push('\n');
        }
    }

    /// Adds the words of a line to the paragraph.
    fn fill(&mut self, line: &str) {
        let mut word: Vec<(Style, String)> = Vec::new();
        for (style, text) in pieces(line) {
            let style = if style == Style::Plain {
                self.style
            } else {
                style
            };
            for (index, part) in text.split(' ').enumerate() {
                if index > 0 && !word.is_empty() {
                    self.words.push(std::mem::take(&mut word));
                }
                if !part.is_empty() {
                    word.push((style, part.to_owned()));
                }
            }
        }
        if !word.is_empty() {
            self.words.push(word);
        }
    }

    /// Writes the paragraph.
    fn flush(&mut self) {
        let mut column = 0;
        for word in std::mem::take(&mut self.words) {
            let length: usize = word.iter().map(|(_, text)| text.chars().count()).sum();
            if column == 0 {
                self.out.push_str(&" ".repeat(self.indent));
                column = self.indent;
            } else if column + 1 + length > self.width {
                self.out.push('\n');
                self.out.push_str(&" ".repeat(self.indent));
                column = self.indent;
            } else {
                self.out.push(' ');
                column += 1;
            }
            for (style, text) in word {
                match style.codes().filter(|_| self.styles) {
                    Some((on, off)) => self.out.push_str(&format!("{on}{text}{off}")),
                    None => self.out.push_str(&text),
                }
            }
            column += length;
        }
        if column > 0 {
            self.out.push('\n');
        }
    }
}

/// A line in pieces of one style each, its escapes resolved.
fn pieces(line: &str) -> Vec<(Style, String)> {
    let mut found = vec![(Style::Plain, String::new())];
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        let mut add = |letter| {
            if let Some((_, text)) = found.last_mut() {
                text.push(letter);
            }
        };
        if letter != '\\' {
            add(letter);
            continue;
        }
        match letters.next() {
            Some('f') => {
                let style = match letters.next() {
                    Some('B') => Style::Bold,
                    Some('I') => Style::Italic,
                    _ => Style::Plain,
                };
                found.push((style, String::new()));
            }
            Some('e') => add('\\'),
            Some('&') | None => {}
            Some(other) => add(other),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = ".TH X 1 \"\" \"Basalt 1\" \"Basalt\"\n.SH NAME\nx \\- does\n\
                        .SH OPTIONS\n.TP\n\\fB\\-\\-a\\fR \\fITEXT\\fR\none two three four five six seven eight\n\
                        .PP\n\\&.end of \\e it\n";

    #[test]
    fn macros_become_indented_text() {
        let shown = format(PAGE, 40, false);
        let want = "X(1)               Basalt               X(1)\n";
        assert_eq!(
            shown.lines().next().unwrap().trim_end().len(),
            40,
            "{want}{shown}"
        );
        assert!(shown.contains("NAME\n    x - does\n"), "{shown}");
        assert!(
            shown.contains("    --a TEXT\n            one two three four five six\n"),
            "{shown}"
        );
        assert!(shown.contains("    .end of \\ it\n"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 40));
    }

    #[test]
    fn styles_are_escapes_for_terminals_only() {
        assert!(format(PAGE, 40, true).contains("\x1b[1m--a\x1b[22m \x1b[4mTEXT\x1b[24m"));
        assert!(!format(PAGE, 40, false).contains('\x1b'));
    }

    #[test]
    fn the_summary_is_what_the_name_section_says() {
        assert_eq!(summary(PAGE), "does");
        assert_eq!(summary("nothing"), "");
    }

    #[test]
    fn every_page_is_shown_without_remains_of_macros() {
        for page in crate::manual::page::all() {
            let shown = format(&page.text, 80, false);
            for remains in ["\\f", "\\-", "\\&", "\n.S", "\n.T"] {
                assert!(!shown.contains(remains), "{}: {remains}", page.name);
            }
        }
    }
}
