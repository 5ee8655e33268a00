//! One controller for all namespaces, as the chart installs it by default.

use serde_json::json;
use testbed::traefik::RouteKinds;

use super::harness::{App, World, none_lost, own_testbed, share_is};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_for_all_namespaces_releases_in_one_that_is_not_its_own() {
    let whole = |own: testbed::Options| own.prometheus(true).proxy(Some(RouteKinds::default()));
    let testbed = own_testbed("cluster-mode", whole).await;
    let world = World::cluster_wide(testbed, "cluster-mode").await;
    let _controller = world.controller().await;
    let template = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "ClusterAnalysisTemplate", "metadata": {"name": "everywhere"},
        "spec": {"metrics": [{
            "name": "one", "successCondition": "result[0] == 1", "provider": {"prometheus": {"query": "vector(1)"}},
        }]},
    });
    world.apply(&[template]).await;
    let analysis = json!({"templates": [{"templateName": "everywhere", "clusterScope": true}]});
    let steps = json!([{"setWeight": 50}, {"pause": {}}, {"analysis": analysis}]);
    world.deploy(&App::canary(2, steps)).await;
    let load = world.load(100);
    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    share_is(&load, "v2", 50.0).await;
    world.ask(&["promote", "demo"]).await;
    let rollout = world.healthy().await;
    world.only_pods_of(rollout.declared()).await;
    share_is(&load, "v2", 100.0).await;
    none_lost(load).await;
    assert!(world.asked().iter().all(|asked| asked.code != 403));
}
