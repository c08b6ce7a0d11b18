// SPDX-License-Identifier: GPL-2.0
/*
 * A new file reads as zeros where nothing was written, so zeros are left out
 * there: those that the source knows of, and those that a look at its data finds.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "image_lock.h"
#include "message.h"
#include "progress.h"
#include "sink.h"
#include "text.h"

/* What is read at once: it stays in a processor's cache until it is written. */
#define BUFFER_SIZE	0x100000U
/* Zeros shorter than this, or not so aligned, are written like other data. */
#define ZERO_PIECE	4096U
/* Written, it goes to the disk, which would have nothing to do until the end else. */
#define PUSH_SIZE	0x1000000U
/* Data is made stable once for each so much of it. */
#define MAX_GROWTH	0x40000000ULL

static u8 zeros[BUFFER_SIZE];	/* never written: it takes no space in the program */

static struct vhdx_file *file_of(struct sink *sink)
{
	return &sink->file.file;
}

static int fail(const struct sink *sink, int ret)
{
	return message_fail_errno(sink->path, "cannot write", -ret);
}

static int flush(struct sink *sink)
{
	return file_of(sink)->ops->flush(file_of(sink));
}

static int cannot_allocate(struct vhdx_file *file, u64 offset, u64 len)
{
	(void)file;
	(void)offset;
	(void)len;
	return -EOPNOTSUPP;
}

static int leave_cached(struct vhdx_file *file)
{
	(void)file;
	return 0;
}

static int create_file(struct sink *sink, struct place *place)
{
	int code = place_create(place, &sink->file);

	if (code)
		return code;
	sink->place = place;
	sink->file_ops = *file_of(sink)->ops;
	if (sink->cached)
		sink->file_ops.flush = leave_cached;
	file_of(sink)->ops = &sink->file_ops;
	return 0;
}

/* --- a raw file, and one with a footer --------------------------------------- */

static int raw_write(struct sink *sink, const void *buf, u64 length, u64 pos)
{
	return file_of(sink)->ops->write(file_of(sink), buf, length, pos);
}

static const struct sink_ops raw_ops = {
	.write = raw_write,
	.finish = flush,
};

static int vhd_finish(struct sink *sink)
{
	u8 footer[VHD_FOOTER_SIZE];
	int ret;

	vhd_footer(footer, sink->size);
	ret = raw_write(sink, footer, sizeof(footer), sink->size);
	return ret ? ret : flush(sink);
}

static const struct sink_ops vhd_ops = {
	.write = raw_write,
	.finish = vhd_finish,
};

/* On a host that cannot allocate space is got by writing. */
static int write_zeros(struct sink *sink, u64 length, u64 pos)
{
	int ret = 0;

	for (u64 n; !ret && length; length -= n, pos += n) {
		n = min_t(u64, length, sizeof(zeros));
		ret = sink->ops->write(sink, zeros, n, pos);
	}
	return ret;
}

static int make_room(struct sink *sink)
{
	struct vhdx_file *file = file_of(sink);
	int ret;

	/* Of all formats raw alone. Windows, which refuses images with holes, has none. */
	if (!sink->fixed) {
		sink->file.never_sparse = false;
		return file->ops->resize(file, sink->size);
	}
	ret = file->ops->allocate(file, 0, sink->size);
	return ret == -EOPNOTSUPP ? write_zeros(sink, sink->size, 0) : ret;
}

static int open_new(struct sink *sink, struct place *place,
		    const struct sink_ops *ops, u64 size, bool fixed)
{
	int code, ret;

	sink->ops = ops;
	sink->path = place->name;
	sink->size = size;
	sink->fixed = fixed;
	code = create_file(sink, place);
	if (code)
		return code;
	ret = make_room(sink);
	return ret ? fail(sink, ret) : 0;
}

/**
 * sink_open_raw - begin a new raw file
 * @sink: zeroed, but for @cached; sink_close() ends it, on failure too
 * @place: where it goes
 * @size: of the disk, bytes
 * @fixed: it gets all of its space now
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int sink_open_raw(struct sink *sink, struct place *place, u64 size, bool fixed)
{
	return open_new(sink, place, &raw_ops, size, fixed);
}

/**
 * sink_open_vhd - begin a new fixed VHD
 * @sink: zeroed, but for @cached; sink_close() ends it, on failure too
 * @place: where it goes
 * @size: of the disk, bytes
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int sink_open_vhd(struct sink *sink, struct place *place, u64 size)
{
	return open_new(sink, place, &vhd_ops, size, true);
}

/* --- a block device ---------------------------------------------------------------- */

