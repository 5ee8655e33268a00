//! The API server takes every example, with kubectl's strict validation.

use testbed::Testbed;

use super::kubectl::{install_crds, kubectl};
use crate::examples::folders;

#[tokio::test]
async fn every_example_is_accepted_by_the_server() {
    let testbed = Testbed::attach_from_env().await.unwrap();
    install_crds(&testbed).await;
    for folder in folders() {
        let folder = folder.to_str().unwrap();
        let args = [
            "apply",
            "--dry-run=server",
            "--validate=strict",
            "-f",
            folder,
        ];
        let applied = kubectl(&testbed, &args, "").await;
        assert!(applied.ok, "{folder}: {}", applied.stderr);
    }
}
