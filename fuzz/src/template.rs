//! A template over values. Lines of `key=value` up to an empty one, where `|` in a value begins a new line; what follows
//! is the template.

use secretsyncd::assemble::template::Template;
use secretsyncd::names::SecretKey;
use secretsyncd::secret::{Payload, SecretBytes};

use super::{MARKER, no_leak, planted};

/// What a Secret holds.
const LARGEST: usize = 1 << 20;

pub fn target(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else {
        return;
    };
    let (values, text) = input.split_once("\n\n").unwrap_or((input, ""));
    if text.contains(MARKER) {
        return;
    }
    let values = payload(values);
    rename(text);
    let template = match Template::new("t", text) {
        Ok(template) => template,
        Err(broken) => {
            assert!(broken.line >= 1 && broken.line <= text.lines().count() + 1);
            assert!(!broken.fact.contains(char::is_control), "{:?}", broken.fact);
            return;
        }
    };
    let rendered = template.render(&values);
    assert_eq!(rendered, template.render(&values));
    match rendered {
        Ok(rendered) => assert!(rendered.len() <= LARGEST),
        Err(failure) => no_leak(&[
            failure.to_string(),
            failure.help().to_owned(),
            format!("{failure:?}"),
        ]),
    }
}

fn payload(lines: &str) -> Payload {
    let mut payload = Payload::default();
    for (key, value) in lines.lines().filter_map(|line| line.split_once('=')) {
        if let Ok(key) = SecretKey::new(key) {
            let value = planted(&value.replace('|', "\n"));
            payload.insert(key, SecretBytes::new(value.into_bytes()));
        }
    }
    payload
}

/// The same text as a `rewrite.transform`.
fn rename(text: &str) {
    if let Ok(template) = Template::new("t", text) {
        let renamed = template.rename("prod/app.name");
        assert_eq!(renamed, template.rename("prod/app.name"));
    }
}
