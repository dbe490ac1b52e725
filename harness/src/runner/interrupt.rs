//! Ending a run early from outside: ctrl-C, a test's deadline.

use tokio::sync::watch;

/// The one who may interrupt.
#[derive(Debug)]
pub struct Interrupter(watch::Sender<bool>);

/// The one who is interrupted. Clones hear of it too.
#[derive(Clone, Debug)]
pub struct Interrupt(Option<watch::Receiver<bool>>);

impl Interrupt {
    /// Returns both ends.
    #[must_use]
    pub fn new() -> (Interrupter, Self) {
        let (sender, receiver) = watch::channel(false);
        (Interrupter(sender), Self(Some(receiver)))
    }

    /// Returns one that never comes.
    #[must_use]
    pub fn never() -> Self {
        Self(None)
    }

    /// Whether it came.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.as_ref().is_some_and(|raised| *raised.borrow())
    }

    /// Returns when it comes.
    pub async fn raised(&self) {
        if let Some(mut raised) = self.0.clone()
            && raised.wait_for(|raised| *raised).await.is_ok()
        {
            return;
        }
        // Nobody is left who could interrupt.
        std::future::pending().await
    }
}

impl Interrupter {
    /// Interrupts.
    pub fn interrupt(&self) {
        self.0.send_replace(true);
    }
}
