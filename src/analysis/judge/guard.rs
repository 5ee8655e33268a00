//! What a condition may contain, checked before it is parsed.
//!
//! Conditions are written by whoever may write a template, and `expr-lang` trusts them: deep nesting overflows the stack,
//! nested indexing and `if` make its parser backtrack exponentially, and ranges, variables, nested closures and several
//! functions use memory or time without bound. What is left here is what judging numbers needs.

use super::condition::ConditionError;

/// The longest condition, in characters.
pub const MAX_LENGTH: usize = 1_024;
/// The deepest nesting of brackets and of conditional operators.
pub const MAX_NESTING: usize = 64;
/// The most words, numbers and symbols: each operator in a chain is one more call on the evaluator's stack.
pub const MAX_TOKENS: usize = 128;
/// The deepest nesting of square brackets: the parser reads the innermost 2^n times.
const MAX_INDEX_NESTING: usize = 4;

/// Functions that take one value after the other and do not grow what they are given.
const FUNCTIONS: &[&str] = &[
    "asInt",
    "asFloat",
    "isNaN",
    "isInf",
    "isNil",
    "default",
    "len",
    "abs",
    "ceil",
    "floor",
    "round",
    "min",
    "max",
    "mean",
    "median",
    "int",
    "float",
    "first",
    "last",
    "lower",
    "upper",
    "trim",
    "hasPrefix",
    "hasSuffix",
];
/// Functions that call a predicate for each element. They may not be nested.
const PREDICATE_FUNCTIONS: &[&str] = &[
    "all", "any", "one", "none", "count", "sum", "filter", "find",
];

/// What the condition says about itself, besides what it decides.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Traits {
    /// The highest literal index of `result`, where the condition does not look at the length.
    pub highest_index: Option<usize>,
    /// Whether it deals with NaN itself.
    pub handles_nan: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    Number(&'a str),
    Text,
    Symbol(char),
}

/// Checks the text of a condition.
pub fn check(text: &str) -> Result<Traits, ConditionError> {
    if text.chars().count() > MAX_LENGTH {
        return Err(ConditionError::TooLong);
    }
    let tokens = tokens(text)?;
    check_nesting(&tokens)?;
    if tokens.len() > MAX_TOKENS {
        return Err(ConditionError::TooManyParts(tokens.len()));
    }
    check_words(&tokens)?;
    Ok(traits(&tokens))
}

