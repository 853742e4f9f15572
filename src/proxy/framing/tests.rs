//! What is taken, and what is refused before anything is read of it.

use proptest::prelude::*;

use super::*;

fn read(bytes: &[u8]) -> (Framing, Result<(), Violation>) {
    let mut framing = Framing::default();
    let result = framing.feed(bytes);
    (framing, result)
}

#[test]
fn plain_requests_pass_and_are_counted() {
    for (stream, requests, phase) in [
        ("GET /a HTTP/1.1\r\nHost: a\r\n\r\n", 1, Phase::Between),
        ("\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n", 1, Phase::Between),
        (
            "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            1,
            Phase::Between,
        ),
        (
            "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nab",
            0,
            Phase::Body,
        ),
        (
            "POST /a HTTP/1.1\r\ncontent-length:0\r\n\r\nGET / HTTP/1.1\r\n",
            1,
            Phase::Head,
        ),
        (
            "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=\"y\"\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\nGE",
            1,
            Phase::Head,
        ),
    ] {
        let (framing, result) = read(stream.as_bytes());
        assert_eq!(result, Ok(()), "{stream:?}");
        assert_eq!(framing.ended(), requests, "{stream:?}");
        assert_eq!(framing.phase(), phase, "{stream:?}");
    }
}

#[test]
fn the_least_byte_behind_a_request_is_noticed() {
    for request in [
        "GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
        "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let (mut framing, result) = read(request.as_bytes());
        assert_eq!((result, framing.is_clean()), (Ok(()), true), "{request:?}");
        for behind in ["\r\n", "G", "\x01", "\n"] {
            let all = format!("{request}{behind}");
            let (framing, _) = read(all.as_bytes());
            assert!(!framing.is_clean(), "{all:?}");
        }
        assert_eq!(framing.feed(request.as_bytes()), Ok(()));
        assert!(framing.is_clean(), "and it is so after the next one again");
    }
}

#[test]
fn what_two_readers_could_read_differently_does_not_pass() {
    for (stream, in_head) in [
        ("GET /a HTTP/1.1\nHost: a\r\n\r\n", true),
        ("GET /a HTTP/1.1\r\nHost: a\n\r\n", true),
        ("GET /a HTTP/1.1\r\nHost: a\r\n\n", true),
        ("GET /a HTTP/1.1\r\nX: a\rb\r\n\r\n", true),
        ("GET /a HTTP/1.1\r\nX: a\r\n b\r\n\r\n", true),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", true),
        ("M-SEARCH * HTTP/1.1\r\nHost: a\r\n", true),
        (
            "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            true,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
            true,
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
            true,
        ),
        ("POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n", true),
        (
            "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
            true,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n",
            false,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n",
            false,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;\0\r\nabc\r\n",
            false,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n",
            false,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n",
            false,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\rX",
            false,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\n",
            false,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n",
            false,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1234567890abcdef\r\n",
            false,
        ),
    ] {
        let (framing, result) = read(stream.as_bytes());
        let violation = result.expect_err(stream);
        assert_eq!(violation.in_head, in_head, "{stream:?}");
        assert_eq!(framing.ended(), 0, "{stream:?}");
    }
}

proptest! {
    #[test]
    fn it_does_not_matter_how_the_bytes_are_cut(cuts in proptest::collection::vec(1_usize..9, 0..80)) {
        let stream = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd";
        let mut framing = Framing::default();
        let mut rest = &stream[..];
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            prop_assert_eq!(framing.feed(piece), Ok(()));
            rest = after;
        }
        prop_assert_eq!(framing.feed(rest), Ok(()));
        prop_assert_eq!(framing.ended(), 2);
        prop_assert_eq!(framing.phase(), Phase::Between);
    }

    #[test]
    fn no_bytes_make_it_panic_or_point_outside(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let (_, Err(violation)) = read(&bytes) {
            prop_assert!(violation.at < bytes.len());
        }
    }
}
