//! Frames of a websocket (RFC 6455, 5.2): as much of them as one must read to
//! know where one ends.
//!
//! Pure: bytes in, meaning out. What a frame carries is nobody's business here.

/// A Close frame.
pub(super) const CLOSE: u8 = 8;

/// What stands before a frame's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The last frame of its message.
    pub(super) last: bool,
    /// A bit is set that only an extension gives a meaning.
    pub(super) extended: bool,
    /// What kind of frame it is.
    pub(super) opcode: u8,
    /// What its payload is masked with.
    pub(super) mask: Option<[u8; 4]>,
    /// Bytes of its payload, up to 2^64 - 1: whoever sent it may say anything.
    pub(super) payload: u64,
    /// Bytes of the head itself, 2 to 14.
    pub(super) bytes: usize,
}

impl Head {
    /// Reads a head. None: it is not whole yet; 14 bytes always are.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let [first, second, rest @ ..] = bytes else {
            return None;
        };
        let (payload, rest) = match second & 0x7f {
            126 => {
                let (length, rest) = rest.split_first_chunk()?;
                (u64::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk()?;
                (u64::from_be_bytes(*length), rest)
            }
            length => (u64::from(length), rest),
        };
        let (mask, rest) = if second & 0x80 == 0 {
            (None, rest)
        } else {
            let (mask, rest) = rest.split_first_chunk()?;
            (Some(*mask), rest)
        };
        Some(Self {
            last: first & 0x80 != 0,
            extended: first & 0x70 != 0,
            opcode: first & 0x0f,
            mask,
            payload,
            bytes: bytes.len() - rest.len(),
        })
    }

    /// May it stand between the frames of a message?
    pub(super) const fn is_control(&self) -> bool {
        self.opcode & 0x8 != 0
    }
}

/// A Close frame with this code. A client's is masked, a server's is not.
pub(super) fn close(code: u16, mask: Option<[u8; 4]>) -> Vec<u8> {
    let [high, low] = code.to_be_bytes();
    match mask {
        None => vec![0x80 | CLOSE, 2, high, low],
        Some([a, b, c, d]) => vec![0x80 | CLOSE, 0x82, a, b, c, d, high ^ a, low ^ b],
    }
}

/// Watches one direction of a stream for where its frames end, so that a frame of
/// our own is never put into the middle of another.
#[derive(Debug, Default)]
pub(super) struct Seam {
    /// A head that is not whole yet; at most 13 bytes.
    partial: Vec<u8>,
    /// Bytes of the present frame's payload that are still to come.
    left: u64,
    closed: bool,
}

impl Seam {
    /// These bytes have passed.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        loop {
            let skipped =
                usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
            self.left -= skipped as u64;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let Some((first, rest)) = bytes.split_first() else {
                return;
            };
            if self.partial.is_empty()
                && let Some(head) = Head::read(bytes)
            {
                self.begin(head);
                bytes = bytes.get(head.bytes..).unwrap_or_default();
                continue;
            }
            // A head cut in two; this is rare.
            self.partial.push(*first);
            bytes = rest;
            if let Some(head) = Head::read(&self.partial) {
                self.partial.clear();
                self.begin(head);
            }
        }
    }

    /// Can another frame be put here? Not after a Close, which is the last.
    pub(super) fn is_open(&self) -> bool {
        self.left == 0 && self.partial.is_empty() && !self.closed
    }

    fn begin(&mut self, head: Head) {
        self.left = head.payload;
        self.closed |= head.opcode == CLOSE;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame with a payload of so many bytes.
    fn frame(opcode: u8, payload: usize, masked: bool) -> Vec<u8> {
        let mut bytes = vec![0x80 | opcode];
        let mask = if masked { 0x80 } else { 0 };
        match payload {
            0..126 => bytes.push(mask | payload as u8),
            126..65536 => {
                bytes.push(mask | 126);
                bytes.extend_from_slice(&(payload as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask | 127);
                bytes.extend_from_slice(&(payload as u64).to_be_bytes());
            }
        }
        if masked {
            bytes.extend_from_slice(&[1, 2, 3, 4]);
        }
        bytes.resize(bytes.len() + payload, b'x');
        bytes
    }

    #[test]
    fn a_head_says_where_its_frame_ends_in_all_three_lengths() {
        for (payload, masked, bytes) in [
            (0, false, 2),
            (125, true, 6),
            (126, false, 4),
            (65_535, true, 8),
            (65_536, false, 10),
            (70_000, true, 14),
        ] {
            let frame = frame(1, payload, masked);
            let head = Head::read(&frame).unwrap();
            assert_eq!((head.payload, head.bytes), (payload as u64, bytes));
            assert_eq!(head.mask.is_some(), masked);
            assert!(head.last && !head.extended && !head.is_control());
            assert_eq!(Head::read(&frame[..bytes]), Some(head));
            assert_eq!(Head::read(&frame[..bytes - 1]), None, "{payload}");
        }
    }

    #[test]
    fn the_longest_length_that_can_be_said_is_only_a_number() {
        let bytes = [0x82, 0x7f, 255, 255, 255, 255, 255, 255, 255, 255];
        assert_eq!(Head::read(&bytes).unwrap().payload, u64::MAX);
        let mut seam = Seam::default();
        seam.pass(&bytes);
        seam.pass(&[0; 100]);
        assert!(!seam.is_open());
    }

    #[test]
    fn a_close_frame_of_ours_can_be_read_by_ourselves() {
        for mask in [None, Some([9, 8, 7, 6])] {
            let bytes = close(1001, mask);
            let head = Head::read(&bytes).unwrap();
            assert_eq!((head.opcode, head.payload, head.mask), (CLOSE, 2, mask));
            assert_eq!(bytes.len(), head.bytes + 2);
            let mut seam = Seam::default();
            assert!(seam.is_open());
            seam.pass(&bytes);
            assert!(!seam.is_open(), "nothing follows a Close");
        }
    }

    proptest! {
        #[test]
        fn a_seam_is_found_however_the_bytes_are_cut(
            payloads in proptest::collection::vec((0_usize..400, any::<bool>()), 1..6),
            cut in 1_usize..50,
        ) {
            let stream: Vec<u8> = payloads
                .iter()
                .flat_map(|&(payload, masked)| frame(2, payload, masked))
                .collect();
            let mut seam = Seam::default();
            for piece in stream.chunks(cut) {
                seam.pass(piece);
            }
            prop_assert!(seam.is_open());
            seam.pass(&stream[..1]);
            prop_assert!(!seam.is_open());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 1_usize..20) {
            let mut seam = Seam::default();
            for piece in bytes.chunks(cut) {
                seam.pass(piece);
            }
            prop_assert!(Head::read(&bytes).is_none_or(|head| head.bytes <= bytes.len()));
        }
    }
}
