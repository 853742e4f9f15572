//! Keys and names that change while it runs: at a HUP, under traffic, without a loss.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::http::{self, Message};
use super::lab::{FORM, Lab, NEAR, form};
use super::sign::TelnyxKey;

const TAKEN: &str = "switchback_config_last_reload_successful";

/// `verify` that takes these keys and nothing else.
fn verify(keys: &[&TelnyxKey]) -> &'static str {
    let keys: Vec<_> = keys.iter().map(|key| key.public()).collect();
    format!("verify = {{ mode = \"required\", public_keys = {keys:?} }}").leak()
}

/// A webhook signed with that key.
fn signed(webhooks: SocketAddr, key: &TelnyxKey, call: &str) -> Message {
    let body = form(NEAR, call, "&CallStatus=ringing");
    let signed = key.sign(&body);
    let [time, signature] = signed.each_ref().map(|(name, value)| (*name, &**value));
    let headers = [FORM, time, signature];
    let answer = http::ask(webhooks, "POST", "/ivr/welcome", &headers, &body);
    answer.unwrap_or_else(|error| panic!("{call}: {error}"))
}

/// Callers whose webhooks are signed with the key in use, each of which must pass.
#[derive(Default)]
struct Traffic {
    stop: AtomicBool,
    in_use: AtomicUsize,
    answered: [AtomicUsize; 2],
}

impl Traffic {
    const CALLERS: usize = 4;

    fn caller(&self, caller: usize, webhooks: SocketAddr, keys: &[TelnyxKey; 2]) {
        for number in 0.. {
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let key = self.in_use.load(Ordering::SeqCst);
            let call = format!("turn-{caller}-{number}");
            let answer = signed(webhooks, &keys[key], &call);
            assert_eq!((answer.status(), answer.side()), (200, "new"), "{call}");
            self.answered[key].fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until nothing signed with another key can be under way.
    fn flows(&self, lab: &Lab) {
        let key = &self.answered[self.in_use.load(Ordering::SeqCst)];
        let before = key.load(Ordering::SeqCst);
        // So many that each of them has had more than one answer.
        let enough = before + 20 * Self::CALLERS;
        lab.until("webhooks are answered", || {
            key.load(Ordering::SeqCst) > enough
        });
    }
}

#[test]
fn one_key_takes_another_s_place_and_no_webhook_is_lost() {
    let keys = [TelnyxKey::new(1), TelnyxKey::new(2)];
    let [old, new] = &keys;
    let mut lab = Lab::started(|file| file.route = verify(&[old]));
    let webhooks = lab.webhooks();
    assert_eq!(signed(webhooks, new, "early").status(), 403, "not yet");
    let traffic = Traffic::default();
    thread::scope(|scope| {
        for caller in 0..Traffic::CALLERS {
            let (traffic, keys) = (&traffic, &keys);
            scope.spawn(move || traffic.caller(caller, webhooks, keys));
        }
        traffic.flows(&lab);
        lab.rewrite(|file| file.route = verify(&[old, new]));
        lab.hangup();
        traffic.flows(&lab);
        traffic.in_use.store(1, Ordering::SeqCst);
        traffic.flows(&lab);
        lab.rewrite(|file| file.route = verify(&[new]));
        lab.hangup();
        traffic.flows(&lab);
        assert_eq!(signed(webhooks, old, "late").status(), 403, "no more");
        traffic.stop.store(true, Ordering::SeqCst);
    });
    assert_eq!(lab.metric(TAKEN), Some(1.0));
    let [first, second] = traffic.answered.map(AtomicUsize::into_inner);
    assert_eq!(lab.new.book().len(), first + second, "each once");
    let verified = "switchback_signatures_total{route=\"/ivr\",result=\"verified\"}";
    let rejected = "switchback_signatures_total{route=\"/ivr\",result=\"rejected\"}";
    lab.until("all are counted", || {
        lab.metric(verified) == Some((first + second) as f64)
    });
    lab.until("and both that were refused", || {
        lab.metric(rejected) == Some(2.0)
    });
}

#[test]
fn a_broken_verify_keeps_the_keys_that_run_and_says_so() {
    let keys = [TelnyxKey::new(3), TelnyxKey::new(4)];
    let mut lab = Lab::started(|file| file.route = verify(&[&keys[0]]));
    for (number, (broken, said)) in [
        (
            "verify = { mode = \"required\", public_keys = [\"bm8ga2V5\"] }",
            "`public_keys` cannot be taken",
        ),
        (
            "verify = { mode = \"required\" }",
            "names nothing to verify by",
        ),
        (
            "verify = { mode = \"required\", auth_token = { env = \"NOBODY\" } }",
            "on a Telnyx route write public_keys",
        ),
        (
            "verify = { mode = \"strict\", public_keys = [\"bm8ga2V5\"] }",
            "strict",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        lab.rewrite(|file| file.route = broken);
        let told = || lab.log().matches(said).count();
        let before = told();
        lab.hangup();
        lab.until("it is told", || lab.metric(TAKEN) == Some(0.0));
        assert!(told() > before, "{said}: {}", lab.log());
        let answer = signed(lab.webhooks(), &keys[0], &format!("stays-{number}"));
        assert_eq!((answer.status(), answer.side()), (200, "new"), "{broken}");
        assert_eq!(lab.begin(NEAR, "/ivr/welcome").status(), 403, "{broken}");
    }
    lab.rewrite(|file| file.route = verify(&[&keys[1]]));
    lab.hangup();
    lab.until("it is taken", || lab.metric(TAKEN) == Some(1.0));
    let statuses = [0, 1].map(|key| signed(lab.webhooks(), &keys[key], "mended").status());
    assert_eq!(statuses, [403, 200]);
}

#[test]
fn a_name_that_new_calls_itself_by_is_led_home_from_a_reload_on() {
    let mut lab = Lab::started(|file| {
        file.listen = "public_url = \"https://voice.example.com\"";
    });
    let document = |host: &str| {
        format!("<Response><Redirect>https://{host}/ivr/menu?a=1</Redirect></Response>")
    };
    let own = document("ivr-new.example.com");
    lab.new.says("content-type: application/xml", &own);
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let (webhooks, stop, answered) = (lab.webhooks(), &stop, &answered);
        let home = document("voice.example.com");
        let own = &own;
        scope.spawn(move || {
            let mut is_home = false;
            for number in 0.. {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let form = form(NEAR, &format!("named-{number}"), "&CallStatus=ringing");
                let answer = http::ask(webhooks, "POST", "/ivr/welcome", &[FORM], &form).unwrap();
                is_home |= answer.text() == home;
                let expected = if is_home { &home } else { own };
                assert_eq!(answer.text(), expected, "either, and never back");
                answered.fetch_add(1, Ordering::SeqCst);
            }
        });
        lab.until("there is traffic", || answered.load(Ordering::SeqCst) > 20);
        assert_eq!(lab.begin(NEAR, "/ivr/welcome").text(), own);
        lab.rewrite(|file| file.own = "names = [\"https://ivr-new.example.com\"]");
        lab.hangup();
        let home = document("voice.example.com");
        assert_eq!(lab.begin(NEAR, "/ivr/welcome").text(), home);
        let seen = answered.load(Ordering::SeqCst) + 20;
        lab.until("it goes on", || answered.load(Ordering::SeqCst) > seen);
        stop.store(true, Ordering::SeqCst);
    });
    assert_eq!(lab.metric(TAKEN), Some(1.0));
}
