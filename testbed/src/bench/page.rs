//! The page that keeps the figures: what stands between two marks is replaced, all else is a person's.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::{
    figures::{self, Figure},
    machine::Machine,
};

const BEGIN: &str = "<!-- figures: written by `make bench` -->\n";
const END: &str = "<!-- end of figures -->\n";

/// Writes the figures into the page.
pub(super) fn keep(
    page: &Path,
    figures: &[Figure],
    details: &[String],
    machine: &Machine,
) -> Result<()> {
    let text =
        fs::read_to_string(page).with_context(|| format!("cannot read {}", page.display()))?;
    let details: Vec<String> = details
        .iter()
        .map(|detail| format!("- {detail}\n"))
        .collect();
    let new = format!(
        "\n{}\nMeasured on {machine}.\n\n{}\n",
        figures::markdown(figures),
        details.concat()
    );
    let text = replaced(&text, &new)
        .with_context(|| format!("{} has no marks for figures", page.display()))?;
    fs::write(page, text).with_context(|| format!("cannot write {}", page.display()))
}

fn replaced(text: &str, new: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some([before, BEGIN, new, END, after].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let page = format!("# Title\n{BEGIN}old\n{END}tail\n");
        let expected = format!("# Title\n{BEGIN}new\n{END}tail\n");
        assert_eq!(replaced(&page, "new\n"), Some(expected));
        assert_eq!(replaced("# Title\n", "new\n"), None);
    }
}
