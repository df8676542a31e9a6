//! `.env` files, strictly: what two tools read differently is an error, never a guess.
//!
//! ```text
//! line   = "" | "#" anything | NAME "=" value
//! value  = plain | "'" any text without "'" "'" | '"' text with escapes '"'
//! plain  = any text without blanks, quotes, "$", "#", "`" and "\"
//! escape = \n \r \t \" \\ \$
//! ```
//!
//! No `export`, no blanks around `=`, no comment after a value, no substitution, no value over several lines. A line ends
//! with `\n` or `\r\n`. What [`write()`] writes, [`parse`] reads back.

use kms_client::env::{EnvName, EnvVars};
use zeroize::Zeroizing;

use super::error::EnvCommandError;

/// What a line may be wrong about.
type Fault = &'static str;

/// Adds the variables of a file's text.
pub(super) fn parse(vars: &mut EnvVars, text: &str, place: &str) -> Result<(), EnvCommandError> {
    for (index, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fault = |found| EnvCommandError::Line { place: format!("{place}, line {}", index + 1), found };
        let (name, value) = assignment(line).map_err(fault)?;
        let value = unquote(value).map_err(fault)?;
        vars.insert(name, value)?;
    }
    Ok(())
}

/// Adds a `NAME=VALUE` of the command line, whose quotes the shell has taken away: the value is taken as it is.
pub(super) fn parse_argument(vars: &mut EnvVars, text: &str, position: usize) -> Result<(), EnvCommandError> {
    let fault = |found| EnvCommandError::Line { place: format!("variable {position}"), found };
    let (name, value) = assignment(text).map_err(fault)?;
    Ok(vars.insert(name, Zeroizing::new(value.to_owned()))?)
}

fn assignment(text: &str) -> Result<(EnvName, &str), Fault> {
    let (name, value) = text.split_once('=').ok_or("no =")?;
    let name = EnvName::parse(name).ok_or("no name of letters, digits and _ before the =")?;
    Ok((name, value))
}

fn unquote(value: &str) -> Result<Zeroizing<String>, Fault> {
    match value.chars().next() {
        Some('\'') => single_quoted(value),
        Some('"') => double_quoted(value),
        _ => plain(value),
    }
}

fn plain(value: &str) -> Result<Zeroizing<String>, Fault> {
    let special = |c: char| c.is_whitespace() || c.is_control() || "'\"$#`\\".contains(c);
    if value.contains(special) {
        return Err("a character that needs quotes; single quotes take everything as it is");
    }
    Ok(Zeroizing::new(value.to_owned()))
}

fn single_quoted(value: &str) -> Result<Zeroizing<String>, Fault> {
    let inner = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    let inner = inner.ok_or("a single quote that is not closed at the end of the line")?;
    if inner.contains('\'') {
        return Err("a single quote within single quotes; use double quotes");
    }
    Ok(Zeroizing::new(inner.to_owned()))
}

fn double_quoted(value: &str) -> Result<Zeroizing<String>, Fault> {
    const OPEN: Fault = "a double quote that is not closed at the end of the line";
    let mut out = Zeroizing::new(String::with_capacity(value.len()));
    let mut rest = value.chars().skip(1);
    loop {
        match rest.next().ok_or(OPEN)? {
            '"' if rest.next().is_none() => return Ok(out),
            '"' => return Err("text after the closing quote"),
            '$' | '`' => return Err("a $ or ` that other tools substitute; use single quotes, or \\$"),
            '\\' => out.push(escaped(rest.next().ok_or(OPEN)?)?),
            other => out.push(other),
        }
    }
}

fn escaped(letter: char) -> Result<char, Fault> {
    match letter {
        'n' => Ok('\n'),
        'r' => Ok('\r'),
        't' => Ok('\t'),
        '"' | '\\' | '$' | '`' => Ok(letter),
        _ => Err("an escape other than \\n \\r \\t \\\" \\\\ \\$ \\`"),
    }
}

/// The variables as the text of a file, each value quoted.
pub(super) fn write(vars: &EnvVars) -> Zeroizing<String> {
    let room = vars.expose().map(|(name, value)| name.as_str().len() + 2 * value.len() + 4).sum();
    let mut text = Zeroizing::new(String::with_capacity(room));
    for (name, value) in vars.expose() {
        text.push_str(name.as_str());
        text.push('=');
        quote(&mut text, value);
        text.push('\n');
    }
    text
}

fn quote(text: &mut String, value: &str) {
    if !value.contains(['\'', '\n', '\r']) {
        text.push('\'');
        text.push_str(value);
        return text.push('\'');
    }
    text.push('"');
    for c in value.chars() {
        match c {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '"' | '\\' | '$' | '`' => text.extend(['\\', c]),
            _ => text.push(c),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<Vec<(String, String)>, EnvCommandError> {
        let mut vars = EnvVars::new();
        parse(&mut vars, text, ".env")?;
        Ok(vars.expose().map(|(name, value)| (name.as_str().to_owned(), value.to_owned())).collect())
    }

    #[test]
    fn parse__should_read_the_documented_forms() {
        let text = "# a comment\n\nA=plain-1/2:3\r\nB=\nC='it $is# \\n \"so\"'\nD=\"a\\n\\\"b\\\" \\$x \\\\\"\nE=a=b==\n";
        let expected = [
            ("A", "plain-1/2:3"),
            ("B", ""),
            ("C", "it $is# \\n \"so\""),
            ("D", "a\n\"b\" $x \\"),
            ("E", "a=b=="),
        ];
        assert_eq!(parsed(text).unwrap(), expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn parse__should_refuse_what_tools_read_differently_without_repeating_it() {
        for bad in [
            "hunter2",
            "export A=hunter2",
            "A =hunter2",
            "A= hunter2",
            " A=hunter2",
            "A=hunter2 # comment",
            "A=hunter2$X",
            "A='hunter2",
            "A='hunter2' ",
            "A='hun'ter2'",
            "A=\"hunter2",
            "A=\"hunter2\" x",
            "A=\"hunter2 $X\"",
            "A=\"hunter2\\x\"",
            "A=\"hunter2\\",
            "1A=hunter2",
            "A=hunter2\\",
            "A=`hunter2`",
            "A=hunter2\nA=hunter2",
            "=hunter2",
            "A='hunter2\n'",
        ] {
            let error = parsed(bad).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{bad:?}: {error}");
        }
        assert!(parsed("A=1\n\nB=x y").unwrap_err().to_string().starts_with(".env, line 3: "));
    }

    proptest! {
        #[test]
        fn write__should_be_read_back(
            values in proptest::collection::btree_map("[A-Z_][A-Z0-9_]{0,5}", "[^\0]{0,20}|[ '\"$#`\\\\\n\r\t=n]{0,8}", 0..6)
        ) {
            let mut vars = EnvVars::new();
            for (name, value) in &values {
                vars.insert(EnvName::parse(name).unwrap(), value.clone().into()).unwrap();
            }
            prop_assert_eq!(parsed(&write(&vars)).unwrap(), values.into_iter().collect::<Vec<_>>());
        }
    }
}
