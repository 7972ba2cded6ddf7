//! gc-rc against Rust's own `Rc`, the cycle-collecting crates `dumpster` and `bacon_rajan_cc`, and
//! Nim's ORC, in one interleaved run: `cargo bench -p gc-rc --bench against_rc [-- WORK...
//! [ROUNDS]]`.
//!
//! | work | what it does |
//! |---|---|
//! | `binary-trees` | the Computer Language Benchmarks Game's: a tree of depth 19, a long-lived one of 18, and between them many of depths 4 to 18, each built bottom-up, counted and dropped |
//! | `list` | a list of 5,000,000 nodes, pushed, walked and dropped |
//! | `rewire` | 10,000,000 references moved about among 100,000 nodes; nothing is allocated |
//! | `churn` | 2,000,000 random replacements in a table of 100,000 nodes, a quarter of them tied into cycles |
//! | `rings` | 180,000 rings of 10 dropped beside 20,000 that stay |
//!
//! `Rc` leaks what is in a cycle: its time for `churn` is that of not collecting, and what it
//! leaked is printed. `rings` is not asked of it. Dropping a long list recurses with everything but
//! gc-rc and overflows the stack: `Rc` has a loop written by hand there, the others are left out.
//! `Rc` and the crates run on mimalloc, `Rc` also on the system's allocator (a switch in the global
//! allocator: a well-predicted branch, some tenths of a nanosecond). gc-rc collects cycles as
//! CPython does, by default; it also runs with all examined, with Bacon and Rajan's collector, and
//! without any. Nim's programs are compiled by `nim` (with `--gc:orc -d:danger`) if it is on
//! `PATH`; it has an allocator of its own.
//!
//! Without arguments there are three rounds of everything, which takes one to two minutes; with
//! `--quick` one of `list` and `rings`.
//!
//! Each figure is the best and the median of the rounds, in nanoseconds of processor time an
//! operation: a node built, walked and dropped, or a reference moved. Rounds alternate between the
//! candidates, because machines change speed; `of mimalloc` is the median of the ratios to `Rc` on
//! mimalloc round by round. The candidates' checksums must agree.

mod allocator;
mod crates;
mod gc;
mod nim;
mod rc;

use std::time::Duration;

use allocator::{counted, on_mimalloc};

/// Sizes, alike for all candidates.
const DEPTH: u32 = 18;
const LIST: u64 = 5_000_000;
const REWIRED: usize = 100_000;
const MOVES: u64 = 100 * REWIRED as u64;
const CHURNED: usize = 100_000;
const REPLACEMENTS: u64 = 20 * CHURNED as u64;
const RING: u64 = 10;
const RINGS_HELD: u64 = 20_000;
const RINGS_DROPPED: u64 = 180_000;

/// What a run has done, and the processor time it took.
type Run = (u64, Duration);

/// A way to do a work.
struct Candidate {
    name: &'static str,
    run: Box<dyn FnMut() -> Run>,
    /// Nanoseconds an operation, one for each round.
    times: Vec<f64>,
}

fn candidate(name: &'static str, run: impl FnMut() -> Run + 'static) -> Candidate {
    let (run, times) = (Box::new(run), Vec::new());
    Candidate { name, run, times }
}

/// The second of two runs: memory that has just been used is what a program in the middle of its
/// life has, and every allocator gives back some of what lay idle while others ran.
fn timed(work: impl Fn() -> u64) -> Run {
    work();
    let begun = cpu_time();
    let checksum = work();
    (checksum, cpu_time() - begun)
}

/// Processor time of the thread. The works have one thread each, and what others do on the machine
/// is not to be measured.
fn cpu_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the call writes to its argument only.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0, "every system here has a clock for threads");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The name that ratios refer to.
const REFERENCE: &str = "Rc on mimalloc";

fn on_rc(work: fn() -> u64) -> [Candidate; 2] {
    [
        candidate(REFERENCE, move || on_mimalloc(|| timed(work))),
        candidate("Rc on the system's allocator", move || timed(work)),
    ]
}

/// On a thread, so that what the crate keeps for the thread goes where it came from.
fn on_crate(name: &'static str, work: fn() -> u64) -> Candidate {
    candidate(name, move || {
        on_mimalloc(|| {
            let thread = std::thread::spawn(move || timed(work));
            thread.join().expect("the work does not panic")
        })
    })
}

/// What `--quick` does: the works of few operations.
const QUICK: [&str; 2] = ["list", "rings"];

