//! The chart with the real helm: what it renders, what it refuses, and what its ServiceAccount may do.

use k8s_openapi::api::{
    apps::v1::Deployment,
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    core::v1::{Namespace, Pod},
};
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};
use testbed::{Options, Program, Testbed};
use tokio::process::Command;

use super::kubectl::{Said, install_crds, kubectl, run};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/tidegate");

async fn helm(testbed: &Testbed, args: &[&str]) -> Said {
    run(testbed, Program::Helm, args, "").await
}

/// What the chart renders for a current server.
async fn template(testbed: &Testbed, sets: &[&str]) -> Said {
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let args = [
        "template",
        "tidegate",
        CHART,
        "--kube-version=1.36.0",
        "--namespace=tidegate",
    ];
    helm(testbed, &[&args, sets.as_slice()].concat()).await
}

/// Installs everything but the controller and the definitions into a namespace of that name.
async fn install(testbed: &Testbed, namespace: &str, sets: &[&str]) {
    install_crds(testbed).await;
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let args = [
        "install",
        "tidegate",
        CHART,
        "--create-namespace",
        "--namespace",
        namespace,
        "--set=crds.install=false,deployment.enabled=false",
    ];
    let said = helm(testbed, &[&args, sets.as_slice()].concat()).await;
    assert!(said.ok, "{said:?}");
}

async fn uninstall(testbed: &Testbed, namespace: &str) {
    let said = helm(
        testbed,
        &["uninstall", "tidegate", "--namespace", namespace],
    )
    .await;
    assert!(said.ok, "{said:?}");
}

#[tokio::test]
async fn lint_finds_nothing() {
    let testbed = Testbed::attach_from_env().await.unwrap();
    for sets in [
        "mode=cluster",
        "mode=namespaced,deployment.enabled=false,crds.install=false",
    ] {
        let said = helm(
            &testbed,
            &[
                "lint",
                "--strict",
                "--kube-version=1.36.0",
                CHART,
                "--set",
                sets,
            ],
        )
        .await;
        assert!(said.ok, "{sets}: {said:?}");
    }
}

#[tokio::test]
async fn a_value_that_does_not_exist_or_cannot_be_is_refused() {
    let testbed = Testbed::attach_from_env().await.unwrap();
    for set in [
        "replicas=2",
        "deployment.replica=2",
        "deployment.image.repo=x",
        "controller.lease.nam=x",
        "crds.keep=false",
        "serviceAccount.create=false",
        "mode=both",
        "deployment.replicas=many",
        "controller.prometheusAddress=prometheus:9090",
        "controller.lease.duration=15",
    ] {
        let said = template(&testbed, &[set]).await;
        assert!(
            !said.ok && said.stderr.contains("values don't meet the specifications"),
            "{set}: {said:?}"
        );
    }
}

#[tokio::test]
async fn a_definition_is_kept_when_the_release_goes() {
    let shared = Testbed::attach_from_env().await.unwrap();
    let options = Options::own(shared.state().binaries.clone()).unwrap();
    let testbed = Testbed::start(options).await.unwrap();

    let args = [
        "install",
        "tidegate",
        CHART,
        "--namespace=default",
        "--set=deployment.enabled=false",
    ];
    let installed = helm(&testbed, &args).await;
    let uninstalled = helm(&testbed, &["uninstall", "tidegate", "--namespace=default"]).await;
    // One that is being deleted may still be there, with the time.
    let format =
        "--output=jsonpath={range .items[*]}{.metadata.name}{.metadata.deletionTimestamp} {end}";
    let left = kubectl(&testbed, &["get", "crd", format], "").await;
    testbed.stop().await.unwrap();

    assert!(
        installed.ok && uninstalled.ok,
        "{installed:?} {uninstalled:?}"
    );
    let left: Vec<&str> = left.stdout.split_whitespace().collect();
    assert_eq!(
        left,
        [
            "analysisruns.tidegate.dev",
            "analysistemplates.tidegate.dev",
            "clusteranalysistemplates.tidegate.dev",
            "experiments.tidegate.dev",
            "rollouts.tidegate.dev",
        ]
    );
}

