//! Random programs on several threads, on heaps with random options: what nobody thought of.
//!
//! A *round* is a seed: it decides the options, the number of threads and what each does. Threads
//! share a table whose entries they replace and follow, hand objects to each other through globals,
//! come and go, block, panic, and run out of memory. Every object carries a number and its
//! complement, so that one that was freed or overwritten shows; and the heap verifies itself. A
//! fault that needs no particular schedule comes back with its seed.
//!
//! The ordinary run plays a few rounds that are always the same. To look for more:
//!
//! ```text
//! SOAK_MINUTES=10 cargo test -p tests --test soak -- --ignored --nocapture soak_for_minutes
//! SOAK_SEED=12345 cargo test -p tests --test soak -- --ignored --nocapture soak_one_seed
//! ```
//!
//! Both print each seed before it is played. `SOAK_MINUTES` may be a fraction.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use harness::adapter::gc_marksweep::GcMarksweep;
use harness::adapter::gc_rc::{GcRc, GcRcAtomic, GcRcBiased, GcRcDeferred, GcRcObjectLock};
use harness::adapter::{Adapter, HeapOption, Settings};
use harness::heap::{Flags, Heap, Mutator, Shape};
use tests::within;

/// How long a round may take before it counts as hanging: rounds take milliseconds, under a
/// sanitizer a few seconds.
const PATIENCE: Duration = Duration::from_secs(300);

/// Entries of the table that all threads share.
const TABLE: usize = 32;
const LOCALS: usize = 5;

/// splitmix64.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// A value for an option, where its default is not as good.
fn value(option: &HeapOption, random: &mut Random) -> Option<String> {
    let words = match (option.name, option.values) {
        // On at every allocation costs a collection each: now and then.
        ("stress", _) => vec!["off", "off", "off", "on"],
        ("release-after", _) => vec!["off", "1ns", "1ms"],
        // They would report what is slow, or refuse what is to be tried.
        ("watchdog" | "overhead-limit", _) => return None,
        (_, "a time, such as 5ms") => vec!["1us", "20us", "1ms"],
        (_, "a size, such as 64M | auto") => vec!["64K", "256K", "auto"],
        (_, values) => match values.split_once(" to ") {
            // Small numbers, at which something happens, rather than any.
            Some((least, most)) => {
                let [least, most] = [least, most].map(|end| end.parse::<u64>().expect("a number"));
                let more = random.next() % (1 << random.below(7));
                return Some(least.saturating_add(more).min(most).to_string());
            }
            None => values.split(" | ").collect(),
        },
    };
    Some(random.of(&words).to_owned())
}

fn settings<A: Adapter>(random: &mut Random) -> Settings {
    let limit = random.of(&[1 << 20, 2 << 20, 4 << 20, 16 << 20]);
    let mut settings = Settings::new::<A>(limit);
    for option in A::DESCRIPTION.options() {
        if let Some(value) = value(&option, random) {
            settings
                .set(&A::DESCRIPTION, option.name, &value)
                .expect("a value of the option's kind");
        }
    }
    settings
}

/// What the threads of a round share beside the heap.
struct Common<H: Heap> {
    heap: H,
    table: H::Global,
    /// Globals and weak references on their way from one thread to another.
    post: Mutex<Vec<(H::Global, H::Weak)>>,
}

/// Checks that an object is whole.
fn check<'m, M: Mutator>(m: &'m M, object: M::Ref<'m>) {
    let number = m.word(object, 0);
    assert_eq!(m.word(object, 1), !number, "an object is not whole");
}

/// Writes the number of a new object, which has two words at least.
fn sign<M: Mutator>(m: &M, local: M::Local<'_>, number: u64) {
    let object = m.get(local).expect("just made");
    m.set_word(object, 0, number);
    m.set_word(object, 1, !number);
}

