//! Shows waits and progress of a command on standard error: on a terminal as lines that change; without a terminal as
//! one line for each long wait, repeated from time to time; with `--json` as the same lines in JSON.

mod lines;
mod pace;

use std::{
    borrow::Cow,
    collections::HashMap,
    convert::Infallible,
    io::{self, IsTerminal, Write},
    pin::pin,
    sync::{Arc, LazyLock},
    time::{Duration, Instant, SystemTime},
};

use epione_client::{
    Progress,
    chain::{Chain, ChainError, Trust},
    waiting::{Awaited, Wait, Waiting, Waits},
};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::sync::OnceCell;

use self::{
    lines::{Printed, foremost},
    pace::Pace,
};
use crate::{
    context::Context,
    wording::{counted, escaped, legible, printable},
};

/// How often the waits are read.
const TICK: Duration = Duration::from_millis(120);
/// A wait that is not longer is not shown on a terminal, to avoid flicker.
const FLICKER: Duration = Duration::from_millis(300);
/// Without a terminal, a wait is printed after this time.
const PATIENCE: Duration = Duration::from_secs(2);
/// After this time, and this often, a wait for a final block checks whether blocks become final at all.
const LOOK_AFTER: Duration = Duration::from_millis(1_500);
const LOOK_EVERY: Duration = Duration::from_secs(3);
const LOOK_LIMIT: Duration = Duration::from_secs(2);
/// Finality is late if the newest final block is older: longer than a slot of three seconds and a few votes.
const OLD: Duration = Duration::from_secs(12);

/// The changing lines at the end of the terminal.
static LINES: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// A step of a command, shown until it ends.
pub struct Step(Waiting);

impl Step {
    /// Begins another step.
    pub fn becomes(&self, what: impl Into<Cow<'static, str>>) {
        self.0.becomes(Awaited::Step(what.into()));
    }

    /// Sets the reason: the error after which there is another attempt.
    pub fn because(&self, reason: impl ToString) {
        self.0.because(reason);
    }

    /// Ends the step.
    pub fn finish_and_clear(&self) {
        self.0.end();
    }
}

/// Begins a step with a progress in bytes.
pub fn bytes(context: &Context, what: impl Into<Cow<'static, str>>) -> Arc<Step> {
    Arc::new(waiting(context, what))
}

/// A callback that sets the progress of a step.
pub fn follow(step: &Arc<Step>) -> impl Fn(Progress) + Send + Sync + 'static {
    let step = Arc::clone(step);
    move |progress| step.0.reached(progress)
}

/// Begins a step.
pub fn waiting(context: &Context, what: impl Into<Cow<'static, str>>) -> Step {
    step(context.waits(), what)
}

/// Begins a step of a thread that has no context.
pub fn step(waits: &Waits, what: impl Into<Cow<'static, str>>) -> Step {
    Step(waits.begin(Awaited::Step(what.into()), None))
}

/// Prints a message on a terminal.
pub fn say(context: &Context, what: &str) {
    if context.shows_progress() {
        line(what);
    }
}

/// Prints a warning; with --json an object with the member `warning`.
pub fn warn(context: &Context, what: &str) {
    match context.common().json {
        true => line(&escaped(&json!({ "warning": what }).to_string())),
        false => line(&format!("warning: {}", legible(what.as_bytes()))),
    }
}

/// Removes the changing lines before the result is printed.
pub fn clear() {
    // If the terminal is closed, there is nothing to remove.
    let _ = LINES.clear();
}

/// Prints a line on standard error, above the changing lines, which are drawn again at the next tick. Never fails: if
/// standard error is closed, there is nowhere to report that.
pub fn line(line: &str) {
    clear();
    let _ = writeln!(io::stderr(), "{}", printable(line));
}

/// The form in which waits are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Terminal,
    Lines,
    Json,
}

/// Shows the waits of a command.
pub struct Teller {
    waits: Waits,
    chain: Arc<OnceCell<Chain>>,
    manner: Manner,
}

impl Teller {
    pub fn new(context: &Context) -> Self {
        let manner = match (context.common().json, io::stderr().is_terminal()) {
            (true, _) => Manner::Json,
            (false, true) => Manner::Terminal,
            (false, false) => Manner::Lines,
        };
        Self { waits: context.waits().clone(), chain: context.chain_cell(), manner }
    }

    /// Shows the waits during this work.
    pub async fn during<T>(self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        tokio::select! {
            biased;
            done = &mut work => done,
            never = self.tell() => match never {},
        }
    }

