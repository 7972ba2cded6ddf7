//! For the tests of experiments: an experiment that was really run at tiny size, in this process,
//! into which figures can be planted.
//!
//! Each experiment has a test that its rules can come out both ways. What a claim says of behaviour
//! (updates are lost, cycles stay) shows at any size and is tested as it was run; what it says of
//! times does not show in a few microseconds on a busy machine, so times are planted, and what is
//! tested is that the verdict follows them.

use crate::adapter::{self, Settings};
use crate::claim::Verdict;
use crate::experiment::{EXPERIMENTS, Experiment, known, processors, programs};
use crate::form::{self, Form};
use crate::invocation::{Invocation, Metrics, Row};
use crate::judge::{Judged, judge};
use crate::plan;
use crate::results::Results;
use crate::workload::{self, Input, Size};

/// An experiment's rows.
#[derive(Clone)]
pub(crate) struct Trial {
    experiment: &'static Experiment,
    rows: Vec<Row>,
}

/// Processes of each form: as few as have an interval.
const INVOCATIONS: u32 = 4;

/// The heaps, whatever their options in a form: what is planted is planted on some of these. Of
/// those that count without the lock, on all.
pub(crate) const RC: &[&str] = &["gc-rc"];
pub(crate) const MARKSWEEP: &[&str] = &["gc-marksweep"];
pub(crate) const DEFERRING: &[&str] = &[crate::form::DEFERRED];
pub(crate) use crate::form::UNLOCKED;

impl Trial {
    /// Runs every form on every heap at tiny size.
    pub(crate) fn of(name: &str) -> Self {
        let mut trial = Self::empty(name);
        for (form, heap, invocation) in trial.processes() {
            trial.run(form, heap, invocation);
        }
        trial.plant_control();
        trial
    }

    /// Runs nothing: every form has rows on every heap, whose figures are all to be planted. For an
    /// experiment that cannot be run in this process.
    pub(crate) fn planted(name: &str) -> Self {
        let mut trial = Self::empty(name);
        for (form, heap, number) in trial.processes() {
            let (invocation, _) = invocation(form, heap, number);
            trial.rows.push(Row {
                experiment: true,
                ..Row::measured(&invocation, 1, Metrics::default())
            });
        }
        trial.plant_control();
        trial
    }

    /// Tests run beside others, and are about the claims: there are two processors for them.
    fn plant_control(&mut self) {
        for control in [processors::FORM, processors::MEMORY_FORM] {
            let mut forms = self.experiment.forms.iter();
            if forms.any(|form| form.name == control.name) {
                self.control(&control, control.heaps, 500);
            }
        }
    }

    fn empty(name: &str) -> Self {
        let mut experiments = EXPERIMENTS.iter();
        let experiment = experiments.find(|experiment| experiment.name == name);
        Self {
            experiment: experiment.expect("it is in the list"),
            rows: Vec::new(),
        }
    }

    /// Each form, on each of its heaps, in each process.
    fn processes(&self) -> impl Iterator<Item = (&'static Form, &'static str, u32)> + use<> {
        let forms = self.experiment.forms.iter();
        let cells = forms.flat_map(|form| form.heaps.iter().map(move |heap| (form, *heap)));
        cells.flat_map(|(form, heap)| (1..=INVOCATIONS).map(move |number| (form, heap, number)))
    }

    fn run(&mut self, form: &Form, heap: &str, number: u32) {
        let (invocation, input) = invocation(form, heap, number);
        let mut emit = |row: Row| {
            self.rows.push(Row {
                experiment: true,
                ..row
            });
        };
        let mut every = workload::programs().into_iter().chain(programs());
        let program = every.find(|program| program.name == invocation.workload);
        program
            .expect("what is known can be carried out")
            .execute(&invocation, &input, &mut emit)
            .unwrap_or_else(|message| panic!("{message}"));
    }

    /// Changes what every process of a form has measured on these heaps. `change` is given the
    /// metrics of one iteration.
    #[track_caller]
    pub(crate) fn plant(&mut self, form: &str, heaps: &[&str], change: impl Fn(&mut Metrics)) {
        for name in heaps {
            let mut forms = self.experiment.forms.iter();
            let cell = forms.find_map(|known| {
                let mut heaps = known.heaps.iter().filter(|_| known.name == form);
                heaps
                    .find(|heap| form::column(heap) == *name)
                    .map(|heap| (known, heap))
            });
            let (form, heap) = cell.unwrap_or_else(|| panic!("{form} is not run on {name}"));
            let (wanted, _) = invocation(form, heap, 0);
            for row in &mut self.rows {
                let same = Invocation {
                    invocation: 0,
                    ..row.invocation.clone()
                };
                if same == wanted {
                    change(row.metrics.as_mut().expect("it was measured"));
                }
            }
        }
    }

