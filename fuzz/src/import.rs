//! Manifests of KES and ESO. Whatever they are, what they become is a configuration, and the same in every run.

use secretsyncd::config::{Surroundings, judge};
use secretsyncd::import::{Options, run_text};

/// A store that manifests may refer to without having it.
const OURS: &str = "[stores.ours.aws_secrets_manager]\n\n";

/// What the input does not say.
#[must_use]
pub fn options() -> Options {
    Options {
        region: Some("eu-west-1".to_owned()),
        namespace: Some("app".to_owned()),
        cluster: Some("prod".to_owned()),
        stores: vec![("elsewhere".to_owned(), "ours".to_owned())],
        literals: Some("/nowhere/literals.toml".to_owned()),
        qualify: false,
    }
}

pub fn target(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let (output, report) = run_text("m.yaml", text.to_owned(), options());
    let whole = output.whole();
    let surroundings = Surroundings {
        root: true,
        ..Surroundings::default()
    };
    let judged = judge(format!("{OURS}{whole}"), &surroundings);
    assert_eq!(judged.errors(), 0, "{}\n{whole}", judged.render(false));
    let (again, reported) = run_text("m.yaml", text.to_owned(), options());
    assert_eq!((again.whole(), reported.text()), (whole, report.text()));
    for line in report.text().lines() {
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}
