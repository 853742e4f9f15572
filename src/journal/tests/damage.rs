//! Journals that were cut, flipped or shuffled: what is seen, and what is left of them.

use super::*;
use crate::rollout::Phase;

#[test]
fn a_journal_cut_anywhere_in_its_last_three_lines_ends_with_a_whole_line() {
    let entries = story();
    let whole = bytes_of(&entries);
    let from = bytes_of(&entries[..entries.len() - 3]).len();
    for len in from..=whole.len() {
        let cut = &whole[..len];
        let found = read::scan(cut);
        assert_eq!(found.damage, None, "{len} bytes");
        assert_eq!(found.entries, entries[..found.entries.len()]);
        let lines = cut.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(found.entries.len(), lines);
        if len % 97 == 0 {
            let dir = dir_with(cut);
            let opened = open_at(&dir);
            assert_eq!(opened.latched, None);
            assert_eq!(opened.entries, found.entries);
            let torn = len as u64 > found.good;
            assert_eq!(opened.notes.len(), usize::from(torn), "{:?}", opened.notes);
            drop(opened);
            let again = open_at(&dir);
            assert!(again.notes.is_empty(), "it is cut once");
        }
    }
}

#[test]
fn after_a_torn_line_the_next_one_continues_the_chain() {
    let entries = story();
    let whole = bytes_of(&entries);
    let dir = dir_with(&whole[..whole.len() - 9]);
    let handle = open_at(&dir).keeper.spawn(|_| {}).unwrap();
    handle
        .send(Job::Record(Box::new(entries.last().unwrap().clone())))
        .unwrap();
    assert!(handle.close(Duration::from_secs(30)));
    assert_eq!(fs::read(dir.path().join(JOURNAL)).unwrap(), whole);
}

#[test]
fn zeros_after_the_last_line_are_a_torn_line() {
    let entries = story();
    let mut bytes = bytes_of(&entries);
    bytes.extend([0; 300]);
    let opened = open_at(&dir_with(&bytes));
    assert_eq!((opened.entries, opened.latched), (entries, None));
}

#[test]
fn five_hundred_flipped_bits_are_seen_or_harmless() {
    let entries = story();
    let whole = bytes_of(&entries);
    let state = Rollout::fold(&entries);
    // SplitMix64 with a fixed seed: the same 500 bits every time.
    let mut seed = 2026_u64;
    let mut next = || {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from(z >> 33).unwrap()
    };
    let last = whole.len() * 8 - 8;
    for nth in 0..508 {
        // The last eight are the bits of the last line break.
        let bit = if nth < 500 {
            next() % (whole.len() * 8)
        } else {
            last + nth - 500
        };
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let found = read::scan(&bytes);
        let equal = Rollout::fold(&found.entries) == state;
        assert!(found.damage.is_some() || equal, "bit {bit}");
        if nth % 50 == 0 && found.damage.is_some() {
            let dir = dir_with(&bytes);
            let opened = open_at(&dir);
            assert!(opened.latched.is_some());
            let rollout = Rollout::fold(&opened.entries);
            assert_eq!(
                (rollout.phase(), rollout.percentage()),
                (Phase::Reversed, percent(0))
            );
            assert!(rollout.generation() > state.generation());
            drop(opened);
            let again = open_at(&dir);
            assert_eq!(Rollout::fold(&again.entries), rollout, "and it stays so");
        }
    }
}

#[test]
fn a_line_lost_or_swapped_inside_the_file_is_damage() {
    let bytes = bytes_of(&story());
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let mut swapped = lines.clone();
    swapped.swap(2, 3);
    for changed in [
        lines[1..].concat(),
        [&lines[..2], &lines[3..]].concat().concat(),
        swapped.concat(),
    ] {
        assert!(read::scan(&changed).damage.is_some());
    }
}

#[test]
fn a_damaged_journal_is_kept_named_and_latched() {
    let entries = story();
    let mut bytes = bytes_of(&entries);
    let middle = bytes_of(&entries[..6]).len() + 40;
    bytes[middle] ^= 1;
    let dir = dir_with(&bytes);
    let opened = open_at(&dir);
    assert_eq!(opened.entries.len(), 1);
    let Action::JournalDamaged { set_aside } = &opened.entries[0].action else {
        panic!("{:?}", opened.entries[0]);
    };
    assert_eq!(set_aside, "journal.jsonl.damaged-20260921T141320000Z");
    assert_eq!(fs::read(dir.path().join(set_aside)).unwrap(), bytes);
    assert!(opened.latched.unwrap().contains("line 7"));
    let rollout = Rollout::fold(&opened.entries);
    assert_eq!(
        rollout.tenants().collect::<Vec<_>>(),
        [("omni", List::Disabled), ("zeta", List::Disabled)],
        "what is known to be disabled stays so"
    );
}