fn step<'h, H: Heap>(
    m: &mut H::Mutator<'h>,
    locals: [<H::Mutator<'h> as Mutator>::Local<'_>; LOCALS],
    common: &Common<H>,
    random: &mut Random,
) {
    let [a, b, c] = [(); 3].map(|()| locals[random.below(LOCALS)]);
    let number = random.next();
    let flags = Flags {
        finalize: random.below(8) == 0,
        acyclic: random.below(16) == 0,
    };
    match random.below(24) {
        0..4 => {
            // Of many sizes: with two words, around what each heap calls large, and larger than a
            // block.
            let units = [2, 3, 5, 8, 33, 64, 1000, 1023, 1024, 4094, 4095, 9000];
            let choices = if random.below(8) == 0 { 12 } else { 6 };
            let units = random.of(&units[..choices]) as u32;
            let refs = random.below(units as usize - 1) as u32;
            if m.alloc(a, Shape::new(refs, units - refs).with(flags))
                .is_ok()
            {
                sign(m, a, number);
            }
        }
        4..7 => {
            let words = [number, !number];
            _ = m.alloc_init(a, flags, [b, c, a], words);
        }
        7 | 8 => {
            let words = [number, !number, 0];
            _ = m.alloc_move(a, flags, [b, c], words);
        }
        9..12 => {
            if let Some(object) = m.get(a) {
                check(m, object);
                let refs = m.shape(object).refs as usize;
                if refs > 0 {
                    let field = random.below(refs);
                    m.set(c, m.load(object, field));
                    m.store(
                        object,
                        field,
                        if random.below(4) == 0 { None } else { m.get(b) },
                    );
                }
            }
        }
        12 | 13 => {
            let slot = random.below(TABLE);
            let table = m.open(&common.table);
            if let Some(object) = m.load(table, slot) {
                check(m, object);
                m.set(a, Some(object));
                // What hangs on the table must not grow without end.
                if m.shape(object).refs > 0 {
                    m.store(object, 0, None);
                }
            }
            m.store(table, random.below(TABLE), m.get(b));
        }
        14 => m.set(a, None),
        15 => {
            if let Some(object) = m.get(a) {
                let sent = (m.global(object), m.downgrade(object));
                let kept = sent.0.clone();
                let mut post = common.post.lock().expect("nobody panics with the lock");
                post.push(sent);
                // Some are dropped under the lock of another program, some by whoever comes by.
                if post.len() > 20 {
                    post.truncate(10);
                }
                drop(post);
                check(m, m.open(&kept));
            }
        }
        16 => {
            let received = common.post.lock().expect("as above").pop();
            if let Some((global, weak)) = received {
                let object = m.open(&global);
                check(m, object);
                m.set(a, Some(object));
                drop(global);
                m.set(b, m.upgrade(&weak));
            }
        }
        17 => {
            let newest = match common.post.lock().expect("as above").last() {
                Some((_, weak)) => weak.clone(),
                None => return,
            };
            if let Some(object) = m.upgrade(&newest) {
                check(m, object);
            }
        }
        18 => {
            if m.finalizable(a) {
                check(m, m.get(a).expect("just handed out"));
            }
            while let Some(weak) = m.cleared() {
                assert!(
                    m.upgrade(&weak).is_none(),
                    "a cleared reference yields an object"
                );
            }
        }
        19 => m.blocking(thread::yield_now),
        20 => m.frame(|m, inner: [_; LOCALS]| {
            m.set(inner[0], m.get(a));
            for _ in 0..random.below(6) {
                step::<H>(m, inner, common, random);
            }
            m.set(b, m.get(inner[1]));
        }),
        21 if random.below(16) == 0 => m.collect(),
        22 if random.below(64) == 0 => m.verify(),
        _ => m.safepoint(),
    }
}

/// One thread's part: it attaches several times, and may leave in a panic.
fn play<H: Heap>(common: &Common<H>, mut random: Random, steps: usize) {
    for _ in 0..1 + random.below(3) {
        let stay = AssertUnwindSafe(|| {
            common.heap.attach(|m| {
                m.frame(|m, locals: [_; LOCALS]| {
                    for _ in 0..steps {
                        step::<H>(m, locals, common, &mut random);
                        if random.below(4 * steps) == 0 {
                            // Without the message of a panic that nobody meant.
                            resume_unwind(Box::new("on purpose"));
                        }
                    }
                });
            });
        });
        if let Err(panic) = catch_unwind(stay)
            && panic.downcast_ref::<&str>() != Some(&"on purpose")
        {
            resume_unwind(panic);
        }
    }
}

fn round_on<A: Adapter>(mut random: Random, seed: u64) {
    let settings = settings::<A>(&mut random);
    let threads = 1 + random.below(4);
    let steps = if settings.text("stress") == "on" {
        40
    } else {
        500
    };
    eprintln!(
        "seed {seed}: {} of {} KiB, {threads} threads, {:?}",
        A::DESCRIPTION.name,
        settings.limit_bytes() >> 10,
        settings.values()
    );
    within(PATIENCE, move || {
        let heap = A::build(&settings).expect("every value is allowed");
        let table = heap.attach(|m| {
            m.frame(|m, [table]| {
                m.alloc(table, Shape::new(TABLE as u32, 2)).expect("room");
                sign(m, table, 0);
                m.global(m.get(table).expect("just made"))
            })
        });
        let common = Common {
            heap,
            table,
            post: Mutex::default(),
        };
        thread::scope(|scope| {
            for _ in 0..threads {
                let random = Random(random.next());
                let common = &common;
                scope.spawn(move || play(common, random, steps));
            }
        });
        let Common { heap, table, post } = common;
        heap.attach(|m| {
            m.verify();
            drop((post, table));
            m.collect();
            m.frame(|m, [due]| while m.finalizable(due) {});
            m.collect();
            m.verify();
        });
        heap.take_events();
    });
}

/// Plays the round of a seed.
fn round(seed: u64) {
    let mut random = Random(seed);
    match random.below(6) {
        0 => round_on::<GcRc>(random, seed),
        1 => round_on::<GcRcAtomic>(random, seed),
        2 => round_on::<GcRcObjectLock>(random, seed),
        3 => round_on::<GcRcBiased>(random, seed),
        4 => round_on::<GcRcDeferred>(random, seed),
        _ => round_on::<GcMarksweep>(random, seed),
    }
}

fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    let value = text.parse().ok();
    assert!(value.is_some(), "{name}={text} is not a number");
    value
}

#[test]
fn a_few_rounds() {
    (0..24).for_each(round);
}

#[test]
#[ignore = "runs for SOAK_MINUTES, 1 unless given"]
fn soak_for_minutes() {
    let minutes = setting("SOAK_MINUTES").unwrap_or(1.0_f64);
    let seconds = Duration::try_from_secs_f64(60.0 * minutes).expect("SOAK_MINUTES is a time");
    let first = setting("SOAK_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Random(now.unwrap_or_default().as_nanos() as u64).next()
    });
    let begun = Instant::now();
    let mut rounds = 0;
    while begun.elapsed() < seconds {
        round(first.wrapping_add(rounds));
        rounds += 1;
    }
    eprintln!("{rounds} rounds from seed {first} on");
}

#[test]
#[ignore = "plays SOAK_SEED, and nothing unless given"]
fn soak_one_seed() {
    if let Some(seed) = setting("SOAK_SEED") {
        round(seed);
    }
}
