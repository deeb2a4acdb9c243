//! Whether anything is asked on a connection.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// Counts the requests of a connection that are not answered to the end.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<watch::Sender<usize>>);

/// A request, until what answers it is sent.
#[derive(Debug)]
pub(super) struct Asked(Activity);

impl Default for Activity {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Activity {
    /// Counts one more.
    pub(super) fn ask(&self) -> Asked {
        self.0.send_modify(|open| *open += 1);
        Asked(self.clone())
    }

    /// Waits until nothing has been asked for so long.
    pub(super) async fn is_idle_for(&self, time: Duration) {
        let mut open = self.0.subscribe();
        loop {
            // It cannot be closed as long as this is there.
            let _ = open.wait_for(|open| *open == 0).await;
            if tokio::time::timeout(time, open.changed()).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.0.send_modify(|open| *open -= 1);
    }
}
