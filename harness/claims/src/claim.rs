//! Claims, the figures and the rules that judge them, and verdicts.

use std::fmt;

use crate::evidence::{Estimate, Evidence};
use crate::form::{DEFERRED, UNLOCKED};
use crate::quantity::{Quantity, Unit};

/// Something the documents say, where it would have to show, and what must be true there.
///
/// Written as a row of a table:
///
/// ```
/// use claims::{Claim, Quantity, Rule};
///
/// const CLAIM: Claim = Claim::new("two threads take as long as one under the lock, or longer")
///     .judges(&["002.1"])
///     .documents("2.188 s -> 2.197 s: 1.004")
///     .measured("time of two threads / of one")
///     .ratio(Quantity::Wall, "two threads", "one thread")
///     .counting(Rule::AtLeast(0.95));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// What they say, in one line that can be read alone.
    pub statement: &'static str,
    /// The statements of the documents that it judges, by their ids.
    pub judges: &'static [&'static str],
    /// Whether it is our own: no document says it.
    pub is_ours: bool,
    /// Their figure, if they give one; that they give none otherwise.
    pub document: &'static str,
    /// What the figure is, in a few words: what it is divided by if it is a ratio.
    pub measured: &'static str,
    /// The figure.
    pub figure: Figure,
    /// What must be true of it where references are counted behind a lock: on gc-rc, and on
    /// CPython.
    pub counting: Option<Rule>,
    /// What must be true of it where threads run freely and memory is traced: on gc-marksweep, and
    /// on a JVM.
    pub tracing: Option<Rule>,
    /// What must be true of it where references are counted and there is no global lock: on gc-rc
    /// without the lock, and on a free-threaded CPython.
    pub unlocked: Option<Rule>,
    /// What must be true of it where there is no global lock either, and locals do not count their
    /// references to what threads share: on gc-rc's regime of that kind.
    pub deferring: Option<Rule>,
    /// What must have been shown beside it for a verdict to count that its absence could fake.
    pub control: Option<&'static Control>,
}

/// A positive control: what shows that an effect could have been seen, had it been there. Where it
/// is not shown, because its interval does not obey the rule or because it was not measured, a
/// verdict that its absence could fake is none: the claim is undecided.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    /// Of a form of the same experiment.
    pub figure: Figure,
    /// What must be true of it.
    pub rule: Rule,
    /// The verdicts that come out by themselves where that is not so.
    pub fakes: &'static [Verdict],
    /// What is missing then, in words.
    pub lacking: &'static str,
}

impl Control {
    /// Whether this evidence does not show that it holds.
    pub(crate) fn is_lacking(&self, evidence: &Evidence<'_>) -> bool {
        let figure = self.figure.estimate(evidence);
        figure.is_none_or(|figure| self.rule.judge(figure) != Verdict::Holds)
    }
}

impl Claim {
    /// A sentence for which the documents give no figure. Whose it is, what is measured, and a
    /// rule, must follow.
    pub const fn new(statement: &'static str) -> Self {
        Self {
            statement,
            judges: &[],
            is_ours: false,
            document: "no figure",
            measured: "",
            figure: Figure::By(Unit::Count, |_| None),
            counting: None,
            tracing: None,
            unlocked: None,
            deferring: None,
            control: None,
        }
    }

