//! When free memory goes back to the system.

use std::time::Duration;

/// How long free memory has not been needed: it rests for a few stages before it is given back to
/// the system, because a page fault costs far more than a page that stays (a program whose need
/// goes up and down within seconds would pay at every rise).
///
/// A block is not followed through the stages. What counts is how many free blocks were left over
/// when the supply was lowest: that many have not been needed, whichever they were, as the supply
/// is a stack.
pub(crate) struct Ageing {
    /// How long a stage lasts, in nanoseconds.
    length: Option<u64>,
    pub(crate) stage: u64,
    began: u64,
    /// Fewest free blocks left over in each of the last stages; the current one is first.
    unused: [usize; Self::STAGES],
}

impl Ageing {
    pub(crate) const STAGES: usize = 4;

    pub(crate) fn new(release_after: Option<Duration>) -> Self {
        let length = |after: Duration| {
            u64::try_from(after.as_nanos() / Self::STAGES as u128).unwrap_or(u64::MAX)
        };
        Self {
            length: release_after.map(length),
            stage: 0,
            began: 0,
            unused: [usize::MAX, 0, 0, 0],
        }
    }

    pub(crate) fn note_unused(&mut self, blocks: usize) {
        self.unused[0] = self.unused[0].min(blocks);
    }

    /// Begins a new stage if it is time, and says how many blocks have not been needed through all
    /// stages.
    pub(crate) fn advance(&mut self, now: u64) -> Option<usize> {
        if now.saturating_sub(self.began) < self.length? {
            return None;
        }
        let unused = self.unused.into_iter().min()?;
        self.unused.rotate_right(1);
        self.unused[0] = usize::MAX;
        // What is released now is not there to be unused in the stages to come.
        for left in &mut self.unused[1..] {
            *left -= unused;
        }
        self.stage += 1;
        self.began = now;
        Some(unused)
    }
}
