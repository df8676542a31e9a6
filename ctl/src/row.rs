//! One line of the explanation: a mark, a label, and what there is to say.

use crate::layout::hang;
use crate::style::{Style, Tone};

/// Where the text of a line begins: 64 characters, a SHA-256 in hexadecimal, fit beside it.
const INDENT: usize = 16;

/// What a line's statement is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Proven, and accepted.
    Fine,
    /// Why the quote is refused.
    Wrong,
    /// Proven, and for others to judge.
    Stated,
    /// Not proven.
    Claimed,
}

impl Mark {
    fn paint(self, style: Style) -> String {
        let (text, tone) = match self {
            Self::Fine => ("ok", Tone::Good),
            Self::Wrong => ("NO", Tone::Bad),
            Self::Stated => ("--", Tone::Faint),
            Self::Claimed => ("??", Tone::Faint),
        };
        style.paint(tone, text)
    }
}

/// A line.
pub(crate) fn row(style: Style, mark: Mark, label: &str, text: &str) -> String {
    let mark = mark.paint(style);
    if label.is_empty() {
        return hang(&format!("{mark} "), 3, text);
    }
    hang(&format!("{mark} {label:<13}"), INDENT, text)
}

/// What the marks mean.
pub(crate) fn legend(style: Style) -> String {
    let marks = [
        (Mark::Fine, "fine"),
        (Mark::Wrong, "wrong"),
        (Mark::Stated, "proven, for you to judge"),
        (Mark::Claimed, "not proven"),
    ];
    let marks: Vec<_> = marks.iter().map(|(mark, text)| format!("{} {text}", mark.paint(style))).collect();
    format!("{}\n", marks.join("   "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row__should_be_as_wide_with_colour_as_without() {
        let plain = row(Style::PLAIN, Mark::Wrong, "label", &"word ".repeat(40));
        let colour = row(Style::COLOUR, Mark::Wrong, "label", &"word ".repeat(40));
        assert_eq!(colour.replace("\u{1b}[1;31m", "").replace("\u{1b}[0m", ""), plain);
        assert!(colour.contains("\u{1b}[1;31mNO\u{1b}[0m"));
    }
}