    /// Plants a wall time.
    #[track_caller]
    pub(crate) fn wall(&mut self, form: &str, heaps: &[&str], wall_ns: u64) {
        self.plant(form, heaps, |metrics| metrics.wall_ns = wall_ns);
    }

    /// Plants something observed.
    #[track_caller]
    pub(crate) fn observed(&mut self, form: &str, heaps: &[&str], name: &str, value: u64) {
        self.plant(form, heaps, |metrics| {
            let known = metrics.observations.insert(name.to_owned(), value);
            assert!(known.is_some(), "the program observes no {name}");
        });
    }

    /// Plants what a program that is run in turns took on one thread, and on all.
    #[track_caller]
    pub(crate) fn turns(&mut self, form: &str, heaps: &[&str], one: u64, all: u64) {
        self.observed(form, heaps, "one_thread_ns", one);
        self.observed(form, heaps, "all_threads_ns", all);
        self.observed(form, heaps, "one_thread_total_ns", one);
        self.observed(form, heaps, "all_threads_total_ns", all);
    }

    /// Plants what a control of processors took on two threads, of 1,000 on one.
    #[track_caller]
    pub(crate) fn control(&mut self, form: &Form, heaps: &[&str], all: u64) {
        self.plant(form.name, heaps, |metrics| {
            let times = [
                ("one_thread_ns", 1_000),
                ("all_threads_ns", all),
                ("one_thread_total_ns", 1_000),
                ("all_threads_total_ns", all),
            ];
            let times = times.map(|(name, time)| (name.to_owned(), time));
            metrics.observations.extend(times);
            metrics.wall_ns = 1_000 + all;
        });
    }

    /// The rows as they are now.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What the rows come to, claim by claim. Every claim has a figure on each heap that it is
    /// about.
    pub(crate) fn judged(&self) -> Vec<Judged> {
        let mut judged = self.all_judged();
        judged.retain(|judged| judged.experiment.name == self.experiment.name);
        judged
    }

    /// The same with the claims of other experiments for which the rows are evidence as well.
    pub(crate) fn all_judged(&self) -> Vec<Judged> {
        for row in &self.rows {
            assert!(row.metrics.is_some(), "{row:?}");
        }
        judge(&Results::of_rows(self.rows.clone()))
    }

    /// These claims hold, by their places in the experiment.
    #[track_caller]
    pub(crate) fn holds(&self, claims: impl IntoIterator<Item = usize>) {
        self.expect(claims, Verdict::Holds);
    }

    /// These claims do not.
    #[track_caller]
    pub(crate) fn fails(&self, claims: impl IntoIterator<Item = usize>) {
        self.expect(claims, Verdict::Fails);
    }

    /// These claims are undecided.
    #[track_caller]
    pub(crate) fn undecided(&self, claims: impl IntoIterator<Item = usize>) {
        self.expect(claims, Verdict::Undecided);
    }

    #[track_caller]
    fn expect(&self, claims: impl IntoIterator<Item = usize>, verdict: Verdict) {
        let judged = self.judged();
        for claim in claims {
            assert_eq!(judged[claim].verdict, Some(verdict), "{:?}", judged[claim]);
        }
    }
}

/// A process of a form on a heap, and what it is given.
fn invocation(form: &Form, heap: &str, number: u32) -> (Invocation, Input) {
    let (program, input) = form.input(&known(), Size::Tiny);
    let heap_bytes = program.heap_bytes(&input);
    let (name, options) = plan::split(heap).expect("a heap");
    let heap = adapter::find(name).expect("a heap");
    let mut settings = Settings::of(heap, heap_bytes);
    for (name, value) in options {
        settings.set(heap, name, value).expect("an option");
    }
    let invocation = Invocation {
        workload: program.name.to_owned(),
        size: Size::Tiny,
        parameters: input.parameters().clone(),
        file: None,
        heap: heap.name.to_owned(),
        options: settings.values().clone(),
        heap_bytes,
        threads: form.threads,
        seed: input.seed,
        iterations: 1,
        invocation: number,
    };
    (invocation, input)
}