fn tokens(text: &str) -> Result<Vec<Token<'_>>, ConditionError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '"' | '\'' | '`' => {
                tokens.push(Token::Text);
                text_length(rest, c).ok_or(ConditionError::UnclosedText)?
            }
            _ if c.is_ascii_alphabetic() || matches!(c, '_' | '$' | '#') => {
                let length = 1 + run(rest.get(1..).unwrap_or_default(), |c| {
                    c.is_ascii_alphanumeric() || c == '_'
                });
                tokens.push(Token::Word(rest.get(..length).unwrap_or_default()));
                length
            }
            _ if c.is_ascii_digit() => {
                let length = run(rest, |c| c.is_ascii_alphanumeric() || c == '_');
                tokens.push(Token::Number(rest.get(..length).unwrap_or_default()));
                length
            }
            _ if rest.starts_with("..") => {
                return Err(ConditionError::Forbidden("ranges (..)".into()));
            }
            _ if rest.starts_with("//") || rest.starts_with("/*") => {
                return Err(ConditionError::Forbidden("comments".into()));
            }
            _ => {
                if !c.is_whitespace() {
                    tokens.push(Token::Symbol(c));
                }
                c.len_utf8()
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(tokens)
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// The length of a quoted text with its quotes. `None` when it is not closed.
fn text_length(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' && quote != '`' {
            escaped = true;
        } else if c == quote {
            return Some(at + 1);
        }
    }
    None
}

fn check_nesting(tokens: &[Token<'_>]) -> Result<(), ConditionError> {
    // For each open bracket: is it a square one, and does it belong to a function that takes a predicate?
    let mut open: Vec<(bool, bool)> = Vec::new();
    let mut conditionals = 0;
    let mut before = None;
    for token in tokens {
        match token {
            Token::Symbol('?') => conditionals += 1,
            Token::Symbol('(' | '[' | '{') => {
                let takes_predicate = *token == Token::Symbol('(')
                    && matches!(before, Some(Token::Word(word)) if PREDICATE_FUNCTIONS.contains(&word));
                if takes_predicate && open.iter().any(|(_, predicate)| *predicate) {
                    return Err(ConditionError::Forbidden(
                        "one function with a predicate inside another (use | to chain them)".into(),
                    ));
                }
                open.push((*token == Token::Symbol('['), takes_predicate));
                if open.iter().filter(|(square, _)| *square).count() > MAX_INDEX_NESTING {
                    return Err(ConditionError::TooDeep(MAX_INDEX_NESTING));
                }
            }
            Token::Symbol(')' | ']' | '}') => {
                open.pop();
            }
            Token::Word(_) | Token::Number(_) | Token::Text | Token::Symbol(_) => {}
        }
        if open.len() + conditionals > MAX_NESTING {
            return Err(ConditionError::TooDeep(MAX_NESTING));
        }
        before = Some(*token);
    }
    Ok(())
}

fn check_words(tokens: &[Token<'_>]) -> Result<(), ConditionError> {
    let map = tokens.windows(3).any(|window| {
        matches!(
            window,
            [
                Token::Symbol('{'),
                Token::Word(_) | Token::Text,
                Token::Symbol(':')
            ]
        )
    });
    if map {
        return Err(ConditionError::Forbidden("maps".into()));
    }
    for (at, token) in tokens.iter().enumerate() {
        let Token::Word(word) = *token else { continue };
        let called = tokens.get(at + 1) == Some(&Token::Symbol('('));
        match word {
            "let" => return Err(ConditionError::Forbidden("variables (let)".into())),
            "if" | "else" => {
                return Err(ConditionError::Forbidden(
                    "if and else (use condition ? a : b)".into(),
                ));
            }
            "matches" => {
                return Err(ConditionError::Forbidden(
                    "regular expressions (matches)".into(),
                ));
            }
            // Operators and literals, after which a bracket is not a call.
            "and" | "or" | "not" | "in" | "contains" | "startsWith" | "endsWith" | "true"
            | "false" | "nil" => {}
            _ if word.starts_with('$') => {
                return Err(ConditionError::Forbidden(format!(
                    "{word} (only result can be read)"
                )));
            }
            _ if called && !FUNCTIONS.contains(&word) && !PREDICATE_FUNCTIONS.contains(&word) => {
                return Err(ConditionError::Forbidden(format!("the function {word}")));
            }
            _ => {}
        }
    }
    Ok(())
}

fn traits(tokens: &[Token<'_>]) -> Traits {
    let words = |name: &str| tokens.contains(&Token::Word(name));
    let indices = tokens.windows(4).filter_map(|window| match window {
        [
            Token::Word("result"),
            Token::Symbol('['),
            Token::Number(index),
            Token::Symbol(']'),
        ] => index.replace('_', "").parse().ok(),
        _ => None,
    });
    Traits {
        highest_index: if words("len") { None } else { indices.max() },
        handles_nan: words("isNaN"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_over_numbers_pass() {
        for text in [
            "result[0] < 0.05",
            "result <= 1e3 and not (result == 2)",
            "all(result, # < 0.05) || any(result, {# > 1})",
            "filter(result, !isNaN(#)) | all(# < 1)",
            "asFloat(result[0]) >= default(result[1], 0.5)",
            "result == \"..\" || result == 'let // now()'",
            "((((((((((result[0] > 1))))))))))",
        ] {
            assert!(check(text).is_ok(), "{text}: {:?}", check(text));
        }
    }

    #[test]
    fn what_could_hurt_is_refused_by_name() {
        let deep = "(".repeat(500) + &")".repeat(500);
        let long = "1".repeat(1_025);
        let indices = "result[".repeat(5) + "0" + &"]".repeat(5);
        let sums = format!("1{} > 0", "+1".repeat(75));
        let ternaries = "true ? 1 : ".repeat(70) + "2";
        for (text, error) in [
            (deep.as_str(), "it is nested deeper than 64 levels"),
            (long.as_str(), "it is longer than 1024 characters"),
            (indices.as_str(), "it is nested deeper than 4 levels"),
            (ternaries.as_str(), "it is nested deeper than 64 levels"),
            (
                "len(1..100000000) > 0",
                "it uses ranges (..), which conditions may not",
            ),
            (
                "let a = 1; a > 0",
                "it uses variables (let), which conditions may not",
            ),
            (
                "repeat('x', 1000000) != ''",
                "it uses the function repeat, which conditions may not",
            ),
            (
                "repeat ('x', 1000000) != ''",
                "it uses the function repeat, which conditions may not",
            ),
            (
                "now().Year() > 1",
                "it uses the function now, which conditions may not",
            ),
            (
                "result.foo() > 1",
                "it uses the function foo, which conditions may not",
            ),
            (
                "'x' | repeat(9)",
                "it uses the function repeat, which conditions may not",
            ),
            (
                "reduce(result, # + #acc) > 1",
                "it uses the function reduce, which conditions may not",
            ),
            (
                "map(result, #) != nil",
                "it uses the function map, which conditions may not",
            ),
            (
                "all(result, any(result, # > 1))",
                "it uses one function with a predicate inside another (use | to chain them), which conditions may not",
            ),
            (
                "result matches 'a'",
                "it uses regular expressions (matches), which conditions may not",
            ),
            (
                "$env != nil",
                "it uses $env (only result can be read), which conditions may not",
            ),
            (
                "if result > 1 { true } else { false }",
                "it uses if and else (use condition ? a : b), which conditions may not",
            ),
            ("{a: 1} != nil", "it uses maps, which conditions may not"),
            (sums.as_str(), "it has 153 parts; at most 128 are allowed"),
            (
                "result > 1 // fine",
                "it uses comments, which conditions may not",
            ),
            ("result == 'open", "a text in it is not closed"),
        ] {
            let refused = check(text).map_err(|error| error.to_string());
            assert_eq!(refused, Err(error.to_owned()), "{text}");
        }
    }
}
