//! The most memory that a process has used, as the kernel counts it.

use std::fs;

/// Largest resident set of a running process so far, in bytes: VmHWM of proc(5). The kernel resets it when the process
/// executes another program. `None` if there is no such process.
pub fn peak(pid: u32) -> Option<u64> {
    parse(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn parse(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_kernel_is_read() {
        assert_eq!(parse("VmPeak:\t 9 kB\nVmHWM:\t    1234 kB\n"), Some(1_263_616));
        assert_eq!(parse("VmHWM: many kB"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn memory_that_was_freed_still_counts() {
        let ours = std::process::id();
        let before = peak(ours).unwrap();
        let large = vec![1_u8; 64 * 1024 * 1024];
        assert!(large.iter().all(|byte| *byte == 1));
        drop(large);
        assert!(peak(ours).unwrap() >= before.max(64 * 1024 * 1024));
        assert_eq!(peak(u32::MAX), None);
    }
}
