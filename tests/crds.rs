//! The definitions in `crds/` and in the chart are those of the types, and small enough for `kubectl apply`.

use std::fs;

use tidegate::api::{
    crds,
    names::{ApiNames, Kind},
};

/// Above this, client-side apply cannot keep its annotation.
const MOST_BYTES: usize = 262_144;

fn committed(folder: &str, kind: Kind) -> String {
    let path = format!(
        "{}/{folder}/{}.yaml",
        env!("CARGO_MANIFEST_DIR"),
        kind.plural()
    );
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn the_committed_definitions_are_those_of_the_types() {
    let (own, argo) = (ApiNames::default(), ApiNames::argo_rollouts());
    let folders = [
        ("crds", &own),
        ("charts/tidegate/files/tidegate.dev", &own),
        ("charts/tidegate/files/argoproj.io", &argo),
    ];
    for ((folder, names), kind) in folders
        .into_iter()
        .flat_map(|folder| Kind::ALL.map(|kind| (folder, kind)))
    {
        let generated = crds::yaml(names, kind).unwrap();
        assert!(
            generated == committed(folder, kind),
            "{folder}/{}.yaml is out of date; run `make crds`",
            kind.plural()
        );
    }
}

#[test]
fn every_definition_fits_into_the_annotation_of_kubectl_apply() {
    for names in [ApiNames::default(), ApiNames::argo_rollouts()] {
        for kind in Kind::ALL {
            let bytes = crds::yaml(&names, kind).unwrap().len();
            assert!(bytes < MOST_BYTES, "{} has {bytes} bytes", kind.name());
        }
    }
}

#[test]
fn nothing_but_replicas_is_defaulted_into_peoples_objects() {
    for kind in Kind::ALL {
        let yaml = crds::yaml(&ApiNames::default(), kind).unwrap();
        let defaults: Vec<&str> = yaml
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("default:"))
            .collect();
        let expected: &[&str] = match kind {
            Kind::Rollout => &["default: 1"],
            Kind::AnalysisTemplate
            | Kind::ClusterAnalysisTemplate
            | Kind::AnalysisRun
            | Kind::Experiment => &[],
        };
        assert_eq!(defaults, expected, "{}", kind.name());
    }
}

#[test]
fn another_group_gets_the_same_kinds_under_its_name() {
    let names = ApiNames {
        group: "releases.example.org".to_owned(),
        ..ApiNames::default()
    };
    let found: Vec<_> = crds::crds(&names)
        .unwrap()
        .into_iter()
        .filter_map(|crd| crd.metadata.name)
        .collect();
    assert_eq!(
        found,
        [
            "rollouts.releases.example.org",
            "analysistemplates.releases.example.org",
            "clusteranalysistemplates.releases.example.org",
            "analysisruns.releases.example.org",
            "experiments.releases.example.org",
        ]
    );
}
