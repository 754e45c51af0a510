//! The zoo: each way in which a carrier misbehaves, alone and always, and what becomes of messages then.
//!
//! In each story 20 messages go to a carrier that never behaves otherwise, and everything is over before the world heals; then two
//! probes are delivered, which shows that nothing was left behind. What the judge checks in any world it checks here too.

use std::time::Duration;

use shards::plan::{Binds, Doubt};
use tests::story::{Manner, Story};
use wire::id::Class;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A message may be sent for 10 s, waits 20 s for its receipt, and 8 s in doubt, before it is given up.
fn world(seed: u64, manner: Manner) -> Story {
    Story::calm(seed).carrier_that(0, manner, 1_000).plan(|plan| {
        for class in &mut plan.classes {
            (class.validity, class.receipt_wait, class.doubt_wait) = (seconds(10), seconds(20), seconds(8));
            class.doubt = Doubt::GiveUp;
        }
    })
}

/// How it ends.
fn outcome(story: Story) -> String {
    let mut world = story.begin();
    world.submit(20, Class::Transactional);
    world.run_for(seconds(45));
    world.end().to_string()
}

#[test]
fn a_carrier_that_lets_nobody_in_gets_nothing_and_messages_expire() {
    assert_eq!(outcome(world(101, Manner::RefusesBinds)), "delivered 2, expired 20; 0 doubts");
}

#[test]
fn a_silent_carrier_leaves_messages_in_doubt_and_they_end_as_unknown() {
    assert_eq!(outcome(world(102, Manner::Silent)), "delivered 2, unknown 20; 20 doubts");
}

#[test]
fn a_carrier_that_always_throttles_is_asked_again_until_messages_expire() {
    assert_eq!(outcome(world(103, Manner::Throttles)), "delivered 2, expired 20; 0 doubts");
}

#[test]
fn a_carrier_that_cannot_now_is_asked_again_until_messages_expire() {
    assert_eq!(outcome(world(104, Manner::HasASystemError)), "delivered 2, expired 20; 0 doubts");
}

#[test]
fn what_a_carrier_refuses_for_good_has_failed() {
    assert_eq!(outcome(world(105, Manner::RefusesForGood)), "delivered 2, failed 20; 0 doubts");
}

#[test]
fn a_generic_nack_of_a_message_refuses_it_for_good() {
    assert_eq!(outcome(world(106, Manner::Nacks)), "delivered 2, failed 20; 0 doubts");
}

#[test]
fn a_generic_nack_without_a_number_is_no_answer_and_leaves_a_doubt() {
    assert_eq!(outcome(world(107, Manner::NacksWithoutNumber)), "delivered 2, unknown 20; 20 doubts");
}

#[test]
fn a_carrier_that_unbinds_in_mid_window_answers_first_and_nothing_is_in_doubt() {
    assert_eq!(outcome(world(108, Manner::UnbindsInMidWindow)), "delivered 22; 0 doubts");
}

#[test]
fn a_carrier_that_breaks_the_connection_in_mid_window_leaves_messages_in_doubt() {
    assert_eq!(outcome(world(109, Manner::BreaksInMidWindow)), "delivered 2, unknown 20; 20 doubts");
}

#[test]
fn an_answer_that_comes_late_settles_the_doubt() {
    assert_eq!(outcome(world(110, Manner::AnswersLate)), "delivered 22; 17 doubts");
}

#[test]
fn a_receipt_that_overtakes_its_answer_is_kept_for_it() {
    assert_eq!(outcome(world(111, Manner::ReceiptFirst)), "delivered 22; 0 doubts");
}

#[test]
fn a_late_receipt_is_waited_for() {
    assert_eq!(outcome(world(112, Manner::ReceiptLate)), "delivered 22; 0 doubts");
}

#[test]
fn a_receipt_that_comes_twice_counts_once() {
    assert_eq!(outcome(world(113, Manner::ReceiptTwice)), "delivered 22; 0 doubts");
}

#[test]
fn a_message_whose_receipt_never_comes_ends_as_unknown() {
    assert_eq!(outcome(world(114, Manner::ReceiptNever)), "delivered 2, unknown 20; 0 doubts");
}

#[test]
fn the_first_of_receipts_that_contradict_each_other_stands() {
    assert_eq!(outcome(world(115, Manner::ReceiptContradicts)), "delivered 22; 0 doubts");
}

#[test]
fn receipts_of_unknown_ids_and_of_other_recipients_belong_to_nobody() {
    assert_eq!(outcome(world(116, Manner::ReceiptsOfNothing)), "delivered 22; 0 doubts");
}

#[test]
fn a_receipt_that_is_not_final_ends_nothing() {
    assert_eq!(outcome(world(117, Manner::ReceiptsUnderWay)), "delivered 22; 0 doubts");
}

#[test]
fn a_message_that_was_taken_without_a_name_cannot_hear_of_its_receipt() {
    assert_eq!(outcome(world(118, Manner::Nameless)), "delivered 2, unknown 20; 0 doubts");
}

#[test]
fn a_second_answer_changes_nothing() {
    assert_eq!(outcome(world(119, Manner::AnswersTwice)), "delivered 22; 0 doubts");
}

#[test]
fn an_answer_to_what_was_never_asked_is_passed_over() {
    assert_eq!(outcome(world(120, Manner::AnswersToNothing)), "delivered 22; 0 doubts");
}

#[test]
fn what_a_carrier_lost_ends_as_its_receipt_says() {
    assert_eq!(outcome(world(121, Manner::LosesMessages)), "delivered 2, failed 15, unknown 5; 0 doubts");
}

/// Receipts come on whichever bind the carrier likes, and binds are on three shards.
#[test]
fn a_receipt_on_another_shards_bind_finds_its_message() {
    let story = world(122, Manner::ReceiptTwice).plan(|plan| {
        plan.shards = 3;
        plan.carriers[0].binds = Binds::PerShard(2);
    });
    assert_eq!(outcome(story), "delivered 22; 0 doubts");
}
