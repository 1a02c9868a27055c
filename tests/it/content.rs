//! From values to content through the real binary: what is decoded, extracted, rewritten and templated, and what is
//! done without what is gone.

use crate::support::cluster::Cluster;
use crate::support::daemon::{Home, PATIENCE, wait_content};
use crate::support::kubernetes::Kubernetes;
use crate::support::secrets_manager::SecretsManager;
use crate::support::wait::wait_until;

fn entry(home: &Home, sources: &str) -> String {
    format!(
        "[secrets.app]\nstore = \"prod\"\nrefresh_interval = \"10s\"\n{sources}\n[[secrets.app.file]]\npath = {}\nformat = \"json\"\n",
        home.quoted("targets/app")
    )
}

fn delivered_once(aws: &SecretsManager, sources: &str) -> String {
    let home = Home::new();
    home.configure(&(aws.store("prod") + &entry(&home, sources)));
    let done = home.once(&[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    home.read_text("targets/app").unwrap()
}

/// What `once` says where it fails.
fn refused_once(aws: &SecretsManager, sources: &str) -> String {
    let home = Home::new();
    home.configure(&(aws.store("prod") + &entry(&home, sources)));
    let done = home.once(&[]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert_eq!(home.read("targets/app"), None);
    done.stdout
}

#[test]
fn extract_makes_a_key_of_each_member_and_later_items_win() {
    let aws = SecretsManager::start();
    aws.put(
        "prod/app",
        r#"{"settings":{"url":"u","port":5432,"n":1.0,"tls/crt":"c"}}"#,
    );
    aws.put("prod/more", r#"{"url":"later","extra":null}"#);
    aws.put("prod/blob", "aGVsbG8=");
    let json = delivered_once(
        &aws,
        r#"data_from = [
  { extract = { key = "prod/app", property = "settings" } },
  { extract = { key = "prod/more", keys = ["url"] } },
]
data = [{ secret_key = "blob", remote_ref = { key = "prod/blob", decoding_strategy = "base64" } }]"#,
    );
    assert_eq!(
        json,
        "{\"blob\":\"hello\",\"n\":\"1.0\",\"port\":\"5432\",\"tls_crt\":\"c\",\"url\":\"later\"}\n"
    );
}

#[test]
fn names_are_rewritten_in_steps() {
    let aws = SecretsManager::start();
    aws.put("prod/app/url", "u");
    aws.put("prod/app/port", "1");
    let json = delivered_once(
        &aws,
        r#"[[secrets.app.data_from]]
find = { path = "prod/app/" }
rewrite = [
  { regexp = { source = '^prod/app/(.*)$', target = 'app_$1' } },
  { transform = { template = "{{ value | upper }}" } },
]"#,
    );
    assert_eq!(json, "{\"APP_PORT\":\"1\",\"APP_URL\":\"u\"}\n");
}

#[test]
fn objects_are_merged_with_their_numbers_as_they_are_written() {
    let aws = SecretsManager::start();
    aws.put("prod/a", r#"{"n":12345678901234567890,"f":1.0}"#);
    aws.put("prod/b", r#"{"o":{"k": [1]}}"#);
    let json = delivered_once(
        &aws,
        "data_from = [{ find = { path = \"prod/\" }, rewrite = [{ merge = {} }] }]",
    );
    assert_eq!(
        json,
        "{\"f\":\"1.0\",\"n\":\"12345678901234567890\",\"o\":\"{\\\"k\\\": [1]}\"}\n"
    );
}

#[test]
fn json_is_written_as_the_entry_says() {
    let aws = SecretsManager::start();
    let value = r#"{"o":{"b": 1.0, "a":"<"},"n":1e3,"z":null,"s":"1.0"}"#;
    aws.put("prod/app", value);
    let by_property = |format: &str| {
        let item = |key: &str| {
            format!(
                "{{ secret_key = \"{key}\", remote_ref = {{ key = \"prod/app\", property = \"{key}\" }} }}"
            )
        };
        let items = ["o", "n", "z", "s"].map(item).join(", ");
        delivered_once(&aws, &format!("{format}\ndata = [{items}]"))
    };
    let extracted = |format: &str| {
        let from = "data_from = [{ extract = { key = \"prod/app\" } }]";
        delivered_once(&aws, &format!("{format}\n{from}"))
    };
    let merged = |format: &str| {
        let from = "data_from = [{ find = { path = \"prod/\" }, rewrite = [{ merge = {} }] }]";
        delivered_once(&aws, &format!("{format}\n{from}"))
    };
    let (raw, kes, eso) = ("", "json_format = \"kes\"", "json_format = \"eso\"");
    let spelled = r#"{"n":"1e3","o":"{\"b\": 1.0, \"a\":\"<\"}","s":"1.0","z":""}"#;
    let plainer = r#"{"n":"1000","o":"{\"b\": 1.0, \"a\":\"<\"}","s":"1.0","z":""}"#;
    let anew = r#"{"n":"1000","o":"{\"b\":1,\"a\":\"<\"}","s":"1.0","z":"null"}"#;
    let sorted = r#"{"n":"1000","o":"{\"a\":\"\\u003c\",\"b\":1}","s":"1.0","z":""}"#;
    for (made, expected) in [
        (by_property(raw), spelled),
        (extracted(raw), spelled),
        (merged(raw), spelled),
        (by_property(kes), anew),
        (extracted(kes), anew),
        (merged(kes), anew),
        (by_property(eso), plainer),
        (extracted(eso), spelled),
        (merged(eso), sorted),
    ] {
        assert_eq!(made, format!("{expected}\n"));
    }
    let into = "data_from = [{ find = { path = \"prod/\" }, rewrite = [{ merge = { strategy = \"json\", into = \"all\" } }, { regexp = { source = '^prod/', target = '' } }] }]";
    let json = delivered_once(&aws, &format!("{eso}\n{into}"));
    let all = r#""all":"{\"n\":1000,\"o\":{\"a\":\"<\",\"b\":1},\"s\":\"1.0\",\"z\":null}""#;
    assert!(json.contains(all), "{json}");
}

#[test]
fn collisions_and_bad_names_are_named_and_nothing_is_written() {
    let aws = SecretsManager::start();
    aws.put("prod/app", r#"{"a/b":"1","a_b":"hunter2"}"#);
    let told = refused_once(&aws, "data_from = [{ extract = { key = \"prod/app\" } }]");
    assert!(told.contains("a/b") && told.contains("`a_b`"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
    let told = refused_once(
        &aws,
        "data_from = [{ extract = { key = \"prod/app\", keys = [\"a_b\", \"c\"] } }]",
    );
    assert!(told.contains("`keys` lists"), "{told}");
}

#[test]
fn templates_from_text_and_files_see_every_key() {
    let aws = SecretsManager::start();
    aws.put("prod/db", r#"{"user":"app","password":"p@ss/1"}"#);
    let home = Home::new();
    home.write("app.ini.j2", "[db]\nuser = {{ user }}\n");
    let sources = r#"data_from = [{ extract = { key = "prod/db" } }]
template = { data = { url = "postgres://{{ user }}:{{ password | urlencode }}@db" }, from = [{ file = "app.ini.j2", key = "app.ini" }] }"#;
    home.configure(&(aws.store("prod") + &entry(&home, sources)));
    let done = home.once(&[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(
        home.read_text("targets/app").unwrap(),
        "{\"app.ini\":\"[db]\\nuser = app\\n\",\"url\":\"postgres://app:p%40ss%2F1@db\"}\n"
    );
}

#[test]
fn a_template_that_fails_leaves_what_is_there_and_shows_no_value() {
    let aws = SecretsManager::start();
    aws.put("prod/db", r#"{"user":"app","password":"hunter2"}"#);
    let home = Home::new();
    let sources = "data_from = [{ extract = { key = \"prod/db\" } }]\ntemplate = { data = { url = \"{{ user }}:{{ password }}\" } }";
    home.configure(&(aws.store("prod") + &entry(&home, sources)));
    let daemon = home.start_ready();
    wait_content(&home, "targets/app", "{\"url\":\"app:hunter2\"}\n");
    aws.put("prod/db", r#"{"user":"hunter2"}"#);
    let status = daemon.wait_state("app", "failing");
    let trouble = status.entry("app").trouble().unwrap();
    assert_eq!(trouble.reason, "template");
    assert!(trouble.message.contains("data.url"), "{trouble:?}");
    assert!(trouble.message.contains("password"), "{trouble:?}");
    assert_eq!(
        home.read_text("targets/app").unwrap(),
        "{\"url\":\"app:hunter2\"}\n"
    );
    assert!(!daemon.output().contains("hunter2"));
    assert!(!daemon.page("/status").contains("hunter2"));
}

#[test]
fn what_is_kept_is_partial_and_once_exits_with_3() {
    let aws = SecretsManager::start();
    let home = Home::new();
    aws.put("prod/a", "1");
    aws.put("prod/b", "2");
    let sources = r#"on_missing = "keep_last"
data = [
  { secret_key = "a", remote_ref = { key = "prod/a" } },
  { secret_key = "b", remote_ref = { key = "prod/b" } },
]"#;
    home.configure(&(aws.store("prod") + &entry(&home, sources)));
    assert_eq!(home.once(&[]).code, Some(0));
    aws.schedule_deletion("prod/b");
    aws.put("prod/a", "9");
    let done = home.once(&[]);
    assert_eq!(done.code, Some(3), "{done:?}");
    assert!(done.stdout.contains("partial"), "{done:?}");
    assert!(
        done.stdout.contains("its last value, that is kept"),
        "{done:?}"
    );
    assert_eq!(
        home.read_text("targets/app").unwrap(),
        "{\"a\":\"9\",\"b\":\"2\"}\n"
    );
    aws.restore("prod/b");
    assert_eq!(home.once(&[]).code, Some(0));
}

#[test]
fn what_never_was_is_left_out_and_what_is_there_is_not() {
    let aws = SecretsManager::start();
    let home = Home::new();
    aws.put("prod/a", "1");
    let sources = r#"data = [
  { secret_key = "a", remote_ref = { key = "prod/a" } },
  { secret_key = "b", remote_ref = { key = "prod/b" }, on_missing = "drop" },
]"#;
    home.configure(&(aws.store("prod") + &entry(&home, sources)));
    let daemon = home.start_ready();
    wait_content(&home, "targets/app", "{\"a\":\"1\"}\n");
    daemon.wait_state("app", "fresh");
    aws.put("prod/b", "2");
    let both = "{\"a\":\"1\",\"b\":\"2\"}\n";
    wait_content(&home, "targets/app", both);
    // Gone right after: nothing proves it for ten minutes.
    aws.delete("prod/b");
    daemon.wait_state("app", "failing");
    let reads = aws.log().0.len();
    wait_until(PATIENCE, "more reads", || aws.log().0.len() > reads + 2);
    assert_eq!(home.read_text("targets/app").unwrap(), both);
    drop(daemon);
    // A restart knows nothing of what was read, and looks at what the target holds.
    assert_eq!(home.once(&[]).code, Some(1));
    assert_eq!(home.read_text("targets/app").unwrap(), both);
}

/// What a Secret holds is delivered again with what is new; what somebody else wrote there meanwhile is not.
#[test]
fn a_secret_keeps_the_last_value_of_what_is_gone() {
    let (aws, home, cluster) = (SecretsManager::start(), Home::new(), Kubernetes::start());
    aws.put("prod/a", "1");
    aws.put("prod/b", "2");
    let namespace = Cluster::namespace(&cluster);
    home.configure(&format!(
        "{}{}[secrets.app]\nstore = \"prod\"\nrefresh_interval = \"10s\"\non_missing = \"keep_last\"\ndata = [{{ secret_key = \"a\", remote_ref = {{ key = \"prod/a\" }} }}, {{ secret_key = \"b\", remote_ref = {{ key = \"prod/b\" }} }}]\n[secrets.app.template]\nlabels = {{ team = \"pay\" }}\n[[secrets.app.kubernetes]]\ncluster = \"main\"\nnamespace = \"{namespace}\"\n",
        aws.store("prod"),
        cluster.table("main"),
    ));
    let refused = home.check();
    assert!(
        refused.stderr.contains("what a template made of it"),
        "{refused:?}"
    );
    let config = home.read_text("secretsyncd.toml").unwrap();
    let plain = config.replace("[secrets.app.template]\nlabels = { team = \"pay\" }\n", "");
    home.configure_whole(&plain);
    assert_eq!(home.once(&[]).code, Some(0));
    let holds = |a: &str, b: &str| {
        let data = [("a", a), ("b", b)].map(|(key, value)| (key.to_owned(), value.into()));
        cluster.data(&namespace, "app") == Some(data.into())
    };
    assert!(holds("1", "2"));
    aws.delete("prod/b");
    aws.put("prod/a", "9");
    let done = home.once(&[]);
    assert_eq!(done.code, Some(3), "{done:?}");
    assert!(holds("9", "2"));
    cluster.edit(&namespace, "app", "b", "theirs");
    aws.put("prod/a", "10");
    let done = home.once(&[]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stdout.contains("cannot be told"), "{done:?}");
    assert!(holds("9", "theirs"));
}
