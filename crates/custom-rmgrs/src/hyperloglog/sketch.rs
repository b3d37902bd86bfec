//! The arithmetic of a HyperLogLog sketch.
//!
//! P. Flajolet, É. Fusy, O. Gandouet, F. Meunier: HyperLogLog (2007); hashes of 64 bits as S. Heule, M. Nunkesser and
//! A. Hall have them (2013); the estimate is O. Ertl's improved one (2017), which is right for few and for many values
//! without tables and thresholds.

use pgwal::Malformed;

use super::records::Change;

/// How many registers a sketch has: 2^precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Precision(u8);

impl Precision {
    /// 16 registers: a standard error of 26 %.
    pub const MIN: Self = Self(4);
    /// 4,096 registers: 1.6 %.
    pub const DEFAULT: Self = Self(12);
    /// 65,536 registers: 0.41 %.
    pub const MAX: Self = Self(16);

    /// The precision, if it is allowed.
    #[must_use]
    pub fn new(precision: u8) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&precision).then_some(Self(precision))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// How many registers there are.
    #[must_use]
    pub const fn registers(self) -> usize {
        1 << self.0
    }

    /// How many pages they need.
    #[must_use]
    pub const fn pages(self) -> u8 {
        // At most 65,536 / 8,160, rounded up.
        #[allow(clippy::cast_possible_truncation)]
        let pages = self.registers().div_ceil(super::REGISTERS_PER_PAGE) as u8;
        pages
    }

    /// The greatest value of a register.
    #[must_use]
    pub const fn max_value(self) -> u8 {
        64 - self.0 + 1
    }

    /// The standard error of an estimate, as a share of it.
    #[must_use]
    pub fn standard_error(self) -> f64 {
        1.04 / (self.registers() as f64).sqrt()
    }

    /// What a value's hash asks for: the first bits choose the register, and its value is at least the place of the first
    /// one among the others.
    #[must_use]
    pub const fn change(self, hash: u64) -> Change {
        // The upper `precision` bits, of which there are at most 16.
        #[allow(clippy::cast_possible_truncation)]
        let register = (hash >> (64 - self.0)) as u16;
        // The bit behind the last ends the search.
        let rest = hash << self.0 | 1 << (self.0 - 1);
        #[allow(clippy::cast_possible_truncation)]
        let value = rest.leading_zeros() as u8 + 1;
        Change { register, value }
    }
}

/// A sketch in memory, as it is while an index is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch {
    precision: Precision,
    registers: Vec<u8>,
}

impl Sketch {
    /// One that has seen nothing.
    #[must_use]
    pub fn new(precision: Precision) -> Self {
        Self { precision, registers: vec![0; precision.registers()] }
    }

    /// One with these registers.
    ///
    /// # Errors
    /// [`Malformed`] if there are more or fewer than the precision says, or one has a value that cannot be.
    pub fn from_registers(precision: Precision, registers: &[u8]) -> Result<Self, Malformed> {
        if registers.len() != precision.registers() {
            return Err(Malformed::Invalid { field: "registers", value: registers.len() as u64 });
        }
        match registers.iter().find(|value| **value > precision.max_value()) {
            Some(value) => Err(Malformed::Invalid { field: "value", value: u64::from(*value) }),
            None => Ok(Self { precision, registers: registers.to_vec() }),
        }
    }

    /// Counts a value by its hash.
    pub fn add(&mut self, hash: u64) {
        let Change { register, value } = self.precision.change(hash);
        if let Some(before) = self.registers.get_mut(usize::from(register)) {
            *before = value.max(*before);
        }
    }

    /// Its precision.
    #[must_use]
    pub const fn precision(&self) -> Precision {
        self.precision
    }

    /// Its registers.
    #[must_use]
    pub fn registers(&self) -> &[u8] {
        &self.registers
    }

    /// About how many distinct values were added.
    #[must_use]
    pub fn estimate(&self) -> f64 {
        let mut histogram = Histogram::default();
        histogram.add(&self.registers);
        histogram.estimate(self.precision)
    }
}

/// How many registers have each value: all that an estimate needs.
#[derive(Debug, Clone)]
pub struct Histogram([u32; 64]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0; 64])
    }
}

impl Histogram {
    /// Counts registers. A value that no register can have counts as 63.
    pub fn add(&mut self, registers: &[u8]) {
        for value in registers {
            if let Some(count) = self.0.get_mut(usize::from((*value).min(63))) {
                *count += 1;
            }
        }
    }

    /// About how many distinct values a sketch has seen whose registers were all counted here.
    #[must_use]
    pub fn estimate(&self, precision: Precision) -> f64 {
        let count = |value: u8| self.0.get(usize::from(value)).copied().map_or(0.0, f64::from);
        let all = precision.registers() as f64;
        let max = precision.max_value();
        // Registers that are at their greatest value stand for the sum of all that would be beyond.
        let largest = all * tau(1.0 - count(max) / all);
        let sum = (1..max).rev().fold(largest, |sum, value| 0.5 * (sum + count(value)));
        let sum = sum + all * sigma(count(0) / all);
        all * all / (2.0 * std::f64::consts::LN_2 * sum)
    }
}

