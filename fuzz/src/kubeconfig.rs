//! A kubeconfig. The first line is the context to choose, if it is not empty; what follows it, the file.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use secretsyncd::config::Tls;
use secretsyncd::kube::survey;

use super::{first_line, no_leak, planted};

pub fn target(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else {
        return;
    };
    let (context, text) = first_line(input);
    let context = Some(context).filter(|context| !context.is_empty());
    let dir = tempfile::tempdir().expect("a directory for the kubeconfig");
    let path = dir.path().join("kubeconfig");
    fs::write(&path, planted(text)).expect("the kubeconfig can be written");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("the file is ours");
    let first = survey(&path, context, Tls::AsTheKubeconfigSays);
    let shown = format!("{first:?}");
    assert_eq!(
        shown,
        format!("{:?}", survey(&path, context, Tls::AsTheKubeconfigSays))
    );
    if let Err(failure) = first.access
        && context.is_none_or(|context| !context.contains("hunter2"))
    {
        no_leak(&[failure.to_string(), failure.help().to_owned(), shown]);
    }
}
