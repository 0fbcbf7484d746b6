//! Whether somebody has asked the tour to end: it does so between two steps, and takes down what it has put up.

use crate::network;
use eyre::{Result, WrapErr as _, eyre};
use std::thread;
use tokio::sync::watch;

/// Hears Ctrl-C, and the system's wish that the program ends.
pub(super) struct Asked(watch::Receiver<bool>);

impl Asked {
    /// Listens from now on.
    pub(super) fn listen() -> Result<Self> {
        let (tell, told) = watch::channel(false);
        let listen = move || {
            if let Ok(Ok(())) = network::wait(network::interrupted()) {
                tell.send_replace(true);
            }
        };
        thread::Builder::new().name("signals".into()).spawn(listen).wrap_err("no thread for signals")?;
        Ok(Self(told))
    }

    /// Runs a part of the tour on this thread, unless it is to end before that is done.
    pub(super) fn unless<T>(&self, part: impl Future<Output = Result<T>>) -> Result<T> {
        let mut told = self.0.clone();
        network::wait(async move {
            tokio::select! {
                biased;
                Ok(_) = told.wait_for(|asked| *asked) => Err(eyre!("the tour was broken off, and there is no report of it")),
                done = part => done,
            }
        })?
    }

    /// Waits until it is to end.
    pub(super) fn wait(&self) -> Result<()> {
        let mut told = self.0.clone();
        network::wait(async move { told.wait_for(|asked| *asked).await.map(drop) })?.wrap_err("cannot wait for Ctrl-C")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_broken_off_as_soon_as_somebody_asks_and_nothing_is_begun_after_that() {
        let (tell, told) = watch::channel(false);
        let asked = Asked(told);
        assert_eq!(asked.unless(async { Ok(7) }).unwrap(), 7);
        let asking = async {
            tell.send_replace(true);
            std::future::pending::<Result<()>>().await
        };
        let why = asked.unless(asking).unwrap_err().to_string();
        assert!(why.contains("broken off"), "{why}");
        assert!(asked.unless(async { Ok(()) }).is_err());
        asked.wait().unwrap();
    }

    #[test]
    fn where_no_signals_are_heard_the_tour_goes_on_and_does_not_wait_for_one() {
        let asked = Asked(watch::channel(false).1);
        assert_eq!(asked.unless(async { Ok(7) }).unwrap(), 7);
        assert!(asked.wait().is_err());
    }
}
