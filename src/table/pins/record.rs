//! One pin as forty-eight bytes.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use crate::calls::{Call, Flags, Moment, Pin};
use crate::model::{Backend, CallKey, TenantKey, Tick, Wall};
use crate::split::Because;

/// Bytes of a record.
pub(super) const SIZE: usize = 48;
/// Bytes of the header.
pub(super) const HEADER: usize = 16;

const BODY: usize = SIZE - 8;
const MAGIC: [u8; 8] = *b"swpins\0\x01";
const CALL: u8 = 1;
const ALIAS: u8 = 2;
const OVER: u8 = 2;

/// A pin that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinRecord {
    pub(in crate::table) key: CallKey,
    pub(in crate::table) kept: Kept,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::table) enum Kept {
    Call(Pin),
    Alias { of: CallKey, seen: Moment },
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

    pub(in crate::table) const fn alias(key: CallKey, of: CallKey, seen: Moment) -> Self {
        Self {
            key,
            kept: Kept::Alias { of, seen },
        }
    }

    pub(super) fn encode(&self, epoch: Epoch, into: &mut Vec<u8>) {
        let begin = into.len();
        let (head, generation, word, began, seen) = match self.kept {
            Kept::Call(pin) => (
                [
                    CALL,
                    pin.flags.bits(),
                    pin.backend as u8 | if pin.ended { OVER } else { 0 },
                    code(pin.because),
                ],
                pin.generation,
                pin.tenant.0,
                pin.began,
                pin.seen,
            ),
            Kept::Alias { of, seen } => ([ALIAS, 0, 0, 0], 0, of.0, seen, seen),
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
                flags: Flags::from_bits(flags)?,
                backend: *Backend::ALL.get(usize::from(state & !OVER))?,
                because: *Because::ALL.get(usize::from(because))?,
            }),
            ALIAS => Kept::Alias {
                of: CallKey(word(bytes, 16)),
                seen,
            },
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
    u8::try_from(place.expect("Because::ALL names every reason")).expect("there are thirteen")
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
        let alias = PinRecord::alias(CallKey(1), CallKey(2), Tick::from_secs(9_999).into());
        for record in [record(), alias] {
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
                Kept::Alias { .. } => panic!("it is a call"),
            }
        };
        assert_eq!(seen(0), Duration::from_secs(1000));
        assert_eq!(seen(7_200_000), Duration::from_secs(8200));
        assert_eq!(seen(-7_200_000), Duration::ZERO, "the future reads as now");
    }
}
