/*
 * A plugin for tests: an ordered checksum of all records that it is told.
 *
 * It keeps one range for each part of the log that was told without a gap: where it begins and ends, how many records it has,
 * and FNV-1a (64 bits) over LSN, link to the record before, length, resource manager and transaction of each, in order. Within
 * a range each record must follow on the one before, over restarts too: what is kept at each flush is what goes on.
 * What does not is a problem, which stays in the answer:
 *
 *     position 0/1AC37A0
 *     range 0/1511B38 0/1AC37A0 records 1042 checksum 0123456789ABCDEF
 *     gap 0/2000028
 *     range 0/2000028 0/2000140 records 3 checksum 0123456789ABCDEF
 *     problems 1: record 0/2000140 is told again, ...
 *
 * The question `fail` makes it raise an ERROR at the next record.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "fmgr.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "walker.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_walker_plugin_init(WALkerCallbacks *cb);

#define DIRECTORY "walker"
#define STATE_FILE DIRECTORY "/record_checksum.state"
#define TEMPORARY_FILE STATE_FILE ".tmp"
/* So many that the file is larger than a server's log: a test limits the size of both. */
#define MOST_RANGES 8192

typedef struct Range
{
	XLogRecPtr	gap;			/* where the log went on behind a gap; invalid for a beginning without one */
	XLogRecPtr	first;			/* beginning of the first record */
	XLogRecPtr	last;			/* beginning of the last one */
	XLogRecPtr	end;			/* its end */
	uint64		records;
	uint64		checksum;
} Range;

/* What is kept, as it is in the file. */
typedef struct State
{
	WALkerPosition position;
	uint32		count;			/* of ranges */
	uint32		problems;
	char		first_problem[256];
	Range		ranges[MOST_RANGES];
} State;

static State state;
static bool fail_at_next = false;

#define FNV_OFFSET_BASIS UINT64CONST(0xCBF29CE484222325)
#define FNV_PRIME UINT64CONST(0x100000001B3)

/* The number as so many bytes, the lowest first. */
static uint64
add_to_checksum(uint64 checksum, uint64 number, int bytes)
{
	for (int i = 0; i < bytes; i++)
		checksum = (checksum ^ ((number >> (8 * i)) & 0xFF)) * FNV_PRIME;
	return checksum;
}

static void pg_attribute_printf(1, 2)
note_problem(const char *format,...)
{
	char		text[sizeof(state.first_problem)];
	va_list		arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (state.problems++ == 0)
		strlcpy(state.first_problem, text, sizeof(state.first_problem));
	ereport(LOG, (errmsg("record_checksum: %s", text)));
}

static void
begin_range(XLogRecPtr gap)
{
	/* Between two gaps without a record there is nothing to tell. */
	if (state.count == 0 || state.ranges[state.count - 1].records > 0)
	{
		if (state.count == MOST_RANGES)
			elog(ERROR, "record_checksum has more than %d ranges", MOST_RANGES);
		state.count++;
	}
	memset(&state.ranges[state.count - 1], 0, sizeof(Range));
	state.ranges[state.count - 1].gap = gap;
	state.ranges[state.count - 1].checksum = FNV_OFFSET_BASIS;
}

static void
add_record(XLogReaderState *record)
{
	Range	   *range = &state.ranges[state.count - 1];
	XLogRecPtr	lsn = record->ReadRecPtr;
	XLogRecPtr	before = XLogRecGetPrev(record);

	if (fail_at_next)
	{
		fail_at_next = false;
		elog(ERROR, "record_checksum was asked to fail");
	}
	if (range->records == 0)
		range->first = lsn;
	else if (lsn < range->end)
		note_problem("record %X/%X is told again, behind one that ends at %X/%X",
					 LSN_FORMAT_ARGS(lsn), LSN_FORMAT_ARGS(range->end));
	else if (before != range->last)
		note_problem("record %X/%X is out of order: it follows on %X/%X, and was told behind %X/%X",
					 LSN_FORMAT_ARGS(lsn), LSN_FORMAT_ARGS(before), LSN_FORMAT_ARGS(range->last));
	range->last = lsn;
	range->end = record->EndRecPtr;
	range->records++;
	range->checksum = add_to_checksum(range->checksum, lsn, 8);
	range->checksum = add_to_checksum(range->checksum, before, 8);
	range->checksum = add_to_checksum(range->checksum, XLogRecGetTotalLen(record), 4);
	range->checksum = add_to_checksum(range->checksum, XLogRecGetRmid(record), 1);
	range->checksum = add_to_checksum(range->checksum, XLogRecGetXid(record), 4);
}

