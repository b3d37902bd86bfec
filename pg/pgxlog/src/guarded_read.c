/*
 * ReadBufferExtended, whose ERROR comes back as InvalidBuffer, with the error still PostgreSQL's: PG_TRY of
 * src/include/utils/elog.h for the one call that each change of a page makes. In C, since only its compiler knows that
 * sigsetjmp returns twice.
 *
 * PostgreSQL's headers are not needed: pointers are passed on, and the types of numbers are those of all majors.
 */
#include <setjmp.h>
#include <stdint.h>

extern sigjmp_buf *PG_exception_stack;
extern void *error_context_stack;
extern void *CurrentMemoryContext;
extern int	ReadBufferExtended(void *relation, int fork, uint32_t block, int mode, void *strategy);

#define RBM_NORMAL 0

int
pgxlog_read_buffer(void *relation, int fork, uint32_t block, void *strategy)
{
	sigjmp_buf *handler = PG_exception_stack;
	void	   *contexts = error_context_stack;
	void	   *memory = CurrentMemoryContext;
	sigjmp_buf	here;
	int			buffer = 0;

	if (sigsetjmp(here, 0) == 0)
	{
		PG_exception_stack = &here;
		buffer = ReadBufferExtended(relation, fork, block, RBM_NORMAL, strategy);
		PG_exception_stack = handler;
		return buffer;
	}
	PG_exception_stack = handler;
	error_context_stack = contexts;
	CurrentMemoryContext = memory;
	return 0;
}
