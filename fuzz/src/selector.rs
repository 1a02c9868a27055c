//! `property` over a JSON value. The first line is the property; what follows it, the value.

use secretsyncd::assemble::select::{OUTPUT_LIMIT, Property, property};
use secretsyncd::secret::SecretBytes;

use super::{first_line, no_leak, planted};

pub fn target(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else {
        return;
    };
    let (text, value) = first_line(input);
    let made = Property::new(text);
    assert_eq!(made, Property::new(text));
    let Ok(made) = made else { return };
    assert_eq!(made.as_str(), text);
    let value = SecretBytes::new(planted(value).into_bytes());
    let found = property(&value, &made);
    assert_eq!(found, property(&value, &made));
    match found {
        Ok(found) => assert!(found.len() <= OUTPUT_LIMIT),
        Err(missing) if !text.contains("hunter2") => {
            no_leak(&[missing.to_string(), format!("{missing:?}")]);
        }
        Err(_) => {}
    }
}
