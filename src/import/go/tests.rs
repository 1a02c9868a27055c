use super::*;
use crate::names::SecretKey;
use crate::secret::{Payload, SecretBytes};

const V2: Of = Of::Entry(Engine::V2);

fn rendered(theirs: &str, values: &[(&str, &str)]) -> String {
    let converted = convert(theirs, V2).unwrap_or_else(|why| panic!("{theirs}: {why}"));
    let mut payload = Payload::default();
    for (key, value) in values {
        let value = SecretBytes::new(value.as_bytes().to_vec());
        payload.insert(SecretKey::new(*key).unwrap(), value);
    }
    let template = crate::assemble::template::Template::new("t", &converted.text).unwrap();
    let text = template
        .render(&payload)
        .unwrap_or_else(|_| panic!("{theirs}: {}", converted.text));
    String::from_utf8(text.expose().to_vec()).unwrap()
}

/// What Go's text/template with sprig gives.
#[test]
fn what_is_converted_renders_as_in_eso() {
    let values = [
        ("user", "app"),
        ("pass-word", "p@ss"),
        ("tls.crt", "C\n"),
        ("json", r#"{"host":"db","port":5432,"in":{"a":"x"}}"#),
        ("b64", "aGk="),
        ("data", "d"),
        ("empty", ""),
    ];
    for (theirs, text) in [
        ("{{ .user }}", "app"),
        ("{{.user}}:{{ index . \"pass-word\" }}", "app:p@ss"),
        ("a {{- /* no */ -}} b", "ab"),
        ("a\n  {{- .user -}}  \nb", "aappb"),
        ("a {{.user -}} b", "a appb"),
        ("{{ .user | upper | quote }}", "\"APP\""),
        ("{{ upper .user }}", "APP"),
        ("{{ .b64 | b64dec }}", "hi"),
        (
            "{{ printf \"%s:%v\" .user (index . \"pass-word\") | b64enc }}",
            "YXBwOnBAc3M=",
        ),
        ("{{ (.json | fromJson).host }}", "db"),
        ("{{ (fromJson .json).in.a }}", "x"),
        ("{{ index (.json | fromJson) \"in\" \"a\" | upper }}", "X"),
        (
            "{{ .user | replace \"p\" \"q\" | trimPrefix \"a\" | trimSuffix \"q\" }}",
            "q",
        ),
        ("{{ .empty | default .user }}", "app"),
        ("{{ `{{ .x }}` }} {{ \"{{\" }}", "{{ .x }} {{"),
        ("{ {{ .user }} } {% {# }}", "{ app } {% {# }}"),
        ("{\"a\":\"{{.user}}\"}{{ .data }}", "{\"a\":\"app\"}d"),
        ("{{ index . \"tls.crt\" | indent 2 }}", "  C\n"),
        ("{{ index . \"pass-word\" | urlquery }}", "p%40ss"),
        ("{{ .user | toString }}", "app"),
        (
            "{{ .user | sha256sum }}",
            "a172cedcae47474b615c54d510a5d84a8dea3032e958587430b413538be3f333",
        ),
    ] {
        assert_eq!(rendered(theirs, &values), text, "{theirs}");
    }
}

#[test]
fn the_rest_is_refused_with_its_text() {
    for theirs in [
        "{{ if .a }}x{{ end }}",
        "{{ range $k, $v := . }}{{ end }}",
        "{{ $x := .a }}",
        "{{ .a.b }}",
        "{{ .Values.secret }}",
        "{{ include \"x\" . }}",
        "{{ . | toJson }}",
        "{{ .a | trunc 3 }}",
        "{{ .a | fromJson }}",
        "{{ randAlphaNum 8 }}",
        "{{ printf \"%d\" .a }}",
        "{{ printf \"%s\" .a .b }}",
        "{{ (.a }}",
        "{{ .a | pemToPkcs12 }}",
        "{{ }}",
        "{{ .a\"b\" }}",
    ] {
        let why = convert(theirs, V2).unwrap_err();
        let quoted = theirs.get(..5).unwrap_or(theirs);
        assert!(why.contains(quoted), "{theirs}: {why}");
    }
    assert!(convert("{{ \"\\x41\" }}", V2).is_err());
    let bomb = format!("{{{{ {} }}}}", "(".repeat(100_000));
    assert!(convert(&bomb, V2).is_err());
}

#[test]
fn engine_v1_needs_text_made_of_its_bytes() {
    let v1 = Of::Entry(Engine::V1);
    let converted = convert("a {{ .user | toString }}", v1).unwrap();
    assert_eq!(converted.text, "a {{ user }}");
    assert_eq!(converted.warnings.len(), 1);
    for theirs in [
        "{{ .user }}",
        "{{ .user | base64decode }}",
        "{{ .user | toString | upper }}",
    ] {
        assert!(convert(theirs, v1).is_err(), "{theirs}");
    }
}

#[test]
fn a_rewrite_knows_one_name() {
    let converted = convert("ENV_{{ .value | upper | replace \"-\" \"_\" }}", Of::Name).unwrap();
    assert_eq!(
        converted.text,
        "ENV_{{ value | upper | replace(\"-\", \"_\") }}"
    );
    assert!(convert("{{ .other }}", Of::Name).is_err());
}

#[test]
fn what_asks_nothing_is_a_literal() {
    assert_eq!(convert("git", V2).unwrap().literal.as_deref(), Some("git"));
    assert_eq!(
        convert("{{ `a` }}b", V2).unwrap().literal.as_deref(),
        Some("ab")
    );
    assert_eq!(convert("{{ .a }}", V2).unwrap().literal, None);
    assert_eq!(convert("{{ .a | upper }}", V2).unwrap().literal, None);
}

/// Whatever functions make of it.
#[test]
fn what_is_made_of_text_alone_is_a_literal() {
    for (theirs, value) in [
        ("{{ \"My Pass\" | b64enc }}", "TXkgUGFzcw=="),
        ("{{ \"My Pass\" | quote }}!", "\"My Pass\"!"),
        (
            "{{ printf \"%s, %s\" \"My Pass\" (`Two` | upper) }}",
            "My Pass, TWO",
        ),
        ("{{ printf \"My Pass\" }}", "My Pass"),
        ("{{ \"\" | default \"My Pass\" | lower }}", "my pass"),
        (
            "{{ (\"{\\\"a\\\":\\\"My Pass\\\"}\" | fromJson).a }}",
            "My Pass",
        ),
        ("{{ 4711 }}", "4711"),
    ] {
        let converted = convert(theirs, V2).unwrap();
        assert_eq!(converted.literal.as_deref(), Some(value), "{theirs}");
        assert!(!converted.keeps_text, "{theirs}");
    }
    let line = convert("{{ htpasswd \"Ann B\" \"My Pass\" }}", V2).unwrap();
    assert!(line.literal.unwrap().starts_with("Ann B:$2"));
    let binary = convert("{{ \"/w==\" | b64dec }}", V2).unwrap_err();
    assert!(
        binary.contains("cannot be computed") && !binary.contains("/w"),
        "{binary}"
    );
}

#[test]
fn a_value_beside_a_lookup_is_refused_unquoted_and_text_is_told() {
    for theirs in [
        "{{ .a | default \"My Pass\" }}",
        "{{ .a | default 4711 }}",
        "{{ .a | default (\"My Pass\" | lower) }}",
        "{{ htpasswd .a \"My Pass\" }}",
        "{{ printf \"%s:%s\" .a \"My Pass\" }}",
        "{{ \"My Pass\" | printf \"%s:%s\" .a }}",
        "{{ \"My Pass\" | trimPrefix .a }}",
    ] {
        let why = convert(theirs, V2).unwrap_err();
        assert!(why.contains("a value stands here"), "{theirs}: {why}");
        assert!(!why.contains("Pass"), "{why}");
    }
    for unquoted in [
        "x{{My Pass",
        "{{ .a | unknown \"My Pass\" }}",
        "{{ .a '\"' \"My Pass\" '\"' }}",
        "{{/* it's \" */ \"My Pass\" \"}}",
        "{{My Pass {{ .a }}",
    ] {
        let why = convert(unquoted, V2).unwrap_err();
        assert!(!why.contains("Pass"), "{why}");
    }
    for (theirs, keeps) in [
        ("{{ printf \"My %s\" .a }}", true),
        ("{{ .a | replace \"x\" \"My Pass\" | b64enc }}", true),
        ("{{ htpasswd \"Ann B\" .a }}", true),
        ("{{ \"My Pass\" | b64enc }}:{{ .a }}", true),
        ("My Pass {{ .a }}", true),
        (
            "{{ .a }}:{{ printf \"%s:%s\" .a .b | replace \"-\" \"_\" | indent 2 }}",
            false,
        ),
        ("{{ .a | default \"\" }}", false),
    ] {
        assert_eq!(convert(theirs, V2).unwrap().keeps_text, keeps, "{theirs}");
    }
}
