// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <stdio.h>
#include <string.h>

#include "crash_mutants.h"
#include "port.h"

#define SECOND_SLOT	"a cut then finds the slot before it whole, which says the same or leads to the same replay"

/* Everything that journal-model.py breaks. */
const struct mutant mutants[] = {
	{ "first-no-flush-before", "first change: no flush before slot 1", NULL },
	{ "first-no-flush-between", "first change: no flush between the slots", NULL },
	{ "first-no-flush-after", "first change: no flush after slot 2", SECOND_SLOT },
	{ "first-one-slot", "first change: one slot only", SECOND_SLOT },
	{ "first-one-slot-no-flush", "first change: one slot, not flushed", NULL },
	{ "first-none", "no first change at all", NULL },
	{ "first-early", "changes go on before the first change is stable", NULL },
	{ "commit-no-flush", "commit: no flush after the entry", NULL },
	{ "start-not-in-place", "generation start: pages not put in place", NULL },
	{ "start-no-flush-before", "generation start: no flush before slot 1", NULL },
	{ "start-no-flush-between", "generation start: no flush between the slots", NULL },
	{ "start-no-flush-after", "generation start: no flush after slot 2", SECOND_SLOT },
	{ "start-one-slot", "generation start: one slot only", SECOND_SLOT },
	{ "start-ack-after-entry", "generation start: acknowledged after the entry's flush", NULL },
	{ "start-ack-after-slot-1", "generation start: acknowledged after slot 1", SECOND_SLOT },
	{ "start-header-before-entry", "generation start: header before the entry", NULL },
	{ "start-in-place-after-header",
	  "generation start: pages put in place after the header", NULL },
	{ "start-same-half", "generation start: in the same half of the log", NULL },
	{ "detach-not-in-place", "detach: pages not put in place", NULL },
	{ "detach-no-flush-before", "detach: no flush before slot 1", NULL },
	{ "detach-no-flush-between", "detach: no flush between the slots", NULL },
	{ "detach-no-flush-after", "detach: no flush after slot 2", SECOND_SLOT },
	{ "detach-one-slot", "detach: one slot only", NULL },
	{ "detach-cut-before-zero", "detach: file cut before LogGuid is zero", NULL },
	{ "detach-cut-before-zero-flushed", "detach: file cut before that is flushed", NULL },
	{ "compact-no-guid", "compaction: no new FileWriteGuid", NULL },
	{ "replay-guid-no-flush-before", "replay: no flush before the first slot", NULL },
	{ "replay-guid-no-flush-between",
	  "replay: no flush between the slots of FileWriteGuid", NULL },
	{ "replay-guid-no-flush-after", "replay: no flush after the second of them", SECOND_SLOT },
	{ "replay-guid-one-slot", "replay: FileWriteGuid in one slot only", SECOND_SLOT },
	{ "replay-no-guid", "replay: no new FileWriteGuid", NULL },
	{ "replay-zero-no-flush-before", "replay: no flush after the pages", NULL },
	{ "replay-zero-no-flush-between",
	  "replay: no flush between the slots of LogGuid zero", NULL },
	{ "replay-zero-no-flush-after", "replay: no flush after the second of them", SECOND_SLOT },
	{ "replay-zero-and-first", "... and the first change without its flush before", NULL },
	{ "replay-zero-one-slot", "replay: LogGuid zero in one slot only", SECOND_SLOT },
	{ "replay-zero-before-apply", "replay: LogGuid zero before the pages", NULL },
	{ "header-current-slot-first", "headers: the current slot is overwritten first", NULL },
	{ "all-one-slot", "headers: one slot per update, everywhere", NULL },
	{ "all-no-flush-after",
	  "headers: no flush after the second slot, everywhere", SECOND_SLOT },
	{ "checkpoint-newer", "checkpoint: pages newer than they were logged",
	  "no page belongs with another: a newer one maps what unflushed writes may show" },
	{ "checkpoint-logged-at-write",
	  "checkpoint: pages put in place when their entry is written, not durable", NULL },
	{ "checkpoint-stale", "checkpoint: a page logged again is put in place as it was", NULL },
	{ "flush-clean-no-flush", "FLUSH: not passed on when nothing is to be logged", NULL },
	{ "flush-ignores-commit", "FLUSH: ignores an unfinished commit", NULL },
	{ "flush-joins-running-commit", "FLUSH: answered by a commit that began before", NULL },
	{ "fua-mapping-not-looked-at", "FUA: taken for durable before its mapping is", NULL },
	{ "fua-commit-not-looked-at",
	  "FUA: taken for durable while its mapping is being logged", NULL },
	{ "freed-before-durable",
	  "space: freed run used again before its release is durable", NULL },
	{ "freed-not-drained", "space: freed run used again before I/O to it has ended", NULL },
	{ "freed-not-punched", "space: freed run not zeroed", NULL },
	{ "freed-punch-no-flush", "space: freed run's zeroing not flushed", NULL },
	{ "gap-not-zeroed", "space: gap taken for zeros at attach", NULL },
	{ "gap-no-flush", "space: gap's zeroing not flushed", NULL },
	{ "growth-no-flush", "space: growth of the file not flushed", NULL },
	{ "growth-beside-entry", "space: an entry tells a size that is not stable yet", NULL },
	{ "failed-run-is-free", "space: run of a failed write taken for zeros", NULL },
	{ "discard-does-not-drop",
	  "space: a run with a failed write's data is published after a discard", NULL },
	{ "zero-does-not-join",
	  "space: a run with a failed write's data is published after zeroing", NULL },
	{ "enospc-frees", "ENOSPC: runs freed in the failed entry are used again", NULL },
	{ "enospc-next-slot", "ENOSPC: tried again behind the failed entry", NULL },
	{ "enospc-waiters-not-told", "ENOSPC: who waits for room in the log is not told", NULL },
	{ "room-without-waiting", "log: who waits for room runs when there is none", NULL },
	{ "room-nobody-told", "log: who waits for room is not woken by the end of a write", NULL },
	{ "failure-not-latched", "failure: forgotten", NULL },
	{ "failure-detach-goes-on", "failure: detach goes on writing", NULL },
	{ "failure-growth-goes-on", "failure: growth goes on writing", NULL },
	{ "child-no-data-flush", "child: data not flushed before what hides the parent", NULL },
	{ "child-bits-hide-not", "child: data not flushed before its bits are logged", NULL },
	{ "child-full-hides-not",
	  "child: data not flushed before its block is logged as FULLY_PRESENT", NULL },
	{ "child-enospc-hides-not",
	  "child: after a failed entry its data is not flushed any more",
	  "it was flushed before that entry was written" },
	{ "child-checkpoint-newer",
	  "child: checkpoint puts bits in place that are newer than they were logged", NULL },
	{ "child-stale-bits", "child: bits that were left over are not cleared", NULL },
	{ "child-bits-early", "child: bits are set before the data has been written", NULL },
	{ "child-bits-later", "child: bits are logged an entry after the block's", NULL },
	{ "child-zero-gets-partial", "child: a ZERO block becomes PARTIALLY_PRESENT", NULL },
	{ "child-full-too-early",
	  "child: a block is FULLY_PRESENT before all of its sectors are", NULL },
	{ "child-bitmap-entry-forgotten",
	  "child: the entry of a new bitmap block is not logged", NULL },
	{ "child-discard-forgets", "child: a discard leaves the block NOT_PRESENT", NULL },
	{ "child-fua-bits-not-looked-at",
	  "child: FUA taken for durable before its bits are", NULL },
	{ "child-pad-over-data", "child: zeros for a piece that has data", NULL },
	{ "child-pad-over-write", "child: zeros for a piece that a write is on its way to", NULL },
	{ "child-pad-not-awaited",
	  "child: a write goes to a piece before the zeros for it are through", NULL },
	{ "edit-header-before-entries", "edit: header before the entries", NULL },
	{ "edit-entries-no-flush", "edit: no flush after the entries", NULL },
	{ "edit-entries-apart", "edit: the header names the first entry alone", NULL },
	{ "edit-in-place-before-header", "edit: pages put in place before the header", NULL },
	{ "edit-no-log", "edit: no header names the entries", NULL },
	{ "edit-start-no-flush-between",
	  "edit: no flush between the slots that name the log", NULL },
	{ "edit-start-no-flush-after", "edit: no flush after the second of them", SECOND_SLOT },
	{ "edit-start-one-slot", "edit: one slot names the log", SECOND_SLOT },
	{ "edit-in-place-no-flush", "edit: no flush before LogGuid is zero", NULL },
	{ "edit-end-no-flush-between", "edit: no flush between the slots that end it", NULL },
	{ "edit-end-no-flush-after", "edit: no flush after the second of them", SECOND_SLOT },
	{ "edit-end-one-slot", "edit: one slot ends it", SECOND_SLOT },
	{ "edit-merge-link", "merge: the child forgets the GUID that its parent still has", NULL },
	{ "edit-merge-guid", "merge: the parent gets another GUID than its child was told", NULL },
	{ "edit-compact-copied-late", "compaction: a block is copied after its entry", NULL },
	{ "edit-compact-region-late", "compaction: a region is copied after its tables", NULL },
	{ "edit-compact-freed-early",
	  "compaction: a place is used before its release is durable", NULL },
	{ "edit-shrink-apart", "shrinking: entries go before the size changes", NULL },
};

