//! Which guest a blocking thread takes next.
//!
//! Purpose: a multilevel feedback queue. A guest begins at the top, and what it uses moves it
//! down, so that a short one ends soon beside endless ones. At each level, routes take turns. A
//! route's guests come one after the other, for that ends more of them in time than sharing,
//! except at the last level, where some may be endless: there they take turns. Owner: the
//! blocking executor, behind its lock. Invariant: no level waits for ever: of [`WHEEL`]'s turns
//! each has some.

use std::{collections::VecDeque, time::Duration};

/// Levels, the one of the shortest first.
pub(super) const LEVELS: usize = 3;

/// What a guest may use before it moves down to the next level.
const STEPS: [Duration; LEVELS - 1] = [Duration::from_millis(20), Duration::from_millis(200)];

/// Whose turn it is, if somebody waits there.
const WHEEL: [usize; 8] = [0, 1, 0, 0, 1, 0, 0, 2];

/// Where a guest waits that has used so much.
pub(super) fn level(used: Duration) -> usize {
    STEPS.iter().take_while(|step| used >= **step).count()
}

/// What waits, by level.
#[derive(Debug)]
pub(super) struct Queue<T> {
    levels: [Level<T>; LEVELS],
    turns: usize,
}

/// The routes of which something waits, in the order of their turns.
#[derive(Debug)]
struct Level<T> {
    routes: VecDeque<(usize, VecDeque<T>)>,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self { levels: std::array::from_fn(|_| Level { routes: VecDeque::new() }), turns: 0 }
    }

    /// Lets `item` of this route wait behind those which have used as much.
    pub(super) fn push(&mut self, route: usize, used: Duration, item: T) {
        let routes = &mut self.levels[level(used)].routes;
        match routes.iter_mut().find(|(other, _)| *other == route) {
            Some((_, waiting)) => waiting.push_back(item),
            None => routes.push_back((route, VecDeque::from([item]))),
        }
    }

    /// Lets `item`, which had used `before` when it was taken, wait for its next turn.
    pub(super) fn push_again(&mut self, route: usize, before: Duration, used: Duration, item: T) {
        let at = level(used);
        if at == LEVELS - 1 || at != level(before) {
            return self.push(route, used, item);
        }
        let routes = &mut self.levels[at].routes;
        match routes.iter_mut().find(|(other, _)| *other == route) {
            Some((_, waiting)) => waiting.push_front(item),
            None => routes.push_back((route, VecDeque::from([item]))),
        }
    }

    /// Takes whoever's turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        let turn = WHEEL[self.turns % WHEEL.len()];
        self.turns = self.turns.wrapping_add(1);
        let others = (0..LEVELS).filter(|level| *level != turn);
        std::iter::once(turn).chain(others).find_map(|level| self.levels[level].pop())
    }

    /// Takes out what `is_meant`.
    pub(super) fn remove(&mut self, is_meant: impl Fn(&T) -> bool) -> Option<T> {
        self.levels.iter_mut().find_map(|level| {
            level.routes.iter_mut().find_map(|(_, waiting)| {
                let at = waiting.iter().position(&is_meant)?;
                waiting.remove(at)
            })
        })
    }
}

impl<T> Level<T> {
    fn pop(&mut self) -> Option<T> {
        // Those from which all was taken out have no turn.
        while let Some((route, mut waiting)) = self.routes.pop_front() {
            let Some(item) = waiting.pop_front() else { continue };
            if !waiting.is_empty() {
                self.routes.push_back((route, waiting));
            }
            return Some(item);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    const NOTHING: Duration = Duration::ZERO;
    const MUCH: Duration = Duration::from_secs(9);

    #[test]
    fn a_short_one_goes_before_long_ones_that_came_first() {
        let mut queue = Queue::new();
        for long in ["long 1", "long 2"] {
            queue.push(0, MUCH, long);
        }
        queue.push(0, NOTHING, "short");
        assert_eq!(queue.pop(), Some("short"));
        assert_eq!(queue.pop(), Some("long 1"));
    }

    #[test]
    fn routes_take_turns() {
        let mut queue = Queue::new();
        for item in ["a1", "a2", "a3"] {
            queue.push(7, NOTHING, item);
        }
        queue.push(8, NOTHING, "b1");
        queue.push(8, NOTHING, "b2");
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, ["a1", "b1", "a2", "b2", "a3"]);
    }

    #[test]
    fn one_is_ended_before_the_next_begins_unless_it_may_be_endless() {
        let mut queue = Queue::new();
        let ms = Duration::from_millis;
        queue.push(0, ms(30), "long 2");
        queue.push_again(0, ms(20), ms(30), "long 1");
        queue.push_again(0, ms(15), ms(25), "longer than short");
        queue.push(0, ms(300), "endless 2");
        queue.push_again(0, ms(290), ms(300), "endless 1");
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        let longs: Vec<_> = order.iter().filter(|item| item.starts_with("long")).collect();
        assert_eq!(longs, [&"long 1", &"long 2", &"longer than short"]);
        let endless: Vec<_> = order.iter().filter(|item| item.starts_with("endless")).collect();
        assert_eq!(endless, [&"endless 2", &"endless 1"]);
    }

    #[test]
    fn long_ones_have_turns_beside_ever_new_short_ones() {
        let mut queue = Queue::new();
        for level in [Duration::from_millis(20), Duration::from_millis(200)] {
            queue.push(0, level, true);
        }
        let mut turns = 0;
        for _ in 0..8 {
            queue.push(1, NOTHING, false);
            turns += usize::from(queue.pop() == Some(true));
        }
        assert_eq!(turns, 2);
    }

    #[test]
    fn what_is_taken_out_has_no_turn() {
        let mut queue = Queue::new();
        for item in 0..3 {
            queue.push(item, NOTHING, item);
        }
        assert_eq!(queue.remove(|item| *item == 1), Some(1));
        assert_eq!(queue.remove(|item| *item == 1), None);
        assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some(0), Some(2), None));
    }

    proptest! {
        /// Whatever comes in goes out once, and nobody waits for more turns than the wheel
        /// and all those before it explain.
        #[test]
        fn everything_has_its_turn(items in vec((0..4_usize, 0..400_u64), 0..60)) {
            let mut queue = Queue::new();
            for (number, (route, millis)) in items.iter().enumerate() {
                queue.push(*route, Duration::from_millis(*millis), number);
            }
            let order: Vec<usize> = std::iter::from_fn(|| queue.pop()).collect();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..items.len()).collect::<Vec<_>>());
            // Within a route and a level, who came first goes first.
            let mut last: BTreeMap<(usize, usize), usize> = BTreeMap::new();
            for number in order {
                let (route, millis) = items[number];
                let place = (route, level(Duration::from_millis(millis)));
                let before = last.insert(place, number);
                prop_assert!(before.is_none_or(|before| before < number));
            }
        }
    }
}
