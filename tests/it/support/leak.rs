//! Looking for values where none may be.
//!
//! A marker counts as found in any form a program could print it in: as it is, in hexadecimal, or in base64 at any
//! of the three alignments and either alphabet. Case does not count: parsers of configuration files change it. Reports
//! name the form and the place, never the surroundings.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Markers, each in all its forms.
pub struct Markers(Vec<Form>);

struct Form {
    name: String,
    needle: Vec<u8>,
}

impl Markers {
    pub fn new<'a>(markers: impl IntoIterator<Item = &'a str>) -> Self {
        Self(markers.into_iter().flat_map(forms).collect())
    }

    /// What is found in `haystack`, one line per form.
    pub fn find(&self, place: &str, haystack: impl AsRef<[u8]>) -> Vec<String> {
        let haystack = haystack.as_ref().to_ascii_lowercase();
        self.0
            .iter()
            .filter_map(|form| {
                let at = haystack
                    .windows(form.needle.len())
                    .position(|window| window == form.needle)?;
                Some(format!("{place}: {} at byte {at}", form.name))
            })
            .collect()
    }

    /// Fails the test when anything is found.
    pub fn absent(&self, place: &str, haystack: impl AsRef<[u8]>) {
        let found = self.find(place, haystack);
        assert!(found.is_empty(), "leaked: {found:#?}");
    }
}

fn forms(marker: &str) -> Vec<Form> {
    assert!(marker.len() >= 12, "a shorter marker is found by chance");
    let mut forms = vec![
        form(marker, "plain", marker),
        form(marker, "hex", &hex(marker)),
    ];
    for shift in 0..3 {
        let text = inner_base64(marker.as_bytes(), shift);
        let url_safe = text.replace('+', "-").replace('/', "_");
        forms.push(form(marker, "base64", &text));
        forms.push(form(marker, "base64url", &url_safe));
    }
    forms
}

/// The name tells markers apart by their first characters, which are no secret of a test.
fn form(marker: &str, kind: &str, needle: &str) -> Form {
    Form {
        name: format!("{kind} of {}...", &marker[..8]),
        needle: needle.to_ascii_lowercase().into_bytes(),
    }
}

fn hex(marker: &str) -> String {
    marker
        .bytes()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The part of the base64 text that does not depend on what stands before and after the marker.
pub fn inner_base64(marker: &[u8], shift: usize) -> String {
    let mut bytes = vec![0; shift];
    bytes.extend_from_slice(marker);
    let whole_groups = bytes.len() / 3 * 4;
    let text = STANDARD_NO_PAD.encode(&bytes);
    let first = if shift == 0 { 0 } else { shift + 1 };
    text[first..whole_groups].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    const MARKER: &str = "MARKER-value-0123456789";

    #[test]
    fn a_planted_marker_is_found_in_every_form() {
        let markers = Markers::new([MARKER]);
        let planted = [
            format!("level=warn value={MARKER} end"),
            format!("key `{}`", MARKER.to_lowercase()),
            format!("x{}", hex(MARKER)),
            hex(MARKER).to_uppercase(),
            STANDARD.encode(MARKER),
            STANDARD.encode(format!("a{MARKER}bc")),
            STANDARD.encode(format!("ab{MARKER}c")),
            STANDARD.encode(format!("abc{MARKER}")),
        ];
        for text in planted {
            assert!(!markers.find("planted", &text).is_empty(), "{text}");
        }
    }

    #[test]
    fn other_text_is_no_hit() {
        let markers = Markers::new([MARKER]);
        markers.absent("log", "MARKER-value-012345678 and nothing more");
        markers.absent("log", STANDARD.encode("quite another value, and longer"));
    }
}
