//! Which of autovacuum's settings would suit a table, and why; or why nothing is to be changed.
//!
//! Autovacuum begins with a table when the statistics count more dead tuples than `autovacuum_vacuum_threshold +
//! autovacuum_vacuum_scale_factor * reltuples`, from PostgreSQL 18 on at most `autovacuum_vacuum_max_threshold`
//! (`src/backend/postmaster/autovacuum.c: relation_needs_vacanalyze`). The rule says at how many it should begin; if that is
//! clearly fewer, settings are proposed with which it does.

use ::heatmap::number::grouped;
use serde::Serialize;

use super::figures::Figures;
use super::settings::{ServerSettings, TableSettings};

/// Smaller tables are left alone: little can be gained, and scanning them costs next to nothing.
const FEWEST_BLOCKS: u64 = 1_000;
/// No more garbage than that is to gather in a table.
const MOST_BYTES: f64 = 1024.0 * 1024.0 * 1024.0;
/// A table is not to be vacuumed more often.
const FEWEST_HOURS: f64 = 1.0 / 6.0;
/// Nor for more than this part of the time.
const SHARE_OF_TIME: f64 = 0.1;
/// What is less than that beyond the rule is no reason to change anything.
const TOLERANCE: f64 = 0.8;
/// A rate over less time says little.
const HOUR: f64 = 3_600.0;
/// Autovacuum that is due for longer than so many rounds does not keep up.
const ROUNDS: f64 = 10.0;

/// What autovacuum should do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rule {
    /// It begins before dead tuples are this part of the live ones.
    share: f64,
}

/// How many tuples die in an hour, and how that is known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Rate {
    pub(super) per_hour: f64,
    /// Only of the last minutes.
    is_of_minutes: bool,
    pub(super) words: String,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// Figures are missing.
    Unknown,
    /// Something holds removal back, so no setting helps.
    HeldBack,
    /// Autovacuum does not come at all.
    Disabled,
    /// The table is too small.
    Small,
    /// Autovacuum goes by statistics that are not right.
    Statistics,
    /// Autovacuum has a reason to come, and has not done so yet.
    Due,
    /// It has had that reason for long.
    Behind,
    /// All is well.
    NoChange,
    /// Other settings.
    Change,
}

/// The answer for a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Advice {
    pub(super) verdict: Verdict,
    /// When autovacuum begins, as PostgreSQL computes it.
    pub(super) begins_at: f64,
    pub(super) begins_at_words: String,
    pub(super) rate: Option<Rate>,
    /// The reasons, with their figures.
    pub(super) words: Vec<String>,
    pub(super) statement: Option<String>,
}

impl Rate {
    /// In an hour.
    pub(super) fn number(&self) -> String {
        format!("{}{}", if self.is_of_minutes { "about " } else { "" }, whole(self.per_hour))
    }
}

impl Rule {
    /// Dead tuples shall be at most so many per cent of the live ones.
    pub(super) fn new(percent: u32) -> Self {
        Self { share: f64::from(percent) / 100.0 }
    }

    /// In words, for the head of the report.
    pub(super) fn in_words(&self) -> String {
        format!(
            "The rule: autovacuum shall begin with a table before its dead tuples are {} % of the live ones, and before they \
             take 1 GiB; but not more often than every 10 minutes, nor so often that it works for more than a tenth of the \
             time. Tables below {} blocks are left alone, and so is what is within a fifth of the rule.",
            number(self.share * 100.0),
            grouped(FEWEST_BLOCKS)
        )
    }

