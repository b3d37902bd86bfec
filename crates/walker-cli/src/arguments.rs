//! The command line. Each option is described here and nowhere else: help comes from these comments.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use pgwal::{Fork, Lsn, RelFileLocator};

use crate::heatmap::PictureFile;
use crate::selection::RmgrChoice;

/// Walks over PostgreSQL's write-ahead log (WAL), and shows where the dead tuples of tables are
#[derive(Debug, Parser)]
#[command(name = "walker", version)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the command can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Dump(DumpArguments),
    Stats(StatsArguments),
    Garbage(GarbageArguments),
    Heatmap(HeatmapArguments),
}

/// Show the records of the log, one on each line, as pg_waldump does
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  walker dump --pgdata /var/lib/postgresql/15/main --limit 10
  walker dump --path archive --start 0/1500000 --end 0/2000000 --rmgr Heap --rmgr Heap2
  walker dump --path archive --relation 1663/5/16384 --block 0 --bkp-details
  walker dump --path archive --xid 4711 --format json
  walker dump --rmgr list")]
pub(crate) struct DumpArguments {
    #[command(flatten)]
    pub(crate) wal: WalArguments,
    #[command(flatten)]
    pub(crate) damage: DamageArguments,
    #[command(flatten)]
    pub(crate) filter: FilterArguments,
    /// Show the block references in detail, each on a line of its own
    #[arg(short, long)]
    pub(crate) bkp_details: bool,
    /// Show nothing but errors: whether the log can be read
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// How to write the records: JSON is one object on each line
    #[arg(long, value_name = "text|json|csv", value_enum, default_value_t, hide_possible_values = true)]
    #[arg(conflicts_with = "bkp_details")]
    pub(crate) format: RecordFormat,
}

/// Count the records of the log by resource manager, as pg_waldump --stats does
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  walker stats --pgdata /var/lib/postgresql/15/main
  walker stats --path archive --start 0/1500000 --per-record --format json")]
pub(crate) struct StatsArguments {
    #[command(flatten)]
    pub(crate) wal: WalArguments,
    #[command(flatten)]
    pub(crate) damage: DamageArguments,
    #[command(flatten)]
    pub(crate) filter: FilterArguments,
    /// Count by kind of record, not only by resource manager
    #[arg(long)]
    pub(crate) per_record: bool,
    /// How to write the numbers
    #[arg(long, value_name = "text|json", value_enum, default_value_t, hide_possible_values = true)]
    pub(crate) format: Format,
}

/// Count the dead tuples of each table by reading nothing but the log
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  walker garbage --pgdata /var/lib/postgresql/15/main
  walker garbage --path archive --start 0/1500000 --format json

What a table held before the first record that is read is known only as far as the log touched its blocks since.")]
pub(crate) struct GarbageArguments {
    #[command(flatten)]
    pub(crate) wal: WalArguments,
    /// How to write the numbers
    #[arg(long, value_name = "text|json", value_enum, default_value_t, hide_possible_values = true)]
    pub(crate) format: Format,
}

/// Draw where the dead tuples of a table are, as the garbagemap extension of a running server knows
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
#[command(after_help = "\
Examples:
  walker heatmap --dbname shop --table orders
  walker heatmap -h db.example.com -U report -d shop --table public.orders --output orders.png
  walker heatmap --dbname 'service=shop' --table orders --blocks-per-range 64 --colour never

Environment variables, the password file and the service file are used as by psql.")]
pub(crate) struct HeatmapArguments {
    /// The table, with its schema unless that is in search_path
    #[arg(short, long, value_name = "NAME")]
    pub(crate) table: String,
    /// How many blocks each cell of the picture stands for [default: so many that there are at most 1,000 cells]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=0x7FFF_FFFF))]
    pub(crate) blocks_per_range: Option<u32>,
    /// Write the picture to this file, as PNG or SVG by its ending, instead of to the terminal
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PictureFile>,
    /// Columns of the picture in the terminal [default: the terminal's width, or 80]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(20..))]
    pub(crate) width: Option<u16>,
    /// Whether to use colours: auto means if standard output is a terminal and NO_COLOR is not set
    #[arg(long, alias = "color", value_name = "auto|always|never")]
    #[arg(value_enum, default_value_t, hide_possible_values = true)]
    pub(crate) colour: ColourChoice,
    /// Print help
    #[arg(short = '?', long, action = ArgAction::Help)]
    help: Option<bool>,
    #[command(flatten)]
    pub(crate) connection: ConnectionArguments,
}

