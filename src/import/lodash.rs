//! Templates of KES, in lodash's language, of which lookups become ours.
//!
//! Everything else in there is JavaScript: it is refused with its text, never copied.

use std::fmt::Write as _;

use super::jinja::{self, Converted, Draft, refused};

const CODE: &str =
    "only lookups such as `<%= data.key %>` and `<%= JSON.parse(data.key).member %>` are converted";

pub(super) fn convert(text: &str) -> Result<Converted, String> {
    let mut draft = Draft::default();
    let mut rest = text;
    let mut warnings = Vec::new();
    while let Some(at) = rest.find("<%") {
        let (before, tag) = rest.split_at(at);
        piece(&mut draft, before)?;
        let end = tag
            .find("%>")
            .ok_or_else(|| refused(tag, "this has no `%>`"))?;
        let code = &tag[..end + 2];
        let inner = tag[2..end]
            .strip_prefix('=')
            .ok_or_else(|| refused(code, CODE))?;
        let expression = expression(inner.trim()).ok_or_else(|| refused(code, CODE))?;
        draft.expression(&expression);
        rest = &tag[end + 2..];
        warnings = vec![
            "KES read values as ASCII here and a missing key as nothing; here they are UTF-8 and a missing key is an error",
        ];
    }
    piece(&mut draft, rest)?;
    draft.finish(warnings)
}

/// `${x}` is code for lodash, too.
fn piece(draft: &mut Draft, text: &str) -> Result<(), String> {
    if let Some(at) = text.find("${") {
        return Err(refused(&text[at..], CODE));
    }
    draft.text(text);
    Ok(())
}

fn expression(code: &str) -> Option<String> {
    let code = code.strip_suffix(';').unwrap_or(code).trim();
    if let Some(rest) = code.strip_prefix("JSON.parse(") {
        let (inner, rest) = rest.split_once(')')?;
        let (key, nothing) = step(inner.trim().strip_prefix("data")?)?;
        let mut steps = String::new();
        let mut rest = rest.trim();
        while !rest.is_empty() {
            let (name, more) = step(rest)?;
            let _ = write!(steps, "[{}]", jinja::string(&name));
            rest = more;
        }
        let found = !steps.is_empty() && nothing.is_empty();
        return found.then(|| format!("({} | from_json){steps}", jinja::lookup(&key)));
    }
    let (key, nothing) = step(code.strip_prefix("data")?)?;
    nothing.is_empty().then(|| jinja::lookup(&key))
}

/// `.name` or `["name"]`, and what follows.
fn step(text: &str) -> Option<(String, &str)> {
    if let Some(rest) = text.strip_prefix('.') {
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
        let end = rest.find(|c| !legal(c)).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let begins = name.starts_with(|c: char| !c.is_ascii_digit());
        return (begins && !is_inherited(name)).then(|| (name.to_owned(), rest));
    }
    let rest = text.strip_prefix('[')?;
    let quote = rest.chars().next().filter(|c| *c == '"' || *c == '\'')?;
    let (name, rest) = rest[1..].split_once(quote)?;
    let legal = !name.is_empty() && !name.contains('\\') && !name.chars().any(char::is_control);
    let rest = rest.strip_prefix(']')?;
    (legal && !is_inherited(name)).then(|| (name.to_owned(), rest))
}

/// What every object in JavaScript has, or some have, beside its keys.
pub(super) fn is_inherited(name: &str) -> bool {
    matches!(
        name,
        "length"
            | "constructor"
            | "prototype"
            | "__proto__"
            | "__defineGetter__"
            | "__defineSetter__"
            | "__lookupGetter__"
            | "__lookupSetter__"
            | "hasOwnProperty"
            | "isPrototypeOf"
            | "propertyIsEnumerable"
            | "toLocaleString"
            | "toString"
            | "valueOf"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookups_become_ours() {
        for (theirs, ours) in [
            ("a <%= data.user %> b", "a {{ user }} b"),
            ("<%=data['tls.crt']%>", "{{ data[\"tls.crt\"] }}"),
            (
                "<%= JSON.parse(data.db).host %>:<%= JSON.parse(data.db)[\"a-b\"].c; %>",
                "{{ (db | from_json)[\"host\"] }}:{{ (db | from_json)[\"a-b\"][\"c\"] }}",
            ),
            (
                "{{ x }} {% y {# {",
                "{{ \"{\" }}{ x }} {{ \"{\" }}% y {{ \"{\" }}# {{ \"{\" }}",
            ),
            ("{<%= data.x %>}", "{{ \"{\" }}{{ x }}}"),
            ("<%= data.data %>", "{{ data[\"data\"] }}"),
        ] {
            assert_eq!(convert(theirs).unwrap().text, ours, "{theirs}");
        }
        assert_eq!(convert("plain").unwrap().literal.as_deref(), Some("plain"));
    }

    #[test]
    fn code_is_refused_with_its_text() {
        for theirs in [
            "<% if (x) { %>",
            "<%- data.a %>",
            "${data.a}",
            "<%= data.a.toUpperCase() %>",
            "<%= yaml.dump(data) %>",
            "<%= data.a + 1 %>",
            "<%= JSON.parse(data.a) %>",
            "<%= data.length %>",
            "<%= Buffer.from(data.a) %>",
            "<%= data.a",
            "<%%= x %>",
        ] {
            let refused = convert(theirs).unwrap_err();
            let quoted = theirs.get(..8).unwrap_or(theirs);
            assert!(refused.contains(quoted), "{theirs}: {refused}");
        }
    }
}