    /// What the figures say.
    pub(super) fn advise(&self, figures: &Figures, server: &ServerSettings) -> Advice {
        let settings = TableSettings::new(server, figures.effective_options());
        let mut advice = Advice {
            verdict: Verdict::Unknown,
            begins_at: settings.dead_tuples(figures.reltuples).floor(),
            begins_at_words: settings.in_words(figures.reltuples),
            rate: rate(figures),
            words: Vec::new(),
            statement: None,
        };
        let (verdict, reason) = match before_settings(figures, server, &settings, &advice) {
            Some(found) => found,
            None => self.compare(figures, &settings, &mut advice),
        };
        advice.verdict = verdict;
        advice.words.push(reason);
        match verdict {
            Verdict::Statistics => advice.statement = Some(format!("ANALYZE {};", analyzed(figures))),
            Verdict::Disabled if server.autovacuum => advice.statement = Some(enable(figures)),
            _ => {}
        }
        advice
    }

    /// The rule against the settings.
    fn compare(&self, figures: &Figures, settings: &TableSettings, advice: &mut Advice) -> (Verdict, String) {
        let begins_at = settings.dead_tuples(figures.reltuples);
        let Some(rate) = &advice.rate else {
            return (
                Verdict::Unknown,
                "How many tuples die in an hour is not known yet, so nothing is proposed.".into(),
            );
        };
        if rate.per_hour <= 0.0 {
            return (Verdict::NoChange, "Nothing dies in this table: no change.".into());
        }
        let Some(wanted) = self.wanted(figures, rate.per_hour) else {
            return (Verdict::NoChange, "The table has no live tuples that a share could be of: no change.".into());
        };
        advice.words.extend(wanted.words.iter().cloned());
        if wanted.dead_tuples >= TOLERANCE * begins_at {
            let reason = format!(
                "By the rule autovacuum should begin at {} dead tuples; it does at {}: no change.",
                whole(wanted.dead_tuples),
                whole(begins_at)
            );
            return (Verdict::NoChange, reason);
        }
        let new = Proposal::reaching(&wanted, figures.reltuples, settings);
        advice.statement = Some(new.statement(figures));
        let reason = format!(
            "Autovacuum begins at {} dead tuples, {} of the live ones; by the rule it should at {}. With these settings it \
             does at {}, about every {}.",
            whole(begins_at),
            ::heatmap::number::percent(begins_at, figures.reltuples),
            whole(wanted.dead_tuples),
            whole(new.settings(settings).dead_tuples(figures.reltuples)),
            hours(wanted.dead_tuples / rate.per_hour)
        );
        (Verdict::Change, reason)
    }

    /// At how many dead tuples autovacuum should begin.
    fn wanted(&self, figures: &Figures, per_hour: f64) -> Option<Wanted> {
        let reltuples = figures.reltuples;
        let by_share = self.share * reltuples;
        if by_share.is_nan() || by_share <= 0.0 {
            return None;
        }
        let mut words =
            vec![format!("{} % of {} tuples are {}.", number(self.share * 100.0), whole(reltuples), whole(by_share))];
        let mut wanted = Wanted { dead_tuples: by_share, is_share: true, words: Vec::new() };
        if let Some(bytes) = bytes_of_tuple(figures) {
            let by_bytes = MOST_BYTES / bytes;
            if by_bytes < wanted.dead_tuples {
                words.push(format!(
                    "A tuple takes {} bytes of the table, so that {} are 1 GiB.",
                    whole(bytes),
                    whole(by_bytes)
                ));
                (wanted.dead_tuples, wanted.is_share) = (by_bytes, false);
            }
        }
        let mut at_least = per_hour * FEWEST_HOURS;
        let mut reason = "in 10 minutes".to_owned();
        if let Some(seconds) = seconds_of_vacuum(figures) {
            let by_time = per_hour * seconds / HOUR / SHARE_OF_TIME;
            if by_time > at_least {
                at_least = by_time;
                reason = format!("in ten times the {} s that an autovacuum took on average", number(seconds));
            }
        }
        if at_least > wanted.dead_tuples {
            words.push(format!("But {} die {reason}.", whole(at_least)));
            (wanted.dead_tuples, wanted.is_share) = (at_least, false);
        }
        wanted.words = words;
        Some(wanted)
    }
}

