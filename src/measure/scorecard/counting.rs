//! How one observation changes a scorecard: what of it counts, where, and for whom.

use super::Scorecard;
use crate::measure::counts::{DURATION_MOST_S, SLOW_MAX, TenantAnswers, TenantEnds};
use crate::measure::each::Mark;
use crate::measure::histogram::Edges;
use crate::measure::{Answered, CallEnd, Cause, Ended, Fault, Kind, Outcome, Placed};
use crate::model::Tick;

impl Scorecard {
    /// A webhook was answered or failed. Rows judge what callers wait for; what a
    /// caller said counts from events as well, because some providers tell it there.
    pub fn answered(&mut self, what: &Answered) {
        let fault = match what.outcome {
            Outcome::Served => None,
            Outcome::Failed(cause) => Some(cause.fault()),
        };
        let waited_for = what.kind == Kind::Voice;
        if waited_for {
            self.webhooks += 1;
            self.errors += u64::from(fault == Some(Fault::Backend));
        }
        self.show(what);
        // What the provider or we ourselves spoilt says nothing about a backend.
        let nobodys = matches!(fault, Some(Fault::Provider | Fault::Internal));
        if nobodys || !self.counts(what.at, what.generation) {
            return;
        }
        self.count_speech(what);
        if !waited_for {
            return;
        }
        self.count_flaw(what);
        self.count_latency(what);
        self.count_answer(what);
        self.count_by_tenant(what);
    }

    /// A request was placed; only a call's first one matters here.
    pub fn placed(&mut self, what: &Placed) {
        if !what.begins {
            return;
        }
        self.calls += 1;
        self.shown.begun(what.at);
        if what.at >= self.since {
            self.answers.change(what.at, |slot| slot.begun += 1);
        }
    }

    /// A call is over: it counts where it began.
    pub fn ended(&mut self, what: &Ended) {
        if !what.counts || !self.counts(what.began, what.generation) {
            return;
        }
        self.ends.advance(what.at);
        let bad = failed(what);
        let lasted = duration_s(what);
        self.ends.change(what.began, |slot| {
            match what.end {
                CallEnd::Served | CallEnd::Transferred => slot.served += 1,
                CallEnd::Abandoned => slot.abandoned += 1,
                CallEnd::Failed => slot.failed += 1,
                CallEnd::Unknown | CallEnd::Expired => slot.unknown += 1,
                CallEnd::Short | CallEnd::ProviderFailed | CallEnd::Rescued => {}
            }
            slot.bad += i64::from(bad == Some(true));
            slot.sound += i64::from(bad == Some(false));
            if let Some(lasted) = lasted {
                let lasted = i64::from(lasted);
                slot.timed += 1;
                slot.duration_s += lasted;
                slot.duration_s_squared += lasted * lasted;
            }
        });
        let (served, abandoned) = (
            matches!(what.end, CallEnd::Served | CallEnd::Transferred),
            what.end == CallEnd::Abandoned,
        );
        if served || abandoned {
            let lasted = what.duration_s.unwrap_or_else(|| {
                u32::try_from(what.at.since(what.began).as_secs()).unwrap_or(u32::MAX)
            });
            let bucket = Edges::plain().bucket(lasted);
            self.durations.record(what.at, bucket);
        }
        if let Some(by_tenant) = &mut self.by_tenant
            && (served || abandoned || bad.is_some())
        {
            let change = |counts: &mut TenantEnds| {
                counts.served += i32::from(served);
                counts.abandoned += i32::from(abandoned);
                counts.bad += i32::from(bad == Some(true));
                counts.sound += i32::from(bad == Some(false));
            };
            by_tenant.ends.change(what.began, what.tenant, change);
            if let Some(each) = &mut by_tenant.each {
                each.ended(what.at, what.began, what.tenant, change);
            }
        }
    }

    fn counts(&self, at: Tick, generation: u64) -> bool {
        // Before any reversal an unknown generation (0) counts as well.
        at >= self.since && (self.generation == 0 || generation > self.generation)
    }

    fn show(&mut self, what: &Answered) {
        if let Some(key) = what.choice {
            self.shown.chose(what.at, key);
        }
        if let Some(took_us) = what.data_us {
            self.shown.queried(what.at, took_us);
        }
    }

    fn count_speech(&mut self, what: &Answered) {
        if let Some(understood) = what.speech {
            self.answers.change(what.at, |slot| {
                slot.speech_good += i64::from(understood);
                slot.speech_empty += i64::from(!understood);
            });
        }
    }

    fn count_flaw(&mut self, what: &Answered) {
        let read = matches!(
            what.outcome,
            Outcome::Served | Outcome::Failed(Cause::Document)
        );
        if read {
            self.flaws.change(what.at, |slot| {
                slot.answers += 1;
                if let Some(flaw) = what.flaw {
                    slot.of[flaw as usize] += 1;
                }
            });
        }
    }

    fn count_latency(&mut self, what: &Answered) {
        let Some(latency) = what.latency_us else {
            return;
        };
        self.running.took(latency);
        let bucket = self.edges.bucket(latency);
        for spread in &mut self.latencies {
            spread.record(what.at, bucket);
        }
    }

