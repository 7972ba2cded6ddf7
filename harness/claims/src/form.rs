//! Forms: the ways in which an experiment's program is run.

use crate::plan;
use crate::workload::{Description, Input, Size};

/// One way to run an experiment.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// What its figures are called by. Two forms of one name are one, run on heaps of which each
    /// has work of its own length.
    pub name: &'static str,
    /// The program, as on the command line: `NAME[:parameter=value,...]`. What is not set has its
    /// default for the size.
    pub workload: &'static str,
    /// Mutator threads.
    pub threads: usize,
    /// The heaps, as on the command line. A heap with options is in the column of its name, unless
    /// it counts without the lock.
    pub heaps: &'static [&'static str],
    /// Whether other runtimes that have the program run it too.
    pub peers: bool,
    /// More parameters.
    pub parameters: &'static str,
    /// More parameters at [`Size::Small`].
    pub small: &'static str,
    /// More parameters at [`Size::Full`].
    pub full: &'static str,
    /// Processes of it in the standard run; 0: it is no part of that.
    pub rounds: u32,
    /// Whether an iteration warms up before the one that is timed there.
    pub warms_up: bool,
}

/// Processes of a form in the standard run, if it does not say: what figures of times need on a
/// machine that has other things to do as well.
const ROUNDS: u32 = 6;
/// The same for figures that hardly differ between processes: counts of what a program does, sizes.
const FEW_ROUNDS: u32 = 3;

/// Both heaps as they come.
pub const BOTH: &[&str] = &["gc-rc", "gc-marksweep"];
/// The one that counts, behind a lock.
pub(crate) const COUNTING: &[&str] = &["gc-rc"];
/// The one that traces, whose threads run freely: a form of its own name for it does more where it
/// would be over before two threads have met.
pub(crate) const TRACING: &[&str] = &["gc-marksweep"];

/// Lists of heaps, from the one list of those that count without the lock, as literals.
macro_rules! without_the_lock {
    ($($heap:literal),+ $(,)?) => {
        /// Counting without the lock, each way a column of its own. The first of them that was run
        /// stands for what the documents say of it.
        pub const UNLOCKED: &[&str] = &[$($heap),+];
        /// Every way to count, and the one that traces beside them.
        pub const EVERY: &[&str] = &["gc-rc", $($heap,)+ "gc-marksweep"];
        /// The same, with the mark-sweep that the documents describe.
        pub const EVERY_AS_DESCRIBED: &[&str] =
            &["gc-rc", $($heap,)+ "gc-marksweep:generations=off"];
        /// The same, and counting of which a part is put off.
        pub const EVERY_AND_DEFERRED: &[&str] = &["gc-rc", $($heap,)+ DEFERRED, "gc-marksweep"];
        /// Those whose threads run freely.
        pub(crate) const FREE: &[&str] = &[$($heap,)+ "gc-marksweep"];
    };
}

without_the_lock![
    "gc-rc:regime=atomic",
    "gc-rc:regime=object-lock",
    "gc-rc:regime=biased",
];

/// Counting without the lock, but for references that locals hold to what threads share. A kind of
/// its own: what is expected of counting is not expected of it.
pub const DEFERRED: &str = "gc-rc:regime=deferred";

/// The place of a column among those of heaps that count without the lock, if it is one of them.
pub(crate) fn place_without_the_lock(column: &str) -> Option<usize> {
    let mut heaps = UNLOCKED.iter().chain([&DEFERRED]);
    heaps.position(|heap| *heap == column)
}

/// The column that a heap's figures stand in: its name; with it the way in which it counts, if that
/// is one without the lock.
pub(crate) fn column(heap: &str) -> String {
    let (name, options) = heap.split_once(':').unwrap_or((heap, ""));
    let mut options = options.split(',');
    match options.find(|option| option.starts_with("regime=") && *option != "regime=gil") {
        Some(regime) => format!("{name}:{regime}"),
        None => name.to_owned(),
    }
}

/// Both as the documents describe them: their mark-sweep knows no generations, and each of its
/// collections marks the whole heap.
pub const AS_DESCRIBED: &[&str] = &["gc-rc", "gc-marksweep:generations=off"];

impl Form {
    /// A form that runs on both heaps and on the real runtimes.
    pub const fn new(name: &'static str, workload: &'static str, threads: usize) -> Self {
        Self {
            name,
            workload,
            threads,
            heaps: BOTH,
            peers: true,
            parameters: "",
            small: "",
            full: "",
            rounds: ROUNDS,
            warms_up: false,
        }
    }

