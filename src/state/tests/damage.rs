//! Ledgers that something happened to: each opens, and shows what was written or nothing.

use std::os::unix::fs::FileExt;

use super::original::{NUMBER, original};
use super::*;

/// Damage of one kind, and what kind it is.
fn damage(random: &mut fastrand::Rng, kind: u64, bytes: &mut Vec<u8>) -> &'static str {
    let whole = bytes.len();
    let used: Vec<usize> = (0..whole).filter(|at| bytes[*at] != 0).collect();
    let start = used[random.usize(..used.len())];
    let end = (start + random.usize(1..6000)).min(whole);
    match kind {
        0 => {
            bytes[start] ^= 1 << random.u8(..8);
            "a bit of what is used"
        }
        1 => {
            bytes[random.usize(..whole)] ^= 1 << random.u8(..8);
            "any bit"
        }
        2 => {
            bytes[random.usize(..320)] ^= 1 << random.u8(..8);
            "a bit of the header"
        }
        3 => {
            bytes.truncate(random.usize(1..whole));
            "truncated"
        }
        4 => {
            bytes.truncate(random.usize(1..whole) / 4096 * 4096 + 4096);
            bytes.truncate(whole - 4096);
            "truncated by pages"
        }
        5 => {
            bytes[start..end].fill(0);
            "zeroes"
        }
        6 => {
            bytes[start..end].fill_with(|| random.u8(..));
            "noise"
        }
        7 => {
            let page = start / 4096 * 4096;
            let other = used[random.usize(..used.len())] / 4096 * 4096;
            bytes.copy_within(other..other + 4096, page);
            bytes[page] ^= u8::from(other == page);
            "a page in place of another"
        }
        _ => {
            bytes.extend((0..random.usize(1..9000)).map(|_| random.u8(..)));
            "more at the end"
        }
    }
}

#[test]
fn three_hundred_damaged_ledgers_show_everything_or_nothing() {
    let original = original(1);
    let mut aside = 0;
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let whole = if random.bool() {
            &original.stopped
        } else {
            &original.killed
        };
        let mut bytes = whole.clone();
        let what = damage(&mut random, seed % 9, &mut bytes);
        assert_ne!(&bytes, whole, "seed {seed}: {what}");
        original.write(&bytes);
        aside += u32::from(original.opens_empty(&format!("seed {seed}: {what}")));
    }
    assert!((150..300).contains(&aside), "{aside} were put aside");
}

#[test]
fn what_is_whole_is_not_put_aside() {
    let original = original(1);
    for whole in [&original.stopped, &original.killed] {
        original.write(whole);
        assert!(!original.opens_empty("whole"));
    }
}

#[test]
fn damage_under_a_running_daemon_is_an_error_and_not_its_end() {
    let ours = original(1);
    let mut failed = 0;
    for seed in 0..6 {
        ours.write(&ours.stopped);
        let state = State::open(&ours.path).unwrap();
        let file = fs::File::options()
            .write(true)
            .open(ours.path.join("ledger.redb"))
            .unwrap();
        let mut noise = vec![0; ours.stopped.len() - 4096];
        fastrand::Rng::with_seed(seed).fill(&mut noise);
        file.write_all_at(&noise, 4096).unwrap();
        for number in 0..NUMBER {
            let change = Remember::Read(format!("read-{number}"), Some(vec![9; 300]));
            failed += u32::from(state.remember(vec![change]).is_err());
        }
        drop(state);
        State::open(&ours.path).unwrap();
    }
    assert!(failed > 0);
}
