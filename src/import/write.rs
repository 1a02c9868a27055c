//! Drafts to TOML.

mod toml;

use std::fmt::Write as _;

use self::toml::{Inline, key, line, pairs, string, strings, texts_inline};
pub(super) use self::toml::{comment, one_line};

use super::draft::{
    Auth, Bulk, Entry, Item, KeySource, Keys, Remote, Rewrite, Store, Target, Template, What,
};

/// A store that the output defines.
pub(super) fn store(out: &mut String, store: &Store, cluster: &str) {
    let table = format!("stores.{}.{}", key(&store.name), store.service.kind());
    let _ = writeln!(out, "[{table}]");
    comments(out, &store.comments);
    line(out, "region", store.region.as_deref());
    line(out, "prefix", store.prefix.as_deref());
    line(out, "endpoint_url", store.endpoint.as_deref());
    out.push('\n');
    if store.auth != Auth::default() {
        auth(out, (&table, cluster), &store.auth);
    }
}

fn auth(out: &mut String, (table, cluster): (&str, &str), auth: &Auth) {
    let _ = writeln!(out, "[{table}.auth]");
    if let Some(Keys { id, secret, token }) = &auth.keys {
        let _ = writeln!(out, "access_key_id = {}", source(id, cluster));
        let _ = writeln!(out, "secret_access_key = {}", source(secret, cluster));
        if let Some(token) = token {
            let _ = writeln!(out, "session_token = {}", source(token, cluster));
        }
    }
    if !auth.chain.is_empty() {
        let _ = writeln!(out, "role_chain = {}", strings(&auth.chain));
    }
    line(out, "role_arn", auth.role.as_deref());
    line(out, "external_id", auth.external_id.as_deref());
    line(out, "session_name", auth.session_name.as_deref());
    if !auth.session_tags.is_empty() {
        let _ = writeln!(out, "session_tags = {}", pairs(&auth.session_tags));
    }
    if !auth.transitive_tag_keys.is_empty() {
        let keys = strings(&auth.transitive_tag_keys);
        let _ = writeln!(out, "transitive_tag_keys = {keys}");
    }
    line(out, "sts_endpoint_url", auth.sts_endpoint.as_deref());
    out.push('\n');
}

fn source(source: &KeySource, cluster: &str) -> String {
    match source {
        KeySource::Env(name) => Inline::new().text("env", Some(name)).end(),
        KeySource::Secret {
            namespace,
            name,
            key,
        } => {
            let secret = Inline::new()
                .text("cluster", Some(cluster))
                .text("namespace", Some(namespace))
                .text("name", Some(name))
                .text("key", Some(key))
                .end();
            Inline::new().raw("kubernetes", Some(secret)).end()
        }
    }
}

pub(super) fn cluster(out: &mut String, name: &str) {
    let _ = writeln!(out, "[clusters.{}]", key(name));
    out.push_str("# A kubeconfig with one context, which this machine may read.\n");
    let path = format!("/etc/secretsyncd/{}.kubeconfig", name.replace('/', "-"));
    line(out, "kubeconfig", Some(&path));
    out.push('\n');
}

/// The store of values that stood in the input.
pub(super) fn literals(out: &mut String, name: &str, path: &str) {
    let _ = writeln!(out, "[stores.{}.file]", key(name));
    out.push_str("# Values that stood in the manifests. Keep it as secret as they are, or move them to a store of AWS.\n");
    line(out, "path", Some(path));
    out.push('\n');
}

pub(super) fn entry(out: &mut String, (entry, sentences): (&Entry, &[String]), cluster: &str) {
    let table = format!("secrets.{}", key(&entry.name));
    let _ = writeln!(out, "[{table}]");
    comments(out, sentences);
    line(out, "store", Some(&entry.store));
    line(out, "refresh_interval", entry.interval.as_deref());
    if entry.once {
        line(out, "refresh_policy", Some("created_once"));
    }
    if entry.suspend {
        out.push_str("suspend = true\n");
    }
    if entry.json_format.is_some() {
        out.push_str("# Numbers, null and objects out of JSON are written as the old controller writes them.\n");
        line(out, "json_format", entry.json_format);
    }
    if !entry.data.is_empty() {
        out.push_str("data = [\n");
        for it in &entry.data {
            let _ = writeln!(out, "  {},", item(it));
        }
        out.push_str("]\n");
    }
    for bulk in &entry.data_from {
        let _ = writeln!(out, "[[{table}.data_from]]");
        bulk_item(out, bulk);
    }
    if let Some(it) = &entry.template {
        template(out, &table, it);
    }
    for it in &entry.targets {
        let _ = writeln!(out, "[[{table}.kubernetes]]");
        target(out, it, (&entry.name, cluster));
    }
    out.push('\n');
}

