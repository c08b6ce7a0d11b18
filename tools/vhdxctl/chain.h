/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The chain of a differencing image: its parent, that one's parent and so on.
 */
#ifndef VHDXCTL_CHAIN_H
#define VHDXCTL_CHAIN_H

#include "image/image.h"
#include "posix_file.h"

#define CHAIN_MAX_IMAGES	(VHDX_MAX_PARENTS + 1)

/**
 * enum chain_verdict - how an image is linked to its parent
 * @CHAIN_BASE: it has none
 * @CHAIN_OK: the parent is there, and the right one
 * @CHAIN_MISMATCH: there is a file, but its DataWriteGuid is another one
 * @CHAIN_MISSING: no such file was found
 * @CHAIN_UNUSABLE: there is one which cannot be the parent, or be opened
 */
enum chain_verdict {
	CHAIN_BASE,
	CHAIN_OK,
	CHAIN_MISMATCH,
	CHAIN_MISSING,
	CHAIN_UNUSABLE,
};

/**
 * struct chain_image - an image of a chain
 * @path: of its file; a parent's is that without symbolic links, or the user's
 * @file: its open file
 * @img: the image, by itself
 * @verdict: on the link to its parent
 * @errnum: positive errno: why that is not CHAIN_OK or CHAIN_BASE
 * @wanted: the path of the parent as the image has it, UTF-8; NULL: not read
 * @problem: the same in words, which may hold untrusted strings; or NULL
 */
struct chain_image {
	char *path;
	struct posix_file file;
	struct vhdx_image *img;
	enum chain_verdict verdict;
	int errnum;
	char *wanted;
	char *problem;
};

/**
 * struct chain - a chain of images, as far as it could be followed
 * @image: from the image to its base
 * @count: how many, at least 1
 */
struct chain {
	struct chain_image *image[CHAIN_MAX_IMAGES];
	size_t count;
};

/**
 * struct chain_options - what the user says of the parents
 * @parent: --parent: the image's, then that one's, ...
 * @parents: how many
 * @folder: --parent-dir: folders to look for the rest in
 * @folders: how many
 * @no_parent: there is no --parent where these come from
 */
struct chain_options {
	const char *parent[VHDX_MAX_PARENTS];
	size_t parents;
	const char **folder;
	size_t folders;
	bool no_parent;
};

int chain_option_parent(struct chain_options *options, const char *path);
void chain_option_folder(struct chain_options *options, const char *path);
void chain_options_free(struct chain_options *options);

struct chain_image *chain_begin(struct chain *chain, const char *path);
void chain_find(struct chain *chain, const struct chain_options *options,
		unsigned int flags);
int chain_check_options(const struct chain *chain,
			const struct chain_options *options);
int chain_check(const struct chain *chain, const struct chain_options *options,
		const char *what, bool ignore_mismatch);
int chain_link(struct chain *chain);
int chain_reopen(struct chain_image *image, unsigned int flags);
void chain_warn(const struct chain *chain);
void chain_end(struct chain *chain);

char *chain_find_other_child(const struct chain_image *image,
			     const struct chain_image *except);
char *chain_find_child(const struct chain_image *image);

#endif
