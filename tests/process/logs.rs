//! Logs that cannot be written, which no caller may wait for.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::http;
use super::lab::{FORM, Lab, NEAR, command, form};

/// A process that ends with its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn who_does_not_read_the_log_keeps_nobody_waiting() {
    let lab = Lab::prepared(|file| file.percentage = 100);
    let process = command()
        .args(["run", "--config"])
        .arg(lab.config())
        .env("RUST_LOG", "debug")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut process = Ended(process);
    let mut log = BufReader::new(process.0.stderr.take().expect("it is piped"));
    let up = loop {
        let mut line = String::new();
        assert!(
            log.read_line(&mut line).expect("it is text") > 0,
            "it ended"
        );
        if line.contains("Switchback is up.") {
            break serde_json::from_str::<Value>(&line).expect("it is JSON");
        }
    };
    let at = |name: &str| -> SocketAddr { up[name].as_str().expect("a text").parse().unwrap() };
    // From here on nobody reads, and each of these is good for a line.
    for number in 0..3000 {
        let form = form(NEAR, &format!("quiet-{number}"), "&CallStatus=ringing");
        let target = "/ivr/welcome?new=hang-up&legacy=hang-up";
        let answer = http::ask(at("webhooks"), "POST", target, &[FORM], &form);
        assert_eq!(answer.expect("it answers").status(), 502, "{number}");
    }
    let status = http::ask(at("admin"), "GET", "/api/v1/status", &[], "");
    let status = status.expect("it answers").json();
    let asked = |side: &str| {
        status["backends"][side]["errors"]
            .as_u64()
            .expect("a number")
    };
    assert!(asked("legacy") + asked("new") > 2000, "the engine turns");
}

#[cfg(target_os = "linux")]
#[test]
fn an_access_log_on_a_full_disk_is_counted_and_nothing_else() {
    let lab = Lab::started(|file| {
        file.sections = "[log]\naccess = \"/dev/full\"".to_owned();
    });
    for _ in 0..20 {
        assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "new");
    }
    lab.until("the lost lines are counted", || {
        lab.metric("switchback_access_log_dropped_total") == Some(20.0)
    });
    let said = lab.log().matches("access log could not be written").count();
    assert_eq!(said, 1, "{}", lab.log());
}
