//! `import`: manifests in, a configuration out, and a report of every key.
//!
//! Nothing that is there already is overwritten, and where something cannot be written, no file is left behind. The
//! report comes last and has in it what went wrong, so that JSON is all of what it is.

mod files;

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use self::files::{exists, unwritten};
use super::{FAILED, show};
use crate::cli::{Import, ReportFormat};
use crate::import::{self, Options, Report, Trouble};
use crate::names::StoreName;

/// What one file of a configuration may have.
const LARGEST: usize = 1 << 20;

pub(super) fn run(wanted: Import) -> ExitCode {
    let (format, strict) = (wanted.report, wanted.strict);
    let report = converted(wanted);
    show(&match format {
        ReportFormat::Text => report.text(),
        ReportFormat::Json => report.json(),
    });
    let count = report.count();
    if report.has_failed() || count.refused > 0 || (strict && count.warned > 0) {
        ExitCode::from(FAILED)
    } else {
        ExitCode::SUCCESS
    }
}

/// Everything is written by then.
fn converted(wanted: Import) -> Report {
    let mut report = Report::default();
    let place = is_unambiguous(&wanted.stores).and_then(|()| place_of_literals(wanted.literals));
    let literals = match place {
        Ok(literals) => literals,
        Err(trouble) => {
            report.fail(trouble);
            return report;
        }
    };
    let stores = wanted.stores.into_iter();
    let options = Options {
        region: wanted.region,
        namespace: wanted.namespace.map(|it| it.to_string()),
        cluster: wanted.cluster.map(|it| it.to_string()),
        stores: stores
            .map(|(theirs, ours)| (theirs, ours.to_string()))
            .collect(),
        literals: literals.clone(),
        qualify: wanted.qualify,
    };
    let (output, mut report) = import::run(&wanted.files, options);
    if report.is_empty() {
        report.fail(nothing(&wanted.files));
        return report;
    }
    let directory = wanted.out_dir.as_deref();
    let written = files::write((&output, &mut report), literals.as_deref(), directory);
    let printed = written.and_then(|made| {
        if directory.is_some() {
            return Ok(());
        }
        let whole = output.whole();
        if whole.len() > LARGEST {
            report.warn("the output is more than the 1 MiB that one file of a configuration may have: use `--out-dir`");
        }
        print(&whole).inspect_err(|_| files::take_back(&made, &mut report))
    });
    if let Err(trouble) = printed {
        report.fail(trouble);
    }
    report
}

/// A reader that went away has seen what he wanted.
fn print(text: &str) -> Result<(), Trouble> {
    let mut stdout = io::stdout().lock();
    let printed = stdout.write_all(text.as_bytes());
    match printed.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(unwritten("the output", "send it to another place", &error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn nothing(files: &[PathBuf]) -> Trouble {
    let names: Vec<String> = files.iter().map(|it| it.display().to_string()).collect();
    Trouble {
        fact: format!("there is nothing in the input ({})", names.join(", ")),
        help: "name files in YAML or JSON, directories with such files, or `-` for what `kubectl get externalsecrets -A -o yaml` prints".to_owned(),
    }
}

/// One of theirs cannot be two of ours.
fn is_unambiguous(stores: &[(String, StoreName)]) -> Result<(), Trouble> {
    let mut first: BTreeMap<&str, &StoreName> = BTreeMap::new();
    for (theirs, ours) in stores {
        let before = *first.entry(theirs).or_insert(ours);
        if before != ours {
            return Err(Trouble {
                fact: format!(
                    "`--store` says that {theirs:?} is `{before}`, and that it is `{ours}`"
                ),
                help: "leave one of them, or say `NAMESPACE/NAME` or `cluster/NAME` where there are two of this name".to_owned(),
            });
        }
    }
    Ok(())
}

/// As the configuration names it.
fn place_of_literals(path: Option<PathBuf>) -> Result<Option<String>, Trouble> {
    let Some(path) = path else {
        return Ok(None);
    };
    let bad = |fact: &str| Trouble {
        fact: fact.to_owned(),
        help: "name another file with `--literals`".to_owned(),
    };
    let path = std::path::absolute(path)
        .map_err(|_| bad("the path of `--literals` cannot be made absolute"))?;
    if path.symlink_metadata().is_ok() {
        return Err(exists(&path, files::Place::Literals));
    }
    let text = path.to_str().map(str::to_owned);
    let text = text.ok_or_else(|| bad("the path of `--literals` must be UTF-8"))?;
    Ok(Some(text))
}
