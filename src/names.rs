//! Names that could be mixed up, checked once where they are made.
//!
//! Every error is a sentence about the shape that is expected; it never repeats the text it refuses, because
//! people paste values where names belong.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Why a text is not the name it should be: what is expected, without the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected(pub &'static str);

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Clones share the text: of each entry, many places know its name.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident: $check:expr, $expected:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn new(text: impl Into<Arc<str>>) -> Result<Self, Expected> {
                let text = text.into();
                let check: fn(&str) -> bool = $check;
                if check(&text) { Ok(Self(text)) } else { Err(Expected($expected)) }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}

names! {
    /// The name of one `[secrets.*]` table.
    EntryName: |text| config_name(text, 253), "lower-case letters, digits and `.`, `_`, `/`, `-`, at most 253";
    /// The name of one `[stores.*]` table.
    StoreName: |text| config_name(text, 63), "lower-case letters, digits and `.`, `_`, `/`, `-`, at most 63";
    /// The name of one `[clusters.*]` table.
    ClusterName: |text| config_name(text, 63), "lower-case letters, digits and `.`, `_`, `/`, `-`, at most 63";
    /// The name of this configuration, written on every Secret it owns.
    Instance: |text| config_name(text, 63), "lower-case letters, digits and `.`, `_`, `/`, `-`, at most 63";
    /// A key of a Kubernetes Secret's `data` (Kubernetes' `IsConfigMapKey`), and of every other target alike.
    SecretKey: secret_key, "letters, digits and `-`, `_`, `.`, at most 253, not `.` and not beginning with `..`";
    /// A Kubernetes namespace (RFC 1123 label).
    Namespace: |text| rfc1123_label(text), "an RFC 1123 label: lower-case letters, digits and `-`, at most 63, beginning and ending with a letter or digit";
    /// A Kubernetes object's name (RFC 1123 subdomain).
    ObjectName: rfc1123_subdomain, "an RFC 1123 subdomain: lower-case letters, digits, `-` and `.`, at most 253, beginning and ending with a letter or digit";
    /// The key of a Kubernetes label or annotation: a name, optionally behind a DNS prefix and `/`.
    MetadataKey: metadata_key, "a label key: an optional DNS prefix and `/`, then letters, digits and `-`, `_`, `.`, at most 63";
    /// The value of a Kubernetes label.
    LabelValue: |text| text.is_empty() || label_part(text), "letters, digits and `-`, `_`, `.`, at most 63, beginning and ending with a letter or digit";
    /// What a cluster calls one life of an object: deleted and created again, it has another.
    Uid: opaque, "1 to 128 printable ASCII characters";
    /// What a cluster calls one state of an object.
    ResourceVersion: opaque, "1 to 128 printable ASCII characters";
    /// What a machine is called in a Lease.
    Candidate: |text| (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:@/".contains(&b)), "1 to 128 letters, digits and `-`, `.`, `_`, `:`, `@`, `/`";
    /// A systemd unit: a name and a type; of a template an instance.
    UnitName: unit_name, "a unit of systemd, such as `app.service`: letters, digits and `:`, `-`, `_`, `.`, `@`, `\\`, at most 255; of a template an instance";
    /// An AWS account.
    AccountId: |text| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()), "an account's 12 digits";
    /// An IAM role.
    RoleArn: role_arn, "a role's ARN: arn:aws:iam::ACCOUNT:role/NAME";
    /// What a store knows a secret by: a name, a path or an ARN.
    RemoteKey: |text| !text.is_empty() && text.len() <= 2048 && !text.chars().any(char::is_control), "1 to 2048 characters without control characters";
}

/// Variables whose assignment a POSIX shell or bash refuses, ignores or interprets, so that a sourced file and an
/// `EnvironmentFile=` would not give the same.
const SHELL_VARIABLES: &[&str] = &[
    "BASHOPTS",
    "BASHPID",
    "BASH_VERSINFO",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "HISTCMD",
    "IFS",
    "LINENO",
    "OPTIND",
    "PPID",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SRANDOM",
    "UID",
    "_",
];

/// Variables that loaders and interpreters take orders from. Whoever names a secret would decide what a service runs.
const LOADER_VARIABLES: &[&str] = &[
    "BASH_ENV",
    "CLASSPATH",
    "ENV",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "LUA_CPATH",
    "LUA_PATH",
    "NODE_OPTIONS",
    "NODE_PATH",
    "OPENSSL_CONF",
    "OPENSSL_MODULES",
    "PATH",
    "PERL5DB",
    "PERL5LIB",
    "PERL5OPT",
    "PERLLIB",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "PROMPT_COMMAND",
    "PS4",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "RUBYLIB",
    "RUBYOPT",
    "ZDOTDIR",
    "_JAVA_OPTIONS",
];

/// Why a key cannot be a variable of every reader of a dotenv file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoVariable {
    /// It is no name of an environment variable.
    Illegal,
    /// Shells keep it for themselves.
    Shells,
}

