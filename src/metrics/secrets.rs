//! The series of each entry: four at most.
//!
//! The `prometheus` crate keeps a description with each series that it holds, which makes some ten thousand bytes of an
//! entry. So an entry is a few numbers here, and its series are made while a page is: one family after the other, for
//! all of them at once take several times what the page does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Opts, Registry};

use super::registry;
use crate::clock::unix_seconds;
use crate::names::EntryName;
use crate::report::Condition;

/// What there is to tell of every entry, and how it becomes series.
#[derive(Debug)]
pub(super) struct Secrets {
    entries: Entries,
    /// One for each family, so that each is made by itself.
    registries: Vec<Registry>,
}

type Entries = Arc<Mutex<BTreeMap<EntryName, Numbers>>>;

/// One entry's. What is absent has no series: a time is never 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Numbers {
    pub(super) state: Option<Condition>,
    last_success: Option<f64>,
    next_sync: Option<f64>,
    undelivered: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    LastSuccess,
    NextSync,
    Undelivered,
}

impl Time {
    pub(super) const ALL: [Self; 3] = [Self::LastSuccess, Self::NextSync, Self::Undelivered];

    fn name_and_help(self) -> (&'static str, &'static str) {
        match self {
            Self::LastSuccess => (
                "last_success_timestamp_seconds",
                "When every target of an entry was last found or made fresh",
            ),
            Self::NextSync => (
                "next_sync_timestamp_seconds",
                "When an entry is next checked or retried",
            ),
            Self::Undelivered => (
                "undelivered_version_created_timestamp_seconds",
                "When the version was made that is known and not in every target yet",
            ),
        }
    }
}

impl Numbers {
    pub(super) fn set(&mut self, time: Time, at: Option<Timestamp>) {
        *self.time_mut(time) = at.map(unix_seconds);
    }

    fn time_mut(&mut self, time: Time) -> &mut Option<f64> {
        match time {
            Time::LastSuccess => &mut self.last_success,
            Time::NextSync => &mut self.next_sync,
            Time::Undelivered => &mut self.undelivered,
        }
    }
}

impl Secrets {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let entries = Entries::default();
        let times = Time::ALL.into_iter().map(Of::Time);
        let families = std::iter::once(Of::State).chain(times);
        let registries = families.map(|of| {
            let family = Family::new(of, Arc::clone(&entries))?;
            let registry = registry()?;
            registry.register(Box::new(family))?;
            Ok(registry)
        });
        Ok(Self {
            registries: registries.collect::<Result<_, prometheus::Error>>()?,
            entries,
        })
    }

    pub(super) fn registries(&self) -> &[Registry] {
        &self.registries
    }

    /// Of an entry of which nothing is left to tell, nothing is kept.
    pub(super) fn amend(&self, entry: &EntryName, change: impl FnOnce(&mut Numbers)) {
        let mut entries = lock(&self.entries);
        let mut numbers = entries.get(entry).copied().unwrap_or_default();
        change(&mut numbers);
        if numbers == Numbers::default() {
            entries.remove(entry);
        } else {
            entries.insert(entry.clone(), numbers);
        }
    }
}

/// Which of an entry's series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    State,
    Time(Time),
}

/// One family, of which nothing is held but what it is called.
#[derive(Debug)]
struct Family {
    of: Of,
    desc: Desc,
    entries: Entries,
}

impl Family {
    fn new(of: Of, entries: Entries) -> Result<Self, prometheus::Error> {
        let (name, help) = match of {
            Of::State => ("secret_state", "1 for the present state of an entry"),
            Of::Time(time) => time.name_and_help(),
        };
        let labels: &[&str] = match of {
            Of::State => &["secret", "state"],
            Of::Time(_) => &["secret"],
        };
        let options = Opts::new(name, help);
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        Ok(Self {
            desc: Desc::new(
                options.fq_name(),
                options.help,
                labels,
                options.const_labels,
            )?,
            of,
            entries,
        })
    }

    fn series(&self, entry: &EntryName, mut numbers: Numbers) -> Option<Metric> {
        let secret = pair("secret", entry.as_str());
        let (labels, value) = match self.of {
            Of::State => {
                let state = pair("state", numbers.state?.as_str());
                (vec![secret, state], 1.0)
            }
            Of::Time(time) => (vec![secret], (*numbers.time_mut(time))?),
        };
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut series = Metric::from_label(labels);
        series.set_gauge(gauge);
        Some(series)
    }
}

impl Collector for Family {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let entries = lock(&self.entries);
        let series = entries.iter();
        let series = series.filter_map(|(entry, numbers)| self.series(entry, *numbers));
        let mut family = MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(MetricType::GAUGE);
        family.set_metric(series.collect());
        vec![family]
    }
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn lock(entries: &Entries) -> MutexGuard<'_, BTreeMap<EntryName, Numbers>> {
    entries.lock().unwrap_or_else(PoisonError::into_inner)
}