static int device_zero(struct sink *sink, u64 length, u64 pos)
{
	return file_of(sink)->ops->zero(file_of(sink), pos, length, true);
}

static const struct sink_ops device_ops = {
	.write = raw_write,
	.zero = device_zero,
	.finish = flush,
};

/**
 * sink_open_device - begin to write over a block device
 * @sink: zeroed; sink_close() ends it, on failure too
 * @path: the device
 * @size: of the disk, bytes
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int sink_open_device(struct sink *sink, const char *path, u64 size)
{
	u64 room;
	int ret;

	sink->ops = &device_ops;
	sink->path = path;
	sink->size = size;
	ret = posix_file_open_device(&sink->file, path);
	if (!ret)
		ret = image_lock(sink->file.fd, true);
	if (ret == -EBUSY || ret == -EAGAIN)
		return message_fail(EX_TEMPFAIL, path,
				    "cannot write: it is in use");
	if (!ret)
		ret = file_of(sink)->ops->size(file_of(sink), &room);
	if (ret)
		return message_fail_errno(path, "cannot open for writing", -ret);
	if (room < size)
		return message_fail(EXIT_FAILURE, path,
				    "cannot write: %llu bytes do not fit on %llu",
				    (unsigned long long)size,
				    (unsigned long long)room);
	return 0;
}

/* --- a pipe ---------------------------------------------------------------------------- */

static int pipe_write(struct sink *sink, const void *buf, u64 length, u64 pos)
{
	const u8 *p = buf;

	(void)pos;
	while (length) {
		ssize_t n = write(sink->file.fd, p, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		length -= (u64)n;
	}
	return 0;
}

static int pipe_finish(struct sink *sink)
{
	(void)sink;
	return 0;
}

static const struct sink_ops pipe_ops = {
	.write = pipe_write,
	.zero = write_zeros,
	.finish = pipe_finish,
};

/**
 * sink_open_pipe - begin to write a raw disk to stdout
 * @sink: zeroed; sink_close() ends it, on failure too
 * @size: of the disk, bytes
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int sink_open_pipe(struct sink *sink, u64 size)
{
	sink->ops = &pipe_ops;
	sink->path = "-";
	sink->size = size;
	sink->file.fd = -1;
	if (isatty(STDOUT_FILENO))
		return message_fail(EX_USAGE, NULL,
				    "convert: a disk is not written to a terminal");
	sink->file.fd = dup(STDOUT_FILENO);
	return sink->file.fd < 0 ? fail(sink, -errno) : 0;
}

/* --- a VHDX image ------------------------------------------------------------------------ */

static int vhdx_write(struct sink *sink, const void *buf, u64 length, u64 pos)
{
	return vhdx_sync_write(sink->img, buf, length, pos);
}

static int vhdx_finish(struct sink *sink)
{
	int ret = vhdx_image_finish(sink->img);

	/* The file was cut after the last flush. */
	return ret ? ret : flush(sink);
}

static const struct sink_ops vhdx_ops = {
	.write = vhdx_write,
	.finish = vhdx_finish,
};

/**
 * sink_open_vhdx - begin a new VHDX image
 * @sink: zeroed, but for @cached; sink_close() ends it, on failure too
 * @place: where it goes
 * @params: what image
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int sink_open_vhdx(struct sink *sink, struct place *place,
		   const struct vhdx_create *params)
{
	struct vhdx_error err;
	int code, ret;

	sink->ops = &vhdx_ops;
	sink->path = place->name;
	sink->size = params->disk_size;
	sink->fixed = params->fixed;
	code = create_file(sink, place);
	if (code)
		return code;
	/*
	 * A block's space is promised to who may write to all of it. Here it is known
	 * what is written, and what stays zero of a block takes no space on the host.
	 */
	if (!sink->fixed)
		sink->file_ops.allocate = cannot_allocate;
	ret = vhdx_image_create(file_of(sink), params, &err);
	if (!ret)
		ret = vhdx_image_open(file_of(sink), VHDX_OPEN_WRITE, &sink->img,
				      &err);
	if (ret)
		return place_fail_image(place, &err);
	vhdx_sync_init(sink->img);
	return 0;
}

/* --- copying ------------------------------------------------------------------------------- */

