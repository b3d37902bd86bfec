use super::*;

#[test]
fn a_source_can_be_given_to_a_thread() {
    fn is_send<T: Send>() {}
    is_send::<FileSource>();
    is_send::<WalDirectory>();
}
