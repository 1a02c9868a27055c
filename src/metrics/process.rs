//! The standard `process_*` metrics, read from `/proc/self` at each scrape.
//!
//! The `prometheus` crate has them behind a feature that brings a second rustix; these are a few lines of `/proc`
//! (see proc(5)).

use prometheus::{Counter, Gauge, Opts, Registry};
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

#[derive(Debug)]
pub(super) struct Process {
    cpu: Counter,
    resident: Gauge,
    virtual_memory: Gauge,
    open_fds: Gauge,
    max_fds: Gauge,
    start_time: Gauge,
}

impl Process {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name, help| -> Result<Gauge, prometheus::Error> {
            let gauge = Gauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let cpu = Counter::with_opts(Opts::new(
            "process_cpu_seconds_total",
            "User and system CPU time",
        ))?;
        registry.register(Box::new(cpu.clone()))?;
        Ok(Self {
            cpu,
            resident: gauge("process_resident_memory_bytes", "Resident memory")?,
            virtual_memory: gauge("process_virtual_memory_bytes", "Virtual memory")?,
            open_fds: gauge("process_open_fds", "Open file descriptors")?,
            max_fds: gauge("process_max_fds", "Limit of open file descriptors")?,
            start_time: gauge(
                "process_start_time_seconds",
                "Start of the process since the Unix epoch",
            )?,
        })
    }

    /// Reads anew. What cannot be read keeps its last value.
    #[expect(
        clippy::cast_precision_loss,
        reason = "doubles are exact far beyond these"
    )]
    pub(super) fn read(&self) {
        if let Ok(fds) = std::fs::read_dir("/proc/self/fd") {
            self.open_fds.set(fds.count() as f64);
        }
        if let Some(limit) = getrlimit(Resource::Nofile).current {
            self.max_fds.set(limit as f64);
        }
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The command's name, in parentheses, may hold spaces; fields count from behind it, beginning with the third.
        let fields: Vec<f64> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_ascii_whitespace()
            .map(|field| field.parse().unwrap_or(0.0))
            .collect();
        let field = |at: usize| fields.get(at).copied().unwrap_or(0.0);
        let ticks = clock_ticks_per_second() as f64;
        let (user, system, started) = (field(11), field(12), field(19));
        let cpu = (user + system) / ticks;
        self.cpu.inc_by((cpu - self.cpu.get()).max(0.0));
        self.virtual_memory.set(field(20));
        self.resident.set(field(21) * page_size() as f64);
        if let Some(boot) = boot_time() {
            self.start_time.set(boot + started / ticks);
        }
    }
}

fn boot_time() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}