/// `x + sum of x^(2^k) 2^(k-1)` over k from one on.
fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        // Nothing was added yet: the estimate becomes zero.
        return f64::INFINITY;
    }
    let (mut sum, mut factor) = (x, 1.0);
    loop {
        x *= x;
        let before = sum;
        sum += x * factor;
        factor *= 2.0;
        if sum <= before {
            return sum;
        }
    }
}

/// `(1 - x - sum of (1 - x^(2^-k))^2 2^-k) / 3` over k from one on.
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut sum, mut factor) = (1.0 - x, 1.0);
    loop {
        x = x.sqrt();
        let before = sum;
        factor *= 0.5;
        sum -= (1.0 - x).powi(2) * factor;
        if sum >= before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random (splitmix64).
    fn hash(number: u64) -> u64 {
        let mut hash = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        hash = (hash ^ hash >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        hash = (hash ^ hash >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        hash ^ hash >> 31
    }

    fn precisions() -> impl Iterator<Item = Precision> {
        (0..=u8::MAX).filter_map(Precision::new)
    }

    #[test]
    fn precisions_are_those_from_4_to_16() {
        assert_eq!(precisions().map(Precision::get).collect::<Vec<_>>(), (4..=16).collect::<Vec<_>>());
        assert_eq!((Precision::MIN.pages(), Precision::DEFAULT.pages(), Precision::MAX.pages()), (1, 1, 9));
    }

    #[test]
    fn the_first_bits_choose_the_register_and_the_others_its_value() {
        for precision in precisions() {
            let last = (precision.registers() - 1) as u16;
            assert_eq!(precision.change(0), Change { register: 0, value: precision.max_value() });
            assert_eq!(precision.change(1), Change { register: 0, value: precision.max_value() - 1 });
            assert_eq!(precision.change(u64::MAX), Change { register: last, value: 1 });
            assert_eq!(precision.change(1 << 63), Change { register: last / 2 + 1, value: precision.max_value() });
        }
    }

    /// Root of the mean square error of 40 sketches, and the mean error, as shares of the standard error.
    fn errors(precision: Precision, values: u64) -> (f64, f64) {
        const SKETCHES: u64 = 40;
        let error = |number: u64| {
            let mut sketch = Sketch::new(precision);
            (0..values).for_each(|value| sketch.add(hash(number << 40 | value)));
            (sketch.estimate() / values as f64 - 1.0) / precision.standard_error()
        };
        let errors: Vec<f64> = (1..=SKETCHES).map(error).collect();
        let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / SKETCHES as f64;
        (mean(&mut errors.iter().map(|error| error * error)).sqrt(), mean(&mut errors.iter().copied()))
    }

    #[test]
    fn estimates_are_as_good_as_promised_for_few_and_for_many_values() {
        for precision in [4, 8, 10].map(|precision| Precision::new(precision).unwrap()) {
            // Around 2.5 registers' worth is where the original estimate changes its formula, and is worst.
            for share in [0.1, 0.5, 1.0, 2.5, 5.0, 20.0] {
                let values = ((precision.registers() as f64 * share) as u64).max(1);
                let (square, mean) = errors(precision, values);
                // 40 sketches: the standard error of what we see here is itself 11 % of it, and 16 % of the mean.
                assert!(square < 1.45 && mean.abs() < 0.6, "{precision:?} {values}: {square} {mean}");
            }
        }
    }

    #[test]
    fn few_values_are_counted_nearly_exactly() {
        let mut sketch = Sketch::new(Precision::DEFAULT);
        assert!(sketch.estimate().abs() < f64::EPSILON);
        for value in 1..=100 {
            sketch.add(hash(value));
            sketch.add(hash(value));
            assert!((sketch.estimate() - value as f64).abs() < 3.0, "{value}: {}", sketch.estimate());
        }
    }

    #[test]
    fn what_was_seen_before_changes_nothing() {
        let mut sketch = Sketch::new(Precision::MIN);
        (0..1000).for_each(|value| sketch.add(hash(value)));
        let before = sketch.clone();
        (0..1000).rev().for_each(|value| sketch.add(hash(value)));
        assert_eq!(sketch, before);
    }

    #[test]
    fn a_sketch_is_made_of_the_registers_of_another_if_they_can_be_ones() {
        let mut sketch = Sketch::new(Precision::MIN);
        (0..100).for_each(|value| sketch.add(hash(value)));
        assert_eq!(Sketch::from_registers(Precision::MIN, sketch.registers()), Ok(sketch));
        let invalid = |field, value| Err(Malformed::Invalid { field, value });
        assert_eq!(Sketch::from_registers(Precision::MIN, &[0; 15]), invalid("registers", 15));
        assert_eq!(Sketch::from_registers(Precision::MIN, &[62; 16]), invalid("value", 62));
    }

    #[test]
    fn registers_at_their_greatest_value_still_give_a_number() {
        for precision in precisions() {
            let mut histogram = Histogram::default();
            histogram.add(&vec![precision.max_value(); precision.registers()]);
            // All that can be said is that it is a lot.
            assert!(histogram.estimate(precision) > 1e18 || histogram.estimate(precision).is_infinite());
            histogram = Histogram::default();
            histogram.add(&vec![255; precision.registers()]);
            assert!(!histogram.estimate(precision).is_nan());
        }
    }
}