    async fn tell(&self) -> Infallible {
        let mut screen = Screen::default();
        let mut printed = Printed::default();
        let mut look = Look::default();
        loop {
            tokio::time::sleep(TICK).await;
            let now = Instant::now();
            let least = if self.manner == Manner::Terminal { FLICKER } else { PATIENCE };
            let waits = self.waits.now();
            let mut foremost = foremost(&waits, now, least);
            look.again(foremost.as_ref(), &self.chain).await;
            if let Some(wait) = &mut foremost
                && wait.what.needs_finality()
                && wait.reason.is_none()
            {
                wait.reason.clone_from(&look.reason);
            }
            match (self.manner, foremost) {
                (Manner::Terminal, foremost) => screen.draw(&waits, foremost.as_ref(), now),
                (manner, Some(wait)) if printed.is_due(&wait, now) => {
                    line(&lines::line(&wait, now, SystemTime::now(), manner == Manner::Json));
                }
                _ => {}
            }
        }
    }
}

/// Checks whether blocks become final, during a wait for one.
#[derive(Default)]
struct Look {
    last: Option<Instant>,
    reason: Option<String>,
}

impl Look {
    /// Checks, if it is time and the wait is for a final block.
    async fn again(&mut self, wait: Option<&Wait>, chain: &OnceCell<Chain>) {
        let waits = wait
            .is_some_and(|wait| wait.what.needs_finality() && wait.since.elapsed() >= LOOK_AFTER);
        if !waits {
            *self = Self::default();
            return;
        }
        let Some(chain) = chain.get() else { return };
        if self.last.is_some_and(|last| last.elapsed() < LOOK_EVERY) {
            return;
        }
        // The waits of the check itself are not shown.
        let chain = chain.clone().with_waits(Waits::default());
        self.reason = match tokio::time::timeout(LOOK_LIMIT, finality(&chain)).await {
            Ok(Ok((age, peers))) => late(age, peers),
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("the node at {} does not answer", chain.url())),
        };
        self.last = Some(Instant::now());
    }
}

/// The age of the newest final block, and the number of the node's peers.
async fn finality(chain: &Chain) -> Result<(Duration, u64), ChainError> {
    // It is only shown, and must not wait for proofs, for which the command itself may be waiting.
    let chain = chain.clone().trusting(Trust::Node).await?;
    let head = chain.finalized_head().await?;
    let made = SystemTime::UNIX_EPOCH + Duration::from_millis(chain.time(head.hash).await?);
    let peers = chain.health().await?.peers;
    Ok((SystemTime::now().duration_since(made).unwrap_or_default(), peers))
}

fn late(age: Duration, peers: u64) -> Option<String> {
    (age >= OLD).then(|| {
        let seconds = age.as_secs();
        let others = counted(peers, "other node", "other nodes");
        format!(
            "no block was finalized for {seconds} s: nodes of other hospitals may be offline or \
             slow (this node is connected to {others})"
        )
    })
}

/// The changing lines on a terminal.
#[derive(Default)]
struct Screen {
    spinner: Option<ProgressBar>,
    bars: HashMap<u64, (ProgressBar, Pace)>,
}

impl Screen {
    fn draw(&mut self, waits: &[Wait], foremost: Option<&Wait>, now: Instant) {
        self.bars.retain(|number, (bar, _)| {
            let lasts = waits.iter().any(|wait| wait.number == *number);
            if !lasts {
                remove(bar);
            }
            lasts
        });
        for wait in waits {
            if let Some(progress) = wait.progress {
                let begin =
                    || (bar(legible(wait.to_string().as_bytes())), Pace::begin(progress, now));
                let (bar, pace) = self.bars.entry(wait.number).or_insert_with(begin);
                bar.set_length(progress.total);
                bar.set_position(progress.done);
                bar.set_prefix(pace.text(progress, now));
            }
        }
        match foremost.filter(|wait| !self.bars.contains_key(&wait.number)) {
            Some(wait) => {
                let spinner = self.spinner.get_or_insert_with(spinner);
                spinner.set_message(lines::brief(wait, now));
                spinner.tick();
            }
            None => {
                if let Some(spinner) = self.spinner.take() {
                    remove(&spinner);
                }
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.bars.values().map(|(bar, _)| bar).chain(&self.spinner).for_each(remove);
    }
}

fn remove(bar: &ProgressBar) {
    bar.finish_and_clear();
    LINES.remove(bar);
}

fn spinner() -> ProgressBar {
    LINES.add(ProgressBar::new_spinner())
}

/// A bar with a label, which it has before it is first drawn.
fn bar(label: String) -> ProgressBar {
    let bar = ProgressBar::no_length().with_message(label);
    if let Ok(style) =
        ProgressStyle::with_template("{msg} {wide_bar} {bytes} of {total_bytes}{prefix}")
    {
        bar.set_style(style);
    }
    LINES.add(bar)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finality_is_late_when_the_newest_final_block_is_old() {
        assert_eq!(late(Duration::from_secs(5), 3), None);
        let reason = late(Duration::from_secs(40), 1).unwrap();
        assert!(
            reason.contains("finalized for 40 s") && reason.contains("to 1 other node)"),
            "{reason}"
        );
    }
}
