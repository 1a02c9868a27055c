//! What is refused where a template is read.

use super::{broken, template};
use crate::assemble::template::{MAX_TEMPLATE_LEN, Template};

const TABLE: &[(&str, usize, &str)] = &[
    (
        "a\n{{ x | uper }}",
        2,
        "`{{ x | uper }}`: there is no filter `uper`; did you mean `upper`?",
    ),
    (
        "{{ x | b64enc }}",
        1,
        "`{{ x | b64enc }}`: there is no filter `b64enc`; did you mean `b64encode`?",
    ),
    (
        "{{ now() }}",
        1,
        "`{{ now() }}`: there is no function `now`",
    ),
    (
        "{{ debug() }}",
        1,
        "`{{ debug() }}`: there is no function `debug`",
    ),
    (
        "{{ namespace(a=1) }}",
        1,
        "`{{ namespace(a=1) }}`: there is no function `namespace`",
    ),
    (
        "{{ upper(x) }}",
        1,
        "`{{ upper(x) }}`: `upper` is a filter: `{{ value | upper }}`",
    ),
    (
        "{{ x is definde }}",
        1,
        "`{{ x is definde }}`: there is no test `is definde`; did you mean `defined`?",
    ),
    (
        "{{ x is filter('a') }}",
        1,
        "`{{ x is filter('a') }}`: there is no test `is filter`",
    ),
    // In a branch that nobody takes.
    (
        "{% if false %}\n{{ x | nope }}{% endif %}",
        2,
        "`{{ x | nope }}`: there is no filter `nope`",
    ),
    (
        "{{ a | map('nope') }}",
        1,
        "`{{ a | map('nope') }}`: there is no filter `nope`",
    ),
    (
        "{{ a | select('nope') }}",
        1,
        "`{{ a | select('nope') }}`: there is no test `is nope`; did you mean `none`?",
    ),
    (
        "{{ x | replace('a') }}",
        1,
        "`{{ x | replace('a') }}`: it is called as `replace(old, new)`",
    ),
    (
        "{{ x | upper(1) }}",
        1,
        "`{{ x | upper(1) }}`: it is called as `upper`",
    ),
    (
        "{{ x | indent(2, frist=true) }}",
        1,
        "`{{ x | indent(2, frist=true) }}`: it is called as `indent(width, first=false)`",
    ),
    (
        "{{ htpasswd('a') }}",
        1,
        "`{{ htpasswd('a') }}`: it is called as `htpasswd(user, password, salt=\"\", cost=10)`",
    ),
    (
        "{{ x.split(',') }}",
        1,
        "`{{ x.split(',') }}`: values have no methods such as `split()`; use the filter: `{{ value | split }}`",
    ),
    (
        "{{ .x }}",
        1,
        "`{{ .x }}`: that is Go's language; here keys have no dot before them: `{{ name }}`, `{{ data[\"tls.crt\"] }}`",
    ),
    (
        "{{ index . \"x\" }}",
        1,
        "`{{ index . \"x\" }}`: that is Go's language; here keys have no dot before them: `{{ name }}`, `{{ data[\"tls.crt\"] }}`",
    ),
    (
        "{{ dict }}",
        1,
        "`{{ dict }}`: a function must be called, with `()`",
    ),
    (
        "{% macro a() %}{% endmacro %}",
        1,
        "`{% macro a() %}`: there is no `macro`: there are no macros",
    ),
    (
        "{% include 'x' %}",
        1,
        "`{% include 'x' %}`: there is no `include`: a template stands alone",
    ),
    (
        "{% autoescape true %}{% endautoescape %}",
        1,
        "`{% autoescape true %}`: there is no `autoescape`: nothing is escaped, whatever a template is called",
    ),
    (
        "{% esle %}",
        1,
        "`{% esle %}`: there is no statement `esle`; did you mean `else`?",
    ),
    (
        "\n\n{% if x %}",
        3,
        "`{% if x %}`: `{% endif %}` is missing",
    ),
    (
        "{% if x %}\n{% endfor %}",
        2,
        "`{% endfor %}`: the `if` of line 1 is open; it ends with `{% endif %}`",
    ),
    (
        "{% endif %}",
        1,
        "`{% endif %}`: there is no `if` that it ends",
    ),
    (
        "{% else %}",
        1,
        "`{% else %}`: there is no `if` that it belongs to",
    ),
    ("{% %}", 1, "`{% %}`: there is nothing in it"),
    ("a {{ x", 1, "`{{ x`: it never ends with `}}`"),
    (
        "a {{ 'x }}",
        1,
        "`{{ 'x }}`: this cannot be read: a string, comment or `{% raw %}` without its end, or a character that has no meaning here",
    ),
    (
        "{{ a b }}",
        1,
        "`{{ a b }}`: this expression cannot be read; it ends too early, or goes on where it should end",
    ),
    (
        "{{ }}",
        1,
        "`{{ }}`: this expression cannot be read; it ends too early, or goes on where it should end",
    ),
    (
        "{% for x in y recursive %}{% endfor %}",
        1,
        "`{% for x in y recursive %}`: there are no recursive loops",
    ),
    (
        "{% set data = 1 %}",
        1,
        "`{% set data = 1 %}`: `data` is what the entry holds",
    ),
    (
        "{% set range = 1 %}",
        1,
        "`{% set range = 1 %}`: a function has this name",
    ),
    (
        "{{ x | regex_replace(y, 'a') }}",
        1,
        "`{{ x | regex_replace(y, 'a') }}`: this text must be written in the template",
    ),
    (
        "{{ x | regex_match('(') }}",
        1,
        "`{{ x | regex_match('(') }}`: this is no regular expression, or it is too large",
    ),
    (
        "{{ [a] | map('regex_match', x) }}",
        1,
        "`{{ [a] | map('regex_match', x) }}`: this text must be written in the template",
    ),
    (
        "{{ [a] | map(x) }}",
        1,
        "`{{ [a] | map(x) }}`: the filter's name must be written in the template",
    ),
    (
        "{{ [a] | map('replace', x) }}",
        1,
        "`{{ [a] | map('replace', x) }}`: it is called as `replace(old, new)`",
    ),
    (
        "{{ fail(x) }}",
        1,
        "`{{ fail(x) }}`: this text must be written in the template",
    ),
    (
        "{% for a in b %}{{ loop.cycle() }}{% endfor %}",
        1,
        "`{{ loop.cycle() }}`: `loop` is asked, not called: `loop.index`, `loop.last`",
    ),
    (
        "{{ a[::-9223372036854775808] }}",
        1,
        "`{{ a[::-9223372036854775808] }}`: the step must be a small number, written here",
    ),
    (
        "{{ a[::b] }}",
        1,
        "`{{ a[::b] }}`: the step must be a small number, written here",
    ),
    (
        "{{ a.b() }}",
        1,
        "`{{ a.b() }}`: values have no methods such as `b()`; use the filter: `{{ value | d }}`",
    ),
    (
        "{{ 'a'() }}",
        1,
        "`{{ 'a'() }}`: only functions can be called",
    ),
    (
        "{{ printf(*x) }}",
        1,
        "`{{ printf(*x) }}`: arguments are written one by one here",
    ),
];

