//! The records of the custom WAL resource managers that come with WALker: what they hold and how they are described.
//!
//! The libraries in `pg/` register them in the server; the command `walker` describes them without one.

pub mod hyperloglog;
pub mod test_custom_rmgrs;

use pgwal::Descriptors;

/// Descriptions of all of them.
#[must_use]
pub fn descriptors() -> Descriptors {
    // Their numbers and names differ, as the test below shows.
    let all = || {
        let descriptors = Descriptors::new().with_custom::<test_custom_rmgrs::TestCustomRmgrs>()?;
        descriptors.with_custom::<hyperloglog::Hyperloglog>()
    };
    all().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use pgwal::RmgrId;

    #[test]
    fn all_are_registered() {
        let descriptors = super::descriptors();
        assert_eq!(descriptors.find("test_custom_rmgrs"), Some(RmgrId::new(128)));
        assert_eq!(descriptors.find("hyperloglog"), Some(RmgrId::new(222)));
    }
}