    /// The same as judging these [statements](crate::STATEMENTS) of the documents.
    pub const fn judges(self, judges: &'static [&'static str]) -> Self {
        Self { judges, ..self }
    }

    /// The same as our own addition.
    pub const fn ours(self) -> Self {
        Self {
            is_ours: true,
            ..self
        }
    }

    /// Whose it is: the ids of what it judges with what the documents give, or that it is ours.
    pub fn source(&self) -> String {
        if self.is_ours {
            return "ours".to_owned();
        }
        format!("{}: {}", self.judges.join(", "), self.document)
    }

    /// The same with what the documents give.
    pub const fn documents(self, document: &'static str) -> Self {
        Self { document, ..self }
    }

    /// The same with its figure in words.
    pub const fn measured(self, measured: &'static str) -> Self {
        Self { measured, ..self }
    }

    /// The same with this figure.
    pub const fn figure(self, figure: Figure) -> Self {
        Self { figure, ..self }
    }

    /// The same with [`Figure::Value`].
    pub const fn value(self, quantity: Quantity, form: &'static str) -> Self {
        self.figure(Figure::Value(quantity, form))
    }

    /// The same with [`Figure::Largest`].
    pub const fn largest(self, quantity: Quantity, forms: &'static [&'static str]) -> Self {
        self.figure(Figure::Largest(quantity, forms))
    }

    /// The same with [`Figure::Share`].
    pub const fn share(
        self,
        successes: Quantity,
        trials: Quantity,
        forms: &'static [&'static str],
    ) -> Self {
        self.figure(Figure::Share {
            successes,
            trials,
            forms,
        })
    }

    /// The same with [`Figure::Ratio`].
    pub const fn ratio(self, quantity: Quantity, of: &'static str, to: &'static str) -> Self {
        self.figure(Figure::Ratio(quantity, of, to))
    }

    /// The same with [`Figure::ToLocked`].
    pub const fn to_locked(self, quantity: Quantity, form: &'static str) -> Self {
        self.figure(Figure::ToLocked(quantity, form))
    }

    /// The same with a rule for gc-rc and CPython.
    pub const fn counting(self, rule: Rule) -> Self {
        Self {
            counting: Some(rule),
            ..self
        }
    }

    /// The same with a rule for gc-marksweep and a JVM.
    pub const fn tracing(self, rule: Rule) -> Self {
        Self {
            tracing: Some(rule),
            ..self
        }
    }

    /// The same with a rule for gc-rc without the lock, and a free-threaded CPython.
    pub const fn unlocked(self, rule: Rule) -> Self {
        Self {
            unlocked: Some(rule),
            ..self
        }
    }

    /// The same with a rule for gc-rc without the lock whose locals do not count what is shared.
    pub const fn deferring(self, rule: Rule) -> Self {
        Self {
            deferring: Some(rule),
            ..self
        }
    }

    /// The same, with a control. Its experiment has the control's form.
    pub const fn controlled(self, control: &'static Control) -> Self {
        Self {
            control: Some(control),
            ..self
        }
    }

    /// The same with one rule for both sides.
    pub const fn both(self, rule: Rule) -> Self {
        self.counting(rule).tracing(rule)
    }

    /// What must be true on this side; `None` if the claim says nothing about it.
    pub fn rule(&self, side: Side) -> Option<Rule> {
        match side {
            Side::Counting => self.counting,
            Side::Tracing => self.tracing,
            Side::Unlocked => self.unlocked,
            Side::Deferring => self.deferring,
        }
    }
}

/// How a claim's figure follows from the rows of an experiment's forms, which are named.
#[derive(Clone, Copy, Debug)]
pub enum Figure {
    /// Of one form, what is typical of a process: [`Evidence::value`].
    Value(Quantity, &'static str),
    /// The largest value of an iteration in that of the forms where it is largest. There is none if
    /// one of them was not run.
    Largest(Quantity, &'static [&'static str]),
    /// Of so many trials, how many had this outcome: both summed over the iterations and processes
    /// of all of the forms. There is none if one of them was not run.
    Share {
        /// Counts what came out so.
        successes: Quantity,
        /// Counts the trials.
        trials: Quantity,
        /// The forms.
        forms: &'static [&'static str],
    },
    /// One form's divided by another's.
    Ratio(Quantity, &'static str, &'static str),
    /// What one form takes in this column, divided by what it takes where references are counted
    /// behind the lock: on gc-rc, or on the CPython that has the lock. There is none where it is.
    ToLocked(Quantity, &'static str),
    /// Anything else, and what it is counted in.
    By(Unit, fn(&Evidence<'_>) -> Option<Estimate>),
}

impl Figure {
    /// What the evidence of one column comes to, if it comes to anything.
    pub fn estimate(self, evidence: &Evidence<'_>) -> Option<Estimate> {
        match self {
            Self::Value(quantity, form) => evidence.value(quantity, form),
            Self::Largest(quantity, forms) => evidence.largest(quantity, forms),
            Self::Share {
                successes,
                trials,
                forms,
            } => evidence.share(successes, trials, forms),
            Self::Ratio(quantity, of, to) => evidence.ratio(quantity, of, to),
            Self::ToLocked(quantity, form) => evidence.to_locked(quantity, form),
            Self::By(_, figure) => figure(evidence),
        }
    }

    /// What it is counted in.
    pub fn unit(self) -> Unit {
        match self {
            Self::Value(quantity, _) | Self::Largest(quantity, _) => quantity.unit(),
            Self::Share { .. } => Unit::Share,
            Self::Ratio(..) | Self::ToLocked(..) => Unit::Ratio,
            Self::By(unit, _) => unit,
        }
    }
}

/// Where the interval of a figure must lie. The bounds obey the rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Between these.
    Within(f64, f64),
    /// At or above this.
    AtLeast(f64),
    /// At or below this.
    AtMost(f64),
}

/// What follows from an interval and a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The whole interval obeys the rule.
    Holds,
    /// The whole interval breaks it.
    Fails,
    /// Part of the interval obeys it, or there is no interval.
    Undecided,
}

impl Rule {
    /// What the figure means for the claim.
    pub fn judge(self, figure: Estimate) -> Verdict {
        let Some((low, high)) = figure.interval else {
            return Verdict::Undecided;
        };
        let (least, most) = match self {
            Self::Within(least, most) => (least, most),
            Self::AtLeast(least) => (least, f64::INFINITY),
            Self::AtMost(most) => (f64::NEG_INFINITY, most),
        };
        if least <= low && high <= most {
            Verdict::Holds
        } else if high < least || most < low {
            Verdict::Fails
        } else {
            Verdict::Undecided
        }
    }

