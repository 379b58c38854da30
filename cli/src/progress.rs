//! Bars and spinners on standard error, for people only.

use std::{borrow::Cow, sync::Arc, time::Duration};

use epione_client::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::context::Context;

const TICK: Duration = Duration::from_millis(120);

/// A bar over bytes.
pub fn bytes(context: &Context, what: impl Into<Cow<'static, str>>) -> Arc<ProgressBar> {
    let bar = bar(context);
    if let Ok(style) = ProgressStyle::with_template(
        "{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}",
    ) {
        bar.set_style(style);
    }
    bar.set_message(what);
    Arc::new(bar)
}

/// Moves a bar to where an upload or a download is.
pub fn follow(bar: &Arc<ProgressBar>) -> impl Fn(Progress) + Send + Sync + 'static {
    let bar = Arc::clone(bar);
    move |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    }
}

/// Something to know, for people.
pub fn say(context: &Context, what: &str) {
    if context.shows_progress() {
        eprintln!("{what}");
    }
}

/// A sign of life while others work.
pub fn waiting(context: &Context, what: impl Into<Cow<'static, str>>) -> ProgressBar {
    let spinner = bar(context);
    spinner.set_message(what);
    spinner.enable_steady_tick(TICK);
    spinner
}

fn bar(context: &Context) -> ProgressBar {
    let target = if context.shows_progress() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    ProgressBar::with_draw_target(None, target)
}