/// Which part of which log.
#[derive(Debug, Args)]
pub(crate) struct WalArguments {
    /// Directory with the log's segments, or with a pg_wal that holds them
    /// [default: current directory, ./pg_wal, $PGDATA/pg_wal]
    #[arg(short, long, value_name = "DIR", conflicts_with = "pgdata")]
    pub(crate) path: Option<PathBuf>,
    /// Data directory whose pg_wal is to be read
    #[arg(short = 'D', long, value_name = "DIR")]
    pub(crate) pgdata: Option<PathBuf>,
    /// Begin with the first record at or behind this WAL location [default: the oldest segment]
    #[arg(short, long, value_name = "LSN")]
    pub(crate) start: Option<Lsn>,
    /// Stop at this WAL location; it is an error if the log ends before [default: where the log ends]
    #[arg(short, long, value_name = "LSN")]
    pub(crate) end: Option<Lsn>,
    /// Read the log that leads to this timeline; where its history file is missing, this timeline only
    /// [default: the highest timeline that has a segment]
    #[arg(short, long, value_name = "TIMELINE", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) timeline: Option<u32>,
}

/// What to do where the log is damaged.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct DamageArguments {
    /// Go on behind what is damaged or missing; a warning tells each part that was lost, and the exit code is 1
    #[arg(long)]
    pub(crate) skip_damage: bool,
    /// Believe records without verifying their checksums
    #[arg(long)]
    pub(crate) no_verify_checksums: bool,
}

/// Which records.
#[derive(Debug, Default, Args)]
pub(crate) struct FilterArguments {
    /// Only records that change blocks of this relation: tablespace/database/filenode; may be repeated
    #[arg(short = 'R', long = "relation", value_name = "T/D/R")]
    pub(crate) relations: Vec<RelFileLocator>,
    /// Only records that change this block of the relation
    #[arg(short = 'B', long, value_name = "N", requires = "relations")]
    #[arg(value_parser = clap::value_parser!(u32).range(..=0xFFFF_FFFE))]
    pub(crate) block: Option<u32>,
    /// Only records that change blocks of this fork
    #[arg(short = 'F', long, value_name = "main|fsm|vm|init")]
    pub(crate) fork: Option<Fork>,
    /// Only records with a full-page image
    #[arg(short = 'w', long)]
    pub(crate) fullpage: bool,
    /// Stop after so many records
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Only records of this resource manager; may be given several times; `list` shows the names
    #[arg(short = 'r', long = "rmgr", value_name = "RMGR")]
    pub(crate) rmgrs: Vec<RmgrChoice>,
    /// Only records of this transaction
    #[arg(short, long, value_name = "XID")]
    pub(crate) xid: Option<u32>,
}

/// How to reach the server.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArguments {
    /// Database name, connection string or URI
    #[arg(short, long, value_name = "DBNAME")]
    pub(crate) dbname: Option<String>,
    /// Server host or directory of its socket
    #[arg(short = 'h', long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Server port
    #[arg(short, long, value_name = "PORT")]
    pub(crate) port: Option<String>,
    /// User name
    #[arg(short = 'U', long, value_name = "USER")]
    pub(crate) username: Option<String>,
}

/// How records are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum RecordFormat {
    /// The lines of pg_waldump
    #[default]
    Text,
    /// One JSON object on each line
    Json,
    /// CSV with a heading
    Csv,
}

/// How numbers are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table to read
    #[default]
    Text,
    /// JSON for programs
    Json,
}

/// Whether colours are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColourChoice {
    /// If the output is a terminal that wants them
    #[default]
    Auto,
    /// In any case
    Always,
    /// Not at all
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Arguments::try_parse_from(line.split(' ')).map(|arguments| arguments.command)
    }

    #[test]
    fn short_options_mean_what_they_mean_in_pg_waldump_and_psql() {
        let Ok(Command::Dump(dump)) = parse("walker dump -p wal -s 0/10 -e 0/20 -n 3 -r Heap -r XLOG -x 7 -t 2 -b")
        else {
            panic!("dump does not parse")
        };
        assert_eq!((dump.wal.start, dump.wal.end), (Some(Lsn::new(16)), Some(Lsn::new(32))));
        assert_eq!((dump.filter.limit, dump.filter.rmgrs.len(), dump.filter.xid), (Some(3), 2, Some(7)));
        assert!(dump.bkp_details && dump.wal.timeline == Some(2));
        let Ok(Command::Heatmap(heatmap)) = parse("walker heatmap -h host -p 1 -U me -d db --table t") else {
            panic!("heatmap does not parse")
        };
        assert_eq!(heatmap.connection.host.as_deref(), Some("host"));
    }

    #[test]
    fn mistakes_are_refused() {
        for line in [
            "walker",
            "walker dump --start 7",
            "walker dump --path a --pgdata b",
            "walker dump --rmgr none",
            "walker stats --format xml",
            "walker garbage --skip-damage",
            "walker heatmap --dbname x",
            "walker heatmap --table t --output picture.gif",
            "walker heatmap --table t --blocks-per-range 0",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
