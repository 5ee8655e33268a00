//! The answers to a theme, as they are kept: one line each, so that a difference is seen.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use serde_json::Value;

use super::script::answers_of;

/// Answers by the names of scripts.
#[derive(Debug, Default, PartialEq)]
pub struct Answers(BTreeMap<String, Vec<Value>>);

impl Answers {
    pub fn add(&mut self, script: &str, answers: Vec<Value>) {
        let before = self.0.insert(script.to_owned(), answers);
        assert!(before.is_none(), "two scripts are called {script:?}");
    }

    /// Those of a theme that are kept.
    pub fn kept(theme: &str) -> Self {
        let file = answers_of(theme);
        let text =
            fs::read_to_string(&file).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
        Self(serde_json::from_str(&text).unwrap())
    }

    #[cfg(feature = "control-plane")]
    pub fn keep(&self, theme: &str) {
        let mut text = String::from("{\n");
        for (number, (script, answers)) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { ",\n" };
            write!(text, "{comma} {}: [", Value::from(script.as_str())).unwrap();
            for (number, answer) in answers.iter().enumerate() {
                let comma = if number == 0 { "" } else { "," };
                write!(text, "{comma}\n  {answer}").unwrap();
            }
            text += "\n ]";
        }
        text += "\n}\n";
        let file = answers_of(theme);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Where these differ from those.
    pub fn differences(&self, those: &Self) -> Vec<String> {
        let none = Vec::new();
        let mut found = Vec::new();
        for (script, expected) in &those.0 {
            let answers = self.0.get(script).unwrap_or(&none);
            if answers == expected {
                continue;
            }
            let mut text = script.clone();
            for number in 0..expected.len().max(answers.len()) {
                let (is, should) = (answers.get(number), expected.get(number));
                if is != should {
                    let tell = |value: Option<&Value>| {
                        value.map_or_else(|| "nothing".to_owned(), ToString::to_string)
                    };
                    write!(
                        text,
                        "\n  answer {number}\n    is     {}\n    should {}",
                        tell(is),
                        tell(should)
                    )
                    .unwrap();
                }
            }
            found.push(text);
        }
        let unknown = self
            .0
            .keys()
            .filter(|script| !those.0.contains_key(*script));
        found.extend(unknown.map(|script| format!("{script}: has no answers that are kept")));
        found
    }
}
