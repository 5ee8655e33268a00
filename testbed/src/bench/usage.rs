//! What a process and the machine have used, as the kernel counts it.

use std::fs;

use anyhow::{Context, Result};

use crate::process::Process;

/// Ticks of the kernel's accounting per second: fixed for programs, whatever the kernel was built with.
const TICKS: f64 = 100.0;

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// Processor time, seconds.
    pub(super) cpu: f64,
    /// Resident memory now, MiB.
    pub(super) mib: f64,
    /// The most resident memory so far, MiB.
    pub(super) peak_mib: f64,
}

/// What a running process has used.
pub(super) fn of(process: &Process) -> Result<Usage> {
    let id = process.id().context("the controller has ended")?;
    let read = |file: &str| {
        let path = format!("/proc/{id}/{file}");
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    };
    let (stat, status) = (read("stat")?, read("status")?);
    Ok(Usage {
        cpu: cpu_in(&stat).context("/proc/PID/stat has no times")?,
        mib: mib_in(&status, "VmRSS:").context("/proc/PID/status has no VmRSS")?,
        peak_mib: mib_in(&status, "VmHWM:").context("/proc/PID/status has no VmHWM")?,
    })
}

/// Processor time of the whole machine so far, seconds, all processors together.
pub(super) fn machine() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    busy_in(&stat).context("/proc/stat has no times")
}

/// User and system time: fields 14 and 15, counted after the name, which may contain anything.
fn cpu_in(stat: &str) -> Option<f64> {
    let (_, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some((next()? + next()?) / TICKS)
}

/// Everything but idle and waiting for a disk; guests are in the user's time already.
fn busy_in(stat: &str) -> Option<f64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<f64> = line
        .split_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    let [user, nice, system, _idle, _waiting, irq, softirq, ..] = fields[..] else {
        return None;
    };
    Some((user + nice + system + irq + softirq) / TICKS)
}

fn mib_in(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u32 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(f64::from(kib) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_counts_is_read_in_seconds_and_mib() {
        let stat = "7 (a ) b) S 1 1 1 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 5 1 1";
        assert_eq!(cpu_in(stat), Some(2.0));
        let machine = "cpu  100 50 150 9999 77 10 90 0 0 0\ncpu0 1 2 3\n";
        assert_eq!(busy_in(machine), Some(4.0));
        let status = "Name:\ttidegate\nVmHWM:\t  40960 kB\nVmRSS:\t   15360 kB\n";
        assert_eq!(
            (mib_in(status, "VmRSS:"), mib_in(status, "VmHWM:")),
            (Some(15.0), Some(40.0))
        );
    }
}
