//! A node or a worker under test: a process of a network whose errors are panics.

use std::time::Duration;

/// Killed when dropped; a test that fails shows the end of its log.
pub struct Process(epione_devnet::Process);

impl Process {
    pub fn new(process: epione_devnet::Process) -> Self {
        Self(process.with_variable("RUST_LOG", "info,epione_worker=debug,epione_worker::api=info"))
    }

    pub fn start(&mut self) {
        self.0.start().unwrap();
        // A program that rejects its arguments or configuration ends immediately.
        std::thread::sleep(Duration::from_millis(300));
        let ended = self.0.ended();
        assert!(ended.is_none(), "{} ended: {}", self.0.name(), self.log());
    }

    /// As `kill -9` and power cuts do.
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
    }

    /// Sends SIGTERM, as an operator does; returns whether the process then ended successfully.
    pub fn stop(&mut self) -> bool {
        self.0.stop().unwrap().is_some_and(|status| status.success())
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.0.log()).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.0.log();
            eprintln!(
                "---- {} ({})\n{}",
                self.0.name(),
                log.display(),
                epione_devnet::tail(log, 60)
            );
        }
    }
}
