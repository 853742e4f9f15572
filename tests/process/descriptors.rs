//! A process without descriptors: it neither ends nor spins nor blames a backend, and
//! goes on when there are some again.

use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::http::{self, Link};
use super::lab::{FORM, Lab, NEAR, form};

/// Lets the running process open files up to this number; as root or not, a soft limit
/// may be moved below the hard one.
fn limit(lab: &Lab, files: u64) {
    let limited = Command::new("prlimit")
        .arg(format!("--pid={}", lab.pid()))
        .arg(format!("--nofile={files}:"))
        .status();
    assert!(limited.expect("prlimit is there").success());
}

fn accept_errors(lab: &Lab) -> f64 {
    let errors = lab.metric("switchback_accept_errors_total");
    errors.expect("the series is there")
}

/// Descriptors open now.
fn open_files(lab: &Lab) -> u64 {
    let open = std::fs::read_dir(format!("/proc/{}/fd", lab.pid()));
    open.expect("it is our child").count() as u64
}

/// Milliseconds of processor time used so far.
fn cpu_ms(lab: &Lab) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", lab.pid()));
    let stat = stat.expect("it is our child");
    // Behind the name, which ends in a parenthesis: utime and stime, in hundredths.
    let fields = stat.rsplit(") ").next().expect("it has a name");
    let fields: Vec<_> = fields.split(' ').collect();
    let number = |place: usize| fields[place].parse::<u64>().expect("a number");
    (number(11) + number(12)) * 10
}

#[test]
fn without_descriptors_it_waits_and_says_so_once_and_then_goes_on() {
    let lab = Lab::started(|_| {});
    let request = |call: &str| {
        let form = form(NEAR, call, "&CallStatus=ringing");
        http::request("POST", "/ivr/welcome", &[FORM], &form)
    };
    // Taken before, with its connection to the backend.
    let mut early = Link::to(lab.webhooks()).expect("it listens");
    early.send(&request("early")).unwrap();
    assert_eq!(early.answer().unwrap().status(), 200);

    limit(&lab, open_files(&lab) + 3);
    let many: Vec<_> = (0..200)
        .map(|_| TcpStream::connect(lab.webhooks()).expect("the kernel takes it"))
        .collect();
    let mut waiting = Link::to(lab.webhooks()).expect("the kernel takes it");
    waiting.send(&request("waiting")).unwrap();
    early.send(&request("meanwhile")).unwrap();
    assert_eq!(early.answer().unwrap().status(), 200, "it needs none");

    let before = cpu_ms(&lab);
    thread::sleep(Duration::from_secs(2));
    let used = cpu_ms(&lab) - before;
    assert!(used < 400, "{used} ms of 2000: it spins");
    let said = lab.log().matches("No connection can be taken").count();
    assert_eq!(said, 1, "not twenty times a second\n{}", lab.log());

    limit(&lab, 4096);
    assert_eq!(waiting.answer().unwrap().status(), 200);
    drop(many);
    lab.until("it is counted", || accept_errors(&lab) > 10.0);
    let errors = lab.status()["backends"]["new"]["errors"].clone();
    assert_eq!(errors, 0, "no backend is to blame");
}

#[test]
fn a_backend_is_not_blamed_for_a_connection_that_we_cannot_open() {
    let lab = Lab::started(|_| {});
    let mut link = Link::to(lab.webhooks()).expect("it listens");
    let request = |call: &str| {
        let form = form(NEAR, call, "&CallStatus=ringing");
        http::request("POST", "/ivr/welcome", &[FORM], &form)
    };
    link.send(&request("first")).unwrap();
    assert_eq!(link.answer().unwrap().status(), 200);
    // Longer than an unused connection to a backend is kept.
    thread::sleep(Duration::from_millis(5500));
    limit(&lab, 8);
    link.send(&request("second")).unwrap();
    let status = link.answer().unwrap().status();
    limit(&lab, 4096);
    assert_eq!(status, 502);
    let lack = "switchback_connect_local_errors_total{lack=\"descriptor\"}";
    lab.until("it is counted", || {
        lab.metric(lack).is_some_and(|count| count >= 1.0)
    });
    assert!(
        lab.log().contains("The backend is not blamed."),
        "{}",
        lab.log()
    );
    assert_eq!(lab.status()["backends"]["new"]["errors"], 0);
}
