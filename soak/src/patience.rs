//! Repeating what fails for a while, because something is being started, repaired or attacked.

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::time::sleep;

const RETRY: Duration = Duration::from_secs(3);

/// Repeats an attempt until it succeeds. When the time limit has passed, the last error counts.
pub async fn patiently<T>(
    limit: Duration,
    mut attempt: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let begun = Instant::now();
    loop {
        match attempt().await {
            Err(error) if begun.elapsed() > limit => {
                return Err(error).with_context(|| format!("repeated for {} s", limit.as_secs()));
            }
            Err(_) => sleep(RETRY).await,
            success => return success,
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[tokio::test]
    async fn the_last_error_counts_when_the_time_is_over() {
        let mut attempts = 0;
        let outcome = patiently(Duration::ZERO, async || -> anyhow::Result<()> {
            attempts += 1;
            std::thread::sleep(Duration::from_millis(2));
            bail!("attempt {attempts}")
        });
        let error = outcome.await.unwrap_err();
        assert_eq!(format!("{error:#}"), "repeated for 0 s: attempt 1");
        let outcome = patiently(Duration::from_secs(60), async || {
            attempts += 1;
            if attempts < 3 {
                bail!("not yet")
            }
            Ok(attempts)
        });
        assert_eq!(outcome.await.unwrap(), 3);
    }
}
