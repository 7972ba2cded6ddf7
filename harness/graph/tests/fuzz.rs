//! Real dumps, mutated: whatever is done to one, its importer survives it, and loses nothing
//! silently.
//!
//! ```sh
//! HARNESS_FUZZ_DUMPS=DIRECTORY cargo test --release -p graph --test fuzz -- --ignored --nocapture
//! ```
//!
//! takes the dumps of a directory, whose format their first bytes tell; `HARNESS_FUZZ_FILES` is how
//! many files are made of them, 100,000 unless given, and `HARNESS_FUZZ_SEED` where to begin. What
//! fails is written into the directory for temporary files, as `fuzz-SEED-NUMBER`. In every other
//! run a few files are made of the small dumps of [`second::SMALL`].
//!
//! Of each file is checked:
//!
//! 1. The importer returns: no panic, no overflow.
//! 2. At no moment does it hold more than [`HELD`] times the file's bytes and [`FIXED`] more.
//! 3. The graph is whole: references and roots lead to objects that it has.
//! 4. Nothing is lost silently. It refuses the file, or finds no object in it; or tells that the
//!    dump is damaged; or else a second reader, which is written from the format's description
//!    alone and gives up at the first thing that is not as it should be, reads the file to its end,
//!    and the two agree in the objects, the references, the roots, and how many references and
//!    roots lead to objects that are not there, as the importer tells them.
//!
//! A change that makes another valid dump of a dump (a reference that leads elsewhere, a byte of a
//! string) can be told by nobody; the two readers then agree in what it says now. Of Graphviz the
//! second reader knows but a line for each node and edge; what it gives up on is not judged, and
//! counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Cursor;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use graph::{Format, ImportError, Imported, import_from};

mod second;

use second::Tally;

/// Bytes that an importer may hold for each byte of a file: a line of four bytes of Graphviz names
/// a node, which takes a place in a table and one in a list.
const HELD: usize = 64;
/// And beside that: buffers; and of Graphviz as many references between groups as are always
/// allowed.
const FIXED: usize = 48 << 20;

/// What is held for any file; only for what is printed.
const BUFFERS: usize = 2 << 20;

/// The system's memory, counted.
struct Counting;

static HELD_NOW: AtomicUsize = AtomicUsize::new(0);
static HELD_MOST: AtomicUsize = AtomicUsize::new(0);

fn grown(bytes: usize) {
    let held = HELD_NOW.fetch_add(bytes, Relaxed) + bytes;
    HELD_MOST.fetch_max(held, Relaxed);
}

// SAFETY: all memory is the system's, whose own promises these are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: what the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD_NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: what the caller promises: `pointer` is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both may be there for a moment.
        grown(size);
        HELD_NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: what the caller promises: `pointer` is the system's.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static MEMORY: Counting = Counting;

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// A length: short ones as often as long ones.
    fn length(&mut self, most: usize) -> usize {
        let power = self.below(usize::BITS as usize - most.leading_zeros() as usize + 1);
        self.below((1 << power).min(most) + 1)
    }
}

const WAYS: [&str; 8] = [
    "flip",
    "set",
    "cut",
    "remove",
    "duplicate",
    "splice",
    "length",
    "insert",
];

/// Changes a dump in one way; `other` is one to take parts of.
fn mutate(dump: &mut Vec<u8>, other: &[u8], text: bool, random: &mut Random) -> usize {
    let way = random.below(WAYS.len());
    if dump.is_empty() {
        return way;
    }
    let at = random.below(dump.len());
    match WAYS[way] {
        "flip" => dump[at] ^= 1 << random.below(8),
        "set" => dump[at] = random.next() as u8,
        "cut" => dump.truncate(at),
        "remove" => {
            let end = at + random.length(dump.len() - at);
            dump.drain(at..end);
        }
        "duplicate" => {
            let end = at + random.length(dump.len() - at);
            let part = dump[at..end].to_vec();
            let to = random.below(dump.len() + 1);
            dump.splice(to..to, part);
        }
        "splice" => {
            let from = random.below(other.len());
            let end = from + random.length(other.len() - from);
            let over = at + random.length(dump.len() - at);
            dump.splice(at..over, other[from..end].iter().copied());
        }
        "length" if text => {
            // The number at or behind this place becomes another.
            let Some(begin) = dump[at..].iter().position(u8::is_ascii_digit) else {
                return way;
            };
            let begin = at + begin;
            let digits = dump[begin..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit());
            let end = begin + digits.count();
            let numbers = [
                "0",
                "1",
                "-1",
                "2147483647",
                "4294967295",
                "4294967296",
                "1.5",
                "1e300",
                "18446744073709551615",
                "18446744073709551616",
                "99999999999999999999999",
                "null",
            ];
            let number = numbers[random.below(numbers.len())];
            dump.splice(begin..end, number.bytes());
        }
        "length" => {
            let numbers = [
                0,
                1,
                2,
                0x7fff_ffff,
                0x8000_0000,
                u32::MAX,
                dump.len() as u32,
            ];
            let number = match random.below(numbers.len() + 1) {
                index if index < numbers.len() => numbers[index],
                _ => random.next() as u32,
            };
            let number = number.to_be_bytes();
            let width = [1, 2, 4][random.below(3)].min(dump.len() - at);
            dump[at..at + width].copy_from_slice(&number[4 - width..]);
        }
        _ => {
            let byte = random.next() as u8;
            dump.insert(at, byte);
        }
    }
    way
}

/// How it went with the files of a format.
#[derive(Default, Debug)]
struct Outcomes {
    files: usize,
    refused: usize,
    told: usize,
    agreed: usize,
    unjudged: usize,
    /// The most that was held for a byte of a file, beside [`BUFFERS`].
    held: f64,
}