static bool is_zero(const u8 *buf, size_t length)
{
	/* Data most often shows in its first bytes. */
	return !memcmp(buf, zeros, min_t(size_t, length, 64)) &&
	       !memcmp(buf, zeros, length);
}

/* The bytes at the start of @buf that are alike: zeros, or not. */
static size_t run_length(const u8 *buf, size_t length, bool *zero)
{
	size_t done = min_t(size_t, length, ZERO_PIECE);

	*zero = is_zero(buf, done);
	while (done < length) {
		size_t n = min_t(size_t, length - done, ZERO_PIECE);

		if (is_zero(buf + done, n) != *zero)
			break;
		done += n;
	}
	return done;
}

static int write_data(struct sink *sink, const u8 *buf, size_t length, u64 pos)
{
	int ret = 0;

	if (sink->ops->zero)
		return sink->ops->write(sink, buf, length, pos);
	while (!ret && length) {
		bool zero;
		size_t n = run_length(buf, length, &zero);

		if (!zero)
			ret = sink->ops->write(sink, buf, n, pos);
		buf += n;
		pos += n;
		length -= n;
	}
	return ret;
}

static void copied(struct sink *sink, u64 bytes)
{
	progress_add(bytes);
	sink->unpushed += bytes;
	if (sink->cached || sink->unpushed < PUSH_SIZE)
		return;
	sink->unpushed = 0;
	posix_file_push(&sink->file);
}

/*
 * Through memory: zeros are found there. And what the kernel copies may be shared with
 * the source, here or at the other end of a network: it is no space of the file's own.
 */
static int copy_piece(struct sink *sink, struct source *source,
		      const struct source_piece *piece, u64 pos, u8 *buf)
{
	for (u64 skip = 0, n; skip < piece->length; skip += n) {
		int code, ret;

		n = min_t(u64, piece->length - skip, BUFFER_SIZE);
		code = source_read(source, piece, buf, skip, n);
		if (code)
			return code;
		ret = write_data(sink, buf, n, pos + skip);
		if (ret)
			return fail(sink, ret);
		copied(sink, n);
	}
	return 0;
}

static int copy_all(struct sink *sink, struct source *source, u8 *buf)
{
	struct source_piece piece;
	u64 length = min(source->size, sink->size);
	int code = 0;

	for (u64 pos = 0; !code && pos < length; pos += piece.length) {
		code = source_next(source, pos, length - pos, &piece);
		if (code)
			return code;
		if (piece.data) {
			code = copy_piece(sink, source, &piece, pos, buf);
		} else if (sink->ops->zero) {
			int ret = sink->ops->zero(sink, piece.length, pos);

			code = ret ? fail(sink, ret) : 0;
		}
	}
	return code;
}

/* A disk may be made longer than what it is made from. */
static int zero_rest(struct sink *sink, u64 pos)
{
	int ret = 0;

	if (pos < sink->size && sink->ops->zero)
		ret = sink->ops->zero(sink, sink->size - pos, pos);
	return ret ? fail(sink, ret) : 0;
}

/**
 * sink_copy - write a whole disk
 * @sink: open
 * @source: open; no longer than the sink
 * @quiet: show no progress
 *
 * Return: 0, and sink_close() gives the result its name; or the exit code; then
 * the error was printed.
 */
int sink_copy(struct sink *sink, struct source *source, bool quiet)
{
	u8 *buf = text_memory(aligned_alloc(ZERO_PIECE, BUFFER_SIZE));
	u64 bytes;
	int code, ret;

	code = source_sum(source, &bytes);
	if (!code) {
		if (sink->img)
			sink->img->growth_step =
				min(max(bytes, VHDX_GROWTH_STEP), MAX_GROWTH);
		progress_begin(sink->path, bytes, quiet);
		code = copy_all(sink, source, buf);
	}
	if (!code)
		code = zero_rest(sink, source->size);
	if (!code) {
		ret = sink->ops->finish(sink);
		code = ret ? fail(sink, ret) : 0;
	}
	progress_end();
	free(buf);
	return code;
}

/**
 * sink_close - end a sink
 * @sink: opened, well or not
 * @code: of all that was done with it: a new file that is not whole goes away
 *
 * Return: @code, or that of what failed here; then the error was printed.
 */
int sink_close(struct sink *sink, int code)
{
	vhdx_image_close(sink->img);
	posix_file_close(&sink->file);
	if (!sink->place)
		return code;
	if (!code)
		return place_finish(sink->place, !sink->cached);
	place_abandon(sink->place);
	return code;
}