fn item(item: &Item) -> String {
    Inline::new()
        .text("secret_key", Some(&item.key))
        .raw("remote_ref", Some(remote(&item.remote)))
        .text("store", item.store.as_deref())
        .end()
}

fn remote(remote: &Remote) -> String {
    Inline::new()
        .text("key", Some(&remote.key))
        .text("property", remote.property.as_deref())
        .text("version", remote.version.as_deref())
        .text("decoding_strategy", remote.decoding)
        .raw("metadata", remote.metadata.then(|| "true".to_owned()))
        .end()
}

fn bulk_item(out: &mut String, bulk: &Bulk) {
    line(out, "store", bulk.store.as_deref());
    match &bulk.what {
        What::Extract(it) => {
            let _ = writeln!(out, "extract = {}", remote(it));
        }
        What::Find {
            path,
            regexp,
            tags,
            decoding,
        } => {
            let name = regexp
                .as_deref()
                .map(|regexp| Inline::new().text("regexp", Some(regexp)).end());
            let find = Inline::new()
                .text("path", path.as_deref())
                .raw("name", name)
                .raw("tags", (!tags.is_empty()).then(|| pairs(tags)))
                .text("decoding_strategy", *decoding)
                .end();
            let _ = writeln!(out, "find = {find}");
        }
    }
    line(out, "conversion_strategy", bulk.conversion);
    if !bulk.rewrite.is_empty() {
        out.push_str("rewrite = [\n");
        for step in &bulk.rewrite {
            let _ = writeln!(out, "  {},", rewrite(step));
        }
        out.push_str("]\n");
    }
}

fn rewrite(step: &Rewrite) -> String {
    let (name, inner) = match step {
        Rewrite::Regexp { source, target } => {
            let inner = Inline::new().text("source", Some(source));
            ("regexp", inner.text("target", Some(target)))
        }
        Rewrite::Transform(template) => {
            ("transform", Inline::new().text("template", Some(template)))
        }
        Rewrite::Merge {
            into,
            strategy,
            conflict_policy,
            priority,
            priority_policy,
        } => {
            let inner = Inline::new()
                .text("into", into.as_deref())
                .text("strategy", *strategy)
                .text("conflict_policy", *conflict_policy)
                .raw(
                    "priority",
                    (!priority.is_empty()).then(|| strings(priority)),
                )
                .text("priority_policy", *priority_policy);
            ("merge", inner)
        }
    };
    Inline::new().raw(name, Some(inner.end())).end()
}

fn template(out: &mut String, table: &str, template: &Template) {
    let _ = writeln!(out, "[{table}.template]");
    if template.merge {
        line(out, "merge_policy", Some("merge"));
    }
    let parts = [
        ("data", &template.data),
        ("labels", &template.labels),
        ("annotations", &template.annotations),
    ];
    for (name, texts) in parts.into_iter().filter(|(_, texts)| !texts.is_empty()) {
        let _ = writeln!(out, "[{table}.template.{name}]");
        for (name, text) in texts {
            let _ = writeln!(out, "{} = {}", key(name), string(text));
        }
    }
}

fn target(out: &mut String, target: &Target, (entry, cluster): (&str, &str)) {
    line(out, "cluster", Some(cluster));
    match target.namespaces.as_slice() {
        [] => {}
        [one] => line(out, "namespace", Some(one)),
        several => {
            let _ = writeln!(out, "namespaces = {}", strings(several));
        }
    }
    line(out, "namespace_selector", target.selector.as_deref());
    if entry.rsplit('/').next() != Some(&target.name) {
        line(out, "name", Some(&target.name));
    }
    line(out, "type", target.secret_type.as_deref());
    for (name, texts) in [
        ("labels", &target.labels),
        ("annotations", &target.annotations),
    ] {
        if !texts.is_empty() {
            let _ = writeln!(out, "{name} = {}", texts_inline(texts));
        }
    }
    line(out, "creation_policy", target.creation);
    line(out, "deletion_policy", target.deletion);
    if target.immutable {
        out.push_str("immutable = true\n");
    }
}

fn comments(out: &mut String, sentences: &[String]) {
    for sentence in sentences {
        comment(out, sentence);
    }
}
