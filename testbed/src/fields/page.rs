//! The table as a page for people.

use std::{collections::BTreeSet, fmt::Write};

use super::{Standing, Table, schema};

const HEAD: &str = "\
# Fields

Made by `make fields` from what the tests of a whole run have shown; `make test` fails when it is not what the run shows. A field *works* when a
test that passed exercises it, or something in it; it is *refused* when a test that passed applies it and is told so. For twenty
fields drawn at random each run, ignoring the field turns one of its tests red. These are the fields of `spec`: the status is
what Tidegate writes. The pod template is one field.
";
/// More tests than these are counted.
const SHOWN: usize = 3;

pub(super) fn of(table: &Table) -> String {
    let mut page = HEAD.to_owned();
    let mut kind = None;
    for (field, standing) in &table.rows {
        let (of, path) = field
            .path
            .split_once(' ')
            .unwrap_or(("Rollout", &field.path));
        if kind != Some(of) {
            kind = Some(of);
            // Writing to a String cannot fail.
            write!(page, "\n## {of}\n\n").ok();
            same(of, &mut page);
            page.push_str("| field | | tests |\n|---|---|---|\n");
        }
        let (what, tests) = match standing {
            Standing::Works(tests) => ("works".to_owned(), tests.clone()),
            Standing::Refused { message, tests } => (
                format!("refused: {}", message.replace('|', "\\|")),
                tests.clone(),
            ),
            Standing::Unknown => ("**no test**".to_owned(), BTreeSet::new()),
        };
        writeln!(page, "| `{path}` | {what} | {} |", shown(&tests)).ok();
    }
    page.push_str("\n## ClusterAnalysisTemplate\n\nAs AnalysisTemplate.\n");
    page
}

/// What has its rows elsewhere.
fn same(kind: &str, page: &mut String) {
    let all = schema::same()
        .filter(|(own, _)| own.split_once(' ').map_or("Rollout", |(kind, _)| kind) == kind);
    for (own, other) in all {
        let path = |path: &str| {
            path.split_once(' ')
                .map_or(path.to_owned(), |(_, path)| path.to_owned())
        };
        let of = other
            .split_once(' ')
            .map_or(String::new(), |(kind, _)| format!(" of {kind}"));
        writeln!(
            page,
            "What is in `{}` is as in `{}`{of}.  ",
            path(&own),
            path(&other)
        )
        .ok();
    }
    if page.ends_with("  \n") {
        page.push('\n');
    }
}

fn shown(tests: &BTreeSet<String>) -> String {
    let mut shown: Vec<String> = tests
        .iter()
        .take(SHOWN)
        .map(|test| format!("`{test}`"))
        .collect();
    if tests.len() > SHOWN {
        shown.push(format!("{} more", tests.len() - SHOWN));
    }
    shown.join(", ")
}
