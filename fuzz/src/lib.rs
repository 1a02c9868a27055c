//! What is fuzzed: for each reader of bytes from outside, one function that panics when a promise is broken.
//!
//! The fuzzer (`fuzz/run`) and the replay of the corpus (`tests/it/corpus.rs`) call the same functions. Inputs are text
//! where that is possible, so that a person can read and write them.

pub mod bulk;
pub mod config;
pub mod format;
pub mod import;
pub mod kubeconfig;
pub mod pem;
pub mod pkcs12;
pub mod selector;
pub mod template;

/// Takes any bytes. Panics when the program breaks a promise over them.
pub type Target = fn(&[u8]);

/// By the names of their corpora.
pub const TARGETS: &[(&str, Target)] = &[
    ("bulk", bulk::target),
    ("config", config::target),
    ("format", format::target),
    ("import", import::target),
    ("kubeconfig", kubeconfig::target),
    ("pem", pem::target),
    ("pkcs12", pkcs12::target),
    ("selector", selector::target),
    ("template", template::target),
];

/// Stands for a value that must not get into a message.
const MARKER: &str = "hunter2-5b1e9c";

/// The text with the marker wherever it has a `~`: one byte, which a fuzzer finds and moves easily.
fn planted(text: &str) -> String {
    text.replace('~', MARKER)
}

/// What a person may see must hold nothing of the marker.
fn no_leak(shown: &[String]) {
    for text in shown {
        assert!(!text.contains(MARKER), "a value is shown: {text:?}");
    }
}

/// The first line, and what follows it.
fn first_line(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}
