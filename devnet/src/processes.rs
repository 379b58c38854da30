//! All processes of a network.

use std::time::{Duration, Instant};

use epione_primitives::HospitalId;

use crate::{DevnetError, Plan, Process, Service, Site};

const POLL: Duration = Duration::from_millis(200);

pub(crate) struct Processes {
    pub s3_server: Option<Process>,
    hospitals: Vec<Hospital>,
}

struct Hospital {
    node: Option<Process>,
    worker: Process,
}

impl Processes {
    /// None of them runs yet. A Ctrl-C on the terminal reaches only the program that starts them, which ends them in
    /// order.
    pub fn of(plan: &Plan) -> Self {
        let hospital = |site: &Site| Hospital {
            node: plan.node(site).map(Process::in_own_group),
            worker: plan.worker(site).in_own_group(),
        };
        Self {
            s3_server: plan.s3_server().map(Process::in_own_group),
            hospitals: plan.sites().iter().map(hospital).collect(),
        }
    }

    pub fn get(
        &mut self,
        hospital: HospitalId,
        service: Service,
    ) -> Result<&mut Process, DevnetError> {
        let found =
            self.hospitals.get_mut(usize::from(hospital.0)).and_then(|processes| match service {
                Service::Node => processes.node.as_mut(),
                Service::Worker => Some(&mut processes.worker),
            });
        found.ok_or(DevnetError::NoProcess { hospital, service })
    }

    pub fn all(&mut self) -> impl Iterator<Item = &mut Process> {
        let of_hospitals = self
            .hospitals
            .iter_mut()
            .flat_map(|hospital| hospital.node.iter_mut().chain([&mut hospital.worker]));
        self.s3_server.iter_mut().chain(of_hospitals)
    }

    /// Whether any of them was started and has not been seen to end.
    pub fn any_started(&self) -> bool {
        let started = |process: &Process| process.is_started();
        self.s3_server.as_ref().is_some_and(started)
            || self.hospitals.iter().any(|hospital| {
                hospital.node.as_ref().is_some_and(started) || started(&hospital.worker)
            })
    }

    /// Asks one of them until it answers. Fails when any process ends, or when patience does.
    pub async fn wait<T>(
        &mut self,
        hospital: HospitalId,
        service: Service,
        patience: Duration,
        ask: impl AsyncFn() -> Option<T>,
    ) -> Result<T, DevnetError> {
        let until = Instant::now() + patience;
        loop {
            if let Some(answer) = ask().await {
                return Ok(answer);
            }
            for process in self.all() {
                if let Some(status) = process.ended() {
                    return Err(process.unexpected_end(status.to_string()));
                }
            }
            if Instant::now() > until {
                let process = self.get(hospital, service)?;
                return Err(DevnetError::TimedOut {
                    process: process.name().into(),
                    seconds: patience.as_secs(),
                    log: process.log().into(),
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