static void
gap(XLogRecPtr next)
{
	begin_range(next);
}

/* What was kept; without it, from the last checkpoint on. */
static WALkerResume
resume(WALkerPosition *position)
{
	int			file = OpenTransientFile(STATE_FILE, O_RDONLY | PG_BINARY);

	memset(&state, 0, sizeof(state));
	if (file < 0)
	{
		if (errno != ENOENT)
			ereport(ERROR, (errcode_for_file_access(), errmsg("could not open file \"%s\": %m", STATE_FILE)));
		begin_range(InvalidXLogRecPtr);
		return WALKER_RESUME_CHECKPOINT;
	}
	if (read(file, &state, sizeof(state)) != sizeof(state))
	{
		memset(&state, 0, sizeof(state));
		begin_range(InvalidXLogRecPtr);
		elog(ERROR, "could not read file \"%s\"", STATE_FILE);
	}
	CloseTransientFile(file);
	*position = state.position;
	return WALKER_RESUME_AT;
}

/* durable_rename makes the file and its directory durable. */
static void
flush(const WALkerPosition *position)
{
	Range	   *range = &state.ranges[state.count - 1];
	int			file;

	if (range->records > 0 && range->end != position->lsn)
		note_problem("was told records up to %X/%X, and is to keep its state of %X/%X",
					 LSN_FORMAT_ARGS(range->end), LSN_FORMAT_ARGS(position->lsn));
	state.position = *position;
	if (MakePGDirectory(DIRECTORY) < 0 && errno != EEXIST)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not create directory \"%s\": %m", DIRECTORY)));
	file = OpenTransientFile(TEMPORARY_FILE, O_CREAT | O_TRUNC | O_WRONLY | PG_BINARY);
	if (file < 0)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not create file \"%s\": %m", TEMPORARY_FILE)));
	errno = 0;
	if (write(file, &state, sizeof(state)) != sizeof(state))
	{
		/* A short write without a reason: the disk is full. */
		errno = errno ? errno : ENOSPC;
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not write file \"%s\": %m", TEMPORARY_FILE)));
	}
	CloseTransientFile(file);
	durable_rename(TEMPORARY_FILE, STATE_FILE, ERROR);
}

static void
answer_ranges(const char *question, Size length, XLogRecPtr position, StringInfo answer)
{
	if (length == 4 && memcmp(question, "fail", 4) == 0)
		fail_at_next = true;
	appendStringInfo(answer, "position %X/%X\n", LSN_FORMAT_ARGS(position));
	for (uint32 i = 0; i < state.count; i++)
	{
		Range	   *range = &state.ranges[i];

		if (range->gap != InvalidXLogRecPtr)
			appendStringInfo(answer, "gap %X/%X\n", LSN_FORMAT_ARGS(range->gap));
		if (range->records > 0)
			appendStringInfo(answer, "range %X/%X %X/%X records " UINT64_FORMAT " checksum %08X%08X\n",
							 LSN_FORMAT_ARGS(range->first), LSN_FORMAT_ARGS(range->end), range->records,
							 (uint32) (range->checksum >> 32), (uint32) range->checksum);
	}
	if (state.problems > 0)
		appendStringInfo(answer, "problems %u: %s\n", state.problems, state.first_problem);
}

void
_PG_walker_plugin_init(WALkerCallbacks *cb)
{
	cb->record_cb = add_record;
	cb->resume_cb = resume;
	cb->gap_cb = gap;
	cb->flush_cb = flush;
	cb->answer_cb = answer_ranges;
}
