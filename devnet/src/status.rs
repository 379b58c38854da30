//! The state of every process of a network.

use std::path::Path;

use epione_primitives::HospitalId;
use futures::future::join_all;
use serde::Serialize;

use crate::{DevnetError, HospitalState, Phase, Probe, ProcessRecord, State};

/// The state of one hospital's processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HospitalHealth {
    pub id: HospitalId,
    pub name: String,
    pub node_url: String,
    pub worker_url: String,
    pub node_runs: bool,
    pub worker_runs: bool,
    pub worker_ready: bool,
    /// Numbers of chain blocks, and the number of connected nodes; absent if the node does not answer.
    pub best: Option<u32>,
    pub finalized: Option<u32>,
    pub peers: Option<u32>,
}

/// Queries every process of the network in `directory`.
pub async fn status(directory: &Path) -> Result<(Phase, Vec<HospitalHealth>), DevnetError> {
    let Some(state) = State::read(directory)? else {
        return Err(DevnetError::Absent { directory: directory.to_path_buf() });
    };
    let probe = Probe::new()?;
    // All at once: a process that does not answer is waited for, and must not delay the others.
    let hospitals = join_all(state.hospitals.into_iter().map(|hospital| health(&probe, hospital)));
    Ok((state.phase, hospitals.await))
}

async fn health(probe: &Probe, hospital: HospitalState) -> HospitalHealth {
    let (view, worker_ready) = tokio::join!(
        probe.node(&hospital.node_url),
        probe.worker_is_ready(&hospital.operators_url),
    );
    HospitalHealth {
        id: hospital.id,
        node_runs: runs(&hospital.node),
        worker_runs: runs(&hospital.worker),
        worker_ready,
        best: view.map(|view| view.best),
        finalized: view.map(|view| view.finalized),
        peers: view.map(|view| view.peers),
        name: hospital.name,
        node_url: hospital.node_url,
        worker_url: hospital.worker_url,
    }
}

fn runs(process: &Option<ProcessRecord>) -> bool {
    process.as_ref().is_some_and(ProcessRecord::is_running)
}
