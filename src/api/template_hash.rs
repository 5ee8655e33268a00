//! The hash of a pod template: over the JSON as the API server stores it, in a canonical form.
//!
//! Not here: any typed pod template. An upgrade of our libraries must never look like a new revision.

use serde::Serialize;
use serde_json::Value;

/// Letters and digits that cannot spell a word, as in Kubernetes' own generated names.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// Length of a hash in characters: 27^10 is about 2 × 10^14.
const LENGTH: usize = 10;

/// Writes `value` with sorted keys and without null and empty members, so that `creationTimestamp: null`,
/// `resources: {}` and a changed order of keys are no difference.
fn canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            let mut members: Vec<(&String, &Value)> =
                map.iter().filter(|(_, member)| !is_empty(member)).collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            out.push(b'{');
            for (key, member) in members {
                scalar(key, out);
                out.push(b':');
                canonical(member, out);
                out.push(b',');
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for item in items {
                canonical(item, out);
                out.push(b',');
            }
            out.push(b']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => scalar(value, out),
    }
}

fn scalar(value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    serde_json::to_writer(out, value).ok();
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_empty),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// FNV-1a with 64 bits (Fowler, Noll, Vo; the constants are those of draft-eastlake-fnv).
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The hash of any JSON in canonical form, as 10 characters that are valid in names and label values.
pub fn hash(value: &Value) -> String {
    let mut text = Vec::new();
    canonical(value, &mut text);
    let mut rest = fnv1a(&text);
    let mut out = String::with_capacity(LENGTH);
    for _ in 0..LENGTH {
        let index = usize::try_from(rest % 27).unwrap_or_default();
        out.push(char::from(ALPHABET[index]));
        rest /= 27;
    }
    out
}

/// The hash of a pod template. `collisions` tells apart templates whose plain hashes collide.
pub fn pod_template_hash(template: &Value, collisions: i32) -> String {
    if collisions == 0 {
        hash(template)
    } else {
        hash(&serde_json::json!([template, collisions]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn key_order_nulls_and_empty_members_make_no_revision() {
        let plain = json!({"spec": {"containers": [{"name": "a", "image": "a:1"}]}});
        let noisy = json!({
            "metadata": {"creationTimestamp": null, "labels": {}},
            "spec": {"containers": [{"image": "a:1", "resources": {}, "name": "a"}], "nodeName": ""},
        });
        assert_eq!(pod_template_hash(&plain, 0), pod_template_hash(&noisy, 0));
    }

    #[test]
    fn every_real_difference_makes_a_revision() {
        let base = json!({"spec": {"containers": [{"name": "a", "image": "a:1"}]}});
        for other in [
            json!({"spec": {"containers": [{"name": "a", "image": "a:2"}]}}),
            json!({"spec": {"containers": [{"name": "a", "image": "a:1", "tty": false}]}}),
            json!({"spec": {"containers": [{"name": "a", "image": "a:1", "stdin": 0}]}}),
            json!({"spec": {"containers": [{"name": "a", "image": "a:1"}, {"name": "b"}]}}),
        ] {
            assert_ne!(
                pod_template_hash(&base, 0),
                pod_template_hash(&other, 0),
                "{other}"
            );
        }
    }

    /// A change here restarts every pod of every user: the figure was taken when the hash was first released.
    #[test]
    fn the_hash_of_a_stored_template_never_changes() {
        let template = json!({"metadata": {"labels": {"app": "demo"}}, "spec": {"containers": [{"name": "demo", "image": "demo:v1"}]}});
        assert_eq!(pod_template_hash(&template, 0), "nkcqq8fn6j");
    }

    #[test]
    fn a_collision_count_gives_another_hash() {
        let template = json!({"spec": {"containers": [{"name": "a"}]}});
        assert_ne!(
            pod_template_hash(&template, 0),
            pod_template_hash(&template, 1)
        );
    }
}
