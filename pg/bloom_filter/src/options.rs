//! Storage parameters: `length`, and for each column how many bits its values set.

use bloom_filter::{DEFAULT_BITS, DEFAULT_LENGTH, Layout, MAX_BITS, MAX_COLUMNS, MAX_LENGTH};
use index_access_method::{Index, IntegerOption};
use std::ffi::CStr;

use crate::access_method::BloomFilter;

/// The same names as those of contrib's `bloom`.
const COLUMNS: [&CStr; MAX_COLUMNS] = [
    c"col1", c"col2", c"col3", c"col4", c"col5", c"col6", c"col7", c"col8", c"col9", c"col10", c"col11", c"col12",
    c"col13", c"col14", c"col15", c"col16", c"col17", c"col18", c"col19", c"col20", c"col21", c"col22", c"col23",
    c"col24", c"col25", c"col26", c"col27", c"col28", c"col29", c"col30", c"col31", c"col32",
];

/// First the length, then the columns.
pub(crate) const OPTIONS: [IntegerOption; MAX_COLUMNS + 1] = {
    let mut options = [IntegerOption {
        name: c"length",
        description: c"Length of signature in bits",
        default: DEFAULT_LENGTH as i32,
        minimum: 1,
        maximum: MAX_LENGTH as i32,
    }; MAX_COLUMNS + 1];
    let mut column = 0;
    while column < MAX_COLUMNS {
        options[column + 1] = IntegerOption {
            name: COLUMNS[column],
            description: c"Number of bits that a value of this column sets",
            default: DEFAULT_BITS as i32,
            minimum: 1,
            maximum: MAX_BITS as i32,
        };
        column += 1;
    }
    options
};

/// What was asked for when the index was made.
pub(crate) fn layout(index: Index<'_>) -> Layout {
    let options: Vec<u16> = index.options::<BloomFilter>().into_iter().flat_map(u16::try_from).collect();
    let layout = match options.split_first() {
        Some((length, bits)) => bits.try_into().ok().and_then(|bits| Layout::new(*length, bits)),
        None => None,
    };
    // PostgreSQL has looked at the ranges.
    layout.unwrap_or_default()
}