    /// In words, its bounds written by `format`.
    pub(crate) fn in_words(self, format: impl Fn(f64) -> String) -> String {
        match self {
            Self::Within(least, most) => format!("{} to {}", format(least), format(most)),
            Self::AtLeast(least) => format!("at least {}", format(least)),
            Self::AtMost(most) if most == 0.0 => format!("exactly {}", format(most)),
            Self::AtMost(most) => format!("at most {}", format(most)),
        }
    }
}

impl Verdict {
    /// What follows for a claim from its verdicts on the sides that it is about: it holds if it
    /// holds on all, and does not if it does not on one. `None` of nothing.
    pub fn together(verdicts: impl IntoIterator<Item = Self>) -> Option<Self> {
        verdicts.into_iter().reduce(|a, b| match (a, b) {
            (Self::Fails, _) | (_, Self::Fails) => Self::Fails,
            (Self::Holds, Self::Holds) => Self::Holds,
            _ => Self::Undecided,
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Holds => "holds",
            Self::Fails => "does not hold",
            Self::Undecided => "undecided",
        })
    }
}

/// The kind of memory management that a column stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// References are counted, behind a global lock.
    Counting,
    /// Memory is traced, and threads run freely.
    Tracing,
    /// References are counted, and threads run freely.
    Unlocked,
    /// The same, but for references that locals hold to what threads share: these are not counted.
    Deferring,
}

impl Side {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Counting,
        Self::Unlocked,
        Self::Deferring,
        Self::Tracing,
    ];

    /// The side that a heap or a peer is on, by its name, with the way in which it counts if that
    /// is one [without the lock](UNLOCKED); `None` if it stands for none.
    pub fn of(column: &str) -> Option<Self> {
        match column {
            "gc-rc" | "cpython" => Some(Self::Counting),
            "cpython-free-threaded" => Some(Self::Unlocked),
            name if UNLOCKED.contains(&name) => Some(Self::Unlocked),
            DEFERRED => Some(Self::Deferring),
            "gc-marksweep" => Some(Self::Tracing),
            name if name.starts_with("hotspot") => Some(Self::Tracing),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(low: f64, high: f64) -> Estimate {
        Estimate {
            value: (low + high) / 2.0,
            interval: Some((low, high)),
            n: 5,
        }
    }

    #[test]
    fn verdicts_follow_from_intervals() {
        let rule = Rule::Within(0.95, 1.05);
        assert_eq!(rule.judge(between(0.95, 1.05)), Verdict::Holds);
        assert_eq!(rule.judge(between(1.06, 1.2)), Verdict::Fails);
        assert_eq!(rule.judge(between(0.5, 0.9)), Verdict::Fails);
        assert_eq!(rule.judge(between(1.0, 1.2)), Verdict::Undecided);
        assert_eq!(rule.judge(between(0.5, 2.0)), Verdict::Undecided);
        assert_eq!(Rule::AtLeast(2.0).judge(between(2.0, 3.0)), Verdict::Holds);
        assert_eq!(Rule::AtLeast(2.0).judge(between(1.0, 1.9)), Verdict::Fails);
        assert_eq!(Rule::AtMost(0.0).judge(between(0.0, 0.0)), Verdict::Holds);
        let point = Estimate {
            value: 1.0,
            interval: None,
            n: 1,
        };
        assert_eq!(rule.judge(point), Verdict::Undecided);
    }

    #[test]
    fn one_side_that_fails_is_enough() {
        use Verdict::{Fails, Holds, Undecided};
        assert_eq!(Verdict::together([Holds, Holds]), Some(Holds));
        assert_eq!(Verdict::together([Holds, Undecided]), Some(Undecided));
        assert_eq!(Verdict::together([Undecided, Fails, Holds]), Some(Fails));
        assert_eq!(Verdict::together([]), None);
    }

    #[test]
    fn runtimes_are_on_the_side_of_the_heap_that_stands_for_them() {
        assert_eq!(Side::of("gc-rc"), Some(Side::Counting));
        assert_eq!(Side::of("cpython"), Some(Side::Counting));
        assert_eq!(Side::of("gc-rc:regime=atomic"), Some(Side::Unlocked));
        assert_eq!(Side::of("cpython-free-threaded"), Some(Side::Unlocked));
        assert_eq!(Side::of("gc-rc:regime=deferred"), Some(Side::Deferring));
        assert_eq!(Side::of("gc-marksweep"), Some(Side::Tracing));
        assert_eq!(Side::of("hotspot-g1"), Some(Side::Tracing));
        assert_eq!(Side::of("boehm"), None);
    }
}
