use super::*;

const FILE: &str = r"
apiVersion: v1
kind: Config
current-context: absent
preferences: {}
clusters:
- name: c
  cluster:
    server: https://api.example:6443
    certificate-authority: ca.crt
- name: inline
  cluster: {server: 'https://b', certificate-authority-data: 'aGk=', certificate-authority: ignored}
contexts:
- name: one
  context: {cluster: c, user: u, namespace: ignored}
- name: two
  context: {cluster: inline, user: cert}
users:
- name: u
  user: {token: MARKER, tokenFile: ../token}
- name: cert
  user:
    client-certificate: /abs/c.crt
    client-key-data: |
      a2
      V5
";

fn parse(text: &str, context: Option<&str>) -> Result<Access, Failure> {
    parse_with(text, context, Tls::Verified)
}

fn parse_with(text: &str, context: Option<&str>, tls: Tls) -> Result<Access, Failure> {
    let path = Path::new("/etc/x/kubeconfig");
    let reader = Reader { path, tls };
    reader.choose(reader.parse(text.as_bytes())?, context)
}

fn keys(access: Access) -> Keys {
    match access.login {
        Login::Keys(keys) => keys,
        other @ (Login::Plugin(_) | Login::Eks) => panic!("{other:?}"),
    }
}

/// The context `one` with another line in the place of its cluster's certificate authority.
fn of_cluster(line: &str, tls: Tls) -> Result<Access, Failure> {
    let text = FILE.replace("certificate-authority: ca.crt", line);
    parse_with(&text, Some("one"), tls)
}

fn is_file(source: &Source, path: &str) -> bool {
    matches!(source, Source::File(p) if p == Path::new(path))
}

#[test]
fn the_named_context_is_read_as_kubectl_does() {
    let one = parse(FILE, Some("one")).unwrap();
    assert_eq!(one.server, "https://api.example:6443");
    assert!(matches!(&one.trust, Trust::Authority(source) if is_file(source, "/etc/x/ca.crt")));
    assert!(matches!(one.way, Way::Direct));
    let one = keys(one);
    assert_eq!(one.token.unwrap().expose(), b"MARKER");
    assert_eq!(one.token_file.unwrap(), Path::new("/etc/x/../token"));
    assert!(one.identity.is_none());

    let two = parse(FILE, Some("two")).unwrap();
    assert!(matches!(&two.trust, Trust::Authority(Source::Inline(ca)) if ca.expose() == b"hi"));
    let identity = keys(two).identity.unwrap();
    assert!(is_file(&identity.certificate, "/abs/c.crt"));
    assert!(matches!(identity.key, Source::Inline(key) if key.expose() == b"key"));
}

#[test]
fn json_is_yaml_too() {
    let json = r#"{"clusters":[{"name":"c","cluster":{"server":"https://a"}}],
        "contexts":[{"name":"x","context":{"cluster":"c","user":"u"}}],"users":[{"name":"u","user":{"token":"t"}}]}"#;
    assert!(parse(json, None).is_ok());
}

#[test]
fn a_context_is_chosen_only_where_there_is_no_choice() {
    let fact = |text: &str, context| parse(text, context).unwrap_err().fact.clone();
    assert!(fact(FILE, None).contains("has 2 contexts"));
    let no_such = fact(FILE, Some("MARKER"));
    assert!(no_such.contains("has no context of the name"), "{no_such}");
    assert!(!no_such.contains("MARKER"), "{no_such}");
    assert!(fact("{}", None).contains("has 0 contexts"));
    assert!(fact("contexts: null", Some("a")).contains("has no context of the name"));
    let single = FILE.replace(
        "- name: two\n  context: {cluster: inline, user: cert}\n",
        "",
    );
    assert_eq!(
        parse(&single, None).unwrap().server,
        "https://api.example:6443"
    );
}

#[test]
fn what_does_not_fit_together_is_named() {
    let fact = |from: &str, to: &str| {
        assert!(FILE.contains(from), "{from}");
        parse(&FILE.replace(from, to), Some("one"))
            .unwrap_err()
            .fact
            .clone()
    };
    assert!(
        fact("- name: inline", "- name: c").contains("two entries of one name under `clusters`")
    );
    assert!(fact("{cluster: c,", "{cluster: d,").contains("no cluster"));
    assert!(fact("user: u,", "user: nobody,").contains("no user"));
    assert!(fact("token: MARKER, tokenFile: ../token", "").contains("no credentials"));
    assert!(fact("token: MARKER, tokenFile: ../token", "client-key: k").contains("only one of"));
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    for (from, to, named) in [
        (
            "token: MARKER",
            "auth-provider: {name: gcp}",
            "`auth-provider`",
        ),
        (
            "token: MARKER",
            "username: a, password: MARKER",
            "`username`",
        ),
        ("token: MARKER", "token: t, as: admin", "impersonation"),
        ("token: MARKER", "token: t, as-groups: [a]", "impersonation"),
    ] {
        let failure = parse(&FILE.replace(from, to), Some("one")).unwrap_err();
        assert!(failure.fact.contains(named), "{}", failure.fact);
        assert!(
            failure.fact.ends_with("not supported yet"),
            "{}",
            failure.fact
        );
    }
    let harmless = "insecure-skip-tls-verify: false\n    proxy-url: ''\n    tls-server-name: ''";
    let access = of_cluster(harmless, Tls::Verified).unwrap();
    assert!(matches!(access.trust, Trust::System) && matches!(access.way, Way::Direct));
}

