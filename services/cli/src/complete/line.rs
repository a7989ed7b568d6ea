//! A command line as Bash hands it over: as it is typed.

/// The words of a line; the last is the one that is being typed, and may be empty.
pub fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (Some('\''), _) => word.get_or_insert_default().push(letter),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (_, '\\') => word.get_or_insert_default().extend(letters.next()),
            (None, ' ' | '\t') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.push(word.unwrap_or_default());
    words
}

/// How many bytes of the word Bash does not replace: those up to the last of its word breaks that
/// are no blanks or quotes.
pub fn replaced(word: &str, breaks: &str) -> usize {
    word.char_indices()
        .rfind(|(_, letter)| matches!(letter, ':' | '=') && breaks.contains(*letter))
        .map_or(0, |(index, letter)| index + letter.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_by_blanks_and_quotes() {
        assert_eq!(split("qm start "), ["qm", "start", ""]);
        assert_eq!(split("qm  set 'a b' x\\ y"), ["qm", "set", "a b", "x y"]);
        assert_eq!(split("a \"b c"), ["a", "b c"]);
        assert_eq!(split(""), [""]);
    }

    #[test]
    fn bash_replaces_what_follows_its_last_break() {
        assert_eq!(replaced("local:iso/a", " \t\n=:"), 6);
        assert_eq!(replaced("--a=b:c", "=:"), 6);
        assert_eq!(replaced("local:iso/a", "="), 0);
    }
}
