//! What fails where a template is rendered, how it is told, and that no value is told with it.

use super::{failure, template};
use crate::failure::Reason;

const SECRET: &str = "hunter2-SECRET";

const TABLE: &[(&str, &str)] = &[
    (
        "\n{{ usernme }}",
        "template `data.url`, line 2: `{{ usernme }}`: there is no key `usernme`",
    ),
    (
        "{{ usernme | upper }}",
        "template `data.url`, line 1: `{{ usernme | upper }}`: there is no key `usernme`",
    ),
    (
        "{{ username ~ usernme }}",
        "template `data.url`, line 1: `{{ username ~ usernme }}`: there is no key `usernme`",
    ),
    (
        "{{ data['usernme'] }}",
        "template `data.url`, line 1: `{{ data['usernme'] }}`: there is no key `usernme`",
    ),
    (
        "{{ data.usernme | b64encode }}",
        "template `data.url`, line 1: `{{ data.usernme | b64encode }}`: there is no key `usernme`",
    ),
    (
        "{% if usernme %}{% endif %}",
        "template `data.url`, line 1: `{% if usernme %}`: there is no key `usernme`",
    ),
    (
        "{% if usernme == 'x' %}{% endif %}",
        "template `data.url`, line 1: `{% if usernme == 'x' %}`: there is no key `usernme`",
    ),
    (
        "{% for x in usernme %}{% endfor %}",
        "template `data.url`, line 1: `{% for x in usernme %}`: there is no key `usernme`",
    ),
    (
        "{% set x = usernme %}{{ x }}",
        "template `data.url`, line 1: `{{ x }}`: something it needs is not there",
    ),
    (
        "{{ printf('%s', usernme) }}",
        "template `data.url`, line 1: `{{ printf('%s', usernme) }}`: there is no key `usernme`",
    ),
    (
        "{{ htpasswd(usernme, 'x') }}",
        "template `data.url`, line 1: `{{ htpasswd(usernme, 'x') }}`: there is no key `usernme`",
    ),
    (
        "{{ {'a': usernme} | to_json }}",
        "template `data.url`, line 1: `{{ {'a': usernme} | to_json }}`: there is no key `usernme`",
    ),
    (
        "{{ (json | from_json).c }}",
        "template `data.url`, line 1: `{{ (json | from_json).c }}`: there is no `c` in it",
    ),
    (
        "{{ (json | from_json).a.c }}",
        "template `data.url`, line 1: `{{ (json | from_json).a.c }}`: there is no `c` in it",
    ),
    (
        "{{ (json | from_json)['a']['c'] }}",
        "template `data.url`, line 1: `{{ (json | from_json)['a']['c'] }}`: there is no `c` in it",
    ),
];

