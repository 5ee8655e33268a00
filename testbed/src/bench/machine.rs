//! What the figures were measured on.

use std::{fmt, fs, process::Command};

use anyhow::{Context, Result};

use crate::{clock, installation::project_file};

/// A machine, a day and a commit.
pub(super) struct Machine {
    cpu: String,
    cores: usize,
    memory_gib: u64,
    kernel: String,
    date: String,
    commit: String,
}

impl Machine {
    pub(super) fn read() -> Result<Self> {
        let read =
            |path: &str| fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
        Ok(Self {
            cpu: value(&read("/proc/cpuinfo")?, "model name")
                .unwrap_or_else(|| "unknown CPU".to_owned()),
            cores: std::thread::available_parallelism()?.get(),
            memory_gib: memory_gib(&read("/proc/meminfo")?).unwrap_or(0),
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            date: clock::now().strftime("%Y-%m-%d").to_string(),
            commit: commit(),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({} cores), {} GiB, Linux {}, on {}, commit {}",
            self.cpu, self.cores, self.memory_gib, self.kernel, self.date, self.commit
        )
    }
}

/// The value of the first line `key : value`.
fn value(text: &str, key: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim().to_owned())
    })
}

fn memory_gib(meminfo: &str) -> Option<u64> {
    let total = value(meminfo, "MemTotal")?;
    let kib: u64 = total.strip_suffix(" kB")?.parse().ok()?;
    Some((kib + (1 << 19)) >> 20)
}

/// The commit that is checked out, with a mark if something is not in it.
fn commit() -> String {
    let described = Command::new("git")
        .args(["describe", "--always", "--dirty", "--exclude=*"])
        .current_dir(project_file(""))
        .output();
    let text = described
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok());
    text.map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_read_from_what_the_kernel_says() {
        let cpu = "processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\nprocessor\t: 1\nmodel name\t: Some CPU @ 2.00GHz\n";
        assert_eq!(
            value(cpu, "model name").as_deref(),
            Some("Some CPU @ 2.00GHz")
        );
        assert_eq!(
            memory_gib("MemTotal:       24689000 kB\nMemFree: 1 kB\n"),
            Some(24)
        );
    }
}
