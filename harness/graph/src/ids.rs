//! From what a dump calls an object to its number.
//!
//! Dumps call objects by addresses: numbers without order or bound. They are sorted once, with the
//! place of each in the dump; a table by their upper bits then leads to the few that a search has
//! to look at. References mostly lead near where they come from, so that a search mostly stays in
//! the cache.
//!
//! Rejected: a hash table (twice the memory, and a miss for every reference).

/// Objects by what the dump calls them.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    /// What the objects are called, rising.
    ids: Vec<u64>,
    /// The place of each in the dump; empty if the dump has them in this order.
    places: Vec<u32>,
    /// Where the ids of each slice of their range begin.
    slices: Vec<u32>,
    shift: u32,
    duplicates: usize,
}

impl Ids {
    /// Of objects that the dump has in this order. Of those that are called alike the first is
    /// meant.
    pub(crate) fn new(mut ids: Vec<u64>) -> Self {
        let total = ids.len();
        let rising = ids.is_sorted_by(|a, b| a < b);
        let mut places = Vec::new();
        if !rising {
            places = (0..total as u32).collect();
            places.sort_unstable_by_key(|&place| (ids[place as usize], place));
            places.dedup_by_key(|place| ids[*place as usize]);
            places.shrink_to_fit();
            ids = places.iter().map(|&place| ids[place as usize]).collect();
        }
        ids.shrink_to_fit();
        let mut this = Self {
            duplicates: total - ids.len(),
            ids,
            places,
            slices: Vec::new(),
            shift: 0,
        };
        this.slice();
        this
    }

    /// Fills the table: about four ids a slice, if they are spread evenly.
    fn slice(&mut self) {
        let (Some(&first), Some(&last)) = (self.ids.first(), self.ids.last()) else {
            return;
        };
        let wanted = (self.ids.len() / 4).max(2).next_power_of_two() as u64;
        while (last - first) >> self.shift >= wanted {
            self.shift += 1;
        }
        let slices = ((last - first) >> self.shift) as usize + 1;
        self.slices = vec![0; slices + 1];
        for &id in &self.ids {
            self.slices[((id - first) >> self.shift) as usize + 1] += 1;
        }
        for slice in 1..self.slices.len() {
            self.slices[slice] += self.slices[slice - 1];
        }
    }

    /// The place in the dump of the object that is called so.
    pub(crate) fn place(&self, id: u64) -> Option<usize> {
        let offset = id.checked_sub(*self.ids.first()?)?;
        let slice = (offset >> self.shift) as usize;
        let begin = *self.slices.get(slice)? as usize;
        // Behind the last slice there is one that is empty.
        let end = *self.slices.get(slice + 1)? as usize;
        let found = begin + self.ids[begin..end].binary_search(&id).ok()?;
        Some(match self.places.get(found) {
            Some(&place) => place as usize,
            None => found,
        })
    }

    /// How many objects were called as another before them.
    pub(crate) fn duplicates(&self) -> usize {
        self.duplicates
    }

    /// The places of all objects in the order of their ids; `None` if that is the order in which
    /// the dump has them.
    pub(crate) fn into_order(self) -> Option<Vec<u32>> {
        (!self.places.is_empty()).then_some(self.places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_object_is_found_by_what_it_is_called(
            ids in proptest::collection::vec(prop_oneof![0..40u64, any::<u64>()], 0..200),
            others in proptest::collection::vec(any::<u64>(), 0..20),
        ) {
            let first = |id: u64| ids.iter().position(|&other| other == id);
            let found = Ids::new(ids.clone());
            for id in ids.iter().copied().chain(others).chain([0, 1, u64::MAX]) {
                prop_assert_eq!(found.place(id), first(id));
            }
            prop_assert_eq!(Ids::new(vec![0, 1]).place(u64::MAX), None);
            let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
            prop_assert_eq!(found.duplicates(), ids.len() - distinct.len());
            let order: Vec<u64> = match found.into_order() {
                Some(order) => order.into_iter().map(|place| ids[place as usize]).collect(),
                None => ids.clone(),
            };
            prop_assert!(order.into_iter().eq(distinct.into_iter().copied()));
        }
    }
}
