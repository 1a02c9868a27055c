//! Nothing is lost in silence: a key that `import` does not know is named wherever it stands.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{import, is_refused, json, manifests};
use crate::support::daemon::Home;

const UNKNOWN: &str = "zzz-not-known";

/// Every mapping below gets an unknown key; its paths are returned.
fn plant(value: &mut Value, path: &str, planted: &mut Vec<String>) {
    let below = |key: &str| {
        let plain = key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-/".contains(&b));
        let key = if plain {
            key.to_owned()
        } else {
            format!("\"{key}\"")
        };
        if path.is_empty() {
            key
        } else {
            format!("{path}.{key}")
        }
    };
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                plant(item, &format!("{path}[{index}]"), planted);
            }
        }
        Value::Object(map) => {
            for (key, value) in &mut *map {
                plant(value, &below(key), planted);
            }
            planted.push(below(UNKNOWN));
            map.insert(UNKNOWN.to_owned(), Value::from(1));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The objects in a file, as they are converted one by one.
fn objects(text: &str) -> Vec<Value> {
    let documents = text.split("\n---\n");
    let documents = documents.filter_map(|text| serde_saphyr::from_str::<Value>(text).ok());
    let mut objects = Vec::new();
    for document in documents {
        match document.get("items").and_then(Value::as_array) {
            Some(items) => objects.extend(items.clone()),
            None => objects.push(document),
        }
    }
    objects.retain(Value::is_object);
    objects
}

/// Whether the report says something of this key, or of one that it is below.
fn is_told(object: &Value, path: &str) -> bool {
    let findings = object["findings"].as_array().unwrap().iter();
    findings.filter_map(|it| it["path"].as_str()).any(|told| {
        let rest = path.strip_prefix(told);
        !told.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}

#[test]
fn an_unknown_key_is_named_wherever_it_stands() {
    let home = Home::new();
    let mut all = 0;
    for path in manifests() {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut planted = Vec::new();
        let mut written = String::new();
        for mut object in objects(&text) {
            let mut paths = Vec::new();
            plant(&mut object, "", &mut paths);
            let _ = writeln!(written, "---\n{object:#}");
            planted.push(paths);
        }
        let file = home.write("planted.yaml", &written);
        let done = import(&home, &file, &["--literals", "l.toml", "--report", "json"]);
        let report = json(&done);
        let objects = report["objects"].as_array().unwrap();
        for (number, paths) in planted.iter().enumerate() {
            let object = objects
                .iter()
                .find(|it| it["document"] == number + 1)
                .unwrap();
            if object["result"] == "unrelated" {
                continue;
            }
            for planted in paths {
                assert!(is_told(object, planted), "{path:?}: {planted}\n{object:#}");
                all += 1;
            }
        }
    }
    assert!(all > 300, "{all}");
}

/// Each object by itself, with one unknown key at its top: it is not in the output.
#[test]
fn an_object_with_an_unknown_key_is_refused() {
    let home = Home::new();
    for path in manifests().into_iter().filter(|path| !is_refused(path)) {
        let text = std::fs::read_to_string(&path).unwrap();
        for object in objects(&text) {
            let Value::Object(mut map) = object else {
                continue;
            };
            let secret = map
                .get("kind")
                .and_then(Value::as_str)
                .is_some_and(|kind| kind.ends_with("ExternalSecret"));
            if !secret {
                continue;
            }
            map.insert("zzz".to_owned(), Value::from(1));
            let file = home.write("one.yaml", Value::Object(map).to_string());
            let stores = [
                "aws",
                "shared",
                "irsa",
                "params",
                "parameters",
                "store",
                "elsewhere",
            ];
            let stores = stores.map(|store| format!("{store}=ours"));
            let stores = stores.iter().flat_map(|it| ["--store", it.as_str()]);
            let mut more = vec![
                "--region",
                "eu-west-1",
                "--report",
                "json",
                "--literals",
                "l.toml",
            ];
            more.extend(stores);
            let done = import(&home, &file, &more);
            assert_eq!(
                (done.code, &*done.stdout),
                (Some(1), ""),
                "{path:?}: {}",
                done.stderr
            );
            let report = json(&done);
            let findings = report["objects"][0]["findings"].as_array().unwrap();
            let refused: Vec<&Map<String, Value>> = findings
                .iter()
                .filter_map(Value::as_object)
                .filter(|it| it["verdict"] == "refused")
                .collect();
            assert!(
                refused.len() == 1 && refused[0]["path"] == "zzz",
                "{path:?}: {refused:?}"
            );
        }
    }
}
