//! What the documents say: every statement of theirs that a measurement can bear on, in our words.
//!
//! Each has a number: the document's, and its place in the document. A [`Claim`]
//! names those that it judges, or is marked as ours; what none can judge says why not. So nothing
//! is put in the documents' mouths, nothing that they say is left out, and a refutation can be
//! looked up. Invariant, held by a test: a statement is judged by a claim, or says why it is not.
//!
//! Rejected: quoting the documents (they are not ours to print); a claim for each statement
//! (several say the same of different programs, and some say several things).

use crate::claim::{Claim, Verdict};
use crate::experiment::EXPERIMENTS;
use crate::judge::Judged;

/// One statement of the documents.
#[derive(Clone, Copy, Debug)]
pub struct Statement {
    /// The document, and the place in it: `000.8`.
    pub id: &'static str,
    /// What is said, with the figures that are given.
    pub words: &'static str,
    /// Why no claim judges it; `None` if one does.
    pub unmeasured: Option<&'static str>,
}

const fn says(id: &'static str, words: &'static str) -> Statement {
    Statement {
        id,
        words,
        unmeasured: None,
    }
}

impl Statement {
    const fn unmeasured(self, why: &'static str) -> Self {
        Self {
            unmeasured: Some(why),
            ..self
        }
    }

    /// The experiments that have claims which judge it, each once, in their order.
    pub fn experiments(&self) -> Vec<&'static str> {
        let judges = |claims: &[Claim]| claims.iter().any(|one| one.judges.contains(&self.id));
        let experiments = EXPERIMENTS.iter().filter(|one| judges(one.claims));
        experiments.map(|experiment| experiment.name).collect()
    }

    /// What the claims that judge it say together: it holds if all hold, and does not if one does
    /// not. `None` if nothing was measured.
    pub fn verdict(&self, judged: &[Judged]) -> Option<Verdict> {
        let about = judged
            .iter()
            .filter(|one| one.claim.judges.contains(&self.id));
        Verdict::together(about.filter_map(|one| one.verdict))
    }
}

/// All of them, in the documents' order.
pub const STATEMENTS: &[Statement] = &[
    says(
        "000.1",
        "a lock on every object would be too complicated, and threads that wait for each other's \
         objects can deadlock; so everything is locked at once",
    )
    .unmeasured("how complicated a design is no figure says; for deadlocks see 000.6"),
    says(
        "000.2",
        "under the lock one thread executes at a time, and the others wait",
    ),
    says(
        "000.3",
        "an object whose count comes to 0 is freed, usually at once",
    ),
    says(
        "000.4",
        "counts that threads change together are a critical section: unguarded they race",
    ),
    says(
        "000.5",
        "locking each object and operation would cost far more than the one lock",
    ),
    says(
        "000.6",
        "with a lock in each object deadlock is likely, however good the programmer",
    ),
    says(
        "000.7",
        "one lock is simple, cannot deadlock, and costs little",
    ),
    says(
        "000.8",
        "counting 50,000,000 down takes 2.188 s on one thread and 2.197 s on two; mostly no \
         difference, and sometimes slower, because switching costs",
    ),
    says("000.9", "concurrency is therefore had from processes"),
    says("000.10", "sleeping and input/output are not affected"),
    says(
        "000.11",
        "where the waiting costs more than the handling, asynchronous code gains far more than \
         threads do",
    ),
    says(
        "000.12",
        "mark-sweep runs when memory is filled to some level; each object has one flag bit; all \
         that the roots reach is flagged, and a walk over memory frees the rest",
    ),
    says(
        "000.13",
        "counting must make every change of a reference atomic; mark-sweep need not think of it, \
         so it needs no global lock",
    ),
    says(
        "000.14",
        "marking stops all threads; to make that short is a challenge of its own",
    ),
    says(
        "000.15",
        "with mark-sweep there is no lock on the interpreter, and several threads use it",
    ),
    says(
        "000.16",
        "counting takes memory back at once; mark-sweep lets it pile up and pays in space",
    ),
    says(
        "000.17",
        "with mark-sweep nobody can say when an object is destroyed",
    ),
    says(
        "000.18",
        "on malloc and free, letting memory pile up risks leaks; so CPython counts",
    )
    .unmeasured("why CPython was made so is history, and neither heap here is on malloc and free"),
    says(
        "000.19",
        "native libraries (TensorFlow) give the lock up themselves",
    )
    .unmeasured("a fact about libraries that are not run here; for what follows see 001.4"),
    says(
        "000.20",
        "the lock does not make programs thread-safe: protect explicitly",
    ),
    says(
        "000.21",
        "removing the lock must not slow one thread, and that is hard",
    ),
    says("000.22", "cycles need a collector of their own"),
    says(
        "001.1",
        "one thread at a time hampers computing on several cores",
    ),
    says(
        "001.2",
        "loading data in parallel with processes works, and is complicated for users",
    ),
    says(
        "001.3",
        "threads may switch every 5 ms, best effort: a long operation is not interrupted",
    ),
    says(
        "001.4",
        "native code that runs long without objects can give the lock up and run in parallel; if \
         it touches objects it must take it again, which is a bottleneck",
    ),
    says("001.5", "sleep gives the lock up: others run meanwhile"),
    says(
        "001.6",
        "heavy computing that keeps the lock blocks the others",
    ),
    says("001.7", "several processes have a lock each"),
    says(
        "001.8",
        "Java's threads do both kinds of work, computing and waiting, efficiently",
    ),
    says(
        "001.9",
        "without the lock (PEP 703) one expects 10-15 % less speed, and scaling over cores",
    ),
    says(
        "002.1",
        "several threads perform like one or worse, because of switching",
    ),
    says(
        "002.2",
        "taking and giving the lock often, and scheduling, can make it slower",
    ),
    says(
        "002.3",
        "contention and fairness: with many threads and fine-grained work latency grows",
    ),
    says(
        "002.4",
        "waiting work gives the lock up, and throughput grows",
    ),
    says("002.5", "counts must be exact, or the collector fails"),
    says(
        "003.1",
        "blocking input/output gives the lock up and takes it again to go on",
    ),
    says(
        "003.2",
        "four sums of squares below 10,000,000: threads 16.00 s (each reports 4.00 s, which \
         cannot both be so), processes 4.00 s",
    ),
    says(
        "003.3",
        "racing counts leak memory, or free what is still referenced",
    ),
    says(
        "003.4",
        "children in parallel: ten that sleep 1 s end within 1.08 s, one after another in 10 s or \
         more; a time-out guards against one that hangs",
    ),
    says(
        "003.5",
        "the lock does not protect data: `+=` is a read, an addition and a write; 5 threads x \
         100,000 ended at 497,831; with a lock of its own always 500,000",
    ),
    says(
        "003.6",
        "threads are treated fairly: their run times come out nearly equal",
    ),
    says(
        "003.7",
        "nobody can know where a thread is suspended; structures can be broken between two steps",
    ),
    says(
        "003.8",
        "a pipeline of polled queues: 1,000 items took 3,009 polls over three workers that sleep \
         0.1 s when empty; stages of different speed starve each other; waiting for the end is \
         busy waiting; workers have no way to stop; a queue before a slow stage grows without \
         bound",
    ),
    says(
        "003.9",
        "a blocking queue needs no polling; a bounded one holds memory down; counting finished \
         tasks ends it without polling",
    ),
    says(
        "003.10",
        "fan-out and fan-in have several tools, each with its price",
    ),
    says(
        "004.1",
        "racing counts delete objects that are in use, or lose memory",
    ),
    says(
        "004.2",
        "20 x 10,000,000 increments: one after another 7.90 / 7.65 / 7.72 s, on 20 threads 7.43 / \
         7.39 / 7.31 s: hardly a difference",
    ),
    says(
        "004.3",
        "the same with a sleep of 0.1 s each: 9.99 / 9.93 / 10.23 s against 7.46 / 7.33 / 7.62 s",
    ),
    says(
        "004.4",
        "with processes (8 cores): 9.84 / 9.90 / 10.18 s against 2.11 / 2.11 / 1.96 s; memory and \
         processor utilisation rise",
    ),
];

