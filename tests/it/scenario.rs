//! Seeds that once failed, as named stories.

#[path = "scenario/zoo.rs"]
mod zoo;

use std::time::Duration;

use shards::plan::{Binds, Doubt};
use tests::story::{Manner, Story};
use wire::id::Class;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn in_a_calm_world_everything_is_delivered_once() {
    let mut world = Story::calm(1).begin();
    world.submit(40, Class::Transactional);
    world.submit_long(Class::Marketing);
    world.run_for(seconds(5));
    assert_eq!(world.end().to_string(), "delivered 43; 0 doubts");
}

#[test]
fn a_power_cut_forgets_nothing_that_was_acknowledged() {
    let mut world = Story::calm(2).begin();
    world.submit(20, Class::Transactional);
    world.run_for(Duration::from_millis(45));
    world.lose_power();
    world.run_for(seconds(5));
    // What was under way is doubtful, and this class allows it to be sent again. What is checked is in the judge.
    let _ = world.end();
}

/// The link named a time-out in the past, and the shell took turn after turn until the answer came.
#[test]
fn a_link_whose_pace_is_free_and_whose_window_is_full_wants_no_turn() {
    let story = Story::calm(3).carrier_that(0, Manner::AnswersLate, 1_000);
    let mut world = story
        .plan(|plan| {
            plan.carriers[0].profile.window_pdus = 1;
            plan.carriers[0].profile.rate_per_s = Some(20);
            plan.carriers[0].profile.timers.response = seconds(20);
        })
        .begin();
    world.submit(6, Class::Transactional);
    world.run_for(seconds(20));
    assert_eq!(world.end().to_string(), "delivered 8; 0 doubts");
}

/// The same after a carrier asked for less: the pause was over, the window was not free.
#[test]
fn a_link_whose_pause_is_over_and_whose_window_is_full_wants_no_turn() {
    let story =
        Story::calm(4).carrier_that(0, Manner::AnswersLate, 800).carrier_that(0, Manner::Throttles, 300);
    let mut world = story
        .plan(|plan| {
            plan.carriers[0].profile.window_pdus = 2;
            plan.carriers[0].profile.timers.response = seconds(20);
        })
        .begin();
    world.submit(20, Class::Transactional);
    world.run_for(seconds(30));
    assert_eq!(world.end().to_string(), "delivered 22; 0 doubts");
}

/// Keys are forgotten when a record is applied; a full table refused every record that would have done it.
#[test]
fn a_key_table_that_was_full_takes_keys_again() {
    let story = Story::calm(5).plan(|plan| {
        plan.keys_max = 64;
        plan.classes.iter_mut().for_each(|class| {
            (class.validity, class.receipt_wait) = (seconds(3), seconds(3));
        });
    });
    let mut world = story.begin();
    world.submit(100, Class::Transactional);
    world.run_for(seconds(15));
    let _ = world.end();
}

/// It ended as expired, which says that no carrier took it.
#[test]
fn a_message_that_was_doubtful_and_found_no_carrier_again_is_unknown() {
    let story =
        Story::calm(6).carrier_that(0, Manner::Silent, 900).carrier_that(0, Manner::BreaksInMidWindow, 900);
    let mut world = story
        .carrier_that(0, Manner::RefusesBinds, 500)
        .plan(|plan| {
            plan.classes.iter_mut().for_each(|class| {
                (class.validity, class.receipt_wait, class.doubt_wait) = (seconds(1), seconds(2), seconds(0));
                class.doubt = Doubt::SendAgain;
            });
        })
        .begin();
    for _ in 0..60 {
        world.submit(2, Class::Otp);
        world.run_for(Duration::from_millis(500));
    }
    let _ = world.end();
}

/// A segment that had not left was free to go at once, and took the doubt about the others with it.
#[test]
fn a_segment_that_never_left_does_not_hasten_the_doubt_about_another() {
    let story = Story::calm(8).carrier_that(0, Manner::BreaksInMidWindow, 300);
    let mut world = story
        .plan(|plan| {
            plan.carriers[0].profile.window_pdus = 2;
            plan.classes.iter_mut().for_each(|class| class.doubt_wait = seconds(1));
        })
        .begin();
    (0..10).for_each(|_| world.submit_long(Class::Transactional));
    world.run_for(seconds(20));
    let _ = world.end();
}

/// Two carriers share a long message after one refused a segment: receipts of both find it.
#[test]
fn a_long_message_that_two_carriers_brought_hears_of_both() {
    let story = Story::calm(9).carriers(2).carrier_that(0, Manner::HasASystemError, 300);
    let mut world = story.begin();
    (0..10).for_each(|_| world.submit_long(Class::Transactional));
    world.run_for(seconds(20));
    assert_eq!(world.end().to_string(), "delivered 12; 0 doubts");
}