const unsigned int mutant_count = ARRAY_SIZE(mutants);

static const struct mutant *selected;

bool mutant_is_childs(const struct mutant *mutant)
{
	return !strncmp(mutant->name, "child-", 6);
}

bool mutant_is_tools(const struct mutant *mutant)
{
	return !strncmp(mutant->name, "edit-", 5);
}

const struct mutant *mutant_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < mutant_count; i++)
		if (!strcmp(mutants[i].name, name))
			return &mutants[i];
	return NULL;
}

void mutant_select(const struct mutant *mutant)
{
	selected = mutant;
}

bool crash_mutant(const char *name)
{
	if (!mutant_find(name))
		errx(2, "no such mutant: %s", name);
	return selected && !strcmp(selected->name, name);
}

/* Headers are written in one place for all: @who says for whom. */
bool crash_mutant_of(const char *who, const char *what)
{
	char name[64];

	if (!selected)
		return false;
	if (!strcmp(selected->name, "first-one-slot-no-flush"))
		return !strcmp(who, "first") && strcmp(what, "no-flush-before");
	if (!strcmp(selected->name, "replay-zero-and-first"))
		return (!strcmp(who, "first") && !strcmp(what, "no-flush-before")) ||
		       (!strcmp(who, "replay-zero") && !strcmp(what, "no-flush-after"));
	if (!strncmp(selected->name, "all-", 4))
		return !strcmp(selected->name + 4, what);
	snprintf(name, sizeof(name), "%s-%s", who, what);
	return !strcmp(selected->name, name);
}
