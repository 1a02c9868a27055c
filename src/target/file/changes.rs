//! What a write would change in a file, by the names of its keys where its format has any.

use super::format::read::{Contents, read};
use super::on_disk::OnDisk;
use super::{FileTarget, Rendered, Seen};
use crate::decide::changes::{Changes, Delta, Other};
use crate::decide::file::{Verdict, Wanted, judge};
use crate::names::SecretKey;

impl FileTarget {
    /// Whether nothing but `adopt` lets us write it.
    pub fn is_adopted(&self, rendered: &Rendered, seen: &Seen) -> bool {
        let record = self.disk.state.file(&self.spec.path);
        let cautious = Wanted {
            fingerprint: rendered.fingerprint,
            mode: self.spec.mode,
            adopt: false,
        };
        let judged = judge(&self.spec.path, &seen.observed, record.as_ref(), &cautious);
        self.spec.adopt && judged.is_err()
    }

    /// What carrying out the verdict would change.
    pub async fn changes(&self, rendered: &Rendered, verdict: Verdict) -> Changes {
        let mut changes = Changes::default();
        match verdict {
            Verdict::Unchanged => return changes,
            Verdict::FixMode(_) => changes.other = Some(Other::Mode),
            Verdict::Write(_) => {
                let format = &self.spec.format;
                let next = read(format, &rendered.bytes);
                // What cannot be read is said by whoever judges; here it only leaves the keys unnamed.
                let before = self.on_disk(OnDisk::bytes).await;
                let before = match before {
                    Ok(None) => Some(Contents::default()),
                    Ok(Some((bytes, _))) if bytes == *rendered.bytes => {
                        changes.other = Some(Other::Mode);
                        return changes;
                    }
                    Ok(Some((bytes, _))) => read(format, &bytes),
                    Err(_) => None,
                };
                if let (Some(before), Some(next)) = (before, next) {
                    changes.keys = delta(&before, &next);
                }
                if changes.is_empty() {
                    changes.other = Some(Other::Content);
                }
            }
        }
        changes
    }
}

fn delta(before: &Contents, next: &Contents) -> Delta {
    let named =
        |keys: &mut dyn Iterator<Item = &SecretKey>| keys.map(ToString::to_string).collect();
    let other = |key: &&SecretKey| match (&before.values, &next.values) {
        (Some(before), Some(next)) => before.get(key) != next.get(key),
        (None, _) | (_, None) => false,
    };
    Delta {
        added: named(&mut next.keys.difference(&before.keys)),
        changed: named(&mut next.keys.intersection(&before.keys).filter(other)),
        removed: named(&mut before.keys.difference(&next.keys)),
    }
}
