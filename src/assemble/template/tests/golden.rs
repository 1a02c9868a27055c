//! What people really template, and what comes of it.

use super::render;

const APP: &[(&str, &str)] = &[
    ("username", "admin"),
    ("password", "p@ss w/rd:\"1\""),
    ("host", "db.example"),
    ("tls.crt", "CERT\n"),
    (
        "config",
        r#"{"big":12345678901234567890123,"one":1.0,"exp":1e5,"neg":-0,"list":[1,"a",null,true],"o":{"b":2,"a":1}}"#,
    ),
    (
        "users",
        r#"[{"name":"b","role":"x"},{"name":"a","role":"y"}]"#,
    ),
];

const TABLE: &[(&str, &str)] = &[
    // A connection string.
    (
        "postgres://{{ username }}:{{ password | urlencode }}@{{ host }}/app?sslmode=require",
        "postgres://admin:p%40ss%20w%2Frd%3A%221%22@db.example/app?sslmode=require",
    ),
    ("{{ password | urlencode_plus }}", "p%40ss+w%2Frd%3A%221%22"),
    // A registry's credentials, whole and by hand.
    (
        "{{ dockerconfigjson(\"ghcr.io\", username, password) }}",
        r#"{"auths":{"ghcr.io":{"username":"admin","password":"p@ss w/rd:\"1\"","auth":"YWRtaW46cEBzcyB3L3JkOiIxIg=="}}}"#,
    ),
    (
        "{{ dockerconfigjson('r', 'u', 'p', email='e@x') }}",
        r#"{"auths":{"r":{"username":"u","password":"p","email":"e@x","auth":"dTpw"}}}"#,
    ),
    (
        "{\"auths\":{\"r\":{\"auth\":\"{{ printf('%s:%s', username, 'x') | b64encode }}\"}}}",
        r#"{"auths":{"r":{"auth":"YWRtaW46eA=="}}}"#,
    ),
    // Renaming, as in a transform, over a value.
    (
        "ENV_{{ host | upper | replace('.', '_') }}",
        "ENV_DB_EXAMPLE",
    ),
    // An ini file, whose last line break stays.
    (
        "[database]\nuser = {{ username }}\n{% if port is defined %}port = {{ port }}\n{% endif %}tls = {{ data[\"tls.crt\"] | trim }}\n",
        "[database]\nuser = admin\ntls = CERT\n",
    ),
    ("port={{ port | default(5432) }}", "port=5432"),
    ("port={{ port | default(\"5432\") | int + 1 }}", "port=5433"),
    // Everything of a JSON value.
    (
        "{% for key, item in config | from_json | items %}{{ key }}={{ item | to_json }}\n{% endfor %}",
        "big=12345678901234567890123\nexp=1e5\nlist=[1,\"a\",null,true]\nneg=-0\no={\"a\":1,\"b\":2}\none=1.0\n",
    ),
    (
        "{% set c = config | from_json %}{{ c.big }} {{ c.one }} {{ c.exp }} {{ c.neg }} {{ c.list[1] }} {{ c.o.a }} {{ c.list[3] }}",
        "12345678901234567890123 1.0 1e5 -0 a 1 true",
    ),
    (
        "{{ users | from_json | map(attribute='name') | sort | join(',') }}",
        "a,b",
    ),
    (
        "{% for user in users | from_json if user.role == 'y' %}{{ user.name }}{% endfor %}",
        "a",
    ),
    (
        "{{ users | from_json | selectattr('role', 'eq', 'x') | map(attribute='name') | first }}",
        "b",
    ),
    (
        "{{ ['a.b', 'c.d'] | map('replace', '.', '_') | join(' ') }}",
        "a_b c_d",
    ),
    // Data sources in YAML.
    (
        "datasources:\n- name: main\n  password: {{ password | quote }}\n  tls: |\n    {{ data['tls.crt'] | indent(4) }}",
        "datasources:\n- name: main\n  password: \"p@ss w/rd:\\\"1\\\"\"\n  tls: |\n    CERT\n",
    ),
    (
        "{{ {'a': [1, {'x': 'yes', 'y': []}, [2, 3]], 'b': {}, 'c': 'null', 'd': 'a: b\\n', 'e': none, 'f g': 1.5} | to_yaml }}",
        "a:\n  - 1\n  - x: \"yes\"\n    \"y\": []\n  - - 2\n    - 3\nb: {}\nc: \"null\"\nd: \"a: b\\n\"\ne: null\n\"f g\": 1.5",
    ),
    ("x:{{ [1] | to_yaml | nindent(2) }}", "x:\n  - 1"),
    (
        "{{ {'b': 1, 'a': [true]} | to_json(2) }}",
        "{\n  \"a\": [\n    true\n  ],\n  \"b\": 1\n}",
    ),
    // Braces for somebody else's templates.
    ("{% raw %}{{ .Values.x }}{% endraw %}", "{{ .Values.x }}"),
    ("{{ '{{ x }}' }}", "{{ x }}"),
    // Nothing is escaped, whatever it is called.
    ("{{ '<&>' }}{{ password }}", "<&>p@ss w/rd:\"1\""),
    ("{{ 'it''s' if false else \"it's\" | squote }}", "'it''s'"),
    ("{{ 'a b' | b64encode | b64decode }}", "a b"),
    ("{{ 'YS\nBi\r\n' | b64decode }}", "a b"),
    (
        "{{ 'PD8_' | b64url_decode }}{{ '<??' | b64url_encode }}",
        "<??PD8_",
    ),
    ("{{ 'a%20b' | urldecode }}", "a b"),
    (
        "{{ 'abc' | sha256 }}",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    ),
    (
        "{{ 'what do ya want for nothing?' | hmac_sha256('Jefe') }}",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (
        "{{ 'x-1-y' | regex_replace('-([0-9])-', '<${1}>') }}",
        "x<1>y",
    ),
    ("{{ 'ab' | regex_match('^a.$') }}", "true"),
    (
        "{{ 'a,b' | split(',') | join('|') }}{{ ' a  b ' | split | length }}",
        "a|b2",
    ),
    ("{{ '%s=%d%%' | format('a', 7) }}", "a=7%"),
    (
        "{{ 'prefix-x' | trim_prefix('prefix-') }}{{ 'x.suffix' | trim_suffix('.suffix') }}",
        "xx",
    ),
    (
        "{{ ('x' | startswith('x')) and ('x' | endswith('x')) and ('axb' | contains('x')) }}",
        "true",
    ),
    (
        "{{ 'hello wORLD' | title }} {{ 'x' is startingwith('x') }}",
        "Hello World true",
    ),
    (
        "{% for x in range(3) %}{{ loop.index }}{% if not loop.last %},{% endif %}{% endfor %}",
        "1,2,3",
    ),
    (
        "{% with a = 1, b = a + 1 %}{{ a }}{{ b }}{% endwith %}",
        "12",
    ),
    (
        "{% set x %}a{{ username }}{% endset %}{{ x | upper }}",
        "AADMIN",
    ),
    ("{% filter indent(2) %}a\nb{% endfilter %}", "a\n  b"),
    ("{{ '' | default('x', true) }}{{ '' | default('x') }}", "x"),
    (
        "{{ data | length }} {{ 'host' in data }} {{ 'hots' in data }}",
        "6 true false",
    ),
    ("{{ data.username }}{# a comment #}", "admin"),
    (
        "{{ 0.1 + 0.2 }} {{ 7 // 2 }} {{ 2 ** 10 }} {{ -5 | abs }}",
        "0.30000000000000004 3 1024 5",
    ),
    ("{{ dict(a=1, b='x') | to_json }}", r#"{"a":1,"b":"x"}"#),
];

#[test]
fn templates_of_everyday_give_what_they_should() {
    for (template, expected) in TABLE.iter().copied() {
        assert_eq!(render(template, APP), expected, "{template}");
    }
}

#[test]
fn a_password_line_is_the_same_each_time_and_checks_with_bcrypt() {
    let line = |text: &str| render(text, &[("u", "joe"), ("p", "U*U")]);
    let first = line("{{ htpasswd(u, p, cost=5) }}");
    assert_eq!(first, line("{{ htpasswd(u, p, cost=5) }}"));
    assert_ne!(first, line("{{ htpasswd(u, p, 'other', cost=5) }}"));
    let (user, hash) = first.split_once(':').unwrap();
    assert_eq!(user, "joe");
    assert!(hash.starts_with("$2y$05$") && hash.len() == 60, "{hash}");
    // Another password changes the hash and not the salt, which says nothing of it.
    let other = line("{{ htpasswd(u, 'secret', cost=5) }}");
    assert_eq!(other[..33], first[..33]);
    assert_ne!(other, first);
    assert_eq!(
        line("{{ htpasswd('a', 'b') }}"),
        "a:$2y$10$MTjiSPJY27msF6DEsqiY3eZVEksnX5LkMg6Vl1HNHTT9L.zwGJG6e"
    );
}
