//! The callers: whose call makes the next request, and the request's bytes.
//!
//! A call is 24 bytes, so that a million of them at once fit easily; its id is
//! written out only into the request being sent.

use std::collections::VecDeque;

/// Letters of an id, so that it looks like the provider's.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Random letters in an id: 22 hold 128 bits.
const ID_RANDOM: usize = 22;
/// The rest of an id, the same for all: real ones are this long.
const ID_TAIL: &str = "YzB1cDfGhJkS5uWe9XaQoZiTnVbMlCrE";
/// Digits of a called number after the plus sign.
const NUMBER_DIGITS: usize = 11;

/// What a population of calls is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// Calls in progress at once.
    pub(crate) active: usize,
    /// Called numbers.
    pub(crate) tenants: u32,
    /// Fewest requests a call makes.
    pub(crate) requests_min: u8,
    /// Most requests a call makes.
    pub(crate) requests_max: u8,
    /// Calls begin with their second request.
    pub(crate) midway: bool,
    /// The last request of a call is a status callback that says it is over.
    pub(crate) ends: bool,
    /// Where chance begins for ids, tenants and lengths.
    pub(crate) seed: u64,
    /// Where chance begins for the order of the calls.
    pub(crate) order: u64,
}

/// All calls in progress.
pub(crate) struct Calls {
    habits: Habits,
    chance: u64,
    calls: Vec<Call>,
    /// Calls without a request on the way, longest waiting first.
    waiting: VecDeque<u32>,
    requests: [Template; 3],
    begun: u64,
}

#[derive(Clone, Copy)]
struct Call {
    id: [u64; 2],
    tenant: u32,
    made: u8,
    left: u8,
    /// First letter of the backend that answered it first; 0 before.
    backend: u8,
}

/// What an answer told about its call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Affinity {
    /// The same backend as ever, or the first answer.
    Kept,
    /// Another backend than before.
    Broken,
}

impl Calls {
    /// A population at the beginning of its calls, for the host and path given.
    pub(crate) fn new(habits: Habits, host: &str, path: &str) -> Self {
        let mut calls = Self {
            habits,
            chance: habits.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            calls: Vec::with_capacity(habits.active),
            waiting: (0..habits.active as u32).collect(),
            requests: [
                Template::new(host, path, "CallStatus=ringing&Direction=inbound"),
                Template::new(
                    host,
                    &format!("{path}/choice"),
                    "CallStatus=in-progress&Digits=2&FinishedOnKey=&SpeechResult=&Confidence=0.93&Language=en-US",
                ),
                Template::new(
                    host,
                    &format!("{path}/status"),
                    "CallStatus=completed&CallbackSource=call-progress-events&HangupSource=caller&CallDuration=61",
                ),
            ],
            begun: 0,
        };
        for _ in 0..habits.active {
            let call = calls.fresh();
            calls.calls.push(call);
        }
        calls.shuffle();
        calls
    }

    /// Calls begun so far.
    pub(crate) const fn begun(&self) -> u64 {
        self.begun
    }

    /// Writes the next request of the call that waits longest. None: every call
    /// has a request on the way.
    pub(crate) fn next_request(&mut self, into: &mut Vec<u8>) -> Option<u32> {
        let index = self.waiting.pop_front()?;
        let call = self.calls.get(index as usize)?;
        let kind = match (call.made, call.left) {
            (0, _) => 0,
            (_, 1) if self.habits.ends => 2,
            _ => 1,
        };
        if let Some(template) = self.requests.get(kind) {
            template.write(call, into);
        }
        Some(index)
    }

    /// A request was answered by the backend of that first letter (0: unknown).
    pub(crate) fn answered(&mut self, index: u32, backend: u8) -> Affinity {
        let Some(mut call) = self.calls.get(index as usize).copied() else {
            return Affinity::Kept;
        };
        let affinity = if backend != 0 && call.backend != 0 && call.backend != backend {
            Affinity::Broken
        } else {
            Affinity::Kept
        };
        if call.backend == 0 {
            call.backend = backend;
        }
        call.made = call.made.saturating_add(1);
        call.left -= 1;
        if call.left == 0 {
            call = self.fresh();
        }
        if let Some(place) = self.calls.get_mut(index as usize) {
            *place = call;
        }
        self.waiting.push_back(index);
        affinity
    }

