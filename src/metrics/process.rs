//! The standard `process_*` metrics, read from `/proc/self` at each scrape.
//!
//! The `prometheus` crate has them behind a feature that brings a second rustix; these are a few lines of `/proc`
//! (see proc(5)).

use std::time::Duration;

use prometheus::{Counter, Gauge, Opts, Registry};
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

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
        // Once: reading two clocks twice gives two times, which would look like a restart.
        if self.start_time.get() == 0.0
            && let Some(boot) = boot_time()
        {
            self.start_time.set(boot + started / ticks);
        }
    }
}

/// By the clocks, for the unit hides `/proc/stat`.
fn boot_time() -> Option<f64> {
    let time = |clock| Duration::try_from(clock_gettime(clock)).ok();
    let up = time(ClockId::Boottime)?;
    Some(time(ClockId::Realtime)?.checked_sub(up)?.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_what_the_kernel_says_and_stays() {
        let process = Process::register(&Registry::new()).unwrap();
        process.read();
        let measured = process.start_time.get();
        let stat = std::fs::read_to_string("/proc/stat").unwrap();
        let boot = stat.lines().find_map(|line| line.strip_prefix("btime "));
        let boot: f64 = boot.unwrap().parse().unwrap();
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let behind_name = stat.rsplit(')').next().unwrap();
        let ticks: f64 = behind_name
            .split_whitespace()
            .nth(19)
            .unwrap()
            .parse()
            .unwrap();
        #[expect(clippy::cast_precision_loss, reason = "a hundred or so")]
        let wanted = boot + ticks / clock_ticks_per_second() as f64;
        // The kernel gives whole seconds of boot time.
        assert!((measured - wanted).abs() < 2.0, "{measured} {wanted}");
        process.read();
        assert!((process.start_time.get() - measured).abs() < f64::EPSILON);
    }
}
