//! From what a form was filled with and what it sent to the merge patch (RFC 7396) between them: a field that
//! nobody touched is in no patch, also where a form could not say all that is in it.

use serde_json::{Map, Value};

/// What has to be merged into `before` to make it `after`.
pub(crate) fn difference(before: &Map<String, Value>, after: &Map<String, Value>) -> Map<String, Value> {
    let mut patch = Map::new();
    for (name, value) in after {
        match (before.get(name), value) {
            (Some(same), value) if same == value => {}
            (Some(Value::Object(before)), Value::Object(after)) => {
                let mut inner = difference(before, after);
                // Another type begins anew, with all of its fields.
                if inner.contains_key("type") {
                    inner.clone_from(after);
                }
                patch.insert(name.clone(), Value::Object(inner));
            }
            (_, value) => {
                patch.insert(name.clone(), value.clone());
            }
        }
    }
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    patch.extend(gone.map(|name| (name.clone(), Value::Null)));
    patch
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_was_touched_is_in_the_patch() {
        for (before, after, patch) in [
            (
                json!({"a":1,"b":{"c":[1],"d":2}}),
                json!({"a":1,"b":{"c":[1,2],"d":2}}),
                json!({"b":{"c":[1,2]}}),
            ),
            (json!({"a":1,"b":{"c":1}}), json!({"b":{}}), json!({"a":null,"b":{"c":null}})),
            (json!({"a":"x"}), json!({"a":"x"}), json!({})),
            (
                json!({"s":{"type":"basic","credential":"a"}}),
                json!({"s":{"type":"managed_identity","client_id":"b"}}),
                json!({"s":{"type":"managed_identity","client_id":"b"}}),
            ),
        ] {
            let [before, after] = [before, after].map(|value| value.as_object().cloned().unwrap_or_default());
            assert_eq!(Value::Object(difference(&before, &after)), patch);
        }
    }
}