impl SecretKey {
    /// Whether a dotenv file can hold this key, for a shell and for systemd alike.
    pub fn as_variable(&self) -> Result<(), NoVariable> {
        let name = self.as_str();
        let legal = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !legal {
            Err(NoVariable::Illegal)
        } else if SHELL_VARIABLES.contains(&name) {
            Err(NoVariable::Shells)
        } else {
            Ok(())
        }
    }
}

impl RoleArn {
    pub fn account(&self) -> AccountId {
        let account = self.as_str().split(':').nth(4).unwrap_or_default();
        AccountId::new(account).expect("a role's ARN was checked to hold an account")
    }
}

/// `arn:PARTITION:iam::ACCOUNT:role/PATH/NAME` (IAM user guide, identifiers).
const UNIT_TYPES: [&str; 11] = [
    "service",
    "socket",
    "device",
    "mount",
    "automount",
    "swap",
    "target",
    "path",
    "timer",
    "slice",
    "scope",
];

impl UnitName {
    /// Whether a text ends as a unit's name does.
    pub fn has_type(text: &str) -> bool {
        let kind = text.rsplit_once('.').map(|(_, kind)| kind);
        kind.is_some_and(|kind| UNIT_TYPES.contains(&kind))
    }
}

fn unit_name(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.@\\".contains(&byte);
    let name = text.rsplit_once('.').map_or("", |(name, _)| name);
    let named = !name.is_empty() && !name.starts_with('@') && !name.ends_with('@');
    text.len() <= 255 && UnitName::has_type(text) && named && text.bytes().all(legal)
}

fn role_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let name = |b: u8| b.is_ascii_alphanumeric() || b"/_+=,.@-".contains(&b);
    matches!(parts.as_slice(), ["arn", partition, "iam", "", account, role]
        if partition.starts_with("aws")
            && partition.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
            && account.len() == 12
            && account.bytes().all(|b| b.is_ascii_digit())
            && role.strip_prefix("role/").is_some_and(|role| !role.is_empty() && role.bytes().all(name))
            && text.len() <= 2048)
}

impl SecretKey {
    /// Whether a dotenv file must not hold it unless somebody wrote it.
    pub fn is_loader_variable(&self) -> bool {
        let name = self.as_str();
        name.starts_with("LD_") || name.starts_with("DYLD_") || LOADER_VARIABLES.contains(&name)
    }
}

fn config_name(text: &str, max: usize) -> bool {
    !text.is_empty()
        && text.len() <= max
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._/-".contains(&b))
}

fn secret_key(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text != "."
        && !text.starts_with("..")
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn rfc1123_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    bytes.len() <= 63
        && ends(bytes.first())
        && ends(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

/// Each part between dots begins and ends with a letter or digit; unlike a label's, its length has no limit of its
/// own (Kubernetes' `IsDNS1123Subdomain`).
fn rfc1123_subdomain(text: &str) -> bool {
    let part = |part: &str| {
        let ends = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let bytes = part.as_bytes();
        ends(bytes.first())
            && ends(bytes.last())
            && bytes
                .iter()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
    };
    text.len() <= 253 && text.split('.').all(part)
}

fn opaque(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

fn label_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    bytes.len() <= 63
        && ends(bytes.first())
        && ends(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

fn metadata_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => rfc1123_subdomain(prefix) && label_part(name),
        None => label_part(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_where_they_are_made() {
        assert!(EntryName::new("team/db.main_1-x").is_ok());
        assert!(EntryName::new("Team").is_err());
        assert!(EntryName::new("").is_err());
        assert!(SecretKey::new("tls.crt").is_ok());
        for bad in ["", ".", "..", "..data", "a/b", "é", "a b", "a\0"] {
            assert!(SecretKey::new(bad).is_err(), "{bad:?}");
        }
        assert!(Namespace::new("kube-system").is_ok());
        assert!(Namespace::new("a.b").is_err());
        assert!(Namespace::new("-a").is_err());
        assert!(ObjectName::new("a.b-c").is_ok());
        assert!(ObjectName::new("a..b").is_err());
        assert!(MetadataKey::new("example.com/team").is_ok());
        assert!(MetadataKey::new("/team").is_err());
        assert!(LabelValue::new("").is_ok());
        assert!(LabelValue::new("a b").is_err());
        let role = RoleArn::new("arn:aws:iam::123456789012:role/team/read").unwrap();
        assert_eq!(role.account().as_str(), "123456789012");
        for bad in [
            "read",
            "arn:aws:iam::1:role/x",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:user/x",
        ] {
            assert!(RoleArn::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_unit_has_a_type_and_no_other_letters() {
        for text in ["app.service", "-.mount", "a@b:c\\x2d.service", "app.socket"] {
            assert!(UnitName::new(text).is_ok(), "{text}");
        }
        for text in [
            "app",
            ".service",
            "app.conf",
            "app@.service",
            "@a.service",
            "a/b.service",
            "a b.service",
            "\u{e4}.service",
        ] {
            assert!(UnitName::new(text).is_err(), "{text}");
        }
        assert!(UnitName::new("a".repeat(248) + ".service").is_err());
    }

    #[test]
    fn a_refusal_does_not_repeat_the_text() {
        let refused = SecretKey::new("hunter2 pasted here").unwrap_err();
        assert!(!refused.to_string().contains("hunter2"));
    }
}
