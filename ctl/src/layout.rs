//! Text in 80 columns: a label, and what belongs to it beside and below.

/// The width of every line, in characters.
pub(crate) const WIDTH: usize = 80;

/// Text broken into lines of at most `width` characters, at white space where there is some.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        for piece in pieces(word, width) {
            push_word(&mut lines, &piece, width);
        }
    }
    lines
}

/// A word in pieces that fit on a line.
fn pieces(word: &str, width: usize) -> Vec<String> {
    let characters: Vec<char> = word.chars().collect();
    characters.chunks(width.max(1)).map(|chunk| chunk.iter().collect()).collect()
}

fn push_word(lines: &mut Vec<String>, word: &str, width: usize) {
    let Some(line) = lines.last_mut() else { return };
    let (used, needed) = (line.chars().count(), word.chars().count());
    if used == 0 {
        line.push_str(word);
    } else if used + 1 + needed <= width {
        line.push(' ');
        line.push_str(word);
    } else {
        lines.push(word.to_owned());
    }
}

/// Lines with `text` beside a head that is `indent` characters wide as it is seen (colour has no width).
pub(crate) fn hang(head: &str, indent: usize, text: &str) -> String {
    let lines = wrap(text, WIDTH.saturating_sub(indent));
    let body = lines.join(&format!("\n{}", " ".repeat(indent)));
    format!("{}\n", format!("{head}{body}").trim_end())
}

/// Text of an outsider, fit for a terminal: bounded, with anything but printable ASCII escaped.
pub(crate) fn printable(text: &str) -> String {
    text.chars().take(120).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrap__should_break_at_white_space_and_split_what_is_too_long() {
        assert_eq!(wrap("aa bb  cc\ndd", 5), ["aa bb", "cc dd"]);
        assert_eq!(wrap("a 123456789 b", 4), ["a", "1234", "5678", "9 b"]);
        assert_eq!(wrap("", 4), [""]);
        assert_eq!(wrap("ab", 0), ["a", "b"]);
    }

    #[test]
    fn hang__should_indent_what_follows() {
        let lines = hang(" ok label     ", 14, &"word ".repeat(20));
        assert!(lines.lines().all(|line| line.len() <= WIDTH), "{lines}");
        assert!(lines.lines().skip(1).all(|line| line.starts_with("              word")), "{lines}");
    }

    #[test]
    fn printable__should_escape_what_a_terminal_acts_on() {
        assert_eq!(printable("a\u{1b}[2J\u{202e}"), "a\\u{1b}[2J\\u{202e}");
        assert!(printable(&"\u{1b}".repeat(1000)).len() < 1000);
    }
}
