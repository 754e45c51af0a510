//! The zoo: how carriers misbehave, one small type to a misbehaviour.
//!
//! A carrier makes an honest plan for a submission; its habits then bend it, each with some probability. What the judge
//! holds against the engine is what the carrier really did.

use wire::smpp::state::MessageState;
use wire::smpp::status::CommandStatus;

use crate::dice::Dice;
use crate::swarm::{MS, S};

/// What a carrier will do about one submission.
#[derive(Clone, Debug)]
pub(crate) struct Treatment {
    pub(crate) answer: Answer,
    pub(crate) answer_after: u64,
    pub(crate) receipts: Vec<PlannedReceipt>,
    pub(crate) then: Then,
    pub(crate) echo: Echo,
}

/// What it says beside its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Echo {
    Nothing,
    /// The same answer once more, so much later.
    Again(u64),
    /// An answer to what was never asked, at once.
    ToNothing,
}

/// What it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Takes,
    /// Takes it and gives it no name.
    TakesNameless,
    Refuses(CommandStatus),
    Nacks,
    NacksWithoutNumber,
    /// Takes it and says nothing.
    TakesSilently,
    /// Drops it and says nothing.
    Drops,
}

impl Answer {
    /// Whether the message will go on to the recipient.
    pub(crate) const fn takes(self) -> bool {
        matches!(self, Self::Takes | Self::TakesNameless | Self::TakesSilently)
    }
}

/// A receipt that it will send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlannedReceipt {
    pub(crate) after: u64,
    pub(crate) state: MessageState,
    pub(crate) about: About,
}

/// About which message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    This,
    /// An id that was never given.
    Unknown,
    /// This id, of another recipient to whom nothing of that id was sent.
    AnotherRecipient,
}

/// What happens to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Nothing,
    Unbinds,
    Breaks,
}

/// One misbehaviour.
pub(crate) trait Manner {
    fn bend(&self, dice: &mut Dice, treatment: &mut Treatment);
}

/// A misbehaviour and how often it shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habit {
    pub(crate) kind: Kind,
    pub(crate) per_mille: u64,
}

macro_rules! zoo {
    ($($name:ident($dice:ident, $treatment:ident) $doc:literal $body:block)*) => {
        /// The kinds of misbehaviour.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind {
            /// Does not let links in.
            RefusesBinds, $(#[doc = $doc] $name,)*
        }

        /// All of them.
        pub(crate) const KINDS: &[Kind] = &[Kind::RefusesBinds, $(Kind::$name,)*];

        impl Manner for Kind {
            fn bend(&self, dice: &mut Dice, treatment: &mut Treatment) {
                match self {
                    Self::RefusesBinds => {}
                    $(Self::$name => $name.bend(dice, treatment),)*
                }
            }
        }

        $(
            #[doc = $doc]
            struct $name;

            impl Manner for $name {
                fn bend(&self, $dice: &mut Dice, $treatment: &mut Treatment) $body
            }
        )*
    };
}

