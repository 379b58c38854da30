//! Runs the jobs that are due, several at once, and retries each until it succeeds.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use epione_primitives::Moment;
use tokio::task::JoinSet;

use super::{
    Context, JobContext, TaskError, announced, committed,
    task_journal::{Job, JobKind, Next},
};
use crate::{backoff::Backoff, journal::JournalError, millis, now};

const RETRY: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(15));
/// How often the task journal is read even if no block was finalized.
const POLL: Duration = Duration::from_secs(1);

/// The jobs that are running. No job runs twice at once.
#[derive(Clone, Default)]
struct RunningJobs(Arc<Mutex<HashSet<Job>>>);

/// Removes the job from the running ones when dropped.
struct RunningJob {
    running: RunningJobs,
    job: Job,
}

impl RunningJobs {
    fn begin(&self, job: Job) -> Option<RunningJob> {
        let new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(job);
        new.then(|| RunningJob { running: self.clone(), job })
    }
}

impl RunningJob {
    /// Lasts as long as the work. (A closure that only reads `job` would capture that field alone.)
    async fn during(self, work: impl Future<Output = ()>) {
        work.await;
        drop(self);
    }
}

impl Drop for RunningJob {
    fn drop(&mut self) {
        self.running.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.job);
    }
}

/// Runs jobs of one kind, at most `parallel` at once. Never returns.
pub async fn run(jobs: Arc<JobContext>, kind: JobKind, parallel: usize) {
    let running = RunningJobs::default();
    let mut tasks = JoinSet::new();
    let context = &jobs.context;
    let mut processed = context.processed.clone();
    loop {
        if let Err(error) = begin_due(&jobs, kind, parallel, &running, &mut tasks).await {
            context.metrics.task_failures.with_label_values(&["jobs"]).inc();
            tracing::error!(%error, "the journal could not be read for jobs that are due; retrying");
        }
        tokio::select! {
            Some(ended) = tasks.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a job panicked; it will be retried");
                }
            }
            () = tokio::time::sleep(POLL) => {}
            changed = processed.changed() => if changed.is_err() { return },
        }
    }
}

async fn begin_due(
    jobs: &Arc<JobContext>,
    kind: JobKind,
    parallel: usize,
    running: &RunningJobs,
    tasks: &mut JoinSet<()>,
) -> Result<(), JournalError> {
    let context = &jobs.context;
    if context.processed.borrow().is_none() || tasks.len() >= parallel {
        return Ok(());
    }
    let due = context.task_journal.due(kind, now(), parallel + tasks.len()).await?;
    for (job, attempts) in due {
        if tasks.len() >= parallel {
            break;
        }
        if let Some(running_job) = running.begin(job) {
            let jobs = Arc::clone(jobs);
            tasks.spawn(running_job.during(async move {
                if let Err(error) = attempt(&jobs, job, attempts).await {
                    jobs.context.metrics.task_failures.with_label_values(&["jobs"]).inc();
                    tracing::error!(%error, "the journal did not accept the result of a job; the job will be retried");
                }
            }));
        }
    }
    Ok(())
}

async fn attempt(jobs: &JobContext, job: Job, attempts: u32) -> Result<(), JournalError> {
    let task_journal = &jobs.context.task_journal;
    let pause = RETRY.after(attempts.saturating_add(1));
    task_journal.start(job, later(pause)).await?;
    match react(jobs, job).await {
        Ok(Next::Done) => task_journal.finish(job).await,
        Ok(Next::Wait) => task_journal.wait(job).await,
        Ok(Next::Again) => task_journal.postpone(job, now()).await,
        Err(error) => {
            report(&jobs.context, job, attempts, &error);
            task_journal.postpone(job, later(pause)).await
        }
    }
}

fn later(pause: Duration) -> Moment {
    now().saturating_add(millis(pause))
}

async fn react(jobs: &JobContext, job: Job) -> Result<Next, TaskError> {
    match job {
        Job::Ballot(id) => announced::react(jobs, id).await,
        Job::Keep(height) => committed::keep(jobs, height).await,
    }
}

fn report(context: &Context, job: Job, attempts: u32, error: &TaskError) {
    let label = match job {
        Job::Ballot(_) => "ballot",
        Job::Keep(_) => "keep",
    };
    if matches!(error, TaskError::NodeAway) {
        tracing::debug!(?job, "a job waits for the node");
        return;
    }
    context.metrics.task_failures.with_label_values(&[label]).inc();
    tracing::warn!(?job, attempts = attempts + 1, %error, "a job failed; it will be retried");
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_running_job_is_not_started_again() {
        let (running, job) = (RunningJobs::default(), Job::Keep(7));
        let (end, ended) = oneshot::channel();
        let running_job = running.begin(job).unwrap();
        let task = tokio::spawn(running_job.during(async move { ended.await.unwrap() }));
        assert!(running.begin(job).is_none());
        assert!(running.begin(Job::Keep(8)).is_some());
        end.send(()).unwrap();
        task.await.unwrap();
        assert!(running.begin(job).is_some());
    }
}
