use proptest::prelude::*;

use super::*;
use crate::report::settings::samples::defaults;

/// A table of 100,000 live tuples with 5,000 dead ones, of which 600 die in an hour.
fn figures() -> Figures {
    Figures {
        name: "public.t".into(),
        blocks: 2_000,
        known_blocks: 2_000,
        live_tuples: Some(100_000),
        dead_tuples: Some(5_000),
        dead_bytes: Some(500_000),
        removable_tuples: Some(5_000),
        dead_since_vacuum: Some(6_000),
        seconds_since_vacuum: Some(36_000.0),
        free_bytes: Some(1_000_000),
        exact: true,
        reltuples: 100_000.0,
        counted_dead: Some(5_000),
        ..Figures::default()
    }
}

fn advise(figures: &Figures) -> Advice {
    Rule::new(10).advise(figures, &defaults())
}

#[test]
fn the_threshold_becomes_the_share() {
    let advice = advise(&figures());
    assert_eq!(advice.verdict, Verdict::Change, "{advice:?}");
    // 50 + 0.0995 * 100,000 = 10,000
    assert_eq!(
        advice.statement.as_deref(),
        Some("ALTER TABLE public.t SET (autovacuum_vacuum_scale_factor = 0.0995);")
    );
    assert_eq!(advice.begins_at, 20_050.0);
    assert_eq!(advice.begins_at_words, "50 + 0.2 \u{d7} 100,000 tuples = 20,050");
    assert!(
        advice.words[1]
            .contains("begins at 20,050 dead tuples, 20 % of the live ones; by the rule it should at 10,000.")
    );
    assert!(advice.words[1].ends_with("about every 17 hours."), "{advice:?}");
}

#[test]
fn nothing_is_proposed_where_figures_are_missing_or_settings_would_not_help() {
    let base = figures();
    let cases = [
        (Figures { exact: false, ..base.clone() }, Verdict::Unknown),
        (Figures { dead_tuples: None, ..base.clone() }, Verdict::Unknown),
        (Figures { removable_tuples: None, ..base.clone() }, Verdict::Unknown),
        (Figures { removable_tuples: Some(2_000), ..base.clone() }, Verdict::HeldBack),
        (Figures { blocks: 999, ..base.clone() }, Verdict::Small),
        (Figures { counted_dead: None, ..base.clone() }, Verdict::Unknown),
        (Figures { seconds_since_vacuum: Some(60.0), ..base.clone() }, Verdict::Unknown),
        (Figures { dead_since_vacuum: Some(0), ..base.clone() }, Verdict::NoChange),
        (
            Figures {
                reltuples: 0.0,
                live_tuples: Some(0),
                counted_dead: Some(0),
                dead_tuples: Some(0),
                removable_tuples: Some(0),
                ..base.clone()
            },
            Verdict::NoChange,
        ),
        (Figures { options: vec!["autovacuum_vacuum_scale_factor=0.1".into()], ..base.clone() }, Verdict::NoChange),
        (
            Figures {
                options: vec!["autovacuum_vacuum_scale_factor=0.01".into()],
                counted_dead: Some(900),
                dead_tuples: Some(900),
                removable_tuples: Some(900),
                ..base.clone()
            },
            Verdict::NoChange,
        ),
        (Figures { is_being_vacuumed: true, ..base.clone() }, Verdict::Due),
    ];
    for (figures, verdict) in cases {
        let advice = advise(&figures);
        assert_eq!((advice.verdict, &advice.statement), (verdict, &None), "{figures:?} {advice:?}");
        assert!(!advice.words.is_empty());
    }
}

#[test]
fn statistics_that_are_wrong_are_to_be_renewed_first() {
    let lost =
        Figures { counted_dead: Some(0), dead_tuples: Some(30_000), removable_tuples: Some(30_000), ..figures() };
    for figures in [lost, Figures { reltuples: 40_000.0, ..figures() }, Figures { reltuples: 200_000.0, ..figures() }] {
        let advice = advise(&figures);
        assert_eq!(advice.verdict, Verdict::Statistics, "{advice:?}");
        assert_eq!(advice.statement.as_deref(), Some("ANALYZE public.t;"));
    }
}

#[test]
fn what_is_over_the_threshold_is_due_or_behind() {
    let over = |dead: u64| Figures {
        dead_tuples: Some(dead),
        removable_tuples: Some(dead),
        counted_dead: Some(dead),
        ..figures()
    };
    assert_eq!(advise(&over(20_050)).verdict, Verdict::Change, "not more than the threshold");
    assert_eq!(advise(&over(20_051)).verdict, Verdict::Due);
    // 600 in an hour: 100 take ten minutes.
    assert_eq!(advise(&over(20_150)).verdict, Verdict::Due);
    let behind = advise(&over(20_160));
    assert_eq!((behind.verdict, behind.statement), (Verdict::Behind, None));
}