    /// The same on these heaps instead of [`BOTH`], beside the same other runtimes.
    pub const fn with_heaps(self, heaps: &'static [&'static str]) -> Self {
        Self { heaps, ..self }
    }

    /// The same on these heaps only, and on no other runtime.
    pub const fn on(self, heaps: &'static [&'static str]) -> Self {
        Self {
            heaps,
            peers: false,
            ..self
        }
    }

    /// The same with more parameters, `parameter=value,...`.
    pub const fn with(self, parameters: &'static str) -> Self {
        Self { parameters, ..self }
    }

    /// The same with more or other parameters at [`Size::Small`]: a workload's own sizes are for
    /// comparing heaps, and may be longer than a claim needs.
    pub const fn small(self, small: &'static str) -> Self {
        Self { small, ..self }
    }

    /// The same with more or other parameters at [`Size::Full`].
    pub const fn full(self, full: &'static str) -> Self {
        Self { full, ..self }
    }

    /// The same, of which a few processes say what there is to say: its figures are counts and
    /// sizes, or far from their bounds.
    pub const fn few(self) -> Self {
        Self {
            rounds: FEW_ROUNDS,
            ..self
        }
    }

    /// The same, in a run of the claims only: the standard run has no time for it.
    pub const fn of_claims_only(self) -> Self {
        Self { rounds: 0, ..self }
    }

    /// The same, whose figures are of memory that was touched before. What waits, what is counted,
    /// and what takes the fastest of several turns, needs no iteration to warm up.
    pub const fn warmed_up(self) -> Self {
        Self {
            warms_up: true,
            ..self
        }
    }

    /// The same under another name.
    pub const fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// The program with its parameters at a size, as on the command line.
    pub fn text(&self, size: Size) -> String {
        let (name, always) = self.workload.split_once(':').unwrap_or((self.workload, ""));
        let of_size = match size {
            Size::Tiny => "",
            Size::Small => self.small,
            Size::Full => self.full,
        };
        let mut parameters: Vec<(&str, &str)> = Vec::new();
        let settings = [always, self.parameters, of_size];
        let settings = settings.iter().flat_map(|list| list.split(','));
        for (name, value) in settings.filter_map(|setting| setting.split_once('=')) {
            // What is set for a size takes the place of what is set for all.
            match parameters.iter_mut().find(|(known, _)| *known == name) {
                Some(known) => known.1 = value,
                None => parameters.push((name, value)),
            }
        }
        let parameters = parameters.iter().enumerate();
        let text = parameters.map(|(index, (parameter, value))| {
            let separator = if index == 0 { ':' } else { ',' };
            format!("{separator}{parameter}={value}")
        });
        name.to_owned() + &text.collect::<String>()
    }

    /// Its program and the input at a size.
    ///
    /// # Panics
    ///
    /// If the form names a program or a parameter that does not exist: a test looks at every form.
    pub fn input(&self, known: &[Description], size: Size) -> (Description, Input) {
        let text = self.text(size);
        let (name, parameters) = plan::split(&text).unwrap_or_else(|message| panic!("{message}"));
        let program =
            plan::find_workload(known, name).unwrap_or_else(|message| panic!("{message}"));
        let mut input = Input::new(program, size);
        input.threads = self.threads;
        for (name, value) in parameters {
            input
                .set(program, name, value)
                .unwrap_or_else(|message| panic!("{message}"));
        }
        (*program, input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_for_a_size_takes_the_place_of_what_is_set_for_all() {
        let form = Form::new("form", "list:a=1,b=2", 1)
            .with("c=1")
            .small("c=3")
            .full("a=4,c=5");
        assert_eq!(form.text(Size::Tiny), "list:a=1,b=2,c=1");
        assert_eq!(form.text(Size::Small), "list:a=1,b=2,c=3");
        assert_eq!(form.text(Size::Full), "list:a=4,b=2,c=5");
        assert_eq!(Form::new("form", "list", 1).text(Size::Full), "list");
    }

    #[test]
    fn each_way_to_count_without_the_lock_is_a_column() {
        assert_eq!(column("gc-rc"), "gc-rc");
        assert_eq!(column("gc-rc:gil=fair,switch-interval=1ms"), "gc-rc");
        assert_eq!(column("gc-rc:regime=gil"), "gc-rc");
        assert_eq!(
            column("gc-rc:cycle=none,regime=atomic"),
            "gc-rc:regime=atomic"
        );
        assert_eq!(column("gc-marksweep:generations=off"), "gc-marksweep");
        for heap in UNLOCKED {
            assert_eq!(column(heap), *heap);
        }
    }
}