#[tokio::test]
async fn the_program_understands_the_arguments_it_is_given() {
    let testbed = Testbed::attach_from_env().await.unwrap();
    let sets = [
        "mode=namespaced,crds.install=false",
        "controller.prometheusAddress=http://prometheus:9090",
        "controller.metricAddressAllow={http://*.example.org,https://metrics:8080}",
        "controller.prometheusSecret.name=prometheus",
        "controller.prometheusSecret.tokenKey=token,controller.prometheusSecret.caKey=ca.crt",
    ];
    let rendered = template(&testbed, &sets).await;
    let deployment = deployment(&rendered);
    let args = deployment.spec.template.spec.unwrap().containers[0]
        .args
        .clone()
        .unwrap();
    // With --help nothing is started, but all that stands before it is read.
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(&args)
        .arg("--help")
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success() && args.len() > 8,
        "{args:?}: {output:?}"
    );
}

fn deployment(rendered: &Said) -> Deployment {
    let document = rendered
        .stdout
        .split("\n---\n")
        .find(|document| document.contains("kind: Deployment"));
    serde_saphyr::from_str(document.expect(&rendered.stderr)).unwrap()
}

#[tokio::test]
async fn the_pod_fits_into_a_restricted_namespace() {
    let testbed = Testbed::attach_from_env().await.unwrap();
    let client = testbed.client();
    let restricted = Namespace {
        metadata: ObjectMeta {
            generate_name: Some("restricted-".to_owned()),
            labels: Some(
                [(
                    "pod-security.kubernetes.io/enforce".to_owned(),
                    "restricted".to_owned(),
                )]
                .into(),
            ),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = namespaces
        .create(&PostParams::default(), &restricted)
        .await
        .unwrap();
    let pods: Api<Pod> = Api::namespaced(client, &namespace.metadata.name.unwrap());

    let rendered = template(&testbed, &["crds.install=false"]).await;
    let template = deployment(&rendered).spec.template;
    let fitting = Pod {
        metadata: ObjectMeta {
            name: Some("controller".to_owned()),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        ..Pod::default()
    };
    let mut privileged = fitting.clone();
    let spec = privileged.spec.as_mut().unwrap();
    spec.security_context = None;

    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let (fits, refused) = (
        pods.create(&dry_run, &fitting).await,
        pods.create(&dry_run, &privileged).await,
    );
    assert!(fits.is_ok(), "{fits:?}");
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("violates PodSecurity")
    );
}

/// Whether the chart's ServiceAccount of a release in `home` may do something in `namespace`.
async fn may(testbed: &Testbed, home: &str, namespace: &str, verb: &str, what: &str) -> bool {
    let (what, name) = what.split_once('#').unwrap_or((what, "tidegate"));
    let (group, resource) = what.split_once('/').unwrap();
    let (resource, subresource) = resource.split_once('.').unwrap_or((resource, ""));
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{home}:tidegate")),
            resource_attributes: Some(ResourceAttributes {
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource: Some(subresource.to_owned()),
                namespace: Some(namespace.to_owned()),
                verb: Some(verb.to_owned()),
                name: Some(name.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(testbed.client());
    reviews
        .create(&PostParams::default(), &review)
        .await
        .unwrap()
        .status
        .unwrap()
        .allowed
}

const NEEDED: &[(&str, &str)] = &[
    ("watch", "tidegate.dev/rollouts"),
    ("patch", "tidegate.dev/rollouts.status"),
    ("create", "tidegate.dev/analysisruns"),
    ("patch", "tidegate.dev/analysisruns.status"),
    ("watch", "tidegate.dev/analysistemplates"),
    ("create", "apps/replicasets"),
    ("patch", "apps/replicasets"),
    ("delete", "apps/replicasets"),
    ("create", "/services"),
    ("patch", "/services"),
    ("delete", "/services"),
    ("create", "tidegate.dev/experiments"),
    ("patch", "tidegate.dev/experiments"),
    ("delete", "tidegate.dev/experiments"),
    ("patch", "tidegate.dev/experiments.status"),
    ("watch", "discovery.k8s.io/endpointslices"),
    ("create", "networking.k8s.io/ingresses"),
    ("patch", "gateway.networking.k8s.io/httproutes"),
    ("get", "/secrets"),
    ("list", "/pods"),
    ("patch", "/pods"),
    ("create", "/pods.eviction"),
    ("patch", "apps/deployments"),
    ("watch", "/podtemplates"),
    ("create", "batch/jobs"),
    ("delete", "batch/jobs"),
    ("create", "events.k8s.io/events"),
    ("patch", "events.k8s.io/events"),
];

const NOT_NEEDED: &[(&str, &str)] = &[
    ("patch", "tidegate.dev/rollouts"),
    ("update", "tidegate.dev/rollouts"),
    ("delete", "tidegate.dev/rollouts"),
    ("update", "tidegate.dev/rollouts.scale"),
    ("patch", "tidegate.dev/analysistemplates"),
    ("list", "/secrets"),
    ("watch", "/secrets"),
    ("get", "tidegate.dev/analysisruns"),
    ("get", "networking.k8s.io/ingresses"),
    ("list", "/configmaps"),
    ("delete", "gateway.networking.k8s.io/httproutes"),
    ("create", "/pods"),
    ("delete", "/pods"),
    ("get", "/pods"),
    ("get", "/services"),
    ("get", "tidegate.dev/experiments"),
    ("create", "apps/deployments"),
    ("delete", "apps/deployments"),
    ("patch", "/podtemplates"),
    ("patch", "batch/jobs"),
    ("create", "rbac.authorization.k8s.io/rolebindings"),
];

#[tokio::test]
async fn in_cluster_mode_it_may_do_what_it_needs_everywhere_and_nothing_else() {
    let testbed = Testbed::attach_from_env().await.unwrap();
    let home = "chart-cluster";
    install(&testbed, home, &[]).await;
    for &(verb, what) in NEEDED {
        assert!(
            may(&testbed, home, "default", verb, what).await,
            "may not {verb} {what}"
        );
    }
    for &(verb, what) in NOT_NEEDED {
        assert!(
            !may(&testbed, home, "default", verb, what).await,
            "may {verb} {what}"
        );
    }
    uninstall(&testbed, home).await;
}

#[tokio::test]
async fn in_namespaced_mode_it_may_do_nothing_elsewhere() {
    let testbed = Testbed::attach_from_env().await.unwrap();
    let (home, served) = ("chart-home", "chart-served");
    let namespaces: Api<Namespace> = Api::all(testbed.client());
    let namespace = Namespace {
        metadata: ObjectMeta {
            name: Some(served.to_owned()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    install(
        &testbed,
        home,
        &["mode=namespaced", "watchNamespace=chart-served"],
    )
    .await;
    for &(verb, what) in NEEDED {
        assert!(
            may(&testbed, home, served, verb, what).await,
            "may not {verb} {what} where it serves"
        );
        assert!(
            !may(&testbed, home, "default", verb, what).await,
            "may {verb} {what} elsewhere"
        );
    }
    uninstall(&testbed, home).await;
}

#[tokio::test]
async fn it_may_hold_its_lease_and_no_other() {
    let testbed = Testbed::attach_from_env().await.unwrap();
    let home = "chart-lease";
    let lease = "coordination.k8s.io/leases";
    install(&testbed, home, &[]).await;
    for verb in ["create", "get", "update"] {
        assert!(
            may(&testbed, home, home, verb, lease).await,
            "may not {verb} its lease"
        );
        assert!(
            !may(&testbed, home, "default", verb, lease).await,
            "may {verb} a lease elsewhere"
        );
    }
    let other = "coordination.k8s.io/leases#other";
    assert!(
        !may(&testbed, home, home, "update", other).await,
        "may update another lease"
    );
    assert!(
        !may(&testbed, home, home, "delete", lease).await,
        "may delete its lease"
    );
    uninstall(&testbed, home).await;
}