/// What the rule asks for.
#[derive(Debug)]
struct Wanted {
    dead_tuples: f64,
    /// Whether it grows with the table.
    is_share: bool,
    words: Vec<String>,
}

/// Settings that are to be changed.
#[derive(Debug, Default, PartialEq)]
struct Proposal {
    threshold: Option<i64>,
    scale_factor: Option<f64>,
    max_threshold: Option<i64>,
}

impl Proposal {
    /// With which autovacuum begins where it is wanted, and as few as possible of them.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "both ends are clamped to 32 bits")]
    fn reaching(wanted: &Wanted, reltuples: f64, current: &TableSettings) -> Self {
        let most = f64::from(i32::MAX);
        let constant = wanted.dead_tuples.clamp(1.0, most).floor() as i64;
        match (wanted.is_share, current.max_threshold) {
            (false, Some(_)) => Self { max_threshold: Some(constant), ..Self::default() },
            (false, None) => Self { threshold: Some(constant), scale_factor: Some(0.0), ..Self::default() },
            (true, _) => {
                // The threshold stays unless it is a large part of what is wanted.
                let stays = current.threshold as f64 <= wanted.dead_tuples / 2.0;
                let threshold = if stays { current.threshold as f64 } else { 0.0 };
                // Rounded down: never more than what is wanted.
                let scale_factor = ((wanted.dead_tuples - threshold) / reltuples * 1e6).floor().max(0.0) / 1e6;
                Self {
                    threshold: (!stays).then_some(0),
                    scale_factor: Some(scale_factor.min(100.0)),
                    max_threshold: None,
                }
            }
        }
    }

    fn settings(&self, current: &TableSettings) -> TableSettings {
        TableSettings {
            threshold: self.threshold.unwrap_or(current.threshold),
            scale_factor: self.scale_factor.unwrap_or(current.scale_factor),
            max_threshold: current.max_threshold.map(|most| self.max_threshold.unwrap_or(most)),
            ..*current
        }
    }

    fn statement(&self, figures: &Figures) -> String {
        let mut options: Vec<(String, String)> = Vec::new();
        let mut add = |name: &str, value: Option<String>| {
            options.extend(value.map(|value| (format!("autovacuum_vacuum_{name}"), value)));
        };
        add("threshold", self.threshold.map(|value| value.to_string()));
        add("scale_factor", self.scale_factor.map(number));
        add("max_threshold", self.max_threshold.map(|value| value.to_string()));
        alter(figures, &options)
    }
}

/// `ALTER TABLE`, which a TOAST table takes through its table.
fn alter(figures: &Figures, options: &[(String, String)]) -> String {
    let list = |prefix: &str, options: &[(String, String)]| {
        let options: Vec<_> = options.iter().map(|(name, value)| format!("{prefix}{name} = {value}")).collect();
        options.join(", ")
    };
    let Some(owner) = &figures.toast_of else {
        return format!("ALTER TABLE {} SET ({});", figures.name, list("", options));
    };
    let mut options = options.to_vec();
    if figures.options.is_empty() {
        // With one of its own it no longer has those of its table.
        let inherited = figures.owner_options.iter().filter_map(|option| option.split_once('='));
        let inherited = inherited.filter(|(name, value)| {
            name.starts_with("autovacuum_")
                && !name.contains("analyze")
                && value.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c))
                && !options.iter().any(|(own, _)| own == name)
        });
        let inherited: Vec<_> = inherited.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        options.extend(inherited);
    }
    format!("ALTER TABLE {owner} SET ({});", list("toast.", &options))
}

fn enable(figures: &Figures) -> String {
    match &figures.toast_of {
        None => format!("ALTER TABLE {} RESET (autovacuum_enabled);", figures.name),
        Some(_) => alter(figures, &[("autovacuum_enabled".into(), "true".into())]),
    }
}

