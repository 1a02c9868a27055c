//! Nothing that a template or a value says makes a render grow or dig without bounds.

use super::{bytes, payload, render};
use crate::assemble::template::Template;

/// Runs where a worker's stack is half of what the runtime gives.
fn on_a_small_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new().stack_size(1024 * 1024);
    thread.spawn(work).unwrap().join().unwrap()
}

fn tried(text: &str) -> Result<usize, String> {
    let text = text.to_owned();
    on_a_small_stack(move || {
        let template = Template::new("t", &text).map_err(|broken| broken.fact)?;
        let json = format!("{}1{}", "[".repeat(60), "]".repeat(60));
        let values: &[(&str, &[u8])] = &[("a", b"aaaaaaaaaa"), ("j", json.as_bytes())];
        let rendered = template.render(&payload(values));
        rendered
            .map(|text| text.len())
            .map_err(|failure| failure.fact.clone())
    })
}

#[test]
fn deep_texts_are_refused_before_they_reach_the_stack() {
    let deep = 60_000;
    for text in [
        format!("{{{{ {}a{} }}}}", "(".repeat(deep), ")".repeat(deep)),
        format!("{{{{ {}a{} }}}}", "[".repeat(deep), "]".repeat(deep)),
        format!("{{{{ a{} }}}}", "+a".repeat(deep)),
        format!("{{{{ a{} }}}}", "~a".repeat(deep)),
        format!("{{{{ a{} }}}}", "|d".repeat(deep)),
        format!("{{{{ a{} }}}}", ".b".repeat(deep)),
        format!("{{{{ a{} }}}}", "[0]".repeat(deep)),
        format!("{{{{ {}a }}}}", "not ".repeat(deep)),
        format!("{{{{ {}a }}}}", "-".repeat(deep)),
        format!("{{{{ a{} }}}}", " if a else a".repeat(deep / 4)),
        format!("{{{{ a{} }}}}", " is string".repeat(deep / 4)),
        format!("{{{{ a{} }}}}", "**a".repeat(deep)),
        format!("{{{{ a{} }}}}", " or a".repeat(deep / 2)),
        format!("{{{{ a{} }}}}", "<a".repeat(deep)),
        "{% if a %}".repeat(deep / 4),
        format!(
            "{{% if a %}}{}{{% endif %}}",
            "{% elif a %}".repeat(deep / 4)
        ),
        format!("{{% set {}b = a %}}", "(".repeat(deep)),
        "{% for x in a %}".repeat(deep / 4),
    ] {
        assert!(tried(&text).is_err(), "{}", &text[..40]);
    }
}

#[test]
fn what_is_just_not_too_deep_is_rendered_on_a_small_stack() {
    for text in [
        format!("{{{{ {}a{} }}}}", "(".repeat(40), ")".repeat(40)),
        format!("{{{{ a{} }}}}", "~a".repeat(200)),
        format!("{{{{ a{} }}}}", "|d".repeat(200)),
        format!("{{{{ a{} }}}}", " if a else a".repeat(100)),
        format!("{}{}", "{% if a %}".repeat(32), "{% endif %}".repeat(32)),
        format!(
            "{{% if not a %}}{}{{% endif %}}",
            "{% elif not a %}".repeat(50)
        ),
        format!(
            "{}{}",
            "{% for x in [a] %}".repeat(32),
            "{% endfor %}".repeat(32)
        ),
        "{{ j | from_json | to_json }}{{ j | from_json | to_yaml }}".to_owned(),
    ] {
        assert!(tried(&text).is_ok(), "{}: {:?}", &text[..30], tried(&text));
    }
}