    fn fresh(&mut self) -> Call {
        self.begun += 1;
        let span = u64::from(self.habits.requests_max - self.habits.requests_min) + 1;
        let id = [self.random(), self.random()];
        let tenant = self.random() % u64::from(self.habits.tenants);
        let left = self.habits.requests_min + (self.random() % span) as u8;
        Call {
            id,
            tenant: tenant as u32,
            made: u8::from(self.habits.midway),
            left,
            backend: 0,
        }
    }

    /// A call table must not profit from calls that come in the order it saw them
    /// first.
    fn shuffle(&mut self) {
        let mut chance = self.habits.order;
        for last in (1..self.waiting.len()).rev() {
            let other = splitmix(&mut chance) % (last as u64 + 1);
            self.waiting.swap(last, other as usize);
        }
    }

    fn random(&mut self) -> u64 {
        splitmix(&mut self.chance)
    }
}

/// Any seed will do, and neighbouring seeds do not resemble.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A request with the places to fill in. All fields have a fixed width, so that
/// Content-Length never changes.
struct Template {
    bytes: Vec<u8>,
    ids: Vec<usize>,
    numbers: Vec<usize>,
}

impl Template {
    fn new(host: &str, path: &str, facts: &str) -> Self {
        let id = format!("{}{ID_TAIL}", "!".repeat(ID_RANDOM));
        let number = "#".repeat(NUMBER_DIGITS);
        let body = format!(
            "AccountSid=0d9bb3a2-55f1-4a51-9c3e-2b6a5f1d7c10&CallSid=v3%3A{id}&CallSidLegacy=v3%3A{id}\
             &CallerId=%2B14155550142&CallingPartyType=pstn&From=%2B14155550142\
             &FromSipUri=%2B14155550142%40198.51.100.20&To=%2B{number}\
             &ToSipUri=%2B{number}%40sip.example.com&ConnectionId=1684641123236054244\
             &ApiVersion=2010-04-01\
             &CallControlId=v3%3A{id}&CallLegId=9f0a1c2e-c56b-11f0-8a3b-02420a0d3a69\
             &CallSessionId=9f09f0a8-c56b-11f0-b1d4-02420a0d3a69&OrganizationId=org-acme&{facts}"
        );
        // The tenant stands in the query too: the plain splits of HAProxy and
        // nginx read no body.
        let head = format!(
            "POST {path}?lang=en&dialled={number} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Telnyx\r\nAccept: */*\r\n\
             Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n\
             Telnyx-Timestamp: 1795161600\r\n\
             Telnyx-Signature-Ed25519: 3q2+7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let bytes = format!("{head}{body}").into_bytes();
        let places = |mark: &str| memchr::memmem::find_iter(&bytes, mark).collect();
        Self {
            ids: places(&"!".repeat(ID_RANDOM)),
            numbers: places(&number),
            bytes,
        }
    }

    fn write(&self, call: &Call, into: &mut Vec<u8>) {
        into.clear();
        into.extend_from_slice(&self.bytes);
        let mut id = [0; ID_RANDOM];
        for (place, letter) in id.iter_mut().enumerate() {
            let word = call.id[place / 11] >> (place % 11 * 6);
            *letter = ALPHABET[(word & 63) as usize];
        }
        let mut number = *b"15550000000";
        // Spread over the digits, so that neighbours do not hash alike.
        let mut rest = call.tenant.wrapping_mul(1_000_003) % 10_000_000;
        for digit in number[4..].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        for at in &self.ids {
            into[*at..at + ID_RANDOM].copy_from_slice(&id);
        }
        for at in &self.numbers {
            into[*at..at + NUMBER_DIGITS].copy_from_slice(&number);
        }
    }
}