/// Checks a file, and says what is wrong.
fn check(dump: &[u8], format: Format, outcomes: &mut Outcomes) -> Result<(), String> {
    outcomes.files += 1;
    let before = HELD_NOW.load(Relaxed);
    HELD_MOST.store(before, Relaxed);
    let imported = import_from(Cursor::new(dump), format, &mut |_| true);
    let held = HELD_MOST.load(Relaxed).saturating_sub(before);
    if held > HELD * dump.len() + FIXED {
        return Err(format!("{held} bytes were held for {}", dump.len()));
    }
    let beside = held.saturating_sub(BUFFERS) as f64 / dump.len().max(1) as f64;
    outcomes.held = outcomes.held.max(beside);
    let Imported { graph, losses, .. } = match &imported {
        Ok(imported) => imported,
        Err(ImportError::Malformed(..) | ImportError::TooLarge) => {
            outcomes.refused += 1;
            return Ok(());
        }
        Err(error) => return Err(format!("{error}")),
    };
    for object in 0..graph.objects() {
        if graph
            .of(object)
            .any(|reference| reference.to >= graph.objects())
        {
            return Err("a reference leads to no object".to_owned());
        }
    }
    if graph.objects() == 0 {
        outcomes.refused += 1;
    } else if losses.is_damaged() {
        outcomes.told += 1;
    } else {
        let lost = |words: &str| {
            let losses = losses.iter().filter(|loss| loss.what.starts_with(words));
            losses.map(|loss| loss.count).sum::<u64>() as usize
        };
        let found = Tally {
            objects: graph.objects(),
            references: graph.references(),
            roots: imported
                .as_ref()
                .map_or(0, |imported| match imported.has_roots() {
                    true => imported.graph.roots(),
                    false => 0,
                }),
            unknown_references: lost("references"),
            unknown_roots: lost("roots"),
        };
        match second::read(dump, format) {
            Ok(tally) if tally == found => outcomes.agreed += 1,
            Ok(tally) => return Err(format!("{found:?}, but the second reader has {tally:?}")),
            Err(_) if format == Format::Dot => outcomes.unjudged += 1,
            Err(why) => return Err(format!("{found:?} and no damage told, but {why}")),
        }
    }
    Ok(())
}

fn format_of(dump: &[u8]) -> Option<Format> {
    let text = dump.trim_ascii_start();
    Some(match text {
        _ if text.starts_with(b"JAVA") => Format::Hprof,
        _ if text.starts_with(b"{\"snapshot\"") => Format::V8,
        _ if text.starts_with(b"{") => Format::Lines,
        _ if text.starts_with(b"digraph") => Format::Dot,
        _ => return None,
    })
}

/// Makes so many files of the dumps, each in its turn, and checks them.
fn fuzz(dumps: &[(Format, Vec<u8>)], files: usize, seed: u64) {
    let mut all: Vec<(Format, Outcomes)> = Vec::new();
    let mut failures = Vec::new();
    for (format, dump) in dumps {
        let mut outcomes = Outcomes::default();
        check(dump, *format, &mut outcomes).unwrap();
        assert_eq!(outcomes.agreed, 1, "{}: not a whole dump", format.name());
    }
    for number in 0..files {
        let mut random = Random(seed ^ (number as u64) << 32);
        let (format, dump) = &dumps[number % dumps.len()];
        let (_, other) = &dumps[random.below(dumps.len())];
        let mut mutated = dump.clone();
        let mut ways = Vec::new();
        for _ in 0..=random.below(3) {
            let way = mutate(&mut mutated, other, *format != Format::Hprof, &mut random);
            ways.push(WAYS[way]);
        }
        let at = all.iter().position(|(known, _)| known == format);
        let at = at.unwrap_or_else(|| {
            all.push((*format, Outcomes::default()));
            all.len() - 1
        });
        if let Err(why) = check(&mutated, *format, &mut all[at].1) {
            let path = std::env::temp_dir().join(format!("fuzz-{seed}-{number}"));
            std::fs::write(&path, &mutated).unwrap();
            println!("{}: {}, {ways:?}: {why}", path.display(), format.name());
            failures.push(path);
            assert!(failures.len() < 20, "{failures:?}");
        }
    }
    for (format, outcomes) in &all {
        println!("{:>12}: {outcomes:?}", format.name());
    }
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn small_dumps_are_mutated_and_nothing_is_lost_silently() {
    let dumps = second::SMALL.map(|(format, dump)| (format, dump()));
    fuzz(&dumps, 4000, 1);
}

#[test]
#[ignore = "mutates the dumps of the directory HARNESS_FUZZ_DUMPS"]
fn real_dumps_are_mutated_and_nothing_is_lost_silently() {
    let setting = |name: &str| std::env::var(name).ok();
    let number = |name: &str| setting(name).map(|text| text.parse().expect("it is a number"));
    let directory = setting("HARNESS_FUZZ_DUMPS").expect("HARNESS_FUZZ_DUMPS is a directory");
    let mut dumps = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let dump = std::fs::read(&path).unwrap();
        if let Some(format) = format_of(&dump) {
            println!(
                "{}: {}, {} bytes",
                path.display(),
                format.name(),
                dump.len()
            );
            dumps.push((format, dump));
        }
    }
    let files = number("HARNESS_FUZZ_FILES").unwrap_or(100_000);
    fuzz(
        &dumps,
        files as usize,
        number("HARNESS_FUZZ_SEED").unwrap_or(1),
    );
}
