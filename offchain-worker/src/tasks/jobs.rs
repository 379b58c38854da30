//! Does what is due, several jobs at once, again and again until each is done.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use epione_primitives::Moment;
use tokio::task::JoinSet;

use super::{
    Context, TaskError, announced, committed,
    task_journal::{Job, JobKind, Next},
};
use crate::{backoff::Backoff, journal::JournalError, now};

const RETRY: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(15));
/// How often the task journal is read even if no block was finalized.
const POLL: Duration = Duration::from_secs(1);

/// Jobs under way; none runs twice at once.
#[derive(Clone, Default)]
struct RunningJobs(Arc<Mutex<HashSet<Job>>>);

/// Takes the job off the list when it ends, however it ends.
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
    /// Lasts as long as the work. (A closure that only reads `job` would capture that alone.)
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

/// Does jobs of one kind, at most `parallel` at once, for ever.
pub async fn run(context: Arc<Context>, kind: JobKind, parallel: usize) {
    let running = RunningJobs::default();
    let mut tasks = JoinSet::new();
    let mut seen = context.seen.clone();
    loop {
        if let Err(error) = begin_due(&context, kind, parallel, &running, &mut tasks).await {
            context.metrics.task_failures.with_label_values(&["jobs"]).inc();
            tracing::error!(%error, "the journal does not tell which jobs are due");
        }
        tokio::select! {
            Some(ended) = tasks.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a job failed in an unforeseen way; it will be tried again");
                }
            }
            () = tokio::time::sleep(POLL) => {}
            changed = seen.changed() => if changed.is_err() { return },
        }
    }
}

async fn begin_due(
    context: &Arc<Context>,
    kind: JobKind,
    parallel: usize,
    running: &RunningJobs,
    tasks: &mut JoinSet<()>,
) -> Result<(), JournalError> {
    if context.seen.borrow().is_none() || tasks.len() >= parallel {
        return Ok(());
    }
    let due = context.task_journal.due(kind, now(), parallel + tasks.len()).await?;
    for (job, attempts) in due {
        if tasks.len() >= parallel {
            break;
        }
        if let Some(running_job) = running.begin(job) {
            let context = Arc::clone(context);
            tasks.spawn(running_job.during(async move {
                if let Err(error) = attempt(&context, job, attempts).await {
                    context.metrics.task_failures.with_label_values(&["jobs"]).inc();
                    tracing::error!(%error, "the journal does not take what became of a job; it will be done again");
                }
            }));
        }
    }
    Ok(())
}

async fn attempt(context: &Context, job: Job, attempts: u32) -> Result<(), JournalError> {
    let pause = RETRY.after(attempts.saturating_add(1));
    context.task_journal.start(job, later(pause)).await?;
    match react(context, job).await {
        Ok(Next::Done) => context.task_journal.finish(job).await,
        Ok(Next::Wait) => context.task_journal.wait(job).await,
        Ok(Next::Again) => context.task_journal.postpone(job, now()).await,
        Err(error) => {
            report(context, job, attempts, &error);
            context.task_journal.postpone(job, later(pause)).await
        }
    }
}

fn later(pause: Duration) -> Moment {
    now().saturating_add(Moment::try_from(pause.as_millis()).unwrap_or(Moment::MAX))
}

async fn react(context: &Context, job: Job) -> Result<Next, TaskError> {
    match job {
        Job::Ballot(id) => announced::react(context, id).await,
        Job::Keep(height) => committed::keep(context, height).await,
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
    tracing::warn!(?job, attempts = attempts + 1, %error, "a job did not succeed; it will be tried again");
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_job_under_way_is_not_begun_again() {
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
