//! Single processes of a running network, killed and started again: what one learns about crashes
//! from.

use epione_primitives::HospitalId;

use super::{Devnet, DevnetError, process::ProcessRecord};

/// One of a hospital's two processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    Node,
    Worker,
}

impl Devnet {
    /// Kills a process as `kill -9` does, and power cuts, and waits until it is gone. Does nothing if
    /// it does not run.
    pub fn kill(&mut self, hospital: HospitalId, part: Part) -> Result<(), DevnetError> {
        let name = self.plan.name_of(hospital, part)?;
        let Some(position) = self.children.iter().position(|(known, _)| *known == name) else {
            return Ok(());
        };
        let (_, mut child) = self.children.swap_remove(position);
        let killed = child.kill().and_then(|()| child.wait());
        killed.map_err(|_| DevnetError::Survivors(vec![child.id()]))?;
        self.note(hospital, part, None)
    }

    /// Starts a process that was killed or ended by itself; does not wait until it is ready. Its log
    /// goes on where it ended. Does nothing if the process runs.
    pub fn start_again(&mut self, hospital: HospitalId, part: Part) -> Result<(), DevnetError> {
        let name = self.plan.name_of(hospital, part)?;
        if let Some(position) = self.children.iter().position(|(known, _)| *known == name) {
            if matches!(self.children[position].1.try_wait(), Ok(None)) {
                return Ok(());
            }
            self.children.swap_remove(position);
        }
        let record = self.spawn(&self.plan.process_of(hospital, part)?.again())?;
        self.note(hospital, part, Some(record))
    }

    fn note(
        &mut self,
        hospital: HospitalId,
        part: Part,
        record: Option<ProcessRecord>,
    ) -> Result<(), DevnetError> {
        if let Some(entry) = self.state.hospitals.get_mut(usize::from(hospital.0)) {
            match part {
                Part::Node => entry.node = record,
                Part::Worker => entry.worker = record,
            }
        }
        self.save()
    }
}
