use proptest::prelude::*;

use super::*;

fn read(bytes: &Bytes, method: &Method) -> Result<Read, Malformed> {
    super::read(bytes, method, false)
}

fn head(text: &str, method: Method) -> Head {
    match read(&Bytes::copy_from_slice(text.as_bytes()), &method) {
        Ok(Read::Head(head)) => head,
        other => panic!("{text:?} gave {other:?}"),
    }
}

#[test]
fn where_an_answer_ends_is_read_from_its_head() {
    for (text, method, framing, reusable) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            Method::GET,
            Framing::Length(5),
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            Method::HEAD,
            Framing::Length(0),
            true,
        ),
        (
            "HTTP/1.1 204 No Content\r\n\r\n",
            Method::GET,
            Framing::Length(0),
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\n",
            Method::GET,
            Framing::Close,
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            Method::GET,
            Framing::Chunked,
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
            Method::GET,
            Framing::Chunked,
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: Close\r\n\r\n",
            Method::GET,
            Framing::Length(5),
            false,
        ),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
            Method::GET,
            Framing::Length(5),
            false,
        ),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n",
            Method::GET,
            Framing::Length(5),
            true,
        ),
    ] {
        let head = head(text, method);
        assert_eq!(head.framing, framing, "{text:?}");
        assert_eq!(head.reusable, reusable, "{text:?}");
        assert_eq!(head.bytes, text.len());
    }
}

#[test]
fn headers_of_one_hop_stay_on_it() {
    let head = head(
        "HTTP/1.1 200 OK\r\nConnection: x-own\r\nX-Own: 1\r\nKeep-Alive: 5\r\nX-Kept: 2\r\nContent-Length: 0\r\n\r\n",
        Method::GET,
    );
    let names: Vec<_> = head.headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["x-kept"]);
}

#[test]
fn what_is_no_answer_is_the_backend_s_failure() {
    for text in [
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\x00c\r\n\r\n",
    ] {
        assert!(
            read(&Bytes::copy_from_slice(text.as_bytes()), &Method::GET).is_err(),
            "{text:?}"
        );
    }
    assert!(matches!(
        read(&Bytes::from_static(b"HTTP/1.1 20"), &Method::GET),
        Ok(Read::Partial)
    ));
    assert!(matches!(
        read(
            &Bytes::from_static(b"HTTP/1.1 100 Continue\r\n\r\nHTTP"),
            &Method::GET
        ),
        Ok(Read::Interim(25))
    ));
}

#[test]
fn only_who_asked_for_an_upgrade_may_be_given_one() {
    let text = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n";
    let bytes = Bytes::from([text.as_bytes(), b"\x81\x02hi"].concat());
    assert!(read(&bytes, &Method::GET).is_err());
    let Ok(Read::Head(head)) = super::read(&bytes, &Method::GET, true) else {
        panic!("it was asked for");
    };
    assert_eq!((head.status.as_u16(), head.bytes), (101, text.len()));
    assert_eq!((head.framing, head.reusable), (Framing::Length(0), false));
    let early = Bytes::from_static(b"HTTP/1.1 100 Continue\r\n\r\n");
    assert!(matches!(
        super::read(&early, &Method::GET, true),
        Ok(Read::Interim(25))
    ));
}

#[test]
fn chunks_with_a_wrong_size_are_malformed() {
    for text in ["x\r\n", "\r\n", "3\r\nabcd\r\n", "1234567890abcdef\r\n"] {
        let mut decoder = Decoder::new(Framing::Chunked);
        assert!(
            decoder.decode(text.as_bytes(), &mut Vec::new()).is_err(),
            "{text:?}"
        );
    }
}

proptest! {
    #[test]
    fn a_chunked_body_is_the_same_however_it_arrives(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6),
        cut in 1_usize..20,
    ) {
        let mut wire = Vec::new();
        for chunk in &chunks {
            wire.extend_from_slice(format!("{:x};e=1\r\n", chunk.len()).as_bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\nTrailer: x\r\n\r\n");
        let mut decoder = Decoder::new(Framing::Chunked);
        let mut out = Vec::new();
        for piece in wire.chunks(cut) {
            prop_assert_eq!(decoder.decode(piece, &mut out), Ok(piece.len()));
        }
        prop_assert!(decoder.done());
        prop_assert_eq!(out, chunks.concat());
        prop_assert_eq!(decoder.decode(b"HTTP", &mut Vec::new()), Ok(0), "the next answer is not ours");
    }

    #[test]
    fn no_answer_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        drop(read(&Bytes::copy_from_slice(&bytes), &Method::GET));
        let used = Decoder::new(Framing::Chunked).decode(&bytes, &mut Vec::new());
        prop_assert!(used.is_err() || used.is_ok_and(|used| used <= bytes.len()));
    }
}
