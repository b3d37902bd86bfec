//! A position that says of which log it is.

use std::fmt;

use pgwal::{Lsn, TimelineId};

/// A position in one server's log: what somebody who keeps something over a restart must know to go on there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPosition {
    /// That of the server and its copies (`ControlFileData.system_identifier`).
    pub system_identifier: u64,
    /// The timeline of the record that ends here.
    pub timeline: TimelineId,
    /// Where that record ends, and the next one begins.
    pub lsn: Lsn,
}

impl fmt::Display for LogPosition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { system_identifier, timeline, lsn } = self;
        write!(formatter, "{lsn} on timeline {timeline} of system {system_identifier}")
    }
}
