//! The records of the custom WAL resource managers that come with WALker: what they hold and how they are described.
//!
//! The libraries in `pg/` register them in the server; the command `walker` describes them without one.

pub mod hyperloglog;
pub mod test_custom_rmgrs;

use pgwal::{CustomRmgr, CustomRmgrId, Descriptors, RegisterError, RmgrId};

/// One of them.
#[derive(Debug)]
pub struct Known {
    /// Its name.
    pub name: &'static str,
    /// Its number, if it was not given another one.
    pub id: CustomRmgrId,
    /// Registers its description, for records of whichever number.
    pub register: fn(&mut Descriptors, RmgrId) -> Result<(), RegisterError>,
}

impl Known {
    /// All of them.
    pub const ALL: [Self; 2] = [
        Self::of::<test_custom_rmgrs::TestCustomRmgrs>("test_custom_rmgrs"),
        Self::of::<hyperloglog::Hyperloglog>("hyperloglog"),
    ];

    /// The one of this name, in whatever case.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        static ALL: &[Known] = &Known::ALL;
        ALL.iter().find(|known| known.name.eq_ignore_ascii_case(name))
    }

    const fn of<T: CustomRmgr>(name: &'static str) -> Self {
        Self { name, id: T::ID, register: Descriptors::register_custom::<T> }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_can_be_registered_under_their_names() {
        let mut descriptors = Descriptors::new();
        for known in &Known::ALL {
            (known.register)(&mut descriptors, known.id.into()).unwrap();
            assert_eq!(descriptors.find(known.name), Some(known.id.into()), "{}", known.name);
        }
    }
}