/// A TOAST table is analyzed by none; its numbers come from VACUUM.
fn analyzed(figures: &Figures) -> &str {
    figures.toast_of.as_ref().unwrap_or(&figures.name)
}

/// What settles the matter whatever the settings are.
fn before_settings(
    figures: &Figures,
    server: &ServerSettings,
    settings: &TableSettings,
    advice: &Advice,
) -> Option<(Verdict, String)> {
    if server.is_standby {
        return Some((
            Verdict::Unknown,
            "This is a standby: autovacuum works on its primary, whose report tells.".into(),
        ));
    }
    let (Some(dead), Some(live), Some(removable), true) =
        (figures.dead_tuples, figures.live_tuples, figures.removable_tuples, figures.exact)
    else {
        let cause = figures.inexact.clone().unwrap_or_else(|| "not all blocks are known yet".to_owned());
        return Some((Verdict::Unknown, format!("The figures are not exact ({cause}), so nothing is proposed.")));
    };
    let held = dead.saturating_sub(removable);
    if held > removable {
        let by = figures.held_back_by.as_deref().unwrap_or("what is not known");
        let reason =
            format!("Most dead tuples may not be removed. As long as {by} holds them back, no setting would help.");
        return Some((Verdict::HeldBack, reason));
    }
    let counts = format!("{} dead tuples; it would begin at {}", grouped(dead), advice.begins_at_words);
    if !settings.is_enabled {
        let where_off = if server.autovacuum { "for this table" } else { "on this server, or track_counts is" };
        let reason = format!("Autovacuum is off {where_off}. There are {counts}.");
        return Some((Verdict::Disabled, reason));
    }
    if figures.blocks < FEWEST_BLOCKS {
        return Some((
            Verdict::Small,
            format!("The table has {} blocks, below {}: no change.", grouped(figures.blocks), grouped(FEWEST_BLOCKS)),
        ));
    }
    let Some(counted) = figures.counted_dead else {
        return Some((Verdict::Unknown, "pg_stat_all_tables does not tell what autovacuum goes by.".into()));
    };
    let begins_at = settings.dead_tuples(figures.reltuples);
    if figures.is_being_vacuumed {
        return Some((Verdict::Due, format!("It is being vacuumed now, with {counts}.")));
    }
    if as_float(removable) > begins_at && as_float(counted) <= begins_at {
        let reason = format!(
            "There are {} dead tuples to remove, but autovacuum goes by n_dead_tup of pg_stat_all_tables, which is {}, and \
             begins at {}. ANALYZE counts anew.",
            grouped(removable),
            grouped(counted),
            whole(begins_at)
        );
        return Some((Verdict::Statistics, reason));
    }
    if as_float(counted) > begins_at {
        return Some(due((removable, counted), begins_at, server, advice));
    }
    // The first VACUUM or ANALYZE is still to come, or was long ago.
    let reltuples = figures.reltuples.max(0.0);
    if figures.toast_of.is_none() && (reltuples - as_float(live)).abs() > as_float(live) / 2.0 {
        let reason = format!(
            "pg_class.reltuples, of which autovacuum's threshold is a share, is {}, but {} tuples are live. ANALYZE counts \
             anew.",
            if figures.reltuples < 0.0 { "-1 (not counted yet)".to_owned() } else { whole(figures.reltuples) },
            grouped(live)
        );
        return Some((Verdict::Statistics, reason));
    }
    None
}

