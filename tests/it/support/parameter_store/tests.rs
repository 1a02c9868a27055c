//! The stand-in in the protocol itself.

use std::time::Instant;

use serde_json::{Value, json};

use super::super::http::block_on;
use super::{Fault, Operation, ParameterStore};

fn ask(ssm: &ParameterStore, operation: &str, body: &Value) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let credential = "AWS4-HMAC-SHA256 Credential=AKIATEST/20261125/x/ssm/aws4_request";
    let request = client
        .post(ssm.endpoint())
        .header("x-amz-target", format!("AmazonSSM.{operation}"))
        .header("authorization", credential)
        .body(body.to_string());
    block_on(async {
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    })
}

/// An answer that is none of an error.
fn right(ssm: &ParameterStore, operation: &str, body: &Value) -> Value {
    let (status, text) = ask(ssm, operation, body);
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Code and text of a refusal.
fn refused(ssm: &ParameterStore, operation: &str, body: &Value) -> (String, String) {
    let (status, text) = ask(ssm, operation, body);
    assert_eq!(status, 400, "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    (answer["__type"].as_str().unwrap().to_owned(), text)
}

fn names(answer: &Value) -> Vec<&str> {
    let parameters = answer["Parameters"].as_array().unwrap().iter();
    parameters.map(|p| p["Name"].as_str().unwrap()).collect()
}

#[test]
fn versions_labels_and_arns() {
    let ssm = ParameterStore::start();
    assert_eq!(ssm.put("/prod/db", "one"), 1);
    assert_eq!(ssm.put("/prod/db", "two"), 2);
    ssm.put("simple", "three");
    ssm.label("/prod/db", "blue", 1);
    let arn = ssm.arn("/prod/db");
    assert_eq!(
        arn,
        "arn:aws:ssm:eu-central-1:123456789012:parameter/prod/db"
    );
    for (name, value, selector) in [
        ("/prod/db", "two", Value::Null),
        ("/prod/db:1", "one", json!(":1")),
        ("/prod/db:blue", "one", json!(":blue")),
        (&format!("{arn}:2"), "two", json!(":2")),
        (&ssm.arn("simple"), "three", Value::Null),
    ] {
        let answer = right(&ssm, "GetParameter", &json!({ "Name": name }));
        let parameter = &answer["Parameter"];
        assert_eq!(parameter["Value"], value, "{name}");
        assert_eq!(parameter["Selector"], selector, "{name}");
    }
    for (name, code) in [
        ("/prod/db:3", "ParameterVersionNotFound"),
        ("/prod/db:green", "ParameterVersionNotFound"),
        ("/prod/none:1", "ParameterNotFound"),
    ] {
        let refusal = refused(&ssm, "GetParameter", &json!({ "Name": name }));
        assert_eq!(refusal.0, code, "{name}");
    }
    ssm.delete("/prod/db");
    assert_eq!(ssm.put("/prod/db", "again"), 1);
}

#[test]
fn many_are_found_or_invalid() {
    let ssm = ParameterStore::start();
    ssm.put("/a", "1");
    ssm.put("/b", "2");
    let asked = json!({"Names": ["/a", "/b", "/c", "/a:9"]});
    let answer = right(&ssm, "GetParameters", &asked);
    assert_eq!(names(&answer), ["/b", "/a"]);
    assert_eq!(answer["InvalidParameters"], json!(["/c", "/a:9"]));
    for count in [0, 11] {
        let refusal = refused(&ssm, "GetParameters", &json!({"Names": vec!["/a"; count]}));
        assert_eq!(refusal.0, "ValidationException");
    }
}

#[test]
fn secure_strings_are_decrypted_on_request_only() {
    let ssm = ParameterStore::start();
    ssm.put_secure("/key", "the-value");
    let closed = right(&ssm, "GetParameters", &json!({"Names": ["/key"]}));
    assert_eq!(closed["Parameters"][0]["Type"], "SecureString");
    assert!(!closed.to_string().contains("the-value"));
    let asked = json!({"Names": ["/key"], "WithDecryption": true});
    let open = right(&ssm, "GetParameters", &asked);
    assert_eq!(open["Parameters"][0]["Value"], "the-value");
    let log = ssm.log();
    assert_eq!(log.calls(Operation::GetParameters), 2);
    let decrypted: Vec<bool> = log.reads("/key").map(|r| r.with_decryption).collect();
    assert_eq!(decrypted, [false, true]);
    assert_eq!(log.0[0].access_key_id.as_deref(), Some("AKIATEST"));
    assert!(log.0[0].at <= log.0[1].at && log.0[1].at <= Instant::now());
}

#[test]
fn a_path_is_listed_in_pages() {
    let ssm = ParameterStore::start();
    for name in ["/prod/a", "/prod/b", "/prod/deep/c", "/production/d"] {
        ssm.put(name, "x");
    }
    let flat = right(&ssm, "GetParametersByPath", &json!({"Path": "/prod"}));
    assert_eq!(names(&flat), ["/prod/a", "/prod/b"]);
    ssm.empty_pages();
    let mut asked = json!({"Path": "/prod/", "Recursive": true, "MaxResults": 2});
    let mut pages = Vec::new();
    loop {
        let page = right(&ssm, "GetParametersByPath", &asked);
        pages.push(names(&page).len());
        if page["NextToken"].is_null() {
            break;
        }
        asked["NextToken"] = page["NextToken"].clone();
    }
    assert_eq!(pages, [0, 2, 0, 1]);
    asked["Recursive"] = json!(false);
    let (code, _) = refused(&ssm, "GetParametersByPath", &asked);
    assert_eq!(code, "InvalidNextToken");
    let long = json!({"Path": "/prod", "MaxResults": 11});
    let (code, _) = refused(&ssm, "GetParametersByPath", &long);
    assert_eq!(code, "ValidationException");
}

#[test]
fn parameters_are_described_by_tag_and_path() {
    let ssm = ParameterStore::start();
    for name in ["/prod/a", "/prod/deep/b", "/test/c"] {
        ssm.put(name, "the-value");
        ssm.tag(name, "team", "payments");
    }
    ssm.tag("/prod/a", "team", "search");
    let tag = |value| json!({"Key": "tag:team", "Option": "Equals", "Values": [value]});
    let path = |option| json!({"Key": "Path", "Option": option, "Values": ["/prod"]});
    let described = |filters: Value| {
        let asked = json!({ "ParameterFilters": filters });
        let answer = right(&ssm, "DescribeParameters", &asked);
        assert!(!answer.to_string().contains("the-value"));
        names(&answer).join(" ")
    };
    assert_eq!(described(json!([])), "/prod/a /prod/deep/b /test/c");
    assert_eq!(described(json!([tag("payments")])), "/prod/deep/b /test/c");
    assert_eq!(described(json!([path("OneLevel")])), "/prod/a");
    let both = json!([tag("payments"), path("Recursive")]);
    assert_eq!(described(both), "/prod/deep/b");
    let asked = json!({"ResourceType": "Parameter", "ResourceId": "/prod/a"});
    let tags = right(&ssm, "ListTagsForResource", &asked);
    assert_eq!(tags["TagList"], json!([{"Key": "team", "Value": "search"}]));
    let absent = json!({"ResourceType": "Parameter", "ResourceId": "/none"});
    let (code, _) = refused(&ssm, "ListTagsForResource", &absent);
    assert_eq!(code, "InvalidResourceId");
    let long = json!({"MaxResults": 51});
    assert_eq!(
        refused(&ssm, "DescribeParameters", &long).0,
        "ValidationException"
    );
}

#[test]
fn one_denied_name_denies_the_call() {
    let ssm = ParameterStore::start();
    ssm.put("/a", "1");
    ssm.put("/b", "the-value");
    ssm.fail("/b", Fault::AccessDenied);
    let both = json!({"Names": ["/a", "/b:1"]});
    let (code, text) = refused(&ssm, "GetParameters", &both);
    assert_eq!(code, "AccessDeniedException");
    let said = format!("perform: ssm:GetParameters on resource: {}", ssm.arn("/b"));
    assert!(text.contains(&said) && text.contains("the-value"), "{text}");
    assert_eq!(
        right(&ssm, "GetParameter", &json!({"Name": "/a"}))["Parameter"]["Value"],
        "1"
    );
    ssm.fail("/prod", Fault::AccessDenied);
    let (code, _) = refused(&ssm, "GetParametersByPath", &json!({"Path": "/prod"}));
    assert_eq!(code, "AccessDeniedException");
    ssm.fail_all(Fault::Throttling);
    let (code, _) = refused(&ssm, "DescribeParameters", &json!({}));
    assert_eq!(code, "ThrottlingException");
    ssm.heal();
    assert_eq!(names(&right(&ssm, "GetParameters", &both)).len(), 2);
}

#[test]
fn a_fault_spoils_its_own_parameter() {
    let ssm = ParameterStore::start();
    ssm.put("/a", "1");
    ssm.put("/b", "2");
    let both = json!({"Names": ["/b", "/a"]});
    let good = right(&ssm, "GetParameters", &both);
    for (fault, count) in [
        (Fault::OtherName, 2),
        (Fault::OtherVersion, 2),
        (Fault::OtherAccount, 2),
        (Fault::Twice, 3),
        (Fault::LeftOut, 1),
    ] {
        ssm.fail("/b", fault);
        let answer = right(&ssm, "GetParameters", &both);
        let parameters = answer["Parameters"].as_array().unwrap();
        assert_eq!(parameters[0], good["Parameters"][0], "{fault:?}");
        assert_eq!(parameters.len(), count, "{fault:?}");
        assert_ne!(answer, good, "{fault:?}");
        assert_eq!(answer["InvalidParameters"], json!([]), "{fault:?}");
        let (status, text) = ask(&ssm, "GetParameter", &json!({"Name": "/b"}));
        let single = json!({"Parameter": good["Parameters"][1]});
        assert_eq!(status, 200);
        assert_ne!(text, single.to_string(), "{fault:?}");
    }
}

#[test]
fn the_configuration_names_the_stand_in() {
    let ssm = ParameterStore::start();
    let config = ssm.store("prod");
    assert!(config.starts_with("[stores.prod.aws_parameter_store]\n"));
    assert!(config.contains(&ssm.endpoint()));
}
