//! Kubeconfig files for the stand-in, in each way a client may log in.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::certificates::Certificates;
use super::TOKEN;

/// How the kubeconfig's user logs in.
#[derive(Clone, Copy, Debug)]
pub enum Login {
    Token,
    /// One of its own for somebody who is told apart by it.
    Named(&'static str),
    /// A token nobody accepts.
    WrongToken,
    TokenFile,
    CertificateInline,
    CertificateFiles,
    /// The right token and a CA that did not sign the server's certificate.
    OtherAuthority,
}

pub fn token_of(who: &str) -> String {
    format!("{TOKEN}-{who}")
}

pub fn write(place: &Path, server: &str, certificates: &Certificates, login: Login) -> PathBuf {
    let file = |name: &str, content: &str| {
        let path = place.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    };
    let base64 = |text: &str| STANDARD.encode(text);
    let mut authority = format!(
        "certificate-authority-data: {}",
        base64(&certificates.authority)
    );
    let user = match login {
        Login::Token => format!("token: {TOKEN}"),
        Login::Named(who) => format!("token: {}", token_of(who)),
        Login::WrongToken => format!("token: wrong-{TOKEN}"),
        Login::TokenFile => format!("tokenFile: {}", file("token", TOKEN).display()),
        Login::CertificateInline => format!(
            "client-certificate-data: {}\n      client-key-data: {}",
            base64(&certificates.client),
            base64(&certificates.client_key)
        ),
        Login::CertificateFiles => {
            let ca = file("ca.crt", &certificates.authority);
            authority = format!("certificate-authority: {}", ca.display());
            let certificate = file("client.crt", &certificates.client);
            let key = file("client.key", &certificates.client_key);
            // Relative paths are relative to the kubeconfig.
            assert!(key.is_absolute());
            let certificate = certificate.display();
            format!("client-certificate: {certificate}\n      client-key: client.key")
        }
        Login::OtherAuthority => {
            let other = Certificates::make().authority;
            authority = format!("certificate-authority-data: {}", base64(&other));
            format!("token: {TOKEN}")
        }
    };
    write_lines(place, server, &authority, &user)
}

/// A kubeconfig whose cluster and user have these lines.
pub fn write_lines(place: &Path, server: &str, authority: &str, user: &str) -> PathBuf {
    let path = place.join(format!("kubeconfig-{:08x}", fastrand::u32(..)));
    fs::write(
        &path,
        format!(
            "apiVersion: v1
kind: Config
clusters:
  - name: stand-in
    cluster:
      server: {server}
      {authority}
users:
  - name: sync
    user:
      {user}
contexts:
  - name: test
    context:
      cluster: stand-in
      user: sync
current-context: test
"
        ),
    )
    .unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}
