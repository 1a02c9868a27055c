//! What a template is known to ask for.

use super::template;

#[test]
fn keys_are_what_a_render_needs_and_mentions_what_it_names() {
    let table: [(&str, &[&str], &[&str], bool); 12] = [
        ("{{ b }}{{ a | upper }}", &["a", "b"], &["a", "b"], false),
        (
            "{{ data['tls.crt'] }}{{ data.x }}",
            &["tls.crt", "x"],
            &["tls.crt", "x"],
            false,
        ),
        ("{{ data.data }}", &["data"], &["data"], false),
        ("{{ a | default('x') }}{{ b }}", &["b"], &["a", "b"], false),
        ("{{ a | default(b) | upper }}", &["b"], &["a", "b"], false),
        (
            "{% if a is defined %}{{ a }}{% endif %}",
            &[],
            &["a"],
            false,
        ),
        (
            "{% if 'a' in data %}{{ data['a'] }}{% endif %}",
            &[],
            &["a"],
            true,
        ),
        (
            "{% if x %}{{ y }}{% endif %}",
            &["x", "y"],
            &["x", "y"],
            false,
        ),
        (
            "{% for k, v in o | from_json | items %}{{ k }}{{ v.p }}{{ loop.index }}{% else %}{{ k }}{% endfor %}",
            &["k", "o"],
            &["k", "o"],
            false,
        ),
        (
            "{% set u = name %}{{ u }}{% with w = u %}{{ w }}{% endwith %}{{ w }}",
            &["name", "w"],
            &["name", "w"],
            false,
        ),
        ("{{ data | to_json }}", &[], &[], true),
        ("{{ data[which] }}", &["which"], &["which"], true),
    ];
    for (text, keys, mentions, all) in table {
        let template = template(text);
        assert_eq!(template.keys(), keys, "{text}");
        assert_eq!(template.mentions(), mentions, "{text}");
        assert_eq!(template.takes_all(), all, "{text}");
    }
}
