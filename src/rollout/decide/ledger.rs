//! The traffic ledger: for every version, which routes may still send to it, by what was last written and by what is observed.
//!
//! It is the only gate for taking pods away. Not here: the delays (`scale`).

use jiff::Timestamp;

use super::pass::Pass;
use crate::api::rollout_status::LedgerEntry;

/// What the ledger says of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Routed {
    /// Nothing ever sent to it.
    Never,
    /// Something may send to it.
    Now,
    /// Nothing has since then.
    Until(Timestamp),
}

/// Brings the ledger up to what is observed.
pub(super) fn update(pass: &mut Pass<'_>) {
    let hashes: Vec<String> = pass
        .revisions
        .new
        .iter()
        .chain(&pass.revisions.old)
        .map(|set| set.pod_template_hash.clone())
        .collect();
    let lost = pass.snapshot.rollout.status.stable_rs.is_empty();
    // A version whose pods and ReplicaSet are gone needs no entry.
    pass.status
        .ledger
        .retain(|entry| hashes.contains(&entry.pod_template_hash));
    for hash in hashes {
        let routes = routes_to(pass, &hash);
        let now = pass.now();
        let entry = pass
            .status
            .ledger
            .iter_mut()
            .find(|entry| entry.pod_template_hash == hash);
        match entry {
            Some(entry) => {
                if !routes.is_empty() {
                    entry.unrouted_since = None;
                } else if entry.unrouted_since.is_none() && !entry.routes.is_empty() {
                    entry.unrouted_since = Some(now);
                }
                entry.routes = routes;
                entry.scale_down_at = None;
            }
            // Without a status nobody knows whether something sent to it a moment ago.
            None if routes.is_empty() && lost => pass.status.ledger.push(LedgerEntry {
                pod_template_hash: hash,
                routes,
                unrouted_since: Some(now),
                ..LedgerEntry::default()
            }),
            None if routes.is_empty() => {}
            None => pass.status.ledger.push(LedgerEntry {
                pod_template_hash: hash,
                routes,
                ..LedgerEntry::default()
            }),
        }
    }
    pass.status
        .ledger
        .sort_by(|a, b| a.pod_template_hash.cmp(&b.pod_template_hash));
}

/// What may send to this version.
fn routes_to(pass: &Pass<'_>, hash: &str) -> Vec<String> {
    let Some(set) = pass.revisions.by_hash(hash) else {
        return Vec::new();
    };
    if set.replicas == 0 && set.current == 0 {
        // It has no pods: nothing can reach it, whatever selects it.
        return Vec::new();
    }
    let mut routes = Vec::new();
    for service in pass.snapshot.services.values() {
        let pinned = service.selector.get(&pass.snapshot.names.pod_template_hash);
        let selects = pinned.is_none_or(|pinned| pinned == hash);
        if selects || service.ready_endpoints_of(&set.name) > 0 {
            routes.push(format!("service/{}", service.name));
        }
    }
    let written = pass.status.canary.weights.as_ref();
    let behind_canary = written.is_some_and(|written| written.canary.pod_template_hash == hash);
    let written_weight = written.map_or(0, |written| written.canary.weight);
    let may_send = written_weight > 0
        || written.is_some_and(|written| !written.header_routes.is_empty())
        || pass.observed.highest > 0
        || pass.observed.by_header
        || pass.observed.unconfirmed.is_some();
    if behind_canary && may_send {
        routes.extend(pass.observed.routes.iter().cloned());
        if pass.observed.routes.is_empty() {
            routes.push("router".to_owned());
        }
    }
    routes
}

/// Remembers that a version was the stable one.
pub(super) fn was_stable(pass: &mut Pass<'_>, hash: String) {
    let mut entries = pass.status.ledger.iter_mut();
    if let Some(entry) = entries.find(|entry| entry.pod_template_hash == hash) {
        entry.was_stable = true;
    } else {
        pass.status.ledger.push(LedgerEntry {
            pod_template_hash: hash,
            was_stable: true,
            ..LedgerEntry::default()
        });
    }
}

/// Remembers when a version's pods go.
pub(super) fn leaves_at(pass: &mut Pass<'_>, hash: &str, at: Timestamp) {
    let mut entries = pass.status.ledger.iter_mut();
    if let Some(entry) = entries.find(|entry| entry.pod_template_hash == hash) {
        entry.scale_down_at = Some(at);
    }
}

/// Since when nothing sends to the version.
pub(super) fn unrouted_since(pass: &Pass<'_>, hash: &str) -> Routed {
    match pass
        .status
        .ledger
        .iter()
        .find(|entry| entry.pod_template_hash == hash)
    {
        None => Routed::Never,
        Some(LedgerEntry {
            unrouted_since: Some(since),
            ..
        }) => Routed::Until(*since),
        // It is known for something else.
        Some(entry) if entry.routes.is_empty() => Routed::Never,
        Some(LedgerEntry {
            unrouted_since: None,
            ..
        }) => Routed::Now,
    }
}
