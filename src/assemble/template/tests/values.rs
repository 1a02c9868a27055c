//! What a template sees of values: text, binary, and what is missing.

use super::{bytes, failure, render, template};

const BLOB: &[u8] = &[0xff, 0, 0xfe];

#[test]
fn names_are_keys_unless_they_are_words() {
    assert_eq!(render("{{ data['data'] }}", &[("data", "x")]), "x");
    assert_eq!(
        render("{{ range(2) | join }}{{ data.range }}", &[("range", "x")]),
        "01x"
    );
}

#[test]
fn binary_alone_comes_through_unchanged() {
    let values: &[(&str, &[u8])] = &[("blob", BLOB), ("text", b"x")];
    for text in [
        "{{ blob }}",
        "{{ blob | b64encode | b64decode }}",
        "{{ data.blob }}",
        "{% if text == 'x' %}{{ blob }}{% endif %}",
        "{% set a = blob %}{{ a }}{# comment #}",
        "{{ blob | default('') }}",
    ] {
        assert_eq!(bytes(text, values).unwrap(), BLOB, "{text}");
    }
    assert_eq!(bytes("{{ blob | b64encode }}", values).unwrap(), b"/wD+");
    assert_eq!(
        bytes("{{ blob | urlencode }}", values).unwrap(),
        b"%FF%00%FE"
    );
    assert_eq!(bytes("{{ blob | length }}", values).unwrap(), b"3");
    assert_eq!(
        bytes("{{ blob is binary }}{{ text is binary }}", values).unwrap(),
        b"truefalse"
    );
    assert_eq!(bytes("{{ blob == blob }}", values).unwrap(), b"true");
}

#[test]
fn binary_never_becomes_text() {
    let values: &[(&str, &[u8])] = &[("blob", BLOB), ("text", b"x")];
    for text in [
        "{{ blob }}\n",
        "{{ text }}{{ blob }}",
        "{{ blob }}{{ blob }}",
        "{{ blob ~ text }}",
        "{{ text ~ blob }}",
        "{{ blob ~ '' }}",
        "{% set a = blob ~ '' %}",
        "{% set a = [blob] ~ '' %}{{ text }}",
        "{% set a %}{{ blob }}{% endset %}{{ a }}",
        "{% set a %}{{ blob }}{% endset %}{{ a | length }}",
        "{% filter upper %}{{ blob }}{% endfilter %}",
        "{{ blob | upper }}",
        "{{ blob | trim }}",
        "{{ blob | replace('a', 'b') }}",
        "{{ text | replace('x', blob) }}",
        "{{ [blob, text] | join }}",
        "{{ [blob, text] | to_json }}",
        "{{ blob | to_yaml }}",
        "{{ '%s' | format(blob) }}",
        "{{ blob | from_json }}",
        "{{ blob is startingwith('a') }}",
        "{{ blob | quote }}",
        "{{ blob | string }}",
        "{{ blob | int }}",
    ] {
        let failure = failure(text, values);
        assert!(
            failure.fact.contains("the key `blob` is binary"),
            "{text}: {failure}"
        );
    }
    assert_eq!(
        failure("{{ blob | upper }}", values).fact,
        "template `data.url`, line 1: `{{ blob | upper }}`: the key `blob` is binary, which is no text; use `b64encode`, \
         or let it stand alone"
    );
    assert!(
        failure("{{ '/wD+' | b64decode ~ 'x' }}", values)
            .fact
            .contains("binary")
    );
    assert!(
        failure("{{ blob.x }}{{ blob[0] }}", values)
            .fact
            .contains("there is no `x`")
    );
}

#[test]
fn a_name_is_rewritten_by_a_template_over_value() {
    let rename = |text: &str, name: &str| template(text).rename(name);
    assert_eq!(
        rename("ENV_{{ value | upper | replace('-', '_') }}", "db-user").unwrap(),
        "ENV_DB_USER"
    );
    let failure = rename("{{ vlaue }}", "x").unwrap_err();
    assert_eq!(
        failure.fact,
        "template `data.url`, line 1: `{{ vlaue }}`: there is no key `vlaue`"
    );
    assert_eq!(failure.help(), "did you mean `value`?");
    assert!(rename("{{ data.value }}", "x").is_err());
    assert!(
        rename("{{ '/wD+' | b64decode }}", "x")
            .unwrap_err()
            .fact
            .contains("binary")
    );
    assert!(
        rename("{% for i in range(2000) %}x{% endfor %}", "x")
            .unwrap_err()
            .fact
            .contains("more text")
    );
    assert!(
        rename("{% for i in range(99999) %}{% endfor %}", "x")
            .unwrap_err()
            .fact
            .contains("more work")
    );
}

#[test]
fn values_are_never_templates() {
    assert_eq!(
        render("{{ a }}", &[("a", "{{ b }}{% if %}")]),
        "{{ b }}{% if %}"
    );
}