/// A carrier of one bind, a window of one, and three cores: two of them borrow, long messages too.
#[test]
fn shards_without_a_link_of_their_own_send_by_the_link_of_another() {
    let story = Story::calm(10).plan(|plan| {
        plan.shards = 3;
        plan.carriers[0].binds = Binds::OfNode(1);
        plan.carriers[0].profile.window_pdus = 1;
    });
    let mut world = story.begin();
    world.submit(30, Class::Transactional);
    world.submit_long(Class::Otp);
    world.submit_long(Class::Marketing);
    world.run_for(seconds(20));
    assert!(world.lent() > 0, "nothing was lent");
    assert_eq!(world.end().to_string(), "delivered 34; 0 doubts");
}

/// Three shards share a carrier's rate of two segments a second: it is neither six nor two thirds.
#[test]
fn a_rate_is_one_for_all_shards_and_can_be_less_than_they_are_many() {
    let story = Story::calm(11).plan(|plan| {
        plan.shards = 3;
        plan.carriers[0].profile.rate_per_s = Some(2);
    });
    let mut world = story.begin();
    world.submit(24, Class::Transactional);
    world.run_for(seconds(20));
    // The judge has counted that there were not more; that there were not less shows in that they are over.
    assert_eq!(world.end().to_string(), "delivered 26; 0 doubts");
}

#[test]
fn seeds_of_every_kind_of_world_keep_all_promises() {
    let report = tests::run::seeds(1, 60, tests::run::Options::default(), 1);
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    assert!(report.sights.doubts > 0 && report.sights.deaths > 0 && report.sights.replays > 0);
}

/// Two accounts share what a carrier takes, over two shards. One sends its half of that, or ten times its half; the other a tenth.
#[test]
fn an_account_at_ten_times_its_share_does_not_slow_another() {
    /// Segments a second that the carrier takes.
    const RATE: usize = 2_000;
    /// Messages of the quiet account, one in each step.
    const MESSAGES: usize = 1_000;
    let step = Duration::from_secs(10) / u32::try_from(RATE).expect("it fits");
    let delays_beside = |seed: u64, noisy_each_step: usize| {
        let story = Story::calm(seed).customers(2).plan(|plan| {
            plan.shards = 2;
            plan.carriers[0].profile.rate_per_s = u32::try_from(RATE).ok();
            plan.carriers[0].profile.window_pdus = 1_000;
            plan.accounts[1].open_messages_max = 500;
        });
        let mut world = story.begin();
        for _ in 0..MESSAGES {
            world.submit(1, Class::Transactional);
            world.submit_as(1, noisy_each_step, Class::Transactional);
            world.run_for(step);
        }
        world.run_for(seconds(1));
        let delays = world.delays(0);
        assert_eq!(delays.len(), MESSAGES, "all arrived");
        delays
    };
    // Of several worlds, since a hundredth of one is few messages.
    let p99_beside = |noisy_each_step: usize| {
        let mut delays: Vec<_> = (12..20).flat_map(|seed| delays_beside(seed, noisy_each_step)).collect();
        delays.sort_unstable();
        delays[delays.len() * 99 / 100]
    };
    let (share, ten) = (p99_beside(5), p99_beside(50));
    assert!(ten <= share + share / 10, "{ten:?} beside ten times the share, {share:?} beside one");
}

/// Receipts are lost, and the carrier knows: it is asked before the wait for them is over.
#[test]
fn a_carrier_that_sends_no_receipts_is_asked_and_believed() {
    let story = Story::calm(9).carrier_that(0, Manner::ReceiptNever, 1_000);
    let mut world = story.plan(|plan| plan.carriers[0].profile.queries = true).begin();
    world.submit(10, Class::Transactional);
    world.submit_long(Class::Notification);
    world.run_for(seconds(125));
    assert_eq!(world.end().to_string(), "delivered 13; 0 doubts");
}

/// The same where the shard of the message has no link of its own.
#[test]
fn a_shard_without_a_link_asks_by_another() {
    let story = Story::calm(10).carrier_that(0, Manner::ReceiptNever, 1_000);
    let mut world = story
        .plan(|plan| {
            plan.shards = 3;
            plan.carriers[0].binds = Binds::OfNode(1);
            plan.carriers[0].profile.queries = true;
        })
        .begin();
    world.submit(30, Class::Marketing);
    world.run_for(seconds(125));
    assert_eq!(world.end().to_string(), "delivered 32; 0 doubts");
}

/// A part that was refused for now went again by whichever link had room.
#[test]
fn what_is_left_of_a_text_goes_by_the_link_by_which_the_rest_went() {
    for manner in [Manner::Throttles, Manner::HasASystemError] {
        let story = Story::calm(13).carrier_that(0, manner, 400).plan(|plan| {
            plan.carriers[0].binds = Binds::PerShard(4);
            plan.carriers[0].profile.window_pdus = 4;
            plan.classes.iter_mut().for_each(|class| class.validity = seconds(3_600));
        });
        let mut world = story.begin();
        for _ in 0..40 {
            world.submit_long(Class::Transactional);
            world.submit(2, Class::Otp);
            world.run_for(Duration::from_millis(200));
        }
        world.run_for(seconds(600));
        assert_eq!(world.end().to_string(), "delivered 122; 0 doubts", "{manner:?}");
    }
}
