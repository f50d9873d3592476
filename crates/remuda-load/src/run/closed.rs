//! The closed model: users, who wait for their answers.
//!
//! Owner: a thread; of all users it has every n-th. Invariant: a user has one request at a
//! time and begins none after it should have left.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::sleep_until};

use super::crew::Place;
use crate::{client::Lane, scenario::Think};

/// A user without a connection does not try again at once: a server that is away would
/// otherwise be hammered, and its absence be counted as millions of requests.
const WITHOUT_CONNECTION: Duration = Duration::from_millis(100);

/// Ends when all users have left.
pub(super) async fn users(place: &Rc<Place>, think: Think) {
    let most = place.scenario.plan.peak().ceil() as usize;
    let mut users = JoinSet::new();
    for (lane, user) in (place.index..most).step_by(place.threads).enumerate() {
        users.spawn_local(live(Rc::clone(place), user, lane, think));
    }
    while users.join_next().await.is_some() {}
}

/// A user, whenever the plan wants it.
async fn live(place: Rc<Place>, user: usize, lane: usize, think: Think) {
    // In the middle between that many users and one fewer.
    let times = place.scenario.plan.times_above(user as f64 + 0.5);
    let mut random = place.random(user);
    for (from, until) in times {
        sleep_until((place.start + from).into()).await;
        place.shared.recorder.borrow_mut().user_came();
        let is_welcome = stay(&place, lane, think, &mut random, place.start + until).await;
        place.shared.recorder.borrow_mut().user_left();
        if !is_welcome {
            return;
        }
    }
}

/// Sends until it is time to leave; whether there will be more to send.
async fn stay(
    place: &Rc<Place>,
    lane: usize,
    think: Think,
    random: &mut fastrand::Rng,
    until: Instant,
) -> bool {
    let mut lane = Lane::new(&place.shared, lane);
    // Users who have come together do not click together.
    let mut pause = think.pause(random.f64()).mul_f64(random.f64());
    loop {
        let mut now = Instant::now();
        if !pause.is_zero() {
            sleep_until((now + pause).min(until).into()).await;
            now = Instant::now();
        }
        if now >= until {
            return true;
        }
        if !place.may_send() {
            return false;
        }
        let is_connected = lane.exchange(place.choose(random), now).await;
        pause = think.pause(random.f64());
        if !is_connected {
            pause = pause.max(WITHOUT_CONNECTION);
        }
    }
}
