//! Scripts: requests one after the other, in a namespace of their own theme or of their own.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::{Value, json};

/// Themes whose scripts ask for whole collections: each script has a namespace of its own.
const ALONE: [&str; 2] = ["list", "watch"];

/// Scripts about one thing.
pub struct Theme {
    pub name: String,
    pub scripts: Vec<Script>,
}

impl Theme {
    /// Whether each script has a namespace of its own.
    pub fn alone(&self) -> bool {
        ALONE.contains(&self.name.as_str())
    }
}

/// Requests one after the other.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    pub name: String,
    pub steps: Vec<Step>,
}

/// An object: a base, with changes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct New {
    pub base: String,
    pub name: Option<String>,
    #[serde(default)]
    pub with: Value,
}

/// One request.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// A method and a path: `POST rollouts?dryRun=All`.
    #[serde(rename = "do")]
    pub request: Option<String>,
    /// A path: changes up to that of an object with the name `end`.
    pub watch: Option<String>,
    pub new: Option<New>,
    pub body: Option<Value>,
    pub merge: Option<Value>,
    pub json: Option<Value>,
    pub strategic: Option<Value>,
    pub other: Option<Value>,
    /// Who asks, if not the administrator.
    #[serde(rename = "as")]
    pub user: Option<String>,
    /// What later steps call `$name`, by pointers into the answer.
    pub save: BTreeMap<String, String>,
    /// Ask again until this is so: `code`, `has` (a pointer), or pointers and their values.
    pub until: BTreeMap<String, Value>,
    /// More than metadata of a kind of which only these are looked at.
    pub show: Vec<String>,
    /// The answer does not count.
    pub quiet: bool,
    /// Only the code counts.
    pub code: bool,
    /// Of a refusal only code and reason count.
    pub loose: bool,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

/// Where the answers to a theme are kept.
pub fn answers_of(theme: &str) -> PathBuf {
    folder().join("answers").join(format!("{theme}.json"))
}

fn read<T: serde::de::DeserializeOwned>(file: &str) -> T {
    let text = fs::read_to_string(folder().join(file)).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|why| panic!("{file}: {why}"))
}

/// The objects that scripts begin with.
pub fn bases() -> BTreeMap<String, Value> {
    read("bases.yaml")
}

/// All themes: those in files, and the rules of the definitions.
pub fn themes() -> Vec<Theme> {
    let mut files: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|is| is == "yaml"))
        .filter(|name| name != "bases.yaml")
        .collect();
    files.sort();
    let mut themes: Vec<Theme> = files
        .iter()
        .map(|file| Theme {
            name: file.trim_end_matches(".yaml").to_owned(),
            scripts: read(file),
        })
        .collect();
    themes.push(rules());
    themes
}

/// What each rule of the definitions refuses.
fn rules() -> Theme {
    let script = |(number, bad): (usize, crate::manifests::Bad)| {
        let mut manifest = crate::manifests::good(bad.kind);
        json_patch::merge(&mut manifest, &bad.change);
        manifest["metadata"] = json!({"name": format!("rule-{number}")});
        Script {
            name: format!("{number}: {} {} {}", bad.kind.name(), bad.path, bad.says),
            steps: vec![Step {
                request: Some(format!("POST {}?dryRun=All", bad.kind.plural())),
                body: Some(manifest),
                ..Step::default()
            }],
        }
    };
    Theme {
        name: "cel".to_owned(),
        scripts: crate::manifests::everything_bad()
            .into_iter()
            .enumerate()
            .map(script)
            .collect(),
    }
}
