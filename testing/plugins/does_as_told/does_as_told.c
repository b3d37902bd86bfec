/*
 * does_as_told: misbehaves as logical messages of prefix does_as_told in the log tell it.
 *
 *     fail N      raises an ERROR the first N times that it is told this message, after it counted it
 *     slow N      takes N microseconds for each record from now on
 *     wait N      waits N seconds at this record, unless it is interrupted
 *     end N       ends the process at this record: by FATAL if N is 1, by exit(0) if it is 0
 *     leak N      allocates N bytes in the current memory context for each record from now on, and never frees them
 *
 * Asked, it says how many records it was told, and how often those that failed were told.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "replication/message.h"
#include "walker.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_walker_plugin_init(WALkerCallbacks *cb);

static uint64 records = 0;
static uint64 failures = 0;
static XLogRecPtr failed_at = InvalidXLogRecPtr;
static int	failures_there = 0;
static long slow = 0;
static Size leak = 0;

static void
obey(XLogReaderState *record)
{
	xl_logical_message *message = (xl_logical_message *) XLogRecGetData(record);
	char	   *text;
	long		number;

	if (strcmp(message->message, "does_as_told") != 0)
		return;
	text = pnstrdup(message->message + message->prefix_size, message->message_size);
	number = strtol(strchr(text, ' '), NULL, 10);
	if (strncmp(text, "slow", 4) == 0)
		slow = number;
	else if (strncmp(text, "end", 3) == 0)
	{
		if (number == 0)
			exit(0);
		elog(FATAL, "does_as_told ends the process");
	}
	else if (strncmp(text, "wait", 4) == 0)
	{
		elog(LOG, "does_as_told waits");
		for (long waited = 0; waited < number * 10; waited++)
		{
			CHECK_FOR_INTERRUPTS();
			pg_usleep(100000);
		}
	}
	else if (strncmp(text, "leak", 4) == 0)
		leak = number;
	else if (strncmp(text, "fail", 4) == 0)
	{
		if (record->ReadRecPtr != failed_at)
		{
			failed_at = record->ReadRecPtr;
			failures_there = 0;
		}
		if (failures_there < number)
		{
			failures++;
			failures_there++;
			elog(ERROR, "does_as_told fails for the %d. time", failures_there);
		}
	}
}

static void
tell(XLogReaderState *record)
{
	if (XLogRecGetRmid(record) == RM_LOGICALMSG_ID)
		obey(record);
	records++;
	if (slow > 0)
		pg_usleep(slow);
	if (leak > 0)
		memset(palloc(leak), 1, leak);
}

static void
answer(const char *question, Size length, XLogRecPtr position, StringInfo text)
{
	appendStringInfo(text, "records " UINT64_FORMAT ", failures " UINT64_FORMAT, records, failures);
}

void
_PG_walker_plugin_init(WALkerCallbacks *cb)
{
	cb->record_cb = tell;
	cb->answer_cb = answer;
}
