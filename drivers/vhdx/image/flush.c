// SPDX-License-Identifier: GPL-2.0
/*
 * What is asked of the journal by others than writes: that what has ended be
 * durable, and whether it still can be.
 */
#include "internal.h"
#include "journal.h"

/**
 * vhdx_image_commit() - have what is dirty made durable soon
 * @img: open for writing
 *
 * Context: any that may take a spinlock.
 */
void vhdx_image_commit(struct vhdx_image *img)
{
	struct vhdx_journal *j = img->journal;

	spin_lock(&j->lock);
	j->want_commit = true;
	spin_unlock(&j->lock);
	vhdx_journal_kick(j);
}

/**
 * vhdx_image_failed() - has writing been given up
 * @img: open for writing
 *
 * Context: any.
 * Return: 0, or the negative errno of what failed.
 */
int vhdx_image_failed(const struct vhdx_image *img)
{
	return READ_ONCE(img->journal->failed);
}

/**
 * vhdx_flush() - make all that has ended durable
 * @img: open for writing
 * @flush: with @done filled in; called once, perhaps before this returns, with
 *	0 or a negative errno
 *
 * Covers every write that ended before this was called.
 *
 * Context: any that may take a spinlock; @flush->done is called in process
 * context or the caller's.
 */
void vhdx_flush(struct vhdx_image *img, struct vhdx_flush *flush)
{
	struct vhdx_journal *j = img->journal;
	int failed;

	spin_lock(&j->lock);
	failed = j->failed;
	if (!failed)
		list_add_tail(&flush->link, &j->flushes);
	spin_unlock(&j->lock);
	if (failed)
		flush->done(flush, -EIO);
	else
		vhdx_journal_kick(j);
}
