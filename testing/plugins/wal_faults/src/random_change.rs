//! Changes of pages that a seed and a number tell: what the extension does to the pages, and the test to its own copies.

use pgwal::{DataPage, OffsetNumber};

/// A relation grows up to here.
const MOST_BLOCKS: u32 = 24;
/// The special space: the number of the last change, and of the blocks, in block 0.
const SPECIAL: usize = 16;

/// SplitMix64.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn up_to(&mut self, limit: usize) -> usize {
        self.below(limit as u64 + 1) as usize
    }
}

/// How a change ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Finished,
    Dropped,
    /// One of the kinds of a fault, caught in a subtransaction or without one.
    Failed(&'static str, bool),
}

/// A change of up to four pages.
#[derive(Debug)]
pub(crate) struct RandomChange {
    number: u64,
    /// Blocks of the relation behind it, if it is finished.
    blocks: u32,
    pub(crate) pages: Vec<PageEdit>,
    pub(crate) outcome: Outcome,
}

/// What happens to one of its pages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageEdit {
    pub(crate) block: u32,
    pub(crate) is_full_image: bool,
    seed: u64,
}

impl RandomChange {
    /// The change of that number, in a relation of so many blocks.
    pub(crate) fn new(seed: u64, number: u64, blocks: u32) -> Self {
        let mut random =
            Random::new(seed.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ number.wrapping_mul(0x9E6C_63D0_876A_9A35));
        let grows = blocks < MOST_BLOCKS && random.below(12) == 0;
        let mut numbers = vec![0];
        for _ in 0..random.below(4) {
            let block = if grows && numbers.len() == 1 { blocks } else { random.below(u64::from(blocks)) as u32 };
            if !numbers.contains(&block) {
                numbers.push(block);
            }
        }
        let blocks = blocks.max(numbers.iter().max().map_or(0, |last| last + 1));
        let mut edit = |block| PageEdit { block, is_full_image: random.below(5) == 0, seed: random.next() };
        let pages = numbers.into_iter().map(&mut edit).collect();
        let outcome = match random.below(30) {
            0 => Outcome::Dropped,
            1 => Outcome::Failed("panic", random.below(2) == 0),
            2 => Outcome::Failed("error", random.below(2) == 0),
            3 => Outcome::Failed("raise", random.below(2) == 0),
            _ => Outcome::Finished,
        };
        Self { number, blocks, pages, outcome }
    }

    /// Changes one of the pages. What is between `pd_lower` and `pd_upper` then may be anything.
    pub(crate) fn apply(&self, edit: &PageEdit, page: &mut DataPage) {
        let mut random = Random::new(edit.seed);
        if page.is_new() {
            page.init::<SPECIAL>();
        }
        for _ in 0..=random.below(4) {
            change(&mut random, page);
        }
        if edit.block == 0
            && let Some((number, blocks)) = page.special_mut().split_at_mut_checked(8)
        {
            number.copy_from_slice(&self.number.to_le_bytes());
            blocks.copy_from_slice(&u64::from(self.blocks).to_le_bytes());
        }
        let (lower, upper) = bounds(page);
        if random.below(3) == 0 {
            page.as_bytes_mut()[lower..upper].fill(0xAA);
        }
    }
}

/// The number of the last change, and of the blocks, that block 0 tells.
pub(crate) fn last_change(first: &DataPage) -> Option<(u64, u32)> {
    let (number, blocks) = first.special().split_at_checked(8)?;
    let number = u64::from_le_bytes(number.try_into().ok()?);
    Some((number, u64::from_le_bytes(blocks.try_into().ok()?) as u32))
}

fn bounds(page: &DataPage) -> (usize, usize) {
    (usize::from(page.lower()), usize::from(page.upper()))
}

fn change(random: &mut Random, page: &mut DataPage) {
    let (lower, upper) = bounds(page);
    match random.below(10) {
        0 => page.init::<SPECIAL>(),
        1 => {
            let new = DataPage::HEADER_SIZE + random.up_to(upper - DataPage::HEADER_SIZE);
            page.set_lower(new as u16);
            write(random, page, lower, new);
        }
        2 => {
            let new = lower + random.up_to(usize::from(page.special_offset()) - lower);
            page.set_upper(new as u16);
            write(random, page, new, upper);
        }
        3 => write(random, page, DataPage::HEADER_SIZE, lower),
        4 => write(random, page, upper, DataPage::SIZE),
        5 => {
            let _ = page.add_item(&random.next().to_le_bytes().repeat(1 + random.up_to(20)));
        }
        6 => {
            // What is on the page may be no items.
            let _ = page.remove_items(&[OffsetNumber::new(1 + random.up_to(5) as u16)]);
        }
        7 => {}
        _ => {
            let byte = random.next() as u8;
            let place = if random.below(2) == 0 && lower > DataPage::HEADER_SIZE {
                DataPage::HEADER_SIZE + random.up_to(lower - DataPage::HEADER_SIZE - 1)
            } else {
                upper + random.up_to(DataPage::SIZE - upper - 1)
            };
            page.as_bytes_mut()[place] = byte;
        }
    }
}

/// Writes to part of a range; nothing if it is empty.
fn write(random: &mut Random, page: &mut DataPage, from: usize, to: usize) {
    if from < to {
        let start = from + random.up_to(to - from);
        let end = start + random.up_to(to - start);
        for byte in &mut page.as_bytes_mut()[start..end] {
            *byte = random.next() as u8;
        }
    }
}
