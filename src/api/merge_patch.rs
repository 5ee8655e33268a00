//! JSON merge patches (RFC 7386).

use serde_json::{Map, Value};

/// The merge patch from `old` to `new`: `None` when they are equal. Lists are replaced whole.
pub fn difference(old: &Value, new: &Value) -> Option<Value> {
    let (Value::Object(old_map), Value::Object(new_map)) = (old, new) else {
        return (old != new).then(|| new.clone());
    };
    let mut patch = Map::new();
    for key in old_map.keys().filter(|key| !new_map.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in new_map {
        match old_map.get(key) {
            Some(before) => {
                if let Some(difference) = difference(before, value) {
                    patch.insert(key.clone(), difference);
                }
            }
            None => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// Makes `first` the patch that does what it does, and then what `second` does. Nulls stay: they remove.
pub fn compose(first: &mut Value, second: &Value) {
    match (first.as_object_mut(), second) {
        (Some(first), Value::Object(second)) => {
            for (key, change) in second {
                compose(first.entry(key.clone()).or_insert(Value::Null), change);
            }
        }
        (_, second) => *first = second.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::{compose, difference};
    use serde_json::json;

    #[test]
    fn a_difference_names_what_changed_what_came_and_what_went() {
        for (old, new, expected) in [
            (json!({"a": 1}), json!({"a": 1}), None),
            (
                json!({"a": 1, "b": 2}),
                json!({"a": 1}),
                Some(json!({"b": null})),
            ),
            (
                json!({"a": {"x": 1, "y": 2}}),
                json!({"a": {"x": 1, "y": 3}}),
                Some(json!({"a": {"y": 3}})),
            ),
            (
                json!({"l": [1, 2]}),
                json!({"l": [1]}),
                Some(json!({"l": [1]})),
            ),
            (
                json!({}),
                json!({"n": {"m": 1}}),
                Some(json!({"n": {"m": 1}})),
            ),
        ] {
            assert_eq!(difference(&old, &new), expected, "{old} to {new}");
        }
    }

    #[test]
    fn two_patches_become_one_and_removals_stay() {
        let mut first = json!({"a": {"b": 1, "c": null}});
        compose(
            &mut first,
            &json!({"a": {"b": null, "d": 2}, "e": {"f": null}}),
        );
        assert_eq!(
            first,
            json!({"a": {"b": null, "c": null, "d": 2}, "e": {"f": null}})
        );
    }
}
