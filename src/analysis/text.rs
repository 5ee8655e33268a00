//! Text from outside, made fit for a status field: one line, bounded.

/// The longest message in a status, in characters.
pub const MESSAGE: usize = 1_024;
/// The longest message of one measurement, in characters.
pub const MEASUREMENT_MESSAGE: usize = 512;
/// The longest shown value, in characters.
pub const VALUE: usize = 256;
/// The longest shown query, in characters.
pub const QUERY: usize = 1_024;

/// The text on one line, without control characters, and with at most `limit` characters.
pub fn one_line(text: &str, limit: usize) -> String {
    let mut line = String::new();
    let mut length = 0;
    let mut gap = false;
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            gap = length > 0;
            continue;
        }
        let needed = 1 + usize::from(gap);
        if length + needed > limit.saturating_sub(1) {
            line.push('…');
            return line;
        }
        if gap {
            line.push(' ');
            gap = false;
        }
        line.push(c);
        length += needed;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn text_is_put_on_one_bounded_line() {
        for (text, limit, line) in [
            ("  a\n\tb\u{0} c ", 20, "a b c"),
            ("abcdef", 4, "abc…"),
            ("ab cdef", 4, "ab…"),
            ("", 4, ""),
            ("ééééé", 4, "ééé…"),
        ] {
            assert_eq!(one_line(text, limit), line, "{text:?}");
        }
    }
}