#[test]
fn what_is_no_template_is_told_with_place_and_expression() {
    for (text, line, fact) in TABLE.iter().copied() {
        let broken = broken(text);
        assert_eq!((broken.line, broken.fact.as_str()), (line, fact), "{text}");
    }
}

#[test]
fn a_column_is_counted_in_characters() {
    let broken = broken("é\né {{ x | uper }}");
    assert_eq!((broken.line, broken.column), (2, 10));
}

#[test]
fn what_is_quoted_is_short_and_without_control_characters() {
    let long = broken(&format!("{{{{ x | uper }}}}{{# {} #}}", "a".repeat(100)));
    assert!(long.fact.len() < 100, "{}", long.fact);
    let odd = broken("{{ x | \n\u{1b}[31m }}");
    assert!(odd.fact.contains("\\n\\u{1b}"), "{}", odd.fact);
}

#[test]
fn too_long_or_too_deep_a_text_is_refused() {
    assert!(Template::new("a", &"a".repeat(MAX_TEMPLATE_LEN)).is_ok());
    let broken = Template::new("a", &"a".repeat(MAX_TEMPLATE_LEN + 1)).unwrap_err();
    assert_eq!(broken.fact, "it is longer than 262144 bytes");
}

#[test]
fn templates_are_equal_by_name_and_text() {
    fn shared<T: Send + Sync + Clone>(value: &T) -> T {
        value.clone()
    }
    let one = template("{{ a }}");
    assert_eq!(shared(&one), template("{{ a }}"));
    assert_ne!(one, template("{{ b }}"));
    assert_ne!(one, Template::new("other", "{{ a }}").unwrap());
    let shown = format!("{one:?}");
    assert!(shown.starts_with("Template(\"data.url\", "), "{shown}");
    assert!(!shown.contains("{{ a }}"), "{shown}");
    assert_eq!(shown, format!("{:?}", template("{{ a }}")));
    assert_ne!(shown, format!("{:?}", template("{{ b }}")));
}