    fn count_answer(&mut self, what: &Answered) {
        let part = self.part(what);
        let (previous, previous_failed) = self.marks(what);
        self.answers.change(what.at, |slot| {
            slot.webhooks += 1;
            slot.webhooks_stale += i64::from(part.stale);
            slot.answered += i64::from(part.answered);
            slot.unanswered += i64::from(part.unanswered);
            if let Some(latency) = what.latency_us {
                let latency = i64::from(latency);
                slot.latencies += 1;
                slot.latency_us += latency;
                slot.latency_us_squared += i128::from(latency) * i128::from(latency);
            }
            let Some(voice) = what.voice else { return };
            slot.calls += 1;
            slot.failed_calls += i64::from(voice.failed);
            slot.good += i64::from(!voice.failed);
            slot.failed += i64::from(voice.failed && !part.stale);
            slot.stale += i64::from(voice.failed && part.stale);
            if part.timed {
                slot.timed += 1;
                for (count, slow) in slot.slow.0.iter_mut().zip(part.slow) {
                    *count += i64::from(slow);
                }
            }
        });
        // The call has spoken before: its one mark moves to here.
        if let Some(before) = previous {
            self.answers.change(before, |slot| slot.calls -= 1);
        }
        if let Some(before) = previous_failed {
            self.answers.change(before, |slot| slot.failed_calls -= 1);
        }
    }

    fn count_by_tenant(&mut self, what: &Answered) {
        let (previous, previous_failed) = self.marks(what);
        let part = self.part(what);
        let (Some(voice), Some(by_tenant)) = (what.voice, &mut self.by_tenant) else {
            return;
        };
        let change = |counts: &mut TenantAnswers| {
            counts.calls += 1;
            counts.failed_calls += i32::from(voice.failed);
            counts.good += i32::from(!voice.failed);
            counts.failed += i32::from(voice.failed && !part.stale);
            counts.stale += i32::from(voice.failed && part.stale);
            if part.timed {
                counts.timed += 1;
                let latency = i64::from(what.latency_us.unwrap_or(0));
                counts.latency_us += latency;
                counts.latency_squared += (latency / 100) * (latency / 100);
                for (count, slow) in counts.slow.0.iter_mut().zip(part.slow) {
                    *count += i32::from(slow);
                }
            }
            if let Some(speech) = what.speech {
                counts.speech_good += i32::from(speech);
                counts.speech_empty += i32::from(!speech);
            }
        };
        let marks: [Mark; 2] = [
            (previous, |counts| counts.calls -= 1),
            (previous_failed, |counts| counts.failed_calls -= 1),
        ];
        let tenants = &mut by_tenant.answers;
        tenants.change(what.at, voice.tenant, change);
        for (mark, change) in marks {
            if let Some(before) = mark {
                tenants.change(before, voice.tenant, change);
            }
        }
        if let Some(each) = &mut by_tenant.each {
            each.answered(what.at, voice.tenant, change, marks);
        }
    }

    /// Where the call's marks stand now. One from before the epoch was never set
    /// or is forgotten, and must not be taken from a second that does not hold it.
    fn marks(&self, what: &Answered) -> (Option<Tick>, Option<Tick>) {
        let Some(voice) = what.voice else {
            return (None, None);
        };
        let held = |mark: &Tick| *mark >= self.since;
        (
            voice.previous.filter(held),
            voice.previous_failed.filter(held).filter(|_| voice.failed),
        )
    }
}

/// Did the call fail by the application's doing? None where it is behind no failed
/// call rate: its end was never told, it was over before anything could be said of
/// it, or the platform failed it.
const fn failed(what: &Ended) -> Option<bool> {
    if what.failed {
        return Some(true);
    }
    match what.end {
        CallEnd::Failed | CallEnd::Rescued => Some(true),
        CallEnd::Served | CallEnd::Transferred | CallEnd::Abandoned | CallEnd::Unknown => {
            Some(false)
        }
        CallEnd::Short | CallEnd::ProviderFailed | CallEnd::Expired => None,
    }
}

/// How long the call lasted, where that is known and says something about it.
fn duration_s(what: &Ended) -> Option<u32> {
    let says = matches!(
        what.end,
        CallEnd::Served | CallEnd::Transferred | CallEnd::Abandoned | CallEnd::Failed
    );
    what.duration_s
        .filter(|_| says)
        .map(|seconds| seconds.min(DURATION_MOST_S))
}

/// What one answer adds.
#[derive(Clone, Copy, Debug)]
struct Part {
    stale: bool,
    answered: bool,
    unanswered: bool,
    timed: bool,
    slow: [bool; SLOW_MAX],
}

impl Scorecard {
    fn part(&self, what: &Answered) -> Part {
        let cause = match what.outcome {
            Outcome::Served => None,
            Outcome::Failed(cause) => Some(cause),
        };
        let mut slow = [false; SLOW_MAX];
        for (slower, threshold) in slow.iter_mut().zip(&self.slow_us) {
            *slower = what.latency_us.is_some_and(|latency| latency > *threshold);
        }
        Part {
            stale: cause == Some(Cause::Stale),
            answered: matches!(cause, None | Some(Cause::Status | Cause::Document)),
            // A provider that did not wait proves neither, nor does a cap.
            unanswered: (self.silent && cause == Some(Cause::Breaker))
                || matches!(
                    cause,
                    Some(
                        Cause::Connect
                            | Cause::Reset
                            | Cause::Stale
                            | Cause::Timeout
                            | Cause::Malformed
                    )
                ),
            timed: what.latency_us.is_some(),
            slow,
        }
    }
}