#[test]
fn where_autovacuum_is_off_it_is_said() {
    let off = Figures { options: vec!["autovacuum_enabled=off".into()], ..figures() };
    let advice = advise(&off);
    assert_eq!(advice.verdict, Verdict::Disabled);
    assert_eq!(advice.statement.as_deref(), Some("ALTER TABLE public.t RESET (autovacuum_enabled);"));
    let server = ServerSettings { autovacuum: false, ..defaults() };
    let advice = Rule::new(10).advise(&figures(), &server);
    assert_eq!((advice.verdict, advice.statement), (Verdict::Disabled, None));
    let standby = ServerSettings { is_standby: true, ..defaults() };
    let advice = Rule::new(10).advise(&figures(), &standby);
    assert_eq!((advice.verdict, advice.statement), (Verdict::Unknown, None));
}

#[test]
fn large_tables_and_fast_ones_get_a_number_that_does_not_grow() {
    let large = Figures {
        blocks: 100_000_000,
        known_blocks: 100_000_000,
        live_tuples: Some(1_000_000_000),
        reltuples: 1e9,
        free_bytes: Some(0),
        ..figures()
    };
    let advice = advise(&large);
    assert_eq!(advice.verdict, Verdict::Change);
    let statement =
        "ALTER TABLE public.t SET (autovacuum_vacuum_threshold = 1310726, autovacuum_vacuum_scale_factor = 0);";
    assert_eq!(advice.statement.as_deref(), Some(statement), "1 GiB of 819 bytes each");
    let server = ServerSettings { max_threshold: Some(100_000_000), ..defaults() };
    let advice = Rule::new(10).advise(&large, &server);
    let statement = "ALTER TABLE public.t SET (autovacuum_vacuum_max_threshold = 1310726);";
    assert_eq!(advice.statement.as_deref(), Some(statement));

    // 72,000 in an hour are 12,000 in ten minutes, and 15,000 in ten times 75 s.
    let fast = Figures { dead_since_vacuum: Some(720_000), ..figures() };
    assert!(advise(&fast).words.iter().any(|words| words == "But 12,000 die in 10 minutes."));
    let slow = Figures { autovacuums: Some(2), autovacuum_milliseconds: Some(150_000.0), ..fast };
    let advice = advise(&slow);
    assert!(advice.statement.as_deref().unwrap().contains("_threshold = 15000, "), "{advice:?}");
}

#[test]
fn a_toast_table_is_changed_through_its_table_and_keeps_what_it_has_from_it() {
    let toast = Figures {
        name: "pg_toast.pg_toast_1".into(),
        toast_of: Some("public.\"a b\"".into()),
        owner_options: ["autovacuum_vacuum_cost_delay=5", "autovacuum_analyze_threshold=7", "fillfactor=50"]
            .map(Into::into)
            .into(),
        ..figures()
    };
    let expected = "ALTER TABLE public.\"a b\" SET (toast.autovacuum_vacuum_scale_factor = 0.0995, toast.autovacuum_vacuum_cost_delay = 5);";
    assert_eq!(advise(&toast).statement.as_deref(), Some(expected));
}

proptest! {
    #[test]
    fn whatever_the_figures_are_a_proposal_reaches_what_the_rule_wants(
        reltuples in prop_oneof![Just(-1.0), Just(0.0), 0.0..1e12_f64],
        blocks in 1_000_u64..u64::from(u32::MAX),
        dead in any::<u64>(),
        (since, seconds) in (any::<u64>(), 0.0..1e10_f64),
        free in any::<u64>(),
        share in 1_u32..=100,
        (threshold, scale_factor) in (0_i64..i64::from(i32::MAX), 0.0..100.0_f64),
        max_threshold in prop_oneof![Just(None), (-1_i64..i64::from(i32::MAX)).prop_map(Some)],
    ) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let live = reltuples.max(0.0) as u64;
        let figures = Figures {
            blocks,
            known_blocks: blocks,
            live_tuples: Some(live),
            dead_tuples: Some(dead),
            removable_tuples: Some(dead),
            free_bytes: Some(free),
            reltuples,
            dead_since_vacuum: Some(since),
            seconds_since_vacuum: Some(seconds),
            // So that the settings are what is looked at.
            counted_dead: Some(0),
            ..figures()
        };
        let server = ServerSettings { threshold, scale_factor, max_threshold, ..defaults() };
        let rule = Rule::new(share);
        let advice = rule.advise(&figures, &server);
        for words in &advice.words {
            prop_assert!(!words.contains("NaN") && !words.contains("inf"), "{words}");
        }
        prop_assert!(advice.begins_at.is_finite());
        let settings = TableSettings::new(&server, &[]);
        if let Some(rate) = rate(&figures) && rate.per_hour > 0.0 && let Some(wanted) = rule.wanted(&figures, rate.per_hour) {
            let begins_at = settings.dead_tuples(reltuples);
            if wanted.dead_tuples < TOLERANCE * begins_at {
                let proposal = Proposal::reaching(&wanted, reltuples, &settings);
                let reached = proposal.settings(&settings).dead_tuples(reltuples);
                let expected = wanted.dead_tuples.clamp(1.0, if wanted.is_share { f64::MAX } else { f64::from(i32::MAX) });
                // Numbers are whole, and a share has six digits behind the point.
                let slack = 1.0 + 1e-6 * reltuples.max(0.0) + expected * 1e-9;
                prop_assert!(reached <= expected + expected * 1e-9 && reached >= expected - slack, "{proposal:?} {wanted:?} {reached}");
                prop_assert!(reached <= begins_at);
            }
        }
    }
}
