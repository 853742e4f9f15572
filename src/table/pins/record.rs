//! One pin as forty-eight bytes.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use crate::calls::{Call, Flags, Moment, Pin};
use crate::model::{Backend, CallKey, TenantKey, Tick, Wall};
use crate::split::Because;
use crate::table::Alias;

/// Bytes of a record.
pub(super) const SIZE: usize = 48;
/// Bytes of the header.
pub(super) const HEADER: usize = 16;

const BODY: usize = SIZE - 8;
const MAGIC: [u8; 8] = *b"swpins\0\x01";
const CALL: u8 = 1;
const ALIAS: u8 = 2;
const OVER: u8 = 2;
/// Bits of the third byte that are not flags.
const STATE_BITS: u32 = 2;
const STATE: u8 = (1 << STATE_BITS) - 1;
/// Of an alias: it names the leg its call began with.
const ROOT: u8 = 1;

/// A pin that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinRecord {
    pub(in crate::table) key: CallKey,
    pub(in crate::table) kept: Kept,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::table) enum Kept {
    Call(Pin),
    Alias(Alias),
}

/// One moment on both clocks: how ticks become dates and dates ticks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// By the monotonic clock.
    pub tick: Tick,
    /// By the calendar.
    pub wall: Wall,
}

impl Epoch {
    fn date(self, moment: Moment) -> i64 {
        let age = Moment::from(self.tick).since(moment).as_millis();
        self.wall
            .0
            .saturating_sub_unsigned(u64::try_from(age).unwrap_or(u64::MAX))
    }

    /// A date in the future, left by a calendar that was set back, reads as now.
    fn moment(self, date: i64) -> Moment {
        let age = u64::try_from(self.wall.0.saturating_sub(date)).unwrap_or(0);
        Moment::from(self.tick).before(Duration::from_millis(age))
    }
}

impl PinRecord {
    pub(in crate::table) fn call(key: CallKey, call: &Call) -> Self {
        Self {
            key,
            kept: Kept::Call(call.pin()),
        }
    }

    pub(in crate::table) const fn alias(key: CallKey, alias: Alias) -> Self {
        Self {
            key,
            kept: Kept::Alias(alias),
        }
    }

    pub(super) fn encode(&self, epoch: Epoch, into: &mut Vec<u8>) {
        let begin = into.len();
        let (head, generation, word, began, seen) = match self.kept {
            Kept::Call(pin) => (
                {
                    let [flags, more] = pin.flags.bits().to_le_bytes();
                    let over = if pin.ended { OVER } else { 0 };
                    let state = pin.backend as u8 | over | more << STATE_BITS;
                    [CALL, flags, state, code(pin.because)]
                },
                pin.generation,
                pin.tenant.0,
                pin.began,
                pin.seen,
            ),
            Kept::Alias(Alias { of, seen, root }) => {
                let flags = if root { ROOT } else { 0 };
                ([ALIAS, flags, 0, 0], 0, of.0, seen, seen)
            }
        };
        into.extend(head);
        into.extend(generation.to_le_bytes());
        into.extend(self.key.0.to_le_bytes());
        into.extend(word.to_le_bytes());
        into.extend(epoch.date(began).to_le_bytes());
        into.extend(epoch.date(seen).to_le_bytes());
        let check = xxh3_64(into.get(begin..).unwrap_or_default());
        into.extend(check.to_le_bytes());
    }

    /// None: the checksum is wrong, or a newer version wrote what this one does
    /// not know.
    pub(super) fn decode(bytes: &[u8; SIZE], epoch: Epoch) -> Option<Self> {
        let (body, check) = bytes.split_at(BODY);
        if xxh3_64(body).to_le_bytes() != *check {
            return None;
        }
        let [kind, flags, state, because, ..] = *bytes;
        let key = CallKey(word(bytes, 8));
        let began = epoch.moment(word(bytes, 24).cast_signed());
        let seen = epoch.moment(word(bytes, 32).cast_signed());
        let kept = match kind {
            CALL => Kept::Call(Pin {
                tenant: TenantKey(word(bytes, 16)),
                generation: u32::from_le_bytes(take(bytes, 4)),
                began,
                seen,
                ended: state & OVER != 0,
                flags: Flags::from_bits(u16::from_le_bytes([flags, state >> STATE_BITS]))?,
                backend: *Backend::ALL.get(usize::from(state & !OVER & STATE))?,
                because: *Because::ALL.get(usize::from(because))?,
            }),
            ALIAS if flags & !ROOT == 0 => Kept::Alias(Alias {
                of: CallKey(word(bytes, 16)),
                seen,
                root: flags & ROOT != 0,
            }),
            _ => return None,
        };
        Some(Self { key, kept })
    }
}

/// The header of a file of pins made under that seed.
pub(super) fn header(seed: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let (magic, mark) = header.split_at_mut(MAGIC.len());
    magic.copy_from_slice(&MAGIC);
    mark.copy_from_slice(&xxh3_64(&seed.to_le_bytes()).to_le_bytes());
    header
}

fn code(because: Because) -> u8 {
    let place = Because::ALL.iter().position(|known| *known == because);
    u8::try_from(place.expect("Because::ALL names every reason")).expect("there are few")
}

fn word(bytes: &[u8; SIZE], at: usize) -> u64 {
    u64::from_le_bytes(take(bytes, at))
}

