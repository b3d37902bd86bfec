use proptest::prelude::*;

use super::*;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

fn plugin(name: &str, records: u64) -> PluginReport<'_> {
    PluginReport {
        name,
        state: PluginState::Running,
        applied: Lsn::new(1000),
        flushed: Lsn::new(500),
        behind_since: Some(at(0)),
        wal_kept: true,
        records,
        bytes: records * 50,
        busy: Duration::from_micros(records),
        failures: 0,
        last_error: None,
        retry_at: None,
    }
}

fn statistics() -> Statistics {
    Statistics::new(at(0))
}

impl Statistics {
    fn tell(&mut self, seconds: u64, plugins: &[PluginReport<'_>]) {
        self.report(at(seconds), 17, Lsn::new(2000), plugins, &[]);
    }

    fn counts(&self) -> Vec<(&str, u64)> {
        self.plugins().iter().map(|row| (row.name(), row.records)).collect()
    }
}

#[test]
fn counts_are_added_and_the_rest_is_replaced() {
    let mut statistics = statistics();
    statistics.tell(1, &[plugin("a", 10), plugin("b", 20)]);
    let changed = PluginReport {
        state: PluginState::Waiting,
        applied: Lsn::new(1500),
        wal_kept: false,
        failures: 1,
        last_error: Some(("it broke", at(1))),
        retry_at: Some(at(6)),
        ..plugin("a", 5)
    };
    statistics.report(at(2), 18, Lsn::new(3000), &[changed, plugin("b", 0)], &[]);
    let [a, b] = statistics.plugins() else { panic!("{:?}", statistics.counts()) };
    assert_eq!((a.name(), a.records, a.bytes, a.failures), ("a", 15, 750, 1));
    assert_eq!(a.busy(), Duration::from_micros(15));
    assert_eq!(
        (a.state, a.applied, a.flushed, a.wal_kept),
        (PluginState::Waiting, Lsn::new(1500), Lsn::new(500), false)
    );
    assert_eq!(a.last_error(), Some(("it broke", timestamp(at(1)))));
    assert_eq!(a.retry_at(), Some(timestamp(at(6))));
    assert_eq!((b.name(), b.records, b.last_error(), b.retry_at()), ("b", 20, None, None));
    assert_eq!((statistics.reporter(), statistics.received()), (18, Lsn::new(3000)));
}

#[test]
fn rows_follow_the_order_of_the_setting() {
    let mut statistics = statistics();
    statistics.tell(1, &[plugin("a", 1), plugin("b", 2), plugin("c", 3)]);
    statistics.tell(2, &[plugin("c", 0), plugin("new", 7), plugin("a", 0)]);
    assert_eq!(statistics.counts(), [("c", 3), ("new", 7), ("a", 1)]);
    // Who was taken out begins at zero when he comes back.
    statistics.tell(3, &[plugin("b", 0)]);
    assert_eq!(statistics.counts(), [("b", 0)]);
    statistics.tell(4, &[]);
    assert_eq!(statistics.counts(), []);
}

#[test]
fn there_are_32_rows() {
    let mut statistics = statistics();
    let names: Vec<_> = (0..40).map(|number| format!("plugin {number}")).collect();
    let all: Vec<_> = names.iter().map(|name| plugin(name, 1)).collect();
    statistics.tell(1, &all);
    let reversed: Vec<_> = all.iter().rev().copied().collect();
    statistics.tell(2, &reversed);
    let counts = statistics.counts();
    assert_eq!((counts.len(), counts[0], counts[31]), (32, ("plugin 39", 1), ("plugin 8", 2)));
}

#[test]
fn a_long_name_is_cut_and_is_the_same_plugin_the_next_time() {
    let mut statistics = statistics();
    let name = format!("{}ä", "x".repeat(255));
    statistics.tell(1, &[plugin(&name, 1)]);
    statistics.tell(2, &[plugin(&name, 1)]);
    assert_eq!(statistics.counts(), [("x".repeat(255).as_str(), 2)]);
}

#[test]
fn a_long_error_is_cut() {
    let mut statistics = statistics();
    let text = "ü".repeat(600);
    statistics.tell(1, &[PluginReport { last_error: Some((&text, at(1))), ..plugin("a", 0) }]);
    assert_eq!(statistics.plugins()[0].last_error().unwrap().0, "ü".repeat(512));
}

#[test]
fn resource_managers_are_counted_by_number() {
    let mut statistics = statistics();
    let custom = RmgrId::new(255);
    for _ in 0..2 {
        statistics.report(at(1), 1, Lsn::new(1), &[], &[(RmgrId::HEAP, 2, 100), (custom, 1, 30), (RmgrId::XLOG, 0, 0)]);
    }
    let of = |records, bytes| RmgrCounts { records, bytes };
    assert_eq!(statistics.rmgrs().collect::<Vec<_>>(), [(RmgrId::HEAP, of(4, 200)), (custom, of(2, 60))]);
}

#[test]
fn a_reset_leaves_what_is_not_counted() {
    let mut statistics = statistics();
    assert_eq!(statistics.reset_at(), Some(timestamp(at(0))));
    let failed = PluginReport { failures: 3, last_error: Some(("it broke", at(1))), ..plugin("a", 10) };
    statistics.report(at(1), 1, Lsn::new(2000), &[failed], &[(RmgrId::HEAP, 10, 500)]);
    statistics.reset(at(2));
    let row = statistics.plugins()[0];
    assert_eq!((row.records, row.bytes, row.failures, row.busy()), (0, 0, 0, Duration::ZERO));
    assert_eq!((row.name(), row.applied, row.last_error()), ("a", Lsn::new(1000), None));
    assert_eq!((statistics.rmgrs().count(), statistics.reset_at()), (0, Some(timestamp(at(2)))));
    // The worker tells of it again, since it knows nothing of the reset; of a later one too.
    statistics.tell(3, &[PluginReport { failures: 0, ..failed }]);
    assert_eq!(statistics.plugins()[0].last_error(), None);
    statistics.tell(4, &[PluginReport { last_error: Some(("again", at(4))), ..failed }]);
    assert_eq!(statistics.plugins()[0].last_error(), Some(("again", timestamp(at(4)))));
}

#[test]
fn the_lag_goes_on_while_nothing_is_reported() {
    let mut statistics = statistics();
    statistics.tell(10, &[PluginReport { behind_since: Some(at(4)), ..plugin("a", 1) }]);
    let row = statistics.plugins()[0];
    assert_eq!(row.lag(Lsn::new(1001), at(10)), Some(Duration::from_secs(6)));
    assert_eq!(row.lag(Lsn::new(1001), at(60)), Some(Duration::from_secs(56)));
    assert_eq!(row.lag(Lsn::new(1000), at(60)), Some(Duration::ZERO));
    assert_eq!(row.lag(Lsn::new(1001), at(0)), Some(Duration::ZERO));
    statistics.tell(61, &[PluginReport { behind_since: None, applied: Lsn::INVALID, ..plugin("a", 0) }]);
    assert_eq!(statistics.plugins()[0].lag(Lsn::new(1001), at(61)), None);
}

#[test]
fn times_are_those_of_postgresql() {
    assert_eq!(timestamp(SystemTime::UNIX_EPOCH).get(), -946_684_800_000_000);
    assert_eq!(timestamp(SystemTime::UNIX_EPOCH + POSTGRES_EPOCH + Duration::from_micros(5)).get(), 5);
}

proptest! {
    /// Whatever plugins come, go and change places, each has what was told of it since it came.
    #[test]
    fn counts_stay_with_their_plugin(
        reports in prop::collection::vec(prop::sample::subsequence((0..40).collect::<Vec<_>>(), 0..=40).prop_shuffle(), 1..30)
    ) {
        let names: Vec<_> = (0..40).map(|number| number.to_string()).collect();
        let mut statistics = statistics();
        let mut expected: Vec<(&str, u64)> = Vec::new();
        for (second, present) in reports.iter().enumerate() {
            let told: Vec<_> = present.iter().map(|number| plugin(&names[*number], 1 + *number as u64)).collect();
            let count = |name| expected.iter().find(|(known, _)| *known == name).map_or(0, |(_, count)| *count);
            expected = told.iter().take(ROWS).map(|one| (one.name, one.records + count(one.name))).collect();
            statistics.tell(second as u64, &told);
            prop_assert_eq!(statistics.counts(), expected.clone());
        }
    }
}