/// Autovacuum has a reason to come. Where it had one for long, the threshold is not why it did not.
fn due(
    (removable, counted): (u64, u64),
    begins_at: f64,
    server: &ServerSettings,
    advice: &Advice,
) -> (Verdict, String) {
    let over = format!(
        "n_dead_tup, by which autovacuum goes, is {}, over {}, and {} dead tuples may be removed",
        grouped(counted),
        whole(begins_at),
        grouped(removable)
    );
    let per_hour = advice.rate.as_ref().map_or(0.0, |rate| rate.per_hour);
    let since = (as_float(removable) - begins_at) / per_hour;
    if per_hour > 0.0 && since * HOUR > ROUNDS * server.naptime_seconds {
        let reason = format!(
            "{over}: for about {} it has had a reason to come, so its thresholds are not what is wrong. Are all \
             {} workers busy (autovacuum_max_workers), is it slowed down (autovacuum_vacuum_cost_delay {}, cost limit {} \
             for all workers together), or is it cancelled by locks (the log tells)?",
            hours(since),
            server.max_workers,
            server.cost_delay,
            server.cost_limit
        );
        return (Verdict::Behind, reason);
    }
    (Verdict::Due, format!("{over}: it should come within autovacuum_naptime, {} s.", number(server.naptime_seconds)))
}

/// From what was seen longest.
fn rate(figures: &Figures) -> Option<Rate> {
    let over = |tuples: u64, seconds: f64, what: &str| {
        let words = format!("{} {what} in {}", grouped(tuples), hours(seconds / HOUR));
        Rate { is_of_minutes: false, per_hour: as_float(tuples) / (seconds / HOUR), words }
    };
    if let (Some(dead), Some(seconds)) = (figures.dead_since_vacuum, figures.seconds_since_vacuum)
        && seconds >= HOUR
    {
        return Some(over(dead, seconds, "died since the last vacuum (garbagemap)"));
    }
    if let (Some(changed), Some(seconds)) = (figures.updated_and_deleted, figures.seconds_since_reset)
        && seconds >= HOUR
    {
        return Some(over(
            changed,
            seconds,
            "were updated or deleted since statistics were reset (pg_stat_all_tables)",
        ));
    }
    match figures.dead_per_minute {
        Some(dead) if dead > 0.0 && dead.is_finite() => {
            let words = format!("{} died in a minute, on average of the last minutes (garbagemap)", number(dead));
            Some(Rate { is_of_minutes: true, per_hour: dead * 60.0, words })
        }
        _ if figures.updated_and_deleted == Some(0) => Some(Rate {
            is_of_minutes: false,
            per_hour: 0.0,
            words: "none was ever updated or deleted (pg_stat_all_tables)".into(),
        }),
        _ => None,
    }
}

/// How long an autovacuum of the table took on average, where PostgreSQL counts that.
fn seconds_of_vacuum(figures: &Figures) -> Option<f64> {
    let runs = figures.autovacuums.filter(|runs| *runs > 0)?;
    figures.autovacuum_milliseconds.map(|milliseconds| milliseconds / 1000.0 / as_float(runs))
}

/// What a tuple takes of its blocks, headers and line pointers included.
fn bytes_of_tuple(figures: &Figures) -> Option<f64> {
    let tuples = figures.live_tuples?.saturating_add(figures.dead_tuples?);
    let bytes = figures.known_blocks.saturating_mul(8192).saturating_sub(figures.free_bytes?);
    (tuples > 0 && bytes > 0).then(|| as_float(bytes) / as_float(tuples))
}

#[allow(clippy::cast_precision_loss, reason = "for shares and thresholds")]
fn as_float(number: u64) -> f64 {
    number as f64
}

pub(super) fn whole(number: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    grouped(number as u64)
}

/// Without digits that say nothing: settings have up to six behind the point.
fn number(number: f64) -> String {
    let text = format!("{number:.6}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

pub(super) fn hours(hours: f64) -> String {
    match hours {
        hours if hours >= 48.0 => format!("{:.0} days", hours / 24.0),
        hours if hours >= 2.0 => format!("{hours:.0} hours"),
        hours if hours * 60.0 >= 2.0 => format!("{:.0} minutes", hours * 60.0),
        hours => {
            let seconds = (hours * HOUR).max(0.0).round();
            format!("{seconds} second{}", if seconds == 1.0 { "" } else { "s" })
        }
    }
}

#[cfg(test)]
mod tests;