#[test]
fn what_grows_stops_soon_and_says_so() {
    let doubled = |line: &str| format!("{{% set x = a %}}{}{{{{ x }}}}", line.repeat(60));
    let listed = |end: &str| {
        let doubling = "{% set x = [x, x] %}".repeat(60);
        format!(
            "{{% set x = [a] %}}{{% set y = [a] %}}{doubling}{}{end}",
            doubling.replace('x', "y")
        )
    };
    for text in [
        doubled("{% set x = x ~ x %}"),
        doubled("{% set x = x + x %}"),
        doubled("{% set x = x * 2 %}"),
        doubled("{% set x = x | replace('a', 'aa') %}"),
        doubled("{% set x = [x, x] | join %}"),
        doubled("{% set x = '%s%s' | format(x, x) %}"),
        doubled("{% set x = printf('%s%s', x, x) %}"),
        doubled("{% set x = x | regex_replace('a', '$0$0') %}"),
        doubled("{% set x = x | regex_replace('a+', '$0$0') %}"),
        doubled("{% set x %}{{ x }}{{ x }}{% endset %}"),
        doubled("{% set x = x | b64encode | urlencode %}"),
        doubled("{% set x = (x ~ '\n' ~ x) | indent(100, true) %}"),
        doubled("{% set x = x | quote | quote %}"),
        doubled("{% set x = x | upper ~ x %}"),
        doubled("{% set x = dockerconfigjson(x, x, x) %}"),
        listed("{{ x | to_json }}"),
        listed("{{ x | to_yaml }}"),
        listed("{{ x ~ '' }}"),
        listed("{{ x == y }}"),
        listed("{{ x < y }}"),
        listed("{{ [x, y] | sort | length }}"),
        listed("{{ [x, y, x] | unique | list | length }}"),
        listed("{{ x in [y] }}"),
        listed("{{ x is eq(y) }}"),
        listed("{{ [x, y] | max | length }}"),
        "{{ 'a' * 999999999 }}".to_owned(),
        "{{ [1] * 99999999 }}".to_owned(),
        "{{ range(99999999999) | list }}".to_owned(),
        "{% for i in range(100000) %}{% for i in range(100000) %}{% endfor %}{% endfor %}"
            .to_owned(),
        "{% for i in range(100000) %}{% for i in range(100000) %}{{ a }}{% endfor %}{% endfor %}"
            .to_owned(),
        "{% for i in range(99) %}{{ htpasswd('u', 'p', cost=14) }}{% endfor %}".to_owned(),
        "{% for i in range(9999) %}{{ a | regex_match('(a{1,90}){1,9}') }}{% endfor %}".to_owned(),
        "{{ 9 ** 9 ** 9 ** 9 }}".to_owned(),
    ] {
        let tried = tried(&text);
        let shown = &text[..text.len().min(60)];
        assert!(tried.is_err(), "{shown}: {tried:?}");
    }
}

#[test]
fn a_secret_of_the_largest_size_is_rendered() {
    let large = "a".repeat(1024 * 1024);
    assert_eq!(render("{{ a }}", &[("a", &large)]).len(), large.len());
    assert!(bytes("{{ a }}b", &[("a", large.as_bytes())]).is_err());
    let quarter = &large[..700 * 1024];
    assert_eq!(
        render("{{ a | b64encode }}", &[("a", quarter)]).len(),
        955_736
    );
}

#[test]
fn a_value_that_is_built_of_itself_is_refused_where_it_is_read() {
    let doubled = format!("{{% set x = [1] %}}{}", "{% set x = [x, x] %}".repeat(11));
    let refused = tried(&doubled).unwrap_err();
    assert!(
        refused.ends_with("it is built of more than 2000 parts"),
        "{refused}"
    );
    let each = "{% for i in range(60) %}{% set a = [a, a] %}{% endfor %}{{ a }}";
    assert_eq!(tried(each), Ok(10));
}

#[test]
fn lists_that_wrap_lists_do_not_reach_the_stack() {
    let wrapping = [
        "[x]",
        "{'a': x}",
        "(x, 1)",
        "x[0:]",
        "x[::-1]",
        "x + [1]",
        "x + y",
        "x | reverse",
        "x | list",
        "x | map('default')",
        "x | select('defined')",
        "x | unique",
        "x | sort",
        "x | default('')",
        "dict(a=x)",
        "x | first | default(x)",
    ];
    let ends = [
        "{{ x | length }}",
        "{{ x ~ '' }}",
        "{{ x == x }}",
        "{{ x == y }}",
        "{{ [x, y] | sort | length }}",
    ];
    for wrap in wrapping {
        let line = format!("{{% set x = {wrap} %}}");
        let text = |times: usize, end: &str| {
            format!(
                "{{% set x = ['a'] %}}{{% set y = ['b'] %}}{}{end}",
                line.repeat(times)
            )
        };
        for end in ends {
            // Somewhere it is refused; up to there it is rendered, or fails, and does not end the process.
            let most = (0..)
                .step_by(5)
                .find(|times| Template::new("t", &text(*times, end)).is_err());
            let most = most.unwrap();
            assert!(most <= 1000, "{wrap} {end}: {most}");
            let _ = tried(&text(most - 5, end));
        }
    }
}
