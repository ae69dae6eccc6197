//! Progress on standard error, where that is a terminal.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Shows how much of the input was read, until it is dropped.
pub(super) struct Progress {
    stop: Option<Sender<()>>,
    shown: Option<JoinHandle<()>>,
}

impl Progress {
    /// Follows a count of bytes towards a total, which may not be known.
    pub fn follow(read: &Arc<AtomicU64>, total: Option<u64>) -> Self {
        if !io::stderr().is_terminal() {
            return Self {
                stop: None,
                shown: None,
            };
        }
        let bar = match total {
            Some(total) => ProgressBar::new(total).with_style(style(
                "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta} left {msg}",
            )),
            None => ProgressBar::no_length()
                .with_style(style("{spinner} {bytes} {bytes_per_sec} {msg}")),
        };
        let (stop, stopped) = channel();
        let read = Arc::clone(read);
        let shown = thread::spawn(move || {
            let pause = Duration::from_millis(100);
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(pause) {
                let bytes = read.load(Ordering::Relaxed);
                bar.set_position(bytes);
                if total.is_some_and(|total| bytes >= total) {
                    bar.set_message("running the rules");
                }
            }
            bar.finish_and_clear();
        });
        Self {
            stop: Some(stop),
            shown: Some(shown),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(shown) = self.shown.take() {
            // A bar that panicked is no loss.
            let _ = shown.join();
        }
    }
}

/// Counts events that are written, for whoever sets it; to be cleared at the end.
pub(super) fn events_written() -> ProgressBar {
    if io::stderr().is_terminal() {
        ProgressBar::no_length().with_style(style("{spinner} {human_pos} events {per_sec}"))
    } else {
        ProgressBar::hidden()
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are those above.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
