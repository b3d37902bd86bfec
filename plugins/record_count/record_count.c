/*
 * record_count: an example of a plugin in C.
 *
 * Counts the records that each of its callbacks is called with, and says so in the server's log after each
 * checkpoint and at the end:
 *
 *     LOG:  record_count: from 0/1511B38 to 0/1AC37A0: all 1042, heap 512, ...
 *
 * The numbers are those that pg_waldump --stats gives for the same range. Whoever does not want to wait for a
 * checkpoint asks it: its answer is the same text.
 *
 * Build and install:
 *
 *     cc -shared -fPIC -O2 -I include -I $(pg_config --includedir-server) -o record_count.so record_count.c
 *     install record_count.so $(pg_config --pkglibdir)
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/memutils.h"
#include "walker.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_walker_plugin_init(WALkerCallbacks *cb);

typedef enum Counted
{
	COUNT_ALL,
	COUNT_HEAP,
	COUNT_HEAP2,
	COUNT_XLOG,
	COUNT_XACT,
	COUNT_SMGR,
	COUNT_BTREE,
	COUNT_STANDBY,
	COUNT_CUSTOM,
	COUNTED
} Counted;

static const char *const names[COUNTED] = {
	"all", "heap", "heap2", "xlog", "xact", "smgr", "btree", "standby", "custom"
};

static uint64 counts[COUNTED];
static XLogRecPtr first = InvalidXLogRecPtr;
static XLogRecPtr last = InvalidXLogRecPtr;

static void
count_record(XLogReaderState *record)
{
	if (first == InvalidXLogRecPtr)
		first = record->ReadRecPtr;
	last = record->EndRecPtr;
	counts[COUNT_ALL]++;
}

/* One callback for each resource manager: what it is called with is what is counted. */
#define COUNTING(function, counted) \
	static void function(XLogReaderState *record) { counts[counted]++; }

COUNTING(count_heap, COUNT_HEAP)
COUNTING(count_heap2, COUNT_HEAP2)
COUNTING(count_xlog, COUNT_XLOG)
COUNTING(count_xact, COUNT_XACT)
COUNTING(count_smgr, COUNT_SMGR)
COUNTING(count_btree, COUNT_BTREE)
COUNTING(count_standby, COUNT_STANDBY)
COUNTING(count_custom, COUNT_CUSTOM)

static void
append_counts(StringInfo text)
{
	appendStringInfo(text, "from %X/%X to %X/%X:", LSN_FORMAT_ARGS(first), LSN_FORMAT_ARGS(last));
	for (int i = 0; i < COUNTED; i++)
		appendStringInfo(text, "%s %s " UINT64_FORMAT, i == 0 ? "" : ",", names[i], counts[i]);
}

static void
log_counts(const WALkerPosition *position)
{
	StringInfoData text;

	initStringInfo(&text);
	append_counts(&text);
	ereport(LOG, (errmsg("record_count: %s", text.data)));
}

static void
log_last_counts(void)
{
	log_counts(NULL);
}

static void
answer_counts(const char *question, Size length, XLogRecPtr position, StringInfo answer)
{
	append_counts(answer);
}

void
_PG_walker_plugin_init(WALkerCallbacks *cb)
{
	cb->heap_cb = count_heap;
	cb->heap2_cb = count_heap2;
	cb->xlog_cb = count_xlog;
	cb->xact_cb = count_xact;
	cb->smgr_cb = count_smgr;

	/* Members that the original WALker did not have. */
	if (cb->struct_size >= sizeof(WALkerCallbacks))
	{
		cb->record_cb = count_record;
		cb->btree_cb = count_btree;
		cb->standby_cb = count_standby;
		cb->custom_cb = count_custom;
		cb->flush_cb = log_counts;
		cb->shutdown_cb = log_last_counts;
		cb->answer_cb = answer_counts;
	}
}