#[test]
fn a_server_need_not_prove_itself_only_where_both_say_so() {
    const SKIP: &str = "insecure-skip-tls-verify: true";
    let refused = of_cluster(SKIP, Tls::Verified).unwrap_err();
    assert!(refused.fact.contains("does not allow"), "{refused}");
    assert!(refused.help().contains("allow_insecure_tls"), "{refused:?}");
    let allowed = of_cluster(SKIP, Tls::AsTheKubeconfigSays).unwrap();
    assert!(matches!(allowed.trust, Trust::Anybody));
    let silent = of_cluster("", Tls::AsTheKubeconfigSays).unwrap();
    assert!(matches!(silent.trust, Trust::System));
    for authority in [
        "certificate-authority: ca.crt",
        "certificate-authority-data: aGk=",
    ] {
        for tls in [Tls::Verified, Tls::AsTheKubeconfigSays] {
            let both = of_cluster(&format!("{SKIP}\n    {authority}"), tls).unwrap_err();
            assert!(
                both.fact.contains("has a certificate authority beside"),
                "{both}"
            );
        }
    }
}

#[test]
fn another_name_and_a_proxy_are_ways_of_their_own() {
    let way = |line: &str| of_cluster(line, Tls::Verified).map(|access| access.way);
    let fact = |line: &str| way(line).unwrap_err().fact.clone();
    assert!(
        matches!(way("tls-server-name: api.internal").unwrap(), Way::Named(name) if name == "api.internal")
    );
    for proxy in ["http://u:MARKER@proxy:3128", "https://proxy/"] {
        let found = way(&format!("proxy-url: {proxy}")).unwrap();
        assert!(matches!(found, Way::Proxy(url) if url.expose() == proxy.as_bytes()));
    }
    let both = fact("tls-server-name: api.internal\n    proxy-url: http://proxy:3128");
    assert!(
        both.contains("`tls-server-name` and `proxy-url` together"),
        "{both}"
    );
    for bad in [
        "socks5://MARKER",
        "http://",
        "MARKER:3128",
        "http://proxy/MARKER",
    ] {
        let fact = fact(&format!("proxy-url: '{bad}'"));
        assert!(
            fact.contains("`proxy-url`") && !fact.contains("MARKER"),
            "{fact}"
        );
    }
    for bad in ["10.0.0.1", "MARKER MARKER", "'::1'"] {
        let fact = fact(&format!("tls-server-name: {bad}"));
        assert!(
            fact.contains("`tls-server-name`") && !fact.contains("MARKER"),
            "{fact}"
        );
    }
}

#[test]
fn a_password_for_a_proxy_is_a_credential() {
    let holds = |line: &str| {
        let text = FILE
            .replace("certificate-authority: ca.crt", line)
            .replace("token: MARKER, ", "")
            .replace("client-key-data", "ignored");
        let reader = Reader {
            path: Path::new("/etc/x/kubeconfig"),
            tls: Tls::Verified,
        };
        reader.parse(text.as_bytes()).unwrap().holds_credential()
    };
    assert!(holds("proxy-url: http://u:word@proxy:3128"));
    assert!(!holds("proxy-url: http://proxy:3128"));
}

#[test]
fn a_plugin_is_the_only_login_of_its_user() {
    let exec = "exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: ./plugin}";
    let user = |user: &str| {
        let text = FILE.replace("token: MARKER, tokenFile: ../token", user);
        parse(&text, Some("one"))
    };
    let login = user(exec).unwrap().login;
    assert!(
        matches!(&login, Login::Plugin(plugin) if plugin.path() == Path::new("/etc/x/./plugin")),
        "{login:?}"
    );
    for other in [
        "token: MARKER",
        "tokenFile: t",
        "client-certificate: c, client-key: k",
    ] {
        let fact = user(&format!("{exec}, {other}")).unwrap_err().fact.clone();
        assert!(fact.contains("other credentials beside `exec`"), "{fact}");
    }
    let fact = user("exec: {apiVersion: MARKER, command: MARKER}")
        .unwrap_err()
        .fact
        .clone();
    assert!(
        fact.contains("`apiVersion`") && !fact.contains("MARKER"),
        "{fact}"
    );
}

#[test]
fn no_error_shows_a_text_of_the_file() {
    for broken in [
        FILE.replace("token: MARKER", "token: [MARKER]"),
        FILE.replace("token: MARKER", "token: {MARKER: MARKER}"),
        FILE.replace("token: MARKER", "token: 'MARKER"),
        FILE.replace("token: MARKER", "token: *MARKER"),
        FILE.replace("token: MARKER", "token: !MARKER MARKER, token: MARKER"),
        FILE.replace("token: MARKER", "MARKER: {"),
        FILE.replace("token: MARKER", "client-key-data: MARKER-"),
        FILE.replace("clusters:", "clusters: MARKER"),
        FILE.replace(
            "server: https",
            "insecure-skip-tls-verify: MARKER\n    server: https",
        ),
        FILE.replace("  user: {token: MARKER", "\tuser: {token: MARKER"),
        "MARKER".into(),
        "- MARKER".into(),
        "token: \"\\qMARKER\"".into(),
    ] {
        let failure = parse(&broken, Some("one")).expect_err(&broken);
        let shown = format!("{failure:?} {failure} {}", failure.help());
        assert!(!shown.contains("MARKER"), "{shown}");
    }
    let text = FILE.replace("token: MARKER", "token: 'MARKER");
    assert!(parse(&text, None).unwrap_err().fact.contains("near line "));
    let shown = format!("{:?}", parse(FILE, Some("one")).unwrap());
    assert!(!shown.contains("MARKER"), "{shown}");
}
