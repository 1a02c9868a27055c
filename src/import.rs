//! `import`: manifests of Kubernetes External Secrets and External Secrets Operator to a configuration of ours.
//!
//! ```text
//! files -> yaml (trees, each key with a mark) -> object (which is what) -> kes, eso (drafts) -> judge -> write
//!                                     marks -> account -> report
//! ```
//!
//! Nothing gets lost in silence: whatever no translation reads is found by its missing mark and refused by name, and an
//! object of which anything is refused is not in the output at all. What is in the output passes `check`, which is asked
//! before anything is printed. Nothing here asks a cluster or a store.

mod context;
mod draft;
mod eso;
mod go;
mod intake;
mod interval;
mod jinja;
mod judge;
mod kes;
mod lodash;
mod object;
mod output;
mod read;
mod rendered;
mod report;
mod rounds;
mod scope;
mod tree;
mod verdict;
mod words;
mod write;
mod yaml;

use std::path::PathBuf;
use std::sync::Arc;

pub use self::context::Options;
pub use self::output::{Output, Part};
pub use self::report::{Count, Report, Trouble};

use self::context::Context;
use self::intake::{Intake, Kept};
use self::object::Object;
use self::rounds::Drafts;
use self::scope::{entry_name, namespace_of, store_name, texts};

/// Reads everything, and says what becomes of it.
pub fn run(paths: &[PathBuf], options: Options) -> (Output, Report) {
    let inputs = read::Inputs::of(paths);
    let mut report = Report::default();
    report.notes.extend(inputs.passed_over.sentence());
    let mut intake = Intake::new(report);
    for read::Source { shown, text } in inputs.sources() {
        intake.take(&Arc::from(shown), text);
    }
    let (kept, report) = intake.end();
    convert(kept, options, report)
}

/// The same of one text.
pub fn run_text(name: &str, text: String, options: Options) -> (Output, Report) {
    let mut intake = Intake::new(Report::default());
    intake.take(&Arc::from(name), Ok(text));
    let (kept, report) = intake.end();
    convert(kept, options, report)
}

fn convert(kept: Vec<Kept>, options: Options, mut report: Report) -> (Output, Report) {
    let mut cx = Context {
        options,
        ..Context::default()
    };
    let mut drafts = Drafts::default();
    let objects: Vec<Object<'_>> = kept
        .iter()
        .flat_map(|(file, document)| object::objects(file, document))
        .collect();
    rounds::lists(&kept, &mut report);
    rounds::surroundings(&objects, &mut cx, &mut report);
    rounds::stores(&objects, &mut cx, (&mut drafts, &mut report));
    rounds::entries(&objects, &mut cx, (&mut drafts, &mut report));
    drop(objects);
    // The trees are most of what is in memory.
    drop(kept);
    let made = std::mem::take(&mut *cx.made.borrow_mut());
    drafts
        .stores
        .extend(made.into_iter().map(|(name, store)| (name, (store, None))));
    report
        .notes
        .extend(cx.notes.borrow().iter().map(|note| (*note).to_owned()));
    if cx.options.cluster.is_none() && !drafts.entries.is_empty() {
        report
            .notes
            .push("the cluster is called `default` here; `--cluster` gives it a name".to_owned());
    }
    let output = judge::sound(drafts, &cx, &mut report);
    let needed = output.needed();
    if !needed.is_empty() {
        let names = needed.join(", ");
        report.notes.push(format!(
            "the output needs stores that are defined elsewhere: {names}"
        ));
    }
    report.warnings.extend(cx.idle());
    report.rows.sort_by(|a, b| a.place.cmp(&b.place));
    (output, report)
}