/// The table of all of them in Markdown: what is said, and which experiments judge it or why none
/// does.
pub fn table() -> String {
    let mut text = "| id | statement | judged by |\n| --- | --- | --- |\n".to_owned();
    for statement in STATEMENTS {
        let judged = match statement.unmeasured {
            Some(why) => format!("none: {why}"),
            None => statement.experiments().join(", "),
        };
        text.push_str(&format!(
            "| {} | {} | {judged} |\n",
            statement.id, statement.words
        ));
    }
    text
}

/// How many of the statements hold, and which do not, in a sentence or two. Empty if nothing was
/// judged.
pub fn summary(judged: &[Judged]) -> String {
    if judged.is_empty() {
        return String::new();
    }
    let of = |verdict| -> Vec<&str> {
        let statements = STATEMENTS.iter();
        let of_verdict = statements.filter(|one| one.verdict(judged) == Some(verdict));
        of_verdict.map(|one| one.id).collect()
    };
    let [holds, fails, undecided] = [Verdict::Holds, Verdict::Fails, Verdict::Undecided].map(of);
    let which = |ids: &[&str]| match ids {
        [] => String::new(),
        ids => format!(" ({})", ids.join(", ")),
    };
    format!(
        "Of the documents' {} statements {} were judged: {} hold, {} do not{}, {} undecided.",
        STATEMENTS.len(),
        holds.len() + fails.len() + undecided.len(),
        holds.len(),
        fails.len(),
        which(&fails),
        undecided.len(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_claim_names_what_it_judges_or_is_ours() {
        for experiment in EXPERIMENTS {
            for claim in experiment.claims {
                let name = format!("{}: {}", experiment.name, claim.statement);
                assert!(claim.is_ours == claim.judges.is_empty(), "{name}");
                for id in claim.judges {
                    let mut known = STATEMENTS.iter();
                    assert!(known.any(|statement| statement.id == *id), "{name}: {id}");
                }
            }
        }
    }

    #[test]
    fn every_statement_is_judged_or_says_why_not() {
        for (index, statement) in STATEMENTS.iter().enumerate() {
            let id = statement.id;
            let mut before = STATEMENTS[..index].iter();
            assert!(before.all(|other| other.id != id), "{id}");
            let is_judged = !statement.experiments().is_empty();
            assert!(is_judged != statement.unmeasured.is_some(), "{id}");
        }
    }

    #[test]
    fn the_page_of_the_claims_has_the_table() {
        let page = include_str!("../../../docs/claims.md");
        let table = table();
        assert!(
            page.contains(&table),
            "docs/claims.md should have:\n{table}"
        );
    }
}
