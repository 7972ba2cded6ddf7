//! For the tests of experiments: an experiment that was really run at tiny size, in this process,
//! into which figures can be planted.
//!
//! Each experiment has a test that its rules can come out both ways. What a claim says of behaviour
//! (updates are lost, cycles stay) shows at any size and is tested as it was run; what it says of
//! times does not show in a few microseconds on a busy machine, so times are planted, and what is
//! tested is that the verdict follows them.

use super::{EXPERIMENTS, Experiment, Form, Judged, Verdict, judge, known, programs};
use crate::adapter::{self, Settings};
use crate::invocation::{Invocation, Metrics, Row};
use crate::plan;
use crate::results::Results;
use crate::workload::{self, Size};

/// An experiment's rows.
pub(crate) struct Trial {
    experiment: &'static Experiment,
    rows: Vec<Row>,
}

/// Processes of each form: as few as have an interval.
const INVOCATIONS: u32 = 2;

impl Trial {
    /// Runs every form on every heap at tiny size.
    pub(crate) fn of(name: &str) -> Self {
        let mut experiments = EXPERIMENTS.iter();
        let experiment = experiments
            .find(|experiment| experiment.name == name)
            .expect("it is in the list");
        let mut trial = Self {
            experiment,
            rows: Vec::new(),
        };
        for form in experiment.forms {
            for heap in form.heaps {
                for invocation in 1..=INVOCATIONS {
                    trial.run(form, heap, invocation);
                }
            }
        }
        trial
    }

    /// Runs nothing: every form has rows on every heap, whose figures are all to be planted. For an
    /// experiment that cannot be run in this process.
    pub(crate) fn planted(name: &str) -> Self {
        let mut experiments = EXPERIMENTS.iter();
        let experiment = experiments
            .find(|experiment| experiment.name == name)
            .expect("it is in the list");
        let cells = experiment
            .forms
            .iter()
            .flat_map(|form| form.heaps.iter().map(move |heap| (form, heap)));
        let rows = cells.flat_map(|(form, heap)| {
            let (program, input) = form.input(&known(), Size::Tiny);
            let heap_bytes = program.heap_bytes(&input);
            (1..=INVOCATIONS).map(move |number| {
                let invocation = Invocation {
                    invocation: number,
                    ..invocation(form, heap, heap_bytes)
                };
                Row {
                    experiment: true,
                    ..Row::measured(&invocation, 1, Metrics::default())
                }
            })
        });
        Self {
            experiment,
            rows: rows.collect(),
        }
    }

    fn run(&mut self, form: &Form, heap: &str, number: u32) {
        let (description, input) = form.input(&known(), Size::Tiny);
        let heap_bytes = description.heap_bytes(&input);
        let invocation = Invocation {
            invocation: number,
            ..invocation(form, heap, heap_bytes)
        };
        let mut emit = |row: Row| {
            self.rows.push(Row {
                experiment: true,
                ..row
            });
        };
        let mut every = workload::programs().into_iter().chain(programs());
        let program = every.find(|program| program.name == description.name);
        program
            .expect("what is known can be carried out")
            .execute(&invocation, &input, &mut emit)
            .unwrap_or_else(|message| panic!("{message}"));
    }

    /// Changes what every process of a form has measured on a heap, named as in the form. `change`
    /// is given the metrics of one iteration.
    pub(crate) fn plant(&mut self, form: &str, heap: &str, change: impl Fn(&mut Metrics)) {
        let mut forms = self.experiment.forms.iter();
        let form = forms.find(|known| known.name == form).expect("a form");
        let (program, input) = form.input(&known(), Size::Tiny);
        let wanted = invocation(form, heap, program.heap_bytes(&input));
        let mut planted = 0;
        for row in &mut self.rows {
            let same = Invocation {
                invocation: 0,
                ..row.invocation.clone()
            };
            if same == wanted {
                change(row.metrics.as_mut().expect("it was measured"));
                planted += 1;
            }
        }
        assert!(planted > 0, "no rows of {} on {heap}", form.name);
    }

    /// The rows as they are now.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Plants a wall time.
    pub(crate) fn plant_wall(&mut self, form: &str, heap: &str, wall_ns: u64) {
        self.plant(form, heap, |metrics| metrics.wall_ns = wall_ns);
    }

    /// Plants something observed.
    pub(crate) fn plant_observed(&mut self, form: &str, heap: &str, name: &str, value: u64) {
        self.plant(form, heap, |metrics| {
            let known = metrics.observations.insert(name.to_owned(), value);
            assert!(known.is_some(), "the program observes no {name}");
        });
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

    /// The verdict on a claim, by its place in the experiment.
    pub(crate) fn verdict(&self, claim: usize) -> Verdict {
        let judged = self.judged();
        judged[claim]
            .verdict
            .unwrap_or_else(|| panic!("no verdict: {:?}", judged[claim]))
    }
}

/// The invocation of a form on a heap, numbered 0.
fn invocation(form: &Form, heap: &str, heap_bytes: u64) -> Invocation {
    let (program, input) = form.input(&known(), Size::Tiny);
    let (name, options) = plan::split(heap).expect("a heap");
    let heap = adapter::find(name).expect("a heap");
    let mut settings = Settings::of(heap, heap_bytes);
    for (name, value) in options {
        settings.set(heap, name, value).expect("an option");
    }
    Invocation {
        workload: program.name.to_owned(),
        size: Size::Tiny,
        parameters: input.parameters().clone(),
        heap: heap.name.to_owned(),
        options: settings.values().clone(),
        heap_bytes,
        threads: form.threads,
        seed: input.seed,
        iterations: 1,
        invocation: 0,
    }
}
