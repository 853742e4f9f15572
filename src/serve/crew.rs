//! The workers' threads. One that ends without being told to is replaced: its part
//! of the public port is gone with it, and the kernel would deal callers out to the
//! others only.
//!
//! What makes a request panic ends that request's connection and no thread; this is
//! for what nobody has thought of.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::model::Tick;

/// So many workers may be replaced within [`SPAN`]; one more, and something is wrong
/// that no new thread will mend.
const REPLACED_MAX: usize = 3;
/// See [`REPLACED_MAX`].
const SPAN: Duration = Duration::from_secs(60);

/// A worker's thread.
pub(super) type Thread = JoinHandle<io::Result<()>>;
/// Starts a worker at this place.
pub(super) type Hire = Box<dyn FnMut(usize) -> anyhow::Result<Thread> + Send>;

/// The threads, and how another is started.
pub(super) struct Crew {
    threads: Vec<Thread>,
    hire: Hire,
    /// When workers were replaced lately, at most [`REPLACED_MAX`] of them.
    lately: Vec<Tick>,
    replaced: u64,
}

/// Workers end faster than they can be replaced; the process has to end.
#[derive(Debug, thiserror::Error)]
#[error("worker {worker} ended by itself and is not replaced ({why}); please report it")]
pub(super) struct Lost {
    worker: usize,
    why: String,
}

impl Crew {
    /// Starts so many.
    pub(super) fn hire(count: usize, mut hire: Hire) -> anyhow::Result<Self> {
        let threads = (0..count).map(&mut hire).collect::<anyhow::Result<_>>()?;
        Ok(Self {
            threads,
            hire,
            lately: Vec::new(),
            replaced: 0,
        })
    }

    /// Replaces those that have ended, which none should while nobody told them to.
    pub(super) fn muster(&mut self, now: Tick) -> Result<(), Lost> {
        for worker in 0..self.threads.len() {
            if !self.threads[worker].is_finished() {
                continue;
            }
            let lost = |why: String| Lost { worker, why };
            self.lately.retain(|at| now.since(*at) < SPAN);
            if self.lately.len() >= REPLACED_MAX {
                return Err(lost(format!("{REPLACED_MAX} were within a minute")));
            }
            let thread = (self.hire)(worker).map_err(|error| lost(format!("{error:#}")))?;
            let ended = std::mem::replace(&mut self.threads[worker], thread);
            tracing::error!(
                worker,
                "A worker ended by itself, and its connections with it; another took its place. Please report it."
            );
            say(ended);
            self.lately.push(now);
            self.replaced += 1;
        }
        Ok(())
    }

    /// How many were replaced since the process began.
    pub(super) const fn replaced(&self) -> u64 {
        self.replaced
    }

    /// Have all ended, as they were told?
    pub(super) fn ended(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Lets go of all, and says what those that have ended died of. The others end
    /// with the process.
    pub(super) fn dismiss(self) {
        let ended = self.threads.into_iter().filter(JoinHandle::is_finished);
        ended.for_each(say);
    }
}

/// What a thread died of, if it did not just end.
fn say(thread: Thread) {
    match thread.join() {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "A worker ended."),
        Err(_) => tracing::error!("A worker's thread panicked."),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Workers of which the first so many end at once, badly; the others wait.
    fn crew(bad: usize) -> (Crew, Arc<AtomicUsize>) {
        let hired = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&hired);
        let hire = move |_| {
            let nth = count.fetch_add(1, Ordering::Relaxed);
            Ok(std::thread::spawn(move || {
                if nth < bad {
                    return Err(io::ErrorKind::Other.into());
                }
                std::thread::sleep(Duration::from_secs(30));
                Ok(())
            }))
        };
        (Crew::hire(2, Box::new(hire)).unwrap(), hired)
    }

    /// Looks until as many were replaced, or it is given up.
    fn muster_until(crew: &mut Crew, replaced: u64, now: Tick) -> Result<(), Lost> {
        while crew.replaced() < replaced {
            crew.muster(now)?;
            std::thread::yield_now();
        }
        Ok(())
    }

    #[test]
    fn a_worker_that_ended_is_replaced_and_one_that_runs_is_left_alone() {
        let (mut crew, hired) = crew(1);
        muster_until(&mut crew, 1, Tick::from_secs(5)).unwrap();
        for _ in 0..10 {
            crew.muster(Tick::from_secs(6)).unwrap();
        }
        assert_eq!((crew.replaced(), hired.load(Ordering::Relaxed)), (1, 3));
        assert!(!crew.ended());
    }

    #[test]
    fn three_in_a_minute_are_replaced_and_the_fourth_ends_the_process() {
        let (mut three, _) = crew(3);
        muster_until(&mut three, 3, Tick::from_secs(5)).unwrap();
        let (mut four, _) = crew(4);
        muster_until(&mut four, 2, Tick::from_secs(5)).unwrap();
        let lost = muster_until(&mut four, 4, Tick::from_secs(64)).unwrap_err();
        assert!(lost.to_string().contains("within a minute"), "{lost}");
        assert_eq!(four.replaced(), 3);
        muster_until(&mut four, 4, Tick::from_secs(65)).unwrap();
    }

    #[test]
    fn a_worker_that_cannot_be_replaced_ends_the_process_and_says_why() {
        let mut first = true;
        let hire = move |_| {
            if !std::mem::take(&mut first) {
                anyhow::bail!("the port is taken");
            }
            Ok(std::thread::spawn(|| Ok(())))
        };
        let mut crew = Crew::hire(1, Box::new(hire)).unwrap();
        while !crew.ended() {
            std::thread::yield_now();
        }
        let lost = crew.muster(Tick::from_secs(5)).unwrap_err();
        assert!(lost.to_string().contains("the port is taken"), "{lost}");
    }
}