fn take<const N: usize>(bytes: &[u8; SIZE], at: usize) -> [u8; N] {
    bytes
        .get(at..at + N)
        .and_then(|slice| slice.try_into().ok())
        .expect("every field lies within the record")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split::Placement;

    const EPOCH: Epoch = Epoch {
        tick: Tick::from_secs(10_000),
        wall: Wall(1_800_000_000_000),
    };

    fn record() -> PinRecord {
        let placement = Placement {
            backend: Backend::New,
            because: Because::Hashed,
        };
        let call = Call::placed(placement, Flags::STARTED, 7, Tick::from_secs(9_000));
        PinRecord::call(CallKey(0x0102_0304_0506_0708), &call)
    }

    /// A call of which everything is known that can be.
    fn everything() -> PinRecord {
        let placement = Placement {
            backend: Backend::New,
            because: Because::Token,
        };
        let flags = Flags::from_bits((1 << 12) - 1).unwrap();
        let call = Call::placed(placement, flags, 7, Tick::from_secs(9_000));
        PinRecord::call(CallKey(5), &call)
    }

    fn bytes_of(record: &PinRecord) -> [u8; SIZE] {
        let mut bytes = Vec::new();
        record.encode(EPOCH, &mut bytes);
        bytes.try_into().unwrap()
    }

    #[test]
    fn the_format_is_frozen() {
        let bytes = bytes_of(&record());
        let began = 1_799_999_000_000_i64.to_le_bytes();
        assert_eq!(bytes[..8], [1, 2, 1, 7, 7, 0, 0, 0]);
        assert_eq!(bytes[8..16], [8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(bytes[16..24], [0; 8]);
        assert_eq!((&bytes[24..32], &bytes[32..40]), (&began[..], &began[..]));
        assert_eq!(header(1)[..8], *b"swpins\0\x01");
    }

    #[test]
    fn a_record_comes_back_and_a_damaged_one_does_not() {
        let alias = |root| {
            let alias = Alias {
                of: CallKey(2),
                seen: Tick::from_secs(9_999).into(),
                root,
            };
            PinRecord::alias(CallKey(1), alias)
        };
        for record in [record(), everything(), alias(false), alias(true)] {
            let bytes = bytes_of(&record);
            assert_eq!(PinRecord::decode(&bytes, EPOCH), Some(record));
            for at in 0..SIZE {
                let mut damaged = bytes;
                damaged[at] ^= 0x10;
                assert_eq!(PinRecord::decode(&damaged, EPOCH), None, "byte {at}");
            }
        }
        assert_eq!(PinRecord::decode(&[0; SIZE], EPOCH), None);
    }

    // The file of the version before: one byte of flags, and thirteen reasons. A call
    // begun a thousand seconds ago and over since, and another id of it.
    #[test]
    fn what_the_version_before_wrote_is_still_read() {
        let date = 1_799_999_000_000_i64.to_le_bytes();
        let old = |head: [u8; 4], word: u64| {
            let mut bytes = head.to_vec();
            bytes.extend(3_u32.to_le_bytes());
            bytes.extend(9_u64.to_le_bytes());
            bytes.extend(word.to_le_bytes());
            bytes.extend([date, date].concat());
            bytes.extend(xxh3_64(&bytes).to_le_bytes());
            let bytes: [u8; SIZE] = bytes.try_into().unwrap();
            PinRecord::decode(&bytes, EPOCH).map(|record| record.kept)
        };
        // A leg on its way out, provisional, started, served and ending: every flag.
        let Some(Kept::Call(pin)) = old([1, 0b11_1111, 3, 12], 77) else {
            panic!("it is a call");
        };
        assert_eq!((pin.backend, pin.ended), (Backend::New, true));
        assert_eq!(pin.because, Because::Unrecognized, "the last one then");
        assert_eq!((pin.flags.bits(), pin.generation), (0b11_1111, 3));
        assert_eq!(pin.tenant, TenantKey(77));
        let alias = Alias {
            of: CallKey(77),
            seen: Tick::from_secs(9_000).into(),
            root: false,
        };
        assert_eq!(old([2, 0, 0, 0], 77), Some(Kept::Alias(alias)));
    }

    #[test]
    fn what_a_later_version_wrote_is_refused() {
        let refused = |record: PinRecord, at: usize, bit: u8| {
            let mut bytes = bytes_of(&record);
            bytes[at] ^= bit;
            let check = xxh3_64(&bytes[..BODY]).to_le_bytes();
            bytes[BODY..].copy_from_slice(&check);
            PinRecord::decode(&bytes, EPOCH).is_none()
        };
        let alias = Alias {
            of: CallKey(2),
            seen: Tick::from_secs(9_000).into(),
            root: false,
        };
        assert!(refused(record(), 3, 1 << 5), "another reason");
        assert!(refused(record(), 0, 1 << 4), "another kind");
        assert!(refused(PinRecord::alias(CallKey(1), alias), 1, 1 << 1));
    }

    #[test]
    fn every_reason_has_its_code() {
        for because in Because::ALL {
            assert_eq!(Because::ALL[usize::from(code(because))], because);
        }
    }

    #[test]
    fn a_restart_keeps_ages_and_a_calendar_set_back_makes_nobody_young() {
        let bytes = bytes_of(&record());
        let seen = |wall_later_ms: i64| {
            let epoch = Epoch {
                tick: Tick::from_secs(3600),
                wall: Wall(EPOCH.wall.0 + wall_later_ms),
            };
            match PinRecord::decode(&bytes, epoch).unwrap().kept {
                Kept::Call(pin) => Moment::from(epoch.tick).since(pin.seen),
                Kept::Alias(_) => panic!("it is a call"),
            }
        };
        assert_eq!(seen(0), Duration::from_secs(1000));
        assert_eq!(seen(7_200_000), Duration::from_secs(8200));
        assert_eq!(seen(-7_200_000), Duration::ZERO, "the future reads as now");
    }
}
