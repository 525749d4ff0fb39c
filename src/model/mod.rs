//! Pure nouns and their rules: nothing here knows of HTTP, SQL, files or keys.
//!
//! The card: [`card`], [`id`], and what happens to it: [`event`]. The record that a card is made from, in the order in which a row becomes one:
//! [`catalogue`] (which fields there are) and [`rule`] (what a value must look like), [`cell`] (what spreadsheets make of
//! it), [`intake`] (a row in; [`upload`]s bring many), [`amendment`] (what it does to a record that is there),
//! [`record`] (what comes out) or [`row_fault`] (why not), [`quality`] (how good it is), [`person`] (the match with the
//! population database, and the verified record that it allows). Every version has an [`origin`]; what changes between two is
//! a [`patch`]. They lean on [`agency`], [`unit`], [`code_list`],
//! [`partial_date`], [`value`] and [`text`].
//!
//! Who works in a unit's office, and what they may do: [`officer`], [`rights`].
//! Months are approved by signature: [`approval`], by the days of [`calendar`].
//!
//! [`json`] reads what strangers send, for all rooms.

pub mod agency;
pub mod amendment;
pub mod approval;
pub mod calendar;
pub mod card;
pub mod catalogue;
pub mod cell;
pub mod code_list;
pub mod event;
pub mod evidence;
pub mod gate;
pub mod id;
pub mod intake;
pub mod json;
pub mod officer;
pub mod origin;
pub mod partial_date;
pub mod patch;
pub mod person;
pub mod population;
pub mod presentation;
pub mod proposal;
pub mod quality;
pub mod record;
pub mod reorganisation;
pub mod review;
pub mod rights;
pub mod row_fault;
pub mod rule;
pub mod self_update;
pub mod status;
pub mod text;
pub mod unit;
pub mod upload;
pub mod value;
