//! The process under a supervisor: ports that were handed over, and what it is told.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::http::{self, Link, PATIENCE};
use super::lab::{FORM, Lab, NEAR, form};

/// A supervisor: what it hears.
struct Supervisor(UnixDatagram);

impl Supervisor {
    /// Listens beside the lab's state and tells the lab where.
    fn of(lab: &mut Lab) -> Self {
        let path = lab.dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket in a test's directory");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let path = path.to_str().expect("a path of ours").to_owned();
        lab.environment.push(("NOTIFY_SOCKET", path));
        Self(socket)
    }

    /// The next that it hears and that begins like this.
    fn hears(&self, beginning: &str) -> String {
        loop {
            let mut buffer = [0; 1024];
            let length = self.0.recv(&mut buffer);
            let length = length.unwrap_or_else(|error| panic!("no {beginning}: {error}"));
            let said = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if said.starts_with(beginning) {
                return said;
            }
        }
    }
}

/// Ports that a supervisor holds and hands over, by their names.
struct Ports(Vec<(&'static str, TcpListener)>);

impl Ports {
    fn open(names: &[&'static str]) -> Self {
        let open = |name: &&'static str| {
            let port = TcpListener::bind("127.0.0.1:0").expect("a port is free");
            (*name, port)
        };
        Self(names.iter().map(open).collect())
    }

    fn at(&self, name: &str) -> SocketAddr {
        let port = self.0.iter().find(|(known, _)| *known == name);
        port.expect("it was opened")
            .1
            .local_addr()
            .expect("it is bound")
    }

    /// Has the lab start its process with them as descriptors 3 and up.
    fn hand_to(&self, lab: &mut Lab) {
        let names: Vec<_> = self.0.iter().map(|(name, _)| *name).collect();
        lab.environment.push(("LISTEN_FDNAMES", names.join(":")));
        lab.environment
            .push(("LISTEN_FDS", names.len().to_string()));
        lab.sockets = (self.0.iter())
            .map(|(_, port)| port.try_clone().expect("a descriptor is free").into())
            .collect();
    }
}

#[test]
fn a_supervisor_hears_each_turn_of_the_process_s_life() {
    let mut lab = Lab::prepared(|_| {});
    let supervisor = Supervisor::of(&mut lab);
    lab.start_at_file();
    supervisor.hears("READY=1\n");
    lab.order(&["set", "60", "--reason", "further"]);
    while !supervisor.hears("STATUS=").contains(", 60 % on new") {}
    lab.signal("HUP");
    assert!(
        supervisor
            .hears("RELOADING=1\n")
            .contains("MONOTONIC_USEC=")
    );
    supervisor.hears("READY=1\n");
    // A file that is wrong is no reason to be taken for one that hangs.
    lab.rewrite(|file| file.sections = "[nonsense]".to_owned());
    lab.signal("HUP");
    supervisor.hears("RELOADING=1\n");
    supervisor.hears("READY=1\n");
    lab.signal("TERM");
    supervisor.hears("STOPPING=1\n");
    assert_eq!(lab.ended().code(), Some(0));
}

#[test]
fn a_watchdog_is_fed_while_everything_turns_and_not_while_it_stands() {
    let mut lab = Lab::prepared(|_| {});
    let supervisor = Supervisor::of(&mut lab);
    lab.environment
        .push(("WATCHDOG_USEC", "2000000".to_owned()));
    lab.start_at_file();
    supervisor.hears("WATCHDOG=1\n");
    supervisor.hears("WATCHDOG=1\n");
    lab.signal("STOP");
    supervisor.0.set_nonblocking(true).expect("a socket");
    let mut last = [0; 256];
    while supervisor.0.recv(&mut last).is_ok() {}
    std::thread::sleep(Duration::from_millis(2500));
    assert!(supervisor.0.recv(&mut last).is_err(), "nothing turns");
    lab.signal("CONT");
    supervisor.0.set_nonblocking(false).expect("a socket");
    supervisor.hears("WATCHDOG=1\n");
}

#[test]
fn ports_that_are_handed_over_are_used_instead_of_the_file_s() {
    let ports = Ports::open(&["webhooks", "admin", "metrics"]);
    let mut lab = Lab::prepared(|_| {});
    ports.hand_to(&mut lab);
    lab.start_at_file();
    assert_eq!(lab.webhooks(), ports.at("webhooks"));
    assert_eq!(lab.admin(), ports.at("admin"));
    assert!(lab.log().contains("listens elsewhere"), "{}", lab.log());
    // More than one worker has a share in them.
    for _ in 0..50 {
        assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "new");
    }
    let page = http::ask(ports.at("metrics"), "GET", "/metrics", &[], "").unwrap();
    assert!(page.text().contains("switchback_build_info"));
}

#[test]
fn a_port_needs_no_name_if_it_is_the_first() {
    let ports = Ports::open(&["switchback.socket"]);
    let mut lab = Lab::prepared(|_| {});
    ports.hand_to(&mut lab);
    lab.start_at_file();
    assert_eq!(lab.webhooks(), ports.at("switchback.socket"));
}

#[test]
fn what_is_handed_over_and_cannot_be_used_ends_the_start_with_a_reason() {
    for (names, why) in [
        (&["webhooks", "nonsense"][..], "FileDescriptorName="),
        (&["webhooks", "admin", "admin"], "two sockets"),
    ] {
        let ports = Ports::open(names);
        let mut lab = Lab::prepared(|_| {});
        ports.hand_to(&mut lab);
        let ended = lab.spawn().wait().expect("it is our child");
        assert_eq!(ended.code(), Some(1));
        assert!(lab.log().contains(why), "{}", lab.log());
    }
}

#[test]
fn while_it_is_restarted_on_a_port_that_stays_open_nobody_is_refused() {
    let ports = Ports::open(&["webhooks"]);
    let mut lab = Lab::prepared(|_| {});
    ports.hand_to(&mut lab);
    lab.start_at_file();
    let mut running = Link::to(lab.webhooks()).expect("it listens");
    let held = form(NEAR, "running", "&CallStatus=ringing");
    let request = http::request("POST", "/ivr/welcome?new=held", &[FORM], &held);
    running.send(&request).expect("it takes the request");
    lab.until("new has it", || lab.new.times("running") == 1);

    lab.signal("TERM");
    lab.until("it drains", || lab.log().contains("Draining"));
    lab.new.release();
    assert_eq!(running.answer().expect("it is finished").status(), 200);
    assert_eq!(lab.ended().code(), Some(0));

    // Nobody is there now.
    let stream = TcpStream::connect(ports.at("webhooks")).expect("the port is open");
    let mut waiting = Link::over(stream);
    let form = form(NEAR, "waiting", "&CallStatus=ringing");
    let request = http::request("POST", "/ivr/welcome", &[FORM], &form);
    waiting.send(&request).expect("the kernel takes it");
    lab.start();
    let answer = waiting.answer().expect("who comes next answers");
    assert_eq!((answer.status(), answer.side()), (200, "new"));
}

#[test]
fn the_sample_units_are_what_systemd_understands() {
    let found = Command::new("systemd-analyze").arg("--version").output();
    if found.is_err() {
        // Not here: the units are read by people then.
        return;
    }
    let units = ["config/switchback.service", "config/switchback.socket"];
    let root = env!("CARGO_MANIFEST_DIR");
    let dir = tempfile::tempdir().expect("a directory for a test");
    // Its program stands elsewhere here, and that alone is complained about.
    for unit in units {
        let text = std::fs::read_to_string(format!("{root}/{unit}")).expect("a sample");
        let text = text.replace("/usr/local/bin/switchback", "/bin/true");
        let name = unit.rsplit('/').next().expect("a file's name");
        std::fs::write(dir.path().join(name), text).expect("a file can be written");
    }
    let said = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(dir.path().join("switchback.service"))
        .arg(dir.path().join("switchback.socket"))
        .env("SYSTEMD_UNIT_PATH", format!("{}:", dir.path().display()))
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&said.stderr);
    let ours: Vec<_> = text
        .lines()
        .filter(|line| line.contains("switchback"))
        .collect();
    assert!(ours.is_empty(), "{text}");
}
