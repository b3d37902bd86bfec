/*
 * A plugin for tests: cannot keep its state as long as there is a file "no_flush" in the data directory, so that WAL is held
 * back for it. Begins at the last checkpoint, tells of each gap, and answers with the position that it has come to.
 */
#include "postgres.h"

#include <unistd.h>

#include "fmgr.h"
#include "walker.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_walker_plugin_init(WALkerCallbacks *cb);

static WALkerResume
from_checkpoint(WALkerPosition *position)
{
	return WALKER_RESUME_CHECKPOINT;
}

static void
flush_if_allowed(const WALkerPosition *position)
{
	if (access("no_flush", F_OK) == 0)
		elog(ERROR, "there is a file \"no_flush\"");
	elog(LOG, "refuses_to_flush: flushed %X/%X", LSN_FORMAT_ARGS(position->lsn));
}

static void
tell_gap(XLogRecPtr next)
{
	elog(LOG, "refuses_to_flush: gap before %X/%X", LSN_FORMAT_ARGS(next));
}

static void
tell_position(const char *question, Size length, XLogRecPtr position, StringInfo answer)
{
	appendStringInfo(answer, "%X/%X", LSN_FORMAT_ARGS(position));
}

void
_PG_walker_plugin_init(WALkerCallbacks *cb)
{
	cb->resume_cb = from_checkpoint;
	cb->flush_cb = flush_if_allowed;
	cb->gap_cb = tell_gap;
	cb->answer_cb = tell_position;
}
