//! The rule by which polkit lets the service do to units what the configuration says, and nothing else.
//!
//! By unit and verb, which systemd tells polkit 0.106 and later. A rule that the verbs are missing from would let the
//! service stop what it may reload.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Reason, unit};

/// What is done to a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verb {
    /// `try-reload-or-restart`
    Reload,
    /// `try-restart`
    Restart,
    /// A signal to a process of another user.
    Signal,
}

impl Verb {
    /// As systemd calls it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Reload => "reload-or-try-restart",
            Self::Restart => "try-restart",
            Self::Signal => "kill",
        }
    }

    /// As the configuration calls it.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Reload => "reload_unit",
            Self::Restart => "restart_unit",
            Self::Signal => "signal",
        }
    }
}

/// By name and verb, each with whose it is.
pub(super) type Units = BTreeMap<(String, Verb), Reason>;

/// For `/etc/polkit-1/rules.d/`; nothing where no unit is named.
pub(super) fn rule(config: &str, units: &Units) -> Option<String> {
    if units.is_empty() {
        return None;
    }
    let mut text = format!(
        "// What {config} needs of polkit (0.106 or later).\n\
         // For /etc/polkit-1/rules.d/50-secretsyncd.rules; polkit reads it by itself.\n\
         polkit.addRule(function(action, subject) {{\n    \
             if (action.id !== \"org.freedesktop.systemd1.manage-units\" || subject.user !== \"{user}\") {{\n        \
                 return polkit.Result.NOT_HANDLED;\n    \
             }}\n    \
             var allowed = [\n",
        user = unit::USER,
    );
    for ((name, verb), reason) in units {
        let what = format!("{name} {}", verb.as_str());
        // Writing to a text cannot fail.
        let _ = write!(
            text,
            "        // {}: {}\n        {},\n",
            reason.whose(),
            reason.why,
            quoted(&what)
        );
    }
    text.push_str(
        "    ];\n    \
         if (allowed.indexOf(action.lookup(\"unit\") + \" \" + action.lookup(\"verb\")) !== -1) {\n        \
             return polkit.Result.YES;\n    \
         }\n    \
         return polkit.Result.NOT_HANDLED;\n});\n",
    );
    Some(text)
}

/// A literal of JavaScript, whatever the name holds.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