/// Its name, how many operations it has, its candidates.
type Work = (&'static str, u64, Vec<Candidate>);

fn works() -> Vec<Work> {
    let [trees, list, rewire, churn, rings] = [
        (gc::binary_trees as gc::Work, true),
        (gc::list, true),
        (gc::rewire, true),
        (gc::churn, true),
        (gc::rings, false),
    ]
    .map(|(work, without)| gc::candidates(work, without));
    let mut works = vec![
        ("binary-trees", nodes_of_trees(), trees),
        ("list", LIST, list),
        ("rewire", MOVES, rewire),
        ("churn", REPLACEMENTS, churn),
        ("rings", RING * (RINGS_HELD + RINGS_DROPPED), rings),
    ];
    works[0].2.extend(on_rc(rc::binary_trees));
    works[1].2.extend(on_rc(rc::list));
    works[2].2.extend(on_rc(rc::rewire));
    works[3].2.extend(on_rc(rc::churn));
    works[0].2.extend([
        on_crate("dumpster", crates::dumpster_trees),
        on_crate("bacon_rajan_cc", crates::cc_trees),
    ]);
    works[4].2.extend([
        on_crate("dumpster", crates::dumpster_rings),
        on_crate("bacon_rajan_cc", crates::cc_rings),
    ]);
    works
}

/// The depths of the trees that live while the long-lived one does.
fn short_lived() -> impl Iterator<Item = u32> {
    (4..=DEPTH)
        .step_by(2)
        .flat_map(|depth| std::iter::repeat_n(depth, 1 << (DEPTH - depth + 4)))
}

fn nodes_of_trees() -> u64 {
    let of = |depth: u32| (2 << depth) - 1;
    of(DEPTH + 1) + of(DEPTH) + short_lived().map(of).sum::<u64>()
}

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

/// Its finaliser, for checksums.
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn compare(work: Work, rounds: u32) {
    let (name, operations, mut candidates) = work;
    let mut expected = None;
    for _ in 0..rounds {
        for candidate in &mut candidates {
            let (checksum, time) = (candidate.run)();
            assert_eq!(
                *expected.get_or_insert(checksum),
                checksum,
                "{name}: {} has done something else",
                candidate.name
            );
            let each = time.as_nanos() as f64 / operations as f64;
            candidate.times.push(each);
        }
    }
    println!("\n{name}, {operations} operations, {rounds} rounds: ns an operation");
    println!(
        "{:<30} {:>8} {:>8} {:>12}",
        "", "best", "median", "of mimalloc"
    );
    let reference = candidates
        .iter()
        .find(|candidate| candidate.name == REFERENCE);
    let reference = reference.map(|candidate| candidate.times.clone());
    for Candidate {
        name, mut times, ..
    } in candidates
    {
        let ratio = reference.as_ref().map_or("-".into(), |reference| {
            let ratios = times.iter().zip(reference);
            let mut ratios: Vec<f64> = ratios.map(|(one, other)| one / other).collect();
            format!("{:.2}x", median(&mut ratios))
        });
        let median = median(&mut times);
        println!("{name:<30} {:>8.2} {median:>8.2} {ratio:>12}", times[0]);
    }
}

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let mut rounds = 3;
    let mut chosen = Vec::new();
    let mut works = works();
    for argument in &arguments {
        match argument.parse() {
            Ok(number) if number > 0 => rounds = number,
            _ if argument == "--quick" => {
                rounds = 1;
                chosen.extend(QUICK);
            }
            _ if works.iter().any(|(name, ..)| name == argument) => chosen.push(argument.as_str()),
            _ => {
                let names: Vec<&str> = works.iter().map(|(name, ..)| *name).collect();
                eprintln!(
                    "'{argument}' is neither a number of rounds nor one of the works {}",
                    names.join(", ")
                );
                std::process::exit(2);
            }
        }
    }
    works.retain(|(name, ..)| chosen.is_empty() || chosen.contains(name));
    match nim::Programs::build() {
        Ok(programs) => programs.join(&mut works),
        Err(reason) => println!("without Nim: {reason}"),
    }
    println!(
        "\ngc-rc, its ways to find cycles, and what others do: the same work, processor time."
    );
    for work in works {
        let churn = work.0 == "churn";
        compare(work, rounds);
        if churn {
            let bytes = counted(|| _ = rc::churn());
            println!("Rc leaked {:.1} MB in each round", bytes as f64 / 1e6);
        }
    }
}