zoo! {
    Silent(dice, t) "Says nothing; the message goes on, or not." {
        t.answer = if dice.chance(500) { Answer::TakesSilently } else { Answer::Drops };
        if t.answer == Answer::Drops {
            t.receipts.clear();
        }
    }
    Throttles(dice, t) "Asks for less." {
        let statuses = [CommandStatus::ESME_RTHROTTLED, CommandStatus::ESME_RMSGQFUL];
        refuse(t, Answer::Refuses(dice.pick(&statuses)));
    }
    HasASystemError(dice, t) "Cannot now." {
        let statuses = [CommandStatus::ESME_RSYSERR, CommandStatus::ESME_RSUBMITFAIL, CommandStatus(0x0417)];
        refuse(t, Answer::Refuses(dice.pick(&statuses)));
    }
    RefusesForGood(dice, t) "Will not." {
        let statuses = [CommandStatus::ESME_RINVDSTADR, CommandStatus::ESME_RINVSRCADR];
        refuse(t, Answer::Refuses(dice.pick(&statuses)));
    }
    Nacks(_dice, t) "Answers with a `generic_nack`." {
        refuse(t, Answer::Nacks);
    }
    NacksWithoutNumber(_dice, t) "Answers with a `generic_nack` that names nothing." {
        refuse(t, Answer::NacksWithoutNumber);
    }
    UnbindsInMidWindow(_dice, t) "Unbinds while answers are owed." {
        t.then = Then::Unbinds;
    }
    BreaksInMidWindow(_dice, t) "Resets the connection while answers are owed." {
        t.then = Then::Breaks;
    }
    AnswersLate(dice, t) "Answers when nobody expects it any more." {
        t.answer_after = dice.within((500 * MS, 8 * S));
    }
    ReceiptFirst(dice, t) "The receipt overtakes the answer." {
        t.answer_after += dice.within((50 * MS, 300 * MS));
        t.receipts.iter_mut().for_each(|receipt| receipt.after = dice.within((0, 50 * MS)));
    }
    ReceiptLate(dice, t) "The receipt comes when the message may be over." {
        t.receipts.iter_mut().for_each(|receipt| receipt.after = dice.within((3 * S, 15 * S)));
    }
    ReceiptTwice(dice, t) "The receipt comes again." {
        let again: Vec<_> = t.receipts.iter().map(|receipt| {
            PlannedReceipt { after: receipt.after + dice.within((0, 2 * S)), ..*receipt }
        }).collect();
        t.receipts.extend(again);
    }
    ReceiptNever(_dice, t) "No receipt." {
        t.receipts.clear();
    }
    ReceiptContradicts(dice, t) "The next receipt says something else." {
        let states = [MessageState::Delivered, MessageState::Undeliverable, MessageState::Expired];
        if let Some(last) = t.receipts.last().copied() {
            let after = last.after + dice.within((0, 3 * S));
            t.receipts.push(PlannedReceipt { after, state: dice.pick(&states), ..last });
        }
    }
    ReceiptsOfNothing(dice, t) "A receipt about a message that it was never given." {
        let after = dice.within((0, S));
        let about = if dice.chance(500) { About::Unknown } else { About::AnotherRecipient };
        t.receipts.push(PlannedReceipt { after, state: MessageState::Delivered, about });
    }
    ReceiptsUnderWay(dice, t) "Receipts that are not final." {
        let after = dice.within((0, 200 * MS));
        t.receipts.insert(0, PlannedReceipt { after, state: MessageState::Enroute, about: About::This });
    }
    Nameless(_dice, t) "Takes messages without giving them a name." {
        if t.answer == Answer::Takes {
            t.answer = Answer::TakesNameless;
        }
    }
    AnswersTwice(dice, t) "Answers, and answers once more." {
        t.echo = Echo::Again(dice.within((0, S)));
    }
    AnswersToNothing(_dice, t) "Answers what it was never asked, too." {
        t.echo = Echo::ToNothing;
    }
    LosesMessages(dice, t) "Says that the message did not arrive." {
        let states =
            [MessageState::Undeliverable, MessageState::Rejected, MessageState::Expired, MessageState::Unknown];
        let state = dice.pick(&states);
        t.receipts.iter_mut().for_each(|receipt| receipt.state = state);
    }
}

fn refuse(treatment: &mut Treatment, answer: Answer) {
    treatment.answer = answer;
    treatment.receipts.clear();
}

/// What an honest carrier does.
pub(crate) fn honest(dice: &mut Dice) -> Treatment {
    let answer_after = dice.skewed((0, 80 * MS));
    let receipt = PlannedReceipt {
        after: answer_after + dice.within((20 * MS, 600 * MS)),
        state: MessageState::Delivered,
        about: About::This,
    };
    Treatment {
        answer: Answer::Takes,
        answer_after,
        receipts: vec![receipt],
        then: Then::Nothing,
        echo: Echo::Nothing,
    }
}