#[test]
fn a_missing_key_is_named_with_its_place_and_the_nearest_key() {
    let values: &[(&str, &[u8])] = &[("username", b"x"), ("json", br#"{"a":{"b":1}}"#)];
    for (text, fact) in TABLE.iter().copied() {
        let failure = failure(text, values);
        assert_eq!(failure.fact, fact, "{text}");
        assert_eq!(failure.reason, Reason::Template);
        if fact.contains("key") {
            assert_eq!(failure.help(), "did you mean `username`?");
        }
    }
    let other = failure("{{ entirely_else }}", values);
    assert_eq!(
        other.help(),
        "correct the name, add the key to the entry, or give a default: `entirely_else | default(\"...\")`"
    );
}

/// Every way to fail that is known, over a secret text, a secret in JSON, and secret bytes.
const FAILING: &[&str] = &[
    "{{ nope }}{{ s }}",
    "{{ s.nope }}",
    "{{ s['nope'] }}",
    "{{ data[s] }}",
    "{{ j[s] }}",
    "{{ s + 1 }}",
    "{{ s - 1 }}",
    "{{ s * s }}",
    "{{ s / 2 }}",
    "{{ -s }}",
    "{{ s ** 2 }}",
    "{{ s % s }}",
    "{{ s | int }}",
    "{{ s | float }}",
    "{{ s | bool }}",
    "{{ s | abs }}",
    "{{ s | round }}",
    "{{ s | sum }}",
    "{{ [s] | sum }}",
    "{{ s | items }}",
    "{{ s | dictsort }}",
    "{{ s | join }}",
    "{{ [[s]] | join }}",
    "{{ s | from_json }}",
    "{{ half | from_json }}",
    "{{ s | b64decode }}",
    "{{ s | b64url_decode }}",
    "{{ percent | urldecode }}",
    "{{ j }}{{ [s] }}",
    "{{ {'a': s} }}",
    "{{ s | indent(s) }}",
    "{{ s | replace('', s) }}",
    "{{ s | split('') }}",
    "{{ percent | format(s) }}",
    "{{ '%d' | format(s) }}",
    "{{ s | format(s) }}",
    "{{ '%s%s' | format(s) }}",
    "{{ htpasswd('a:b', s) }}",
    "{{ htpasswd(s, s, cost=s) }}",
    "{{ htpasswd('u', s ~ s ~ s ~ s ~ s ~ s) }}",
    "{{ dockerconfigjson('', s, s) }}",
    "{{ dockerconfigjson('r', s ~ ':', s) }}",
    "{{ range(s) }}",
    "{{ dict(s) }}",
    "{{ dict(a=s) }}",
    "{{ [s] | map(s) }}",
    "{{ [s] | map('int') | list }}",
    "{{ [s] | map('int') | join }}",
    "{{ [s] | select(s) | list }}",
    "{{ [s] | map(attribute=s) | join }}",
    "{{ [s] | map(attribute='x.y') | join }}",
    "{{ [s, 1] | sort(attribute=s) }}",
    "{{ s | sort(reverse=s, nope=s) }}",
    "{{ s | unique(nope=s) }}",
    "{% for a, b in [[s]] %}{{ a }}{% endfor %}",
    "{% for a, b in s %}{{ a }}{% endfor %}",
    "{% set a, b = s %}",
    "{% for a in 1 %}{% endfor %}",
    "{{ s[s:s] }}",
    "{{ s[::0] }}",
    "{{ s in 1 }}",
    "{{ {[s]: 1} | to_json }}",
    "{{ {1: s} | to_json }}",
    "{{ none ~ none }}{{ none }}",
    "{{ s is divisibleby(s) }}{{ nope }}",
    "{{ s is in(1) }}",
    "{{ s < 1 }}{{ fail('no') }}",
    "{{ b }}{{ s }}",
    "{{ b ~ s }}",
    "{{ b | upper }}",
    "{{ [b, s] | sort | join }}",
    "{{ [b] ~ s }}",
    "{{ b.nope }}",
    "{{ b[0:1] }}",
    "{{ b + s }}",
    "{{ b | list }}",
    "{{ b | first }}",
    "{{ b | from_json }}",
    "{{ b | to_json }}",
    "{% for x in b %}{% endfor %}",
    "{{ s | regex_replace('(.)', '$1$1') | int }}",
    "{{ s * 999999999 }}",
    "{{ [s] * 999999999 }}",
    "{% for i in range(99999) %}{{ s ~ s }}{% endfor %}",
    "{% for i in range(99999) %}{{ s }}{% endfor %}{{ s ~ 1 }}",
    "{{ n + n }}",
    "{{ n | abs }}",
    "{{ (big | from_json) + 1 }}",
    "{{ loop }}",
    "{% for x in [s] %}{{ loop.nope }}{% endfor %}",
    "{% for x in [s] %}{{ loop.cycle() }}{% endfor %}",
    "{% for x in [s] %}{{ loop.nope() }}{% endfor %}",
    "{% for x in [s] %}{{ loop(x) }}{% endfor %}",
];

#[test]
fn no_failure_tells_a_value() {
    let json = format!("{{\"{SECRET}\":\"{SECRET}\"}}");
    let half = format!("{{\"a\":\"{SECRET}\",\n\"{SECRET}\" \"{SECRET}\"}}");
    let percent = format!("%{SECRET}");
    let mut binary = SECRET.as_bytes().to_vec();
    binary.push(0xff);
    let values: &[(&str, &[u8])] = &[
        ("s", SECRET.as_bytes()),
        ("j", json.as_bytes()),
        ("half", half.as_bytes()),
        ("percent", percent.as_bytes()),
        ("b", &binary),
        ("n", b"hunter2"),
        ("big", b"1e5"),
    ];
    for text in FAILING {
        // What is refused before there are values cannot tell one.
        let Ok(template) = crate::assemble::template::Template::new("data.url", text) else {
            continue;
        };
        let payload = super::payload(values);
        let Err(failure) = template.render(&payload) else {
            continue;
        };
        for told in [
            failure.to_string(),
            failure.help().to_owned(),
            format!("{failure:?}"),
            format!("{template:?}{payload:?}"),
        ] {
            assert!(
                !told.contains("hunter2") && !told.contains("SECRET"),
                "{text}: {told}"
            );
        }
        assert!(
            failure.fact.starts_with("template `data.url`"),
            "{text}: {failure}"
        );
        assert!(
            !failure.fact.contains("cannot be rendered"),
            "{text}: {failure}"
        );
    }
}

#[test]
fn nearly_all_of_these_fail_at_render() {
    let compiled = FAILING
        .iter()
        .filter(|text| crate::assemble::template::Template::new("a", text).is_ok())
        .count();
    assert!(compiled > 80, "only {compiled} are templates");
}

#[test]
fn a_refusal_keeps_to_its_words() {
    let values: &[(&str, &[u8])] = &[("s", b"a\n  \"x\"")];
    let table = [
        (
            "{{ s | from_json }}",
            "it is not valid JSON (line 1, column 1 of the value)",
        ),
        (
            "{{ s | b64decode }}",
            "it is not base64; for the alphabet with `-` and `_` there is `b64url_decode`",
        ),
        (
            "{{ [s] }}",
            "it is a list, which has no text of its own; use `to_json`, `to_yaml` or `join`",
        ),
        (
            "{{ none }}",
            "it is null; use `default(\"...\", true)` or `to_json`",
        ),
        ("{{ s | join }}", "`value` is text, not a list"),
        (
            "{{ s + 1 }}",
            "this cannot be done with these values: one of them is of another kind, or out of range",
        ),
        ("{{ fail('set \"port\"') }}", "set \\\"port\\\""),
    ];
    for (text, fact) in table {
        let expected = format!("template `data.url`, line 1: `{text}`: {fact}");
        assert_eq!(failure(text, values).fact, expected);
    }
    assert_eq!(template("{{ s }}").name(), "data.url");
}
